//! A gateway's journal goes on under a new name: after another charter has replaced the gateway's key, and after its folder was
//! lost. The old one is never written again, and readers follow from one to the other.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Trial;
use common::python::python;

const READ: &str = "SELECT body FROM note WHERE note_id = 1";

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn readable(trial: &Trial) {
    let started = Instant::now();
    while !trial.app(READ).ok {
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", trial.app(READ));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(trial.app_ok(READ), "first");
}

/// What a gateway says that does not start.
fn refused(trial: &Trial) -> String {
    let started = trial.drieslot(["gateway", "run", "--config", &text(&trial.data().join("gateway/config.toml"))]);
    assert!(!started.status.success(), "it started");
    String::from_utf8_lossy(&started.stderr).into_owned()
}

/// Another gateway of the charter in force, in the place of the one that it has.
fn replace_the_gateway(trial: &Trial, part: &str) {
    let charter = std::fs::read_to_string(trial.data().join("statements/charter.toml")).unwrap();
    let mut charter: toml::Table = toml::from_str(&charter).unwrap();
    charter.insert("replaces".into(), charter["id"].clone());
    charter.insert("id".into(), "charter-2".into());
    charter.insert("gateway".into(), toml::from_str::<toml::Table>(part).unwrap()["gateway"].clone());
    let charter = toml::to_string(&charter).unwrap();
    let said = trial.sign_and_submit("charter-2.toml", &charter, &["structure", "access", "keys", "head"]);
    assert!(said.contains("in force"), "{said}");
}

struct Places {
    old: PathBuf,
    old_vkey: PathBuf,
    new: PathBuf,
    new_key: PathBuf,
    new_vkey: PathBuf,
}

impl Places {
    fn succeed(&self) -> Vec<String> {
        let words = ["journal", "succeed", "--why", "key", "--origin", "trial-agency/gateway-2"].map(str::to_owned);
        let places = [("--from", &self.old), ("--from-key", &self.old_vkey), ("--key", &self.new_key)];
        let places = places.into_iter().flat_map(|(flag, place)| [flag.to_owned(), text(place)]);
        words.into_iter().chain(places).chain([text(&self.new)]).collect()
    }

    fn both(&self) -> [String; 6] {
        let key = || "--key".to_owned();
        [text(&self.new), text(&self.old), key(), text(&self.new_vkey), key(), text(&self.old_vkey)]
    }
}

/// Killed at many moments, and then run to its end.
fn succeed_although_killed(trial: &Trial, places: &Places) {
    for delay in (0..40).map(|step| Duration::from_micros(step * 400)) {
        let mut command = trial.as_user(trial.program());
        command.args(places.succeed()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = trial.drieslot_ok(places.succeed());
    assert!(said.contains("goes on from trial-agency/gateway") || said.contains("done before"), "{said}");
    assert!(trial.drieslot_ok(places.succeed()).contains("done before"));
}

fn both_are_read(trial: &Trial, places: &Places) {
    let [new, old, ..] = places.both();
    let said = trial.drieslot_ok(["journal", "verify"].map(str::to_owned).into_iter().chain(places.both()));
    assert!(said.matches("intact").count() == 2 && said.contains("are here, and are those"), "{said}");
    let alone = trial.drieslot_ok(["journal", "verify", &new, "--key", &text(&places.new_vkey)]);
    assert!(alone.contains("goes on from trial-agency/gateway") && alone.contains("not named"), "{alone}");
    let alone = trial.drieslot_ok(["journal", "verify", &old, "--key", &text(&places.old_vkey)]);
    assert!(alone.contains("has ended, and trial-agency/gateway-2 goes on from it"), "{alone}");
    let found = ["journal", "find", "--json"].map(str::to_owned).into_iter().chain(places.both());
    let found = trial.drieslot_ok(found);
    for origin in ["trial-agency/gateway", "trial-agency/gateway-2"] {
        assert!(found.contains(&format!("\"journal\":\"{origin}\"")), "{origin}: {found}");
    }
    assert!(found.contains("\"kind\":\"link\""), "{found}");
    // As many as both have: the link stands between them.
    let tail = trial.drieslot_ok(["journal", "tail", "--json", "-n", "100000", &new, &old]);
    let tail: Vec<serde_json::Value> = tail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let link = tail.iter().position(|entry| entry["kind"] == "link").unwrap();
    assert!(tail[..link].iter().all(|entry| entry["journal"] == "trial-agency/gateway") && link > 0);
    assert!(tail[link..].iter().all(|entry| entry["journal"] == "trial-agency/gateway-2") && tail.len() > link + 2);
    assert_eq!(tail[link]["body"]["size"], link);
    exported(trial, places);
}

fn exported(trial: &Trial, places: &Places) {
    let out = trial.folder.path().join("exported");
    let export = ["journal", "export", "--out", &text(&out)].map(str::to_owned).into_iter().chain(places.both());
    trial.drieslot_ok(export);
    let Some(python) = python() else { return };
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_export.py");
    for (folder, vkey) in [("1", &places.new_vkey), ("2", &places.old_vkey)] {
        let key = std::fs::read_to_string(vkey).unwrap();
        let status = Command::new(&python).arg(&tool).arg(out.join(folder)).arg(key.trim()).status().unwrap();
        assert!(status.success(), "{folder}");
    }
}

#[test]
fn a_gateways_journal_goes_on_under_another_key_and_after_a_loss() {
    let mut trial = Trial::small();
    trial.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
    readable(&trial);
    trial.stop_part("gateway");
    let made = trial.folder.path().join("g2");
    let part = trial.drieslot_ok(["gateway", "init", &text(&made), "--name", "gateway-2", "--tenant", "trial-agency"]);
    replace_the_gateway(&trial, &part);
    let (before, old) = (trial.data().join("gateway"), trial.journal("gateway"));
    let places = Places {
        old_vkey: before.join("journal.vkey"),
        new: made.join("journal"),
        new_key: made.join("journal.key"),
        new_vkey: made.join("journal.vkey"),
        old,
    };

    // The new key does not open the old folder.
    trial.reconfigure(|config| config.replace(&text(&before.join("journal.key")), &text(&places.new_key)));
    let said = refused(&trial);
    assert!(said.contains("not signed by") && said.contains("drieslot journal succeed"), "{said}");
    trial.reconfigure(|config| config.replace(&text(&places.new_key), &text(&before.join("journal.key"))));

    succeed_although_killed(&trial, &places);
    let said = refused(&trial);
    assert!(said.contains("has ended") && said.contains("trial-agency/gateway-2+"), "{said}");
    assert!(made.join("journal.seen").exists(), "what it saw of the register is forgotten");

    trial.reconfigure(|config| {
        config
            .replace(&text(&before.join("tls")), &text(&made.join("tls")))
            .replace(&text(&before.join("journal.key")), &text(&places.new_key))
            .replace(&text(&places.old), &text(&places.new))
            .replace("trial-agency/gateway", "trial-agency/gateway-2")
    });
    trial.start_part("gateway");
    readable(&trial);
    // So that all is under a checkpoint.
    trial.stop_part("gateway");
    both_are_read(&trial, &places);
    lost(&mut trial, &places);
}

/// The folder is gone; what is known of it is a checkpoint that somebody kept.
fn lost(trial: &mut Trial, places: &Places) {
    let kept = trial.folder.path().join("kept.checkpoint");
    std::fs::copy(places.new.join("checkpoint"), &kept).unwrap();
    std::fs::remove_dir_all(&places.new).unwrap();
    let said = refused(trial);
    assert!(said.contains("is gone") && said.contains("--why lost"), "{said}");
    assert!(!places.new.exists(), "it has begun anew by itself");
    let said = trial.drieslot_ok(
        ["journal", "succeed", "--why", "lost", "--origin", "trial-agency/gateway-3", "--from-key"]
            .map(str::to_owned)
            .into_iter()
            .chain([text(&places.new_vkey), "--known".into(), text(&kept), "--key".into(), text(&places.new_key)])
            .chain([text(&places.new)]),
    );
    let vkey = said.lines().find(|line| line.starts_with("trial-agency/gateway-3+")).unwrap();
    let vkey = trial.write("gateway-3.vkey", vkey);
    trial.reconfigure(|config| config.replace("trial-agency/gateway-2", "trial-agency/gateway-3"));
    trial.start_part("gateway");
    readable(trial);
    trial.stop_part("gateway");
    let said = trial.drieslot_ok(["journal", "verify", &text(&places.new), "--key", &text(&vkey)]);
    let size = std::fs::read_to_string(&kept).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(said.contains(&format!("as its folder was lost: {size} entries; that one was not named")), "{said}");
}
