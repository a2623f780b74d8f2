//! What journals say goes out to a SIEM: valid OCSF, RFC 5424 that others parse, everything once, over kills on both sides.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::ports::Ports;
use common::python::python;
use common::{Trial, data};
use serde_json::Value;

fn until(what: &str, reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

const WATCHED: [&str; 3] = ["gateway", "register", "custodian-keys"];

/// What `watch print` says of all journals, by id.
fn printed(trial: &Trial, form: &str) -> Vec<String> {
    let print = |part: &&str| {
        let (journal, key) = (trial.journal(part), trial.data().join(part).join("journal.vkey"));
        let folder = journal.display().to_string();
        let key = key.display().to_string();
        trial.drieslot_ok(["watch", "print", &folder, "--key", &key, "--as", form])
    };
    WATCHED.iter().flat_map(|part| print(part).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

fn valid_ocsf(python: &Path, trial: &Trial, events: &str) -> String {
    let path = trial.write("events.jsonl", events);
    let output = Command::new(python)
        .arg(script("../../tools/check_ocsf.py"))
        .stdin(std::fs::File::open(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

struct World {
    trial: Trial,
    ports: Ports,
    python: PathBuf,
    config: String,
}

impl World {
    fn new(python: PathBuf) -> Self {
        let trial = Trial::usual();
        let ports = Ports::reserve();
        let port = |at: u16| ports.base + at;
        let root = trial.data().join("gateway/root.crt");
        let mut config = format!(
            "state = \"watch\"\nhost = \"watch.agency.example\"\nmetrics = \"127.0.0.1:{}\"\n\
             [[output]]\nname = \"file\"\nto = \"file\"\npath = \"siem.jsonl\"\n\
             [[output]]\nname = \"tcp\"\nto = \"tcp\"\naddress = \"127.0.0.1:{}\"\n\
             [[output]]\nname = \"tls\"\nto = \"tls\"\naddress = \"127.0.0.1:{}\"\nroot_certificate = \"{}\"\nmessage = \"ocsf\"\n\
             [[output]]\nname = \"udp\"\nto = \"udp\"\naddress = \"127.0.0.1:{}\"\n",
            port(0),
            port(1),
            port(2),
            root.display(),
            port(3)
        );
        for part in WATCHED {
            let key = std::fs::read_to_string(trial.data().join(part).join("journal.vkey")).unwrap();
            config +=
                &format!("[[journal]]\nfolder = \"{}\"\nkey = \"{}\"\n", trial.journal(part).display(), key.trim());
        }
        let config = trial.write("watch.toml", &config).display().to_string();
        trial.drieslot_ok(["config", "check", "watch", &config]);
        Self { trial, ports, python, config }
    }

    fn receiver(&mut self, mode: &str, at: u16) {
        let mut command = Command::new(&self.python);
        command.current_dir(self.trial.folder.path());
        let port = self.ports.base + at;
        command.arg(script("tests/clients/syslog_receiver.py")).args([
            mode,
            &port.to_string(),
            &format!("{mode}.jsonl"),
        ]);
        if mode == "tls" {
            let gateway = self.trial.data().join("gateway");
            command.arg(gateway.join("server.crt")).arg(gateway.join("server.key"));
        }
        self.trial.start_apart(mode, command, port);
    }

    /// rsyslog, which others wrote, takes messages apart by its own rules.
    fn rsyslog(&mut self) -> bool {
        let there = Path::new("/usr/sbin/rsyslogd").exists();
        assert!(there || std::env::var_os("DRIESLOT_CHECK").is_none(), "rsyslog is not installed");
        if !there {
            eprintln!("SKIPPED: rsyslog is not installed (Debian: rsyslog)");
            return false;
        }
        let folder = self.trial.folder.path().display().to_string();
        let port = self.ports.base + 1;
        let config = format!(
            "global(workDirectory=\"{folder}\" maxMessageSize=\"64k\")\nmodule(load=\"imtcp\")\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"parts\" type=\"string\" string=\"%protocol-version%|%pri%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{folder}/rsyslog.txt\" template=\"parts\" fileCreateMode=\"0644\")\n"
        );
        let config = self.trial.write("rsyslog.conf", &config);
        let mut command = self.trial.as_user("/usr/sbin/rsyslogd");
        command.args(["-n", "-f"]).arg(config).args(["-i", &format!("{folder}/rsyslog.pid")]);
        self.trial.start_apart("rsyslog", command, port);
        true
    }

    fn watch(&mut self) {
        let mut command = self.trial.as_user(self.trial.program());
        command.args(["watch", "run", "--config", &self.config]);
        self.trial.start_apart("watch", command, self.ports.base);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.trial.folder.path().join(name)
    }
}

#[test]
fn a_siem_gets_every_look_over_kills_on_both_sides() {
    let Some(python) = python() else { return };
    let mut world = World::new(python.clone());
    world.trial.plant();
    world.receiver("udp", 3);
    // The others are away at first; nothing is lost for it.
    world.watch();
    let script =
        "SET drieslot.end_user = 'Els \"W\" ]outers';\nSELECT family_name, town FROM person WHERE person_id = 1;\n";
    assert!(world.trial.app_script(script).ok);
    world.trial.app_fails("SELECT family_name FROM person WHERE family_name > 'x'");
    let rsyslog = world.rsyslog();
    world.receiver("tls", 2);
    for round in 0..4 {
        for _ in 0..5 {
            world.trial.app_ok(&"SELECT family_name FROM person WHERE person_id = 2;".repeat(20));
        }
        std::thread::sleep(Duration::from_millis(700));
        if round % 2 == 0 {
            world.trial.kill_part("watch");
            world.watch();
        } else {
            world.trial.kill_part("tls");
            world.receiver("tls", 2);
        }
    }
    world.trial.submit(&world.trial.prepare_revocation("app-1"));
    until("the revocation", || {
        !world.trial.app("SELECT body FROM person").ok && {
            let said = world.trial.app("SELECT family_name FROM person WHERE person_id = 1");
            !said.ok
        }
    });
    std::thread::sleep(Duration::from_millis(1500));
    let events: Vec<Value> =
        printed(&world.trial, "ocsf").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: BTreeSet<String> = ids(&events).into_iter().collect();
    assert!(expected.len() > 400 && expected.len() == events.len(), "each id once: {}", expected.len());
    let has_all = |found: BTreeSet<String>| expected.is_subset(&found);
    until("the file", || has_all(ids(&lines(&world.at("siem.jsonl"))).into_iter().collect()));
    let syslog_ids = |name: &str| -> BTreeSet<String> {
        lines(&world.at(name)).iter().map(|one| one["data"]["id"].as_str().unwrap().to_owned()).collect()
    };
    until("TLS", || has_all(syslog_ids("tls.jsonl")));
    assert!(!syslog_ids("udp.jsonl").is_empty());
    if rsyslog {
        let by_rsyslog = || std::fs::read_to_string(world.at("rsyslog.txt")).unwrap_or_default();
        until("rsyslog", || expected.iter().all(|id| by_rsyslog().contains(&format!("[drieslot@32473 id=\"{id}\""))));
        let text = by_rsyslog();
        assert!(
            text.lines().all(|line| line.starts_with("1|") && line.contains("|watch.agency.example|drieslot|")),
            "{text}"
        );
        assert!(text.contains(r#"end_user="Els \"W\" \]outers""#), "{text}");
    }
    they_are_right(&world, &python);
}

fn they_are_right(world: &World, python: &Path) {
    let file = std::fs::read_to_string(world.at("siem.jsonl")).unwrap();
    let classes = valid_ocsf(python, &world.trial, &file);
    for class in ["3004=", "6003=", "6005="] {
        assert!(classes.contains(class), "{classes}");
    }
    let found = lines(&world.at("siem.jsonl"));
    assert_eq!(found.len(), file.lines().count(), "every line is whole");
    let els = found.iter().find(|event| event["actor"]["user"]["name"] == "Els \"W\" ]outers").unwrap();
    assert_eq!((&els["actor"]["app_name"], &els["activity_name"]), (&"app".into(), &"Read".into()), "{els}");
    assert_eq!((&els["unmapped"]["rows"], &els["unmapped"]["subjects"]), (&1.into(), &1.into()), "{els}");
    assert_eq!(els["table"]["name"], "public.person");
    let refused = found.iter().find(|event| event["status_code"] == "42501").unwrap();
    assert_eq!((&refused["status"], &refused["severity"]), (&"Failure".into(), &"Medium".into()), "{refused}");
    let inside = lines(&world.at("tls.jsonl")).last().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(inside.starts_with('{') && valid_ocsf(python, &world.trial, &inside).contains('='), "{inside}");
    for name in ["siem.jsonl", "tls.jsonl", "udp.jsonl", "rsyslog.txt"] {
        let said = std::fs::read_to_string(world.at(name)).unwrap_or_default();
        for canary in data::canaries() {
            assert!(!said.contains(&canary.name()), "{name} holds {}", canary.name());
        }
    }
    let syslog = printed(&world.trial, "syslog");
    assert!(syslog.iter().all(|line| line.starts_with("<1")), "{syslog:?}");
}

#[test]
fn what_could_not_work_is_refused_by_name() {
    let trial = Trial::small();
    let key = std::fs::read_to_string(trial.data().join("gateway/journal.vkey")).unwrap();
    let journal =
        format!("[[journal]]\nfolder = \"{}\"\nkey = \"{}\"\n", trial.journal("gateway").display(), key.trim());
    let good = format!("state = \"watch\"\n[[output]]\nname = \"siem\"\nto = \"stdout\"\n{journal}");
    for (config, expected) in [
        (good.clone() + &journal, "named twice"),
        (good.replace("\"siem\"", "\"../siem\""), "no name for an output"),
        (good.replace("\"stdout\"", "\"carrier-pigeon\""), "unknown variant"),
        (good.replace("state", "since = \"yesterday\"\nstate"), "no time such as"),
        (good.replace("key = \"", "key = \"x"), "the key of"),
        ("state = \"watch\"\njournal = []\n".to_owned(), "no [[journal]]"),
    ] {
        let path = trial.write("watch.toml", &config).display().to_string();
        let refused = trial.drieslot(["config", "check", "watch", &path]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(expected), "{expected}: {said}");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/watch.toml");
    let shipped = trial.write("shipped.toml", &std::fs::read_to_string(shipped).unwrap()).display().to_string();
    trial.drieslot_ok(["config", "check", "watch", &shipped]);
    // A journal of another key is not printed.
    let other = trial.data().join("register/journal.vkey").display().to_string();
    let refused = trial.drieslot(["watch", "print", &trial.journal("gateway").display().to_string(), "--key", &other]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && refused.stdout.is_empty() && said.contains("not signed by"), "{said}");
}
