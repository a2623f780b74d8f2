//! What can go wrong with a journal, by who has to act.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the journal refused. Cheap to clone: one failure answers everyone who waits.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The caller's entry is empty or too long.
    #[error("a journal entry has 1 to 65535 bytes, this one {len}; shorten what is recorded")]
    EntrySize {
        /// Length of the refused entry, in bytes.
        len: usize,
    },
    /// The caller's entry isn't a valid version 1 entry.
    #[error("not a journal entry of version 1: {why}")]
    Entry {
        /// What is wrong with it.
        why: String,
    },
    /// The caller waits for, or asks for, an entry that isn't there.
    #[error("entry {index} does not exist: the journal has {size} entries")]
    NoSuchEntry {
        /// Index asked for.
        index: u64,
        /// Entries in the journal.
        size: u64,
    },
    /// What is asked for was pruned.
    #[error(
        "{}: the entries before {first} were pruned, as the journal itself says; a mirror may have them", place.display()
    )]
    Pruned {
        /// What was asked for.
        place: PathBuf,
        /// The first entry that is there.
        first: u64,
    },
    /// The caller wants to prune what cannot be.
    #[error("nothing is pruned: {why}")]
    Prune {
        /// Why not.
        why: String,
    },
    /// More entries wait than the queue may hold.
    #[error("the journal's disk does not keep up: {waiting} entries wait; retry, or give the journal a faster disk")]
    Overloaded {
        /// Entries in the queue.
        waiting: usize,
    },
    /// The journal was closed by its own process.
    #[error("the journal is closed")]
    Closed,
    /// A write or sync failed earlier; nothing is taken any more.
    #[error(
        "the journal stopped taking entries after a failure: {why}; look at its disk (space, health), then restart this part"
    )]
    Failed {
        /// The first failure.
        why: Arc<str>,
    },
    /// Configuration: another process writes here.
    #[error("{} is in use by another process; stop that process, or give this part a journal folder of its own", dir.display())]
    Locked {
        /// The journal's folder.
        dir: PathBuf,
    },
    /// Configuration: this journal has ended.
    #[error(
        "the journal in {} has ended, and nothing is written there any more: {successor} goes on from it; configure the folder, \
         origin and key of that one", dir.display()
    )]
    Ended {
        /// The journal's folder.
        dir: PathBuf,
        /// Verifier key of the journal that goes on.
        successor: String,
    },
    /// Configuration: another key's journal is in the folder; or its checkpoint was changed.
    #[error(
        "{}: {why}; another key's journal is here, or the file was changed. Where this part has a new key, `drieslot journal \
         succeed` begins its journal, in a new folder; otherwise keep this folder as evidence",
        path.display()
    )]
    OtherKey {
        /// The checkpoint.
        path: PathBuf,
        /// Which key did not sign it.
        why: String,
    },
    /// Configuration: the origin can't be a C2SP key name.
    #[error("journal origin {origin:?} is not usable: it must be non-empty, without spaces, control characters or '+'")]
    Origin {
        /// The refused origin.
        origin: String,
    },
    /// Configuration: the identity key can't be used.
    #[error("identity key {}: {why}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A verifier key string or raw public key is malformed.
    #[error("not a C2SP Ed25519 verifier key: {why}")]
    VerifierKey {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A checkpoint that isn't well-formed, or isn't signed by the expected key.
    #[error("checkpoint: {why}")]
    Checkpoint {
        /// What is wrong with it.
        why: String,
    },
    /// The cryptographic library refused; no entropy or no memory.
    #[error("the cryptographic library failed to {what}")]
    Crypto {
        /// What was tried.
        what: &'static str,
    },
    /// A fault of this library: one of its threads ended where it must not.
    #[error("a thread of the journal ended unexpectedly; please report this")]
    Bug,
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// Another process, which serves a journal, could not be asked.
    #[error("cannot fetch {}: {why}", place.display())]
    Fetch {
        /// What was asked for.
        place: PathBuf,
        /// What happened.
        why: String,
    },
    /// The files are damaged or were tampered with.
    #[error(
        "{}: {why}; keep this folder as evidence, and begin a new journal with `drieslot journal succeed --why damaged`",
        path.display()
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// Fewer entries on disk than were signed for.
    #[error(
        "entries are missing: checkpoint or tiles speak of {signed} entries, the disk holds {found}; the files were rolled back or lost; keep this folder as evidence, and begin a new journal with `drieslot journal succeed --why damaged`"
    )]
    Lost {
        /// Entries that the signed checkpoint names, or of which tiles exist.
        signed: u64,
        /// Entries found.
        found: u64,
    },
}

impl JournalError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source: Arc::new(source) }
    }

    pub(crate) fn corrupt(path: &Path, why: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), why: why.into() }
    }
}
