//! A session as an application has it: PostgreSQL over TLS to the gateway, checked against the trial's root.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as RustlsStream;

use crate::failure::failure;
use crate::files;

/// How an application of the trial reaches the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) role: String,
    pub(crate) password_file: PathBuf,
    pub(crate) root: PathBuf,
}

impl Application {
    /// Opens a session.
    pub(crate) async fn connect(&self, database: &str) -> Result<Client> {
        let password = files::read(&self.password_file)?;
        let mut config = tokio_postgres::Config::new();
        config.user(&self.role).dbname(database).password(password.trim()).application_name("drieslot up");
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.context("the gateway does not answer")?;
        stream.set_nodelay(true).context("a socket option")?;
        let connected = config.connect_raw(stream, connector(&self.root, &self.host)?).await;
        let (client, connection) = connected.map_err(|error| refused(&error)).context("no session at the gateway")?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// What to give to `psql`.
    pub(crate) fn connection_string(&self, database: &str) -> String {
        let (host, port, role, root) = (&self.host, self.port, &self.role, self.root.display());
        format!("host={host} port={port} user={role} dbname={database} sslmode=verify-full sslrootcert={root}")
    }
}

/// The server's own words, with its hint, rather than "db error".
pub(crate) fn refused(error: &tokio_postgres::Error) -> anyhow::Error {
    let Some(server) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return anyhow::anyhow!("{error}{cause}");
    };
    let detail = server.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let what = format!("{}{detail} (SQLSTATE {})", server.message(), server.code().code());
    match server.hint() {
        Some(hint) => failure(what, hint),
        None => anyhow::anyhow!(what),
    }
}

pub(crate) fn connector(root: &Path, host: &str) -> Result<Connector> {
    let host = ServerName::try_from(host.to_owned()).with_context(|| format!("{host} is no host name"))?;
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_file(root).with_context(|| format!("{} is no certificate", root.display()))?;
    roots.add(certificate).context("the trial's root certificate")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector(TlsConnector::from(Arc::new(config)), host))
}

pub(crate) struct Connector(TlsConnector, ServerName<'static>);

impl TlsConnect<TcpStream> for Connector {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move { self.0.connect(self.1, stream).await.map(Stream) })
    }
}

pub(crate) struct Stream(RustlsStream<TcpStream>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
