//! What a dossier rests on beside probes: the head's approvals, attestations of criteria, and reports of exits.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Hex32;
use super::words::{check_filled, check_name};

/// A document that lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// As people call it.
    pub name: String,
    /// Of its bytes.
    pub sha256: Hex32,
}

/// The head's yes or no: to documents, and to risks that stay open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among approvals.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The approval that ends when this one takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The application it is about; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The processor it is about; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Yes or no.
    pub decision: Decision,
    /// What is decided, in one line.
    pub what: String,
    /// Under which conditions, each in one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Criteria whose open risk is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts: Vec<String>,
    /// Not at or after, RFC 3339.
    pub valid_until: Timestamp,
    /// What was read before deciding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document: Vec<Document>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Yes.
    Approved,
    /// No.
    Refused,
}

/// One person's word on a criterion, and the documents it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among attestations.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The attestation that ends when this one takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The application it is about; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The processor it is about; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Which criterion, such as `T10`.
    pub criterion: String,
    /// Whether it is met.
    pub finding: Finding,
    /// In one line.
    pub why: String,
    /// The person of the charter who attests it, and signs.
    pub who: String,
    /// Not at or after, RFC 3339.
    pub valid_until: Timestamp,
    /// At least one, unless the criterion is not met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document: Vec<Document>,
}

/// Whether a criterion is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It is.
    Met,
    /// Not all of it.
    Partly,
    /// It is not.
    NotMet,
}

/// The report of a move to another provider, rehearsed or real, or of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among exits.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The report that this one corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// What was done.
    pub event: ExitEvent,
    /// The provider that was left.
    pub from: String,
    /// Where the data went.
    pub to: String,
    /// Which databases.
    pub databases: Vec<String>,
    /// RFC 3339.
    pub started: Timestamp,
    /// RFC 3339.
    pub finished: Timestamp,
    /// How long the applications were without their data.
    pub rto_s: u64,
    /// How much of the last changes was not there afterwards, as time.
    pub rpo_s: u64,
    /// Whether every row was there.
    pub complete: bool,
    /// Whether the protected values were read there.
    pub readable: bool,
    /// What was measured.
    pub report: Document,
    /// Its parts, in order.
    pub phase: Vec<Phase>,
}

/// What an exit was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitEvent {
    /// A rehearsal.
    Drill,
    /// A copy to take away.
    Export,
    /// The move itself.
    Move,
}

/// A part of an exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Such as `copy`.
    pub name: String,
    /// How long it took.
    pub seconds: u64,
}

impl Approval {
    pub(super) fn check(&self) -> Result<(), String> {
        check_scope(self.application.as_deref(), self.processor.as_deref())?;
        check_filled("what", &self.what)?;
        self.conditions.iter().try_for_each(|one| check_filled("a condition", one))?;
        self.accepts.iter().try_for_each(|one| check_criterion(one))?;
        check_once("accepts", self.accepts.iter())?;
        check_until(self.issued, self.valid_until)?;
        check_documents(&self.document)?;
        match self.decision {
            Decision::Approved if self.accepts.is_empty() && self.document.is_empty() => {
                Err("it approves nothing: add [[document]], or accepts = [\"R01\"]".into())
            }
            Decision::Refused if !self.accepts.is_empty() || !self.conditions.is_empty() => {
                Err("a refusal accepts nothing and has no conditions: leave `accepts` and `conditions` out".into())
            }
            Decision::Approved | Decision::Refused => Ok(()),
        }
    }
}

impl Attestation {
    pub(super) fn check(&self) -> Result<(), String> {
        check_scope(self.application.as_deref(), self.processor.as_deref())?;
        check_criterion(&self.criterion)?;
        check_filled("why", &self.why)?;
        check_filled("who", &self.who)?;
        check_until(self.issued, self.valid_until)?;
        check_documents(&self.document)?;
        match self.document.is_empty() && self.finding != Finding::NotMet {
            true => Err("what is met, or partly, rests on a document: add [[document]]".into()),
            false => Ok(()),
        }
    }

    /// Whether both speak of the same criterion, application and processor.
    pub(crate) fn same_subject(&self, other: &Self) -> bool {
        (&self.criterion, &self.application, &self.processor)
            == (&other.criterion, &other.application, &other.processor)
    }
}

impl Exit {
    pub(super) fn check(&self) -> Result<(), String> {
        check_filled("from", &self.from)?;
        check_filled("to", &self.to)?;
        self.databases.iter().try_for_each(|one| check_filled("a database", one))?;
        check_once("databases", self.databases.iter())?;
        if self.databases.is_empty() || self.phase.is_empty() {
            return Err("an exit is of at least one database, and has at least one [[phase]]".into());
        }
        if self.finished <= self.started {
            return Err("finished must be later than started".into());
        }
        check_past("finished", self.finished, self.issued)?;
        self.phase.iter().try_for_each(|one| check_filled("the name of a phase", &one.name))?;
        check_documents(std::slice::from_ref(&self.report))
    }
}

fn check_scope(application: Option<&str>, processor: Option<&str>) -> Result<(), String> {
    application.map_or(Ok(()), |name| check_name("application", name))?;
    processor.map_or(Ok(()), |name| check_name("processor", name))
}

/// As the catalogue of criteria names them.
fn check_criterion(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=20).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(format!("`{name}` is no criterion: 1 to 20 of A-Z, a-z, 0-9, `.`, `_` and `-`")),
    }
}

fn check_until(issued: Timestamp, until: Timestamp) -> Result<(), String> {
    (until > issued).then_some(()).ok_or_else(|| "valid_until must be later than issued".into())
}

pub(super) fn check_documents(documents: &[Document]) -> Result<(), String> {
    documents.iter().try_for_each(|one| check_filled("the name of a document", &one.name))?;
    check_once("document", documents.iter().map(|one| &one.sha256))
}

/// What is told of must have happened.
pub(super) fn check_past(field: &str, time: Timestamp, issued: Timestamp) -> Result<(), String> {
    (time <= issued).then_some(()).ok_or_else(|| format!("{field} must not be later than issued"))
}

pub(super) fn check_once<T: Ord>(field: &str, values: impl Iterator<Item = T>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut all = values;
    all.all(|one| seen.insert(one)).then_some(()).ok_or_else(|| format!("{field} names something twice"))
}
