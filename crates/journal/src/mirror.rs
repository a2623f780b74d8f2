//! A mirror's folder: a copy of what a journal has signed, which grows only by what its history allows.
//!
//! Refuses: a checkpoint of less than it has (a rollback), one that its own entries are not the beginning of (a second
//! history), and one whose entries are not served (a gap). The note that shows a rollback or a second history is kept.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::files::{self, Sync};
use crate::hash;
use crate::recovery::{lock, read_edge};
use crate::shelf::partial_of;
use crate::source::{self, Relation, Source, relation};
use crate::tile::{self, Edge, HashTile};
use crate::writer::checkpoint_path;
use crate::{COSIGNED, Checkpoint, JournalError, Published, Verifier, wal};

/// Bundles that are held in memory, verified and stored at once.
const BUNDLES_AT_ONCE: usize = 64;
/// The first note that was refused.
const REFUSED: &str = "refused";
const UNSIGNED: &str = "what is served is not what was signed";

/// Tells a mirror's folder from a journal's own; holds the verifier key of the journal.
pub(crate) fn mark(dir: &Path) -> PathBuf {
    dir.join("mirror")
}

/// Why a mirror did not take what it was shown.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The mirror's own folder.
    #[error(transparent)]
    Own(JournalError),
    /// Nothing could be fetched; the journal may be stopped.
    #[error("{0}")]
    Unreachable(JournalError),
    /// What it serves is malformed or not signed by its key.
    #[error("what is served is not this journal: {0}")]
    Foreign(JournalError),
    /// A checkpoint of less than there was.
    #[error("the journal signed {had} entries before and now {now}: it was rolled back; the mirror keeps what it has")]
    RolledBack {
        /// Entries in the mirror.
        had: u64,
        /// Entries that it now names.
        now: u64,
    },
    /// Two histories under one key.
    #[error(
        "the checkpoint of {now} entries is not of the history of {had} entries that the mirror holds: the journal's \
         key signed two histories; the mirror keeps what it has"
    )]
    Forked {
        /// Entries in the mirror.
        had: u64,
        /// Entries that the other history names.
        now: u64,
    },
    /// Signed, and not served, or served otherwise.
    #[error("the journal signed {signed} entries, but does not serve those from {from} on: {why}")]
    Gap {
        /// The first that the mirror lacks.
        from: u64,
        /// Entries that the checkpoint names.
        signed: u64,
        /// What is wrong.
        why: String,
    },
}

impl MirrorError {
    /// Whether this shows that the journal's keeper did what nobody may: not a network or a disk that fails.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        match self {
            Self::RolledBack { .. } | Self::Forked { .. } => true,
            Self::Own(_) | Self::Unreachable(_) | Self::Foreign(_) | Self::Gap { .. } => false,
        }
    }
}

/// What following brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirrored {
    /// Entries that are new in the mirror.
    pub new: u64,
    /// Entries in the mirror.
    pub size: u64,
}

/// A mirror open for growing; one process at a time.
#[derive(Debug)]
pub struct Mirror {
    dir: PathBuf,
    verifier: Verifier,
    /// The signed note of what is here, and the checkpoint in it; none before the first.
    held: Option<(String, Checkpoint)>,
    /// The note with cosignatures that is here, and of how many entries it is.
    cosigned: Option<(u64, String)>,
    edge: Edge,
    _lock: File,
}

