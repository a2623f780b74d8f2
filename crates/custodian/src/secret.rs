//! The file that holds a function's secret, sealed to a credential: a key file (as systemd-creds gives) or a
//! passphrase file. Secret and credential belong on different media.
//!
//! File: JSON with salt, nonce and `AES-256-GCM-SIV(key, nonce, secret)`, where key is
//! `HKDF-SHA-256(salt, credential, info)` for a key file ([RFC 5869](https://www.rfc-editor.org/rfc/rfc5869)) and
//! `PBKDF2-HMAC-SHA-256(passphrase, salt, iterations)` for a passphrase
//! ([RFC 8018](https://www.rfc-editor.org/rfc/rfc8018)); function and derivation are authenticated with it.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_register::Function;
use drieslot_seal::FunctionSecret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::CustodianError;
use crate::private::{read_private, write_new};

const INFO: &[u8] = b"drieslot function secret v1";
const VERSION: u8 = 1;
/// OWASP's figure for PBKDF2-HMAC-SHA-256.
const ITERATIONS: u32 = 600_000;
const MAX_ITERATIONS: u32 = 100_000_000;
const MIN_KEY_BYTES: usize = 32;
const MIN_PASSPHRASE_BYTES: usize = 16;

/// What opens a sealed secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its file, readable by its owner only.
    pub file: PathBuf,
    /// What is in it.
    pub kind: CredentialKind,
}

/// What is in a credential's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// At least 32 random bytes.
    Key,
    /// At least 16 bytes of text; a newline at the end does not count.
    Passphrase,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedFile {
    version: u8,
    function: Function,
    credential: CredentialKind,
    /// Of PBKDF2; 0 for a key file.
    iterations: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

impl SealedFile {
    fn aad(&self) -> Vec<u8> {
        let credential = match self.credential {
            CredentialKind::Key => "key",
            CredentialKind::Passphrase => "passphrase",
        };
        format!("drieslot function secret v{}\n{}\n{credential}\n{}", self.version, self.function, self.iterations)
            .into()
    }
}

/// Makes a random key file of 32 bytes, mode 0600, where there is none yet.
fn create_key_file(path: &Path) -> Result<(), CustodianError> {
    let mut key = Zeroizing::new([0_u8; MIN_KEY_BYTES]);
    rand::fill(key.as_mut_slice()).map_err(|_| CustodianError::Crypto("draw a key"))?;
    write_new(path, key.as_slice())
}

/// Seals a secret into a file that must not exist yet.
fn seal(
    path: &Path,
    function: Function,
    secret: &FunctionSecret,
    credential: &Credential,
) -> Result<(), CustodianError> {
    let (mut salt, mut nonce) = ([0_u8; 16], [0_u8; 12]);
    let drawn = rand::fill(&mut salt).and_then(|()| rand::fill(&mut nonce));
    drawn.map_err(|_| CustodianError::Crypto("draw a salt"))?;
    let iterations = match credential.kind {
        CredentialKind::Key => 0,
        CredentialKind::Passphrase => ITERATIONS,
    };
    let mut file = SealedFile {
        version: VERSION,
        function,
        credential: credential.kind,
        iterations,
        salt: STANDARD.encode(salt),
        nonce: STANDARD.encode(nonce),
        sealed: String::new(),
    };
    let key = derive(credential, &salt, iterations)?;
    let mut bytes = Zeroizing::new(secret.expose().to_vec());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(file.aad()), &mut *bytes)
        .map_err(|_| CustodianError::Crypto("seal the secret"))?;
    file.sealed = STANDARD.encode(bytes.as_slice());
    let text = serde_json::to_vec_pretty(&file).map_err(|_| CustodianError::Crypto("write the secret"))?;
    write_new(path, &text)
}

/// The same; a key file that is not there is made first.
pub(crate) fn seal_to_new(
    path: &Path,
    function: Function,
    secret: &FunctionSecret,
    credential: &Credential,
) -> Result<(), CustodianError> {
    if credential.kind == CredentialKind::Key && !credential.file.exists() {
        create_key_file(&credential.file)?;
    }
    seal(path, function, secret, credential)
}

