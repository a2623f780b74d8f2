//! What is usual for a principal, learnt from its looks in one journal. Whole numbers throughout, and no clock but the entries':
//! the same entries give the same answers. `docs/alerts.md` states the figures.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Hours that are remembered: of eight weeks.
const WINDOW_HOURS: i64 = 56 * 24;
/// Below so many remembered hours nothing is said to be usual.
const ENOUGH: usize = 5;
/// An hour of the day is usual if it was used on so many days.
const DAYS: usize = 3;
/// Columns, and end users, that are remembered.
const MAX_NAMES: usize = 10_000;
/// Entries that an alert about volume names.
const MAX_LARGEST: usize = 8;

/// Rows and persons of one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hour {
    /// Hours since the epoch.
    at: i64,
    pub(crate) rows: u64,
    pub(crate) persons: u64,
}

/// One outcome: its rows, its place, its leaf hash.
pub(crate) type Large = (u64, u64, String);

/// What is remembered of one principal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Habit {
    /// Of its first look, in seconds of the epoch.
    first: i64,
    columns: BTreeSet<String>,
    people: BTreeSet<String>,
    hours: VecDeque<Hour>,
    now: Hour,
    /// Pseudonyms of this hour.
    subjects: BTreeSet<String>,
    largest: Vec<Large>,
    /// The hour of which it was last said whether it is usual.
    judged: Option<i64>,
    /// Of this hour, once it was asked for.
    usual: Option<Usual>,
}

/// Median and limit of rows, and of persons; none where too little is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usual {
    pub(crate) rows: Option<(u64, u64)>,
    pub(crate) persons: Option<(u64, u64)>,
}

/// The hour of an entry, in hours since the epoch.
pub(crate) fn hour_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3_600)
}

/// Its begin.
pub(crate) fn begin_of(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(3_600)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Weekday or weekend, and the hour of the day, where the people are.
fn slot(hour: i64, zone: &TimeZone) -> (bool, i8) {
    let local = begin_of(hour).to_zoned(zone.clone());
    (matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday), local.hour())
}

