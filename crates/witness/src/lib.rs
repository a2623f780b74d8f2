//! Witnesses: independent parties that countersign journals' checkpoints, by C2SP
//! [tlog-witness](https://c2sp.org/tlog-witness) and [tlog-cosignature](https://c2sp.org/tlog-cosignature).
//!
//! Owns the witness: its memory and its server. Refuses to cosign what is not consistent with all that it cosigned before, and to
//! answer before that is on its disk. Speaks plain HTTP: what is exchanged is signed, and a proxy may add TLS.

mod config;
mod error;
mod memory;
mod rate;
mod server;
mod submission;
mod witness;

pub use config::{LogConfig, WitnessConfig};
pub use error::WitnessError;
pub use server::serve;
pub use submission::{MAX_PROOF_LINES, Submission};
pub use witness::{Answer, Clock, Witness};

/// Longest request: a note, and a proof.
pub const MAX_REQUEST_BYTES: usize = drieslot_journal::MAX_NOTE_BYTES + 4 * 1024;
