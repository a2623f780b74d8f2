//! TLS towards applications and towards the processor.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::GatewayError;
use crate::config::{BackendTls, Config};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, GatewayError> {
    let bad = |error| GatewayError::Config(format!("{}: no PEM certificate: {error}", path.display()));
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<_, _>>().map_err(bad)?;
    if found.is_empty() {
        return Err(GatewayError::Config(format!("{}: holds no PEM certificate", path.display())));
    }
    Ok(found)
}

/// What applications connect to.
pub(crate) fn acceptor(config: &Config) -> Result<TlsAcceptor, GatewayError> {
    let chain = certificates(&config.tls_certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.tls_key)
        .map_err(|error| GatewayError::Config(format!("{}: no PEM private key: {error}", config.tls_key.display())))?;
    let mut server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| GatewayError::Config(format!("TLS certificate and key: {error}")))?;
    // Direct TLS negotiation (PostgreSQL 17) asks for this protocol name.
    server.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// How the processor is connected to; `None` where TLS is disabled.
pub(crate) fn connector(config: &Config) -> Result<Option<TlsConnector>, GatewayError> {
    if config.backend.tls == BackendTls::Disable {
        return Ok(None);
    }
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = &config.backend.root_certificate {
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| GatewayError::Config(format!("{}: not a root: {error}", path.display())))?;
        }
    }
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| GatewayError::Config(format!("TLS versions: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(TlsConnector::from(Arc::new(client))))
}
