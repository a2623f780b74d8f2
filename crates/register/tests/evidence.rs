//! What a dossier reads: who may sign it, what takes the place of what, and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod people;

use std::collections::BTreeMap;

use drieslot_register::signature::sign;
use drieslot_register::statement::{Charter, Duty, Finding, Kind, OrderStage, Person, Statement};
use drieslot_register::{Disclosure, Effect, Refusal, Status};
use people::{Log, PERSONS, mandate, officers, revocation, ssh_key};
use ssh_key::PrivateKey;

const DOCUMENT: &str = "[[document]]\nname = \"letter\"\n\
                        sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";
const PHASE: &str = "[[phase]]\nname = \"copy\"\nseconds = 800\n";

fn head(kind: &str, id: &str, replaces: Option<&str>) -> String {
    let replaces = replaces.map(|id| format!("replaces = \"{id}\"\n")).unwrap_or_default();
    format!(
        "kind = \"{kind}\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-05-01T00:00:00Z\"\n{replaces}"
    )
}

fn approval(id: &str, replaces: Option<&str>, decision: &str) -> String {
    let accepts = if decision == "approved" { "accepts = [\"R01\"]\n" } else { "" };
    format!(
        "{}decision = \"{decision}\"\nwhat = \"the measures\"\n{accepts}valid_until = \"2027-05-01T00:00:00Z\"\n{DOCUMENT}",
        head("approval", id, replaces)
    )
}

fn attestation(id: &str, replaces: Option<&str>, who: &str, finding: &str) -> String {
    format!(
        "{}criterion = \"T10\"\nfinding = \"{finding}\"\nwhy = \"as the letter says\"\nwho = \"{who}\"\n\
         valid_until = \"2027-05-01T00:00:00Z\"\n{DOCUMENT}",
        head("attestation", id, replaces)
    )
}

fn order(id: &str, replaces: Option<&str>, stage: &str, extra: &str) -> String {
    format!(
        "{}authority = \"District Court\"\ncountry = \"US\"\nreference = \"26-1\"\ndemands = \"one file\"\n\
         received = \"2026-04-30T00:00:00Z\"\nstage = \"{stage}\"\n{extra}{DOCUMENT}",
        head("order", id, replaces)
    )
}

fn incident(id: &str, replaces: Option<&str>, extra: &str) -> String {
    format!(
        "{}what = \"a disk was lost\"\ndetected = \"2026-04-30T00:00:00Z\"\nbreach = [\"availability\"]\n{extra}",
        head("incident", id, replaces)
    )
}

fn exit(id: &str, replaces: Option<&str>, extra: &str) -> String {
    format!(
        "{}event = \"drill\"\nfrom = \"First\"\nto = \"Second\"\ndatabases = [\"civic\"]\n\
         started = \"2026-04-30T00:00:00Z\"\nfinished = \"2026-04-30T01:00:00Z\"\nrto_s = 60\nrpo_s = 0\n\
         complete = true\nreadable = true\n{extra}report = {{ name = \"drill\", sha256 = \"{}\" }}\n{PHASE}",
        head("exit", id, replaces),
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )
}

const CLOSED: &str = "unintelligible = true\nrisk = \"likely\"\nconsequences = \"none\"\nmeasures = \"another disk\"\n\
                      authority_told = \"2026-04-30T08:00:00Z\"\nclosed = \"2026-04-30T09:00:00Z\"\n";

/// With a security consultant and a data-protection officer, who come by a next charter.
fn advised() -> (Log, BTreeMap<&'static str, PrivateKey>) {
    let mut log = Log::classified();
    let advisers = BTreeMap::from([("wim", ssh_key()), ("dirk", ssh_key())]);
    let mut charter: Charter = log.state.charter().unwrap().as_ref().clone();
    charter.replaces = Some(charter.id.clone());
    charter.id = "charter-2".into();
    for (name, function) in [("wim", Duty::SecurityConsultant), ("dirk", Duty::DataProtectionOfficer)] {
        let key = advisers[name].public_key().to_openssh().unwrap();
        charter.person.push(Person { name: name.into(), function, key });
    }
    let text = Statement::Charter(charter).to_text().unwrap();
    log.submit(&text).unwrap();
    for (name, _) in PERSONS {
        log.sign(name, &text).unwrap();
    }
    log.armored(&text, sign(text.as_bytes(), &advisers["wim"]).unwrap()).unwrap();
    assert_eq!(log.state.find(Kind::Charter, "charter-2").unwrap().missing(), ["dirk"], "they sign what names them");
    log.armored(&text, sign(text.as_bytes(), &advisers["dirk"]).unwrap()).unwrap();
    (log, advisers)
}

