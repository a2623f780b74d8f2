//! Two tenants with one processor: nothing of the one is of use at the other. Both have the same names throughout, so that only
//! keys, charters and secrets tell them apart.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::psql::{Said, run};
use common::{DATABASE, Trial, data};
use drieslot_link::{Client, Fingerprint, Response, TlsIdentity};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The second tenant's database and role at the processor of the first.
const TOWN: &str = "town";
const TOWN_ROLE: &str = "town_gateway";
const CLASSIFICATION: &str = r#"kind = "classification"
tenant = "trial-agency"
id = "town-columns"
issued = "2025-01-01T00:00:00Z"
database = "town"

[[table]]
name = "note"
column = [
  { name = "note_id", class = 1, protection = "plain" },
  { name = "body", class = 3, protection = "sealed", type = "text", domain = "trial.public.note.body" },
]
"#;
const READ: &str = "SELECT body FROM note WHERE note_id = 1";

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn identity(trial: &Trial, part: &str) -> TlsIdentity {
    TlsIdentity::load(&trial.data().join(part).join("tls")).unwrap()
}

/// One part of one tenant asks a part of another, which it knows by its right key.
async fn ask(by: &TlsIdentity, trial: &Trial, part: &str, port: u16, target: &str) -> Result<u16, String> {
    let there = identity(trial, part).fingerprint();
    let client = Client::new(by, there, format!("127.0.0.1:{port}")).unwrap();
    client.get(target).await.map(|(status, _)| status).map_err(|error| error.to_string())
}

struct Tenants {
    agency: Trial,
    town: Trial,
}

impl Tenants {
    fn new() -> Self {
        let (mut agency, mut town) = (Trial::small(), Trial::small());
        agency.take_apart(|config| config.replacen("identity", "# one by one\nidentity", 1));
        agency.superuser("postgres", &format!("REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC"));
        let password = text(&town.data().join("gateway/backend.password"));
        agency.superuser("postgres", &format!("CREATE ROLE {TOWN_ROLE} LOGIN PASSWORD '{}'", password.trim()));
        agency.superuser("postgres", &format!("CREATE DATABASE {TOWN} OWNER {TOWN_ROLE}"));
        agency.superuser("postgres", &format!("REVOKE CONNECT ON DATABASE {TOWN} FROM PUBLIC"));
        let (mine, theirs) = (town.port + 1, agency.port + 1);
        let root = |trial: &Trial| trial.processor().display().to_string();
        let (own_root, its_root) = (root(&town), root(&agency));
        town.take_apart(|config| {
            let config = config.replace(&format!("127.0.0.1:{mine}"), &format!("127.0.0.1:{theirs}"));
            config
                .replace(&own_root, &its_root)
                .replace("user = \"drieslot_gateway\"", &format!("user = \"{TOWN_ROLE}\""))
        });
        let all = ["structure", "access", "keys"];
        assert!(town.sign_and_submit("town.toml", CLASSIFICATION, &all).contains("in force"));
        assert!(
            town.sign_and_submit("town-app.toml", &data::small_mandate("town-app", TOWN), &all).contains("in force")
        );
        let tenants = Self { agency, town };
        let made =
            "CREATE TABLE note (note_id integer PRIMARY KEY, body text); INSERT INTO note VALUES (1, 'of the town')";
        let started = Instant::now();
        while !tenants.town(made).ok {
            assert!(started.elapsed() < Duration::from_secs(15), "{:?}", tenants.town(made));
            std::thread::sleep(Duration::from_millis(200));
        }
        tenants
    }

    fn town(&self, sql: &str) -> Said {
        run(self.town.app_psql(TOWN).args(["-At", "-c", sql]), "")
    }

    /// Both read their own, and only that.
    fn well(&self) {
        assert_eq!(self.agency.app_ok(READ), "first");
        assert_eq!(self.town(READ).out.trim(), "of the town");
    }

    fn identities(&self) {
        let (agency, town) = (&self.agency, &self.town);
        let (stranger, own) = (identity(agency, "gateway"), identity(town, "gateway"));
        Runtime::new().unwrap().block_on(async {
            let parts = [
                ("register", 2, "/checkpoint"),
                ("custodian-structure", 3, "/health"),
                ("custodian-access", 4, "/health"),
                ("custodian-keys", 5, "/health"),
            ];
            for (part, offset, target) in parts {
                let port = town.port + offset;
                assert_eq!(ask(&own, town, part, port, target).await, Ok(200), "{part}");
                let refused = ask(&stranger, town, part, port, target).await;
                assert!(refused.is_err(), "{part} lets the other tenant's gateway in: {refused:?}");
            }
        });
    }

