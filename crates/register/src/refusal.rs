//! Why the register does not take something, or cannot be used.

use drieslot_journal::JournalError;

use crate::statement::Kind;

/// Why a statement, a signature or a register's entry was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The text or entry is not as it must be.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The signature is not one of this text, by this key, in this namespace.
    #[error("the signature is refused: {0}")]
    Signature(String),
    /// Nobody whose signature counts for this statement.
    #[error("the signature is good, but {0}")]
    Signer(String),
    /// The same statement, id or signature again.
    #[error("{0} is in the register already")]
    Known(String),
    /// The signature is for a statement that is not in the register.
    #[error("there is no statement with SHA-256 {0} in the register: submit the statement first")]
    UnknownStatement(String),
    /// The statement can no longer take effect.
    #[error("{kind} `{id}` {why}")]
    Settled {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
        /// Such as `is in force already`.
        why: &'static str,
    },
    /// The statement contradicts the charter or what is in force.
    #[error("{0}")]
    Contradicts(String),
    /// The entry is not the next one.
    #[error("entry {found} came where entry {expected} was due")]
    OutOfOrder {
        /// Its index.
        found: u64,
        /// The next index.
        expected: u64,
    },
    /// The state was closed because the register is corrupt.
    #[error("the register is closed: {0}")]
    Closed(String),
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::Malformed(error.to_string())
    }
}
