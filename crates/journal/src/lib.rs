//! The tamper-evident journal that each acting part keeps on its own disk.
//!
//! Owns: entries, C2SP tlog-tiles on disk, checkpoints, their signing key, proofs, and the check
//! of a whole journal. The format is normative in `docs/journal.md`.
//!
//! Refuses: clocks (times are given by the caller), networks, any opinion on what an entry says (but that entries were pruned),
//! and going on after a failed write: a journal that failed once takes no entry again.

mod block;
mod cosignature;
mod cosigned;
pub mod entry;
mod error;
#[cfg(test)]
mod faults;
mod files;
mod followed;
pub mod hash;
mod journal;
mod key;
mod mirror;
mod note;
pub mod proof;
mod pruning;
mod published;
mod reader;
mod recovery;
mod serve;
mod shelf;
mod source;
mod state;
mod succession;
mod tile;
mod verify;
mod wal;
mod writer;

pub use block::Block;
pub use cosignature::Cosigner;
pub use cosigned::{Cosigned, Quorum};
pub use error::JournalError;
pub use followed::{FollowError, Followed};
pub use journal::{Durability, Durable, Journal, JournalConfig, Notify, Recovered};
pub use key::{IdentityKey, Verifier};
pub use mirror::{Mirror, MirrorError, Mirrored};
pub use note::{Checkpoint, MAX_NOTE_BYTES, Note};
pub use pruning::{Pruned, prune};
pub use published::{COSIGNED, Published};
pub use reader::{Entries, Reader};
pub use serve::{Kind, Served, served};
pub use source::{MAX_FILE_BYTES, Source};
pub use succession::{Stopped, begin, successor};
pub use verify::{Report, Trust, VerifyError, verify, verify_folder, verify_served};

/// Longest entry, in bytes: its length is written as a `u16`.
pub const MAX_ENTRY_BYTES: usize = 65_535;
