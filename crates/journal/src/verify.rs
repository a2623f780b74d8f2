//! The check of a whole journal: each leaf, each tile, the root, and the signature.

use std::path::{Path, PathBuf};

use crate::hash::{self, Hash};
use crate::reader::Reader;
use crate::recovery::later_tiles;
use crate::source::{self, Source};
use crate::tile::{self, Edge, HashTile};
use crate::{Checkpoint, Cosigned, JournalError, Pruned, Verifier, pruning};

/// A journal that holds what it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint, signed by the given key.
    pub checkpoint: Checkpoint,
    /// The signed note that it stands in.
    pub note: String,
    /// Entries after the checkpoint: whole, but not signed for yet.
    pub unsigned_entries: u64,
    /// Bytes of a last write that isn't whole: in progress, or torn by a crash.
    pub torn_bytes: u64,
    /// Hash tiles and entry bundles read.
    pub tiles: u64,
    /// What was pruned, as an entry says.
    pub pruned: Option<Pruned>,
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
    /// Entries are gone, and the journal does not say that they were pruned.
    #[error(
        "the entries before {} are gone, and entry {} does not say that they were pruned: somebody took them away",
        pruned.first, pruned.entry
    )]
    NotPruned {
        /// What the folder says.
        pruned: Pruned,
    },
    /// What was seen before lies among what was pruned.
    #[error(
        "the {seen} entries that were seen before, or cosigned, cannot be compared: those before {first} were pruned; compare with a mirror, \
         then begin with a new file"
    )]
    PrunedSince {
        /// Entries that the earlier checkpoint names.
        seen: u64,
        /// The first entry that is there.
        first: u64,
    },
    /// The checkpoint names less than one that was seen before.
    #[error("the checkpoint names {now} entries, and one that was seen before {seen}: the journal was rolled back")]
    RolledBack {
        /// Entries that the earlier one names.
        seen: u64,
        /// Entries that this one names.
        now: u64,
    },
    /// The checkpoint names less than witnesses cosigned.
    #[error("the checkpoint names {now} entries, and witnesses cosigned {cosigned}: the journal was rolled back")]
    BehindCosigned {
        /// Entries that were cosigned.
        cosigned: u64,
        /// Entries that the checkpoint names.
        now: u64,
    },
    /// What was cosigned isn't the beginning of what is signed.
    #[error("the first {cosigned} entries are not those that witnesses cosigned: the same key signed a second history")]
    NotCosigned {
        /// Entries that were cosigned.
        cosigned: u64,
    },
    /// What was signed before isn't the beginning of what is signed now.
    #[error(
        "the first {seen} entries are not those of the checkpoint that was seen before: the same key signed a second history"
    )]
    Forked {
        /// Entries that the earlier checkpoint names.
        seen: u64,
    },
}

/// What is trusted, and what must therefore hold.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The key that signs the journal.
    pub verifier: &'a Verifier,
    /// A checkpoint that was seen before: what it names must still be there, unchanged.
    pub seen: Option<&'a Checkpoint>,
    /// What a quorum of witnesses cosigned, read before the journal's checkpoint: the same must hold of it.
    pub cosigned: Option<&'a Cosigned>,
}

/// Verifies all of the journal in a folder against the key that is trusted to sign it. The
/// journal may be live; entries that arrive meanwhile are left out.
///
/// # Errors
/// The first thing found wrong, with its place.
pub fn verify(dir: &Path, verifier: &Verifier) -> Result<Report, VerifyError> {
    verify_folder(dir, Trust { verifier, seen: None, cosigned: None })
}

/// As [`verify`], with all that is trusted.
///
/// # Errors
/// As [`verify`].
pub fn verify_folder(dir: &Path, trust: Trust<'_>) -> Result<Report, VerifyError> {
    let reader = Reader::open(dir)?;
    let checkpoint = trust.checkpoint(reader.note())?;
    if reader.size() < checkpoint.size {
        return Err(VerifyError::Lost { signed: checkpoint.size, found: reader.size() });
    }
    let tail = (reader.base(), reader.tail());
    let mut check = Check::new(dir, tail, &checkpoint, trust)?;
    check.signed_tree()?;
    let (tiles, pruned) = (check.tiles, check.pruned);
    // A mirror stores tiles before the checkpoint that names them.
    if !reader.is_mirror()
        && let Some(signed) = later_tiles(dir, reader.size())?
    {
        // A live writer went on meanwhile, or what the tiles speak of is gone.
        let found = Reader::open(dir)?.size();
        if found < signed {
            return Err(VerifyError::Lost { signed, found });
        }
    }
    let (unsigned_entries, note) = (reader.size() - checkpoint.size, reader.note().to_owned());
    Ok(Report { unsigned_entries, torn_bytes: reader.torn_bytes(), tiles, pruned, checkpoint, note })
}

/// Verifies what is served of a journal: all that the signed note names.
///
/// # Errors
/// As [`verify`], and [`JournalError::Fetch`].
pub fn verify_served(source: &(impl Source + ?Sized), note: &str, trust: Trust<'_>) -> Result<Report, VerifyError> {
    let checkpoint = trust.checkpoint(note)?;
    let tail: (u64, &[_]) = (checkpoint.size, &[]);
    let mut check = Check::new(source, tail, &checkpoint, trust)?;
    check.signed_tree()?;
    let (tiles, pruned) = (check.tiles, check.pruned);
    Ok(Report { unsigned_entries: 0, torn_bytes: 0, tiles, pruned, checkpoint, note: note.to_owned() })
}

