//! Pieces that are lost and brought back: the register from a copy, and the gateway's journal. A register that comes back from an
//! old copy, without its latest revocation, is noticed by whoever saw more, also after all parts were started again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::Trial;

const ALL: [&str; 5] = ["register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"];
const READ: &str = "SELECT body FROM note WHERE note_id = 1";
const MANDATE: &str = r#"kind = "mandate"
tenant = "trial-agency"
id = "app-2"
issued = "2025-01-01T00:00:00Z"
principal = "app"
database = "trial"
purpose = "integration-course"
legal_basis = "a test"
valid_from = "2025-01-01T00:00:00Z"
valid_until = "2100-01-01T00:00:00Z"

[[grant]]
table = "public.note"
columns = ["body"]
operations = ["read", "write", "search"]
"#;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--archive").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "{} to {}", from.display(), to.display());
}

/// A copy of the stopped register's folder, and the register runs on.
fn back_up(trial: &mut Trial, name: &str) {
    trial.stop_part("register");
    copy(&trial.data().join("register"), &trial.folder.path().join(name));
    trial.start_part("register");
}

/// The register's folder is gone, and the copy takes its place.
fn bring_back(trial: &Trial, name: &str) {
    std::fs::remove_dir_all(trial.data().join("register")).unwrap();
    copy(&trial.folder.path().join(name), &trial.data().join("register"));
}

fn until(trial: &Trial, what: &str, reached: impl Fn(&common::psql::Said) -> bool) {
    let started = Instant::now();
    loop {
        let said = trial.app(READ);
        if reached(&said) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "{what}: {said:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_register_comes_back_from_its_newest_copy_and_an_old_one_is_noticed() {
    let mut trial = Trial::small();
    trial.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
    until(&trial, "readable", |said| said.ok);
    back_up(&mut trial, "old");
    trial.submit(&trial.prepare_revocation("app-1"));
    until(&trial, "revoked", |said| said.sqlstate() == Some("42501"));
    back_up(&mut trial, "newest");

    // The parts that run saw the revocation; then all of them are started again.
    trial.stop_part("register");
    bring_back(&trial, "old");
    trial.start_part("register");
    std::thread::sleep(Duration::from_secs(3));
    assert!(!trial.app(READ).ok, "an old register gives a revoked mandate back");
    for part in ALL {
        trial.stop_part(part);
    }
    for part in &ALL[..4] {
        trial.start_part(part);
    }
    let config = trial.data().join("gateway/config.toml").display().to_string();
    let started = trial.drieslot(["gateway", "run", "--config", &config]);
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && said.contains("had seen") && said.contains("old copy"), "{said}");
    // A gateway that has lost its memory is refused by each custodian.
    std::fs::remove_file(trial.data().join("gateway/journal.seen")).unwrap();
    trial.start_part("gateway");
    until(&trial, "refused by a custodian", |said| said.err.contains("custodian of"));

    for part in ALL {
        trial.stop_part(part);
    }
    bring_back(&trial, "newest");
    for part in ALL {
        trial.start_part(part);
    }
    until(&trial, "still revoked", |said| said.sqlstate() == Some("42501"));
    assert!(trial.sign_and_submit("app-2.toml", MANDATE, &["structure", "access", "keys"]).contains("in force"));
    until(&trial, "readable again", |said| said.ok);
    assert_eq!(trial.app_ok(READ), "first");
}

#[test]
fn a_gateway_that_loses_its_journal_begins_another_and_reads_all() {
    let mut trial = Trial::small();
    trial.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
    until(&trial, "readable", |said| said.ok);
    trial.stop_part("gateway");
    std::fs::remove_dir_all(trial.journal("gateway")).unwrap();
    std::fs::remove_file(trial.data().join("gateway/journal.seen")).unwrap();
    let origin = "origin = \"trial-agency/gateway";
    trial.reconfigure(|config| config.replace(origin, &format!("{origin}-after-loss")));
    trial.start_part("gateway");
    until(&trial, "readable", |said| said.ok);
    assert_eq!(trial.app_ok(READ), "first");
}
