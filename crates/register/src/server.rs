//! The register's server: takes what the state admits, makes it durable, and only then answers and shows it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use drieslot_journal::hash::{self, Peaks};
use drieslot_journal::{Checkpoint, IdentityKey, Journal, JournalConfig, JournalError, Reader};
use drieslot_link::{Fingerprint, LinkError, Method, Metric, MetricsAddress, Request, Response, TlsIdentity};
use drieslot_witness::{Cosigning, WitnessAddress};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};

use crate::entry::{Entry, SignatureEntry};
use crate::exchange::{Base64, EntriesAnswer, MAX_ANSWER_BYTES, MAX_WAIT_S, Receipt, Submission, origin};
use crate::statement::Statement;
use crate::{Effect, Hex32, Refusal, State};

/// A statement may be dated this much ahead of the register's clock.
const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);
const MAX_SIGNATURES: usize = 64;

/// Where the server gets the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything that a register server needs to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterConfig {
    /// Where parts connect.
    pub listen: SocketAddr,
    /// The controller's name, as in the charter.
    pub tenant: String,
    /// SHA-256 of the charter's text, 64 hexadecimal digits.
    pub charter_sha256: Hex32,
    /// The TLS key of the administrator's command line: `sha256:` and 64 hexadecimal digits.
    pub admin_tls: Fingerprint,
    /// Folder of the register's journal.
    pub folder: PathBuf,
    /// The Ed25519 key that signs its checkpoints (PKCS#8), mode 0600.
    pub key: PathBuf,
    /// Folder with the register's TLS identity.
    pub identity: PathBuf,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<MetricsAddress>,
    /// Who may read the journal over a network.
    pub serve_journal: Option<drieslot_mirror::ServeConfig>,
    /// Where each witness of the charter is.
    #[serde(default)]
    pub witness: Vec<WitnessAddress>,
}

