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

use common::{Folder, append, copy_tree};
use drieslot_journal::{IdentityKey, Note, verify};

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
    foreign_with(tool, dir, vkey, &[])
}

fn foreign_with(tool: &Path, dir: &Path, vkey: &str, more: &[&str]) -> Result<String, String> {
    let output = Command::new("python3").arg(tool).arg(dir).arg(vkey).args(more).output().unwrap();
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

#[test]
fn a_foreign_verifier_counts_cosignatures_and_compares_what_was_seen_before() {
    let Some(tool) = tool() else { return };
    let folder = Folder::filled(500);
    let (dir, vkey) = (folder.journal(), folder.verifier().vkey());
    let text = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let keys: Vec<_> = (0..3).map(|at| (format!("w.example/{at}"), IdentityKey::generate().unwrap())).collect();
    let vkeys: Vec<_> = keys.iter().map(|(name, key)| key.cosigner(name).unwrap().vkey()).collect();
    let seen = folder.0.join("seen");
    std::fs::copy(dir.join("checkpoint"), &seen).unwrap();
    let old = folder.0.join("old");
    copy_tree(&dir, &old);
    // Cosigned long ago by two of three.
    let note = text("checkpoint");
    let body = Note::parse(&note).unwrap().text().to_owned();
    let lines = |who: &[usize]| -> String {
        who.iter().map(|at| keys[*at].1.cosign(&keys[*at].0, &body, 1_700_000_000).unwrap()).collect()
    };
    let cosign = |lines: &str| std::fs::write(dir.join("checkpoint.cosigned"), format!("{note}{lines}")).unwrap();
    let policy: Vec<_> = vkeys.iter().flat_map(|vkey| ["--witness", vkey]).chain(["--quorum", "2"]).collect();
    let ask = |dir: &Path, more: &[&str]| foreign_with(&tool, dir, &vkey, &[&policy, more].concat());
    let seen = seen.display().to_string();

    assert!(ask(&dir, &[]).unwrap_err().contains("checkpoint.cosigned: missing"));
    cosign(&lines(&[0, 2]));
    let (journal, _) = folder.open().unwrap();
    append(&journal, 500, 700);
    journal.close().unwrap();
    let said = ask(&dir, &["--since", &seen]).unwrap();
    assert!(said.contains("700 entries") && said.contains("500 cosigned by w.example/2 w.example/0, "), "{said}");
    assert!(ask(&dir, &["--cosigned-within", "3600"]).unwrap_err().contains("s ago, more than 3600"));
    cosign(&lines(&[1]));
    assert!(ask(&dir, &[]).unwrap_err().contains("cosigned by 1 witnesses, and 2 must"));
    let good = lines(&[0]);
    let forged = good.replace("w.example/0", "w.example/1");
    cosign(&(lines(&[0, 2]) + &forged));
    assert!(ask(&dir, &[]).is_ok(), "another key id is another key");
    let wrong = lines(&[1]);
    let at = wrong.len() - 8;
    let wrong = format!("{}{}{}", &wrong[..at], if wrong[at..].starts_with('A') { "B" } else { "A" }, &wrong[at + 1..]);
    cosign(&(lines(&[0, 2]) + &wrong));
    assert!(ask(&dir, &[]).unwrap_err().contains("the cosignature of w.example/1 is wrong"));

    let later = folder.0.join("later");
    std::fs::copy(dir.join("checkpoint"), &later).unwrap();
    let later = later.display().to_string();
    assert!(foreign_with(&tool, &old, &vkey, &["--since", &later]).unwrap_err().contains("rolled back"));
    let (journal, _) = drieslot_journal::Journal::open(&old, folder.config()).unwrap();
    (500..800).for_each(|_| assert!(journal.append(b"another history".to_vec()).is_ok()));
    journal.close().unwrap();
    foreign(&tool, &old, &vkey).unwrap();
    assert!(foreign_with(&tool, &old, &vkey, &["--since", &later]).unwrap_err().contains("a second history"));
    foreign_with(&tool, &old, &vkey, &["--since", &seen]).unwrap();
    // Wrong usage is an error, and not a journal that verifies.
    for more in [&["--quorum", "2"][..], &["--witness", &vkeys[0]], &["--cosigned-within", "3"]] {
        assert!(foreign_with(&tool, &dir, &vkey, more).is_err());
    }
    assert!(ask(&dir, &["--witness", &vkeys[0]]).unwrap_err().contains("named twice"));
    assert!(ask(&dir, &["--quorum", "1"]).unwrap_err().contains("more than half"));
}
