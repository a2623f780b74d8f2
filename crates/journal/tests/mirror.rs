//! Mirrors: they grow as the journal does, hold what it signed when it is gone, and take nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Folder, ORIGIN, append, copy_tree, entry};
use drieslot_journal::{
    Checkpoint, Journal, JournalError, Mirror, MirrorError, Reader, Source, Trust, VerifyError, hash, verify,
    verify_folder, verify_served,
};

fn note(dir: &Path) -> String {
    fs::read_to_string(dir.join("checkpoint")).unwrap()
}

fn mirror(folder: &Folder) -> Mirror {
    Mirror::open(&folder.0.join("mirror"), folder.verifier()).unwrap()
}

fn follow(folder: &Folder) -> Result<u64, MirrorError> {
    let from = folder.journal();
    mirror(folder).follow(from.as_path(), &note(&from)).map(|mirrored| mirrored.size)
}

fn grow(folder: &Folder, from: u64, to: u64) {
    let (journal, _) = folder.open().unwrap();
    append(&journal, from, to);
    journal.close().unwrap();
}

/// The same files under `tile/`, where the full ones have taken the partial ones' place.
fn full_files(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>, root: &Path) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            full_files(&path, found, root);
        } else if !path.to_string_lossy().contains(".p/") {
            found.push((path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
}

#[test]
fn a_mirror_grows_through_every_shape_of_tree_and_outlives_the_journal() {
    let folder = Folder::new();
    let place = folder.0.join("mirror");
    let mut size = 0;
    for next in [0, 1, 2, 255, 256, 257, 300, 511, 512, 1000, 65_535, 65_536, 65_537, 70_000] {
        grow(&folder, size, next);
        size = next;
        assert_eq!(follow(&folder).unwrap(), size);
        assert_eq!(follow(&folder).unwrap(), size, "nothing new");
        assert_eq!(verify(&place, &folder.verifier()).unwrap().checkpoint.size, size);
        assert_eq!(note(&place), note(&folder.journal()));
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    full_files(&place.join("tile"), &mut ours, &place);
    full_files(&folder.journal().join("tile"), &mut theirs, &folder.journal());
    assert!(ours == theirs, "the same full tiles and bundles");
    fs::remove_dir_all(folder.journal()).unwrap();
    assert_eq!(verify(&place, &folder.verifier()).unwrap().checkpoint.size, 70_000);
    let reader = Reader::open(&place).unwrap();
    assert!(reader.is_mirror());
    for (index, read) in reader.entries(69_700, 70_000).unwrap().map(Result::unwrap) {
        assert_eq!(read, entry(index));
    }
    // It can be mirrored in its turn.
    let second = folder.0.join("second");
    let mut second = Mirror::open(&second, folder.verifier()).unwrap();
    assert_eq!(second.follow(place.as_path(), &note(&place)).unwrap().new, 70_000);
}

#[test]
fn a_rollback_a_second_history_and_a_gap_are_refused_by_name() {
    let folder = Folder::filled(600);
    let earlier = folder.0.join("earlier");
    copy_tree(&folder.journal(), &earlier);
    grow(&folder, 600, 900);
    assert_eq!(follow(&folder).unwrap(), 900);
    let place = folder.0.join("mirror");
    let refused = |from: &Path| mirror(&folder).follow(from, &note(from)).unwrap_err();

    assert!(matches!(refused(&earlier), MirrorError::RolledBack { had: 900, now: 600 }));
    assert_eq!(fs::read_to_string(place.join("refused")).unwrap(), note(&earlier));

    // The writer goes on from the earlier copy, with the same key: shorter, as long, and longer than what was seen.
    for (to, size) in [(700, 700), (900, 900), (1024, 1024), (1300, 1300)] {
        let (journal, _) = Journal::open(&earlier, folder.config()).unwrap();
        for index in Reader::open(&earlier).unwrap().size()..to {
            journal.append(format!("another {index}").into_bytes()).unwrap();
        }
        journal.close().unwrap();
        verify(&earlier, &folder.verifier()).unwrap();
        match (refused(&earlier), size) {
            (MirrorError::RolledBack { now: 700, .. }, 700) => {}
            (MirrorError::Forked { had: 900, now }, 900..) => assert_eq!(now, size),
            (other, _) => panic!("{size}: {other}"),
        }
    }
    assert_eq!(verify(&place, &folder.verifier()).unwrap().checkpoint.size, 900);

    grow(&folder, 900, 1600);
    let good = folder.0.join("good");
    copy_tree(&folder.journal(), &good);
    for (file, error) in [
        ("tile/entries/004", "the entry bundle is missing"),
        ("tile/0/003", "the tile is missing"),
        ("tile/1/000.p/6", "the tile is missing"),
    ] {
        fs::remove_file(folder.journal().join(file)).unwrap();
        let refusal = refused(&folder.journal());
        let MirrorError::Gap { from: 900, signed: 1600, why } = &refusal else { panic!("{file}: {refusal}") };
        assert!(why.contains(error), "{why}");
        fs::copy(good.join(file), folder.journal().join(file)).unwrap();
    }
    assert_eq!(verify(&place, &folder.verifier()).unwrap().checkpoint.size, 900);
    assert_eq!(follow(&folder).unwrap(), 1600);
}

/// Bad files are never called a second history, which would accuse the holder of the key.
#[test]
fn no_changed_file_gets_into_a_mirror() {
    let folder = Folder::filled(900);
    follow(&folder).unwrap();
    grow(&folder, 900, 1600);
    let before = folder.0.join("before");
    copy_tree(&folder.0.join("mirror"), &before);
    let mut refused = 0;
    let mut files = Vec::new();
    full_files(&folder.journal().join("tile"), &mut files, &folder.journal());
    for file in ["tile/entries/006.p/64", "tile/0/006.p/64", "tile/1/000.p/6"] {
        files.push((file.into(), fs::read(folder.journal().join(file)).unwrap()));
    }
    for (file, content) in files {
        for at in [2, content.len() / 2, content.len() - 1] {
            let mut bad = content.clone();
            bad[at] ^= 1;
            fs::write(folder.journal().join(&file), bad).unwrap();
            match follow(&folder) {
                Ok(_) => {
                    verify(&folder.0.join("mirror"), &folder.verifier()).unwrap();
                    fs::remove_dir_all(folder.0.join("mirror")).unwrap();
                    copy_tree(&before, &folder.0.join("mirror"));
                }
                Err(MirrorError::Gap { .. }) => refused += 1,
                Err(other) => panic!("{}, byte {at}: {other}", file.display()),
            }
        }
        fs::write(folder.journal().join(file), content).unwrap();
    }
    assert!(refused >= 15, "{refused}");
}

/// A source that is cut off after some files.
struct Cut<'a> {
    dir: &'a Path,
    left: Cell<u32>,
}

impl Source for Cut<'_> {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| JournalError::Fetch { place: self.place(path), why: "cut off".into() })?);
        self.dir.file(path)
    }

    fn place(&self, path: &str) -> PathBuf {
        self.dir.place(path)
    }
}