impl Mirror {
    /// Opens or makes the mirror in a folder, of the journal that the verifier's key signs.
    ///
    /// # Errors
    /// [`JournalError::Locked`]; [`JournalError::Corrupt`] where the folder is not this journal's mirror, or was changed.
    pub fn open(dir: &Path, verifier: Verifier) -> Result<Self, JournalError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(JournalError::io("create", dir))?;
        let dir = dir.canonicalize().map_err(JournalError::io("resolve", dir))?;
        let _lock = lock(&dir)?;
        take_mark(&dir, &verifier)?;
        let note = files::read_if_there(&checkpoint_path(&dir))?;
        let Some(note) = note else {
            return Ok(Self { dir, verifier, held: None, cosigned: None, edge: Edge::default(), _lock });
        };
        let broken = |why: String| JournalError::corrupt(&checkpoint_path(&dir), why);
        let note = String::from_utf8(note).map_err(|_| broken("the checkpoint is not UTF-8".into()))?;
        let checkpoint = Checkpoint::open(&note, &verifier).map_err(|error| broken(error.to_string()))?;
        let edge = read_edge(&dir, checkpoint.size)?;
        if edge.root() != checkpoint.root {
            return Err(broken(format!("its root is not that of the {} entries in the mirror", checkpoint.size)));
        }
        let cosigned = match Published::open(&dir, &verifier)?.cosigned(&verifier)? {
            Some(note) => Some((Checkpoint::open(&note, &verifier)?.size, note)),
            None => None,
        };
        Ok(Self { dir, verifier, held: Some((note, checkpoint)), cosigned, edge, _lock })
    }

    /// Entries in the mirror.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Takes over what is new. Nothing is stored before it is known to belong to the history that the note signs and the
    /// mirror holds; the checkpoint takes the old one's place when all that it names is on the disk.
    ///
    /// # Errors
    /// [`MirrorError`]; what is in the mirror then stays as it was.
    pub fn follow(&mut self, source: &(impl Source + ?Sized), note: &str) -> Result<Mirrored, MirrorError> {
        let checkpoint = Checkpoint::open(note, &self.verifier).map_err(MirrorError::Foreign)?;
        let (had, now) = (self.size(), checkpoint.size);
        self.judge(source, &checkpoint).inspect_err(|error| {
            if error.is_evidence() {
                keep_evidence(&self.dir, note);
            }
        })?;
        if had == now {
            // More cosignatures may have come; fewer are no gain.
            if self.held.as_ref().is_none_or(|(held, _)| held.len() < note.len()) {
                self.publish(note, checkpoint)?;
            }
            return Ok(Mirrored { new: 0, size: now });
        }
        self.grow(source, &checkpoint)?;
        self.publish(note, checkpoint)?;
        Ok(Mirrored { new: now - had, size: now })
    }

    /// Takes over a note with witnesses' cosignatures, which may be of fewer entries than are here. It was fetched before the
    /// checkpoint that was followed last; so where it names more, that checkpoint was put back. Whose cosignatures they are is
    /// for readers to verify.
    ///
    /// # Errors
    /// As [`Mirror::follow`].
    pub fn take_cosigned(&mut self, note: &str) -> Result<(), MirrorError> {
        if self.cosigned.as_ref().is_some_and(|(_, held)| held == note) {
            return Ok(());
        }
        let checkpoint = Checkpoint::open(note, &self.verifier).map_err(MirrorError::Foreign)?;
        let (had, now) = (self.size(), checkpoint.size);
        let refused = if now > had {
            Some(MirrorError::RolledBack { had: now, now: had })
        } else {
            let published = Published::open(&self.dir, &self.verifier).map_err(MirrorError::Own)?;
            let root = published.root_of(now).map_err(MirrorError::Own)?;
            (root != checkpoint.root).then_some(MirrorError::Forked { had, now })
        };
        if let Some(error) = refused {
            keep_evidence(&self.dir, note);
            return Err(error);
        }
        if self.cosigned.as_ref().is_none_or(|(held, _)| *held <= now) {
            // Order: `checkpoint` of at least as many entries is on the disk; then this file takes the old one's place.
            files::replace(&self.dir.join(COSIGNED), note.as_bytes(), Sync::Now).map_err(MirrorError::Own)?;
            self.cosigned = Some((now, note.to_owned()));
        }
        Ok(())
    }

    /// Whether the checkpoint goes on from what is here.
    fn judge(&self, source: &(impl Source + ?Sized), checkpoint: &Checkpoint) -> Result<(), MirrorError> {
        let (had, now) = (self.size(), checkpoint.size);
        if now < had {
            return Err(MirrorError::RolledBack { had, now });
        }
        let forked = MirrorError::Forked { had, now };
        if now == had {
            return if self.edge.root() == checkpoint.root { Ok(()) } else { Err(forked) };
        }
        match relation(source, had, &self.edge.root(), checkpoint) {
            Ok(Relation::Beginning) => Ok(()),
            Ok(Relation::Other) => Err(forked),
            Ok(Relation::Unsigned) => Err(self.gap(checkpoint, UNSIGNED.into())),
            Err(error) => Err(self.fault(checkpoint, error)),
        }
    }

    fn grow(&mut self, source: &(impl Source + ?Sized), checkpoint: &Checkpoint) -> Result<(), MirrorError> {
        let mut edge = self.edge.clone();
        let mut replaced = Vec::new();
        while edge.size() < checkpoint.size {
            let batch = self.fetch(source, &mut edge, checkpoint)?;
            match relation(source, edge.size(), &edge.root(), checkpoint) {
                Ok(Relation::Beginning) => {}
                Ok(Relation::Other | Relation::Unsigned) => return Err(self.gap(checkpoint, UNSIGNED.into())),
                Err(error) => return Err(self.fault(checkpoint, error)),
            }
            replaced.extend(self.store(&batch).map_err(MirrorError::Own)?);
        }
        let partial: Vec<_> = edge.partial(0).iter().map(|tile| (tile.path(), tile.bytes())).collect();
        self.store(&partial).map_err(MirrorError::Own)?;
        self.edge = edge;
        for folder in replaced {
            files::remove_folder(&folder).map_err(MirrorError::Own)?;
        }
        Ok(())
    }

    /// The next bundles, and the tiles that they complete; the edge grows by them.
    fn fetch(
        &self,
        source: &(impl Source + ?Sized),
        edge: &mut Edge,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<(String, Vec<u8>)>, MirrorError> {
        let mut batch = Vec::new();
        for _ in 0..BUNDLES_AT_ONCE {
            let from = edge.size();
            if from == checkpoint.size {
                break;
            }
            let index = from / tile::WIDTH;
            let width = tile::WIDTH.min(checkpoint.size - index * tile::WIDTH);
            let here = from % tile::WIDTH;
            let (_, theirs) = source::bundle(source, index, width).map_err(|error| self.fault(checkpoint, error))?;
            // What is here already is not taken anew.
            let mut entries = match here {
                0 => Vec::new(),
                here => source::bundle(self.dir.as_path(), index, here).map_err(MirrorError::Own)?.1,
            };
            entries.extend(theirs.into_iter().skip(usize::try_from(here).unwrap_or(usize::MAX)));
            let mut full: Vec<HashTile> = Vec::new();
            for entry in entries.iter().skip(usize::try_from(here).unwrap_or(usize::MAX)) {
                full.extend(edge.push(hash::leaf(entry)));
            }
            batch.push((tile::entries_path(index, width), tile::join_entries(&entries)));
            batch.extend(full.iter().map(|tile| (tile.path(), tile.bytes())));
        }
        Ok(batch)
    }

    /// Order: files, then the folders above them. Says which folders of partial files have full ones beside them now.
    fn store(&self, batch: &[(String, Vec<u8>)]) -> Result<Vec<PathBuf>, JournalError> {
        let (mut folders, mut replaced) = (BTreeSet::new(), Vec::new());
        for (path, content) in batch {
            let path = self.dir.join(path);
            files::replace_deep(&path, content, Sync::Now)?;
            let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.dir));
            folders.extend(above.map(Path::to_owned));
            replaced.push(partial_of(path));
        }
        folders.iter().rev().try_for_each(|folder| files::sync(folder))?;
        Ok(replaced)
    }

    /// Order: all that the checkpoint names is on the disk; then it takes the old one's place.
    fn publish(&mut self, note: &str, checkpoint: Checkpoint) -> Result<(), MirrorError> {
        files::replace(&checkpoint_path(&self.dir), note.as_bytes(), Sync::Now).map_err(MirrorError::Own)?;
        self.held = Some((note.to_owned(), checkpoint));
        Ok(())
    }

    fn gap(&self, checkpoint: &Checkpoint, why: String) -> MirrorError {
        MirrorError::Gap { from: self.size(), signed: checkpoint.size, why }
    }

    /// An error of reading the source.
    fn fault(&self, checkpoint: &Checkpoint, error: JournalError) -> MirrorError {
        if let JournalError::Corrupt { path, why } = &error {
            return self.gap(checkpoint, format!("{}: {why}", path.display()));
        }
        if matches!(error, JournalError::Pruned { .. }) {
            return self.gap(checkpoint, error.to_string());
        }
        MirrorError::Unreachable(error)
    }
}

