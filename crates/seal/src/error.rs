//! Why a secret, a cell or a value was refused. No variant holds a secret or a value.

use drieslot_schema::{ColumnId, Domain, Protection};

/// Why a cell was not made or not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are shorter than any cell of this protection.
    #[error("the stored bytes are not a cell: they are too short to be one")]
    NotACell,
    /// A format that this build does not know.
    #[error("the stored bytes have format version {found}, and this build reads version 1")]
    UnknownVersion {
        /// The version nibble.
        found: u8,
    },
    /// A cell of another protection, or of none that exists.
    #[error("the cell has protection code {found}, but the column is classified `{expected}`")]
    WrongProtection {
        /// What the classification says.
        expected: Protection,
        /// The protection nibble.
        found: u8,
    },
    /// A cell of another epoch of the key.
    #[error("the cell was sealed in epoch {found}, and the key given is of epoch {expected}")]
    OtherEpoch {
        /// The epoch of the key.
        expected: u16,
        /// The epoch in the cell's header.
        found: u16,
    },
    /// The cell was altered, moved from another place, or sealed under another key. One answer for all causes.
    #[error("the cell does not authenticate: it was altered, moved from another column, or sealed under another key")]
    Refused,
    /// The value is longer than a cell may hold.
    #[error("a protected value may have at most {max} bytes, and this one has {len}")]
    TooLong {
        /// The value's length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The value has no place in an order: its type has none, or it is no value of its type.
    #[error("the value has no order code")]
    NotOrdered,
    /// A value that is no text has no fragments to search by.
    #[error("the value is no text, and cannot be searched")]
    NoText,
    /// The key of one domain was offered for a column of another.
    #[error("column {column} belongs to domain `{wanted}`, but the key is of domain `{given}`")]
    WrongDomain {
        /// The column.
        column: Box<ColumnId>,
        /// Its domain.
        wanted: Domain,
        /// The key's domain.
        given: Domain,
    },
    /// The key of a column's domain was offered for pseudonyms of subjects.
    #[error(
        "pseudonyms of subjects are made with the key of domain `{}`, and the key given is of domain `{given}`",
        Domain::subjects()
    )]
    NotOfSubjects {
        /// The key's domain.
        given: Domain,
    },
    /// A name, or another part that goes into a derivation, is too long to be length-prefixed.
    #[error("a name of {len} bytes is too long to derive a key from")]
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A secret or share of the wrong size was handed in.
    #[error("a function secret or share has 32 bytes, and this one has {len}")]
    SecretLength {
        /// Its length in bytes.
        len: usize,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes; nothing was sealed")]
    NoRandomness,
    /// The cryptographic library refused a well-formed request.
    #[error("the cryptographic library refused to work; nothing was sealed")]
    Library,
}
