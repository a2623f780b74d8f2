//! Looking through whole journals: all cores, whole bundles, and no parsing of what cannot fit.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use drieslot_journal::{Block, JournalError, Reader, entry};
use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::body::{Body, Outcome};
use crate::filter::{Sieve, kind};
use crate::{AuditError, Filter, Look, Looks};

/// Bundles that a thread takes at a time.
const BLOCKS_AT_ONCE: u64 = 32;

/// What was looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// An intent with its outcomes.
    Look(Box<Look>),
    /// Another entry.
    Event(Event),
}

/// An entry as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was written.
    pub time: Timestamp,
    /// Origin of the journal.
    pub journal: Arc<str>,
    /// Its index there.
    pub index: u64,
    /// What happened.
    pub kind: String,
    /// The particulars.
    pub body: Map<String, Value>,
}

impl Found {
    /// When, in which journal, at which place: the order in which people read.
    #[must_use]
    pub fn place(&self) -> (Timestamp, Arc<str>, u64) {
        match self {
            Self::Look(look) => (look.time, Arc::clone(&look.journal), look.first),
            Self::Event(event) => (event.time, Arc::clone(&event.journal), event.index),
        }
    }
}

/// Finds in one journal, in the order of its entries. The memory it takes grows with what is found, not with the journal.
///
/// # Errors
/// [`AuditError::Journal`] where it cannot be read, [`AuditError::Entry`].
pub fn find(reader: &Reader, filter: &Filter) -> Result<Vec<Found>, AuditError> {
    let journal: Arc<str> = reader.origin().into();
    let sieve = Sieve::new(filter);
    let hits = scan(reader, 0, |index, bytes| hit(&journal, &sieve, index, bytes))?;
    let intents: HashSet<u64> =
        hits.iter().filter(|(_, hit)| matches!(hit, Hit::Intent(..))).map(|(at, _)| *at).collect();
    let Some(first) = intents.iter().min().copied() else {
        return Ok(hits.into_iter().filter_map(|(_, hit)| hit.event()).collect());
    };
    let number = Finder::new(br#""intent":"#);
    let outcomes = scan(reader, first, |index, bytes| outcome(&journal, &number, &intents, index, bytes))?;
    let mut looks = Looks::new(Arc::clone(&journal));
    let mut found = Vec::new();
    for (index, hit) in hits {
        match hit {
            Hit::Intent(time, body) => drop(looks.take(index, time, *body)?),
            Hit::Event(event) => found.push(Found::Event(event)),
        }
    }
    for (index, (time, outcome)) in outcomes {
        found.extend(looks.take(index, time, Body::Outcome(outcome))?.map(|look| Found::Look(Box::new(look))));
    }
    found.extend(looks.into_open().map(|look| Found::Look(Box::new(look))));
    found.sort_by_key(|one| one.place().2);
    Ok(found)
}

enum Hit {
    Intent(Timestamp, Box<Body>),
    Event(Event),
}

impl Hit {
    fn event(self) -> Option<Found> {
        match self {
            Self::Intent(..) => None,
            Self::Event(event) => Some(Found::Event(event)),
        }
    }
}

fn hit(journal: &Arc<str>, sieve: &Sieve<'_>, index: u64, bytes: &[u8]) -> Result<Option<Hit>, AuditError> {
    let refuse = |why: String| AuditError::Entry { origin: journal.to_string(), index, why };
    let kind = kind(bytes).map_err(|error| refuse(error.to_string()))?;
    if !sieve.may_fit(&kind, bytes) {
        return Ok(None);
    }
    let read = || {
        let time = entry::decode_as::<IgnoredAny>(bytes)?.time;
        Ok((time, Body::read(&kind, bytes)?))
    };
    let (time, body) = read().map_err(|error: JournalError| refuse(error.to_string()))?;
    let time: Timestamp = time.parse().map_err(|error| refuse(format!("its time: {error}")))?;
    if !sieve.fits(time, &body) {
        return Ok(None);
    }
    if matches!(body, Body::Intent(_)) {
        return Ok(Some(Hit::Intent(time, Box::new(body))));
    }
    let body = entry::decode(bytes).map_err(|error| refuse(error.to_string()))?.body;
    Ok(Some(Hit::Event(Event { time, journal: Arc::clone(journal), index, kind: kind.into_owned(), body })))
}

/// An outcome of one of these intents.
fn outcome(
    journal: &Arc<str>,
    number: &Finder<'_>,
    intents: &HashSet<u64>,
    index: u64,
    bytes: &[u8],
) -> Result<Option<(Timestamp, Outcome)>, AuditError> {
    let refuse = |why: String| AuditError::Entry { origin: journal.to_string(), index, why };
    if kind(bytes).map_err(|error| refuse(error.to_string()))? != "outcome" {
        return Ok(None);
    }
    // The session before it is of hexadecimal digits; where it is not, parsing decides.
    let digits = number.find(bytes).and_then(|at| bytes.get(at + number.needle().len()..));
    let digits = digits.map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).copied().collect::<Vec<u8>>());
    let named: Option<u64> = digits.and_then(|digits| String::from_utf8(digits).ok()?.parse().ok());
    if named.is_some_and(|intent| !intents.contains(&intent)) {
        return Ok(None);
    }
    let entry = entry::decode_as::<Outcome>(bytes).map_err(|error| refuse(error.to_string()))?;
    let time: Timestamp = entry.time.parse().map_err(|error| refuse(format!("its time: {error}")))?;
    Ok(intents.contains(&entry.body.intent).then_some((time, entry.body)))
}

/// Gives every entry from `from` on to `each`, on all cores; answers what it gave, in the order of entries.
pub(crate) fn scan<T: Send>(
    reader: &Reader,
    from: u64,
    each: impl Fn(u64, &[u8]) -> Result<Option<T>, AuditError> + Sync,
) -> Result<Vec<(u64, T)>, AuditError> {
    let blocks = reader.size().div_ceil(Block::ENTRIES);
    let next = AtomicU64::new(from.max(reader.first()) / Block::ENTRIES);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut found = Vec::new();
        loop {
            let begin = next.fetch_add(BLOCKS_AT_ONCE, Ordering::Relaxed);
            if begin >= blocks || failed.load(Ordering::Relaxed) {
                return Ok(found);
            }
            for index in begin..blocks.min(begin + BLOCKS_AT_ONCE) {
                let part =
                    read_block(reader, index, from, &each).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                found.extend(part);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(AuditError::Journal(JournalError::Bug))));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let mut all: Vec<(u64, T)> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all)
}

fn read_block<T>(
    reader: &Reader,
    index: u64,
    from: u64,
    each: &impl Fn(u64, &[u8]) -> Result<Option<T>, AuditError>,
) -> Result<Vec<(u64, T)>, AuditError> {
    let block = reader.block(index)?;
    let mut found = Vec::new();
    for (index, bytes) in block.entries().filter(|(index, _)| *index >= from) {
        found.extend(each(index, bytes)?.map(|one| (index, one)));
    }
    Ok(found)
}
