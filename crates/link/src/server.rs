//! One server loop: accepts, checks who it is at every connection and again at every request, and hands requests on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::identity::fingerprint_of;
use crate::pinning::{Authorise, server_config};
use crate::{Fingerprint, LinkError, MAX_BODY_BYTES, TlsIdentity};

/// The two methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Changes something, or asks with a body.
    Post,
}

/// One request, read in full.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Such as `/share`.
    pub path: String,
    /// What follows the `?`, as sent; empty where there is none.
    pub query: String,
    /// At most [`MAX_BODY_BYTES`].
    pub body: Bytes,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// At most [`MAX_BODY_BYTES`], unless the peer takes more.
    pub body: Bytes,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
    /// `Content-Type`.
    pub content_type: Option<&'static str>,
    /// `Cache-Control`.
    pub cache_control: Option<&'static str>,
}

impl Response {
    /// An answer of any status.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), retry_after_s: None, content_type: None, cache_control: None }
    }

    /// 429: asked too often.
    pub fn too_many(why: impl Into<Bytes>, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(429, why) }
    }
}

/// What a server allows its peers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the listen queue.
    pub connections: usize,
    /// Connections of one peer at once; more are closed, so that no peer takes the others' places.
    pub connections_per_peer: usize,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// For a request's head, and for the wait between requests.
    pub head_timeout: Duration,
    /// For a request's body.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 1_000,
            connections_per_peer: 64,
            handshake_timeout: seconds(10),
            head_timeout: seconds(60),
            body_timeout: seconds(10),
        }
    }
}

/// Serves with the default [`Limits`] until the future is dropped, which also ends all connections.
///
/// `authorise` is asked at every connection and at every request. `handler` gets the peer's fingerprint.
///
/// # Errors
/// `Setup` where the identity cannot be used. It does not return otherwise.
pub async fn serve<A, H, F>(
    listener: TcpListener,
    identity: Arc<TlsIdentity>,
    authorise: A,
    handler: H,
) -> Result<(), LinkError>
where
    A: Fn(&Fingerprint) -> bool + Send + Sync + 'static,
    H: Fn(Fingerprint, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    serve_with_limits(listener, identity, authorise, handler, Limits::default()).await
}

/// As [`serve`], with limits of one's own.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with_limits<A, H, F>(
    listener: TcpListener,
    identity: Arc<TlsIdentity>,
    authorise: A,
    handler: H,
    limits: Limits,
) -> Result<(), LinkError>
where
    A: Fn(&Fingerprint) -> bool + Send + Sync + 'static,
    H: Fn(Fingerprint, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let authorise: Authorise = Arc::new(authorise);
    let config = server_config(&identity, Arc::clone(&authorise))?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let door = Arc::new(Door { acceptor, authorise, handler, limits, present: Mutex::default() });
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        match listener.accept().await {
            Ok((socket, _)) => {
                connections.spawn(Arc::clone(&door).connection(socket, place));
            }
            Err(error) => {
                // Out of descriptors, or the peer left already: neither ends the service.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

struct Door<H> {
    acceptor: TlsAcceptor,
    authorise: Authorise,
    handler: H,
    limits: Limits,
    /// Connections of each peer. Changed by [`Present`] alone.
    present: Mutex<HashMap<Fingerprint, usize>>,
}

/// One connection of a peer, while it lasts.
struct Present<'a> {
    peers: &'a Mutex<HashMap<Fingerprint, usize>>,
    peer: Fingerprint,
}

impl<'a> Present<'a> {
    fn enter(peers: &'a Mutex<HashMap<Fingerprint, usize>>, peer: Fingerprint, most: usize) -> Option<Self> {
        let mut counts = peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Self { peers, peer })
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut counts = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
        }
        counts.retain(|_, count| *count > 0);
    }
}

