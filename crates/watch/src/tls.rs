//! TLS towards receivers: certificates that end in the roots that are named, for the host that is named, and nothing else.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::WatchError;

pub(crate) fn trusting(root_certificate: &Path) -> Result<TlsConnector, WatchError> {
    let bad = |error: &dyn std::fmt::Display| WatchError::Config(format!("{}: {error}", root_certificate.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root_certificate).map_err(|error| bad(&error))? {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(bad(&"holds no PEM certificate"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(|error| bad(&error))?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The host of `host:port`.
pub(crate) fn server_name(address: &str) -> Result<ServerName<'static>, WatchError> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).map_err(|error| WatchError::Config(format!("{address}: {error}")))
}
