//! What the fold admits and what follows from it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    missing_docs,
    reason = "tests"
)]

mod people;

use std::collections::BTreeMap;

use drieslot_link::Fingerprint;
use drieslot_register::entry::Entry;
use drieslot_register::signature::{sign, sign_with_identity};
use drieslot_register::statement::{Kind, Statement};
use drieslot_register::{Asker, Effect, EndUser, Function, Operation, Refusal, State, Status};
use drieslot_schema::{ColumnId, Domain, Mask, TableId};
use people::{Log, PERSONS, classification, mandate, mandate_until, now, revocation, ssh_key};
use ssh_key::HashAlg;

fn column(name: &str) -> ColumnId {
    ColumnId { table: TableId { schema: "public".into(), table: "newcomers".into() }, column: name.into() }
}

fn reads(name: &str) -> [(ColumnId, Operation); 1] {
    [(column(name), Operation::Read)]
}

fn why(log: &Log, name: &str) -> String {
    log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads(name)).unwrap_err().to_string()
}

fn person() -> Domain {
    Domain("person".into())
}

#[test]
fn the_charter_needs_everyone_and_the_pin() {
    let mut log = Log::unsigned();
    let text = log.charter.clone();
    assert!(matches!(log.submit(&mandate("m", "")), Err(Refusal::Contradicts(_))), "nothing before the charter");
    for (name, _) in &PERSONS[..4] {
        assert!(matches!(log.sign(name, &text), Ok(Effect::Signed { .. })));
        assert!(log.state.charter().is_none());
    }
    assert_eq!(log.state.statements()[0].missing(), ["hilde"]);
    assert!(matches!(log.sign("hilde", &text), Ok(Effect::InForce { kind: Kind::Charter, .. })));
    assert_eq!(log.state.tenant(), Some("agency.example"));
    let second = text.replace("id = \"charter\"", "id = \"charter-2\"");
    assert!(matches!(log.submit(&second), Err(Refusal::Contradicts(_))));

    let mut other = State::new(drieslot_register::Hex32([7; 32]));
    let entry = Entry::Statement(text).encode(people::NOW).unwrap();
    assert!(matches!(other.apply(0, &entry), Err(Refusal::Contradicts(_))), "another charter than the pinned one");
}

#[test]
fn two_of_three_functions_are_not_enough_and_each_needs_its_quorum() {
    let mut log = Log::classified();
    let text = mandate("m1", "");
    log.submit(&text).unwrap();
    for who in ["sam", "ann", "kim"] {
        assert!(matches!(log.sign(who, &text), Ok(Effect::Signed { .. })), "{who}");
        assert!(why(&log, "name").contains("no mandate grants it"));
    }
    assert_eq!(log.state.pending().next().unwrap().missing(), ["1 of structure"], "structure has a quorum of two");
    assert!(matches!(log.sign("sofie", &text), Ok(Effect::InForce { .. })));
    let permit = log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("name")).unwrap();
    assert_eq!((permit.mandates, permit.purpose.as_str()), (vec!["m1".to_owned()], "onboarding"));

    let text = mandate("m2", "");
    log.submit(&text).unwrap();
    for who in ["sam", "sofie", "ann"] {
        log.sign(who, &text).unwrap();
    }
    assert_eq!(log.state.find(Kind::Mandate, "m2").unwrap().missing(), ["1 of keys"]);
}

