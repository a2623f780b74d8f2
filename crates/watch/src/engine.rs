//! The rules: a pure function from events, in their order, to alerts. It knows no clock but the entries', no file and no network.

use std::collections::BTreeMap;

use drieslot_audit::body::{Actor, Body, Intent, Outcome};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Rests, Rule, Words};
use crate::baseline::{Habit, begin_of, hour_of};
use crate::config::AlertsConfig;
use crate::event::{Event, What};
use crate::state::hex;

/// Principals of a journal whose habits are learnt; of others only the fixed rules hold.
const MAX_PRINCIPALS: usize = 1_000;
/// For so long it is remembered that an alert was given.
const REMEMBERED_S: i64 = 48 * 3_600;

/// What the rules remember. Rebuilt from the journals where it is lost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// By journal and principal.
    habits: BTreeMap<String, BTreeMap<String, Habit>>,
    /// Alerts that were given, by id, and their hour in seconds of the epoch.
    given: BTreeMap<String, i64>,
}

pub(crate) struct Engine {
    pub(crate) config: AlertsConfig,
    pub(crate) zone: TimeZone,
    pub(crate) memory: Memory,
}

fn rests(event: &Event) -> Rests {
    Rests { index: event.index, leaf: hex(&event.leaf) }
}

impl Memory {
    /// It is in the own journal already.
    pub(crate) fn was_given(&mut self, id: &str, time: Timestamp) {
        self.given.insert(id.to_owned(), time.as_second());
    }

    /// Forgets alerts that no entry can raise again, as all journals were read up to this time.
    pub(crate) fn forget_before(&mut self, read: i64) {
        self.given.retain(|_, hour| *hour >= read.saturating_sub(REMEMBERED_S));
    }
}

impl Engine {
    /// The alerts that an event raises.
    pub(crate) fn take(&mut self, event: &Event) -> Vec<Alert> {
        let mut raised = match &event.what {
            What::Released { intent, intent_leaf, outcome } => {
                let first = Rests { index: outcome.intent, leaf: hex(intent_leaf) };
                self.released(event, intent, first, outcome)
            }
            What::Known(Body::Intent(intent)) => self.asked(event, intent),
            What::Known(Body::Refused(refused)) => {
                let seen = format!("{} {}", refused.sqlstate, refused.why);
                vec![by_entry(event, Rule::Refused, &refused.actor, "a statement that no mandate allows", seen)]
            }
            What::Known(Body::Firewall(judged)) => {
                let seen = format!("{}: {}", judged.outcome, judged.why);
                vec![by_entry(
                    event,
                    Rule::Firewall,
                    &judged.actor,
                    "a statement that the firewall does not know",
                    seen,
                )]
            }
            What::Known(Body::Alarm(alarm)) => {
                let seen = format!("a decoy of {}", alarm.column);
                vec![by_entry(event, Rule::Decoy, &alarm.actor, "a decoy was about to be shown", seen)]
            }
            What::Unreadable(why) => {
                let words = Words {
                    what: "a signed entry cannot be understood".into(),
                    usual: "entries as docs/journal.md says".into(),
                    seen: why.clone(),
                };
                let alert = Alert::new(Rule::Unreadable, &event.journal, None, begin_of(hour_of(event.time)), words);
                vec![alert.resting_on([rests(event)])]
            }
            What::Known(Body::Outcome(_) | Body::Definition(_) | Body::Asked(_) | Body::Other) | What::Other(_) => {
                Vec::new()
            }
        };
        raised.retain(|alert| self.is_new(alert, event.time));
        raised
    }

    /// Whether it was not given yet; then it is from now on. Off where the configuration says so.
    pub(crate) fn is_new(&mut self, alert: &Alert, time: Timestamp) -> bool {
        if self.config.without.contains(&alert.rule) {
            return false;
        }
        self.memory.given.insert(alert.id.clone(), time.as_second()).is_none()
    }

    fn habit(&mut self, event: &Event, principal: &str) -> Option<&mut Habit> {
        let habits = self.memory.habits.entry(event.journal.to_string()).or_default();
        if habits.len() >= MAX_PRINCIPALS && !habits.contains_key(principal) {
            return None;
        }
        Some(habits.entry(principal.to_owned()).or_insert_with(|| Habit::new(event.time)))
    }

