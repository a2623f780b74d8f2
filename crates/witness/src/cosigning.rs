//! A part's checkpoints on their way to a quorum of witnesses, and who may go on without one.
//!
//! A round takes the newest checkpoint to all witnesses, and stays until a quorum has cosigned it: all of a quorum sign the same
//! text. **Order**: the checkpoint is durable; a quorum's cosignatures are verified; `checkpoint.cosigned` is durable; then
//! whoever waits for an entry under it is let go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use drieslot_journal::{Cosigner, Journal, JournalError, Published, Verifier};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::feed::{Feed, Report, Round, Said};
use crate::policy::{Policy, WitnessAddress};

/// How often it is looked whether there is a new checkpoint.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Witnesses are asked again after this, also where nothing is new: a quorum that is lost is noticed before it is needed.
const REFRESH: Duration = Duration::from_secs(20);
/// A round that lasts longer than this is a quorum lost: nobody who needs cosignatures is kept waiting for it.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// Longest wait for the cosignatures over one entry.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// What a charter says of witnesses; `None` where that is not known, or is what it said when it was asked last.
pub type PolicyNow = Box<dyn FnMut() -> Option<Policy> + Send>;

/// Why something must wait for witnesses, or stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwitnessed {
    /// Another history of this journal is known.
    #[error("{0}")]
    Halted(Arc<str>),
    /// Too few witnesses answer.
    #[error(
        "no quorum of witnesses has cosigned this part's journal for {} s ({why}); see that the witnesses run and are reached",
        since.as_secs()
    )]
    NoQuorum {
        /// For how long.
        since: Duration,
        /// Who is missing.
        why: String,
    },
}

/// What became of one witness.
#[derive(Clone, Debug, Default)]
struct Heard {
    last: Option<Instant>,
    trouble: Option<String>,
    conflict: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Standing {
    policy: Policy,
    /// Entries under the last checkpoint with a quorum.
    cosigned: u64,
    cosigned_at: Option<Instant>,
    /// When the round that is under way began.
    waiting_since: Option<Instant>,
    halted: Option<Arc<str>>,
    heard: BTreeMap<String, Heard>,
}

/// Gathers cosignatures for one journal, until it is dropped.
pub struct Cosigning {
    journal: Journal,
    standing: Arc<Mutex<Standing>>,
    policy: Mutex<PolicyNow>,
    progress: watch::Receiver<u64>,
    task: Mutex<Option<AbortHandle>>,
}

impl std::fmt::Debug for Cosigning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cosigning").finish_non_exhaustive()
    }
}

impl Drop for Cosigning {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cosigning {
    /// Begins in the current tokio runtime. Where the policy is not known yet (`None`), the last one that was known holds.
    ///
    /// # Errors
    /// [`JournalError::Lost`] and [`JournalError::Corrupt`] where the journal is not the continuation of what was cosigned.
    pub fn start(
        journal: Journal,
        folder: &Path,
        verifier: Verifier,
        addresses: Vec<WitnessAddress>,
        policy: PolicyNow,
    ) -> Result<Arc<Self>, JournalError> {
        Published::open(folder, &verifier)?.cosigned(&verifier)?;
        let (publish, progress) = watch::channel(0);
        let standing = Arc::new(Mutex::new(Standing::default()));
        let cosigning = Arc::new(Self {
            journal: journal.clone(),
            standing: Arc::clone(&standing),
            policy: Mutex::new(policy),
            progress,
            task: Mutex::new(None),
        });
        let (reports, heard) = mpsc::channel(64);
        let rounds = Rounds {
            journal,
            folder: folder.to_owned(),
            verifier,
            addresses,
            standing,
            publish,
            round: watch::Sender::new(None),
            number: 0,
            lines: BTreeMap::new(),
            reached: None,
            reports,
            heard,
            feeds: JoinSet::new(),
        };
        let task = tokio::spawn(rounds.run(Arc::downgrade(&cosigning))).abort_handle();
        *lock(&cosigning.task) = Some(task);
        Ok(cosigning)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Held until the policy is adopted: whoever comes next is told that nothing is new.
        let mut policy_now = lock(&self.policy);
        let mut standing = lock(&self.standing);
        if let Some(policy) = policy_now() {
            standing.adopt(policy);
        }
        standing
    }

    /// Whether this part may go on at all: no other history of its journal is known.
    ///
    /// # Errors
    /// `Halted`.
    pub fn check_one_history(&self) -> Result<(), Unwitnessed> {
        lock(&self.standing).halted.clone().map_or(Ok(()), |why| Err(Unwitnessed::Halted(why)))
    }

