//! Signatures against stock OpenSSH, both ways: an outsider can verify a statement with `ssh-keygen` alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod people;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drieslot_journal::IdentityKey;
use drieslot_register::signature::{NAMESPACE, identity_public_key, sign, sign_with_identity};
use drieslot_register::statement::Statement;
use drieslot_register::{Effect, Hex32, Refusal, State};
use people::{Log, PERSONS, mandate, ssh_key};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("drieslot-keygen-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn keygen(folder: &Path, args: &[&str], input: &[u8]) -> bool {
    let mut child = Command::new("ssh-keygen")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait().unwrap().success()
}

fn stock_verifies(folder: &Path, public: &str, armored: &str, text: &[u8]) -> bool {
    fs::write(folder.join("allowed"), format!("someone namespaces=\"{NAMESPACE}\" {public}\n")).unwrap();
    fs::write(folder.join("text.sig"), armored).unwrap();
    let args = ["-Y", "verify", "-f", "allowed", "-I", "someone", "-n", NAMESPACE, "-s", "text.sig"];
    keygen(folder, &args, text)
}

#[test]
fn stock_ssh_keygen_verifies_what_is_signed_here() {
    let folder = Folder::new("ours");
    let text = mandate("m1", "");
    let key = ssh_key();
    let public = key.public_key().to_openssh().unwrap();
    let armored = sign(text.as_bytes(), &key).unwrap();
    assert!(stock_verifies(&folder.0, &public, &armored, text.as_bytes()));
    assert!(!stock_verifies(&folder.0, &public, &armored, text.replace("m1", "m2").as_bytes()));

    let identity = IdentityKey::generate().unwrap();
    let armored = sign_with_identity(text.as_bytes(), &identity).unwrap();
    let public = identity_public_key(&identity).unwrap();
    assert!(stock_verifies(&folder.0, &public, &armored, text.as_bytes()));
    assert!(!stock_verifies(&folder.0, &public, &armored, b"another text"));
}

/// A charter whose officers hold keys of the kinds that `ssh-keygen` makes; they all sign with it.
#[test]
fn what_stock_ssh_keygen_signs_counts_here() {
    let folder = Folder::new("theirs");
    let mut charter = Log::unsigned().charter;
    let Statement::Charter(parsed) = Statement::parse(&charter).unwrap() else { unreachable!() };
    let kinds = [["ed25519", "256"], ["ecdsa", "256"], ["rsa", "3072"], ["ed25519", "256"], ["ecdsa", "256"]];
    for ((name, _), [kind, bits]) in PERSONS.iter().zip(kinds) {
        let args = ["-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f", name];
        assert!(keygen(&folder.0, &args, b""));
        let public = fs::read_to_string(folder.0.join(format!("{name}.pub"))).unwrap();
        let old = parsed.person.iter().find(|person| person.name == *name).unwrap();
        charter = charter.replace(&old.key, public.trim());
    }
    let file = folder.0.join("charter.toml");
    fs::write(&file, &charter).unwrap();
    let signed = |who: &str, namespace: &str| {
        let _ = fs::remove_file(folder.0.join("charter.toml.sig"));
        assert!(keygen(&folder.0, &["-Y", "sign", "-f", who, "-n", namespace, "charter.toml"], b""));
        fs::read_to_string(folder.0.join("charter.toml.sig")).unwrap()
    };

    let mut log = Log { state: State::new(Hex32::sha256(&charter)), entries: Vec::new(), ..Log::unsigned() };
    log.submit(&charter).unwrap();
    assert!(matches!(log.armored(&charter, signed("sam", "file")), Err(Refusal::Signature(_))), "another namespace");
    let mut last = None;
    for (name, _) in PERSONS {
        last = Some(log.armored(&charter, signed(name, NAMESPACE)).unwrap());
    }
    assert!(matches!(last, Some(Effect::InForce { .. })), "{last:?}");
}

#[test]
fn weak_keys_do_not_enter_a_charter() {
    let folder = Folder::new("weak");
    let charter = Log::unsigned().charter;
    let Statement::Charter(parsed) = Statement::parse(&charter).unwrap() else { unreachable!() };
    for (name, kind, bits) in [("short", "rsa", "2048"), ("curve", "ecdsa", "384")] {
        assert!(keygen(&folder.0, &["-q", "-t", kind, "-b", bits, "-N", "", "-f", name], b""));
        let public = fs::read_to_string(folder.0.join(format!("{name}.pub"))).unwrap();
        let refused = Statement::parse(&charter.replace(&parsed.person[0].key, public.trim()));
        assert!(matches!(refused, Err(Refusal::Malformed(_))), "{name}");
    }
}
