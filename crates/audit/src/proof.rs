//! Entries that prove themselves: [C2SP tlog-proof](https://c2sp.org/tlog-proof), which needs no more of the journal than its key.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_journal::{Checkpoint, JournalError, Reader, hash, proof};

use crate::AuditError;

/// An entry and its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Its exact bytes.
    pub entry: Vec<u8>,
    /// A tlog-proof, with the journal's checkpoint in it.
    pub proof: String,
}

/// Proves the entry at `index` by the reader's checkpoint, which the caller has opened as `checkpoint`.
///
/// # Errors
/// [`AuditError::Journal`]: `NoSuchEntry` where the checkpoint does not cover it yet, `Corrupt` where the entry is not the one
/// that was signed for.
pub fn prove(reader: &Reader, checkpoint: &Checkpoint, index: u64) -> Result<Proven, AuditError> {
    let path = reader.inclusion_proof(index, checkpoint.size)?;
    let Some(found) = reader.entries(index, index + 1)?.next() else {
        return Err(JournalError::NoSuchEntry { index, size: reader.size() }.into());
    };
    let (_, entry) = found?;
    if !proof::includes(&hash::leaf(&entry), index, checkpoint.size, &path, &checkpoint.root) {
        let why = "it is not the entry that was signed for: it or the tiles over it were changed".to_owned();
        return Err(AuditError::Entry { origin: checkpoint.origin.clone(), index, why });
    }
    let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
    for hash in path {
        let _ = writeln!(text, "{}", STANDARD.encode(hash));
    }
    let _ = write!(text, "\n{}", reader.note());
    Ok(Proven { entry, proof: text })
}
