//! A trial whose charter has three witnesses: each part's journal is cosigned; one witness may be away, two only for the
//! charter's
//! grace; and a gateway whose journal was put back to an older state shows nothing any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::ports::Ports;
use common::{PARTS, Trial};
use drieslot_journal::{Checkpoint, Cosigner, Note, Verifier};

const WITNESSES: [&str; 3] = ["w0", "w1", "w2"];
const GRACE_S: i64 = 5;
const QUERY: &str = "SELECT body FROM note WHERE note_id = 1";

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn within(seconds: u64, what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Three witnesses that know every part; the text that goes into the charter, and into each configuration.
fn make_witnesses(trial: &Trial, base: u16) -> (toml::Table, String) {
    let keys: Vec<_> = PARTS.iter().map(|part| read(&trial.data().join(part).join("journal.vkey"))).collect();
    let logs: String = keys.iter().map(|key| format!("[[log]]\nkeys = [\"{}\"]\n", key.trim())).collect();
    let (mut said, mut addresses) = (String::new(), String::new());
    for (name, port) in WITNESSES.iter().zip(base..) {
        let full = format!("witness.example/{name}");
        said += &trial.drieslot_ok(["witness", "init", name, "--name", &full]);
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nname = \"{full}\"\nkey = \"{name}/witness.key\"\nstate = \"{name}/state\"\n{logs}"
        );
        trial.write(&format!("{name}.toml"), &text);
        addresses += &format!("\n[[witness]]\nname = \"{full}\"\nurl = \"http://127.0.0.1:{port}\"\n");
    }
    (toml::from_str(&said).unwrap(), addresses)
}

fn start(trial: &mut Trial, name: &str, base: u16) {
    let mut command = trial.as_user(trial.program());
    command.args(["witness", "run", "--config", &format!("{name}.toml")]);
    let at = WITNESSES.iter().position(|one| *one == name).unwrap();
    trial.start_apart(name, command, base + u16::try_from(at).unwrap());
}

/// Entries that two of the witnesses have cosigned in a part's folder.
fn cosigned(trial: &Trial, part: &str) -> Option<u64> {
    let text = std::fs::read_to_string(trial.journal(part).join("checkpoint.cosigned")).ok()?;
    let verifier = Verifier::parse(read(&trial.data().join(part).join("journal.vkey")).trim()).unwrap();
    let checkpoint = Checkpoint::open(&text, &verifier).unwrap();
    let signed = WITNESSES.iter().filter(|name| {
        let key = read(&trial.folder.path().join(name).join("witness.vkey"));
        Note::parse(&text).unwrap().cosigned_by(&Cosigner::parse(key.trim()).unwrap()).unwrap().is_some()
    });
    assert!(signed.count() >= 2, "{text}");
    Some(checkpoint.size)
}

#[test]
fn journals_are_cosigned_and_nothing_is_shown_without_a_quorum_for_long() {
    let mut trial = Trial::small();
    let ports = Ports::reserve();
    let (witnesses, addresses) = make_witnesses(&trial, ports.base);
    WITNESSES.iter().for_each(|name| start(&mut trial, name, ports.base));
    let mut charter: toml::Table = toml::from_str(&read(&trial.data().join("statements/charter.toml"))).unwrap();
    charter.insert("replaces".into(), charter["id"].clone());
    charter.insert("id".into(), "charter-2".into());
    charter.extend(witnesses);
    for (name, number) in [("witness_quorum", 2), ("witness_faults", 0), ("witness_grace_s", GRACE_S)] {
        charter.insert(name.into(), toml::Value::Integer(number));
    }
    let text = toml::to_string(&charter).unwrap();
    let said = trial.sign_and_submit("charter-2.toml", &text, &["structure", "access", "keys", "head"]);
    assert!(said.contains("in force"), "{said}");
    for part in PARTS.iter().filter(|part| **part != "gateway") {
        let path = trial.data().join(part).join("config.toml");
        std::fs::write(&path, read(&path) + &addresses).unwrap();
    }
    take_apart_with_witnesses(&mut trial, &addresses);
    assert_eq!(trial.app_ok(QUERY), "first");
    within(20, "not every journal is cosigned", || PARTS.iter().all(|part| cosigned(&trial, part).is_some()));
    trial.check_journals();
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
    start(&mut trial, "w1", ports.base);
    within(20, "it does not come back", || trial.app(QUERY).ok);
    a_journal_that_was_put_back_shows_nothing(&mut trial);
}

/// Ends `drieslot up`, and runs its parts one by one, while the witnesses go on.
fn take_apart_with_witnesses(trial: &mut Trial, addresses: &str) {
    trial.take_apart(|config| format!("{config}{addresses}"));
}

fn a_journal_that_was_put_back_shows_nothing(trial: &mut Trial) {
    let (journal, old) = (trial.journal("gateway"), trial.folder.path().join("old"));
    trial.stop_part("gateway");
    assert!(Command::new("cp").arg("-a").arg(&journal).arg(&old).status().unwrap().success());
    // The last checkpoint is written at the stop, and cosigned after the next start: only what comes after it counts.
    let before: u64 = read(&old.join("checkpoint")).lines().nth(1).unwrap().parse().unwrap();
    trial.start_part("gateway");
    within(20, "it is not cosigned", || trial.app(QUERY).ok && cosigned(trial, "gateway").unwrap() > before);
    trial.stop_part("gateway");
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::rename(&old, &journal).unwrap();
    trial.start_part("gateway");
    within(20, "nobody noticed", || trial.app(QUERY).err.contains("another history"));
    let (sqlstate, said) = trial.app_fails(QUERY);
    assert!(sqlstate == "58000" && said.contains("alarm"), "{sqlstate} {said}");
}