/// Before anything else is in the folder it is said whose mirror it is; a folder of something else is left alone.
fn take_mark(dir: &Path, verifier: &Verifier) -> Result<(), JournalError> {
    let (path, expected) = (mark(dir), format!("{}\n", verifier.vkey()));
    match files::read_if_there(&path)? {
        Some(found) if found == expected.as_bytes() => Ok(()),
        Some(_) => {
            Err(JournalError::corrupt(&path, "this folder mirrors another journal, or the same under another key"))
        }
        None if files::exists(&checkpoint_path(dir))? || files::exists(&wal::path(dir))? => {
            Err(JournalError::corrupt(dir, "there is a journal in this folder, and it is no mirror"))
        }
        None => files::replace(&path, expected.as_bytes(), Sync::Now),
    }
}

/// The first such note stays: it is signed, and so it proves what the journal's keeper did.
fn keep_evidence(dir: &Path, note: &str) {
    let path = dir.join(REFUSED);
    let kept = fs::exists(&path).is_ok_and(|there| there)
        || files::replace(&path, note.as_bytes(), Sync::Now)
            .inspect_err(|error| tracing::error!(%error, "the note that was refused could not be kept"))
            .is_ok();
    if kept {
        tracing::error!(note = %path.display(), "the signed note that shows it is kept");
    }
}
