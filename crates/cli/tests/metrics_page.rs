//! `docs/metrics.md`, the dashboard and the alert rules: they name what running parts give, all of it, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::ports::Ports;
use common::{PARTS, Trial};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name).canonicalize().unwrap()
}

/// Metrics, with the label in braces, by the part that the page gives them to.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(shipped("docs/metrics.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `drieslot_"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        assert!(row[3..6].iter().all(|cell| !cell.is_empty()), "{row:?}");
        for part in row[2].split(", ") {
            found.entry(part.to_owned()).or_default().insert(row[1].trim_matches('`').to_owned());
        }
    }
    found
}

/// What a part gives.
fn given(port: u16) -> BTreeSet<String> {
    let started = Instant::now();
    let mut socket = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => break socket,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    write!(socket, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let samples = answer.split_once("\r\n\r\n").unwrap().1.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let name = line.rsplit_once(' ').unwrap().0;
            name.split_once('=').map_or_else(|| name.to_owned(), |(begin, _)| format!("{begin}}}"))
        })
        .collect()
}

struct World {
    trial: Trial,
    /// The parts' metrics in the order of [`PARTS`], and the gateway's journal.
    parts: Ports,
    /// Metrics of witness, mirror and watcher, the witness itself, and metrics and address of the usage server.
    others: Ports,
}

impl World {
    /// Every kind of part, cosigned by one witness, each with metrics.
    fn new() -> Self {
        let trial = Trial::small();
        let (parts, others) = (Ports::reserve(), Ports::reserve());
        let mut world = Self { trial, parts, others };
        world.witness();
        world.parts();
        world.readers();
        world
    }

    fn key(&self, part: &str) -> String {
        std::fs::read_to_string(self.trial.data().join(part).join("journal.vkey")).unwrap().trim().to_owned()
    }

    fn run(&mut self, part: &str, at: u16) {
        let mut command = self.trial.as_user(self.trial.program());
        command.args([part, "run", "--config", &format!("{part}.toml")]);
        self.trial.start_apart(part, command, self.others.base + at);
    }

    fn witness(&mut self) {
        let said = self.trial.drieslot_ok(["witness", "init", "w", "--name", "witness.example/w"]);
        let logs: String = PARTS.iter().map(|part| format!("[[log]]\nkeys = [\"{}\"]\n", self.key(part))).collect();
        let (metrics, listen) = (self.others.base, self.others.base + 3);
        let config = format!(
            "listen = \"127.0.0.1:{listen}\"\nname = \"witness.example/w\"\nkey = \"w/witness.key\"\nstate = \"w/state\"\n\
             metrics = \"127.0.0.1:{metrics}\"\n{logs}"
        );
        self.trial.write("witness.toml", &config);
        self.run("witness", 3);
        let charter = std::fs::read_to_string(self.trial.data().join("statements/charter.toml")).unwrap();
        let mut charter: toml::Table = toml::from_str(&charter).unwrap();
        charter.insert("replaces".into(), charter["id"].clone());
        charter.insert("id".into(), "charter-2".into());
        let usage = ["usage", "init", "usage", "--name", "usage-1", "--tenant", "trial-agency"];
        let usage = self.trial.drieslot_ok(usage);
        for part in [said, usage] {
            charter.extend(toml::from_str::<toml::Table>(&part).unwrap());
        }
        charter.insert("witness_quorum".into(), 1.into());
        charter.insert("witness_faults".into(), 0.into());
        charter.insert("witness_grace_s".into(), 60.into());
        let text = toml::to_string(&charter).unwrap();
        self.trial.sign_and_submit("charter-2.toml", &text, &["structure", "access", "keys", "head"]);
    }

    fn parts(&mut self) {
        self.trial.stop();
        let (base, journal) = (self.parts.base, self.parts.base + 5);
        let witness = format!(
            "\n[[witness]]\nname = \"witness.example/w\"\nurl = \"http://127.0.0.1:{}\"\n",
            self.others.base + 3
        );
        for (part, port) in PARTS.iter().zip(base..) {
            let path = self.trial.data().join(part).join("config.toml");
            let config = std::fs::read_to_string(&path).unwrap();
            let serve = match *part {
                "gateway" => format!("\n[serve_journal]\nlocal = \"127.0.0.1:{journal}\"\n"),
                _ => String::new(),
            };
            std::fs::write(&path, format!("metrics = \"127.0.0.1:{port}\"\n{config}{witness}{serve}")).unwrap();
        }
        for part in ["processor", "register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"] {
            self.trial.start_part(part);
        }
    }

