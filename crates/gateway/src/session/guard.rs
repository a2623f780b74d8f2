//! The session's share in the exchange lock of its database.
//!
//! Cells that the processor compares are brought over to a new epoch all in one transaction (`rotation/exchange.rs`).
//! A session that sealed a value before it and sent it afterwards would silently find nothing. So every session holds an
//! advisory lock, shared, from its start on, and the exchange takes it alone. While such a rotation is open, a session
//! whose client is silent gives its share back, and a busy one takes it anew a few times a second; before it goes on, it looks
//! whether cells were exchanged.

use std::sync::Arc;
use std::time::Duration;

use drieslot_register::State;
use tokio::sync::watch;
use tokio::time::Instant;

use super::expect::Expect;
use super::load::{Load, Part};
use super::{Copying, Session};
use crate::Shared;
use crate::refusal::Refusal;

/// How long an idle session keeps its share while a rotation waits for it.
const RENEW_EVERY: Duration = Duration::from_millis(200);

/// The lock's two numbers: `drie`, `slot`.
macro_rules! exchange_lock {
    () => {
        "1685219685, 1936486260"
    };
}
pub(crate) const EXCHANGE_LOCK: &str = exchange_lock!();

/// The share is asked for where it is already had only after DISCARD ALL and the like.
pub(super) const SHARE_SQL: &str = concat!(
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()",
    " AND l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.objsubid OPERATOR(pg_catalog.=) 2::int2",
    " AND l.classid OPERATOR(pg_catalog.=) '1685219685'::pg_catalog.oid",
    " AND l.objid OPERATOR(pg_catalog.=) '1936486260'::pg_catalog.oid)",
    " THEN pg_catalog.pg_advisory_unlock_shared(",
    exchange_lock!(),
    ") END, pg_catalog.pg_advisory_lock_shared(",
    exchange_lock!(),
    ")::pg_catalog.text",
);
pub(super) const LEAVE_SQL: &str = concat!("SELECT pg_catalog.pg_advisory_unlock_shared(", exchange_lock!(), ")");
/// An exchange makes the checks of cells anew. In a statement, and so a snapshot, of its own.
pub(super) const MARK_SQL: &str = concat!(
    "SELECT COALESCE(pg_catalog.md5(pg_catalog.string_agg(k.oid::pg_catalog.text, ',' ORDER BY k.oid)), '')",
    " FROM pg_catalog.pg_constraint k WHERE k.contype::pg_catalog.text OPERATOR(pg_catalog.=) 'c'",
    " AND k.conname::pg_catalog.text OPERATOR(pg_catalog.~) '_is_cell$'",
);
/// Statements that give back what the session holds.
const GIVES_BACK: [(u8, &[u8]); 2] = [(b'd', b"discard"), (b'k', b"k_all")];

/// What a session knows of exchanges.
pub(super) struct Guard {
    database: String,
    pub(super) standby: bool,
    register: watch::Receiver<Arc<State>>,
    /// A rotation is open that will exchange cells of this database.
    open: bool,
    renew_at: Instant,
    /// The client may have given the session's share back.
    doubt: bool,
    /// Something is prepared that would.
    prepared: bool,
    /// The share was given back while the client is silent.
    away: bool,
    mark: Option<String>,
    /// How many exchanges it has seen.
    pub(super) exchanges: u64,
    /// The catalogue is read because of one.
    pub(super) reloading: bool,
}

impl Guard {
    pub(super) fn new(shared: &Shared, database: &str) -> Self {
        let mut register = shared.follower.subscribe();
        let open = register.borrow_and_update().is_exchanging(database);
        Self {
            database: database.to_owned(),
            standby: false,
            register,
            open,
            renew_at: Instant::now(),
            doubt: false,
            prepared: false,
            away: false,
            mark: None,
            exchanges: 0,
            reloading: false,
        }
    }

    /// The key of the shared catalogue: a standby may show an older one.
    pub(super) fn place(&self) -> String {
        if self.standby { format!("{}\0standby", self.database) } else { self.database.clone() }
    }

