//! Alerts of a real gateway's looks: each raised once and delivered, by webhook and by mail, over kills; and proven.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::Trial;
use common::ports::Ports;
use common::python::python;
use serde_json::Value;

/// Long enough for a few looks.
const LEARNING_S: u64 = 6;

fn until(what: &str, reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

struct World {
    trial: Trial,
    ports: Ports,
    python: PathBuf,
}

impl World {
    fn new(python: PathBuf) -> Self {
        let mut trial = Trial::usual();
        trial.plant();
        let decoys = trial.write("decoys.txt", "CANARY-7f3a-Vandenbossche\nCANARY-update-c0a7\n");
        std::fs::rename(decoys, trial.data().join("gateway/decoys.txt")).unwrap();
        let secret = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        secret(&trial.data().join("gateway/decoys.txt"));
        trial.take_apart(|text| {
            format!("{text}\n[[decoys]]\ncolumn = \"public.person.family_name\"\nvalues = \"decoys.txt\"\non_read = \"alarm\"\n")
        });
        secret(&trial.write("webhook.key", &"0123456789abcdef".repeat(4)));
        secret(&trial.write("mail.password", "a password\n"));
        let world = Self { trial, ports: Ports::reserve(), python };
        world.configure();
        world
    }

    fn configure(&self) {
        let alerts = self.trial.drieslot_ok(["watch", "init", "w", "--name", "agency.example/watch"]);
        let key = std::fs::read_to_string(self.trial.data().join("gateway/journal.vkey")).unwrap();
        let base = self.ports.base;
        let config = format!(
            "state = \"state\"\nmetrics = \"127.0.0.1:{base}\"\n[[journal]]\nfolder = \"{}\"\nkey = \"{}\"\n\
             [[output]]\nname = \"siem\"\nto = \"file\"\npath = \"siem.jsonl\"\n\
             [[webhook]]\nname = \"desk\"\nurl = \"http://127.0.0.1:{}/alerts\"\nkey = \"webhook.key\"\n\
             [[mail]]\nname = \"dpo\"\nserver = \"127.0.0.1:{}\"\nroot_certificate = \"{}\"\nuser = \"watch\"\n\
             password = \"mail.password\"\nfrom = \"Drieslot <watch@agency.example>\"\nto = [\"dpo@agency.example\"]\n\
             {alerts}learning_s = {LEARNING_S}\ntime_zone = \"Europe/Brussels\"\n[alerts.limits]\nordinary_rows = 60\n",
            self.trial.journal("gateway").display(),
            key.trim(),
            base + 1,
            base + 2,
            self.trial.data().join("gateway/root.crt").display(),
        );
        self.trial.write("watch.toml", &config);
        self.trial.drieslot_ok(["config", "check", "watch", "watch.toml"]);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.trial.folder.path().join(name)
    }

    fn receiver(&mut self, kind: &str, at: u16, arguments: &[&Path]) {
        let port = self.ports.base + at;
        let mut command = Command::new(&self.python);
        command.current_dir(self.trial.folder.path()).arg(here("tests/clients/alert_receiver.py"));
        command.args([kind, &port.to_string(), &format!("{kind}.jsonl")]).args(arguments);
        self.trial.start_apart(kind, command, port);
    }

    fn watch(&mut self) {
        let mut command = self.trial.as_user(self.trial.program());
        command.args(["watch", "run", "--config", "watch.toml"]);
        self.trial.start_apart("watch", command, self.ports.base);
    }

    /// Bodies of the `alert` entries, by id; each id once.
    fn raised(&self) -> BTreeMap<String, Value> {
        let said = self.trial.drieslot_ok(["journal", "tail", "w/journal", "-n", "500", "--json"]);
        let bodies: Vec<Value> =
            said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].clone()).collect();
        let by_id: BTreeMap<_, _> =
            bodies.iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one.clone())).collect();
        assert_eq!(by_id.len(), bodies.len(), "an alert was raised twice: {said}");
        by_id
    }

    fn rules(&self) -> BTreeSet<String> {
        self.raised().values().map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
    }

    fn verify(&self, alert: &str, key: &str) -> Output {
        let path = self.trial.write("alert.json", alert);
        let key = std::fs::read_to_string(self.at(key)).unwrap();
        Command::new(&self.python).arg(here("../../tools/verify_alert.py")).arg(path).arg(key.trim()).output().unwrap()
    }
}

