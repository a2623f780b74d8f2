//! Opening a journal: what is on disk against what was signed.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use crate::hash::{self, Hash};
use crate::journal::{JournalConfig, Recovered};
use crate::shelf::Shelf;
use crate::state::Shared;
use crate::tile::{self, Edge};
use crate::wal::{self, Scan, Wal};
use crate::writer::{Writer, checkpoint_path};
use crate::{Checkpoint, JournalError, Note, Verifier, files, pruning, source, succession};

const LOCK_FILE: &str = "lock";

pub(crate) fn open(dir: &Path, config: JournalConfig) -> Result<(Writer, Recovered), JournalError> {
    let verifier = config.key.verifier(&config.origin)?;
    // The trace tells who was looked at: a folder that is made here is its owner's alone.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(JournalError::io("create", dir))?;
    let dir = &dir.canonicalize().map_err(JournalError::io("resolve", dir))?;
    let lock = lock(dir)?;
    succession::refuse_ended(dir)?;
    let checkpoint = read_checkpoint(dir, &verifier)?;
    let found = read_wal(dir, &config.origin, checkpoint.is_some())?;
    let created = found.is_none();
    let scan = found.unwrap_or(Scan { base: 0, payload: Vec::new(), count: 0, torn_bytes: 0 });
    if checkpoint.is_none() && (scan.base > 0 || scan.count > 0) {
        return Err(JournalError::corrupt(&checkpoint_path(dir), "the journal has entries but no checkpoint"));
    }
    let leaves = leaves(dir, &scan)?;
    let base_edge = read_edge(dir, scan.base)?;
    if let Some(checkpoint) = &checkpoint {
        compare(dir, base_edge.clone(), &scan, &leaves, checkpoint)?;
    }
    refuse_later_tiles(dir, scan.size())?;
    check_pruned(dir, &scan)?;
    if scan.torn_bytes > 0 {
        tracing::warn!(bytes = scan.torn_bytes, journal = %dir.display(), "dropped a torn last write that was never acknowledged");
    }

    // Order: the write-ahead file is written anew before anything is built on what it held: a
    // sync that failed in an earlier process may have left entries in memory only. It also
    // leaves out the torn tail.
    let wal = Wal::replace(dir, &config.origin, scan.base, &scan.payload)?;
    if created {
        files::sync_parent(dir)?;
    }
    let recovered = Recovered {
        entries: scan.size(),
        checkpointed: checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size),
        dropped_torn_bytes: scan.torn_bytes,
        created,
    };
    let shared = Arc::new(Shared::new(scan.size()));
    let mut writer = Writer {
        dir: dir.clone(),
        origin: config.origin,
        durability: config.durability,
        interval: config.checkpoint_interval,
        wal,
        unsynced_frames: false,
        edge: base_edge,
        bundle: Vec::new(),
        shelf: Shelf::start(dir, config.key, Arc::clone(&shared))?,
        checkpointed: 0,
        last_checkpoint: None,
        settle_bytes: Writer::SETTLE_BYTES,
        settling: None,
        shared,
        _lock: lock,
    };
    // The tiles of what the write-ahead file holds may be missing or torn: they are made again,
    // and then a checkpoint, with its partial tiles.
    writer.absorb(&scan.payload, &leaves)?;
    writer.checkpoint()?;
    writer.shelf.finish()?;
    Ok((writer, recovered))
}

/// What is pruned is what an entry says; and nothing that the write-ahead file would make again.
fn check_pruned(dir: &Path, scan: &Scan) -> Result<(), JournalError> {
    let Some(pruned) = pruning::read(dir)? else { return Ok(()) };
    let said = match pruned.entry.checked_sub(scan.base).map(usize::try_from) {
        None => source::bundle(dir, pruned.entry / tile::WIDTH, tile::WIDTH)?.1,
        Some(Ok(at)) => {
            tile::split_entries(&scan.payload).unwrap_or_default().iter().skip(at).take(1).map(|e| e.to_vec()).collect()
        }
        Some(Err(_)) => Vec::new(),
    };
    let at =
        if pruned.entry < scan.base { usize::try_from(pruned.entry % tile::WIDTH).unwrap_or(usize::MAX) } else { 0 };
    if pruned.first > scan.base || !said.get(at).is_some_and(|entry| pruned.is_said_by(entry)) {
        let why = format!("it says that the entries before {} were pruned, and the journal does not", pruned.first);
        return Err(JournalError::corrupt(&dir.join(pruning::FILE), why));
    }
    Ok(())
}

pub(crate) fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(JournalError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(JournalError::io("lock", &path)(error)),
    }
}

