//! What a gateway says of itself to Prometheus. No principal, database, domain or text of a statement is named: that stands in
//! the journal.

use std::sync::Arc;

use drieslot_link::Metric;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::Shared;

pub(crate) fn read(shared: &Shared, places: &Arc<Semaphore>, started: Timestamp) -> Vec<Metric> {
    let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    let sessions = shared.config.max_sessions.saturating_sub(places.available_permits());
    let (keys, soonest) = shared.keyring.leases();
    let (intents, refused, durable) = shared.trace.counted();
    let started = u64::try_from(started.as_second()).unwrap_or(0);
    let mut metrics = vec![
        Metric::start_time(started),
        Metric::gauge("drieslot_sessions", "Connections of applications.", number(sessions)),
        Metric::gauge("drieslot_sessions_max", "As many are taken.", number(shared.config.max_sessions)),
        Metric::counter(
            "drieslot_protected_statements_total",
            "Statements sent that touch a protected column.",
            intents,
        ),
        Metric::counter("drieslot_refused_statements_total", "Statements that no mandate allowed.", refused),
        Metric::counter(
            "drieslot_alarms_total",
            "Looks at decoys; a session counts once for a column.",
            shared.decoys.alarms(),
        ),
        Metric::gauge("drieslot_keys_held", "Keys whose lease runs.", number(keys)),
        Metric::gauge(
            "drieslot_lease_left_seconds",
            "Until the first lease ends; 0 where no key is held.",
            soonest.as_secs(),
        ),
        Metric::journal_entries(durable),
    ];
    metrics.extend(shared.follower.metrics());
    metrics.extend(shared.cosigning.metrics());
    metrics
}
