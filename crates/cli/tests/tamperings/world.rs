//! A journal that three running witnesses have cosigned twice and a mirror follows, and everybody's keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drieslot_journal::{
    COSIGNED, Checkpoint, Durability, IdentityKey, Journal, JournalConfig, Note, Published, Verifier, entry,
};
use drieslot_witness::Submission;
use tempfile::TempDir;

use crate::common::ports::Ports;
use crate::common::witnesses::{Running, post};

pub(crate) const ORIGIN: &str = "gateway.example.org/journal";
/// Entries when it was cosigned first; nothing is settled yet.
pub(crate) const EARLIER: u64 = 1000;
/// Entries now: five full bundles and one of 20, most of them no longer in the write-ahead file.
pub(crate) const SIZE: u64 = 1300;
pub(crate) const WITNESSES: [&str; 3] = ["w0", "w1", "w2"];

pub(crate) struct World {
    folder: TempDir,
    _witnesses: Vec<Running>,
    pub(crate) ports: Ports,
}

pub(crate) fn entry(index: u64) -> Vec<u8> {
    said(&format!("{index} {}", "x".repeat((index * 997 % 16_000) as usize)))
}

pub(crate) fn said(text: &str) -> Vec<u8> {
    entry::encode("test", "2026-01-31T23:59:59Z", &serde_json::json!({ "text": text })).unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

pub(crate) fn drieslot(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drieslot")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

impl World {
    pub(crate) fn new() -> Self {
        let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::reserve());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key = IdentityKey::generate().unwrap();
        key.save(&folder.path().join("key")).unwrap();
        let vkey = key.vkey(ORIGIN).unwrap();
        fs::write(folder.path().join("vkey"), &vkey).unwrap();
        let mut witnesses = Vec::new();
        for (name, port) in WITNESSES.iter().zip(ports.base..) {
            let (made, said) = drieslot(&["witness", "init", &path(name), "--name", &format!("w.example/{name}")]);
            assert!(made, "{said}");
            let config = folder.path().join(format!("{name}.toml"));
            let text = format!(
                "listen = \"127.0.0.1:{port}\"\nname = \"w.example/{name}\"\nkey = \"{name}/witness.key\"\n\
                 state = \"{name}/state\"\n[[log]]\nkeys = [\"{vkey}\"]\n"
            );
            fs::write(&config, text).unwrap();
            witnesses.push(Running::start(&config, port));
        }
        let world = Self { folder, _witnesses: witnesses, ports };
        world.grow();
        world
    }

    /// The journal itself, as of `earlier` and of `now`; `unsigned` has five entries more, of which no checkpoint tells.
    fn grow(&self) {
        let dir = self.path("growing");
        self.append(&dir, 0..EARLIER);
        self.cosign(&dir, 0);
        copy(&dir, &self.path("earlier"));
        self.append(&dir, EARLIER..SIZE);
        self.cosign(&dir, EARLIER);
        copy(&dir, &self.path("now"));
        let config = JournalConfig { checkpoint_interval: Duration::from_secs(3600), ..self.config() };
        let (journal, _) = Journal::open(&dir, config).unwrap();
        copy(&dir, &self.path("reopened"));
        for index in SIZE..SIZE + 5 {
            journal.append(entry(index)).unwrap();
            journal.wait_durable(index).unwrap();
        }
        copy(&dir, &self.path("unsigned"));
        journal.close().unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that is changed, looked at and served.
    pub(crate) fn tampered(&self) -> PathBuf {
        self.path("tampered")
    }

    pub(crate) fn reset(&self) {
        copy(&self.path("now"), &self.tampered());
    }

    pub(crate) fn key(&self) -> IdentityKey {
        IdentityKey::load(&self.path("key")).unwrap()
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.key().verifier(ORIGIN).unwrap()
    }

    pub(crate) fn witness_vkey(&self, name: &str) -> String {
        fs::read_to_string(self.path(name).join("witness.vkey")).unwrap().trim().to_owned()
    }

    pub(crate) fn config(&self) -> JournalConfig {
        let checkpoint_interval = Duration::from_millis(20);
        JournalConfig { origin: ORIGIN.into(), durability: Durability::Os, key: self.key(), checkpoint_interval }
    }

    /// Whoever has the key goes on with these entries.
    pub(crate) fn write(&self, dir: &Path, entries: impl IntoIterator<Item = Vec<u8>>) {
        let (journal, _) = Journal::open(dir, self.config()).unwrap();
        for entry in entries {
            let index = journal.append(entry).unwrap();
            journal.wait_durable(index).unwrap();
        }
        journal.close().unwrap();
    }

    fn append(&self, dir: &Path, indices: std::ops::Range<u64>) {
        self.write(dir, indices.map(entry));
    }

    /// As a part does: all witnesses, from what they know.
    pub(crate) fn cosign(&self, dir: &Path, known: u64) {
        let published = Published::open(dir, &self.verifier()).unwrap();
        let body =
            Submission { old: known, proof: published.consistency_proof(known).unwrap(), note: published.note() };
        let lines: String = (self.ports.base..)
            .take(WITNESSES.len())
            .map(|port| match post(port, &body.body()) {
                Some((200, line)) => line,
                other => panic!("{other:?}"),
            })
            .collect();
        published.keep_cosigned(&lines).unwrap();
    }

    /// The journal's checkpoint with lines by which these keys cosign it under these names.
    pub(crate) fn put_cosigned(&self, dir: &Path, by: &[(&str, &IdentityKey, u64)]) {
        let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
        let text = Note::parse(&note).unwrap().text().to_owned();
        let lines: String = by.iter().map(|(name, key, time_s)| key.cosign(name, &text, *time_s).unwrap()).collect();
        fs::write(dir.join(COSIGNED), note + &lines).unwrap();
    }

    pub(crate) fn witness_key(&self, name: &str) -> IdentityKey {
        IdentityKey::load(&self.path(name).join("witness.key")).unwrap()
    }

    /// The checkpoint that is there, under another signature or name.
    pub(crate) fn sign_again(&self, dir: &Path, origin: &str, key: &IdentityKey) {
        let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
        let old = Checkpoint::open(&note, &self.verifier()).unwrap();
        let new = Checkpoint { origin: origin.to_owned(), ..old };
        fs::write(dir.join("checkpoint"), new.sign(key).unwrap()).unwrap();
    }
}
