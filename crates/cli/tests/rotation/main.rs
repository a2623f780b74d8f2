//! Rotation of keys while applications run: every answer is compared with that of a plain copy, the worker is killed at
//! random moments and goes on, the gateway is killed once; in the end the old key opens nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod application;
#[path = "../common/mod.rs"]
mod common;
mod exchange;
mod world;

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use application::{Application, COPY, compare_all};
use common::processes::{send, wait};
use common::psql::run;
use common::random::Random;
use common::{DATABASE, Trial};
use rustix::process::Signal;
use tokio::runtime::Runtime;
use world::{COMPARED, DOMAINS, classification, dump};

const APPLICATIONS: usize = 3;

impl Trial {
    /// The worker refuses to begin once this was done, and names what stands in the way.
    fn is_in_the_way(&self, sql: &str, undo: &str, wanted: &str) {
        self.superuser(DATABASE, sql);
        let out = self.folder.path().join("x.toml").display().to_string();
        let output = self.drieslot(["keys", "rotate", "--config", &self.config(), "--out", &out]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(wanted) && said.contains("hint:"), "{sql}: {said}");
        self.superuser(DATABASE, undo);
    }

    pub(crate) fn config(&self) -> String {
        self.data().join("gateway/config.toml").display().to_string()
    }

    /// A rotation of these domains, signed by structure and keys.
    pub(crate) fn open_rotation(&self, domains: &[&str], name: &str) {
        let out = self.folder.path().join(name).display().to_string();
        let (register, why) = (self.register_toml(), "the year is over");
        let mut arguments = vec!["keys", "propose", "--why", why, "--out", &out, "--register", &register];
        arguments.extend(domains);
        self.drieslot_ok(arguments);
        let text = std::fs::read_to_string(&out).unwrap();
        let said = self.sign_and_submit(name, &text, &["structure"]);
        assert!(said.contains("1 of keys"), "{said}");
        let said = self.sign_and_submit(name, &text, &["keys"]);
        assert!(said.contains("in force"), "{said}");
    }

    pub(crate) fn start_worker(&self, name: &str, cells_per_second: &str) -> Child {
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.path().join("worker.log")).unwrap();
        let out = self.folder.path().join(name).display().to_string();
        let mut command = self.as_user(self.program());
        command.args(["keys", "rotate", "--config", &self.config(), "--out", &out]);
        command.args(["--cells-per-second", cells_per_second]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    pub(crate) fn worker_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("worker.log")).unwrap_or_default()
    }

    /// The worker does all that is left.
    pub(crate) fn finish_rotation(&self, name: &str) {
        let mut worker = self.start_worker(name, "1000000");
        let status = wait(&mut worker, Duration::from_secs(120));
        assert!(status.is_some_and(|status| status.success()), "{}", self.worker_log());
    }

    pub(crate) fn retire(&self, name: &str) {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        let said = self.sign_and_submit(name, &text, &["keys"]);
        assert!(said.contains("in force"), "{said}");
    }

    /// Number of cells of a column by epoch, as the processor has them.
    pub(crate) fn epochs(&self, table: &str, column: &str) -> String {
        let sql = format!(
            "SELECT string_agg(epoch || ':' || cells, ' ' ORDER BY epoch) FROM (SELECT get_byte({column}, 1) * 256 \
             + get_byte({column}, 2) AS epoch, count(*) AS cells FROM {table} WHERE {column} IS NOT NULL GROUP BY 1) t"
        );
        self.superuser(DATABASE, &sql)
    }

    fn keys(&self, command: &str) -> String {
        let (option, file) = match command {
            "status" => ("--register", self.register_toml()),
            _ => ("--config", self.config()),
        };
        self.drieslot_ok(["keys", command, option, &file])
    }
}

/// The worker begins, and is killed again and again; the gateway is killed once.
fn rotate_under_fire(trial: &mut Trial, random: &mut Random, retirement: &str) {
    for kill in 0..4 {
        let mut worker = trial.start_worker(retirement, "900");
        std::thread::sleep(Duration::from_millis(400 + u64::try_from(random.below(1_200)).unwrap()));
        send(worker.id(), Signal::KILL);
        let status = worker.wait().unwrap();
        assert!(!status.success(), "the worker was done before it was killed:\n{}", trial.worker_log());
        if kill == 1 {
            trial.kill_part("gateway");
            // It is gone already: this waits until its port is free.
            trial.stop_part("gateway");
            trial.start_part("gateway");
        }
    }
    trial.finish_rotation(retirement);
}