    fn readers(&mut self) {
        let (key, served) = (self.key("gateway"), self.parts.base + 5);
        let mirror = format!(
            "folder = \"mirrors\"\nmetrics = \"127.0.0.1:{}\"\n[[journal]]\nname = \"gateway\"\nkey = \"{key}\"\nlocal = \"127.0.0.1:{served}\"\n",
            self.others.base + 1
        );
        self.trial.write("mirror.toml", &mirror);
        self.run("mirror", 1);
        let watch = format!(
            "state = \"watch\"\nmetrics = \"127.0.0.1:{}\"\n[[journal]]\nfolder = \"mirrors/gateway\"\nkey = \"{key}\"\n\
             [[output]]\nname = \"file\"\nto = \"file\"\npath = \"siem.jsonl\"\n",
            self.others.base + 2
        );
        self.trial.write("watch.toml", &watch);
        self.run("watch", 2);
        self.usage(&key);
    }

    fn usage(&mut self, key: &str) {
        let client = self.trial.drieslot_ok(["register", "client", "portal"]);
        let portal = &client[client.find("sha256:").unwrap()..].trim_end()[..71];
        let gateway = std::fs::read_to_string(self.trial.data().join("gateway/config.toml")).unwrap();
        // What follows its register and custodians, but for serving its journal.
        let (_, rest) = gateway.split_once("[register]").unwrap();
        let (rest, _) = rest.split_once("[serve_journal]").unwrap();
        let (base, journal) = (self.others.base, self.trial.journal("gateway"));
        let usage = format!(
            "listen = \"127.0.0.1:{}\"\nidentity = \"usage/tls\"\nkey = \"usage/journal.key\"\njournal = \"usage/journal\"\n\
             origin = \"trial-agency/usage-1\"\nindex = \"usage/index\"\nmetrics = \"127.0.0.1:{}\"\n\n\
             [[source]]\nfolder = \"{}\"\nkey = \"{key}\"\n\n[[portal]]\nname = \"citizens\"\ntls = \"{portal}\"\n\n[register]{rest}",
            base + 5,
            base + 4,
            journal.display()
        );
        self.trial.write("usage.toml", &usage);
        self.run("usage", 5);
    }
}

#[test]
fn the_page_lists_what_running_parts_give_and_nothing_else() {
    let world = World::new();
    let started = Instant::now();
    while !world.trial.app("SELECT body FROM note").ok {
        assert!(started.elapsed() < Duration::from_secs(30));
    }
    let documented = documented();
    let ports = PARTS.iter().zip(world.parts.base..);
    let others = ["witness", "mirror", "watch"].iter().zip(world.others.base..);
    let others = others.chain([(&"usage", world.others.base + 4)]);
    let mut seen = BTreeSet::new();
    for (part, port) in ports.chain(others) {
        let kind = part.split('-').next().unwrap();
        assert_eq!(given(port), documented[kind], "{part}");
        seen.insert(kind.to_owned());
    }
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), seen, "every part that the page names is asked");
}

/// `drieslot_…` in a text, without labels.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    words.filter(|word| word.starts_with("drieslot_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_and_the_rules_name_metrics_of_the_page() {
    let known: BTreeSet<String> =
        documented().into_values().flatten().map(|name| name.split('{').next().unwrap().to_owned()).collect();
    let dashboard = std::fs::read_to_string(shipped("deploy/grafana/drieslot.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: String = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|one| format!("{}\n", one["expr"]))
        .collect();
    let shown = named(&queries);
    assert!(shown.is_subset(&known), "{:?}", shown.difference(&known));
    let unseen: Vec<_> = known.difference(&shown).filter(|name| *name != "drieslot_watched_journals").collect();
    let expected = ["drieslot_cosigned_entries", "drieslot_mirrored_journals", "drieslot_witness_logs"];
    assert!(unseen.iter().all(|name| expected.contains(&name.as_str())), "no panel shows {unseen:?}");
    let rules = std::fs::read_to_string(shipped("deploy/prometheus/drieslot.rules.yml")).unwrap();
    let ruled = named(&rules);
    assert!(ruled.len() > 10 && ruled.is_subset(&known), "{:?}", ruled.difference(&known));
    // Each rule is tried below.
    let tests = std::fs::read_to_string(shipped("crates/cli/tests/prometheus/rules.test.yml")).unwrap();
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} is not tried");
    }
}

#[test]
fn prometheus_takes_the_rules_and_each_of_them_fires() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/prometheus/usr/bin/promtool");
    let promtool = if ours.is_file() { ours } else { "promtool".into() };
    if !Command::new(&promtool).arg("--version").output().is_ok_and(|said| said.status.success()) {
        assert!(std::env::var_os("DRIESLOT_FULL").is_none(), "promtool is not there; ./check --full fetches it");
        eprintln!("SKIPPED: promtool is not there; ./check --full fetches it");
        return;
    }
    let rules = shipped("deploy/prometheus/drieslot.rules.yml");
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(shipped("crates/cli/tests/prometheus/rules.test.yml")).unwrap();
    let tests = folder.path().join("tests.yml");
    std::fs::write(&tests, text.replace("RULES", &rules.display().to_string())).unwrap();
    for arguments in [["check", rules.to_str().unwrap()], ["test", tests.to_str().unwrap()]] {
        let said = Command::new(&promtool).args([arguments[0], "rules", arguments[1]]).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success() && text.contains("SUCCESS"), "{text}");
    }
}
