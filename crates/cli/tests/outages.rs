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

#[test]
fn a_full_disk_under_the_journal_stops_all_access_to_protected_data() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a full disk takes root to mount a small one");
        return;
    }
    let mut trial = apart();
    trial.stop_part("gateway");
    let journal = trial.journal("gateway");
    let beside = trial.data().join("gateway/journal.kept");
    std::fs::rename(&journal, &beside).unwrap();
    std::fs::create_dir(&journal).unwrap();
    let Some(_disk) = SmallDisk::mount(&journal) else {
        eprintln!("SKIPPED: no small file system can be mounted here");
        return;
    };
    let owner = Command::new("chown").args(["-R", "--reference"]).arg(&beside).arg(&journal).status().unwrap();
    assert!(owner.success());
    trial.start_part("gateway");
    std::thread::sleep(Duration::from_millis(300));
    let said = std::fs::read_to_string(trial.folder.path().join("gateway.apart.log")).unwrap();
    assert!(!said.contains("error: "), "{said}");
    let mut session = trial.raw_session();
    session.still_works();
    let filler = std::fs::File::create(journal.join("filler")).unwrap();
    let piece = vec![0_u8; 4096];
    while (&filler).write_all(&piece).is_ok() {}
    // An open file keeps its blocks even when it is removed.
    drop(filler);
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
