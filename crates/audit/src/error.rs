//! Why a journal cannot be read for people.

use drieslot_journal::{JournalError, VerifyError};

/// By who has to act.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The journal's files cannot be read, or were changed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is not what was signed.
    #[error(
        "journal `{origin}` does not hold what was signed: {source}; keep a copy of its folder as it is, and tell who relies on it"
    )]
    Changed {
        /// The journal.
        origin: String,
        /// What is wrong, and where.
        source: VerifyError,
    },
    /// No key is known that may sign this journal.
    #[error(
        "journal `{origin}` is of no gateway of the charter; name the journal folder of a gateway: journal.folder of its configuration"
    )]
    NotOfCharter {
        /// The journal.
        origin: String,
    },
    /// An entry's body is not as `docs/journal.md` says.
    #[error(
        "entry {index} of journal `{origin}` cannot be read: {why}; was it written by a later version of Drieslot?"
    )]
    Entry {
        /// The journal.
        origin: String,
        /// Which entry.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A journal is not the one that another goes on from.
    #[error("journal `{origin}` is not what its successor goes on from: {why}; keep both folders as they are")]
    Link {
        /// The old journal.
        origin: String,
        /// What is wrong.
        why: String,
    },
}
