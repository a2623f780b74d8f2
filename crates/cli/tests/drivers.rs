//! Drivers and ORMs in their own languages: each runs its script through the gateway and on a plain copy of the tables,
//! and what it tells must be equal, line by line, types too.
//!
//! The scripts are in `drivers/`; `./check` fetches what the quick ones need into `target/drivers`, `./check --full`
//! what the others need.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::check::Canary;
use common::psql::run;
use common::{DATABASE, Trial};

const SCHEMA: &str = include_str!("drivers/schema.sql");
const CLASSIFICATION: &str = include_str!("drivers/classification.toml");
/// Goes into a sealed column through every driver, and must not be anywhere at the processor.
const CANARY: &str = "CANARY-driver-8d1f-Vandevelde";
/// The plain copy's database, role and password.
const PLAIN: &str = "reference";

/// What every script does.
const STEPS: [&str; 17] = [
    "insert one",
    "insert nulls",
    "insert many",
    "fetch",
    "find =",
    "find IN",
    "join",
    "update",
    "upsert",
    "delete",
    "unique",
    "savepoint",
    "rollback",
    "goes on",
    "concurrent",
    "plant",
    "done",
];
const REFUSAL: &str = "gateway refuses | 0A000 | with a hint";

/// One driver, and how its script is started.
struct Driver {
    name: &'static str,
    /// Folder of its sources.
    folder: &'static str,
    /// What fetches and builds it, where `./check` has not done so.
    prepare: &'static [&'static str],
    /// Program and arguments; `{target}` is where its dependencies are.
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// Steps that the gateway still refuses or answers otherwise. A step that works must not be here.
    pending: &'static [&'static str],
}

const PYTHON: &str = "{target}/bin/python";

const QUICK: [Driver; 8] = [
    Driver {
        name: "libpq, pipeline mode",
        folder: "libpq",
        prepare: &[
            "cc",
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
            "-I/usr/include/postgresql",
            "-o",
            "{target}/pipeline",
            "pipeline.c",
            "-lpq",
        ],
        command: &["{target}/pipeline"],
        environment: &[],
        pending: &[],
    },
    Driver {
        name: "psycopg 3",
        folder: "python",
        prepare: &[],
        command: &[PYTHON, "psycopg3.py"],
        environment: &[],
        pending: &[],
    },
    Driver {
        name: "psycopg2",
        folder: "python",
        prepare: &[],
        command: &[PYTHON, "psycopg2_driver.py"],
        environment: &[],
        pending: &[],
    },
    Driver {
        name: "asyncpg",
        folder: "python",
        prepare: &[],
        command: &[PYTHON, "asyncpg_driver.py"],
        environment: &[],
        pending: &[],
    },
    Driver {
        name: "SQLAlchemy over psycopg 3",
        folder: "python",
        prepare: &[],
        command: &[PYTHON, "sqlalchemy_driver.py"],
        environment: &[("DRIVER_DIALECT", "psycopg")],
        pending: &[],
    },
    Driver {
        name: "SQLAlchemy over psycopg2",
        folder: "python",
        prepare: &[],
        command: &[PYTHON, "sqlalchemy_driver.py"],
        environment: &[("DRIVER_DIALECT", "psycopg2")],
        pending: &[],
    },
    Driver {
        name: "node-postgres",
        folder: "node",
        prepare: &[],
        command: &["node", "pg.mjs"],
        environment: &[],
        pending: &[],
    },
    Driver {
        name: "Drizzle over node-postgres",
        folder: "node",
        prepare: &[],
        command: &["node", "drizzle.mjs"],
        environment: &[],
        // Relations are one statement that builds JSON of the columns at the processor; joins are the way.
        pending: &["relations"],
    },
];

/// pgx in one of its exec modes.
const fn pgx(name: &'static str, environment: &'static [(&'static str, &'static str)]) -> Driver {
    Driver {
        name,
        folder: "pgx",
        prepare: &["go", "build", "-o", "{target}/pgx", "."],
        command: &["{target}/pgx"],
        environment,
        pending: &[],
    }
}

/// A Java program of `java/`.
const fn java(
    name: &'static str,
    program: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    pending: &'static [&'static str],
) -> Driver {
    Driver {
        name,
        folder: "java",
        prepare: &["mvn", "--quiet", "--batch-mode", "package"],
        command: program,
        environment,
        pending,
    }
}

const JDBC: &[&str] = &["java", "-cp", "target/classes:target/lib/*", "Jdbc"];
const HIBERNATE: &[&str] = &["java", "-cp", "target/classes:target/lib/*", "Hibernate"];

