//! A place in a journal that somebody follows: what comes after it is given out only when it is known to be what was signed.
//!
//! Refuses: a checkpoint of less than was given out (a rollback), one that what was given out is not the beginning of (a
//! second history), and entries that are not those under the checkpoint. What was pruned is passed over.

use crate::hash::{self, Hash, Peaks};
use crate::proof::{self, Nodes};
use crate::source::{Relation, Tree, relation};
use crate::{Checkpoint, JournalError, Reader};

/// Why nothing more is given out.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The files cannot be read; it may pass.
    #[error(transparent)]
    Journal(JournalError),
    /// A checkpoint of less than there was.
    #[error("the journal signed {had} entries before and now {now}: it was rolled back")]
    RolledBack {
        /// Entries that were given out.
        had: u64,
        /// Entries that it now names.
        now: u64,
    },
    /// Two histories under one key.
    #[error(
        "the checkpoint of {now} entries is not of the history whose first {had} entries were seen: the journal's key signed \
         two histories"
    )]
    Forked {
        /// Entries that were given out.
        had: u64,
        /// Entries that the other history names.
        now: u64,
    },
    /// Signed, and not there, or there otherwise.
    #[error("the journal signed {signed} entries, but those from {from} on are not what was signed: {why}")]
    Changed {
        /// The first that was not given out.
        from: u64,
        /// Entries that the checkpoint names.
        signed: u64,
        /// What is wrong.
        why: String,
    },
}

/// How far a journal was followed: as many entries, under this root.
#[derive(Debug, Clone, Default)]
pub struct Followed {
    peaks: Peaks,
}

impl Followed {
    /// What [`Followed::hashes`] gave; `None` where these are not as many as the size asks for.
    #[must_use]
    pub fn restore(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        Peaks::restore(size, hashes).map(|peaks| Self { peaks })
    }

    /// Entries that were given out.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.peaks.size()
    }

    /// Their tree's perfect subtrees, largest first: with the size all that is needed to go on later.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        self.peaks.hashes()
    }

    /// The next entries under the checkpoint, at most `most`; the place moves behind them. The checkpoint is the reader's,
    /// opened with the key that is trusted.
    ///
    /// # Errors
    /// [`FollowError`]; the place stays.
    pub fn next(
        &mut self,
        reader: &Reader,
        checkpoint: &Checkpoint,
        most: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, FollowError> {
        let (had, now) = (self.size(), checkpoint.size);
        if now < had {
            return Err(FollowError::RolledBack { had, now });
        }
        match self.relation(reader, checkpoint)? {
            Relation::Beginning => {}
            Relation::Other => return Err(FollowError::Forked { had, now }),
            Relation::Unsigned => return Err(self.changed(checkpoint, "the tiles are not those of the signed tree")),
        }
        let start = self.start(reader, checkpoint)?;
        let had = start.size();
        let to = now.min(had.saturating_add(most));
        let read = reader.entries(had, to).and_then(Iterator::collect);
        let entries: Vec<(u64, Vec<u8>)> = read.map_err(|error| self.fault(checkpoint, error))?;
        let mut after = start;
        entries.iter().for_each(|(_, entry)| after.peaks.push(hash::leaf(entry)));
        match after.relation(reader, checkpoint)? {
            Relation::Beginning => {}
            Relation::Other | Relation::Unsigned => {
                return Err(self.changed(checkpoint, "the entries are not those of the signed tree"));
            }
        }
        *self = after;
        Ok(entries)
    }

    /// This place, or the first entry that is there where those between were pruned. An entry under the checkpoint must say so.
    fn start(&self, reader: &Reader, checkpoint: &Checkpoint) -> Result<Self, FollowError> {
        let Some(pruned) = reader.pruned().filter(|pruned| self.size() < pruned.first) else { return Ok(self.clone()) };
        let fault = |error| self.fault(checkpoint, error);
        let path = reader.inclusion_proof(pruned.entry, checkpoint.size).map_err(fault)?;
        let said = reader.entries(pruned.entry, pruned.entry + 1).map_err(fault)?.next().transpose().map_err(fault)?;
        let signed = |entry: &[u8]| {
            let leaf = hash::leaf(entry);
            proof::includes(&leaf, pruned.entry, checkpoint.size, &path, &checkpoint.root) && pruned.is_said_by(entry)
        };
        if !said.is_some_and(|(_, entry)| signed(&entry)) {
            return Err(self.changed(checkpoint, "they are gone, and no signed entry says that they were pruned"));
        }
        let tree = Tree { source: reader.dir.as_path(), size: checkpoint.size };
        let (mut hashes, mut before) = (Vec::new(), 0_u64);
        for level in (0_u8..64).rev().filter(|level| pruned.first >> level & 1 == 1) {
            hashes.push(tree.node(level, before >> level).map_err(fault)?);
            before += 1 << level;
        }
        let start = Self::restore(pruned.first, hashes).unwrap_or_default();
        if start.relation(reader, checkpoint)? != Relation::Beginning {
            return Err(self.changed(checkpoint, "the tiles are not those of the signed tree"));
        }
        tracing::warn!(from = self.size(), first = pruned.first, "entries were pruned before they were taken");
        Ok(start)
    }

    fn relation(&self, reader: &Reader, checkpoint: &Checkpoint) -> Result<Relation, FollowError> {
        relation(reader.dir.as_path(), self.size(), &self.peaks.root(), checkpoint)
            .map_err(|error| self.fault(checkpoint, error))
    }

    fn changed(&self, checkpoint: &Checkpoint, why: &str) -> FollowError {
        FollowError::Changed { from: self.size(), signed: checkpoint.size, why: why.to_owned() }
    }

    fn fault(&self, checkpoint: &Checkpoint, error: JournalError) -> FollowError {
        if let JournalError::Corrupt { path, why } = &error {
            return self.changed(checkpoint, &format!("{}: {why}", path.display()));
        }
        if let JournalError::NoSuchEntry { .. } = &error {
            return self.changed(checkpoint, "there are fewer entries");
        }
        FollowError::Journal(error)
    }
}
