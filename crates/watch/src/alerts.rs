//! Raises alerts: follows all journals, asks the rules, and writes what they say into the watcher's own journal.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drieslot_journal::{FollowError, Journal, JournalConfig, JournalError, Published, Reader, entry};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Rule, Words};
use crate::baseline::{begin_of, hour_of};
use crate::engine::{Engine, Memory};
use crate::error::{Fault, WatchError};
use crate::follow::{Feed, Following};
use crate::measured::Measured;
use crate::state::{self, Places};
use crate::{Clock, config::AlertsConfig};

const INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks at what no entry tells.
const LOOK: Duration = Duration::from_secs(2);
/// Between two times that what is learnt is written, where no alert was raised.
const SAVE: Duration = Duration::from_secs(10);
/// What may pass by itself is an alert when it lasts.
const LASTS: Duration = Duration::from_secs(30);
/// Witnesses that are so far behind a journal have stalled.
const STALLED: Duration = Duration::from_secs(60);
/// Longest note that is kept as evidence.
const MAX_NOTE: usize = 8 * 1_024;

/// What outlives the process. Places and memory are of one moment: what is read again gives the same again.
#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    places: Places,
    memory: Memory,
    /// The last note of each journal to which everything was read.
    notes: BTreeMap<String, String>,
    /// Entries of the own journal that the memory knows of.
    alerts: u64,
}

pub(crate) struct Alerts {
    engine: Engine,
    feed: Feed,
    own: Journal,
    folder: PathBuf,
    path: PathBuf,
    clock: Clock,
    measured: Arc<Measured>,
    remembered: Remembered,
    /// Since when a journal is not read.
    faulty: BTreeMap<String, Instant>,
    /// Since when its witnesses are behind, and at how many entries.
    behind: BTreeMap<String, (u64, Instant)>,
}

/// The watcher's own journal.
pub(crate) fn open_journal(config: &AlertsConfig) -> Result<Journal, WatchError> {
    let key = drieslot_journal::IdentityKey::load(&config.key)?;
    Ok(Journal::open(&config.journal, JournalConfig::new(&config.origin, key))?.0)
}

impl Alerts {
    pub(crate) fn new(
        engine: Engine,
        feed: Feed,
        own: Journal,
        path: PathBuf,
        clock: Clock,
        measured: Arc<Measured>,
    ) -> Self {
        let folder = engine.config.journal.clone();
        let (faulty, behind) = (BTreeMap::new(), BTreeMap::new());
        Self { engine, feed, own, folder, path, clock, measured, remembered: Remembered::default(), faulty, behind }
    }

