//! What the protocol does beside answering: notifications, cancel requests, what is not served, and a reader who is slow.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::psql::run;
use common::python::python;
use common::raw::{Raw, message, query, startup_with, told};
use common::{DATABASE, Trial, postgres_bin, processes};
use rustix::process::Signal;

#[test]
fn notifications_cancels_and_slow_readers() {
    let trial = Trial::usual();
    notifications_reach_an_idle_session(&trial);
    replication_is_refused(&trial);
    psql_cancels(&trial);
    libpq_cancels(&trial);
    a_name_keeps_its_meaning_until_its_change_is_certain(&trial);
    the_unnamed_statement_outlives_a_search(&trial);
    execute_runs_no_copy_of_protected_columns(&trial);
    memory_is_bounded(&trial);
    trial.check_journals();
}

/// The session has nothing to do, and neither asks nor is asked anything.
fn notifications_reach_an_idle_session(trial: &Trial) {
    let mut idle = trial.raw_session();
    idle.send(&query("LISTEN news"));
    assert_eq!(idle.until_ready(), []);
    for round in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        trial.superuser(DATABASE, &format!("NOTIFY news, 'round {round}'"));
        let (tag, body) = idle.next().unwrap();
        assert_eq!(tag, b'A');
        assert_eq!(body[4..], *format!("news\0round {round}\0").as_bytes());
    }
    // From another session through the gateway, and to itself.
    trial.app_ok("NOTIFY news, 'from the gateway'");
    assert_eq!(idle.next().unwrap().0, b'A');
    idle.send(&query("NOTIFY news, 'to itself'"));
    let tags: Vec<u8> = (0..3).map(|_| idle.next().unwrap().0).collect();
    assert_eq!(tags, *b"CAZ");
    idle.still_works();
}

fn replication_is_refused(trial: &Trial) {
    let password = std::fs::read_to_string(trial.data().join("application/password")).unwrap();
    for value in ["database", "true", "on", "1"] {
        let mut raw = trial.raw();
        let settings = [("database", DATABASE), ("replication", value)];
        let error = raw.sign_in_with(&startup_with("app", &settings), password.trim()).unwrap_err();
        told(&error, "0A000", "replication connections are not served", "holds ciphertext only");
        assert_eq!(raw.until_closed(), None);
    }
    let mut command = Command::new(postgres_bin().join("pg_basebackup"));
    let environment = trial.app_psql(DATABASE);
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = run(command.arg("--pgdata").arg(trial.folder.path().join("stolen")), "");
    assert!(!said.ok && said.err.contains("replication connections are not served"), "{said:?}");
}

/// Ctrl-C in psql, in the middle of a query and of COPY TO STDOUT.
fn psql_cancels(trial: &Trial) {
    for text in [
        "SELECT pg_sleep(60)",
        "SELECT family_name, pg_sleep(60) FROM person WHERE person_id = 1",
        "COPY (SELECT p.family_name, repeat('x', 500) FROM person p, generate_series(1, 1000000) g) TO STDOUT",
    ] {
        let mut command = trial.app_psql(DATABASE);
        command.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let begun = Instant::now();
        if text.starts_with("COPY") {
            out.read_exact(&mut [0; 100_000]).unwrap();
        } else {
            std::thread::sleep(Duration::from_secs(1));
        }
        processes::send(child.id(), Signal::INT);
        std::io::copy(&mut out, &mut std::io::sink()).unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        child.wait().unwrap();
        assert!(err.contains("57014"), "{text}: {err}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{text}");
    }
}

fn libpq_cancels(trial: &Trial) {
    if let Some(python) = python() {
        trial.python_script(&python, "cancels.py");
    }
}

fn cstr(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', &[cstr(name), cstr(text), vec![0, 0]].concat())
}

