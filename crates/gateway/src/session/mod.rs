//! One session: an application's connection, the processor's connection, and what is decided between them.
//!
//! The processor answers strictly in order, so the session keeps a queue of what it owes. A refused message is
//! replaced by one that must fail, and the processor's error by ours: the protocol stays in step, and a refusal ends
//! a transaction exactly as an error of PostgreSQL does.

pub(crate) mod array;
mod bind;
mod cells;
mod client;
mod copy;
mod entered;
mod errors;
mod expect;
pub(crate) mod guard;
mod held;
mod load;
mod masks;
mod names;
mod own;
mod plan;
mod rows;
mod search;
mod server;
mod subjects;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use drieslot_custodian::client::KeyError;
use drieslot_schema::Domain;
use drieslot_wire as wire;

use crate::Shared;
use crate::end_users::Said;
use crate::refusal::Refusal;
use crate::stream::Peer;
use crate::trace::stopped;
use cells::Cells;
pub(crate) use cells::{hex, unhex};
use copy::CopyIn;
use entered::{Announced, Cosigned};
use expect::{Expect, Names};
use guard::Guard;
use held::Held;
use own::Own;
pub(crate) use own::own_settings;
use plan::View;
use rows::RowScratch;

/// Whose session it is.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// Random, names the session in the journal.
    pub(crate) session: String,
    pub(crate) principal: String,
    pub(crate) database: String,
    /// Address of the client.
    pub(crate) client: String,
    /// What the start-up packet said of the end user.
    pub(crate) said: Said,
}

/// What must happen before a client's message can be handled.
enum Stall {
    /// The catalogue is being read.
    Catalog,
    /// These keys must be fetched from the custodians.
    Keys(Vec<(Domain, u16)>),
    /// The keys of an issuer of tokens, by its index, must be looked for again.
    Issuer(usize),
    /// These searches must be answered by the processor first.
    Search(search::Asked),
    /// COPY data arrived before the processor said that it wants it.
    CopyStart,
    /// The entry with this index must be cosigned first.
    Cosigned(u64),
    /// What a name stands for depends on an answer of the processor to an earlier batch.
    Name,
    /// Not a wait: the message is refused.
    Refused(Box<Refusal>),
}

impl From<Refusal> for Stall {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// How a session ends.
pub(super) enum End {
    /// One side went away.
    Gone,
    /// Something that cannot go on; the client is told.
    Fatal(Box<Refusal>),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Fatal(Box::new(refusal))
    }
}

type KeyFetch = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// COPY FROM STDIN, once the processor wants data.
enum Copying {
    No,
    Pass,
    Seal(Box<CopyIn>),
}

/// Most bytes waiting for a side before the other side is no longer read.
const HIGH_WATER_BYTES: usize = 1 << 20;

