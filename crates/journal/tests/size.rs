//! A journal's length costs disk, and nothing else: memory stays flat while it is written and verified, and it opens at once.
//!
//! `DRIESLOT_FULL=1` writes twenty million entries, `DRIESLOT_ENTRIES` as many as it says; `DRIESLOT_BENCH_DIR` names a folder
//! with room for 80 bytes of each.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use drieslot_journal::{Durability, IdentityKey, Journal, JournalConfig, JournalError, Reader, verify};

const ORIGIN: &str = "size.example.org/journal";
/// What may be queued at the writer, at its tiles, and for the next write-ahead file are 64 MiB each.
const MOST_MIB: u64 = 320;

fn count() -> u64 {
    let chosen = std::env::var("DRIESLOT_ENTRIES").ok().and_then(|text| text.parse().ok());
    let full = std::env::var_os("DRIESLOT_FULL").is_some();
    chosen.unwrap_or(if full { 20_000_000 } else { 1_000_000 })
}

/// Resident memory of this process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Time of the processors that this process has had: what a machine does beside it does not count.
fn worked() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // In hundredths of a second on every Linux.
    Duration::from_millis(10 * [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum::<u64>())
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 40 bytes.
fn entry(index: u64) -> Vec<u8> {
    format!("{index:020} of a long journal's").into_bytes()
}

fn rate(count: u64, took: Duration) -> u128 {
    u128::from(count) * 1_000 / took.as_millis().max(1)
}

/// As fast as it takes them; gives the memory after each tenth.
fn write(journal: &Journal, count: u64) -> Vec<u64> {
    let mut memory = Vec::new();
    for index in 0..count {
        while let Err(error) = journal.append(entry(index)) {
            assert!(matches!(error, JournalError::Overloaded { .. }), "{error}");
            std::thread::sleep(Duration::from_micros(200));
        }
        if (index + 1) % (count / 10) == 0 {
            memory.push(resident());
        }
    }
    journal.wait_durable(count - 1).unwrap();
    memory
}

#[test]
fn a_long_journal_is_written_opened_and_verified_in_little_memory() {
    let count = count();
    let root = std::env::var_os("DRIESLOT_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = Folder(root.join(format!("drieslot-journal-size-{}", std::process::id())));
    std::fs::create_dir(&folder.0).unwrap();
    let (key, dir) = (folder.0.join("key"), folder.0.join("journal"));
    IdentityKey::generate().unwrap().save(&key).unwrap();
    let config = || {
        let key = IdentityKey::load(&key).unwrap();
        JournalConfig { durability: Durability::Os, ..JournalConfig::new(ORIGIN, key) }
    };

    let (journal, _) = Journal::open(&dir, config()).unwrap();
    let started = Instant::now();
    let memory = write(&journal, count);
    println!("{count} entries of 40 bytes, durability os: {} entries/s", rate(count, started.elapsed()));
    println!("memory after each tenth, in MiB: {memory:?}");
    assert!(memory.iter().all(|mib| *mib < MOST_MIB), "memory grows with the journal");
    journal.close().unwrap();

    let (started, before) = (Instant::now(), worked());
    let (journal, recovered) = Journal::open(&dir, config()).unwrap();
    let opening = worked() - before;
    println!("opening it: {:?}, of the processors {opening:?}", started.elapsed());
    assert_eq!(recovered.entries, count);
    assert!(opening < Duration::from_secs(2), "opening depends on the length: {opening:?}");
    journal.close().unwrap();
    let started = Instant::now();
    let reader = Reader::open(&dir).unwrap();
    let middle = reader.entries(count / 2, count / 2 + 1).unwrap().next().unwrap().unwrap();
    assert_eq!(middle, (count / 2, entry(count / 2)));
    println!("reading one from its middle: {:?}", started.elapsed());

    let started = Instant::now();
    let report = verify(&dir, &config().key.verifier(ORIGIN).unwrap()).unwrap();
    println!("verify: {} entries/s", rate(count, started.elapsed()));
    println!("memory after it: {} MiB", resident());
    assert_eq!(report.checkpoint.size, count);
    assert!(resident() < MOST_MIB, "memory grows with the journal");
}
