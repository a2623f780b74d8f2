//! The handle that callers hold.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::state::Shared;
use crate::{IdentityKey, JournalError, recovery};

/// When an entry counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After `fdatasync`: it outlives a loss of power.
    Fsync,
    /// After `write`: it outlives the process, not the machine. Checkpoints still wait for
    /// `fdatasync`.
    Os,
}

/// What a journal needs to know.
#[derive(Debug)]
pub struct JournalConfig {
    /// Name of the log, in checkpoints and as name of its key; like `gateway.example.org/journal`.
    pub origin: String,
    /// When an entry counts as durable.
    pub durability: Durability,
    /// The key that signs checkpoints.
    pub key: IdentityKey,
    /// Longest time between an entry and the checkpoint that covers it.
    pub checkpoint_interval: Duration,
}

impl JournalConfig {
    /// `fsync`, and a checkpoint each second.
    #[must_use]
    pub fn new(origin: &str, key: IdentityKey) -> Self {
        Self {
            origin: origin.to_owned(),
            durability: Durability::Fsync,
            key,
            checkpoint_interval: Duration::from_secs(1),
        }
    }
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Entries in the journal.
    pub entries: u64,
    /// Entries that the checkpoint on disk named.
    pub checkpointed: u64,
    /// Bytes of a torn last write, never acknowledged, that were dropped.
    pub dropped_torn_bytes: u64,
    /// The folder held no journal: this one starts at zero. A caller that expected a journal
    /// must take this as the loss of it.
    pub created: bool,
}

/// Entries below this index are durable, or why there will be no more.
pub type Durable = Result<u64, JournalError>;

/// Called by the writer thread after each group commit, and once with the failure. Must be quick,
/// and must not call [`Journal::set_notify`] or [`Journal::close`].
pub type Notify = Box<dyn Fn(Durable) + Send + Sync>;

