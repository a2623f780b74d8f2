//! C2SP tlog-checkpoint in a C2SP signed note.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use crate::{IdentityKey, JournalError, Verifier};

/// Longest note that is read: sixteen post-quantum signatures fit.
pub(crate) const MAX_NOTE_BYTES: usize = 128 * 1024;

/// A tree head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Merkle tree hash of that many entries.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The signed note, signed under the origin as key name.
    ///
    /// # Errors
    /// [`JournalError::Origin`] for an origin that can't be a key name.
    pub fn sign(&self, key: &IdentityKey) -> Result<String, JournalError> {
        let text = self.text();
        let id = key.verifier(&self.origin)?.key_id();
        let signature = [id.to_be_bytes().as_slice(), &key.sign(text.as_bytes())].concat();
        Ok(format!("{text}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature)))
    }

    /// Reads a checkpoint that the verifier's key signed. Signatures of other keys are ignored;
    /// extension lines are refused.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] says which rule isn't met.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Self, JournalError> {
        let refuse = |why: &str| JournalError::Checkpoint { why: why.to_owned() };
        if note.len() > MAX_NOTE_BYTES {
            return Err(refuse("longer than 128 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(refuse("holds control characters"));
        }
        let at = note.rfind("\n\n").ok_or_else(|| refuse("no blank line before the signatures"))?;
        let (text, signatures) = note.split_at(at + 1);
        if !signed_by(text, signatures.strip_prefix('\n').unwrap_or_default(), verifier)? {
            let why = format!("not signed by {}", verifier.vkey());
            return Err(JournalError::Checkpoint { why });
        }
        let mut lines = text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(refuse("the text is not the three lines origin, size, root"));
        };
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| refuse("the size is no number"))?,
            root: STANDARD
                .decode(root)
                .ok()
                .and_then(|root| root.try_into().ok())
                .ok_or_else(|| refuse("the root is not 32 bytes of base64"))?,
        };
        // One text for one checkpoint: no leading zeroes, no other base64.
        if checkpoint.text() != text {
            return Err(refuse("size or root are not written in their one form"));
        }
        if checkpoint.origin != verifier.name() {
            let why = format!("origin is {:?}, expected {:?}", checkpoint.origin, verifier.name());
            return Err(JournalError::Checkpoint { why });
        }
        Ok(checkpoint)
    }
}

fn signed_by(text: &str, signatures: &str, verifier: &Verifier) -> Result<bool, JournalError> {
    let refuse = |why: &str| JournalError::Checkpoint { why: why.to_owned() };
    if !signatures.ends_with('\n') {
        return Err(refuse("a signature line does not end in a newline"));
    }
    let mut signed = false;
    for line in signatures.split_terminator('\n') {
        let (name, signature) = line
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.split_once(' '))
            .ok_or_else(|| refuse("a signature line is malformed"))?;
        let bytes = STANDARD.decode(signature).map_err(|_| refuse("a signature is not base64"))?;
        let Some((id, signature)) = bytes.split_first_chunk() else {
            return Err(refuse("a signature is too short"));
        };
        if name == verifier.name() && u32::from_be_bytes(*id) == verifier.key_id() {
            if !verifier.verify(text.as_bytes(), signature) {
                return Err(JournalError::Checkpoint { why: format!("the signature of {name} is wrong") });
            }
            signed = true;
        }
    }
    Ok(signed)
}
