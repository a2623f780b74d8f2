//! A processor that goes away, and a disk that is full, under parts that run one by one: nothing is released untraced, and
//! all goes on when it is back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

mod common;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use common::Trial;
use common::raw::{query, told};
use common::session::code;

/// The parts one by one, as an operator runs them.
fn apart() -> Trial {
    let mut trial = Trial::usual();
    trial.stop();
    for part in ["processor", "register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"] {
        trial.start_part(part);
    }
    trial
}

#[test]
fn a_processor_that_goes_away_is_named_and_the_gateway_serves_again_when_it_is_back() {
    let mut trial = apart();
    for killed in [false, true] {
        let mut idle = trial.raw_session();
        let mut busy = trial.raw_session();
        busy.send(&query("SELECT remark, pg_catalog.pg_sleep(60) FROM permit"));
        std::thread::sleep(Duration::from_millis(300));
        if killed {
            trial.kill_part("processor");
        }
        trial.stop_part("processor");
        for (name, raw) in [("idle", &mut idle), ("busy", &mut busy)] {
            let last = raw.until_closed().unwrap_or_else(|| panic!("{name}, killed {killed}: closed without a word"));
            assert!(["57P01", "57P02", "08006"].contains(&last.code.as_str()), "{name}, killed {killed}: {last:?}");
            assert_eq!(last.severity, "FATAL");
        }
        let error = trial.raw().sign_in("app", password(&trial).trim()).unwrap_err();
        told(&error, "08006", "the processor's PostgreSQL cannot be used", "Check that it runs");
        trial.start_part("processor");
        let started = Instant::now();
        let mut raw = loop {
            let mut raw = trial.raw();
            match raw.sign_in("app", password(&trial).trim()) {
                Ok(()) => break raw,
                Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{error:?}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        raw.still_works();
    }
    trial.check_journals();
}

fn password(trial: &Trial) -> String {
    std::fs::read_to_string(trial.data().join("application/password")).unwrap()
}

/// A small file system under the gateway's journal.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs"]).arg(at);
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Puts the journal of a stopped part on a small disk; `None` where that cannot be.
fn on_a_small_disk(trial: &Trial, part: &str) -> Option<SmallDisk> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a full disk takes root to mount a small one");
        return None;
    }
    let journal = trial.journal(part);
    let beside = journal.with_extension("kept");
    std::fs::rename(&journal, &beside).unwrap();
    std::fs::create_dir(&journal).unwrap();
    let Some(disk) = SmallDisk::mount(&journal) else {
        eprintln!("SKIPPED: no small file system can be mounted here");
        return None;
    };
    let copied = Command::new("cp").arg("-a").arg(beside.join(".")).arg(&journal).status().unwrap();
    assert!(copied.success());
    Some(disk)
}

/// Until nothing fits any more.
fn fill(journal: &std::path::Path) {
    let filler = std::fs::File::create(journal.join("filler")).unwrap();
    let piece = vec![0_u8; 4096];
    while (&filler).write_all(&piece).is_ok() {}
    // An open file keeps its blocks even when it is removed.
    drop(filler);
}

#[test]
fn a_full_disk_under_the_journal_stops_all_access_to_protected_data() {
    let mut trial = apart();
    trial.stop_part("gateway");
    let Some(_disk) = on_a_small_disk(&trial, "gateway") else { return };
    let journal = trial.journal("gateway");
    trial.start_part("gateway");
    std::thread::sleep(Duration::from_millis(300));
    let said = std::fs::read_to_string(trial.folder.path().join("gateway.apart.log")).unwrap();
    assert!(!said.contains("error: "), "{said}");
    let mut session = trial.raw_session();
    session.still_works();
    fill(&journal);
    let mut refused = 0;
    let mut last = String::new();
    // The page under way at the journal's end may still take some entries.
    for _ in 0..200 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(async {
            let client = trial.try_app_session().await?;
            client.simple_query("SELECT family_name FROM person WHERE person_id = 1").await
        });
        if let Err(error) = outcome {
            refused += 1;
            last = code(&error);
            if refused > 3 {
                break;
            }
        }
    }
    assert_eq!((refused, last.as_str()), (4, "58030"));
    session.send(&query("SELECT family_name FROM person WHERE person_id = 1"));
    let mut seen = Vec::new();
    while let Some((tag, body)) = session.next() {
        seen.push((tag, body));
        if tag == b'Z' {
            break;
        }
    }
    assert!(seen.iter().any(|(tag, body)| *tag == b'E' && String::from_utf8_lossy(body).contains("58030")), "{seen:?}");
    let released = seen.iter().any(|(_, body)| String::from_utf8_lossy(body).contains("Peeters"));
    assert!(!released, "released without a trace: {seen:?}");
    // With room again and the gateway started anew, everything goes on.
    std::fs::remove_file(journal.join("filler")).unwrap();
    trial.stop_part("gateway");
    trial.start_part("gateway");
    trial.raw_session().still_works();
    trial.check_journals();
    trial.stop_part("gateway");
}

/// Shares that a custodian's journal says were given.
fn granted(trial: &Trial) -> usize {
    let journal = trial.journal("custodian-access").display().to_string();
    let found = trial.drieslot_ok(["journal", "find", "--json", "--kind", "share", &journal]);
    found.lines().filter(|line| line.contains("granted")).count()
}

#[test]
fn a_full_disk_under_a_custodians_journal_gives_no_share_and_loses_none() {
    const READ: &str = "SELECT family_name FROM person WHERE person_id = 1";
    let mut trial = apart();
    trial.stop_part("custodian-access");
    let Some(_disk) = on_a_small_disk(&trial, "custodian-access") else { return };
    let journal = trial.journal("custodian-access");
    trial.start_part("custodian-access");
    let started = Instant::now();
    // A gateway that starts anew has no keys: it asks.
    trial.stop_part("gateway");
    trial.start_part("gateway");
    while !trial.app(READ).ok {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", trial.app(READ));
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = granted(&trial);
    assert!(before > 0);
    fill(&journal);
    // The page under way may take some more, until a checkpoint is due.
    let refused = loop {
        assert!(started.elapsed() < Duration::from_secs(60), "shares are given though the disk is full");
        trial.stop_part("gateway");
        trial.start_part("gateway");
        std::thread::sleep(Duration::from_millis(1_200));
        let said = trial.app(READ);
        if !said.ok {
            break said;
        }
    };
    assert!(refused.err.contains("custodian of access"), "{refused:?}");
    assert!(!refused.out.contains("Peeters"), "{refused:?}");
    let log = std::fs::read_to_string(trial.folder.path().join("custodian-access.apart.log")).unwrap();
    assert!(log.contains("No space left on device"), "{log}");
    assert!(granted(&trial) >= before, "shares that were given are not in the journal any more");
    // Room, and a restart.
    std::fs::remove_file(journal.join("filler")).unwrap();
    trial.stop_part("custodian-access");
    trial.start_part("custodian-access");
    let started = Instant::now();
    while !trial.app(READ).ok {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", trial.app(READ));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(granted(&trial) > before);
    trial.check_journals();
    trial.stop_part("custodian-access");
}
