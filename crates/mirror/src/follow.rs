//! Mirrors of one or more journals, and the process that keeps them up to date.

use std::convert::Infallible;
use std::mem::discriminant;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use drieslot_journal::{JournalError, Mirror, MirrorError, Mirrored, Verifier};
use drieslot_link::{Fingerprint, LinkError, LoopbackAddress, Metric, MetricsAddress, TlsIdentity};
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::{Remote, ServeConfig, serve};

/// Between two looks at a journal's checkpoint; journals sign one a second.
const INTERVAL: Duration = Duration::from_secs(1);
/// A refusal that lasts is logged again after this time.
const AGAIN: Duration = Duration::from_secs(60);

/// Everything that mirrors need to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorsConfig {
    /// Each journal has its own folder in this one, by its name.
    pub folder: PathBuf,
    /// Folder with the TLS identity that journals know this reader by.
    pub identity: Option<PathBuf>,
    /// Where Prometheus may ask; a loopback address.
    pub metrics: Option<MetricsAddress>,
    /// The journals.
    pub journal: Vec<FollowedJournal>,
}

/// One journal, and where it is served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowedJournal {
    /// Name of its folder: letters, digits and `-`.
    pub name: String,
    /// Its verifier key, `origin+id+key`, as its owner gave it.
    pub key: String,
    /// `host:port` where it is served by mutual TLS.
    pub address: Option<String>,
    /// The TLS key that is shown there.
    pub tls: Option<Fingerprint>,
    /// Where it is served by plain HTTP, on this machine.
    pub local: Option<LoopbackAddress>,
    /// Who may read the mirror.
    pub serve_journal: Option<ServeConfig>,
}

/// Why mirrors cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum MirrorsError {
    /// The configuration says something impossible.
    #[error("{0}")]
    Config(String),
    /// A mirror's folder cannot be used.
    #[error("the mirror of {name}: {source}")]
    Folder {
        /// Which journal.
        name: String,
        /// Why.
        source: JournalError,
    },
    /// A journal was refused, or not reached.
    #[error("{name}: {source}")]
    Refused {
        /// Which journal.
        name: String,
        /// Why.
        source: MirrorError,
    },
    /// An address cannot be listened on.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A fault of this program.
    #[error("a thread of the mirror ended unexpectedly; please report this")]
    Bug,
}

/// Mirrors, open.
pub struct Mirrors {
    metrics: Option<MetricsAddress>,
    identity: Option<Arc<TlsIdentity>>,
    all: Vec<One>,
}

struct One {
    name: String,
    folder: PathBuf,
    serve_journal: Option<ServeConfig>,
    remote: Arc<Remote>,
    mirror: Arc<Mutex<Mirror>>,
    told: Arc<Told>,
}

/// What one journal's mirror last did, for the metrics.
#[derive(Default)]
struct Told {
    entries: AtomicU64,
    refusing: AtomicU64,
    /// When it was last up to date.
    confirmed: Mutex<Option<Instant>>,
}

impl Mirrors {
    /// Opens or makes each mirror. In the current tokio runtime.
    ///
    /// # Errors
    /// `Config`, `Folder`, `Link`.
    pub fn open(config: MirrorsConfig) -> Result<Self, MirrorsError> {
        let identity = config.identity.as_deref().map(TlsIdentity::load).transpose()?.map(Arc::new);
        if config.journal.is_empty() {
            return Err(MirrorsError::Config("no [[journal]] is named".into()));
        }
        let mut all: Vec<One> = Vec::new();
        for journal in config.journal {
            let FollowedJournal { name, key, serve_journal, .. } = &journal;
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if name.is_empty() || !name.chars().all(good) || all.iter().any(|other| other.name == *name) {
                let why =
                    format!("{name:?} is no name for a journal's folder: letters, digits and `-`, each name once");
                return Err(MirrorsError::Config(why));
            }
            let bad = |error: JournalError| MirrorsError::Config(format!("the key of {name}: {error}"));
            let verifier = Verifier::parse(key).map_err(bad)?;
            let remote = Arc::new(remote(&journal, identity.as_deref())?);
            let folder = config.folder.join(name);
            let mirror = Mirror::open(&folder, verifier)
                .map_err(|source| MirrorsError::Folder { name: name.clone(), source })?;
            let told = Arc::new(Told::default());
            told.entries.store(mirror.size(), Ordering::Relaxed);
            let mirror = Arc::new(Mutex::new(mirror));
            let serve_journal = serve_journal.clone();
            all.push(One { name: journal.name, folder, serve_journal, remote, mirror, told });
        }
        Ok(Self { metrics: config.metrics, identity, all })
    }

    /// Brings each mirror up to date once. Says what was taken over, by name.
    ///
    /// # Errors
    /// `Refused` for the first that was, after all were tried.
    pub async fn once(&self) -> Result<Vec<(&str, Mirrored)>, MirrorsError> {
        let (mut done, mut refused) = (Vec::new(), None);
        for one in &self.all {
            match one.step().await? {
                Ok(mirrored) => done.push((one.name.as_str(), mirrored)),
                Err(source) => {
                    tracing::error!(journal = one.name, error = %source, "the mirror refuses");
                    refused = refused.or_else(|| Some(MirrorsError::Refused { name: one.name.clone(), source }));
                }
            }
        }
        refused.map_or(Ok(done), Err)
    }

