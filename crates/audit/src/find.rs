//! Looking through whole journals: all cores, whole bundles, and no parsing of what cannot fit.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use drieslot_journal::{Block, JournalError, Reader, entry};
use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::body::{Body, Outcome, is_known};
use crate::filter::{Sieve, kind};
use crate::{AuditError, Filter, Look, Looks};

/// Bundles that a thread takes at a time.
const BLOCKS_AT_ONCE: u64 = 16;
/// Bundles after which what is known is given out.
const BLOCKS_A_STEP: u64 = 256;
/// More of what was found than this does not wait for a look without an end.
const MAX_WAITING: usize = 20_000;

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

/// Finds in one journal, in the order of its entries. The memory it takes grows neither with the journal nor with what is
/// found: a look is given out when its outcomes are known, and those after it wait.
pub struct Finding<'a> {
    reader: &'a Reader,
    journal: Arc<str>,
    sieve: Sieve<'a>,
    number: Finder<'static>,
    /// The first bundle that was not read yet.
    next: u64,
    looks: Looks,
    /// By index; `None` for a look that may get outcomes yet.
    waiting: BTreeMap<u64, Option<Found>>,
    unknown_kinds: AtomicU64,
}

/// What is looked for in a journal; see [`Finding`]. It ends after its first error: [`AuditError::Journal`] where the journal
/// cannot be read, [`AuditError::Entry`].
#[must_use]
pub fn find<'a>(reader: &'a Reader, filter: &'a Filter) -> Finding<'a> {
    let journal: Arc<str> = reader.origin().into();
    Finding {
        reader,
        sieve: Sieve::new(filter),
        number: Finder::new(br#""intent":"#).into_owned(),
        next: reader.first() / Block::ENTRIES,
        looks: Looks::new(Arc::clone(&journal)),
        journal,
        waiting: BTreeMap::new(),
        unknown_kinds: AtomicU64::new(0),
    }
}

impl Finding<'_> {
    /// How many entries so far were of a kind that this version does not know.
    #[must_use]
    pub fn unknown_kinds(&self) -> u64 {
        self.unknown_kinds.load(Ordering::Relaxed)
    }

    fn blocks(&self) -> u64 {
        self.reader.size().div_ceil(Block::ENTRIES)
    }

    /// The next bundles.
    fn step(&mut self) -> Result<(), AuditError> {
        let (all, begun) = (self.blocks(), self.next);
        self.next = all.min(begun + BLOCKS_A_STEP);
        let count = |kind: &str| {
            if !is_known(kind) {
                self.unknown_kinds.fetch_add(1, Ordering::Relaxed);
            }
        };
        let each = |index, bytes: &[u8]| hit(&self.journal, &self.sieve, &count, index, bytes);
        for (index, hit) in scan(self.reader, begun..self.next, each)? {
            let waiting = match hit {
                Hit::Intent(time, body) => {
                    self.looks.take(index, time, *body)?;
                    None
                }
                Hit::Event(event) => Some(Found::Event(event)),
            };
            self.waiting.insert(index, waiting);
        }
        self.outcomes(begun..self.next)?;
        let blocked =
            self.waiting.len() > MAX_WAITING && self.waiting.first_key_value().is_some_and(|(_, one)| one.is_none());
        if blocked {
            // Mostly a look that a killed gateway left without an end.
            self.outcomes(self.next..all)?;
        }
        if blocked || self.next == all {
            for look in self.looks.take_open() {
                self.waiting.insert(look.first, Some(Found::Look(Box::new(look))));
            }
        }
        Ok(())
    }

    /// Those of looks that may get some yet.
    fn outcomes(&mut self, blocks: Range<u64>) -> Result<(), AuditError> {
        let intents: HashSet<u64> = self.looks.open_intents().collect();
        if intents.is_empty() {
            return Ok(());
        }
        let each = |index, bytes: &[u8]| outcome(&self.journal, &self.number, &intents, index, bytes);
        for (index, (time, outcome)) in scan(self.reader, blocks, each)? {
            if let Some(look) = self.looks.take(index, time, Body::Outcome(outcome))? {
                self.waiting.insert(look.first, Some(Found::Look(Box::new(look))));
            }
        }
        Ok(())
    }
}

impl Iterator for Finding<'_> {
    type Item = Result<Found, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(first) = self.waiting.first_entry().filter(|first| first.get().is_some()) {
                return first.remove().map(Ok);
            }
            if self.next >= self.blocks() {
                return None;
            }
            if let Err(error) = self.step() {
                self.next = u64::MAX;
                self.waiting.clear();
                return Some(Err(error));
            }
        }
    }
}

enum Hit {
    Intent(Timestamp, Box<Body>),
    Event(Event),
}

fn hit(
    journal: &Arc<str>,
    sieve: &Sieve<'_>,
    count: &impl Fn(&str),
    index: u64,
    bytes: &[u8],
) -> Result<Option<Hit>, AuditError> {
    let refuse = |why: String| AuditError::Entry { origin: journal.to_string(), index, why };
    let kind = kind(bytes).map_err(|error| refuse(error.to_string()))?;
    count(&kind);
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

/// Gives every entry of some bundles to `each`, on all cores; answers what it gave, in the order of entries.
fn scan<T: Send>(
    reader: &Reader,
    blocks: Range<u64>,
    each: impl Fn(u64, &[u8]) -> Result<Option<T>, AuditError> + Sync,
) -> Result<Vec<(u64, T)>, AuditError> {
    let next = AtomicU64::new(blocks.start);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut found = Vec::new();
        loop {
            let begin = next.fetch_add(BLOCKS_AT_ONCE, Ordering::Relaxed);
            if begin >= blocks.end || failed.load(Ordering::Relaxed) {
                return Ok(found);
            }
            for index in begin..blocks.end.min(begin + BLOCKS_AT_ONCE) {
                let part = read_block(reader, index, &each).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
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
    each: &impl Fn(u64, &[u8]) -> Result<Option<T>, AuditError>,
) -> Result<Vec<(u64, T)>, AuditError> {
    let block = reader.block(index)?;
    let mut found = Vec::new();
    for (index, bytes) in block.entries() {
        found.extend(each(index, bytes)?.map(|one| (index, one)));
    }
    Ok(found)
}
