//! The trace of every look: intent and outcome entries, and waiting until they are durable.

use drieslot_journal::{Journal, JournalError, entry};
use drieslot_schema::ColumnId;
use serde::Serialize;
use tokio::sync::watch;

use crate::refusal::Refusal;

/// What is durable of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Entries below this index are durable.
    Durable(u64),
    /// The journal has failed; nothing may be released any more.
    Failed,
}

/// The gateway's journal, seen from asynchronous code.
#[derive(Clone)]
pub(crate) struct Trace {
    journal: Journal,
    progress: watch::Receiver<Progress>,
    clock: crate::Clock,
}

/// A column and what was done with it.
#[derive(Serialize)]
pub(crate) struct Touched<'a> {
    /// `schema.table.column`.
    pub(crate) column: &'a ColumnIdText,
    /// `read`, `write` or `search`.
    #[serde(rename = "use")]
    pub(crate) used: &'static str,
}

/// A column's name as the journal writes it.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct ColumnIdText(pub(crate) String);

impl From<&ColumnId> for ColumnIdText {
    fn from(id: &ColumnId) -> Self {
        Self(id.to_string())
    }
}

/// Written before a statement that touches a protected column is sent.
#[derive(Serialize)]
pub(crate) struct Intent<'a> {
    pub(crate) session: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) client: &'a str,
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
}

/// Written when a statement was not allowed.
#[derive(Serialize)]
pub(crate) struct Refused<'a> {
    pub(crate) session: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) client: &'a str,
    pub(crate) database: &'a str,
    pub(crate) sqlstate: &'a str,
    pub(crate) why: &'a str,
}

impl Trace {
    pub(crate) fn new(journal: Journal, clock: crate::Clock) -> Self {
        let (sender, progress) = watch::channel(Progress::Durable(journal.durable()));
        journal.set_notify(Box::new(move |durable| {
            let next = match durable {
                Ok(count) => Progress::Durable(count),
                Err(_) => Progress::Failed,
            };
            sender.send_replace(next);
        }));
        Self { journal, progress, clock }
    }

    /// Appends an entry; it is not durable yet.
    pub(crate) fn append(&self, kind: &str, body: &impl Serialize) -> Result<u64, Refusal> {
        self.encode(kind, body).and_then(|bytes| self.journal.append(bytes)).map_err(refused)
    }

    /// Appends an intent. Its outcome will be waited for, and one commit serves both.
    pub(crate) fn append_intent(&self, body: &Intent<'_>) -> Result<u64, Refusal> {
        self.encode("intent", body).and_then(|bytes| self.journal.append_with_next(bytes)).map_err(refused)
    }

    fn encode(&self, kind: &str, body: &impl Serialize) -> Result<Vec<u8>, JournalError> {
        entry::encode(kind, &(self.clock)().to_string(), body)
    }

    /// Watches what becomes durable.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
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
