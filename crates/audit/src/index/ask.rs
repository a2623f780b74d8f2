//! Who saw a person: newest first, by pages, of what may be told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use redb::ReadTransaction;

use super::store::{self, Place, SAID, SAW, damaged};
use super::{Pseudonym, Reach, Said};
use crate::AuditError;

/// A look at a person who was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When the intent was written.
    pub time: Timestamp,
    /// Origin of the journal.
    pub journal: Arc<str>,
    /// Index of the intent there.
    pub intent: u64,
    /// Who, on what mandate, which columns.
    pub said: Arc<Said>,
    /// Those after it are older.
    pub cursor: Cursor,
}

/// A place among the looks at a person, which stays the same when newer ones come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    time_us: i64,
    journal: u16,
    intent: u64,
}

impl Cursor {
    /// As it is handed out.
    #[must_use]
    pub fn to_text(self) -> String {
        let (time, journal, intent) =
            (self.time_us.to_be_bytes(), self.journal.to_be_bytes(), self.intent.to_be_bytes());
        let parts: [&[u8]; 3] = [&time, &journal, &intent];
        URL_SAFE_NO_PAD.encode(parts.concat())
    }

    /// `None` for what was never handed out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (time, rest) = bytes.split_first_chunk::<8>()?;
        let (journal, intent) = rest.split_first_chunk::<2>()?;
        let intent = u64::from_be_bytes(intent.try_into().ok()?);
        Some(Self { time_us: i64::from_be_bytes(*time), journal: u16::from_be_bytes(*journal), intent })
    }
}

/// Which of the looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only those older than this one.
    pub before: Option<Cursor>,
    /// How many of them are left out.
    pub offset: u64,
    /// Most that are given.
    pub limit: usize,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Newest first.
    pub looks: Vec<Seen>,
    /// Whether there are older ones.
    pub more: bool,
    /// What the answer rests on.
    pub reaches: Vec<Reach>,
}

/// As [`super::Index::who_saw`].
pub(super) fn who_saw<E: From<AuditError>>(
    transaction: &ReadTransaction,
    subjects: &[Pseudonym],
    page: &Page,
    mut shown: impl FnMut(&Said) -> Result<bool, E>,
) -> Result<Answer, E> {
    let journals = store::journals(transaction)?;
    let origins: BTreeMap<u16, Arc<str>> =
        journals.iter().map(|(origin, kept)| (kept.number, Arc::clone(origin))).collect();
    let reaches = journals.iter().map(|(origin, kept)| kept.reach(origin)).collect();
    let table = transaction.open_table(SAW).map_err(AuditError::index)?;
    let mut lanes =
        subjects.iter().map(|subject| lane(&table, *subject, page.before)).collect::<Result<Vec<_>, _>>()?;
    let texts = transaction.open_table(SAID).map_err(AuditError::index)?;
    let mut known: HashMap<u32, Option<Arc<Said>>> = HashMap::new();
    let mut told = |number: u32| -> Result<Option<Arc<Said>>, E> {
        if let Some(known) = known.get(&number) {
            return Ok(known.clone());
        }
        let found = texts.get(number).map_err(AuditError::index)?.ok_or_else(damaged)?;
        let said: Said = serde_json::from_slice(found.value()).map_err(|_| damaged())?;
        let told = shown(&said)?.then(|| Arc::new(said));
        known.insert(number, told.clone());
        Ok(told)
    };
    let (mut looks, mut left_out, mut last) = (Vec::new(), 0, None);
    while let Some((at, number)) = newest(&mut lanes)? {
        // Two spellings of one person may stand in one look.
        if last.replace(at) == Some(at) {
            continue;
        }
        let Some(said) = told(number)? else { continue };
        if left_out < page.offset {
            left_out += 1;
            continue;
        }
        if looks.len() >= page.limit {
            return Ok(Answer { looks, more: true, reaches });
        }
        let journal = Arc::clone(origins.get(&at.journal).ok_or_else(damaged)?);
        let time = Timestamp::from_microsecond(at.time_us).map_err(|_| damaged())?;
        looks.push(Seen { time, journal, intent: at.intent, said, cursor: at });
    }
    Ok(Answer { looks, more: false, reaches })
}

/// The looks at one person, newest first.
struct Lane<'a> {
    range: redb::Range<'a, [u8; Place::LEN], u32>,
    next: Option<(Cursor, u32)>,
}

impl Lane<'_> {
    fn advance(&mut self) -> Result<(), AuditError> {
        let Some(found) = self.range.next_back() else {
            self.next = None;
            return Ok(());
        };
        let (place, said) = found.map_err(AuditError::index)?;
        let place = Place::parse(&place.value()).ok_or_else(damaged)?;
        let at = Cursor { time_us: place.time_us, journal: place.journal, intent: place.intent };
        self.next = Some((at, said.value()));
        Ok(())
    }
}

fn lane<'a>(
    table: &'a redb::ReadOnlyTable<[u8; Place::LEN], u32>,
    subject: Pseudonym,
    before: Option<Cursor>,
) -> Result<Lane<'a>, AuditError> {
    let place = |at: Cursor| Place { subject, time_us: at.time_us, journal: at.journal, intent: at.intent }.to_bytes();
    let first = place(Cursor { time_us: i64::MIN, journal: 0, intent: 0 });
    // No journal has this number.
    let end = place(before.unwrap_or(Cursor { time_us: i64::MAX, journal: u16::MAX, intent: u64::MAX }));
    let range = if first < end { table.range(first..end) } else { table.range(first..first) };
    let mut lane = Lane { range: range.map_err(AuditError::index)?, next: None };
    lane.advance()?;
    Ok(lane)
}

fn newest(lanes: &mut [Lane<'_>]) -> Result<Option<(Cursor, u32)>, AuditError> {
    let Some(lane) = lanes.iter_mut().filter(|lane| lane.next.is_some()).max_by_key(|lane| lane.next) else {
        return Ok(None);
    };
    let found = lane.next;
    lane.advance()?;
    Ok(found)
}
