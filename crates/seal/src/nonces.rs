//! Random nonces, drawn from the operating system in blocks: a system call per nonce costs more than the seal.

use std::fmt;

use zeroize::Zeroize;

use crate::SealError;

/// Bytes of one nonce of AES-256-GCM-SIV.
pub(crate) const NONCE_LEN: usize = 12;

/// One block holds 341 nonces in about 4 KiB.
const BLOCK_LEN: usize = 341 * NONCE_LEN;

/// A source of nonces for one session or worker; not shared between threads.
pub struct Nonces {
    block: Box<[u8; BLOCK_LEN]>,
    /// Bytes of `block` that were given out; `BLOCK_LEN` where it must be drawn anew.
    used: usize,
}

impl Nonces {
    /// Draws nothing yet.
    pub fn new() -> Self {
        Self { block: Box::new([0; BLOCK_LEN]), used: BLOCK_LEN }
    }

    /// The next nonce; no byte is given out twice.
    pub(crate) fn next(&mut self) -> Result<[u8; NONCE_LEN], SealError> {
        if self.used >= BLOCK_LEN {
            aws_lc_rs::rand::fill(self.block.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
            self.used = 0;
        }
        let nonce = self.block.get(self.used..).and_then(|rest| rest.first_chunk::<NONCE_LEN>());
        self.used += NONCE_LEN;
        nonce.copied().ok_or(SealError::NoRandomness)
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Nonces {
    fn drop(&mut self) {
        self.block.zeroize();
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Nonces;

    #[test]
    fn no_nonce_comes_twice_across_blocks() {
        let mut nonces = Nonces::new();
        let drawn: std::collections::BTreeSet<_> = (0..1500).map(|_| nonces.next().unwrap()).collect();
        assert_eq!(drawn.len(), 1500);
    }
}
