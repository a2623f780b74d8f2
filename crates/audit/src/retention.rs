//! How long entries are kept: which are old enough to be pruned, and the entry that says that they were.

use drieslot_journal::{Block, JournalError, Reader, entry};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::AuditError;

/// Of `prune`: which entries retention lets go.
#[derive(Clone, Debug, Serialize)]
pub struct Prune<'a> {
    /// Those before this one; a multiple of 256.
    pub before: u64,
    /// Whose decision it is.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
    /// Entries that are younger than so many days stay.
    pub keep_days: u32,
}

impl Prune<'_> {
    /// The bytes of the entry.
    ///
    /// # Errors
    /// As [`entry::encode`].
    pub fn entry(&self, time: &str) -> Result<Vec<u8>, JournalError> {
        entry::encode("prune", time, self)
    }
}

/// The first entry that is not older than a moment; all before it are. How many entries there are where none is.
///
/// # Errors
/// [`AuditError::Journal`], [`AuditError::Entry`].
pub fn first_since(reader: &Reader, since: Timestamp) -> Result<u64, AuditError> {
    for index in reader.first() / Block::ENTRIES..reader.size().div_ceil(Block::ENTRIES) {
        for (at, bytes) in reader.block(index)?.entries() {
            let refuse = |why: String| AuditError::Entry { origin: reader.origin().into(), index: at, why };
            let time = entry::decode_as::<IgnoredAny>(bytes).map_err(|error| refuse(error.to_string()))?.time;
            let time: Timestamp = time.parse().map_err(|error| refuse(format!("its time: {error}")))?;
            if time >= since {
                return Ok(at);
            }
        }
    }
    Ok(reader.size())
}
