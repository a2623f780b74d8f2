//! A client of one peer: keeps connections alive, reconnects, and gives up in time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::pinning::client_config;
use crate::{Fingerprint, LinkError, LoopbackAddress, MAX_BODY_BYTES, Response, TlsIdentity};

/// Requests at once to one peer; more wait.
const MAX_AT_ONCE: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How the peer is reached.
enum Way {
    /// By mutual TLS.
    Tls { peer: Fingerprint, own: Fingerprint, connector: TlsConnector },
    /// By plain HTTP on this machine.
    Local,
}

/// Speaks to one peer, known by its fingerprint. Connects at the first request.
pub struct Client {
    address: String,
    way: Way,
    max_body_bytes: usize,
    /// Connections that no request uses at the moment.
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    at_once: Semaphore,
}

impl Client {
    /// `address` is `host:port`.
    ///
    /// # Errors
    /// `Setup` where the identity cannot be used.
    pub fn new(identity: &TlsIdentity, peer: Fingerprint, address: impl Into<String>) -> Result<Self, LinkError> {
        let connector = TlsConnector::from(Arc::new(client_config(identity, peer)?));
        let way = Way::Tls { peer, own: identity.fingerprint(), connector };
        Ok(Self::by(way, address.into()))
    }

    /// A server of plain HTTP on this machine.
    pub fn local(address: LoopbackAddress) -> Self {
        Self::by(Way::Local, address.get().to_string())
    }

    fn by(way: Way, address: String) -> Self {
        let (idle, at_once) = (Mutex::new(Vec::new()), Semaphore::new(MAX_AT_ONCE));
        Self { address, way, max_body_bytes: MAX_BODY_BYTES, idle, at_once }
    }

    /// Takes longer bodies than [`MAX_BODY_BYTES`].
    #[must_use]
    pub fn taking(self, max_body_bytes: usize) -> Self {
        Self { max_body_bytes, ..self }
    }

    /// `host:port` of the peer.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// GET; `target` is path and query. Status and body; at most 10 s.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Answer`.
    pub async fn get(&self, target: &str) -> Result<(u16, Bytes), LinkError> {
        self.get_within(target, ANSWER_TIMEOUT).await
    }

    /// As [`Client::get`], with a time limit of one's own (a long poll).
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Answer`.
    pub async fn get_within(&self, target: &str, limit: Duration) -> Result<(u16, Bytes), LinkError> {
        let answer = self.send(hyper::Method::GET, target, Bytes::new(), limit).await?;
        Ok((answer.status, answer.body))
    }

    /// POST; status and body; at most 10 s.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Answer`.
    pub async fn post(&self, target: &str, body: impl Into<Bytes>) -> Result<(u16, Bytes), LinkError> {
        let answer = self.post_for_answer(target, body).await?;
        Ok((answer.status, answer.body))
    }

    /// As [`Client::post`], with what the answer's head says.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Answer`.
    pub async fn post_for_answer(&self, target: &str, body: impl Into<Bytes>) -> Result<Response, LinkError> {
        self.send(hyper::Method::POST, target, body.into(), ANSWER_TIMEOUT).await
    }

    async fn send(
        &self,
        method: hyper::Method,
        target: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, LinkError> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(target)
            .header(hyper::header::HOST, self.host())
            .body(Full::new(body))
            .map_err(|error| self.answer(error))?;
        let exchange = async {
            let _turn = self.at_once.acquire().await.map_err(|error| self.answer(error))?;
            self.exchange(request).await
        };
        let late = |_| LinkError::Timeout { address: self.address.clone(), after_ms: limit.as_millis() };
        timeout(limit, exchange).await.map_err(late)?
    }

    async fn exchange(&self, mut request: hyper::Request<Full<Bytes>>) -> Result<Response, LinkError> {
        // A kept connection may have been closed meanwhile; only a request that never left is sent again.
        while let Some(mut sender) = self.take_idle() {
            match sender.try_send_request(request).await {
                Ok(response) => return self.read(sender, response).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.broken(&error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        self.read(sender, response).await
    }

    async fn read(
        &self,
        sender: SendRequest<Full<Bytes>>,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Response, LinkError> {
        let status = response.status().as_u16();
        // A date, which HTTP allows too, is not used between parts.
        let retry_after = response.headers().get(hyper::header::RETRY_AFTER);
        let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), self.max_body_bytes).collect().await;
        let body = body.map_err(|error| self.answer(error))?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(Response { retry_after_s, ..Response::new(status, body) })
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, LinkError> {
        let late = |_| self.unreachable(&format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
        timeout(CONNECT_TIMEOUT, self.handshake()).await.map_err(late)?
    }

    async fn handshake(&self) -> Result<SendRequest<Full<Bytes>>, LinkError> {
        let socket = TcpStream::connect(&self.address).await.map_err(|error| self.unreachable(&error))?;
        socket.set_nodelay(true).map_err(|error| self.unreachable(&error))?;
        let Way::Tls { peer, connector, .. } = &self.way else { return self.speak(socket).await };
        let name = ServerName::try_from("drieslot").map_err(|error| self.unreachable(&error))?;
        let tls = connector.connect(name, socket).await.map_err(|error| self.tls_refused(&error, *peer))?;
        self.speak(tls).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, LinkError> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(sender)
    }

    fn host(&self) -> &str {
        match self.way {
            Way::Tls { .. } => "drieslot",
            Way::Local => &self.address,
        }
    }

    fn tls_refused(&self, error: &std::io::Error, peer: Fingerprint) -> LinkError {
        let wrong_key = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
        match wrong_key {
            true => self.unreachable(&format!("it shows another TLS key than {peer}, so it is not trusted")),
            false => self.unreachable(error),
        }
    }

    /// In TLS 1.3 a server's refusal of this side's key arrives only now.
    fn broken(&self, error: &hyper::Error) -> LinkError {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            let text = inner.to_string();
            if !why.ends_with(&text) {
                why = format!("{why}: {text}");
            }
            source = inner.source();
        }
        match self.way {
            Way::Tls { own, .. } => self.answer(format!("{why} (does it know this part's TLS key {own}?)")),
            Way::Local => self.answer(why),
        }
    }

    fn unreachable(&self, why: &dyn fmt::Display) -> LinkError {
        LinkError::Unreachable { address: self.address.clone(), why: why.to_string() }
    }

    fn answer(&self, why: impl fmt::Display) -> LinkError {
        LinkError::Answer { address: self.address.clone(), why: why.to_string() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Tls { peer, .. } => write!(f, "Client({}, {peer})", self.address),
            Way::Local => write!(f, "Client({})", self.address),
        }
    }
}
