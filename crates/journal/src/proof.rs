//! RFC 6962 sections 2.1.1 and 2.1.2: audit paths and consistency proofs. Verification follows
//! RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use crate::JournalError;
use crate::hash::{Hash, node};

/// Where the hashes of perfect subtrees come from.
pub trait Nodes {
    /// `MTH(D[index · 2^level : (index + 1) · 2^level])`.
    ///
    /// # Errors
    /// Where the hash can't be had.
    fn node(&self, level: u8, index: u64) -> Result<Hash, JournalError>;
}

/// Leaf hashes in memory.
impl Nodes for [Hash] {
    fn node(&self, level: u8, index: u64) -> Result<Hash, JournalError> {
        let range = || {
            let width = 1_usize.checked_shl(level.into())?;
            let start = usize::try_from(index).ok()?.checked_mul(width)?;
            self.get(start..start.checked_add(width)?)
        };
        let missing = JournalError::NoSuchEntry { index: index << level, size: self.len() as u64 };
        range().map(crate::hash::root).ok_or(missing)
    }
}

/// The largest power of two below `size`, for sizes above 1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// `MTH(D[start : end])`, where `start` is a multiple of a power of two not below the length.
fn range(nodes: &(impl Nodes + ?Sized), start: u64, end: u64) -> Result<Hash, JournalError> {
    let len = end - start;
    if len.is_power_of_two() {
        let level = len.ilog2();
        return nodes.node(u8::try_from(level).unwrap_or(u8::MAX), start >> level);
    }
    let middle = start + split(len);
    Ok(node(&range(nodes, start, middle)?, &range(nodes, middle, end)?))
}

/// `MTH(D[size])`.
///
/// # Errors
/// Those of `nodes`.
pub fn root(nodes: &(impl Nodes + ?Sized), size: u64) -> Result<Hash, JournalError> {
    if size == 0 { Ok(crate::hash::root(&[])) } else { range(nodes, 0, size) }
}

/// `PATH(index, D[size])`.
///
/// # Errors
/// [`JournalError::NoSuchEntry`] where `index` isn't below `size`; errors of `nodes`.
pub fn inclusion(nodes: &(impl Nodes + ?Sized), index: u64, size: u64) -> Result<Vec<Hash>, JournalError> {
    if index >= size {
        return Err(JournalError::NoSuchEntry { index, size });
    }
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// `PROOF(old, D[new])`; empty where `old` is 0 or `new`.
///
/// # Errors
/// [`JournalError::NoSuchEntry`] where `old` is above `new`; errors of `nodes`.
pub fn consistency(nodes: &(impl Nodes + ?Sized), old: u64, new: u64) -> Result<Vec<Hash>, JournalError> {
    if old > new {
        return Err(JournalError::NoSuchEntry { index: old, size: new });
    }
    let (mut start, mut end, mut path) = (0, new, Vec::new());
    if old == 0 {
        return Ok(path);
    }
    // `old` lies in `start..=end` throughout.
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    // The verifier knows the old root already; else it needs the subtree that ends the old tree.
    if start > 0 {
        path.push(range(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether the path leads from the leaf at `index` to the root of `size` leaves.
#[must_use]
pub fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut f, mut s, mut hash) = (index, size - 1, *leaf);
    for step in path {
        if s == 0 {
            return false;
        }
        if f & 1 == 1 || f == s {
            hash = node(step, &hash);
            if f & 1 == 0 {
                let zeros = f.trailing_zeros().min(63);
                f >>= zeros;
                s >>= zeros;
            }
        } else {
            hash = node(&hash, step);
        }
        f >>= 1;
        s >>= 1;
    }
    s == 0 && hash == *root
}

/// Whether the proof shows that the tree of `old` leaves is a prefix of the tree of `new` leaves.
#[must_use]
pub fn consistent(old: u64, new: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == crate::hash::root(&[]);
    }
    let climbed = if old.is_power_of_two() {
        let path: Vec<_> = std::iter::once(old_root).chain(path).copied().collect();
        climb(old, new, &path)
    } else {
        climb(old, new, path)
    };
    climbed == Some((*old_root, *new_root))
}

/// The roots of the old and the new tree that a proof leads to, for `0 < old < new`. It begins with the subtree that ends
/// the old tree, also where that is the whole of it.
pub(crate) fn climb(old: u64, new: u64, path: &[Hash]) -> Option<(Hash, Hash)> {
    let (first, steps) = path.split_first()?;
    let (mut f, mut s) = (old.checked_sub(1)?, new.checked_sub(1)?);
    let ones = f.trailing_ones().min(63);
    f >>= ones;
    s >>= ones;
    let (mut old_hash, mut new_hash) = (*first, *first);
    for step in steps {
        if s == 0 {
            return None;
        }
        if f & 1 == 1 || f == s {
            old_hash = node(step, &old_hash);
            new_hash = node(step, &new_hash);
            if f & 1 == 0 {
                let zeros = f.trailing_zeros().min(63);
                f >>= zeros;
                s >>= zeros;
            }
        } else {
            new_hash = node(&new_hash, step);
        }
        f >>= 1;
        s >>= 1;
    }
    (s == 0).then_some((old_hash, new_hash))
}
