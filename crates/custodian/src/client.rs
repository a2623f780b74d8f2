//! The side of gateways and usage servers: asks three custodians, combines, checks, caches under lease, and drops on revocation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Duration, Instant};

use drieslot_link::{Fingerprint, TlsIdentity};
use drieslot_register::follow::Follower;
use drieslot_register::{FIRST_EPOCH, Function, State};
use drieslot_schema::Domain;
use drieslot_seal::{CellKey, SubjectKey};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::Clock;
use crate::ask::{Custodians, Leased};
use crate::pause::Pause;

/// How often leases are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Where the custodians are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyringConfig {
    /// At least one of each function; several of one function are replicas.
    pub custodians: Vec<CustodianAddress>,
}

/// One custodian.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodianAddress {
    /// `structure`, `access` or `keys`.
    pub function: Function,
    /// `host:port`.
    pub address: String,
    /// Its TLS key: `sha256:` and 64 hexadecimal digits.
    pub tls: Fingerprint,
}

/// Why there is no key. Displays what and why; [`KeyError::remedy`] says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// The register does not allow it.
    #[error("{0}")]
    Denied(#[from] drieslot_register::DomainDenied),
    /// A custodian refused.
    #[error("the custodian of {function} refused a share: {why}")]
    Refused {
        /// Which function.
        function: Function,
        /// What it answered.
        why: String,
    },
    /// A custodian was asked too often.
    #[error("the custodian of {function} was asked too often; it may be asked again in {retry_after_s} s")]
    Limited {
        /// Which function.
        function: Function,
        /// What it answered, in seconds.
        retry_after_s: u64,
    },
    /// No custodian of a function answered.
    #[error("no custodian of {function} could be asked: {why}")]
    Unreachable {
        /// Which function.
        function: Function,
        /// What happened.
        why: String,
    },
    /// A custodian gave another share than the one that the key was first made with.
    #[error("the custodian of {function} gave a wrong share for domain `{domain}`")]
    WrongShare {
        /// Which function.
        function: Function,
        /// For which domain.
        domain: Domain,
    },
    /// The three shares make another key than the register knows, or the key-check could not be recorded.
    #[error("the key of domain `{domain}` could not be confirmed: {why}")]
    Unconfirmed {
        /// Which domain.
        domain: Domain,
        /// What happened.
        why: String,
    },
}

impl KeyError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Config(_) => "Correct the [keys] section of the configuration.",
            Self::Denied(_) => "Have a mandate signed by all three functions that covers this column now.",
            Self::Refused { .. } => "Ask that custodian's officers; its journal holds the refusal.",
            Self::Limited { .. } => {
                "Wait; if it lasts, look which gateway asks so often (its journal says), or raise [limits] there."
            }
            Self::Unreachable { .. } => {
                "Start that custodian or a replica of it, and check address and TLS fingerprint."
            }
            Self::WrongShare { .. } => "Restore that custodian's own secret; nothing may be written with another.",
            Self::Unconfirmed { .. } => "See that the register and all three custodians can be reached, and try again.",
        }
    }
}

/// The keys that a gateway holds at the moment.
pub struct Keyring {
    custodians: Custodians,
    /// What is held. Written by `fetch` and by the two background tasks.
    held: RwLock<HeldKeys>,
    /// One question at a time for each key; entries stay, as domains are few.
    asking: Mutex<HashMap<(Domain, u16), Turn>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// Whoever holds it asks the custodians, or finds that it is too early to ask.
type Turn = Arc<tokio::sync::Mutex<Pause>>;

/// By domain and epoch.
type HeldKeys = HashMap<Domain, HashMap<u16, Held>>;

struct Held {
    key: Arc<CellKey>,
    lease_end: Instant,
    renew_at: Instant,
    /// When the mandate that allows it ends, in seconds of the epoch; found at `revision`, and written before it.
    valid_until_s: AtomicI64,
    /// The register's revision that was last asked whether the key is allowed.
    revision: AtomicU64,
}

impl Held {
    fn runs(&self, now: Instant, time: jiff::Timestamp) -> bool {
        now < self.lease_end && time.as_second() < self.valid_until_s.load(Ordering::Acquire)
    }
}

impl Keyring {
    /// Starts the renewal and the watch for revocations in the background of the current tokio runtime.
    ///
    /// # Errors
    /// `Config`.
    pub fn new(
        config: KeyringConfig,
        identity: Arc<TlsIdentity>,
        follower: Arc<Follower>,
        clock: Clock,
    ) -> Result<Arc<Self>, KeyError> {
        let changes = follower.subscribe();
        let keyring = Arc::new(Self {
            custodians: Custodians::new(&config, &identity, follower, clock)?,
            held: RwLock::new(HashMap::new()),
            asking: Mutex::new(HashMap::new()),
            tasks: Mutex::new(Vec::new()),
        });
        let watching = tokio::spawn(watch_register(Arc::downgrade(&keyring), changes)).abort_handle();
        let renewing = tokio::spawn(renew_leases(Arc::downgrade(&keyring))).abort_handle();
        keyring.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend([watching, renewing]);
        Ok(keyring)
    }

