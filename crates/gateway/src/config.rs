//! The gateway's one configuration file. It names files, never secret values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use drieslot_custodian::client::KeyringConfig;
use drieslot_register::follow::FollowConfig;
use jiff::SignedDuration;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::GatewayError;
use crate::scram::Verifier;

/// Everything that a gateway needs to know. Relative paths are relative to the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where applications connect.
    pub listen: SocketAddr,
    /// The certificate chain shown to applications, PEM.
    pub tls_certificate: PathBuf,
    /// Its private key, PEM, mode 0600.
    pub tls_key: PathBuf,
    /// Refuse applications that do not use TLS. Only for a loopback trial may this be false.
    #[serde(default = "yes")]
    pub require_tls: bool,
    /// A TOML file of principals: `name = "SCRAM-SHA-256$…"`, one a line.
    pub principals: PathBuf,
    /// Principals that sign in by a TLS client certificate.
    pub client_certificates: Option<ClientCertificates>,
    /// Most sessions at once.
    #[serde(default = "default_max_sessions")]
    pub max_sessions: usize,
    /// Longest statement, in bytes; longer ones are refused unread.
    #[serde(default = "default_max_statement_bytes")]
    pub max_statement_bytes: usize,
    /// Where the application's statements are recorded, each once and without its values, for `drieslot classify suggest`.
    pub recording: Option<PathBuf>,
    /// Which statements a principal may send at all.
    #[serde(default)]
    pub firewall: Vec<FirewallRule>,
    /// Values that nobody has a reason to read.
    #[serde(default)]
    pub decoys: Vec<DecoyConfig>,
    /// Whose tokens tell who an end user is.
    #[serde(default)]
    pub token_issuers: Vec<TokenIssuer>,
    /// The processor's PostgreSQL.
    pub backend: Backend,
    /// This gateway's journal.
    pub journal: JournalConfig,
    /// Folder with this gateway's TLS identity towards custodians and register.
    pub identity: PathBuf,
    /// The register to follow.
    pub register: FollowConfig,
    /// The custodians to ask.
    pub keys: KeyringConfig,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<drieslot_link::MetricsAddress>,
    /// Who may read the journal over a network.
    pub serve_journal: Option<drieslot_mirror::ServeConfig>,
    /// Where each witness of the charter is.
    #[serde(default)]
    pub witness: Vec<drieslot_witness::WitnessAddress>,
}

/// Sign-in by TLS client certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Certificates that a client's chain must end in, PEM.
    pub root_certificate: PathBuf,
    /// Common name of a certificate's subject, and the principal that it signs in as.
    pub principals: BTreeMap<String, String>,
}

/// The statements that a principal may send, whatever their values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallRule {
    /// Whose statements.
    pub principal: String,
    /// What happens to one that is not allowed.
    pub mode: FirewallMode,
    /// File of the only statements that are allowed, as a recording is.
    pub allow: Option<PathBuf>,
    /// File of statements that are refused.
    pub deny: Option<PathBuf>,
}

/// Made-up values of one column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoyConfig {
    /// `schema.table.column`.
    pub column: String,
    /// File of the values, one a line, as PostgreSQL shows them under DateStyle ISO; mode 0600.
    pub values: PathBuf,
    /// What a look at one does.
    pub on_read: OnRead,
}

/// What a look at a decoy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRead {
    /// An alarm in the journal and the log.
    Alarm,
    /// The alarm, and no protected data for anybody until the gateway is started again.
    Stop,
}

/// What becomes of a statement that a firewall does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirewallMode {
    /// It runs, and the journal says so.
    Report,
    /// It is refused.
    Enforce,
}

/// An OpenID Connect issuer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenIssuer {
    /// As tokens name it in `iss`.
    pub issuer: String,
    /// What must stand in `aud`.
    pub audience: String,
    /// Its public keys, a JSON Web Key Set.
    pub keys: KeySource,
    /// What tokens may be signed with. Never a shared secret.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the end user.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// Seconds by which the issuer's clock may differ.
    #[serde(default = "default_leeway_s")]
    pub leeway_s: u32,
    /// Seconds for which keys are used while no newer ones can be had.
    #[serde(default = "default_keys_max_age_s")]
    pub keys_max_age_s: u32,
}

/// Where keys come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum KeySource {
    /// `{ file = "…" }`
    File {
        /// The file.
        file: PathBuf,
    },
    /// `{ url = "https://…", root_certificate = "…" }`
    Url {
        /// The address.
        url: String,
        /// Certificate that the address's chain must end in, PEM.
        root_certificate: PathBuf,
    },
}

impl TokenIssuer {
    pub(crate) fn max_age(&self) -> SignedDuration {
        SignedDuration::from_secs(self.keys_max_age_s.into())
    }

