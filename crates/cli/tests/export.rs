//! Officers change in a running trial, and an outsider verifies the exported register with the script of docs/statements.md.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Trial;

const OLD: &str = "structure";
const SECOND: &str = "structure-second";
const NEW: &str = "structure-new";

/// A new key in the folder of officers; gives its public half.
fn make_key(trial: &Trial, who: &str) -> String {
    make_key_of(trial, who, "ed25519")
}

fn make_key_of(trial: &Trial, who: &str, kind: &str) -> String {
    let key = trial.officer_key(who);
    let keygen =
        format!("mkdir -p {0} && ssh-keygen -q -t {kind} -N '' -f {1}", key.parent().unwrap().display(), key.display());
    assert!(trial.as_user("/bin/sh").args(["-c", &keygen]).status().unwrap().success());
    std::fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned()
}

fn statement(trial: &Trial, name: &str) -> toml::Table {
    let path = trial.data().join("statements").join(name);
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn officers(trial: &Trial, id: &str, remove: &[&str], add: (&str, &str)) -> String {
    let tenant = &statement(trial, "charter.toml")["tenant"];
    format!(
        "kind = \"officers\"\ntenant = {tenant}\nid = \"{id}\"\nissued = \"2026-01-04T00:00:00Z\"\n\
         function = \"structure\"\nwhy = \"a lost key\"\nremove = {remove:?}\n\n[[add]]\nname = \"{}\"\nkey = \"{}\"\n",
        add.0, add.1
    )
}

fn mandate(trial: &Trial, id: &str) -> String {
    let mut mandate = statement(trial, "mandate.toml");
    mandate.insert("id".into(), id.into());
    toml::to_string(&mandate).unwrap()
}

/// A lost key is replaced; what the old one signed stays in force, and what it signs now is refused.
fn change_officers(trial: &Trial) {
    let charter = statement(trial, "charter.toml");
    let persons = charter["person"].as_array().unwrap();
    let sam = persons.iter().find(|one| one["function"].as_str() == Some("structure")).unwrap();
    let sam = sam["name"].as_str().unwrap();
    let (second, new) = (make_key(trial, SECOND), make_key(trial, NEW));
    let text = officers(trial, "second", &[], ("Sofie de l'Été", &second));
    assert!(trial.sign_and_submit("o1.toml", &text, &[OLD, "access"]).contains("in force"));
    let text = officers(trial, "lost-key", &[sam], (sam, &new));
    let said = trial.sign_and_submit("o2.toml", &text, &[SECOND]);
    assert!(said.contains("still needs: 1 of access or 1 of keys"), "{said}");
    assert!(trial.sign_and_submit("o2.toml", &text, &["keys"]).contains("in force"));

    let path = trial.write("late.toml", &mandate(trial, "late")).display().to_string();
    let (register, key) = (trial.register_toml(), trial.officer_key(OLD).display().to_string());
    trial.drieslot_ok(["sign", &path, "--key", &key]);
    let refused = trial.drieslot(["submit", &path, "--register", &register]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("belongs to no person of the charter as it is now"), "{said}");
    let text = mandate(trial, "after");
    assert!(trial.sign_and_submit("after.toml", &text, &[NEW, "access", "keys"]).contains("in force"));
    // One that waits, and never gets all of its signatures.
    trial.sign_and_submit("waits.toml", &mandate(trial, "waits"), &["access"]);
}

fn script(trial: &Trial) -> PathBuf {
    let page = include_str!("../../../docs/statements.md");
    let (_, rest) = page.split_once("```sh\n").unwrap();
    let (script, _) = rest.split_once("```").unwrap();
    assert!(script.lines().count() <= 17, "it stays a script that is read in a minute");
    trial.write("verify.sh", script)
}

struct Export<'a> {
    folder: PathBuf,
    script: &'a Path,
    charter: &'a str,
}

impl Export<'_> {
    fn verify(&self) -> (bool, String) {
        let output = Command::new("sh").arg(self.script).arg(&self.folder).arg(self.charter).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    fn names(&self, part: &str, end: &str) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.join("statements")).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut found: Vec<PathBuf> =
            all.filter(|path| name(path).contains(part) && name(path).ends_with(end)).collect();
        found.sort();
        found
    }

    /// Changes a file, sees that it is noticed, and puts it back.
    fn notices(&self, path: &Path, content: &[u8], what: &str) {
        let before = std::fs::read(path).ok();
        std::fs::write(path, content).unwrap();
        let (whole, said) = self.verify();
        assert!(!whole && said.contains(what), "{}: {said}", path.display());
        match before {
            Some(before) => std::fs::write(path, before).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        assert!(self.verify().0, "it is as it was");
    }
}

