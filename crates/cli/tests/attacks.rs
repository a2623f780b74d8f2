//! The processor's administrator against the gateway: everything a superuser there can do is refused or detected, no
//! planted value reaches the processor, and no ciphertext is passed off as a value.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::psql::run;
use common::session::code;
use common::{DATABASE, Trial, data};
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// What belongs to what is altered is an error of its own.
const ALTERED: &str = "XX001";

/// Puts the cells of a copy back.
const RESTORE: &str = "UPDATE person p SET family_name = k.family_name, account = k.account, income = k.income,
      nickname = k.nickname, age = k.age, balance = k.balance, born = k.born, active = k.active
      FROM kept k WHERE k.person_id = p.person_id;
    UPDATE permit p SET remark = k.remark, national_number = k.national_number
      FROM kept_permit k WHERE k.permit_id = p.permit_id";

fn superuser(trial: &Trial, sql: &str) -> String {
    trial.superuser(DATABASE, sql)
}

/// What the superuser is told, where the statement must fail.
fn superuser_fails(trial: &Trial, sql: &str) -> String {
    let said = run(trial.superuser_psql(DATABASE).args(["-c", sql]), "");
    said.sqlstate().unwrap_or_else(|| panic!("{sql}: {said:?}")).to_owned()
}

/// The statement fails with this SQLSTATE, and shows neither a cell nor a value.
fn fails(trial: &Trial, sql: &str, expected: &str) {
    let (code, text) = trial.app_fails(sql);
    assert_eq!(code, expected, "{sql}: {text}");
    assert!(!text.contains("\\x") && !text.contains("Peeters") && !text.contains("CANARY"), "{sql}: {text}");
}

#[test]
fn altered_cells_are_found_and_nothing_is_shown() {
    let trial = Trial::usual();
    trial.plant();
    // Each changes cells of the person 3 or the permit 1, and is undone by the copy made before.
    superuser(&trial, "CREATE TABLE kept AS SELECT * FROM person; CREATE TABLE kept_permit AS SELECT * FROM permit");
    for (what, attack, read) in [
        (
            "a bit flipped in the tag",
            "UPDATE person SET family_name = set_byte(family_name, length(family_name) - 1, \
             get_byte(family_name, length(family_name) - 1) # 1) WHERE person_id = 3",
            "SELECT family_name FROM person WHERE person_id = 3",
        ),
        (
            "a bit flipped in the middle",
            "UPDATE person SET nickname = set_byte(nickname, 12, get_byte(nickname, 12) # 128) WHERE person_id = 3",
            "SELECT nickname FROM person WHERE person_id = 3",
        ),
        (
            "cut short",
            "UPDATE person SET family_name = substr(family_name, 1, length(family_name) - 1) WHERE person_id = 3",
            "SELECT family_name FROM person WHERE person_id = 3",
        ),
        (
            "made longer",
            "UPDATE person SET family_name = family_name || '\\x00' WHERE person_id = 3",
            "SELECT * FROM person WHERE person_id = 3",
        ),
        (
            "moved between columns of one type",
            "UPDATE person SET account = income, income = account WHERE person_id = 3",
            "SELECT account FROM person WHERE person_id = 3",
        ),
        (
            "moved between tables",
            "UPDATE person SET family_name = (SELECT remark FROM permit WHERE permit_id = 1) WHERE person_id = 3",
            "SELECT family_name FROM person WHERE person_id = 3",
        ),
        (
            "moved between exact columns",
            "UPDATE person SET balance = age WHERE person_id = 3",
            "SELECT balance FROM person WHERE person_id = 3",
        ),
        (
            "moved between exact and sealed",
            "UPDATE person SET income = balance WHERE person_id = 3",
            "SELECT income FROM person WHERE person_id = 3",
        ),
        (
            "another epoch in the header",
            "UPDATE permit SET remark = set_byte(remark, 2, 9) WHERE permit_id = 1",
            "SELECT remark FROM permit WHERE permit_id = 1",
        ),
    ] {
        // What the CHECK of the column refuses is not stored at all; without it the reader finds out.
        let said = run(trial.superuser_psql(DATABASE).args(["-c", attack]), "");
        if !said.ok {
            assert_eq!(said.sqlstate(), Some("23514"), "{what}: {}", said.err);
            drop_checks(&trial);
            superuser(&trial, attack);
        }
        for read in [read.to_owned(), read.replace("WHERE", "WHERE true AND"), format!("{read}; SELECT 1")] {
            fails(&trial, &read, ALTERED);
        }
        superuser(&trial, RESTORE);
        assert!(trial.app(read).ok, "{what}: restored");
    }
    plaintext_in_place_of_a_cell(&trial);
    trial.check(&data::canaries());
}

fn drop_checks(trial: &Trial) {
    superuser(
        trial,
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
                      WHERE contype = 'c' AND conrelid IN ('person'::regclass, 'permit'::regclass) \\gexec",
    );
}

