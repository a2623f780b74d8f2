//! Pruning: what is let go is said by the journal itself, and the tree, its proofs and its check stay.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, append, copy_tree};
use drieslot_journal::{
    Checkpoint, Followed, Journal, JournalError, Mirror, MirrorError, Pruned, Published, Reader, Trust, VerifyError,
    entry, hash, proof, prune, verify, verify_folder, verify_served,
};

fn said(before: u64) -> Vec<u8> {
    let body = serde_json::json!({"before": before, "who": "Sam", "why": "retention"});
    entry::encode("prune", "2026-01-31T23:59:59Z", &body).unwrap()
}

fn pruned(folder: &Folder, before: u64) -> Result<Pruned, JournalError> {
    prune(&folder.journal(), folder.config(), before, said(before))
}

fn grow(folder: &Folder, count: u64) {
    let (journal, _) = folder.open().unwrap();
    append(&journal, journal.durable(), journal.durable() + count);
    journal.close().unwrap();
}

fn note(dir: &Path) -> String {
    fs::read_to_string(dir.join("checkpoint")).unwrap()
}

/// Files of entries and of level 0, full and partial.
fn files_below(dir: &Path, before: u64) -> usize {
    let names = (0..before / 256).map(|index| format!("{index:03}"));
    names
        .flat_map(|name| ["entries", "0"].map(|kind| dir.join("tile").join(kind).join(&name)))
        .filter(|path| path.exists())
        .count()
}

#[test]
fn what_is_pruned_is_gone_and_all_else_is_proven_as_before() {
    let folder = Folder::filled(70_000);
    let before = Reader::open(&folder.journal()).unwrap();
    let (roots, checkpoint) = (before.root_of(66_000).unwrap(), before.checkpointed());
    let proofs: Vec<_> =
        [66_048, 69_000, 69_999].map(|index| before.inclusion_proof(index, checkpoint).unwrap()).into();
    let done = pruned(&folder, 66_048).unwrap();
    assert_eq!(done, Pruned { first: 66_048, entry: 70_000 });
    assert_eq!(files_below(&folder.journal(), 66_048), 0);
    let report = verify(&folder.journal(), &folder.verifier()).unwrap();
    assert_eq!((report.checkpoint.size, report.pruned), (70_001, Some(done)));
    let reader = Reader::open(&folder.journal()).unwrap();
    assert_eq!(reader.first(), 66_048);
    for (index, path) in [66_048, 69_000, 69_999].into_iter().zip(proofs) {
        assert_eq!(reader.inclusion_proof(index, checkpoint).unwrap(), path);
        let leaf = hash::leaf(&reader.entries(index, index + 1).unwrap().next().unwrap().unwrap().1);
        assert!(proof::includes(&leaf, index, checkpoint, &path, &before.root_of(checkpoint).unwrap()));
    }
    // What is gone is said to be pruned, and not missing.
    for asked in [
        reader.entries(66_047, 66_050).err(),
        reader.block(0).err(),
        reader.first_entry().err(),
        reader.inclusion_proof(5, checkpoint).err(),
        reader.root_of(66_000).err(),
        before.inclusion_proof(5, checkpoint).err(),
    ] {
        let error = asked.unwrap();
        assert!(matches!(error, JournalError::Pruned { first: 66_048, .. }), "{error}");
    }
    assert_ne!(roots, before.root_of(66_048).unwrap());
    // It goes on, is pruned again, and opens.
    grow(&folder, 3_000);
    assert_eq!(pruned(&folder, 72_960).unwrap(), Pruned { first: 72_960, entry: 73_001 });
    grow(&folder, 10);
    assert_eq!(verify(&folder.journal(), &folder.verifier()).unwrap().checkpoint.size, 73_012);
    let from = folder.journal();
    let trust = Trust { verifier: &folder.verifier(), seen: None, cosigned: None };
    assert_eq!(verify_served(from.as_path(), &note(&from), trust).unwrap().pruned.unwrap().first, 72_960);
}

