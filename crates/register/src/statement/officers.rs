//! A change of a function's officers, and the denial of a statement that waits.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::charter::read_key;
use super::words::{check_filled, check_name};
use super::{Function, Kind};

/// Takes officers of one function away, and brings others in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Officers {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among changes of officers.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// Whose officers change.
    pub function: Function,
    /// The reason.
    pub why: String,
    /// Names of those who go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Those who come; with a name that is also in `remove`, somebody gets a new key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<NewOfficer>,
}

/// Somebody who becomes an officer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOfficer {
    /// As others know them.
    pub name: String,
    /// SSH public key, `ssh-ed25519 AAAA…`.
    pub key: String,
}

/// One officer's no: the statement never takes effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among denials.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// What is denied.
    pub denies: Denied,
    /// The reason.
    pub why: String,
}

/// The statement that is denied: ids are never used again, so this is one text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: String,
}

impl Officers {
    pub(super) fn check(&self) -> Result<(), String> {
        check_filled("why", &self.why)?;
        if self.remove.is_empty() && self.add.is_empty() {
            return Err("it changes nobody: write remove = [\"NAME\"], or [[add]] with name and key".into());
        }
        for names in [self.remove.iter().collect::<Vec<_>>(), self.add.iter().map(|one| &one.name).collect()] {
            let mut seen = BTreeSet::new();
            for name in names {
                check_filled("name", name)?;
                if !seen.insert(name.to_lowercase()) {
                    return Err(format!("`{name}` is listed twice"));
                }
            }
        }
        self.add.iter().try_for_each(|one| read_key(&one.name, &one.key).map(|_| ()))
    }

    /// Whether it takes this person's key or function away.
    pub(crate) fn removes(&self, name: &str) -> bool {
        self.remove.iter().any(|one| one.eq_ignore_ascii_case(name))
    }
}

impl Denial {
    pub(super) fn check(&self) -> Result<(), String> {
        check_filled("why", &self.why)?;
        check_name("id", &self.denies.id)
    }
}
