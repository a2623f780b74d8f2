//! The rules over weeks of made-up looks: silent while all is as usual, and the same alerts for the same entries.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;

use drieslot_audit::body::{EndUser, Refused, Stage, Touched};
use jiff::ToSpan;

use super::*;
use crate::config::LimitsConfig;

const JOURNAL: &str = "agency.example/gateway";

struct Journal {
    engine: Engine,
    index: u64,
    raised: Vec<Alert>,
}

fn engine() -> Engine {
    let limits =
        LimitsConfig { rows_per_hour: 5_000, persons_per_hour: 1_000, ordinary_rows: 40, ordinary_persons: 10 };
    let config = AlertsConfig {
        journal: "j".into(),
        key: "k".into(),
        origin: "agency.example/watch".into(),
        learning_s: 14 * 86_400,
        time_zone: "UTC".into(),
        without: vec![Rule::NewEndUser],
        stands_still_after_s: 0,
        limits,
    };
    Engine { config, zone: TimeZone::UTC, memory: Memory::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Journal {
    fn new() -> Self {
        Self { engine: engine(), index: 0, raised: Vec::new() }
    }

    fn event(&mut self, time: Timestamp, what: What) {
        let mut leaf = [0; 32];
        leaf[..8].copy_from_slice(&self.index.to_be_bytes());
        let event = Event { journal: JOURNAL.into(), index: self.index, time, kind: "k".into(), leaf, what };
        self.index += 1;
        // As after a restart at any moment.
        let memory = serde_json::to_string(&self.engine.memory).unwrap();
        self.engine.memory = serde_json::from_str(&memory).unwrap();
        self.raised.extend(self.engine.take(&event));
    }

    fn look(&mut self, time: Timestamp, column: &str, rows: u64, persons: std::ops::Range<u64>) {
        let intent = Intent {
            session: "a".into(),
            principal: "app".into(),
            client: "127.0.0.1:1".into(),
            end_user: Some(EndUser { name: "Els".into(), known: "asserted".into(), issuer: None, token_sha256: None }),
            database: "civic".into(),
            mandates: vec!["app-1".into()],
            purpose: "intake".into(),
            command: "SELECT".into(),
            fingerprint: "0".into(),
            columns: vec![Touched { column: column.into(), used: "read".into() }],
        };
        let first = self.index;
        self.event(time, What::Known(Body::Intent(intent.clone())));
        let outcome = Outcome {
            session: "a".into(),
            intent: first,
            rows,
            state: Stage::Done,
            tag: None,
            subjects: persons.map(|one| format!("p{one}")).collect(),
            without_subject: Vec::new(),
        };
        self.event(time, What::Released { intent: Arc::new(intent), intent_leaf: [7; 32], outcome });
    }

    /// Weekdays from nine to five, about twenty rows an hour.
    fn weeks(&mut self, from: &str, weeks: i64) {
        let mut day = at(from);
        for _ in 0..weeks * 7 {
            let weekday = day.to_zoned(TimeZone::UTC).weekday();
            for hour in 9..17 {
                if !matches!(weekday, jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday) {
                    self.look(day + hour.hours(), "public.person.name", 18 + u64::try_from(hour % 5).unwrap(), 0..8);
                }
            }
            day += 24.hours();
        }
    }

    fn told(&mut self) -> Vec<(Rule, String)> {
        self.raised.drain(..).map(|alert| (alert.rule, alert.hour)).collect()
    }
}

#[test]
fn what_is_usual_raises_nothing_and_what_is_not_is_named_once() {
    let mut journal = Journal::new();
    journal.weeks("2026-03-02T00:00:00Z", 3);
    assert_eq!(journal.told(), []);
    // Tuesday, at eleven: sixty looks of twenty rows.
    for _ in 0..60 {
        journal.look(at("2026-03-24T11:20:00Z"), "public.person.name", 20, 0..8);
    }
    let alert = journal.raised[0].clone();
    assert_eq!(journal.told(), [(Rule::Volume, "2026-03-24T11:00:00Z".to_owned())]);
    assert_eq!((alert.principal.as_deref(), alert.severity.as_str()), (Some("app"), "high"));
    assert!(alert.usual.contains("19 rows about 8 persons") && alert.seen.starts_with("60 rows"), "{alert:?}");
    assert!(alert.entries.len() == 4 && alert.entries.iter().is_sorted_by_key(|one| one.index), "{alert:?}");
    // Few rows, but about many persons.
    journal.look(at("2026-03-24T14:20:00Z"), "public.person.name", 39, 100..139);
    assert_eq!(journal.told(), [(Rule::Volume, "2026-03-24T14:00:00Z".to_owned())]);
    // At night, another column; the next day it is no longer new, and the night not yet usual.
    journal.look(at("2026-03-25T03:10:00Z"), "public.person.income", 1, 0..1);
    let night = "2026-03-25T03:00:00Z".to_owned();
    assert_eq!(journal.told(), [(Rule::Hours, night.clone()), (Rule::NewColumn, night)]);
    journal.look(at("2026-03-26T03:10:00Z"), "public.person.income", 1, 0..1);
    assert_eq!(journal.told(), [(Rule::Hours, "2026-03-26T03:00:00Z".to_owned())]);
    // A Sunday at eleven is no Tuesday at eleven.
    journal.look(at("2026-03-29T11:10:00Z"), "public.person.name", 1, 0..1);
    assert_eq!(journal.told(), [(Rule::Hours, "2026-03-29T11:00:00Z".to_owned())]);
}

#[test]
fn while_it_learns_only_fixed_rules_hold() {
    let mut journal = Journal::new();
    journal.look(at("2026-03-02T03:00:00Z"), "public.person.name", 4_000, 0..900);
    journal.look(at("2026-03-02T03:01:00Z"), "public.person.income", 900, 0..900);
    assert_eq!(journal.told(), []);
    journal.look(at("2026-03-02T03:02:00Z"), "public.person.income", 1, 900..1_200);
    journal.look(at("2026-03-02T03:03:00Z"), "public.person.income", 900, 0..900);
    assert_eq!(journal.told(), [(Rule::Limit, "2026-03-02T03:00:00Z".to_owned())]);
}

#[test]
fn a_refusal_is_told_once_an_hour_and_a_rule_can_be_off() {
    let mut journal = Journal::new();
    let actor = Actor {
        session: "a".into(),
        principal: "app".into(),
        client: "127.0.0.1:1".into(),
        end_user: None,
        database: "civic".into(),
    };
    let refused = || {
        What::Known(Body::Refused(Refused { actor: actor.clone(), sqlstate: "42501".into(), why: "no mandate".into() }))
    };
    for time in ["2026-03-02T09:00:00Z", "2026-03-02T09:59:00Z", "2026-03-02T10:00:00Z"] {
        journal.event(at(time), refused());
    }
    assert_eq!(journal.raised[0].entries, [Rests { index: 0, leaf: "0".repeat(64) }]);
    let hours: Vec<_> = journal.told().into_iter().map(|(_, hour)| hour).collect();
    assert_eq!(hours, ["2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"]);
    journal.engine.config.without.push(Rule::Refused);
    journal.event(at("2026-03-02T11:00:00Z"), refused());
    journal.event(at("2026-03-02T11:00:01Z"), What::Unreadable("half of it".into()));
    assert_eq!(journal.told(), [(Rule::Unreadable, "2026-03-02T11:00:00Z".to_owned())]);
}

#[test]
fn the_same_entries_raise_the_same_alerts() {
    let run = || {
        let mut journal = Journal::new();
        journal.weeks("2026-03-02T00:00:00Z", 3);
        for minute in 0..30 {
            journal.look(at("2026-03-24T11:00:00Z") + minute.minutes(), "public.person.name", 20, 0..8);
        }
        journal.raised
    };
    assert_eq!(run(), run());
    assert_eq!(run().len(), 1);
}