    /// The key of a domain, from the cache or from the custodians.
    ///
    /// # Errors
    /// Any [`KeyError`] but `Config`.
    pub async fn cell_key(&self, domain: &Domain, epoch: u16) -> Result<Arc<CellKey>, KeyError> {
        if let Some(key) = self.cached(domain, epoch) {
            return Ok(key);
        }
        let turn = self.turn(domain, epoch);
        let mut pause = turn.lock().await;
        if let Some(key) = self.cached(domain, epoch) {
            return Ok(key);
        }
        match pause.holds(Instant::now(), self.custodians.state().revision()) {
            Some(error) => Err(error),
            None => self.ask(domain, epoch, &mut pause).await.map_err(|(error, _)| error),
        }
    }

    /// The key of subjects' pseudonyms, from the cache or from the custodians.
    ///
    /// # Errors
    /// Any [`KeyError`] but `Config`.
    pub async fn subject_key(&self) -> Result<SubjectKey, KeyError> {
        let domain = Domain::subjects();
        let key = self.cell_key(&domain, FIRST_EPOCH).await?;
        SubjectKey::new(key).map_err(|error| KeyError::Unconfirmed { domain, why: error.to_string() })
    }

    /// The key of subjects' pseudonyms where it is held, its lease runs, and the register still allows it. Never waits.
    pub fn cached_subject_key(&self) -> Option<SubjectKey> {
        self.cached(&Domain::subjects(), FIRST_EPOCH).and_then(|key| SubjectKey::new(key).ok())
    }

    /// The key where it is held, its lease runs, and the register still allows it. Never waits.
    pub fn cached(&self, domain: &Domain, epoch: u16) -> Option<Arc<CellKey>> {
        let held = self.read();
        let held = held.get(domain)?.get(&epoch)?;
        let state = self.custodians.state();
        if state.closed_why().is_some() {
            return None;
        }
        // The watch drops keys soon after a change; nothing may slip through before it does.
        if held.revision.load(Ordering::Acquire) != state.revision() {
            let valid_until = self.custodians.allowed(&state, domain, epoch).ok()?;
            held.valid_until_s.store(valid_until.as_second(), Ordering::Release);
            held.revision.store(state.revision(), Ordering::Release);
        }
        held.runs(Instant::now(), self.custodians.now()).then(|| Arc::clone(&held.key))
    }

    /// Asks the custodians; an error comes with the moment from which on they may be asked again.
    async fn ask(&self, domain: &Domain, epoch: u16, pause: &mut Pause) -> Result<Arc<CellKey>, (KeyError, Instant)> {
        let revision = self.custodians.state().revision();
        match self.fetch(domain, epoch).await {
            Ok(key) => {
                pause.answered();
                Ok(key)
            }
            // No custodian was asked.
            Err(error @ KeyError::Denied(_)) => Err((error, Instant::now())),
            Err(error) => {
                let mut random = [0_u8];
                // Without randomness the pause is the shortest, and the custodians keep their limits.
                let _ = aws_lc_rs::rand::fill(&mut random);
                let [random] = random;
                let until = pause.failed(&error, Instant::now(), revision, random);
                Err((error, until))
            }
        }
    }

    /// How many keys are held, and how long until the first lease ends.
    pub fn leases(&self) -> (usize, Duration) {
        let held = self.read();
        let now = Instant::now();
        let left = held.values().flat_map(HashMap::values).map(|held| held.lease_end.saturating_duration_since(now));
        let left: Vec<_> = left.filter(|left| !left.is_zero()).collect();
        (left.len(), left.into_iter().min().unwrap_or_default())
    }