/// Why a register server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The journal cannot be used.
    #[error("the register's journal: {0}")]
    Journal(#[from] JournalError),
    /// An entry in the journal does not verify: nothing of it may be served.
    #[error("the register is corrupt at entry {index}: {refusal}")]
    Corrupt {
        /// Which entry.
        index: u64,
        /// Why it is refused.
        refusal: Refusal,
    },
    /// TLS identity or socket.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What others may see: all of it is durable.
struct Published {
    state: State,
    entries: Vec<Arc<[u8]>>,
    peaks: Peaks,
    /// Signed checkpoint of exactly these entries.
    note: String,
}

/// An open register.
pub struct Register {
    config: RegisterConfig,
    clock: Clock,
    journal: Journal,
    /// Signs the checkpoints that go out with entries; the journal has its own copy for those on disk.
    key: IdentityKey,
    /// Held by whoever appends.
    appending: Mutex<()>,
    /// Set when the journal took entries that were not published: only a restart may go on.
    stopped: AtomicBool,
    published: watch::Sender<Arc<Published>>,
    /// Since it is served.
    cosigning: OnceLock<Arc<Cosigning>>,
}

impl Register {
    /// Opens the journal, reads it whole, and verifies every entry.
    ///
    /// # Errors
    /// `Journal`, `Corrupt`.
    pub fn open(config: RegisterConfig, clock: Clock) -> Result<Arc<Self>, ServerError> {
        let key = IdentityKey::load(&config.key)?;
        let journal_key = IdentityKey::load(&config.key)?;
        let (journal, _) = Journal::open(&config.folder, JournalConfig::new(&origin(&config.tenant), journal_key))?;
        let reader = Reader::open(&config.folder)?;
        let mut state = State::new(config.charter_sha256);
        let (mut entries, mut peaks) = (Vec::new(), Peaks::default());
        for entry in reader.entries(0, journal.durable())? {
            let (index, bytes) = entry?;
            state.apply(index, &bytes).map_err(|refusal| ServerError::Corrupt { index, refusal })?;
            peaks.push(hash::leaf(&bytes));
            entries.push(Arc::from(bytes));
        }
        let note = checkpoint(&config.tenant, &peaks, &key)?;
        let published = watch::Sender::new(Arc::new(Published { state, entries, peaks, note }));
        let (appending, stopped) = (Mutex::new(()), AtomicBool::new(false));
        let cosigning = OnceLock::new();
        Ok(Arc::new(Self { config, clock, journal, key, appending, stopped, published, cosigning }))
    }

    /// Listens and serves until the future is dropped.
    ///
    /// # Errors
    /// `Listen`, `Link`.
    pub async fn run(self: Arc<Self>) -> Result<(), ServerError> {
        let address = self.config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })?;
        self.serve(listener).await
    }

    /// Serves on a socket that listens already.
    ///
    /// # Errors
    /// `Link`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<(), ServerError> {
        let identity = Arc::new(TlsIdentity::load(&self.config.identity)?);
        self.begin_cosigning()?;
        let door = Arc::clone(&self);
        let authorise = move |peer: &Fingerprint| door.knows(peer);
        let (measured, started) = (Arc::clone(&self), (self.clock)());
        let metrics = drieslot_link::serve_metrics(self.config.metrics, move || measured.metrics(started));
        let readable = Arc::clone(&self);
        let serve_journal = readable.config.serve_journal.clone();
        let readers = drieslot_mirror::serve(serve_journal, &readable.config.folder, Some(Arc::clone(&identity)));
        let handler = move |peer, request| Arc::clone(&self).answer(peer, request);
        tokio::select! {
            served = drieslot_link::serve(listener, identity, authorise, handler) => Ok(served?),
            failed = metrics => match failed? {},
            failed = readers => match failed? {},
        }
    }

    fn begin_cosigning(&self) -> Result<(), ServerError> {
        let published = self.published.subscribe();
        let begun = Cosigning::start(
            self.journal.clone(),
            &self.config.folder,
            self.key.verifier(&origin(&self.config.tenant))?,
            self.config.witness.clone(),
            Box::new(move || published.borrow().state.witnessing()),
        )?;
        // A second call serves the same journal: what began first goes on.
        let _ = self.cosigning.set(begun);
        Ok(())
    }

    /// Another history of this register is known: nothing of this one may be relied on.
    fn halted(&self) -> Option<Response> {
        let halted = self.cosigning.get()?.check_one_history().err()?;
        Some(Response::new(503, halted.to_string()))
    }

    fn metrics(&self, started: Timestamp) -> Vec<Metric> {
        let revision = self.published.borrow().state.revision();
        let started = u64::try_from(started.as_second()).unwrap_or(0);
        let mut metrics = vec![
            Metric::start_time(started),
            Metric::gauge("drieslot_register_revision", "Entries that are served.", revision),
            Metric::journal_entries(self.journal.durable()),
        ];
        metrics.extend(self.cosigning.get().into_iter().flat_map(|cosigning| cosigning.metrics()));
        metrics
    }

    /// The state as published.
    pub fn state(&self) -> State {
        self.published.borrow().state.clone()
    }

    /// Writes what is queued and a last checkpoint.
    ///
    /// # Errors
    /// `Journal`.
    pub fn close(&self) -> Result<(), ServerError> {
        Ok(self.journal.close()?)
    }

    /// The administrator, and the parts of the charter once it is in force.
    fn knows(&self, peer: &Fingerprint) -> bool {
        *peer == self.config.admin_tls || self.published.borrow().state.part(peer).is_some()
    }

    async fn answer(self: Arc<Self>, _peer: Fingerprint, request: Request) -> Response {
        if let Some(halted) = self.halted() {
            return halted;
        }
        match (request.method, request.path.as_str()) {
            (Method::Get, "/entries") => self.entries(&request.query).await,
            (Method::Get, "/checkpoint") => Response::new(200, self.published.borrow().note.clone()),
            (Method::Post, "/statement") => self.statement(&request.body).await,
            (Method::Post, "/signature") => self.signature(&request.body).await,
            (Method::Get | Method::Post, _) => {
                Response::new(404, "a register serves /entries, /checkpoint, /statement, /signature")
            }
        }
    }

    async fn statement(self: Arc<Self>, body: &[u8]) -> Response {
        let submission: Submission = match serde_json::from_slice(body) {
            Ok(submission) => submission,
            Err(error) => return Response::new(400, error.to_string()),
        };
        if submission.signatures.len() > MAX_SIGNATURES {
            return Response::new(400, format!("at most {MAX_SIGNATURES} signatures at once"));
        }
        if let Err(refusal) = self.check_time(&submission.text) {
            return refused(&refusal);
        }
        let sha256 = Hex32::sha256(&submission.text);
        let mut entries = vec![Entry::Statement(submission.text)];
        let signed = |armored| Entry::Signature(SignatureEntry { statement: sha256, armored });
        entries.extend(submission.signatures.into_iter().map(signed));
        self.finish(sha256, entries).await
    }

    async fn signature(self: Arc<Self>, body: &[u8]) -> Response {
        match serde_json::from_slice::<SignatureEntry>(body) {
            Ok(signature) => self.finish(signature.statement, vec![Entry::Signature(signature)]).await,
            Err(error) => Response::new(400, error.to_string()),
        }
    }

    /// What the fold cannot check, because it has no clock.
    fn check_time(&self, text: &str) -> Result<(), Refusal> {
        let statement = Statement::parse(text)?;
        let now = (self.clock)();
        if statement.issued().duration_since(now) > MAX_AHEAD {
            let issued = statement.issued();
            return Err(Refusal::Contradicts(format!("it is dated {issued}, and the register's clock says {now}")));
        }
        match statement.valid_until().filter(|until| *until <= now) {
            Some(until) => Err(Refusal::Contradicts(format!("the {} ended on {until} already", statement.kind()))),
            None => Ok(()),
        }
    }

    /// In a task of its own: a peer that hangs up must not leave entries that are written but not published.
    async fn finish(self: Arc<Self>, statement: Hex32, entries: Vec<Entry>) -> Response {
        let task = tokio::spawn(async move { self.append(statement, entries).await });
        task.await.unwrap_or_else(|error| Response::new(500, error.to_string()))
    }

    /// All or nothing. Order: tried on a copy of the state, appended, durable, published, answered.
    async fn append(&self, statement: Hex32, entries: Vec<Entry>) -> Response {
        let _turn = self.appending.lock().await;
        if self.stopped.load(Ordering::SeqCst) {
            return Response::new(503, "the register's journal failed: look at its disk, then restart the register");
        }
        let current = Arc::clone(&self.published.borrow());
        let (mut state, mut peaks, mut all) = (current.state.clone(), current.peaks.clone(), current.entries.clone());
        let time = (self.clock)().to_string();
        let mut effect = Effect::Recorded { sha256: statement };
        let mut encoded = Vec::with_capacity(entries.len());
        for entry in &entries {
            let applied = entry.encode(&time).and_then(|bytes| {
                effect = state.apply(state.revision(), &bytes)?;
                Ok(bytes)
            });
            match applied {
                Ok(bytes) => encoded.push(bytes),
                Err(refusal) => return refused(&refusal),
            }
        }
        for bytes in &encoded {
            peaks.push(hash::leaf(bytes));
            all.push(Arc::from(bytes.as_slice()));
        }
        let written = self.write(encoded).await.and_then(|()| checkpoint(&self.config.tenant, &peaks, &self.key));
        match written {
            Ok(note) => self.published.send_replace(Arc::new(Published { state, entries: all, peaks, note })),
            Err(error) => {
                self.stopped.store(true, Ordering::SeqCst);
                tracing::error!(%error, "the register's journal failed");
                return Response::new(
                    503,
                    "the register's journal failed: look at its disk, then restart the register",
                );
            }
        };
        json(&Receipt::new(statement, &effect))
    }

    /// Once begun it must end in a publication, or the register stops.
    async fn write(&self, encoded: Vec<Vec<u8>>) -> Result<(), JournalError> {
        let journal = self.journal.clone();
        let write = tokio::task::spawn_blocking(move || {
            let mut last = None;
            for bytes in encoded {
                last = Some(journal.append(bytes)?);
            }
            last.map_or(Ok(()), |index| journal.wait_durable(index))
        });
        write.await.unwrap_or(Err(JournalError::Closed))
    }

    async fn entries(&self, query: &str) -> Response {
        let Some((from, wait_s)) = range(query) else {
            return Response::new(400, "write /entries?from=N&wait_s=T");
        };
        let mut published = self.published.subscribe();
        let wait = Duration::from_secs(wait_s.min(MAX_WAIT_S));
        let more = published.wait_for(|now| now.entries.len() > from);
        let _ = tokio::time::timeout(wait, more).await;
        let now = Arc::clone(&self.published.borrow());
        let mut bytes = 0;
        let fits = |entry: &&Arc<[u8]>| {
            bytes += entry.len();
            bytes <= MAX_ANSWER_BYTES
        };
        let entries = now.entries.iter().skip(from).take_while(fits).map(|entry| Base64(entry.to_vec())).collect();
        json(&EntriesAnswer { size: now.peaks.size(), checkpoint: now.note.clone(), entries })
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").field("config", &self.config).finish_non_exhaustive()
    }
}

fn checkpoint(tenant: &str, peaks: &Peaks, key: &IdentityKey) -> Result<String, JournalError> {
    Checkpoint { origin: origin(tenant), size: peaks.size(), root: peaks.root() }.sign(key)
}

fn range(query: &str) -> Option<(usize, u64)> {
    let (mut from, mut wait_s) = (None, 0);
    for pair in query.split('&') {
        match pair.split_once('=')? {
            ("from", value) => from = Some(value.parse().ok()?),
            ("wait_s", value) => wait_s = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((from?, wait_s))
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Malformed(_) | Refusal::Signature(_) | Refusal::UnknownStatement(_) | Refusal::OutOfOrder { .. } => {
            400
        }
        Refusal::Signer(_) | Refusal::Known(_) | Refusal::Settled { .. } | Refusal::Contradicts(_) => 409,
        Refusal::Closed(_) => 503,
    };
    Response::new(status, refusal.to_string())
}

fn json(body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => Response::new(200, body),
        Err(error) => Response::new(500, error.to_string()),
    }
}
