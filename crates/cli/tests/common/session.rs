//! Sessions of `tokio-postgres`: the application's through the gateway, and the superuser's over the socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls};
use tokio_rustls::TlsConnector;

use super::{DATABASE, Trial};

/// TLS with the gateway's root certificate as the only one that is trusted.
#[derive(Clone)]
pub(crate) struct Tls(pub(crate) Arc<rustls::ClientConfig>);

pub(crate) struct Stream(tokio_rustls::client::TlsStream<TcpStream>);

/// TLS that trusts one root only.
pub(crate) fn trusting(root: &std::path::Path) -> Tls {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Tls(Arc::new(config.unwrap().with_root_certificates(roots).with_no_client_auth()))
}

impl Trial {
    pub(crate) fn tls(&self) -> Tls {
        trusting(&self.data().join("gateway/root.crt"))
    }

    pub(crate) fn app_config(&self) -> Config {
        let password = std::fs::read_to_string(self.data().join("application/password")).unwrap();
        let mut config = Config::new();
        config.user("app").password(password.trim()).dbname(DATABASE).options("-c TimeZone=Europe/Brussels");
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        config
    }

    pub(crate) async fn app_stream(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Opens a session of the application.
    pub(crate) async fn try_app_session(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.app_config().connect_raw(self.app_stream().await, self.tls()).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The same, waiting while a processor that was killed recovers.
    pub(crate) async fn app_session(&self) -> Client {
        let started = std::time::Instant::now();
        loop {
            match self.try_app_session().await {
                Ok(client) => return client,
                Err(error) => {
                    let starting = error.as_db_error().and_then(|e| e.detail()).is_some_and(|d| d.contains("57P03"));
                    assert!(starting && started.elapsed().as_secs() < 30, "no session: {error:?}");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// Opens a session of the processor's superuser.
    pub(crate) async fn superuser_session(&self, database: &str) -> Client {
        let password = std::fs::read_to_string(self.processor().join("superuser.password")).unwrap();
        let mut config = Config::new();
        config.host_path(self.processor()).port(self.port + 1).user("postgres").password(password.trim());
        let (client, connection) =
            config.dbname(database).options("-c TimeZone=Europe/Brussels").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// The SQLSTATE of an error of the server.
pub(crate) fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| format!("no SQLSTATE: {error:?}"), |code| code.code().to_owned())
}

impl TlsConnect<TcpStream> for Tls {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
            TlsConnector::from(self.0).connect(name, stream).await.map(Stream)
        })
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
