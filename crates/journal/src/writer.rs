//! The one thread that writes. State and crash order are stated beside each write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::files::{self, Sync};
use crate::hash::Hash;
use crate::journal::Durability;
use crate::state::{Batch, Shared, Work};
use crate::tile::{self, Edge, HashTile};
use crate::wal::Wal;
use crate::{Checkpoint, IdentityKey, JournalError};

/// The write-ahead file is renewed when it is longer than this.
const SETTLE_BYTES: usize = 8 * 1024 * 1024;
/// Entries taken while tiles are being synced; beyond this the writer waits for the tiles.
const MAX_CARRIED_BYTES: usize = 64 * 1024 * 1024;

pub(crate) fn checkpoint_path(dir: &Path) -> PathBuf {
    dir.join("checkpoint")
}

/// Everything that the writer thread owns.
pub(crate) struct Writer {
    pub(crate) dir: PathBuf,
    pub(crate) origin: String,
    pub(crate) key: IdentityKey,
    pub(crate) durability: Durability,
    pub(crate) interval: Duration,
    /// Entries not yet in durable tiles, on disk.
    pub(crate) wal: Wal,
    /// Whether frames were written since the write-ahead file was last synced.
    pub(crate) unsynced_frames: bool,
    /// The tree over all entries in the write-ahead file and before it.
    pub(crate) edge: Edge,
    /// Entries of the bundle that isn't full yet, in bundle form.
    pub(crate) bundle: Vec<u8>,
    /// Full tiles and bundles that were written since the write-ahead file was renewed and may
    /// not be on the disk; the write-ahead file still holds their entries.
    pub(crate) unsynced_tiles: Vec<PathBuf>,
    /// Entries under the checkpoint on disk.
    pub(crate) checkpointed: u64,
    pub(crate) last_checkpoint: Option<Instant>,
    pub(crate) settle_bytes: usize,
    /// The tiles that are being synced so that the write-ahead file can be renewed.
    pub(crate) settling: Option<Settling>,
    pub(crate) shared: Arc<Shared>,
    /// Held for as long as the writer lives.
    pub(crate) _lock: std::fs::File,
}

/// Full tiles on their way to the disk, beside the writer, so that commits needn't wait for them.
pub(crate) struct Settling {
    /// First entry of the write-ahead file to come.
    base: u64,
    /// Entries from `base` on, in bundle form.
    carried: Vec<u8>,
    /// Partial tiles that full ones have replaced.
    replaced: Vec<PathBuf>,
    thread: JoinHandle<Result<(), JournalError>>,
}

/// Wakes all who wait, however the thread ends.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&JournalError::Bug);
        }
        self.0.end();
    }
}

impl Writer {
    pub(crate) const SETTLE_BYTES: usize = SETTLE_BYTES;