    /// Keeps all up to date, and serves them, until the future is dropped. What a mirror refuses is logged and counted, and
    /// looked at again: it may have been somebody's mistake, and nothing of it is taken in meanwhile.
    ///
    /// # Errors
    /// `Link`, `Bug`. It does not return otherwise.
    pub async fn run(self) -> Result<Infallible, MirrorsError> {
        let told: Vec<_> = self.all.iter().map(|one| Arc::clone(&one.told)).collect();
        let mut tasks: JoinSet<Result<Infallible, MirrorsError>> = JoinSet::new();
        for one in self.all {
            let (config, folder) = (one.serve_journal.clone(), one.folder.clone());
            let identity = self.identity.clone();
            tasks.spawn(async move { Ok(serve(config, &folder, identity).await?) });
            tasks.spawn(one.follow());
        }
        let metrics = drieslot_link::serve_metrics(self.metrics, move || read(&told));
        tokio::select! {
            failed = metrics => Ok(failed?),
            ended = tasks.join_next() => ended.and_then(Result::ok).unwrap_or(Err(MirrorsError::Bug)),
        }
    }
}

fn remote(journal: &FollowedJournal, identity: Option<&TlsIdentity>) -> Result<Remote, MirrorsError> {
    match (journal.local, &journal.address, journal.tls, identity) {
        (Some(address), None, None, _) => Ok(Remote::local(address, "")),
        (None, Some(address), Some(peer), Some(identity)) => Ok(Remote::pinned(identity, peer, address)?),
        (None, Some(_), Some(_), None) => Err(MirrorsError::Config(
            "`identity` is missing: journals at other hosts ask for this reader's TLS key".into(),
        )),
        _ => {
            let why = format!("{} needs either `address` and `tls`, or `local`", journal.name);
            Err(MirrorsError::Config(why))
        }
    }
}

impl One {
    /// One look at the journal.
    async fn step(&self) -> Result<Result<Mirrored, MirrorError>, MirrorsError> {
        // In this order: the checkpoint is then of at least as many entries.
        let fetched = match self.remote.cosigned().await {
            Ok(cosigned) => self.remote.note().await.map(|note| (cosigned, note)),
            Err(error) => Err(error),
        };
        let (cosigned, note) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => return Ok(Err(MirrorError::Unreachable(error))),
        };
        let (mirror, remote) = (Arc::clone(&self.mirror), Arc::clone(&self.remote));
        let follow = move || {
            let mut mirror = mirror.lock().unwrap_or_else(PoisonError::into_inner);
            let mirrored = mirror.follow(&*remote, &note)?;
            cosigned.map_or(Ok(mirrored), |note| mirror.take_cosigned(&note).map(|()| mirrored))
        };
        let step = tokio::task::spawn_blocking(follow).await.map_err(|_| MirrorsError::Bug)?;
        let refused = step.as_ref().is_err_and(|error| !matches!(error, MirrorError::Unreachable(_)));
        self.told.refusing.store(u64::from(refused), Ordering::Relaxed);
        if let Ok(mirrored) = &step {
            self.told.entries.store(mirrored.size, Ordering::Relaxed);
            *self.told.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(step)
    }

    async fn follow(self) -> Result<Infallible, MirrorsError> {
        let mut last = None;
        loop {
            match self.step().await? {
                Ok(mirrored) => {
                    if last.take().is_some() {
                        tracing::info!(journal = self.name, size = mirrored.size, "the mirror is up to date again");
                    }
                }
                Err(error) => {
                    let kind = discriminant(&error);
                    let known = last.is_some_and(|(seen, at): (_, Instant)| seen == kind && at.elapsed() < AGAIN);
                    if !known {
                        tracing::error!(journal = self.name, %error, "the mirror takes nothing in");
                        last = Some((kind, Instant::now()));
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn read(told: &[Arc<Told>]) -> Vec<Metric> {
    let sum = |number: fn(&Told) -> &AtomicU64| told.iter().map(|one| number(one).load(Ordering::Relaxed)).sum();
    let age = |one: &Arc<Told>| {
        let confirmed = one.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.map_or(u64::MAX, |at| at.elapsed().as_secs())
    };
    let count = u64::try_from(told.len()).unwrap_or(u64::MAX);
    let oldest = told.iter().map(age).max().unwrap_or(0);
    vec![
        Metric::gauge("drieslot_mirrored_journals", "Journals that are mirrored.", count),
        Metric::gauge("drieslot_mirrored_entries", "Entries in all mirrors.", sum(|one| &one.entries)),
        Metric::gauge(
            "drieslot_refused_journals",
            "Journals whose present state is refused: rolled back, of a second history, with a gap, or of another key.",
            sum(|one| &one.refusing),
        ),
        Metric::gauge(
            "drieslot_mirror_age_seconds",
            "Since the mirror that waits longest was last up to date; the largest number where it never was.",
            oldest,
        ),
    ]
}
