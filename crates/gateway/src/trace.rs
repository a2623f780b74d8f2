//! The trace of every look: intent and outcome entries, and waiting until they are durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drieslot_journal::{Journal, JournalError, entry};
use drieslot_schema::ColumnId;
use serde::Serialize;
use tokio::sync::Notify;

use crate::end_users::Person;
use crate::refusal::Refusal;

/// What is durable of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Entries below this index are durable.
    Durable(u64),
    /// The journal has failed; nothing may be released any more.
    Failed,
}

/// Who waits for which entry. A commit wakes those whose entry it made durable, and nobody else.
#[derive(Clone)]
pub(crate) struct Waiting {
    state: Arc<Mutex<State>>,
}

struct State {
    progress: Progress,
    waiters: BTreeMap<u64, Arc<Notify>>,
}

impl Waiting {
    pub(crate) fn new(durable: u64) -> Self {
        let state = State { progress: Progress::Durable(durable), waiters: BTreeMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Has `waiter` woken when the entry at `index` is durable, or the journal has failed.
    pub(crate) fn register(&self, index: u64, waiter: &Arc<Notify>) {
        let mut state = self.lock();
        match state.progress {
            Progress::Durable(durable) if index >= durable => drop(state.waiters.insert(index, Arc::clone(waiter))),
            Progress::Durable(_) | Progress::Failed => waiter.notify_one(),
        }
    }

    pub(crate) fn advance(&self, progress: Progress) {
        let mut state = self.lock();
        state.progress = progress;
        let kept = match progress {
            Progress::Durable(durable) => state.waiters.split_off(&durable),
            Progress::Failed => BTreeMap::new(),
        };
        let woken = std::mem::replace(&mut state.waiters, kept);
        drop(state);
        woken.into_values().for_each(|waiter| waiter.notify_one());
    }
}

/// The gateway's journal, seen from asynchronous code.
#[derive(Clone)]
pub(crate) struct Trace {
    journal: Journal,
    waiting: Waiting,
    clock: crate::Clock,
    intents: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

/// A column and what was done with it.
#[derive(Serialize)]
pub(crate) struct Touched<'a> {
    /// `schema.table.column`.
    #[serde(serialize_with = "as_text")]
    pub(crate) column: &'a ColumnId,
    /// `read`, `write` or `search`.
    #[serde(rename = "use")]
    pub(crate) used: &'static str,
}

fn as_text<S: serde::Serializer>(column: &ColumnId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(column)
}

/// Written before a statement that touches a protected column is sent.
#[derive(Serialize)]
pub(crate) struct Intent<'a> {
    pub(crate) session: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_user: Option<Person<'a>>,
    pub(crate) database: &'a str,
    pub(crate) mandates: &'a [String],
    pub(crate) purpose: &'a str,
    pub(crate) command: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) columns: Vec<Touched<'a>>,
}

/// Written before a chunk of results is released.
#[derive(Serialize)]
pub(crate) struct Outcome<'a> {
    pub(crate) session: &'a str,
    /// Index of the intent.
    pub(crate) intent: u64,
    /// Rows in this chunk.
    pub(crate) rows: u64,
    /// `more`, `done`, `suspended` or `failed`.
    pub(crate) state: &'static str,
    /// PostgreSQL's command tag, or the SQLSTATE of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<&'a str>,
    /// Pseudonyms of those whom the rows are about.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) subjects: &'a [String],
    /// Why some rows are not tied to a subject.
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    pub(crate) without_subject: &'a [&'static str],
}

/// Whose statement it is.
#[derive(Serialize)]
pub(crate) struct Actor<'a> {
    pub(crate) session: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_user: Option<Person<'a>>,
    pub(crate) database: &'a str,
}

/// Written when a statement was not allowed.
#[derive(Serialize)]
pub(crate) struct Refused<'a> {
    #[serde(flatten)]
    pub(crate) actor: Actor<'a>,
    pub(crate) sqlstate: &'a str,
    pub(crate) why: &'a str,
}

/// Written when the firewall does not allow a statement; where it only reports, the first time.
#[derive(Serialize)]
pub(crate) struct Judged<'a> {
    #[serde(flatten)]
    pub(crate) actor: Actor<'a>,
    /// `refused` or `passed`.
    pub(crate) outcome: &'static str,
    pub(crate) fingerprint: &'a str,
    pub(crate) why: &'a str,
}