    /// Whether applications may go on: there is a quorum, or the charter's grace is not over.
    ///
    /// # Errors
    /// `Halted`, `NoQuorum`.
    pub fn check_grace(&self) -> Result<(), Unwitnessed> {
        let standing = self.standing();
        let grace = standing.policy.grace;
        standing.check(grace)
    }

    /// Whether the charter has witnesses.
    pub fn is_wanted(&self) -> bool {
        !self.standing().policy.is_none()
    }

    /// Waits until a quorum has cosigned a checkpoint over the entry at `index`; at once where there are no witnesses. The
    /// checkpoint is made without waiting for its time.
    ///
    /// # Errors
    /// `Halted`; `NoQuorum` at once where it is known to be lost, and otherwise after 10 s.
    pub async fn cosigned(&self, index: u64) -> Result<(), Unwitnessed> {
        let mut progress = self.progress.clone();
        let begun = Instant::now();
        loop {
            {
                let standing = self.standing();
                standing.check(LOST_AFTER)?;
                if standing.policy.is_none() || standing.cosigned > index {
                    return Ok(());
                }
                if begun.elapsed() > WAIT_LIMIT {
                    return Err(standing.no_quorum(begun.elapsed()));
                }
            }
            if self.journal.checkpointed() <= index {
                self.journal.hurry_checkpoint();
            }
            let _ = tokio::time::timeout(LOOK_EVERY * 4, progress.changed()).await;
        }
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        read(&self.standing())
    }
}

impl Standing {
    fn adopt(&mut self, policy: Policy) {
        if policy != self.policy {
            self.policy = policy;
            // What was cosigned by others does not count; and from here on there is something to wait for.
            self.cosigned = 0;
            self.heard.clear();
            self.waiting_since = (!self.policy.is_none()).then(Instant::now);
        }
    }

    fn check(&self, limit: Duration) -> Result<(), Unwitnessed> {
        if let Some(why) = &self.halted {
            return Err(Unwitnessed::Halted(Arc::clone(why)));
        }
        match self.waiting_since.map(|since| since.elapsed()) {
            Some(since) if !self.policy.is_none() && since > limit => Err(self.no_quorum(since)),
            Some(_) | None => Ok(()),
        }
    }

    fn no_quorum(&self, since: Duration) -> Unwitnessed {
        let troubles =
            self.heard.iter().filter_map(|(name, heard)| Some(format!("{name}: {}", heard.trouble.as_ref()?)));
        let mut why = troubles.collect::<Vec<_>>().join("; ");
        if why.is_empty() {
            why = format!("{} of {} are needed", self.policy.quorum, self.policy.cosigners.len());
        }
        Unwitnessed::NoQuorum { since, why }
    }

    /// Seconds since the last quorum; entries under it; how many witnesses say that there is another history; and for each
    /// witness, in the charter's order, the seconds since it last cosigned.
    pub(crate) fn measured(&self) -> (u64, u64, usize, Vec<u64>) {
        let age = |at: Option<Instant>| at.map_or(u64::from(u32::MAX), |at| at.elapsed().as_secs());
        let of = |cosigner: &Cosigner| age(self.heard.get(cosigner.name()).and_then(|heard| heard.last));
        let conflicts = self.heard.values().filter(|heard| heard.conflict.is_some()).count();
        (age(self.cosigned_at), self.cosigned, conflicts, self.policy.cosigners.iter().map(of).collect())
    }
}

/// The task behind it.
struct Rounds {
    journal: Journal,
    folder: PathBuf,
    verifier: Verifier,
    addresses: Vec<WitnessAddress>,
    standing: Arc<Mutex<Standing>>,
    publish: watch::Sender<u64>,
    round: watch::Sender<Option<Round>>,
    number: u64,
    /// Cosignatures of the round's checkpoint, by witness.
    lines: BTreeMap<String, String>,
    /// When the round's checkpoint got its quorum.
    reached: Option<Instant>,
    reports: mpsc::Sender<Report>,
    heard: mpsc::Receiver<Report>,
    feeds: JoinSet<()>,
}

impl Rounds {
    async fn run(mut self, owner: std::sync::Weak<Cosigning>) {
        let mut policy = Policy::default();
        loop {
            let Some(owner) = owner.upgrade() else { return };
            let now = owner.standing().policy.clone();
            drop(owner);
            if now != policy {
                policy = now;
                self.begin_anew(&policy);
            }
            if !policy.is_none() {
                self.next_round().await;
            }
            match tokio::time::timeout(LOOK_EVERY, self.heard.recv()).await {
                Ok(Some(report)) => self.take(report, &policy).await,
                Ok(None) => return,
                Err(_) => {}
            }
            if lock(&self.standing).halted.is_some() {
                return;
            }
        }
    }

