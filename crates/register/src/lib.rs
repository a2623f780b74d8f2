//! Statements, their signatures, and the state that follows from them.
//!
//! Owns the register: one append-only list of signed statements, and the fold over it that says who may do what. It
//! refuses what it cannot verify, and a list that holds such a thing is refused as a whole. Sockets and clocks are
//! in the modules `server`, `client` and `follow` only.

pub mod client;
mod difference;
mod disclosure;
mod domain_use;
pub mod entry;
mod epochs;
mod evidence;
mod exchange;
pub mod follow;
mod loosening;
mod mandates;
mod officers;
mod permit;
mod record;
mod refusal;
mod seen;
pub mod server;
pub mod signature;
mod state;
pub mod statement;
mod succession;

pub use difference::{Change, Difference};
pub use disclosure::Disclosure;
pub use epochs::{EpochsInUse, FIRST_EPOCH, OpenRotation, is_moved_singly};
pub use evidence::Evidence;
pub use exchange::Receipt;
pub use permit::{Asker, Denied, DomainDenied, EndUser, Operation, Part, Permit, Use};
pub use record::{Effect, Record, Signer, Status};
pub use refusal::Refusal;
pub use state::State;
pub use statement::{Function, Hex32};
