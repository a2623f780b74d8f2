//! Whatever is changed on disk is found, by opening or by verifying, and named.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, ORIGIN, copy_tree};
use drieslot_journal::{Checkpoint, IdentityKey, Journal, Verifier, hash, verify};

/// 15 full bundles and one of 160 entries; the write-ahead file was renewed on the way.
const SIZE: u64 = 4000;

fn entry(index: u64) -> Vec<u8> {
    vec![b'a' + (index % 26) as u8; 1 + (index * 997 % 6000) as usize]
}

fn append(journal: &Journal, from: u64, to: u64) {
    for index in from..to {
        journal.append(entry(index)).unwrap();
        journal.wait_durable(index).unwrap();
    }
}

/// A journal of 4000 entries, and beside it a copy of when it had 3900.
fn original() -> (Folder, std::path::PathBuf) {
    let folder = Folder::new();
    let (journal, _) = folder.open().unwrap();
    append(&journal, 0, 3900);
    journal.close().unwrap();
    let earlier = folder.0.join("earlier");
    copy_tree(&folder.journal(), &earlier);
    let (journal, _) = folder.open().unwrap();
    append(&journal, 3900, SIZE);
    journal.close().unwrap();
    let wal = fs::read(folder.journal().join("wal")).unwrap();
    let base = u64::from_be_bytes(wal[8..16].try_into().unwrap());
    assert!((256..3840).contains(&base), "the cases below expect settled and unsettled bundles: {base}");
    (folder, earlier)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    fs::write(path, content).unwrap();
}

