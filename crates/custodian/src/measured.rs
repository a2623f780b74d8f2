//! What a custodian counts for its metrics. No domain and no gateway is named: who was answered stands in the journal.

use std::sync::atomic::{AtomicU64, Ordering};

use drieslot_link::Metric;

/// Questions by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    given: AtomicU64,
    refused: AtomicU64,
    wrong_secret: AtomicU64,
    limited: AtomicU64,
    malformed: AtomicU64,
    unavailable: AtomicU64,
}

impl Measured {
    pub(crate) fn answered(&self, status: u16) {
        let counter = match status {
            200 => &self.given,
            400 => &self.malformed,
            403 => &self.refused,
            409 => &self.wrong_secret,
            429 => &self.limited,
            _ => &self.unavailable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn questions(&self) -> Metric {
        let samples = [
            ("given", &self.given),
            ("refused", &self.refused),
            ("wrong_secret", &self.wrong_secret),
            ("limited", &self.limited),
            ("malformed", &self.malformed),
            ("unavailable", &self.unavailable),
        ];
        let samples = samples.map(|(outcome, counter)| (outcome, counter.load(Ordering::Relaxed)));
        Metric::counters("drieslot_questions_total", "Shares and key-checks asked for, by outcome.", "outcome", samples)
    }
}
