//! A client of one peer: keeps connections alive, reconnects, and gives up in time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::pinning::client_config;
use crate::{Fingerprint, LinkError, MAX_BODY_BYTES, Response, TlsIdentity};

/// Requests at once to one peer; more wait.
const MAX_AT_ONCE: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Speaks to one peer, known by its fingerprint. Connects at the first request.
pub struct Client {
    address: String,
    peer: Fingerprint,
    own: Fingerprint,
    connector: TlsConnector,
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
        let (idle, own) = (Mutex::new(Vec::new()), identity.fingerprint());
        Ok(Self { address: address.into(), peer, own, connector, idle, at_once: Semaphore::new(MAX_AT_ONCE) })
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
            .header(hyper::header::HOST, "drieslot")
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
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|error| self.answer(error))?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(Response { status, body, retry_after_s })
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
        let name = ServerName::try_from("drieslot").map_err(|error| self.unreachable(&error))?;
        let tls = self.connector.connect(name, socket).await.map_err(|error| self.tls_refused(&error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(tls)).await.map_err(|error| self.unreachable(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(sender)
    }

    fn tls_refused(&self, error: &std::io::Error) -> LinkError {
        let wrong_key = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
        match wrong_key {
            true => self.unreachable(&format!("it shows another TLS key than {}, so it is not trusted", self.peer)),
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
        self.answer(format!("{why} (does it know this part's TLS key {}?)", self.own))
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
        write!(f, "Client({}, {})", self.address, self.peer)
    }
}
