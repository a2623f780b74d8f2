//! The statements of the keys' officers: how old an epoch may be, the opening of a new one, and the end of the old one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::words::{check_filled, check_name};

/// Opens the next epoch of some domains: from now on both can be read, and a worker brings the cells over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among rotations.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The gateway of the charter that brings the cells over. It gets both keys by this statement, without a mandate.
    pub worker: String,
    /// The reason.
    pub why: String,
    /// Each domain and its new epoch.
    pub domain: Vec<NewEpoch>,
}

/// One domain of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEpoch {
    /// The domain.
    pub name: String,
    /// The epoch after the one in force.
    pub epoch: u16,
}

/// Ends a rotation: the old epoch's key is given to nobody any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among retirements.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// Each domain and what its worker found.
    pub domain: Vec<EndedEpoch>,
}

/// One domain of a retirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndedEpoch {
    /// The domain.
    pub name: String,
    /// The epoch that ends.
    pub epoch: u16,
    /// How many cells the worker opened with the new key, which was all that there were.
    pub cells: u64,
}

/// How long an epoch may be in use. A domain that is older is shown as overdue; it stays readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPolicy {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among key policies.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The policy that ends when this one takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Greatest age of an epoch in days.
    pub epoch_days: u32,
    /// Domains with another limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain: Vec<DomainPolicy>,
}

/// One domain's own limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainPolicy {
    /// The domain.
    pub name: String,
    /// Greatest age of an epoch in days.
    pub epoch_days: u32,
}

impl Rotation {
    pub(super) fn check(&self) -> Result<(), String> {
        check_name("worker", &self.worker)?;
        check_filled("why", &self.why)?;
        check_domains(self.domain.iter().map(|domain| domain.name.as_str()))
    }
}

impl Retirement {
    pub(super) fn check(&self) -> Result<(), String> {
        check_domains(self.domain.iter().map(|domain| domain.name.as_str()))
    }
}

impl KeyPolicy {
    pub(super) fn check(&self) -> Result<(), String> {
        let mut days = self.domain.iter().map(|domain| domain.epoch_days).chain([self.epoch_days]);
        if days.any(|days| days == 0) {
            return Err("epoch_days must be 1 or more".into());
        }
        match self.domain.is_empty() {
            true => Ok(()),
            false => check_domains(self.domain.iter().map(|domain| domain.name.as_str())),
        }
    }

    /// Greatest age of an epoch of a domain, in days.
    pub fn epoch_days_of(&self, domain: &str) -> u32 {
        let own = self.domain.iter().find(|one| one.name == domain);
        own.map_or(self.epoch_days, |own| own.epoch_days)
    }
}

fn check_domains<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        check_filled("domain name", name)?;
        if !seen.insert(name) {
            return Err(format!("domain `{name}` is named twice"));
        }
    }
    match seen.is_empty() {
        true => Err("no domain is named: add [[domain]]".into()),
        false => Ok(()),
    }
}