#[test]
fn nobody_has_two_hats() {
    let log = Log::unsigned();
    let refused = |from: &str, to: &str| {
        assert!(log.charter.contains(from), "{from}");
        match Statement::parse(&log.charter.replace(from, to)) {
            Err(Refusal::Malformed(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("name = \"kim\"", "name = \"Ann\"").contains("two functions"));
    let key = |who: &str| log.people.keys[who].public_key().to_openssh().unwrap();
    assert!(refused(&key("kim"), &key("ann")).contains("two functions"));
    assert!(refused("structure = 2", "structure = 3").contains("quorum"));
    assert!(refused("structure = 2", "structure = 0").contains("quorum"));
    assert!(refused("function = \"head\"", "function = \"keys\"").contains("head"));
    assert!(refused("tenant = ", "nonsense = 1\ntenant = ").contains("nonsense"));
    assert!(refused("kind = \"charter\"", "kind = \"decree\"").contains("decree"));
}

#[test]
fn signatures_that_do_not_count_are_refused() {
    let mut log = Log::classified();
    let text = mandate("m1", "requester = \"ann\"");
    log.submit(&text).unwrap();
    assert!(matches!(log.sign("ann", &text), Err(Refusal::Signer(_))), "the requester");
    assert!(matches!(log.sign("hilde", &text), Err(Refusal::Signer(_))), "the head is no officer");
    let stranger = sign(text.as_bytes(), &ssh_key()).unwrap();
    assert!(matches!(log.armored(&text, stranger), Err(Refusal::Signer(_))));
    let part = sign_with_identity(text.as_bytes(), &log.custodians[&Function::Keys]).unwrap();
    assert!(matches!(log.armored(&text, part), Err(Refusal::Signer(_))), "a custodian is no officer");
    let elsewhere = log.people.keys["kim"].sign("git", HashAlg::Sha512, text.as_bytes()).unwrap().to_string();
    match log.armored(&text, elsewhere) {
        Err(Refusal::Signature(why)) => assert!(why.contains("namespace"), "{why}"),
        other => panic!("{other:?}"),
    }
    let tampered = log.people.sign("kim", &text.replace("2027", "2037"));
    assert!(matches!(log.armored(&text, tampered), Err(Refusal::Signature(_))));
    let good = log.people.sign("kim", &text);
    let truncated = good[..good.len() / 2].to_owned();
    assert!(matches!(log.armored(&text, truncated), Err(Refusal::Signature(_))));
    log.armored(&text, good.clone()).unwrap();
    assert!(matches!(log.armored(&text, good), Err(Refusal::Known(_))), "replayed");
    let unknown = log.people.sign("kim", "x");
    assert!(matches!(log.armored("x", unknown), Err(Refusal::UnknownStatement(_))));
}

#[test]
fn statements_that_do_not_fit_are_refused() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let cases = [
        mandate("m1", ""),
        mandate("m1", "rows_per_statement = 5"),
        mandate("m2", "").replace("agency.example", "other.example"),
        mandate("m2", "").replace("onboarding", "marketing"),
        mandate("m2", "").replace("valid_until = \"2027", "valid_until = \"2025"),
        mandate("m2", "hours = \"9-17\""),
        mandate("m2", "").replace("\"search\"", "\"sort\""),
        mandate("m2", "")[..300].to_owned(),
        mandate("m2", "replaces = \"none\""),
        mandate("M 2", ""),
        revocation("r1", "none"),
        classification("c2", None, ""),
        classification("c2", Some("c0"), ""),
        classification("c2", Some("c1"), "").replace("class = 4", "class = 6"),
        classification("c2", Some("c1"), "").replace("type = \"text\"", ""),
        classification("c2", Some("c1"), "").replace("varchar(11)", "money"),
        classification("c2", Some("c1"), "domain = \"person\""),
        String::new(),
    ];
    for text in cases {
        let refused = log.submit(&text);
        assert!(refused.is_err(), "{text}\n{refused:?}");
    }
}

#[test]
fn time_and_revocation_end_a_mandate() {
    let mut log = Log::classified();
    log.enact(&mandate_until("past", "2025-01-01T00:00:00Z", "2026-06-01T12:00:00Z", ""));
    assert!(why(&log, "name").contains("`past` granted it until"), "{}", why(&log, "name"));
    log.enact(&mandate_until("future", "2026-06-01T12:00:01Z", "2027-06-01T12:00:00Z", ""));
    assert!(why(&log, "name").contains("`future` grants it only from"));
    assert!(log.state.domain_use(&person(), 1, &log.gateway, now()).is_err());
    log.enact(&mandate("now", ""));
    assert!(log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("name")).is_ok());
    let used = log.state.domain_use(&person(), 1, &log.gateway, now()).unwrap();
    assert_eq!(used.mandate, "now");
    assert!(log.state.domain_use(&person(), 2, &log.gateway, now()).is_err(), "another epoch");
    assert!(log.state.domain_use(&Domain("x".into()), 1, &log.gateway, now()).is_err());
    let stranger = Fingerprint::of_spki(b"stranger");
    assert!(log.state.domain_use(&person(), 1, &stranger, now()).is_err());

    let text = revocation("r1", "now");
    log.submit(&text).unwrap();
    assert!(
        log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("name")).is_ok(),
        "an unsigned revocation is none"
    );
    log.sign("kim", &text).unwrap();
    assert!(log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("name")).is_err());
    assert!(log.state.domain_use(&person(), 1, &log.gateway, now()).is_err());
    assert_eq!(log.state.find(Kind::Mandate, "now").unwrap().status, Status::Revoked);
    let again = log.people.sign("ann", &text);
    assert!(matches!(log.armored(&text, again), Err(Refusal::Settled { .. })));

    let waiting = mandate("waiting", "");
    log.submit(&waiting).unwrap();
    let stop = revocation("r2", "waiting");
    log.submit(&stop).unwrap();
    log.sign("ann", &stop).unwrap();
    assert!(matches!(log.sign("sam", &waiting), Err(Refusal::Settled { .. })), "stopped before it began");
}

