//! Witnesses beside a trial, the charter that names them, and what others verify of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drieslot_journal::{COSIGNED, Checkpoint, Cosigner, Note, Verifier};

use super::ports::Ports;
use super::{PARTS, Trial};

/// What [`adopt`] makes; its charter asks for two of them.
pub(crate) const WITNESSES: [&str; 3] = ["w0", "w1", "w2"];
const QUORUM: i64 = 2;

/// A witness as a charter and the parts' configurations name it.
pub(crate) struct Witness {
    pub(crate) vkey: String,
    pub(crate) port: u16,
}

impl Witness {
    pub(crate) fn cosigner(&self) -> Cosigner {
        Cosigner::parse(&self.vkey).unwrap()
    }

    /// For the charter.
    fn part(&self) -> toml::Value {
        let pairs = [("name", self.cosigner().name().to_owned()), ("key", self.vkey.clone())];
        toml::Value::Table(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// For a part's configuration.
    pub(crate) fn address(&self) -> String {
        format!("\n[[witness]]\nname = \"{}\"\nurl = \"http://127.0.0.1:{}\"\n", self.cosigner().name(), self.port)
    }
}

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

/// A witness's process without a trial; ends with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(config: &Path, port: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drieslot"));
        command.args(["witness", "run", "--config"]).arg(config).env("DRIESLOT_LOG", "error").stdin(Stdio::null());
        let mut running = Self(command.spawn().unwrap());
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(running.0.try_wait().unwrap().is_none(), "the witness ended");
            assert!(started.elapsed() < Duration::from_secs(30), "the witness is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body of the answer to `add-checkpoint`; `None` where the witness is gone.
pub(crate) fn post(port: u16, body: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!(
        "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + body).as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Begins to have a trial's parts witnessed by three of our own: a charter in force that `change` may change too, and every part
/// run by itself with the witnesses' addresses.
pub(crate) fn adopt(trial: &mut Trial, grace_s: i64, change: impl FnOnce(&mut toml::Table)) -> Ports {
    let ports = Ports::reserve();
    let witnesses: Vec<_> =
        WITNESSES.iter().zip(ports.base..).map(|(name, port)| trial.make_witness(name, port)).collect();
    WITNESSES.iter().for_each(|name| start(trial, name, ports.base));
    trial.take_apart_witnessed(&witnesses, QUORUM, grace_s, change);
    ports
}

pub(crate) fn start(trial: &mut Trial, name: &str, base: u16) {
    let at = WITNESSES.iter().position(|one| *one == name).unwrap();
    trial.start_witness(name, base + u16::try_from(at).unwrap());
}

/// The witnesses that [`adopt`] made.
pub(crate) fn adopted(trial: &Trial) -> Vec<Witness> {
    let vkey = |name: &&str| read(&trial.folder.path().join(name).join("witness.vkey")).trim().to_owned();
    WITNESSES.iter().map(|name| Witness { vkey: vkey(name), port: 0 }).collect()
}

/// Entries that two of these have cosigned in a part's folder.
pub(crate) fn cosigned(trial: &Trial, part: &str) -> Option<u64> {
    trial.cosigned(part, &adopted(trial), usize::try_from(QUORUM).unwrap())
}

impl Trial {
    /// The verifier key of a part's journal.
    pub(crate) fn journal_vkey(&self, part: &str) -> String {
        read(&self.data().join(part).join("journal.vkey")).trim().to_owned()
    }

    /// One of our own, in a folder of that name, which knows every part's journal.
    pub(crate) fn make_witness(&self, folder: &str, port: u16) -> Witness {
        let name = format!("witness.example/{folder}");
        self.drieslot_ok(["witness", "init", folder, "--name", &name]);
        let logs: String =
            PARTS.iter().map(|part| format!("[[log]]\nkeys = [\"{}\"]\n", self.journal_vkey(part))).collect();
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nname = \"{name}\"\nkey = \"{folder}/witness.key\"\nstate = \"{folder}/state\"\n{logs}"
        );
        self.write(&format!("{folder}.toml"), &text);
        Witness { vkey: read(&self.folder.path().join(folder).join("witness.vkey")).trim().to_owned(), port }
    }

    pub(crate) fn start_witness(&mut self, folder: &str, port: u16) {
        let mut command = self.as_user(self.program());
        command.args(["witness", "run", "--config", &format!("{folder}.toml")]);
        self.start_apart(folder, command, port);
    }

    /// A charter that names them, and that `change` may change, takes the place of the one in force; every part is told where
    /// they are, and runs by itself.
    pub(crate) fn take_apart_witnessed(
        &mut self,
        witnesses: &[Witness],
        quorum: i64,
        grace_s: i64,
        change: impl FnOnce(&mut toml::Table),
    ) {
        let mut charter: toml::Table = toml::from_str(&read(&self.data().join("statements/charter.toml"))).unwrap();
        charter.insert("replaces".into(), charter["id"].clone());
        charter.insert("id".into(), "charter-2".into());
        charter.insert("witness".into(), toml::Value::Array(witnesses.iter().map(Witness::part).collect()));
        for (name, number) in [("witness_quorum", quorum), ("witness_faults", 0), ("witness_grace_s", grace_s)] {
            charter.insert(name.into(), toml::Value::Integer(number));
        }
        change(&mut charter);
        let text = toml::to_string(&charter).unwrap();
        let said = self.sign_and_submit("charter-2.toml", &text, &["structure", "access", "keys", "head"]);
        assert!(said.contains("in force"), "{said}");
        let addresses: String = witnesses.iter().map(Witness::address).collect();
        for part in PARTS.iter().filter(|part| **part != "gateway") {
            let path = self.data().join(part).join("config.toml");
            std::fs::write(&path, read(&path) + &addresses).unwrap();
        }
        self.take_apart(|config| format!("{config}{addresses}"));
    }

    /// Entries that at least `quorum` of the witnesses have cosigned in a part's folder.
    pub(crate) fn cosigned(&self, part: &str, witnesses: &[Witness], quorum: usize) -> Option<u64> {
        let text = std::fs::read_to_string(self.journal(part).join(COSIGNED)).ok()?;
        let verifier = Verifier::parse(&self.journal_vkey(part)).unwrap();
        let checkpoint = Checkpoint::open(&text, &verifier).unwrap();
        let note = Note::parse(&text).unwrap();
        let signed = witnesses.iter().filter(|witness| note.cosigned_by(&witness.cosigner()).unwrap().is_some());
        assert!(signed.count() >= quorum, "{text}");
        Some(checkpoint.size)
    }

    /// Entries that a part's checkpoint names.
    pub(crate) fn signed(&self, part: &str) -> u64 {
        read(&self.journal(part).join("checkpoint")).lines().nth(1).unwrap().parse().unwrap()
    }

    /// A copy of a part's journal, put beside the data folder.
    pub(crate) fn copy_journal(&self, part: &str, name: &str) -> PathBuf {
        let copy = self.folder.path().join(name);
        let copied = Command::new("cp").arg("-a").arg(self.journal(part)).arg(&copy).status();
        assert!(copied.unwrap().success());
        copy
    }

    /// The gateway goes on from an older state of its journal, and shows nothing any more.
    pub(crate) fn put_the_gateways_journal_back(&mut self, query: &str, cosigned: impl Fn(&Self) -> u64) {
        self.stop_part("gateway");
        let old = self.copy_journal("gateway", "old");
        // The last checkpoint is written at the stop, and cosigned after the next start: only what comes after it counts.
        let before = self.signed("gateway");
        self.start_part("gateway");
        within(20, "it is not cosigned", || self.app(query).ok && cosigned(self) > before);
        self.stop_part("gateway");
        std::fs::remove_dir_all(self.journal("gateway")).unwrap();
        std::fs::rename(&old, self.journal("gateway")).unwrap();
        self.start_part("gateway");
        within(20, "nobody noticed", || self.app(query).err.contains("another history"));
        let (sqlstate, said) = self.app_fails(query);
        assert!(sqlstate == "58000" && said.contains("alarm"), "{sqlstate} {said}");
    }

    /// What `drieslot journal verify` says of the gateway's journal, and whether it is content.
    pub(crate) fn verify_journal(&self, place: &str, more: &[&str]) -> (bool, String) {
        let key = ["journal", "verify", place, "--key", "d/gateway/journal.vkey"];
        let output = self.drieslot(key.iter().chain(more));
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }
}