#[test]
fn only_whole_bundles_that_are_there_are_pruned() {
    let folder = Folder::filled(1_000);
    for before in [1, 255, 1_000, 1_024, 70_400] {
        assert!(matches!(pruned(&folder, before), Err(JournalError::Prune { .. })), "{before}");
    }
    assert!(matches!(pruned(&folder, 0), Err(JournalError::Prune { .. })), "nothing is not pruned");
    for wrong in
        [said(512), entry::encode("outcome", "2026-01-31T23:59:59Z", &serde_json::json!({"before": 256})).unwrap()]
    {
        assert!(matches!(prune(&folder.journal(), folder.config(), 256, wrong), Err(JournalError::Prune { .. })));
    }
    assert_eq!(verify(&folder.journal(), &folder.verifier()).unwrap().checkpoint.size, 1_000, "nothing was written");
    pruned(&folder, 512).unwrap();
    assert!(matches!(pruned(&folder, 256), Err(JournalError::Prune { .. })), "it does not come back");
    let (journal, _) = folder.open().unwrap();
    assert!(matches!(pruned(&folder, 768), Err(JournalError::Locked { .. })), "a part that runs");
    journal.close().unwrap();
}

#[test]
fn what_witnesses_have_not_seen_stays() {
    let folder = Folder::filled(600);
    let published = Published::open(&folder.journal(), &folder.verifier()).unwrap();
    published.keep_cosigned("\u{2014} w AAAAAAAA\n").unwrap();
    grow(&folder, 600);
    let error = pruned(&folder, 768).unwrap_err();
    assert!(error.to_string().contains("cosigned 600 entries only"), "{error}");
    pruned(&folder, 512).unwrap();
    let published = Published::open(&folder.journal(), &folder.verifier()).unwrap();
    assert!(
        published.cosigned(&folder.verifier()).unwrap().is_some(),
        "what was cosigned is still found to be its beginning"
    );
}

/// A folder that was pruned before entry 512, and one whose files before 768 were taken away by somebody.
#[test]
fn more_than_the_journal_says_is_found() {
    let folder = Folder::filled(2_000);
    pruned(&folder, 512).unwrap();
    let (dir, kept) = (folder.journal(), folder.0.join("kept"));
    copy_tree(&dir, &kept);
    let broken = |change: &dyn Fn(&Path)| {
        fs::remove_dir_all(&dir).unwrap();
        copy_tree(&kept, &dir);
        change(&dir);
        verify(&dir, &folder.verifier()).unwrap_err()
    };
    let take = |dir: &Path, kinds: &[&str]| {
        kinds.iter().for_each(|kind| fs::remove_file(dir.join("tile").join(kind).join("002")).unwrap());
    };
    let missing = broken(&|dir| take(dir, &["entries", "0"]));
    assert!(missing.to_string().contains("002: the entry bundle is missing"), "{missing}");
    // With a file that says so; with one that names an entry that says something else, or less.
    for text in ["768 2000\n", "768 1999\n", "1024 2000\n"] {
        let error = broken(&|dir| {
            take(dir, &["entries", "0"]);
            fs::write(dir.join("pruned"), text).unwrap();
        });
        assert!(
            matches!(error, VerifyError::NotPruned { .. }) || error.to_string().contains("missing"),
            "{text}: {error}"
        );
        assert!(folder.open().unwrap_err().to_string().contains("the journal does not"), "{text}");
    }
    for text in ["", "512", "512 2000", "512  2000\n", "0512 2000\n", "0 2000\n", "500 2000\n", "512 100\n", "\u{fffd}"]
    {
        let error = broken(&|dir| fs::write(dir.join("pruned"), text).unwrap());
        assert!(error.to_string().contains("FIRST ENTRY"), "{text:?}: {error}");
        assert!(folder.open().is_err(), "{text:?}");
    }
    let error = broken(&|dir| fs::write(dir.join("pruned"), "512 2001\n").unwrap());
    assert!(matches!(error, VerifyError::NotPruned { .. }), "{error}");
    let error = broken(&|dir| fs::remove_file(dir.join("pruned")).unwrap());
    assert!(error.to_string().contains("missing"), "{error}");
    // The hashes that stay are held against those above them.
    let error = broken(&|dir| {
        let tile = fs::read_dir(dir.join("tile/1/000.p")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&tile).unwrap();
        bytes[5] ^= 1;
        fs::write(&tile, bytes).unwrap();
    });
    assert!(error.to_string().contains("signed root"), "{error}");
}

