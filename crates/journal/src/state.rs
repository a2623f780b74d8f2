//! What the writer thread and its callers share: the queue, and how far it got.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::hash::{self, Hash};
use crate::journal::Notify;
use crate::{JournalError, MAX_ENTRY_BYTES};

/// Most entries that wait for the disk.
const MAX_QUEUED_ENTRIES: usize = 65_536;
/// Most bytes that wait for the disk. One commit takes them all, so this also bounds a frame.
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// How long an entry that nobody waits for yet is kept back, so that one commit can serve the next one too.
const LINGER: Duration = Duration::from_millis(10);

/// Entries in the order of their indexes: in bundle form, and their leaf hashes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) leaves: Vec<Hash>,
}

#[derive(Default)]
struct State {
    queue: Batch,
    /// Somebody waits for what is queued.
    urgent: bool,
    /// The writer looks again within [`LINGER`] by itself, so only what is urgent need wake it.
    watching: bool,
    next: u64,
    closing: bool,
    /// The writer has ended; it won't take what is queued.
    ended: bool,
    failed: Option<JournalError>,
}

/// Shared between the handles and the writer thread.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Woken when there is work for the writer.
    work: Condvar,
    /// Woken when entries became durable, and at the end.
    progress: Condvar,
    /// Entries that are durable. Written by the writer only.
    durable: AtomicU64,
    /// Entries under the last checkpoint. Written by the writer only.
    checkpointed: AtomicU64,
    /// Somebody waits for a checkpoint.
    hurried: AtomicBool,
    notify: Mutex<Option<Notify>>,
}

/// What the writer has to do next.
pub(crate) enum Work {
    Commit(Batch),
    /// The time to wait is over.
    TimeOut,
    Close,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks; the values are valid at each step anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(size: u64) -> Self {
        let queue = Batch { first: size, ..Batch::default() };
        Self {
            state: Mutex::new(State { queue, next: size, ..State::default() }),
            durable: AtomicU64::new(size),
            ..Self::default()
        }
    }

    pub(crate) fn append(&self, entry: &[u8], urgent: bool) -> Result<u64, JournalError> {
        let len = u16::try_from(entry.len()).ok().filter(|len| *len > 0);
        let Some(len) = len else { return Err(JournalError::EntrySize { len: entry.len() }) };
        // Hashed here, so that the writer needn't.
        let leaf = hash::leaf(entry);
        let mut state = lock(&self.state);
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        if state.closing || state.ended {
            return Err(JournalError::Closed);
        }
        let waiting = state.queue.leaves.len();
        if waiting >= MAX_QUEUED_ENTRIES || state.queue.payload.len() + MAX_ENTRY_BYTES + 2 > MAX_QUEUED_BYTES {
            return Err(JournalError::Overloaded { waiting });
        }
        state.queue.payload.extend_from_slice(&len.to_be_bytes());
        state.queue.payload.extend_from_slice(entry);
        state.queue.leaves.push(leaf);
        let index = state.next;
        state.next += 1;
        let wake = if urgent { !state.urgent } else { waiting == 0 && !state.watching };
        state.urgent |= urgent;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(index)
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn checkpointed(&self) -> u64 {
        self.checkpointed.load(Ordering::Acquire)
    }

    pub(crate) fn set_checkpointed(&self, size: u64) {
        self.checkpointed.store(size, Ordering::Release);
    }

    /// The writer sees it within [`LINGER`] where there is something new, and else with the next entry.
    pub(crate) fn hurry(&self) {
        self.hurried.store(true, Ordering::Release);
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Acquire)
    }

    pub(crate) fn calm(&self) {
        self.hurried.store(false, Ordering::Release);
    }

    pub(crate) fn wait_durable(&self, index: u64) -> Result<(), JournalError> {
        let mut state = lock(&self.state);
        loop {
            if self.durable() > index {
                return Ok(());
            }
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            if state.ended {
                return Err(JournalError::Closed);
            }
            if index >= state.next {
                return Err(JournalError::NoSuchEntry { index, size: state.next });
            }
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn set_notify(&self, notify: Notify) {
        let mut place = lock(&self.notify);
        let present = self.failed().map_or_else(|| Ok(self.durable()), Err);
        notify(present);
        *place = Some(notify);
    }

    pub(crate) fn close(&self) {
        lock(&self.state).closing = true;
        self.work.notify_one();
    }

    pub(crate) fn failed(&self) -> Option<JournalError> {
        lock(&self.state).failed.clone()
    }

    /// Called by the writer: the next thing to do, waiting at most `limit`.
    pub(crate) fn next_work(&self, limit: Option<Duration>, spare: Batch) -> Work {
        let mut state = lock(&self.state);
        let idle = |state: &mut State| state.queue.leaves.is_empty() && !state.closing;
        let nobody_waits = |state: &mut State| !state.urgent && !state.closing;
        if let Some(limit) = limit {
            // A checkpoint is due soon, so entries came lately and more will: they needn't wake the writer to be kept back.
            state.watching = true;
            let limit = limit.min(LINGER);
            state = self.work.wait_timeout_while(state, limit, nobody_waits).unwrap_or_else(PoisonError::into_inner).0;
            state.watching = false;
        } else {
            state = self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            state = self.work.wait_timeout_while(state, LINGER, nobody_waits).unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.queue.leaves.is_empty() {
            state.urgent = false;
            let next = state.next;
            let taken = std::mem::replace(&mut state.queue, spare);
            state.queue.payload.clear();
            state.queue.leaves.clear();
            state.queue.first = next;
            return Work::Commit(taken);
        }
        if state.closing { Work::Close } else { Work::TimeOut }
    }

    /// Called by the writer when all entries below `size` are durable.
    pub(crate) fn advance(&self, size: u64) {
        self.durable.store(size, Ordering::Release);
        // Taken so that no waiter sits between its look at `durable` and its wait.
        drop(lock(&self.state));
        self.progress.notify_all();
        if let Some(notify) = lock(&self.notify).as_ref() {
            notify(Ok(size));
        }
    }

    /// Called by the writer at the first failure: the journal is poisoned for good.
    pub(crate) fn fail(&self, why: &JournalError) {
        let failed = JournalError::Failed { why: Arc::from(why.to_string()) };
        let mut state = lock(&self.state);
        if state.failed.is_some() {
            return;
        }
        state.failed = Some(failed.clone());
        drop(state);
        self.progress.notify_all();
        if let Some(notify) = lock(&self.notify).as_ref() {
            notify(Err(failed));
        }
    }

    /// Called by the writer when it ends, however it ends.
    pub(crate) fn end(&self) {
        lock(&self.state).ended = true;
        self.progress.notify_all();
    }
}
