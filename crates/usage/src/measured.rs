//! What is counted for Prometheus. No portal and no person is named: who asked stands in the journal.

use std::sync::atomic::{AtomicU64, Ordering};

use drieslot_link::Metric;

/// Questions by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    answered: AtomicU64,
    malformed: AtomicU64,
    limited: AtomicU64,
    unavailable: AtomicU64,
}

impl Measured {
    pub(crate) fn answered(&self, status: u16) {
        let counter = match status {
            200 => &self.answered,
            400..=428 => &self.malformed,
            429 => &self.limited,
            _ => &self.unavailable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn questions(&self) -> Metric {
        let samples = [
            ("answered", &self.answered),
            ("malformed", &self.malformed),
            ("limited", &self.limited),
            ("unavailable", &self.unavailable),
        ];
        let samples = samples.map(|(outcome, counter)| (outcome, counter.load(Ordering::Relaxed)));
        Metric::counters(
            "drieslot_usage_questions_total",
            "Questions who saw somebody, by outcome.",
            "outcome",
            samples,
        )
    }
}