    /// Other witnesses: other tasks, and what was heard of the old ones is forgotten.
    fn begin_anew(&mut self, policy: &Policy) {
        self.feeds.abort_all();
        (self.reports, self.heard) = mpsc::channel(64);
        (self.round, self.reached) = (watch::Sender::new(None), None);
        for cosigner in &policy.cosigners {
            let address = self.addresses.iter().find(|address| address.name == cosigner.name());
            let Some(address) = address else {
                tracing::error!(
                    witness = cosigner.name(),
                    "the configuration does not say where this witness is: add [[witness]]"
                );
                let trouble = Some("the configuration does not say where it is".to_owned());
                lock(&self.standing).heard.entry(cosigner.name().to_owned()).or_default().trouble = trouble;
                continue;
            };
            let feed = Feed::new(cosigner.clone(), address.url.clone(), self.round.subscribe(), self.reports.clone());
            self.feeds.spawn(feed.run());
        }
    }

    /// Begins one where the last got its quorum and there is something new, or it was long ago.
    async fn next_round(&mut self) {
        let under_way = self.round.borrow().as_ref().map(|round| round.published.checkpoint().size);
        let due = match (under_way, self.reached) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(size), Some(reached)) => self.journal.checkpointed() > size || reached.elapsed() > REFRESH,
        };
        if !due {
            return;
        }
        let (folder, verifier) = (self.folder.clone(), self.verifier.clone());
        let opened = tokio::task::spawn_blocking(move || Published::open(&folder, &verifier)).await;
        match opened {
            Ok(Ok(published)) => {
                self.number += 1;
                self.lines.clear();
                self.reached = None;
                lock(&self.standing).waiting_since.get_or_insert_with(Instant::now);
                self.round.send_replace(Some(Round { number: self.number, published: Arc::new(published) }));
            }
            Ok(Err(error)) => {
                lock(&self.standing).waiting_since.get_or_insert_with(Instant::now);
                tracing::error!(%error, "the checkpoint cannot be read for the witnesses");
                tokio::time::sleep(LOOK_EVERY * 20).await;
            }
            Err(_) => {}
        }
    }

    async fn take(&mut self, report: Report, policy: &Policy) {
        let name = report.cosigner.name().to_owned();
        match report.said {
            Said::Trouble(why) => {
                let mut standing = lock(&self.standing);
                let heard = standing.heard.entry(name.clone()).or_default();
                if heard.trouble.as_ref() != Some(&why) {
                    tracing::warn!(witness = name, why, "a witness does not cosign");
                }
                heard.trouble = Some(why);
            }
            Said::Conflict(why) => self.conflict(name, why, policy),
            Said::Cosigned(line) => {
                let heard = Heard { last: Some(Instant::now()), ..Heard::default() };
                lock(&self.standing).heard.insert(name.clone(), heard);
                let round = self.round.borrow().clone();
                if let Some(round) = round.filter(|round| round.published.checkpoint().size == report.size) {
                    self.lines.insert(name, line);
                    self.quorum(&round, policy).await;
                }
            }
        }
    }

    /// Order: `checkpoint.cosigned` is durable, then what waits for it is let go.
    async fn quorum(&mut self, round: &Round, policy: &Policy) {
        if self.lines.len() < policy.quorum {
            return;
        }
        let (published, lines) = (Arc::clone(&round.published), self.lines.values().cloned().collect::<String>());
        let kept = tokio::task::spawn_blocking(move || published.keep_cosigned(&lines)).await;
        match kept {
            Ok(Ok(())) => {
                let (now, size) = (Instant::now(), round.published.checkpoint().size);
                self.reached.get_or_insert(now);
                let mut standing = lock(&self.standing);
                if standing.policy == *policy {
                    (standing.cosigned, standing.cosigned_at, standing.waiting_since) = (size, Some(now), None);
                    drop(standing);
                    self.publish.send_replace(size);
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "cosignatures cannot be kept; look at the disk"),
            Err(_) => {}
        }
    }

    /// So many as may be faulty are not believed; with one more, at least one of them is honest.
    fn conflict(&mut self, name: String, why: String, policy: &Policy) {
        let mut standing = lock(&self.standing);
        let text = format!("{name}: {why}");
        tracing::error!(witness = name, why, "ALARM: a witness knows another history of this part's journal");
        standing.heard.entry(name).or_default().conflict = Some(why);
        if standing.heard.values().filter(|heard| heard.conflict.is_some()).count() > policy.faults {
            let halt = format!(
                "this part's journal has another history: {text}. It was put back to an old state, or another process signs with its \
                 key. Stop this part, keep its folder as evidence, find the other history, and begin a new journal with \
                 `drieslot journal succeed --why damaged`"
            );
            tracing::error!(halt, "this part stops");
            standing.halted = Some(halt.into());
            drop(standing);
            self.publish.send_replace(0);
        }
    }
}
