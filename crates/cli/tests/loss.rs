//! Pieces that are lost and brought back: the register from a copy, and the gateway's journal. A register that comes back from an
//! old copy, without its latest revocation, is noticed by whoever saw more, also after all parts were started again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{DATABASE, Trial, data};

const ALL: [&str; 5] = ["register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"];
const READ: &str = "SELECT body FROM note WHERE note_id = 1";

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
    assert!(
        trial
            .sign_and_submit("app-2.toml", &data::small_mandate("app-2", DATABASE), &["structure", "access", "keys"])
            .contains("in force")
    );
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

#[test]
fn a_gateway_and_an_officer_s_only_key_are_replaced_by_another_charter() {
    let mut trial = Trial::small();
    trial.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
    until(&trial, "readable", |said| said.ok);
    trial.stop_part("gateway");
    // The key is lost; the gateway's identity is in somebody else's hands.
    std::fs::remove_dir_all(trial.data().join("officers/keys")).unwrap();
    let folder = trial.folder.path().to_owned();
    let made = |what: &str| folder.join(what).display().to_string();
    let gateway =
        trial.drieslot_ok(["gateway", "init", &made("g2"), "--name", "gateway-2", "--tenant", "trial-agency"]);
    let part = trial.write("g2.part", &gateway).display().to_string();
    std::fs::create_dir(made("new-keys")).unwrap();
    let generated = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &made("new-keys/id_ed25519")])
        .status()
        .unwrap();
    assert!(generated.success());
    let handed_over =
        Command::new("chown").arg("-R").arg("--reference").arg(trial.data()).arg(made("new-keys")).status();
    assert!(handed_over.unwrap().success());
    let key = format!("keys:Chantal Dubois={}", made("new-keys/id_ed25519.pub"));
    let register = trial.register_toml();
    let next = ["charter", "next", "--register", &register, "--id", "charter-2", "--remove", "gateway"];
    let out = made("next.toml");
    let next = [&next[..], &["--part", &part, "--person", &key, "--out", &out]].concat();
    let said = trial.drieslot_ok(&next);
    assert!(said.contains("  ~ person Chantal Dubois: keys, key SHA256:") && said.contains("  - gateway gateway\n"));
    let text = std::fs::read_to_string(made("next.toml")).unwrap();
    assert!(!trial.sign_and_submit("charter-2.toml", &text, &["structure", "access", "head"]).contains("in force"));
    let charter = made("charter-2.toml");
    trial.drieslot_ok(["sign", &charter, "--key", &made("new-keys/id_ed25519")]);
    let said = trial.drieslot_ok(["submit", &charter, "--register", &trial.register_toml()]);
    assert!(said.contains("1 of keys in office, or its custodian"), "the new key speaks for itself alone: {said}");
    let custodian = trial.data().join("custodian-keys/config.toml").display().to_string();
    let mandate = trial.write("mandate-2.toml", &data::small_mandate("app-2", DATABASE)).display().to_string();
    assert!(!trial.drieslot(["custodian", "sign", &mandate, "--config", &custodian]).status.success(), "a mandate");
    trial.stop_part("custodian-keys");
    trial.drieslot_ok(["custodian", "sign", &charter, "--config", &custodian]);
    trial.start_part("custodian-keys");
    trial.submit(&charter);

    // The old identity is of no use any more, not even beside a mandate.
    trial.start_part("gateway");
    assert!(!trial.app(READ).ok, "the old gateway still reads");
    let told = std::fs::read_to_string(made("gateway.apart.log")).unwrap();
    assert!(told.lines().last().unwrap().contains("register"), "{told}");
    trial.stop_part("gateway");
    let gone = trial.data().join("gateway");
    trial.reconfigure(|config| {
        config
            .replace(&gone.join("tls").display().to_string(), &made("g2/tls"))
            .replace(&gone.join("journal.key").display().to_string(), &made("g2/journal.key"))
            .replace(&gone.join("journal").display().to_string(), &made("g2/journal"))
            .replace("trial-agency/gateway", "trial-agency/gateway-2")
    });
    trial.start_part("gateway");
    until(&trial, "readable", |said| said.ok);
    assert_eq!(trial.app_ok(READ), "first");
    std::fs::rename(made("new-keys"), trial.data().join("officers/keys")).unwrap();
    let again = data::small_mandate("app-3", DATABASE);
    assert!(trial.sign_and_submit("app-3.toml", &again, &["structure", "access", "keys"]).contains("in force"));
}
