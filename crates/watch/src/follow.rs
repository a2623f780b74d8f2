//! Following journals in folders, their own or mirrors': entries come out as events once they are known to be signed.

use std::path::PathBuf;

use drieslot_audit::AuditError;
use drieslot_journal::{Checkpoint, FollowError, Followed, Reader, Verifier};

use jiff::Timestamp;

use crate::error::Fault;
use crate::event::{Event, Understanding};
use crate::state::{Place, Places};

/// Entries taken at once: what is held in memory.
const AT_ONCE: u64 = 256;

/// A journal that is followed.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its folder, or a mirror's.
    pub folder: PathBuf,
    /// The key that signs it, under its name.
    pub verifier: Verifier,
}

/// One journal, and how far it was taken.
pub(crate) struct Following {
    pub(crate) source: Source,
    followed: Followed,
    understanding: Understanding,
    /// As long as there is more of it.
    open: Option<(Reader, Checkpoint)>,
    /// The checkpoint to which everything was taken.
    note: String,
}

/// What one step took.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Event>,
    /// Entries that are signed and not taken yet.
    pub(crate) waiting: u64,
}

impl Following {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            followed: Followed::default(),
            understanding: Understanding::default(),
            open: None,
            note: String::new(),
        }
    }

    pub(crate) fn origin(&self) -> &str {
        self.source.verifier.name()
    }

    pub(crate) fn size(&self) -> u64 {
        self.followed.size()
    }

    /// Time of the last entry that could be read.
    pub(crate) fn last(&self) -> Timestamp {
        self.understanding.last()
    }

    /// The signed note to which everything was taken.
    pub(crate) fn note(&self) -> &str {
        &self.note
    }

    /// The next entries, at most [`AT_ONCE`].
    pub(crate) fn step(&mut self) -> Result<Taken, Fault> {
        let (reader, checkpoint) = match self.open.take() {
            Some(open) => open,
            None => match self.look()? {
                Some(open) => open,
                None => return Ok(Taken::default()),
            },
        };
        let entries = self.followed.next(&reader, &checkpoint, AT_ONCE).map_err(|error| match error {
            FollowError::Journal(error) => Fault::Unreadable(error),
            refused @ (FollowError::RolledBack { .. } | FollowError::Forked { .. } | FollowError::Changed { .. }) => {
                Fault::Refused(refused)
            }
        })?;
        let read = |(index, bytes): &(u64, Vec<u8>)| self.understanding.event(&reader, &checkpoint, *index, bytes);
        let events = entries.iter().map(read).collect();
        let waiting = checkpoint.size.saturating_sub(self.followed.size());
        match waiting {
            0 => reader.note().clone_into(&mut self.note),
            _ => self.open = Some((reader, checkpoint)),
        }
        Ok(Taken { events, waiting })
    }

    /// The journal as it is now, where it is not as it was when everything was taken.
    fn look(&self) -> Result<Option<(Reader, Checkpoint)>, Fault> {
        let now = std::fs::read_to_string(self.source.folder.join("checkpoint"));
        if now.is_ok_and(|now| now == self.note && !now.is_empty()) {
            return Ok(None);
        }
        let reader = Reader::open(&self.source.folder).map_err(Fault::Unreadable)?;
        let checkpoint = Checkpoint::open(reader.note(), &self.source.verifier).map_err(Fault::Unreadable)?;
        Ok(Some((reader, checkpoint)))
    }
}

/// Several journals, and how far each was taken.
pub(crate) struct Feed {
    pub(crate) journals: Vec<Following>,
}

impl Feed {
    pub(crate) fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        Self { journals: sources.into_iter().map(Following::new).collect() }
    }

    pub(crate) fn places(&self) -> Places {
        self.journals
            .iter()
            .map(|one| (one.origin().to_owned(), Place::of(&one.followed, one.understanding.last())))
            .collect()
    }

    /// Goes on from there; a journal that is not named is taken from its begin.
    pub(crate) fn go_to(&mut self, places: &Places) -> Result<(), Fault> {
        for one in &mut self.journals {
            let place = places.get(one.origin()).cloned().unwrap_or_default();
            let damaged = || {
                let why = "the place that is remembered is damaged".to_owned();
                let origin = one.source.verifier.name().to_owned();
                Fault::Entry(AuditError::Entry { origin, index: 0, why })
            };
            one.followed = place.followed().ok_or_else(damaged)?;
            one.understanding = Understanding::after(place.last());
            one.open = None;
            one.note = String::new();
        }
        Ok(())
    }
}

/// All events of one journal from its begin to its checkpoint, a few at a time, as long as `each` asks for more.
///
/// # Errors
/// [`Fault`] for the first thing that is not as it was signed; what came before it was.
pub fn read(source: Source, mut each: impl FnMut(&Event) -> bool) -> Result<(), Fault> {
    let mut following = Following::new(source);
    loop {
        let taken = following.step()?;
        if !taken.events.iter().all(&mut each) || taken.waiting == 0 {
            return Ok(());
        }
    }
}
