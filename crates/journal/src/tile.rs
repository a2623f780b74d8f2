//! C2SP tlog-tiles: where tiles lie, and the right edge of the tree from which they are cut.

use crate::hash::{self, Hash};

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const WIDTH: u64 = 256;
/// Levels of tiles that a `u64` size can need.
const LEVELS: u8 = 8;

/// `000`, or `x001/x234/067`.
fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn with_width(path: String, width: u64) -> String {
    if width == WIDTH { path } else { format!("{path}.p/{width}") }
}

/// Path of a hash tile below the journal's folder.
pub(crate) fn hash_path(level: u8, index: u64, width: u64) -> String {
    with_width(format!("tile/{level}/{}", index_path(index)), width)
}

/// Path of an entry bundle below the journal's folder.
pub(crate) fn entries_path(index: u64, width: u64) -> String {
    with_width(format!("tile/entries/{}", index_path(index)), width)
}

/// Number of hashes at a tile level of a tree: `⌊size / 256^level⌋`.
pub(crate) fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// Levels that a tree of this size has tiles on.
pub(crate) fn levels(size: u64) -> impl Iterator<Item = u8> {
    (0..LEVELS).take_while(move |level| hashes_at(*level, size) > 0)
}

/// A hash tile and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashTile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Hash>,
}

impl HashTile {
    pub(crate) fn path(&self) -> String {
        hash_path(self.level, self.index, self.hashes.len() as u64)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }
}

/// The not yet full tiles of each level: enough to grow the tree without reading it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, from its partial tiles, level 0 first.
    pub(crate) fn new(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf hash; answers the tiles that it completed, lowest level first.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<HashTile> {
        self.push_at(0, leaf)
    }

    /// Adds the hash of 256^level leaves at once, of an edge that has nothing below that level.
    pub(crate) fn push_at(&mut self, level: u8, hash: Hash) -> Vec<HashTile> {
        self.size += 1_u64.checked_shl(8 * u32::from(level)).unwrap_or(0);
        let mut full = Vec::new();
        let mut hash = hash;
        self.levels.resize_with(self.levels.len().max(usize::from(level)), Vec::new);
        for level in level..LEVELS {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(at) else { break };
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                break;
            }
            let hashes = std::mem::take(hashes);
            hash = hash::root(&hashes);
            full.push(HashTile { level, index: hashes_at(level, self.size) / WIDTH - 1, hashes });
        }
        full
    }

    /// The partial tiles at this size, from a level on.
    pub(crate) fn partial(&self, from_level: u8) -> Vec<HashTile> {
        (0..LEVELS)
            .zip(&self.levels)
            .filter(|(level, hashes)| *level >= from_level && !hashes.is_empty())
            .map(|(level, hashes)| HashTile {
                level,
                index: hashes_at(level, self.size) / WIDTH,
                hashes: hashes.clone(),
            })
            .collect()
    }

    /// The Merkle tree hash at this size.
    pub(crate) fn root(&self) -> Hash {
        let mut right: Option<Hash> = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            // The perfect subtrees of this level's list, smallest (rightmost) first.
            while end > 0 {
                let start = end - (1 << end.trailing_zeros());
                let peak = hash::root(hashes.get(start..end).unwrap_or_default());
                right = Some(right.map_or(peak, |right| hash::node(&peak, &right)));
                end = start;
            }
        }
        right.unwrap_or_else(|| hash::root(&[]))
    }
}

/// The entries of a bundle: `u16` big-endian length, then the entry. `None` where the bytes end
/// within an entry, or an entry is empty.
pub(crate) fn split_entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (len, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        if entry.is_empty() {
            return None;
        }
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

/// Entries in the form of a bundle.
pub(crate) fn join_entries(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bundle = Vec::with_capacity(entries.iter().map(|entry| entry.len() + 2).sum());
    for entry in entries {
        // None is longer: they were read from a bundle.
        bundle.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    bundle
}

/// The hashes of a tile; `None` where its length isn't a multiple of 32.
pub(crate) fn split_hashes(tile: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = tile.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(hash_path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(hash_path(2, 0, 17), "tile/2/000.p/17");
        assert_eq!(entries_path(273, 112), "tile/entries/273.p/112");
        assert_eq!(entries_path(1000, 256), "tile/entries/x001/000");
    }

    #[test]
    fn the_specifications_example_of_70000_leaves() {
        let mut edge = Edge::default();
        let (mut full, mut peaks) = ([0; 3], hash::Peaks::default());
        for leaf in 0..70_000_u32 {
            let leaf = hash::leaf(&leaf.to_be_bytes());
            peaks.push(leaf);
            for tile in edge.push(leaf) {
                assert_eq!(tile.index, full[usize::from(tile.level)]);
                full[usize::from(tile.level)] += 1;
            }
        }
        assert_eq!(full, [273, 1, 0]);
        let widths: Vec<_> = edge.partial(0).iter().map(|tile| (tile.level, tile.index, tile.hashes.len())).collect();
        assert_eq!(widths, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(edge.root(), peaks.root());
    }

    #[test]
    fn the_edge_agrees_with_the_plain_definition() {
        /// RFC 6962 section 2.1, as it is written there.
        fn naive(leaves: &[Hash]) -> Hash {
            match leaves {
                [] => hash::sha256(b""),
                [one] => *one,
                more => {
                    let k = more.len().next_power_of_two() / 2;
                    hash::node(&naive(&more[..k]), &naive(&more[k..]))
                }
            }
        }
        let mut edge = Edge::default();
        let mut leaves = Vec::new();
        for size in 0..1100_u32 {
            assert_eq!(edge.root(), naive(&leaves), "size {size}");
            assert_eq!(hash::root(&leaves), naive(&leaves), "size {size}");
            let leaf = hash::leaf(&size.to_be_bytes());
            leaves.push(leaf);
            edge.push(leaf);
        }
    }
}
