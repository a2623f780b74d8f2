//! What a part says of itself to Prometheus: counters and gauges over plain HTTP, on a loopback address only. Labels and their
//! values are words of the program, so that no name or value of anybody can get into one.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::LinkError;

/// Scrapes at once; more are closed.
const MAX_AT_ONCE: usize = 4;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// `127.0.0.1:PORT` or `[::1]:PORT`: who is on this machine may read metrics, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SocketAddr")]
pub struct MetricsAddress(SocketAddr);

impl TryFrom<SocketAddr> for MetricsAddress {
    type Error = &'static str;

    fn try_from(address: SocketAddr) -> Result<Self, Self::Error> {
        match address.ip().is_loopback() {
            true => Ok(Self(address)),
            false => Err("metrics are served on a loopback address only, such as 127.0.0.1:9464"),
        }
    }
}

/// One metric and its samples.
#[derive(Clone, Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    label: Option<&'static str>,
    samples: Vec<(&'static str, u64)>,
}

impl Metric {
    /// A number that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: "gauge", label: None, samples: vec![("", value)] }
    }

    /// A number that only grows, from 0 at the start of the process.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { kind: "counter", ..Self::gauge(name, help, value) }
    }

    /// Counters of one name, told apart by a label.
    pub fn counters(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        samples: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self { name, help, kind: "counter", label: Some(label), samples: samples.into_iter().collect() }
    }
}

/// The [text format](https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4.
fn render(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, help, kind, label, samples } in metrics {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (value, number) in samples {
            let _ = match label {
                Some(label) => writeln!(text, "{name}{{{label}=\"{value}\"}} {number}"),
                None => writeln!(text, "{name} {number}"),
            };
        }
    }
    text
}

/// Serves `GET /metrics` until the future is dropped; for ever nothing where no address is given.
///
/// # Errors
/// `Listen`. It does not return otherwise.
pub async fn serve_metrics(
    address: Option<MetricsAddress>,
    read: impl Fn() -> Vec<Metric> + Send + Sync + 'static,
) -> Result<Infallible, LinkError> {
    let Some(MetricsAddress(address)) = address else { return std::future::pending().await };
    let listener = TcpListener::bind(address).await.map_err(|source| LinkError::Listen { address, source })?;
    let (read, places) = (Arc::new(read), Arc::new(Semaphore::new(MAX_AT_ONCE)));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &*read))));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
            drop(place);
        });
    }
}

fn answer<B>(request: &hyper::Request<B>, read: &impl Fn() -> Vec<Metric>) -> hyper::Response<Full<Bytes>> {
    let asked = (request.method() == hyper::Method::GET, request.uri().path());
    let (status, body) = match asked {
        (true, "/metrics") => (hyper::StatusCode::OK, render(&read())),
        (_, _) => (hyper::StatusCode::NOT_FOUND, "GET /metrics, and nothing else\n".to_owned()),
    };
    let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_prometheus_reads_them() {
        let counters = Metric::counters("a_total", "How many.", "outcome", [("given", 2), ("refused", 0)]);
        let text = render(&[counters, Metric::gauge("b", "Now.", 7)]);
        let expected = "# HELP a_total How many.\n# TYPE a_total counter\na_total{outcome=\"given\"} 2\n\
                        a_total{outcome=\"refused\"} 0\n# HELP b Now.\n# TYPE b gauge\nb 7\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn metrics_are_for_this_machine_only() {
        for (address, good) in
            [("127.0.0.1:9464", true), ("[::1]:9464", true), ("0.0.0.0:9464", false), ("10.0.0.1:1", false)]
        {
            assert_eq!(MetricsAddress::try_from(address.parse::<SocketAddr>().unwrap()).is_ok(), good, "{address}");
        }
    }
}
