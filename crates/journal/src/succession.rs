//! One journal goes on from another: the old folder is locked and marked for good, and the new one is there only when its
//! first entry, which names the old, is durable.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::recovery::lock;
use crate::{Journal, JournalConfig, JournalError, Reader, Verifier, files};

/// Holds the verifier key of the journal that goes on from this one. Whatever it holds, nobody writes here any more.
fn mark(dir: &Path) -> PathBuf {
    dir.join("succeeded")
}

/// The verifier key of the journal that goes on from the one in a folder, where there is one.
///
/// # Errors
/// [`JournalError::Io`].
pub fn successor(dir: &Path) -> Result<Option<String>, JournalError> {
    let found = files::read_if_there(&mark(dir))?;
    Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// A writer's first question.
pub(crate) fn refuse_ended(dir: &Path) -> Result<(), JournalError> {
    match successor(dir)? {
        Some(successor) => Err(JournalError::Ended { dir: dir.to_owned(), successor }),
        None => Ok(()),
    }
}

/// A journal's folder without a writer, and with nobody else who could become one.
#[derive(Debug)]
pub struct Stopped {
    dir: PathBuf,
    _lock: File,
}

impl Stopped {
    /// # Errors
    /// [`JournalError::Locked`] where a part writes there; [`JournalError::Io`], also where there is no folder.
    pub fn lock(dir: &Path) -> Result<Self, JournalError> {
        let dir = dir.canonicalize().map_err(JournalError::io("resolve", dir))?;
        let _lock = lock(&dir)?;
        Ok(Self { dir, _lock })
    }

    /// Ends the journal for good. Order: the mark by temporary file, sync, rename, sync of the folder; only then may its
    /// successor begin, so that no entry can come after those that the successor names. Done again, it changes nothing.
    ///
    /// # Errors
    /// [`JournalError::Ended`] where another journal goes on from it already; [`JournalError::Io`].
    pub fn end(&self, successor: &Verifier) -> Result<(), JournalError> {
        let successor = successor.vkey();
        match self::successor(&self.dir)? {
            Some(found) if found == successor => Ok(()),
            Some(found) => Err(JournalError::Ended { dir: self.dir.clone(), successor: found }),
            None => files::replace(&mark(&self.dir), format!("{successor}\n").as_bytes(), files::Sync::Now),
        }
    }
}

/// Makes a journal that begins with an entry. Order: all of it in a folder beside, closed with a checkpoint; then that folder
/// gets its name, and the one above is synced. What a run before this one left there is taken up where its entry is `right`.
///
/// # Errors
/// [`JournalError::Corrupt`] where there is a journal already, or another was begun; those of [`Journal::open`] and
/// [`Journal::append`].
pub fn begin(
    dir: &Path,
    config: JournalConfig,
    first: Vec<u8>,
    right: impl Fn(&[u8]) -> bool,
) -> Result<(), JournalError> {
    if files::exists(dir)? {
        return Err(JournalError::corrupt(dir, "there is something already, and a new journal begins in a new folder"));
    }
    let building = files::temporary(dir);
    let (journal, _) = Journal::open(&building, config)?;
    match journal.durable() {
        0 => drop(journal.append(first)?),
        1 if right(&Reader::open(&building)?.first_entry()?) => {}
        _ => {
            let why = "another journal was begun here; look whose it is, then remove this folder";
            return Err(JournalError::corrupt(&building, why));
        }
    }
    journal.close()?;
    files::move_folder(&building, dir)
}