#[test]
fn an_exported_register_is_verified_with_ssh_keygen_alone() {
    let mut trial = Trial::small();
    change_officers(&trial);
    let script = script(&trial);
    let charter_text = std::fs::read(trial.data().join("statements/charter.toml")).unwrap();
    let charter = drieslot_register::Hex32(drieslot_journal::hash::sha256(&charter_text)).to_string();
    let root = trial.folder.path().to_owned();
    let at = |name: &str| root.join(name);
    let asked = at("asked").display().to_string();
    trial.drieslot_ok(["register", "export", &asked, "--register", &trial.register_toml()]);
    let again = trial.drieslot(["register", "export", &asked, "--register", &trial.register_toml()]);
    assert!(!again.status.success(), "a folder that is there is not written into");
    let export = Export { folder: at("asked"), script: &script, charter: &charter };
    let (whole, said) = export.verify();
    assert!(whole, "{said}");
    for line in ["officers-lost-key.toml: Sofie_de_l_Été", "mandate-waits.toml: ", "key-check-"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("mandate-late"), "{said}");

    let [after] = export.names("mandate-after", ".toml").try_into().unwrap();
    let signatures = export.names("mandate-after", ".sig");
    let text = std::fs::read_to_string(&after).unwrap();
    export.notices(&after, text.replace("after", "other").as_bytes(), "DOES NOT COUNT");
    let elsewhere = std::fs::read(&export.names("mandate-waits", ".sig")[0]).unwrap();
    export.notices(&signatures[0], &elsewhere, "DOES NOT COUNT");
    let twice = std::fs::read(&signatures[1]).unwrap();
    export.notices(&signatures[0], &twice, "DOES NOT COUNT");
    // The old key signs what came after its removal.
    let copy = trial.write("copy.toml", &text).display().to_string();
    trial.drieslot_ok(["sign", &copy, "--key", &trial.officer_key(OLD).display().to_string()]);
    let removed = std::fs::read(at("copy.toml.structure.sig")).unwrap();
    export.notices(&signatures[0], &removed, "DOES NOT COUNT");
    export.notices(&after.with_extension("toml.999999.sig"), &removed, "files are missing, or too many");
    // Somebody who was never an officer, and says so in allowed_signers.
    let stranger = make_key(&trial, "stranger");
    trial.drieslot_ok(["sign", &copy, "--key", &trial.officer_key("stranger").display().to_string()]);
    let forged = std::fs::read(at("copy.toml.stranger.sig")).unwrap();
    let allowed = after.with_extension("toml.allowed_signers");
    let before = std::fs::read(&allowed).unwrap();
    std::fs::write(&allowed, format!("Stranger {stranger}\n")).unwrap();
    std::fs::write(&signatures[0], &forged).unwrap();
    assert!(!export.verify().0, "a key that no charter names");
    std::fs::write(&signatures[0], removed).unwrap();
    std::fs::write(&allowed, before).unwrap();
    let other = Export { charter: &"0".repeat(64), folder: export.folder.clone(), ..export };
    assert!(other.verify().1.contains("another charter"));

    trial.stop();
    let journal = trial.journal("register").display().to_string();
    let read = at("read").display().to_string();
    trial.drieslot_ok(["register", "export", &read, "--journal", &journal, "--charter-sha256", &charter]);
    let export = Export { folder: at("read"), script: &script, charter: &charter };
    assert!(export.verify().0);
    let wrong = [
        "register",
        "export",
        &at("w").display().to_string(),
        "--journal",
        &journal,
        "--charter-sha256",
        &"0".repeat(64),
    ]
    .map(str::to_owned);
    let refused = trial.drieslot(wrong);
    assert!(!refused.status.success() && !at("w").exists(), "a register that does not verify is not exported");
}

