//! The index's tables, and what is kept of each journal.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_journal::Followed;
use drieslot_journal::hash::Hash;
use jiff::Timestamp;
use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::{Pseudonym, Reach};
use crate::AuditError;

/// Of the tables below.
pub(super) const FORMAT: u64 = 1;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// By verifier key: a [`Kept`] as JSON.
const JOURNALS: TableDefinition<&str, &[u8]> = TableDefinition::new("journals");
/// What intents say, each text once: a [`super::Said`] as JSON.
pub(super) const SAID: TableDefinition<u32, &[u8]> = TableDefinition::new("said");
/// The number of such a text, by the first half of its SHA-256.
pub(super) const SAID_BY_HASH: TableDefinition<[u8; 16], u32> = TableDefinition::new("said_by_hash");
/// Looks that may get outcomes yet, by journal and index of the intent: when (microseconds of the epoch), and what was said.
pub(super) const OPEN: TableDefinition<(u16, u64), (i64, u32)> = TableDefinition::new("open");
/// Who saw whom: [`Place`], and what was said.
pub(super) const SAW: TableDefinition<[u8; Place::LEN], u32> = TableDefinition::new("saw");

/// A look at one person. Ordered by person, time, journal, intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) subject: Pseudonym,
    /// Microseconds of the epoch.
    pub(super) time_us: i64,
    pub(super) journal: u16,
    pub(super) intent: u64,
}

impl Place {
    pub(super) const LEN: usize = 16 + 8 + 2 + 8;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (subject, rest) = bytes.split_at_mut(16);
        let (time, rest) = rest.split_at_mut(8);
        let (journal, intent) = rest.split_at_mut(2);
        subject.copy_from_slice(&self.subject.0);
        // So that bytes compare as the numbers do.
        time.copy_from_slice(&(self.time_us ^ i64::MIN).to_be_bytes());
        journal.copy_from_slice(&self.journal.to_be_bytes());
        intent.copy_from_slice(&self.intent.to_be_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (subject, rest) = bytes.split_first_chunk::<16>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (journal, intent) = rest.split_first_chunk::<2>()?;
        Some(Self {
            subject: Pseudonym(*subject),
            time_us: i64::from_be_bytes(*time) ^ i64::MIN,
            journal: u16::from_be_bytes(*journal),
            intent: u64::from_be_bytes(*intent.first_chunk()?),
        })
    }
}

/// What the index has of one journal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Of the journal in keys; from 1.
    pub(super) number: u16,
    pub(super) size: u64,
    /// Of the tree of those entries, in Base64.
    peaks: Vec<String>,
    until: Option<Timestamp>,
    /// Origin.
    goes_on_from: Option<String>,
    unknown_kinds: u64,
    without_subject: u64,
}

impl Kept {
    pub(super) fn followed(&self) -> Result<Followed, AuditError> {
        let read = |text: &String| STANDARD.decode(text).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let peaks = self.peaks.iter().map(read).collect::<Option<Vec<_>>>();
        peaks.and_then(|peaks| Followed::restore(self.size, peaks)).ok_or_else(damaged)
    }

    /// With the entries of a batch.
    pub(super) fn grown(&self, followed: &Followed, batch: &Batch<'_>) -> Self {
        Self {
            number: self.number,
            size: followed.size(),
            peaks: followed.hashes().iter().map(|hash| STANDARD.encode(hash)).collect(),
            until: batch.last().or(self.until),
            goes_on_from: batch.goes_on_from().or_else(|| self.goes_on_from.clone()),
            unknown_kinds: self.unknown_kinds + batch.unknown_kinds(),
            without_subject: self.without_subject + batch.without_subject(),
        }
    }

    pub(super) fn reach(&self, origin: &str) -> Reach {
        let Self { size, until, unknown_kinds, without_subject, .. } = *self;
        let goes_on_from = self.goes_on_from.as_deref().map(Arc::from);
        Reach { journal: Arc::from(origin), entries: size, until, goes_on_from, unknown_kinds, without_subject }
    }
}

pub(super) fn damaged() -> AuditError {
    AuditError::index(redb::Error::Corrupted("a record is not as it is written".into()))
}

/// The format of an index; a new one gets the tables of this one.
pub(super) fn format(db: &Database) -> Result<u64, redb::Error> {
    let transaction = begin(db)?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.map(|found| found.value());
        if found.is_none() {
            meta.insert("format", FORMAT)?;
        }
        found.unwrap_or(FORMAT)
    };
    if found == FORMAT {
        transaction.open_table(JOURNALS)?;
        transaction.open_table(SAID)?;
        transaction.open_table(SAID_BY_HASH)?;
        transaction.open_table(OPEN)?;
        transaction.open_table(SAW)?;
    }
    transaction.commit()?;
    Ok(found)
}

/// A transaction after which a kill costs no walk through the whole file.
pub(super) fn begin(db: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn parse(bytes: &[u8]) -> Result<Kept, AuditError> {
    serde_json::from_slice(bytes).map_err(|_| damaged())
}

/// What is kept of a journal; one that is new gets the next number.
pub(super) fn kept(transaction: &ReadTransaction, vkey: &str) -> Result<Kept, AuditError> {
    let table = transaction.open_table(JOURNALS).map_err(AuditError::index)?;
    if let Some(found) = table.get(vkey).map_err(AuditError::index)? {
        return parse(found.value());
    }
    let mut last = 0;
    for one in table.iter().map_err(AuditError::index)? {
        last = last.max(parse(one.map_err(AuditError::index)?.1.value())?.number);
    }
    let number = last.checked_add(1).ok_or_else(damaged)?;
    Ok(Kept { number, ..Kept::default() })
}

pub(super) fn keep(transaction: &WriteTransaction, vkey: &str, kept: &Kept) -> Result<(), AuditError> {
    let bytes = serde_json::to_vec(kept).map_err(|_| damaged())?;
    let mut table = transaction.open_table(JOURNALS).map_err(AuditError::index)?;
    table.insert(vkey, bytes.as_slice()).map_err(AuditError::index)?;
    Ok(())
}

/// Origin and what is kept, by journal.
pub(super) fn journals(transaction: &ReadTransaction) -> Result<Vec<(Arc<str>, Kept)>, AuditError> {
    let table = match transaction.open_table(JOURNALS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        opened => opened.map_err(AuditError::index)?,
    };
    let mut all = Vec::new();
    for one in table.iter().map_err(AuditError::index)? {
        let (vkey, bytes) = one.map_err(AuditError::index)?;
        let origin = vkey.value().split('+').next().unwrap_or_default().into();
        all.push((origin, parse(bytes.value())?));
    }
    Ok(all)
}

pub(super) fn reaches(transaction: &ReadTransaction) -> Result<Vec<Reach>, AuditError> {
    Ok(journals(transaction)?.into_iter().map(|(origin, kept)| kept.reach(&origin)).collect())
}
