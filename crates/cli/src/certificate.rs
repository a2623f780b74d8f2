//! Certificates for a trial: an authority of its own for each side, and one server certificate for 127.0.0.1.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::files;

/// Where a side's certificates lie.
pub(crate) struct Certificates {
    /// What clients trust, PEM.
    pub(crate) root: PathBuf,
    /// The server's certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM, mode 0600.
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// The files' places in `folder`.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { root: folder.join("root.crt"), certificate: folder.join("server.crt"), key: folder.join("server.key") }
    }

    /// Makes them. The authority's key is not kept: nothing else can ever be issued in its name.
    pub(crate) fn create(&self, side: &str) -> Result<()> {
        let authority_key = KeyPair::generate().context("no key pair")?;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, format!("drieslot trial, {side}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let root = authority.self_signed(&authority_key).context("no root certificate")?;
        let issuer = Issuer::from_params(&authority, authority_key);

        let key = KeyPair::generate().context("no key pair")?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut server = CertificateParams::new(names).context("no certificate parameters")?;
        server.distinguished_name.push(DnType::CommonName, format!("{side} on this machine"));
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &issuer).context("no server certificate")?;
        files::write_secret(&self.key, &key.serialize_pem())?;
        files::write(&self.certificate, &certificate.pem())?;
        files::write(&self.root, &root.pem())
    }
}
