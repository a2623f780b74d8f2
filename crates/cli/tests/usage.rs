//! Citizens are told who looked: two gateways of a trial, an application that reads through both, and a portal that asks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::check::entries_fit;
use common::ports::Ports;
use common::psql::{Said, run};
use common::{DATABASE, Trial, data};
use drieslot_journal::Reader;
use drieslot_link::TlsIdentity;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const JAN: &str = "85073003328";
const LEE: &str = "90010112345";
const REALM: &str = "trial.national_number";

struct Scene {
    trial: Trial,
    ports: Ports,
    usage_tls: String,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// The charter with a second gateway, a usage server and another purpose.
fn next_charter(trial: &Trial, parts: &[String]) -> String {
    let mut charter: toml::Table = toml::from_str(&read(&trial.data().join("statements/charter.toml"))).unwrap();
    charter.insert("replaces".into(), charter["id"].clone());
    charter.insert("id".into(), "charter-2".into());
    charter["purposes"].as_array_mut().unwrap().push("court_order".into());
    for part in parts {
        for (kind, one) in toml::from_str::<toml::Table>(part).unwrap() {
            let list = charter.entry(kind).or_insert_with(|| toml::Value::Array(Vec::new()));
            list.as_array_mut().unwrap().extend(one.as_array().unwrap().iter().cloned());
        }
    }
    toml::to_string(&charter).unwrap()
}

impl Scene {
    fn new() -> Self {
        let mut trial = Trial::usual();
        let ports = Ports::reserve();
        let tenant = ["--tenant", "trial-agency"];
        let gateway = trial.drieslot_ok(["gateway", "init", "g2", "--name", "gateway-2"].iter().chain(&tenant));
        let usage = trial.drieslot_ok(["usage", "init", "usage", "--name", "usage-1"].iter().chain(&tenant));
        trial.drieslot_ok(["register", "client", "portal"]);
        let charter = next_charter(&trial, &[gateway, usage]);
        let said = trial.sign_and_submit("charter-2.toml", &charter, &["structure", "access", "keys", "head"]);
        assert!(said.contains("in force"), "{said}");
        let first = trial.data().join("gateway");
        let second = trial.folder.path().join("g2");
        let config = read(&first.join("config.toml"))
            .replace(
                &format!("127.0.0.1:{}\"\ntls_certificate", trial.port),
                &format!("127.0.0.1:{}\"\ntls_certificate", ports.base),
            )
            .replace(&quoted(&first.join("tls")), &quoted(&second.join("tls")))
            .replace(&quoted(&first.join("journal.key")), &quoted(&second.join("journal.key")))
            .replace(&quoted(&first.join("journal")), &quoted(&second.join("journal")))
            .replace("\"trial-agency/gateway\"", "\"trial-agency/gateway-2\"");
        let config = trial.write("gateway-2.toml", &config).display().to_string();
        let mut command = trial.as_user(trial.program());
        command.args(["gateway", "run", "--config", &config]);
        trial.start_apart("gateway-2", command, ports.base);
        let usage_tls = TlsIdentity::load(&trial.folder.path().join("usage/tls")).unwrap().fingerprint().to_string();
        let scene = Self { trial, ports, usage_tls };
        scene.write_config();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.trial.folder.path().join(name)
    }

    fn write_config(&self) {
        let portal = TlsIdentity::load(&self.path("portal/tls")).unwrap().fingerprint();
        let source = |folder: &Path, key: &Path| {
            format!("[[source]]\nfolder = {}\nkey = \"{}\"\n\n", quoted(folder), read(key).trim())
        };
        let first = self.trial.data().join("gateway");
        let gateway = read(&first.join("config.toml"));
        let from = |part: &str| gateway[gateway.find(part).unwrap()..].to_owned();
        let keys_and_register = from("[register]");
        let text = format!(
            "listen = \"127.0.0.1:{}\"\nidentity = \"usage/tls\"\nkey = \"usage/journal.key\"\njournal = \"usage/journal\"\n\
             origin = \"trial-agency/usage-1\"\nindex = \"usage/index\"\nshow_end_users = true\nmetrics = \"127.0.0.1:{}\"\n\n\
             {}{}[[portal]]\nname = \"citizens\"\ntls = \"{portal}\"\n\n{keys_and_register}",
            self.ports.base + 1,
            self.ports.base + 2,
            source(&first.join("journal"), &first.join("journal.vkey")),
            source(&self.path("g2/journal"), &self.path("g2/journal.vkey")),
        );
        self.trial.write("usage.toml", &text);
        let said = self.trial.drieslot_ok(["config", "check", "usage", "usage.toml"]);
        assert!(said.contains("well-formed"), "{said}");
    }

    fn start(&mut self) {
        let mut command = self.trial.as_user(self.trial.program());
        command.args(["usage", "run", "--config", "usage.toml"]);
        self.trial.start_apart("usage", command, self.ports.base + 1);
    }

