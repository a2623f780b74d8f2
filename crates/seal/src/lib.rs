//! Cells: one protected value as the processor stores it, and the keys that open it.
//!
//! Owns the derivation of keys, the bytes of a cell, and the canonical plaintext of every logical type
//! (`docs/format.md` is normative for all three). Refuses to know SQL, sockets, files, clocks and logs; what it
//! needs from outside (secrets, a session's time zone, a source of nonces) is handed in.

mod cell;
mod context;
mod error;
mod keys;
mod nonces;
mod order;
mod padding;
mod primitives;
pub mod search;
mod subject;
pub mod values;

pub use cell::{ColumnCipher, MAX_VALUE_LEN, VERSION, epoch_of};
pub use context::DomainContext;
pub use error::SealError;
pub use keys::{CellKey, DomainKey, FunctionSecret, Share};
pub use nonces::Nonces;
pub use subject::{SubjectKey, subject_of_plaintext, subject_of_text};
pub use values::{Settings, ValueError};
