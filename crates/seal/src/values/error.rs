//! Why a value was refused, as PostgreSQL would say it, but never with the value in it.

use drieslot_schema::LogicalType;

/// An error for the application: PostgreSQL's SQLSTATE and message form, without the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// Five characters, as PostgreSQL gives for the same fault.
    pub sqlstate: &'static str,
    /// The primary message. PostgreSQL's own quotes the value; this never does.
    pub message: String,
    /// The detail line, where PostgreSQL has one.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

impl ValueError {
    pub(crate) fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None }
    }

    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// 22P02: text that is no value of the type.
    pub(crate) fn syntax(type_name: &str) -> Self {
        Self::new("22P02", format!("invalid input syntax for type {type_name}"))
    }

    /// 22P03: a binary parameter that is no value of the type.
    pub(crate) fn short() -> Self {
        Self::new("08P01", "insufficient data left in message")
    }

    pub(crate) fn binary(ty: LogicalType) -> Self {
        Self::new("22P03", format!("incorrect binary data format for type {ty}"))
    }

    /// 0A000: PostgreSQL might read it, Drieslot does not, so as to never read it differently.
    pub(crate) fn unsupported(type_name: &str, hint: &'static str) -> Self {
        Self::new("0A000", format!("this form of {type_name} is not accepted for a protected column")).with_hint(hint)
    }

    /// XX001: the cell authenticated, yet holds no canonical plaintext of the type.
    pub(crate) fn corrupted(ty: LogicalType) -> Self {
        Self::new("XX001", format!("a protected value is not a canonical {ty}")).with_hint(
            "The value was sealed for a column of another type: compare the classification with the one before it.",
        )
    }
}