/// Hands it in and has one person sign; all else must not count before.
fn by_one(log: &mut Log, text: &str, who: &str, not: &[&str]) {
    log.submit(text).unwrap();
    for other in not {
        assert!(matches!(log.sign(other, text), Err(Refusal::Signer(_))), "{other}: {text}");
    }
    assert!(matches!(log.sign(who, text), Ok(Effect::InForce { .. })), "{who}: {text}");
}

fn refused(log: &mut Log, text: &str, part: &str) {
    let why = log.submit(text).unwrap_err().to_string();
    assert!(why.contains(part), "{why}\n{text}");
}

#[test]
fn the_head_alone_approves() {
    let mut log = Log::classified();
    by_one(&mut log, &approval("a1", None, "approved"), "hilde", &["sam", "ann", "kim"]);
    let held: Vec<_> = log.state.evidence().approvals().collect();
    assert_eq!((held.len(), held[0].accepts.as_slice()), (1, ["R01".to_owned()].as_slice()));
    refused(&mut log, &approval("a2", Some("a0"), "refused"), "no approval in force");
    by_one(&mut log, &approval("a2", Some("a1"), "refused"), "hilde", &["sam"]);
    assert_eq!(log.state.find(Kind::Approval, "a1").unwrap().status, Status::Replaced);
    let held: Vec<_> = log.state.evidence().approvals().map(|one| one.id.as_str()).collect();
    assert_eq!(held, ["a2"], "a refusal takes the place of what was approved");
    refused(&mut log, &approval("a3", Some("a1"), "approved"), "no approval in force");
}

#[test]
fn who_attests_signs_and_nobody_else_takes_their_word_away() {
    let (mut log, advisers) = advised();
    let by_adviser = |log: &mut Log, text: &str, who: &str| {
        log.submit(text).unwrap();
        log.armored(text, sign(text.as_bytes(), &advisers[who]).unwrap())
    };
    let text = attestation("t1", None, "wim", "not-met");
    assert!(matches!(by_adviser(&mut log, &text, "dirk"), Err(Refusal::Signer(_))));
    assert!(matches!(log.sign("hilde", &text), Err(Refusal::Signer(_))), "not even the head signs for another");
    let signed = log.armored(&text, sign(text.as_bytes(), &advisers["wim"]).unwrap());
    assert!(matches!(signed, Ok(Effect::InForce { .. })));
    // Beside it, in nobody's place.
    by_one(&mut log, &attestation("t2", None, "ann", "met"), "ann", &["sam", "hilde"]);
    assert_eq!(log.state.evidence().attestations().count(), 2);
    refused(&mut log, &attestation("t3", Some("t1"), "ann", "met"), "they replace it, or the head");
    let other = attestation("t3", Some("t1"), "wim", "met").replace("T10", "T11");
    refused(&mut log, &other, "another criterion");
    refused(&mut log, &attestation("t3", None, "nobody", "met"), "no person of the charter");
    let text = attestation("t3", Some("t1"), "wim", "met");
    assert!(matches!(by_adviser(&mut log, &text, "wim"), Ok(Effect::InForce { .. })));
    by_one(&mut log, &attestation("t4", Some("t3"), "hilde", "partly"), "hilde", &["sam"]);
    let found: Vec<_> = log.state.evidence().attestations().map(|one| (one.who.as_str(), one.finding)).collect();
    assert_eq!(found, [("ann", Finding::Met), ("hilde", Finding::Partly)]);

    // An adviser is no officer, and an officer who left attests nothing any more.
    log.enact(&mandate("m1", ""));
    let text = revocation("r1", "m1");
    assert!(matches!(by_adviser(&mut log, &text, "wim"), Err(Refusal::Signer(_))));
    let waits = attestation("t5", None, "sofie", "met");
    log.submit(&waits).unwrap();
    let stef = ssh_key().public_key().to_openssh().unwrap();
    let change = officers("o1", "structure", &["sofie"], &[("stef", &stef)]);
    log.submit(&change).unwrap();
    for who in ["sam", "sofie", "ann"] {
        log.sign(who, &change).unwrap();
    }
    assert!(matches!(log.sign("sofie", &waits), Err(Refusal::Settled { .. })));
}

