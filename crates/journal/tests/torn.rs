//! Every file of a journal's folder, cut and garbled at each place: the journal recovers with all that it had, or refuses and
//! says which file it is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Folder, append, copy_tree};
use drieslot_journal::{Published, Reader, entry, prune, verify};

/// How many places of a file are tried; of a shorter one all.
fn places() -> usize {
    if std::env::var_os("DRIESLOT_FULL").is_some() { 300 } else { 12 }
}

/// A journal with files of every kind: pruned, with bundles that its write-ahead file does not hold any more, partial tiles on
/// two levels, a cosigned note.
fn world() -> Folder {
    let folder = Folder::filled(900);
    let body = serde_json::json!({"before": 256});
    let said = entry::encode("prune", "2026-01-31T23:59:59Z", &body).unwrap();
    prune(&folder.journal(), folder.config(), 256, said).unwrap();
    Published::open(&folder.journal(), &folder.verifier()).unwrap().keep_cosigned("\u{2014} w AAAAAAAA\n").unwrap();
    let (journal, _) = folder.open().unwrap();
    append(&journal, 901, 1_400);
    journal.close().unwrap();
    folder
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

/// All entries that are there, and what is cosigned.
fn content(folder: &Folder) -> Result<(Vec<Vec<u8>>, Option<String>), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let reader = Reader::open(&folder.journal()).map_err(|error| said(&error))?;
    let entries = reader.entries(reader.first(), reader.size()).map_err(|error| said(&error))?;
    let entries: Result<Vec<_>, _> = entries.map(|found| found.map(|(_, entry)| entry)).collect();
    let published = Published::open(&folder.journal(), &folder.verifier()).map_err(|error| said(&error))?;
    let cosigned = published.cosigned(&folder.verifier()).map_err(|error| said(&error))?;
    Ok((entries.map_err(|error| said(&error))?, cosigned))
}

/// True where the journal went on.
fn recovers_or_refuses(folder: &Folder, file: &str, what: &str, before: &(Vec<Vec<u8>>, Option<String>)) -> bool {
    // Whoever reads it as it is may be refused, and is never told something else.
    if let Ok((entries, cosigned)) = content(folder) {
        let same = entries == before.0 || entries.len() < before.0.len() && before.0.starts_with(&entries);
        assert!(verify(&folder.journal(), &folder.verifier()).is_err() || same, "{file}, {what}: read otherwise");
        assert!(cosigned == before.1 || cosigned.is_none() || file == "checkpoint.cosigned", "{file}, {what}");
    }
    match folder.open() {
        Err(error) => {
            let error = error.to_string();
            let named = [file, "entries are missing", "pruned", "entries or tiles were changed"]
                .iter()
                .any(|name| error.contains(name));
            assert!(named, "{file}, {what}: it is not said where: {error}");
            false
        }
        Ok((journal, recovered)) => {
            journal.close().unwrap();
            assert_eq!(recovered.entries, 1_400, "{file}, {what}");
            match verify(&folder.journal(), &folder.verifier()) {
                Ok(report) => {
                    assert_eq!(report.checkpoint.size, 1_400);
                    assert_eq!(
                        content(folder).map(|content| content.0).unwrap_or(before.0.clone()),
                        before.0,
                        "{file}, {what}"
                    );
                }
                // What no writer reads again, a check does.
                Err(error) => assert!(error.to_string().contains(file), "{file}, {what}: {error}"),
            }
            true
        }
    }
}

#[test]
fn each_file_cut_and_garbled_anywhere_is_made_again_or_refused() {
    let folder = world();
    let kept = folder.0.join("kept");
    copy_tree(&folder.journal(), &kept);
    let before = content(&folder).unwrap();
    assert_eq!(before.0.len(), 1_400 - 256);
    let mut all = Vec::new();
    files(&kept, &mut all);
    let (mut went_on, mut refused) = (0, 0);
    // The write-ahead file has tests of its own, for each byte.
    for path in all.iter().filter(|path| !path.ends_with("wal") && !path.ends_with("lock")) {
        let file = path.strip_prefix(&kept).unwrap().to_str().unwrap().to_owned();
        let whole = fs::read(path).unwrap();
        let step = whole.len().div_ceil(places()).max(1);
        let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
        for at in (0..whole.len()).step_by(step) {
            cases.push((format!("cut at {at}"), whole[..at].to_vec()));
            let mut garbled = whole.clone();
            garbled[at] ^= 1 << (at % 8);
            cases.push((format!("garbled at {at}"), garbled));
            let zeroed = [&whole[..at], &vec![0; whole.len() - at]].concat();
            cases.push((format!("zeros from {at}"), zeroed));
        }
        for (what, content) in cases.into_iter().filter(|(_, content)| *content != whole) {
            fs::remove_dir_all(folder.journal()).unwrap();
            copy_tree(&kept, &folder.journal());
            fs::write(folder.journal().join(&file), content).unwrap();
            match recovers_or_refuses(&folder, &file, &what, &before) {
                true => went_on += 1,
                false => refused += 1,
            }
        }
    }
    println!("{went_on} times it went on, {refused} times it was refused");
    assert!(went_on > 40 && refused > 40);
}
