//! PostgreSQL's own regression suite through the gateway with nothing protected: the same output as without it.
//!
//! Runs where `DRIESLOT_REGRESS` names a folder with `src/test/regress` of PostgreSQL's source (`tools/regress_suite`
//! fetches it) and a `regress.so` made from it. The expected output is that of a run past the gateway, on a fresh
//! cluster of the same server, test by test in the schedule's order.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Trial;

const DATABASE: &str = "regression";
const TEST_WITHIN: Duration = Duration::from_secs(240);

/// Tests whose output differs, and why that is right.
const DIFFERENT: &str = include_str!("regress.txt");

const CLASSIFICATION: &str = r#"kind = "classification"
tenant = "trial-agency"
id = "regression"
issued = "2025-01-01T00:00:00Z"
database = "regression"
unlisted_tables = "plain"
"#;

/// How the gateway tells of a text that is not SQL to it. It does not repeat what it could not read, which may be a value.
const UNREAD: &str = "ERROR:  syntax error";

/// How a run reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Gateway,
}

/// The tests in order, one by one.
fn schedule(suite: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(suite.join("parallel_schedule")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("test:"));
    let all: Vec<String> = lines.flat_map(|line| line.split_whitespace().map(str::to_owned)).collect();
    match std::env::var("DRIESLOT_REGRESS_TESTS") {
        // Those that others build upon come always.
        Ok(wanted) => {
            let wanted: BTreeSet<&str> = wanted.split(',').chain(["test_setup", "create_index"]).collect();
            all.into_iter().filter(|name| wanted.contains(name.as_str())).collect()
        }
        Err(_) => all,
    }
}

