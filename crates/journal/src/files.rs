//! Small files written whole, and the syncing of folders.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::JournalError;
#[cfg(test)]
use crate::faults::step;

/// Before each operation: where tests let it fail.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "the tests' own fails")]
fn step(_what: &'static str, _path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Whether a file must be on the disk before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Now,
    /// Another file still holds the content; the caller syncs later.
    Later,
}

/// Replaces a file. Order: content into a temporary file beside it, sync, rename, sync the folder;
/// at each moment a reader sees the old or the new content whole.
pub(crate) fn replace(path: &Path, content: &[u8], sync: Sync) -> Result<(), JournalError> {
    let temporary = temporary(path);
    let write = || {
        step("write", &temporary)?;
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        if sync == Sync::Now {
            step("sync", &temporary)?;
            file.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|error| {
        // On a full disk what was written is worth more as free space.
        let _ = fs::remove_file(&temporary);
        JournalError::io("write", &temporary)(error)
    })?;
    step("rename", path)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(JournalError::io("rename into place", path))?;
    if sync == Sync::Now {
        sync_parent(path)?;
    }
    Ok(())
}

pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// As [`replace`], making the folders above.
pub(crate) fn replace_deep(path: &Path, content: &[u8], sync: Sync) -> Result<(), JournalError> {
    if let Some(parent) = path.parent() {
        step("create", parent).and_then(|()| fs::create_dir_all(parent)).map_err(JournalError::io("create", parent))?;
    }
    replace(path, content, sync)
}

/// Writes a file, without a sync, unless it is there with this content.
pub(crate) fn ensure(path: &Path, content: &[u8]) -> Result<(), JournalError> {
    match read_if_there(path)? {
        Some(found) if found == content => Ok(()),
        Some(_) | None => replace_deep(path, content, Sync::Later),
    }
}

/// Gives a folder, whose content is on the disk, its name.
pub(crate) fn move_folder(from: &Path, to: &Path) -> Result<(), JournalError> {
    step("rename", to).and_then(|()| fs::rename(from, to)).map_err(JournalError::io("rename into place", to))?;
    sync_parent(to)
}

pub(crate) fn sync_parent(path: &Path) -> Result<(), JournalError> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    sync(parent)
}

/// Syncs a file or folder.
pub(crate) fn sync(path: &Path) -> Result<(), JournalError> {
    let opened = step("sync", path).and_then(|()| File::open(path));
    opened.and_then(|file| file.sync_all()).map_err(JournalError::io("sync", path))
}

/// The content, or `None` where there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, JournalError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("read", path)(error)),
    }
}

pub(crate) fn exists(path: &Path) -> Result<bool, JournalError> {
    path.try_exists().map_err(JournalError::io("inspect", path))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), JournalError> {
    match step("remove", path).and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(JournalError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a folder with all that it holds, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), JournalError> {
    match step("remove", path).and_then(|()| fs::remove_dir_all(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(JournalError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
