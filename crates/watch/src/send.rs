//! One output: takes from all journals, gives to its receiver, and remembers how far it got. What a receiver does not take
//! stays in the journals: nothing is lost, and nothing piles up.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::{Fault, WatchError};
use crate::follow::Feed;
use crate::measured::Measured;
use crate::sink::Sink;
use crate::state::{self, Places};

/// Between two looks at journals that had nothing new; they sign a checkpoint each second.
const INTERVAL: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A fault that lasts is logged again after this time.
const AGAIN: Duration = Duration::from_secs(60);

pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) sink: Sink,
    pub(crate) feed: Feed,
    /// Where its place is remembered.
    pub(crate) path: PathBuf,
    /// What is older is not sent.
    pub(crate) since: Option<Timestamp>,
    pub(crate) measured: Arc<Measured>,
}

/// How far everything was given, and how far that is certain.
struct Given {
    settled: Places,
    written: VecDeque<(Instant, Places)>,
}

impl Output {
    /// Runs until the future is dropped.
    pub(crate) async fn run(mut self) -> Result<Infallible, WatchError> {
        let settled: Places = state::load(&self.path)?.unwrap_or_default();
        self.go_to(&settled)?;
        let mut given = Given { settled, written: VecDeque::new() };
        let (mut pause, mut told) = (FIRST_PAUSE, None);
        loop {
            match self.round(&mut given).await {
                Ok(idle) => {
                    (pause, told) = (FIRST_PAUSE, None);
                    self.settle(&mut given)?;
                    if idle {
                        tokio::time::sleep(INTERVAL).await;
                    }
                }
                Err(why) => {
                    self.measured.failed(&self.name);
                    if told.is_none_or(|at: Instant| at.elapsed() >= AGAIN) {
                        tracing::error!(output = self.name, why, "the receiver takes nothing; it is tried again");
                        told = Some(Instant::now());
                    }
                    // Whatever was written and is not certain is written again.
                    given.written.clear();
                    self.go_to(&given.settled)?;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn go_to(&mut self, places: &Places) -> Result<(), WatchError> {
        let damaged = |fault: Fault| WatchError::State { path: self.path.clone(), why: fault.to_string() };
        self.feed.go_to(places).map_err(damaged)
    }

    /// A step in each journal; whether there was nothing new.
    async fn round(&mut self, given: &mut Given) -> Result<bool, String> {
        if self.sink.was_closed().await {
            return Err("it closed the connection".into());
        }
        let (mut idle, mut waiting) = (true, 0_u64);
        for at in 0..self.feed.journals.len() {
            let Some(journal) = self.feed.journals.get_mut(at) else { continue };
            let taken = match tokio::task::block_in_place(|| journal.step()) {
                Ok(taken) => taken,
                // What is wrong with a journal is for the alerts, not for this receiver.
                Err(fault) => {
                    self.measured.fault(journal.origin(), &fault);
                    continue;
                }
            };
            waiting = waiting.saturating_add(taken.waiting);
            if taken.events.is_empty() {
                continue;
            }
            idle = false;
            let since = self.since;
            let new: Vec<_> =
                taken.events.into_iter().filter(|event| since.is_none_or(|since| event.time >= since)).collect();
            self.sink.send(&new).await?;
            self.measured.sent(&self.name, new.len());
            given.written.push_back((Instant::now(), self.feed.places()));
        }
        self.measured.waits(&self.name, waiting);
        Ok(idle)
    }

    /// Remembers what is certain by now.
    fn settle(&self, given: &mut Given) -> Result<(), WatchError> {
        let after = self.sink.settled_after();
        let mut new = None;
        while given.written.front().is_some_and(|(at, _)| at.elapsed() >= after) {
            new = given.written.pop_front().map(|(_, places)| places);
        }
        let Some(places) = new else { return Ok(()) };
        state::save(&self.path, &places)?;
        given.settled = places;
        Ok(())
    }
}
