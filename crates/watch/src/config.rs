//! The watcher's configuration, as `docs/siem.md` describes it.

use std::path::{Path, PathBuf};

use drieslot_journal::Verifier;
use drieslot_link::MetricsAddress;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::WatchError;
use crate::alert::Rule;
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
    /// What is out of the ordinary.
    pub alerts: Option<AlertsConfig>,
    /// Who gets alerts by HTTP.
    #[serde(default)]
    pub webhook: Vec<WebhookConfig>,
    /// Who gets alerts by mail.
    #[serde(default)]
    pub mail: Vec<MailConfig>,
}

/// When an alert is raised, and where it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertsConfig {
    /// Folder of the watcher's own journal: an `alert` entry for each.
    pub journal: PathBuf,
    /// The key that signs it, as `drieslot watch init` made it.
    pub key: PathBuf,
    /// Its name, such as `agency.example/watch`.
    pub origin: String,
    /// How long a principal's habits are learnt, from its first look on; until then only fixed rules hold. 14 days.
    #[serde(default = "fortnight")]
    pub learning_s: i64,
    /// Where the people are: hours of the day are theirs.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Rules that raise no alert.
    #[serde(default = "quiet_rules")]
    pub without: Vec<Rule>,
    /// A journal without a new entry for so long stands still; 0 for never. One day.
    #[serde(default = "day")]
    pub stands_still_after_s: i64,
    /// Numbers of an hour.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// Numbers of rows and persons in an hour, of a principal in a journal.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// More rows raise an alert always.
    pub rows_per_hour: u64,
    /// More persons do.
    pub persons_per_hour: u64,
    /// Up to so many rows are never out of the ordinary.
    pub ordinary_rows: u64,
    /// Up to so many persons are not.
    pub ordinary_persons: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { rows_per_hour: 100_000, persons_per_hour: 10_000, ordinary_rows: 200, ordinary_persons: 50 }
    }
}

const fn fortnight() -> i64 {
    14 * 86_400
}

const fn day() -> i64 {
    86_400
}

fn utc() -> String {
    "UTC".into()
}

/// A new colleague is nothing out of the ordinary.
fn quiet_rules() -> Vec<Rule> {
    vec![Rule::NewEndUser]
}

/// A receiver of alerts by HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Of this output.
    pub name: String,
    /// `https://…`, or `http://` on a loopback address.
    pub url: String,
    /// The certificates that its certificate may end in, PEM; for https.
    pub root_certificate: Option<PathBuf>,
    /// File with the key of signatures, of at least 32 bytes, that only the owner may read.
    pub key: PathBuf,
}

/// A receiver of alerts by mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Of this output.
    pub name: String,
    /// `host:port` of the submission server; the certificate must be for this host.
    pub server: String,
    /// How TLS begins; it is never left out.
    #[serde(default)]
    pub tls: MailTls,
    /// The certificates that its certificate may end in, PEM.
    pub root_certificate: PathBuf,
    /// Who signs in there.
    pub user: String,
    /// File with the password, that only the owner may read.
    pub password: PathBuf,
    /// The sender.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
}

/// How TLS with a mail server begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// By STARTTLS, port 587; demanded.
    #[default]
    Starttls,
    /// At once, port 465.
    Implicit,
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
        if let Some(alerts) = &mut self.alerts {
            alerts.journal = base.join(&alerts.journal);
            alerts.key = base.join(&alerts.key);
        }
        for webhook in &mut self.webhook {
            webhook.key = base.join(&webhook.key);
            webhook.root_certificate = webhook.root_certificate.as_ref().map(|root| base.join(root));
        }
        for mail in &mut self.mail {
            mail.password = base.join(&mail.password);
            mail.root_certificate = base.join(&mail.root_certificate);
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
        if let Some(alerts) = &self.alerts {
            TimeZone::get(&alerts.time_zone).map_err(|error| WatchError::Config(format!("time_zone: {error}")))?;
            if alerts.learning_s < 0 || alerts.stands_still_after_s < 0 {
                return refuse("learning_s and stands_still_after_s are not below 0".into());
            }
        } else if !self.webhook.is_empty() || !self.mail.is_empty() {
            return refuse("[alerts] is missing: there is nothing to send by [[webhook]] or [[mail]]".into());
        }
        let more =
            self.webhook.iter().map(|one| one.name.as_str()).chain(self.mail.iter().map(|one| one.name.as_str()));
        // `alerts` is the name of what the rules remember.
        let names: Vec<&str> =
            ["alerts"].into_iter().chain(self.output.iter().map(OutputConfig::name)).chain(more).collect();
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
