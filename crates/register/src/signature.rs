//! Signatures under statements: SSHSIG over the exact bytes, namespace `statement@drieslot`.
//!
//! What is accepted here is what stock `ssh-keygen -Y verify -n statement@drieslot` accepts, less signatures of
//! security keys that nobody touched. Format: [PROTOCOL.sshsig](https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.sshsig).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_journal::IdentityKey;
use ssh_key::private::PrivateKey;
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, Signature, SshSig};

use crate::Refusal;

/// The namespace that every statement is signed in.
pub const NAMESPACE: &str = "statement@drieslot";

/// Longest armoured signature that is read, in bytes. RSA of 16,384 bits fits.
const MAX_ARMORED_BYTES: usize = 16_384;
/// The authenticator saw a touch: [WebAuthn section 6.1](https://www.w3.org/TR/webauthn-2/#flags), bit 0.
const USER_PRESENT: u8 = 0x01;
/// The authenticator knew its user: there, bit 2.
const USER_VERIFIED: u8 = 0x04;
/// Of armoured text, as `ssh-keygen` writes it.
const LINE_BYTES: usize = 70;
/// flags (1) and counter (4) at the end of a security key's signature.
const SK_TRAILER_BYTES: usize = 5;

fn refuse(why: impl std::fmt::Display) -> Refusal {
    Refusal::Signature(why.to_string())
}

/// Signs a statement with an officer's key that is at hand in the clear.
///
/// # Errors
/// [`Refusal::Signature`] where the key cannot sign.
pub fn sign(statement: &[u8], key: &PrivateKey) -> Result<String, Refusal> {
    let signature = key.sign(NAMESPACE, HashAlg::Sha512, statement).map_err(refuse)?;
    signature.to_pem(LineEnding::LF).map_err(refuse)
}

/// Signs a statement with the identity key of a part (a custodian confirms a key-check with it).
///
/// # Errors
/// [`Refusal::Signature`] where the signature cannot be written.
pub fn sign_with_identity(statement: &[u8], key: &IdentityKey) -> Result<String, Refusal> {
    sign_elsewhere(statement, &identity_key(key), |to_sign| {
        Signature::new(Algorithm::Ed25519, key.sign(to_sign).to_vec()).map_err(refuse)
    })
}

/// Signs a statement with a key that is somewhere else, such as in an agent: `sign` is given the bytes that the key signs. What
/// comes back is verified as a register does, so that a bad signature is found while its maker is at hand.
///
/// # Errors
/// Those of `sign`; [`Refusal::Signature`] where what it gave would not be accepted.
pub fn sign_elsewhere<E: From<Refusal>>(
    statement: &[u8],
    key: &KeyData,
    sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
) -> Result<String, E> {
    let to_sign = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, statement).map_err(refuse)?;
    let armored = armor(key, &sign(&to_sign)?)?;
    match signing_key(statement, &armored)?.key == *key {
        true => Ok(armored),
        false => Err(refuse("another key than the one that was asked made it").into()),
    }
}

/// The whole signature as PROTOCOL.sshsig has it. `ssh_key` puts flags and counter of an ecdsa security key where they do not
/// belong, so the inner signature is written here.
fn armor(key: &KeyData, signature: &Signature) -> Result<String, Refusal> {
    let (algorithm, bytes) = (signature.algorithm(), signature.as_bytes());
    let trailer_bytes = if is_security_key(key) { SK_TRAILER_BYTES } else { 0 };
    let trailer_at = bytes.len().checked_sub(trailer_bytes);
    let (raw, trailer) =
        trailer_at.and_then(|at| bytes.split_at_checked(at)).ok_or_else(|| refuse("it is too short"))?;
    let inner = [&field(algorithm.as_str().as_bytes())?, &field(raw)?, trailer].concat();
    let key = PublicKey::from(key.clone()).to_bytes().map_err(refuse)?;
    let mut blob = [b"SSHSIG".as_slice(), &SshSig::VERSION.to_be_bytes()].concat();
    for bytes in [key.as_slice(), NAMESPACE.as_bytes(), b"", HashAlg::Sha512.as_str().as_bytes(), &inner] {
        blob.extend(field(bytes)?);
    }
    let text = STANDARD.encode(blob);
    let lines: Vec<_> = text.as_bytes().chunks(LINE_BYTES).map(String::from_utf8_lossy).collect();
    Ok(format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n")))
}

/// Whether such a key is in an authenticator, which says with each signature what it saw of its user.
pub(crate) fn is_security_key(key: &KeyData) -> bool {
    key.is_sk_ed25519() || key.is_sk_ecdsa_p256()
}

/// A string of RFC 4251: its length, then its bytes.
fn field(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let length = u32::try_from(bytes.len()).map_err(refuse)?;
    Ok([&length.to_be_bytes(), bytes].concat())
}

fn identity_key(key: &IdentityKey) -> KeyData {
    KeyData::Ed25519(Ed25519PublicKey(key.public_key()))
}

/// A part's identity key as the charter writes it: `ssh-ed25519 AAAA…`.
///
/// # Errors
/// [`Refusal::Signature`] where it cannot be written.
pub fn identity_public_key(key: &IdentityKey) -> Result<String, Refusal> {
    PublicKey::from(identity_key(key)).to_openssh().map_err(refuse)
}

/// A signature that is good.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The key that made it.
    pub(crate) key: KeyData,
    /// An authenticator made it, and knew its user by a PIN or a finger.
    pub(crate) user_verified: bool,
}

