//! PostgreSQL's frontend/backend protocol, version 3: messages to bytes and back, and the formats of COPY.
//!
//! Owns no socket and decides nothing. Every decoder refuses a malformed message instead of guessing.
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats" and "COPY".

mod backend;
mod copy;
mod cursor;
mod frame;
mod frontend;

pub use backend::{
    DataRow, Field, RowDescription, RowWriter, authentication_ok, authentication_sasl, authentication_sasl_continue,
    authentication_sasl_final, backend_key_data, command_tag, error_field, error_fields, error_response,
    parameter_description, parameter_status, read_oids, ready_for_query,
};
pub use copy::{
    BinaryField, BinaryFields, BinaryRows, BinarySplit, CopyDialect, CopyError, CopyField, CopyFields, CopyRows, Split,
};
pub use cursor::Cursor;
pub use frame::{Frame, MAX_FRAME_BYTES, put_frame, split_frame, startup_length};
pub use frontend::{
    Bind, Close, Describe, Execute, Parse, Startup, Target, cancel_request, copy_fail, format_at, put_bind, put_close,
    put_describe, put_execute, put_parse, query, read_startup, ssl_request, startup_message, sync,
};

/// A message that does not follow the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends before its fields do.
    #[error("a protocol message is shorter than its fields")]
    Truncated,
    /// The message goes on after its fields.
    #[error("a protocol message is longer than its fields")]
    Trailing,
    /// A length that cannot be.
    #[error("a protocol message has an impossible length")]
    Length,
    /// Text that is not UTF-8.
    #[error("a protocol message holds text that is not UTF-8")]
    Utf8,
    /// A code that is not defined.
    #[error("a protocol message has an undefined code")]
    Code,
}
