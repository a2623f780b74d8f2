//! What a part says of itself to Prometheus: counters and gauges over plain HTTP, on a loopback address only. Labels and their
//! values are words of the program, so that no name or value of anybody can get into one.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use crate::local::serve_local;
use crate::{LinkError, LoopbackAddress, Response};

/// Where Prometheus may ask.
pub type MetricsAddress = LoopbackAddress;

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

    /// When this process started, which every part says.
    pub fn start_time(epoch_s: u64) -> Self {
        Self::gauge("drieslot_start_time_seconds", "When this process started, in seconds of the epoch.", epoch_s)
    }

    /// What every part says that keeps a journal.
    pub fn journal_entries(durable: u64) -> Self {
        Self::counter("drieslot_journal_entries_total", "Durable entries of the journal.", durable)
    }

    /// Gauges of one name, told apart by a label.
    pub fn gauges(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        samples: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self { kind: "gauge", ..Self::counters(name, help, label, samples) }
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
    let Some(address) = address else { return std::future::pending().await };
    let read = Arc::new(read);
    serve_local(address, false, move |path| std::future::ready(answer(&path, &*read))).await
}

fn answer(path: &str, read: &impl Fn() -> Vec<Metric>) -> Response {
    let mut response = match path {
        "/metrics" => Response::new(200, render(&read())),
        _ => Response::new(404, "GET /metrics, and nothing else\n"),
    };
    response.content_type = Some("text/plain; version=0.0.4; charset=utf-8");
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
}