/// Those that take long to fetch and build.
const SLOW: [Driver; 12] = [
    Driver {
        name: "sqlx",
        folder: "sqlx",
        prepare: &["cargo", "build", "--quiet", "--locked", "--target-dir", "{target}/target"],
        command: &["{target}/target/debug/sqlx-driver"],
        environment: &[],
        pending: &[],
    },
    Driver {
        name: "Django 5, its migrations, ORM and admin",
        folder: "python",
        prepare: &[],
        command: &[PYTHON, "django_driver.py"],
        environment: &[("DRIVER_BINDING", "client")],
        pending: &[],
    },
    java("pgjdbc, simple", JDBC, &[("DRIVER_MODE", "preferQueryMode=simple")], &[]),
    java("pgjdbc, extended", JDBC, &[("DRIVER_MODE", "prepareThreshold=5")], &[]),
    java(
        "pgjdbc, prepared at once, batches rewritten",
        JDBC,
        &[("DRIVER_MODE", "prepareThreshold=1&reWriteBatchedInserts=true")],
        &[],
    ),
    java("pgjdbc, everything cached", JDBC, &[("DRIVER_MODE", "preferQueryMode=extendedCacheEverything")], &[]),
    java("Hibernate 6", HIBERNATE, &[], &[]),
    pgx("pgx, cache_statement", &[("DRIVER_MODE", "cache_statement")]),
    pgx("pgx, cache_describe", &[("DRIVER_MODE", "cache_describe")]),
    pgx("pgx, describe_exec", &[("DRIVER_MODE", "describe_exec")]),
    pgx("pgx, exec", &[("DRIVER_MODE", "exec")]),
    pgx("pgx, simple_protocol", &[("DRIVER_MODE", "simple_protocol")]),
];

/// Where a side is reached.
struct Side {
    name: &'static str,
    variables: Vec<(&'static str, String)>,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers")
}

/// A copy of a folder's sources below what they need, where node and others look for it.
fn workplace(folder: &str) -> PathBuf {
    let place = target(folder).join("src");
    std::fs::create_dir_all(&place).unwrap();
    let copied = Command::new("cp")
        .args(["-r", "--preserve=timestamps"])
        .arg(sources().join(folder).join("."))
        .arg(&place)
        .status();
    assert!(copied.unwrap().success(), "the sources of {folder} could not be copied");
    place
}

/// Where `./check` has put what a folder's scripts need.
fn target(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/drivers").join(folder)
}

fn side(trial: &Trial, name: &'static str) -> Side {
    let gateway = name == "gateway";
    let password = std::fs::read_to_string(trial.data().join("application/password")).unwrap();
    let (user, password, database) = if gateway { ("app", password.trim(), DATABASE) } else { (PLAIN, PLAIN, PLAIN) };
    let root = trial.data().join(if gateway { "gateway/root.crt" } else { "processor/root.crt" });
    let canary = if gateway { CANARY } else { "the plain copy is no secret" };
    let variables = vec![
        ("DRIVER_SIDE", name.to_owned()),
        ("DRIVER_CANARY", canary.to_owned()),
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", (trial.port + u16::from(!gateway)).to_string()),
        ("PGUSER", user.to_owned()),
        ("PGPASSWORD", password.to_owned()),
        ("PGDATABASE", database.to_owned()),
        ("PGSSLMODE", "verify-full".to_owned()),
        ("PGSSLROOTCERT", root.display().to_string()),
    ];
    Side { name, variables }
}

/// The plain copy: a role and a database beside the trial's, on the same server.
fn make_plain(trial: &Trial) {
    trial.superuser("postgres", &format!("CREATE ROLE {PLAIN} LOGIN PASSWORD '{PLAIN}'"));
    trial.superuser("postgres", &format!("CREATE DATABASE {PLAIN} OWNER {PLAIN}"));
    trial.superuser(PLAIN, &format!("SET ROLE {PLAIN};\n{SCHEMA}"));
}

/// Empties the tables on both sides.
fn reset(trial: &Trial) {
    let sql = "TRUNCATE citizen, permit RESTART IDENTITY";
    trial.app_ok(sql);
    trial.superuser(PLAIN, sql);
}

impl Driver {
    /// A command in the copy of its sources.
    fn command(&self, words: &[&str]) -> Command {
        let place = workplace(self.folder);
        let target = target(self.folder).canonicalize().unwrap().display().to_string();
        let mut words = words.iter().map(|word| word.replace("{target}", &target));
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(place);
        command
    }

