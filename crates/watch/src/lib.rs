//! What journals say goes out: to a SIEM, as OCSF and syslog; and to people, as alerts of what is out of the ordinary.
//!
//! Owns following, the words of others' schemas, what is usual, and the places up to which receivers have everything. It
//! refuses entries that are not signed; it has no keys of domains, no database and no SQL, and changes no journal that it
//! follows.

mod alert;
mod alerts;
mod baseline;
mod config;
mod engine;
mod error;
mod event;
mod evidence;
mod follow;
mod mail;
mod measured;
pub mod ocsf;
mod send;
mod sink;
mod state;
pub mod syslog;
mod tls;
mod watch;
mod webhook;

pub use alert::{Alert, Rests, Rule};
pub use config::{
    AlertsConfig, LimitsConfig, MailConfig, MailTls, Message, Moment, OutputConfig, WatchConfig, WatchedJournal,
    WebhookConfig,
};
pub use error::{Fault, WatchError};
pub use event::{Event, What};
pub use follow::{Source, read};
pub use watch::Watch;

/// The present moment.
pub type Clock = std::sync::Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
