//! Why a link could not be made or used.

use std::path::PathBuf;

/// An error of a link. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A file of the identity cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// There is an identity already.
    #[error("{} already holds a TLS identity, which is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The files are not a certificate and its key.
    #[error("{} holds no usable TLS identity: {why}", path.display())]
    Identity {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library refused the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
    /// The peer could not be reached, or it showed another key than expected.
    #[error("{address}: {why}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        why: String,
    },
    /// The peer did not answer in time.
    #[error("{address} did not answer within {after_ms} ms")]
    Timeout {
        /// Host and port.
        address: String,
        /// Milliseconds that were allowed.
        after_ms: u128,
    },
    /// The peer answered more than allowed, or broke off.
    #[error("{address} gave an unusable answer: {why}")]
    Answer {
        /// Host and port.
        address: String,
        /// What happened.
        why: String,
    },
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The listening socket failed.
    #[error("accepting connections: {0}")]
    Accept(std::io::Error),
}