/// Opens a sealed secret, and checks that it is that of this function.
pub(crate) fn open(path: &Path, function: Function, credential: &Credential) -> Result<FunctionSecret, CustodianError> {
    let bad = |why: String| CustodianError::Secret { path: path.to_owned(), why };
    let file: SealedFile = serde_json::from_slice(&read_private(path)?).map_err(|error| bad(error.to_string()))?;
    if file.version != VERSION || file.iterations > MAX_ITERATIONS {
        return Err(bad(format!("version {} or its iterations are not supported", file.version)));
    }
    if file.function != function {
        return Err(bad(format!("it is the secret of {}, and this custodian is of {function}", file.function)));
    }
    if file.credential != credential.kind {
        return Err(bad("it was sealed with the other kind of credential".into()));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|error| bad(error.to_string()));
    let nonce =
        Nonce::try_assume_unique_for_key(&decode(&file.nonce)?).map_err(|_| bad("its nonce is broken".into()))?;
    let key = derive(credential, &decode(&file.salt)?, file.iterations)?;
    let mut bytes = Zeroizing::new(decode(&file.sealed)?);
    let secret = key
        .open_in_place(nonce, Aad::from(file.aad()), &mut bytes)
        .map_err(|_| bad("it does not open: the credential is another one, or the file was changed".into()))?;
    FunctionSecret::from_bytes(secret).map_err(|error| bad(error.to_string()))
}

fn derive(credential: &Credential, salt: &[u8], iterations: u32) -> Result<LessSafeKey, CustodianError> {
    let refuse = |why| Err(CustodianError::Credential { path: credential.file.clone(), why });
    let secret = match read_private(&credential.file) {
        Ok(secret) => secret,
        Err(CustodianError::Secret { .. }) => return refuse("others than its owner may read it: chmod 600"),
        Err(error) => return Err(error),
    };
    let mut key = Zeroizing::new([0_u8; 32]);
    match credential.kind {
        CredentialKind::Key if secret.len() < MIN_KEY_BYTES => {
            return refuse("a key file has at least 32 random bytes");
        }
        CredentialKind::Key => {
            let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&secret);
            let okm = prk.expand(&[INFO], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice()));
            okm.map_err(|_| CustodianError::Crypto("derive a key"))?;
        }
        CredentialKind::Passphrase => {
            let text = secret.strip_suffix(b"\n").unwrap_or(&secret);
            if text.len() < MIN_PASSPHRASE_BYTES {
                return refuse("a passphrase has at least 16 characters");
            }
            let iterations = NonZeroU32::new(iterations).ok_or(CustodianError::Crypto("derive a key in no rounds"))?;
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, text, key.as_mut_slice());
        }
    }
    let unbound = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice()).map_err(|_| CustodianError::Crypto("use a key"))?;
    Ok(LessSafeKey::new(unbound))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_opens_with_its_own_credential_only() {
        let folder = std::env::temp_dir().join(format!("drieslot-secret-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let secret = FunctionSecret::generate().unwrap();
        let file = |name: &str| folder.join(name);
        let credential = |name: &str, kind| Credential { file: folder.join(name), kind };
        write(&file("passphrase"), b"correct horse battery\n", 0o600);
        write(&file("bare"), b"correct horse battery", 0o600);
        write(&file("other"), b"incorrect horse battery", 0o600);
        write(&file("short"), b"horse", 0o600);
        write(&file("readable"), b"correct horse battery", 0o640);
        create_key_file(&file("key")).unwrap();
        create_key_file(&file("key2")).unwrap();
        assert!(matches!(create_key_file(&file("key")), Err(CustodianError::Exists(_))));

        use CredentialKind::{Key, Passphrase};
        let (by_text, by_key) = (file("by-text"), file("by-key"));
        seal(&by_text, Function::Keys, &secret, &credential("passphrase", Passphrase)).unwrap();
        seal(&by_key, Function::Keys, &secret, &credential("key", Key)).unwrap();
        let opened = |path: &Path, function, name: &str, kind| open(path, function, &credential(name, kind));
        for good in [
            opened(&by_text, Function::Keys, "passphrase", Passphrase),
            opened(&by_text, Function::Keys, "bare", Passphrase),
            opened(&by_key, Function::Keys, "key", Key),
        ] {
            assert_eq!(good.unwrap().expose(), secret.expose());
        }
        for bad in [
            opened(&by_text, Function::Keys, "other", Passphrase),
            opened(&by_text, Function::Keys, "short", Passphrase),
            opened(&by_text, Function::Keys, "readable", Passphrase),
            opened(&by_text, Function::Keys, "key", Key),
            opened(&by_text, Function::Access, "passphrase", Passphrase),
            opened(&by_key, Function::Keys, "key2", Key),
            opened(&by_key, Function::Keys, "none", Key),
        ] {
            assert!(!format!("{:?}", bad.unwrap_err()).contains("horse"));
        }
        assert!(matches!(
            seal(&by_key, Function::Keys, &secret, &credential("key", Key)),
            Err(CustodianError::Exists(_))
        ));
        // Claimed to be of another function: authenticated, so it does not open.
        let text = fs::read_to_string(&by_key).unwrap();
        write(&file("forged"), text.replace("\"keys\"", "\"access\"").as_bytes(), 0o600);
        assert!(opened(&file("forged"), Function::Access, "key", Key).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
