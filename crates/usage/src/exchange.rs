//! What is asked and answered. `docs/usage.md` is normative.

use drieslot_audit::body::Touched;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The question. It has no Debug, so that no log gets a person's number.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindUsage {
    /// The person, as the subject column has them.
    pub subject: String,
    /// In which realm; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// How many of the newest are left out.
    #[serde(default)]
    pub offset: u64,
    /// Most that are given.
    #[serde(default = "default_limit")]
    pub limit: usize,
    /// Only older ones than those of the answer that had this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Most looks in one answer.
pub(crate) const MAX_LIMIT: usize = 1_000;

fn default_limit() -> usize {
    100
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usages {
    /// Newest first.
    pub find_usage_responses: Vec<Usage>,
    /// Whether there are older ones.
    pub more: bool,
    /// Where to go on, where there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What the answer rests on.
    pub as_of: Vec<AsOf>,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// When.
    pub logtime: Timestamp,
    /// The command: `SELECT` and the like.
    pub action: String,
    /// The application.
    pub receiver: String,
    /// For whom it acted, where that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// What for.
    pub purpose: String,
    /// On what law or agreement.
    pub legal_basis: Vec<String>,
    /// By which mandates.
    pub mandates: Vec<String>,
    /// In which database.
    pub database: String,
    /// Protected columns, each with its use.
    pub columns: Vec<Touched>,
    /// Where it stands.
    pub journal: String,
    /// Its entry there.
    pub entry: u64,
}

/// How far one journal was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// Its name.
    pub journal: String,
    /// How many entries.
    pub entries: u64,
    /// When the last of them was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
