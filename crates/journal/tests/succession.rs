//! One journal goes on from another: nobody writes to the old one again, and the new one is there whole or not at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Folder, append, entry};
use drieslot_journal::{IdentityKey, Journal, JournalConfig, JournalError, Reader, Stopped, begin, successor, verify};

const NEXT: &str = "gateway.example.org/journal-2";

fn next_key() -> IdentityKey {
    IdentityKey::generate().unwrap()
}

#[test]
fn an_ended_journal_is_read_and_never_written_again() {
    let folder = Folder::filled(300);
    let next = next_key().verifier(NEXT).unwrap();
    let stopped = Stopped::lock(&folder.journal()).unwrap();
    assert!(matches!(folder.open().unwrap_err(), JournalError::Locked { .. }));
    stopped.end(&next).unwrap();
    stopped.end(&next).unwrap();
    let other = next_key().verifier(NEXT).unwrap();
    assert!(matches!(stopped.end(&other), Err(JournalError::Ended { .. })));
    drop(stopped);
    let refused = folder.open().unwrap_err();
    assert!(matches!(&refused, JournalError::Ended { successor, .. } if *successor == next.vkey()), "{refused}");
    assert_eq!(successor(&folder.journal()).unwrap(), Some(next.vkey()));
    // Whatever is in the mark.
    for content in [&b""[..], b"\xff\xfe", b"rubbish"] {
        std::fs::write(folder.journal().join("succeeded"), content).unwrap();
        assert!(matches!(folder.open(), Err(JournalError::Ended { .. })));
    }
    assert_eq!(verify(&folder.journal(), &folder.verifier()).unwrap().checkpoint.size, 300);
}

#[test]
fn a_part_that_runs_is_not_succeeded() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    append(&journal, 0, 3);
    assert!(matches!(Stopped::lock(&folder.journal()), Err(JournalError::Locked { .. })));
    journal.close().unwrap();
    Stopped::lock(&folder.journal()).unwrap();
}

#[test]
fn a_new_key_does_not_open_the_old_folder() {
    let folder = Folder::filled(3);
    let config = JournalConfig::new(common::ORIGIN, next_key());
    let refused = Journal::open(&folder.journal(), config).unwrap_err();
    assert!(matches!(refused, JournalError::OtherKey { .. }), "{refused}");
    assert!(refused.to_string().contains("drieslot journal succeed"), "{refused}");
}

#[test]
fn a_journal_that_was_begun_is_taken_up_and_another_is_not() {
    let folder = Folder::new();
    let (at, building) = (folder.0.join("next"), folder.0.join("next.new"));
    let key = folder.0.join("next.key");
    next_key().save(&key).unwrap();
    let config = || JournalConfig::new(NEXT, IdentityKey::load(&key).unwrap());
    // Killed before the entry, and after it.
    for entries in [0, 1] {
        let (journal, _) = Journal::open(&building, config()).unwrap();
        append(&journal, 0, entries);
        journal.close().unwrap();
        let right = |found: &[u8]| found == entry(0);
        begin(&at, config(), entry(0), right).unwrap();
        assert_eq!((Reader::open(&at).unwrap().size(), building.exists()), (1, false));
        assert_eq!(Reader::open(&at).unwrap().first_entry().unwrap(), entry(0));
        assert!(matches!(begin(&at, config(), entry(0), right), Err(JournalError::Corrupt { .. })), "it is there");
        std::fs::remove_dir_all(&at).unwrap();
    }
    let (journal, _) = Journal::open(&building, config()).unwrap();
    append(&journal, 0, 1);
    journal.close().unwrap();
    assert!(matches!(begin(&at, config(), entry(1), |found| found == entry(1)), Err(JournalError::Corrupt { .. })));
    assert!(!at.exists());
}

#[test]
fn roots_are_those_of_tiles_and_of_what_is_not_signed_yet() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    append(&journal, 0, 700);
    let live = Reader::open(&folder.journal()).unwrap();
    let roots: Vec<_> = (0..=700).map(|size| live.root_of(size)).collect::<Result<_, _>>().unwrap();
    journal.close().unwrap();
    let closed = Reader::open(&folder.journal()).unwrap();
    for (size, root) in (0..).zip(roots) {
        assert_eq!(closed.root_of(size).unwrap(), root, "{size}");
    }
    assert!(closed.root_of(701).is_err());
}
