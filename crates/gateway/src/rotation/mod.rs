//! Rotation: brings the cells of a domain over to its new epoch, at the processor, while applications run.
//!
//! Keeps nothing of its own: what is left to do is what has the old epoch in its header. So it can be ended at any moment
//! and begun again. It never waits for a row while it holds another, so it cannot be part of a deadlock.

mod column;
mod exchange;
mod place;
mod sql;

use std::sync::Arc;
use std::time::{Duration, Instant};

use drieslot_custodian::client::Keyring;
use drieslot_journal::{IdentityKey, Journal};
use drieslot_link::TlsIdentity;
use drieslot_register::follow::Follower;
use drieslot_register::statement::EndedEpoch;
use drieslot_register::{OpenRotation, Part, State, is_moved_singly};
use drieslot_schema::{ColumnId, Domain, Protected};
use drieslot_seal::ColumnCipher;
use serde::Serialize;

use crate::backend::Connector;
use crate::refusal::Refusal;
use crate::trace::Trace;
use crate::{Clock, Config, GatewayError};
use exchange::Exchange;
use place::Place;
use sql::Sql;

/// What a worker's journal is called, behind the name of its gateway's.
pub const JOURNAL_SUFFIX: &str = "-rotation";
/// The register and the new key must be there within this time.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What a worker is at.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A column is begun; so many cells are of the old epoch.
    Begun(&'a ColumnId, u64),
    /// So many of them are brought over.
    Moved(&'a ColumnId, u64),
    /// So many rows are held by transactions of others; they are tried again.
    Held(&'a ColumnId, u64),
    /// A transaction of somebody else holds the column's table, which must be locked for an instant.
    Locked(&'a ColumnId),
    /// A session at the processor, as a phrase, that the exchange waits for.
    Waits(&'a str),
    /// All cells that the processor compares were exchanged; so long their tables were locked.
    Exchanged(Duration),
    /// The processor takes no cell of the old epoch any more.
    Closed(&'a ColumnId),
    /// So many cells were opened with the new key, and they are all that there are.
    Verified(&'a ColumnId, u64),
}

/// What a worker may do to others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Most cells that it brings over.
    pub cells_per_second: Option<u64>,
    /// After so long it ends sessions that the exchange of compared cells waits for.
    pub terminate_after: Option<Duration>,
}

/// Told of every step.
pub type Tell<'a> = &'a mut (dyn FnMut(Step<'_>) + Send);

/// Brings cells over. It is a gateway of the charter, with a journal of its own beside the gateway's.
pub struct Worker {
    clock: Clock,
    follower: Arc<Follower>,
    keyring: Arc<Keyring>,
    trace: Trace,
    connector: Connector,
    name: String,
    journal_key: String,
}

/// An entry of its journal.
#[derive(Serialize)]
struct Entry<'a> {
    /// `begun`, `moved`, `closed`, `verified` or `checked`.
    state: &'static str,
    /// The rotation's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<&'a str>,
    domain: &'a str,
    database: &'a str,
    column: String,
    epoch: u16,
    cells: u64,
}

/// Cells of one column, by epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its database.
    pub database: String,
    /// The column.
    pub column: ColumnId,
    /// Epoch and number of cells, all of which opened.
    pub cells: Vec<(u16, u64)>,
}

/// How cells of one column are brought over.
struct Job<'a> {
    worker: &'a Worker,
    database: &'a str,
    place: &'a Place,
    open: &'a OpenRotation,
    pace: Option<u64>,
}

fn stopped(refusal: Refusal) -> GatewayError {
    let detail = refusal.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    let remedy =
        refusal.hint.unwrap_or_else(|| "Mend that, and start the worker again: it goes on where it was.".into());
    GatewayError::Rotation { what: format!("{}{detail}", refusal.message), remedy }
}

impl Worker {
    /// Reads the register and opens the journal. `config` is a gateway's, of which it uses the processor, the identity,
    /// the register, the custodians and the journal's key.
    ///
    /// # Errors
    /// Any [`GatewayError`].
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, GatewayError> {
        let connector = Connector::new(&config.backend)?;
        let identity = Arc::new(TlsIdentity::load(&config.identity)?);
        let own = identity.fingerprint();
        let follower = Follower::start(config.register.clone(), Arc::clone(&identity))
            .map_err(|error| GatewayError::Register(error.to_string()))?;
        let ready = tokio::time::timeout(READY_WITHIN, follower.ready()).await;
        ready
            .map_err(|_| GatewayError::Register("it does not answer".into()))?
            .map_err(|error| GatewayError::Register(error.to_string()))?;
        let Some(Part::Gateway { name }) = follower.state().part(&own) else {
            return Err(GatewayError::Register(format!("the charter has no gateway with the TLS key {own}")));
        };
        let keyring = Keyring::new(config.keys.clone(), identity, Arc::clone(&follower), Arc::clone(&clock))
            .map_err(|error| GatewayError::Config(error.to_string()))?;
        let (journal, journal_key) = open_journal(config)?;
        let trace = Trace::new(journal, Arc::clone(&clock));
        Ok(Self { clock, follower, keyring, trace, connector, name, journal_key })
    }

    /// What its journal is verified with.
    pub fn journal_key(&self) -> &str {
        &self.journal_key
    }

    /// The register as it knows it.
    pub fn state(&self) -> Arc<State> {
        self.follower.state()
    }

    /// The time, as it knows it.
    pub fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    /// Writes what is queued and a last checkpoint.
    pub fn close(&self) {
        self.trace.close();
    }

    /// Brings all cells of these domains over, or of all whose rotation names this worker.
    ///
    /// # Errors
    /// `Rotation`.
    pub async fn rotate(
        &self,
        wanted: &[Domain],
        limits: Limits,
        tell: Tell<'_>,
    ) -> Result<Vec<EndedEpoch>, GatewayError> {
        let mut ended = Vec::new();
        for open in self.rotations(wanted)? {
            let cells = self.rotate_domain(&open, limits, tell).await.map_err(stopped)?;
            ended.push(EndedEpoch { name: open.0.0, epoch: open.1.from, cells });
        }
        Ok(ended)
    }

    fn rotations(&self, wanted: &[Domain]) -> Result<Vec<(Domain, OpenRotation)>, GatewayError> {
        let state = self.state();
        let all = wanted.is_empty();
        let domains: Vec<Domain> = if all { state.domains().into_iter().cloned().collect() } else { wanted.to_vec() };
        let mut found = Vec::new();
        for domain in domains {
            let why = match state.open_rotation(&domain) {
                Some(open) if open.worker == self.name => {
                    found.push((domain, open.clone()));
                    continue;
                }
                Some(open) => format!("the rotation of domain `{domain}` names `{}` as its worker", open.worker),
                None => format!("no rotation of domain `{domain}` is open"),
            };
            if !all {
                let remedy = "Write one with `drieslot keys propose`, and have it signed by structure and keys.";
                return Err(GatewayError::Rotation { what: why, remedy: remedy.into() });
            }
        }
        if found.is_empty() {
            let what = format!("no rotation that names `{}` as its worker is open", self.name);
            let remedy = "Write one with `drieslot keys propose`, and have it signed by structure and keys.";
            return Err(GatewayError::Rotation { what, remedy: remedy.into() });
        }
        Ok(found)
    }

    async fn rotate_domain(
        &self,
        (domain, open): &(Domain, OpenRotation),
        limits: Limits,
        tell: Tell<'_>,
    ) -> Result<u64, Refusal> {
        self.begin(domain, open).await?;
        let mut cells = 0;
        for (database, columns) in self.by_database(domain) {
            let mut sql = Sql::connect(&self.connector, &database).await?;
            let (columns, compared): (Vec<_>, Vec<_>) = columns.into_iter().partition(is_moved_singly);
            let places = find_all(&mut sql, &columns).await?;
            quiet_triggers(&mut sql, &places).await?;
            for place in &places {
                let job = Job { worker: self, database: &database, place, open, pace: limits.cells_per_second };
                cells += job.run(&mut sql, tell).await?;
            }
            if !compared.is_empty() {
                let Limits { cells_per_second: pace, terminate_after } = limits;
                let (database, columns) = (database.as_str(), compared.as_slice());
                let exchange = Exchange { worker: self, database, columns, open, pace, terminate_after };
                cells += exchange.run(&mut sql, tell).await?;
            }
            sql.close().await;
        }
        Ok(cells)
    }

    /// Nothing is touched before this is durable, and before new cells are sealed in the new epoch.
    async fn begin(&self, domain: &Domain, open: &OpenRotation) -> Result<(), Refusal> {
        for (database, column) in self.state().columns_of(domain) {
            let entry = self.note("begun", Some(open), database, column, (open.to, 0))?;
            self.trace.durable(entry).await?;
        }
        for epoch in [open.from, open.to] {
            let key = self.keyring.cell_key(domain, epoch).await;
            key.map_err(|error| Refusal::new("58000", error.to_string()).hint(error.remedy()))?;
        }
        let mut states = self.follower.subscribe();
        let opened = states.wait_for(|state| state.current_epoch(domain) == open.to || state.closed_why().is_some());
        let shown = tokio::time::timeout(READY_WITHIN, opened).await;
        match shown {
            Ok(Ok(state)) if state.closed_why().is_none() => Ok(()),
            Ok(_) | Err(_) => Err(Refusal::new("58000", format!("the register does not show the key of {domain}"))),
        }
    }

    fn by_database(&self, domain: &Domain) -> Vec<(String, Vec<Protected>)> {
        let mut found: Vec<(String, Vec<Protected>)> = Vec::new();
        for (database, column) in self.state().columns_of(domain) {
            match found.last_mut().filter(|(last, _)| last == database) {
                Some((_, columns)) => columns.push(column.clone()),
                None => found.push((database.to_owned(), vec![column.clone()])),
            }
        }
        found
    }

    /// Opens every cell of these domains, or of all, with the key of its epoch.
    ///
    /// # Errors
    /// `Rotation`, for the first cell that does not open.
    pub async fn verify(&self, wanted: &[Domain]) -> Result<Vec<Counted>, GatewayError> {
        let state = self.state();
        let all = state.domains();
        if let Some(unknown) = wanted.iter().find(|domain| !all.contains(domain)) {
            let what = format!("no classification in force has a domain `{unknown}`");
            return Err(GatewayError::Rotation { what, remedy: "See `drieslot keys status`.".into() });
        }
        let mut counted = Vec::new();
        for domain in all.into_iter().filter(|domain| wanted.is_empty() || wanted.contains(domain)) {
            for (database, columns) in self.by_database(domain) {
                let mut sql = Sql::connect(&self.connector, &database).await.map_err(stopped)?;
                for column in columns {
                    if let Some(place) = Place::find(&mut sql, &column).await.map_err(stopped)? {
                        let cells = self.count(&mut sql, &database, &place).await.map_err(stopped)?;
                        counted.push(Counted { database: database.clone(), column: column.id, cells });
                    }
                }
                sql.close().await;
            }
        }
        Ok(counted)
    }

    async fn count(&self, sql: &mut Sql, database: &str, place: &Place) -> Result<Vec<(u16, u64)>, Refusal> {
        let domain = &place.protected.domain;
        let in_use = self.state().epochs_in_use(domain);
        let mut ciphers = Vec::new();
        for epoch in std::iter::once(in_use.current).chain(in_use.other) {
            let entry = self.note("checked", None, database, &place.protected, (epoch, 0))?;
            self.trace.durable(entry).await?;
            ciphers.push(self.cipher(&place.protected, epoch).await?);
        }
        column::open_all(sql, place, &ciphers).await
    }

    /// Under a key whose lease runs now.
    async fn cipher(&self, protected: &Protected, epoch: u16) -> Result<ColumnCipher, Refusal> {
        let key = self.keyring.cell_key(&protected.domain, epoch).await;
        let key = key.map_err(|error| Refusal::new("58000", error.to_string()).hint(error.remedy()))?;
        ColumnCipher::new(key, protected).map_err(|error| Refusal::internal(error.to_string()))
    }

    fn note(
        &self,
        state: &'static str,
        open: Option<&OpenRotation>,
        database: &str,
        column: &Protected,
        (epoch, cells): (u16, u64),
    ) -> Result<u64, Refusal> {
        let rotation = open.map(|open| open.id.as_str());
        let (domain, column) = (column.domain.0.as_str(), column.id.to_string());
        self.trace.append("rotation", &Entry { state, rotation, domain, database, column, epoch, cells })
    }
}

fn open_journal(config: &Config) -> Result<(Journal, String), GatewayError> {
    let key = IdentityKey::load(&config.journal.key)?;
    let origin = format!("{}{JOURNAL_SUFFIX}", config.journal.origin);
    let verifier = key.vkey(&origin)?;
    let mut folder = config.journal.folder.clone().into_os_string();
    folder.push(JOURNAL_SUFFIX);
    let (journal, _) = Journal::open(folder.as_ref(), drieslot_journal::JournalConfig::new(&origin, key))?;
    Ok((journal, verifier))
}

/// All columns are looked at before the first is touched.
async fn find_all(sql: &mut Sql, columns: &[Protected]) -> Result<Vec<Place>, Refusal> {
    let mut places = Vec::new();
    for column in columns {
        places.extend(Place::find(sql, column).await?);
    }
    for place in &places {
        place.default_cell()?;
    }
    Ok(places)
}

/// A trigger would take the new cell for a change of the value.
async fn quiet_triggers(sql: &mut Sql, places: &[Place]) -> Result<(), Refusal> {
    let Some((place, names)) = places.iter().find_map(|place| Some((place, place.triggers.as_deref()?))) else {
        return Ok(());
    };
    match sql.run("SET session_replication_role = replica").await {
        Err(refusal) if refusal.sqlstate == sql::PRIVILEGE => Err(Refusal::new(
            "55000",
            format!("an UPDATE of {} would set off its triggers {names}", place.table),
        )
        .hint(
            "GRANT SET ON PARAMETER session_replication_role TO the worker's role, so that it can leave them out; or \
             disable them while it works.",
        )),
        other => other.map(drop),
    }
}

/// Keeps to a number of cells a second.
struct Pace {
    began: Instant,
    cells: u64,
    per_second: Option<u64>,
}

impl Pace {
    fn new(per_second: Option<u64>) -> Self {
        Self { began: Instant::now(), cells: 0, per_second }
    }

    async fn after(&mut self, cells: u64) {
        self.cells += cells;
        let Some(due_ms) = self.per_second.and_then(|rate| (self.cells * 1_000).checked_div(rate)) else { return };
        let due = self.began + Duration::from_millis(due_ms);
        tokio::time::sleep_until(due.into()).await;
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker({})", self.name)
    }
}
