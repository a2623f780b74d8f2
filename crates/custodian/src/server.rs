//! A custodian's server: decides by its own view of the register, journals, and only then answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_journal::{IdentityKey, Journal, JournalConfig, entry};
use drieslot_link::{Fingerprint, Method, Metric, MetricsAddress, Request, Response, TlsIdentity};
use drieslot_register::follow::{FollowConfig, Follower, check_journal};
use drieslot_register::signature::sign_with_identity;
use drieslot_register::statement::{KeyCheck, Statement};
use drieslot_register::{Function, Hex32, Part, State, Use};
use drieslot_schema::Domain;
use drieslot_seal::{DomainContext, Share};
use drieslot_witness::{Cosigning, WitnessAddress};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::exchange::{ConfirmAnswer, ConfirmRequest, ShareAnswer, ShareRequest};
use crate::holders::Holders;
use crate::limits::{Limits, LimitsConfig, Window};
use crate::measured::Measured;
use crate::secret::{self, Credential};
use crate::token::{SecretHolder, Token, TokenConfig};
use crate::{Clock, CustodianError};

/// How long a custodian waits for its view of the register to reach that of the gateway that asks.
const CATCH_UP: Duration = Duration::from_secs(2);
/// How often it is looked whether a window of limited questions has ended.
const TICK: Duration = Duration::from_secs(1);
/// A longer name is not looked up: no domain of a classification has one.
const MAX_DOMAIN_BYTES: usize = 1_024;

/// Everything that a custodian needs to know. It names files, never secret values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodianConfig {
    /// Where gateways connect.
    pub listen: SocketAddr,
    /// Whose secret it holds: `structure`, `access` or `keys`.
    pub function: Function,
    /// The sealed secret; with `credential`, and without `pkcs11`.
    pub secret: Option<PathBuf>,
    /// What opens it.
    pub credential: Option<Credential>,
    /// The token that holds the secret, instead of a file.
    pub pkcs11: Option<TokenConfig>,
    /// The Ed25519 identity key (PKCS#8): signs key-checks and the journal's checkpoints.
    pub key: PathBuf,
    /// Folder with the TLS identity.
    pub identity: PathBuf,
    /// Folder of the journal.
    pub journal: PathBuf,
    /// The journal's name, such as `agency.example/custodian-structure`.
    pub origin: String,
    /// Entries that are older than so many days may be pruned, by `drieslot journal prune`. Left out: none ever.
    pub journal_keep_days: Option<u32>,
    /// The register that it follows.
    pub register: FollowConfig,
    /// How long a share may be used before it must be asked again, in seconds; never longer than the mandate.
    #[serde(default = "default_lease_s")]
    pub lease_s: u64,
    /// A view of the register that is older than this, in seconds, gives no share.
    #[serde(default = "default_max_register_age_s")]
    pub max_register_age_s: u64,
    /// How often each gateway may ask.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<MetricsAddress>,
    /// Who may read the journal over a network.
    pub serve_journal: Option<drieslot_mirror::ServeConfig>,
    /// Where each witness of the charter is.
    #[serde(default)]
    pub witness: Vec<WitnessAddress>,
}

/// Where the configuration says that the secret is.
pub(crate) enum Place<'a> {
    File(&'a Path, &'a Credential),
    Token(&'a TokenConfig),
}

impl CustodianConfig {
    /// Exactly one place for the secret, and limits that can be lived with.
    ///
    /// # Errors
    /// `Config`.
    pub fn check(&self) -> Result<(), CustodianError> {
        if !self.limits.usable() {
            return Err(CustodianError::Config("[limits] are at least 1; to stop all access, stop the custodian"));
        }
        self.place().map(drop)
    }

