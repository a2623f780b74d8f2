//! The TLS identity of one part: a self-signed certificate and its key, in a folder of its own.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;

use crate::{Fingerprint, LinkError};

const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Who a part is on the network. The key never leaves this crate; peers know it by its fingerprint alone.
pub struct TlsIdentity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    fingerprint: Fingerprint,
}

impl TlsIdentity {
    /// Makes a new ECDSA P-256 key and a certificate in `name`, and writes `cert.pem` and `key.pem` (mode 0600) to
    /// `folder`, which is made (mode 0700) where it does not exist.
    ///
    /// # Errors
    /// `Exists` where the folder holds an identity; `File`.
    pub fn create(folder: &Path, name: &str) -> Result<Self, LinkError> {
        let bad = |error: rcgen::Error| LinkError::Identity { path: folder.to_owned(), why: error.to_string() };
        let mut params = CertificateParams::new(Vec::new()).map_err(bad)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().map_err(bad)?;
        let certificate = params.self_signed(&key).map_err(bad)?;
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(at(folder))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(at(folder))?;
        }
        // The key first: a certificate without its key would look like an identity.
        write_new(&folder.join(KEY), key.serialize_pem().as_bytes(), 0o600)?;
        write_new(&folder.join(CERTIFICATE), certificate.pem().as_bytes(), 0o644)?;
        Self::load(folder)
    }

    /// Reads the folder that [`TlsIdentity::create`] made.
    ///
    /// # Errors
    /// `File`; `Identity` where the files are malformed or others may read the key.
    pub fn load(folder: &Path) -> Result<Self, LinkError> {
        let bad = |why: String| LinkError::Identity { path: folder.to_owned(), why };
        let key_path = folder.join(KEY);
        let mode = fs::metadata(&key_path).map_err(at(&key_path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(bad(format!("others may read {KEY} (mode {:o}): set it to 0600", mode & 0o777)));
        }
        let pem = fs::read(&key_path).map_err(at(&key_path))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| bad(format!("{KEY} is not a private key in PEM")))?;
        let certificate_path = folder.join(CERTIFICATE);
        let pem = fs::read(&certificate_path).map_err(at(&certificate_path))?;
        let certificate = CertificateDer::from_pem_slice(&pem)
            .map_err(|_| bad(format!("{CERTIFICATE} is not a certificate in PEM")))?;
        let fingerprint = fingerprint_of(&certificate).map_err(|error| bad(error.to_string()))?;
        Ok(Self { certificate, key, fingerprint })
    }

    /// What peers pin.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The fingerprint of the key in a certificate.
pub(crate) fn fingerprint_of(certificate: &CertificateDer<'_>) -> Result<Fingerprint, rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Fingerprint::of_spki(&parsed.subject_public_key_info()))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> LinkError + use<> {
    let path = PathBuf::from(path);
    move |source| LinkError::File { path, source }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), LinkError> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(|source| match source.kind() == std::io::ErrorKind::AlreadyExists {
        true => LinkError::Exists(path.parent().unwrap_or(path).to_owned()),
        false => LinkError::File { path: path.to_owned(), source },
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(path))
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({}, …)", self.fingerprint)
    }
}
