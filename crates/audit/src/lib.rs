//! Who looked at what: reads the journals of gateways, custodians and the register.
//!
//! Owns the meaning of entries' bodies, and the looks that follow from them. It refuses a body that is not as
//! `docs/journal.md` says, and has no keys of domains, no database and no SQL.

pub mod body;
mod error;
mod filter;
mod find;
pub mod index;
mod link;
mod look;
pub mod proof;
mod retention;
mod trusted;

pub use error::AuditError;
pub use filter::Filter;
pub use find::{Event, Finding, Found, find};
pub use index::{Index, Pseudonym};
pub use link::{Held, Link, Reason};
pub use look::{Look, Looks, Progress};
pub use retention::{Prune, first_since};
pub use trusted::{Trusted, is_of};
