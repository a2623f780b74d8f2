//! Reading a journal, live or stopped, without the writer's lock. Nothing is verified here beyond
//! the shape of the files: see [`crate::verify()`].

use std::path::{Path, PathBuf};

use crate::hash::{self, Hash};
use crate::recovery::read_edge;
use crate::source::{self, Tree};
use crate::wal::{self, Scan};
use crate::writer::checkpoint_path;
use crate::{JournalError, Pruned, files, proof, pruning, tile};

/// A view of a journal as it was when it was opened.
#[derive(Debug)]
pub struct Reader {
    pub(crate) dir: PathBuf,
    origin: String,
    /// The signed note, as it was before the write-ahead file was read.
    note: String,
    checkpointed: u64,
    /// Index of the first entry in `tail`.
    base: u64,
    tail: Vec<Vec<u8>>,
    torn_bytes: u64,
    mirror: bool,
    pruned: Option<Pruned>,
}

impl Reader {
    /// Opens the journal in a folder.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] where checkpoint or write-ahead file are missing or malformed,
    /// [`JournalError::Io`].
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        // Order: the checkpoint first. What it covers was durable before it was written, so the
        // write-ahead file and tiles read later hold it, whatever the writer does meanwhile.
        let path = checkpoint_path(dir);
        let missing = |path: &Path| JournalError::corrupt(path, "the file is missing");
        let note = files::read_if_there(&path)?.ok_or_else(|| missing(&path))?;
        let note = String::from_utf8(note).map_err(|_| JournalError::corrupt(&path, "the checkpoint is not UTF-8"))?;
        let mut lines = note.lines();
        let (Some(origin), Some(Ok(checkpointed))) = (lines.next(), lines.next().map(str::parse)) else {
            return Err(JournalError::corrupt(&path, "the checkpoint has no origin and size"));
        };
        let path = wal::path(dir);
        let mirror = files::exists(&crate::mirror::mark(dir))?;
        let Scan { base, payload, torn_bytes, .. } = match files::read_if_there(&path)? {
            None if mirror => Scan { base: checkpointed, payload: Vec::new(), count: 0, torn_bytes: 0 },
            None => return Err(missing(&path)),
            Some(content) => wal::scan(&content, origin).map_err(|why| JournalError::corrupt(&path, why))?,
        };
        let tail = tile::split_entries(&payload).unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect();
        let origin = origin.to_owned();
        let pruned = pruning::read(dir)?;
        Ok(Self { pruned, dir: dir.to_owned(), origin, note, checkpointed, base, tail, torn_bytes, mirror })
    }

    /// Number of entries, with those after the checkpoint.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.base + self.tail.len() as u64
    }

    /// The first entry that is there.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.pruned.map_or(0, |pruned| pruned.first)
    }

    /// What the folder says was pruned; whether the journal says so too, [`crate::verify()`] finds out.
    #[must_use]
    pub fn pruned(&self) -> Option<Pruned> {
        self.pruned
    }

    /// Number of entries that the checkpoint names. Its signature isn't checked here.
    #[must_use]
    pub fn checkpointed(&self) -> u64 {
        self.checkpointed
    }

    /// The origin that the checkpoint names.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The checkpoint as a signed note; open it with [`crate::Checkpoint::open`].
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn tail(&self) -> &[Vec<u8>] {
        &self.tail
    }

    /// Whether this is a mirror's folder: it holds what is signed, and no write-ahead file.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.mirror
    }

    pub(crate) fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// The entries `from..to`, with their indexes.
    ///
    /// # Errors
    /// [`JournalError::NoSuchEntry`] for an end beyond [`Reader::size`], [`JournalError::Pruned`] for a begin before
    /// [`Reader::first`]. The iterator ends after its first error.
    pub fn entries(&self, from: u64, to: u64) -> Result<Entries<'_>, JournalError> {
        if to > self.size() {
            return Err(JournalError::NoSuchEntry { index: to - 1, size: self.size() });
        }
        if from < to {
            self.not_pruned(from)?;
        }
        Ok(Entries { reader: self, next: from, end: to, bundle: None })
    }

    /// The path from an entry to the root of the first `size` entries (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    /// [`JournalError::NoSuchEntry`] for an index or size that the checkpoint doesn't cover;
    /// errors of reading tiles.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, JournalError> {
        self.covered(size)?;
        proof::inclusion(&self.tree(), index, size)
    }

    /// That the first `old` entries are a prefix of the first `new` (RFC 6962 section 2.1.2).
    ///
    /// # Errors
    /// As [`Reader::inclusion_proof`].
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, JournalError> {
        self.covered(new)?;
        proof::consistency(&self.tree(), old, new)
    }

    /// The first entry.
    ///
    /// # Errors
    /// [`JournalError::NoSuchEntry`] of an empty journal; errors of reading its bundle.
    pub fn first_entry(&self) -> Result<Vec<u8>, JournalError> {
        let none = || Err(JournalError::NoSuchEntry { index: 0, size: self.size() });
        self.entries(0, self.size().min(1))?.next().map_or_else(none, |found| found.map(|(_, entry)| entry))
    }

    /// The Merkle tree hash of the first `size` entries, also of those that nothing is signed for yet.
    ///
    /// # Errors
    /// [`JournalError::NoSuchEntry`] beyond [`Reader::size`]; errors of reading tiles.
    pub fn root_of(&self, size: u64) -> Result<Hash, JournalError> {
        let in_tiles = self.base.max(self.checkpointed);
        if size <= in_tiles {
            return proof::root(&Tree { source: self.dir.as_path(), size: in_tiles }, size);
        }
        let behind = usize::try_from(size - self.base).unwrap_or(usize::MAX);
        let tail = self.tail.get(..behind).ok_or(JournalError::NoSuchEntry { index: size - 1, size: self.size() })?;
        let mut edge = read_edge(&self.dir, self.base)?;
        for entry in tail {
            edge.push(hash::leaf(entry));
        }
        Ok(edge.root())
    }

    pub(crate) fn not_pruned(&self, index: u64) -> Result<(), JournalError> {
        match self.first() {
            first if index < first => Err(JournalError::Pruned { place: self.dir.clone(), first }),
            _ => Ok(()),
        }
    }

    fn tree(&self) -> Tree<'_, Path> {
        Tree { source: self.dir.as_path(), size: self.checkpointed }
    }

    fn covered(&self, size: u64) -> Result<(), JournalError> {
        if size > self.checkpointed {
            return Err(JournalError::NoSuchEntry { index: size - 1, size: self.checkpointed });
        }
        Ok(())
    }
}

