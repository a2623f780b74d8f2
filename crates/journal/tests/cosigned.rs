//! What witnesses cosigned is held against the journal: whose words count, how many, and that the journal is their continuation.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, ORIGIN, append, copy_tree};
use drieslot_journal::{
    COSIGNED, Checkpoint, Cosigned, Cosigner, IdentityKey, Journal, Mirror, MirrorError, Note, Published, Quorum,
    Trust, VerifyError, verify_folder, verify_served,
};

const TIME_S: u64 = 1_795_604_325;

struct Witnesses([IdentityKey; 3]);

impl Witnesses {
    fn new() -> Self {
        Self([0, 1, 2].map(|_| IdentityKey::generate().unwrap()))
    }

    fn cosigner(&self, at: usize) -> Cosigner {
        self.0[at].cosigner(&format!("w.example/{at}")).unwrap()
    }

    fn quorum(&self, needed: usize) -> Quorum {
        Quorum::new((0..3).map(|at| self.cosigner(at)).collect(), needed).unwrap()
    }

    /// The note, and these witnesses' lines at these times.
    fn cosign(&self, note: &str, who: &[(usize, u64)]) -> String {
        let text = Note::parse(note).unwrap().text().to_owned();
        let line =
            |(at, time_s): &(usize, u64)| self.0[*at].cosign(&format!("w.example/{at}"), &text, *time_s).unwrap();
        note.to_owned() + &who.iter().map(line).collect::<String>()
    }
}

fn note(dir: &Path) -> String {
    fs::read_to_string(dir.join("checkpoint")).unwrap()
}

fn grow(folder: &Folder, from: u64, to: u64) {
    let (journal, _) = folder.open().unwrap();
    append(&journal, from, to);
    journal.close().unwrap();
}

#[test]
fn only_a_quorum_of_known_witnesses_makes_a_checkpoint_cosigned() {
    let (folder, witnesses, strangers) = (Folder::filled(9), Witnesses::new(), Witnesses::new());
    let (bare, verifier) = (note(&folder.journal()), folder.verifier());
    let open = |note: &str, needed| Cosigned::open(note, &verifier, &witnesses.quorum(needed));
    let two = witnesses.cosign(&bare, &[(0, TIME_S), (2, TIME_S + 7)]);
    let cosigned = open(&two, 2).unwrap();
    assert_eq!(cosigned.checkpoint().size, 9);
    assert_eq!(cosigned.witnesses(), ["w.example/0", "w.example/2"]);
    assert_eq!(cosigned.time_s(), TIME_S, "since the second of the two");
    // One clock that is ahead, and one that is behind.
    let three = witnesses.cosign(&bare, &[(0, TIME_S), (1, TIME_S - 90), (2, u64::MAX >> 1)]);
    assert_eq!(open(&three, 2).unwrap().time_s(), TIME_S);
    assert_eq!(open(&three, 3).unwrap().time_s(), TIME_S - 90);

    let refused = |note: &str, needed| open(note, needed).unwrap_err().to_string();
    assert!(
        refused(&two, 3).contains("2 of 3 witnesses cosigned these 9 entries, and 3 must: w.example/0, w.example/2")
    );
    assert!(refused(&bare, 2).contains("and 2 must: none"));
    let twice = witnesses.cosign(&bare, &[(0, TIME_S), (0, TIME_S + 1)]);
    assert!(refused(&twice, 2).contains("1 of 3 witnesses"), "the same one twice is one");
    // Strangers under the same names.
    let foreign = strangers.cosign(&bare, &[(0, TIME_S), (1, TIME_S), (2, TIME_S)]);
    assert!(refused(&foreign, 2).contains("0 of 3 witnesses"));
    // A line that claims to be of a witness, and is another text's; two good ones beside it.
    let later = bare.replacen("\n9\n", "\n10\n", 1);
    let forged = witnesses.cosign(&later, &[(1, TIME_S)]).split_off(later.len());
    assert!(refused(&(two.clone() + &forged), 2).contains("the cosignature of w.example/1 is wrong"));
    // Cosigned, and not signed.
    assert!(refused(&two.replacen(ORIGIN, "gateway.example.org/other", 2), 2).contains("not signed by"));

    assert!(Quorum::new(vec![witnesses.cosigner(0)], 0).is_err() && Quorum::new(vec![], 1).is_err());
    assert!(Quorum::new(vec![witnesses.cosigner(0), witnesses.cosigner(0)], 1).is_err());
}

