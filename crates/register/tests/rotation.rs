//! Epochs: who opens and ends one, which keys are given meanwhile, and what else must stand still.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod people;

use drieslot_link::Fingerprint;
use drieslot_register::signature::sign_with_identity;
use drieslot_register::{Effect, Function, Refusal, Status, statement::Kind};
use drieslot_schema::Domain;
use people::{Log, classification, mandate, now, revocation};

const NAME: &str = "civic.public.newcomers.name";

fn domain() -> Domain {
    Domain(NAME.into())
}

fn rotation(id: &str, domain: &str, epoch: u16) -> String {
    format!(
        "kind = \"rotation\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-02-01T00:00:00Z\"\n\
         worker = \"gateway-1\"\nwhy = \"a year is over\"\n\n[[domain]]\nname = \"{domain}\"\nepoch = {epoch}\n"
    )
}

fn retirement(id: &str, epoch: u16) -> String {
    format!(
        "kind = \"retirement\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-02-02T00:00:00Z\"\n\n\
         [[domain]]\nname = \"{NAME}\"\nepoch = {epoch}\ncells = 12\n"
    )
}

fn policy(id: &str, replaces: &str, days: u32) -> String {
    format!(
        "kind = \"key-policy\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-02-01T00:00:00Z\"\n\
         {replaces}\nepoch_days = {days}\n\n[[domain]]\nname = \"{NAME}\"\nepoch_days = 90\n"
    )
}

/// All officers that a statement takes.
fn enact(log: &mut Log, text: &str, who: &[&str]) {
    log.submit(text).unwrap();
    let last = who.iter().map(|who| log.sign(who, text).unwrap()).last();
    assert!(matches!(last, Some(Effect::InForce { .. })), "{last:?}");
}

/// The three custodians sign the key of an epoch.
fn check_key(log: &mut Log, epoch: u16) {
    let hash = "ab".repeat(32);
    let text = format!(
        "kind = \"key-check\"\ntenant = \"agency.example\"\nid = \"key-{epoch}\"\nissued = \"2026-02-01T00:00:00Z\"\n\
         domain = \"{NAME}\"\nepoch = {epoch}\nkey_check = \"{hash}\"\n\n[shares]\nstructure = \"{hash}\"\n\
         access = \"{hash}\"\nkeys = \"{hash}\"\n"
    );
    log.submit(&text).unwrap();
    for function in Function::ALL {
        let armored = sign_with_identity(text.as_bytes(), &log.custodians[&function]).unwrap();
        log.armored(&text, armored).unwrap();
    }
}

fn in_use(log: &Log, epoch: u16) -> Result<String, String> {
    let used = log.state.domain_use(&domain(), epoch, &log.gateway, now());
    used.map(|used| used.mandate).map_err(|denied| denied.to_string())
}

