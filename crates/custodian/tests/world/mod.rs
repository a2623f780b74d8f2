//! Register, three custodians and keyrings of two gateways over loopback, in a folder of their own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

#[path = "../../../register/tests/people/mod.rs"]
pub mod people;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drieslot_custodian::client::{CustodianAddress, Keyring, KeyringConfig};
use drieslot_custodian::server::{Custodian, CustodianConfig};
use drieslot_custodian::{
    Credential, CredentialKind, KEY_FILE, LimitsConfig, NewSecret, SECRET_FILE, TLS_FOLDER, init,
};
use drieslot_journal::{IdentityKey, Reader, entry};
use drieslot_link::{Fingerprint, TlsIdentity};
use drieslot_register::client::RegisterClient;
use drieslot_register::follow::{FollowConfig, Follower};
use drieslot_register::server::{Register, RegisterConfig};
use drieslot_register::signature::identity_public_key;
use drieslot_register::statement::{GatewayPart, Statement, UsagePart};
use drieslot_register::{Function, Hex32};
use drieslot_schema::Domain;
use people::{APPROVERS, PERSONS, Part, People, TENANT, classification, mandate, now, paper_part};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct World {
    pub folder: PathBuf,
    pub people: People,
    pub follow: FollowConfig,
    pub admin: RegisterClient,
    pub gateway: Arc<TlsIdentity>,
    pub second_gateway: Arc<TlsIdentity>,
    pub usage: Arc<TlsIdentity>,
    pub register: JoinHandle<()>,
    pub open_register: Arc<Register>,
    pub custodians: BTreeMap<Function, Running>,
    pub lease_s: u64,
    pub limits: LimitsConfig,
}

pub struct Running {
    pub custodian: Arc<Custodian>,
    pub task: JoinHandle<()>,
    pub address: String,
    pub tls: Fingerprint,
}

