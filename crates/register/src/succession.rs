//! A charter that takes another's place: other parts, purposes, persons or quorums, under the same pin.

use std::collections::BTreeSet;

use ssh_key::public::KeyData;

use crate::record::{Signer, custodian, person};
use crate::statement::{Charter, Function, Quorum, read_key};

/// Whose signatures it takes: everyone that the new charter names, and each function of the one in force: its quorum, or
/// its custodian, so that a function whose officers have lost their keys can be given new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Succession {
    new: Vec<Known>,
    /// In office, without those whom the new charter knows by another key or with another function.
    old: Vec<Known>,
    custodians: Vec<Known>,
    quorum: Quorum,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    signer: Signer,
    key: KeyData,
}

type Named<'a> = (&'a String, &'a String);

/// Each with the key it signs with; `signer` finds whose a key is.
fn known<'a>(
    all: impl Iterator<Item = Named<'a>>,
    signer: impl Fn(&KeyData) -> Option<Signer>,
) -> Result<Vec<Known>, String> {
    let found = all.map(|(name, key)| {
        let key = read_key(name, key)?;
        let signer = signer(&key).ok_or_else(|| format!("the key of {name} is nobody's"))?;
        Ok(Known { signer, key })
    });
    found.collect()
}

fn persons(charter: &Charter) -> Result<Vec<Known>, String> {
    known(charter.person.iter().map(|one| (&one.name, &one.key)), |key| person(charter, key))
}

impl Succession {
    /// Whether `new` may take the place of `now`. `former` are keys that were taken away: they never come back.
    pub(crate) fn admit<'m>(
        now: &Charter,
        new: &Charter,
        former: &BTreeSet<KeyData>,
        purposes: impl Iterator<Item = (&'m str, &'m str)>,
    ) -> Result<Self, String> {
        if new.replaces.as_ref() != Some(&now.id) {
            return Err(format!("charter `{}` is in force: write replaces = \"{}\"", now.id, now.id));
        }
        if new.tenant != now.tenant {
            return Err(format!("a charter for tenant `{}` cannot replace one of `{}`", new.tenant, now.tenant));
        }
        if new.register.key != now.register.key {
            return Err("the register's key is what its checkpoints are verified with: it stays".into());
        }
        for (mandate, purpose) in purposes {
            if !new.purposes.iter().any(|one| one == purpose) {
                return Err(format!(
                    "mandate `{mandate}` is in force for purpose `{purpose}`: keep it, or revoke that first"
                ));
            }
        }
        let custodians = now.custodian.iter().map(|one| (&one.name, &one.key));
        let custodians = known(custodians, |key| custodian(now, key))?;
        let (new, mut old) = (persons(new)?, persons(now)?);
        if let Some(back) = new.iter().find(|one| former.contains(&one.key)) {
            return Err(format!("the key of `{}` was taken away: make a new one", back.signer.name));
        }
        let named = |one: &Known| new.iter().any(|other| other.signer.name == one.signer.name);
        old.retain(|one| new.contains(one) || !named(one));
        Ok(Self { new, old, custodians, quorum: now.quorum })
    }

    pub(crate) fn person(&self, key: &KeyData) -> Option<Signer> {
        let known = self.new.iter().chain(&self.old).chain(&self.custodians).find(|one| one.key == *key);
        known.map(|one| one.signer.clone())
    }

    /// What is still missing, each as a phrase.
    pub(crate) fn missing(&self, signers: &[Signer]) -> Vec<String> {
        let absent = self.new.iter().filter(|one| !signers.contains(&one.signer));
        let mut missing: Vec<_> = absent.map(|one| one.signer.name.clone()).collect();
        let signed = |known: &[Known], function| {
            let theirs = known.iter().filter(|one| one.signer.function() == Some(function));
            theirs.filter(|one| signers.contains(&one.signer)).count()
        };
        for function in Function::ALL {
            let short = self.quorum.of(function).saturating_sub(signed(&self.old, function));
            if short > 0 && signed(&self.custodians, function) == 0 {
                missing.push(format!("{short} of {function} in office, or its custodian"));
            }
        }
        missing
    }
}

/// Keys of the old charter's persons that the new one does not have.
pub(crate) fn taken_away(now: &Charter, new: &Charter) -> BTreeSet<KeyData> {
    let keys = |charter: &Charter| -> BTreeSet<KeyData> {
        charter.person.iter().filter_map(|one| read_key(&one.name, &one.key).ok()).collect()
    };
    keys(now).difference(&keys(new)).cloned().collect()
}