/// The entries of a range, in order.
#[derive(Debug)]
pub struct Entries<'a> {
    reader: &'a Reader,
    next: u64,
    end: u64,
    /// The bundle read last, and its index.
    bundle: Option<(u64, Vec<Vec<u8>>)>,
}

impl Entries<'_> {
    fn read(&mut self, index: u64) -> Result<Vec<u8>, JournalError> {
        let gone = JournalError::NoSuchEntry { index, size: self.reader.size() };
        if let Some(at) = index.checked_sub(self.reader.base) {
            let entry = usize::try_from(at).ok().and_then(|at| self.reader.tail.get(at));
            return entry.cloned().ok_or(gone);
        }
        let wanted = index / tile::WIDTH;
        if self.bundle.as_ref().is_none_or(|(read, _)| *read != wanted) {
            // Less than a full one is read only of a mirror, at its edge.
            let width = tile::WIDTH.min(self.reader.base - wanted * tile::WIDTH);
            self.bundle = Some((wanted, source::bundle(self.reader.dir.as_path(), wanted, width)?.1));
        }
        let at = usize::try_from(index % tile::WIDTH).unwrap_or(usize::MAX);
        self.bundle.as_mut().and_then(|(_, entries)| entries.get_mut(at)).map(std::mem::take).ok_or(gone)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Vec<u8>), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        let entry = self.read(index);
        self.next = if entry.is_ok() { index + 1 } else { self.end };
        Some(entry.map(|entry| (index, entry)))
    }
}