#[test]
fn every_answer_is_right_while_cells_are_brought_over() {
    let mut trial = Trial::start_quiet(&dump(), &classification());
    trial.take_apart(|text| format!("{text}\n"));
    trial.app_ok("CREATE INDEX client_street ON client USING gin (street)");
    trial.superuser("postgres", &format!("CREATE DATABASE {COPY}"));
    trial.superuser(COPY, &dump());
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = Runtime::new().unwrap();
    let mut applications = Vec::new();
    for number in 0..APPLICATIONS {
        let through = application::Way::of(&trial);
        let stop = Arc::clone(&stop);
        applications.push(runtime.spawn(async move { Application::new(through, number).run(&stop).await }));
    }
    let mut random = Random(20_261_125);
    let stale: Vec<String> = trial
        .superuser(DATABASE, "SELECT encode(name, 'hex') FROM client WHERE client_id = 7")
        .lines()
        .map(str::to_owned)
        .collect();
    for epoch in [2, 3] {
        let (rotation, retirement) = (format!("rotation-{epoch}.toml"), format!("retirement-{epoch}.toml"));
        trial.open_rotation(&[DOMAINS, COMPARED].concat(), &rotation);
        rotate_under_fire(&mut trial, &mut random, &retirement);
        assert!(trial.keys("status").contains(&format!("to {epoch} by gateway")), "{}", trial.keys("status"));
        trial.retire(&retirement);
        std::thread::sleep(Duration::from_secs(1));
    }
    std::thread::sleep(Duration::from_secs(1));
    stop.store(true, Ordering::SeqCst);
    let mut done = 0;
    for application in applications {
        done += runtime.block_on(application).unwrap();
    }
    println!("{done} answers were compared");
    assert!(done > 500, "only {done} answers were compared");
    runtime.block_on(compare_all(&application::Way::of(&trial)));
    for (table, column) in [
        ("client", "name"),
        ("client", "born"),
        ("client", "tags"),
        ("visit", "note"),
        ("client", "code"),
        ("visit", "code"),
        ("badge", "code"),
        ("client", "rank"),
        ("client", "street"),
    ] {
        let found = trial.epochs(table, column);
        assert!(found.starts_with("3:") && !found.contains(' '), "{table}.{column}: {found}");
    }
    assert!(trial.keys("verify").contains("in epoch 3"));
    old_cells_are_worth_nothing(&trial, &stale[0]);
    definitions_still_hold(&trial);
    trial.check_journals();
}

