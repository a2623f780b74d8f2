//! Following a register: a verified fold, kept up to date by long poll.
//!
//! Every entry is verified here again; the register's server is not trusted. A register that loses or changes
//! entries, or holds one that does not verify, closes the state for good: nothing is allowed any more.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use drieslot_journal::hash::{self, Peaks};
use drieslot_journal::{Checkpoint, Verifier};
use drieslot_link::{Fingerprint, Metric, TlsIdentity};
use drieslot_witness::PolicyNow;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::State;
use crate::client::{ClientError, RegisterClient};
use crate::exchange::{EntriesAnswer, origin};
use crate::seen::Seen;
use crate::statement::{Hex32, Statement, read_key};

/// How long the register may hold back an answer while there is nothing new.
const POLL_WAIT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Which register to follow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowConfig {
    /// `host:port` of the register.
    pub register_address: String,
    /// Its TLS key: `sha256:` and 64 hexadecimal digits.
    pub register_tls: Fingerprint,
    /// SHA-256 of the charter's text, 64 hexadecimal digits: the root of all trust in the register.
    pub charter_sha256: Hex32,
}

/// Why a register cannot be followed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FollowError {
    /// The TLS identity cannot be used.
    #[error("{0}")]
    Config(String),
    /// It holds something that does not verify, or it lost or changed entries. Nothing is allowed any more.
    #[error(
        "the register is corrupt: {0}; keep this part stopped, and compare the register with its witnesses and backups"
    )]
    Corrupt(String),
}

/// Whether the journal of a part that follows beside it is where it was: a part that has seen its register has had one, and
/// where it is gone, none begins in its place by itself. To be asked before the journal is opened.
///
/// # Errors
/// `Config` says what to do.
pub fn check_journal(folder: &Path) -> Result<(), FollowError> {
    crate::seen::check_journal(folder).map_err(FollowError::Config)
}

/// Keeps a [`State`] up to date. Stops when dropped.
#[derive(Debug)]
pub struct Follower {
    state: watch::Receiver<Arc<State>>,
    contact: Arc<Mutex<Contact>>,
    client: Arc<RegisterClient>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Contact {
    last: Option<Instant>,
    trouble: Option<String>,
}

impl Follower {
    /// Begins at once, in the background of the current tokio runtime.
    ///
    /// # Errors
    /// `Config`.
    pub fn start(config: FollowConfig, identity: Arc<TlsIdentity>) -> Result<Arc<Self>, FollowError> {
        Self::begin(config, identity, None)
    }

    /// As [`Follower::start`], for a part that remembers in a file beside `folder` how much of the register it saw, and takes no
    /// less when it is started again.
    ///
    /// # Errors
    /// `Config`, also where that file cannot be read.
    pub fn start_beside(
        folder: &Path,
        config: FollowConfig,
        identity: Arc<TlsIdentity>,
    ) -> Result<Arc<Self>, FollowError> {
        let seen = Seen::open(folder).map_err(FollowError::Config)?;
        Self::begin(config, identity, Some(seen))
    }

    fn begin(config: FollowConfig, identity: Arc<TlsIdentity>, seen: Option<Seen>) -> Result<Arc<Self>, FollowError> {
        let client = RegisterClient::new(&identity, config.register_tls, &config.register_address);
        let client = Arc::new(client.map_err(|error| FollowError::Config(error.to_string()))?);
        let fold = State::new(config.charter_sha256);
        let (publish, state) = watch::channel(Arc::new(fold.clone()));
        let contact = Arc::new(Mutex::new(Contact::default()));
        let following = Following {
            client: Arc::clone(&client),
            publish,
            contact: Arc::clone(&contact),
            fold,
            peaks: Peaks::default(),
            seen,
        };
        let task = tokio::spawn(following.run()).abort_handle();
        Ok(Arc::new(Self { state, contact, client, task }))
    }

    /// The newest verified state. When the register is found corrupt, a state that allows nothing.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// Changes of the state.
    pub fn subscribe(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }

    /// What the charter in force says of witnesses, read once for each state.
    pub fn witnessing(&self) -> PolicyNow {
        let mut states = self.subscribe();
        states.mark_changed();
        Box::new(move || match states.has_changed() {
            Ok(true) => states.borrow_and_update().witnessing(),
            Ok(false) | Err(_) => None,
        })
    }

    /// The register followed, to submit statements to.
    pub fn client(&self) -> &RegisterClient {
        &self.client
    }

    /// How long ago the register last confirmed the state; `Duration::MAX` if it never did.
    pub fn last_contact_age(&self) -> Duration {
        let contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.last.map_or(Duration::MAX, |last| last.elapsed())
    }