    /// Notes a message that may give the session's share back. What was prepared with such a text may do so later.
    pub(super) fn note(&mut self, tag: u8, body: &[u8]) {
        let holds = |first: u8, word: &[u8]| {
            memchr::memchr2_iter(first, first.to_ascii_uppercase(), body)
                .any(|at| body.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word)))
        };
        if !matches!(tag, b'Q' | b'P' | b'E') {
            return;
        }
        if tag != b'E' && GIVES_BACK.iter().any(|(first, word)| holds(*first, word)) {
            let named = tag == b'P' && body.first() != Some(&0);
            self.prepared |= named || holds(b'p', b"prepare");
            self.doubt = true;
        }
        self.doubt |= self.prepared && tag != b'P';
    }

    /// A definition made now could come between what a worker has seen and the exchange.
    pub(super) fn allow_definition(&self) -> Result<(), Refusal> {
        if !self.open {
            return Ok(());
        }
        Err(Refusal::new("0A000", "protected columns cannot be defined while keys of this database are rotated")
            .hint("Wait until the rotation is over; `drieslot keys status` shows it."))
    }

    /// Waits until the register has changed, or the share should be renewed.
    pub(super) async fn due(&mut self) {
        let renew = async {
            match self.open && !self.away {
                true => tokio::time::sleep_until(self.renew_at.max(Instant::now() + RENEW_EVERY / 10)).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.register.changed() => match changed {
                Ok(()) => {}
                Err(_) => std::future::pending().await,
            },
            () = renew => {}
        }
        self.open = self.register.borrow_and_update().is_exchanging(&self.database);
    }
}

impl Session {
    /// Takes the share, or gives it back and takes it anew.
    pub(super) fn begin_guard(&mut self) {
        self.guard.doubt = false;
        self.guard.away = false;
        self.guard_with(Part::Share);
    }

    fn guard_with(&mut self, part: Part) {
        let load = Load::send(vec![part], 0, false, None, &mut self.server.output);
        self.expects.push_back(Expect::Load(Box::new(load)));
        self.loading = true;
    }

    /// Nothing is under way.
    fn is_idle(&self) -> bool {
        self.expects.is_empty()
            && !self.batch_open
            && !self.discard
            && self.stalled.is_none()
            && self.keys.is_none()
            && !self.loading
            && !self.terminated
            && matches!(self.copying, Copying::No)
    }

    /// Where it is time and the session is idle: a silent client's share is given back, a busy one's taken anew.
    pub(super) fn renew_guard(&mut self) {
        let guard = &self.guard;
        let time = guard.open && !guard.away && self.status == b'I' && Instant::now() >= guard.renew_at;
        let doubt = guard.doubt && self.status != b'E';
        if !(time || doubt) || !self.is_idle() {
            return;
        }
        if !doubt && self.client.input.is_empty() {
            self.guard_with(Part::Leave);
        } else {
            self.begin_guard();
        }
    }

    /// Takes the share anew before the client's next message; whether that is under way.
    pub(super) fn come_back(&mut self) -> bool {
        let wanted = self.guard.away && !self.client.input.is_empty();
        if wanted {
            self.begin_guard();
        }
        wanted
    }

    /// The share may be gone when what was sent has been answered: until then nothing more is sent.
    pub(super) fn guard_in_doubt(&self) -> bool {
        self.guard.doubt
            && !self.batch_open
            && self.stalled.is_none()
            && !self.expects.is_empty()
            // What is awaited then is the client's data.
            && matches!(self.copying, Copying::No)
            && !self.expects.iter().any(Expect::awaits_copy)
    }

    /// The share is taken, or the mark was read.
    pub(super) fn guarded(&mut self, load: &Load) -> Result<(), Refusal> {
        match load.parts.as_slice() {
            [Part::Share] => {
                self.guard_with(Part::Mark);
                return Ok(());
            }
            [Part::Leave] => {
                self.guard.away = true;
                return Ok(());
            }
            _ => {}
        }
        let row = load.rows.first().and_then(|rows| rows.first()?.first()?.clone());
        let mark = row.ok_or_else(|| Refusal::protocol("no mark of the checks of cells"))?;
        self.guard.renew_at = Instant::now() + RENEW_EVERY;
        if self.guard.mark.as_ref() == Some(&mark) {
            return Ok(());
        }
        self.shared.catalogs.note_mark(&self.guard.place(), &mark);
        if self.guard.mark.replace(mark).is_some() {
            if self.status != b'I' && self.shared.follower.state().is_exchanging(&self.guard.database) {
                // It gave its share back inside a transaction, which so may have seen both epochs.
                return Err(Refusal::new(
                    "40001",
                    "the keys of protected columns have changed within this transaction",
                )
                .hint("Connect again, and repeat the transaction."));
            }
            self.guard.exchanges += 1;
            self.view.forget();
            self.guard.reloading = true;
            self.begin_load(true);
        }
        Ok(())
    }
}
