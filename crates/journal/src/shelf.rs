//! The thread behind the writer: tiles and checkpoints, in the order in which they were asked for.
//!
//! Commits don't wait for it, unless too much is queued: what it writes is held by the write-ahead file meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use crate::files::{self, Sync, remove_folder};
use crate::state::Shared;
use crate::tile::{self, HashTile};
use crate::writer::checkpoint_path;
use crate::{Checkpoint, IdentityKey, JournalError};

/// Bytes of entries that may be queued before the writer waits.
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// What to do. All entries that a job speaks of are durable in the write-ahead file before it is sent.
pub(crate) enum Job {
    /// A full bundle of entries, and the hash tiles that it completed.
    Full { index: u64, bundle: Vec<u8>, tiles: Vec<HashTile> },
    /// A checkpoint, its partial tiles, and the bundle that isn't full yet.
    Checkpoint { checkpoint: Checkpoint, tiles: Vec<HashTile>, bundle: Vec<u8> },
    /// All full tiles to the disk, and these partial ones; says when they are there.
    Settle { tiles: Vec<HashTile>, done: Sender<()> },
    /// The write-ahead file builds no more on the partial tiles that those full ones have replaced.
    Renewed,
    /// Says when all before it is done.
    Barrier(Sender<()>),
}

/// The writer's end of the queue. When it goes, the thread ends after the last job.
pub(crate) struct Shelf {
    jobs: Option<Sender<Job>>,
    queued_bytes: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Result<(), JournalError>>>,
}

impl Shelf {
    pub(crate) fn start(dir: &Path, key: IdentityKey, shared: Arc<Shared>) -> Result<Self, JournalError> {
        let (jobs, received) = channel();
        let queued_bytes = Arc::default();
        let filer = Filer {
            dir: dir.to_owned(),
            key,
            shared: Arc::clone(&shared),
            queued_bytes: Arc::clone(&queued_bytes),
            unsynced: Vec::new(),
            settling: None,
            replaced: Vec::new(),
        };
        let run = move || filer.run(&received).inspect_err(|error| shared.fail(error));
        let thread = std::thread::Builder::new()
            .name("journal-tiles".into())
            .spawn(run)
            .map_err(JournalError::io("start a thread for", dir))?;
        Ok(Self { jobs: Some(jobs), queued_bytes, thread: Some(thread) })
    }