impl Drop for World {
    fn drop(&mut self) {
        // A journal that still writes would make its folder anew.
        self.register.abort();
        let _ = self.open_register.close();
        for running in self.custodians.values() {
            running.task.abort();
            let _ = running.custodian.close();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn credential(folder: &Path) -> Credential {
    Credential { file: folder.with_extension("credential"), kind: CredentialKind::Key }
}

pub async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// An address where nobody listens.
pub async fn closed_port() -> String {
    listener().await.1
}

pub fn person() -> Domain {
    Domain("person".into())
}

fn new_folder() -> std::path::PathBuf {
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let folder = std::env::temp_dir().join(format!("drieslot-locks-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// The public half of a key that is kept for a part that does not run.
fn on_paper(folder: &Path, name: &str) -> String {
    let (part, key) = paper_part(name);
    key.save(&folder.join(format!("{name}.key"))).unwrap();
    part.key
}

impl World {
    /// With the charter, a classification and mandate `m1` in force, and all custodians running.
    pub async fn new(lease_s: u64) -> Self {
        Self::with_limits(lease_s, LimitsConfig::default()).await
    }

    pub async fn with_limits(lease_s: u64, limits: LimitsConfig) -> Self {
        let folder = new_folder();
        let tls = |name: &str| Arc::new(TlsIdentity::create(&folder.join(name), name).unwrap());
        let (admin, gateway, register) = (tls("admin"), tls("gateway"), tls("register"));
        let (second_gateway, usage) = (tls("gateway-2"), tls("usage-1"));
        let key = IdentityKey::generate().unwrap();
        key.save(&folder.join("register.key")).unwrap();
        let people = People::new();
        let parts = Function::ALL.map(|function| {
            let folder = folder.join(function.to_string());
            let made =
                init(&folder, &format!("custodian-{function}"), function, &NewSecret::File(&credential(&folder)))
                    .unwrap();
            (function, Part { tls: made.tls, key: made.key })
        });
        let gateway_part = Part { tls: gateway.fingerprint(), key: on_paper(&folder, "gateway-1") };
        let register_part = Part { tls: register.fingerprint(), key: identity_public_key(&key).unwrap() };
        let mut charter = people::charter(&people, &parts, &gateway_part, &register_part);
        let second = (second_gateway.fingerprint(), on_paper(&folder, "gateway-2"));
        charter.gateway.push(GatewayPart { name: "gateway-2".into(), tls: second.0, key: second.1 });
        let (tls, key) = (usage.fingerprint(), on_paper(&folder, "usage-1"));
        charter.usage.push(UsagePart { name: "usage-1".into(), tls, key });
        let charter = Statement::Charter(charter).to_text().unwrap();
        let (listener, address) = listener().await;
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
        let follow = FollowConfig {
            register_address: address.clone(),
            register_tls: register.fingerprint(),
            charter_sha256: config.charter_sha256,
        };
        let server = Register::open(config, Arc::new(now)).unwrap();
        let open_register = Arc::clone(&server);
        let register_task = tokio::spawn(async move { server.serve(listener).await.unwrap() });
        let admin = RegisterClient::new(&admin, register.fingerprint(), &address).unwrap();
        let mut world = Self {
            folder,
            people,
            follow,
            admin,
            gateway,
            second_gateway,
            usage,
            register: register_task,
            open_register,
            custodians: BTreeMap::new(),
            lease_s,
            limits,
        };
        let all: Vec<&str> = PERSONS.iter().map(|(name, _)| *name).collect();
        world.admin.submit(&charter, &world.people.sign_all(&all, &charter)).await.unwrap();
        world.enact(&classification("c1", None, "")).await;
        world.enact(&mandate("m1", "")).await;
        for function in Function::ALL {
            world.start(function, 30).await;
        }
        world
    }

    /// The TLS identity of who hands statements in.
    pub fn admin_identity(&self) -> Arc<TlsIdentity> {
        Arc::new(TlsIdentity::load(&self.folder.join("admin")).unwrap())
    }

    pub async fn enact(&self, text: &str) {
        assert!(self.admin.submit(text, &self.people.sign_all(&APPROVERS, text)).await.unwrap().in_force);
    }

    pub async fn start(&mut self, function: Function, max_register_age_s: u64) {
        let running = self.run(function, max_register_age_s, "").await;
        self.custodians.insert(function, running);
    }

    pub async fn serve_at(&mut self, function: Function, at: &str) {
        let running = self.run_at(function, 30, "", at).await;
        self.custodians.insert(function, running);
    }

    pub async fn run(&self, function: Function, max_register_age_s: u64, replica: &str) -> Running {
        self.run_at(function, max_register_age_s, replica, "127.0.0.1:0").await
    }

    /// A custodian of this function, with its secret and identity; a replica has a journal of its own.
    pub async fn run_at(&self, function: Function, max_register_age_s: u64, replica: &str, at: &str) -> Running {
        let folder = self.folder.join(function.to_string());
        let config = CustodianConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            function,
            secret: Some(folder.join(SECRET_FILE)),
            credential: Some(credential(&folder)),
            pkcs11: None,
            key: folder.join(KEY_FILE),
            identity: folder.join(TLS_FOLDER),
            journal: folder.join(format!("journal{replica}")),
            journal_keep_days: None,
            origin: format!("{TENANT}/custodian-{function}{replica}"),
            register: self.follow.clone(),
            lease_s: self.lease_s,
            max_register_age_s,
            limits: self.limits,
            metrics: None,
            serve_journal: None,
            witness: Vec::new(),
        };
        let tls = TlsIdentity::load(&config.identity).unwrap().fingerprint();
        let custodian = Custodian::open(config, Arc::new(now)).unwrap();
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = Arc::clone(&custodian);
        let task = tokio::spawn(async move { serving.serve(listener).await.unwrap() });
        custodian.follower().ready().await.unwrap();
        Running { custodian, task, address, tls }
    }

    pub async fn stop(&mut self, function: Function) {
        let running = self.custodians.remove(&function).unwrap();
        running.task.abort();
        let _ = running.task.await;
        running.custodian.close().unwrap();
    }

    pub fn addresses(&self) -> Vec<CustodianAddress> {
        let address = |(function, running): (&Function, &Running)| CustodianAddress {
            function: *function,
            address: running.address.clone(),
            tls: running.tls,
        };
        self.custodians.iter().map(address).collect()
    }

    pub async fn keyring_with(&self, custodians: Vec<CustodianAddress>) -> (Arc<Keyring>, Arc<Follower>) {
        self.keyring_of(&self.gateway, custodians).await
    }

    pub async fn keyring_of(
        &self,
        gateway: &Arc<TlsIdentity>,
        custodians: Vec<CustodianAddress>,
    ) -> (Arc<Keyring>, Arc<Follower>) {
        let follower = Follower::start(self.follow.clone(), Arc::clone(gateway)).unwrap();
        follower.ready().await.unwrap();
        let config = KeyringConfig { custodians };
        let keyring = Keyring::new(config, Arc::clone(gateway), Arc::clone(&follower), Arc::new(now)).unwrap();
        (keyring, follower)
    }

    pub async fn keyring(&self) -> (Arc<Keyring>, Arc<Follower>) {
        self.keyring_with(self.addresses()).await
    }

    /// Bodies of the entries of one kind in a custodian's journal, once it was stopped.
    pub fn journal(&self, function: Function, kind: &str) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let reader = Reader::open(&self.folder.join(function.to_string()).join("journal")).unwrap();
        let entries = reader.entries(0, reader.size()).unwrap();
        let decoded = entries.map(|entry| entry::decode(&entry.unwrap().1).unwrap());
        decoded.filter(|entry| entry.kind == kind).map(|entry| entry.body).collect()
    }
}

pub async fn within(limit: Duration, what: &str, reached: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}
