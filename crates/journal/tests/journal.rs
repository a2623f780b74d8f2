//! The journal from outside: appending, reopening, reading, verifying, proving.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::{Folder, ORIGIN, append, entry};
use drieslot_journal::hash::{self, Hash};
use drieslot_journal::{IdentityKey, JournalError, MAX_ENTRY_BYTES, Reader, Verifier, proof, verify};

/// One journal, closed and opened again at many sizes, most of them where tiles begin and end.
#[test]
fn each_size_has_the_root_of_a_plain_tree() {
    let folder = Folder::new();
    let mut leaves: Vec<Hash> = Vec::new();
    let near_tile = |size: &u64| (size + 2) % 256 < 5;
    for size in (0..=1100_u64).filter(|size| *size < 20 || near_tile(size) || size % 41 == 0) {
        let (journal, recovered) = folder.open().unwrap();
        let before = leaves.len() as u64;
        assert_eq!((recovered.entries, recovered.checkpointed), (before, before));
        assert_eq!(recovered.created, size == 0);
        append(&journal, before, size);
        leaves.extend((before..size).map(|index| hash::leaf(&entry(index))));
        journal.close().unwrap();
        let report = verify(&folder.journal(), &folder.verifier()).unwrap();
        assert_eq!(report.checkpoint.root, hash::root(&leaves), "size {size}");
        assert_eq!((report.checkpoint.size, report.unsigned_entries), (size, 0));
    }
}

#[test]
fn entries_are_read_back_live_and_closed() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    append(&journal, 0, 700);
    for (from, to) in [(0, 700), (0, 0), (255, 257), (699, 700), (100, 600)] {
        let reader = Reader::open(&folder.journal()).unwrap();
        let read: Vec<_> = reader.entries(from, to).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, (from..to).map(|index| (index, entry(index))).collect::<Vec<_>>());
        assert!(matches!(reader.entries(from, 701), Err(JournalError::NoSuchEntry { index: 700, size: 700 })));
    }
    journal.close().unwrap();
    let reader = Reader::open(&folder.journal()).unwrap();
    assert_eq!((reader.size(), reader.checkpointed(), reader.origin()), (700, 700, ORIGIN));
}

#[test]
fn proofs_from_tiles_hold() {
    let folder = Folder::filled(70_000);
    let reader = Reader::open(&folder.journal()).unwrap();
    let leaves: Vec<_> = (0..70_000).map(|index| hash::leaf(&entry(index))).collect();
    let root = hash::root(&leaves);
    for index in [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
        let path = reader.inclusion_proof(index, 70_000).unwrap();
        assert_eq!(path, proof::inclusion(leaves.as_slice(), index, 70_000).unwrap());
        assert!(proof::includes(&leaves[index as usize], index, 70_000, &path, &root));
    }
    for old in [1, 256, 1000, 65_536, 69_999, 70_000] {
        let path = reader.consistency_proof(old, 70_000).unwrap();
        assert!(proof::consistent(old, 70_000, &hash::root(&leaves[..old as usize]), &root, &path), "{old}");
    }
    assert!(matches!(reader.inclusion_proof(0, 70_001), Err(JournalError::NoSuchEntry { .. })));
}

#[test]
fn entries_of_the_wrong_size_are_refused() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    assert!(matches!(journal.append(Vec::new()), Err(JournalError::EntrySize { len: 0 })));
    assert!(matches!(journal.append(vec![0; MAX_ENTRY_BYTES + 1]), Err(JournalError::EntrySize { .. })));
    assert_eq!(journal.append(vec![0; MAX_ENTRY_BYTES]).unwrap(), 0);
    assert_eq!(journal.append(vec![0]).unwrap(), 1);
    assert!(matches!(journal.wait_durable(2), Err(JournalError::NoSuchEntry { index: 2, size: 2 })));
    journal.close().unwrap();
    verify(&folder.journal(), &folder.verifier()).unwrap();
}

#[test]
fn a_second_writer_is_refused_until_the_first_ends() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    let error = folder.open().unwrap_err();
    assert!(matches!(&error, JournalError::Locked { .. }));
    assert!(error.to_string().contains("stop that process"), "{error}");
    let other = journal.clone();
    drop(journal);
    assert!(folder.open().is_err(), "a clone still lives");
    drop(other);
    folder.open().unwrap();
}

#[test]
fn a_closed_journal_takes_nothing() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    let index = journal.append(entry(0)).unwrap();
    journal.clone().close().unwrap();
    journal.wait_durable(index).unwrap();
    assert!(matches!(journal.append(entry(1)), Err(JournalError::Closed)));
    assert!(matches!(journal.wait_durable(1), Err(JournalError::Closed)));
    journal.close().unwrap();
}

#[test]
fn the_callback_tells_of_each_commit() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    append(&journal, 0, 3);
    let inside = journal.clone();
    journal.set_notify(Box::new(move |_| assert!(inside.wait_durable(2).is_ok(), "the journal can be used inside")));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    journal.set_notify(Box::new(move |durable| tell.lock().unwrap().push(durable.unwrap())));
    assert_eq!(*told.lock().unwrap(), [3], "told at once where it stands");
    append(&journal, 3, 50);
    journal.close().unwrap();
    let told = told.lock().unwrap();
    assert!(told.is_sorted());
    assert_eq!(told.last(), Some(&50));
    assert_eq!(journal.durable(), 50);
}

