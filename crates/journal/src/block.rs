//! Many entries at a time, as they lie in their bundle: for readers who look at all of them.

use crate::{JournalError, Reader, files, source, tile};

/// The entries of one bundle, or of the part of it that there is.
#[derive(Debug)]
pub struct Block {
    first: u64,
    /// Each entry after its length, as in a bundle.
    bytes: Vec<u8>,
    count: usize,
}

impl Block {
    /// Entries in a full one.
    pub const ENTRIES: u64 = tile::WIDTH;

    /// The entries with their indexes.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = self.bytes.as_slice();
        (self.first..).take(self.count).map_while(move |index| {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some((index, entry))
        })
    }

    fn of(first: u64, entries: &[Vec<u8>]) -> Self {
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        Self { first, bytes, count: entries.len() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Reader {
    /// The entries from `256 · index` on, up to 256.
    ///
    /// # Errors
    /// [`JournalError::NoSuchEntry`] where there are none, [`JournalError::Pruned`]; errors of reading the bundle.
    pub fn block(&self, index: u64) -> Result<Block, JournalError> {
        let gone = || JournalError::NoSuchEntry { index: index.saturating_mul(tile::WIDTH), size: self.size() };
        let first = index.checked_mul(tile::WIDTH).filter(|first| *first < self.size()).ok_or_else(gone)?;
        self.not_pruned(first)?;
        if first < self.base() {
            return self.block_on_disk(index, first);
        }
        let from = usize::try_from(first - self.base()).map_err(|_| gone())?;
        let until = from.saturating_add(usize::try_from(tile::WIDTH).unwrap_or(usize::MAX)).min(self.tail().len());
        Ok(Block::of(first, self.tail().get(from..until).unwrap_or_default()))
    }

    /// A full bundle as it is; else what a mirror has of it.
    fn block_on_disk(&self, index: u64, first: u64) -> Result<Block, JournalError> {
        let width = tile::WIDTH.min(self.base() - first);
        let full = self.dir.as_path().join(tile::entries_path(index, tile::WIDTH));
        if let Some(bytes) = files::read_if_there(&full)? {
            let whole = tile::split_entries(&bytes).is_some_and(|entries| entries.len() as u64 == tile::WIDTH);
            if !whole {
                return Err(JournalError::corrupt(&full, "the entry bundle does not divide into 256 entries"));
            }
            return Ok(Block { first, bytes, count: usize::try_from(width).unwrap_or(usize::MAX) });
        }
        let (_, entries) = source::bundle(self.dir.as_path(), index, width)?;
        Ok(Block::of(first, &entries))
    }
}
