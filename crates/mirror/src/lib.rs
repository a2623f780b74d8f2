//! Journals over HTTP: serving one to auditors and mirrors, reading one from afar, and the mirror that follows it.
//!
//! Owns who may read a journal over a network. Refuses plain HTTP beyond this machine, since entries say who looked at what;
//! readers whose key is not named; and every path that is not of tlog-tiles, but for `checkpoint.cosigned`.

mod follow;
mod remote;
mod serve;

pub use follow::{FollowedJournal, Mirrors, MirrorsConfig, MirrorsError};
pub use remote::Remote;
pub use serve::{ServeConfig, serve};
