//! Why a watcher does not run, by who has to act.

use std::path::{Path, PathBuf};

use drieslot_audit::AuditError;
use drieslot_journal::{FollowError, JournalError};
use drieslot_link::LinkError;

/// Why a watcher cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration says something impossible.
    #[error("{0}")]
    Config(String),
    /// The watcher's own files.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// What it remembers is damaged.
    #[error("{}: {why}; move it away, and everything is sent again from the journals' begin", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The watcher's own journal.
    #[error("the watcher's own journal: {0}")]
    Journal(#[from] JournalError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A fault of this program.
    #[error("a task of the watcher ended unexpectedly; please report this")]
    Bug,
}

impl WatchError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Why nothing more is taken from a journal for now.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not there, cannot be read, or its checkpoint is not signed by the key.
    #[error("the journal cannot be read: {0}")]
    Unreadable(JournalError),
    /// It does not hold what it signed, or signed two things.
    #[error(transparent)]
    Refused(FollowError),
    /// An entry cannot be understood with others.
    #[error(transparent)]
    Entry(#[from] AuditError),
}