    fn check(&self) -> Result<(), String> {
        use Algorithm::{HS256, HS384, HS512};
        if self.algorithms.is_empty() || self.algorithms.iter().any(|one| matches!(one, HS256 | HS384 | HS512)) {
            return Err(format!(
                "token_issuers: {}: algorithms must name some, and no shared secret (HS…)",
                self.issuer
            ));
        }
        if self.issuer.is_empty() || self.audience.is_empty() || self.user_claim.is_empty() {
            return Err("token_issuers: issuer, audience and user_claim must not be empty".into());
        }
        Ok(())
    }
}

/// The processor's PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// `host:port`, tried in order.
    pub hosts: Vec<String>,
    /// Which of the hosts will do: `any` (default), `read-write`, `read-only`, `primary`, `standby`, `prefer-standby`.
    #[serde(default)]
    pub target_session_attrs: TargetSessionAttrs,
    /// Role to sign in as for every principal that `roles` does not name. Left out, those are refused.
    pub user: Option<String>,
    /// File with that role's password on its first line, mode 0600. Where it is set the processor must ask for SCRAM-SHA-256;
    /// it may be left out only where `certificate` is set.
    pub password_file: Option<PathBuf>,
    /// The certificate chain shown to the processor, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM, mode 0600.
    pub certificate_key: Option<PathBuf>,
    /// Roles of their own, by principal.
    #[serde(default)]
    pub roles: BTreeMap<String, BackendRole>,
    /// `verify-full` (default) or `disable`.
    #[serde(default)]
    pub tls: BackendTls,
    /// Certificate that the processor's chain must end in, PEM; needed for `verify-full`.
    pub root_certificate: Option<PathBuf>,
    /// Seconds to wait for a connection.
    #[serde(default = "default_connect_timeout_s")]
    pub connect_timeout_s: u64,
}

/// A role at the processor, and what signs in as it; as in [`Backend`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendRole {
    /// The role.
    pub user: String,
    /// File with its password.
    pub password_file: Option<PathBuf>,
    /// The certificate chain shown to the processor, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub certificate_key: Option<PathBuf>,
}

/// Which server of several will do, as in libpq.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetSessionAttrs {
    /// The first that answers.
    #[default]
    Any,
    /// It takes writes.
    ReadWrite,
    /// It takes none.
    ReadOnly,
    /// It is not in recovery.
    Primary,
    /// It is in recovery.
    Standby,
    /// A standby, and where there is none any.
    PreferStandby,
}

/// TLS towards the processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendTls {
    /// Chain and host name are checked.
    #[default]
    VerifyFull,
    /// No TLS: only where the processor is this very machine.
    Disable,
}

/// Where and how the journal is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// Its origin line, such as `agency.example/gateway-1`.
    pub origin: String,
    /// The Ed25519 key that signs its checkpoints, mode 0600.
    pub key: PathBuf,
    /// `fsync` (default) or `os`.
    #[serde(default)]
    pub durability: Durability,
    /// Entries that are older than so many days may be pruned, by `drieslot journal prune`. Left out: none ever.
    pub keep_days: Option<u32>,
}

/// When an entry counts as durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// After fsync.
    #[default]
    Fsync,
    /// After the operating system has it: survives kill -9, not a power cut.
    Os,
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn default_user_claim() -> String {
    "sub".into()
}

fn default_leeway_s() -> u32 {
    60
}

fn default_keys_max_age_s() -> u32 {
    24 * 3600
}

fn yes() -> bool {
    true
}

fn default_max_sessions() -> usize {
    1_000
}

fn default_max_statement_bytes() -> usize {
    64 << 20
}

fn default_connect_timeout_s() -> u64 {
    10
}

/// Where the configuration says which role is meant.
pub(crate) const DEFAULT_ROLE: &str = "[backend]";

impl Backend {
    /// The role of principals without one of their own.
    pub(crate) fn default_role(&self) -> Option<BackendRole> {
        Some(BackendRole {
            user: self.user.clone()?,
            password_file: self.password_file.clone(),
            certificate: self.certificate.clone(),
            certificate_key: self.certificate_key.clone(),
        })
    }

    fn check_roles(&self) -> Result<(), String> {
        match self.default_role() {
            Some(role) => self.check_role(DEFAULT_ROLE, &role)?,
            None if self.password_file.is_some() || self.certificate.is_some() || self.certificate_key.is_some() => {
                return Err("backend.user is not set: name the role that the password or certificate is of".into());
            }
            None if self.roles.is_empty() => {
                return Err("neither backend.user nor any of backend.roles is set: name the role to sign in as".into());
            }
            None => {}
        }
        self.roles.iter().try_for_each(|(principal, role)| self.check_role(&entry_of(principal), role))
    }

