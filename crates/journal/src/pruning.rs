//! Pruning, as tlog-tiles says: entries below a minimum index are let go, and the tree stays. The journal's own entry says so
//! first, so that files which somebody else took away can never pass for pruned.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::files::{self, Sync};
use crate::source::Source;
use crate::succession::Stopped;
use crate::writer::Writer;
use crate::{Journal, JournalConfig, JournalError, Published, entry, recovery, tile};

pub(crate) const FILE: &str = "pruned";
const KIND: &str = "prune";

/// What was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// The first entry that is there; a multiple of 256.
    pub first: u64,
    /// The entry that says so.
    pub entry: u64,
}

#[derive(Deserialize)]
struct Body {
    before: u64,
}

impl Pruned {
    fn text(self) -> String {
        format!("{} {}\n", self.first, self.entry)
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, entry) = text.strip_suffix('\n')?.split_once(' ')?;
        let pruned = Self { first: first.parse().ok()?, entry: entry.parse().ok()? };
        let possible = pruned.first > 0 && pruned.first.is_multiple_of(tile::WIDTH) && pruned.entry >= pruned.first;
        (possible && pruned.text() == text).then_some(pruned)
    }

    /// Whether these bytes are the entry that says so.
    pub(crate) fn is_said_by(self, entry: &[u8]) -> bool {
        says(entry) == Some(self.first)
    }
}

/// The minimum index that an entry sets, where it is one that does.
fn says(bytes: &[u8]) -> Option<u64> {
    let entry = entry::decode_as::<Body>(bytes).ok().filter(|entry| entry.kind == KIND)?;
    Some(entry.body.before)
}

/// What a source says of itself. Only an entry makes it true.
pub(crate) fn read(source: &(impl Source + ?Sized)) -> Result<Option<Pruned>, JournalError> {
    let Some(bytes) = source.file(FILE)? else { return Ok(None) };
    let pruned = std::str::from_utf8(&bytes).ok().and_then(Pruned::parse);
    let malformed =
        || JournalError::corrupt(&source.place(FILE), "it is not `FIRST ENTRY`, with FIRST a multiple of 256");
    pruned.map(Some).ok_or_else(malformed)
}

/// The first entry that a source has.
pub(crate) fn first(source: &(impl Source + ?Sized)) -> Result<u64, JournalError> {
    Ok(read(source)?.map_or(0, |pruned| pruned.first))
}

/// Lets the entries before one go. `said` is the journal's entry for it: of kind `prune`, with `before` in its body.
///
/// Order: all entries below are in full bundles, the write-ahead file begins after them, and the entry is durable and under
/// a checkpoint; then `pruned` by temporary file, sync, rename, sync of the folder; and only then bundles and tiles of
/// level 0 are deleted. Ended at any moment, it is done again from where it was, and readers see either.
///
/// # Errors
/// [`JournalError::Prune`] for an index that cannot be; those of [`Journal::open`], [`Journal::append`] and
/// [`Journal::close`].
pub fn prune(dir: &Path, config: JournalConfig, before: u64, said: Vec<u8>) -> Result<Pruned, JournalError> {
    let refuse = |why: String| Err(JournalError::Prune { why });
    if !before.is_multiple_of(tile::WIDTH) || says(&said) != Some(before) {
        return refuse(format!(
            "{before} is no multiple of 256, or the entry is not one of kind `prune` that names it"
        ));
    }
    let verifier = config.key.verifier(&config.origin)?;
    let (mut writer, recovered) = recovery::open(dir, config)?;
    let done = first(dir)?;
    if before < done || before > recovered.entries / tile::WIDTH * tile::WIDTH {
        return refuse(format!("there are entries {done} to {}, and {before} is not among them", recovered.entries));
    }
    if let Some(cosigned) = Published::open(dir, &verifier)?.cosigned_size(&verifier)?
        && cosigned < before
    {
        return refuse(format!("witnesses have cosigned {cosigned} entries only; what they have not seen stays"));
    }
    if before > done {
        writer.settle_bytes = Writer::SETTLE_AT_ONCE;
        let journal = Journal::start(writer)?;
        let entry = journal.append(said)?;
        journal.wait_durable(entry)?;
        journal.close()?;
        let _stopped = Stopped::lock(dir)?;
        files::replace(&dir.join(FILE), Pruned { first: before, entry }.text().as_bytes(), Sync::Now)?;
        return sweep(dir);
    }
    sweep(dir)
}

/// Deletes what is not there any more by `pruned`: entries first, as they are what retention is about.
fn sweep(dir: &Path) -> Result<Pruned, JournalError> {
    let none = || JournalError::Prune { why: "nothing is pruned yet, and nothing is to be".into() };
    let pruned = read(dir)?.ok_or_else(none)?;
    for path in [tile::entries_path, |index, width| tile::hash_path(0, index, width)] {
        for index in 0..pruned.first / tile::WIDTH {
            let full = dir.join(path(index, tile::WIDTH));
            files::remove(&full)?;
            if index % 1000 == 999 {
                remove_empty(&full);
            }
        }
    }
    Ok(pruned)
}

/// The folder of a thousand files, and those of thousands of such folders.
fn remove_empty(file: &Path) {
    let is_group = |folder: &&Path| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with('x'));
    for folder in file.ancestors().skip(1).take_while(is_group) {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return,
            Ok(()) | Err(_) => {}
        }
    }
}
