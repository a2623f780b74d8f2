//! The watcher's configuration, as `docs/siem.md` describes it.

use std::path::{Path, PathBuf};

use drieslot_journal::Verifier;
use drieslot_link::MetricsAddress;
use jiff::Timestamp;
use serde::Deserialize;

use crate::WatchError;
use crate::follow::Source;

/// Everything that a watcher needs to know. It names files, never secret values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Folder of what it remembers: how far each journal was taken by each output.
    pub state: PathBuf,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<MetricsAddress>,
    /// This host's name in syslog messages.
    #[serde(default)]
    pub host: String,
    /// What is older is verified and not sent: RFC 3339.
    pub since: Option<Moment>,
    /// The journals.
    pub journal: Vec<WatchedJournal>,
    /// Where everything goes.
    #[serde(default)]
    pub output: Vec<OutputConfig>,
}

/// A time in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(pub Timestamp);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|error| format!("{text:?} is no time such as 2026-01-31T23:59:59Z: {error}"))
    }
}

/// A journal that is followed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedJournal {
    /// Its folder, or a mirror's of it.
    pub folder: PathBuf,
    /// Its verifier key, `origin+id+key`, as its owner gave it.
    pub key: String,
}

/// Where events go.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "to", rename_all = "lowercase", deny_unknown_fields)]
pub enum OutputConfig {
    /// OCSF, a line of JSON for each event, appended to a file.
    File {
        /// Of this output: letters, digits and `-`.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// OCSF, a line of JSON for each event, to standard output.
    Stdout {
        /// Of this output.
        name: String,
    },
    /// Syslog over TCP.
    Tcp {
        /// Of this output.
        name: String,
        /// `host:port`.
        address: String,
        /// What the free part says.
        #[serde(default)]
        message: Message,
    },
    /// Syslog over TLS.
    Tls {
        /// Of this output.
        name: String,
        /// `host:port`; the certificate must be for this host.
        address: String,
        /// The certificates that its certificate may end in, PEM.
        root_certificate: PathBuf,
        /// What the free part says.
        #[serde(default)]
        message: Message,
    },
    /// Syslog over UDP: what is lost on the way is lost. The free part is always words, for a datagram is short.
    Udp {
        /// Of this output.
        name: String,
        /// `host:port`.
        address: String,
    },
}

/// The free part of a syslog message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// A few words; everything else is in the structured data.
    #[default]
    Words,
    /// The event as OCSF, in JSON.
    Ocsf,
}

impl OutputConfig {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::File { name, .. }
            | Self::Stdout { name }
            | Self::Tcp { name, .. }
            | Self::Tls { name, .. }
            | Self::Udp { name, .. } => name,
        }
    }
}

impl WatchConfig {
    /// Its relative paths taken from a folder.
    #[must_use]
    pub fn under(mut self, base: &Path) -> Self {
        self.state = base.join(&self.state);
        for journal in &mut self.journal {
            journal.folder = base.join(&journal.folder);
        }
        for output in &mut self.output {
            match output {
                OutputConfig::File { path, .. } => *path = base.join(&path),
                OutputConfig::Tls { root_certificate, .. } => *root_certificate = base.join(&root_certificate),
                OutputConfig::Stdout { .. } | OutputConfig::Tcp { .. } | OutputConfig::Udp { .. } => {}
            }
        }
        self
    }

    /// What can be told from the file alone.
    ///
    /// # Errors
    /// [`WatchError::Config`].
    pub fn check(&self) -> Result<(), WatchError> {
        let refuse = |why: String| Err(WatchError::Config(why));
        let sources = self.sources()?;
        if sources.is_empty() {
            return refuse("no [[journal]] is named".into());
        }
        for (at, one) in sources.iter().enumerate() {
            if sources.iter().skip(at + 1).any(|other| other.verifier.name() == one.verifier.name()) {
                return refuse(format!("the journal {} is named twice", one.verifier.name()));
            }
        }
        let names: Vec<&str> = self.output.iter().map(OutputConfig::name).collect();
        for (at, name) in names.iter().enumerate() {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if name.is_empty() || !name.chars().all(good) || names.iter().skip(at + 1).any(|other| other == name) {
                return refuse(format!("{name:?} is no name for an output: letters, digits and `-`, each name once"));
            }
        }
        Ok(())
    }

    pub(crate) fn sources(&self) -> Result<Vec<Source>, WatchError> {
        let one = |journal: &WatchedJournal| {
            let verifier = Verifier::parse(&journal.key)
                .map_err(|error| WatchError::Config(format!("the key of {}: {error}", journal.folder.display())))?;
            Ok(Source { folder: journal.folder.clone(), verifier })
        };
        self.journal.iter().map(one).collect()
    }
}
