//! TLS towards applications and towards the processor.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::GatewayError;
use crate::certificate::end_point;
use crate::config::{Backend, BackendRole, BackendTls, Config};

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

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, GatewayError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| GatewayError::Config(format!("{}: no PEM private key: {error}", path.display())))
}

fn roots(path: &Path) -> Result<RootCertStore, GatewayError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| GatewayError::Config(format!("{}: not a root: {error}", path.display())))?;
    }
    Ok(roots)
}

/// What applications connect to, and what their SCRAM can be bound to.
pub(crate) fn acceptor(config: &Config) -> Result<(TlsAcceptor, Option<Vec<u8>>), GatewayError> {
    let bad = |error: &dyn std::fmt::Display| GatewayError::Config(format!("TLS certificate and key: {error}"));
    let chain = certificates(&config.tls_certificate)?;
    let binding = chain.first().and_then(|own| end_point(own));
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    let builder = match &config.client_certificates {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(roots(&clients.root_certificate)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(&error))?)
        }
    };
    let mut server = builder.with_single_cert(chain, key(&config.tls_key)?).map_err(|error| bad(&error))?;
    // A resumed session would skip the verifier of client certificates.
    server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    // Direct TLS negotiation (PostgreSQL 17) asks for this protocol name.
    server.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(server)), binding))
}

/// A client that trusts certificates that end in these roots, and nothing else.
pub(crate) fn trusting(root_certificate: &Path) -> Result<TlsConnector, GatewayError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| GatewayError::Config(format!("TLS versions: {error}")))?;
    let config = builder.with_root_certificates(roots(root_certificate)?).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// How the processor is connected to as a role; `None` where TLS is disabled.
pub(crate) fn connector(
    backend: &Backend,
    entry: &str,
    role: &BackendRole,
) -> Result<Option<TlsConnector>, GatewayError> {
    if backend.tls == BackendTls::Disable {
        return Ok(None);
    }
    let roots = backend.root_certificate.as_deref().map(roots).transpose()?.unwrap_or_else(RootCertStore::empty);
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| GatewayError::Config(format!("TLS versions: {error}")))?
        .with_root_certificates(roots);
    let client = match (&role.certificate, &role.certificate_key) {
        (Some(certificate), Some(private)) => builder
            .with_client_auth_cert(certificates(certificate)?, key(private)?)
            .map_err(|error| GatewayError::Config(format!("{entry}: certificate and its key: {error}")))?,
        (Some(_), None) | (None, Some(_)) | (None, None) => builder.with_no_client_auth(),
    };
    Ok(Some(TlsConnector::from(Arc::new(client))))
}