/// Keys, foreign keys, CHECKs and defaults of exchanged cells.
fn definitions_still_hold(trial: &Trial) {
    for (sql, code) in [
        ("INSERT INTO client (client_id, code, name) VALUES (900001, 'C00007', 'twice')", "23505"),
        ("INSERT INTO badge VALUES (9, 'nobody')", "23503"),
        ("UPDATE client SET rank = 100000 WHERE client_id = 7", "23514"),
    ] {
        assert_eq!(trial.app_fails(sql).0, code, "{sql}");
    }
    trial.app_ok("INSERT INTO badge VALUES (9, 'C00009')");
    trial.app_ok("INSERT INTO client (client_id, code, name) SELECT 900002, 'new', 'New'");
    assert_eq!(trial.app_ok("SELECT rank FROM client WHERE code = 'new'"), "5");
    trial.app_ok("INSERT INTO visit (visit_id, client_id) SELECT 900002, 7");
    assert_eq!(trial.app_ok("SELECT visit_id FROM visit WHERE code = 'none' AND visit_id > 900000"), "900002");
    let left = trial.superuser(DATABASE, "SELECT count(*) FROM pg_class WHERE relname LIKE 'drieslot%'");
    assert_eq!(left, "0", "the worker left tables behind");
    let waiting = trial.superuser(DATABASE, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated");
    assert_eq!(waiting, "0", "constraints are not validated");
}

/// The processor puts back what it has kept.
fn old_cells_are_worth_nothing(trial: &Trial, stale: &str) {
    let put_back = format!("UPDATE client SET name = decode('{stale}', 'hex') WHERE client_id = 7");
    let said = run(trial.superuser_psql(DATABASE).args(["-c", &put_back]), "").err;
    assert!(said.contains("client") && said.contains("name_is_cell"), "the column's check takes the old epoch: {said}");
    trial.superuser(DATABASE, &format!("ALTER TABLE client DROP CONSTRAINT name_is_cell; {put_back}"));
    let (code, text) = trial.app_fails("SELECT name FROM client WHERE client_id = 7");
    assert_eq!(code, "XX001", "{text}");
    assert!(text.contains("public.client.name") && text.contains("epoch 1") && text.contains("HINT:"), "{text}");
    let output = trial.drieslot(["keys", "verify", "--config", &trial.config()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("epoch 1 is not in use") && said.contains("ctid"), "{said}");
}

#[test]
fn what_stands_in_the_way_is_named_before_anything_is_touched() {
    let trial = Trial::start_quiet(&dump(), &classification());
    let output = trial.drieslot(["keys", "rotate", "--config", &trial.config()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no rotation") && said.contains("keys propose"), "{said}");
    trial.open_rotation(&DOMAINS, "rotation.toml");
    let refused = |sql: &str, undo: &str, wanted: &str| trial.is_in_the_way(sql, undo, wanted);
    refused("CREATE TABLE younger () INHERITS (visit)", "DROP TABLE younger", "public.visit");
    refused("CREATE RULE r AS ON UPDATE TO visit DO ALSO NOTHING", "DROP RULE r ON visit", "has rules");
    refused("ALTER TABLE client OWNER TO postgres", "ALTER TABLE client OWNER TO drieslot_gateway", "does not own");
    refused(
        "ALTER TABLE client ADD copied bytea GENERATED ALWAYS AS (name || ''::bytea) STORED",
        "ALTER TABLE client DROP copied",
        "copied",
    );
    let trigger = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
                   'BEGIN NEW.visits := -1; RETURN NEW; END'; \
                   CREATE TRIGGER touched BEFORE UPDATE ON client FOR EACH ROW EXECUTE FUNCTION touch()";
    refused(trigger, "SELECT 1", "touched");
    assert_eq!(trial.epochs("visit", "note"), "1:2000", "nothing was touched");
    let always = "ALTER TABLE client ENABLE ALWAYS TRIGGER touched";
    refused(always, "ALTER TABLE client ENABLE TRIGGER touched", "touched");
    trial.superuser(DATABASE, "GRANT SET ON PARAMETER session_replication_role TO drieslot_gateway");
    trial.finish_rotation("retirement.toml");
    assert_eq!(trial.superuser(DATABASE, "SELECT count(*) FROM client WHERE visits = -1"), "0", "a trigger ran");
    trial.retire("retirement.toml");
    // The default was brought over too, whoever fills it in.
    trial.app_ok("INSERT INTO visit (visit_id, client_id) VALUES (9001, 7)");
    trial.app_ok("INSERT INTO visit (visit_id, client_id) SELECT 9002, 7");
    assert_eq!(trial.app_ok("SELECT note FROM visit WHERE visit_id > 9000 ORDER BY visit_id"), "none yet\nnone yet");
    assert!(trial.epochs("visit", "note").starts_with("2:"), "{}", trial.epochs("visit", "note"));
    assert_eq!(trial.app_ok("SELECT name FROM client WHERE client_id = 7"), "Name 7");
    definitions_are_as_before(&trial);
}

/// The check that was made anew says what it said, and keeps out the old epoch also when the column's type is changed.
fn definitions_are_as_before(trial: &Trial) {
    let long = |length: usize| format!("UPDATE visit SET note = '{}' WHERE visit_id = 9001", "y".repeat(length));
    assert_eq!(trial.app_fails(&long(41)).0, "22001");
    trial.app_ok("ALTER TABLE visit ALTER COLUMN note TYPE varchar(60)");
    trial.app_ok(&long(60));
    assert_eq!(trial.app_fails(&long(61)).0, "22001");
    let check = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'note_is_cell'";
    let check = trial.superuser(DATABASE, check);
    assert!(check.contains("\\x0002") && check.contains("varying(60)"), "{check}");
    let shown = trial.app("\\d visit").out;
    assert!(shown.contains("character varying(60)") && !shown.contains("is_cell"), "{shown}");
}