impl Trust<'_> {
    fn checkpoint(&self, note: &str) -> Result<Checkpoint, VerifyError> {
        let checkpoint = Checkpoint::open(note, self.verifier)?;
        let now = checkpoint.size;
        if let Some(seen) = self.seen.map(|seen| seen.size).filter(|seen| *seen > now) {
            return Err(VerifyError::RolledBack { seen, now });
        }
        match self.cosigned.map(|cosigned| cosigned.checkpoint().size).filter(|cosigned| *cosigned > now) {
            Some(cosigned) => Err(VerifyError::BehindCosigned { cosigned, now }),
            None => Ok(checkpoint),
        }
    }
}

struct Check<'a, S: ?Sized> {
    source: &'a S,
    /// Entries that may be in bundles too: index of the first, and they.
    tail: (u64, &'a [Vec<u8>]),
    checkpoint: &'a Checkpoint,
    trust: Trust<'a>,
    edge: Edge,
    tiles: u64,
    pruned: Option<Pruned>,
    /// Whether the entry was met that says so.
    said: bool,
}

impl<'a, S: Source + ?Sized> Check<'a, S> {
    fn new(
        source: &'a S,
        tail: (u64, &'a [Vec<u8>]),
        checkpoint: &'a Checkpoint,
        trust: Trust<'a>,
    ) -> Result<Self, VerifyError> {
        let pruned = pruning::read(source)?;
        let (edge, tiles) = (Edge::default(), 0);
        if let Some(pruned) = pruned.filter(|pruned| pruned.entry >= checkpoint.size) {
            return Err(VerifyError::NotPruned { pruned });
        }
        let first = pruned.map_or(0, |pruned| pruned.first);
        let known = [trust.seen, trust.cosigned.map(Cosigned::checkpoint)].into_iter().flatten();
        match known.map(|known| known.size).find(|size| *size < first && !size.is_multiple_of(tile::WIDTH)) {
            Some(seen) => Err(VerifyError::PrunedSince { seen, first }),
            None => Ok(Self { source, tail, checkpoint, trust, edge, tiles, pruned, said: false }),
        }
    }

    /// Of what was pruned there are the hashes of 256 entries each, and all above them.
    fn pruned_tree(&mut self, first: u64) -> Result<(), VerifyError> {
        let (count, size) = (first / tile::WIDTH, self.checkpoint.size);
        for index in 0..count.div_ceil(tile::WIDTH) {
            let hashes = source::hashes(self.source, 1, index, source::width_in(size, 1, index))?;
            self.tiles += 1;
            let wanted = usize::try_from(count - index * tile::WIDTH).unwrap_or(usize::MAX);
            for hash in hashes.into_iter().take(wanted) {
                for tile in self.edge.push_at(1, hash).into_iter().filter(|tile| tile.level > 1) {
                    self.compare(&tile)?;
                }
                self.roots()?;
            }
        }
        Ok(())
    }

    fn signed_tree(&mut self) -> Result<(), VerifyError> {
        let top = self.checkpoint.size.max(self.tail.0);
        self.roots()?;
        let first = self.pruned.map_or(0, |pruned| pruned.first);
        self.pruned_tree(first)?;
        for bundle in first / tile::WIDTH..top.div_ceil(tile::WIDTH) {
            let width = tile::WIDTH.min(top - bundle * tile::WIDTH);
            self.bundle(bundle, width)?;
        }
        match self.pruned.filter(|_| !self.said) {
            Some(pruned) => Err(VerifyError::NotPruned { pruned }),
            None => Ok(()),
        }
    }

    fn bundle(&mut self, index: u64, width: u64) -> Result<(), VerifyError> {
        let (path, entries) = source::bundle(self.source, index, width)?;
        let hashes = source::hashes(self.source, 0, index, width)?;
        self.tiles += 2;
        for (position, (entry, hash)) in entries.iter().zip(&hashes).enumerate() {
            let at = index * tile::WIDTH + position as u64;
            let leaf = hash::leaf(entry);
            if leaf != *hash {
                let tile = self.source.place(&tile::hash_path(0, index, width));
                return Err(VerifyError::Entry { index: at, bundle: path, tile });
            }
            let tail = at.checked_sub(self.tail.0).and_then(|at| usize::try_from(at).ok());
            if tail.and_then(|at| self.tail.1.get(at)).is_some_and(|same| same != entry) {
                return Err(VerifyError::Tail { index: at, bundle: path });
            }
            self.said |= self.pruned.is_some_and(|pruned| pruned.entry == at && pruned.is_said_by(entry));
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
        }
        self.roots()
    }

    fn compare(&mut self, computed: &HashTile) -> Result<(), VerifyError> {
        let stored = source::hashes(self.source, computed.level, computed.index, computed.hashes.len() as u64)?;
        self.tiles += 1;
        let wrong = computed.hashes.iter().zip(&stored).position(|(computed, stored)| computed != stored);
        let Some(position) = wrong else { return Ok(()) };
        let span = 1_u64.checked_shl(8 * u32::from(computed.level)).unwrap_or(0);
        let first = (computed.index * tile::WIDTH + position as u64) * span;
        let tile = self.source.place(&computed.path());
        Err(VerifyError::Tile { tile, position, first, last: first + span.saturating_sub(1) })
    }

    /// The roots that are known for as many entries as were read.
    fn roots(&self) -> Result<(), VerifyError> {
        let size = self.edge.size();
        if size == self.checkpoint.size && self.edge.root() != self.checkpoint.root {
            return Err(VerifyError::Root { size });
        }
        let other = |known: &Checkpoint| known.size == size && self.edge.root() != known.root;
        if self.trust.seen.is_some_and(other) {
            return Err(VerifyError::Forked { seen: size });
        }
        match self.trust.cosigned.map(Cosigned::checkpoint).is_some_and(other) {
            true => Err(VerifyError::NotCosigned { cosigned: size }),
            false => Ok(()),
        }
    }
}
