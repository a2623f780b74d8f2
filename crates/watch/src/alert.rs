//! An alert, as it stands in the watcher's own journal: what was usual, what was seen, and the entries that show it.

use drieslot_journal::hash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::hex;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// No mandate allowed a statement.
    Refused,
    /// The firewall does not know a statement.
    Firewall,
    /// A decoy was about to be shown.
    Decoy,
    /// More rows or persons in an hour than the fixed limit.
    Limit,
    /// More rows or persons in an hour than is usual.
    Volume,
    /// A look at an hour that is not usual.
    Hours,
    /// A column that the principal did not touch before.
    NewColumn,
    /// An end user for whom the principal did not act before.
    NewEndUser,
    /// A journal names fewer entries than it did.
    RolledBack,
    /// A journal has two histories.
    SplitView,
    /// A journal is not what was signed, or cannot be read.
    NotVerified,
    /// An entry that is signed cannot be understood.
    Unreadable,
    /// A journal has no new entry for long.
    StandsStill,
    /// Witnesses no longer cosign a journal that grows.
    WitnessStalled,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Refused,
        Self::Firewall,
        Self::Decoy,
        Self::Limit,
        Self::Volume,
        Self::Hours,
        Self::NewColumn,
        Self::NewEndUser,
        Self::RolledBack,
        Self::SplitView,
        Self::NotVerified,
        Self::Unreadable,
        Self::StandsStill,
        Self::WitnessStalled,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Firewall => "firewall",
            Self::Decoy => "decoy",
            Self::Limit => "limit",
            Self::Volume => "volume",
            Self::Hours => "hours",
            Self::NewColumn => "new_column",
            Self::NewEndUser => "new_end_user",
            Self::RolledBack => "rolled_back",
            Self::SplitView => "split_view",
            Self::NotVerified => "not_verified",
            Self::Unreadable => "unreadable",
            Self::StandsStill => "stands_still",
            Self::WitnessStalled => "witness_stalled",
        }
    }

    const fn severity(self) -> &'static str {
        match self {
            Self::Refused | Self::Firewall | Self::Hours | Self::NewEndUser => "medium",
            Self::Limit | Self::Volume | Self::NewColumn | Self::StandsStill | Self::WitnessStalled => "high",
            Self::Decoy | Self::RolledBack | Self::SplitView | Self::NotVerified | Self::Unreadable => "critical",
        }
    }
}

/// An entry that an alert rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rests {
    /// Its place in the journal.
    pub index: u64,
    /// Its leaf hash, hexadecimal.
    pub leaf: String,
}

/// The body of an `alert` entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The same for the same entries: 32 hexadecimal digits.
    pub id: String,
    /// What it is about.
    pub rule: Rule,
    /// `medium`, `high` or `critical`.
    pub severity: String,
    /// The journal that shows it.
    pub journal: String,
    /// Whom it is about; absent where it is about the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The begin of the hour in which it is the one alert of its rule and principal.
    pub hour: String,
    /// In a sentence.
    pub what: String,
    /// What is usual, or what the limit is.
    pub usual: String,
    /// What was seen.
    pub seen: String,
    /// The entries that show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Rests>,
    /// Signed notes that show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Longest text of an alert, in characters: an entry has a limit.
const MAX_TEXT: usize = 1_000;

fn short(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

/// What was usual and what was seen.
pub(crate) struct Words {
    pub(crate) what: String,
    pub(crate) usual: String,
    pub(crate) seen: String,
}

impl Alert {
    pub(crate) fn new(rule: Rule, journal: &str, principal: Option<&str>, hour: Timestamp, words: Words) -> Self {
        let hour = hour.to_string();
        let parts = [rule.as_str(), journal, principal.unwrap_or_default(), &hour];
        // No part can run into the next.
        let text: String = parts.iter().map(|part| format!("{}:{part},", part.len())).collect();
        let id = hex(hash::sha256(text.as_bytes()).get(..16).unwrap_or_default());
        Self {
            id,
            rule,
            severity: rule.severity().to_owned(),
            journal: journal.to_owned(),
            principal: principal.map(str::to_owned),
            hour,
            what: short(words.what),
            usual: short(words.usual),
            seen: short(words.seen),
            entries: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn resting_on(mut self, entries: impl IntoIterator<Item = Rests>) -> Self {
        for one in entries {
            if !self.entries.contains(&one) {
                self.entries.push(one);
            }
        }
        self.entries.sort_by_key(|one| one.index);
        self
    }
}