/// Bind of one text to the unnamed portal, and Execute.
fn bind(statement: &str, value: &str) -> Vec<u8> {
    let length = i32::try_from(value.len()).unwrap().to_be_bytes();
    let body = [&cstr("")[..], &cstr(statement), &[0, 0, 0, 1], &length, value.as_bytes(), &[0, 0]].concat();
    [message(b'B', &body), message(b'E', &[0; 5])].concat()
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// Up to ReadyForQuery: tags, and SQLSTATEs of errors.
fn answers(raw: &mut Raw) -> String {
    let mut all = String::new();
    loop {
        let (tag, body) = raw.next().unwrap();
        all.push(char::from(tag));
        match tag {
            b'E' => all.push_str(&common::raw::Told::read(&body).code),
            b'Z' => return all,
            _ => {}
        }
    }
}

/// A pipelining client prepares a name anew, which fails; what it binds to the old one must still be sealed.
fn a_name_keeps_its_meaning_until_its_change_is_certain(trial: &Trial) {
    let mut raw = trial.raw_session();
    raw.send(&[parse("s", "SELECT person_id FROM person WHERE nickname = $1"), sync()].concat());
    assert_eq!(answers(&mut raw), "1Z");
    // The name is taken, and so the second Parse fails; the Bind comes before the client knows that.
    let plain = parse("s", "SELECT $1::text");
    raw.send(&[plain, sync(), bind("s", "CANARY-pipelined-41c0"), sync()].concat());
    assert_eq!(answers(&mut raw), "E42P05Z");
    assert_eq!(answers(&mut raw), "2CZ");
    // The unnamed statement is gone when its Parse failed, and only then.
    raw.send(&[parse("", "SELECT $1::text"), sync(), parse("", "SELEKT"), sync(), bind("", "x"), sync()].concat());
    assert_eq!(answers(&mut raw), "1Z");
    assert_eq!(answers(&mut raw), "E42601Z");
    assert_eq!(answers(&mut raw), "E26000Z");
    raw.send(
        &[parse("", "SELECT $1::text"), sync(), message(b'E', b"none\0\0\0\0\0"), parse("", "SELEKT"), sync()].concat(),
    );
    assert_eq!(answers(&mut raw), "1Z");
    assert_eq!(answers(&mut raw), "E34000Z");
    raw.send(&[bind("", "x"), sync()].concat());
    assert_eq!(answers(&mut raw), "2DCZ");
    let canary = common::check::Canary::Text("CANARY-pipelined-41c0".into());
    trial.check(&[canary]);
    raw.still_works();
}

/// The gateway asks the processor itself before a search, and must not take the client's unnamed statement from it.
fn the_unnamed_statement_outlives_a_search(trial: &Trial) {
    let mut raw = trial.raw_session();
    raw.send(&[parse("", "SELECT person_id FROM person WHERE family_name LIKE $1"), sync()].concat());
    assert_eq!(answers(&mut raw), "1Z");
    for _ in 0..2 {
        raw.send(&[bind("", "Peeters%"), sync()].concat());
        assert_eq!(answers(&mut raw).trim_matches('D').replace('D', ""), "2CZ");
    }
}

/// Rows of a COPY that EXECUTE began would pass as they are. Of a table without protected columns they may.
fn execute_runs_no_copy_of_protected_columns(trial: &Trial) {
    let mut raw = trial.raw_session();
    let data = |row: &str| [message(b'd', row.as_bytes()), message(b'c', b"")].concat();
    for text in ["COPY permit FROM STDIN", "COPY permit TO STDOUT"] {
        raw.send(
            &[parse("copy", text), sync(), query("EXECUTE copy"), data("1\t2\t3\tCANARY-execute-7d2b\n")].concat(),
        );
        assert_eq!(answers(&mut raw), "1Z");
        assert_eq!(answers(&mut raw), "E0A000Z");
        raw.send(&query("DEALLOCATE copy"));
        assert_eq!(answers(&mut raw), "CZ");
    }
    let plain = parse("copy", "COPY street (street_id, name) FROM STDIN");
    raw.send(&[plain, sync(), query("EXECUTE copy"), data("4242\tCopied street\n")].concat());
    assert_eq!(answers(&mut raw), "1Z");
    assert_eq!(answers(&mut raw), "GCZ");
    assert_eq!(trial.app_ok("SELECT name FROM street WHERE street_id = 4242"), "Copied street");
    trial.check(&[common::check::Canary::Text("CANARY-execute-7d2b".into())]);
}

/// Kilobytes that a process has in memory.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Two gigabytes for a client that reads nothing, then some, and goes away.
fn memory_is_bounded(trial: &Trial) {
    let gateway = trial.id_of("gateway");
    let before = resident(gateway);
    for text in [
        "SELECT repeat('x', 1000) FROM generate_series(1, 2000000)",
        "SELECT p.family_name, repeat('x', 1000) FROM person p, generate_series(1, 200000) g",
    ] {
        let mut slow = trial.raw_session();
        slow.send(&query(text));
        std::thread::sleep(Duration::from_secs(2));
        for _ in 0..50_000 {
            assert!(matches!(slow.next().unwrap().0, b'T' | b'D'));
        }
        std::thread::sleep(Duration::from_secs(1));
        let grown = resident(gateway).saturating_sub(before);
        assert!(grown < 32 << 10, "{grown} kB more for {text}");
        slow.vanish();
    }
    trial.app_ok("SELECT 1");
}
