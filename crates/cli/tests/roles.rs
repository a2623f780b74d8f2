//! Principals with roles of their own at the processor, so that PostgreSQL's own GRANTs hold for them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::psql::{Said, run};
use common::{DATABASE, Trial};

const DUMP: &str = "CREATE TABLE note (note_id integer PRIMARY KEY, body text, label text);
INSERT INTO note VALUES (1, 'first', 'red');
CREATE TABLE town (town_id integer, name text);
INSERT INTO town VALUES (1, 'Gent');
";
const CLASSIFICATION: &str = r#"kind = "classification"
tenant = "trial-agency"
id = "columns-1"
issued = "2025-01-01T00:00:00Z"
database = "trial"

[[table]]
name = "note"
column = [
  { name = "note_id", class = 1, protection = "plain" },
  { name = "body", class = 3, protection = "sealed", type = "text" },
  { name = "label", class = 3, protection = "exact", type = "text", domain = "label", search = true },
]

[[table]]
name = "town"
column = [
  { name = "town_id", class = 1, protection = "plain" },
  { name = "name", class = 1, protection = "plain" },
]
"#;
const ROLES: &str = "CREATE ROLE intake LOGIN PASSWORD 'intake-password';
CREATE ROLE desk LOGIN PASSWORD 'desk-password';
CREATE ROLE chief;
GRANT chief TO desk;
GRANT SELECT, UPDATE ON note TO intake;
GRANT SELECT ON town TO intake, chief;
GRANT SELECT (note_id) ON note TO desk;
";

/// psql as a principal; all have the application's password.
fn ask(trial: &Trial, principal: &str, sql: &str) -> Said {
    run(trial.app_psql(DATABASE).env("PGUSER", principal).args(["-At", "-c", sql]), "")
}

fn answers(trial: &Trial, principal: &str, sql: &str, wanted: &str) {
    let said = ask(trial, principal, sql);
    assert_eq!((said.out.trim(), said.ok), (wanted, true), "{principal}: {sql}\n{}", said.err);
}

fn fails(trial: &Trial, principal: &str, sql: &str, code: &str, words: &[&str]) {
    let said = ask(trial, principal, sql);
    let fits = said.sqlstate() == Some(code) && words.iter().all(|words| said.err.contains(words));
    assert!(fits, "{principal}: {sql}: wanted {code} {words:?}, found {said:?}");
}

/// A trial with principals `app`, `clerk` and `guest`, of which the first two have roles of their own.
fn trial() -> Trial {
    let mut trial = Trial::start_quiet(DUMP, CLASSIFICATION);
    trial.superuser(DATABASE, ROLES);
    let mandate = std::fs::read_to_string(trial.data().join("statements/mandate.toml")).unwrap();
    for principal in ["clerk", "guest"] {
        let own = mandate.replace("id = \"app-1\"", &format!("id = \"{principal}-1\""));
        let own = own.replace("principal = \"app\"", &format!("principal = \"{principal}\""));
        let said = trial.sign_and_submit(&format!("{principal}.toml"), &own, &["structure", "access", "keys"]);
        assert!(said.contains("in force"), "{said}");
    }
    let principals = trial.data().join("gateway/principals.toml");
    let app = std::fs::read_to_string(&principals).unwrap();
    let others = ["clerk", "guest"].map(|name| app.replace("app = ", &format!("{name} = ")));
    std::fs::write(&principals, format!("{app}{}", others.concat())).unwrap();
    let hba = trial.processor().join("data/pg_hba.conf");
    let lines = std::fs::read_to_string(&hba).unwrap();
    let more = ["intake", "desk"].map(|role| format!("hostssl all {role} 127.0.0.1/32 scram-sha-256\n"));
    std::fs::write(&hba, format!("{lines}{}", more.concat())).unwrap();
    trial.superuser(DATABASE, "SELECT pg_reload_conf()");
    let roles = [("app", "intake"), ("clerk", "desk")].map(|(principal, role)| {
        let file = trial.write(&format!("{role}.password"), &format!("{role}-password\n"));
        format!("\n[backend.roles.{principal}]\nuser = \"{role}\"\npassword_file = \"{}\"\n", file.display())
    });
    trial.take_apart(|config| format!("{config}{}", roles.concat()));
    trial
}