    pub(crate) fn place(&self) -> Result<Place<'_>, CustodianError> {
        match (&self.secret, &self.credential, &self.pkcs11) {
            (Some(secret), Some(credential), None) => Ok(Place::File(secret, credential)),
            (None, None, Some(token)) => Ok(Place::Token(token)),
            (Some(_), None, None) => Err(CustodianError::Config("`secret` needs a [credential] that opens it")),
            (None, _, None) => Err(CustodianError::Config("name the secret: `secret` and [credential], or [pkcs11]")),
            (_, _, Some(_)) => Err(CustodianError::Config("[pkcs11] stands instead of `secret` and [credential]")),
        }
    }
}

fn default_lease_s() -> u64 {
    900
}

fn default_max_register_age_s() -> u64 {
    30
}

/// A running custodian.
pub struct Custodian {
    config: CustodianConfig,
    clock: Clock,
    secret: SecretHolder,
    key: IdentityKey,
    journal: Journal,
    cosigning: Arc<Cosigning>,
    follower: Arc<Follower>,
    limits: Mutex<Limits>,
    measured: Measured,
    /// Set once its own journal was read.
    holders: OnceLock<Holders>,
    started: Timestamp,
}

/// Why a request gets no share or signature.
struct Refused {
    status: u16,
    why: String,
}

fn refuse<T>(status: u16, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status, why: why.into() })
}

/// What a request was allowed on.
struct Granted {
    used: Use,
    share: Share,
    lease_s: u64,
}

/// The journal's entry of one decision.
#[derive(Serialize)]
struct Decision<'a> {
    outcome: &'a str,
    gateway: String,
    gateway_tls: Fingerprint,
    domain: &'a str,
    epoch: u16,
    register_revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mandate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// The journal's entry of the questions that were not looked at.
#[derive(Serialize)]
struct LimitedEntry {
    gateway: String,
    #[serde(flatten)]
    window: Window,
}

fn gateway_name(state: &State, peer: &Fingerprint) -> String {
    match state.part(peer) {
        Some(Part::Gateway { name } | Part::Usage { name }) => name,
        Some(Part::Custodian { .. } | Part::Register) | None => String::new(),
    }
}

impl Custodian {
    /// Opens secret, keys and journal, and begins to follow the register in the current tokio runtime.
    ///
    /// # Errors
    /// Any [`CustodianError`] but `Exists` and `Listen`.
    pub fn open(config: CustodianConfig, clock: Clock) -> Result<Arc<Self>, CustodianError> {
        config.check()?;
        let secret = match config.place()? {
            Place::File(path, credential) => SecretHolder::Memory(secret::open(path, config.function, credential)?),
            Place::Token(token) => SecretHolder::Token(Token::open(token)?),
        };
        let key = IdentityKey::load(&config.key)?;
        let journal_key = IdentityKey::load(&config.key)?;
        let verifier = journal_key.verifier(&config.origin)?;
        check_journal(&config.journal)?;
        let (journal, _) = Journal::open(&config.journal, JournalConfig::new(&config.origin, journal_key))?;
        let identity = Arc::new(TlsIdentity::load(&config.identity)?);
        let follower = Follower::start_beside(&config.journal, config.register.clone(), identity)?;
        let cosigning = Cosigning::start(
            journal.clone(),
            &config.journal,
            verifier,
            config.witness.clone(),
            follower.witnessing(),
        )?;
        let limits = Mutex::new(Limits::new(&config.limits));
        let (measured, holders, started) = (Measured::default(), OnceLock::new(), clock());
        let opened =
            Self { config, clock, secret, key, journal, cosigning, follower, limits, measured, holders, started };
        Ok(Arc::new(opened))
    }