    /// Runs until closed, or until the first failure.
    pub(crate) fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        if let Err(error) = self.serve() {
            tracing::error!(%error, journal = %self.dir.display(), "the journal failed and takes no more entries");
            self.shared.fail(&error);
        }
    }

    fn serve(&mut self) -> Result<(), JournalError> {
        let mut spare = Batch::default();
        loop {
            match self.shared.next_work(self.until_checkpoint(), std::mem::take(&mut spare)) {
                Work::Commit(batch) => {
                    self.commit(&batch)?;
                    spare = batch;
                }
                Work::TimeOut => {}
                Work::Close => {
                    self.checkpoint()?;
                    return self.settle();
                }
            }
            if self.until_checkpoint() == Some(Duration::ZERO) {
                self.checkpoint()?;
            }
            match &self.settling {
                None if self.wal.len > self.settle_bytes => self.begin_settling()?,
                Some(settling) if settling.thread.is_finished() || settling.carried.len() > MAX_CARRIED_BYTES => {
                    self.settle()?;
                }
                None | Some(_) => {}
            }
        }
    }

    /// Time until a checkpoint is due; `None` where nothing is new.
    fn until_checkpoint(&self) -> Option<Duration> {
        let since = self.last_checkpoint.map_or(self.interval, |last| last.elapsed());
        (self.edge.size() > self.checkpointed).then(|| self.interval.saturating_sub(since))
    }

    /// Order: the frame is written whole, then synced, and only then acknowledged; tiles follow
    /// the acknowledgement, as the write-ahead file holds what they hold.
    fn commit(&mut self, batch: &Batch) -> Result<(), JournalError> {
        self.wal.append(batch.first, &batch.payload)?;
        self.unsynced_frames = true;
        if self.durability == Durability::Fsync {
            self.sync_frames()?;
        }
        self.shared.advance(batch.first + batch.leaves.len() as u64);
        self.absorb(&batch.payload, &batch.leaves)
    }

    fn sync_frames(&mut self) -> Result<(), JournalError> {
        if self.unsynced_frames {
            self.wal.sync()?;
            self.unsynced_frames = false;
        }
        Ok(())
    }

    /// Grows the tree, and writes the tiles that got full. Order: the entries are durable in the
    /// write-ahead file before any tile of them exists, so tiles never run ahead of it.
    pub(crate) fn absorb(&mut self, payload: &[u8], leaves: &[Hash]) -> Result<(), JournalError> {
        if let Some(settling) = &mut self.settling {
            settling.carried.extend_from_slice(payload);
        }
        let mut rest = payload;
        for leaf in leaves {
            let len = rest.first_chunk().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
            let (entry, after) = rest.split_at_checked(len + 2).unwrap_or((rest, &[]));
            self.bundle.extend_from_slice(entry);
            rest = after;
            let full = self.edge.push(*leaf);
            if !full.is_empty() {
                self.sync_frames()?;
                self.write_full(&full)?;
            }
        }
        Ok(())
    }

    /// Order: the full tile, then its partial ones are deleted. Those of level 0 and of entries go
    /// at once, as recovery never reads them; those above go when the write-ahead file no longer
    /// builds on them.
    fn write_full(&mut self, full: &[HashTile]) -> Result<(), JournalError> {
        let bundle = std::mem::take(&mut self.bundle);
        let path = self.dir.join(tile::entries_path(self.edge.size() / tile::WIDTH - 1, tile::WIDTH));
        files::replace_deep(&path, &bundle, Sync::Later)?;
        remove_folder(&partial_of(path.clone()))?;
        self.unsynced_tiles.push(path);
        for tile in full {
            let path = self.dir.join(tile.path());
            files::replace_deep(&path, &tile.bytes(), Sync::Later)?;
            if tile.level == 0 {
                remove_folder(&partial_of(path.clone()))?;
            }
            self.unsynced_tiles.push(path);
        }
        Ok(())
    }

    /// Order: the entries are durable, then the partial tiles that the checkpoint needs are
    /// written, then the checkpoint replaces the old one. The partial tiles are not synced: after
    /// a crash of the machine they are made again from the write-ahead file.
    pub(crate) fn checkpoint(&mut self) -> Result<(), JournalError> {
        let size = self.edge.size();
        self.sync_frames()?;
        for tile in self.edge.partial(0) {
            files::replace_deep(&self.dir.join(tile.path()), &tile.bytes(), Sync::Later)?;
        }
        if !self.bundle.is_empty() {
            let path = self.dir.join(tile::entries_path(size / tile::WIDTH, size % tile::WIDTH));
            files::replace_deep(&path, &self.bundle, Sync::Later)?;
        }
        let note = Checkpoint { origin: self.origin.clone(), size, root: self.edge.root() }.sign(&self.key)?;
        files::replace(&checkpoint_path(&self.dir), note.as_bytes(), Sync::Now)?;
        self.checkpointed = size;
        self.last_checkpoint = Some(Instant::now());
        self.shared.set_checkpointed(size);
        Ok(())
    }

    /// Begins to take entries in full bundles out of the write-ahead file. Order: a checkpoint that
    /// covers them; their tiles and the partial tiles above them, synced by a second thread; then
    /// [`Writer::settle`].
    fn begin_settling(&mut self) -> Result<(), JournalError> {
        let base = self.edge.size() / tile::WIDTH * tile::WIDTH;
        if base == self.wal.base {
            return Ok(());
        }
        if self.checkpointed < base {
            self.checkpoint()?;
        }
        let full = std::mem::take(&mut self.unsynced_tiles);
        let mut paths = full.clone();
        for tile in self.edge.partial(1) {
            let path = self.dir.join(tile.path());
            files::replace_deep(&path, &tile.bytes(), Sync::Later)?;
            paths.push(path);
        }
        let dir = self.dir.clone();
        let thread = std::thread::Builder::new()
            .name("journal-tiles".into())
            .spawn(move || sync_tiles(&dir, &paths))
            .map_err(JournalError::io("start a thread for", &self.dir))?;
        let replaced = full.into_iter().map(partial_of).collect();
        self.settling = Some(Settling { base, carried: self.bundle.clone(), replaced, thread });
        Ok(())
    }

    /// Ends what [`Writer::begin_settling`] began. Order: the tiles are synced; then the new
    /// write-ahead file, with all entries after them, takes the old one's place; and last the
    /// partial tiles that full ones have replaced are deleted.
    fn settle(&mut self) -> Result<(), JournalError> {
        let Some(settling) = self.settling.take() else { return Ok(()) };
        settling.thread.join().map_err(|_| JournalError::Bug)??;
        self.wal = Wal::replace(&self.dir, &self.origin, settling.base, &settling.carried)?;
        self.unsynced_frames = false;
        settling.replaced.iter().try_for_each(|path| remove_folder(path))
    }
}

fn remove_folder(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(JournalError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The folder of the partial tiles that came before a full one.
fn partial_of(mut full: PathBuf) -> PathBuf {
    full.as_mut_os_string().push(".p");
    full
}

/// Files first, then each folder above them up to the journal's own.
fn sync_tiles(dir: &Path, paths: &[PathBuf]) -> Result<(), JournalError> {
    let mut folders = std::collections::BTreeSet::new();
    for path in paths {
        files::sync(path)?;
        folders.extend(path.ancestors().skip(1).take_while(|folder| folder.starts_with(dir)));
    }
    folders.into_iter().rev().try_for_each(files::sync)
}
