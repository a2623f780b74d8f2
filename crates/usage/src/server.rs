//! The server: who asks, what is whole, what may be told, and an entry before each answer.

use std::sync::Arc;
use std::time::Instant;

use drieslot_audit::index::{Answer, Cursor, Page, Said, Seen};
use drieslot_audit::{AuditError, Pseudonym};
use drieslot_custodian::Clock;
use drieslot_custodian::client::{KeyError, Keyring};
use drieslot_journal::{IdentityKey, Journal, JournalConfig, JournalError, entry};
use drieslot_link::{Fingerprint, Method, Metric, Request, Response, TlsIdentity};
use drieslot_register::follow::Follower;
use drieslot_register::statement::{Kind, Statement};
use drieslot_register::{Disclosure, State};
use drieslot_witness::Cosigning;
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::UsageError;
use crate::config::UsageConfig;
use crate::exchange::{AsOf, FindUsage, MAX_LIMIT, Usage, Usages};
use crate::following::Following;
use crate::measured::Measured;
use crate::person;
use crate::portal::Portal;

/// A question is short.
const MAX_QUESTION_BYTES: usize = 8 << 10;

/// A running usage server.
pub struct UsageServer {
    config: UsageConfig,
    clock: Clock,
    identity: Arc<TlsIdentity>,
    journal: Journal,
    cosigning: Arc<Cosigning>,
    follower: Arc<Follower>,
    keyring: Arc<Keyring>,
    following: Arc<Following>,
    /// In the order of `config.portal`.
    rates: Vec<Portal>,
    measured: Measured,
    started: Timestamp,
}

/// The journal's entry of one answer. Durable before the answer leaves.
#[derive(Serialize)]
struct Told<'a> {
    caller: &'a str,
    subjects: Vec<String>,
    looks: usize,
}

/// Why there is no answer.
struct Refused {
    status: u16,
    why: String,
}

impl From<AuditError> for Refused {
    fn from(error: AuditError) -> Self {
        tracing::error!(%error, "the index cannot be read");
        Self { status: 503, why: "the index cannot be read; its owner's log says why".into() }
    }
}

impl From<JournalError> for Refused {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "the journal takes no entry");
        Self { status: 503, why: "the answer cannot be journalled, so it is not given".into() }
    }
}

fn refuse<T>(status: u16, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status, why: why.into() })
}

impl UsageServer {
    /// Opens journal and index, and begins to follow register and journals in the current tokio runtime.
    ///
    /// # Errors
    /// Any [`UsageError`] but `Listen`.
    pub fn open(config: UsageConfig, clock: Clock) -> Result<Arc<Self>, UsageError> {
        let key = IdentityKey::load(&config.key)?;
        let verifier = key.verifier(&config.origin)?;
        let identity = Arc::new(TlsIdentity::load(&config.identity)?);
        let follower = Follower::start_beside(&config.journal, config.register.clone(), Arc::clone(&identity))?;
        let (ids, followed) = (Arc::clone(&identity), Arc::clone(&follower));
        let keyring = Keyring::new(config.keys.clone(), ids, followed, Arc::clone(&clock))?;
        let following = Following::start(&config)?;
        let (journal, _) = Journal::open(&config.journal, JournalConfig::new(&config.origin, key))?;
        let states = follower.subscribe();
        let policy = Box::new(move || states.borrow().witnessing());
        let cosigning = Cosigning::start(journal.clone(), &config.journal, verifier, config.witness.clone(), policy)?;
        let now = Instant::now();
        let rates = config.portal.iter().map(|_| Portal::new(config.requests_per_minute, now)).collect();
        let (measured, started) = (Measured::default(), clock());
        Ok(Arc::new(Self {
            config,
            clock,
            identity,
            journal,
            cosigning,
            follower,
            keyring,
            following,
            rates,
            measured,
            started,
        }))
    }

