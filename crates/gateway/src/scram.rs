//! SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677), as PostgreSQL speaks it.
//!
//! Holds verifiers only: from them nobody can sign in. An unknown user gets the same conversation as a known one.

use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The mechanism's name.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// The mechanism bound to the TLS connection (RFC 5802, section 6).
pub(crate) const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";
const BINDING_TYPE: &str = "p=tls-server-end-point";
const ITERATIONS: u32 = 4096;
const KEY_BYTES: usize = 32;

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as `pg_authid.rolpassword` writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(redacted)")
    }
}

/// Why a verifier could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// Not the form above.
    #[error("not a SCRAM-SHA-256 verifier (SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>)")]
    Form,
    /// Non-ASCII passwords would need SASLprep.
    #[error("the password must be printable ASCII, at least 12 characters")]
    Password,
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(tag.as_ref());
    out
}

fn sha256(data: &[u8]) -> [u8; KEY_BYTES] {
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

impl Verifier {
    /// From a password; the salt is random.
    pub fn new(password: &str) -> Result<Self, VerifierError> {
        if password.len() < 12 || !password.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(VerifierError::Password);
        }
        let mut salt = vec![0; 16];
        rand::fill(&mut salt).map_err(|_| VerifierError::Random)?;
        let mut salted = zeroize::Zeroizing::new([0; KEY_BYTES]);
        let iterations = NonZeroU32::new(ITERATIONS).ok_or(VerifierError::Form)?;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), salted.as_mut());
        let client_key = zeroize::Zeroizing::new(hmac_sha256(salted.as_ref(), b"Client Key"));
        Ok(Self {
            iterations: ITERATIONS,
            salt,
            stored_key: sha256(client_key.as_ref()),
            server_key: hmac_sha256(salted.as_ref(), b"Server Key"),
        })
    }

    /// A verifier that no password fits, the same for the same user as long as the process lives.
    fn decoy(user: &str, seed: &[u8]) -> Self {
        let salt = hmac_sha256(seed, user.as_bytes());
        Self {
            iterations: ITERATIONS,
            salt: salt.iter().take(16).copied().collect(),
            stored_key: hmac_sha256(seed, &salt),
            server_key: hmac_sha256(&salt, seed),
        }
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (salt, stored, server) =
            (BASE64.encode(&self.salt), BASE64.encode(self.stored_key), BASE64.encode(self.server_key));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl std::str::FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        let form = VerifierError::Form;
        let mut parts = text.split('$');
        let (Some(MECHANISM), Some(head), Some(keys), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form);
        };
        let (iterations, salt) = head.split_once(':').ok_or(form)?;
        let (stored, server) = keys.split_once(':').ok_or(form)?;
        let key = |text: &str| -> Result<[u8; KEY_BYTES], VerifierError> {
            BASE64.decode(text).map_err(|_| form)?.try_into().map_err(|_| form)
        };
        Ok(Self {
            iterations: iterations.parse().ok().filter(|n| (4096..=1_000_000).contains(n)).ok_or(form)?,
            salt: BASE64.decode(salt).map_err(|_| form)?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

/// Why a sign-in failed; the client hears only that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScramError {
    /// The client broke the exchange.
    Protocol(&'static str),
    /// The client is bound to another TLS connection, or was told that nothing is bound here: somebody is in between.
    Binding(&'static str),
    /// The proof does not fit.
    WrongPassword,
}

/// What the server knows when an exchange begins.
pub(crate) struct Known<'a> {
    pub(crate) user: &'a str,
    pub(crate) verifier: Option<&'a Verifier>,
    /// Makes the verifier of a user who has none.
    pub(crate) decoy_seed: &'a [u8],
    /// The TLS connection's `tls-server-end-point`; `Some` exactly where [`MECHANISM_PLUS`] was offered.
    pub(crate) binding: Option<&'a [u8]>,
}

/// What the client's first message means for channel binding: the bytes that its last message must repeat.
fn bound(flag: &str, mechanism: &str, binding: Option<&[u8]>) -> Result<Vec<u8>, ScramError> {
    let header = format!("{flag},,").into_bytes();
    match (flag, mechanism, binding) {
        (BINDING_TYPE, MECHANISM_PLUS, Some(binding)) => Ok([&header, binding].concat()),
        ("n", MECHANISM, _) | ("y", MECHANISM, None) => Ok(header),
        ("y", MECHANISM, Some(_)) => {
            Err(ScramError::Binding("the client supports channel binding but was told that this server does not"))
        }
        ("n" | "y", _, _) => Err(ScramError::Protocol("SCRAM-SHA-256-PLUS without channel binding data")),
        (BINDING_TYPE, _, _) => Err(ScramError::Protocol("channel binding data without SCRAM-SHA-256-PLUS")),
        _ => Err(ScramError::Protocol("unsupported SCRAM channel binding type")),
    }
}

/// The exchange after the client's first message.
pub(crate) struct Exchange {
    verifier: Verifier,
    known: bool,
    bound: String,
    nonce: String,
    client_first_bare: String,
    server_first: String,
}

impl Exchange {
    /// Reads the client's first message, of the mechanism that it chose; [`Exchange::server_first`] is the answer to it.
    pub(crate) fn begin(known: &Known<'_>, mechanism: &str, client_first: &str) -> Result<Self, ScramError> {
        let bad = ScramError::Protocol;
        let mut parts = client_first.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("malformed SCRAM message"));
        };
        let bound = bound(flag, mechanism, known.binding)?;
        if !authzid.is_empty() {
            return Err(bad("authorization identities are not offered"));
        }
        let client_nonce = bare.split(',').nth(1).and_then(|attribute| attribute.strip_prefix("r="));
        let client_nonce =
            client_nonce.filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic()));
        let client_nonce = client_nonce.ok_or(bad("malformed SCRAM nonce"))?;
        let mut random = [0; 18];
        rand::fill(&mut random).map_err(|_| bad("no randomness"))?;
        let nonce = format!("{client_nonce}{}", BASE64.encode(random));
        let verifier = known.verifier.cloned().unwrap_or_else(|| Verifier::decoy(known.user, known.decoy_seed));
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        Ok(Self {
            verifier,
            known: known.verifier.is_some(),
            bound: BASE64.encode(bound),
            nonce,
            client_first_bare: bare.to_owned(),
            server_first,
        })
    }

    /// What to send first.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Checks the client's proof; gives the server's own.
    pub(crate) fn finish(self, client_final: &str) -> Result<String, ScramError> {
        let bad = ScramError::Protocol;
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(bad("malformed SCRAM message"))?;
        let (binding, nonce) = without_proof.split_once(",r=").ok_or(bad("malformed SCRAM message"))?;
        if binding != format!("c={}", self.bound) {
            return Err(ScramError::Binding("SCRAM channel binding check failed"));
        }
        if nonce != self.nonce {
            return Err(bad("SCRAM nonce does not match"));
        }
        let proof = BASE64.decode(proof).map_err(|_| bad("malformed SCRAM proof"))?;
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = hmac_sha256(&self.verifier.stored_key, message.as_bytes());
        if proof.len() != signature.len() {
            return Err(bad("malformed SCRAM proof"));
        }
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let fits = verify_slices_are_equal(&sha256(&client_key), &self.verifier.stored_key).is_ok();
        if !fits || !self.known {
            return Err(ScramError::WrongPassword);
        }
        Ok(format!("v={}", BASE64.encode(hmac_sha256(&self.verifier.server_key, message.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    const HASH: &[u8] = b"hash of the certificate";

    fn sign_in_bound(
        verifier: Option<&Verifier>,
        password: &str,
        (mechanism, client): (&str, ChannelBinding),
        binding: Option<&[u8]>,
    ) -> Result<(), ScramError> {
        let mut client = ScramSha256::new(password.as_bytes(), client);
        let first = std::str::from_utf8(client.message()).unwrap().to_owned();
        let known = Known { user: "app", verifier, decoy_seed: b"seed", binding };
        let exchange = Exchange::begin(&known, mechanism, &first)?;
        client.update(exchange.server_first().as_bytes()).unwrap();
        let last = exchange.finish(std::str::from_utf8(client.message()).unwrap())?;
        client.finish(last.as_bytes()).unwrap();
        Ok(())
    }

    fn sign_in(verifier: Option<&Verifier>, password: &str) -> Result<(), ScramError> {
        sign_in_bound(verifier, password, (MECHANISM, ChannelBinding::unsupported()), None)
    }

    #[test]
    fn another_implementation_signs_in_only_with_the_password() {
        let verifier: Verifier = Verifier::new("correct-horse").unwrap().to_string().parse().unwrap();
        assert_eq!(sign_in(Some(&verifier), "correct-horse"), Ok(()));
        assert_eq!(sign_in(Some(&verifier), "correct-horsf"), Err(ScramError::WrongPassword));
        assert_eq!(sign_in(None, "correct-horse"), Err(ScramError::WrongPassword));
    }

    #[test]
    fn a_client_with_somebody_in_between_is_refused() {
        let verifier = Verifier::new("correct-horse").unwrap();
        let try_it =
            |mechanism, client, binding| sign_in_bound(Some(&verifier), "correct-horse", (mechanism, client), binding);
        let bound = || ChannelBinding::tls_server_end_point(HASH.to_vec());
        assert_eq!(try_it(MECHANISM_PLUS, bound(), Some(HASH)), Ok(()));
        assert_eq!(try_it(MECHANISM, ChannelBinding::unsupported(), Some(HASH)), Ok(()));
        assert_eq!(try_it(MECHANISM, ChannelBinding::unrequested(), None), Ok(()));
        let other = try_it(MECHANISM_PLUS, bound(), Some(b"hash of another certificate"));
        assert!(matches!(other, Err(ScramError::Binding(_))), "{other:?}");
        let downgraded = try_it(MECHANISM, ChannelBinding::unrequested(), Some(HASH));
        assert!(matches!(downgraded, Err(ScramError::Binding(_))), "{downgraded:?}");
        for (mechanism, client, binding) in [
            (MECHANISM, bound(), Some(HASH)),
            (MECHANISM_PLUS, bound(), None),
            (MECHANISM_PLUS, ChannelBinding::unsupported(), Some(HASH)),
            (MECHANISM_PLUS, ChannelBinding::unrequested(), Some(HASH)),
        ] {
            let broken = try_it(mechanism, client, binding);
            assert!(matches!(broken, Err(ScramError::Protocol(_))), "{mechanism}: {broken:?}");
        }
    }

    #[test]
    fn verifiers_are_read_strictly_and_never_printed() {
        let verifier = Verifier::new("correct-horse").unwrap();
        assert_eq!(format!("{verifier:?}"), "Verifier(redacted)");
        for text in ["", "SCRAM-SHA-256$1:AA==$AA==:AA==", "md5abc", "SCRAM-SHA-256$4096:AA==$AA==:AA==$"] {
            assert_eq!(text.parse::<Verifier>(), Err(VerifierError::Form), "{text}");
        }
        assert_eq!(Verifier::new("short"), Err(VerifierError::Password));
    }
}
