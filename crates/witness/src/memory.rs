//! What a witness has cosigned: for each log one file, its last checkpoint under the witness's own cosignature.
//!
//! Beside the key, and so outside this folder, lies when it last cosigned, and for how many logs: a folder that was put back
//! to an older state is noticed at the next start, to within [`MARK_EVERY_S`].

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use drieslot_journal::hash::{Hash, sha256};
use drieslot_journal::{Cosigner, Note};

use crate::WitnessError;

/// The mark beside the key is renewed when it is older than this, and for each new log.
const MARK_EVERY_S: u64 = 10;
const LOCK_FILE: &str = "lock";
const LOG_EXTENSION: &str = "note";

/// The last checkpoint of a log that was cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) time_s: u64,
}

/// The folder. One process has it.
pub(crate) struct Memory {
    folder: PathBuf,
    mark: Mutex<Mark>,
    _lock: File,
}

/// When something was last cosigned, and of how many logs.
struct Mark {
    path: PathBuf,
    written: (u64, usize),
    logs: usize,
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `/a/b` and `c` give `/a/b.c`.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Order: content into a file beside it, sync, rename, sync the folder: after this returns it outlives a loss of power.
fn replace(path: &Path, content: &str) -> Result<(), WitnessError> {
    let beside = with_extension(path, "new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(WitnessError::io("write", path))
}

impl Memory {
    /// Opens or makes the folder, and verifies all that is in it.
    pub(crate) fn open(
        folder: &Path,
        key: &Path,
        own: &Cosigner,
        now: u64,
    ) -> Result<(Self, BTreeMap<String, Seen>), WitnessError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(WitnessError::io("create", folder))?;
        let lock = lock(folder)?;
        let seen = read_all(folder, own)?;
        let newest = seen.values().map(|seen| seen.time_s).max().unwrap_or(0);
        let path = with_extension(key, "seen");
        let written = read_mark(&path)?;
        if newest < written.0 || seen.len() < written.1 {
            let why = format!(
                "this witness cosigned at {} (seconds since 1970), for {} logs, and {} knows of {newest}, and {} logs",
                written.0,
                written.1,
                folder.display(),
                seen.len()
            );
            return Err(WitnessError::Forgotten { why });
        }
        if now < newest {
            return Err(WitnessError::Clock { now, cosigned: newest });
        }
        let mark = Mutex::new(Mark { path, written, logs: seen.len() });
        Ok((Self { folder: folder.to_owned(), mark, _lock: lock }, seen))
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(format!("{}.{LOG_EXTENSION}", hex(&sha256(origin.as_bytes()))))
    }

    /// Order: the log's file, durable; then, now and then, the mark, which so never runs ahead of it; then the caller may answer.
    pub(crate) fn remember(&self, origin: &str, cosigned: &str, time_s: u64, first: bool) -> Result<(), WitnessError> {
        replace(&self.path(origin), cosigned)?;
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        mark.logs += usize::from(first);
        if first || time_s >= mark.written.0 + MARK_EVERY_S {
            // Another log may have been cosigned later than this one, but its file is durable then too.
            let time_s = time_s.max(mark.written.0);
            replace(&mark.path, &format!("{time_s} {}\n", mark.logs))?;
            mark.written = (time_s, mark.logs);
        }
        Ok(())
    }

    /// Keeps the first checkpoint of a log that contradicts a cosigned one, as evidence.
    pub(crate) fn keep_conflict(&self, origin: &str, note: &str) -> Result<(), WitnessError> {
        let path = self.path(origin).with_extension("conflict");
        match path.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => replace(&path, note),
            Err(error) => Err(WitnessError::io("inspect", &path)(error)),
        }
    }
}

fn lock(folder: &Path) -> Result<File, WitnessError> {
    let path = folder.join(LOCK_FILE);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(WitnessError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WitnessError::Locked(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(WitnessError::io("lock", &path)(error)),
    }
}

fn read_mark(path: &Path) -> Result<(u64, usize), WitnessError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(WitnessError::io("read", path)(error)),
    };
    let numbers =
        text.trim_end().split_once(' ').and_then(|(time, logs)| Some((time.parse().ok()?, logs.parse().ok()?)));
    numbers.ok_or_else(|| WitnessError::Forgotten { why: format!("{} is not `SECONDS LOGS`", path.display()) })
}

fn read_all(folder: &Path, own: &Cosigner) -> Result<BTreeMap<String, Seen>, WitnessError> {
    let mut all = BTreeMap::new();
    for found in fs::read_dir(folder).map_err(WitnessError::io("list", folder))? {
        let path = found.map_err(WitnessError::io("list", folder))?.path();
        if path.extension().is_none_or(|extension| extension != LOG_EXTENSION) {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(WitnessError::io("read", &path))?;
        let bad = |why: String| WitnessError::Forgotten { why: format!("{}: {why}", path.display()) };
        let read = || {
            let note = Note::parse(&text)?;
            Ok::<_, drieslot_journal::JournalError>((note.checkpoint()?, note.cosigned_by(own)?))
        };
        let (checkpoint, time_s) = read().map_err(|error| bad(error.to_string()))?;
        let time_s = time_s.ok_or_else(|| bad(format!("not cosigned by {}", own.vkey())))?;
        if path.file_stem().is_none_or(|stem| stem != hex(&sha256(checkpoint.origin.as_bytes())).as_str()) {
            return Err(bad(format!("it is of the log {}, which has another file", checkpoint.origin)));
        }
        all.insert(checkpoint.origin, Seen { size: checkpoint.size, root: checkpoint.root, time_s });
    }
    Ok(all)
}
