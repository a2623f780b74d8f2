//! A custodian is lost and made anew from its officers' shares: into a sealed file on a fresh folder, and into a token.
//! Shares that are wrong in any way are named, and nothing is written then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::softhsm::SoftHsm;
use common::{Trial, data};

const READ: &str = "SELECT family_name FROM person WHERE person_id = 1";
const TOKEN: &str = "drieslot-structure";

/// A trial whose parts run one by one, and the keys of two more people who hold shares.
struct World {
    trial: Trial,
    identities: Vec<PathBuf>,
    recipients: Vec<String>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn string(path: &Path) -> String {
    path.display().to_string()
}

impl World {
    fn new() -> Self {
        let mut trial = Trial::usual();
        trial.plant();
        trial.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
        let mut world = Self { trial, identities: Vec::new(), recipients: Vec::new() };
        for name in ["Deputy One", "Deputy Two"] {
            let path = world.trial.folder.path().join(name.replace(' ', "-"));
            let mut keygen = world.trial.as_user("/usr/bin/ssh-keygen");
            assert!(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status().unwrap().success());
            let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
            world.recipients.push(format!("{name}={}", public.trim()));
            world.identities.push(path);
        }
        world
    }

    fn config(&self, part: &str) -> PathBuf {
        self.trial.data().join(part).join("config.toml")
    }

    fn register(&self) -> String {
        string(&self.trial.data().join("officers/register.toml"))
    }

    /// Escrows a stopped custodian, 2 of 3; the shares in order: the charter's officer, then the deputies.
    fn escrow(&self, part: &str, out: &str) -> Result<Vec<PathBuf>, String> {
        let folder = self.trial.folder.path().join(out);
        let (config, register) = (string(&self.config(part)), self.register());
        let mut arguments: Vec<&str> = vec!["custodian", "escrow", "--config", &config, "--threshold", "2"];
        for recipient in &self.recipients {
            arguments.extend(["--recipient", recipient]);
        }
        let out = string(&folder);
        arguments.extend(["--out", &out, "--register", &register]);
        let output = self.trial.drieslot(arguments);
        if !output.status.success() {
            return Err(text(&output.stderr));
        }
        let mut shares: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        shares.sort();
        assert_eq!(shares.len(), 3);
        Ok(shares)
    }

    fn recover(&self, config: &Path, shares: &[&Path], identities: &[&Path], hsm: Option<&SoftHsm>) -> Output {
        let mut command = self.trial.as_user(self.trial.program());
        if let Some(hsm) = hsm {
            command = hsm.within(command);
        }
        command.args(["custodian", "recover", "--config"]).arg(config).args(["--register", &self.register()]);
        for share in shares {
            command.arg("--share").arg(share);
        }
        for identity in identities {
            command.arg("--identity").arg(identity);
        }
        command.output().unwrap()
    }

    fn fails(&self, config: &Path, shares: &[&Path], identities: &[&Path], wanted: &str) {
        let output = self.recover(config, shares, identities, None);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(wanted), "wanted {wanted:?}: {said}{}", text(&output.stdout));
    }

    /// The gateway anew, so that it holds no key; then the data are read, or not.
    fn readable(&mut self) -> bool {
        self.trial.stop_part("gateway");
        self.trial.start_part("gateway");
        let started = Instant::now();
        while !self.trial.app(READ).ok {
            if started.elapsed() > Duration::from_secs(8) {
                return false;
            }
        }
        self.trial.app_ok(READ) == "Peeters"
    }

    /// What a share's officer gets from opening it.
    fn opened(&self, share: &Path, change: impl Fn(&str) -> String, name: &str) -> PathBuf {
        let identity = std::fs::read(&self.identities[0]).unwrap();
        let key = age::ssh::Identity::from_buffer(identity.as_slice(), None).unwrap();
        let plain = age::decrypt(&key, &std::fs::read(share).unwrap()).unwrap();
        let path = self.trial.write(name, &change(&text(&plain)));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }
}

