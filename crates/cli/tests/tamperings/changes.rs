//! The tamperings, by the names that the page gives them.

use std::fs;
use std::path::Path;

use drieslot_journal::{COSIGNED, IdentityKey, entry, hash};

use crate::world::{EARLIER, ORIGIN, SIZE, WITNESSES, World, copy, said};

type Change = fn(&World, &Path);

pub(crate) const CHANGES: &[(&str, Change)] = &[
    ("a byte of an entry is changed", |_, dir| flip(&dir.join("tile/entries/002"), 2)),
    ("an entry is changed, and its hash", |_, dir| rewrite(dir, 1)),
    ("an entry is changed, and all hashes over it", |_, dir| rewrite(dir, 2)),
    ("the last entry is dropped", |_, dir| {
        entries(&dir.join("tile/entries/005.p/20"), |entries| drop(entries.pop()));
        cut_last_frame(&dir.join("wal"));
    }),
    ("an entry in the middle is dropped", |_, dir| entries(&bundle(dir), |entries| drop(entries.remove(5)))),
    ("an entry is inserted", |_, dir| entries(&bundle(dir), |entries| entries.insert(5, said("inserted")))),
    ("an entry is doubled over its neighbour", |_, dir| {
        entries(&bundle(dir), |entries| entries[6] = entries[5].clone())
    }),
    ("two entries are exchanged", |_, dir| entries(&bundle(dir), |entries| entries.swap(5, 6))),
    ("two bundles are exchanged", |_, dir| exchange(&dir.join("tile/entries"))),
    ("two tiles are exchanged", |_, dir| exchange(&dir.join("tile/0"))),
    ("two bundles are exchanged, and their tiles", |_, dir| {
        ["tile/entries", "tile/0"].iter().for_each(|folder| exchange(&dir.join(folder)));
    }),
    ("a bundle is deleted", |_, dir| fs::remove_file(bundle(dir)).unwrap()),
    ("a tile is deleted", |_, dir| fs::remove_file(dir.join("tile/0/002")).unwrap()),
    ("entries are deleted as if they had been pruned", |_, dir| {
        for file in ["tile/entries/000", "tile/entries/001", "tile/0/000", "tile/0/001"] {
            fs::remove_file(dir.join(file)).unwrap();
        }
        fs::write(dir.join("pruned"), format!("512 {}\n", SIZE - 1)).unwrap();
    }),
    ("a tile is cut short", |_, dir| change(&dir.join("tile/0/002"), |bytes| bytes.truncate(8191))),
    ("the write-ahead file is changed", |_, dir| flip(&dir.join("wal"), 200)),
    ("the write-ahead file is deleted", |_, dir| fs::remove_file(dir.join("wal")).unwrap()),
    ("entries after the checkpoint are cut off", |world, dir| {
        copy(&world.path("unsigned"), dir);
        fs::copy(world.path("reopened/wal"), dir.join("wal")).unwrap();
    }),
    ("the size in the checkpoint is changed", |_, dir| {
        let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
        fs::write(dir.join("checkpoint"), note.replacen("1300", "1299", 1)).unwrap();
    }),
    ("the checkpoint is an older one", |world, dir| put_back(world, dir, &["checkpoint"])),
    ("the checkpoint is signed by another key", |world, dir| {
        world.sign_again(dir, ORIGIN, &IdentityKey::generate().unwrap());
    }),
    ("the checkpoint is of another origin", |world, dir| {
        world.sign_again(dir, "gateway.example.org/other", &world.key());
    }),
    ("the folder is put back whole", |world, dir| copy(&world.path("earlier"), dir)),
    ("the folder is put back, and goes on with the key", |world, dir| {
        copy(&world.path("earlier"), dir);
        world.write(dir, (EARLIER..SIZE + 100).map(other));
    }),
    ("everything is rewritten with the key", |world, dir| {
        fs::remove_dir_all(dir).unwrap();
        world.write(dir, (0..SIZE).map(other));
    }),
    ("everything is rewritten with the key, under the old cosignatures", |world, dir| {
        fs::remove_dir_all(dir).unwrap();
        world.write(dir, (0..SIZE).map(other));
        fs::copy(world.path("now").join(COSIGNED), dir.join(COSIGNED)).unwrap();
    }),
    ("two processes write with one key, each its own history", |world, dir| {
        copy(&world.path("earlier"), dir);
        world.write(dir, (EARLIER..EARLIER + 50).map(other));
    }),
    ("a second history is shown to one witness, which lies and cosigns it", |world, dir| {
        copy(&world.path("earlier"), dir);
        world.write(dir, (EARLIER..SIZE + 100).map(other));
        world.put_cosigned(dir, &[(&name(2), &world.witness_key(WITNESSES[2]), now_s())]);
    }),
    ("the folder is deleted", |_, dir| fs::remove_dir_all(dir).unwrap()),
    ("`checkpoint.cosigned` is deleted", |_, dir| fs::remove_file(dir.join(COSIGNED)).unwrap()),
    ("a cosignature is false", |_, dir| {
        let note = fs::read_to_string(dir.join(COSIGNED)).unwrap();
        let line = note.lines().find(|line| line.contains(&name(1))).unwrap();
        let at = line.len() - 8;
        let swapped = if line[at..].starts_with('A') { "B" } else { "A" };
        let forged = format!("{}{swapped}{}", &line[..at], &line[at + 1..]);
        fs::write(dir.join(COSIGNED), note.replace(line, &forged)).unwrap();
    }),
    ("witnesses that nobody named cosigned it", |world, dir| {
        let strangers = [0, 1, 2].map(|_| IdentityKey::generate().unwrap());
        let by: Vec<_> = strangers.iter().enumerate().map(|(at, key)| (name(at), key)).collect();
        world.put_cosigned(dir, &by.iter().map(|(name, key)| (name.as_str(), *key, now_s())).collect::<Vec<_>>());
    }),
    ("one cosignature too few", |world, dir| {
        world.put_cosigned(dir, &[(&name(0), &world.witness_key(WITNESSES[0]), now_s())]);
    }),
    ("the cosignatures are of long ago", |world, dir| {
        let long_ago = now_s() - 86_400;
        let keys = [0, 1].map(|at| (name(at), world.witness_key(WITNESSES[at])));
        world.put_cosigned(dir, &keys.each_ref().map(|(name, key)| (name.as_str(), key, long_ago)));
    }),
    ("the part itself writes what is not true, or a time that was not", |world, dir| {
        let false_one = entry::encode("test", "1999-12-31T23:59:59Z", &serde_json::json!({"text": "false"}));
        world.write(dir, [false_one.unwrap()]);
        world.cosign(dir, SIZE);
    }),
];

