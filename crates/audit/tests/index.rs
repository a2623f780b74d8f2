//! The index from persons to looks: what it finds, what it refuses, and what a kill leaves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Gateway;
use drieslot_audit::index::{Answer, Cursor, Page};
use drieslot_audit::{AuditError, Index, Prune, Pseudonym};
use drieslot_journal::{IdentityKey, JournalConfig, Verifier};
use serde_json::json;

/// Names the folder that [`an_indexer_that_is_killed`] works in.
const VICTIM: &str = "DRIESLOT_TEST_INDEX_VICTIM";

fn person(number: u64) -> String {
    URL_SAFE_NO_PAD.encode([[0_u8; 8], number.to_be_bytes()].concat())
}

fn ask(index: &Index, number: u64, page: Page, shown: impl Fn(&str) -> bool) -> Answer {
    let pseudonym = Pseudonym::parse(&person(number)).unwrap();
    index.who_saw::<AuditError>(&[pseudonym], &page, |said| Ok(said.mandates.iter().all(|id| shown(id)))).unwrap()
}

fn all(index: &Index, number: u64) -> Vec<(i64, String, u64)> {
    let answer = ask(index, number, Page { before: None, offset: 0, limit: usize::MAX }, |_| true);
    assert!(!answer.more);
    answer.looks.iter().map(|seen| (seen.time.as_second(), seen.journal.to_string(), seen.intent)).collect()
}

/// Looks that overlap; the subjects of one stand in several outcomes. Says who must be found where, newest first.
fn looks(gateway: &mut Gateway, turns: std::ops::Range<i64>) -> BTreeMap<u64, Vec<(i64, String, u64)>> {
    let mut expected: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    let mut open = Vec::new();
    let close = |gateway: &mut Gateway, (turn, intent): (i64, u64), state: &str| {
        let (one, two) = (turn.unsigned_abs() % 97, 1_000 + turn.unsigned_abs() % 89);
        gateway.outcome(turn, intent, 0, "more", &[&person(one)]);
        gateway.outcome(turn, intent, 2, state, &[&person(two), &person(one)]);
    };
    for turn in turns {
        let intent = gateway.intent(turn, "app", &format!("m-{}", turn % 5), &["public.person.name"]);
        for number in [turn.unsigned_abs() % 97, 1_000 + turn.unsigned_abs() % 89] {
            expected
                .entry(number)
                .or_default()
                .insert(0, (turn + common::at(0).as_second(), gateway.origin.clone(), intent));
        }
        open.push((turn, intent));
        if open.len() == 300 {
            let state = ["done", "failed", "suspended"][usize::try_from(turn % 3).unwrap()];
            close(gateway, open.remove(0), state);
        }
    }
    for one in open {
        close(gateway, one, "done");
    }
    expected
}

#[test]
fn whoever_looked_is_found_newest_first_and_page_by_page() {
    let (mut one, mut two) = (Gateway::new("civic/gateway-1"), Gateway::new("civic/gateway-2"));
    let folder = tempfile::tempdir().unwrap();
    let index = Index::open(folder.path()).unwrap();
    let mut expected = looks(&mut one, 0..3_000);
    one.write(3_000, "unheard_of", &json!({}));
    one.refused(3_000, "app");
    let mut body = json!({"session": "5f0c7a9e2b105f0c", "intent": 0, "rows": 1, "state": "done"});
    body["without_subject"] = json!(["aggregate"]);
    one.write(3_000, "outcome", &body);
    one.close();
    two.close();
    assert_eq!(index.follow(&two.journal(), &two.verifier()).unwrap().entries, 0);
    let reach = index.follow(&one.journal(), &one.verifier()).unwrap();
    assert_eq!((reach.entries, reach.unknown_kinds, reach.without_subject), (9_003, 1, 1));
    assert_eq!(reach.until, Some(common::at(3_000)));
    for (number, places) in &expected {
        assert_eq!(all(&index, *number), *places, "{number}");
    }
    assert!(all(&index, 5_000).is_empty());
    // The other gateway, and what is new in both.
    two.open();
    one.open();
    for (gateway, turns) in [(&mut two, 0..500), (&mut one, 4_000..4_200)] {
        for (number, places) in looks(gateway, turns) {
            expected.entry(number).or_default().extend(places);
        }
        gateway.close();
        index.follow(&gateway.journal(), &gateway.verifier()).unwrap();
    }
    expected.values_mut().for_each(|places| places.sort_by(|a, b| b.cmp(a)));
    for (number, places) in &expected {
        assert_eq!(all(&index, *number), *places, "{number}");
    }
    pages(&index);
    assert_eq!(index.reaches().unwrap().len(), 2);
    // The index is one process's at a time, and says so.
    let error = Index::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another process has it open"), "{error}");
}

/// Neither pages nor their ends tell that something is left out.
fn pages(index: &Index) {
    let page = |before, offset| Page { before, offset, limit: 4 };
    let shown = |id: &str| id != "m-1";
    let whole = ask(index, 5, Page { before: None, offset: 0, limit: 1_000 }, shown).looks;
    let hidden = all(index, 5).len() - whole.len();
    assert!(hidden > 3 && whole.iter().all(|seen| seen.said.mandates != ["m-1"]));
    let (mut by_offset, mut by_cursor, mut before) = (Vec::new(), Vec::new(), None);
    loop {
        let offset = by_offset.len();
        let (one, two) = (ask(index, 5, page(None, offset as u64), shown), ask(index, 5, page(before, 0), shown));
        assert_eq!(one, two);
        assert!(one.looks.len() == 4 || !one.more);
        before = two.looks.last().map(|seen| Cursor::parse(&seen.cursor.to_text()).unwrap());
        by_offset.extend(one.looks);
        by_cursor.extend(two.looks);
        assert_eq!(one.more, by_offset.len() < whole.len());
        if !one.more {
            break;
        }
    }
    assert!(by_offset == whole && by_cursor == whole);
}

