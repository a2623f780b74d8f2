//! What outlives the process: how far each journal was taken.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use drieslot_journal::Followed;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::WatchError;

/// How far one journal was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    size: u64,
    /// The tree's perfect subtrees, hexadecimal.
    peaks: Vec<String>,
    /// Time of the last entry that could be read, in milliseconds of the epoch.
    last: i64,
}

/// Those of all journals, by origin.
pub(crate) type Places = BTreeMap<String, Place>;

impl Place {
    pub(crate) fn of(followed: &Followed, last: Timestamp) -> Self {
        let peaks = followed.hashes().iter().map(|hash| hex(hash)).collect();
        Self { size: followed.size(), peaks, last: last.as_millisecond() }
    }

    pub(crate) fn last(&self) -> Timestamp {
        Timestamp::from_millisecond(self.last).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    pub(crate) fn followed(&self) -> Option<Followed> {
        let hashes = self.peaks.iter().map(|text| unhex(text)?.try_into().ok()).collect::<Option<Vec<_>>>()?;
        Followed::restore(self.size, hashes)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// What a file remembers; `None` where there is none.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, WatchError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(WatchError::io("read", path)(error)),
    };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| WatchError::State { path: path.to_owned(), why: error.to_string() })
}

/// Order: content into a file beside it, sync, rename, sync of the folder; so there is always the old or the new one.
pub(crate) fn save(path: &Path, content: &impl Serialize) -> Result<(), WatchError> {
    let beside = path.with_extension("new");
    let bytes = serde_json::to_vec(content).map_err(|error| WatchError::io("write", path)(error.into()))?;
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(WatchError::io("write", path))
}