pub(crate) struct Session {
    shared: Arc<Shared>,
    who: Who,
    client: Peer,
    server: Peer,
    /// For whom the application acts.
    own: Own,
    cells: Cells,
    scratch: RowScratch,
    /// Answers owed by the processor, oldest first.
    expects: VecDeque<Expect>,
    /// Rows and messages of the traced statement under way, not yet held.
    chunk: BytesMut,
    /// Output that waits for the journal.
    held: Held,
    /// Transaction status of the last ReadyForQuery: `I`, `T` or `E`.
    status: u8,
    /// An extended-protocol batch was begun and not yet synced.
    batch_open: bool,
    /// The batch has failed: messages are ignored up to Sync.
    discard: bool,
    /// A message that could not be handled yet, and why.
    stalled: Option<Bytes>,
    keys: Option<KeyFetch>,
    /// What of the stalled message is in the journal already.
    announced: Option<Announced>,
    /// Output waits for this.
    cosigning: Option<Cosigned>,
    /// Why the stalled message cannot go on.
    stall_failed: Option<Refusal>,
    /// Answers to searches of the stalled message, by statement of its text.
    answered: HashMap<usize, Vec<search::Answer>>,
    loading: bool,
    view: View,
    /// Prepared statements and portals, whether of SQL or of the protocol, as they will be once all is answered.
    names: Names,
    /// The same as the processor has confirmed them.
    known: Names,
    copying: Copying,
    /// Bytes of an oversize message still to throw away.
    skip: usize,
    /// Bytes of a passing message still to relay to the client.
    relay: usize,
    terminated: bool,
    /// The processor has said that it ends the session, and why.
    fatal_told: bool,
    /// `standard_conforming_strings`. Off is possible only where nothing is protected.
    standard_strings: bool,
    /// PostgreSQL's major version, as the processor told it.
    server_major: u32,
    guard: Guard,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, who: Who, client: Peer, server: Peer) -> Self {
        Self {
            cells: Cells::new(Arc::clone(&shared), who.clone()),
            held: Held::new(shared.trace.waiting()),
            own: Own::new(who.said.clone()),
            guard: Guard::new(&shared, &who.database),
            shared,
            who,
            client,
            server,
            scratch: RowScratch::default(),
            chunk: BytesMut::new(),
            expects: VecDeque::new(),
            status: b'I',
            batch_open: false,
            discard: false,
            stalled: None,
            keys: None,
            announced: None,
            cosigning: None,
            stall_failed: None,
            answered: HashMap::new(),
            loading: false,
            view: View::default(),
            names: Names::default(),
            known: Names::default(),
            copying: Copying::No,
            skip: 0,
            relay: 0,
            terminated: false,
            fatal_told: false,
            standard_strings: true,
            server_major: 0,
        }
    }

    /// Output of the gateway's own.
    pub(crate) fn tell(&mut self, message: &[u8]) {
        self.client.output.extend_from_slice(message);
    }

    /// Runs until one side ends it.
    pub(crate) async fn run(mut self) {
        match self.serve().await {
            Ok(()) => {}
            // 08006 is PostgreSQL's connection failure.
            Err(End::Gone) => self.leave_trace_of_end("08006"),
            Err(End::Fatal(refusal)) => {
                let (session, sqlstate) = (&self.who.session, refusal.sqlstate);
                tracing::warn!(%session, sqlstate, why = %refusal.message, "session ended");
                self.leave_trace_of_end(sqlstate);
                refusal.put(&mut self.client.output, "FATAL");
            }
        }
        tokio::join!(self.server.close(), self.client.close());
    }

    async fn serve(&mut self) -> Result<(), End> {
        self.begin_guard();
        loop {
            while self.step()? {}
            if self.terminated && self.client.output.is_empty() {
                return Ok(());
            }
            self.wait().await?;
        }
    }

    /// Does what can be done without waiting; `false` when nothing is left.
    fn step(&mut self) -> Result<bool, End> {
        self.renew_guard();
        self.ask_witnesses();
        let mut progress = self.held.release(&mut self.client.output).map_err(|()| stopped())?;
        if self.client.output.len() + self.held.bytes() < HIGH_WATER_BYTES {
            progress |= self.on_server()?;
        }
        if self.server.output.len() < HIGH_WATER_BYTES && !self.terminated {
            progress |= self.on_client()?;
        }
        Ok(progress)
    }

    /// Waits for either side, the journal, or keys.
    async fn wait(&mut self) -> Result<(), End> {
        // Room for the message at the front, however long: a message that is never read whole would never be handled.
        let front = wire::split_frame(&self.client.input).ok().flatten().map_or(0, |frame| frame.size);
        let client_has_room =
            self.server.output.len() < HIGH_WATER_BYTES && self.client.input.len() < front.max(HIGH_WATER_BYTES);
        let read_client = client_has_room && self.stalled.is_none() && !self.terminated;
        let read_server = self.client.output.len() + self.held.bytes() < HIGH_WATER_BYTES;
        if self.server.ended && self.held.bytes() == 0 && self.client.output.is_empty() {
            // Its own last words were passed on.
            if self.fatal_told {
                return Err(End::Gone);
            }
            return Err(Refusal::new("57P01", "the processor's PostgreSQL closed the connection").into());
        }
        if self.expects.is_empty() && self.held.bytes() == 0 && self.client.output.is_empty() {
            self.client.shrink();
            self.server.shrink();
            crate::stream::shrink(&mut self.chunk);
        }
        tokio::select! {
            biased;
            result = self.server.exchange(read_server && !self.server.ended) => result.map_err(lost)?,
            result = self.client.exchange(read_client && !self.client.ended) => result.map_err(|_| End::Gone)?,
            () = self.held.changed(), if self.held.bytes() > 0 => {}
            () = self.guard.due() => {}
            cosigned = entered::poll(&mut self.cosigning), if self.cosigning.is_some() => {
                self.cosigning = None;
                self.held.cosigned(cosigned?);
            }
            fetched = poll_keys(&mut self.keys), if self.keys.is_some() => {
                self.keys = None;
                self.stall_failed = fetched.err();
            }
        }
        // A client that vanishes takes its session along: the processor's connection is closed, and an unfinished
        // COPY or transaction there is rolled back.
        if self.client.ended && !self.terminated {
            return Err(End::Gone);
        }
        Ok(())
    }

    fn fetch_keys(&mut self, wanted: Vec<(Domain, u16)>) {
        let keyring = Arc::clone(&self.shared.keyring);
        self.keys = Some(Box::pin(async move {
            for (domain, epoch) in wanted {
                keyring.cell_key(&domain, epoch).await.map_err(|error| key_refusal(&error))?;
            }
            Ok(())
        }));
    }

    fn await_cosigned(&mut self, index: u64) {
        let cosigned = self.cosigned(index);
        self.keys = Some(Box::pin(async move { cosigned.await.map(drop) }));
    }

    fn look_for_issuer(&mut self, issuer: usize) {
        let end_users = Arc::clone(&self.shared.end_users);
        self.keys = Some(Box::pin(async move {
            end_users.look(issuer).await;
            Ok(())
        }));
    }

    /// ParameterStatus: what values and the parser depend on is checked, not assumed.
    pub(crate) fn note_parameter(&mut self, name: &str, value: &str) {
        match name {
            "TimeZone" => self.cells.set_time_zone(value),
            "IntervalStyle" => self.cells.set_interval_style(value),
            "server_version" => {
                let major = value.split(|c: char| !c.is_ascii_digit()).next();
                self.server_major = major.and_then(|digits| digits.parse().ok()).unwrap_or(0);
            }
            "in_hot_standby" => {
                self.guard.standby = value == "on";
                self.cells.set_standby(self.guard.standby);
            }
            "standard_conforming_strings" => self.standard_strings = value == "on",
            "DateStyle" => self.cells.set_date_style(value),
            _ => {}
        }
    }
}

