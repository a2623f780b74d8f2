//! A checkpoint that a quorum of witnesses cosigned: only verified cosignatures make one.

use std::collections::BTreeSet;

use crate::{Checkpoint, Cosigner, JournalError, Note, Verifier};

/// Whose cosignatures count, and how many of them make a checkpoint cosigned.
#[derive(Debug, Clone)]
pub struct Quorum {
    cosigners: Vec<Cosigner>,
    needed: usize,
}

impl Quorum {
    /// # Errors
    /// Which rule isn't met: 1 ≤ `needed` ≤ cosigners, and none is named twice.
    pub fn new(cosigners: Vec<Cosigner>, needed: usize) -> Result<Self, String> {
        if needed == 0 || needed > cosigners.len() {
            return Err(format!("a quorum of {needed} of {} witnesses: 1 ≤ quorum ≤ witnesses", cosigners.len()));
        }
        let names: BTreeSet<_> = cosigners.iter().map(Cosigner::name).collect();
        let keys: BTreeSet<_> = cosigners.iter().map(Cosigner::public_key).collect();
        match names.len().min(keys.len()) < cosigners.len() {
            true => Err("two witnesses have the same name or key".into()),
            false => Ok(Self { cosigners, needed }),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        self.cosigners.len()
    }
}

/// A journal's checkpoint with a quorum's cosignatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    checkpoint: Checkpoint,
    witnesses: Vec<String>,
    time_s: u64,
}

impl Cosigned {
    /// Opens a note that the journal's key signed. Signatures of others than the quorum's witnesses are ignored.
    ///
    /// # Errors
    /// [`JournalError::Checkpoint`] where the key did not sign it, a cosignature is false, or too few are there.
    pub fn open(note: &str, verifier: &Verifier, quorum: &Quorum) -> Result<Self, JournalError> {
        let checkpoint = Checkpoint::open(note, verifier)?;
        let note = Note::parse(note)?;
        let (mut witnesses, mut times) = (Vec::new(), Vec::new());
        for cosigner in &quorum.cosigners {
            if let Some(time_s) = note.cosigned_by(cosigner)? {
                witnesses.push(cosigner.name().to_owned());
                times.push(time_s);
            }
        }
        times.sort_unstable_by(|one, other| other.cmp(one));
        // Of so many as it takes the earliest: one witness whose clock is ahead makes nothing look newer.
        let Some(time_s) = times.get(quorum.needed - 1).copied() else {
            let why = format!(
                "{} of {} witnesses cosigned these {} entries, and {} must: {}",
                witnesses.len(),
                quorum.witnesses(),
                checkpoint.size,
                quorum.needed,
                if witnesses.is_empty() { "none".into() } else { witnesses.join(", ") }
            );
            return Err(JournalError::Checkpoint { why });
        };
        Ok(Self { checkpoint, witnesses, time_s })
    }

    /// What they cosigned.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Their names.
    #[must_use]
    pub fn witnesses(&self) -> &[String] {
        &self.witnesses
    }

    /// When the quorum was reached, by the witnesses' clocks, in seconds of the epoch.
    #[must_use]
    pub fn time_s(&self) -> u64 {
        self.time_s
    }
}