    /// Listens and serves until the future is dropped.
    ///
    /// # Errors
    /// `Listen`, `Link`.
    pub async fn run(self: Arc<Self>) -> Result<(), UsageError> {
        let address = self.config.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| UsageError::Listen(address, error))?;
        self.serve(listener).await
    }

    /// Serves on a socket that listens already.
    ///
    /// # Errors
    /// `Link`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<(), UsageError> {
        let identity = Arc::clone(&self.identity);
        let door = Arc::clone(&self);
        let authorise = move |peer: &Fingerprint| door.portal(peer).is_some();
        let measured = Arc::clone(&self);
        let metrics = drieslot_link::serve_metrics(self.config.metrics, move || measured.metrics());
        let own = Arc::clone(&self);
        let readers =
            drieslot_mirror::serve(own.config.serve_journal.clone(), &own.config.journal, Some(Arc::clone(&identity)));
        let handler = move |peer, request| Arc::clone(&self).answer(peer, request);
        tokio::select! {
            served = drieslot_link::serve(listener, identity, authorise, handler) => Ok(served?),
            failed = metrics => match failed? {},
            failed = readers => match failed? {},
        }
    }

    /// Writes what is queued, and a last checkpoint.
    ///
    /// # Errors
    /// `Journal`.
    pub fn close(&self) -> Result<(), UsageError> {
        Ok(self.journal.close()?)
    }

    fn portal(&self, peer: &Fingerprint) -> Option<(&str, &Portal)> {
        let portals = self.config.portal.iter().zip(&self.rates);
        portals.filter(|(portal, _)| portal.tls == *peer).map(|(portal, rate)| (portal.name.as_str(), rate)).next()
    }

    async fn answer(self: Arc<Self>, peer: Fingerprint, request: Request) -> Response {
        match (request.method, request.path.as_str()) {
            (Method::Post, "/findUsage") => {
                let answer = self.find_usage(&peer, &request.body).await;
                self.measured.answered(answer.status);
                answer
            }
            (Method::Get, "/health") => match self.whole(&self.follower.state()) {
                Ok(()) => Response::new(200, "well"),
                Err(refused) => Response::new(refused.status, refused.why),
            },
            (Method::Get | Method::Post, _) => Response::new(404, "POST /findUsage, GET /health"),
        }
    }

    async fn find_usage(self: &Arc<Self>, peer: &Fingerprint, body: &[u8]) -> Response {
        let Some((caller, rate)) = self.portal(peer) else { return Response::new(403, "this portal is not known") };
        if let Err(wait_s) = rate.take(Instant::now()) {
            return Response::too_many("this portal asks too often", wait_s);
        }
        match self.usages(caller, body).await {
            Ok(usages) => json(&usages),
            Err(refused) => Response::new(refused.status, refused.why),
        }
    }

    /// Whether an answer would be whole.
    fn whole(&self, state: &State) -> Result<(), Refused> {
        let away = |why: String| Refused { status: 503, why };
        if let Some(why) = state.closed_why() {
            return Err(away(format!("the register is not relied on: {why}")));
        }
        let charter = state.charter().ok_or_else(|| away("the register is not known yet".into()))?;
        self.following.check(charter).map_err(away)?;
        self.cosigning.check_one_history().map_err(|error| away(error.to_string()))?;
        self.cosigning.check_grace().map_err(|error| away(error.to_string()))
    }

    async fn usages(self: &Arc<Self>, caller: &str, body: &[u8]) -> Result<Usages, Refused> {
        let (question, page) = parse(body)?;
        let state = self.follower.state();
        self.whole(&state)?;
        let key = self.keyring.subject_key().await.map_err(no_key)?;
        let people = person::pseudonyms(&state, &key, question.realm.as_deref(), &question.subject);
        let people = people.map_err(|why| Refused { status: 400, why })?;
        let (this, now, who) = (Arc::clone(self), (self.clock)(), people.clone());
        let of = Arc::clone(&state);
        let find = move || this.following.index().who_saw(&who, &page, |said| told(&of, said, now));
        let answer =
            tokio::task::spawn_blocking(find).await.map_err(|_| Refused { status: 500, why: "a fault".into() })??;
        self.record(caller, &people, answer.looks.len()).await?;
        Ok(self.shown(answer, &state))
    }

    /// Waits until the entry is durable.
    async fn record(&self, caller: &str, people: &[Pseudonym], looks: usize) -> Result<(), Refused> {
        let told = Told { caller, subjects: people.iter().map(|one| one.to_text()).collect(), looks };
        let index = self.journal.append(entry::encode("usage", &(self.clock)().to_string(), &told)?)?;
        let journal = self.journal.clone();
        let durable = tokio::task::spawn_blocking(move || journal.wait_durable(index)).await;
        Ok(durable.unwrap_or(Err(JournalError::Bug))?)
    }

    fn shown(&self, answer: Answer, state: &State) -> Usages {
        let cursor = answer.looks.last().filter(|_| answer.more).map(|seen| seen.cursor.to_text());
        let usage = |seen: &Seen| Usage {
            logtime: seen.time,
            action: seen.said.command.clone(),
            receiver: seen.said.principal.clone(),
            end_user: seen.said.end_user.as_ref().filter(|_| self.config.show_end_users).map(|one| one.name.clone()),
            purpose: seen.said.purpose.clone(),
            legal_basis: seen.said.mandates.iter().filter_map(|id| legal_basis(state, id)).collect(),
            mandates: seen.said.mandates.clone(),
            database: seen.said.database.clone(),
            columns: seen.said.columns.clone(),
            journal: seen.journal.to_string(),
            entry: seen.intent,
        };
        let as_of = answer.reaches.iter().map(|reach| AsOf {
            journal: reach.journal.to_string(),
            entries: reach.entries,
            until: reach.until,
        });
        Usages {
            find_usage_responses: answer.looks.iter().map(usage).collect(),
            more: answer.more,
            cursor,
            as_of: as_of.collect(),
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        let started = u64::try_from(self.started.as_second()).unwrap_or(0);
        let (entries, troubled, age) = self.following.measured();
        let mut metrics = vec![
            Metric::start_time(started),
            self.measured.questions(),
            Metric::gauge("drieslot_indexed_entries", "Entries of all journals in the index.", entries),
            Metric::gauge(
                "drieslot_index_age_seconds",
                "Since the index last had all of each journal; the largest number where it never had.",
                age,
            ),
            Metric::gauge(
                "drieslot_refused_journals",
                "Journals whose present state is refused: rolled back, of a second history, changed, or unreadable.",
                troubled,
            ),
            Metric::journal_entries(self.journal.durable()),
        ];
        metrics.extend(self.follower.metrics());
        metrics.extend(self.cosigning.metrics());
        metrics
    }
}

