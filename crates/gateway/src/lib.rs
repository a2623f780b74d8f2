//! The gateway: applications speak PostgreSQL to it, the processor sees ciphertext only.
//!
//! Joins `sql` (what a statement may do), `seal` (cells), `custodian` (keys), `register` (mandates) and `journal`
//! (the trace). It decides nothing that those do not decide, and releases nothing before its entry is durable.

mod backend;
mod cancels;
mod catalogs;
mod certificate;
mod config;
mod decoys;
mod end_users;
mod firewall;
mod front;
mod metrics;
mod options;
mod recording;
mod refusal;
pub mod rotation;
mod scram;
mod session;
mod stream;
mod tls;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use drieslot_custodian::client::Keyring;
use drieslot_journal::{IdentityKey, Journal, JournalError, Verifier as JournalVerifier};
use drieslot_link::TlsIdentity;
use drieslot_register::follow::{Follower, check_journal};
use drieslot_witness::Cosigning;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use drieslot_custodian::Clock;

pub use config::{
    Backend, BackendRole, BackendTls, ClientCertificates, Config, DecoyConfig, Durability, FirewallMode, FirewallRule,
    JournalConfig, KeySource, OnRead, TargetSessionAttrs, TokenIssuer,
};
pub use scram::{Verifier, VerifierError};

use backend::Connector;
use cancels::Cancels;
use catalogs::{Catalogs, Plans};
use decoys::Decoys;
use end_users::EndUsers;
use firewall::Firewall;
use recording::Recording;
use refusal::Refusal;
use trace::Trace;

/// Why a gateway does not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration is at fault.
    #[error("configuration: {0}")]
    Config(String),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; stop what uses it, or set another `listen`")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// The journal cannot be used.
    #[error("journal: {0}")]
    Journal(#[from] drieslot_journal::JournalError),
    /// TLS identity.
    #[error("identity: {0}")]
    Identity(#[from] drieslot_link::LinkError),
    /// The register cannot be followed.
    #[error("register: {0}")]
    Register(String),
    /// A rotation cannot begin or go on.
    #[error("{what}")]
    Rotation {
        /// What happened.
        what: String,
        /// What to do about it.
        remedy: String,
    },
}

/// What all sessions share.
pub(crate) struct Shared {
    config: Config,
    clock: Clock,
    follower: Arc<Follower>,
    keyring: Arc<Keyring>,
    trace: Trace,
    cosigning: Arc<Cosigning>,
    catalogs: Catalogs,
    plans: Plans,
    recording: Option<Recording>,
    firewall: Firewall,
    decoys: Decoys,
    cancels: Cancels,
    end_users: Arc<EndUsers>,
    connector: Connector,
    acceptor: TlsAcceptor,
    /// What clients' SCRAM is bound to; `None` where the certificate's signature names no hash.
    binding: Option<Vec<u8>>,
    principals: BTreeMap<String, Verifier>,
    /// Makes the decoy verifiers of unknown users.
    decoy_seed: [u8; 32],
}

impl Shared {
    pub(crate) fn new_session_id(&self) -> Result<String, Refusal> {
        let mut random = [0; 8];
        rand::fill(&mut random).map_err(|_| Refusal::internal("no randomness from the operating system"))?;
        Ok(format!("{:016x}", u64::from_be_bytes(random)))
    }
}

/// Serves until `stop` completes; then no session is accepted any more, those under way are ended, and the journal
/// is closed. `begin` writes who runs it into the journal, before anything else is.
pub async fn run(
    config: Config,
    clock: Clock,
    begin: impl FnOnce(&Journal) -> Result<(), JournalError>,
    stop: impl Future<Output = ()>,
) -> Result<(), GatewayError> {
    let (acceptor, binding) = tls::acceptor(&config)?;
    let connector = Connector::new(&config.backend)?;
    let end_users = Arc::new(EndUsers::new(&config.token_issuers, Arc::clone(&clock))?);
    let principals = config.read_principals()?;
    config.check_role_owners(&principals)?;
    let firewall = firewall(&config, &principals)?;
    let decoys = Decoys::open(&config.decoys)?;
    let listener =
        TcpListener::bind(config.listen).await.map_err(|error| GatewayError::Listen(config.listen, error))?;
    let (journal, verifier) = open_journal(&config)?;
    begin(&journal)?;
    let trace = Trace::new(journal.clone(), Arc::clone(&clock));
    let identity = Arc::new(TlsIdentity::load(&config.identity)?);
    let follower = Follower::start_beside(&config.journal.folder, config.register.clone(), Arc::clone(&identity))
        .map_err(|error| GatewayError::Register(error.to_string()))?;
    follower.ready().await.map_err(|error| GatewayError::Register(error.to_string()))?;
    let (folder, addresses) = (&config.journal.folder, config.witness.clone());
    let cosigning = Cosigning::start(journal, folder, verifier, addresses, follower.witnessing())?;
    let keyring = Keyring::new(config.keys.clone(), Arc::clone(&identity), Arc::clone(&follower), Arc::clone(&clock))
        .map_err(|error| GatewayError::Config(error.to_string()))?;
    let mut decoy_seed = [0; 32];
    rand::fill(&mut decoy_seed).map_err(|_| GatewayError::Config("no randomness from the operating system".into()))?;
    let recording = config.recording.as_deref().map(Recording::open).transpose()?;
    let sessions = Arc::new(Semaphore::new(config.max_sessions));
    let shared = Arc::new(Shared {
        config,
        clock,
        follower,
        keyring,
        trace: trace.clone(),
        cosigning,
        catalogs: Catalogs::default(),
        plans: Plans::default(),
        recording,
        firewall,
        decoys,
        cancels: Cancels::default(),
        end_users,
        connector,
        acceptor,
        binding,
        principals,
        decoy_seed,
    });
    let measured = (Arc::clone(&shared), Arc::clone(&sessions), (shared.clock)());
    let metrics = drieslot_link::serve_metrics(shared.config.metrics, move || {
        let (shared, sessions, started) = &measured;
        metrics::read(shared, sessions, *started)
    });
    tokio::pin!(metrics);
    let journal = &shared.config.journal.folder;
    let readers = drieslot_mirror::serve(shared.config.serve_journal.clone(), journal, Some(identity));
    tokio::pin!(readers);
    tracing::info!(listen = %shared.config.listen, "gateway is ready");
    let mut tasks = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            failed = &mut metrics => match failed? {},
            failed = &mut readers => match failed? {},
            accepted = listener.accept() => accept(&mut tasks, &shared, &sessions, accepted).await,
            Some(_) = tasks.join_next() => {}
        }
    }
    tasks.shutdown().await;
    trace.close();
    Ok(())
}

