//! Who holds a share of this custodian's secret, by its own journal, and whether those are still the right people.
//!
//! Refuses to guess: a custodian that was made anew on a fresh journal knows only whose shares made it.

use std::collections::BTreeSet;
use std::path::Path;

use drieslot_journal::{JournalError, Reader, entry};
use drieslot_register::statement::Statement;
use drieslot_register::{Function, State};
use serde::Deserialize;

/// What the journal says last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holders {
    /// No share was ever made.
    Nobody,
    /// Everybody who was given one.
    All(BTreeSet<String>),
    /// Whose shares made this custodian anew; there may be more.
    AtLeast(BTreeSet<String>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct EscrowEntry {
    recipients: Vec<Named>,
}

#[derive(Deserialize)]
struct RecoveryEntry {
    officers: Vec<String>,
}

impl Holders {
    /// Reads a journal from its beginning, also while its custodian writes it.
    pub(crate) fn read(folder: &Path) -> Result<Self, JournalError> {
        let reader = Reader::open(folder)?;
        let mut last = Self::Nobody;
        for entry in reader.entries(0, reader.size())? {
            let (_, bytes) = entry?;
            let Ok(decoded) = entry::decode(&bytes) else { continue };
            match decoded.kind.as_str() {
                "escrow" => {
                    let made: entry::Entry<EscrowEntry> = entry::decode_as(&bytes)?;
                    last = Self::All(made.body.recipients.into_iter().map(|one| one.name).collect());
                }
                // The set of its own last escrow is still the one in people's hands.
                "recovery" if last == Self::Nobody => {
                    let made: entry::Entry<RecoveryEntry> = entry::decode_as(&bytes)?;
                    last = Self::AtLeast(made.body.officers.into_iter().collect());
                }
                _ => {}
            }
        }
        Ok(last)
    }

    /// What has to be done about it, each as a phrase: officers in force without a share, and former ones with one.
    pub(crate) fn trouble(&self, state: &State, function: Function) -> Vec<String> {
        let Some(charter) = state.charter() else { return Vec::new() };
        let in_force: BTreeSet<&str> = charter
            .person
            .iter()
            .filter(|one| one.function.function() == Some(function))
            .map(|one| one.name.as_str())
            .collect();
        let none = BTreeSet::new();
        let (held, all) = match self {
            Self::Nobody => (&none, true),
            Self::All(names) => (names, true),
            Self::AtLeast(names) => (names, false),
        };
        let without = in_force.iter().filter(|name| all && !held.contains(**name));
        let mut trouble: Vec<String> = without.map(|name| format!("{name} has no share")).collect();
        let former = held.iter().filter(|name| !in_force.contains(name.as_str()) && was_named(state, name));
        trouble.extend(former.map(|name| format!("{name} has a share, and is no officer of {function} any more")));
        trouble
    }
}

/// Whether the register ever named the person; others may have been given shares on purpose.
fn was_named(state: &State, name: &str) -> bool {
    state.statements().iter().any(|record| match record.statement.as_ref() {
        Statement::Charter(charter) => charter.person.iter().any(|one| one.name == name),
        Statement::Officers(change) => change.add.iter().any(|one| one.name == name),
        Statement::Classification(_)
        | Statement::Mandate(_)
        | Statement::Revocation(_)
        | Statement::KeyCheck(_)
        | Statement::KeyPolicy(_)
        | Statement::Rotation(_)
        | Statement::Retirement(_)
        | Statement::Denial(_)
        | Statement::Approval(_)
        | Statement::Attestation(_)
        | Statement::Order(_)
        | Statement::Incident(_)
        | Statement::Exit(_) => false,
    })
}
