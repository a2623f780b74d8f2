//! What journals say goes out: to a SIEM, as OCSF and syslog.
//!
//! Owns following, the words of others' schemas, and the places up to which receivers have everything. It refuses entries
//! that are not signed; it has no keys of domains, no database and no SQL, and changes no journal that it follows.

mod config;
mod error;
mod event;
mod follow;
mod measured;
pub mod ocsf;
mod send;
mod sink;
mod state;
pub mod syslog;
mod tls;
mod watch;

pub use config::{Message, Moment, OutputConfig, WatchConfig, WatchedJournal};
pub use error::{Fault, WatchError};
pub use event::{Event, What};
pub use follow::{Source, read};
pub use watch::Watch;
