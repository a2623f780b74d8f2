//! What a witness does with a checkpoint: checks it against what it cosigned before, remembers it, and only then cosigns it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use drieslot_journal::{Checkpoint, IdentityKey, Note, Verifier, hash, proof};
use drieslot_link::Metric;

use crate::memory::{Memory, Seen};
use crate::{Submission, WitnessConfig, WitnessError};

/// Where a witness gets the time from, in seconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a submission is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: the signature line.
    Cosigned(String),
    /// 400: what is malformed.
    Malformed(String),
    /// 403: no key of the log signed it.
    NotSigned(String),
    /// 404: no such log is known here.
    UnknownLog,
    /// 409: so many entries were cosigned, and either that is not the old size, or the root is another.
    Conflict(u64),
    /// 422: the proof does not lead from what was cosigned to this.
    NotConsistent,
    /// 503: this witness cannot write, or its clock runs backwards.
    Unable(String),
}

impl Answer {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Malformed(_) => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownLog => 404,
            Self::Conflict(_) => 409,
            Self::NotConsistent => 422,
            Self::Unable(_) => 503,
        }
    }
}

/// A log that is known. Its lock is held from the check to the end of the write.
struct Log {
    keys: Vec<Verifier>,
    seen: Mutex<Option<Seen>>,
}

/// An open witness.
pub struct Witness {
    name: String,
    key: IdentityKey,
    clock: Clock,
    logs: BTreeMap<String, Log>,
    memory: Memory,
    /// Set by a failed write: what is on the disk is not known any more, so only a restart may go on.
    failed: AtomicBool,
    counted: [AtomicU64; OUTCOMES.len()],
    forks: AtomicU64,
}

/// Outcomes as metrics name them, with their status.
const OUTCOMES: [(&str, u16); 7] = [
    ("cosigned", 200),
    ("malformed", 400),
    ("not_signed", 403),
    ("unknown_log", 404),
    ("conflict", 409),
    ("not_consistent", 422),
    ("unable", 503),
];

impl Witness {
    /// Reads key and memory.
    ///
    /// # Errors
    /// Any [`WitnessError`] but `Listen` and `Link`.
    pub fn open(config: &WitnessConfig, clock: Clock) -> Result<Arc<Self>, WitnessError> {
        let key = IdentityKey::load(&config.key)?;
        let own = key.cosigner(&config.name)?;
        let (memory, mut seen) = Memory::open(&config.state, &config.key, &own, clock())?;
        let mut logs = BTreeMap::new();
        for log in &config.log {
            let (origin, keys) = log.verifiers().map_err(WitnessError::Config)?;
            let seen = Mutex::new(seen.remove(&origin));
            logs.insert(origin, Log { keys, seen });
        }
        Ok(Arc::new(Self {
            name: config.name.clone(),
            key,
            clock,
            logs,
            memory,
            failed: AtomicBool::new(false),
            counted: Default::default(),
            forks: AtomicU64::new(0),
        }))
    }

    /// `add-checkpoint`. Blocks while it writes.
    pub fn add_checkpoint(&self, body: &[u8]) -> Answer {
        let answer = match std::str::from_utf8(body) {
            Ok(body) => self.decide(body).unwrap_or_else(|refusal| refusal),
            Err(_) => Answer::Malformed("the body is not UTF-8".into()),
        };
        let counted = OUTCOMES.iter().zip(&self.counted).find(|((_, status), _)| *status == answer.status());
        counted.map(|(_, counter)| counter.fetch_add(1, Ordering::Relaxed));
        answer
    }