#[test]
fn an_order_goes_from_step_to_step_and_the_head_decides() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    by_one(&mut log, &order("o1", None, "received", "secret_until = \"2027-01-01T00:00:00Z\"\n"), "ann", &[]);
    refused(&mut log, &order("o2", Some("o1"), "delivered", "why = \"x\"\nmandate = \"m1\"\n"), "does not follow");
    refused(&mut log, &order("o2", Some("o1"), "granted", "why = \"x\"\nmandate = \"m0\"\n"), "no mandate `m0`");
    let other = order("o2", Some("o1"), "refused", "why = \"x\"\n").replace("26-1", "26-2");
    refused(&mut log, &other, "stay as they were");
    let granted = "why = \"article 88bis\"\nmandate = \"m1\"\n";
    by_one(&mut log, &order("o2", Some("o1"), "granted", granted), "hilde", &["ann", "sam", "kim"]);
    assert_eq!(log.state.find(Kind::Order, "o1").unwrap().status, Status::Replaced);
    // The mandate may be over when the data are handed over; but it is that one.
    by_one(&mut log, &revocation("r1", "m1"), "ann", &[]);
    let text = order("o3", Some("o2"), "delivered", granted).replace("\"m1\"", "\"m2\"");
    refused(&mut log, &text, "that it was granted by");
    by_one(&mut log, &order("o3", Some("o2"), "delivered", granted), "hilde", &["ann"]);
    let last: Vec<_> = log.state.evidence().orders().map(|one| one.stage).collect();
    assert_eq!(last, [OrderStage::Delivered]);
    refused(&mut log, &order("o4", Some("o3"), "withdrawn", "why = \"x\"\n"), "does not follow");

    by_one(&mut log, &order("p1", None, "received", ""), "hilde", &[]);
    by_one(&mut log, &order("p2", Some("p1"), "cannot-deliver", "why = \"no key\"\n"), "hilde", &["kim"]);
    assert_eq!(log.state.evidence().orders().count(), 2);
}

#[test]
fn looks_are_kept_secret_for_an_order_alone_and_no_longer_than_it_says() {
    let mut log = Log::classified();
    let secret = |id: &str, order: &str, until: &str| {
        mandate(id, &format!("order = \"{order}\"\ndisclose_after = \"{until}\"\n"))
    };
    let (allowed, later) = ("2026-12-31T00:00:00Z", "2027-01-01T00:00:01Z");
    for half in ["order = \"o1\"\n", "disclose_after = \"2026-12-31T00:00:00Z\"\n"] {
        refused(&mut log, &mandate("m1", half), "belong together");
    }
    refused(&mut log, &secret("m1", "o1", allowed), "no step of an order in force");
    by_one(&mut log, &order("o1", None, "received", "secret_until = \"2027-01-01T00:00:00Z\"\n"), "ann", &[]);
    by_one(&mut log, &order("p1", None, "received", ""), "ann", &[]);
    refused(&mut log, &secret("m1", "p1", allowed), "says nothing of secrecy");
    refused(&mut log, &secret("m1", "o1", later), "later than order `o1` keeps it secret");
    log.enact(&secret("m1", "o1", allowed));
    log.enact(&mandate("m2", ""));
    by_one(
        &mut log,
        &order("o2", Some("o1"), "refused", "why = \"x\"\nsecret_until = \"2027-01-01T00:00:00Z\"\n"),
        "hilde",
        &[],
    );
    refused(&mut log, &secret("m3", "o1", allowed), "no step of an order in force");
    refused(&mut log, &secret("m3", "o2", allowed), "is over");
    // Neither the end of the order nor that of the mandate tells anybody earlier.
    by_one(&mut log, &revocation("r1", "m1"), "ann", &[]);
    let after = Disclosure::After(allowed.parse().unwrap());
    let told = ["m1", "m2", "m3"].map(|id| log.state.disclosure(id));
    assert_eq!(told, [after, Disclosure::AtOnce, Disclosure::Unknown]);
}

