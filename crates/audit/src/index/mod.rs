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
use drieslot_journal::{Checkpoint, FollowError, Reader, Verifier};
use jiff::Timestamp;
use redb::{Database, ReadableDatabase};
use serde::{Deserialize, Serialize};

use crate::AuditError;
use crate::body::{EndUser, Intent, Touched};
use batch::Batch;
use store::Kept;

pub use ask::{Answer, Cursor, Page, Seen};

/// Entries that are read and verified at once.
const ENTRIES_A_PART: u64 = 16_384;
/// Such parts in one transaction: pseudonyms come in no order, so each transaction touches much of the tree.
const PARTS_A_STEP: u64 = 32;
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
    /// The journal that it goes on from, by its origin.
    pub goes_on_from: Option<Arc<str>>,
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
        let path = folder.join(FILE);
        if !path.exists() {
            // Made under another name: what a kill leaves of it is no index.
            let new = path.with_extension("new");
            let _ = std::fs::remove_file(&new);
            store::format(&Database::create(&new).map_err(AuditError::index)?).map_err(AuditError::index)?;
            std::fs::rename(&new, &path).map_err(|error| refuse(error.to_string()))?;
        }
        let mut builder = Database::builder();
        let db = builder.set_cache_size(CACHE_BYTES).open(path).map_err(AuditError::index)?;
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
    /// [`AuditError::NotFollowed`] for a journal that shrank, has another history, or does not hold what it signed;
    /// [`AuditError::Journal`], [`AuditError::Entry`], [`AuditError::Index`].
    pub fn follow(&self, folder: &Path, verifier: &Verifier) -> Result<Reach, AuditError> {
        let mut kept = self.kept(verifier)?;
        loop {
            // Of a live journal, the tiles at the edge do not stay: whatever is not there is looked for once more.
            let stepped = self.step(folder, verifier, &kept).or_else(|_| self.step(folder, verifier, &kept))?;
            match stepped {
                Some(more) => kept = more,
                None => return Ok(kept.reach(verifier.name())),
            }
        }
    }

    /// Some entries; `None` where there are no more. Order: they are known to be what was signed; then all of them, and how far
    /// the index reaches, become durable together or not at all.
    fn step(&self, folder: &Path, verifier: &Verifier, kept: &Kept) -> Result<Option<Kept>, AuditError> {
        let reader = Reader::open(folder)?;
        let checkpoint = Checkpoint::open(reader.note(), verifier)?;
        let mut followed = kept.followed()?;
        if reader.first() > kept.size {
            // Whoever looked there would be missing from every answer.
            let why = "they were pruned before the index had them".to_owned();
            let source = FollowError::Changed { from: kept.size, signed: checkpoint.size, why };
            return Err(AuditError::NotFollowed { origin: verifier.name().to_owned(), source });
        }
        let mut batch = Batch::new(verifier.name(), kept.number);
        for _ in 0..PARTS_A_STEP {
            let entries = match followed.next(&reader, &checkpoint, ENTRIES_A_PART) {
                Ok(entries) => entries,
                // What was had before is whole.
                Err(_) if followed.size() > kept.size => break,
                Err(FollowError::Journal(error)) => return Err(error.into()),
                Err(source) => return Err(AuditError::NotFollowed { origin: verifier.name().to_owned(), source }),
            };
            if entries.is_empty() {
                break;
            }
            entries.iter().try_for_each(|(index, bytes)| batch.take(*index, bytes))?;
        }
        if followed.size() == kept.size {
            return Ok(None);
        }
        let kept = kept.grown(&followed, &batch);
        let transaction = store::begin(&self.db).map_err(AuditError::index)?;
        batch.write(&transaction)?;
        store::keep(&transaction, &verifier.vkey(), &kept)?;
        transaction.commit().map_err(AuditError::index)?;
        Ok(Some(kept))
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
