//! C2SP signed notes, and the tlog-checkpoint in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use crate::{Cosigner, IdentityKey, JournalError, Verifier};

/// Longest note that is read: sixteen post-quantum signatures fit.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;

fn refuse(why: &str) -> JournalError {
    JournalError::Checkpoint { why: why.to_owned() }
}

/// A note taken apart. Its text means nothing before a signature of it is verified.
#[derive(Debug, Clone)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<Signature<'a>>,
}

#[derive(Debug, Clone)]
struct Signature<'a> {
    name: &'a str,
    key_id: u32,
    bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] for what is no signed note.
    pub fn parse(note: &'a str) -> Result<Self, JournalError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(refuse("longer than 128 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(refuse("holds control characters"));
        }
        let at = note.rfind("\n\n").ok_or_else(|| refuse("no blank line before the signatures"))?;
        let (text, signatures) = note.split_at(at + 1);
        let signatures = signatures.strip_prefix('\n').unwrap_or_default();
        if !signatures.ends_with('\n') {
            return Err(refuse("a signature line does not end in a newline"));
        }
        let signatures = signatures.split_terminator('\n').map(Signature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text, signatures })
    }

    /// What is signed, with its last newline.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Whether the key signed it. Signatures of other keys are ignored.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] for a signature that claims to be of this key and is not.
    pub fn signed_by(&self, verifier: &Verifier) -> Result<bool, JournalError> {
        let mut signed = false;
        for signature in self.of(verifier.name(), verifier.key_id()) {
            if !verifier.verify(self.text.as_bytes(), &signature.bytes) {
                return Err(JournalError::Checkpoint { why: format!("the signature of {} is wrong", verifier.name()) });
            }
            signed = true;
        }
        Ok(signed)
    }

    /// When the witness cosigned it, in seconds of the epoch; `None` where it did not. Of several times the latest.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] for a cosignature that claims to be of this key and is not.
    pub fn cosigned_by(&self, cosigner: &Cosigner) -> Result<Option<u64>, JournalError> {
        let mut latest = None;
        for signature in self.of(cosigner.name(), cosigner.key_id()) {
            let time = cosigner.verify(self.text, &signature.bytes).ok_or_else(|| JournalError::Checkpoint {
                why: format!("the cosignature of {} is wrong", cosigner.name()),
            })?;
            latest = latest.max(Some(time));
        }
        Ok(latest)
    }

    /// The lines origin, size and root. Lines after them are allowed, and are not looked at.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] says which rule isn't met.
    pub fn checkpoint(&self) -> Result<Checkpoint, JournalError> {
        let mut lines = self.text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(refuse("the text does not begin with the lines origin, size, root"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(refuse("a line of the text is empty"));
        }
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| refuse("the size is no number"))?,
            root: STANDARD
                .decode(root)
                .ok()
                .and_then(|root| root.try_into().ok())
                .ok_or_else(|| refuse("the root is not 32 bytes of base64"))?,
        };
        // One text for one checkpoint: no leading zeroes, no other base64.
        match self.text.starts_with(&checkpoint.text()) {
            true => Ok(checkpoint),
            false => Err(refuse("size or root are not written in their one form")),
        }
    }

    fn of(&self, name: &str, key_id: u32) -> impl Iterator<Item = &Signature<'a>> {
        self.signatures.iter().filter(move |one| one.name == name && one.key_id == key_id)
    }
}

impl<'a> Signature<'a> {
    fn parse(line: &'a str) -> Result<Self, JournalError> {
        let (name, signature) = line
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.split_once(' '))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| refuse("a signature line is malformed"))?;
        let bytes = STANDARD.decode(signature).map_err(|_| refuse("a signature is not base64"))?;
        let Some((id, signature)) = bytes.split_first_chunk() else {
            return Err(refuse("a signature is too short"));
        };
        Ok(Self { name, key_id: u32::from_be_bytes(*id), bytes: signature.to_vec() })
    }
}

/// A signature line, with its newline.
pub(crate) fn signature_line(name: &str, key_id: u32, signature: &[u8]) -> String {
    let bytes = [key_id.to_be_bytes().as_slice(), signature].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
}

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
        Ok(format!("{text}\n{}", signature_line(&self.origin, id, &key.sign(text.as_bytes()))))
    }

    /// Reads a checkpoint that the verifier's key signed. Signatures of other keys are ignored;
    /// extension lines are refused.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] says which rule isn't met.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Self, JournalError> {
        let note = Note::parse(note)?;
        if !note.signed_by(verifier)? {
            let why = format!("not signed by {}", verifier.vkey());
            return Err(JournalError::Checkpoint { why });
        }
        let checkpoint = note.checkpoint()?;
        if checkpoint.text() != note.text {
            return Err(refuse("the text is not the three lines origin, size, root"));
        }
        if checkpoint.origin != verifier.name() {
            let why = format!("origin is {:?}, expected {:?}", checkpoint.origin, verifier.name());
            return Err(JournalError::Checkpoint { why });
        }
        Ok(checkpoint)
    }
}