#[test]
fn a_mirror_that_is_cut_off_anywhere_goes_on() {
    let folder = Folder::filled(700);
    follow(&folder).unwrap();
    // More than is held in memory at once.
    grow(&folder, 700, 40_000);
    let from = folder.journal();
    let (mut cuts, mut step) = (0, 0);
    loop {
        step += 1 + step / 3;
        let cut = Cut { dir: &from, left: Cell::new(step) };
        match mirror(&folder).follow(&cut, &note(&from)) {
            Ok(mirrored) => break assert_eq!(mirrored.size, 40_000),
            Err(MirrorError::Unreachable(error)) => assert!(error.to_string().contains("cut off")),
            Err(other) => panic!("{other}"),
        }
        cuts += 1;
        assert_eq!(verify(&folder.0.join("mirror"), &folder.verifier()).unwrap().checkpoint.size, 700);
    }
    assert!(cuts > 8, "{cuts}");
    assert_eq!(verify(&folder.0.join("mirror"), &folder.verifier()).unwrap().checkpoint.size, 40_000);
}

#[test]
fn a_mirror_is_of_one_journal_and_held_by_one_process() {
    let folder = Folder::filled(10);
    let held = mirror(&folder);
    let place = folder.0.join("mirror");
    assert!(matches!(Mirror::open(&place, folder.verifier()), Err(JournalError::Locked { .. })));
    drop(held);
    follow(&folder).unwrap();
    let other = Folder::filled(20);
    assert!(Mirror::open(&place, other.verifier()).unwrap_err().to_string().contains("mirrors another journal"));
    let foreign = mirror(&folder).follow(other.journal().as_path(), &note(&other.journal())).unwrap_err();
    assert!(matches!(foreign, MirrorError::Foreign(_)), "{foreign}");
    let error = Mirror::open(&folder.journal(), folder.verifier()).map(drop);
    assert!(error.is_err(), "a writer's folder is no mirror");
    assert!(!folder.journal().join("mirror").exists());
    // A changed mirror does not go on.
    let mut tile = fs::read(place.join("tile/0/000.p/10")).unwrap();
    tile[0] ^= 1;
    fs::write(place.join("tile/0/000.p/10"), tile).unwrap();
    assert!(Mirror::open(&place, folder.verifier()).unwrap_err().to_string().contains("its root is not that"));
}

#[test]
fn what_was_seen_before_must_still_be_there() {
    let folder = Folder::filled(600);
    let verifier = folder.verifier();
    let seen = Checkpoint::open(&note(&folder.journal()), &verifier).unwrap();
    let earlier = folder.0.join("earlier");
    copy_tree(&folder.journal(), &earlier);
    grow(&folder, 600, 900);
    let trust = Trust { verifier: &verifier, seen: Some(&seen), cosigned: None };
    assert_eq!(verify_folder(&folder.journal(), trust).unwrap().checkpoint.size, 900);
    assert_eq!(verify_folder(&earlier, trust).unwrap().checkpoint.size, 600);
    let from = folder.journal();
    assert_eq!(verify_served(from.as_path(), &note(&from), trust).unwrap().checkpoint.size, 900);

    let later = Checkpoint::open(&note(&from), &verifier).unwrap();
    let trust = Trust { verifier: &verifier, seen: Some(&later), cosigned: None };
    let rolled_back = verify_folder(&earlier, trust).unwrap_err();
    assert!(matches!(rolled_back, VerifyError::RolledBack { seen: 900, now: 600 }));
    let other = Checkpoint { origin: ORIGIN.into(), size: 600, root: hash::sha256(b"another history") };
    let trust = Trust { verifier: &verifier, seen: Some(&other), cosigned: None };
    assert!(matches!(verify_folder(&from, trust).unwrap_err(), VerifyError::Forked { seen: 600 }));
    assert!(matches!(verify_served(from.as_path(), &note(&from), trust), Err(VerifyError::Forked { seen: 600 })));
}
