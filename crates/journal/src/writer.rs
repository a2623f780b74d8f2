//! The one thread that appends. State and crash order are stated beside each write; tiles and checkpoints are
//! written behind it, by [`crate::shelf`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use crate::hash::Hash;
use crate::journal::Durability;
use crate::shelf::{Job, Shelf};
use crate::state::{Batch, Shared, Work};
use crate::tile::{self, Edge};
use crate::wal::Wal;
use crate::{Checkpoint, JournalError};

/// The write-ahead file is renewed when it is longer than this.
const SETTLE_BYTES: usize = 8 * 1024 * 1024;
/// Entries taken while tiles are being synced; beyond this the writer waits for the tiles.
const MAX_CARRIED_BYTES: usize = 64 * 1024 * 1024;

/// When to look again for a checkpoint that is being written.
const UNFINISHED: Duration = Duration::from_millis(1);

pub(crate) fn checkpoint_path(dir: &Path) -> PathBuf {
    dir.join("checkpoint")
}

/// Everything that the writer thread owns.
pub(crate) struct Writer {
    pub(crate) dir: PathBuf,
    pub(crate) origin: String,
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
    pub(crate) shelf: Shelf,
    /// Entries under the last checkpoint that was asked for.
    pub(crate) checkpointed: u64,
    pub(crate) last_checkpoint: Option<Instant>,
    pub(crate) settle_bytes: usize,
    /// The tiles that are being synced so that the write-ahead file can be renewed.
    pub(crate) settling: Option<Settling>,
    pub(crate) shared: Arc<Shared>,
    /// Held for as long as the writer lives.
    pub(crate) _lock: std::fs::File,
}

/// Full tiles on their way to the disk, so that the write-ahead file needn't hold their entries any more.
pub(crate) struct Settling {
    /// First entry of the write-ahead file to come.
    base: u64,
    /// Entries from `base` on, in bundle form.
    carried: Vec<u8>,
    /// Told when the tiles are on the disk.
    done: Receiver<()>,
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
    /// So that each full bundle leaves the write-ahead file.
    pub(crate) const SETTLE_AT_ONCE: usize = 0;

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
                    self.settle()?;
                    return self.shelf.finish();
                }
            }
            if self.until_checkpoint() == Some(Duration::ZERO) {
                self.checkpoint()?;
            }
            self.settle_in_time()?;
        }
    }

    /// Time until a checkpoint is due, or until the last one may be finished; `None` where nothing is new.
    fn until_checkpoint(&self) -> Option<Duration> {
        if self.shared.checkpointed() < self.checkpointed {
            return Some(UNFINISHED);
        }
        let hurried = self.shared.is_hurried();
        let since = self.last_checkpoint.filter(|_| !hurried).map_or(self.interval, |last| last.elapsed());
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

    /// Grows the tree, and has the tiles written that got full. Order: the entries are durable in the
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
            let tiles = self.edge.push(*leaf);
            if !tiles.is_empty() {
                self.sync_frames()?;
                let bundle = std::mem::take(&mut self.bundle);
                let index = self.edge.size() / tile::WIDTH - 1;
                self.shelf.send(Job::Full { index, bundle, tiles })?;
            }
        }
        Ok(())
    }

    /// Order: the entries are durable, then the checkpoint over them is asked for.
    pub(crate) fn checkpoint(&mut self) -> Result<(), JournalError> {
        let size = self.edge.size();
        self.shared.calm();
        self.sync_frames()?;
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root: self.edge.root() };
        let (tiles, bundle) = (self.edge.partial(0), self.bundle.clone());
        self.shelf.send(Job::Checkpoint { checkpoint, tiles, bundle })?;
        self.checkpointed = size;
        self.last_checkpoint = Some(Instant::now());
        Ok(())
    }

    fn settle_in_time(&mut self) -> Result<(), JournalError> {
        let Some(settling) = &self.settling else {
            return if self.wal.len > self.settle_bytes { self.begin_settling() } else { Ok(()) };
        };
        match settling.done.try_recv() {
            Ok(()) => self.renew(),
            Err(TryRecvError::Empty) if settling.carried.len() <= MAX_CARRIED_BYTES => Ok(()),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.settle(),
        }
    }

    /// Begins to take entries in full bundles out of the write-ahead file. Order: a checkpoint that
    /// covers them; their tiles and the partial tiles above them, synced; then [`Writer::renew`].
    fn begin_settling(&mut self) -> Result<(), JournalError> {
        let base = self.edge.size() / tile::WIDTH * tile::WIDTH;
        if base == self.wal.base {
            return Ok(());
        }
        if self.checkpointed < base {
            self.checkpoint()?;
        }
        let (told, done) = channel();
        self.shelf.send(Job::Settle { tiles: self.edge.partial(1), done: told })?;
        self.settling = Some(Settling { base, carried: self.bundle.clone(), done });
        Ok(())
    }

    /// Ends what [`Writer::begin_settling`] began.
    fn settle(&mut self) -> Result<(), JournalError> {
        match &self.settling {
            None => Ok(()),
            Some(settling) => {
                self.shelf.wait_for(&settling.done)?;
                self.renew()
            }
        }
    }

    /// Order: the tiles are synced; then the new write-ahead file, with all entries after them, takes
    /// the old one's place; and last the partial tiles that full ones have replaced are deleted.
    fn renew(&mut self) -> Result<(), JournalError> {
        let Some(settling) = self.settling.take() else { return Ok(()) };
        self.wal = Wal::replace(&self.dir, &self.origin, settling.base, &settling.carried)?;
        self.unsynced_frames = false;
        self.shelf.send(Job::Renewed)
    }
}
