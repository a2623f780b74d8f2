//! What a part has seen of its register, kept across restarts: a register that was put back to an old copy meanwhile, and so
//! without its latest revocations, is noticed. One line: entries, and the root of the tree over them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use drieslot_journal::hash::Peaks;

use crate::statement::Hex32;

/// The file, and what stands in it.
#[derive(Debug)]
pub(crate) struct Seen {
    path: PathBuf,
    size: u64,
    root: Option<Hex32>,
}

/// `/a/b` and `c` give `/a/b.c`, also where a slash ends the first.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.components().collect::<PathBuf>().into_os_string();
    name.push(".");
    name.push(extension);
    name.into()
}

/// A part that has seen its register has had a journal: where that is gone, none begins in its place by itself.
///
/// # Errors
/// What to do.
pub(crate) fn check_journal(folder: &Path) -> Result<(), String> {
    let seen = beside(folder, "seen");
    let (had, has) = (seen.try_exists(), folder.join("checkpoint").try_exists());
    match (had, has) {
        (Ok(true), Ok(false)) => Err(format!(
            "this part has kept a journal in {}, and it is gone ({} is still there); begin a new one, which says so, with \
             `drieslot journal succeed --why lost`",
            folder.display(),
            seen.display()
        )),
        (Ok(_), Ok(_)) => Ok(()),
        (Err(error), _) | (_, Err(error)) => Err(format!("{}: {error}", folder.display())),
    }
}

impl Seen {
    /// Beside a part's folder. A file that is not there is that of a part that has seen nothing.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let path = beside(folder, "seen");
        let bad =
            |why: &str| format!("{}: {why}; compare the register with its backups, then remove it", path.display());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, size: 0, root: None });
            }
            Err(error) => return Err(bad(&error.to_string())),
        };
        let malformed = || bad("it is not `ENTRIES ROOT`");
        let (size, root) = text.trim_end().split_once(' ').ok_or_else(malformed)?;
        let (size, root) = (size.parse().map_err(|_| malformed())?, root.parse().map_err(|_| malformed())?);
        Ok(Self { path, size, root: Some(root) })
    }

    /// Whether a register of these first entries can be the one that was seen.
    pub(crate) fn agrees(&self, peaks: &Peaks) -> Result<(), String> {
        match self.root {
            Some(root) if peaks.size() == self.size && root.0 != peaks.root() => {
                Err("it has other entries than this part saw before it was started".into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the register has all that was seen.
    pub(crate) fn all_of_it(&self, size: u64) -> Result<(), String> {
        match size < self.size {
            true => Err(format!(
                "it has {size} entries, and this part had seen {}: was it put back to an old copy? Bring the newest back",
                self.size
            )),
            false => Ok(()),
        }
    }

    /// Beside, then renamed: a crash leaves the old line or the new one.
    pub(crate) fn write(&mut self, peaks: &Peaks) -> io::Result<()> {
        if peaks.size() <= self.size {
            return Ok(());
        }
        let root = Hex32(peaks.root());
        let beside = beside(&self.path, "new");
        let mut file = fs::File::create(&beside)?;
        writeln!(file, "{} {root}", peaks.size())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        (self.size, self.root) = (peaks.size(), Some(root));
        Ok(())
    }
}
