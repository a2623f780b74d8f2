//! Where a journal's files are read from: its folder, a mirror, or whoever serves it.

use std::path::{Path, PathBuf};

use crate::hash::{self, Hash};
use crate::{Checkpoint, JournalError, files, proof, pruning, tile};

/// Most bytes of a file that a tlog-tiles client asks for: a full bundle of the longest entries.
pub const MAX_FILE_BYTES: usize = 256 * (crate::MAX_ENTRY_BYTES + 2);

/// The files of one journal, by their paths in the layout of tlog-tiles.
pub trait Source {
    /// A file; `None` where there is none.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Fetch`].
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, JournalError>;

    /// Where that file is, for messages.
    fn place(&self, path: &str) -> PathBuf;
}

/// A folder.
impl Source for Path {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, JournalError> {
        files::read_if_there(&self.join(path))
    }

    fn place(&self, path: &str) -> PathBuf {
        self.join(path)
    }
}

/// The partial file or, where that was replaced, the full one: its place, how many it must hold, and its content. `end`: the
/// entry after those that it is about.
fn either(
    source: &(impl Source + ?Sized),
    what: &str,
    path: impl Fn(u64) -> String,
    width: u64,
    end: u64,
) -> Result<Found, JournalError> {
    let (partial, full) = (&path(width), &path(tile::WIDTH));
    if let Some(content) = source.file(partial)? {
        return Ok(Found { place: source.place(partial), expected: width, content });
    }
    if partial != full
        && let Some(content) = source.file(full)?
    {
        return Ok(Found { place: source.place(full), expected: tile::WIDTH, content });
    }
    let place = source.place(partial);
    match pruning::first(source)? {
        first if end <= first => Err(JournalError::Pruned { place, first }),
        _ => Err(JournalError::corrupt(&place, format!("the {what} is missing"))),
    }
}

struct Found {
    place: PathBuf,
    expected: u64,
    content: Vec<u8>,
}

/// The first `width` entries of a bundle, and where they were read.
pub(crate) fn bundle(
    source: &(impl Source + ?Sized),
    index: u64,
    width: u64,
) -> Result<(PathBuf, Vec<Vec<u8>>), JournalError> {
    let path = |width| tile::entries_path(index, width);
    let Found { place, expected, content } = either(source, "entry bundle", path, width, (index + 1) * tile::WIDTH)?;
    let entries = tile::split_entries(&content)
        .ok_or_else(|| JournalError::corrupt(&place, "the entry bundle does not divide into entries"))?;
    if entries.len() as u64 != expected {
        let why = format!("the entry bundle holds {} entries, expected {expected}", entries.len());
        return Err(JournalError::corrupt(&place, why));
    }
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    let entries = entries.into_iter().take(width).map(<[u8]>::to_vec).collect();
    Ok((place, entries))
}

/// The first `width` hashes of a tile.
pub(crate) fn hashes(
    source: &(impl Source + ?Sized),
    level: u8,
    index: u64,
    width: u64,
) -> Result<Vec<Hash>, JournalError> {
    let path = |width| tile::hash_path(level, index, width);
    let end = (index + 1).saturating_mul(1_u64.checked_shl(8 * (u32::from(level) + 1)).unwrap_or(u64::MAX));
    let Found { place, expected, content } = either(source, "tile", path, width, end)?;
    let mut hashes = tile::split_hashes(&content)
        .filter(|hashes| hashes.len() as u64 == expected)
        .ok_or_else(|| JournalError::corrupt(&place, format!("{} bytes, expected {expected} hashes", content.len())))?;
    hashes.truncate(usize::try_from(width).unwrap_or(usize::MAX));
    Ok(hashes)
}

/// How many hashes a tile has in a tree of this size.
pub(crate) fn width_in(size: u64, level: u8, index: u64) -> u64 {
    let count = tile::hashes_at(level, size);
    if index == count / tile::WIDTH { count % tile::WIDTH } else { tile::WIDTH }
}

/// The tree of the first `size` entries, from its tiles.
#[derive(Debug)]
pub(crate) struct Tree<'a, S: ?Sized> {
    pub(crate) source: &'a S,
    pub(crate) size: u64,
}

impl<S: Source + ?Sized> proof::Nodes for Tree<'_, S> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, JournalError> {
        let (tile_level, height) = (level / 8, level % 8);
        let first = index << height;
        let (tile_index, offset) = (first / tile::WIDTH, first % tile::WIDTH);
        let hashes = hashes(self.source, tile_level, tile_index, width_in(self.size, tile_level, tile_index))?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        hashes
            .get(at..at.saturating_add(1 << height))
            .map(hash::root)
            .ok_or(JournalError::NoSuchEntry { index: first, size: self.size })
    }
}

/// How a tree that is known stands to a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// It is the beginning of the checkpoint's tree.
    Beginning,
    /// It is not: there are two histories.
    Other,
    /// The tiles that would tell are not those of the checkpoint's tree.
    Unsigned,
}

/// Finds out from a source's tiles how the first `size` entries, whose root is known, stand to a checkpoint of at least
/// as many.
///
/// # Errors
/// Those of reading tiles.
pub(crate) fn relation(
    source: &(impl Source + ?Sized),
    size: u64,
    root: &Hash,
    checkpoint: &Checkpoint,
) -> Result<Relation, JournalError> {
    if size == 0 {
        return Ok(Relation::Beginning);
    }
    if size >= checkpoint.size {
        return Ok(if (size, root) == (checkpoint.size, &checkpoint.root) {
            Relation::Beginning
        } else {
            Relation::Other
        });
    }
    let tree = Tree { source, size: checkpoint.size };
    let mut path = proof::consistency(&tree, size, checkpoint.size)?;
    if size.is_power_of_two() {
        // The proof leaves out what its reader knows; here it is read too, so as to tell a second history from bad tiles.
        path.insert(0, proof::Nodes::node(&tree, u8::try_from(size.ilog2()).unwrap_or(u8::MAX), 0)?);
    }
    Ok(match proof::climb(size, checkpoint.size, &path) {
        Some((_, new)) if new != checkpoint.root => Relation::Unsigned,
        Some((old, _)) if old != *root => Relation::Other,
        Some(_) => Relation::Beginning,
        None => Relation::Unsigned,
    })
}