#[test]
fn many_threads_get_each_their_own_index() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    let indexes: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let journal = journal.clone();
                scope.spawn(move || {
                    let append = |turn| {
                        let index = journal.append(format!("{thread} {turn}").into_bytes()).unwrap();
                        journal.wait_durable(index).unwrap();
                        index
                    };
                    (0..100).map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = indexes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..800).collect::<Vec<_>>());
    journal.close().unwrap();
    assert_eq!(verify(&folder.journal(), &folder.verifier()).unwrap().checkpoint.size, 800);
}

#[test]
fn keys_are_kept_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let (path, key) = (folder.key_path(), folder.key());
    drop(folder.open().unwrap());
    assert_eq!(std::fs::metadata(folder.journal()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(IdentityKey::generate().unwrap().save(&path), Err(JournalError::Key { .. })));
    assert_eq!(folder.key().public_key(), key.public_key());
    assert_eq!(format!("{key:?}"), "IdentityKey { secret: \"redacted\", .. }");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(IdentityKey::load(&path), Err(JournalError::Key { .. })));
    let other = folder.0.join("other");
    std::fs::write(&other, b"no key").unwrap();
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(matches!(IdentityKey::load(&other), Err(JournalError::Key { .. })));
}

#[test]
fn verifier_keys_are_those_of_c2sp() {
    // The example of c2sp.org/signed-note, and its key as published with golang.org/x/mod/sumdb/note.
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let verifier = Verifier::parse(vkey).unwrap();
    assert_eq!((verifier.name(), verifier.key_id(), verifier.vkey().as_str()), ("PeterNeumann", 0xc74f_20a3, vkey));
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let signature = ["x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="];
    use base64::Engine;
    let signature = base64::engine::general_purpose::STANDARD.decode(signature[0]).unwrap();
    assert!(verifier.verify(text.as_bytes(), &signature[4..]));
    assert!(!verifier.verify(&text.as_bytes()[1..], &signature[4..]));
    for bad in [
        "",
        "a+b",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2Q==",
    ] {
        assert!(
            matches!(Verifier::parse(bad), Err(JournalError::VerifierKey { .. } | JournalError::Origin { .. })),
            "{bad}"
        );
    }
}

#[test]
fn an_origin_that_cannot_be_a_key_name_is_refused() {
    let folder = Folder::new();
    for origin in ["", "a b", "a+b", "a\nb"] {
        let mut config = folder.config();
        config.origin = origin.into();
        let error = drieslot_journal::Journal::open(&folder.journal(), config).unwrap_err();
        assert!(matches!(error, JournalError::Origin { .. }), "{origin:?}");
    }
}

/// What a loss of power may do: tiles are synced only before their entries leave the write-ahead file.
#[test]
fn lost_and_torn_tiles_are_made_again() {
    let folder = Folder::filled(1000);
    let tiles = folder.journal().join("tile");
    std::fs::remove_dir_all(&tiles).unwrap();
    assert!(verify(&folder.journal(), &folder.verifier()).is_err());
    drop(folder.open().unwrap());
    verify(&folder.journal(), &folder.verifier()).unwrap();

    for torn in ["entries/001", "0/002", "0/003.p/232", "1/000.p/3"] {
        std::fs::write(tiles.join(torn), b"").unwrap();
    }
    assert!(verify(&folder.journal(), &folder.verifier()).is_err());
    let (journal, recovered) = folder.open().unwrap();
    assert_eq!(recovered.entries, 1000);
    append(&journal, 1000, 1100);
    journal.close().unwrap();
    assert_eq!(verify(&folder.journal(), &folder.verifier()).unwrap().checkpoint.size, 1100);
}

/// Ends of a start that was interrupted before its first checkpoint.
#[test]
fn an_interrupted_first_start_is_taken_up() {
    let folder = Folder::filled(0);
    std::fs::remove_file(folder.journal().join("checkpoint")).unwrap();
    std::fs::write(folder.journal().join("checkpoint.new"), b"half").unwrap();
    let (journal, recovered) = folder.open().unwrap();
    assert_eq!((recovered.entries, recovered.created), (0, false));
    append(&journal, 0, 1);
    journal.close().unwrap();
    verify(&folder.journal(), &folder.verifier()).unwrap();
}

#[test]
fn one_commit_serves_an_entry_that_nobody_waits_for_and_the_next() {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    let commits = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&commits);
    journal.set_notify(Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let alone = journal.append_with_next(b"nobody waits".to_vec()).unwrap();
    journal.wait_durable(alone).unwrap();
    // A busy machine may take longer between the two than the entry is kept back; not fifty times.
    let together = (0..50).any(|_| {
        let before = commits.load(Ordering::SeqCst);
        journal.append_with_next(b"intent".to_vec()).unwrap();
        let outcome = journal.append(b"outcome".to_vec()).unwrap();
        journal.wait_durable(outcome).unwrap();
        commits.load(Ordering::SeqCst) <= before + 1
    });
    assert!(together);
}
