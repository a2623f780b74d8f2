//! `POST /add-checkpoint` over plain HTTP/1.1, with limits on everything that a stranger may take.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rate::{Rate, place};
use crate::{Answer, MAX_REQUEST_BYTES, Witness, WitnessConfig, WitnessError};

/// Connections at once; more wait in the listen queue.
const MAX_CONNECTIONS: usize = 1_000;
/// Connections of one address; more are closed.
const MAX_CONNECTIONS_OF_ONE: usize = 64;
/// For a request's head, and for the wait between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last, whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3600);

struct Door {
    witness: Arc<Witness>,
    rate: Rate,
    limited: AtomicU64,
    present: Mutex<HashMap<IpAddr, usize>>,
}

/// Serves until the future is dropped, which also ends all connections.
///
/// # Errors
/// `Listen`, `Link`. It does not return otherwise.
pub async fn serve(witness: Arc<Witness>, config: &WitnessConfig) -> Result<Infallible, WitnessError> {
    let address = config.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| WitnessError::Listen { address, source })?;
    let rate = Rate::new(config.requests_per_second);
    let started = witness.now();
    let door = Arc::new(Door { witness, rate, limited: AtomicU64::new(0), present: Mutex::default() });
    let measured = Arc::clone(&door);
    let metrics = drieslot_link::serve_metrics(config.metrics, move || {
        measured.witness.metrics(started, measured.limited.load(Ordering::Relaxed))
    });
    tracing::info!(listen = %address, "witness is ready");
    tokio::select! {
        never = accept(&door, &listener) => match never {},
        failed = metrics => Ok(failed?),
    }
}

async fn accept(door: &Arc<Door>, listener: &TcpListener) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(free) = Arc::clone(&places).acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((socket, address)) => {
                connections.spawn(Arc::clone(door).connection(socket, address, free));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection of an address, while it lasts.
struct Present<'a>(&'a Door, IpAddr);

impl<'a> Present<'a> {
    fn enter(door: &'a Door, address: IpAddr) -> Option<Self> {
        let mut present = door.present.lock().unwrap_or_else(PoisonError::into_inner);
        let count = present.entry(address).or_default();
        if *count >= MAX_CONNECTIONS_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Self(door, address))
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut present = self.0.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = present.get_mut(&self.1) {
            *count -= 1;
        }
        present.retain(|_, count| *count > 0);
    }
}

impl Door {
    async fn connection(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, _free: OwnedSemaphorePermit) {
        let Some(_present) = Present::enter(&self, place(peer.ip())) else { return };
        let _ = socket.set_nodelay(true);
        let door = Arc::clone(&self);
        let service = service_fn(move |request| {
            let door = Arc::clone(&door);
            async move { Ok::<_, Infallible>(door.answer(peer.ip(), request).await) }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        let served = timeout(CONNECTION_TIMEOUT, server.serve_connection(TokioIo::new(socket), service)).await;
        if let Ok(Err(error)) = served {
            tracing::debug!(%error, %peer, "a connection ended");
        }
    }

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != "/add-checkpoint" {
            return text(StatusCode::NOT_FOUND, "a witness serves POST /add-checkpoint\n");
        }
        if request.method() != Method::POST {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        if !self.rate.take(peer, Instant::now()) {
            self.limited.fetch_add(1, Ordering::Relaxed);
            let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
        // What is announced as too long is not waited for.
        if request.body().size_hint().lower() > u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX) {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n");
        }
        let body = match timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is broken off or too large\n"),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body came too slowly\n"),
        };
        let witness = Arc::clone(&self.witness);
        // In a thread of its own, for it writes; and to the end, even if the client goes.
        match tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await {
            Ok(answer) => response(answer),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "this witness is stopping\n"),
        }
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer {
        Answer::Cosigned(line) => text(status, line),
        Answer::Malformed(why) | Answer::NotSigned(why) | Answer::Unable(why) => text(status, why + "\n"),
        Answer::UnknownLog => text(status, "no log of this origin is known here\n"),
        Answer::NotConsistent => text(status, "the proof does not lead from what was cosigned to this checkpoint\n"),
        Answer::Conflict(size) => {
            let mut response = text(status, format!("{size}\n"));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/x.tlog.size"));
            response
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
