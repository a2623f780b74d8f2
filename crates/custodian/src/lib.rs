//! Custodians: each holds the secret of one function and gives shares of keys to gateways, and the client that
//! combines three shares.
//!
//! Owns the share protocol, its server and client, and the file that a secret is sealed in. Refuses to give a share
//! that the register, as it verified it itself, does not allow now, or that it could not journal first.

mod ask;
pub mod client;
mod error;
mod exchange;
mod init;
mod secret;
pub mod server;

use std::sync::Arc;

pub use error::CustodianError;
pub use init::{Introduction, KEY_FILE, SECRET_FILE, TLS_FOLDER, init};
pub use secret::{Credential, CredentialKind};

/// Where a part gets the time from.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
