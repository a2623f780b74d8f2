//! What a watcher tells Prometheus. No journal and no principal is in a label.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use drieslot_link::Metric;

use crate::alert::Rule;
use crate::error::Fault;

/// A fault that lasts is logged again after this time.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Measured {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    started: u64,
    journals: u64,
    sent: u64,
    failures: u64,
    raised: BTreeMap<Rule, u64>,
    /// By output.
    waiting: BTreeMap<String, u64>,
    /// By journal: since when and of what it was last told.
    faults: BTreeMap<String, (Instant, Instant)>,
}

impl Measured {
    pub(crate) fn new(started: u64, journals: usize) -> Self {
        let journals = u64::try_from(journals).unwrap_or(u64::MAX);
        Self { inner: Mutex::new(Inner { started, journals, ..Inner::default() }) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn sent(&self, output: &str, count: usize) {
        tracing::debug!(output, count, "sent");
        self.with(|inner| inner.sent = inner.sent.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
    }

    pub(crate) fn failed(&self, output: &str) {
        tracing::debug!(output, "not sent");
        self.with(|inner| inner.failures = inner.failures.saturating_add(1));
    }

    pub(crate) fn raised(&self, rule: Rule) {
        self.with(|inner| {
            let count = inner.raised.entry(rule).or_default();
            *count = count.saturating_add(1);
        });
    }

    pub(crate) fn waits(&self, output: &str, entries: u64) {
        self.with(|inner| inner.waiting.insert(output.to_owned(), entries));
    }

    /// Nothing is taken from a journal at the moment. Said in the log once a minute.
    pub(crate) fn fault(&self, journal: &str, fault: &Fault) {
        let now = Instant::now();
        let tell = self.with(|inner| {
            let known = inner.faults.get(journal).copied();
            let told = known.map(|(_, told)| told).filter(|told| told.elapsed() < AGAIN);
            inner.faults.insert(journal.to_owned(), (now, told.unwrap_or(now)));
            told.is_none()
        });
        if tell {
            tracing::error!(journal, %fault, "nothing is taken from this journal");
        }
    }

    pub(crate) fn read(&self) -> Vec<Metric> {
        self.with(|inner| {
            // Each round of each output meets it anew.
            inner.faults.retain(|_, (seen, _)| seen.elapsed() < AGAIN);
            let refused = u64::try_from(inner.faults.len()).unwrap_or(u64::MAX);
            let waiting = inner.waiting.values().max().copied().unwrap_or(0);
            vec![
                Metric::start_time(inner.started),
                Metric::gauge("drieslot_watched_journals", "Journals that are followed.", inner.journals),
                Metric::gauge(
                    "drieslot_refused_journals",
                    "Journals of which nothing was taken in the last minute: not to be read, or not what was signed.",
                    refused,
                ),
                Metric::gauge(
                    "drieslot_watch_waiting_entries",
                    "Signed entries that the output which is furthest behind has not taken.",
                    waiting,
                ),
                Metric::counter("drieslot_watch_sent_total", "Events given to receivers.", inner.sent),
                Metric::counter("drieslot_watch_failures_total", "Tries that a receiver did not take.", inner.failures),
                Metric::counters(
                    "drieslot_alerts_raised_total",
                    "Alerts that were raised, by rule.",
                    "rule",
                    Rule::ALL.map(|rule| (rule.as_str(), inner.raised.get(&rule).copied().unwrap_or(0))),
                ),
            ]
        })
    }
}
