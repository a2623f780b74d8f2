//! The signed part of a live journal, as it lies in its folder: what can be proved of it without reading an entry, and the
//! cosignatures that witnesses gave for it.

use std::path::{Path, PathBuf};

use crate::hash::Hash;
use crate::source::Tree;
use crate::writer::checkpoint_path;
use crate::{Checkpoint, JournalError, Verifier, files, proof};

/// A journal as of one checkpoint.
#[derive(Debug)]
pub struct Published {
    dir: PathBuf,
    note: String,
    checkpoint: Checkpoint,
}

/// Path of the last checkpoint with a quorum's cosignatures.
pub const COSIGNED: &str = "checkpoint.cosigned";

fn cosigned_path(dir: &Path) -> PathBuf {
    dir.join(COSIGNED)
}

fn read_note(path: &Path) -> Result<Option<String>, JournalError> {
    let Some(note) = files::read_if_there(path)? else { return Ok(None) };
    String::from_utf8(note).map(Some).map_err(|_| JournalError::corrupt(path, "it is not UTF-8"))
}

impl Published {
    /// The signed note with cosignatures that was kept last, as it lies there; `None` where there is none. Whoever compares it
    /// with the checkpoint of a live journal reads it first.
    ///
    /// # Errors
    /// [`JournalError::Io`]; [`JournalError::Corrupt`] for what is no text.
    pub fn cosigned_note(dir: &Path) -> Result<Option<String>, JournalError> {
        read_note(&cosigned_path(dir))
    }

    /// As of the checkpoint that is there now.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] where there is none, or it isn't signed by this key.
    pub fn open(dir: &Path, verifier: &Verifier) -> Result<Self, JournalError> {
        let path = checkpoint_path(dir);
        let note = read_note(&path)?.ok_or_else(|| JournalError::corrupt(&path, "the file is missing"))?;
        let checkpoint = Checkpoint::open(&note, verifier);
        let checkpoint = checkpoint.map_err(|error| JournalError::corrupt(&path, error.to_string()))?;
        Ok(Self { dir: dir.to_owned(), note, checkpoint })
    }

    /// The signed note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What it says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The root of the first `size` entries.
    ///
    /// # Errors
    /// [`JournalError::NoSuchEntry`] for more than the checkpoint covers; errors of reading tiles.
    pub fn root_of(&self, size: u64) -> Result<Hash, JournalError> {
        self.covered(size)?;
        proof::root(&self.tree(), size)
    }

    /// That the first `old` entries are a prefix of the checkpoint's (RFC 6962 section 2.1.2).
    ///
    /// # Errors
    /// As [`Published::root_of`].
    pub fn consistency_proof(&self, old: u64) -> Result<Vec<Hash>, JournalError> {
        self.covered(old)?;
        proof::consistency(&self.tree(), old, self.checkpoint.size)
    }

    fn tree(&self) -> Tree<'_, Path> {
        Tree { source: self.dir.as_path(), size: self.checkpoint.size }
    }

    fn covered(&self, size: u64) -> Result<(), JournalError> {
        match size <= self.checkpoint.size {
            true => Ok(()),
            false => Err(JournalError::NoSuchEntry { index: size - 1, size: self.checkpoint.size }),
        }
    }

    /// Keeps this checkpoint with cosignatures beside the other. Order: `checkpoint` is durable, then this file by
    /// temporary file, sync, rename, sync of the folder; so it never names more entries than `checkpoint` does.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn keep_cosigned(&self, cosignatures: &str) -> Result<(), JournalError> {
        let note = format!("{}{cosignatures}", self.note);
        files::replace(&cosigned_path(&self.dir), note.as_bytes(), files::Sync::Now)
    }

    /// The signed note with cosignatures that was kept last; `None` where there is none. Refused where the journal is not its
    /// continuation.
    ///
    /// # Errors
    /// [`JournalError::Lost`], [`JournalError::Corrupt`]; errors of reading tiles.
    pub fn cosigned(&self, verifier: &Verifier) -> Result<Option<String>, JournalError> {
        let Some((note, checkpoint)) = self.read_cosigned(verifier)? else { return Ok(None) };
        if checkpoint.size > self.checkpoint.size {
            return Err(JournalError::Lost { signed: checkpoint.size, found: self.checkpoint.size });
        }
        if self.root_of(checkpoint.size)? != checkpoint.root {
            let why = format!("its root is not that of the journal's first {} entries", checkpoint.size);
            return Err(JournalError::corrupt(&cosigned_path(&self.dir), why));
        }
        Ok(Some(note))
    }

    fn read_cosigned(&self, verifier: &Verifier) -> Result<Option<(String, Checkpoint)>, JournalError> {
        let path = cosigned_path(&self.dir);
        let Some(note) = read_note(&path)? else { return Ok(None) };
        let checkpoint = Checkpoint::open(&note, verifier);
        let checkpoint = checkpoint.map_err(|error| JournalError::corrupt(&path, error.to_string()))?;
        Ok(Some((note, checkpoint)))
    }

    /// How many entries that note names.
    pub(crate) fn cosigned_size(&self, verifier: &Verifier) -> Result<Option<u64>, JournalError> {
        Ok(self.read_cosigned(verifier)?.map(|(_, checkpoint)| checkpoint.size))
    }
}
