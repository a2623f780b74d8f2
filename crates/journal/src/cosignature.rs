//! C2SP tlog-cosignature, the Ed25519 kind: a witness's word that a checkpoint is the largest it has seen of a log.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::key::{key_id, parse_vkey, vkey};
use crate::note::signature_line;
use crate::{IdentityKey, JournalError, Verifier};

/// Signature type of timestamped Ed25519 cosignatures.
const COSIGNATURE_TYPE: u8 = 0x04;

/// A witness, as its cosignatures are verified: a name, and an Ed25519 key for this purpose only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigner {
    name: String,
    public: [u8; 32],
}

/// `"cosignature/v1" ‖ 0x0A ‖ "time " ‖ seconds ‖ 0x0A ‖ text of the note`.
fn message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

impl Cosigner {
    /// # Errors
    /// [`JournalError::Origin`] for a name that C2SP doesn't allow.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, JournalError> {
        let named = Verifier::new(name, public)?;
        Ok(Self { name: named.name().to_owned(), public })
    }

    /// Parses `name+hex key id+base64(0x04 ‖ public key)`.
    ///
    /// # Errors
    /// [`JournalError::VerifierKey`] for any other text, or a key id that isn't the key's.
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let why = "the key is not of type 4, that of a witness's Ed25519 cosignatures";
        let (name, public) = parse_vkey(text, COSIGNATURE_TYPE, why)?;
        Self::new(name, public)
    }

    /// The name that cosignatures carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// `SHA-256(name ‖ 0x0A ‖ 0x04 ‖ public key)[:4]`.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        key_id(&self.name, COSIGNATURE_TYPE, &self.public)
    }

    /// The C2SP verifier key string.
    #[must_use]
    pub fn vkey(&self) -> String {
        vkey(&self.name, COSIGNATURE_TYPE, &self.public)
    }

    /// The time of a cosignature of this text, in seconds of the epoch; `None` where it isn't this key's.
    pub(crate) fn verify(&self, text: &str, cosignature: &[u8]) -> Option<u64> {
        let (time, signature) = cosignature.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let signed = UnparsedPublicKey::new(&ED25519, self.public).verify(message(text, time).as_bytes(), signature);
        (i64::try_from(time).is_ok() && signed.is_ok()).then_some(time)
    }
}

impl IdentityKey {
    /// The public half, under a witness's name.
    ///
    /// # Errors
    /// [`JournalError::Origin`] for a name that C2SP doesn't allow.
    pub fn cosigner(&self, name: &str) -> Result<Cosigner, JournalError> {
        Cosigner::new(name, self.public_key())
    }

    /// The note's signature line by which the witness of that name cosigns a checkpoint's text.
    ///
    /// # Errors
    /// [`JournalError::Origin`] for a name that C2SP doesn't allow.
    pub fn cosign(&self, name: &str, text: &str, time_s: u64) -> Result<String, JournalError> {
        let signature = self.sign(message(text, time_s).as_bytes());
        let timestamped = [time_s.to_be_bytes().as_slice(), &signature].concat();
        Ok(signature_line(name, self.cosigner(name)?.key_id(), &timestamped))
    }
}
