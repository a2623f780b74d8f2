//! Why a witness does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use drieslot_journal::JournalError;
use drieslot_link::LinkError;

/// Why a witness does not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The configuration is at fault.
    #[error("{0}")]
    Config(String),
    /// The key, or a log's key, cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process has the memory.
    #[error("{} is in use by another process; a witness is one process: stop the other", .0.display())]
    Locked(PathBuf),
    /// What it has cosigned is not there any more: it could cosign a second history of the same log.
    #[error(
        "{why}; was the folder restored from a backup? Bring the newest one back. Where it is lost, never go on with this key: \
         make a new witness, and have its key put into the charters"
    )]
    Forgotten {
        /// What is missing.
        why: String,
    },
    /// The clock cannot be right.
    #[error(
        "this machine's clock says {now}, but this witness cosigned at {cosigned} (seconds since 1970); set the clock"
    )]
    Clock {
        /// What the clock says.
        now: u64,
        /// When it last cosigned.
        cosigned: u64,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; stop what uses it, or set another `listen`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Metrics.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl WitnessError {
    pub(crate) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
