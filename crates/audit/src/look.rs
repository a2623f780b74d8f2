//! A look: an intent, and what of it was released by the outcomes that name it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::AuditError;
use crate::body::{Body, Intent, Outcome, Stage};

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// One look at protected data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// When the intent was written.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// Origin of the journal.
    #[serde(serialize_with = "as_text")]
    pub journal: Arc<str>,
    /// Index of the intent.
    pub first: u64,
    /// Indexes of the outcomes.
    pub outcomes: Vec<u64>,
    /// Who, for whom, on what mandate, which columns.
    #[serde(flatten)]
    pub intent: Intent,
    /// Rows that were released.
    pub rows: u64,
    /// Pseudonyms of those whom the rows are about.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub subjects: BTreeSet<String>,
    /// Why rows are about nobody that is known.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub without_subject: BTreeSet<String>,
    /// How far it got.
    pub state: Progress,
    /// PostgreSQL's command tag, or the SQLSTATE of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// How far a look got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// There is no outcome (yet): nothing was released.
    NothingReleased,
    /// Rows were released, and the journal does not say that this was all.
    Unfinished,
    /// The client got as many rows as it asked for, and did not ask for more.
    Suspended,
    /// The end.
    Done,
    /// It ended in an error.
    Failed,
}

impl Progress {
    /// The word of `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingReleased => "nothing_released",
            Self::Unfinished => "unfinished",
            Self::Suspended => "suspended",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether no further outcome can come.
    #[must_use]
    pub const fn is_final(self) -> bool {
        // Who asks for more rows after `suspended` begins another look.
        matches!(self, Self::Done | Self::Failed | Self::Suspended)
    }
}

impl Look {
    fn new(journal: Arc<str>, index: u64, time: Timestamp, intent: Intent) -> Self {
        Self {
            time,
            journal,
            first: index,
            outcomes: Vec::new(),
            intent,
            rows: 0,
            subjects: BTreeSet::new(),
            without_subject: BTreeSet::new(),
            state: Progress::NothingReleased,
            tag: None,
        }
    }

    fn add(&mut self, index: u64, outcome: Outcome) {
        self.outcomes.push(index);
        self.rows = self.rows.saturating_add(outcome.rows);
        self.subjects.extend(outcome.subjects);
        self.without_subject.extend(outcome.without_subject);
        self.state = match outcome.state {
            Stage::More | Stage::Other => Progress::Unfinished,
            Stage::Suspended => Progress::Suspended,
            Stage::Done => Progress::Done,
            Stage::Failed => Progress::Failed,
        };
        self.tag = outcome.tag.or(self.tag.take());
    }
}

/// The looks of one journal, from its entries in their order.
#[derive(Debug)]
pub struct Looks {
    journal: Arc<str>,
    /// Those that may get outcomes yet, by the index of their intent.
    open: BTreeMap<u64, Look>,
}

impl Looks {
    /// Of the journal with this origin.
    #[must_use]
    pub fn new(journal: Arc<str>) -> Self {
        Self { journal, open: BTreeMap::new() }
    }

    /// Takes the next entry; gives a look that it ended. An outcome whose intent was never given is passed over, so that one may
    /// begin anywhere.
    ///
    /// # Errors
    /// [`AuditError::Entry`] for an outcome of another session than its intent's, or that comes before it.
    pub fn take(&mut self, index: u64, time: Timestamp, body: Body) -> Result<Option<Look>, AuditError> {
        match body {
            Body::Intent(intent) => {
                self.open.insert(index, Look::new(Arc::clone(&self.journal), index, time, intent));
                Ok(None)
            }
            Body::Outcome(outcome) => self.outcome(index, outcome),
            Body::Definition(_)
            | Body::Refused(_)
            | Body::Alarm(_)
            | Body::Firewall(_)
            | Body::Asked(_)
            | Body::Other => Ok(None),
        }
    }