#[test]
fn what_was_seen_before_is_compared_where_it_can_be() {
    let folder = Folder::filled(2_000);
    let seen = |size: u64| {
        let root = Reader::open(&folder.journal()).unwrap().root_of(size).unwrap();
        drieslot_journal::Checkpoint { origin: common::ORIGIN.into(), size, root }
    };
    let (aligned, within, after) = (seen(512), seen(700), seen(1_500));
    pruned(&folder, 1_024).unwrap();
    let verifier = folder.verifier();
    let check =
        |seen| verify_folder(&folder.journal(), Trust { verifier: &verifier, seen: Some(seen), cosigned: None });
    check(&aligned).unwrap();
    check(&after).unwrap();
    assert!(matches!(check(&within), Err(VerifyError::PrunedSince { seen: 700, first: 1_024 })));
    let other = drieslot_journal::Checkpoint { root: [7; 32], ..aligned.clone() };
    assert!(matches!(check(&other), Err(VerifyError::Forked { seen: 512 })));
}

#[test]
fn a_mirror_keeps_what_its_journal_lets_go_and_says_where_it_comes_too_late() {
    let folder = Folder::filled(2_000);
    let follow = |name: &str| {
        let from = folder.journal();
        let mut mirror = Mirror::open(&folder.0.join(name), folder.verifier()).unwrap();
        mirror.follow(from.as_path(), &note(&from)).map(|mirrored| mirrored.size)
    };
    assert_eq!(follow("early").unwrap(), 2_000);
    pruned(&folder, 1_024).unwrap();
    grow(&folder, 700);
    assert_eq!(follow("early").unwrap(), 2_701);
    assert_eq!(Reader::open(&folder.0.join("early")).unwrap().entries(0, 2_701).unwrap().count(), 2_701);
    verify(&folder.0.join("early"), &folder.verifier()).unwrap();
    let late = follow("late").unwrap_err();
    assert!(matches!(late, MirrorError::Gap { .. }) && late.to_string().contains("were pruned"), "{late}");
}

#[test]
fn a_live_reader_and_a_writer_meet_a_pruned_journal() {
    let folder = Folder::filled(1_000);
    pruned(&folder, 768).unwrap();
    let (journal, recovered) = Journal::open(&folder.journal(), folder.config()).unwrap();
    assert_eq!(recovered.entries, 1_001);
    append(&journal, 1_001, 1_400);
    let live = Reader::open(&folder.journal()).unwrap();
    assert_eq!(live.entries(768, live.size()).unwrap().count(), 632);
    assert_eq!((3..6).map(|index| live.block(index).unwrap().count()).sum::<usize>(), 632);
    journal.close().unwrap();
    assert_eq!(files_below(&folder.journal(), 768), 0, "they come back");
}

#[test]
fn who_follows_a_pruned_journal_begins_where_it_does() {
    let folder = Folder::filled(2_000);
    let next = |followed: &mut Followed| {
        let reader = Reader::open(&folder.journal()).unwrap();
        let checkpoint = Checkpoint::open(reader.note(), &folder.verifier()).unwrap();
        followed.next(&reader, &checkpoint, 700)
    };
    let mut early = Followed::default();
    next(&mut early).unwrap();
    pruned(&folder, 1_280).unwrap();
    assert!(next(&mut early).is_err(), "what it would go on with is gone");
    let (mut late, mut indexes) = (Followed::default(), Vec::new());
    while late.size() < 2_001 {
        indexes.extend(next(&mut late).unwrap().into_iter().map(|(index, _)| index));
    }
    assert!(indexes.into_iter().eq(1_280..2_001));
    grow(&folder, 10);
    assert_eq!(next(&mut late).unwrap().len(), 10);
    fs::write(folder.journal().join("pruned"), "1536 2000\n").unwrap();
    assert!(next(&mut Followed::default()).unwrap_err().to_string().contains("no signed entry says"));
}