    async fn fetch(&self, domain: &Domain, epoch: u16) -> Result<Arc<CellKey>, KeyError> {
        let Leased { key, asked, lease } = self.custodians.key(domain, epoch).await?;
        // The register may have changed while the custodians were asked.
        let state = self.custodians.state();
        let valid_until = self.custodians.allowed(&state, domain, epoch)?;
        let held = Held {
            key: Arc::clone(&key),
            lease_end: asked + lease,
            renew_at: asked + lease / 2,
            valid_until_s: AtomicI64::new(valid_until.as_second()),
            revision: AtomicU64::new(state.revision()),
        };
        self.write().entry(domain.clone()).or_default().insert(epoch, held);
        Ok(key)
    }

    fn turn(&self, domain: &Domain, epoch: u16) -> Turn {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asking.entry((domain.clone(), epoch)).or_default())
    }

    fn read(&self) -> RwLockReadGuard<'_, HeldKeys> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HeldKeys> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_only(&self, keep: impl Fn(&Domain, u16, &Held) -> bool) {
        for (domain, epochs) in self.write().iter_mut() {
            epochs.retain(|epoch, held| keep(domain, *epoch, held));
        }
    }

    fn drop_disallowed(&self, state: &State) {
        self.keep_only(|domain, epoch, _| match self.custodians.allowed(state, domain, epoch) {
            Ok(_) => true,
            Err(error) => {
                tracing::info!(%domain, epoch, %error, "a key is dropped");
                false
            }
        });
    }

    /// Keys of another epoch in use, of domains that are in use here.
    fn wanted(&self, state: &State) -> Vec<(Domain, u16)> {
        let held = self.read();
        let wanted = held.iter().filter(|(_, epochs)| !epochs.is_empty()).filter_map(|(domain, epochs)| {
            let in_use = state.epochs_in_use(domain);
            let missing = std::iter::once(in_use.current).chain(in_use.other).find(|epoch| !epochs.contains_key(epoch));
            missing.map(|epoch| (domain.clone(), epoch))
        });
        wanted.collect()
    }

    fn due(&self, now: Instant) -> Vec<(Domain, u16)> {
        let held = self.read();
        let due = held.iter().flat_map(|(domain, epochs)| {
            let epochs = epochs.iter().filter(|(_, held)| now >= held.renew_at);
            epochs.map(|(epoch, _)| (domain.clone(), *epoch))
        });
        due.collect()
    }

    /// A refusal ends the lease at once; a custodian that cannot be reached or is asked too often only lets it run out.
    async fn renew(&self, domain: Domain, epoch: u16) {
        let turn = self.turn(&domain, epoch);
        let Ok(mut pause) = turn.try_lock() else { return };
        let Err((error, again)) = self.ask(&domain, epoch, &mut pause).await else { return };
        tracing::warn!(%domain, epoch, %error, "a key's lease is not renewed");
        let mut held = self.write();
        let Some(epochs) = held.get_mut(&domain) else { return };
        match error {
            KeyError::Unreachable { .. }
            | KeyError::Limited { .. }
            | KeyError::Unconfirmed { .. }
            | KeyError::Config(_) => {
                if let Some(held) = epochs.get_mut(&epoch) {
                    held.renew_at = again;
                }
            }
            KeyError::Denied(_) | KeyError::Refused { .. } | KeyError::WrongShare { .. } => {
                epochs.remove(&epoch);
            }
        }
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

async fn watch_register(keyring: Weak<Keyring>, mut changes: watch::Receiver<Arc<State>>) {
    while changes.changed().await.is_ok() {
        let state = Arc::clone(&changes.borrow_and_update());
        let Some(keyring) = keyring.upgrade() else { return };
        keyring.drop_disallowed(&state);
        // A rotation was opened: others may seal in the new epoch before this gateway does.
        for (domain, epoch) in keyring.wanted(&state) {
            let keyring = Arc::clone(&keyring);
            tokio::spawn(async move {
                if let Err(error) = keyring.cell_key(&domain, epoch).await {
                    tracing::warn!(%domain, epoch, %error, "the key of a new epoch is not had yet");
                }
            });
        }
    }
}

async fn renew_leases(keyring: Weak<Keyring>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(keyring) = keyring.upgrade() else { return };
        let (now, time) = (Instant::now(), keyring.custodians.now());
        keyring.keep_only(|_, _, held| held.runs(now, time));
        for (domain, epoch) in keyring.due(now) {
            let keyring = Arc::clone(&keyring);
            tokio::spawn(async move { keyring.renew(domain, epoch).await });
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(…)")
    }
}