    /// Runs until the future is dropped.
    pub(crate) async fn run(mut self) -> Result<Infallible, WatchError> {
        self.remember()?;
        let (mut saved, mut looked, mut dirty) = (Instant::now(), None, false);
        loop {
            let (mut idle, mut raised) = (true, Vec::new());
            for at in 0..self.feed.journals.len() {
                let taken = tokio::task::block_in_place(|| self.step(at, &mut raised));
                idle &= !taken;
            }
            if looked.is_none_or(|at: Instant| at.elapsed() >= LOOK) {
                tokio::task::block_in_place(|| self.look(&mut raised));
                looked = Some(Instant::now());
            }
            dirty |= !idle;
            let urgent = !raised.is_empty();
            tokio::task::block_in_place(|| self.write(&raised))?;
            if urgent || (dirty && saved.elapsed() >= SAVE) {
                tokio::task::block_in_place(|| self.save())?;
                (saved, dirty) = (Instant::now(), false);
            }
            if idle {
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }

    /// Goes on from what was saved; alerts that were written after that are not raised again.
    fn remember(&mut self) -> Result<(), WatchError> {
        self.remembered = state::load(&self.path)?.unwrap_or_default();
        let damaged = |fault: Fault| WatchError::State { path: self.path.clone(), why: fault.to_string() };
        self.feed.go_to(&self.remembered.places).map_err(damaged)?;
        self.engine.memory = std::mem::take(&mut self.remembered.memory);
        let reader = Reader::open(&self.folder)?;
        let from = self.remembered.alerts.min(reader.size());
        for written in reader.entries(from, reader.size())? {
            let (_, bytes) = written?;
            let alert = entry::decode_as::<Alert>(&bytes)?.body;
            let time: Timestamp = alert.hour.parse().unwrap_or(Timestamp::UNIX_EPOCH);
            self.engine.memory.was_given(&alert.id, time);
        }
        self.remembered.alerts = reader.size();
        Ok(())
    }

    /// One step in a journal; whether there was something new.
    fn step(&mut self, at: usize, raised: &mut Vec<Alert>) -> bool {
        let Some(journal) = self.feed.journals.get_mut(at) else { return false };
        let origin = journal.origin().to_owned();
        match journal.step() {
            Ok(taken) => {
                self.faulty.remove(&origin);
                if !journal.note().is_empty() {
                    self.remembered.notes.insert(origin.clone(), journal.note().to_owned());
                }
                for event in &taken.events {
                    raised.extend(self.engine.take(event));
                }
                !taken.events.is_empty()
            }
            Err(fault) => {
                self.measured.fault(&origin, &fault);
                let alert = self.fault(at, &origin, &fault);
                raised.extend(alert);
                false
            }
        }
    }

    /// A journal that is not what was signed is an alert once a day.
    fn fault(&mut self, at: usize, origin: &str, fault: &Fault) -> Option<Alert> {
        let since = *self.faulty.entry(origin.to_owned()).or_insert_with(Instant::now);
        let rule = match fault {
            Fault::Refused(FollowError::RolledBack { .. }) => Rule::RolledBack,
            Fault::Refused(FollowError::Forked { .. }) => Rule::SplitView,
            Fault::Refused(FollowError::Changed { .. } | FollowError::Journal(_))
            | Fault::Unreadable(_)
            | Fault::Entry(_) => Rule::NotVerified,
        };
        if rule == Rule::NotVerified && since.elapsed() < LASTS {
            return None;
        }
        let words = Words {
            what: "a journal is not the continuation of what was seen of it".into(),
            usual: "each checkpoint continues the one before".into(),
            seen: fault.to_string(),
        };
        let mut alert = self.about_journal(rule, origin, words)?;
        let now = self.feed.journals.get(at).map(|one| one.source.folder.join("checkpoint"));
        let now = now.and_then(|path| std::fs::read_to_string(path).ok());
        let notes = self.remembered.notes.get(origin).cloned().into_iter().chain(now);
        alert.notes = notes.filter(|note| note.len() <= MAX_NOTE).collect();
        Some(alert)
    }

    /// An alert that rests on no entry: one of its rule and journal for a day of the caller's clock.
    fn about_journal(&mut self, rule: Rule, origin: &str, words: Words) -> Option<Alert> {
        let now = (self.clock)();
        let day = begin_of(hour_of(now).div_euclid(24).saturating_mul(24));
        let alert = Alert::new(rule, origin, None, day, words);
        self.engine.is_new(&alert, now).then_some(alert)
    }

    /// What no new entry tells: that there is none, and what became of cosignatures.
    fn look(&mut self, raised: &mut Vec<Alert>) {
        let now = (self.clock)().as_second();
        let after = self.engine.config.stands_still_after_s;
        for at in 0..self.feed.journals.len() {
            let Some(journal) = self.feed.journals.get(at) else { continue };
            let origin = journal.origin().to_owned();
            let (last, whole) = (journal.last(), journal.size() > 0 && !journal.note().is_empty());
            if after > 0 && whole && now.saturating_sub(last.as_second()) > after {
                let words = Words {
                    what: "a journal stands still".into(),
                    usual: format!("a new entry within {after} s"),
                    seen: format!("the last one is of {last}"),
                };
                raised.extend(self.about_journal(Rule::StandsStill, &origin, words));
            }
            if let Some((rule, words)) = self.cosigned(at) {
                raised.extend(self.about_journal(rule, &origin, words));
            }
        }
    }

    /// What is wrong with the note that witnesses cosigned, where there is one. Whose cosignatures it has is not looked at.
    fn cosigned(&mut self, at: usize) -> Option<(Rule, Words)> {
        let journal: &Following = self.feed.journals.get(at)?;
        let (origin, size) = (journal.origin().to_owned(), journal.size());
        let source = &journal.source;
        let found = Published::open(&source.folder, &source.verifier).and_then(|one| one.cosigned(&source.verifier));
        let usual = || "the cosigned checkpoint is a beginning of the journal, and soon as long".to_owned();
        match found {
            Err(error @ (JournalError::Lost { .. } | JournalError::Corrupt { .. }))
                if !self.faulty.contains_key(&origin) =>
            {
                let since = self.behind.entry(origin).or_insert_with(|| (u64::MAX, Instant::now())).1;
                let what = "witnesses cosigned another history of a journal than is there".to_owned();
                (since.elapsed() >= LASTS)
                    .then(|| (Rule::SplitView, Words { what, usual: usual(), seen: error.to_string() }))
            }
            Ok(Some(note)) => {
                let cosigned = note.lines().nth(1).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
                if cosigned >= size {
                    self.behind.remove(&origin);
                    return None;
                }
                let known = self.behind.get(&origin).filter(|(entries, _)| *entries == cosigned);
                let since = known.map_or_else(Instant::now, |(_, since)| *since);
                self.behind.insert(origin, (cosigned, since));
                let what = "witnesses no longer cosign a journal".to_owned();
                let seen = format!("{cosigned} of {size} entries are cosigned, for {} s", since.elapsed().as_secs());
                (since.elapsed() >= STALLED).then(|| (Rule::WitnessStalled, Words { what, usual: usual(), seen }))
            }
            Ok(None) | Err(_) => None,
        }
    }

    /// Order: alerts are durable in the own journal, then the memory that they were raised.
    fn write(&mut self, raised: &[Alert]) -> Result<(), WatchError> {
        let now = (self.clock)().to_string();
        let mut last = None;
        for alert in raised {
            tracing::warn!(alert = alert.id, rule = alert.rule.as_str(), journal = alert.journal, "alert");
            last = Some(self.own.append(entry::encode("alert", &now, alert)?)?);
            self.measured.raised(alert.rule);
        }
        if let Some(last) = last {
            self.own.wait_durable(last)?;
            self.remembered.alerts = last.saturating_add(1);
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), WatchError> {
        self.remembered.places = self.feed.places();
        let read = self.feed.journals.iter().map(|journal| journal.last().as_second()).min();
        self.engine.memory.forget_before(read.unwrap_or(i64::MIN));
        std::mem::swap(&mut self.remembered.memory, &mut self.engine.memory);
        let saved = state::save(&self.path, &self.remembered);
        std::mem::swap(&mut self.remembered.memory, &mut self.engine.memory);
        saved
    }
}
