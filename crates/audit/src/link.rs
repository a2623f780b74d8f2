//! A journal that goes on from another, and whether that one is what its first entry says.

use std::fmt;

use drieslot_journal::{Checkpoint, JournalError, Reader, Verifier, entry};
use serde::{Deserialize, Serialize};

use crate::AuditError;

const KIND: &str = "link";

/// Why a part has a new journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The part has a new key.
    Key,
    /// The old folder is gone.
    Lost,
    /// The old folder is not what was signed, or is not believed.
    Damaged,
    /// A word that a later version wrote.
    #[serde(other)]
    Other,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "its key was replaced",
            Self::Lost => "its folder was lost",
            Self::Damaged => "its folder was damaged",
            Self::Other => "for a reason that a later version knows",
        })
    }
}

/// Of `link`: which journal this one goes on from, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The old journal's name.
    pub origin: String,
    /// Its verifier key.
    pub key: String,
    /// Why it does not go on itself.
    pub why: Reason,
    /// How many entries it has, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The Merkle tree hash of that many, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The last signed note that is known of it; of `size` entries or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// What is wrong with its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// How much of what a link names is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All, and it is the same.
    All,
    /// All, and so many more, which the link did not know of: it was lost or damaged.
    More(u64),
    /// A mirror has the first so many only.
    Less(u64),
    /// The link names no entries: nothing was known.
    Unknown,
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Link {
    /// A link to what a folder holds.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn to(reader: &Reader, key: &Verifier, why: Reason) -> Result<Self, JournalError> {
        let size = reader.size();
        let root = hex(&reader.root_of(size)?);
        let checkpoint = Some(reader.note().to_owned());
        let none = Self::to_unknown(key, why);
        Ok(Self { size: Some(size), root: Some(root), checkpoint, ..none })
    }

    /// A link to what a note signs.
    #[must_use]
    pub fn to_note(note: &str, checkpoint: &Checkpoint, key: &Verifier, why: Reason) -> Self {
        let (size, root) = (Some(checkpoint.size), Some(hex(&checkpoint.root)));
        Self { size, root, checkpoint: Some(note.to_owned()), ..Self::to_unknown(key, why) }
    }

    /// A link to a journal of which only the key is left.
    #[must_use]
    pub fn to_unknown(key: &Verifier, why: Reason) -> Self {
        let (origin, key) = (key.name().to_owned(), key.vkey());
        Self { origin, key, why, size: None, root: None, checkpoint: None, fault: None }
    }

    /// The link with which a journal begins; `None` where it begins with something else, or its beginning is not there.
    ///
    /// # Errors
    /// [`AuditError::Journal`], [`AuditError::Entry`].
    pub fn of(reader: &Reader) -> Result<Option<Self>, AuditError> {
        if reader.size() == 0 || reader.first() > 0 {
            return Ok(None);
        }
        Self::read(reader.origin(), &reader.first_entry()?)
    }

    /// The link in a journal's first entry, where it is one.
    ///
    /// # Errors
    /// [`AuditError::Entry`].
    pub fn read(origin: &str, first: &[u8]) -> Result<Option<Self>, AuditError> {
        let refuse =
            |error: JournalError| AuditError::Entry { origin: origin.into(), index: 0, why: error.to_string() };
        match crate::filter::kind(first).map_err(refuse)?.as_ref() {
            KIND => entry::decode_as(first).map(|entry| Some(entry.body)).map_err(refuse),
            _ => Ok(None),
        }
    }

    /// The bytes of the entry.
    ///
    /// # Errors
    /// As [`entry::encode`].
    pub fn entry(&self, time: &str) -> Result<Vec<u8>, JournalError> {
        entry::encode(KIND, time, self)
    }

    /// Holds the old journal against the link. Only the root is compared: that its entries have it, `verify` says.
    ///
    /// # Errors
    /// [`AuditError::Link`] where it is another journal, another history, has lost entries, or went on after its end;
    /// errors of reading it.
    pub fn check(&self, old: &Reader) -> Result<Held, AuditError> {
        let broken = |why: String| AuditError::Link { origin: self.origin.clone(), why };
        let key = Verifier::parse(&self.key).map_err(|error| broken(error.to_string()))?;
        let signed = Checkpoint::open(old.note(), &key).map_err(|error| broken(error.to_string()))?;
        let (Some(size), Some(root)) = (self.size, &self.root) else { return Ok(Held::Unknown) };
        if old.size() >= size {
            if hex(&old.root_of(size)?) != *root {
                return Err(broken(format!("its first {size} entries are not those that were linked")));
            }
            return match old.size() - size {
                0 => Ok(Held::All),
                more if self.why == Reason::Key => {
                    Err(broken(format!("it went on after its end: {more} entries follow the {size} that were linked")))
                }
                more => Ok(Held::More(more)),
            };
        }
        let lost = broken(format!("it has {} entries, and {size} were linked", old.size()));
        let Some(note) = self.checkpoint.as_ref().filter(|_| old.is_mirror()) else { return Err(lost) };
        let linked = Checkpoint::open(note, &key).map_err(|error| broken(error.to_string()))?;
        // A mirror has what is signed; what came after the last checkpoint, the link alone says.
        match signed.size >= linked.size {
            true if old.root_of(linked.size)? != linked.root => {
                Err(broken(format!("its first {} entries are not those that were linked", linked.size)))
            }
            true => Ok(Held::Less(old.size())),
            false => Err(lost),
        }
    }
}