/// No error repeats what was sent: it may be a person's number.
fn parse(body: &[u8]) -> Result<(FindUsage, Page), Refused> {
    if body.len() > MAX_QUESTION_BYTES {
        return refuse(413, format!("a question has at most {MAX_QUESTION_BYTES} bytes"));
    }
    let question: FindUsage = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Refused {
            status: 400,
            why: format!("this is no question as docs/usage.md has it: {:?}, {place}", error.classify()),
        }
    })?;
    if !(1..=MAX_LIMIT).contains(&question.limit) {
        return refuse(400, format!("limit is 1 to {MAX_LIMIT}"));
    }
    let before = match question.cursor.as_deref().map(Cursor::parse) {
        Some(None) => return refuse(400, "the cursor is none that was given out"),
        Some(found) => found,
        None => None,
    };
    let page = Page { before, offset: question.offset, limit: question.limit };
    Ok((question, page))
}

fn no_key(error: KeyError) -> Refused {
    tracing::warn!(%error, remedy = error.remedy(), "the key of subjects cannot be had");
    Refused { status: 503, why: format!("the key of subjects cannot be had: {error}") }
}

/// Whether a look may be told now.
fn told(state: &State, said: &Said, now: Timestamp) -> Result<bool, Refused> {
    let mut told = true;
    for mandate in &said.mandates {
        match state.disclosure(mandate) {
            Disclosure::AtOnce => {}
            Disclosure::After(moment) => told &= now >= moment,
            Disclosure::Unknown => {
                tracing::error!(mandate, "a look rests on a mandate that the register does not have (yet)");
                return refuse(503, "the register is not known as far as the journals are");
            }
        }
    }
    Ok(told)
}

fn legal_basis(state: &State, mandate: &str) -> Option<String> {
    let Statement::Mandate(mandate) = state.find(Kind::Mandate, mandate)?.statement.as_ref() else { return None };
    Some(mandate.legal_basis.clone())
}

fn json(usages: &Usages) -> Response {
    match serde_json::to_vec(usages) {
        Ok(bytes) => Response {
            content_type: Some("application/json"),
            cache_control: Some("no-store"),
            ..Response::new(200, bytes)
        },
        Err(error) => Response::new(500, error.to_string()),
    }
}

impl std::fmt::Debug for UsageServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UsageServer(…)")
    }
}
