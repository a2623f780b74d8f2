//! What `docs/journal.md` says that commands leave: entries of who administers a part in its journal, and what officers do in the
//! register's.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::witnesses::{read, within};
use common::{Trial, data};
use drieslot_register::Hex32;
use serde_json::{Value, json};

/// All entries of a journal, oldest first: kind and body.
fn entries(trial: &Trial, journal: &Path) -> Vec<(String, Value)> {
    let said = trial.drieslot_ok(["journal", "tail", &journal.display().to_string(), "-n", "1000", "--json"]);
    let entries = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| (entry["kind"].as_str().unwrap().to_owned(), entry["body"].clone())).collect()
}

/// How a command of a part's administrator is in its journal: states, and the files that it rests on.
fn administered(trial: &Trial, journal: &Path, command: &str) -> Vec<(String, Value)> {
    let all = entries(trial, journal)
        .into_iter()
        .filter(|(kind, body)| kind == "administration" && body["command"] == command);
    all.map(|(_, body)| {
        assert!(!body["user"].as_str().unwrap().is_empty() && body["uid"].is_u64(), "{body}");
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        let typed: Vec<&str> = body["arguments"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert!(typed.join(" ").starts_with(command), "{typed:?}");
        (body["state"].as_str().unwrap().to_owned(), body["files"].clone())
    })
    .collect()
}

fn states(found: &[(String, Value)]) -> Vec<&str> {
    found.iter().map(|(state, _)| state.as_str()).collect()
}

fn rests_on(path: &Path) -> Value {
    json!([{"file": path.display().to_string(), "sha256": Hex32::sha256(&read(path)).to_string()}])
}

#[test]
fn commands_on_a_parts_host_leave_entries() {
    let mut trial = Trial::small();
    trial.take_apart(|config| format!("{config}\n# looked through\n"));
    for (part, command) in [("gateway", "gateway run"), ("custodian-keys", "custodian run")] {
        // It listens before it writes.
        let now = || administered(&trial, &trial.journal(part), command);
        within(20, part, || states(&now()).ends_with(&["begun", "done", "begun"]));
        let found = now();
        assert_eq!(found.last().unwrap().1, rests_on(&trial.data().join(part).join("config.toml")));
        let changed = found[0].1[0]["sha256"] != found.last().unwrap().1[0]["sha256"];
        assert_eq!(changed, part == "gateway", "a changed configuration shows");
    }
    a_custodian_signs_only_with_a_trace(&mut trial);
    the_worker_says_who_runs_it(&trial);
    let journal = trial.journal("custodian-keys").display().to_string();
    let found = trial.drieslot_ok(["journal", "find", &journal, "--kind", "administration"]);
    assert!(found.contains("custodian sign"), "{found}");
    trial.check_journals();
}

fn a_custodian_signs_only_with_a_trace(trial: &mut Trial) {
    let mut charter: toml::Table = toml::from_str(&read(&trial.data().join("statements/charter.toml"))).unwrap();
    charter.insert("replaces".into(), charter["id"].clone());
    charter.insert("id".into(), "charter-2".into());
    let charter = trial.write("charter-2.toml", &toml::to_string(&charter).unwrap());
    let config = trial.data().join("custodian-keys/config.toml").display().to_string();
    let arguments = ["custodian", "sign", &charter.display().to_string(), "--config", &config];
    let refused = trial.drieslot(arguments);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let signature = trial.folder.path().join("charter-2.toml.custodian-keys.sig");
    assert!(!refused.status.success() && said.contains("stop that process") && !signature.exists(), "{said}");
    trial.stop_part("custodian-keys");
    trial.drieslot_ok(arguments);
    assert!(signature.exists());
    let found = administered(trial, &trial.journal("custodian-keys"), "custodian sign");
    assert_eq!(states(&found), ["begun", "done"]);
    assert_eq!(found[0].1, rests_on(&charter));
    // A journal that is gone is not begun anew for the entry of who starts the part.
    let (journal, away) = (trial.journal("custodian-keys"), trial.folder.path().join("away"));
    std::fs::rename(&journal, &away).unwrap();
    let refused = trial.drieslot(["custodian", "run", "--config", &config]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("journal succeed") && !journal.exists(), "{said}");
    std::fs::rename(&away, &journal).unwrap();
    trial.start_part("custodian-keys");
}

fn the_worker_says_who_runs_it(trial: &Trial) {
    let config = trial.data().join("gateway/config.toml").display().to_string();
    trial.app_ok("SELECT body FROM note");
    trial.drieslot_ok(["keys", "verify", "--config", &config]);
    assert!(!trial.drieslot(["keys", "rotate", "--config", &config]).status.success(), "no rotation is open");
    let journal = trial.data().join("gateway/journal-rotation");
    assert_eq!(states(&administered(trial, &journal, "keys verify")), ["begun", "done"]);
    assert_eq!(states(&administered(trial, &journal, "keys rotate")), ["begun", "failed"]);
    assert!(entries(trial, &journal).iter().any(|(kind, body)| kind == "rotation" && body["state"] == "checked"));
}

#[test]
fn what_officers_do_is_in_the_registers_journal() {
    let trial = Trial::small();
    let text = data::small_mandate("app-2", "trial");
    assert!(!trial.sign_and_submit("mandate-2.toml", &text, &["access"]).contains("in force"));
    let key = trial.officer_key("keys").display().to_string();
    let out = trial.folder.path().join("denial.toml");
    let register = trial.register_toml();
    trial.drieslot_ok([
        "deny",
        "app-2",
        "--why",
        "a test",
        "--key",
        &key,
        "--out",
        &out.display().to_string(),
        "--register",
        &register,
    ]);
    let found = entries(&trial, &trial.journal("register"));
    for text in [text, read(&out)] {
        let sha256 = Hex32::sha256(&text).to_string();
        assert!(found.iter().any(|(kind, body)| kind == "statement" && body["text"] == text), "{text}");
        assert!(found.iter().any(|(kind, body)| kind == "signature" && body["statement"] == sha256), "{text}");
    }
}
