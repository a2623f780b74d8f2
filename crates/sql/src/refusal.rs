//! Why a statement is not carried out: what, why, and what would allow it. Never holds a literal of the statement.

use drieslot_schema::ColumnId;

/// A statement is refused before anything of it is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Five characters.
    pub sqlstate: &'static str,
    /// What and why, in one line.
    pub message: String,
    /// More of why.
    pub detail: Option<String>,
    /// What would allow it.
    pub hint: Option<String>,
    /// Character of the text, from 1.
    pub position: Option<usize>,
    /// The protected column that stands in the way, where it is one.
    pub column: Option<ColumnId>,
    /// A name is not in the catalogue: a newer catalogue may know it.
    pub stale: bool,
}

pub(crate) type Result<T> = std::result::Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None, position: None, column: None, stale: false }
    }

    /// 0A000: PostgreSQL could do it, Drieslot cannot.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new("0A000", message)
    }

    /// 42501: the classification does not allow it.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new("42501", message)
    }

    /// XX000: a check of our own failed.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("XX000", message)
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn stale(mut self) -> Self {
        self.stale = true;
        self
    }

    pub(crate) fn column(mut self, column: &ColumnId) -> Self {
        self.column = Some(column.clone());
        self
    }

    /// `location` is the parser's: a byte offset, 0 or less where it is not known.
    pub(crate) fn at(mut self, location: i32) -> Self {
        if self.position.is_none() {
            self.position = usize::try_from(location).ok().filter(|at| *at > 0);
        }
        self
    }

    /// Turns the byte offset of [`Self::at`] into PostgreSQL's count of characters from 1.
    pub(crate) fn located(mut self, text: &str) -> Self {
        self.position = self.position.map(|at| {
            let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
            String::from_utf8_lossy(before).chars().count() + 1
        });
        self
    }
}
