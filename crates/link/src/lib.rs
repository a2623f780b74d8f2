//! How the parts talk: mutual TLS 1.3 between pinned keys, and small HTTP/1.1 requests over it.
//!
//! Owns the TLS identity of a part, its fingerprint, one server loop with what limits its peers, and one client. Refuses
//! certificate authorities, older TLS, plaintext, and peers whose key is not expected; it does not know what the requests
//! mean.

mod bucket;
mod client;
mod error;
mod fingerprint;
mod identity;
mod local;
mod metrics;
mod pinning;
mod server;

pub use bucket::{Bucket, Rate};
pub use client::Client;
pub use error::LinkError;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use identity::TlsIdentity;
pub use local::{LoopbackAddress, serve_local};
pub use metrics::{Metric, MetricsAddress, serve_metrics};
pub use server::{Limits, Method, Request, Response, serve, serve_with_limits};

/// Most bytes of one request or response body: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1 << 20;