    /// Through the second gateway.
    fn second(&self, sql: &str) {
        let said = run(self.trial.app_psql(DATABASE).env("PGPORT", self.ports.base.to_string()).args(["-c", sql]), "");
        assert!(said.ok, "{sql}\n{}", said.err);
    }

    fn ask(&self, who: &str, flags: &[&str]) -> Said {
        let address = format!("127.0.0.1:{}", self.ports.base + 1);
        let mut command = self.trial.as_user(self.trial.program());
        command.args([
            "journal",
            "who-saw",
            "--server",
            &address,
            "--identity",
            "portal/tls",
            "--tls",
            &self.usage_tls,
        ]);
        run(command.args(["--limit", "1000"]).args(flags), &format!("{who}\n"))
    }

    /// Journal and entry of each look that the portal is told, newest first.
    fn told(&self, who: &str) -> Vec<(String, u64)> {
        let said = self.ask(who, &["--realm", REALM, "--json"]);
        assert!(said.ok, "{}", said.err);
        let looks = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        looks.map(|look| (look["journal"].as_str().unwrap().to_owned(), look["entry"].as_u64().unwrap())).collect()
    }

    /// What the journals say of all looks that name a pseudonym, newest first: read without the index.
    fn found(&self, pseudonym: &str) -> Vec<(String, u64)> {
        let folders = [self.trial.journal("gateway"), self.path("g2/journal")].map(|path| path.display().to_string());
        let said = self.trial.drieslot_ok(["journal", "find", &folders[0], &folders[1], "--kind", "intent", "--json"]);
        let looks = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let about =
            |look: &Value| look["subjects"].as_array().is_some_and(|all| all.iter().any(|one| one == pseudonym));
        let mut found: Vec<_> = looks
            .filter(about)
            .map(|look| {
                let time: Timestamp = look["time"].as_str().unwrap().parse().unwrap();
                (time, look["journal"].as_str().unwrap().to_owned(), look["first"].as_u64().unwrap())
            })
            .collect();
        found.sort_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, journal, first)| (journal, first)).collect()
    }

    /// The pseudonym that the last look through the first gateway names.
    fn pseudonym(&self, sql: &str) -> String {
        self.trial.app_ok(sql);
        let journal = self.trial.journal("gateway").display().to_string();
        let tail = self.trial.drieslot_ok(["journal", "tail", &journal, "-n", "1", "--json"]);
        let entry: Value = serde_json::from_str(tail.trim()).unwrap();
        let [only] = entry["body"]["subjects"].as_array().unwrap().as_slice() else { panic!("{entry}") };
        only.as_str().unwrap().to_owned()
    }

    fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !reached(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn court_order(scene: &Scene, secret_until: Timestamp) {
    let issued = "2025-01-02T00:00:00Z";
    let order = format!(
        "kind = \"order\"\ntenant = \"trial-agency\"\nid = \"order-1\"\nissued = \"{issued}\"\n\
         authority = \"Investigating judge\"\ncountry = \"BE\"\nreference = \"2025/1\"\ndemands = \"one file\"\nreceived = \"2025-01-01T00:00:00Z\"\n\
         secret_until = \"{secret_until}\"\nstage = \"received\"\n\n[[document]]\nname = \"order\"\nsha256 = \"{}\"\n",
        "9f".repeat(32)
    );
    assert!(scene.trial.sign_and_submit("order.toml", &order, &["access"]).contains("in force"));
    let mut mandate: toml::Table = toml::from_str(&read(&scene.trial.data().join("statements/mandate.toml"))).unwrap();
    for (name, value) in [
        ("id", "court-1"),
        ("purpose", "court_order"),
        ("order", "order-1"),
        ("disclose_after", &secret_until.to_string()),
    ] {
        mandate.insert(name.into(), value.into());
    }
    let text = toml::to_string(&mandate).unwrap();
    let said = scene.trial.sign_and_submit("court.toml", &text, &["structure", "access", "keys"]);
    assert!(said.contains("in force"), "{said}");
}

#[test]
fn citizens_are_told_of_every_look_through_every_gateway_and_of_a_court_s_only_after_its_day() {
    let mut scene = Scene::new();
    scene.start();
    let jan = scene.pseudonym("SELECT family_name FROM person WHERE person_id = 1");
    let lee = scene.pseudonym("SELECT family_name FROM person WHERE person_id = 2");
    scene.second("SELECT town, born FROM person WHERE person_id = 1");
    scene.second("SELECT remark FROM permit WHERE permit_id = 3");
    scene.second("SELECT family_name FROM person WHERE person_id = 3");
    let script = "SET drieslot.end_user = 'Els Wouters';\nSELECT remark FROM permit WHERE permit_id = 1;\n";
    assert!(scene.trial.app_script(script).ok);
    scene.trial.app_ok("SELECT person_id FROM person WHERE person_id = 1");
    let both = [(JAN, &jan), (LEE, &lee)];
    let agree = |scene: &Scene| both.iter().all(|(who, pseudonym)| scene.told(who) == scene.found(pseudonym));
    scene.until("the portal is told what the journals say", agree);
    assert!(scene.told(JAN).len() >= 3 && scene.told(LEE).len() >= 2);
    assert!(scene.told(JAN).iter().any(|(journal, _)| journal == "trial-agency/gateway-2"));
    assert!(scene.told("12345678901").is_empty());
    let shown = scene.ask(JAN, &["--realm", REALM]);
    assert!(
        shown.out.contains("app for Els Wouters") && shown.err.contains("of trial-agency/gateway-2: "),
        "{shown:?}"
    );
    let unnamed = scene.ask(JAN, &[]);
    assert!(!unnamed.ok && unnamed.err.contains("name the realm"), "{unnamed:?}");

    // What a court keeps secret.
    let before = scene.told(JAN);
    let day = Timestamp::now() + SignedDuration::from_secs(45);
    court_order(&scene, day);
    let secret = "SET drieslot.purpose = 'court_order';\nSELECT family_name, income FROM person WHERE person_id = 1;\n";
    assert!(scene.trial.app_script(secret).ok);
    scene.trial.app_ok("SELECT town, age FROM person WHERE person_id = 2");
    scene.until("a later look is told", |scene| scene.told(LEE) == scene.found(&lee));
    assert!(Timestamp::now() < day, "the machine is too slow for this test");
    assert_eq!(scene.told(JAN), before, "what is secret shows");
    assert_eq!(scene.found(&jan).len(), before.len() + 1);

    // Killed, it goes on where it was; what came meanwhile is told too.
    scene.trial.kill_part("usage");
    scene.second("SELECT town, age FROM person WHERE person_id = 1");
    scene.trial.stop_part("usage");
    scene.start();
    scene.until("all is told after a kill and the court's day", |scene| {
        Timestamp::now() >= day && both.iter().all(|(who, pseudonym)| scene.told(who) == scene.found(pseudonym))
    });
    assert_eq!(scene.told(JAN).len(), before.len() + 2);
    scene.trial.stop_part("usage");
    nobody_s_number_is_left(&scene, &jan);
}

/// Neither its journal, nor its index, nor its log has a person's number; and its entries are as the schema says.
fn nobody_s_number_is_left(scene: &Scene, pseudonym: &str) {
    let reader = Reader::open(&scene.path("usage/journal")).unwrap();
    let entries: Vec<Vec<u8>> = reader.entries(0, reader.size()).unwrap().map(|entry| entry.unwrap().1).collect();
    let lines = String::from_utf8(entries.join(&b'\n')).unwrap() + "\n";
    assert!(lines.contains("\"kind\":\"usage\"") && lines.contains(pseudonym) && lines.contains("citizens"), "{lines}");
    assert_eq!(lines.matches("\"command\":\"usage run\"").count(), 3, "begun, killed, begun, done");
    for file in ["usage/index/index.redb", "usage.apart.log"] {
        let bytes = std::fs::read(scene.path(file)).unwrap();
        for who in [JAN, LEE] {
            assert!(!bytes.windows(who.len()).any(|window| window == who.as_bytes()), "{file}");
        }
    }
    assert!(!lines.contains(JAN) && !lines.contains(LEE));
    if let Some(python) = common::python::python() {
        let said = entries_fit(&python, &lines);
        assert!(said.ok, "{}{}", said.out, said.err);
    }
    let journal = scene.path("usage/journal").display().to_string();
    let key = scene.path("usage/journal.vkey").display().to_string();
    assert!(scene.trial.drieslot_ok(["journal", "verify", &journal, "--key", &key]).contains("intact"));
    scene.trial.plant();
    scene.trial.check(&data::canaries());
}

#[test]
fn the_shipped_configuration_is_well_formed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/usage.toml");
    let check = |path: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_drieslot"));
        run(command.args(["config", "check", "usage"]).arg(path), "")
    };
    assert!(check(&path).ok);
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("usage.toml");
    for (from, to, why) in [
        ("requests_per_minute = 600", "requests_per_minute = 0", "at least 1"),
        ("[[portal]]\nname", "[[portal]]\nsurname", "unknown field"),
        ("gateway-1+9cae", "gateway-1+9caf", "the key of"),
        ("127.0.0.1:9481", "192.0.2.1:9481", "loopback"),
    ] {
        std::fs::write(&bad, read(&path).replace(from, to)).unwrap();
        let said = check(&bad);
        assert!(!said.ok && said.err.contains(why) && said.err.contains("hint: "), "{said:?}");
    }
}