#[test]
fn a_permit_covers_every_use_for_one_purpose() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", "rows_per_statement = 50").replace(", \"name\"", ""));
    log.enact(&mandate("m2", "").replace("\"national_number\", ", "").replace(", \"write\", \"search\"", ""));
    let both = [(column("national_number"), Operation::Search), (column("name"), Operation::Read)];
    let permit = log.state.permit(&Asker::new("app_intake", "civic"), now(), &both).unwrap();
    assert_eq!((permit.mandates.len(), permit.rows_per_statement), (2, Some(50)));
    let write = [(column("name"), Operation::Write)];
    let denied = log.state.permit(&Asker::new("app_intake", "civic"), now(), &write).unwrap_err();
    assert_eq!((denied.column, denied.operation), (column("name"), Operation::Write));
    assert!(log.state.permit(&Asker::new("someone", "civic"), now(), &both).is_err());
    assert!(log.state.permit(&Asker::new("app_intake", "other"), now(), &both).is_err());
    assert!(
        log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("id")).is_err(),
        "plain columns are granted too"
    );

    let court = mandate("m3", "").replace("onboarding", "court_order").replace("app_intake", "court");
    log.enact(&court.replace("\"national_number\", ", ""));
    log.enact(&mandate("m4", "").replace("app_intake", "court").replace(", \"name\"", ""));
    let denied = log.state.permit(&Asker::new("court", "civic"), now(), &both).unwrap_err();
    assert!(denied.why.contains("different purposes"), "{denied}");
}