/// A stock ssh-agent that holds one key.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn with(trial: &Trial, who: &str) -> Self {
        let socket = trial.folder.path().join("agent.sock");
        let child = trial.as_user("/usr/bin/ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let started = Instant::now();
        while !socket.exists() {
            assert!(started.elapsed() < Duration::from_secs(10), "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let agent = Self { child: child.unwrap(), socket };
        let mut add = trial.as_user("/usr/bin/ssh-add");
        add.arg("-q").arg(trial.officer_key(who)).env("SSH_AUTH_SOCK", &agent.socket);
        assert!(add.status().unwrap().success());
        agent
    }

    fn drieslot(&self, trial: &Trial, arguments: &[&str]) -> String {
        let output =
            trial.as_user(trial.program()).args(arguments).env("SSH_AUTH_SOCK", &self.socket).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn public(trial: &Trial, who: &str) -> String {
    trial.officer_key(who).with_extension("pub").display().to_string()
}

/// Another officer of access, whose RSA key an agent holds, and a security consultant.
fn change_charter(trial: &Trial) -> Agent {
    let register = trial.register_toml();
    let said = trial.drieslot_ok([
        "charter",
        "next",
        "--register",
        &register,
        "--id",
        "charter-2",
        "--remove",
        "Bilal Haddad",
        "--person",
        &format!("access:Aïcha Reza={}", public(trial, "rsa")),
        "--person",
        &format!("security-consultant:Nele Wouters={}", public(trial, "consultant")),
        "--purpose",
        "court_order",
    ]);
    for wanted in [
        "what charter `charter-2` changes:\n",
        "  + person Aïcha Reza: access, key SHA256:",
        "  + person Nele Wouters: security-consultant, key SHA256:",
        "  - person Bilal Haddad\n",
        "  + purpose court_order: listed\n",
        "written: charter-2.toml\nnext:    all persons whom it names",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let agent = Agent::with(trial, "rsa");
    let path = trial.folder.path().join("charter-2.toml").display().to_string();
    let key = trial.officer_key("structure").display().to_string();
    let said = trial.drieslot_ok(["sign", &path, "--key", &key, "--register", &register]);
    assert!(said.contains("what charter `charter-2` changes:\n  + person Aïcha"), "{said}");
    for duty in ["access", "keys", "head", "consultant"] {
        trial.drieslot_ok(["sign", &path, "--key", &trial.officer_key(duty).display().to_string()]);
    }
    agent.drieslot(trial, &["sign", &path, "--agent", &public(trial, "rsa")]);
    trial.submit(&path);
    agent
}

/// Whoever came by that charter counts: the RSA key in a no, and the consultant in an attestation.
fn use_the_new_duties(trial: &Trial, agent: &Agent) {
    let register = trial.register_toml();
    trial.sign_and_submit("waits.toml", &mandate(trial, "waits"), &["structure", "keys"]);
    let why = ["--why", "not needed", "--register", &register];
    let said = agent.drieslot(trial, &[&["deny", "waits", "--agent", &public(trial, "rsa")][..], &why].concat());
    assert!(said.contains("mandate `waits` never takes effect"), "{said}");
    let tenant = &statement(trial, "charter.toml")["tenant"];
    let attested = format!(
        "kind = \"attestation\"\ntenant = {tenant}\nid = \"att-1\"\nissued = \"2026-01-04T00:00:00Z\"\n\
         criterion = \"C01\"\nfinding = \"met\"\nwho = \"Nele Wouters\"\nwhy = \"the plan was read\"\n\
         valid_until = \"2099-01-01T00:00:00Z\"\n\n[[document]]\nname = \"plan\"\nsha256 = \"{}\"\n",
        "ab".repeat(32)
    );
    let over = attested.replace("2099-01-01", "2026-01-05").replace("att-1", "att-0");
    let path = trial.write("over.toml", &over).display().to_string();
    let refused = trial.drieslot(["submit", &path, "--register", &register]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("the attestation ended on 2026-01-05T00:00:00Z already"),
        "{said}"
    );
    let said = trial.sign_and_submit("att.toml", &attested, &["consultant"]);
    assert!(said.contains("in force"), "{said}");
}

#[test]
fn a_register_with_a_second_charter_and_evidence_is_verified_too() {
    let trial = Trial::small();
    let register = trial.register_toml();
    let (rsa, consultant) = (make_key_of(&trial, "rsa", "rsa -b 3072"), make_key(&trial, "consultant"));
    let agent = change_charter(&trial);
    use_the_new_duties(&trial, &agent);
    let first = std::fs::read(trial.data().join("statements/charter.toml")).unwrap();
    let charter = drieslot_register::Hex32(drieslot_journal::hash::sha256(&first)).to_string();
    let out = trial.folder.path().join("export");
    trial.drieslot_ok(["register", "export", &out.display().to_string(), "--register", &register]);
    let script = script(&trial);
    let export = Export { folder: out, script: &script, charter: &charter };
    let (whole, said) = export.verify();
    assert!(whole, "{said}");
    for line in ["charter-charter-2.toml: ", "attestation-att-1.toml: Nele_Wouters", "denial-", "mandate-waits.toml: "]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("A_cha_Reza") || said.contains("Aïcha_Reza"), "{said}");
    // The consultant's word under another text, and a charter that names somebody else.
    let [attested] = export.names("attestation-att-1", ".toml").try_into().unwrap();
    let text = std::fs::read_to_string(&attested).unwrap();
    export.notices(&attested, text.replace("was read", "was not read").as_bytes(), "DOES NOT COUNT");
    let [second] = export.names("charter-charter-2", ".toml").try_into().unwrap();
    let text = std::fs::read_to_string(&second).unwrap();
    let swapped = text.replace(consultant.rsplit_once(' ').unwrap().0, rsa.rsplit_once(' ').unwrap().0);
    export.notices(&second, swapped.as_bytes(), "DOES NOT COUNT");
}
