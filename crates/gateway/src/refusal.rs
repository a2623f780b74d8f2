//! What a client is told when something is refused: SQLSTATE, what, why, and what to do.

use bytes::BytesMut;
use drieslot_sql as sql;

/// An error for the client. It never holds a protected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// SQLSTATE, five characters.
    pub(crate) sqlstate: &'static str,
    /// What.
    pub(crate) message: String,
    /// Why.
    pub(crate) detail: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// Character position in the statement, from 1.
    pub(crate) position: Option<usize>,
}

impl Refusal {
    /// With a message alone.
    pub(crate) fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None, position: None }
    }

    /// Adds why.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the remedy.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A peer broke the protocol.
    pub(crate) fn protocol(what: impl std::fmt::Display) -> Self {
        Self::new("08P01", format!("protocol violation: {what}"))
    }

    /// The plan and the processor disagree, or a cell does not open: stop, never guess.
    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::new("XX000", what)
    }

    /// Appends an ErrorResponse of this severity (`ERROR` or `FATAL`).
    pub(crate) fn put(&self, out: &mut BytesMut, severity: &str) {
        let position = self.position.map(|position| position.to_string());
        let mut fields = vec![(b'S', severity), (b'V', severity), (b'C', self.sqlstate), (b'M', self.message.as_str())];
        fields.extend(self.detail.as_deref().map(|text| (b'D', text)));
        fields.extend(self.hint.as_deref().map(|text| (b'H', text)));
        fields.extend(position.as_deref().map(|text| (b'P', text)));
        drieslot_wire::error_response(out, &fields);
    }
}

impl From<sql::Refusal> for Refusal {
    fn from(refusal: sql::Refusal) -> Self {
        Self {
            sqlstate: refusal.sqlstate,
            message: refusal.message,
            detail: refusal.detail,
            hint: refusal.hint,
            position: refusal.position,
        }
    }
}
