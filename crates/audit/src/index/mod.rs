//! From whom rows were about to who looked at them: an index over journals, never the authority for what they say.
//!
//! It holds verified entries only: each range is checked against the signed tree, in the same step that writes it and how far it
//! reaches. It refuses a journal that shrank, or whose key signed another history. It can always be made anew from the journals.

mod ask;
mod batch;
mod store;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drieslot_journal::{Block, Published, Reader, Verifier, VerifyError, hash};
use jiff::Timestamp;
use redb::{Database, ReadableDatabase};
use serde::{Deserialize, Serialize};

use crate::AuditError;
use crate::body::{EndUser, Intent, Touched};
use batch::Batch;
use store::Kept;

pub use ask::{Answer, Cursor, Page, Seen};

/// Bundles that are verified and written in one transaction.
const BLOCKS_AT_ONCE: u64 = 2_048;
const FILE: &str = "index.redb";
/// redb's default is 1 GiB.
const CACHE_BYTES: usize = 256 << 20;

/// Whom rows were about, as outcomes name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pseudonym([u8; 16]);

impl Pseudonym {
    /// Of 22 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The 22 characters.
    #[must_use]
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// What the index keeps of an intent; many are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The database role.
    pub principal: String,
    /// For whom it acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user: Option<EndUser>,
    /// The database.
    pub database: String,
    /// Ids of the mandates.
    pub mandates: Vec<String>,
    /// Their purpose.
    pub purpose: String,
    /// Such as `SELECT`.
    pub command: String,
    /// The protected columns, each with its use.
    pub columns: Vec<Touched>,
}

impl Said {
    fn of(intent: Intent) -> Self {
        let Intent { principal, end_user, database, mandates, purpose, command, columns, .. } = intent;
        // Each token is another one, and nobody is told more by its hash.
        let end_user = end_user.map(|person| EndUser { token_sha256: None, ..person });
        Self { principal, end_user, database, mandates, purpose, command, columns }
    }
}

/// How far the index reaches in one journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its origin.
    pub journal: Arc<str>,
    /// Its first entries, all of them verified.
    pub entries: u64,
    /// When the last of them was written.
    pub until: Option<Timestamp>,
    /// How many of them are of a kind that this version does not know.
    pub unknown_kinds: u64,
    /// How many of them released rows that are tied to nobody.
    pub without_subject: u64,
}

/// The index in a folder of its own; one process at a time has it open.
pub struct Index {
    db: Database,
}

impl Index {
    /// Opens it, or makes an empty one.
    ///
    /// # Errors
    /// [`AuditError::Index`], [`AuditError::IndexFolder`].
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        let refuse = |why: String| AuditError::IndexFolder { folder: folder.to_owned(), why };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| refuse(format!("{error}; name one that can be made or written")))?;
        let mut builder = Database::builder();
        let db = builder.set_cache_size(CACHE_BYTES).create(folder.join(FILE)).map_err(AuditError::index)?;
        let found = store::format(&db).map_err(AuditError::index)?;
        if found != store::FORMAT {
            let why = format!(
                "it is of format {found}, and this version writes {}; remove it, and index anew",
                store::FORMAT
            );
            return Err(refuse(why));
        }
        Ok(Self { db })
    }

    /// Takes in what the journal in a folder has signed since. What fails leaves the index as it was, or with a part of it.
    ///
    /// # Errors
    /// [`AuditError::Changed`] for a journal that shrank, has another history, or does not hold what it signed;
    /// [`AuditError::Journal`], [`AuditError::Entry`], [`AuditError::Index`].
    pub fn follow(&self, folder: &Path, verifier: &Verifier) -> Result<Reach, AuditError> {
        let mut kept = self.kept(verifier)?;
        let changed = |source| AuditError::Changed { origin: verifier.name().to_owned(), source };
        loop {
            // Anew for each step: of a live journal, tiles at the edge do not stay.
            let published = Published::open(folder, verifier)?;
            let edge = kept.edge()?;
            published.begins_with(kept.size, &edge.root()).map_err(changed)?;
            if kept.size == published.checkpoint().size {
                return Ok(kept.reach(verifier.name()));
            }
            kept = self.step(folder, verifier, &published, kept, edge)?;
        }
    }

    /// Some bundles. Order: entries are hashed and gathered; their hash is checked against the signed tree; then all of it,
    /// and how far the index reaches, become durable together or not at all.
    fn step(
        &self,
        folder: &Path,
        verifier: &Verifier,
        published: &Published,
        mut kept: Kept,
        mut edge: hash::Peaks,
    ) -> Result<Kept, AuditError> {
        let origin = verifier.name();
        let begun = kept.size;
        let first = begun / Block::ENTRIES;
        let until = published.checkpoint().size.min((first + BLOCKS_AT_ONCE) * Block::ENTRIES);
        let reader = Reader::open(folder)?;
        let mut batch = Batch::new(origin, kept.number);
        for number in first..until.div_ceil(Block::ENTRIES) {
            let block = reader.block(number)?;
            for (index, bytes) in block.entries().filter(|(index, _)| (begun..until).contains(index)) {
                edge.push(hash::leaf(bytes));
                batch.take(index, bytes)?;
            }
        }
        let signed = match edge.size() == until {
            true => published.begins_with(until, &edge.root()),
            false => Err(VerifyError::Lost { signed: until, found: edge.size() }),
        };
        let changed = |error| match matches!(error, VerifyError::Forked { .. }) {
            true => VerifyError::Root { size: until },
            false => error,
        };
        signed.map_err(|error| AuditError::Changed { origin: origin.to_owned(), source: changed(error) })?;
        kept.grow(&edge, &batch);
        let transaction = store::begin(&self.db).map_err(AuditError::index)?;
        batch.write(&transaction)?;
        store::keep(&transaction, &verifier.vkey(), &kept)?;
        transaction.commit().map_err(AuditError::index)?;
        Ok(kept)
    }

    fn kept(&self, verifier: &Verifier) -> Result<Kept, AuditError> {
        let transaction = self.db.begin_read().map_err(AuditError::index)?;
        store::kept(&transaction, &verifier.vkey())
    }

    /// How far it reaches, by journal.
    ///
    /// # Errors
    /// [`AuditError::Index`].
    pub fn reaches(&self) -> Result<Vec<Reach>, AuditError> {
        store::reaches(&self.db.begin_read().map_err(AuditError::index)?)
    }

    /// Who saw one of these, newest first: of what `shown` says may be told, the page that is asked for.
    ///
    /// # Errors
    /// [`AuditError::Index`]; those of `shown`.
    pub fn who_saw<E: From<AuditError>>(
        &self,
        subjects: &[Pseudonym],
        page: &Page,
        shown: impl FnMut(&Said) -> Result<bool, E>,
    ) -> Result<Answer, E> {
        let transaction = self.db.begin_read().map_err(AuditError::index)?;
        ask::who_saw(&transaction, subjects, page, shown)
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index(…)")
    }
}
