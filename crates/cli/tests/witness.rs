//! The witness as a program: its commands, and that kill -9 at any moment makes it forget nothing that it has cosigned.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::ports::Ports;
use common::random::Random;
use common::witnesses::{Running, post};
use drieslot_journal::hash::{self, Hash};
use drieslot_journal::{Checkpoint, Cosigner, IdentityKey, Note, proof};
use drieslot_witness::Submission;

const ORIGIN: &str = "agency.example/gateway";
const NAME: &str = "witness.example.org/w1";
const KILLS: u64 = 25;

fn drieslot(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drieslot")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

/// A log with two histories of 4000 entries that part at the hundredth.
struct Log {
    key: IdentityKey,
    histories: [Vec<Hash>; 2],
}

impl Log {
    fn note(&self, branch: usize, size: usize) -> String {
        let root = hash::root(&self.histories[branch][..size]);
        Checkpoint { origin: ORIGIN.into(), size: size as u64, root }.sign(&self.key).unwrap()
    }

    /// Hands in growing trees of one history until told to stop; what was cosigned goes into `cosigned`.
    fn press(&self, port: u16, branch: usize, own: &Cosigner, cosigned: &Mutex<Vec<(u64, Hash)>>, stop: &AtomicBool) {
        let (mut random, mut old) = (Random(7 + branch as u64), 0_u64);
        while !stop.load(Ordering::SeqCst) {
            let size = usize::try_from(old).unwrap().max(1) + usize::try_from(random.next() % 5).unwrap();
            let leaves = &self.histories[branch][..size.min(4_000)];
            let note = self.note(branch, leaves.len());
            let proof = proof::consistency(leaves, old, leaves.len() as u64).unwrap();
            match post(port, &Submission { old, proof, note: &note }.body()) {
                Some((200, line)) => {
                    let whole = note + &line;
                    assert!(Note::parse(&whole).unwrap().cosigned_by(own).unwrap().is_some());
                    old = leaves.len() as u64;
                    cosigned.lock().unwrap().push((old, hash::root(leaves)));
                }
                Some((409, known)) => old = known.trim().parse().unwrap(),
                // The other history has been cosigned by now.
                Some((422, _)) => std::thread::sleep(Duration::from_millis(2)),
                Some(other) => panic!("{other:?}"),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

#[test]
fn kill_9_makes_a_witness_forget_nothing() {
    let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::reserve());
    let key = IdentityKey::generate().unwrap();
    let path = folder.path().join("w");
    let said = drieslot(&["witness", "init", path.to_str().unwrap(), "--name", NAME]);
    assert!(said.status.success(), "{said:?}");
    let vkey = std::fs::read_to_string(path.join("witness.vkey")).unwrap();
    let printed = String::from_utf8(said.stdout).unwrap();
    assert!(printed.contains("[[witness]]") && printed.contains(vkey.trim()), "{printed}");
    let own = Cosigner::parse(vkey.trim()).unwrap();
    let again = drieslot(&["witness", "init", path.to_str().unwrap(), "--name", NAME]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("never overwritten"));
    let config = folder.path().join("witness.toml");
    let log_key = key.vkey(ORIGIN).unwrap();
    let text = format!(
        "listen = \"127.0.0.1:{}\"\nname = \"{NAME}\"\nkey = \"w/witness.key\"\nstate = \"w/state\"\n\
         requests_per_second = 100000\n[[log]]\nkeys = [\"{log_key}\"]\n",
        ports.base
    );
    std::fs::write(&config, text).unwrap();
    let leaf = |branch: u64, index: u64| hash::leaf(format!("{} {index}", branch * u64::from(index >= 100)).as_bytes());
    let log = Log { key, histories: [0, 1].map(|branch| (0..4_000).map(|index| leaf(branch, index)).collect()) };
    let (cosigned, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for branch in [0, 1, 0, 1] {
            let (log, own, cosigned, stop) = (&log, &own, &cosigned, &stop);
            scope.spawn(move || log.press(ports.base, branch, own, cosigned, stop));
        }
        let mut random = Random(41);
        for _ in 0..KILLS {
            let running = Running::start(&config, ports.base);
            std::thread::sleep(Duration::from_millis(random.next() % 120));
            drop(running);
        }
        let last = Running::start(&config, ports.base);
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::SeqCst);
        drop(last);
    });
    let mut cosigned = cosigned.into_inner().unwrap();
    cosigned.sort_unstable();
    let largest = *cosigned.last().unwrap();
    let history = log
        .histories
        .iter()
        .find(|history| usize::try_from(largest.0).is_ok_and(|size| hash::root(&history[..size]) == largest.1));
    let history = history.expect("the largest tree that was cosigned is of one of the histories");
    for (size, root) in &cosigned {
        let prefix = &history[..usize::try_from(*size).unwrap()];
        assert_eq!(hash::root(prefix), *root, "two histories were cosigned, of {size} and {} entries", largest.0);
    }
    assert!(cosigned.len() > 50 && largest.0 > 150, "{} cosignatures up to {}", cosigned.len(), largest.0);
}

#[test]
fn the_shipped_configurations_are_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, setting) in [("witness", "name ="), ("mirror", "folder =")] {
        let sample = shipped(&format!("{kind}.toml"));
        let said = drieslot(&["config", "check", kind, sample.to_str().unwrap()]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let bad = folder.path().join("bad.toml");
        let text = std::fs::read_to_string(sample).unwrap();
        std::fs::write(&bad, text.replace(setting, "nick =")).unwrap();
        let said = drieslot(&["config", "check", kind, bad.to_str().unwrap()]);
        assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("hint: correct the file"));
    }
}
