//! What somebody does on a part's own host by a command: an entry in that part's journal before it is done, and one after.
//!
//! Who can change the program can leave it out; the entry tells of those who use the program as it is.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use anyhow::Result;
use drieslot_custodian::server::CustodianConfig;
use drieslot_gateway::Config as GatewayConfig;
use drieslot_gateway::rotation::JOURNAL_SUFFIX;
use drieslot_journal::{IdentityKey, Journal, JournalConfig, JournalError, entry};
use drieslot_register::Hex32;
use drieslot_register::follow::check_journal;
use drieslot_usage::UsageConfig;
use jiff::Timestamp;
use serde::Serialize;

use crate::files;

/// Longer command lines are cut, so that the entry fits.
const MAX_ARGUMENTS: usize = 100;
const MAX_ARGUMENT_CHARS: usize = 200;

/// A part's journal.
pub(crate) struct Place {
    folder: PathBuf,
    origin: String,
    key: PathBuf,
}

impl Place {
    pub(crate) fn of_custodian(config: &CustodianConfig) -> Self {
        Self { folder: config.journal.clone(), origin: config.origin.clone(), key: config.key.clone() }
    }

    pub(crate) fn of_gateway(config: &GatewayConfig) -> Self {
        let journal = &config.journal;
        Self { folder: journal.folder.clone(), origin: journal.origin.clone(), key: journal.key.clone() }
    }

    pub(crate) fn of_usage(config: &UsageConfig) -> Self {
        Self { folder: config.journal.clone(), origin: config.origin.clone(), key: config.key.clone() }
    }

    /// That of the gateway's rotation worker, beside the gateway's own.
    pub(crate) fn of_worker(config: &GatewayConfig) -> Self {
        let Self { folder, origin, key } = Self::of_gateway(config);
        let mut folder = folder.into_os_string();
        folder.push(JOURNAL_SUFFIX);
        Self { folder: folder.into(), origin: origin + JOURNAL_SUFFIX, key }
    }

    /// As the part itself does: a journal that is gone is not begun anew.
    fn open(&self) -> Result<Journal> {
        check_journal(&self.folder)?;
        let config = JournalConfig::new(&self.origin, IdentityKey::load(&self.key)?);
        Ok(Journal::open(&self.folder, config)?.0)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    command: &'a str,
    /// As they were typed. They name files, and never hold a secret.
    arguments: &'a [String],
    user: &'a str,
    uid: u32,
    version: &'a str,
    files: &'a [Used],
    state: &'a str,
}

/// A file that the command rests on.
#[derive(Serialize)]
struct Used {
    file: String,
    sha256: String,
}

/// A command that begins, or has begun.
pub(crate) struct Administration {
    place: Place,
    command: &'static str,
    arguments: Vec<String>,
    user: String,
    uid: u32,
    files: Vec<Used>,
    begun: Cell<bool>,
}

impl Administration {
    /// Says that a command begins, and what it rests on. It must not go on where this fails.
    pub(crate) fn begin(place: Place, command: &'static str, rests_on: &[&Path]) -> Result<Self> {
        let begun = Self::new(place, command, rests_on)?;
        let journal = begun.place.open()?;
        begun.begin_in(&journal)?;
        journal.close()?;
        Ok(begun)
    }

    /// A command whose part opens the journal itself, and then [begins](Self::begin_in).
    pub(crate) fn new(place: Place, command: &'static str, rests_on: &[&Path]) -> Result<Self> {
        let used = |path: &&Path| {
            let sha256 = Hex32::sha256(&files::read(path)?).to_string();
            Ok(Used { file: path.display().to_string(), sha256 })
        };
        let uid = rustix::process::getuid().as_raw();
        let typed = std::env::args_os().skip(1).take(MAX_ARGUMENTS);
        Ok(Self {
            place,
            command,
            arguments: typed.map(|one| one.to_string_lossy().chars().take(MAX_ARGUMENT_CHARS).collect()).collect(),
            user: user(uid),
            uid,
            files: rests_on.iter().map(used).collect::<Result<_>>()?,
            begun: Cell::new(false),
        })
    }

    /// Says that it begins, in its journal.
    pub(crate) fn begin_in(&self, journal: &Journal) -> Result<(), JournalError> {
        self.append(journal, "begun")?;
        self.begun.set(true);
        Ok(())
    }

    /// Says how it ended, and gives that; nothing of one that never began.
    pub(crate) fn end<T>(self, outcome: Result<T>) -> Result<T> {
        if !self.begun.get() {
            return outcome;
        }
        let state = if outcome.is_ok() { "done" } else { "failed" };
        let said = self.place.open().and_then(|journal| {
            self.append(&journal, state)?;
            Ok(journal.close()?)
        });
        match (outcome, said) {
            (Err(error), Err(unsaid)) => {
                tracing::error!(error = %unsaid, "the journal does not say how the command ended");
                Err(error)
            }
            (Ok(_), Err(unsaid)) => Err(unsaid),
            (outcome, Ok(())) => outcome,
        }
    }

    /// One entry, which is durable when this returns.
    fn append(&self, journal: &Journal, state: &str) -> Result<(), JournalError> {
        let Self { command, arguments, user, uid, files, .. } = self;
        let body = Body { command, arguments, user, uid: *uid, version: env!("CARGO_PKG_VERSION"), files, state };
        let index = journal.append(entry::encode("administration", &Timestamp::now().to_string(), &body)?)?;
        journal.wait_durable(index)
    }
}

/// The name that this host's own list has for a user; empty where it has none.
fn user(uid: u32) -> String {
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = list.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(uid)));
    found.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or_default()
}