    /// Listens and serves until the future is dropped.
    ///
    /// # Errors
    /// `Listen`, `Link`.
    pub async fn run(self: Arc<Self>) -> Result<(), CustodianError> {
        let address = self.config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| CustodianError::Listen { address, source })?;
        self.serve(listener).await
    }

    /// Serves on a socket that listens already.
    ///
    /// # Errors
    /// `Link`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<(), CustodianError> {
        let identity = Arc::new(TlsIdentity::load(&self.config.identity)?);
        let door = Arc::clone(&self);
        let authorise = move |peer: &Fingerprint| {
            matches!(door.follower.state().part(peer), Some(Part::Gateway { .. } | Part::Usage { .. }))
        };
        let (windows, escrow) = (Arc::clone(&self), Arc::clone(&self));
        let measured = Arc::clone(&self);
        let metrics = drieslot_link::serve_metrics(self.config.metrics, move || measured.metrics());
        let readable = Arc::clone(&self);
        let serve_journal = readable.config.serve_journal.clone();
        let readers = drieslot_mirror::serve(serve_journal, &readable.config.journal, Some(Arc::clone(&identity)));
        let handler = move |peer, request| Arc::clone(&self).answer(peer, request);
        tokio::select! {
            served = drieslot_link::serve(listener, identity, authorise, handler) => Ok(served?),
            () = windows.journal_windows() => Ok(()),
            () = escrow.watch_escrow() => Ok(()),
            failed = metrics => match failed? {},
            failed = readers => match failed? {},
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        let started = u64::try_from(self.started.as_second()).unwrap_or(0);
        let mut metrics = vec![
            Metric::start_time(started),
            self.measured.questions(),
            Metric::journal_entries(self.journal.durable()),
        ];
        let trouble = self.escrow_trouble().len();
        metrics.push(Metric::gauge(
            "drieslot_escrow_trouble",
            "Officers in force without a share of the escrow, and former ones with one.",
            u64::try_from(trouble).unwrap_or(u64::MAX),
        ));
        metrics.extend(self.follower.metrics());
        metrics.extend(self.cosigning.metrics());
        metrics
    }

    fn escrow_trouble(&self) -> Vec<String> {
        let state = self.follower.state();
        self.holders.get().map_or_else(Vec::new, |holders| holders.trouble(&state, self.config.function))
    }

    /// Says it again whenever the register changes who should hold a share.
    async fn watch_escrow(&self) {
        let folder = self.config.journal.clone();
        match tokio::task::spawn_blocking(move || Holders::read(&folder)).await {
            Ok(Ok(holders)) => drop(self.holders.set(holders)),
            Ok(Err(error)) => tracing::error!(%error, "who holds shares cannot be read in the journal"),
            Err(error) => tracing::error!(%error, "who holds shares was not read"),
        }
        let (mut states, mut said) = (self.follower.subscribe(), Vec::new());
        loop {
            let trouble = self.escrow_trouble();
            if trouble != said && !trouble.is_empty() {
                tracing::warn!(trouble = trouble.join("; "), "the escrow is not of the officers in force: escrow anew");
            }
            said = trouble;
            if states.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn journal_windows(&self) {
        loop {
            tokio::time::sleep(TICK).await;
            self.end_windows(false);
        }
    }

    fn end_windows(&self, all: bool) {
        let ended = self.limits.lock().unwrap_or_else(PoisonError::into_inner).ended(Instant::now(), all);
        let state = self.follower.state();
        for window in ended {
            let gateway = gateway_name(&state, &window.gateway_tls);
            let entry = LimitedEntry { gateway, window };
            let time = (self.clock)().to_string();
            let appended = entry::encode("limited", &time, &entry).and_then(|bytes| self.journal.append(bytes));
            if let Err(error) = appended {
                tracing::error!(%error, "the journal refuses an entry of limited questions");
            }
        }
    }

    /// The first thing that is asked of a question: it costs neither a look at the register nor a journal entry.
    fn limit(&self, peer: Fingerprint, domain: &str) -> Result<(), Response> {
        if domain.len() > MAX_DOMAIN_BYTES {
            return Err(Response::new(400, "no domain has so long a name"));
        }
        let taken = self.limits.lock().unwrap_or_else(PoisonError::into_inner).take(peer, domain, Instant::now());
        let Err(limited) = taken else { return Ok(()) };
        if limited.first {
            let gateway = gateway_name(&self.follower.state(), &peer);
            tracing::warn!(%gateway, "a gateway asks too often; the journal will say how often");
        }
        let what = if limited.by_domain { "this gateway asked for this domain" } else { "this gateway asked" };
        Err(Response::too_many(format!("{what} too often"), limited.retry_after_s))
    }

    /// Its view of the register.
    pub fn follower(&self) -> &Arc<Follower> {
        &self.follower
    }

    /// Writes what is queued, the windows of limited questions, and a last checkpoint.
    ///
    /// # Errors
    /// `Journal`.
    pub fn close(&self) -> Result<(), CustodianError> {
        self.end_windows(true);
        Ok(self.journal.close()?)
    }

    async fn answer(self: Arc<Self>, peer: Fingerprint, request: Request) -> Response {
        match (request.method, request.path.as_str()) {
            (Method::Post, "/share") => self.count(self.share(peer, &request.body).await),
            (Method::Post, "/confirm") => self.count(self.confirm(peer, &request.body).await),
            (Method::Get, "/health") => match self.fresh() {
                Ok(()) => Response::new(200, "well"),
                Err(refused) => Response::new(refused.status, refused.why),
            },
            (Method::Get | Method::Post, _) => Response::new(404, "a custodian serves /share, /confirm, /health"),
        }
    }

    fn count(&self, answer: Response) -> Response {
        self.measured.answered(answer.status);
        answer
    }

    async fn share(&self, peer: Fingerprint, body: &[u8]) -> Response {
        let request: ShareRequest = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Response::new(400, error.to_string()),
        };
        if let Err(limited) = self.limit(peer, &request.domain) {
            return limited;
        }
        self.catch_up(request.revision).await;
        let domain = Domain(request.domain.clone());
        let state = self.follower.state();
        let decided = self.decide(&state, &peer, &domain, request.epoch);
        if let Err(refused) = self.record("share", &state, &peer, &domain, request.epoch, &decided).await {
            return Response::new(refused.status, refused.why);
        }
        match decided {
            Err(refused) => Response::new(refused.status, refused.why),
            Ok(granted) => json(&ShareAnswer {
                share: Zeroizing::new(STANDARD.encode(granted.share.expose())),
                lease_s: granted.lease_s,
                share_check: Hex32(granted.share.check_value()),
            }),
        }
    }

    async fn confirm(&self, peer: Fingerprint, body: &[u8]) -> Response {
        let request: ConfirmRequest = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Response::new(400, error.to_string()),
        };
        let check = match Statement::parse(&request.text) {
            Ok(Statement::KeyCheck(check)) => check,
            Ok(other) => return Response::new(403, format!("a custodian signs key-checks, not a {}", other.kind())),
            Err(refusal) => return Response::new(400, refusal.to_string()),
        };
        if let Err(limited) = self.limit(peer, &check.domain) {
            return limited;
        }
        let domain = Domain(check.domain.clone());
        let state = self.follower.state();
        let decided = self
            .decide(&state, &peer, &domain, check.epoch)
            .and_then(|granted| self.check_statement(&state, &check, granted));
        if let Err(refused) = self.record("key-check", &state, &peer, &domain, check.epoch, &decided).await {
            return Response::new(refused.status, refused.why);
        }
        match decided.and_then(|_| self.sign(&request.text)) {
            Ok(signature) => json(&ConfirmAnswer { signature }),
            Err(refused) => Response::new(refused.status, refused.why),
        }
    }

    fn sign(&self, text: &str) -> Result<String, Refused> {
        sign_with_identity(text.as_bytes(), &self.key).or_else(|error| refuse(503, error.to_string()))
    }

    /// Only what it knows itself: its own share's check value. The combined key it cannot know.
    fn check_statement(&self, state: &State, check: &KeyCheck, granted: Granted) -> Result<Granted, Refused> {
        if state.tenant() != Some(check.tenant.as_str()) {
            return refuse(403, format!("the key-check is for tenant `{}`", check.tenant));
        }
        if state.key_check(&Domain(check.domain.clone()), check.epoch).is_some() {
            return refuse(403, format!("the register has a key-check for domain `{}` already", check.domain));
        }
        if check.shares.of(self.config.function) != Hex32(granted.share.check_value()) {
            let function = self.config.function;
            return refuse(403, format!("the key-check has another share for {function} than this custodian gives"));
        }
        Ok(granted)
    }

    fn fresh(&self) -> Result<(), Refused> {
        let age = self.follower.last_contact_age();
        if age <= Duration::from_secs(self.config.max_register_age_s) {
            return Ok(());
        }
        let trouble = self.follower.trouble().unwrap_or_else(|| "it was not reached yet".into());
        refuse(503, format!("this custodian does not know the newest register: {trouble}"))
    }

    async fn catch_up(&self, revision: u64) {
        let mut states = self.follower.subscribe();
        let reached = states.wait_for(|state| state.revision() >= revision || state.closed_why().is_some());
        let _ = tokio::time::timeout(CATCH_UP, reached).await;
    }

    fn decide(&self, state: &State, peer: &Fingerprint, domain: &Domain, epoch: u16) -> Result<Granted, Refused> {
        // First: an old view must not be taken for a refusal.
        self.fresh()?;
        self.cosigning.check_grace().or_else(|error| refuse(503, error.to_string()))?;
        let now = (self.clock)();
        let used = state.domain_use(domain, epoch, peer, now).or_else(|denied| refuse(403, denied.to_string()))?;
        let Some(tenant) = state.tenant() else {
            return refuse(503, "the charter is not in force");
        };
        let context = DomainContext { tenant: tenant.into(), domain: domain.clone(), epoch };
        let share = self.secret.share(&context).or_else(|error| refuse(503, error.to_string()))?;
        let function = self.config.function;
        let known = state.key_check(domain, epoch).map(|check| check.shares.of(function));
        if known.is_some_and(|known| known != Hex32(share.check_value())) {
            let why =
                "this custodian's secret is not the one that the key was made with: restore its own secret from escrow";
            return refuse(409, format!("{function}: {why}"));
        }
        let lease_s = lease(self.config.lease_s, now, used.valid_until);
        if lease_s == 0 {
            return refuse(403, format!("mandate `{}` ends within a second", used.mandate));
        }
        Ok(Granted { used, share, lease_s })
    }

    /// Durable before the answer, or there is no answer.
    async fn record(
        &self,
        kind: &str,
        state: &State,
        peer: &Fingerprint,
        domain: &Domain,
        epoch: u16,
        decided: &Result<Granted, Refused>,
    ) -> Result<(), Refused> {
        let granted = decided.as_ref().ok();
        let decision = Decision {
            outcome: if granted.is_some() { "granted" } else { "refused" },
            gateway: gateway_name(state, peer),
            gateway_tls: *peer,
            domain: &domain.0,
            epoch,
            register_revision: state.revision(),
            mandate: granted.map(|granted| granted.used.mandate.as_str()),
            lease_s: granted.map(|granted| granted.lease_s),
            why: decided.as_ref().err().map(|refused| refused.why.as_str()),
        };
        let time = (self.clock)().to_string();
        let appended = entry::encode(kind, &time, &decision).and_then(|bytes| self.journal.append(bytes));
        let journal = self.journal.clone();
        let durable = match appended {
            Ok(index) => tokio::task::spawn_blocking(move || journal.wait_durable(index)).await,
            Err(error) => Ok(Err(error)),
        };
        match durable {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "the journal refuses entries");
                refuse(503, "this custodian's journal cannot be written, so it gives nothing: look at its disk")
            }
            Err(_) => refuse(503, "this custodian is stopping"),
        }
    }
}

/// Whole seconds, never beyond the mandate.
fn lease(longest_s: u64, now: Timestamp, valid_until: Timestamp) -> u64 {
    let left = u64::try_from(valid_until.duration_since(now).as_secs()).unwrap_or(0);
    left.min(longest_s)
}

fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => Response::new(200, body),
        Err(error) => Response::new(500, error.to_string()),
    }
}

impl std::fmt::Debug for Custodian {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Custodian({}, {}, …)", self.config.function, self.config.listen)
    }
}
