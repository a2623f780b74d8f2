//! The data folder of a trial: where everything lies, which format it has, and that only one `drieslot up` uses it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::failure;
use crate::files;

/// The layout below. A folder of another number is refused, never guessed at.
const FORMAT: u32 = 1;
pub(crate) const DEFAULT_PORT: u16 = 6432;
const TRIAL: &str = "trial.toml";

/// What is remembered of a trial between runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    pub(crate) format: u32,
    /// The gateway's port; the other parts have the ports after it.
    pub(crate) port: u16,
    /// The database that applications use.
    pub(crate) database: String,
    /// The dump that it came from; none: the made-up newcomers.
    pub(crate) dump: Option<String>,
    /// False until the data is in.
    pub(crate) loaded: bool,
}

/// The parts, each with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Gateway,
    Processor,
    Register,
    Structure,
    Access,
    Keys,
}

impl Part {
    pub(crate) const ALL: [Self; 6] =
        [Self::Gateway, Self::Processor, Self::Register, Self::Structure, Self::Access, Self::Keys];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Processor => "processor",
            Self::Register => "register",
            Self::Structure => "custodian of structure",
            Self::Access => "custodian of access",
            Self::Keys => "custodian of keys",
        }
    }

    fn offset(self) -> u16 {
        match self {
            Self::Gateway => 0,
            Self::Processor => 1,
            Self::Register => 2,
            Self::Structure => 3,
            Self::Access => 4,
            Self::Keys => 5,
        }
    }
}

/// An opened data folder. The lock is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
    _lock: File,
}

/// What an opened folder holds.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Trial(Trial),
}

impl Folder {
    /// Opens or makes the folder.
    pub(crate) fn open(root: &Path) -> Result<(Self, Found)> {
        let existed = root.join("lock").exists();
        if !existed && root.exists() && std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some()) {
            let what = format!("{} holds other files, and was not made by `drieslot up`", root.display());
            return Err(failure(what, "name an empty or a new folder with --data"));
        }
        files::make_folder(root)?;
        let root = root.canonicalize().with_context(|| root.display().to_string())?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(root.join("lock"))
            .with_context(|| root.display().to_string())?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let what = format!("another `drieslot up` uses {}", root.display());
            return Err(failure(what, "stop it with Ctrl-C there, or name another folder with --data"));
        }
        let folder = Self { root, _lock: lock };
        let found = folder.read(existed)?;
        Ok((folder, found))
    }

    fn read(&self, existed: bool) -> Result<Found> {
        let path = self.root.join(TRIAL);
        let again = format!("remove the folder and start again: rm -r {}", self.root.display());
        if !path.exists() {
            // The lock alone: an earlier run stopped before it made anything.
            let made = std::fs::read_dir(&self.root).is_ok_and(|entries| entries.count() > 1);
            if existed && made {
                return Err(failure(format!("the set-up of {} was interrupted", self.root.display()), again));
            }
            return Ok(Found::Nothing);
        }
        let text = files::read(&path)?;
        let format =
            text.parse::<toml::Table>().ok().and_then(|table| table.get("format").and_then(toml::Value::as_integer));
        if format != Some(i64::from(FORMAT)) {
            let of = format.map_or("no readable format".to_owned(), |format| format!("format {format}"));
            let what = format!("{} is of {of}; this version reads format {FORMAT}", self.root.display());
            return Err(failure(what, "use the version that made it, or start a new trial with another --data"));
        }
        let trial: Trial = toml::from_str(&text)
            .map_err(|error| failure(format!("{}: {}", path.display(), error.message()), again.clone()))?;
        if !trial.loaded {
            return Err(failure(format!("loading data into {} was interrupted", self.root.display()), again));
        }
        Ok(Found::Trial(trial))
    }

    /// Remembers the trial.
    pub(crate) fn remember(&self, trial: &Trial) -> Result<()> {
        files::write(&self.root.join(TRIAL), &toml::to_string(trial).context("the trial's description")?)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Trial {
    pub(crate) fn new(port: u16, database: String, dump: Option<String>) -> Self {
        Self { format: FORMAT, port, database, dump, loaded: false }
    }

    pub(crate) fn address(&self, part: Part) -> SocketAddr {
        address(self.port, part)
    }
}

fn address(port: u16, part: Part) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.saturating_add(part.offset())))
}

/// Every port must be free before anything is started.
pub(crate) fn ports_free(port: u16) -> Result<()> {
    if !(1024..=u16::MAX - 5).contains(&port) {
        return Err(failure(format!("port {port} cannot be used"), "choose one from 1024 to 65530 with --port"));
    }
    for part in Part::ALL {
        let address = address(port, part);
        if let Err(error) = TcpListener::bind(address) {
            let what = format!("port {} for the {} is not free: {error}", address.port(), part.name());
            return Err(failure(
                what,
                format!(
                    "stop what uses it (`ss -ltnp 'sport = {}'`), or name another with --port and a new --data",
                    address.port()
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Folder, Found, Trial, ports_free};
    use crate::failure::report;

    fn refusal(root: &std::path::Path) -> String {
        report(&Folder::open(root).err().unwrap())
    }

    #[test]
    fn a_folder_is_resumed_only_when_it_is_ours_whole_and_free() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("d");
        let (folder, found) = Folder::open(&data).unwrap();
        assert!(matches!(found, Found::Nothing));
        assert!(refusal(&data).contains("another `drieslot up` uses"));
        let mut trial = Trial::new(7000, "x".into(), None);
        folder.remember(&trial).unwrap();
        drop(folder);
        assert!(refusal(&data).contains("loading data into"));
        trial.loaded = true;
        Folder { root: data.clone(), _lock: std::fs::File::open(data.join("lock")).unwrap() }.remember(&trial).unwrap();
        assert!(matches!(Folder::open(&data).unwrap().1, Found::Trial(found) if found == trial));
        std::fs::write(data.join("trial.toml"), "format = 2\nfuture = true\n").unwrap();
        assert!(refusal(&data).contains("is of format 2; this version reads format 1"));
        std::fs::remove_file(data.join("trial.toml")).unwrap();
        assert!(matches!(Folder::open(&data).unwrap().1, Found::Nothing));
        std::fs::create_dir(data.join("processor")).unwrap();
        assert!(refusal(&data).contains("was interrupted"));
        assert!(refusal(root.path()).contains("holds other files"));
    }

    #[test]
    fn a_port_in_use_is_named_with_its_part() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let text = report(&ports_free(port.min(65_530)).err().unwrap());
        assert!(text.contains("for the ") && text.contains("hint: stop what uses it"), "{text}");
        assert!(ports_free(80).is_err());
    }
}
