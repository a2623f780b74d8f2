//! Output that may leave only once the journal entry that names it is durable, and some only once it is cosigned.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::trace::{Progress, Waiting};

struct Part {
    /// The entry that it waits for.
    index: u64,
    /// Not durable is enough, but cosigned.
    cosigned: bool,
    bytes: BytesMut,
}

/// A queue in output order; each part waits for a number of durable or cosigned entries.
pub(super) struct Held {
    parts: VecDeque<Part>,
    bytes: usize,
    /// So many entries are known to be cosigned.
    cosigned: u64,
    waiting: Waiting,
    /// Told when the entry that the first part waits for is durable.
    waiter: Arc<Notify>,
}

impl Held {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self { parts: VecDeque::new(), bytes: 0, cosigned: 0, waiting, waiter: Arc::default() }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends output that needs nothing itself but must not overtake what waits.
    pub(super) fn append(&mut self, client: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        match self.parts.back_mut() {
            None => write(client),
            Some(Part { bytes, .. }) => {
                let before = bytes.len();
                write(bytes);
                self.bytes += bytes.len() - before;
            }
        }
    }

    /// Holds output until the entry at `index` is durable, or `cosigned`.
    pub(super) fn hold(&mut self, index: u64, cosigned: bool, bytes: BytesMut) {
        self.bytes += bytes.len();
        self.parts.push_back(Part { index, cosigned, bytes });
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
        let ready =
            |part: &Part, cosigned: u64| part.index < if part.cosigned { durable.min(cosigned) } else { durable };
        while self.parts.front().is_some_and(|part| ready(part, self.cosigned))
            && let Some(part) = self.parts.pop_front()
        {
            self.bytes -= part.bytes.len();
            client.unsplit(part.bytes);
            moved = true;
        }
        if moved && let Some(part) = self.parts.front() {
            self.waiting.register(part.index, &self.waiter);
        }
        Ok(moved)
    }

    /// The last entry whose cosignatures output waits for.
    pub(super) fn wants_cosigned(&self) -> Option<u64> {
        let last = self.parts.iter().rev().find(|part| part.cosigned)?.index;
        (last >= self.cosigned).then_some(last)
    }

    /// So many entries are cosigned.
    pub(super) fn cosigned(&mut self, entries: u64) {
        self.cosigned = self.cosigned.max(entries);
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
        held.hold(3, false, BytesMut::from(&b"secret"[..]));
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
    fn what_waits_for_witnesses_holds_back_what_comes_after_it() {
        let mut held = Held::new(Waiting::new(9));
        let mut client = BytesMut::new();
        held.hold(3, false, BytesMut::from(&b"a"[..]));
        held.hold(5, true, BytesMut::from(&b"b"[..]));
        held.hold(6, false, BytesMut::from(&b"c"[..]));
        assert_eq!(held.release(&mut client), Ok(true));
        assert_eq!((&client[..], held.wants_cosigned()), (&b"a"[..], Some(5)));
        held.cosigned(5);
        assert_eq!(held.release(&mut client), Ok(false), "entry 5 is the sixth");
        held.cosigned(6);
        assert_eq!(held.release(&mut client), Ok(true));
        assert_eq!((&client[..], held.wants_cosigned()), (&b"abc"[..], None));
    }

    #[test]
    fn a_failed_journal_releases_nothing() {
        let waiting = Waiting::new(0);
        let mut held = Held::new(waiting.clone());
        held.hold(1, false, BytesMut::from(&b"secret"[..]));
        waiting.advance(Progress::Failed);
        let mut client = BytesMut::new();
        assert_eq!(held.release(&mut client), Err(()));
        assert!(client.is_empty());
    }
}
