//! The formats of COPY: a stream cut into rows, a row into fields, a field into a value, and back.
//!
//! Follows PostgreSQL's own reader and writer byte for byte; where PostgreSQL's versions differ, the stricter one.

mod binary;
mod field;
mod rows;

pub use binary::{BinaryField, BinaryFields, BinaryRows, BinarySplit};
pub use field::{CopyField, CopyFields};
pub use rows::{CopyRows, Split};

/// How rows are written in the text and csv formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyDialect {
    /// Between fields.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: Vec<u8>,
    /// What stands for the column's default, if anything.
    pub default: Option<Vec<u8>>,
    /// Quote and escape of csv; `None` for the text format.
    pub csv: Option<(u8, u8)>,
    /// Whether a line `\.` ends csv data, as it does up to PostgreSQL 17.
    pub csv_end_marker: bool,
}

/// COPY data that PostgreSQL would not take, all of SQLSTATE 22P04.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A carriage return where lines end otherwise.
    #[error("literal carriage return found in data")]
    CarriageReturn,
    /// A newline where lines end otherwise.
    #[error("literal newline found in data")]
    Newline,
    /// `\.` with something around it.
    #[error("end-of-copy marker is not alone on its line")]
    Marker,
    /// `\.` ends otherwise than the lines before it.
    #[error("end-of-copy marker does not match previous newline style")]
    MarkerStyle,
    /// A quote that is not closed.
    #[error("unterminated CSV quoted field")]
    Unterminated,
    /// No binary COPY data.
    #[error("COPY file signature not recognized")]
    Signature,
    /// A header that cannot be.
    #[error("invalid COPY file header")]
    Header,
    /// A binary row of another width.
    #[error("row field count is {found}, expected {expected}")]
    FieldCount {
        /// In the data.
        found: i16,
        /// Of the table or the column list.
        expected: usize,
    },
    /// A binary length that cannot be.
    #[error("invalid field size")]
    FieldSize,
    /// Binary data ends within a row.
    #[error("unexpected EOF in COPY data")]
    Eof,
    /// Binary data goes on after its trailer.
    #[error("received copy data after EOF marker")]
    AfterEof,
}