async fn accept(
    tasks: &mut tokio::task::JoinSet<()>,
    shared: &Arc<Shared>,
    sessions: &Arc<Semaphore>,
    accepted: std::io::Result<(tokio::net::TcpStream, std::net::SocketAddr)>,
) {
    match accepted {
        Ok((stream, address)) => {
            let Ok(place) = Arc::clone(sessions).try_acquire_owned() else {
                tracing::warn!(%address, "refused: max_sessions reached");
                return;
            };
            let shared = Arc::clone(shared);
            tasks.spawn(async move {
                front::serve(shared, stream, address).await;
                drop(place);
            });
        }
        Err(error) => {
            // Out of file descriptors, most likely: accepting again at once would only spin.
            tracing::error!(%error, "accepting a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn firewall(config: &Config, principals: &BTreeMap<String, Verifier>) -> Result<Firewall, GatewayError> {
    let certified = config.client_certificates.iter().flat_map(|clients| clients.principals.values());
    let known: BTreeSet<_> = principals.keys().chain(certified).map(String::as_str).collect();
    Firewall::open(&config.firewall, &known)
}

fn open_journal(config: &Config) -> Result<(Journal, JournalVerifier), GatewayError> {
    check_journal(&config.journal.folder).map_err(|error| GatewayError::Config(error.to_string()))?;
    let key = IdentityKey::load(&config.journal.key)?;
    let verifier = key.verifier(&config.journal.origin)?;
    let mut settings = drieslot_journal::JournalConfig::new(&config.journal.origin, key);
    settings.durability = match config.journal.durability {
        Durability::Fsync => drieslot_journal::Durability::Fsync,
        Durability::Os => drieslot_journal::Durability::Os,
    };
    let (journal, recovered) = Journal::open(&config.journal.folder, settings)?;
    tracing::info!(?recovered, "journal is open");
    Ok((journal, verifier))
}