    fn statements(&self) {
        let theirs = self.agency.prepare_revocation("app-1");
        let copied = self.town.write("revocation.toml", &text(Path::new(&theirs)));
        let signature = PathBuf::from(format!("{theirs}.access.sig"));
        self.town.write("revocation.toml.access.sig", &text(&signature));
        let copied = copied.display().to_string();
        let said = self.town.drieslot(["submit", &copied, "--register", &self.town.register_toml()]);
        let error = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && error.contains("belongs to no person of the charter"), "{error}");
        // The register of one with the charter of the other.
        let charter = |trial: &Trial| {
            let config = text(&trial.data().join("officers/register.toml"));
            config.lines().find(|line| line.starts_with("charter_sha256")).unwrap().to_owned()
        };
        let mixed = text(Path::new(&self.town.register_toml()));
        let mixed = mixed.replace(&charter(&self.town), &charter(&self.agency));
        let path = self.town.data().join("officers/mixed.toml");
        std::fs::write(&path, mixed).unwrap();
        let said = self.town.drieslot(["access", "app", "--register", &path.display().to_string()]);
        let error = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && error.contains("corrupt"), "{error}");
    }

    fn passwords(&self) {
        let password = text(&self.agency.data().join("application/password"));
        let said = run(self.town.app_psql(TOWN).env("PGPASSWORD", password.trim()).args(["-c", READ]), "");
        assert_eq!((said.ok, said.sqlstate()), (false, None), "{said:?}");
        assert!(said.err.contains("password authentication failed"), "{said:?}");
        // The one's role in the other's database, with the right password: refused before anything is asked.
        let password = text(&self.agency.data().join("gateway/backend.password"));
        let mut command = self.agency.superuser_psql(TOWN);
        command.env("PGHOST", "127.0.0.1").env("PGSSLMODE", "require");
        command.env("PGUSER", "drieslot_gateway").env("PGPASSWORD", password.trim()).args(["-c", "SELECT 1"]);
        let said = run(&mut command, "");
        assert!(!said.ok && said.err.contains("permission denied for database"), "{said:?}");
    }

    /// The processor puts a cell of the one where the other reads.
    fn cells(&self) {
        let cell = self.agency.superuser(DATABASE, READ);
        let kept = self.agency.superuser(TOWN, READ);
        assert!(cell.starts_with("\\x") && kept.starts_with("\\x"));
        let put =
            |cell: &str| self.agency.superuser(TOWN, &format!("UPDATE note SET body = '{cell}' WHERE note_id = 1"));
        put(&cell);
        let said = self.town(READ);
        assert_eq!((said.sqlstate(), said.out.trim()), (Some("XX001"), ""), "{said:?}");
        put(&kept);
    }

    /// A custodian's place is taken by somebody who answers with what a custodian of the other tenant answered.
    fn shares(&mut self) {
        let runtime = Runtime::new().unwrap();
        let gateway = identity(&self.agency, "gateway");
        let custodian = identity(&self.agency, "custodian-structure").fingerprint();
        let address = format!("127.0.0.1:{}", self.agency.port + 3);
        let share = runtime.block_on(async {
            let client = Client::new(&gateway, custodian, address).unwrap();
            let body = r#"{"domain":"trial.public.note.body","epoch":1,"revision":0}"#;
            let (status, body) = client.post("/share", body).await.unwrap();
            assert_eq!(status, 200, "{body:?}");
            body
        });
        self.town.stop_part("custodian-structure");
        let replaying = runtime.spawn({
            let own = Arc::new(identity(&self.town, "custodian-structure"));
            let port = self.town.port + 3;
            async move {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                let handler = move |_, _| std::future::ready(Response::new(200, share.clone()));
                drieslot_link::serve(listener, own, |_: &Fingerprint| true, handler).await.unwrap();
            }
        });
        self.town.stop_part("gateway");
        self.town.start_part("gateway");
        let started = Instant::now();
        let said = loop {
            let said = self.town(READ);
            if said.err.contains("share") || started.elapsed() > Duration::from_secs(15) {
                break said;
            }
            assert!(!said.ok, "read with the share of another tenant");
        };
        assert!(said.err.contains("the custodian of structure gave a wrong share"), "{said:?}");
        replaying.abort();
        let _ = runtime.block_on(replaying);
        self.town.start_part("custodian-structure");
        let started = Instant::now();
        while !self.town(READ).ok {
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", self.town(READ));
        }
    }

    fn escrow(&mut self) {
        self.agency.stop_part("custodian-structure");
        let key = self.agency.folder.path().join("deputy");
        let mut keygen = self.agency.as_user("/usr/bin/ssh-keygen");
        assert!(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success());
        let recipient = format!("Deputy={}", text(&key.with_extension("pub")).trim());
        let out = self.agency.folder.path().join("shares");
        let config = self.agency.data().join("custodian-structure/config.toml");
        let mut command = self.agency.as_user(self.agency.program());
        command.args(["custodian", "escrow", "--threshold", "2", "--recipient", &recipient, "--out"]).arg(&out);
        command.args(["--register", &self.agency.register_toml(), "--config"]).arg(&config);
        let said = run(&mut command, "");
        assert!(said.ok, "{said:?}");
        self.agency.start_part("custodian-structure");

        // To the other tenant's new custodian, with every key that opens the shares.
        let home = self.town.data().join("custodian-structure").display().to_string();
        let fresh = self.town.folder.path().join("fresh");
        let config = text(&self.town.data().join("custodian-structure/config.toml"));
        let config = self.town.write("fresh.toml", &config.replace(&home, &fresh.display().to_string()));
        let recover = |register: &str, config: &Path| {
            let mut command = self.agency.as_user(self.agency.program());
            command.args(["custodian", "recover", "--register", register, "--config"]).arg(config);
            for share in std::fs::read_dir(&out).unwrap() {
                command.arg("--share").arg(share.unwrap().path());
            }
            command.arg("--identity").arg(&key).arg("--identity").arg(self.agency.officer_key("structure"));
            run(&mut command, "")
        };
        let said = recover(&self.town.register_toml(), &config);
        assert!(!said.ok && said.err.contains("share"), "{said:?}");
        assert!(!fresh.join("secret.sealed").exists() && !fresh.join("identity.key").exists());
    }
}

#[test]
fn nothing_of_one_tenant_is_of_use_at_another() {
    let mut tenants = Tenants::new();
    tenants.well();
    tenants.identities();
    tenants.statements();
    tenants.passwords();
    tenants.cells();
    tenants.well();
    tenants.shares();
    tenants.escrow();
    tenants.well();
}