    /// What can be said before anything is released: hours, columns, end users.
    fn asked(&mut self, event: &Event, intent: &Intent) -> Vec<Alert> {
        let (zone, learning_s) = (self.zone.clone(), self.config.learning_s);
        let Some(habit) = self.habit(event, &intent.principal) else { return Vec::new() };
        let learning = habit.is_learning(event.time, learning_s);
        let mut raised = Vec::new();
        let mut raise = |rule, words| {
            let hour = begin_of(hour_of(event.time));
            let alert = Alert::new(rule, &event.journal, Some(&intent.principal), hour, words);
            raised.push(alert.resting_on([rests(event)]));
        };
        habit.enter(event.time);
        if !learning && let Some(days) = habit.unusual_hour(&zone) {
            let local = event.time.to_zoned(zone).strftime("%A %H:%M").to_string();
            let what = format!("{} looks at an unusual hour", intent.principal);
            let usual = format!("at about this hour it looked on {days} days of the last eight weeks");
            raise(Rule::Hours, Words { what, usual, seen: local });
        }
        let known = habit.columns();
        let used = intent.columns.iter().map(|touched| format!("{} {}", touched.used, touched.column));
        let new: Vec<String> = used.filter(|used| habit.new_column(used)).collect();
        if !new.is_empty() && !learning {
            let what = format!("{} touches columns that it did not before", intent.principal);
            let usual = format!("{known} columns and uses");
            raise(Rule::NewColumn, Words { what, usual, seen: new.join(", ") });
        }
        if let Some(person) = &intent.end_user
            && habit.new_person(&person.name)
            && !learning
        {
            let what = format!("{} acts for an end user for whom it did not before", intent.principal);
            let seen = format!("{} ({})", person.name, person.known);
            raise(Rule::NewEndUser, Words { what, usual: "other end users".into(), seen });
        }
        raised
    }

    /// How much was released in this hour.
    fn released(&mut self, event: &Event, intent: &Intent, first: Rests, outcome: &Outcome) -> Vec<Alert> {
        let (zone, limits, learning_s) = (self.zone.clone(), self.config.limits, self.config.learning_s);
        let Some(habit) = self.habit(event, &intent.principal) else { return Vec::new() };
        let learning = habit.is_learning(event.time, learning_s);
        habit.enter(event.time);
        let entry = (outcome.rows, event.index, hex(&event.leaf));
        let hour = habit.count(outcome.rows, &outcome.subjects, limits.persons_per_hour, entry);
        let floor = |usual: Option<(u64, u64)>, floor: u64| {
            usual.map_or((0, floor), |(middle, limit)| (middle, limit.max(floor)))
        };
        let usual = habit.usual(&zone);
        let (rows, row_limit) = floor(usual.rows, limits.ordinary_rows);
        let (persons, person_limit) = floor(usual.persons, limits.ordinary_persons);
        let seen = format!("{} rows about {} persons in this hour", hour.rows, hour.persons);
        let begin = begin_of(habit.hour());
        let shown: Vec<Rests> =
            habit.largest().iter().map(|(_, index, leaf)| Rests { index: *index, leaf: leaf.clone() }).collect();
        let alert = |rule, what: String, usual: String| {
            let words = Words { what, usual, seen: seen.clone() };
            let alert = Alert::new(rule, &event.journal, Some(&intent.principal), begin, words);
            alert.resting_on(shown.iter().cloned().chain([first.clone(), rests(event)]))
        };
        let mut raised = Vec::new();
        if hour.rows > limits.rows_per_hour || hour.persons > limits.persons_per_hour {
            let usual = format!(
                "the limit is {} rows and {} persons in an hour",
                limits.rows_per_hour, limits.persons_per_hour
            );
            raised.push(alert(Rule::Limit, format!("{} exceeds the limit of an hour", intent.principal), usual));
        }
        if !learning && (hour.rows > row_limit || hour.persons > person_limit) {
            let usual = format!(
                "{rows} rows about {persons} persons; ordinary are up to {row_limit} rows and {person_limit} persons"
            );
            raised.push(alert(Rule::Volume, format!("{} reads more than is usual", intent.principal), usual));
        }
        raised
    }
}

fn by_entry(event: &Event, rule: Rule, actor: &Actor, what: &str, seen: String) -> Alert {
    let whom = actor.end_user.as_ref().map(|person| format!(" for {} ({})", person.name, person.known));
    let words = Words {
        what: format!("{}{}: {what}", actor.principal, whom.unwrap_or_default()),
        usual: "none".into(),
        seen: format!("{seen}, from {}", actor.client),
    };
    let hour = begin_of(hour_of(event.time));
    Alert::new(rule, &event.journal, Some(&actor.principal), hour, words).resting_on([rests(event)])
}

#[cfg(test)]
mod tests;