#[test]
fn two_steps_cannot_both_follow_the_same_one() {
    let mut log = Log::classified();
    by_one(&mut log, &order("o1", None, "received", ""), "ann", &[]);
    let texts = ["refused", "withdrawn"].map(|stage| order(&format!("o-{stage}"), Some("o1"), stage, "why = \"x\"\n"));
    for text in &texts {
        log.submit(text).unwrap();
    }
    log.sign("hilde", &texts[1]).unwrap();
    assert!(matches!(log.sign("hilde", &texts[0]), Err(Refusal::Settled { .. })));
}

#[test]
fn an_incident_is_told_step_by_step_until_head_or_data_protection_officer_close_it() {
    let (mut log, advisers) = advised();
    by_one(&mut log, &incident("i1", None, ""), "kim", &[]);
    let told = "authority_told = \"2026-04-30T08:00:00Z\"\n";
    by_one(&mut log, &incident("i2", Some("i1"), told), "ann", &[]);
    refused(&mut log, &incident("i3", Some("i2"), ""), "stay as they were");
    refused(&mut log, &incident("i3", Some("i1"), told), "no incident in force");
    let later = incident("i3", Some("i2"), told).replace("detected = \"2026-04-30", "detected = \"2026-04-29");
    refused(&mut log, &later, "stay as they were");
    refused(&mut log, &incident("i3", Some("i2"), &format!("exercise = true\n{told}")), "stay as they were");
    let text = incident("i3", Some("i2"), CLOSED);
    log.submit(&text).unwrap();
    assert!(matches!(log.sign("kim", &text), Err(Refusal::Signer(_))));
    let consultant = sign(text.as_bytes(), &advisers["wim"]).unwrap();
    assert!(matches!(log.armored(&text, consultant), Err(Refusal::Signer(_))));
    let closed = log.armored(&text, sign(text.as_bytes(), &advisers["dirk"]).unwrap());
    assert!(matches!(closed, Ok(Effect::InForce { .. })));
    refused(&mut log, &incident("i4", Some("i3"), CLOSED), "is closed");
    let ids: Vec<_> = log.state.evidence().incidents().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["i3"]);
}

#[test]
fn a_report_of_an_exit_takes_structure_and_keys() {
    let mut log = Log::classified();
    let text = exit("e1", None, "");
    log.submit(&text).unwrap();
    assert!(matches!(log.sign("ann", &text), Err(Refusal::Signer(_))));
    assert!(matches!(log.sign("hilde", &text), Err(Refusal::Signer(_))));
    for who in ["sam", "kim"] {
        assert!(matches!(log.sign(who, &text), Ok(Effect::Signed { .. })));
    }
    assert_eq!(log.state.pending().next().unwrap().missing(), ["1 of structure"]);
    assert!(matches!(log.sign("sofie", &text), Ok(Effect::InForce { .. })));
    refused(&mut log, &exit("e2", Some("e1"), "").replace("Second", "Third"), "stay as they were");
    // A drill beside it, and one that an officer denies.
    log.submit(&exit("e2", None, "")).unwrap();
    let no = people::denial("d1", "exit", "e2");
    by_one(&mut log, &no, "ann", &["hilde"]);
    assert_eq!(log.state.find(Kind::Exit, "e2").unwrap().status, Status::Denied);
    refused(&mut log, &people::denial("d2", "exit", "e1"), "is in force");
    assert_eq!(log.state.evidence().exits().count(), 1);
}