pub(crate) fn read_checkpoint(dir: &Path, verifier: &Verifier) -> Result<Option<Checkpoint>, JournalError> {
    let path = checkpoint_path(dir);
    let Some(note) = files::read_if_there(&path)? else { return Ok(None) };
    let note = String::from_utf8(note).map_err(|_| JournalError::corrupt(&path, "the checkpoint is not UTF-8"))?;
    if matches!(Note::parse(&note).and_then(|note| note.signed_by(verifier)), Ok(false)) {
        return Err(JournalError::OtherKey { path, why: format!("it is not signed by {}", verifier.vkey()) });
    }
    let checkpoint = Checkpoint::open(&note, verifier);
    checkpoint.map(Some).map_err(|error| JournalError::corrupt(&path, error.to_string()))
}

/// `None` where the folder holds no journal at all.
fn read_wal(dir: &Path, origin: &str, has_checkpoint: bool) -> Result<Option<Scan>, JournalError> {
    let path = wal::path(dir);
    match files::read_if_there(&path)? {
        Some(content) => wal::scan(&content, origin).map(Some).map_err(|why| JournalError::corrupt(&path, why)),
        None if has_checkpoint || files::exists(&dir.join("tile"))? => {
            Err(JournalError::corrupt(&path, "the write-ahead file is missing, but the journal has entries"))
        }
        None => Ok(None),
    }
}

fn leaves(dir: &Path, scan: &Scan) -> Result<Vec<Hash>, JournalError> {
    tile::split_entries(&scan.payload)
        .map(|entries| entries.into_iter().map(hash::leaf).collect())
        .ok_or_else(|| JournalError::corrupt(&wal::path(dir), "it does not divide into entries"))
}

/// The tree before the write-ahead file, from its partial tiles: one small file for each level,
/// whatever the size of the journal.
pub(crate) fn read_edge(dir: &Path, base: u64) -> Result<Edge, JournalError> {
    let mut levels = Vec::new();
    for level in tile::levels(base) {
        let count = tile::hashes_at(level, base);
        let hashes = match count % tile::WIDTH {
            0 => Vec::new(),
            width => source::hashes(dir, level, count / tile::WIDTH, width)?,
        };
        levels.push(hashes);
    }
    Ok(Edge::new(base, levels))
}

/// The signed root against the root of what is on disk.
fn compare(
    dir: &Path,
    mut edge: Edge,
    scan: &Scan,
    leaves: &[Hash],
    checkpoint: &Checkpoint,
) -> Result<(), JournalError> {
    if checkpoint.size > scan.size() {
        return Err(JournalError::Lost { signed: checkpoint.size, found: scan.size() });
    }
    // A checkpoint is written before entries leave the write-ahead file.
    if checkpoint.size < scan.base {
        let why = format!(
            "it names {} entries, but the first {} were covered by a later one: the checkpoint was rolled back",
            checkpoint.size, scan.base
        );
        return Err(JournalError::corrupt(&checkpoint_path(dir), why));
    }
    let behind = usize::try_from(checkpoint.size - scan.base).unwrap_or(usize::MAX);
    for leaf in leaves.iter().take(behind) {
        edge.push(*leaf);
    }
    if edge.root() != checkpoint.root {
        let why = format!(
            "its root is not that of the first {} entries on disk: entries or tiles were changed (verify the journal to see where)",
            checkpoint.size
        );
        return Err(JournalError::corrupt(&checkpoint_path(dir), why));
    }
    Ok(())
}

fn refuse_later_tiles(dir: &Path, size: u64) -> Result<(), JournalError> {
    match later_tiles(dir, size)? {
        Some(signed) => Err(JournalError::Lost { signed, found: size }),
        None => Ok(()),
    }
}

/// How many entries the tiles speak of, where that is more than `size`. Tiles are written only of
/// entries that are durable in the write-ahead file, so this proves that the file was rolled back,
/// even if the checkpoint was too.
pub(crate) fn later_tiles(dir: &Path, size: u64) -> Result<Option<u64>, JournalError> {
    let index = size / tile::WIDTH;
    let full = dir.join(tile::entries_path(index, tile::WIDTH));
    if files::exists(&full)? {
        return Ok(Some((index + 1) * tile::WIDTH));
    }
    let mut partial = full;
    partial.as_mut_os_string().push(".p");
    let listed = match fs::read_dir(&partial) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("list", &partial)(error)),
    };
    let mut widest = 0;
    for file in listed {
        let name = file.map_err(JournalError::io("list", &partial))?.file_name();
        widest = widest.max(name.to_str().and_then(|name| name.parse().ok()).unwrap_or(0));
    }
    Ok((widest > size % tile::WIDTH).then_some(index * tile::WIDTH + widest))
}
