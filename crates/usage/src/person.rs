//! From a person's number to the pseudonyms that journals have for it.

use std::collections::BTreeSet;

use drieslot_audit::Pseudonym;
use drieslot_register::State;
use drieslot_schema::{Domain, LogicalType};
use drieslot_seal::{SubjectKey, subject_of_text};

/// Of a plain column the classification does not say the type: what names a person may be any of these.
const PLAIN: [LogicalType; 3] = [LogicalType::Text, LogicalType::Int8, LogicalType::Uuid];

/// One for each spelling that a value of the realm's columns has. No error repeats the subject.
pub(crate) fn pseudonyms(
    state: &State,
    key: &SubjectKey,
    realm: Option<&str>,
    subject: &str,
) -> Result<Vec<Pseudonym>, String> {
    let realm = realm_of(state, realm)?;
    let types = state.subjects().filter(|(one, _)| **one == realm).flat_map(|(_, ty)| match ty {
        Some(ty) => vec![ty],
        None => PLAIN.to_vec(),
    });
    let mut spellings = BTreeSet::new();
    for ty in types {
        let mut spelled = Vec::new();
        if subject_of_text(ty, subject, &mut spelled).is_ok() {
            spellings.insert(spelled);
        }
    }
    if spellings.is_empty() {
        return Err(format!("the subject is no value of a column in realm `{realm}`"));
    }
    let pseudonym = |spelled: &Vec<u8>| {
        let text = key.pseudonym(&realm, spelled).map_err(|error| error.to_string())?;
        Pseudonym::parse(&text).ok_or_else(|| "a pseudonym of another length".to_owned())
    };
    spellings.iter().map(pseudonym).collect()
}

fn realm_of(state: &State, asked: Option<&str>) -> Result<Domain, String> {
    let realms: BTreeSet<&Domain> = state.subjects().map(|(realm, _)| realm).collect();
    let names = || realms.iter().map(|realm| realm.0.as_str()).collect::<Vec<_>>().join(", ");
    match (asked, realms.first()) {
        (None, Some(only)) if realms.len() == 1 => Ok((*only).clone()),
        (None, _) => Err(format!("name the realm that the subject belongs to: {}", names())),
        (Some(asked), _) => {
            let found = realms.iter().find(|realm| realm.0 == asked);
            found.map(|realm| (*realm).clone()).ok_or_else(|| format!("there is no such realm; there are: {}", names()))
        }
    }
}