#[test]
fn grants_of_postgresql_hold_for_each_principal() {
    let mut trial = trial();
    for (principal, role) in [("app", "intake"), ("clerk", "desk"), ("guest", "drieslot_gateway")] {
        answers(&trial, principal, "SELECT current_user || ' ' || session_user", &format!("{role} {role}"));
    }
    answers(&trial, "app", "SELECT name FROM town", "Gent");
    answers(&trial, "guest", "SELECT name FROM town", "Gent");
    fails(&trial, "app", "DELETE FROM town", "42501", &["permission denied for table town"]);
    fails(&trial, "app", "DELETE FROM note", "42501", &["permission denied for table note"]);
    answers(&trial, "app", "SELECT body, label FROM note WHERE label LIKE 'r%'", "first|red");
    answers(&trial, "app", "UPDATE note SET body = 'second' WHERE label = 'red' RETURNING body", "second");
    // The mandate is there, the privilege is not: whether the gateway asks first or not.
    for sql in [
        "SELECT body FROM note",
        "SELECT count(*) FROM note WHERE label = 'red'",
        "SELECT note_id FROM note WHERE label LIKE 'r%'",
        "UPDATE note SET body = 'third'",
        "COPY note (body) TO STDOUT",
    ] {
        fails(&trial, "clerk", sql, "42501", &["permission denied for table note"]);
    }
    answers(&trial, "clerk", "SELECT note_id FROM note", "1");

    // What a role inherits it has; what it could become it does not.
    answers(&trial, "clerk", "SELECT name FROM town", "Gent");
    trial.superuser(DATABASE, "ALTER ROLE desk NOINHERIT; REVOKE chief FROM desk; GRANT chief TO desk");
    fails(&trial, "clerk", "SELECT name FROM town", "42501", &["permission denied for table town"]);
    for sql in [
        "SET ROLE chief",
        "SET LOCAL ROLE 'chief'",
        "SET SESSION AUTHORIZATION desk",
        "SELECT set_config('role', 'chief', false)",
        "SELECT pg_catalog.set_config('ROLE', 'chief', false)",
        "DO $$ BEGIN SET ROLE chief; END $$",
    ] {
        fails(&trial, "clerk", sql, "42501", &["not allowed"]);
    }
    answers(&trial, "clerk", "RESET ROLE; RESET SESSION AUTHORIZATION; SELECT current_user", "desk");
    for options in ["-c role=chief", "--Role=chief", "-crole=chief", "-c session\\_authorization=desk"] {
        let mut command = trial.app_psql(DATABASE);
        let said = run(command.env("PGUSER", "clerk").env("PGOPTIONS", options).args(["-c", "SELECT 1"]), "");
        assert!(!said.ok && said.err.contains("is not allowed"), "{options}: {said:?}");
    }
    a_role_that_cannot_sign_in_is_named(&mut trial);
    trial.check_journals();
}

fn a_role_that_cannot_sign_in_is_named(trial: &mut Trial) {
    trial.superuser(DATABASE, "ALTER ROLE desk PASSWORD 'another'");
    let said = ask(trial, "clerk", "SELECT 1");
    assert!(said.err.contains("[backend.roles.\"clerk\"]") && said.err.contains("\"desk\" (28P01)"), "{said:?}");
    assert!(!said.err.contains("desk-password"), "{said:?}");
    answers(trial, "app", "SELECT name FROM town", "Gent");
    trial.superuser(DATABASE, "ALTER ROLE drieslot_gateway PASSWORD 'another'");
    let said = ask(trial, "guest", "SELECT 1");
    assert!(said.err.contains("Check [backend] in the gateway's configuration"), "{said:?}");

    // Without a default, a principal that has no role of its own is not let in.
    trial.restart_gateway(|config| {
        let mut seen = 0;
        let own = |line: &&str| {
            seen += usize::from(line.starts_with("user = ") || line.starts_with("password_file = "));
            seen > 2 || !(line.starts_with("user = ") || line.starts_with("password_file = "))
        };
        config.lines().filter(own).collect::<Vec<_>>().join("\n") + "\n"
    });
    let said = ask(trial, "guest", "SELECT 1");
    assert!(said.err.contains("has no role at the processor") && said.err.contains("HINT"), "{said:?}");
    answers(trial, "app", "SELECT name FROM town", "Gent");

    // A role for nobody is a mistake, and is found before anybody gets the default in its place.
    let config = trial.data().join("gateway/config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("[backend.roles.clerk]", "[backend.roles.clrek]");
    std::fs::write(&config, text).unwrap();
    let output = trial.drieslot(["gateway", "run", "--config", &config.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("clrek") && said.contains("no such principal"), "{said}");
}
