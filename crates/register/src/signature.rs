//! Signatures under statements: SSHSIG over the exact bytes, namespace `statement@drieslot`.
//!
//! What is accepted here is what stock `ssh-keygen -Y verify -n statement@drieslot` accepts, less signatures of
//! security keys that nobody touched. Format: [PROTOCOL.sshsig](https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.sshsig).

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
/// flags (1) and counter (4) at the end of a security key's signature.
const SK_TRAILER_BYTES: usize = 5;

fn refuse(why: impl std::fmt::Display) -> Refusal {
    Refusal::Signature(why.to_string())
}

/// Signs a statement with an officer's key that is at hand in the clear. Security keys and agents sign with
/// `ssh-keygen -Y sign -n statement@drieslot`.
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
    let to_sign = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, statement).map_err(refuse)?;
    let raw = Signature::new(Algorithm::Ed25519, key.sign(&to_sign).to_vec()).map_err(refuse)?;
    let signature = SshSig::new(identity_key(key), NAMESPACE, HashAlg::Sha512, raw).map_err(refuse)?;
    signature.to_pem(LineEnding::LF).map_err(refuse)
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

/// The key that made this signature of exactly these bytes.
///
/// # Errors
/// [`Refusal::Signature`] for any other text, namespace, format or bytes, and for an untouched security key.
pub(crate) fn signing_key(statement: &[u8], armored: &str) -> Result<KeyData, Refusal> {
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
    if key.is_sk_ed25519() || key.is_sk_ecdsa_p256() {
        check_touched(signature.signature_bytes())?;
    }
    Ok(key)
}

/// The flags are under the signature, so they are true where the signature is.
fn check_touched(signature: &[u8]) -> Result<(), Refusal> {
    let flags = signature.len().checked_sub(SK_TRAILER_BYTES).and_then(|at| signature.get(at));
    match flags.is_some_and(|flags| flags & USER_PRESENT != 0) {
        true => Ok(()),
        false => Err(refuse("nobody touched the security key: sign again, and touch it")),
    }
}

#[cfg(test)]
mod tests {
    use drieslot_journal::IdentityKey;
    use drieslot_journal::hash::sha256;
    use ssh_key::public::{Ed25519PublicKey, KeyData, SkEd25519};
    use ssh_key::{Algorithm, HashAlg, LineEnding, Signature, SshSig};

    use super::{NAMESPACE, check_touched, signing_key};

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
        assert!(signing_key(b"text", &by_security_key(b"text", 0x01)).unwrap().is_sk_ed25519());
        assert!(signing_key(b"other", &by_security_key(b"text", 0x01)).is_err());
        let untouched = signing_key(b"text", &by_security_key(b"text", 0x00)).unwrap_err();
        assert!(untouched.to_string().contains("touched"), "{untouched}");
        assert!(check_touched(&[1, 0, 0]).is_err());
    }
}