    pub(crate) fn send(&mut self, job: Job) -> Result<(), JournalError> {
        if let Job::Full { bundle, .. } = &job
            && self.queued_bytes.fetch_add(bundle.len(), Ordering::Relaxed) > MAX_QUEUED_BYTES
        {
            self.finish()?;
        }
        match self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.failure()),
        }
    }

    /// Waits until all that was sent is done.
    pub(crate) fn finish(&mut self) -> Result<(), JournalError> {
        let (done, answer) = channel();
        self.send(Job::Barrier(done))?;
        self.wait_for(&answer)
    }

    pub(crate) fn wait_for(&mut self, answer: &Receiver<()>) -> Result<(), JournalError> {
        answer.recv().map_err(|_| self.failure())
    }

    /// Why the thread ended.
    fn failure(&mut self) -> JournalError {
        self.jobs = None;
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.and_then(Result::err).unwrap_or(JournalError::Bug)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its failure has been told to the callers already.
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Filer {
    dir: PathBuf,
    key: IdentityKey,
    shared: Arc<Shared>,
    queued_bytes: Arc<AtomicUsize>,
    /// Full tiles and bundles that were written since the last settling and may not be on the disk.
    unsynced: Vec<PathBuf>,
    settling: Option<Settling>,
    /// Folders of partial tiles that go with the next renewal of the write-ahead file.
    replaced: Vec<PathBuf>,
}

/// Files on their way to the disk, one at a time between the jobs, so that no checkpoint waits for all of them.
struct Settling {
    paths: Vec<PathBuf>,
    folders: BTreeSet<PathBuf>,
    done: Sender<()>,
}

impl Filer {
    fn run(mut self, jobs: &Receiver<Job>) -> Result<(), JournalError> {
        loop {
            match self.settling.take() {
                None => match jobs.recv() {
                    Ok(job) => self.handle(job)?,
                    Err(_) => return Ok(()),
                },
                Some(settling) => match jobs.try_recv() {
                    Ok(job) => {
                        self.handle(job)?;
                        self.settling = self.sync_one(settling)?;
                    }
                    Err(TryRecvError::Empty) => self.settling = self.sync_one(settling)?,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                },
            }
        }
    }

    fn handle(&mut self, job: Job) -> Result<(), JournalError> {
        match job {
            Job::Full { index, bundle, tiles } => {
                self.queued_bytes.fetch_sub(bundle.len(), Ordering::Relaxed);
                self.full(index, &bundle, &tiles)
            }
            Job::Checkpoint { checkpoint, tiles, bundle } => self.checkpoint(&checkpoint, &tiles, &bundle),
            Job::Settle { tiles, done } => self.begin_settling(&tiles, done),
            Job::Renewed => std::mem::take(&mut self.replaced).iter().try_for_each(|folder| remove_folder(folder)),
            Job::Barrier(done) => {
                // Nobody listens where the writer has gone.
                let _ = done.send(());
                Ok(())
            }
        }
    }

    /// Order: the full tile, then its partial ones are deleted. After a restart most are there already: a file that is put in
    /// the place of another costs a hundred times the reading of it. Those of level 0 and of entries go at once, as recovery
    /// never reads them; those above go when the write-ahead file no longer builds on them.
    fn full(&mut self, index: u64, bundle: &[u8], tiles: &[HashTile]) -> Result<(), JournalError> {
        let path = self.dir.join(tile::entries_path(index, tile::WIDTH));
        files::ensure(&path, bundle)?;
        remove_folder(&partial_of(path.clone()))?;
        self.unsynced.push(path);
        for tile in tiles {
            let path = self.dir.join(tile.path());
            files::ensure(&path, &tile.bytes())?;
            if tile.level == 0 {
                remove_folder(&partial_of(path.clone()))?;
            }
            self.unsynced.push(path);
        }
        Ok(())
    }

    /// Order: the partial tiles, then the checkpoint replaces the old one. The partial tiles are not synced: after a
    /// crash of the machine they are made again from the write-ahead file. Those that it builds on are not touched.
    fn checkpoint(&self, checkpoint: &Checkpoint, tiles: &[HashTile], bundle: &[u8]) -> Result<(), JournalError> {
        for tile in tiles {
            self.partial(tile)?;
        }
        let size = checkpoint.size;
        if !bundle.is_empty() {
            let path = self.dir.join(tile::entries_path(size / tile::WIDTH, size % tile::WIDTH));
            files::replace_deep(&path, bundle, Sync::Later)?;
        }
        let note = checkpoint.sign(&self.key)?;
        files::replace(&checkpoint_path(&self.dir), note.as_bytes(), Sync::Now)?;
        self.shared.set_checkpointed(size);
        Ok(())
    }

    /// Leaves a tile alone that is there: a write that is not synced could leave it empty after a loss of power, and the
    /// write-ahead file may build on it.
    fn partial(&self, tile: &HashTile) -> Result<PathBuf, JournalError> {
        let path = self.dir.join(tile.path());
        files::ensure(&path, &tile.bytes())?;
        Ok(path)
    }

    fn begin_settling(&mut self, tiles: &[HashTile], done: Sender<()>) -> Result<(), JournalError> {
        let mut paths = std::mem::take(&mut self.unsynced);
        self.replaced = paths.iter().cloned().map(partial_of).collect();
        for tile in tiles {
            paths.push(self.partial(tile)?);
        }
        self.settling = Some(Settling { paths, folders: BTreeSet::new(), done });
        Ok(())
    }

    /// Files first, then each folder above them up to the journal's own.
    fn sync_one(&self, mut settling: Settling) -> Result<Option<Settling>, JournalError> {
        if let Some(path) = settling.paths.pop() {
            files::sync(&path)?;
            let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.dir));
            settling.folders.extend(above.map(Path::to_owned));
            return Ok(Some(settling));
        }
        settling.folders.iter().rev().try_for_each(|folder| files::sync(folder))?;
        let _ = settling.done.send(());
        Ok(None)
    }
}

/// The folder of the partial tiles that came before a full one.
pub(crate) fn partial_of(mut full: PathBuf) -> PathBuf {
    full.as_mut_os_string().push(".p");
    full
}
