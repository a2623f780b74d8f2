//! The check of a whole journal: each leaf, each tile, the root, and the signature.

use std::path::{Path, PathBuf};

use crate::hash::{self, Hash};
use crate::reader::Reader;
use crate::recovery::later_tiles;
use crate::tile::{self, Edge, HashTile};
use crate::{Checkpoint, JournalError, Verifier};

/// A journal that holds what it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint, signed by the given key.
    pub checkpoint: Checkpoint,
    /// Entries after the checkpoint: whole, but not signed for yet.
    pub unsigned_entries: u64,
    /// Bytes of a last write that isn't whole: in progress, or torn by a crash.
    pub torn_bytes: u64,
    /// Hash tiles and entry bundles read.
    pub tiles: u64,
}

/// What is wrong with a journal, and where.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file is missing, unreadable or malformed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The checkpoint or the tiles speak of more entries than there are.
    #[error(
        "checkpoint or tiles speak of {signed} entries, the journal holds {found}: entries were lost or rolled back"
    )]
    Lost {
        /// Entries spoken of.
        signed: u64,
        /// Entries on disk.
        found: u64,
    },
    /// An entry isn't the one that was hashed.
    #[error("entry {index} in {} does not match its hash in {}: one of the two was changed", bundle.display(), tile.display())]
    Entry {
        /// Index of the entry.
        index: u64,
        /// File of the entry.
        bundle: PathBuf,
        /// File of the hash.
        tile: PathBuf,
    },
    /// A hash above the leaves isn't that of the tiles below it.
    #[error("hash {position} in {} is not the hash of entries {first} to {last}: one of the two was changed", tile.display())]
    Tile {
        /// The tile.
        tile: PathBuf,
        /// Which of its hashes.
        position: usize,
        /// First entry under that hash.
        first: u64,
        /// Last entry under that hash.
        last: u64,
    },
    /// The same entry reads differently in the write-ahead file.
    #[error("entry {index} in {} differs from the one in the write-ahead file", bundle.display())]
    Tail {
        /// Index of the entry.
        index: u64,
        /// Where the other is.
        bundle: PathBuf,
    },
    /// Entries and tiles agree with each other, but not with what was signed.
    #[error(
        "the first {size} entries do not have the signed root: entries and tiles were changed together, or the checkpoint is of another journal"
    )]
    Root {
        /// Entries that the checkpoint names.
        size: u64,
    },
}

/// Verifies all of the journal in a folder against the key that is trusted to sign it. The
/// journal may be live; entries that arrive meanwhile are left out.
///
/// # Errors
/// The first thing found wrong, with its place.
pub fn verify(dir: &Path, verifier: &Verifier) -> Result<Report, VerifyError> {
    let reader = Reader::open(dir)?;
    let checkpoint = Checkpoint::open(reader.note(), verifier)?;
    if reader.size() < checkpoint.size {
        return Err(VerifyError::Lost { signed: checkpoint.size, found: reader.size() });
    }
    let mut check = Check { reader: &reader, checkpoint: &checkpoint, edge: Edge::default(), tiles: 0 };
    check.signed_tree()?;
    let tiles = check.tiles;
    if let Some(signed) = later_tiles(dir, reader.size())? {
        // A live writer went on meanwhile, or what the tiles speak of is gone.
        let found = Reader::open(dir)?.size();
        if found < signed {
            return Err(VerifyError::Lost { signed, found });
        }
    }
    Ok(Report { unsigned_entries: reader.size() - checkpoint.size, torn_bytes: reader.torn_bytes(), tiles, checkpoint })
}

struct Check<'a> {
    reader: &'a Reader,
    checkpoint: &'a Checkpoint,
    edge: Edge,
    tiles: u64,
}

impl Check<'_> {
    fn signed_tree(&mut self) -> Result<(), VerifyError> {
        let top = self.checkpoint.size.max(self.reader.base());
        if self.checkpoint.size == 0 {
            self.root()?;
        }
        for bundle in 0..top.div_ceil(tile::WIDTH) {
            let width = tile::WIDTH.min(top - bundle * tile::WIDTH);
            self.bundle(bundle, width)?;
        }
        Ok(())
    }

    fn bundle(&mut self, index: u64, width: u64) -> Result<(), VerifyError> {
        let (path, entries) = self.reader.bundle(index, width)?;
        let hashes = self.reader.hashes(0, index, width)?;
        self.tiles += 2;
        for (position, (entry, hash)) in entries.iter().zip(&hashes).enumerate() {
            let at = index * tile::WIDTH + position as u64;
            let leaf = hash::leaf(entry);
            if leaf != *hash {
                let tile = self.reader.dir().join(tile::hash_path(0, index, width));
                return Err(VerifyError::Entry { index: at, bundle: path, tile });
            }
            let tail = at.checked_sub(self.reader.base()).and_then(|at| usize::try_from(at).ok());
            if tail.and_then(|at| self.reader.tail().get(at)).is_some_and(|same| same != entry) {
                return Err(VerifyError::Tail { index: at, bundle: path });
            }
            self.leaf(leaf)?;
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: Hash) -> Result<(), VerifyError> {
        // Those of level 0 are built from hashes that were compared with their tile already.
        for tile in self.edge.push(leaf).into_iter().filter(|tile| tile.level > 0) {
            self.compare(&tile)?;
        }
        if self.edge.size() == self.checkpoint.size {
            for tile in self.edge.partial(0) {
                self.compare(&tile)?;
            }
            self.root()?;
        }
        Ok(())
    }

    fn compare(&mut self, computed: &HashTile) -> Result<(), VerifyError> {
        let stored = self.reader.hashes(computed.level, computed.index, computed.hashes.len() as u64)?;
        self.tiles += 1;
        let wrong = computed.hashes.iter().zip(&stored).position(|(computed, stored)| computed != stored);
        let Some(position) = wrong else { return Ok(()) };
        let span = 1_u64.checked_shl(8 * u32::from(computed.level)).unwrap_or(0);
        let first = (computed.index * tile::WIDTH + position as u64) * span;
        let tile = self.reader.dir().join(computed.path());
        Err(VerifyError::Tile { tile, position, first, last: first + span.saturating_sub(1) })
    }

    fn root(&self) -> Result<(), VerifyError> {
        if self.edge.root() == self.checkpoint.root {
            return Ok(());
        }
        Err(VerifyError::Root { size: self.checkpoint.size })
    }
}
