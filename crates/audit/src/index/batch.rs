//! What some entries of a journal add to the index: gathered first, written when they are known to be signed.

use std::collections::{BTreeMap, HashMap};

use drieslot_journal::{JournalError, entry, hash};
use jiff::Timestamp;
use redb::{ReadableTable, Table, WriteTransaction};
use serde::de::IgnoredAny;

use super::store::{OPEN, Place, SAID, SAID_BY_HASH, SAW, damaged};
use super::{Pseudonym, Said};
use crate::body::{self, Intent, Outcome, Stage};
use crate::filter::kind;
use crate::{AuditError, Link};

/// Some entries, in their order.
pub(super) struct Batch<'a> {
    origin: &'a str,
    number: u16,
    intents: BTreeMap<u64, (i64, [u8; 16])>,
    /// By the first half of their SHA-256.
    said: HashMap<[u8; 16], Vec<u8>>,
    /// With the indexes of their entries.
    outcomes: Vec<(u64, Released)>,
    last: Option<Timestamp>,
    goes_on_from: Option<String>,
    unknown_kinds: u64,
    without_subject: u64,
}

/// What the index wants of an outcome.
struct Released {
    intent: u64,
    subjects: Vec<Pseudonym>,
    is_final: bool,
}

impl<'a> Batch<'a> {
    /// Of the journal with this name and number.
    pub(super) fn new(origin: &'a str, number: u16) -> Self {
        Self {
            origin,
            number,
            intents: BTreeMap::new(),
            said: HashMap::new(),
            outcomes: Vec::new(),
            last: None,
            goes_on_from: None,
            unknown_kinds: 0,
            without_subject: 0,
        }
    }

    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    pub(super) fn goes_on_from(&self) -> Option<String> {
        self.goes_on_from.clone()
    }

    pub(super) fn unknown_kinds(&self) -> u64 {
        self.unknown_kinds
    }

    pub(super) fn without_subject(&self) -> u64 {
        self.without_subject
    }

    fn refuse(&self, index: u64, why: impl ToString) -> AuditError {
        AuditError::Entry { origin: self.origin.to_owned(), index, why: why.to_string() }
    }

    /// The next entry.
    pub(super) fn take(&mut self, index: u64, bytes: &[u8]) -> Result<(), AuditError> {
        self.read(index, bytes).map_err(|error| self.refuse(index, error))
    }

    fn read(&mut self, index: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let bad = |why: String| JournalError::Entry { why };
        let kind = kind(bytes)?;
        let time = match &*kind {
            "intent" => {
                let entry = entry::decode_as::<Intent>(bytes)?;
                let time = moment(&entry.time)?;
                let said = serde_json::to_vec(&Said::of(entry.body)).map_err(|error| bad(error.to_string()))?;
                let key = half(&said);
                self.said.entry(key).or_insert(said);
                self.intents.insert(index, (time.as_microsecond(), key));
                time
            }
            "outcome" => {
                let entry = entry::decode_as::<Outcome>(bytes)?;
                let outcome = entry.body;
                if outcome.intent >= index {
                    return Err(bad("it is the outcome of an intent that comes after it".into()));
                }
                self.without_subject += u64::from(!outcome.without_subject.is_empty());
                let subjects = outcome.subjects.iter().map(|text| Pseudonym::parse(text)).collect::<Option<_>>();
                let subjects =
                    subjects.ok_or_else(|| bad("a subject is not 22 characters of Base64 for URLs".into()))?;
                let is_final = matches!(outcome.state, Stage::Done | Stage::Failed | Stage::Suspended);
                self.outcomes.push((index, Released { intent: outcome.intent, subjects, is_final }));
                moment(&entry.time)?
            }
            "link" => {
                let entry = entry::decode_as::<Link>(bytes)?;
                self.goes_on_from = Some(entry.body.origin);
                moment(&entry.time)?
            }
            other => {
                self.unknown_kinds += u64::from(!body::is_known(other));
                moment(&entry::decode_as::<IgnoredAny>(bytes)?.time)?
            }
        };
        self.last = Some(time);
        Ok(())
    }

    /// Into the tables.
    pub(super) fn write(self, transaction: &WriteTransaction) -> Result<(), AuditError> {
        let mut numbers = HashMap::new();
        {
            let mut said = transaction.open_table(SAID).map_err(AuditError::index)?;
            let mut by_hash = transaction.open_table(SAID_BY_HASH).map_err(AuditError::index)?;
            for (key, text) in &self.said {
                let number = number_of(&mut said, &mut by_hash, key, text).map_err(AuditError::index)?;
                numbers.insert(*key, number.ok_or_else(damaged)?);
            }
        }
        let mut open = transaction.open_table(OPEN).map_err(AuditError::index)?;
        let mut looks: BTreeMap<u64, (i64, u32)> = BTreeMap::new();
        for (index, (time_us, key)) in &self.intents {
            looks.insert(*index, (*time_us, *numbers.get(key).ok_or_else(damaged)?));
        }
        let mut saw = Vec::new();
        for (index, Released { intent, subjects, is_final }) in &self.outcomes {
            let known = looks.get(intent).copied();
            let look = match known {
                Some(look) => Some(look),
                None => open.get((self.number, *intent)).map_err(AuditError::index)?.map(|found| found.value()),
            };
            let Some((time_us, said)) = look else {
                if subjects.is_empty() {
                    continue;
                }
                return Err(self.refuse(*index, "it is the outcome of an intent that is not there, or that has ended"));
            };
            let place =
                |subject: &Pseudonym| Place { subject: *subject, time_us, journal: self.number, intent: *intent };
            saw.extend(subjects.iter().map(|subject| (place(subject).to_bytes(), said)));
            if *is_final && looks.remove(intent).is_none() {
                open.remove((self.number, *intent)).map_err(AuditError::index)?;
            }
        }
        for (index, look) in looks {
            open.insert((self.number, index), look).map_err(AuditError::index)?;
        }
        // In the order of the tree: neighbours share its pages.
        saw.sort_unstable();
        let mut table = transaction.open_table(SAW).map_err(AuditError::index)?;
        for (place, said) in saw {
            table.insert(place, said).map_err(AuditError::index)?;
        }
        Ok(())
    }
}

fn moment(text: &str) -> Result<Timestamp, JournalError> {
    text.parse().map_err(|error| JournalError::Entry { why: format!("its time: {error}") })
}

fn half(text: &[u8]) -> [u8; 16] {
    let mut key = [0; 16];
    key.iter_mut().zip(hash::sha256(text)).for_each(|(byte, hashed)| *byte = hashed);
    key
}

/// The number of a text, which gets the next one where it is new; `None` where there are no more.
fn number_of(
    said: &mut Table<'_, u32, &'static [u8]>,
    by_hash: &mut Table<'_, [u8; 16], u32>,
    key: &[u8; 16],
    text: &[u8],
) -> Result<Option<u32>, redb::Error> {
    if let Some(found) = by_hash.get(key)? {
        return Ok(Some(found.value()));
    }
    let next = said.last()?.map_or(Some(0), |(last, _)| last.value().checked_add(1));
    if let Some(number) = next {
        said.insert(number, text)?;
        by_hash.insert(key, number)?;
    }
    Ok(next)
}