/// The one of the middle, the lower one of two.
fn median(sorted: &[u64]) -> u64 {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

/// Above this a number is out of the ordinary: thrice the median, or nine times the median deviation above it.
pub(crate) fn ordinary(mut numbers: Vec<u64>) -> (u64, u64) {
    numbers.sort_unstable();
    let middle = median(&numbers);
    let mut deviations: Vec<u64> = numbers.iter().map(|number| number.abs_diff(middle)).collect();
    deviations.sort_unstable();
    let limit = middle.saturating_mul(3).max(middle.saturating_add(median(&deviations).saturating_mul(9)));
    (middle, limit)
}

impl Habit {
    pub(crate) fn new(time: Timestamp) -> Self {
        Self {
            first: time.as_second(),
            columns: BTreeSet::new(),
            people: BTreeSet::new(),
            hours: VecDeque::new(),
            now: Hour { at: hour_of(time), ..Hour::default() },
            subjects: BTreeSet::new(),
            largest: Vec::new(),
            judged: None,
            usual: None,
        }
    }

    pub(crate) fn is_learning(&self, time: Timestamp, learning_s: i64) -> bool {
        time.as_second().saturating_sub(self.first) < learning_s
    }

    /// Enters the hour of a look; a clock that went back stays in the later hour.
    pub(crate) fn enter(&mut self, time: Timestamp) {
        let at = hour_of(time);
        if at <= self.now.at {
            return;
        }
        self.hours.push_back(self.now);
        while self.hours.front().is_some_and(|hour| hour.at < at.saturating_sub(WINDOW_HOURS)) {
            self.hours.pop_front();
        }
        self.now = Hour { at, ..Hour::default() };
        self.subjects.clear();
        self.largest.clear();
        self.usual = None;
    }

    /// Counts what was released; persons up to `most`, as more are out of the ordinary in any case.
    pub(crate) fn count(&mut self, rows: u64, subjects: &[String], most: u64, entry: Large) -> Hour {
        self.now.rows = self.now.rows.saturating_add(rows);
        for subject in subjects {
            if self.now.persons <= most && self.subjects.insert(subject.clone()) {
                self.now.persons = self.now.persons.saturating_add(1);
            }
        }
        self.largest.push(entry);
        self.largest.sort_by(|one, other| (other.0, one.1).cmp(&(one.0, other.1)));
        self.largest.truncate(MAX_LARGEST);
        self.now
    }

    pub(crate) fn largest(&self) -> &[Large] {
        &self.largest
    }

    pub(crate) fn hour(&self) -> i64 {
        self.now.at
    }

    /// Whether a column is new; then it is known from now on.
    pub(crate) fn new_column(&mut self, used: &str) -> bool {
        insert(&mut self.columns, used)
    }

    pub(crate) fn new_person(&mut self, name: &str) -> bool {
        insert(&mut self.people, name)
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Remembered hours that are more than a day old: what somebody does today must not make itself usual.
    fn old(&self) -> impl Iterator<Item = &Hour> {
        self.hours.iter().filter(|hour| hour.at <= self.now.at.saturating_sub(24))
    }

    fn near(&self, zone: &TimeZone) -> Vec<Hour> {
        let (weekend, hour) = slot(self.now.at, zone);
        let close = |other: i8| matches!((other - hour).rem_euclid(24), 0 | 1 | 23);
        self.old()
            .filter(|old| {
                let (other_weekend, other) = slot(old.at, zone);
                weekend == other_weekend && close(other)
            })
            .copied()
            .collect()
    }

    /// On how many days it was busy at about this hour, where those are few; said once an hour.
    pub(crate) fn unusual_hour(&mut self, zone: &TimeZone) -> Option<usize> {
        if self.judged.replace(self.now.at) == Some(self.now.at) || self.old().count() < ENOUGH {
            return None;
        }
        let days: BTreeSet<i64> = self.near(zone).iter().map(|hour| hour.at.div_euclid(24)).collect();
        (days.len() < DAYS).then_some(days.len())
    }

    /// For about this hour; where too little is known of it, for all hours.
    pub(crate) fn usual(&mut self, zone: &TimeZone) -> Usual {
        if let Some(usual) = self.usual {
            return usual;
        }
        let near = self.near(zone);
        let known = if near.len() >= ENOUGH { near } else { self.old().copied().collect() };
        let of =
            |number: fn(&Hour) -> u64| (known.len() >= ENOUGH).then(|| ordinary(known.iter().map(number).collect()));
        let usual = Usual { rows: of(|hour| hour.rows), persons: of(|hour| hour.persons) };
        self.usual = Some(usual);
        usual
    }
}

fn insert(names: &mut BTreeSet<String>, name: &str) -> bool {
    if names.contains(name) {
        return false;
    }
    // What does not fit is new each time: too many alerts rather than none.
    if names.len() < MAX_NAMES {
        names.insert(name.to_owned());
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_few_outliers_move_nothing() {
        assert_eq!(ordinary(vec![10, 11, 9, 10, 10]), (10, 30));
        assert_eq!(ordinary(vec![10, 20, 30, 40, 50, 60, 70]), (40, 220));
        assert_eq!(ordinary(vec![10, 11, 9, 10, 1_000_000]), (10, 30));
        assert_eq!(ordinary(Vec::new()), (0, 0));
    }

    #[test]
    fn the_hour_of_the_day_is_the_people_s_also_when_clocks_change() {
        let brussels = TimeZone::get("Europe/Brussels").unwrap();
        let at = |text: &str| slot(hour_of(text.parse().unwrap()), &brussels);
        assert_eq!(at("2026-01-30T08:30:00Z"), (false, 9));
        assert_eq!(at("2026-07-31T08:30:00Z"), (false, 10));
        assert_eq!(at("2026-01-30T23:30:00Z"), (true, 0), "Saturday has begun there");
    }
}