#[test]
fn an_end_user_must_be_known_as_the_mandate_demands() {
    let mut log = Log::classified();
    let claim =
        "end_user = \"verified\"\n[[end_user_claim]]\nissuer = \"i\"\nclaim = \"groups\"\nvalues = [\"a\", \"b\"]";
    log.enact(&mandate("m1", claim));
    let name = reads("name");
    let ask = |log: &Log, end_user: Option<EndUser<'_>>, purpose: Option<&str>| {
        let asker = Asker { end_user, purpose, ..Asker::new("app_intake", "civic") };
        log.state.permit(&asker, now(), &name).map(|permit| permit.purpose).map_err(|denied| denied.why)
    };
    let groups = |values: &[&str]| {
        BTreeMap::from([("groups".to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())])
    };
    let (fits, other, none) = (groups(&["z", "b"]), groups(&["z"]), BTreeMap::new());
    let verified = |issuer, claims| Some(EndUser::Verified { issuer, claims });
    assert_eq!(ask(&log, verified("i", &fits), None).unwrap(), "onboarding");
    assert_eq!(ask(&log, verified("i", &fits), Some("onboarding")).unwrap(), "onboarding");
    for (user, why) in [
        (None, "verified end user"),
        (Some(EndUser::Asserted), "verified end user"),
        (verified("j", &fits), "other claims"),
        (verified("i", &other), "other claims"),
        (verified("i", &none), "other claims"),
    ] {
        assert!(ask(&log, user, None).unwrap_err().contains(why));
    }
    assert!(ask(&log, verified("i", &fits), Some("court_order")).unwrap_err().contains("drieslot.purpose"));

    // With mandates of several purposes the asker chooses; an asserted user is enough for the second.
    log.enact(&mandate("m2", "end_user = \"asserted\"").replace("onboarding", "court_order"));
    assert_eq!(ask(&log, verified("i", &fits), Some("court_order")).unwrap(), "court_order");
    assert_eq!(ask(&log, Some(EndUser::Asserted), None).unwrap(), "court_order");
    assert!(ask(&log, Some(EndUser::Asserted), Some("onboarding")).is_err());
    assert!(ask(&log, None, None).unwrap_err().contains("end user"));

    for bad in [
        claim.replace("verified", "asserted"),
        claim.replace("[\"a\", \"b\"]", "[]"),
        claim.replace("\"i\"", "\"\""),
        "end_user = \"known\"".to_owned(),
    ] {
        assert!(matches!(log.submit(&mandate("m3", &bad)), Err(Refusal::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_mandate_holds_at_its_hours_only() {
    let mut log = Log::classified();
    let window = |days: &str, from: &str, until: &str| {
        format!("[[hours]]\nzone = \"Europe/Brussels\"\ndays = [{days}]\nfrom = \"{from}\"\nuntil = \"{until}\"\n")
    };
    let both = window("\"monday\", \"tuesday\"", "08:00", "18:00") + &window("\"saturday\"", "09:00", "12:00");
    log.enact(&mandate("m1", &both));
    let ask = |moment: &str| {
        let asker = Asker::new("app_intake", "civic");
        log.state.permit(&asker, moment.parse().unwrap(), &reads("name")).map_err(|denied| denied.why)
    };
    // Tuesday, Saturday and Sunday in summer.
    for (moment, wanted) in [
        ("2026-06-02T05:59:59Z", false),
        ("2026-06-02T06:00:00Z", true),
        ("2026-06-02T16:00:00Z", false),
        ("2026-06-06T06:30:00Z", false),
        ("2026-06-06T09:59:59Z", true),
        ("2026-06-07T09:00:00Z", false),
    ] {
        assert_eq!(ask(moment).is_ok(), wanted, "{moment}");
    }
    let why = ask("2026-06-07T09:00:00Z").unwrap_err();
    assert!(why.contains("monday, tuesday from 08:00 until 18:00 (Europe/Brussels); on saturday from 09:00"), "{why}");
    assert!(ask("2027-06-01T09:00:00Z").unwrap_err().contains("until 2027"), "hours do not prolong it");
    for bad in [
        window("\"monday\"", "18:00", "08:00"),
        window("\"monday\"", "08:00", "08:00"),
        window("\"moonday\"", "08:00", "18:00"),
        window("", "08:00", "18:00"),
        window("\"monday\"", "08:00", "18:00").replace("Brussels", "Brussel"),
        window("\"monday\"", "8", "18:00"),
    ] {
        assert!(matches!(log.submit(&mandate("m3", &bad)), Err(Refusal::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_masked_reading_counts_only_where_no_other_is_granted() {
    let mut log = Log::classified();
    let masked = |id: &str, mask: &str| {
        let text = mandate(id, "").replace("\"read\", \"write\", \"search\"", "\"read_masked\", \"search\"");
        text.replace(", \"name\"]", "]").replace("\"national_number\"", "\"name\"") + &format!("mask = \"{mask}\"\n")
    };
    log.enact(&masked("m1", "last 3"));
    let ask = |log: &Log, uses: &[(ColumnId, Operation)]| {
        log.state.permit(&Asker::new("app_intake", "civic"), now(), uses).map(|permit| permit.masks)
    };
    let both = [(column("name"), Operation::Read), (column("name"), Operation::Search)];
    assert_eq!(ask(&log, &both).unwrap(), BTreeMap::from([(column("name"), Mask::Last(3))]));
    assert_eq!(ask(&log, &both[1..]).unwrap(), BTreeMap::new());
    assert!(ask(&log, &[(column("name"), Operation::Write)]).is_err());
    assert!(ask(&log, &reads("national_number")).is_err());
    let number = mandate("m2", "").replace(", \"name\"", "");
    log.enact(&number);
    let mixed = [(column("name"), Operation::Read), (column("national_number"), Operation::Read)];
    assert_eq!(ask(&log, &mixed).unwrap(), BTreeMap::from([(column("name"), Mask::Last(3))]));
    log.enact(&mandate("m3", ""));
    assert_eq!(ask(&log, &mixed).unwrap(), BTreeMap::new(), "whole values, where they are granted");

    for bad in [
        masked("m4", "last 0"),
        masked("m4", "everything"),
        masked("m4", "last 3").replace("\"search\"]", "\"read\"]"),
        masked("m4", "last 3").replace("\"read_masked\", ", ""),
        masked("m4", "last 3").replace("mask = \"last 3\"\n", ""),
    ] {
        assert!(matches!(log.submit(&bad), Err(Refusal::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_replaced_mandate_ends() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    log.enact(&mandate("m2", "replaces = \"m1\"").replace(", \"name\"", ""));
    assert!(log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("national_number")).is_ok());
    assert!(log.state.permit(&Asker::new("app_intake", "civic"), now(), &reads("name")).is_err());
    assert_eq!(log.state.find(Kind::Mandate, "m1").unwrap().status, Status::Replaced);
}

#[test]
fn structure_alone_may_tighten_a_classification_but_not_loosen_it() {
    let mut log = Log::classified();
    let birth = "\n[[table.column]]\nname = \"born\"\nclass = 3\nprotection = \"sealed\"\ntype = \"date\"\n";
    let tighter = classification("c2", Some("c1"), birth);
    log.submit(&tighter).unwrap();
    log.sign("sam", &tighter).unwrap();
    assert!(matches!(log.sign("ann", &tighter), Err(Refusal::Signer(_))), "access is not asked");
    assert!(matches!(log.sign("sofie", &tighter), Ok(Effect::InForce { .. })));
    assert_eq!(log.state.classification("civic").unwrap().protected().count(), 3);

    let looser = [
        classification("c3", Some("c2"), ""),
        classification("c4", Some("c2"), birth).replace("\"sealed\"\ntype = \"date\"", "\"plain\""),
        classification("c5", Some("c2"), birth).replace("class = 4", "class = 3"),
        classification("c6", Some("c2"), birth).replace("database =", "unlisted_tables = \"plain\"\ndatabase ="),
        classification("c7", Some("c2"), birth).replace("subject =", "unlisted_columns = \"plain\"\nsubject ="),
        classification("c8", Some("c2"), birth).replace("varchar(11)", "varchar(12)"),
        classification("c9", Some("c2"), birth).replace("domain = \"person\"", "domain = \"other\""),
    ];
    for text in &looser {
        log.submit(text).unwrap();
        for who in ["sam", "sofie"] {
            assert!(matches!(log.sign(who, text), Ok(Effect::Signed { .. })), "{text}");
        }
    }
    log.sign("ann", &looser[0]).unwrap();
    assert!(matches!(log.sign("kim", &looser[0]), Ok(Effect::InForce { .. })));
    assert!(matches!(log.sign("ann", &looser[1]), Err(Refusal::Settled { .. })), "written against c2");
}

#[test]
fn a_subject_has_one_spelling_and_a_realm_and_no_domain_is_drieslots_own() {
    let words = |text: &str| match Statement::parse(text).map_err(|refusal| refusal.to_string()) {
        Ok(Statement::Classification(one)) => one.to_schema(),
        Ok(other) => panic!("{other:?}"),
        Err(why) => Err(why),
    };
    let realm = |text: &str| words(text).unwrap().subjects().next().unwrap().1.realm.0.clone();
    let base = classification("c1", None, "");
    assert_eq!(realm(&base), "person", "the domain of the protected column");
    let by_id = base.replace("subject = \"national_number\"", "subject = \"id\"");
    assert_eq!(realm(&by_id), "civic.public.newcomers.id");
    let plain = "protection = \"plain\"";
    assert_eq!(realm(&by_id.replacen(plain, "protection = \"plain\"\ndomain = \"customer\"", 1)), "customer");
    let wrong = [
        (base.replacen(plain, "protection = \"plain\"\ndomain = \"customer\"", 1), "leave them out"),
        (by_id.replacen(plain, "protection = \"plain\"\ndomain = \"drieslot/x\"", 1), "Drieslot's own"),
        (base.replace("domain = \"person\"", "domain = \"drieslot/subjects\""), "Drieslot's own"),
        (base.replace("varchar(11)", "date"), "cannot be a table's subject"),
        (base.replace("subject = \"national_number\"", "subject = \"nobody\""), "not among its columns"),
    ];
    for (text, why) in wrong {
        let error = words(&text).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn the_key_of_subjects_is_given_while_a_classification_names_one() {
    let mut log = Log::classified();
    let subjects = Domain::subjects();
    let used = log.state.domain_use(&subjects, 1, &log.gateway, now()).unwrap();
    assert_eq!(used.mandate, "classification c1");
    assert!(log.state.domain_use(&subjects, 2, &log.gateway, now()).is_err(), "it is never rotated");
    assert!(log.state.domain_use(&subjects, 1, &Fingerprint::of_spki(b"nobody"), now()).is_err());
    let rotation = "kind = \"rotation\"\ntenant = \"agency.example\"\nid = \"r1\"\nissued = \"2026-01-05T00:00:00Z\"\n\
                    worker = \"gateway-1\"\nwhy = \"x\"\n[[domain]]\nname = \"drieslot/subjects\"\nepoch = 2\n";
    assert!(matches!(log.submit(rotation), Err(Refusal::Contradicts(_))));
    log.enact(&classification("c2", Some("c1"), "").replace("subject = \"national_number\"\n", ""));
    assert!(log.state.domain_use(&subjects, 1, &log.gateway, now()).is_err(), "nobody needs it any more");
}

#[test]
fn a_key_check_needs_three_custodians() {
    let mut log = Log::classified();
    let hex = |digit: &str| digit.repeat(64);
    let text = format!(
        "kind = \"key-check\"\ntenant = \"agency.example\"\nid = \"k1\"\nissued = \"2026-01-05T00:00:00Z\"\n\
         domain = \"person\"\nepoch = 1\nkey_check = \"{}\"\n[shares]\nstructure = \"{}\"\naccess = \"{}\"\nkeys = \"{}\"\n",
        hex("a"),
        hex("b"),
        hex("c"),
        hex("d")
    );
    log.submit(&text).unwrap();
    assert!(matches!(log.sign("kim", &text), Err(Refusal::Signer(_))), "an officer is no custodian");
    for function in [Function::Structure, Function::Access] {
        let armored = sign_with_identity(text.as_bytes(), &log.custodians[&function]).unwrap();
        assert!(matches!(log.armored(&text, armored), Ok(Effect::Signed { .. })));
        assert!(log.state.key_check(&person(), 1).is_none());
    }
    let armored = sign_with_identity(text.as_bytes(), &log.custodians[&Function::Keys]).unwrap();
    log.armored(&text, armored).unwrap();
    assert_eq!(log.state.key_check(&person(), 1).unwrap().key_check.to_string(), hex("a"));
    assert!(log.submit(&text.replace("k1", "k2")).is_err(), "one for each domain and epoch");
    assert!(log.submit(&text.replace("k1", "k2").replace("person", "nobody")).is_err());
}

#[test]
fn the_same_entries_give_the_same_state_and_a_changed_one_is_refused() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let pin = drieslot_register::Hex32::sha256(&log.charter);
    let mut again = State::new(pin);
    for (index, entry) in log.entries.iter().enumerate() {
        again.apply(index as u64, entry).unwrap();
    }
    assert_eq!(format!("{again:?}"), format!("{:?}", log.state));
    assert!(matches!(again.apply(0, &log.entries[0]), Err(Refusal::OutOfOrder { .. })));

    for at in [0, 3, log.entries.len() - 1] {
        let mut state = State::new(pin);
        for (index, entry) in log.entries[..at].iter().enumerate() {
            state.apply(index as u64, entry).unwrap();
        }
        let entry = &log.entries[at];
        let mut changed = entry.clone();
        let middle = changed.len() / 2 + 30;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        for bad in [changed.as_slice(), &entry[..entry.len() - 1], b"{}", b""] {
            assert!(state.apply(at as u64, bad).is_err(), "entry {at}");
        }
    }
    let closed = log.state.closed("tampered with");
    let denied = closed.permit(&Asker::new("app_intake", "civic"), now(), &reads("name")).unwrap_err();
    assert!(denied.why.contains("tampered with"));
    assert!(closed.charter().is_none() && closed.classification("civic").is_none());
    assert!(closed.domain_use(&person(), 1, &log.gateway, now()).is_err());
}
