//! A trial whose charter has three witnesses: each part's journal is cosigned, and outsiders verify that; one witness may be
//! away, two only for the charter's grace; and a gateway whose journal was put back to an older state shows nothing any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;

use common::psql::run;
use common::python::python;
use common::witnesses::{adopt, adopted, cosigned, start, within};
use common::{PARTS, Trial};
use drieslot_journal::IdentityKey;

const GRACE_S: i64 = 5;
const QUERY: &str = "SELECT body FROM note WHERE note_id = 1";
const REGISTER: &str = "d/officers/register.toml";

#[test]
fn journals_are_cosigned_and_nothing_is_shown_without_a_quorum_for_long() {
    let mut trial = Trial::small();
    let ports = adopt(&mut trial, GRACE_S, |_| {});
    let served = ports.base + 3;
    trial.restart_gateway(|config| format!("{config}\n[serve_journal]\nlocal = \"127.0.0.1:{served}\"\n"));
    assert_eq!(trial.app_ok(QUERY), "first");
    within(20, "not every journal is cosigned", || PARTS.iter().all(|part| cosigned(&trial, part).is_some()));
    trial.check_journals();
    outsiders_verify_the_quorum(&trial, served);
    // One away.
    trial.stop_part("w0");
    let before = cosigned(&trial, "gateway").unwrap();
    assert_eq!(trial.app_ok(QUERY), "first");
    within(5, "it does not go on with two of three", || cosigned(&trial, "gateway").unwrap() > before);
    // Two away: the grace, then nothing, and back by itself.
    trial.stop_part("w1");
    assert_eq!(trial.app_ok(QUERY), "first", "within the grace");
    within(20, "the grace does not end", || !trial.app(QUERY).ok);
    let (sqlstate, said) = trial.app_fails(QUERY);
    assert!(sqlstate == "58000" && said.contains("too few witnesses"), "{sqlstate} {said}");
    let here = format!("http://127.0.0.1:{served}");
    let old = trial.verify_journal(&here, &["--register", REGISTER, "--cosigned-within", "2"]);
    assert!(!old.0 && old.1.contains("s ago") && old.1.contains("more than 2 s"), "{}", old.1);
    start(&mut trial, "w1", ports.base);
    within(20, "it does not come back", || trial.app(QUERY).ok);
    trial.put_the_gateways_journal_back(QUERY, |trial| cosigned(trial, "gateway").unwrap());
}

/// Our own verifier, by the charter and by keys that are named; another's; a mirror, and whoever verifies that.
fn outsiders_verify_the_quorum(trial: &Trial, port: u16) {
    let witnesses = adopted(trial);
    let served = format!("http://127.0.0.1:{port}");
    let named: Vec<_> = witnesses.iter().flat_map(|witness| ["--witness", &witness.vkey]).collect();
    let quorum = |needed| [&named[..], &["--quorum", needed]].concat();
    let vkey = trial.journal_vkey("gateway");
    let mirror = format!(
        "folder = \"mirrors\"\n[[journal]]\nname = \"gateway\"\nkey = \"{vkey}\"\nlocal = \"127.0.0.1:{port}\"\n"
    );
    trial.write("mirror.toml", &mirror);
    trial.drieslot_ok(["mirror", "run", "--once", "--config", "mirror.toml"]);
    let charter = || vec!["--register", REGISTER];
    for place in [&*served, "d/gateway/journal", "mirrors/gateway"] {
        for more in [charter(), quorum("2"), [quorum("2"), vec!["--cosigned-within", "60"]].concat()] {
            let (good, said) = trial.verify_journal(place, &more);
            assert!(good && said.contains("intact") && said.contains("of 3 witnesses: "), "{place}: {said}");
        }
        let stranger = IdentityKey::generate().unwrap().cosigner("w/1").unwrap().vkey();
        let two = ["--witness", &stranger, "--witness", &witnesses[0].vkey, "--quorum", "2"];
        let (good, said) = trial.verify_journal(place, &two);
        assert!(!good && said.contains("of 2 witnesses cosigned") && said.contains("and 2 must"), "{place}: {said}");
    }
    for (more, why) in [(quorum("1"), "two histories"), (vec!["--cosigned-within", "5"], "asks for witnesses")] {
        let (good, said) = trial.verify_journal(&served, &more);
        assert!(!good && said.contains(why), "{said}");
    }
    let Some(python) = python() else { return };
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_journal.py");
    let more = [quorum("2"), vec!["--cosigned-within", "60"]].concat();
    let said = run(Command::new(&python).arg(&tool).arg(&served).arg(&vkey).args(more), "");
    assert!(said.ok && said.out.contains(" cosigned by "), "{}{}", said.out, said.err);
}
