//! Verifiers and a witness that nobody here wrote: Tessera's fsck and its witness policy over a live gateway's journal, and
//! litewitness, which cosigns it and notices when it is put back. `./check --full` runs them; they need Go.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod lite;
mod tessera;

use std::path::Path;
use std::process::Command;

use common::Trial;
use common::ports::Ports;
use common::witnesses::{read, within};
use drieslot_journal::{COSIGNED, IdentityKey};
use lite::LiteWitness;
use tessera::Tessera;

const QUERY: &str = "SELECT body FROM note WHERE note_id = 1";
const REGISTER: &str = "d/officers/register.toml";

/// A journal that is changed where it lies, and served anew.
fn served_by_itself(trial: &mut Trial, folder: &Path, port: u16, look: impl FnOnce(&str)) {
    let mut command = trial.as_user(trial.program());
    command.args(["journal", "serve"]).arg(folder).args(["--listen", &format!("127.0.0.1:{port}")]);
    trial.start_apart("served", command, port);
    look(&format!("http://127.0.0.1:{port}"));
    trial.stop_part("served");
}

fn flip(path: &Path, at: usize) {
    let mut content = std::fs::read(path).unwrap();
    content[at] ^= 1;
    std::fs::write(path, content).unwrap();
}

#[test]
fn stock_verifiers_and_a_stock_witness_take_our_journals_and_find_what_is_wrong_with_them() {
    if std::env::var_os("DRIESLOT_FULL").is_none() {
        eprintln!("SKIPPED: Tessera's fsck and witness policy, litewitness: ./check --full runs them");
        return;
    }
    let tessera = Tessera::build();
    let mut trial = Trial::small();
    let ports = Ports::reserve();
    let [own, served, other] = [1, 2, 3].map(|at| ports.base + at);
    let lite = LiteWitness::start(&mut trial, ports.base);
    let witnesses = [lite.witness(), trial.make_witness("w0", own)];
    trial.start_witness("w0", own);
    trial.take_apart_witnessed(&witnesses, 2, 300, |_| {});
    trial.restart_gateway(|config| format!("{config}\n[serve_journal]\nlocal = \"127.0.0.1:{served}\"\n"));
    // More than one full tile, cosigned.
    within(60, "nothing can be read", || trial.app(QUERY).ok);
    (0..6).for_each(|_| assert!(!trial.app_ok(&format!("{QUERY};").repeat(30)).is_empty()));
    let cosigned = |trial: &Trial| trial.cosigned("gateway", &witnesses, 2).unwrap_or(0);
    within(20, "litewitness does not cosign", || cosigned(&trial) > 300);

    // Live, while it grows.
    let (address, vkey) = (format!("http://127.0.0.1:{served}"), trial.journal_vkey("gateway"));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| (0..10).for_each(|_| assert_eq!(trial.app_ok(QUERY), "first")));
        (0..5).for_each(|_| tessera.fsck(&address, &vkey).unwrap());
        reading.join().unwrap();
    });
    let note = trial.journal("gateway").join(COSIGNED);
    tessera.policy(&note, &vkey, &witnesses.each_ref().map(|witness| witness.vkey.as_str()), 2).unwrap();
    let (good, said) = trial.verify_journal(&address, &["--register", REGISTER]);
    assert!(good && said.contains("2 of 2 witnesses") && said.contains(lite::NAME), "{said}");

    what_is_wrong_is_found(&mut trial, &tessera, &witnesses.each_ref().map(|witness| witness.vkey.clone()), other);
    // Both witnesses hold the larger tree.
    trial.put_the_gateways_journal_back(QUERY, cosigned);
    // Whichever of the two is heard first stops the gateway; litewitness does it alone too.
    trial.stop_part("w0");
    trial.stop_part("gateway");
    trial.start_part("gateway");
    let log = trial.folder.path().join("gateway.apart.log");
    let noticed = |line: &str| line.contains("ALARM") && line.contains(lite::NAME) && line.contains("has cosigned");
    within(20, "litewitness does not notice", || read(&log).lines().any(noticed));
}

/// Stock verifiers can fail.
fn what_is_wrong_is_found(trial: &mut Trial, tessera: &Tessera, witnesses: &[String; 2], port: u16) {
    let vkey = trial.journal_vkey("gateway");
    let stranger = IdentityKey::generate().unwrap();
    let whole = trial.copy_journal("gateway", "whole");
    served_by_itself(trial, &whole, port, |address| {
        tessera.fsck(address, &vkey).unwrap();
        let origin = vkey.split('+').next().unwrap();
        let said = tessera.fsck(address, &stranger.vkey(origin).unwrap()).unwrap_err();
        assert!(said.contains("checkpoint"), "{said}");
    });
    for (file, at, why) in [
        ("tile/entries/000", 40, ": log has"),
        ("tile/0/000", 40, "tile/0/000: log has"),
        ("checkpoint", 60, "checkpoint"),
    ] {
        let tampered = trial.folder.path().join("tampered");
        assert!(Command::new("cp").arg("-a").arg(&whole).arg(&tampered).status().unwrap().success());
        flip(&tampered.join(file), at);
        served_by_itself(trial, &tampered, port, |address| {
            let said = tessera.fsck(address, &vkey).unwrap_err();
            assert!(said.contains(why), "{file}: {said}");
        });
        std::fs::remove_dir_all(&tampered).unwrap();
    }
    // Short of the quorum, and a stranger's in the place of a witness's.
    let note = whole.join(COSIGNED);
    let [first, second] = witnesses;
    let strangers = stranger.cosigner("w.example/stranger").unwrap().vkey();
    tessera.policy(&note, &vkey, &[first, second, &strangers], 2).unwrap();
    for others in [[first, &strangers], [&strangers, second]] {
        let said = tessera.policy(&note, &vkey, &others.map(String::as_str), 2).unwrap_err();
        assert!(said.contains("not satisfied"), "{said}");
    }
    let text = read(&note);
    let kept: Vec<_> = text.lines().filter(|line| !line.contains(lite::NAME)).collect();
    std::fs::write(&note, kept.join("\n") + "\n").unwrap();
    let said = tessera.policy(&note, &vkey, &[first, second], 2).unwrap_err();
    assert!(said.contains("not satisfied"), "{said}");
    std::fs::remove_dir_all(&whole).unwrap();
}