/// The processor's connection broke: no goodbye, a reset, a TLS stream that was cut off.
fn lost(error: std::io::Error) -> End {
    Refusal::new("08006", "the connection to the processor's PostgreSQL was lost")
        .detail(error.to_string())
        .hint("Connect again. A statement or COMMIT that was not answered may have taken effect: look before repeating it.")
        .into()
}

async fn poll_keys(keys: &mut Option<KeyFetch>) -> Result<(), Refusal> {
    match keys {
        Some(fetch) => fetch.await,
        None => std::future::pending().await,
    }
}

fn key_refusal(error: &KeyError) -> Refusal {
    // A mandate may end between its check and the question for its key.
    let sqlstate = if matches!(error, KeyError::Denied(_)) { "42501" } else { "58000" };
    Refusal::new(sqlstate, "a key that this statement needs cannot be had")
        .detail(error.to_string())
        .hint(error.remedy())
}

/// Settings without which the gateway's reading of a text and the processor's would differ.
pub(crate) fn required_setting(name: &str, value: &str) -> Result<(), Refusal> {
    let fits = match name {
        "standard_conforming_strings" => value == "on",
        "client_encoding" => value.eq_ignore_ascii_case("UTF8"),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::new("0A000", format!("the setting {name} = {value} is not supported"))
        .hint("Use standard_conforming_strings = on and client_encoding = UTF8."))
}