    fn decide(&self, body: &str) -> Result<Answer, Answer> {
        let malformed = |why: &dyn std::fmt::Display| Answer::Malformed(why.to_string());
        let submission = Submission::parse(body).map_err(|why| malformed(&why))?;
        let note = Note::parse(submission.note).map_err(|error| malformed(&error))?;
        let origin = note.text().split('\n').next().unwrap_or_default();
        let log = self.logs.get(origin).ok_or(Answer::UnknownLog)?;
        let mut signed = false;
        for key in &log.keys {
            signed |= note.signed_by(key).map_err(|error| Answer::NotSigned(error.to_string()))?;
        }
        if !signed {
            return Err(Answer::NotSigned("no key that is known for this log signed it".into()));
        }
        let checkpoint = note.checkpoint().map_err(|error| malformed(&error))?;
        if submission.old > checkpoint.size {
            return Err(malformed(&"the old size is above the checkpoint's"));
        }
        // Order: from here to the end of the write nobody else has this log.
        let mut seen = log.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.consistent(&submission, &checkpoint, *seen)?;
        let (cosignature, now) = self.cosign(&note, &checkpoint, *seen)?;
        *seen = Some(Seen { size: checkpoint.size, root: checkpoint.root, time_s: now });
        Ok(Answer::Cosigned(cosignature))
    }

    fn consistent(
        &self,
        submission: &Submission<'_>,
        checkpoint: &Checkpoint,
        seen: Option<Seen>,
    ) -> Result<(), Answer> {
        let (size, root) = seen.map_or((0, hash::root(&[])), |seen| (seen.size, seen.root));
        if submission.old != size {
            return Err(Answer::Conflict(size));
        }
        if checkpoint.size == size && checkpoint.root != root {
            self.fork(checkpoint, submission.note);
            return Err(Answer::Conflict(size));
        }
        match proof::consistent(size, checkpoint.size, &root, &checkpoint.root, &submission.proof) {
            true => Ok(()),
            false => {
                tracing::warn!(origin = checkpoint.origin, from = size, to = checkpoint.size, "a proof does not hold");
                Err(Answer::NotConsistent)
            }
        }
    }

    /// Two signed roots of one size: the log has two histories.
    fn fork(&self, checkpoint: &Checkpoint, note: &str) {
        self.forks.fetch_add(1, Ordering::Relaxed);
        let (origin, size) = (&checkpoint.origin, checkpoint.size);
        tracing::error!(
            origin,
            size,
            "a log has signed two histories: keep the state folder, and tell the log's owner"
        );
        if let Err(error) = self.memory.keep_conflict(origin, note) {
            tracing::error!(%error, "the other history's checkpoint cannot be kept");
        }
    }

    /// Order: signed, durable, and only then given out.
    fn cosign(&self, note: &Note<'_>, checkpoint: &Checkpoint, seen: Option<Seen>) -> Result<(String, u64), Answer> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(Answer::Unable(
                "this witness could not write earlier: look at its disk, then restart it".into(),
            ));
        }
        let now = (self.clock)();
        if seen.is_some_and(|seen| now < seen.time_s) {
            return Err(Answer::Unable("this witness's clock was set back: set it right".into()));
        }
        let unable = |error: &dyn std::fmt::Display| {
            self.failed.store(true, Ordering::SeqCst);
            tracing::error!(%error, "nothing is cosigned any more until a restart");
            Answer::Unable("this witness cannot write: look at its disk, then restart it".into())
        };
        let cosignature = self.key.cosign(&self.name, note.text(), now).map_err(|error| unable(&error))?;
        let cosigned = format!("{}\n{cosignature}", note.text());
        let remembered = self.memory.remember(&checkpoint.origin, &cosigned, now, seen.is_none());
        remembered.map_err(|error| unable(&error))?;
        Ok((cosignature, now))
    }

    pub(crate) fn metrics(&self, started: u64, limited: u64) -> Vec<Metric> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let outcomes = OUTCOMES.iter().zip(&self.counted).map(|((outcome, _), counter)| (*outcome, read(counter)));
        let logs = u64::try_from(self.logs.len()).unwrap_or(u64::MAX);
        vec![
            Metric::start_time(started),
            Metric::gauge("drieslot_witness_logs", "Logs that are known.", logs),
            Metric::counters(
                "drieslot_witness_requests_total",
                "Checkpoints handed in, by outcome.",
                "outcome",
                outcomes.chain([("limited", limited)]),
            ),
            Metric::counter(
                "drieslot_witness_forks_total",
                "Checkpoints of a size that was cosigned with another root.",
                read(&self.forks),
            ),
        ]
    }

    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("name", &self.name).field("logs", &self.logs.len()).finish_non_exhaustive()
    }
}
