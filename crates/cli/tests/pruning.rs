//! Retention: entries of a gateway's journal that are old enough are let go, and no others; it goes on, and readers say what is
//! not there any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::Trial;
use drieslot_journal::{IdentityKey, Journal, JournalConfig, Reader, entry};
use serde_json::json;

const READ: &str = "SELECT body FROM note WHERE note_id = 1";
const OLD: u64 = 5_000;

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A journal of the stopped gateway's as it would be after years.
fn grow_old(trial: &Trial) {
    let (journal, key) = (trial.journal("gateway"), trial.data().join("gateway/journal.key"));
    std::fs::remove_dir_all(&journal).unwrap();
    let config = JournalConfig::new("trial-agency/gateway", IdentityKey::load(&key).unwrap());
    let (writer, _) = Journal::open(&journal, config).unwrap();
    for index in 0..OLD {
        let body = json!({
            "session": "5f0c7a9e2b105f0c", "principal": "app", "client": "10.1.2.3:54321", "database": "trial",
            "sqlstate": "42501", "why": format!("no mandate {index}"),
        });
        writer
            .append(entry::encode("refused", &format!("{}-01-01T00:00:00Z", 2018 + index / 1_000), &body).unwrap())
            .unwrap();
    }
    writer.close().unwrap();
    let owned = std::process::Command::new("chown").arg("-R").arg("--reference").arg(&key).arg(&journal).status();
    assert!(owned.unwrap().success());
}

fn command(trial: &Trial, more: &[&str]) -> Vec<String> {
    let config = text(&trial.data().join("gateway/config.toml"));
    let register = trial.register_toml();
    let words =
        ["journal", "prune", "--gateway", &config, "--register", &register, "--who", "Sam Peeters", "--why", "law 12"];
    words.iter().chain(more).map(|&word| word.to_owned()).collect()
}

fn prune(trial: &Trial, more: &[&str]) -> (bool, String) {
    let output = trial.drieslot(command(trial, more));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn refused(trial: &Trial, more: &[&str], why: &str) {
    let before = Reader::open(&trial.journal("gateway")).unwrap();
    let (ok, said) = prune(trial, more);
    assert!(!ok && said.contains(why), "{more:?}: {said}");
    let after = Reader::open(&trial.journal("gateway")).unwrap();
    assert_eq!((before.size(), before.pruned()), (after.size(), after.pruned()), "{more:?}");
}

fn killed(trial: &Trial, more: &[&str], delay: Duration) {
    let mut command_line = trial.as_user(trial.program());
    command_line.args(command(trial, more)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command_line.spawn().unwrap();
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn verified(trial: &Trial) -> String {
    let key = text(&trial.data().join("gateway/journal.vkey"));
    trial.drieslot_ok(["journal", "verify", &text(&trial.journal("gateway")), "--key", &key])
}

#[test]
fn what_is_old_enough_is_let_go_and_nothing_else() {
    let mut trial = Trial::small();
    trial.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
    trial.stop_part("gateway");
    grow_old(&trial);
    refused(&trial, &[], "keeps its journal for ever");
    // What is from 2018 and 2019 may go: the days since the first of June 2020.
    let days = "2020-06-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().duration_until(jiff::Timestamp::now());
    let days = (days.as_hours() / 24).to_string();
    trial.reconfigure(|config| config.replace("[journal]\n", &format!("[journal]\nkeep_days = {days}\n")));
    refused(&trial, &["--keep-days", "30"], &format!("keeps {days} days"));
    refused(&trial, &["--before", "3072"], "entry 3000 is not older");
    refused(&trial, &["--keep-days", "10000"], "no 256 entries are older");
    refused(&trial, &["--before", "1000"], "no multiple of 256");
    trial.start_part("gateway");
    refused(&trial, &[], "in use by another process");
    assert_eq!(trial.app_ok(READ), "first");
    trial.stop_part("gateway");

    for delay in (0..30).map(|step| Duration::from_millis(step * 8)) {
        killed(&trial, &["--before", "1024"], delay);
        verified(&trial);
    }
    let (ok, said) = prune(&trial, &["--before", "1024"]);
    assert!(ok && said.contains("the entries before 1024 are pruned"), "{said}");
    let (ok, said) = prune(&trial, &[]);
    assert!(ok && said.contains("the entries before 2816 are pruned"), "{said}");
    let journal = trial.journal("gateway");
    assert_eq!(
        std::fs::read_dir(journal.join("tile/entries"))
            .unwrap()
            .filter(|one| {
                one.as_ref().unwrap().file_name().to_string_lossy().parse::<u64>().is_ok_and(|index| index < 11)
            })
            .count(),
        0
    );

    trial.start_part("gateway");
    assert_eq!(trial.app_ok(READ), "first");
    trial.stop_part("gateway");
    readers_say_so(&trial);
    witnesses_are_asked(&mut trial);
}

fn readers_say_so(trial: &Trial) {
    let said = verified(trial);
    assert!(said.contains("intact") && said.contains("the entries before 2816 were pruned"), "{said}");
    let journal = text(&trial.journal("gateway"));
    let found = trial.drieslot(["journal", "find", "--json", &journal]);
    let said = String::from_utf8(found.stderr).unwrap();
    assert!(found.status.success() && said.contains("the entries before 2816 were pruned"), "{said}");
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(!found.contains("no mandate 2815\"") && found.contains("no mandate 2816\""));
    let prune = found.lines().rfind(|line| line.contains("\"kind\":\"prune\"")).unwrap();
    let prune: serde_json::Value = serde_json::from_str(prune).unwrap();
    assert_eq!((&prune["body"]["who"], &prune["body"]["before"]), (&json!("Sam Peeters"), &json!(2816)));
    let tail = trial.drieslot_ok(["journal", "tail", "--json", "-n", "100000", &journal]);
    assert!(tail.lines().next().unwrap().contains("\"index\":2816"), "{tail}");
    trial.check_journals();
}

/// A charter with a witness that has never been asked.
fn witnesses_are_asked(trial: &mut Trial) {
    let part = trial.drieslot_ok(["witness", "init", "w0", "--name", "witness.example/w0"]);
    let charter = std::fs::read_to_string(trial.data().join("statements/charter.toml")).unwrap();
    let mut charter: toml::Table = toml::from_str(&charter).unwrap();
    charter.insert("replaces".into(), charter["id"].clone());
    charter.insert("id".into(), "charter-2".into());
    charter.extend(toml::from_str::<toml::Table>(&part).unwrap());
    for (name, number) in [("witness_quorum", 1), ("witness_faults", 0), ("witness_grace_s", 3600)] {
        charter.insert(name.into(), toml::Value::Integer(number));
    }
    let charter = toml::to_string(&charter).unwrap();
    let said = trial.sign_and_submit("charter-2.toml", &charter, &["structure", "access", "keys", "head"]);
    assert!(said.contains("in force"), "{said}");
    refused(trial, &[], "nothing of this journal is cosigned");
}