#[test]
fn what_is_out_of_the_ordinary_is_told_once_and_proven_over_kills() {
    let Some(python) = python() else { return };
    let mut world = World::new(python);
    world.watch();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(LEARNING_S + 2) {
        world.trial.app_ok("SELECT family_name FROM person WHERE person_id = 1");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(world.raised_or_none().is_empty(), "ordinary use: {:?}", world.raised_or_none());
    for _ in 0..70 {
        world.trial.app_ok("SELECT family_name FROM person WHERE person_id = 2");
    }
    until("the volume", || world.rules().contains("volume"));
    world.trial.kill_part("watch");
    world.watch();
    world.trial.app_ok("SELECT remark FROM permit WHERE false");
    world.trial.app_ok("SELECT family_name FROM person WHERE person_id = 901");
    until("column and decoy", || ["new_column", "decoy"].iter().all(|rule| world.rules().contains(*rule)));
    // The receivers were away, and come one after the other; the watcher is killed while they take.
    world.receiver("http", 1, &[Path::new("webhook.key")]);
    until("the webhook has one", || !lines(&world.at("http.jsonl")).is_empty());
    world.trial.kill_part("watch");
    world.watch();
    let gateway = world.trial.data().join("gateway");
    let (certificate, key) = (gateway.join("server.crt"), gateway.join("server.key"));
    world.receiver("smtp", 2, &[&certificate, &key, Path::new("watch"), Path::new("a password")]);
    world.trial.submit(&world.trial.prepare_revocation("app-1"));
    until("a refusal", || !world.trial.app("SELECT family_name FROM person WHERE person_id = 1").ok);
    until("the refusal's alert", || world.rules().contains("refused"));
    everybody_has_each(&world);
}

impl World {
    fn raised_or_none(&self) -> BTreeMap<String, Value> {
        if self.at("w/journal/checkpoint").exists() { self.raised() } else { BTreeMap::new() }
    }
}

fn everybody_has_each(world: &World) {
    let raised = world.raised();
    // Another hour may have begun in between; within one each is there once.
    for rule in ["volume", "new_column", "decoy", "refused"] {
        let of: Vec<_> = raised.values().filter(|alert| alert["rule"] == rule).collect();
        let hours: BTreeSet<_> = of.iter().map(|alert| alert["hour"].as_str()).collect();
        assert!(!of.is_empty() && of.len() == hours.len(), "{rule}: {of:?}");
        assert!(of.iter().all(|alert| alert["principal"] == "app"), "{of:?}");
    }
    let all: BTreeSet<&str> = raised.keys().map(String::as_str).collect();
    let by_http = || lines(&world.at("http.jsonl"));
    let by_mail = || lines(&world.at("smtp.jsonl"));
    let http_ids =
        |got: &[Value]| got.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let mail_ids = |got: &[Value]| {
        let id =
            |one: &Value| one["id"].as_str().unwrap().trim_matches(['<', '>']).split('@').next().unwrap().to_owned();
        got.iter().map(id).collect::<BTreeSet<_>>()
    };
    until("each by webhook", || http_ids(&by_http()).iter().map(String::as_str).collect::<BTreeSet<_>>() == all);
    until("each by mail", || mail_ids(&by_mail()).iter().map(String::as_str).collect::<BTreeSet<_>>() == all);
    let (http, mail) = (by_http(), by_mail());
    assert!(http.iter().all(|one| one["good"] == true), "signatures: {http:?}");
    assert!(mail.iter().all(|one| one["tls"] == true && one["to"][0] == "dpo@agency.example"), "{mail:?}");
    assert!(mail.iter().any(|one| one["subject"] == "[critical] decoy: app"), "{mail:?}");
    assert!(http.len() <= all.len() + 1 && mail.len() <= all.len() + 1, "only a kill sends one again");
    for (alert, whence) in
        http.iter().map(|one| (&one["body"], "webhook")).chain(mail.iter().map(|one| (&one["json"], "mail")))
    {
        proven_and_not_when_altered(world, alert.as_str().unwrap(), whence);
    }
    // The watcher's own journal verifies as any other, and goes to the SIEM too.
    world.trial.drieslot_ok(["journal", "verify", "w/journal", "--key", "w/journal.vkey"]);
    let findings =
        || lines(&world.at("siem.jsonl")).iter().filter(|one| one["metadata"]["event_code"] == "alert").count();
    until("the SIEM", || findings() >= all.len());
    for name in ["http.jsonl", "smtp.jsonl", "siem.jsonl", "state/alerts.json"] {
        let said = std::fs::read_to_string(world.at(name)).unwrap();
        assert!(!said.contains("CANARY"), "{name} holds a value");
    }
}

fn proven_and_not_when_altered(world: &World, alert: &str, whence: &str) {
    let said = world.verify(alert, "d/gateway/journal.vkey");
    assert!(said.status.success(), "{whence}: {} {alert}", String::from_utf8_lossy(&said.stderr));
    let mut altered: Value = serde_json::from_str(alert).unwrap();
    let entry = altered["entries"][0]["entry"].as_str().unwrap().replace("\"app\"", "\"bob\"");
    altered["entries"][0]["entry"] = entry.replace("\"done\"", "\"dome\"").into();
    assert!(
        !world.verify(&altered.to_string(), "d/gateway/journal.vkey").status.success(),
        "{whence}: an altered entry"
    );
    let mut moved: Value = serde_json::from_str(alert).unwrap();
    moved["entries"][0]["index"] = (moved["entries"][0]["index"].as_u64().unwrap() + 1).into();
    assert!(!world.verify(&moved.to_string(), "d/gateway/journal.vkey").status.success(), "{whence}: another place");
    assert!(!world.verify(alert, "d/register/journal.vkey").status.success(), "{whence}: another's key");
}
