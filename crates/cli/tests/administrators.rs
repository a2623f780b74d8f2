//! Definitions, exports and looks on a court's order leave their trace first and wait until witnesses have cosigned it; without a
//! quorum they stop at once, and applications go on within the charter's grace.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::psql::Said;
use common::witnesses::{adopt, cosigned, start, within};
use common::{Trial, data};
use serde_json::Value;
use tokio::runtime::Runtime;

const QUERY: &str = "SELECT body FROM note WHERE note_id = 1";
const DEFINITION: &str = "COMMENT ON TABLE note IS 'seen'";
const EXPORT: &str = "COPY note TO STDOUT";
/// As two messages: the purpose holds for what comes after it.
const ORDERED: &str =
    "\\set ON_ERROR_STOP on\nSET drieslot.purpose = 'court_order';\nSELECT body FROM note WHERE note_id = 1;\n";
const LONG_GRACE_S: i64 = 600;

/// The last entries of the gateway's journal, and their indexes.
fn entries(trial: &Trial) -> Vec<(u64, Value)> {
    let journal = trial.journal("gateway").display().to_string();
    let tail = trial.drieslot_ok(["journal", "tail", &journal, "-n", "20", "--json"]);
    let entries = tail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| (entry["index"].as_u64().unwrap(), entry)).collect()
}

fn last(trial: &Trial, kind: &str, state: &str) -> (u64, Value) {
    let wanted = |entry: &Value| entry["kind"] == kind && entry["body"]["state"] == state;
    entries(trial).into_iter().rfind(|(_, entry)| wanted(entry)).unwrap()
}

fn ordered(trial: &Trial) -> Said {
    trial.app_script(ORDERED)
}

#[test]
fn administrators_wait_for_witnesses_and_stop_before_applications() {
    let mut trial = Trial::small();
    // Without witnesses a definition leaves its trace, and waits for the disk.
    trial.app_ok("COMMENT ON TABLE note IS 'first'");
    let (begun, entry) = last(&trial, "definition", "begun");
    assert_eq!((&entry["body"]["objects"], &entry["body"]["principal"]), (&serde_json::json!(["note"]), &"app".into()));
    let (_, done) = last(&trial, "definition", "done");
    assert_eq!((&done["body"]["begun"], &done["body"]["tag"]), (&begun.into(), &"COMMENT".into()));
    let ports = adopt(&mut trial, LONG_GRACE_S, |charter| {
        charter["purposes"].as_array_mut().unwrap().push("court_order".into());
    });
    let mandate = data::small_mandate("order-1", "trial").replace("integration-course", "court_order");
    trial.sign_and_submit("order.toml", &mandate, &["structure", "access", "keys"]);
    within(20, "the order is not in force", || ordered(&trial).ok);
    what_waits_is_cosigned_when_it_is_answered(&trial);
    // One of three away: as before.
    trial.stop_part("w0");
    trial.app_ok(DEFINITION);
    // Two away.
    trial.stop_part("w1");
    trial.app_ok("UPDATE note SET body = 'second' WHERE note_id = 1");
    let begun = Instant::now();
    let (sqlstate, said) = trial.app_fails("COMMENT ON TABLE note IS 'unseen'");
    assert!(sqlstate == "58000" && said.contains("too few witnesses") && said.contains("grace"), "{sqlstate} {said}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let comment = "SELECT obj_description('note'::regclass)";
    assert_eq!(trial.superuser("trial", comment), "seen", "it was carried out none the less");
    assert_eq!(last(&trial, "definition", "failed").1["body"]["tag"], "58000");
    let begun = Instant::now();
    for said in [trial.app(EXPORT), ordered(&trial)] {
        assert!(!said.ok && said.sqlstate() == Some("58000") && said.out.is_empty(), "{said:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "what is known to be lost is not waited for: {:?}",
        begun.elapsed()
    );
    assert_eq!(trial.app_ok(QUERY), "second", "applications have their grace");
    // And back.
    start(&mut trial, "w1", ports.base);
    within(20, "it does not come back", || trial.app(DEFINITION).ok);
    assert!(ordered(&trial).ok && trial.app(EXPORT).ok);
    trial.check_journals();
}

fn what_waits_is_cosigned_when_it_is_answered(trial: &Trial) {
    let begun = Instant::now();
    for round in 0..5 {
        trial.app_ok(DEFINITION);
        let (index, _) = last(trial, "definition", "begun");
        assert!(cosigned(trial, "gateway").unwrap() > index, "definition {round}");
        let said = ordered(trial);
        assert!(said.ok && said.out.contains("first"), "{said:?}");
        let (index, _) = last(trial, "outcome", "done");
        assert!(cosigned(trial, "gateway").unwrap() > index, "order {round}");
        assert!(trial.app_ok(EXPORT).contains("first"));
        let (index, _) = last(trial, "outcome", "done");
        assert!(cosigned(trial, "gateway").unwrap() > index, "export {round}");
    }
    let each = begun.elapsed() / 15;
    assert!(each < Duration::from_secs(3), "{each:?} for one");
    // The extended protocol.
    Runtime::new().unwrap().block_on(async {
        let client = trial.app_session().await;
        client.execute(DEFINITION, &[]).await.unwrap();
        let (index, _) = last(trial, "definition", "begun");
        assert!(cosigned(trial, "gateway").unwrap() > index);
    });
}