impl<H, F> Door<H>
where
    H: Fn(Fingerprint, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    async fn connection(self: Arc<Self>, socket: TcpStream, _place: OwnedSemaphorePermit) {
        let _ = socket.set_nodelay(true);
        let tls = match timeout(self.limits.handshake_timeout, self.acceptor.accept(socket)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::info!(%error, "a peer was refused at the TLS handshake"),
            Err(_) => return tracing::info!("a peer was too slow with its TLS handshake"),
        };
        let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let Some(Ok(peer)) = certificate.map(fingerprint_of) else { return };
        let Some(_present) = Present::enter(&self.present, peer, self.limits.connections_per_peer) else {
            return tracing::warn!(%peer, "a peer has too many connections; this one is closed");
        };
        let head_timeout = self.limits.head_timeout;
        let door = Arc::clone(&self);
        let service = service_fn(move |request| {
            let door = Arc::clone(&door);
            async move { Ok::<_, Infallible>(door.answer(peer, request).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .serve_connection(TokioIo::new(tls), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "a connection ended");
        }
    }

    async fn answer(&self, peer: Fingerprint, request: hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
        let answer = match (self.authorise)(&peer) {
            false => Response::new(403, "this key is not, or no longer, allowed here"),
            true => match self.read(request).await {
                Ok(request) => (self.handler)(peer, request).await,
                Err(refusal) => refusal,
            },
        };
        answer.into_hyper()
    }

    async fn read(&self, request: hyper::Request<Incoming>) -> Result<Request, Response> {
        let (head, body) = request.into_parts();
        let method = match head.method {
            hyper::Method::GET => Method::Get,
            hyper::Method::POST => Method::Post,
            _ => return Err(Response::new(405, "only GET and POST are served")),
        };
        let body = match timeout(self.limits.body_timeout, Limited::new(body, MAX_BODY_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(Response::new(413, "the body is broken off or larger than 1 MiB")),
            Err(_) => return Err(Response::new(408, "the body came too slowly")),
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        Ok(Request { method, path: head.uri.path().to_owned(), query, body })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;

    use super::{Limits, Response, serve_with_limits};
    use crate::TlsIdentity;
    use crate::pinning::client_config;

    #[tokio::test]
    async fn a_peer_has_its_own_places_and_not_the_others() {
        let folder = std::env::temp_dir().join(format!("drieslot-places-{}", std::process::id()));
        let identity = |name: &str| Arc::new(TlsIdentity::create(&folder.join(name), name).unwrap());
        let (me, one, two) = (identity("me"), identity("one"), identity("two"));
        std::fs::remove_dir_all(&folder).unwrap();
        let limits = Limits { connections_per_peer: 2, ..Limits::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = |_, _| std::future::ready(Response::new(200, "ok"));
        let server = tokio::spawn(serve_with_limits(listener, Arc::clone(&me), |_| true, handler, limits));
        let ask = async |peer: &TlsIdentity| {
            let connector = TlsConnector::from(Arc::new(client_config(peer, me.fingerprint()).unwrap()));
            let socket = TcpStream::connect(address).await.unwrap();
            let mut tls = connector.connect("drieslot".try_into().unwrap(), socket).await.unwrap();
            tls.write_all(b"GET / HTTP/1.1\r\nhost: drieslot\r\n\r\n").await.unwrap();
            let mut bytes = [0; 64];
            let count = tls.read(&mut bytes).await.unwrap_or(0);
            (tls, String::from_utf8_lossy(&bytes[..count]).contains("200"))
        };
        let (first, second) = (ask(&one).await, ask(&one).await);
        assert!(first.1 && second.1);
        assert!(!ask(&one).await.1, "a third connection of the same peer is served");
        assert!(ask(&two).await.1, "another peer is not served");
        drop(first);
        let begun = Instant::now();
        while !ask(&one).await.1 {
            assert!(begun.elapsed() < Duration::from_secs(5), "a place that was left stays taken");
        }
        server.abort();
    }

    /// Admitted peers that dribble a head or a body, one byte at a time.
    #[tokio::test]
    async fn a_dribbled_head_or_body_is_cut_off() {
        let folder = std::env::temp_dir().join(format!("drieslot-dribble-{}", std::process::id()));
        let me = Arc::new(TlsIdentity::create(&folder, "one").unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
        let timeout = Duration::from_millis(400);
        let limits = Limits { head_timeout: timeout, body_timeout: timeout, ..Limits::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = |_, _| std::future::ready(Response::new(200, "ok"));
        let server = tokio::spawn(serve_with_limits(listener, Arc::clone(&me), |_| true, handler, limits));
        let connector = TlsConnector::from(Arc::new(client_config(&me, me.fingerprint()).unwrap()));
        for (start, expected) in
            [("GET / HTTP/1.1\r\nx: ", ""), ("POST / HTTP/1.1\r\ncontent-length: 900\r\n\r\n", "408")]
        {
            let socket = TcpStream::connect(address).await.unwrap();
            let mut tls = connector.connect("drieslot".try_into().unwrap(), socket).await.unwrap();
            tls.write_all(start.as_bytes()).await.unwrap();
            let begun = Instant::now();
            let mut answer = Vec::new();
            loop {
                let mut bytes = [0; 512];
                match tokio::time::timeout(Duration::from_millis(50), tls.read(&mut bytes)).await {
                    Ok(Ok(0) | Err(_)) => break,
                    Ok(Ok(n)) => answer.extend_from_slice(&bytes[..n]),
                    Err(_) if tls.write_all(b"x").await.is_err() => break,
                    Err(_) => {}
                }
                assert!(begun.elapsed() < Duration::from_secs(5), "{start}: still open");
            }
            assert!(String::from_utf8_lossy(&answer).contains(expected), "{start}: {answer:?}");
        }
        server.abort();
    }
}
