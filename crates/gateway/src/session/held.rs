//! Output that may leave only once the journal entry that names it is durable.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::trace::{Progress, Waiting};

/// A queue in output order; each part waits for a number of durable entries.
pub(super) struct Held {
    parts: VecDeque<(u64, BytesMut)>,
    bytes: usize,
    waiting: Waiting,
    /// Told when the entry that the first part waits for is durable.
    waiter: Arc<Notify>,
}

impl Held {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self { parts: VecDeque::new(), bytes: 0, waiting, waiter: Arc::default() }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends output that needs nothing itself but must not overtake what waits.
    pub(super) fn append(&mut self, client: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        match self.parts.back_mut() {
            None => write(client),
            Some((_, part)) => {
                let before = part.len();
                write(part);
                self.bytes += part.len() - before;
            }
        }
    }

    /// Holds `part` until the entry at `index` is durable.
    pub(super) fn hold(&mut self, index: u64, part: BytesMut) {
        self.bytes += part.len();
        self.parts.push_back((index, part));
        if self.parts.len() == 1 {
            self.waiting.register(index, &self.waiter);
        }
    }

    /// Moves what may leave; an error means that the journal has failed, and then nothing leaves any more.
    pub(super) fn release(&mut self, client: &mut BytesMut) -> Result<bool, ()> {
        if self.parts.is_empty() {
            return Ok(false);
        }
        let durable = match self.waiting.progress() {
            Progress::Durable(count) => count,
            Progress::Failed => return Err(()),
        };
        let mut moved = false;
        while let Some((index, _)) = self.parts.front()
            && *index < durable
            && let Some((_, part)) = self.parts.pop_front()
        {
            self.bytes -= part.len();
            client.unsplit(part);
            moved = true;
        }
        if moved && let Some((index, _)) = self.parts.front() {
            self.waiting.register(*index, &self.waiter);
        }
        Ok(moved)
    }

    /// Waits for news from the journal; cancel-safe.
    pub(super) async fn changed(&mut self) {
        self.waiter.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_before_its_entry_is_durable_nor_out_of_order() {
        let waiting = Waiting::new(0);
        let mut held = Held::new(waiting.clone());
        let mut client = BytesMut::new();
        held.append(&mut client, |out| out.extend_from_slice(b"a"));
        held.hold(3, BytesMut::from(&b"secret"[..]));
        held.append(&mut client, |out| out.extend_from_slice(b"z"));
        assert_eq!(held.release(&mut client), Ok(false));
        waiting.advance(Progress::Durable(3));
        assert_eq!(held.release(&mut client), Ok(false), "entry 3 is the fourth");
        assert_eq!(&client[..], b"a");
        waiting.advance(Progress::Durable(4));
        assert_eq!(held.release(&mut client), Ok(true));
        assert_eq!(&client[..], b"asecretz");
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn a_failed_journal_releases_nothing() {
        let waiting = Waiting::new(0);
        let mut held = Held::new(waiting.clone());
        held.hold(1, BytesMut::from(&b"secret"[..]));
        waiting.advance(Progress::Failed);
        let mut client = BytesMut::new();
        assert_eq!(held.release(&mut client), Err(()));
        assert!(client.is_empty());
    }
}