fn plaintext_in_place_of_a_cell(trial: &Trial) {
    for plaintext in ["'Vandamme'::bytea", "'\\x'::bytea", "'\\x00'::bytea", "decode(repeat('00', 64), 'hex')"] {
        drop_checks(trial);
        superuser(
            trial,
            &format!("UPDATE person SET family_name = {plaintext}, nickname = {plaintext} WHERE person_id = 2"),
        );
        for read in [
            "SELECT family_name FROM person WHERE person_id = 2",
            "SELECT nickname FROM person WHERE person_id = 2",
            "COPY person (family_name) TO STDOUT",
        ] {
            let (code, text) = trial.app_fails(read);
            assert_eq!(code, ALTERED, "{plaintext}: {text}");
            assert!(!text.contains("Vandamme"), "{text}");
        }
    }
}

/// In every file of attacks/ the catalogue lies. What the application sends must not be understood otherwise than the
/// officers signed, neither by a session that knew the catalogue before nor by one that comes after.
#[test]
fn a_lying_catalogue_gets_no_value_and_gives_none() {
    let trial = Trial::usual();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    let insert = data::planting().next().unwrap();
    Runtime::new().unwrap().block_on(async {
        for file in &files {
            let what = file.file_stem().unwrap().to_string_lossy();
            let text = std::fs::read_to_string(file).unwrap();
            let (attack, undo) = text.split_once("-- undo\n").unwrap();
            let old = trial.app_session().await;
            old.simple_query("SELECT family_name, town FROM person WHERE person_id = 1; SELECT * FROM person")
                .await
                .unwrap();
            superuser(&trial, attack);
            not_fooled(&old, &format!("{what} (old session)"), insert).await;
            match trial.try_app_session().await {
                Ok(new) => not_fooled(&new, &format!("{what} (new session)"), insert).await,
                Err(error) => assert_eq!(code(&error), "0A000", "{what}"),
            }
            let findings = trial.scan(&data::canaries());
            assert!(findings.is_empty(), "{what}: {findings:#?}");
            superuser(&trial, undo);
        }
    });
    assert_eq!(trial.app_ok("SELECT family_name, town FROM person WHERE person_id = 1"), "Peeters|Gent");
    trial.app_ok("DELETE FROM person WHERE person_id > 900");
    trial.plant();
    trial.check(&data::canaries());
}

/// A session may fail or store cells; it must not take a made-up value for the real one.
async fn not_fooled(session: &Client, what: &str, insert: &str) {
    for read in [
        "SELECT family_name FROM person",
        "SELECT * FROM person",
        "SELECT family_name FROM person WHERE national_number = 85073003328",
    ] {
        match session.simple_query(read).await {
            Ok(messages) => {
                for message in &messages {
                    if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                        let shown: Vec<&str> = (0..row.len()).filter_map(|at| row.get(at)).collect();
                        assert!(
                            !shown.iter().any(|value| value.contains("Fake") || value.starts_with("\\x")),
                            "{what}: {read}: {shown:?}"
                        );
                    }
                }
            }
            Err(error) => {
                let text = format!("{:?}", error.as_db_error());
                assert!(!text.contains("Fake") && !text.contains("\\\\x"), "{what}: {text}");
            }
        }
    }
    // Whether it fails or stores cells, the scan will tell.
    let _ = session.simple_query(insert).await;
    let name = "CANARY-7f3a-Vandenbossche";
    let _ = session.execute("UPDATE person SET family_name = $1 WHERE person_id = 2", &[&name]).await;
    let _ = session.execute("SELECT count(*) FROM person WHERE nickname = $1", &[&"CANARY-nick-41d8"]).await;
}

