//! Plain HTTP on a loopback address: for who is on this machine, and for a proxy there that guards it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::LinkError;
use crate::server::Response;

/// Connections at once; more are closed.
const MAX_AT_ONCE: usize = 32;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// `127.0.0.1:PORT` or `[::1]:PORT`: who is on this machine may ask, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SocketAddr")]
pub struct LoopbackAddress(SocketAddr);

impl LoopbackAddress {
    /// Address and port.
    pub fn get(self) -> SocketAddr {
        self.0
    }
}

impl TryFrom<SocketAddr> for LoopbackAddress {
    type Error = &'static str;

    fn try_from(address: SocketAddr) -> Result<Self, Self::Error> {
        match address.ip().is_loopback() {
            true => Ok(Self(address)),
            false => Err("plain HTTP is served on a loopback address only, such as 127.0.0.1:9464"),
        }
    }
}

/// Answers `GET` by path until the future is dropped; `keep_alive` is for clients that ask for many things.
///
/// # Errors
/// `Listen`. It does not return otherwise.
pub async fn serve_local<H, F>(address: LoopbackAddress, keep_alive: bool, handler: H) -> Result<Infallible, LinkError>
where
    H: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let address = address.get();
    let listener = TcpListener::bind(address).await.map_err(|source| LinkError::Listen { address, source })?;
    let (handler, places) = (Arc::new(handler), Arc::new(Semaphore::new(MAX_AT_ONCE)));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let handler = Arc::clone(&handler);
                async move {
                    let answer = match *request.method() {
                        hyper::Method::GET => handler(request.uri().path().to_owned()).await,
                        _ => Response::new(405, "only GET is served\n"),
                    };
                    Ok::<_, Infallible>(answer.into_hyper())
                }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(keep_alive);
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
            drop(place);
        });
    }
}

impl Response {
    pub(crate) fn into_hyper(self) -> hyper::Response<Full<Bytes>> {
        let mut response = hyper::Response::new(Full::new(self.body));
        *response.status_mut() =
            hyper::StatusCode::from_u16(self.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(hyper::header::RETRY_AFTER, seconds.into());
        }
        if let Some(kind) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(cache) = self.cache_control {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for (address, good) in
            [("127.0.0.1:9464", true), ("[::1]:9464", true), ("0.0.0.0:9464", false), ("10.0.0.1:1", false)]
        {
            assert_eq!(LoopbackAddress::try_from(address.parse::<SocketAddr>().unwrap()).is_ok(), good, "{address}");
        }
    }
}
