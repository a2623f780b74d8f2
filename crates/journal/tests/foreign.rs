//! The journal before a verifier that shares no line with it: `tools/verify_journal.py`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Folder;
use drieslot_journal::verify;

fn tool() -> Option<PathBuf> {
    let has_library = Command::new("python3")
        .args(["-c", "import cryptography.hazmat.primitives.asymmetric.ed25519"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_library {
        eprintln!("SKIPPED: python3 with the package `cryptography` is needed to run tools/verify_journal.py");
        return None;
    }
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_journal.py");
    assert!(tool.exists(), "{}", tool.display());
    Some(tool)
}

fn foreign(tool: &Path, dir: &Path, vkey: &str) -> Result<String, String> {
    let output = Command::new("python3").arg(tool).arg(dir).arg(vkey).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn a_foreign_verifier_accepts_every_shape_of_tree() {
    let Some(tool) = tool() else { return };
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 1000, 65_536, 70_000] {
        let folder = Folder::filled(size);
        let said = foreign(&tool, &folder.journal(), &folder.verifier().vkey()).unwrap();
        assert!(said.contains(&format!("{size} entries")), "{said}");
    }
}

#[test]
fn a_foreign_verifier_finds_what_ours_finds() {
    let Some(tool) = tool() else { return };
    let folder = Folder::filled(1000);
    let (dir, vkey) = (folder.journal(), folder.verifier().vkey());
    let cases = [
        ("tile/entries/001", 5, "entries 256 to 256"),
        ("tile/entries/003.p/232", 5, "entries 768 to 768"),
        ("tile/0/002", 8191, "entries 767 to 767"),
        ("tile/0/003.p/232", 0, "entries 768 to 768"),
        ("tile/1/000.p/3", 40, "entries 256 to 511"),
        ("checkpoint", 30, "the signature of gateway.example.org/journal is wrong"),
    ];
    for (file, at, expected) in cases {
        let path = dir.join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let said = foreign(&tool, &dir, &vkey).unwrap_err();
        assert!(said.contains(expected), "{file}: {said}");
        assert!(verify(&dir, &folder.verifier()).is_err(), "{file}");
        std::fs::remove_file(&path).unwrap();
        assert!(foreign(&tool, &dir, &vkey).is_err(), "{file} missing");
        std::fs::write(&path, &good).unwrap();
    }
    let other = Folder::new().verifier().vkey();
    assert!(foreign(&tool, &dir, &other).unwrap_err().contains("not signed by"));
    foreign(&tool, &dir, &vkey).unwrap();
}

#[test]
fn a_foreign_verifier_reads_what_pruning_left() {
    let Some(tool) = tool() else { return };
    let folder = Folder::filled(70_000);
    let body = serde_json::json!({"before": 66_048});
    let said = drieslot_journal::entry::encode("prune", "2026-01-31T23:59:59Z", &body).unwrap();
    drieslot_journal::prune(&folder.journal(), folder.config(), 66_048, said).unwrap();
    let vkey = folder.verifier().vkey();
    let said = foreign(&tool, &folder.journal(), &vkey).unwrap();
    assert!(said.contains("70001 entries, those before 66048 pruned"), "{said}");
    for (text, why) in
        [("66304 70000\n", "does not say"), ("66048 70001\n", "not signed for"), ("66048\n", "not FIRST ENTRY")]
    {
        std::fs::write(folder.journal().join("pruned"), text).unwrap();
        let said = foreign(&tool, &folder.journal(), &vkey).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    std::fs::remove_file(folder.journal().join("pruned")).unwrap();
    assert!(foreign(&tool, &folder.journal(), &vkey).unwrap_err().contains("missing"));
}
