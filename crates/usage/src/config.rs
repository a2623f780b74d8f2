//! The usage server's one configuration file. It names files, never secret values.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use drieslot_custodian::client::KeyringConfig;
use drieslot_journal::Verifier;
use drieslot_link::{Fingerprint, MetricsAddress};
use drieslot_mirror::ServeConfig;
use drieslot_register::follow::FollowConfig;
use drieslot_witness::WitnessAddress;
use serde::Deserialize;

use crate::UsageError;

/// Everything that it needs to know. Relative paths are relative to the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageConfig {
    /// Where portals connect, by mutual TLS.
    pub listen: SocketAddr,
    /// Folder with the TLS identity that the charter has.
    pub identity: PathBuf,
    /// Folder of its own journal: who asked about whom.
    pub journal: PathBuf,
    /// That journal's name, such as `agency.example/usage`.
    pub origin: String,
    /// The Ed25519 key (PKCS#8) that signs it.
    pub key: PathBuf,
    /// Folder of the index, which it makes.
    pub index: PathBuf,
    /// Whether portals are told the names of end users, who are mostly the agency's staff.
    #[serde(default)]
    pub show_end_users: bool,
    /// How often each portal may ask.
    #[serde(default = "default_requests_per_minute")]
    pub requests_per_minute: u32,
    /// A journal that was last read longer ago than this, in seconds, gives no answer.
    #[serde(default = "default_max_age_s")]
    pub max_age_s: u64,
    /// The journals of gateways: also of former ones, and those that another took the place of.
    pub source: Vec<SourceConfig>,
    /// Who may ask.
    pub portal: Vec<PortalConfig>,
    /// The register that it follows.
    pub register: FollowConfig,
    /// The custodians, for the key of subjects.
    pub keys: KeyringConfig,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<MetricsAddress>,
    /// Who may read its own journal over a network.
    pub serve_journal: Option<ServeConfig>,
    /// Where each witness of the charter is.
    #[serde(default)]
    pub witness: Vec<WitnessAddress>,
}

/// One journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its folder, or a mirror's of it.
    pub folder: PathBuf,
    /// Its verifier key, `origin+id+key`: the text of `journal.vkey`.
    pub key: String,
}

/// One portal of citizens, or whoever else asks in their name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalConfig {
    /// As the journal names it.
    pub name: String,
    /// Its TLS key.
    pub tls: Fingerprint,
}

fn default_requests_per_minute() -> u32 {
    600
}

fn default_max_age_s() -> u64 {
    60
}

impl UsageConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`UsageError::File`], [`UsageError::Config`].
    pub fn load(path: &Path) -> Result<Self, UsageError> {
        let text = std::fs::read_to_string(path).map_err(|error| UsageError::File(path.to_owned(), error))?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| UsageError::Config(format!("{}: {error}", path.display())))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let own = [&mut config.identity, &mut config.journal, &mut config.key, &mut config.index];
        for path in own.into_iter().chain(config.source.iter_mut().map(|source| &mut source.folder)) {
            *path = base.join(&*path);
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), UsageError> {
        let refuse = |why: String| Err(UsageError::Config(why));
        if self.source.is_empty() {
            return refuse("no [[source]] is named: the journal of each gateway".into());
        }
        if self.portal.is_empty() {
            return refuse("no [[portal]] is named: who may ask".into());
        }
        if self.requests_per_minute == 0 {
            return refuse("requests_per_minute is at least 1; to stop all answers, stop the server".into());
        }
        let keys = self.verifiers()?;
        for (at, key) in keys.iter().enumerate() {
            if keys.iter().take(at).any(|other| other.vkey() == key.vkey()) {
                return refuse(format!("the journal `{}` is named twice", key.name()));
            }
        }
        for (at, portal) in self.portal.iter().enumerate() {
            if self.portal.iter().take(at).any(|other| other.name == portal.name || other.tls == portal.tls) {
                return refuse(format!("portal `{}` has a name or a key of another", portal.name));
            }
        }
        Ok(())
    }

    /// The keys of the journals, in their order.
    pub(crate) fn verifiers(&self) -> Result<Vec<Verifier>, UsageError> {
        let read = |source: &SourceConfig| {
            let bad = |error| UsageError::Config(format!("the key of {}: {error}", source.folder.display()));
            Verifier::parse(source.key.trim()).map_err(bad)
        };
        self.source.iter().map(read).collect()
    }
}
