//! RFC 6962 section 2.1: SHA-256 hashing of leaves, nodes and lists.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

fn finished(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(bytes);
    hash
}

/// SHA-256 of one string of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    finished(digest(&SHA256, bytes).as_ref())
}

pub(crate) fn sha256_of(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    finished(context.finish().as_ref())
}

/// `SHA-256(0x00 ‖ entry)`.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    sha256_of(&[&[0], entry])
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// The Merkle tree hash of a list of leaf hashes (or of roots of perfect trees of equal height).
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut peaks = Peaks::default();
    for leaf in leaves {
        peaks.push(*leaf);
    }
    peaks.root()
}

/// The perfect subtrees along the right edge of a tree, largest first: all that is needed to add
/// a leaf and to know the root. At most 64 hashes.
#[derive(Debug, Clone, Default)]
pub struct Peaks {
    size: u64,
    peaks: Vec<Hash>,
}

impl Peaks {
    /// Adds a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// What [`Peaks::hashes`] gave for as many leaves; `None` where their number cannot be right.
    pub(crate) fn restore(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// The subtrees, largest first.
    pub(crate) fn hashes(&self) -> &[Hash] {
        &self.peaks
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The Merkle tree hash of all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.peaks.iter().rev().copied().reduce(|right, left| node(&left, &right)).unwrap_or_else(|| sha256(b""))
    }
}