#[test]
fn what_does_not_fit_is_no_statement() {
    let approved = approval("x", None, "approved");
    let met = attestation("x", None, "ann", "met");
    let first = order("x", None, "received", "");
    let closed = incident("x", None, CLOSED);
    let drill = exit("x", None, "");
    let cut = |text: &str, line: &str| text.replace(line, "");
    let cases = [
        approved.replace("approved", "maybe"),
        approved.replace("tenant =", "extra = 1\ntenant ="),
        cut(&cut(&approved, DOCUMENT), "accepts = [\"R01\"]\n"),
        approved.replace("[\"R01\"]", "[\"R01\", \"R01\"]"),
        approved.replace("[\"R01\"]", "[\"R 01\"]"),
        approved.replace("approved", "refused"),
        approved.replace("2027-05-01", "2026-05-01"),
        cut(&approved, "valid_until = \"2027-05-01T00:00:00Z\"\n"),
        format!("{approved}{DOCUMENT}"),
        cut(&met, DOCUMENT),
        met.replace("T10", ""),
        met.replace("\"ann\"", "\"\""),
        met.replace("a08\"", "a0\""),
        cut(&first, DOCUMENT),
        first.replace("\"US\"", "\"us\""),
        first.replace("2026-04-30", "2026-06-30"),
        order("x", None, "refused", "why = \"x\"\n"),
        order("x", Some("y"), "refused", ""),
        order("x", Some("y"), "granted", "why = \"x\"\n"),
        order("x", Some("y"), "refused", "why = \"x\"\nmandate = \"m1\"\n"),
        closed.replace("[\"availability\"]", "[]"),
        closed.replace("\"availability\"", "\"sabotage\""),
        cut(&closed, "measures = \"another disk\"\n"),
        cut(&closed, "authority_told = \"2026-04-30T08:00:00Z\"\n"),
        closed.replace("T08:00:00Z", "T08:00:00Z\"\nsubjects_told = \"2026-04-29T00:00:00Z"),
        closed.replace("closed = \"2026-04-30", "closed = \"2026-06-30"),
        cut(&drill, PHASE),
        drill.replace("[\"civic\"]", "[]"),
        drill.replace("T01:00:00Z", "T00:00:00Z"),
        drill.replace("rpo_s = 0", "rpo_s = -1"),
        cut(&drill, "complete = true\n"),
    ];
    for text in cases {
        assert!(matches!(Statement::parse(&text), Err(Refusal::Malformed(_))), "{text}");
    }
    for text in [approved, met, first, closed, drill] {
        let statement = Statement::parse(&text).unwrap();
        assert_eq!(Statement::parse(&statement.to_text().unwrap()).unwrap(), statement);
    }
}

/// Steps drawn at random against a model that knows only which may follow which.
#[test]
fn random_steps_leave_what_the_last_of_each_chain_says() {
    let follows = |before: &str, stage: &str| match before {
        "received" => stage != "delivered",
        "granted" => stage != "received",
        _ => false,
    };
    let stages = ["received", "granted", "delivered", "refused", "cannot-deliver", "withdrawn"];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let mut model: BTreeMap<String, &str> = BTreeMap::new();
    let (mut taken, mut not_taken) = (0, 0);
    for n in 0..400 {
        let id = format!("o{n}");
        let known = draw(n + 1);
        let before = (draw(6) > 0 && n > 0).then(|| format!("o{known}"));
        let stage = if before.is_some() { stages[draw(6)] } else { "received" };
        let by = if matches!(stage, "granted" | "delivered") { "mandate = \"m1\"\n" } else { "" };
        let text = order(&id, before.as_deref(), stage, &format!("why = \"x\"\n{by}"));
        let may = before.as_ref().is_none_or(|id| model.get(id).is_some_and(|earlier| follows(earlier, stage)));
        assert_eq!(log.submit(&text).is_ok(), may, "{text}");
        if may {
            log.sign("hilde", &text).unwrap();
            before.as_ref().and_then(|id| model.remove(id));
            model.insert(id, stage);
            taken += 1;
        } else {
            not_taken += 1;
        }
    }
    assert!(taken > 50 && not_taken > 50, "{taken} {not_taken}");
    let held: Vec<&str> = log.state.evidence().orders().map(|one| one.id.as_str()).collect();
    assert_eq!(held, model.keys().collect::<Vec<_>>());
}