/// The key that made this signature of exactly these bytes, and what it says of its user.
///
/// # Errors
/// [`Refusal::Signature`] for any other text, namespace, format or bytes, and for an untouched security key.
pub(crate) fn signing_key(statement: &[u8], armored: &str) -> Result<Signed, Refusal> {
    if armored.len() > MAX_ARMORED_BYTES {
        return Err(refuse("it is too long to be one"));
    }
    let signature = SshSig::from_pem(armored.trim().as_bytes())
        .map_err(|error| refuse(format!("it is not an armoured SSH signature ({error})")))?;
    if signature.version() != SshSig::VERSION {
        return Err(refuse(format!("it has version {}, and only version 1 exists", signature.version())));
    }
    // Stock ssh-keygen signs with it empty and does not read it.
    if !signature.reserved().is_empty() {
        return Err(refuse("its reserved field is not empty"));
    }
    if signature.namespace() != NAMESPACE {
        let found = signature.namespace();
        return Err(refuse(format!("it was made in namespace `{found}`: sign with -n {NAMESPACE}")));
    }
    let key = signature.public_key().clone();
    PublicKey::from(key.clone())
        .verify(NAMESPACE, statement, &signature)
        .map_err(|_| refuse("it is not a signature of this text: not one byte may differ from what was signed"))?;
    let flags = if is_security_key(&key) { touched(signature.signature_bytes())? } else { 0 };
    Ok(Signed { key, user_verified: flags & USER_VERIFIED != 0 })
}

/// The authenticator's flags. They are under the signature, so they are true where the signature is.
fn touched(signature: &[u8]) -> Result<u8, Refusal> {
    let flags = signature.len().checked_sub(SK_TRAILER_BYTES).and_then(|at| signature.get(at));
    let seen = flags.copied().filter(|flags| flags & USER_PRESENT != 0);
    seen.ok_or_else(|| refuse("nobody touched the security key: sign again, and touch it"))
}

#[cfg(test)]
mod tests {
    use drieslot_journal::IdentityKey;
    use drieslot_journal::hash::sha256;
    use ssh_key::public::{Ed25519PublicKey, KeyData, SkEd25519};
    use ssh_key::{Algorithm, HashAlg, LineEnding, Signature, SshSig};

    use super::{NAMESPACE, signing_key, touched};

    /// As an authenticator does it: [PROTOCOL.u2f](https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.u2f).
    fn by_security_key(text: &[u8], flags: u8) -> String {
        let key = IdentityKey::generate().unwrap();
        let public = SkEd25519::new(Ed25519PublicKey(key.public_key()), "ssh:");
        let signed = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, text).unwrap();
        let trailer = [flags, 0, 0, 0, 9];
        let message = [&sha256(b"ssh:")[..], &trailer, &sha256(&signed)].concat();
        let raw = [&key.sign(&message)[..], &trailer].concat();
        let raw = Signature::new(Algorithm::SkEd25519, raw).unwrap();
        let signature = SshSig::new(KeyData::SkEd25519(public), NAMESPACE, HashAlg::Sha512, raw).unwrap();
        signature.to_pem(LineEnding::LF).unwrap()
    }

    #[test]
    fn a_security_key_counts_only_when_touched() {
        assert!(signing_key(b"text", &by_security_key(b"text", 0x01)).unwrap().key.is_sk_ed25519());
        assert!(signing_key(b"other", &by_security_key(b"text", 0x01)).is_err());
        let untouched = signing_key(b"text", &by_security_key(b"text", 0x00)).unwrap_err();
        assert!(untouched.to_string().contains("touched"), "{untouched}");
        assert!(touched(&[1, 0, 0]).is_err());
    }
}
