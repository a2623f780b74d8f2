//! Speed of appending with group commit, and of verifying. `cargo bench -p drieslot-journal`;
//! `DRIESLOT_BENCH_DIR` names a folder on the disk to measure.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not the product")]

use std::path::Path;
use std::time::{Duration, Instant};

use drieslot_journal::{Durability, IdentityKey, Journal, JournalConfig, entry, verify};

const ORIGIN: &str = "bench.example.org/journal";
const SESSIONS: u64 = 64;

fn per_second(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000 / took.as_micros().max(1)).unwrap()
}

/// An entry of the size that a gateway writes.
fn typical() -> Vec<u8> {
    let body = serde_json::json!({
        "session": "5f0c7a9e2b", "principal": "app_tax", "client": "10.1.2.3:54321", "database": "citizens",
        "mandates": ["m-2026-0042"], "purpose": "assessment 2026", "command": "SELECT",
        "fingerprint": "50fde20626009aba", "columns": [{"column": "public.person.name", "use": "read"}],
    });
    entry::encode("intent", "2026-01-31T23:59:59.123456Z", &body).unwrap()
}

/// Sessions that each wait for their own entry before the next one.
fn waiting(journal: &Journal, each: u64) -> (Duration, Duration) {
    let start = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let session = || {
            let mut slowest = Duration::ZERO;
            for _ in 0..each {
                let start = Instant::now();
                let index = journal.append(typical()).unwrap();
                journal.wait_durable(index).unwrap();
                slowest = slowest.max(start.elapsed());
            }
            slowest
        };
        let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(session)).collect();
        sessions.into_iter().map(|session| session.join().unwrap()).max().unwrap()
    });
    (start.elapsed(), slowest)
}

/// One caller with up to 4096 entries under way.
fn streaming(journal: &Journal, count: u64) -> Duration {
    let entry = typical();
    let start = Instant::now();
    let mut last = 0;
    for _ in 0..count {
        last = journal.append(entry.clone()).unwrap();
        if last % 1024 == 0 && last >= 4096 {
            journal.wait_durable(last - 4096).unwrap();
        }
    }
    journal.wait_durable(last).unwrap();
    start.elapsed()
}

fn measure(dir: &Path, durability: Durability) {
    let key = IdentityKey::generate().unwrap();
    let verifier = key.verifier(ORIGIN).unwrap();
    let config = JournalConfig { durability, ..JournalConfig::new(ORIGIN, key) };
    let (journal, _) = Journal::open(dir, config).unwrap();
    let each = 2000;
    let (took, slowest) = waiting(&journal, each);
    let rate = per_second(SESSIONS * each, took);
    println!("{durability:?}: {SESSIONS} sessions, each waiting for its entry: {rate} entries/s, slowest {slowest:?}");
    let count = 300_000;
    println!("{durability:?}: one caller, 4096 under way: {} entries/s", per_second(count, streaming(&journal, count)));
    journal.close().unwrap();
    let start = Instant::now();
    let report = verify(dir, &verifier).unwrap();
    let rate = per_second(report.checkpoint.size, start.elapsed());
    println!("verify: {} entries of {} bytes: {rate} entries/s", report.checkpoint.size, typical().len());
}

fn main() {
    let root = std::env::var_os("DRIESLOT_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    for durability in [Durability::Fsync, Durability::Os] {
        let dir = root.join(format!("drieslot-journal-bench-{}-{durability:?}", std::process::id()));
        measure(&dir, durability);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
