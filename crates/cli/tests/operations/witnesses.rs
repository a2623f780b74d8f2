//! Witnesses on hosts of their own: one is cut off, one stalls, one is killed; the quorum is lost and comes back; and
//! one is shown a second history of the gateway's journal.

use std::process::Command;
use std::time::{Duration, Instant};

use drieslot_journal::{COSIGNED, Durability, IdentityKey, Journal, JournalConfig, Published};
use drieslot_witness::Submission;

use super::hosts::Hosts;
use super::{READ, ask, open_again, reads};

/// Seconds, instead of the page's 300.
pub(crate) const GRACE_S: u64 = 8;
const FOLDER: &str = "/var/lib/drieslot/agency-gateway";

/// Longer than applications would go on without a quorum.
fn reads_on(hosts: &Hosts, when: &str) {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(GRACE_S + 4) {
        reads(hosts, when);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Who cosigned the gateway's journal last.
fn cosigners(hosts: &Hosts) -> Vec<String> {
    let note = std::fs::read_to_string(hosts.path("gateway", &format!("{FOLDER}/journal/{COSIGNED}"))).unwrap();
    let names = note.lines().filter_map(|line| line.strip_prefix("\u{2014} witness.example/"));
    names.map(|rest| rest.split(' ').next().unwrap().to_owned()).collect()
}

fn signal(hosts: &Hosts, witness: &str, signal: &str) {
    hosts.sh(witness, &format!("systemctl kill --signal={signal} drieslot-witness@{witness}"));
}

/// One at a time is away, and nobody notices; with two away the grace ends, and one that is back suffices.
pub(crate) fn fail(hosts: &Hosts) {
    hosts.sh("w1", "ip link set eth0 down");
    reads_on(hosts, "w1 is cut off");
    assert_eq!(cosigners(hosts), ["w2", "w3"]);
    hosts.sh("w1", "ip link set eth0 up");
    signal(hosts, "w2", "STOP");
    reads_on(hosts, "w2 takes connections and never answers");
    assert_eq!(cosigners(hosts), ["w1", "w3"]);
    let failed = hosts.try_sh("gateway", &format!("drieslot journal verify {FOLDER}/journal --key gateway.vkey"));
    assert!(failed.status.success());
    signal(hosts, "w3", "KILL");
    reads_on(hosts, "w3 was killed and systemd starts it again");

    hosts.sh("w3", "ip link set eth0 down");
    reads(hosts, "two are away, within the grace");
    let lost = Instant::now();
    let said = loop {
        match ask(hosts, READ) {
            Ok(_) => assert!(lost.elapsed() < Duration::from_secs(4 * GRACE_S), "readable after the grace"),
            Err(said) => break said,
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(said.contains("58000") && said.contains("too few witnesses"), "{said}");
    assert_eq!(ask(hosts, "SELECT id FROM newcomers"), Ok("1".into()), "a plain column needs no witness");
    signal(hosts, "w2", "CONT");
    open_again(hosts, "a quorum is back");
    hosts.sh("w3", "ip link set eth0 up");
    reads_on(hosts, "all are back");
}

/// Whoever holds the gateway's key and a copy of its journal goes on elsewhere, and shows that to one witness alone: the gateway
/// is told by that witness.
pub(crate) fn split(hosts: &Hosts) {
    hosts.sh("gateway", "systemctl stop drieslot-gateway@agency-gateway");
    let place = tempfile::tempdir().unwrap();
    let (key, dir) = (hosts.path("gateway", &format!("{FOLDER}/journal.key")), place.path().join("journal"));
    let from = hosts.path("gateway", &format!("{FOLDER}/journal"));
    assert!(Command::new("cp").arg("-a").arg(from).arg(&dir).status().unwrap().success());
    let key = IdentityKey::load(&key).unwrap();
    let verifier = key.verifier("agency.example/gateway-1").unwrap();
    let known = Published::open(&dir, &verifier).unwrap().checkpoint().size;
    let config = JournalConfig {
        origin: "agency.example/gateway-1".into(),
        durability: Durability::Fsync,
        key,
        checkpoint_interval: Duration::from_millis(100),
    };
    let (journal, _) = Journal::open(&dir, config).unwrap();
    (0..50).for_each(|at| assert!(journal.append(format!("another history {at}").into_bytes()).is_ok()));
    journal.close().unwrap();
    let fork = Published::open(&dir, &verifier).unwrap();
    // The witness may not know the last checkpoint; it says what it knows.
    let mut old = known;
    let answer = loop {
        let body = Submission { old, proof: fork.consistency_proof(old).unwrap(), note: fork.note() }.body();
        let head = "POST /add-checkpoint HTTP/1.1\r\nhost: w3\r\nconnection: close\r\ncontent-length: ";
        std::fs::write(hosts.path("desk", "/root/fork"), format!("{head}{}\r\n\r\n{body}", body.len())).unwrap();
        let answer = hosts.sh("desk", "exec 3<>/dev/tcp/w3/7380; cat fork >&3; cat <&3");
        match answer.contains(" 409 ") {
            true => old = answer.lines().last().unwrap().trim().parse().unwrap(),
            false => break answer,
        }
    };
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("witness.example/w3"), "{answer}");
    hosts.sh("gateway", "systemctl start drieslot-gateway@agency-gateway");
    let since = Instant::now();
    loop {
        let said = hosts.sh("gateway", "journalctl --no-pager --unit drieslot-gateway@agency-gateway");
        if said.lines().any(|line| line.contains("ALARM") && line.contains("witness.example/w3")) {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "w3 does not tell:\n{said}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let said = ask(hosts, READ).unwrap_err();
    assert!(said.contains("58000") && said.contains("another history"), "{said}");
}
