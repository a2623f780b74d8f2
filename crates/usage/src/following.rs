//! Keeps the index over the journals up to date, and says whether it may be relied on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use drieslot_audit::{Index, is_of};
use drieslot_journal::{Verifier, successor};
use drieslot_register::statement::Charter;

use crate::UsageError;
use crate::config::UsageConfig;

/// Between two looks at a journal; journals sign a checkpoint a second.
const INTERVAL: Duration = Duration::from_secs(1);
/// Trouble that lasts is logged again after this time.
const AGAIN: Duration = Duration::from_secs(60);

/// Journals and their index.
pub(crate) struct Following {
    index: Index,
    max_age: Duration,
    sources: Vec<Source>,
}

struct Source {
    folder: PathBuf,
    verifier: Verifier,
    standing: Mutex<Standing>,
}

/// What the last look at a journal brought. Written by the following thread alone.
#[derive(Default)]
struct Standing {
    /// When the index last had all of it.
    confirmed: Option<Instant>,
    trouble: Option<String>,
    logged: Option<Instant>,
    entries: u64,
    /// The journal that this one goes on from, by its origin.
    goes_on_from: Option<Arc<str>>,
    /// The verifier key of the one that goes on from it.
    successor: Option<String>,
}

impl Source {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, index: &Index) {
        let followed =
            index.follow(&self.folder, &self.verifier).and_then(|reach| Ok((reach, successor(&self.folder)?)));
        let mut standing = self.standing();
        match followed {
            Ok((reach, successor)) => {
                if standing.trouble.take().is_some() {
                    tracing::info!(journal = self.verifier.name(), "the journal is as it should be again");
                }
                *standing = Standing {
                    confirmed: Some(Instant::now()),
                    entries: reach.entries,
                    goes_on_from: reach.goes_on_from,
                    successor,
                    ..Standing::default()
                };
            }
            Err(error) => {
                let said = error.to_string();
                let old = standing.trouble.as_ref() == Some(&said);
                if !old || standing.logged.is_none_or(|at| at.elapsed() > AGAIN) {
                    tracing::error!(journal = self.verifier.name(), %error, "no answers are given");
                    standing.logged = Some(Instant::now());
                }
                standing.trouble = Some(said);
            }
        }
    }
}

impl Following {
    /// Opens the index, and begins in a thread of its own, which ends when this is dropped.
    pub(crate) fn start(config: &UsageConfig) -> Result<Arc<Self>, UsageError> {
        let source = |(source, verifier): (&crate::SourceConfig, Verifier)| Source {
            folder: source.folder.clone(),
            verifier,
            standing: Mutex::default(),
        };
        let following = Arc::new(Self {
            index: Index::open(&config.index)?,
            max_age: Duration::from_secs(config.max_age_s),
            sources: config.source.iter().zip(config.verifiers()?).map(source).collect(),
        });
        let weak = Arc::downgrade(&following);
        std::thread::Builder::new()
            .name("following".into())
            .spawn(move || follow(&weak))
            .map_err(|error| UsageError::Config(format!("no thread can be started: {error}")))?;
        Ok(following)
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Whether all journals that the charter's gateways keep are in the index, now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, charter: &Charter) -> Result<(), String> {
        for gateway in &charter.gateway {
            if !self.sources.iter().any(|source| is_of(&source.verifier, gateway)) {
                return Err(format!("no journal of {} is followed: add it as a [[source]]", gateway.name));
            }
        }
        for source in &self.sources {
            let (name, standing) = (source.verifier.name(), source.standing());
            let is_here = |test: &dyn Fn(&Verifier) -> bool| self.sources.iter().any(|other| test(&other.verifier));
            if let Some(old) = standing.goes_on_from.as_ref().filter(|old| !is_here(&|key| *key.name() == ***old)) {
                return Err(format!(
                    "journal `{name}` goes on from `{old}`, which is not followed: add it as a [[source]]"
                ));
            }
            if let Some(new) = standing.successor.as_ref().filter(|new| !is_here(&|key| key.vkey() == **new)) {
                return Err(format!("journal `{name}` has ended, and {new} goes on from it: add it as a [[source]]"));
            }
            if let Some(trouble) = &standing.trouble {
                return Err(format!("journal `{name}`: {trouble}"));
            }
            match standing.confirmed {
                None => return Err(format!("journal `{name}` is still being read")),
                Some(at) if at.elapsed() > self.max_age => {
                    return Err(format!("journal `{name}` was last read {} s ago", at.elapsed().as_secs()));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Entries in the index, journals in trouble, and the age of the oldest of the rest in seconds.
    pub(crate) fn measured(&self) -> (u64, u64, u64) {
        let (mut entries, mut troubled, mut age) = (0, 0, 0);
        for standing in self.sources.iter().map(Source::standing) {
            entries += standing.entries;
            troubled += u64::from(standing.trouble.is_some());
            age = age.max(standing.confirmed.map_or(u64::MAX, |at| at.elapsed().as_secs()));
        }
        (entries, troubled, age)
    }
}

fn follow(following: &Weak<Following>) {
    while let Some(following) = following.upgrade() {
        for source in &following.sources {
            source.step(&following.index);
        }
        drop(following);
        std::thread::sleep(INTERVAL);
    }
}
