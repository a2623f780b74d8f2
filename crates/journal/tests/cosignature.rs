//! Cosignatures: notes that stock code wrote, and what is refused of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;

use drieslot_journal::{Checkpoint, Cosigner, IdentityKey, JournalError, Note, Verifier};

/// When the notes among the vectors were cosigned.
const TIME_S: u64 = 1_795_604_325;

fn vector(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/cosignatures").join(name))
        .unwrap()
}

fn keys() -> (Verifier, Cosigner) {
    let text = vector("keys");
    let lines: Vec<&str> = text.lines().collect();
    (Verifier::parse(lines[1]).unwrap(), Cosigner::parse(lines[2]).unwrap())
}

#[test]
fn notes_of_stock_code_verify() {
    let (log, witness) = keys();
    for name in ["cosigned.note", "with-extension.note"] {
        let text = vector(name);
        let note = Note::parse(&text).unwrap();
        assert!(note.signed_by(&log).unwrap(), "{name}");
        assert_eq!(note.cosigned_by(&witness).unwrap(), Some(TIME_S), "{name}");
        let checkpoint = note.checkpoint().unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    }
    assert_eq!(Checkpoint::open(&vector("cosigned.note"), &log).unwrap().size, 20_852_163);
    assert!(Checkpoint::open(&vector("with-extension.note"), &log).is_err(), "ours have no extension lines");
    // A key of a real witness, as others publish it.
    let vkey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    assert_eq!(Cosigner::parse(vkey).unwrap().vkey(), vkey);
}

#[test]
fn what_a_cosignature_covers_cannot_be_changed() {
    let (log, witness) = keys();
    let good = vector("with-extension.note");
    for (from, to) in [("20852163", "20852164"), ("an extension", "no extension"), ("CsUY", "CsUZ")] {
        let text = good.replacen(from, to, 1);
        let note = Note::parse(&text).unwrap();
        assert!(note.cosigned_by(&witness).is_err() && note.signed_by(&log).is_err(), "{to}");
    }
    // The time lies in the signature line's bytes: one second later.
    let text = good.replacen("LdoVwgAAAABrBr9l", "LdoVwgAAAABrBr9m", 1);
    assert_ne!(text, good);
    let note = Note::parse(&text).unwrap();
    assert!(note.cosigned_by(&witness).is_err() && note.signed_by(&log).unwrap());
    // A cosignature is no signature, even of the same key and name, and the other way round.
    let both = Verifier::new(witness.name(), witness.public_key()).unwrap();
    assert!(!Note::parse(&good).unwrap().signed_by(&both).unwrap());
    let other = Cosigner::new("witness.example.com/w2", witness.public_key()).unwrap();
    assert_eq!(Note::parse(&good).unwrap().cosigned_by(&other).unwrap(), None);
}

#[test]
fn what_is_cosigned_here_verifies_here() {
    let (log, _) = keys();
    let key = IdentityKey::generate().unwrap();
    let own = key.cosigner("w.example/1").unwrap();
    let text = vector("cosigned.note");
    let line = key.cosign("w.example/1", Note::parse(&text).unwrap().text(), 7).unwrap();
    let text = text + &line;
    let note = Note::parse(&text).unwrap();
    assert_eq!((note.cosigned_by(&own).unwrap(), note.signed_by(&log).unwrap()), (Some(7), true));
    assert_eq!(Cosigner::parse(&own.vkey()).unwrap(), own);
    assert!(matches!(Verifier::parse(&own.vkey()), Err(JournalError::VerifierKey { .. })));
    assert!(matches!(Cosigner::parse(&log.vkey()), Err(JournalError::VerifierKey { .. })));
    assert!(key.cosign("w 1", "x\n", 7).is_err());
}

#[test]
fn what_is_no_note_is_refused() {
    let good = vector("cosigned.note");
    for bad in [
        String::new(),
        good.trim_end().to_owned(),
        good.replace("\n\n", "\n"),
        good.replace('\u{2014}', "-"),
        good.replacen("\u{2014} example.com/behind-the-sofa ", "\u{2014}  ", 1),
        good.replacen("AbJ0", "A!J0", 1),
        good.replacen("2085", "20\t85", 1),
        good.clone() + "\u{2014} short AAA=\n",
        "x".repeat(drieslot_journal::MAX_NOTE_BYTES) + &good,
    ] {
        assert!(matches!(Note::parse(&bad), Err(JournalError::Checkpoint { .. })), "{bad:.90}");
    }
    for bad in [
        good.replacen("20852163", "020852163", 1),
        good.replacen("20852163", "+20852163", 1),
        good.replacen("20852163", "-1", 1),
        good.replacen("jj7h2fB2MPA3j2jxq2I=", "", 1),
        good.replacen("20852163\n", "", 1),
        good.replacen("example.com/behind-the-sofa\n", "\n", 1),
    ] {
        assert!(matches!(Note::parse(&bad).unwrap().checkpoint(), Err(JournalError::Checkpoint { .. })), "{bad:.90}");
    }
}
