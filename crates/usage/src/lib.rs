//! The server that tells citizens, by way of their portals, who looked at what is about them.
//!
//! Owns `findUsage`: from a person's number by the key of subjects to looks in the journals of gateways. It has that key and no
//! other, no database and no SQL. It refuses portals that it does not know, and answers nothing where an answer could be less
//! than whole: a journal that does not verify, one that is not followed, a key that is away, a mandate that it does not know.

mod config;
mod exchange;
mod following;
mod measured;
mod person;
mod portal;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use config::{PortalConfig, SourceConfig, UsageConfig};
pub use exchange::{FindUsage, Usage, Usages};
pub use server::UsageServer;

/// Why a usage server does not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The configuration is at fault.
    #[error("configuration: {0}")]
    Config(String),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; stop what uses it, or set another `listen`")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Its own journal.
    #[error("journal: {0}")]
    Journal(#[from] drieslot_journal::JournalError),
    /// The index.
    #[error(transparent)]
    Index(#[from] drieslot_audit::AuditError),
    /// TLS identity, addresses.
    #[error("{0}")]
    Link(#[from] drieslot_link::LinkError),
    /// The register cannot be followed.
    #[error("register: {0}")]
    Register(#[from] drieslot_register::follow::FollowError),
    /// The custodians cannot be asked.
    #[error("keys: {0}")]
    Keys(#[from] drieslot_custodian::client::KeyError),
}