fn refused(log: &mut Log, text: &str) -> String {
    match log.submit(text) {
        Err(Refusal::Contradicts(why) | Refusal::Malformed(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_epoch_is_opened_by_structure_and_keys_and_ended_by_keys() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    assert!(in_use(&log, 2).unwrap_err().contains("not in use"));
    let text = rotation("r1", NAME, 2);
    log.submit(&text).unwrap();
    assert!(matches!(log.sign("ann", &text), Err(Refusal::Signer(_))), "access has no say in it");
    for who in ["sam", "kim"] {
        assert!(matches!(log.sign(who, &text), Ok(Effect::Signed { .. })));
        assert!(in_use(&log, 2).is_err(), "structure has a quorum of two");
    }
    log.sign("sofie", &text).unwrap();
    assert_eq!((in_use(&log, 1).unwrap(), in_use(&log, 2).unwrap()), ("m1".into(), "m1".into()));
    assert_eq!(log.state.current_epoch(&domain()), 1, "the new key is not confirmed yet");
    assert!(refused(&mut log, &retirement("too-early", 1)).contains("nothing"));
    check_key(&mut log, 2);
    assert_eq!(log.state.current_epoch(&domain()), 2);
    assert_eq!(log.state.epochs_in_use(&domain()).other, Some(1));

    assert!(refused(&mut log, &retirement("other", 2)).contains("leaves epoch 1"));
    let end = retirement("end", 1);
    log.submit(&end).unwrap();
    assert!(matches!(log.sign("sam", &end), Err(Refusal::Signer(_))), "structure has no say in it");
    log.sign("kim", &end).unwrap();
    assert!(in_use(&log, 1).unwrap_err().contains("epoch 1 is retired"));
    assert_eq!(in_use(&log, 2).unwrap(), "m1");
    assert_eq!(log.state.epochs_in_use(&domain()).other, None);
    assert_eq!(log.state.epoch_changes(), 2);

    assert!(refused(&mut log, &rotation("again", NAME, 2)).contains("epoch 2"));
    enact(&mut log, &rotation("r2", NAME, 3), &["sam", "sofie", "kim"]);
    check_key(&mut log, 3);
    assert_eq!(log.state.current_epoch(&domain()), 3);
    assert!(in_use(&log, 1).is_err());
}

#[test]
fn only_the_worker_has_keys_without_a_mandate_and_only_meanwhile() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    enact(&mut log, &rotation("r1", NAME, 2), &["sam", "sofie", "kim"]);
    let stop = revocation("stop", "m1");
    enact(&mut log, &stop, &["ann"]);
    assert_eq!((in_use(&log, 1).unwrap(), in_use(&log, 2).unwrap()), ("rotation r1".into(), "rotation r1".into()));
    let stranger = Fingerprint::of_spki(b"another gateway");
    assert!(log.state.domain_use(&domain(), 2, &stranger, now()).is_err());
    check_key(&mut log, 2);
    enact(&mut log, &retirement("end", 1), &["kim"]);
    assert!(in_use(&log, 2).unwrap_err().contains("no mandate"));
}

#[test]
fn a_rotation_that_could_not_be_carried_through_does_not_begin() {
    let mut log = Log::classified();
    let elsewhere = classification("elsewhere", None, "").replace("\"civic\"", "\"other\"");
    log.enact(&elsewhere);
    assert!(refused(&mut log, &rotation("a", "person", 2)).contains("several databases"));
    assert!(refused(&mut log, &rotation("b", "nowhere", 2)).contains("nowhere"));
    assert!(refused(&mut log, &rotation("c", NAME, 3)).contains("epoch 1"));
    assert!(refused(&mut log, &rotation("d", NAME, 1)).contains("epoch 1"));
    assert!(refused(&mut log, &rotation("e", NAME, 2).replace("gateway-1", "gateway-2")).contains("no gateway"));
    let twice = format!("[[domain]]\nname = \"{NAME}\"\nepoch = 2\n");
    assert!(refused(&mut log, &(rotation("f", NAME, 2) + &twice)).contains("twice"));
    assert!(refused(&mut log, &retirement("g", 1)).contains("no rotation"));

    let waiting = rotation("late", NAME, 2);
    log.submit(&waiting).unwrap();
    enact(&mut log, &rotation("r1", NAME, 2), &["sam", "sofie", "kim"]);
    assert!(matches!(log.sign("kim", &waiting), Err(Refusal::Settled { .. })));
    assert!(refused(&mut log, &rotation("second", NAME, 3)).contains("r1"));
    let column = "[[table.column]]\nname = \"alias\"\nclass = 3\nprotection = \"sealed\"\ntype = \"text\"\n";
    let joined = format!("{column}domain = \"{NAME}\"\n");
    assert!(refused(&mut log, &classification("c2", Some("c1"), &joined)).contains("rotation is not ended"));
    let other = classification("c0", None, &joined).replace("\"civic\"", "\"third\"");
    assert!(refused(&mut log, &other).contains("rotation is not ended"));
    enact(&mut log, &classification("c3", Some("c1"), column), &["sam", "sofie"]);
}

#[test]
fn one_key_policy_is_in_force() {
    let mut log = Log::classified();
    assert!(refused(&mut log, &policy("p0", "", 0)).contains("1 or more"));
    enact(&mut log, &policy("p1", "", 365), &["kim"]);
    assert!(refused(&mut log, &policy("p2", "", 180)).contains("replaces = \"p1\""));
    enact(&mut log, &policy("p2", "replaces = \"p1\"", 180), &["kim"]);
    let held = log.state.key_policy().unwrap();
    assert_eq!((held.epoch_days_of(NAME), held.epoch_days_of("person")), (90, 180));
    assert_eq!(log.state.find(Kind::KeyPolicy, "p1").unwrap().status, Status::Replaced);
}
