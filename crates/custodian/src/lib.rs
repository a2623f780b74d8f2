//! Custodians: each holds the secret of one function and gives shares of keys to gateways, and the client that
//! combines three shares.
//!
//! Owns the share protocol, its server and client, and the file that a secret is sealed in. Refuses to give a share
//! that the register, as it verified it itself, does not allow now, or that it could not journal first.

mod ask;
pub mod client;
mod error;
mod escrow;
mod exchange;
mod holders;
mod init;
mod limits;
mod measured;
mod pause;
mod private;
mod recover;
mod secret;
pub mod server;
mod token;

use std::sync::Arc;

pub use error::CustodianError;
pub use escrow::Recipient;
pub use init::{Introduction, KEY_FILE, NewSecret, SECRET_FILE, TLS_FOLDER, init};
pub use limits::LimitsConfig;
pub use recover::{Escrowed, RecoveredCustodian, escrow, recover};
pub use secret::{Credential, CredentialKind};
pub use token::TokenConfig;

/// Where a part gets the time from.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
