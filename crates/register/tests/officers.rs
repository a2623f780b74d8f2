//! Officers come and go, keys are lost, and one officer says no.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod people;

use drieslot_register::statement::{Duty, Kind};
use drieslot_register::{Effect, Refusal, Status};
use people::{Log, classification, denial, mandate, officers, revocation, ssh_key};
use ssh_key::PrivateKey;

fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

fn in_force(effect: &Result<Effect, Refusal>) -> bool {
    matches!(effect, Ok(Effect::InForce { .. }))
}

fn contradicts(log: &mut Log, text: &str) -> String {
    match log.submit(text) {
        Err(Refusal::Contradicts(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn persons(log: &Log, function: Duty) -> Vec<&str> {
    let all = log.state.charter().unwrap().person.iter();
    all.filter(|one| one.function == function).map(|one| one.name.as_str()).collect()
}

#[test]
fn a_change_of_officers_needs_its_function_and_another() {
    let mut log = Log::classified();
    let key = ssh_key();
    let text = officers("o1", "structure", &["sofie"], &[("stef", &public(&key))]);
    log.submit(&text).unwrap();
    let missing = |log: &Log| log.state.find(Kind::Officers, "o1").unwrap().missing().join(", ");
    assert!(matches!(log.sign("hilde", &text), Err(Refusal::Signer(_))), "the head is no officer");
    log.sign("kim", &text).unwrap();
    assert_eq!(missing(&log), "2 of structure", "another function alone");
    log.sign("ann", &text).unwrap();
    log.sign("sam", &text).unwrap();
    assert_eq!(missing(&log), "1 of structure", "half of the quorum");
    assert_eq!(persons(&log, Duty::Structure), ["sam", "sofie"]);
    assert!(in_force(&log.sign("sofie", &text)), "who goes may still sign that");
    assert_eq!(persons(&log, Duty::Structure), ["sam", "stef"]);

    let text = officers("o2", "structure", &[], &[("sara", &public(&ssh_key()))]);
    log.submit(&text).unwrap();
    log.people.keys.insert("stef", key);
    log.sign("sam", &text).unwrap();
    log.sign("stef", &text).unwrap();
    assert_eq!(
        log.state.find(Kind::Officers, "o2").unwrap().missing(),
        ["1 of access or 1 of keys"],
        "its own function alone"
    );
    assert!(in_force(&log.sign("kim", &text)));
}

#[test]
fn a_removed_officers_later_signatures_do_not_count_and_earlier_ones_do() {
    let mut log = Log::classified();
    log.enact(&mandate("before", ""));
    let waiting = mandate("waiting", "");
    log.submit(&waiting).unwrap();
    log.sign("sofie", &waiting).unwrap();
    let (key, lost) = (ssh_key(), log.people.keys["kim"].clone());
    for text in [
        officers("o1", "structure", &["sofie"], &[("stef", &public(&key))]),
        officers("o2", "keys", &["kim"], &[("kim", &public(&key_of(&mut log, "new-kim")))]),
    ] {
        log.submit(&text).unwrap();
        let mut last = None;
        for who in ["sam", "sofie", "kim"] {
            last = Some(log.sign(who, &text).ok());
            if matches!(last, Some(Some(Effect::InForce { .. }))) {
                break;
            }
        }
        if !matches!(last, Some(Some(Effect::InForce { .. }))) {
            assert!(in_force(&log.sign("ann", &text)), "{last:?}");
        }
    }
    assert_eq!(log.state.find(Kind::Mandate, "before").unwrap().status, Status::InForce);
    let text = mandate("after", "");
    log.submit(&text).unwrap();
    assert!(matches!(log.sign("sofie", &text), Err(Refusal::Signer(_))), "removed");
    log.people.keys.insert("kim", lost);
    assert!(matches!(log.sign("kim", &text), Err(Refusal::Signer(_))), "the lost key");
    let refused =
        log.submit(&denial("d1", "mandate", "after")).map(|_| log.sign("sofie", &denial("d1", "mandate", "after")));
    assert!(matches!(refused, Ok(Err(Refusal::Signer(_)))), "a removed officer denies nothing");

    // What sofie signed in her time still counts, with those who are officers now.
    log.people.keys.insert("stef", key);
    let new_kim = log.people.keys["new-kim"].clone();
    log.people.keys.insert("kim", new_kim);
    for who in ["stef", "ann"] {
        log.sign(who, &waiting).unwrap();
    }
    assert!(in_force(&log.sign("kim", &waiting)));
}

fn key_of(log: &mut Log, name: &'static str) -> PrivateKey {
    log.people.keys.entry(name).or_insert_with(ssh_key).clone()
}

#[test]
fn nobody_gets_two_functions_and_no_quorum_breaks() {
    let mut log = Log::classified();
    let new = public(&ssh_key());
    let key = |log: &Log, who: &str| public(&log.people.keys[who]);
    assert!(contradicts(&mut log, &officers("o", "structure", &["sofie"], &[])).contains("quorum of 2"));
    assert!(contradicts(&mut log, &officers("o", "keys", &["ann"], &[("x", &new)])).contains("no officer of keys"));
    assert!(contradicts(&mut log, &officers("o", "keys", &["hilde"], &[("x", &new)])).contains("no officer"));
    assert!(contradicts(&mut log, &officers("o", "keys", &[], &[("Ann", &new)])).contains("two functions"));
    assert!(contradicts(&mut log, &officers("o", "keys", &[], &[("hilde", &new)])).contains("two functions"));
    let anns = key(&log, "ann");
    assert!(contradicts(&mut log, &officers("o", "keys", &[], &[("x", &anns)])).contains("make a new one"));
    let kims = key(&log, "kim");
    assert!(contradicts(&mut log, &officers("o", "keys", &["kim"], &[("kim", &kims)])).contains("make a new one"));
    let custodian = log.state.charter().unwrap().custodian[0].key.clone();
    assert!(contradicts(&mut log, &officers("o", "keys", &[], &[("x", &custodian)])).contains("two functions"));
    for malformed in [
        officers("o", "keys", &[], &[]),
        officers("o", "keys", &["kim", "Kim"], &[("x", &new)]),
        officers("o", "keys", &[], &[("x", "ssh-ed25519 nonsense")]),
        officers("o", "head", &["hilde"], &[("x", &new)]),
    ] {
        assert!(matches!(log.submit(&malformed), Err(Refusal::Malformed(_))), "{malformed}");
    }

    // Two changes that are each right, and together are not: the second takes no more signatures.
    let spare = officers("spare", "structure", &[], &[("stef", &new)]);
    log.submit(&spare).unwrap();
    for who in ["sam", "sofie", "ann"] {
        log.sign(who, &spare).unwrap();
    }
    let (one, two) = (officers("one", "structure", &["sofie"], &[]), officers("two", "structure", &["stef"], &[]));
    log.submit(&one).unwrap();
    log.submit(&two).unwrap();
    for who in ["sam", "sofie"] {
        log.sign(who, &one).unwrap();
        log.sign(who, &two).unwrap();
    }
    assert!(in_force(&log.sign("ann", &one)));
    assert!(matches!(log.sign("ann", &two), Err(Refusal::Settled { .. })));
    assert_eq!(persons(&log, Duty::Structure), ["sam", "stef"]);

    // Neither a lost key nor its owner's second function comes back in a later change.
    let sofies = key(&log, "sofie");
    assert!(contradicts(&mut log, &officers("o", "structure", &[], &[("x", &sofies)])).contains("make a new one"));
    let text = mandate("m", "");
    log.submit(&text).unwrap();
    log.sign("sam", &text).unwrap();
    let (away, back) = (ssh_key(), ssh_key());
    log.people.keys.insert("stef", away.clone());
    let moved = officers("moved", "structure", &["sam"], &[("sven", &public(&away))]);
    assert!(log.submit(&moved).is_ok());
    assert!(contradicts(&mut log, &officers("o", "keys", &[], &[("sam", &public(&back))])).contains("two functions"));
}

#[test]
fn who_changed_function_signs_a_statement_once() {
    let mut log = Log::classified();
    let text = mandate("m", "");
    log.submit(&text).unwrap();
    log.sign("sofie", &text).unwrap();
    let (stef, new) = (ssh_key(), ssh_key());
    for (change, signers) in [
        (officers("out", "structure", &["sofie"], &[("stef", &public(&stef))]), ["sam", "sofie", "ann"]),
        (officers("in", "keys", &[], &[("sofie", &public(&new))]), ["sam", "stef", "kim"]),
    ] {
        log.people.keys.insert("stef", stef.clone());
        log.submit(&change).unwrap();
        assert!(in_force(&signers.map(|who| log.sign(who, &change))[2]));
    }
    log.people.keys.insert("sofie", new);
    assert!(matches!(log.sign("sofie", &text), Err(Refusal::Known(_))), "one person, two hats");
}

#[test]
fn one_deny_stops_a_statement_for_good() {
    let mut log = Log::classified();
    let text = mandate("m1", "");
    log.submit(&text).unwrap();
    for who in ["sam", "sofie", "ann"] {
        log.sign(who, &text).unwrap();
    }
    let no = denial("d1", "mandate", "m1");
    log.submit(&no).unwrap();
    assert_eq!(log.state.pending().count(), 2, "a denial that nobody signed stops nothing");
    assert!(matches!(log.sign("hilde", &no), Err(Refusal::Signer(_))), "the head is no officer");
    assert!(in_force(&log.sign("kim", &no)));
    let record = log.state.find(Kind::Mandate, "m1").unwrap();
    assert_eq!((record.status, record.missing().len()), (Status::Denied, 0));
    assert_eq!(log.state.pending().count(), 0);
    match log.sign("kim", &text) {
        Err(Refusal::Settled { why, .. }) => assert!(why.contains("denied"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(log.submit(&text), Err(Refusal::Known(_))));
    assert!(contradicts(&mut log, &denial("d2", "mandate", "m1")).contains("denied already"));
    assert!(contradicts(&mut log, &revocation("r1", "m1")).contains("denied already"));

    assert!(contradicts(&mut log, &denial("d2", "classification", "c1")).contains("in force"));
    assert!(contradicts(&mut log, &denial("d2", "mandate", "m9")).contains("no mandate `m9`"));
    assert!(contradicts(&mut log, &denial("d2", "charter", "charter")).contains("not for officers"));
    assert!(contradicts(&mut log, &denial("d2", "denial", "d1")).contains("not for officers"));
    assert!(matches!(log.submit(&denial("d2", "decree", "m1")), Err(Refusal::Malformed(_))));

    // What tightens can be denied as well; the next one is not hindered by it.
    let next = classification("c2", Some("c1"), "");
    log.submit(&next).unwrap();
    log.sign("sam", &next).unwrap();
    let no = denial("d3", "classification", "c2");
    log.submit(&no).unwrap();
    assert!(in_force(&log.sign("ann", &no)));
    assert!(matches!(log.sign("sofie", &next), Err(Refusal::Settled { .. })));
    let next = classification("c3", Some("c1"), "");
    log.submit(&next).unwrap();
    log.sign("sam", &next).unwrap();
    assert!(in_force(&log.sign("sofie", &next)));
}

#[test]
fn nobody_denies_their_own_removal() {
    let mut log = Log::classified();
    let text = officers("o1", "structure", &["sofie"], &[("stef", &public(&ssh_key()))]);
    log.submit(&text).unwrap();
    let no = denial("d1", "officers", "o1");
    log.submit(&no).unwrap();
    match log.sign("sofie", &no) {
        Err(Refusal::Signer(why)) => assert!(why.contains("own removal"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(in_force(&log.sign("sam", &no)), "a colleague may");
    assert_eq!(log.state.find(Kind::Officers, "o1").unwrap().status, Status::Denied);
    assert_eq!(persons(&log, Duty::Structure), ["sam", "sofie"]);
}