/// Written before a statement is sent that defines or maintains what a database consists of, and when it has ended.
#[derive(Serialize)]
pub(crate) struct Definition<'a> {
    #[serde(flatten)]
    pub(crate) actor: Actor<'a>,
    /// `begun`, `done` or `failed`.
    pub(crate) state: &'static str,
    /// At the end: index of the entry that says that it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) begun: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<&'a str>,
    /// As the statement names them.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) objects: &'a [String],
    /// At the end: PostgreSQL's command tag, or the SQLSTATE of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<&'a str>,
}

/// Written before a decoy is shown, or its statement fails.
#[derive(Serialize)]
pub(crate) struct Alarm<'a> {
    pub(crate) session: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) client: &'a str,
    pub(crate) database: &'a str,
    #[serde(serialize_with = "as_text")]
    pub(crate) column: &'a ColumnId,
    /// Whether nobody gets protected data any more.
    pub(crate) stops: bool,
}

impl Trace {
    pub(crate) fn new(journal: Journal, clock: crate::Clock) -> Self {
        let waiting = Waiting::new(journal.durable());
        let told = waiting.clone();
        journal.set_notify(Box::new(move |durable| told.advance(durable.map_or(Progress::Failed, Progress::Durable))));
        Self { journal, waiting, clock, intents: Arc::default(), refused: Arc::default() }
    }

    /// Appends an entry; it is not durable yet.
    pub(crate) fn append(&self, kind: &str, body: &impl Serialize) -> Result<u64, Refusal> {
        if kind == "refused" {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.encode(kind, body).and_then(|bytes| self.journal.append(bytes)).map_err(refused)
    }

    /// Appends an intent. Its outcome will be waited for, and one commit serves both.
    pub(crate) fn append_intent(&self, body: &Intent<'_>) -> Result<u64, Refusal> {
        self.intents.fetch_add(1, Ordering::Relaxed);
        self.encode("intent", body).and_then(|bytes| self.journal.append_with_next(bytes)).map_err(refused)
    }

    /// Intents and refusals since the start, and the journal's durable entries.
    pub(crate) fn counted(&self) -> (u64, u64, u64) {
        (self.intents.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed), self.journal.durable())
    }

    fn encode(&self, kind: &str, body: &impl Serialize) -> Result<Vec<u8>, JournalError> {
        entry::encode(kind, &(self.clock)().to_string(), body)
    }

    /// What is durable, and who waits for it.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    /// Waits until the entry at `index` is durable.
    pub(crate) async fn durable(&self, index: u64) -> Result<(), Refusal> {
        let told = Arc::new(Notify::new());
        self.waiting.register(index, &told);
        told.notified().await;
        match self.waiting.progress() {
            Progress::Durable(_) => Ok(()),
            Progress::Failed => Err(stopped()),
        }
    }

    pub(crate) fn close(&self) {
        if let Err(error) = self.journal.close() {
            tracing::error!(%error, "closing the journal");
        }
    }
}

fn refused(error: JournalError) -> Refusal {
    tracing::error!(%error, "the journal refuses entries");
    stopped()
}

/// No look without a trace: access stops with the journal.
pub(crate) fn stopped() -> Refusal {
    Refusal::new("58030", "the gateway's journal cannot be written, so protected data is not released")
        .hint("Ask the gateway's administrator to look at the disk under its journal folder.")
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::*;

    /// Whether the waiter was told since the last look.
    fn told(waiter: &Arc<Notify>) -> bool {
        let mut notified = std::pin::pin!(waiter.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        notified.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn a_commit_wakes_those_whose_entry_it_was() {
        let waiting = Waiting::new(5);
        let waiters: Vec<Arc<Notify>> = (0..4).map(|_| Arc::default()).collect();
        for (index, waiter) in (4..).zip(&waiters) {
            waiting.register(index, waiter);
        }
        assert!(told(&waiters[0]), "entry 4 was durable already");
        waiting.advance(Progress::Durable(7));
        assert_eq!([1, 2, 3].map(|at| told(&waiters[at])), [true, true, false]);
        waiting.advance(Progress::Failed);
        assert_eq!([1, 2, 3].map(|at| told(&waiters[at])), [false, false, true]);
    }
}
