//! Making a new custodian: its secret, its identity key and its TLS identity, in one folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use drieslot_journal::IdentityKey;
use drieslot_link::{Fingerprint, TlsIdentity};
use drieslot_register::Function;
use drieslot_register::signature::identity_public_key;
use drieslot_seal::FunctionSecret;

use crate::CustodianError;
use crate::secret::{self, Credential};
use crate::token::TokenConfig;

/// Name of the sealed secret in a custodian's folder.
pub const SECRET_FILE: &str = "secret.sealed";
/// Name of the identity key in a custodian's folder.
pub const KEY_FILE: &str = "identity.key";
/// Name of the folder of the TLS identity in a custodian's folder.
pub const TLS_FOLDER: &str = "tls";

/// What the charter says of a custodian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Fingerprint of its TLS key.
    pub tls: Fingerprint,
    /// Its identity key, `ssh-ed25519 AAAA…`.
    pub key: String,
}

/// Where a new custodian's secret is to be.
#[derive(Clone, Debug)]
pub enum NewSecret<'a> {
    /// In `secret.sealed`, sealed to a credential. One of kind `key` whose file does not exist is made too.
    File(&'a Credential),
    /// In a token, which draws it itself.
    Token(&'a TokenConfig),
}

/// Makes `secret.sealed`, `identity.key` and `tls/` in a folder, all private to its owner; with a token the
/// secret is made there.
///
/// # Errors
/// `Exists` where the folder holds any of them, before anything is written; `Credential`, `Token`, `File`, `Crypto`.
pub fn init(
    folder: &Path,
    name: &str,
    function: Function,
    new: &NewSecret<'_>,
) -> Result<Introduction, CustodianError> {
    let (secret_path, key_path, tls) = (folder.join(SECRET_FILE), folder.join(KEY_FILE), folder.join(TLS_FOLDER));
    if let Some(there) = [&secret_path, &key_path, &tls].into_iter().find(|path| path.exists()) {
        return Err(CustodianError::Exists(there.clone()));
    }
    let at = |source| CustodianError::File { path: folder.to_owned(), source };
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(at)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(at)?;
    }
    match new {
        NewSecret::Token(token) => token.generate()?,
        NewSecret::File(credential) => {
            let made = FunctionSecret::generate().map_err(|_| CustodianError::Crypto("draw a secret"))?;
            secret::seal_to_new(&secret_path, function, &made, credential)?;
        }
    }
    let key = IdentityKey::generate()?;
    key.save(&key_path)?;
    let identity = TlsIdentity::create(&tls, name)?;
    Ok(Introduction { tls: identity.fingerprint(), key: identity_public_key(&key)? })
}
