//! A custodian's secret in a PKCS#11 token: it is made there, does not come out, and what is wrong is named.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;

use common::softhsm::{PIN, SoftHsm};

const TOKEN: &str = "drieslot-keys";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `drieslot custodian init` with these values; standard output, or standard error.
fn init(hsm: &SoftHsm, folder: &Path, module: &str, token: &str, pin: &Path, more: &[&str]) -> Result<String, String> {
    let mut command = hsm.within(Command::new(env!("CARGO_BIN_EXE_drieslot")));
    command.args(["custodian", "init"]).arg(folder).args(["--function", "keys", "--name", "custodian-keys"]);
    command.args(["--pkcs11-module", module, "--pkcs11-token", token, "--pkcs11-key", "k"]);
    let output = command.arg("--pkcs11-pin-file").arg(pin).args(more).output().unwrap();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

#[test]
fn a_token_makes_and_keeps_the_secret_and_what_is_wrong_with_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::create(folder.path(), TOKEN) else { return };
    let home = folder.path().join("custodian");
    let (pin, yes) = (folder.path().join("pin"), ["--without-escrow"]);

    let refusals: [(Result<String, String>, &str); 4] = [
        (init(&hsm, &home, hsm.module, TOKEN, &pin, &[]), "cannot be escrowed later"),
        (init(&hsm, &home, "/nowhere/hsm.so", TOKEN, &pin, &yes), "no PKCS#11 module /nowhere/hsm.so"),
        (init(&hsm, &home, hsm.module, "other", &pin, &yes), "it is not there; the module knows `drieslot-keys`"),
        (init(&hsm, &home, hsm.module, TOKEN, &folder.path().join("none"), &yes), "No such file"),
    ];
    for (said, wanted) in refusals {
        let said = said.unwrap_err();
        assert!(said.contains(wanted) && !said.contains(PIN), "{said}");
    }

    let charter = init(&hsm, &home, hsm.module, TOKEN, &pin, &yes).unwrap();
    assert!(charter.contains("[[custodian]]") && !home.join("secret.sealed").exists(), "{charter}");
    let listed = hsm.tool(TOKEN, &["--list-objects", "--type", "secrkey"]);
    let listed = text(&listed.stdout);
    assert!(listed.contains("Access:     sensitive, always sensitive, never extractable, local"), "{listed}");
    let out = folder.path().join("out");
    let read =
        hsm.tool(TOKEN, &["--read-object", "--type", "secrkey", "--label", "k", "-o", &out.display().to_string()]);
    assert!(!read.status.success() && !out.exists(), "the key was read: {}", text(&read.stdout));
    let again = init(&hsm, &folder.path().join("second"), hsm.module, TOKEN, &pin, &yes).unwrap_err();
    assert!(again.contains("never overwritten"), "{again}");
}

#[test]
fn a_wrong_pin_is_tried_once_only() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::create(folder.path(), TOKEN) else { return };
    let (home, pin, yes) = (folder.path().join("custodian"), folder.path().join("pin"), ["--without-escrow"]);
    let wrong = hsm.pin("wrong", "11111111");
    let first = init(&hsm, &home, hsm.module, TOKEN, &wrong, &yes).unwrap_err();
    assert!(first.contains("the PIN is wrong, and is not tried again"), "{first}");
    for file in [&wrong, &pin] {
        let next = init(&hsm, &home, hsm.module, TOKEN, file, &yes).unwrap_err();
        assert!(next.contains("a wrong PIN was given before, so none is tried"), "{next}");
    }
    assert!(hsm.tool(TOKEN, &["--list-objects"]).status.success());
    init(&hsm, &home, hsm.module, TOKEN, &pin, &yes).unwrap();
}

/// `drieslot custodian run` with a key that cannot be used: what it says.
fn run(hsm: &SoftHsm, key: &str) -> String {
    let hex = "ab".repeat(32);
    let pin = hsm.folder.join("pin");
    let config = hsm.folder.join("custodian.toml");
    let written = format!(
        "listen = \"127.0.0.1:0\"\nfunction = \"keys\"\nkey = \"identity.key\"\nidentity = \"tls\"\njournal = \"journal\"\n\
         origin = \"agency.example/custodian-keys\"\n\
         [pkcs11]\nmodule = \"{}\"\ntoken = \"{TOKEN}\"\nkey = \"{key}\"\npin_file = \"{}\"\n\
         [register]\nregister_address = \"127.0.0.1:1\"\nregister_tls = \"sha256:{hex}\"\ncharter_sha256 = \"{hex}\"\n",
        hsm.module,
        pin.display()
    );
    std::fs::write(&config, written).unwrap();
    let mut command = hsm.within(Command::new(env!("CARGO_BIN_EXE_drieslot")));
    let output = command.current_dir(&hsm.folder).args(["custodian", "run", "--config"]).arg(&config).output().unwrap();
    assert!(!output.status.success(), "it runs with the key `{key}`");
    text(&output.stderr)
}

#[test]
fn a_custodian_does_not_start_with_a_key_that_could_be_read_out_or_is_not_the_only_one() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::create(folder.path(), TOKEN) else { return };
    drieslot_journal::IdentityKey::generate().unwrap().save(&hsm.folder.join("identity.key")).unwrap();
    let make = |label: &str, more: &[&str]| {
        let arguments = [&["--keygen", "--key-type", "GENERIC:32", "--label", label], more].concat();
        let made = hsm.tool(TOKEN, &arguments);
        assert!(made.status.success(), "{}", text(&made.stderr));
    };
    make("weak", &["--extractable"]);
    make("twin", &["--sensitive"]);
    make("twin", &["--sensitive"]);
    for (key, wanted) in [
        ("none", "it has no key `none`"),
        ("twin", "several keys are called `twin`"),
        ("weak", "the key `weak` is not a generic secret that is sensitive and not extractable"),
    ] {
        let said = run(&hsm, key);
        assert!(said.contains(wanted), "{key}: {said}");
    }
}