    /// What every part says of the register that it follows.
    pub fn metrics(&self) -> [Metric; 2] {
        let (revision, age_s) = (self.state().revision(), self.last_contact_age().as_secs());
        [
            Metric::gauge("drieslot_register_revision", "Entries of the register that are known.", revision),
            Metric::gauge("drieslot_register_age_seconds", "Since the register last confirmed that.", age_s),
        ]
    }

    /// Why the register was not reached the last time it was tried.
    pub fn trouble(&self) -> Option<String> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Waits until the whole register was read once and its charter is in force. Callers set their own time limit;
    /// [`Follower::trouble`] says what is in the way.
    ///
    /// # Errors
    /// `Corrupt`.
    pub async fn ready(&self) -> Result<(), FollowError> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| state.closed_why().is_some() || state.charter().is_some()).await;
        match settled.as_ref().map(|state| state.closed_why().map(str::to_owned)) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(FollowError::Corrupt(why)),
            Err(_) => Err(FollowError::Corrupt("following it has ended".into())),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a signed note is that of exactly the entries that `fold` and `peaks` have taken. The pinned charter names the
/// register's key, so it is known from the first entry on.
///
/// # Errors
/// Why it is not.
pub fn check_checkpoint(fold: &State, peaks: &Peaks, note: &str) -> Result<(), String> {
    let first = fold.statements().first().map(|record| Arc::clone(&record.statement));
    let Some(Statement::Charter(charter)) = first.as_deref() else {
        return Err("its first statement is no charter".into());
    };
    let key = read_key("the register", &charter.register.key)?;
    let public = key.ed25519().ok_or("the register's key is not ed25519")?.0;
    let verifier = Verifier::new(&origin(&charter.tenant), public).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::open(note, &verifier).map_err(|error| error.to_string())?;
    match checkpoint.size == peaks.size() && checkpoint.root == peaks.root() {
        true => Ok(()),
        false => Err("its signed checkpoint is not that of the entries it gave before: it was rewritten".into()),
    }
}

/// The background task.
struct Following {
    client: Arc<RegisterClient>,
    publish: watch::Sender<Arc<State>>,
    contact: Arc<Mutex<Contact>>,
    /// May be ahead of what is published, until a checkpoint confirms it.
    fold: State,
    peaks: Peaks,
    /// Written when a state was confirmed.
    seen: Option<Seen>,
}

impl Following {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.client.entries(self.fold.revision(), POLL_WAIT).await {
                Ok(answer) => match self.take(&answer) {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(why) => return self.close(&why),
                },
                Err(error) => {
                    self.note_trouble(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn take(&mut self, answer: &EntriesAnswer) -> Result<(), String> {
        for entry in &answer.entries {
            let index = self.fold.revision();
            self.fold.apply(index, &entry.0).map_err(|refusal| format!("entry {index}: {refusal}"))?;
            self.peaks.push(hash::leaf(&entry.0));
            self.seen.as_ref().map_or(Ok(()), |seen| seen.agrees(&self.peaks))?;
        }
        let held = self.fold.revision();
        if answer.size < held {
            return Err(format!("it had {held} entries and now says {}", answer.size));
        }
        if answer.size > held {
            return match answer.entries.is_empty() {
                true => Err(format!("it says {} entries but gives only {held}", answer.size)),
                false => Ok(()),
            };
        }
        self.seen.as_ref().map_or(Ok(()), |seen| seen.all_of_it(held))?;
        if held > 0 {
            check_checkpoint(&self.fold, &self.peaks, &answer.checkpoint)?;
        }
        self.confirmed();
        Ok(())
    }

    fn confirmed(&mut self) {
        // A revocation must hold also where it cannot be remembered.
        if let Some(Err(error)) = self.seen.as_mut().map(|seen| seen.write(&self.peaks)) {
            tracing::error!(%error, "what was seen of the register cannot be remembered");
        }
        if self.publish.borrow().revision() != self.fold.revision() {
            self.publish.send_replace(Arc::new(self.fold.clone()));
        }
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        *contact = Contact { last: Some(Instant::now()), trouble: None };
    }

    fn note_trouble(&self, error: &ClientError) {
        tracing::warn!(%error, "the register is not reached");
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(error.to_string());
    }

    fn close(&self, why: &str) {
        tracing::error!(why, "the register is corrupt: nothing is allowed any more");
        self.publish.send_replace(Arc::new(self.fold.closed(why)));
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(why.to_owned());
    }
}