    /// Fetches and builds it.
    fn prepare(&self) {
        if !self.prepare.is_empty() {
            let said = run(&mut self.command(self.prepare), "");
            assert!(said.ok, "{} cannot be built:\n{}{}", self.name, said.out, said.err);
        }
    }

    /// Whether what it needs is there.
    fn is_installed(&self) -> bool {
        let there = !self.prepare.is_empty() || target(self.folder).exists();
        if !there {
            assert!(std::env::var_os("DRIESLOT_CHECK").is_none(), "nothing in {}", target(self.folder).display());
            eprintln!("SKIPPED: {}: {} is not there; ./check makes it", self.name, target(self.folder).display());
        }
        there
    }

    /// Runs the script on one side; its lines.
    fn tell(&self, side: &Side) -> Vec<String> {
        let mut command = self.command(self.command);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(side.variables.iter().map(|(name, value)| (name, value)));
        command.envs(self.environment.iter().copied());
        let said = run(&mut command, "");
        assert!(said.ok, "{} fails on the {} side after\n{}\n{}", self.name, side.name, last(&said.out), said.err);
        said.out.lines().map(str::to_owned).collect()
    }

    /// What is wrong between the two sides.
    fn differences(&self, plain: &[String], gateway: &[String]) -> Vec<String> {
        let (refusals, through): (Vec<_>, Vec<_>) =
            gateway.iter().map(String::as_str).partition(|line| line.starts_with("gateway refuses"));
        let mut wrong = Vec::new();
        if refusals != [REFUSAL] {
            wrong.push(format!("wanted `{REFUSAL}`, found {refusals:?}"));
        }
        if plain.len() != through.len() {
            wrong.push(format!("{} lines on the plain side, {} through the gateway", plain.len(), through.len()));
        }
        let mut pending = BTreeSet::new();
        for (wanted, found) in plain.iter().zip(&through) {
            let step = step(wanted);
            if wanted != found && self.pending.contains(&step) {
                pending.insert(step);
            } else if wanted != found {
                wrong.push(format!("{step}\n    plain:   {}\n    gateway: {}", short(wanted), short(found)));
            }
        }
        let works = self.pending.iter().filter(|step| !pending.contains(*step));
        wrong.extend(works.map(|step| format!("`{step}` is listed as pending but works: take it off the list")));
        let done: BTreeSet<&str> = plain.iter().map(|line| step(line)).collect();
        wrong.extend(
            STEPS.iter().filter(|step| !done.contains(*step)).map(|step| format!("the step `{step}` is missing")),
        );
        wrong
    }
}

fn step(line: &str) -> &str {
    line.split(" | ").next().unwrap_or_default()
}

fn short(line: &str) -> String {
    line.chars().take(700).collect()
}

fn last(out: &str) -> String {
    short(out.lines().last().unwrap_or("nothing"))
}

/// Runs drivers one after the other; all of them, also where one is wrong.
fn run_all(drivers: &[Driver]) {
    let trial = Trial::start(SCHEMA, CLASSIFICATION);
    // Parse trees of so many statements would fill hundreds of megabytes; statements and parameters are still logged.
    trial.superuser("postgres", "ALTER SYSTEM SET debug_print_parse = off; SELECT pg_reload_conf()");
    make_plain(&trial);
    let (plain, gateway) = (side(&trial, "plain"), side(&trial, "gateway"));
    let mut wrong = Vec::new();
    let mut prepared = BTreeSet::new();
    for driver in drivers.iter().filter(|driver| driver.is_installed()) {
        if prepared.insert(driver.folder) {
            driver.prepare();
        }
        reset(&trial);
        let (wanted, found) = (driver.tell(&plain), driver.tell(&gateway));
        let differences = driver.differences(&wanted, &found);
        println!("{}: {} lines compared, {} differ", driver.name, wanted.len(), differences.len());
        wrong.extend(differences.into_iter().map(|difference| format!("{}: {difference}", driver.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    trial.check(&[Canary::Text(CANARY.into())]);
}

#[test]
fn quick_drivers_find_what_they_find_on_plain_postgresql() {
    run_all(&QUICK);
}

#[test]
fn slow_drivers_find_what_they_find_on_plain_postgresql() {
    if std::env::var_os("DRIESLOT_FULL").is_none() {
        let names: Vec<&str> = SLOW.iter().map(|driver| driver.name).collect();
        eprintln!("SKIPPED: {}: ./check --full runs them", names.join("; "));
        return;
    }
    run_all(&SLOW);
}