/// End of the last frame of a write-ahead file, whose entries don't end in zeros.
fn frames_end(content: &[u8]) -> usize {
    content.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

fn flip(path: &Path, at: usize) {
    change(path, |content| content[at] ^= 0x10);
}

/// Changes an entry of bundle 3 and, up to a level, the hashes over it.
fn rehash(dir: &Path, levels: u32) {
    let bundle = dir.join("tile/entries/003");
    flip(&bundle, 2);
    let content = fs::read(&bundle).unwrap();
    let len = usize::from(u16::from_be_bytes([content[0], content[1]]));
    let leaf = hash::leaf(&content[2..2 + len]);
    let tile = dir.join("tile/0/003");
    change(&tile, |hashes| hashes[..32].copy_from_slice(&leaf));
    if levels > 1 {
        let leaves: Vec<_> = fs::read(&tile).unwrap().chunks(32).map(|hash| hash.try_into().unwrap()).collect();
        change(&dir.join("tile/1/000.p/15"), |hashes| hashes[96..128].copy_from_slice(&hash::root(&leaves)));
    }
}

fn note(dir: &Path, edit: impl FnOnce(String) -> String) {
    let path = dir.join("checkpoint");
    let text = fs::read_to_string(&path).unwrap();
    let edited = edit(text.clone());
    assert_ne!(text, edited);
    fs::write(path, edited).unwrap();
}

struct Case {
    name: &'static str,
    tamper: fn(&Path, earlier: &Path),
    /// Part of what verifying says.
    verify: &'static str,
    /// Part of what opening says; empty where it only looks at the journal's right edge.
    open: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a changed entry",
        tamper: |dir, _| flip(&dir.join("tile/entries/003"), 2),
        verify: "entry 768 in",
        open: "",
    },
    Case {
        name: "a changed leaf hash",
        tamper: |dir, _| flip(&dir.join("tile/0/003"), 33),
        verify: "entry 769 in",
        open: "",
    },
    Case {
        name: "an entry changed with its hash",
        tamper: |dir, _| rehash(dir, 1),
        verify: "is not the hash of entries 768 to 1023",
        open: "",
    },
    Case {
        name: "an entry changed with all hashes over it",
        tamper: |dir, _| rehash(dir, 2),
        verify: "the first 4000 entries do not have the signed root",
        open: "",
    },
    Case {
        name: "the hashes at the edge changed",
        tamper: |dir, _| {
            for file in fs::read_dir(dir.join("tile/1/000.p")).unwrap() {
                flip(&file.unwrap().path(), 0);
            }
        },
        verify: "is not the hash of entries 0 to 255",
        open: "its root is not that of the first 4000 entries",
    },
    Case {
        name: "a changed partial bundle",
        tamper: |dir, _| flip(&dir.join("tile/entries/015.p/160"), 2),
        verify: "entry 3840 in",
        open: "",
    },
    Case {
        name: "a changed partial tile",
        tamper: |dir, _| flip(&dir.join("tile/0/015.p/160"), 0),
        verify: "entry 3840 in",
        open: "",
    },
    Case {
        name: "a missing bundle",
        tamper: |dir, _| fs::remove_file(dir.join("tile/entries/007")).unwrap(),
        verify: "tile/entries/007: the entry bundle is missing",
        open: "",
    },
    Case {
        name: "a missing tile",
        tamper: |dir, _| fs::remove_file(dir.join("tile/0/007")).unwrap(),
        verify: "tile/0/007: the tile is missing",
        open: "",
    },
    Case {
        name: "all tiles missing",
        tamper: |dir, _| fs::remove_dir_all(dir.join("tile")).unwrap(),
        verify: "tile/entries/000: the entry bundle is missing",
        open: "the tile is missing",
    },
    Case {
        name: "a bundle cut short",
        tamper: |dir, _| change(&dir.join("tile/entries/007"), |content| content.truncate(content.len() - 1)),
        verify: "does not divide into entries",
        open: "",
    },
    Case {
        name: "an emptied bundle",
        tamper: |dir, _| change(&dir.join("tile/entries/007"), Vec::clear),
        verify: "holds 0 entries, expected 256",
        open: "",
    },
    Case {
        name: "an entry too many",
        tamper: |dir, _| change(&dir.join("tile/entries/007"), |content| content.extend(*b"\0\x01x")),
        verify: "holds 257 entries, expected 256",
        open: "",
    },
    Case {
        name: "a tile cut short",
        tamper: |dir, _| change(&dir.join("tile/0/007"), |content| content.truncate(8191)),
        verify: "8191 bytes, expected 256 hashes",
        open: "",
    },
    Case {
        name: "bundles exchanged with their tiles",
        tamper: |dir, _| {
            for kind in ["tile/entries", "tile/0"] {
                let (one, two) = (dir.join(kind).join("002"), dir.join(kind).join("003"));
                let content = fs::read(&one).unwrap();
                fs::copy(&two, &one).unwrap();
                fs::write(&two, content).unwrap();
            }
        },
        verify: "is not the hash of entries 512 to 767",
        open: "",
    },
    Case {
        name: "a smaller size in the checkpoint",
        tamper: |dir, _| note(dir, |note| note.replacen("4000", "3999", 1)),
        verify: "the signature of gateway.example.org/journal is wrong",
        open: "the signature of gateway.example.org/journal is wrong",
    },
    Case {
        name: "another origin in the checkpoint",
        tamper: |dir, _| note(dir, |note| note.replacen("gateway", "gatehouse", 1)),
        verify: "of a journal other than gatehouse",
        open: "the signature of gateway.example.org/journal is wrong",
    },
    Case {
        name: "no signature",
        tamper: |dir, _| note(dir, |note| note.split_inclusive("\n\n").next().unwrap().to_owned()),
        verify: "does not end in a newline",
        open: "does not end in a newline",
    },
    Case {
        name: "a checkpoint signed by another key",
        tamper: |dir, _| {
            let checkpoint = Checkpoint { origin: ORIGIN.into(), size: SIZE, root: [7; 32] };
            note(dir, |_| checkpoint.sign(&IdentityKey::generate().unwrap()).unwrap());
        },
        verify: "not signed by gateway.example.org/journal+",
        open: "not signed by gateway.example.org/journal+",
    },
    Case {
        name: "no checkpoint",
        tamper: |dir, _| fs::remove_file(dir.join("checkpoint")).unwrap(),
        verify: "checkpoint: the file is missing",
        open: "the journal has entries but no checkpoint",
    },
    Case {
        name: "an emptied checkpoint",
        tamper: |dir, _| fs::write(dir.join("checkpoint"), b"").unwrap(),
        verify: "the checkpoint has no origin and size",
        open: "no blank line",
    },
    Case {
        name: "no write-ahead file",
        tamper: |dir, _| fs::remove_file(dir.join("wal")).unwrap(),
        verify: "wal: the file is missing",
        open: "the write-ahead file is missing",
    },
    Case {
        name: "an emptied write-ahead file",
        tamper: |dir, _| fs::write(dir.join("wal"), b"").unwrap(),
        verify: "no write-ahead file of a journal",
        open: "no write-ahead file of a journal",
    },
    Case {
        name: "a changed header of the write-ahead file",
        tamper: |dir, _| flip(&dir.join("wal"), 14),
        verify: "the header is damaged",
        open: "the header is damaged",
    },
    Case {
        name: "a changed frame before good ones",
        tamper: |dir, _| flip(&dir.join("wal"), 200),
        verify: "is damaged: a good frame follows",
        open: "is damaged: a good frame follows",
    },
    Case {
        name: "a changed last frame",
        tamper: |dir, _| {
            change(&dir.join("wal"), |content| {
                let last = frames_end(content) - 1;
                content[last] ^= 1
            })
        },
        verify: "speak of 4000 entries, the journal holds 3999",
        open: "speak of 4000 entries, the disk holds 3999",
    },
    Case {
        name: "a write-ahead file cut short",
        tamper: |dir, _| change(&dir.join("wal"), |content| content.truncate(frames_end(content) - 1)),
        verify: "speak of 4000 entries, the journal holds 3999",
        open: "speak of 4000 entries, the disk holds 3999",
    },
    Case {
        name: "an earlier write-ahead file",
        tamper: |dir, earlier| assert!(fs::copy(earlier.join("wal"), dir.join("wal")).is_ok()),
        verify: "speak of 4000 entries, the journal holds 3900",
        open: "speak of 4000 entries, the disk holds 3900",
    },
    Case {
        name: "checkpoint and write-ahead file rolled back together",
        tamper: |dir, earlier| {
            for file in ["wal", "checkpoint"] {
                fs::copy(earlier.join(file), dir.join(file)).unwrap();
            }
        },
        verify: "speak of 4000 entries, the journal holds 3900",
        open: "speak of 4000 entries, the disk holds 3900",
    },
];

