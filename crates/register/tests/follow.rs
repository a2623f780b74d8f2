//! A register server and its followers over loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod people;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drieslot_journal::IdentityKey;
use drieslot_link::{Fingerprint, TlsIdentity};
use drieslot_register::Function;
use drieslot_register::Hex32;
use drieslot_register::client::{ClientError, RegisterClient};
use drieslot_register::follow::{FollowConfig, FollowError, Follower};
use drieslot_register::server::{Register, RegisterConfig, ServerError};
use drieslot_register::signature::identity_public_key;
use drieslot_register::statement::Statement;
use people::{
    APPROVERS, PERSONS, Part, People, TENANT, classification, mandate, mandate_until, now, paper_part, revocation,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

static COUNT: AtomicU32 = AtomicU32::new(0);

struct World {
    folder: PathBuf,
    people: People,
    charter: String,
    config: RegisterConfig,
    admin: Arc<TlsIdentity>,
    gateway: Arc<TlsIdentity>,
    register_tls: Fingerprint,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A register that runs; stops when dropped.
struct Running {
    register: Arc<Register>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
        self.register.close().unwrap();
    }
}

impl World {
    fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("drieslot-follow-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let tls = |name: &str| Arc::new(TlsIdentity::create(&folder.join(name), name).unwrap());
        let (admin, gateway, register) = (tls("admin"), tls("gateway"), tls("register"));
        let key = IdentityKey::generate().unwrap();
        key.save(&folder.join("register.key")).unwrap();
        let people = People::new();
        let custodians = Function::ALL.map(|function| (function, paper_part(&function.to_string()).0));
        let gateway_part = Part { tls: gateway.fingerprint(), key: paper_part("g").0.key };
        let register_part = Part { tls: register.fingerprint(), key: identity_public_key(&key).unwrap() };
        let charter = people::charter(&people, &custodians, &gateway_part, &register_part);
        let charter = Statement::Charter(charter).to_text().unwrap();
        let config = RegisterConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            tenant: TENANT.into(),
            charter_sha256: Hex32::sha256(&charter),
            admin_tls: admin.fingerprint(),
            folder: folder.join("journal"),
            key: folder.join("register.key"),
            identity: folder.join("register"),
            metrics: None,
            serve_journal: None,
            witness: Vec::new(),
        };
        Self { folder, people, charter, config, admin, gateway, register_tls: register.fingerprint() }
    }

    async fn listener(&self) -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    fn run(&self, config: RegisterConfig, listener: TcpListener) -> Running {
        let register = Register::open(config, Arc::new(now)).unwrap();
        let serving = Arc::clone(&register);
        let task = tokio::spawn(async move { serving.serve(listener).await.unwrap() });
        Running { register, task }
    }

    fn client(&self, identity: &TlsIdentity, address: &str) -> RegisterClient {
        RegisterClient::new(identity, self.register_tls, address).unwrap()
    }

    fn follow(&self, address: &str) -> Arc<Follower> {
        let config = FollowConfig {
            register_address: address.into(),
            register_tls: self.register_tls,
            charter_sha256: self.config.charter_sha256,
        };
        Follower::start(config, Arc::clone(&self.gateway)).unwrap()
    }

    async fn found(&self, client: &RegisterClient) {
        let all: Vec<&str> = PERSONS.iter().map(|(name, _)| *name).collect();
        let receipt = client.submit(&self.charter, &self.people.sign_all(&all, &self.charter)).await.unwrap();
        assert!(receipt.in_force);
    }

    async fn enact(&self, client: &RegisterClient, text: &str) {
        let receipt = client.submit(text, &self.people.sign_all(&APPROVERS, text)).await.unwrap();
        assert!(receipt.in_force, "{receipt:?}");
    }
}

async fn until(follower: &Follower, what: &str, reached: impl Fn(&drieslot_register::State) -> bool) -> Duration {
    let begun = Instant::now();
    let mut states = follower.subscribe();
    let waited = tokio::time::timeout(Duration::from_secs(10), states.wait_for(|state| reached(state))).await;
    assert!(waited.is_ok_and(|state| state.is_ok()), "{what}: {:?}", follower.trouble());
    begun.elapsed()
}