/// A journal open for appending. Clones share one writer thread; when the last is dropped the
/// journal closes as by [`Journal::close`].
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Handle {
    fn close(&self) {
        self.shared.close();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic of the writer has already been turned into the journal's failure.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("durable", &self.durable()).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens or creates the journal in a folder, checks it against its last checkpoint, and
    /// starts its writer.
    ///
    /// # Errors
    /// [`JournalError::Locked`] where another writer has it, [`JournalError::Corrupt`],
    /// [`JournalError::Checkpoint`] and [`JournalError::Lost`] where the files are damaged, not
    /// signed by this key, or hold less than was signed for; [`JournalError::Origin`],
    /// [`JournalError::Io`].
    pub fn open(dir: &Path, config: JournalConfig) -> Result<(Self, Recovered), JournalError> {
        let (writer, recovered) = recovery::open(dir, config)?;
        Self::start(writer).map(|journal| (journal, recovered))
    }

    pub(crate) fn start(writer: crate::writer::Writer) -> Result<Self, JournalError> {
        let shared = Arc::clone(&writer.shared);
        let dir = writer.dir.clone();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())
            .map_err(JournalError::io("start the writer thread for", &dir))?;
        Ok(Self { handle: Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Queues an entry of 1 to 65,535 bytes and answers its index. It is not durable yet. Never
    /// waits for the disk: beyond 65,536 queued entries or 64 MiB it refuses, so that the caller's
    /// own work slows down or stops.
    ///
    /// # Errors
    /// [`JournalError::EntrySize`], [`JournalError::Overloaded`], [`JournalError::Closed`],
    /// [`JournalError::Failed`].
    pub fn append(&self, entry: Vec<u8>) -> Result<u64, JournalError> {
        self.handle.shared.append(&entry, true)
    }

    /// The same for an entry that nobody waits for by itself: it may be kept back for up to 10 ms, so that one commit
    /// serves the entry after it too.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_with_next(&self, entry: Vec<u8>) -> Result<u64, JournalError> {
        self.handle.shared.append(&entry, false)
    }

    /// Blocks until the entry is durable.
    ///
    /// # Errors
    /// [`JournalError::Failed`] or [`JournalError::Closed`] where it never will be,
    /// [`JournalError::NoSuchEntry`] for an index that was never given out.
    pub fn wait_durable(&self, index: u64) -> Result<(), JournalError> {
        self.handle.shared.wait_durable(index)
    }

    /// Number of durable entries. Cheap.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.handle.shared.durable()
    }

    /// Number of entries under the last checkpoint. Cheap.
    #[must_use]
    pub fn checkpointed(&self) -> u64 {
        self.handle.shared.checkpointed()
    }

    /// Has the next checkpoint made as soon as there is something new for it, without waiting for its time. Cheap.
    pub fn hurry_checkpoint(&self) {
        self.handle.shared.hurry();
    }

    /// Registers the one callback for progress, in place of an earlier one. It is called at once
    /// with the present state, so that nothing is missed in between.
    pub fn set_notify(&self, notify: Notify) {
        self.handle.shared.set_notify(notify);
    }

    /// Writes what is queued and a last checkpoint, and ends the writer. All clones are closed.
    ///
    /// # Errors
    /// [`JournalError::Failed`] where the journal failed, now or earlier.
    pub fn close(&self) -> Result<(), JournalError> {
        self.handle.close();
        self.handle.shared.failed().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::*;
    use crate::wal::Medium;
    use crate::{Reader, verify};

    /// Takes writes, and fails to sync after some.
    struct Failing {
        syncs_left: u32,
        writes_left: u32,
    }

    fn take(left: &mut u32) -> io::Result<()> {
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("injected"))?;
        Ok(())
    }

    impl Medium for Failing {
        fn write(&mut self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
            take(&mut self.writes_left)
        }

        fn sync(&mut self) -> io::Result<()> {
            take(&mut self.syncs_left)
        }
    }

    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder(name: &str) -> Folder {
        let name = format!("drieslot-journal-unit-{}-{name}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn config() -> JournalConfig {
        JournalConfig::new("o", IdentityKey::generate().unwrap())
    }

    fn fails_for_good(name: &str, failing: Failing) {
        let folder = folder(name);
        let (mut writer, _) = recovery::open(&folder.0, config()).unwrap();
        writer.wal.fail_with(Box::new(failing));
        let journal = Journal::start(writer).unwrap();
        let (sender, told) = mpsc::channel();
        journal.set_notify(Box::new(move |durable| drop(sender.send(durable.map_err(|error| error.to_string())))));
        for index in 0..2 {
            assert_eq!(journal.append(vec![1]).unwrap(), index);
            journal.wait_durable(index).unwrap();
        }
        assert_eq!(journal.append(vec![1]).unwrap(), 2);
        for _ in 0..2 {
            let error = journal.wait_durable(2).unwrap_err();
            assert!(matches!(&error, JournalError::Failed { .. }));
            assert!(error.to_string().contains("injected"), "{error}");
        }
        assert!(matches!(journal.append(vec![1]), Err(JournalError::Failed { .. })));
        assert!(matches!(journal.wait_durable(3), Err(JournalError::Failed { .. })));
        assert!(matches!(journal.close(), Err(JournalError::Failed { .. })));
        assert_eq!(journal.durable(), 2);
        drop(journal);
        let told: Vec<_> = told.into_iter().collect();
        assert_eq!(told.iter().flatten().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(told.last().is_some_and(|last| last.as_ref().is_err_and(|why| why.contains("injected"))));
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        fails_for_good("sync", Failing { syncs_left: 2, writes_left: u32::MAX });
    }

    #[test]
    fn a_failed_write_stops_everything() {
        fails_for_good("write", Failing { syncs_left: u32::MAX, writes_left: 2 });
    }

    #[test]
    fn the_queue_is_bounded() {
        let folder = folder("queue");
        let (writer, _) = recovery::open(&folder.0, config()).unwrap();
        // The writer doesn't run: nothing leaves the queue.
        let shared = Arc::clone(&writer.shared);
        let long = vec![0; crate::MAX_ENTRY_BYTES];
        let taken = (0..2000).take_while(|_| shared.append(&long, true).is_ok()).count();
        assert_eq!(taken, 1023, "64 MiB");
        assert!(matches!(shared.append(&[1], true), Err(JournalError::Overloaded { waiting: 1023 })));
    }

    fn grown_one_by_one(name: &str, settle_bytes: usize, base: u64) {
        let folder = folder(name);
        let config = config();
        let verifier = config.key.verifier("o").unwrap();
        let (mut writer, _) = recovery::open(&folder.0, config).unwrap();
        writer.settle_bytes = settle_bytes;
        writer.interval = Duration::ZERO;
        let journal = Journal::start(writer).unwrap();
        for index in 0..600_u64 {
            journal.append(index.to_be_bytes().to_vec()).unwrap();
            journal.wait_durable(index).unwrap();
            if index % 50 == 7 {
                verify(&folder.0, &verifier).unwrap();
            }
        }
        journal.close().unwrap();
        let reader = Reader::open(&folder.0).unwrap();
        assert_eq!((reader.base(), reader.size()), (base, 600));
        let all: Vec<_> = reader.entries(0, 600).unwrap().map(|entry| entry.unwrap().1).collect();
        assert_eq!(all, (0..600_u64).map(|index| index.to_be_bytes().to_vec()).collect::<Vec<_>>());
        for replaced in ["tile/0/000.p", "tile/0/001.p", "tile/entries/000.p", "tile/entries/001.p"] {
            assert!(!folder.0.join(replaced).exists(), "{replaced}");
        }
        assert!(folder.0.join("tile/entries/002.p/88").exists());
        assert_eq!(verify(&folder.0, &verifier).unwrap().checkpoint.size, 600);
    }

    #[test]
    fn settled_entries_leave_the_write_ahead_file() {
        grown_one_by_one("settle", 1, 512);
    }

    #[test]
    fn partial_tiles_go_when_the_full_one_is_there() {
        grown_one_by_one("partial", usize::MAX, 0);
    }
}