fn prepare(trial: &Trial, suite: &Path) -> PathBuf {
    let said = trial.sign_and_submit("regression.toml", CLASSIFICATION, &["structure", "access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    let settings = ["lc_messages", "lc_monetary", "lc_numeric", "lc_time"];
    let locale: String =
        settings.iter().map(|name| format!("ALTER DATABASE {DATABASE} SET {name} TO 'C';\n")).collect();
    trial.superuser(
        "postgres",
        &format!(
            "ALTER ROLE drieslot_gateway SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS;
             CREATE DATABASE {DATABASE} TEMPLATE template0 OWNER drieslot_gateway;
             {locale}ALTER DATABASE {DATABASE} SET timezone_abbreviations TO 'Default';"
        ),
    );
    // A copy that the server can read, and write into.
    let copy = trial.folder.path().join("regress");
    let copied = Command::new("cp").arg("-r").arg(suite).arg(&copy).status().unwrap();
    assert!(copied.success());
    std::fs::create_dir_all(copy.join("results")).unwrap();
    let owned = Command::new("chmod").args(["-R", "a+rwX"]).arg(&copy).status().unwrap();
    assert!(owned.success());
    copy
}

fn psql(trial: &Trial, way: Way, suite: &Path) -> Command {
    let mut command = trial.app_psql(DATABASE);
    if way == Way::Plain {
        let password = std::fs::read_to_string(trial.data().join("gateway/backend.password")).unwrap();
        command.env("PGPORT", (trial.port + 1).to_string()).env("PGUSER", "drieslot_gateway");
        command.env("PGPASSWORD", password.trim()).env("PGSSLMODE", "require").env_remove("PGSSLROOTCERT");
    }
    // Those of pg_regress.
    command.env("PGTZ", "PST8PDT").env("PGDATESTYLE", "Postgres, MDY");
    command.env("PGOPTIONS", "-c intervalstyle=postgres_verbose").env("LC_MESSAGES", "C").env_remove("LC_ALL");
    command.env("PG_ABS_SRCDIR", suite).env("PG_ABS_BUILDDIR", suite).env("PG_LIBDIR", suite);
    command.env("PG_DLSUFFIX", ".so");
    command.args(["-a", "-v", "VERBOSITY=default", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"]);
    command.current_dir(suite);
    command
}

fn run(trial: &Trial, way: Way, suite: &Path, name: &str) -> String {
    let path = trial.folder.path().join(format!("{name}.out"));
    let out = File::create(&path).unwrap();
    let mut command = psql(trial, way, suite);
    command.stdin(File::open(suite.join(format!("sql/{name}.sql"))).unwrap());
    let mut child = command.stdout(out.try_clone().unwrap()).stderr(Stdio::from(out)).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > TEST_WITHIN {
            child.kill().unwrap();
            child.wait().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap()
}

/// Without what two clusters never have in common.
fn comparable(trial: &Trial, output: &str) -> Vec<String> {
    let folder = trial.folder.path().display().to_string();
    output.lines().map(|line| line.replace(&folder, "FOLDER")).collect()
}

/// Lines that say more about an error.
fn explains(line: &str) -> bool {
    line.trim() == "^" || ["LINE ", "HINT: ", "DETAIL: "].iter().any(|start| line.starts_with(start))
}

/// Where the outputs part. The gateway may tell of a syntax error in words of its own, or not know its place.
fn first_difference(plain: &[String], gateway: &[String]) -> Option<(usize, usize)> {
    let (mut there, mut here) = (0, 0);
    let after = |lines: &[String], from: usize| from + lines[from..].iter().take_while(|line| explains(line)).count();
    loop {
        match (plain.get(there), gateway.get(here)) {
            (None, None) => return None,
            (Some(a), Some(b)) if b.starts_with(UNREAD) && a.starts_with("ERROR:  ") => {
                (there, here) = (after(plain, there + 1), after(gateway, here + 1));
            }
            (Some(a), Some(b)) if a == b => {
                (there, here) = (there + 1, here + 1);
                let no_place = gateway.get(here).is_none_or(|line| !explains(line));
                if a.starts_with("ERROR:  ") && no_place {
                    there = after(plain, there);
                }
            }
            _ => return Some((there, here)),
        }
    }
}

fn shown(plain: &[String], gateway: &[String], (there, here): (usize, usize)) -> String {
    let part =
        |lines: &[String], from: usize, to: usize| lines[from.min(lines.len())..to.min(lines.len())].join("\n      ");
    format!(
        "line {}, after\n      {}\n    plain:\n      {}\n    gateway:\n      {}",
        there + 1,
        part(plain, there.saturating_sub(4), there),
        part(plain, there, there + 4),
        part(gateway, here, here + 4)
    )
}

#[test]
fn the_regression_suite_says_the_same_through_the_gateway() {
    let Some(suite) = std::env::var_os("DRIESLOT_REGRESS").map(PathBuf::from) else {
        eprintln!("SKIPPED: DRIESLOT_REGRESS does not name a folder with PostgreSQL's regression suite");
        return;
    };
    let (plain, gateway) = (Trial::small(), Trial::small());
    let (plain_suite, gateway_suite) = (prepare(&plain, &suite), prepare(&gateway, &suite));
    // The gateway follows the register with a delay.
    std::thread::sleep(Duration::from_secs(3));
    let known: BTreeSet<&str> = DIFFERENT
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let (mut same, mut wrong, mut expected) = (0, Vec::new(), Vec::new());
    for name in schedule(&suite) {
        let (there, here) = std::thread::scope(|scope| {
            let there = scope.spawn(|| comparable(&plain, &run(&plain, Way::Plain, &plain_suite, &name)));
            let here = comparable(&gateway, &run(&gateway, Way::Gateway, &gateway_suite, &name));
            (there.join().unwrap(), here)
        });
        assert!(!there.is_empty(), "{name} says nothing");
        let Some(at) = first_difference(&there, &here) else {
            same += 1;
            continue;
        };
        if known.contains(name.as_str()) {
            expected.push(name);
        } else {
            println!("{name}: {}", shown(&there, &here, at));
            wrong.push(name);
        }
    }
    println!("{same} tests say the same; {} differ as described: {}", expected.len(), expected.join(" "));
    assert!(wrong.is_empty(), "{} tests differ: {}", wrong.len(), wrong.join(" "));
    gateway.check_journals();
}
