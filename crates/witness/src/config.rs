//! A witness's one configuration file. It names files, never secret values.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use drieslot_journal::Verifier;
use drieslot_link::MetricsAddress;
use serde::Deserialize;

use crate::WitnessError;

/// Everything that a witness needs to know. Relative paths are relative to the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where logs connect, by plain HTTP.
    pub listen: SocketAddr,
    /// The witness's name, such as `witness.example.org/w1`; it goes into each cosignature.
    pub name: String,
    /// Its Ed25519 key (PKCS#8), mode 0600, which signs nothing else. Beside it lies `KEY.seen`: when it last cosigned.
    pub key: PathBuf,
    /// Folder of what it has cosigned. Not to be restored from a backup.
    pub state: PathBuf,
    /// Requests that one address may make in a second.
    #[serde(default = "default_requests_per_second")]
    pub requests_per_second: u32,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<MetricsAddress>,
    /// The logs that it knows.
    #[serde(default)]
    pub log: Vec<LogConfig>,
}

/// A log whose checkpoints are cosigned.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Its origin line; the name of the first key where left out.
    pub origin: Option<String>,
    /// Its verifier keys, `name+key id+key`, as the files `journal.vkey` hold them; one of them must have signed.
    pub keys: Vec<String>,
}

fn default_requests_per_second() -> u32 {
    100
}

impl LogConfig {
    pub(crate) fn verifiers(&self) -> Result<(String, Vec<Verifier>), String> {
        let parse = |text: &String| Verifier::parse(text.trim()).map_err(|error| format!("log key {text}: {error}"));
        let keys: Vec<Verifier> = self.keys.iter().map(parse).collect::<Result<_, _>>()?;
        let first = keys.first().ok_or("a log has no keys: name at least one verifier key")?;
        Ok((self.origin.clone().unwrap_or_else(|| first.name().to_owned()), keys))
    }
}

impl WitnessConfig {
    /// Reads a file and makes its paths absolute.
    ///
    /// # Errors
    /// `Io`, `Config`.
    pub fn load(path: &Path) -> Result<Self, WitnessError> {
        let text = std::fs::read_to_string(path).map_err(WitnessError::io("read", path))?;
        let bad = |why: String| WitnessError::Config(format!("{}: {why}", path.display()));
        let mut config: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let base = path.parent().unwrap_or(Path::new("."));
        for path in [&mut config.key, &mut config.state] {
            *path = base.join(&path);
        }
        config.check().map_err(bad)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        // A name that C2SP doesn't allow makes no verifier, whatever the key.
        Verifier::new(&self.name, [0; 32]).map_err(|_| {
            format!(
                "name {:?} is not usable: it must be non-empty, without spaces, control characters or '+'",
                self.name
            )
        })?;
        if self.requests_per_second == 0 {
            return Err("requests_per_second is at least 1; to cosign nothing, stop the witness".into());
        }
        let mut origins = BTreeSet::new();
        for log in &self.log {
            let (origin, _) = log.verifiers()?;
            if !origins.insert(origin.clone()) {
                return Err(format!("the log {origin} is listed twice: list its keys in one place"));
            }
        }
        Ok(())
    }
}