#[test]
fn every_change_is_found_and_named() {
    let (folder, earlier) = original();
    for case in CASES {
        let dir = folder.0.join("tampered");
        copy_tree(&folder.journal(), &dir);
        (case.tamper)(&dir, &earlier);
        let found = verify(&dir, &folder.verifier()).map_err(|error| error.to_string());
        let found = found.expect_err(case.name);
        assert!(found.contains(case.verify), "{}: {found}", case.name);
        let opened = Journal::open(&dir, folder.config());
        match (case.open, opened) {
            ("", Ok(_)) => {}
            ("", Err(error)) => panic!("{}: {error}", case.name),
            (expected, opened) => {
                let error = opened.map_err(|error| error.to_string()).expect_err(case.name);
                assert!(error.contains(expected), "{}: {error}", case.name);
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    verify(&folder.journal(), &folder.verifier()).unwrap();
}

/// No file tells of it: that is what witnesses are for. Kept here so that nobody believes otherwise.
#[test]
fn a_folder_rolled_back_whole_is_not_seen_from_within() {
    let (folder, earlier) = original();
    assert_eq!(verify(&earlier, &folder.verifier()).unwrap().checkpoint.size, 3900);
}

#[test]
fn another_key_or_name_is_not_trusted() {
    let folder = Folder::filled(3);
    let other = IdentityKey::generate().unwrap().verifier(ORIGIN).unwrap();
    assert!(verify(&folder.journal(), &other).unwrap_err().to_string().contains("not signed by"));
    let name = Verifier::new("else.example.org", folder.key().public_key()).unwrap();
    assert!(verify(&folder.journal(), &name).unwrap_err().to_string().contains("not signed by"));
    let mut config = folder.config();
    config.key = IdentityKey::generate().unwrap();
    assert!(Journal::open(&folder.journal(), config).unwrap_err().to_string().contains("not signed by"));
}

/// Each byte of a small journal's signed files, one bit at a time.
#[test]
fn no_bit_of_a_small_journal_can_change() {
    let folder = Folder::filled(5);
    let dir = folder.journal();
    for file in ["checkpoint", "wal", "tile/0/000.p/5", "tile/entries/000.p/5"] {
        let path = dir.join(file);
        let good = fs::read(&path).unwrap();
        let end = if file == "wal" { frames_end(&good) } else { good.len() };
        for at in 0..end {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, &bad).unwrap();
            assert!(verify(&dir, &folder.verifier()).is_err(), "{file}, byte {at}");
        }
        fs::write(&path, &good).unwrap();
    }
    verify(&dir, &folder.verifier()).unwrap();
}
