//! Why a custodian does not start, or cannot be made.

use std::path::PathBuf;

use drieslot_journal::JournalError;
use drieslot_link::LinkError;
use drieslot_register::Refusal;
use drieslot_register::follow::FollowError;

/// An error of a custodian's own. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CustodianError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// There is something already that would be lost.
    #[error("{} exists, and a custodian's secret is never overwritten; name another folder", .0.display())]
    Exists(PathBuf),
    /// The credential that the secret is sealed with cannot be used.
    #[error("the credential {}: {why}", path.display())]
    Credential {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// The sealed secret does not open.
    #[error("the sealed secret {}: {why}", path.display())]
    Secret {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The PKCS#11 token, or the key in it, cannot be used.
    #[error("the PKCS#11 token `{token}`: {why}")]
    Token {
        /// The label that is configured.
        token: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Shares cannot be made or joined.
    #[error("{0}")]
    Escrow(String),
    /// The configuration contradicts itself.
    #[error("the configuration: {0}")]
    Config(&'static str),
    /// The journal or the identity key cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The TLS identity or the socket cannot be used.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The register cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The identity key cannot be written as an SSH key.
    #[error(transparent)]
    Key(#[from] Refusal),
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No randomness, or the cryptographic library refused.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
}
