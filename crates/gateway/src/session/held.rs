//! Output that may leave only once the journal entry that names it is durable.

use std::collections::VecDeque;

use bytes::BytesMut;
use tokio::sync::watch;

use crate::trace::Progress;

/// A queue in output order; each part waits for a number of durable entries.
pub(super) struct Held {
    parts: VecDeque<(u64, BytesMut)>,
    bytes: usize,
    progress: watch::Receiver<Progress>,
}

impl Held {
    pub(super) fn new(progress: watch::Receiver<Progress>) -> Self {
        Self { parts: VecDeque::new(), bytes: 0, progress }
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
    }

    /// Moves what may leave; an error means that the journal has failed, and then nothing leaves any more.
    pub(super) fn release(&mut self, client: &mut BytesMut) -> Result<bool, ()> {
        if self.parts.is_empty() {
            return Ok(false);
        }
        let durable = match *self.progress.borrow_and_update() {
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
        Ok(moved)
    }

    /// Waits for news from the journal; cancel-safe.
    pub(super) async fn changed(&mut self) {
        if self.progress.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_before_its_entry_is_durable_nor_out_of_order() {
        let (sender, receiver) = watch::channel(Progress::Durable(0));
        let mut held = Held::new(receiver);
        let mut client = BytesMut::new();
        held.append(&mut client, |out| out.extend_from_slice(b"a"));
        held.hold(3, BytesMut::from(&b"secret"[..]));
        held.append(&mut client, |out| out.extend_from_slice(b"z"));
        assert_eq!(held.release(&mut client), Ok(false));
        sender.send_replace(Progress::Durable(3));
        assert_eq!(held.release(&mut client), Ok(false), "entry 3 is the fourth");
        assert_eq!(&client[..], b"a");
        sender.send_replace(Progress::Durable(4));
        assert_eq!(held.release(&mut client), Ok(true));
        assert_eq!(&client[..], b"asecretz");
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn a_failed_journal_releases_nothing() {
        let (sender, receiver) = watch::channel(Progress::Durable(9));
        let mut held = Held::new(receiver);
        held.hold(1, BytesMut::from(&b"secret"[..]));
        sender.send_replace(Progress::Failed);
        let mut client = BytesMut::new();
        assert_eq!(held.release(&mut client), Err(()));
        assert!(client.is_empty());
    }
}