#[test]
fn a_journal_must_be_the_continuation_of_what_was_cosigned() {
    let (folder, witnesses) = (Folder::filled(600), Witnesses::new());
    let (dir, verifier) = (folder.journal(), folder.verifier());
    let earlier = folder.0.join("earlier");
    copy_tree(&dir, &earlier);
    grow(&folder, 600, 700);
    let cosigned = witnesses.cosign(&note(&dir), &[(0, TIME_S), (1, TIME_S)]);
    let cosigned = Cosigned::open(&cosigned, &verifier, &witnesses.quorum(2)).unwrap();
    grow(&folder, 700, 900);
    let trust = Trust { verifier: &verifier, seen: None, cosigned: Some(&cosigned) };
    assert_eq!(verify_folder(&dir, trust).unwrap().checkpoint.size, 900);
    verify_served(dir.as_path(), &note(&dir), trust).unwrap();
    let behind = verify_folder(&earlier, trust).unwrap_err();
    assert!(matches!(behind, VerifyError::BehindCosigned { cosigned: 700, now: 600 }), "{behind}");
    // The writer goes on from the earlier copy, with the same key.
    let (journal, _) = Journal::open(&earlier, folder.config()).unwrap();
    (600..950).for_each(|index| assert!(journal.append(format!("another {index}").into_bytes()).is_ok()));
    journal.close().unwrap();
    let other = verify_folder(&earlier, trust).unwrap_err();
    assert!(matches!(other, VerifyError::NotCosigned { cosigned: 700 }), "{other}");
    assert!(verify_served(earlier.as_path(), &note(&earlier), trust).is_err());
}

#[test]
fn a_mirror_keeps_what_witnesses_cosigned_of_its_history_and_of_no_other() {
    let (folder, witnesses) = (Folder::filled(600), Witnesses::new());
    let (dir, place) = (folder.journal(), folder.0.join("mirror"));
    let open = || Mirror::open(&place, folder.verifier()).unwrap();
    let mut mirror = open();
    mirror.follow(dir.as_path(), &note(&dir)).unwrap();
    let of_600 = witnesses.cosign(&note(&dir), &[(0, TIME_S), (1, TIME_S)]);
    let earlier = folder.0.join("earlier");
    copy_tree(&dir, &earlier);
    grow(&folder, 600, 900);
    mirror.follow(dir.as_path(), &note(&dir)).unwrap();
    let kept = || Published::cosigned_note(&place).unwrap();
    assert_eq!(kept(), None);
    // Of fewer entries than are here: what was cosigned lags behind.
    mirror.take_cosigned(&of_600).unwrap();
    assert_eq!(kept().as_ref(), Some(&of_600));
    let of_900 = witnesses.cosign(&note(&dir), &[(0, TIME_S + 5), (2, TIME_S + 5)]);
    mirror.take_cosigned(&of_900).unwrap();
    drop(mirror);
    let mut mirror = open();
    mirror.take_cosigned(&of_600).unwrap();
    assert_eq!(kept().as_ref(), Some(&of_900), "the newer one stays");

    let (journal, _) = Journal::open(&earlier, folder.config()).unwrap();
    journal.append(b"another history".to_vec()).unwrap();
    journal.close().unwrap();
    let forked = mirror.take_cosigned(&note(&earlier)).unwrap_err();
    assert!(matches!(forked, MirrorError::Forked { had: 900, now: 601 }), "{forked}");
    assert_eq!(fs::read_to_string(place.join("refused")).unwrap(), note(&earlier));
    // Cosigned as more than the checkpoint that was fetched after it names.
    grow(&folder, 900, 950);
    let ahead = mirror.take_cosigned(&witnesses.cosign(&note(&dir), &[(0, TIME_S)])).unwrap_err();
    assert!(matches!(ahead, MirrorError::RolledBack { had: 950, now: 900 }), "{ahead}");
    let foreign = Folder::filled(3);
    assert!(matches!(mirror.take_cosigned(&note(&foreign.journal())), Err(MirrorError::Foreign(_))));
    assert_eq!(kept().as_ref(), Some(&of_900));
    drop(mirror);
    // What is put into the mirror's folder from outside is found.
    fs::write(place.join(COSIGNED), note(&earlier)).unwrap();
    assert!(Mirror::open(&place, folder.verifier()).unwrap_err().to_string().contains("its root is not that"));
    let checkpoint = Checkpoint::open(&of_900, &folder.verifier()).unwrap();
    assert_eq!(checkpoint.size, 900);
}
