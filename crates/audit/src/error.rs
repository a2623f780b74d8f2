//! Why a journal cannot be read for people.

use std::path::PathBuf;

use drieslot_journal::{FollowError, JournalError, VerifyError};

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
    /// What is new in the journal cannot be taken in.
    #[error("{source}; keep a copy of the folder of journal `{origin}` as it is, and tell who relies on it")]
    NotFollowed {
        /// The journal.
        origin: String,
        /// What is wrong.
        source: FollowError,
    },
    /// No key is known that may sign this journal.
    #[error(
        "journal `{origin}` is of no gateway of the charter; name the journal folder of a gateway: journal.folder of its configuration"
    )]
    NotOfCharter {
        /// The journal.
        origin: String,
    },
    /// The index file cannot be used.
    #[error("the index: {0}; {remedy}", remedy = index_remedy(.0))]
    Index(Box<redb::Error>),
    /// The index folder cannot be used.
    #[error("the index folder {}: {why}", folder.display())]
    IndexFolder {
        /// Which.
        folder: PathBuf,
        /// What is wrong, and what to do.
        why: String,
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

impl AuditError {
    pub(crate) fn index(error: impl Into<redb::Error>) -> Self {
        Self::Index(Box::new(error.into()))
    }
}

fn index_remedy(error: &redb::Error) -> &'static str {
    if matches!(error, redb::Error::DatabaseAlreadyOpen) {
        return "another process has it open: ask that one, or stop it";
    }
    "see that the disk has room; if it is damaged, remove its folder: it is made anew from the journals"
}
