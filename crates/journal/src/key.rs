//! The Ed25519 identity of a part, and the keys by which others know it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::JournalError;
use crate::files;
use crate::hash;

/// C2SP signed-note: signature type of plain Ed25519.
const ED25519_TYPE: u8 = 0x01;
/// A PKCS#8 Ed25519 key is 48 or 83 bytes long.
const MAX_KEY_FILE_BYTES: u64 = 256;

/// The signing key of one part. Not clonable; the library below wipes it when it is dropped.
pub struct IdentityKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityKey").field("secret", &"redacted").finish_non_exhaustive()
    }
}

impl IdentityKey {
    /// A new random key, in memory only.
    ///
    /// # Errors
    /// [`JournalError::Crypto`] without entropy.
    pub fn generate() -> Result<Self, JournalError> {
        Ed25519KeyPair::generate()
            .map_err(|_| JournalError::Crypto { what: "generate an Ed25519 key" })
            .and_then(Self::from_pair)
    }

    fn from_pair(pair: Ed25519KeyPair) -> Result<Self, JournalError> {
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| JournalError::Crypto { what: "read an Ed25519 public key" })?;
        Ok(Self { pair, public })
    }

    /// Writes the key as PKCS#8 (DER) to a file that must not exist yet, mode 0600, synced.
    ///
    /// # Errors
    /// [`JournalError::Key`] where the file exists, [`JournalError::Io`] where it can't be written.
    pub fn save(&self, path: &Path) -> Result<(), JournalError> {
        let document = self.pair.to_pkcs8v1().map_err(|_| JournalError::Crypto { what: "encode an Ed25519 key" })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                let why =
                    "the file exists, and a key is never overwritten; name another file, or move the old key away";
                JournalError::Key { path: path.to_owned(), why: why.into() }
            } else {
                JournalError::io("create", path)(error)
            }
        })?;
        file.write_all(document.as_ref()).and_then(|()| file.sync_all()).map_err(JournalError::io("write", path))?;
        files::sync_parent(path)
    }

    /// Reads a key that [`IdentityKey::save`] wrote.
    ///
    /// # Errors
    /// [`JournalError::Key`] where others than the owner may read the file or it holds no Ed25519
    /// key, [`JournalError::Io`] where it can't be read.
    pub fn load(path: &Path) -> Result<Self, JournalError> {
        let refuse = |why: &str| JournalError::Key { path: path.to_owned(), why: why.into() };
        let file = File::open(path).map_err(JournalError::io("open", path))?;
        let mode = file.metadata().map_err(JournalError::io("inspect", path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(refuse("others than its owner may read it; chmod 600, and consider the key as known to them"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes).map_err(JournalError::io("read", path))?;
        let pair = Ed25519KeyPair::from_pkcs8(&bytes)
            .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes))
            .map_err(|_| refuse("this is no Ed25519 key in PKCS#8 (DER)"))?;
        Self::from_pair(pair)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// The C2SP verifier key string under a name.
    ///
    /// # Errors
    /// [`JournalError::Origin`] for a name that C2SP doesn't allow.
    pub fn vkey(&self, name: &str) -> Result<String, JournalError> {
        self.verifier(name).map(|verifier| verifier.vkey())
    }

    /// The public half, under a name.
    ///
    /// # Errors
    /// [`JournalError::Origin`] for a name that C2SP doesn't allow.
    pub fn verifier(&self, name: &str) -> Result<Verifier, JournalError> {
        Verifier::new(name, self.public)
    }

    /// RFC 8032 Ed25519 signature of the message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

/// `SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]`.
pub(crate) fn key_id(name: &str, signature_type: u8, public: &[u8; 32]) -> u32 {
    let hash = hash::sha256_of(&[name.as_bytes(), b"\n", &[signature_type], public]);
    hash.first_chunk().map_or(0, |id| u32::from_be_bytes(*id))
}

/// `name+hex key id+base64(type ‖ public key)`.
pub(crate) fn vkey(name: &str, signature_type: u8, public: &[u8; 32]) -> String {
    let key = [&[signature_type], public.as_slice()].concat();
    format!("{name}+{:08x}+{}", key_id(name, signature_type, public), STANDARD.encode(key))
}

/// Name and public key of a verifier key string of this type.
pub(crate) fn parse_vkey<'a>(
    text: &'a str,
    signature_type: u8,
    other_type: &'static str,
) -> Result<(&'a str, [u8; 32]), JournalError> {
    let refuse = |why| JournalError::VerifierKey { why };
    let (name, rest) = text.split_once('+').ok_or_else(|| refuse("expected name+key id+key"))?;
    let (id, key) = rest.split_once('+').ok_or_else(|| refuse("expected name+key id+key"))?;
    let key = STANDARD.decode(key).map_err(|_| refuse("the key is not base64"))?;
    let public = match key.split_first() {
        Some((found, public)) if *found == signature_type => public,
        Some(_) | None => return Err(refuse(other_type)),
    };
    let public = public.try_into().map_err(|_| refuse("an Ed25519 key has 32 bytes"))?;
    match format!("{:08x}", key_id(name, signature_type, &public)) == id {
        true => Ok((name, public)),
        false => Err(refuse("the key id is not that of name and key")),
    }
}

/// A name and the Ed25519 public key that signs under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    public: [u8; 32],
}

impl Verifier {
    /// # Errors
    /// [`JournalError::Origin`] for a name that C2SP doesn't allow.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, JournalError> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(forbidden) {
            return Err(JournalError::Origin { origin: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), public })
    }

    /// Parses `name+hex key id+base64(0x01 ‖ public key)`.
    ///
    /// # Errors
    /// [`JournalError::VerifierKey`] for any other text, or a key id that isn't the key's.
    pub fn parse(vkey: &str) -> Result<Self, JournalError> {
        let (name, public) = parse_vkey(vkey, ED25519_TYPE, "the key is not of type 1, Ed25519")?;
        Self::new(name, public)
    }

    /// The name that signatures carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)[:4]`.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        key_id(&self.name, ED25519_TYPE, &self.public)
    }

    /// The C2SP verifier key string.
    #[must_use]
    pub fn vkey(&self) -> String {
        vkey(&self.name, ED25519_TYPE, &self.public)
    }

    /// Whether the signature of the message is this key's.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public).verify(message, signature).is_ok()
    }
}
