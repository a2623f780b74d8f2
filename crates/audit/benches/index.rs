//! Indexing, who-saw and find over a journal of a gateway: `cargo bench -p drieslot-audit`. `DRIESLOT_BENCH_ENTRIES` says how
//! many entries (1,000,000), `DRIESLOT_BENCH_DIR` names a folder on the disk to measure.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement, not the product"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drieslot_audit::index::Page;
use drieslot_audit::{AuditError, Filter, Index, Pseudonym, find};
use drieslot_journal::{IdentityKey, Journal, JournalConfig, Reader, Verifier, entry, hash};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const ORIGIN: &str = "civic/gateway-1";
/// Of whom rows are about, so many; and in one of a hundred looks the same one, whose list is long.
const PERSONS: u64 = 1_000_000;
const KNOWN: u64 = PERSONS + 1;

fn pseudonym(number: u64) -> String {
    URL_SAFE_NO_PAD.encode(&hash::sha256(&number.to_be_bytes())[..16])
}

/// Spread evenly, the same in each run.
fn person(turn: u64, at: u64) -> u64 {
    let mixed = hash::sha256(&[turn.to_be_bytes(), at.to_be_bytes()].concat());
    u64::from_be_bytes(mixed[..8].try_into().unwrap()) % PERSONS
}

/// Looks of fifty applications' statements for three hundred end users; a third of them at ten persons at once.
fn write(folder: &Path, key: IdentityKey, entries: u64) {
    let (journal, _) = Journal::open(folder, JournalConfig::new(ORIGIN, key)).unwrap();
    let begun: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut last = 0;
    for turn in 0..entries / 2 {
        let time = (begun + SignedDuration::from_millis(i64::try_from(turn * 50).unwrap())).to_string();
        let app = turn % 50;
        let intent = json!({
            "session": format!("{:016x}", turn % 400), "principal": format!("app_{app}"), "client": "10.1.2.3:54321",
            "end_user": {"name": format!("user {}", turn % 300), "known": "verified", "issuer": "https://login.example"},
            "database": "civic", "mandates": [format!("m-{app}")], "purpose": "assessment 2026", "command": "SELECT",
            "fingerprint": format!("{app:016x}"),
            "columns": [{"column": "public.person.national_number", "use": "search"},
                        {"column": format!("public.person.c{app}"), "use": "read"}],
        });
        let index = journal.append(entry::encode("intent", &time, &intent).unwrap()).unwrap();
        let mut subjects: Vec<_> =
            (0..if turn % 3 == 0 { 10 } else { 1 }).map(|at| pseudonym(person(turn, at))).collect();
        if turn % 100 == 0 {
            subjects.push(pseudonym(KNOWN));
        }
        let outcome = json!({
            "session": format!("{:016x}", turn % 400), "intent": index, "rows": subjects.len(), "state": "done",
            "tag": "SELECT 1", "subjects": subjects,
        });
        last = journal.append(entry::encode("outcome", &time, &outcome).unwrap()).unwrap();
        if turn % 10_000 == 9_999 {
            journal.wait_durable(last).unwrap();
        }
    }
    journal.wait_durable(last).unwrap();
    journal.close().unwrap();
}

fn rate(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000 / took.as_micros().max(1)).unwrap()
}

fn asked(index: &Index, number: u64, offset: u64) -> (Duration, usize) {
    let (who, page) = (Pseudonym::parse(&pseudonym(number)).unwrap(), Page { before: None, offset, limit: 100 });
    let begun = Instant::now();
    let answer = index.who_saw::<AuditError>(&[who], &page, |_| Ok(true)).unwrap();
    (begun.elapsed(), answer.looks.len())
}

fn find_all(reader: &Reader, name: &str, filter: &Filter) {
    let begun = Instant::now();
    let mut count = 0_u64;
    for one in find(reader, filter) {
        one.unwrap();
        count += 1;
    }
    let took = begun.elapsed();
    println!("find, {name}: {count} found in {took:.2?}, {} entries/s", rate(reader.size(), took));
}

fn main() {
    let entries = std::env::var("DRIESLOT_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let parent = std::env::var_os("DRIESLOT_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::Builder::new().prefix("drieslot-index-").tempdir_in(parent).unwrap();
    let (journal, key) = (folder.path().join("journal"), IdentityKey::generate().unwrap());
    let verifier = Verifier::parse(&key.vkey(ORIGIN).unwrap()).unwrap();
    let begun = Instant::now();
    write(&journal, key, entries);
    println!("{entries} entries written in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    let index = Index::open(&folder.path().join("index")).unwrap();
    let reach = index.follow(&journal, &verifier).unwrap();
    let size = std::fs::metadata(folder.path().join("index/index.redb")).unwrap().len() >> 20;
    println!("indexed in {:.1?}, {} entries/s, {size} MiB", begun.elapsed(), rate(reach.entries, begun.elapsed()));
    drop(index);
    let begun = Instant::now();
    let index = Index::open(&folder.path().join("index")).unwrap();
    println!("opened in {:.1?}", begun.elapsed());
    let mut each: Vec<_> = (0..1_000).map(|number| asked(&index, number * 997, 0).0).collect();
    each.sort();
    println!("who saw one of {PERSONS}: median {:.1?}, slowest of 1,000 {:.1?}", each[500], each[999]);
    for offset in [0, 10_000, entries / 200 - 100] {
        let (took, found) = asked(&index, KNOWN, offset);
        println!("who saw one with {} looks, from {offset}: {found} in {took:.1?}", entries / 200);
    }
    let reader = Reader::open(&journal).unwrap();
    let texts = |text: &str| vec![text.to_owned()];
    find_all(&reader, "a mandate", &Filter { mandate: texts("m-7"), ..Filter::default() });
    find_all(&reader, "an end user", &Filter { end_user: texts("user 77"), ..Filter::default() });
    find_all(&reader, "what nobody looked at", &Filter { column: texts("other.table.column"), ..Filter::default() });
    find_all(&reader, "everything", &Filter::default());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    }
}