#[test]
fn settings_that_change_what_text_means_are_noticed() {
    let trial = Trial::usual();
    let evil = "INSERT INTO street VALUES (50, 'a\\', 1), (51, ', (SELECT 1)) --', 2)";
    for (set, reset) in [
        ("ALTER ROLE drieslot_gateway SET standard_conforming_strings = off", "ALTER ROLE drieslot_gateway RESET ALL"),
        ("ALTER DATABASE trial SET standard_conforming_strings = off", "ALTER DATABASE trial RESET ALL"),
        (
            "ALTER SYSTEM SET standard_conforming_strings = off; SELECT pg_reload_conf()",
            "ALTER SYSTEM RESET standard_conforming_strings; SELECT pg_reload_conf()",
        ),
    ] {
        run(&mut trial.superuser_psql(DATABASE), &format!("{set};"));
        std::thread::sleep(std::time::Duration::from_millis(500));
        let said = trial.app(evil);
        assert!(!said.ok && said.err.contains("standard_conforming_strings"), "{set}: {said:?}");
        run(&mut trial.superuser_psql(DATABASE), &format!("{reset};"));
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    assert!(trial.app("SELECT 1").ok);
    // By the application itself.
    for set in [
        "SET standard_conforming_strings = off",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SET client_encoding = 'LATIN1'",
    ] {
        assert!(!trial.app(set).ok, "{set}");
    }
    // How values are printed: right, or refused.
    let query = "SELECT family_name, nickname, born, last_seen, signed_at, token FROM person \
                 WHERE person_id IN (1, 2) ORDER BY person_id";
    let right = trial.app_ok(query);
    for setting in [
        "bytea_output = escape",
        "datestyle = 'German'",
        "timezone = 'UTC'",
        "intervalstyle = 'iso_8601'",
        "extra_float_digits = 0",
        "default_transaction_read_only = on",
    ] {
        superuser(&trial, &format!("ALTER ROLE drieslot_gateway SET {setting}"));
        let said = trial.app(query);
        assert!(!said.out.contains("\\x"), "{setting}: {}", said.out);
        if said.ok && setting.starts_with("datestyle") {
            // The client is told that the setting is another, and so are its values, as by plain PostgreSQL.
            let shown = |of: &str| run(trial.app_psql(DATABASE).args(["-At", "-c", of]), "").out;
            assert!(
                shown("SHOW datestyle").starts_with("German") && shown(query).contains("30.07.1985"),
                "{}",
                said.out
            );
        } else if said.ok {
            assert_eq!(trial.app_ok(query), right, "{setting}");
        } else {
            assert!(["0A000", "XX000", ALTERED].contains(&said.sqlstate().unwrap()), "{setting}: {}", said.err);
        }
        superuser(&trial, "ALTER ROLE drieslot_gateway RESET ALL");
    }
    trial.plant();
    trial.check(&data::canaries());
}

#[test]
fn what_officers_did_not_classify_is_refused() {
    let trial = Trial::usual();
    trial.plant();
    superuser(
        &trial,
        "ALTER TABLE person ADD spy text; CREATE TABLE spies (t text); GRANT ALL ON spies TO PUBLIC;
        CREATE VIEW every AS SELECT * FROM person; GRANT ALL ON every TO PUBLIC;
        CREATE SCHEMA other; GRANT ALL ON SCHEMA other TO PUBLIC; CREATE TABLE other.person (LIKE person);
        GRANT ALL ON other.person TO PUBLIC",
    );
    for sql in [
        "SELECT spy FROM person",
        "SELECT * FROM person",
        "UPDATE person SET spy = 'CANARY-7f3a-Vandenbossche'",
        "INSERT INTO person (person_id, national_number, family_name, spy) \
         VALUES (910, 910, 'x', 'CANARY-7f3a-Vandenbossche')",
        "SELECT * FROM spies",
        "INSERT INTO spies VALUES ('CANARY-7f3a-Vandenbossche')",
        "COPY spies FROM STDIN",
        "SELECT * FROM every",
        "INSERT INTO every (person_id, family_name) VALUES (911, 'CANARY-7f3a-Vandenbossche')",
        "INSERT INTO other.person (person_id, national_number, family_name) \
         VALUES (910, 910, 'CANARY-7f3a-Vandenbossche')",
        "TABLE other.person",
        "CREATE TABLE mine AS SELECT 'CANARY-7f3a-Vandenbossche' AS t",
        "DO $$ BEGIN INSERT INTO spies VALUES ('CANARY-7f3a-Vandenbossche'); END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
        "CREATE VIEW v AS SELECT family_name FROM person",
        "CREATE RULE r AS ON INSERT TO person DO ALSO INSERT INTO spies VALUES (NEW.town)",
        "ALTER TABLE person ALTER family_name SET DEFAULT upper('CANARY-7f3a-Vandenbossche')",
        "ALTER TABLE person ALTER family_name TYPE text",
        "ALTER TABLE person RENAME town TO elsewhere",
        "COMMENT ON TABLE person IS 'CANARY-7f3a-Vandenbossche'; SELECT family_name FROM nowhere",
        "SELECT * FROM query_to_xml('SELECT family_name FROM person', true, true, '')",
        "SELECT lo_from_bytea(0, 'x'), * FROM person",
    ] {
        let said = trial.app(sql);
        let code = said.sqlstate().unwrap_or_else(|| panic!("{sql}: {said:?}"));
        assert!(["42501", "0A000", "42P01", "42703"].contains(&code), "{sql}: {}", said.err);
    }
    // A constant is sealed into the definition; the scan at the end looks for it there too.
    trial.app_ok("ALTER TABLE person ALTER family_name SET DEFAULT 'CANARY-7f3a-Vandenbossche'");
    let check = superuser(
        &trial,
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 'person'::regclass LIMIT 1",
    );
    let said = trial.app(&format!("ALTER TABLE person DROP CONSTRAINT {check}"));
    assert!(!said.ok, "the application took away the check that only cells are stored");
    // What is classified works on.
    assert_eq!(trial.app_ok("SELECT family_name, town FROM public.person WHERE person_id = 1"), "Peeters|Gent");
    // A trigger of the processor's sees cells.
    superuser(
        &trial,
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
          BEGIN INSERT INTO spies VALUES (NEW::text); RETURN NEW; END $$;
        CREATE TRIGGER spy BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION spy()",
    );
    trial.app_ok("UPDATE person SET family_name = 'CANARY-7f3a-Vandenbossche' WHERE person_id = 901");
    assert_ne!(superuser(&trial, "SELECT count(*) FROM spies"), "0");
    assert_eq!(superuser_fails(&trial, "UPDATE person SET family_name = 'x'"), "23514");
    trial.check(&data::canaries());
}
