//! Three witnesses of a trial's parts, and a charter that asks for two of them.

use std::path::Path;
use std::time::{Duration, Instant};

use drieslot_journal::{Checkpoint, Cosigner, Note, Verifier};

use super::ports::Ports;
use super::{PARTS, Trial};

pub(crate) const WITNESSES: [&str; 3] = ["w0", "w1", "w2"];

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn within(seconds: u64, what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Three witnesses that know every part; the text that goes into the charter, and into each configuration.
fn make(trial: &Trial, base: u16) -> (toml::Table, String) {
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

pub(crate) fn start(trial: &mut Trial, name: &str, base: u16) {
    let mut command = trial.as_user(trial.program());
    command.args(["witness", "run", "--config", &format!("{name}.toml")]);
    let at = WITNESSES.iter().position(|one| *one == name).unwrap();
    trial.start_apart(name, command, base + u16::try_from(at).unwrap());
}

/// Entries that two of the witnesses have cosigned in a part's folder.
pub(crate) fn cosigned(trial: &Trial, part: &str) -> Option<u64> {
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

/// Begins to have a trial's parts witnessed: a charter in force that `change` may change too, and every part run by itself with
/// the witnesses' addresses.
pub(crate) fn adopt(trial: &mut Trial, grace_s: i64, change: impl FnOnce(&mut toml::Table)) -> Ports {
    let ports = Ports::reserve();
    let (witnesses, addresses) = make(trial, ports.base);
    WITNESSES.iter().for_each(|name| start(trial, name, ports.base));
    let mut charter: toml::Table = toml::from_str(&read(&trial.data().join("statements/charter.toml"))).unwrap();
    charter.insert("replaces".into(), charter["id"].clone());
    charter.insert("id".into(), "charter-2".into());
    charter.extend(witnesses);
    for (name, number) in [("witness_quorum", 2), ("witness_faults", 0), ("witness_grace_s", grace_s)] {
        charter.insert(name.into(), toml::Value::Integer(number));
    }
    change(&mut charter);
    let text = toml::to_string(&charter).unwrap();
    let said = trial.sign_and_submit("charter-2.toml", &text, &["structure", "access", "keys", "head"]);
    assert!(said.contains("in force"), "{said}");
    for part in PARTS.iter().filter(|part| **part != "gateway") {
        let path = trial.data().join(part).join("config.toml");
        std::fs::write(&path, read(&path) + &addresses).unwrap();
    }
    trial.take_apart(|config| format!("{config}{addresses}"));
    ports
}