fn refused(index: &Index, journal: &Path, verifier: &Verifier) -> String {
    index.follow(journal, verifier).unwrap_err().to_string()
}

#[test]
fn a_journal_that_shrank_forked_or_was_changed_is_refused() {
    let mut gateway = Gateway::new("civic/gateway-1");
    looks(&mut gateway, 0..400);
    gateway.close();
    let folder = tempfile::tempdir().unwrap();
    let (index, verifier) = (Index::open(folder.path()).unwrap(), gateway.verifier());
    let before = folder.path().join("before");
    copy(&gateway.journal(), &before);
    gateway.open();
    looks(&mut gateway, 400..800);
    gateway.close();
    let reach = index.follow(&gateway.journal(), &verifier).unwrap();
    let found = all(&index, 7);
    let said = refused(&index, &before, &verifier);
    assert!(said.contains("rolled back"), "{said}");
    let stranger = IdentityKey::generate().unwrap().vkey("civic/gateway-1").unwrap();
    let said = refused(&index, &gateway.journal(), &Verifier::parse(&stranger).unwrap());
    assert!(said.contains("not signed by"), "{said}");
    // The same key goes on from the old copy.
    std::fs::remove_dir_all(gateway.journal()).unwrap();
    copy(&before, &gateway.journal());
    gateway.open();
    looks(&mut gateway, 900..1_400);
    gateway.close();
    let said = refused(&index, &gateway.journal(), &verifier);
    assert!(said.contains("two histories"), "{said}");
    assert_eq!((all(&index, 7), index.reaches().unwrap()), (found, vec![reach]));
    // An entry that is not the one that was signed for: nothing of its step is taken in.
    let mut other = Gateway::new("civic/gateway-2");
    looks(&mut other, 0..3_000);
    for turn in 0..2_000 {
        other.write(turn, "refused", &json!({"filler": "x".repeat(6_000)}));
    }
    other.close();
    let bundle = other.journal().join("tile/entries/005");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let place = bytes.windows(6).position(|six| six == b"\"app\",").unwrap();
    bytes[place + 1] = b'b';
    std::fs::write(&bundle, bytes).unwrap();
    let said = refused(&index, &other.journal(), &other.verifier());
    assert!(said.contains("are not those of the signed tree"), "{said}");
    assert_eq!(index.reaches().unwrap().len(), 1);
}

/// What was indexed stays when the journal lets it go, and what comes is taken in; an index that comes too late says so.
#[test]
fn a_pruned_journal_goes_on_where_the_index_was() {
    let mut gateway = Gateway::new("civic/gateway-1");
    let mut expected = looks(&mut gateway, 0..700);
    gateway.close();
    let folder = tempfile::tempdir().unwrap();
    let (index, verifier) = (Index::open(folder.path()).unwrap(), gateway.verifier());
    index.follow(&gateway.journal(), &verifier).unwrap();
    let said = Prune { before: 1_536, who: "Sam Peeters", why: "retention", keep_days: 1 };
    let said = said.entry(&common::at(800).to_string()).unwrap();
    let key = IdentityKey::load(&gateway.folder.path().join("key")).unwrap();
    let config = JournalConfig::new("civic/gateway-1", key);
    drieslot_journal::prune(&gateway.journal(), config, 1_536, said).unwrap();
    gateway.open();
    for (number, places) in looks(&mut gateway, 900..1_300) {
        let of = expected.entry(number).or_default();
        of.extend(places);
        of.sort_by(|a, b| b.cmp(a));
    }
    gateway.close();
    assert_eq!(index.follow(&gateway.journal(), &verifier).unwrap().entries, 3_301);
    for (number, places) in &expected {
        assert_eq!(all(&index, *number), *places, "{number}");
    }
    let late = Index::open(&folder.path().join("late")).unwrap();
    let said = refused(&late, &gateway.journal(), &verifier);
    assert!(said.contains("pruned"), "{said}");
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

/// Run by the next test as a process of its own.
#[test]
fn an_indexer_that_is_killed() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let folder = Path::new(&folder);
    let verifier = Verifier::parse(&std::fs::read_to_string(folder.join("vkey")).unwrap()).unwrap();
    let index = Index::open(&folder.join("index")).unwrap();
    println!("open");
    let reach = index.follow(&folder.join("journal"), &verifier).unwrap();
    println!("reaches {}", reach.entries);
}

#[test]
fn a_kill_at_any_moment_costs_nothing_but_time() {
    let mut gateway = Gateway::new("civic/gateway-1");
    let expected = looks(&mut gateway, 0..60_000);
    gateway.close();
    let folder = gateway.folder.path().to_owned();
    std::fs::write(folder.join("vkey"), gateway.verifier().vkey()).unwrap();
    let mut kills = 0;
    let mut patience = Duration::from_millis(10);
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "an_indexer_that_is_killed", "--nocapture"]).env(VICTIM, &folder);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(patience);
        patience = patience.mul_f32(1.4);
        if let Some(status) = child.try_wait().unwrap() {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(status.success() && said.contains("reaches 180000"), "{said}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 3, "{kills}");
    let index = Index::open(&folder.join("index")).unwrap();
    assert_eq!(index.reaches().unwrap()[0].entries, 180_000);
    for (number, places) in &expected {
        assert_eq!(all(&index, *number), *places, "{number}");
    }
}
