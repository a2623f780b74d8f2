//! Following a journal: every entry comes once and in order, also over restarts, and only if it was signed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, append, copy_tree, entry};
use drieslot_journal::{Checkpoint, FollowError, Followed, Reader, prune};

fn grow(folder: &Folder, from: u64, to: u64) {
    let (journal, _) = folder.open().unwrap();
    append(&journal, from, to);
    journal.close().unwrap();
}

/// All that is new, a few at a time.
fn follow(folder: &Folder, dir: &Path, followed: &mut Followed) -> Result<u64, FollowError> {
    let reader = Reader::open(dir).unwrap();
    let checkpoint = Checkpoint::open(reader.note(), &folder.verifier()).unwrap();
    loop {
        let expected = followed.size();
        let entries = followed.next(&reader, &checkpoint, 100)?;
        for (at, (index, bytes)) in entries.iter().enumerate() {
            assert_eq!(*index, expected + at as u64);
            assert_eq!(*bytes, entry(*index));
        }
        if followed.size() == checkpoint.size {
            return Ok(followed.size());
        }
    }
}

#[test]
fn every_entry_comes_once_through_every_shape_of_tree_and_over_restarts() {
    let folder = Folder::new();
    let mut followed = Followed::default();
    let mut size = 0;
    for next in [0, 1, 2, 255, 256, 257, 300, 511, 512, 1000, 5_000] {
        grow(&folder, size, next);
        size = next;
        assert_eq!(follow(&folder, &folder.journal(), &mut followed).unwrap(), size);
        followed = Followed::restore(followed.size(), followed.hashes().to_vec()).unwrap();
    }
    assert!(Followed::restore(size + 1, followed.hashes().to_vec()).is_none());
}

#[test]
fn a_rollback_a_second_history_and_changed_entries_are_refused_by_name() {
    let folder = Folder::filled(600);
    let old = folder.0.join("old");
    copy_tree(&folder.journal(), &old);
    grow(&folder, 600, 700);
    let mut followed = Followed::default();
    follow(&folder, &folder.journal(), &mut followed).unwrap();
    let rolled_back = follow(&folder, &old, &mut followed).unwrap_err();
    assert!(matches!(rolled_back, FollowError::RolledBack { had: 700, now: 600 }), "{rolled_back}");
    assert_eq!(followed.size(), 700, "the place stays");

    // The same key goes on otherwise from the old copy.
    fs::remove_dir_all(folder.journal()).unwrap();
    copy_tree(&old, &folder.journal());
    let (journal, _) = folder.open().unwrap();
    for _ in 0..200 {
        journal.append(b"another".to_vec()).unwrap();
    }
    journal.close().unwrap();
    let forked = follow(&folder, &folder.journal(), &mut followed).unwrap_err();
    assert!(matches!(forked, FollowError::Forked { had: 700, now: 800 }), "{forked}");

    // As in a mirror: there is no other copy of the entries.
    fs::remove_file(old.join("wal")).unwrap();
    fs::write(old.join("mirror"), "").unwrap();
    assert_eq!(follow(&folder, &old, &mut Followed::default()).unwrap(), 600);
    let bundle = old.join("tile/entries/000");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[10] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let changed = follow(&folder, &old, &mut Followed::default()).unwrap_err();
    assert!(matches!(changed, FollowError::Changed { from: 0, signed: 600, .. }), "{changed}");
    fs::remove_file(&bundle).unwrap();
    let gone = follow(&folder, &old, &mut Followed::default()).unwrap_err();
    assert!(matches!(gone, FollowError::Changed { from: 0, .. }), "{gone}");
}

#[test]
fn what_was_pruned_is_passed_over_where_a_signed_entry_says_so() {
    let folder = Folder::filled(1_500);
    let mut early = Followed::default();
    let whole = folder.0.join("whole");
    copy_tree(&folder.journal(), &whole);
    let body = serde_json::json!({"before": 768, "who": "ops", "why": "retention", "keep_days": 1});
    let said = drieslot_journal::entry::encode("prune", "2026-03-02T10:00:00Z", &body).unwrap();
    prune(&folder.journal(), folder.config(), 768, said).unwrap();
    let take = |followed: &mut Followed| {
        let reader = Reader::open(&folder.journal()).unwrap();
        let checkpoint = Checkpoint::open(reader.note(), &folder.verifier()).unwrap();
        let taken = followed.next(&reader, &checkpoint, 10_000)?;
        Ok::<_, FollowError>((taken[0].0, taken.len()))
    };
    assert_eq!(take(&mut Followed::default()).unwrap(), (768, 733));
    follow(&folder, &whole, &mut early).unwrap();
    assert_eq!(take(&mut early).unwrap(), (1_500, 1));
    // Of a copy without the mark they are simply gone.
    fs::remove_file(folder.journal().join("pruned")).unwrap();
    let gone = take(&mut Followed::default()).unwrap_err();
    assert!(matches!(gone, FollowError::Changed { from: 0, .. }), "{gone}");
}
