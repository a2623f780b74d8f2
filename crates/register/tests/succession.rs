//! A charter takes another's place: parts, persons and purposes change, and nobody is gone round.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod people;

use drieslot_register::signature::sign_with_identity;
use drieslot_register::statement::{Charter, Kind, Statement};
use drieslot_register::{Effect, Function, Refusal, Status};
use people::{Log, PERSONS, mandate, officers, paper_part, ssh_key};
use ssh_key::PrivateKey;

fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

/// The charter in force, written anew under another id.
fn next(log: &Log, id: &str, change: impl Fn(&mut Charter)) -> String {
    let mut charter = log.state.charter().unwrap().as_ref().clone();
    charter.replaces = Some(charter.id.clone());
    charter.id = id.into();
    change(&mut charter);
    Statement::Charter(charter).to_text().unwrap()
}

fn in_force(effect: &Result<Effect, Refusal>) -> bool {
    matches!(effect, Ok(Effect::InForce { .. }))
}

fn missing(log: &Log, id: &str) -> Vec<String> {
    log.state.find(Kind::Charter, id).unwrap().missing()
}

fn key_of(charter: &mut Charter, who: &str, key: String) {
    charter.person.iter_mut().find(|one| one.name == who).unwrap().key = key;
}

/// stef in place of sofie.
fn change_structure(log: &mut Log, key: &str) {
    let text = officers("o1", "structure", &["sofie"], &[("stef", key)]);
    log.submit(&text).unwrap();
    for name in ["sam", "sofie"] {
        log.sign(name, &text).unwrap();
    }
    assert!(in_force(&log.sign("ann", &text)));
}

#[test]
fn another_gateway_comes_in_with_everyones_signature() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let (part, _) = paper_part("gateway 2");
    let text = next(&log, "charter-2", |charter| {
        charter.gateway[0].tls = part.tls;
        charter.gateway[0].key.clone_from(&part.key);
    });
    log.submit(&text).unwrap();
    for (name, _) in &PERSONS[1..] {
        assert!(!in_force(&log.sign(name, &text)));
    }
    assert!(log.state.part(&part.tls).is_none(), "not before the last signature");
    assert_eq!(missing(&log, "charter-2"), ["sam", "1 of structure in office, or its custodian"]);
    assert!(in_force(&log.sign("sam", &text)));
    assert!(log.state.part(&part.tls).is_some() && log.state.part(&log.gateway).is_none());
    assert_eq!(log.state.find(Kind::Charter, "charter").unwrap().status, Status::Replaced);
    assert_eq!(log.state.find(Kind::Mandate, "m1").unwrap().status, Status::InForce);
}

#[test]
fn a_function_that_lost_its_only_key_is_given_another_through_its_custodian() {
    let mut log = Log::classified();
    let fresh = ssh_key();
    let text = next(&log, "charter-2", |charter| key_of(charter, "kim", public(&fresh)));
    log.submit(&text).unwrap();
    let lost = log.people.sign("kim", &text);
    assert!(matches!(log.armored(&text, lost), Err(Refusal::Signer(_))), "whoever found the lost key");
    for name in ["sam", "sofie", "ann", "hilde"] {
        log.sign(name, &text).unwrap();
    }
    log.people.keys.insert("kim", fresh);
    assert!(!in_force(&log.sign("kim", &text)), "the new key cannot bring itself in");
    assert_eq!(missing(&log, "charter-2"), ["1 of keys in office, or its custodian"]);
    let others = sign_with_identity(text.as_bytes(), &log.custodians[&Function::Access]).unwrap();
    assert!(!in_force(&log.armored(&text, others)), "another function's custodian");
    let own = sign_with_identity(text.as_bytes(), &log.custodians[&Function::Keys]).unwrap();
    assert!(in_force(&log.armored(&text, own)));
}

#[test]
fn nobody_is_replaced_by_the_others() {
    let mut log = Log::classified();
    let (ours, theirs) = (ssh_key(), ssh_key());
    let text = next(&log, "coup", |charter| {
        let mut person = charter.person.iter().find(|one| one.name == "kim").unwrap().clone();
        charter.person.retain(|one| one.name != "kim");
        (person.name, person.key) = ("karl".into(), public(&ours));
        charter.person.push(person);
        key_of(charter, "hilde", public(&theirs));
    });
    log.submit(&text).unwrap();
    log.people.keys.insert("karl", ours);
    log.people.keys.insert("hilde", theirs);
    for name in ["sam", "sofie", "ann", "karl", "hilde"] {
        assert!(!in_force(&log.sign(name, &text)));
    }
    assert_eq!(missing(&log, "coup"), ["1 of keys in office, or its custodian"]);
    assert!(in_force(&log.sign("kim", &text)), "who goes agrees");
    let late = mandate("late", "");
    log.submit(&late).unwrap();
    assert!(matches!(log.sign("kim", &late), Err(Refusal::Signer(_))), "and is gone");
}

#[test]
fn what_would_not_hold_is_refused() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let refused = |log: &mut Log, change: &dyn Fn(&mut Charter)| match log.submit(&next(log, "c", change)) {
        Err(Refusal::Contradicts(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(&mut log, &|charter| charter.replaces = None).contains("replaces"));
    assert!(refused(&mut log, &|charter| charter.replaces = Some("other".into())).contains("replaces"));
    assert!(refused(&mut log, &|charter| charter.tenant = "other.example".into()).contains("tenant"));
    assert!(refused(&mut log, &|charter| charter.purposes.retain(|one| one != "onboarding")).contains("`m1`"));
    let (part, _) = paper_part("another register");
    assert!(refused(&mut log, &|charter| charter.register.key.clone_from(&part.key)).contains("register's key"));

    let old = public(&log.people.keys["sofie"]);
    let new = ssh_key();
    log.people.keys.insert("stef", new.clone());
    change_structure(&mut log, &public(&new));
    let back = refused(&mut log, &|charter| {
        charter.person.iter_mut().for_each(|one| {
            if one.name == "stef" {
                (one.name, one.key) = ("sofie".into(), old.clone());
            }
        })
    });
    assert!(back.contains("taken away"), "{back}");
}

#[test]
fn officers_who_changed_meanwhile_overtake_a_charter_that_waits() {
    let mut log = Log::classified();
    let text = next(&log, "charter-2", |charter| charter.purposes.push("audit".into()));
    log.submit(&text).unwrap();
    log.sign("sam", &text).unwrap();
    log.people.keys.insert("stef", ssh_key());
    let key = public(&log.people.keys["stef"]);
    change_structure(&mut log, &key);
    assert!(matches!(log.sign("ann", &text), Err(Refusal::Settled { .. })));
}