    fn outcome(&mut self, index: u64, outcome: Outcome) -> Result<Option<Look>, AuditError> {
        let refuse = |why: &str| AuditError::Entry { origin: self.journal.to_string(), index, why: why.to_owned() };
        let intent = outcome.intent;
        if intent >= index {
            return Err(refuse("it is the outcome of an intent that comes after it"));
        }
        let Some(look) = self.open.get_mut(&intent) else { return Ok(None) };
        if look.intent.session != outcome.session {
            return Err(refuse("it is the outcome of another session's intent"));
        }
        look.add(index, outcome);
        // Several outcomes of one chunk may be needed for its subjects; those before the last say `more`.
        Ok(if look.state.is_final() { self.open.remove(&intent) } else { None })
    }

    /// The indexes of the intents of those that may get outcomes yet.
    pub fn open_intents(&self) -> impl Iterator<Item = u64> {
        self.open.keys().copied()
    }

    /// Those, in the order of their intents, as they are.
    pub fn take_open(&mut self) -> impl Iterator<Item = Look> + use<> {
        std::mem::take(&mut self.open).into_values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn intent(session: &str) -> Body {
        Body::Intent(Intent {
            session: session.into(),
            principal: "app".into(),
            client: "127.0.0.1:1".into(),
            end_user: None,
            database: "civic".into(),
            mandates: vec!["app-1".into()],
            purpose: "intake".into(),
            command: "SELECT".into(),
            fingerprint: "0".into(),
            columns: Vec::new(),
        })
    }

    fn outcome(session: &str, intent: u64, rows: u64, state: Stage, subjects: &[&str]) -> Body {
        let subjects = subjects.iter().map(|&one| one.to_owned()).collect();
        let tag = (state == Stage::Done).then(|| "SELECT 3".to_owned());
        Body::Outcome(Outcome {
            session: session.into(),
            intent,
            rows,
            state,
            tag,
            subjects,
            without_subject: Vec::new(),
        })
    }

    #[test]
    fn outcomes_add_up_to_a_look_and_what_has_none_released_nothing() {
        let mut looks = Looks::new("civic/gateway".into());
        let mut take = |index, body| looks.take(index, Timestamp::UNIX_EPOCH, body).unwrap();
        assert_eq!(take(5, intent("a")), None);
        assert_eq!(take(6, intent("b")), None);
        assert_eq!(take(7, outcome("a", 5, 2, Stage::More, &["x", "y"])), None);
        assert_eq!(take(8, intent("c")), None);
        let look = take(9, outcome("c", 8, 4, Stage::Suspended, &[])).unwrap();
        assert_eq!((look.first, look.rows, look.state), (8, 4, Progress::Suspended));
        assert_eq!(take(10, outcome("z", 1, 4, Stage::Done, &[])), None, "its intent lies before what is read");
        let look = take(11, outcome("a", 5, 1, Stage::Done, &["x"])).unwrap();
        assert_eq!((look.first, look.outcomes, look.rows, look.state), (5, vec![7, 11], 3, Progress::Done));
        assert_eq!(look.subjects.iter().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(look.tag.as_deref(), Some("SELECT 3"));
        assert_eq!(looks.open_intents().collect::<Vec<_>>(), [6]);
        let open: Vec<_> = looks.take_open().map(|look| (look.first, look.rows, look.state)).collect();
        assert_eq!(open, [(6, 0, Progress::NothingReleased)]);
    }

    #[test]
    fn an_outcome_that_cannot_be_is_refused() {
        let mut looks = Looks::new("civic/gateway".into());
        looks.take(5, Timestamp::UNIX_EPOCH, intent("a")).unwrap();
        for body in [outcome("b", 5, 1, Stage::Done, &[]), outcome("a", 6, 1, Stage::Done, &[])] {
            let error = looks.take(6, Timestamp::UNIX_EPOCH, body).unwrap_err();
            assert!(error.to_string().contains("entry 6 of journal `civic/gateway`"), "{error}");
        }
    }
}
