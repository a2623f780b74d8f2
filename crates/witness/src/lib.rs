//! Witnesses: independent parties that countersign journals' checkpoints, by C2SP
//! [tlog-witness](https://c2sp.org/tlog-witness) and [tlog-cosignature](https://c2sp.org/tlog-cosignature).
//!
//! Owns the witness (its memory and its server) and its other side: how a part has its checkpoints cosigned, and what it may do
//! without. Refuses to cosign what is not consistent with all that was cosigned before, and to answer before that is on the disk.
//! Speaks plain HTTP: what is exchanged is signed, and a proxy may add TLS.

mod client;
mod config;
mod cosigning;
mod error;
mod feed;
mod measured;
mod memory;
mod policy;
mod rate;
mod server;
mod submission;
mod witness;

pub use config::{LogConfig, WitnessConfig};
pub use cosigning::{Cosigning, PolicyNow, Unwitnessed};
pub use error::WitnessError;
pub use policy::{Policy, WitnessAddress, WitnessUrl};
pub use server::serve;
pub use submission::{MAX_PROOF_LINES, Submission};
pub use witness::{Answer, Clock, Witness};

/// Longest request: a note, and a proof.
pub const MAX_REQUEST_BYTES: usize = drieslot_journal::MAX_NOTE_BYTES + 4 * 1024;