    fn check_role(&self, entry: &str, role: &BackendRole) -> Result<(), String> {
        if role.certificate.is_some() != role.certificate_key.is_some() {
            return Err(format!("{entry}: certificate and certificate_key go together: name both or neither"));
        }
        if role.certificate.is_some() && self.tls == BackendTls::Disable {
            return Err(format!("{entry}: certificate is of no use without TLS: set backend.tls to verify-full"));
        }
        if role.password_file.is_none() && role.certificate.is_none() {
            return Err(format!(
                "{entry}: the gateway has nothing to sign in with at the processor: set password_file, or certificate \
                 and certificate_key"
            ));
        }
        Ok(())
    }
}

/// Where the configuration gives a principal its role.
pub(crate) fn entry_of(principal: &str) -> String {
    format!("[backend.roles.{}]", toml::Value::from(principal))
}

impl Config {
    /// Reads a file and makes its paths absolute.
    pub fn load(path: &Path) -> Result<Self, GatewayError> {
        let text = read(path)?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| GatewayError::Config(format!("{}: {error}", path.display())))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let paths = [
            &mut config.tls_certificate,
            &mut config.tls_key,
            &mut config.principals,
            &mut config.journal.folder,
            &mut config.journal.key,
            &mut config.identity,
        ];
        let backend = &mut config.backend;
        let optional = [
            backend.root_certificate.as_mut(),
            backend.password_file.as_mut(),
            backend.certificate.as_mut(),
            backend.certificate_key.as_mut(),
            config.recording.as_mut(),
            config.client_certificates.as_mut().map(|clients| &mut clients.root_certificate),
        ];
        let lists = config.firewall.iter_mut().flat_map(|rule| [rule.allow.as_mut(), rule.deny.as_mut()]);
        let lists = lists.chain(config.decoys.iter_mut().map(|decoy| Some(&mut decoy.values)));
        let of_roles = backend
            .roles
            .values_mut()
            .flat_map(|role| [role.password_file.as_mut(), role.certificate.as_mut(), role.certificate_key.as_mut()]);
        let of_issuers = config.token_issuers.iter_mut().map(|issuer| match &mut issuer.keys {
            KeySource::File { file } => Some(file),
            KeySource::Url { root_certificate, .. } => Some(root_certificate),
        });
        for path in
            paths.into_iter().chain(optional.into_iter().chain(lists).chain(of_roles).chain(of_issuers).flatten())
        {
            *path = base.join(&path);
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), GatewayError> {
        let backend = &self.backend;
        if backend.hosts.is_empty() {
            return Err(GatewayError::Config("backend.hosts is empty: name at least one host:port".into()));
        }
        if backend.tls == BackendTls::VerifyFull && backend.root_certificate.is_none() {
            let message = "backend.tls is verify-full but backend.root_certificate is not set: name the certificate \
                           that the processor's chain ends in";
            return Err(GatewayError::Config(message.into()));
        }
        self.token_issuers.iter().try_for_each(TokenIssuer::check).map_err(GatewayError::Config)?;
        backend.check_roles().map_err(GatewayError::Config)?;
        if !self.require_tls && !self.listen.ip().is_loopback() {
            return Err(GatewayError::Config("require_tls may be false on a loopback address only".into()));
        }
        Ok(())
    }

    /// A role for nobody is a slip of the pen, and somebody else would get the default in its place.
    pub(crate) fn check_role_owners(&self, principals: &BTreeMap<String, Verifier>) -> Result<(), GatewayError> {
        let certified = |name: &String| {
            self.client_certificates.as_ref().is_some_and(|known| known.principals.values().any(|one| one == name))
        };
        let stray = self.backend.roles.keys().find(|name| !principals.contains_key(*name) && !certified(name));
        stray.map_or(Ok(()), |name| {
            let entry = entry_of(name);
            let why = "no such principal in the file of principals, nor in client_certificates";
            Err(GatewayError::Config(format!("{entry}: {why}")))
        })
    }

    /// The principals and their verifiers.
    pub(crate) fn read_principals(&self) -> Result<BTreeMap<String, Verifier>, GatewayError> {
        let path = &self.principals;
        let bad = |why: String| GatewayError::Config(format!("{}: {why}", path.display()));
        let raw: BTreeMap<String, String> =
            toml::from_str(&read(path)?).map_err(|error| bad(error.message().into()))?;
        raw.into_iter()
            .map(|(name, verifier)| match verifier.parse() {
                Ok(verifier) => Ok((name, verifier)),
                Err(error) => Err(bad(format!("principal {name}: {error}"))),
            })
            .collect()
    }
}

pub(crate) fn read(path: &Path) -> Result<String, GatewayError> {
    std::fs::read_to_string(path).map_err(|error| GatewayError::File(path.to_owned(), error))
}