#[tokio::test]
async fn followers_see_what_is_taken_and_at_once() {
    let world = World::new();
    let (listener, address) = world.listener().await;
    let running = world.run(world.config.clone(), listener);
    let admin = world.client(&world.admin, &address);

    let early = world.client(&world.gateway, &address);
    assert!(early.checkpoint().await.is_err(), "before the charter only the administrator comes in");
    world.found(&admin).await;
    let follower = world.follow(&address);
    tokio::time::timeout(Duration::from_secs(10), follower.ready()).await.unwrap().unwrap();
    assert!(follower.last_contact_age() < Duration::from_secs(10));
    assert!(early.checkpoint().await.unwrap().starts_with("agency.example/register\n6\n"));

    world.enact(&admin, &classification("c1", None, "")).await;
    let text = mandate("m1", "");
    let receipt = admin.submit(&text, &[]).await.unwrap();
    assert!(!receipt.in_force);
    for who in ["sam", "sofie", "ann"] {
        let receipt = admin.sign(receipt.statement, &world.people.sign(who, &text)).await.unwrap();
        assert!(!receipt.in_force);
    }
    let receipt = admin.sign(receipt.statement, &world.people.sign("kim", &text)).await.unwrap();
    assert!(receipt.in_force);
    until(&follower, "the mandate", |state| state.mandates_of("app_intake").count() == 1).await;
    let revoke = revocation("r1", "m1");
    admin.submit(&revoke, &[world.people.sign("ann", &revoke)]).await.unwrap();
    let took = until(&follower, "the revocation", |state| state.mandates_of("app_intake").count() == 0).await;
    assert!(took < Duration::from_secs(2), "{took:?}");

    let size = running.register.state().revision();
    let refused = admin.submit(&revoke, &[]).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 409, .. })), "{refused:?}");
    let over = mandate_until("m2", "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", "");
    assert!(matches!(admin.submit(&over, &[]).await, Err(ClientError::Refused { .. })), "ended already");
    let ahead = mandate("m2", "").replace("issued = \"2026-01", "issued = \"2026-07");
    assert!(matches!(admin.submit(&ahead, &[]).await, Err(ClientError::Refused { .. })), "dated ahead");
    let text = mandate("m2", "");
    let mut signatures = world.people.sign_all(&["sam", "ann"], &text);
    signatures.push(world.people.sign("kim", "another text"));
    assert!(admin.submit(&text, &signatures).await.is_err());
    assert_eq!(running.register.state().revision(), size, "all or nothing");
    running.stop().await;
}

#[tokio::test]
async fn a_register_comes_back_as_it_was_and_a_shrunk_one_closes_its_followers() {
    let mut world = World::new();
    let (listener, address) = world.listener().await;
    let running = world.run(world.config.clone(), listener);
    let admin = world.client(&world.admin, &address);
    world.found(&admin).await;
    world.enact(&admin, &classification("c1", None, "")).await;
    running.stop().await;
    let backup = world.folder.join("backup");
    copy(&world.config.folder, &backup);

    let listener = TcpListener::bind(&address).await.unwrap();
    let running = world.run(world.config.clone(), listener);
    world.enact(&admin, &mandate("m1", "")).await;
    let follower = world.follow(&address);
    until(&follower, "the mandate", |state| state.mandates_of("app_intake").count() == 1).await;
    running.stop().await;

    let listener = TcpListener::bind(&address).await.unwrap();
    let running = world.run(world.config.clone(), listener);
    assert_eq!(running.register.state().revision(), follower.state().revision(), "nothing was lost");
    let age = tokio::time::timeout(Duration::from_secs(10), async {
        while follower.last_contact_age() > Duration::from_secs(1) || follower.trouble().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    age.await.unwrap();
    assert!(follower.state().charter().is_some());
    running.stop().await;

    // Restored from a backup: shorter than what the follower saw.
    world.config.folder = backup;
    let listener = TcpListener::bind(&address).await.unwrap();
    let running = world.run(world.config.clone(), listener);
    until(&follower, "the loss", |state| state.closed_why().is_some()).await;
    assert_eq!(follower.state().mandates_of("app_intake").count(), 0);
    assert!(matches!(follower.ready().await, Err(FollowError::Corrupt(_))));

    // A second follower knows nothing of the loss; then the register grows again, differently.
    let second = world.follow(&address);
    until(&second, "the shorter register", |state| state.charter().is_some()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_rewritten_register_of_the_same_length_closes_its_followers() {
    let mut world = World::new();
    let (listener, address) = world.listener().await;
    let running = world.run(world.config.clone(), listener);
    let admin = world.client(&world.admin, &address);
    world.found(&admin).await;
    let follower = world.follow(&address);
    until(&follower, "the charter", |state| state.charter().is_some()).await;
    running.stop().await;

    // The same statements again in another journal: other salts, other hashes.
    world.config.folder = world.folder.join("other");
    let (listener, elsewhere) = world.listener().await;
    let running = world.run(world.config.clone(), listener);
    world.found(&world.client(&world.admin, &elsewhere)).await;
    running.stop().await;
    let listener = TcpListener::bind(&address).await.unwrap();
    let running = world.run(world.config.clone(), listener);
    until(&follower, "the rewriting", |state| state.closed_why().is_some()).await;
    assert!(follower.state().closed_why().unwrap().contains("rewritten"));
    running.stop().await;
}

#[tokio::test]
async fn a_register_with_another_charter_is_not_opened() {
    let world = World::new();
    let (listener, address) = world.listener().await;
    let running = world.run(world.config.clone(), listener);
    world.found(&world.client(&world.admin, &address)).await;
    running.stop().await;
    let config = RegisterConfig { charter_sha256: Hex32([1; 32]), ..world.config.clone() };
    let opened = Register::open(config, Arc::new(now));
    assert!(matches!(opened, Err(ServerError::Corrupt { index: 0, .. })), "{opened:?}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