/// Of another history.
fn other(index: u64) -> Vec<u8> {
    said(&format!("another {index}"))
}

fn name(at: usize) -> String {
    format!("w.example/{}", WITNESSES[at])
}

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn bundle(dir: &Path) -> std::path::PathBuf {
    dir.join("tile/entries/002")
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    fs::write(path, content).unwrap();
}

fn flip(path: &Path, at: usize) {
    change(path, |content| content[at] ^= 1);
}

fn entries(path: &Path, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
    change(path, |content| {
        let (mut entries, mut at) = (Vec::new(), 0);
        while at < content.len() {
            let end = at + 2 + usize::from(u16::from_be_bytes([content[at], content[at + 1]]));
            entries.push(content[at + 2..end].to_vec());
            at = end;
        }
        edit(&mut entries);
        let framed = |entry: &Vec<u8>| [&u16::try_from(entry.len()).unwrap().to_be_bytes(), entry.as_slice()].concat();
        *content = entries.iter().flat_map(framed).collect();
    });
}

/// The second and the third file of a folder of tiles.
fn exchange(folder: &Path) {
    let (one, two) = (folder.join("001"), folder.join("002"));
    let content = fs::read(&one).unwrap();
    fs::copy(&two, &one).unwrap();
    fs::write(&two, content).unwrap();
}

/// An entry, and the hashes over it up to a level; the root is signed.
fn rewrite(dir: &Path, levels: u32) {
    let mut leaf = [0; 32];
    entries(&bundle(dir), |entries| {
        entries[5] = said("rewritten");
        leaf = hash::leaf(&entries[5]);
    });
    let tile = dir.join("tile/0/002");
    change(&tile, |hashes| hashes[5 * 32..6 * 32].copy_from_slice(&leaf));
    if levels > 1 {
        let leaves: Vec<_> = fs::read(&tile).unwrap().chunks(32).map(|hash| hash.try_into().unwrap()).collect();
        for file in fs::read_dir(dir.join("tile/1/000.p")).unwrap() {
            change(&file.unwrap().path(), |hashes| {
                if hashes.len() >= 96 {
                    hashes[64..96].copy_from_slice(&hash::root(&leaves));
                }
            });
        }
    }
}

/// What follows the last frame's beginning; the file may end in zeros.
fn cut_last_frame(wal: &Path) {
    change(wal, |content| {
        let last = content.windows(4).rposition(|bytes| bytes == b"DSJF").unwrap();
        content.truncate(last);
    });
}

fn put_back(world: &World, dir: &Path, files: &[&str]) {
    for file in files {
        fs::copy(world.path("earlier").join(file), dir.join(file)).unwrap();
    }
}