/// Another letter of Base64 at a place.
fn flipped_at(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

/// A share with one of its values changed.
fn flipped(opened: &str) -> String {
    flipped_at(opened, opened.find("\"share\":\"").unwrap() + 40)
}

#[test]
fn a_destroyed_custodian_is_made_anew_from_shares_and_the_data_are_readable_again() {
    let mut world = World::new();
    let part = "custodian-access";
    let running = world.escrow(part, "running").unwrap_err();
    assert!(running.contains("journal") || running.contains("lock"), "{running}");
    world.trial.stop_part(part);
    world.recipients.push("Token Holder=sk-ssh-ed25519@openssh.com AAAAGnNr".into());
    let signs_only = world.escrow(part, "signs-only").unwrap_err();
    assert!(signs_only.contains("key of Token Holder: it only signs"), "{signs_only}");
    world.recipients.pop();
    let shares = world.escrow(part, "shares").unwrap();
    let others = world.escrow(part, "others").unwrap();
    let told = world.trial.drieslot_ok(["journal", "tail", &string(&world.trial.journal(part)), "--json"]);
    assert!(told.contains("escrow") && told.contains("Deputy Two"), "{told}");

    let config = std::fs::read_to_string(world.config(part)).unwrap();
    std::fs::remove_dir_all(world.trial.data().join(part)).unwrap();
    assert!(!world.readable(), "data are read without a custodian");

    let home = world.trial.data().join(part);
    let same = world.trial.write("same.toml", &config);
    let renamed = config.replace("origin = \"trial-agency/custodian-access\"", "origin = \"trial-agency/access-2\"");
    assert_ne!(renamed, config);
    let fresh = world.trial.write("fresh.toml", &renamed);
    let foreign = world.trial.write("foreign.toml", &renamed.replace("\"access\"", "\"keys\""));
    let (one, two) = (world.identities[0].clone(), world.identities[1].clone());
    let keys: [&Path; 2] = [&one, &two];
    let (a, b): (&Path, &Path) = (&shares[1], &shares[2]);
    let tampered = world.opened(a, flipped, "t1");
    let tampered_threshold = world.opened(a, |text| text.replace("\"threshold\":2", "\"threshold\":1"), "t2");
    let cut = world.opened(a, |text| text.lines().next().unwrap().to_owned(), "t3");
    let opened = world.opened(a, str::to_owned, "t4");
    let sealed = std::fs::read_to_string(a).unwrap();
    let changed = world.trial.write("t5", &flipped_at(&sealed, sealed.len() - 100));
    std::fs::set_permissions(&changed, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    world.fails(&fresh, &[a], &keys, "are too few: it takes 2");
    world.fails(&fresh, &[a, a], &keys, "was given twice");
    world.fails(&fresh, &[a, &opened], &keys, "was given twice");
    world.fails(&fresh, &[a, &others[2]], &keys, "are of different sets");
    world.fails(&fresh, &[a, &shares[0]], &keys, "does not open with the identities");
    world.fails(&fresh, &[&tampered_threshold], &keys, "was changed, or no custodian");
    world.fails(&fresh, &[&cut, b], &keys, "was it cut off");
    world.fails(&fresh, &[&changed, b], &keys, "is no share, or was changed");
    world.fails(&fresh, &[&tampered, b], &keys, "the share of Deputy One was changed");
    world.fails(&foreign, &[a, b], &keys, "is of access of trial-agency, and this custodian is of keys");
    world.fails(&same, &[a, b], &keys, "never begins again under the same name");
    assert!(!home.exists(), "a refused recovery wrote something");

    let done = world.recover(&fresh, &[&opened, b], &keys, None);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(said.contains("key-checks") && !said.contains(" 0 key-checks"), "{said}");
    let twice = world.recover(&fresh, &[&opened, b], &keys, None);
    assert!(text(&twice.stderr).contains("never overwritten"), "{}", text(&twice.stderr));
    let journal = world.trial.drieslot_ok(["journal", "tail", &string(&world.trial.journal(part)), "--json"]);
    assert!(journal.contains("recovery") && journal.contains("trial-agency/custodian-access"), "{journal}");
    std::fs::copy(&fresh, world.config(part)).unwrap();
    world.trial.start_part(part);
    assert!(world.readable(), "the recovered custodian gives no key");
    let findings = world.trial.scan(&data::canaries());
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn officers_who_change_after_the_escrow_are_told_apart_from_who_holds_shares() {
    let mut world = World::new();
    let part = "custodian-access";
    let log = world.trial.folder.path().join(format!("{part}.apart.log"));
    let says = |wanted: &str| {
        let started = Instant::now();
        while !std::fs::read_to_string(&log).unwrap().contains(wanted) {
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(started.elapsed() < Duration::from_secs(10), "{wanted}: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    says("Bilal Haddad has no share");
    world.trial.stop_part(part);
    world.escrow(part, "shares").unwrap();
    std::fs::write(&log, "").unwrap();
    world.trial.start_part(part);
    assert!(world.readable());
    let charter = std::fs::read_to_string(world.trial.data().join("statements/charter.toml")).unwrap();
    let tenant = charter.lines().find(|line| line.starts_with("tenant")).unwrap();
    let key = std::fs::read_to_string(world.identities[0].with_extension("pub")).unwrap();
    let change = |id: &str, what: &str| {
        format!(
            "kind = \"officers\"\n{tenant}\nid = \"{id}\"\nissued = \"2026-01-04T00:00:00Z\"\nfunction = \"access\"\n\
             why = \"a new year\"\n{what}"
        )
    };
    let add = format!("[[add]]\nname = \"Dirk Maes\"\nkey = \"{}\"\n", key.trim());
    let said = world.trial.sign_and_submit("o1.toml", &change("o1", &add), &["access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    says("escrow anew trouble=\"Dirk Maes has no share\"");
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(!told.contains("Bilal") && !told.contains("Deputy"), "{told}");
    let goes = "remove = [\"Bilal Haddad\"]\n";
    let said = world.trial.sign_and_submit("o2.toml", &change("o2", goes), &["access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    says("Dirk Maes has no share; Bilal Haddad has a share, and is no officer of access any more");
}

#[test]
fn each_custodian_in_turn_and_then_all_three_are_lost_and_come_back() {
    let mut world = World::new();
    let parts = ["custodian-structure", "custodian-access", "custodian-keys"];
    let mut kept = Vec::new();
    for part in parts {
        world.trial.stop_part(part);
        let shares = world.escrow(part, &format!("{part}-shares")).unwrap();
        kept.push((part, std::fs::read_to_string(world.config(part)).unwrap(), shares));
        world.trial.start_part(part);
    }
    for (round, lost) in [&kept[..1], &kept[1..2], &kept[2..], &kept[..]].into_iter().enumerate() {
        for (part, ..) in lost {
            world.trial.stop_part(part);
            std::fs::remove_dir_all(world.trial.data().join(part)).unwrap();
        }
        assert!(!world.readable(), "round {round}: data are read without a custodian");
        for (part, config, shares) in lost {
            let origin = format!("trial-agency/{part}");
            let config = config.replace(&format!("\"{origin}\""), &format!("\"{origin}-{round}\""));
            let fresh = world.trial.write("fresh.toml", &config);
            let keys: Vec<&Path> = world.identities.iter().map(PathBuf::as_path).collect();
            let done = world.recover(&fresh, &[&shares[1], &shares[2]], &keys, None);
            assert!(done.status.success(), "round {round}, {part}: {}", text(&done.stderr));
            std::fs::copy(&fresh, world.config(part)).unwrap();
            world.trial.start_part(part);
        }
        assert!(world.readable(), "round {round}: the recovered custodians give no key");
    }
}

#[test]
fn an_escrowed_secret_goes_into_a_token_and_the_three_custodians_answer_with_it() {
    let mut world = World::new();
    let part = "custodian-structure";
    let hsm_folder = world.trial.folder.path().join("hsm");
    let Some(hsm) = SoftHsm::create(&hsm_folder, TOKEN) else { return };
    world.trial.stop_part(part);
    let shares = world.escrow(part, "shares").unwrap();
    let config = std::fs::read_to_string(world.config(part)).unwrap();
    let start = config.find("[credential]").unwrap();
    let end = config.find("[register]").unwrap();
    let secret = config.lines().find(|line| line.starts_with("secret = ")).unwrap();
    let section = format!(
        "[pkcs11]\nmodule = \"{}\"\ntoken = \"{TOKEN}\"\nkey = \"k\"\npin_file = \"{}\"\n\n",
        hsm.module,
        hsm_folder.join("pin").display()
    );
    let in_token = format!("{}{section}{}", &config[..start], &config[end..]).replace(&format!("{secret}\n"), "");
    let path = world.trial.write("token.toml", &in_token);
    let home = world.trial.data().join(part);
    let own = Command::new("chown").args(["-R", "--reference"]).arg(&home).arg(&hsm_folder).status().unwrap();
    assert!(own.success());

    let keys: Vec<&Path> = world.identities.iter().map(PathBuf::as_path).collect();
    let done = world.recover(&path, &[&shares[1], &shares[2]], &keys, Some(&hsm));
    assert!(done.status.success(), "{}", text(&done.stderr));
    std::fs::remove_file(home.join("secret.sealed")).unwrap();
    std::fs::write(world.config(part), &in_token).unwrap();
    let listed = text(&hsm.tool(TOKEN, &["--list-objects", "--type", "secrkey"]).stdout);
    assert!(listed.contains("sensitive") && !listed.contains("extractable, local"), "{listed}");
    let out = hsm_folder.join("out");
    let read = hsm.tool(TOKEN, &["--read-object", "--type", "secrkey", "--label", "k", "-o", &string(&out)]);
    assert!(!read.status.success() && !out.exists(), "the key was read: {}", text(&read.stdout));

    let mut command = hsm.within(world.trial.as_user(world.trial.program()));
    command.args(["custodian", "run", "--config"]).arg(world.config(part));
    let port = world.trial.port + 3;
    world.trial.start_apart(part, command, port);
    assert!(world.readable(), "the custodian with the token gives no key");
    world.trial.app_ok("INSERT INTO permit VALUES (70, 1, 'x', 'CANARY-remark-5be0')");

    // Taken out while it is used: no key is had, the token is named, and the custodian does not go on with another.
    let (tokens, away) = (hsm_folder.join("tokens"), hsm_folder.join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    assert!(!world.readable(), "a key is had without the token");
    let (code, said) = world.trial.app_fails(READ);
    assert!(code == "58000" && said.contains("the PKCS#11 token `drieslot-structure`"), "{code} {said}");
    assert_eq!(world.trial.app_ok("SELECT town FROM person WHERE person_id = 1"), "Gent");
    std::fs::rename(&away, &tokens).unwrap();
    world.trial.stop_part(part);
    let mut command = hsm.within(world.trial.as_user(world.trial.program()));
    command.args(["custodian", "run", "--config"]).arg(world.config(part));
    world.trial.start_apart(part, command, port);
    assert!(world.readable(), "the token is back, but no key is had");

    let again = world.escrow(part, "again").unwrap_err();
    assert!(again.contains("is in a token and cannot leave it"), "{again}");
    world.trial.check(&data::canaries());
}
