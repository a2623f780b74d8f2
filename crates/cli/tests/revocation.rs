//! Who may look, and for how long: a revocation stops access within two seconds, a column without a mandate stays
//! closed, and without one of three custodians no key is had.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::session::code;
use common::{Trial, data};
use futures_util::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// What the register's watch may take.
const WITHIN: Duration = Duration::from_secs(2);
/// Enough rows that no buffer between processor and client holds them all.
const BIG_ROWS: i32 = 40_000;

async fn revoke(trial: &Trial, revocation: &str) -> Instant {
    // In a thread of its own: the sessions of the test go on meanwhile.
    tokio::task::block_in_place(|| trial.submit(revocation));
    Instant::now()
}

/// Asks every few milliseconds until the answer is a refusal; how long that took.
async fn until_refused(session: &Client, sql: &str, since: Instant) -> Duration {
    loop {
        match session.simple_query(sql).await {
            Err(error) => {
                assert_eq!(code(&error), "42501", "{error:?}");
                let hint = error.as_db_error().and_then(tokio_postgres::error::DbError::hint).unwrap_or_default();
                assert!(!hint.is_empty(), "no hint: {error:?}");
                return since.elapsed();
            }
            Ok(_) => assert!(since.elapsed() < Duration::from_secs(10), "{sql} still answers"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_revocation_ends_access_at_once_in_the_middle_of_a_result_too() {
    let trial = Trial::usual();
    trial.plant();
    trial.app_ok(&format!(
        "INSERT INTO permit (permit_id, kind, remark) SELECT 10000 + n, 'big', '{}' FROM generate_series(1, {BIG_ROWS}) n",
        "remark ".repeat(200)
    ));
    let revocation = trial.prepare_revocation("app-1");
    Runtime::new().unwrap().block_on(async {
        let open = trial.app_session().await;
        let writing = trial.app_session().await;
        let copying = trial.app_session().await;
        let slow = trial.app_session().await;
        open.simple_query("SELECT family_name FROM person").await.unwrap();
        writing.simple_query("BEGIN; UPDATE person SET family_name = 'lost' WHERE person_id = 1").await.unwrap();
        let mut copy = Box::pin(copying.copy_out("COPY permit (remark) TO STDOUT").await.unwrap());
        let first = copy.try_next().await.unwrap().unwrap();
        assert!(first.starts_with(b"first remark") || first.len() > 10, "{first:?}");
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        // About a chunk in every tenth of a second, for a minute.
        let rows = slow.query_raw("SELECT remark FROM permit WHERE pg_sleep(0.001) IS NOT NULL", none).await.unwrap();
        let mut rows = Box::pin(rows);
        rows.try_next().await.unwrap().unwrap();

        let since = revoke(&trial, &revocation).await;
        let took = until_refused(&open, "SELECT family_name FROM person", since).await;
        println!("an open session: refused {took:?} after the register's answer");
        assert!(took < WITHIN, "an open session read for {took:?} after the revocation");
        let mut seen = 0;
        let ended = loop {
            match rows.next().await {
                Some(Ok(_)) => seen += 1,
                Some(Err(error)) => break error,
                None => panic!("the whole result came through"),
            }
        };
        let took = since.elapsed();
        assert_eq!(code(&ended), "42501");
        println!("a running SELECT: ended {took:?} after the register's answer, {seen} rows later");
        assert!(took < WITHIN + Duration::from_secs(1), "a running SELECT went on for {took:?} and {seen} rows");
        let rest: Result<Vec<Bytes>, _> = copy.try_collect().await;
        assert_eq!(code(&rest.unwrap_err()), "42501", "the whole COPY came through");
        let error =
            writing.simple_query("UPDATE person SET family_name = 'lost' WHERE person_id = 2").await.unwrap_err();
        assert_eq!(code(&error), "42501");
        assert!(writing.simple_query("COMMIT; SELECT 1").await.is_ok());
        let new = trial.app_session().await;
        let took = until_refused(&new, "SELECT nickname FROM person", Instant::now()).await;
        assert!(took < Duration::from_secs(1));
        // Plain data has no mandate, and needs none.
        assert!(new.simple_query("SELECT name FROM street; SELECT town FROM person").await.is_ok());
    });
    let said = trial.access();
    assert!(said.contains("no mandate in force"), "{said}");
    trial.check(&data::canaries());
}

/// The trial's own mandate under another id, without what `change` takes away.
fn mandate(trial: &Trial, id: &str, change: impl Fn(&str, &mut Vec<toml::Value>, &mut Vec<toml::Value>)) -> String {
    let text = std::fs::read_to_string(trial.data().join("statements/mandate.toml")).unwrap();
    let mut mandate: toml::Table = toml::from_str(&text).unwrap();
    mandate.insert("replaces".into(), mandate["id"].clone());
    mandate.insert("id".into(), id.into());
    for grant in mandate["grant"].as_array_mut().unwrap() {
        let grant = grant.as_table_mut().unwrap();
        let table = grant["table"].as_str().unwrap().to_owned();
        let mut columns = grant["columns"].as_array().unwrap().clone();
        let mut operations = grant["operations"].as_array().unwrap().clone();
        change(&table, &mut columns, &mut operations);
        grant.insert("columns".into(), columns.into());
        grant.insert("operations".into(), operations.into());
    }
    toml::to_string(&mandate).unwrap()
}

#[test]
fn what_a_mandate_does_not_name_stays_closed() {
    let trial = Trial::usual();
    trial.plant();
    let reading = mandate(&trial, "app-2", |table, columns, operations| {
        columns.retain(|column| column.as_str() != Some("income"));
        operations.retain(|operation| operation.as_str() != Some("write") || table == "public.permit");
    });
    // Two of three change nothing.
    let said = trial.sign_and_submit("two.toml", &reading, &["structure", "access"]);
    assert!(!said.contains("in force"), "{said}");
    trial.app_ok("UPDATE person SET income = 5 WHERE person_id = 1");
    let started = Instant::now();
    let said = trial.sign_and_submit("two.toml", &reading, &["keys"]);
    assert!(said.contains("in force"), "{said}");
    while trial.app("SELECT income FROM person").ok {
        assert!(started.elapsed() < Duration::from_secs(5), "the old mandate still holds");
    }
    for sql in [
        "SELECT income FROM person",
        "SELECT * FROM person",
        "SELECT count(income) FROM person",
        "SELECT 1 FROM person WHERE income IS NULL",
        "UPDATE person SET family_name = 'x' WHERE person_id = 1",
        "INSERT INTO person (person_id, national_number, family_name) VALUES (77, 77, 'x')",
        "SELECT family_name FROM person UNION ALL SELECT income::text FROM person",
        "COPY person TO STDOUT",
        "COPY person (income) TO STDOUT",
        "COPY person (person_id, family_name) FROM STDIN",
        "WITH x AS (UPDATE person SET nickname = 'x' RETURNING 1) SELECT 1",
        "EXPLAIN ANALYZE SELECT income FROM person",
        "PREPARE p AS SELECT income FROM person; EXECUTE p",
        "DECLARE c CURSOR WITH HOLD FOR SELECT income FROM person; FETCH c",
    ] {
        let (code, text) = trial.app_fails(sql);
        assert!(["42501", "0A000"].contains(&code.as_str()) && text.contains("HINT:  "), "{sql}: {text}");
    }
    let (code, text) = trial.app_fails("SELECT income FROM person");
    assert!(code == "42501" && text.contains("public.person.income"), "{text}");
    assert_eq!(trial.app_ok("SELECT family_name FROM person WHERE national_number = 85073003328"), "Peeters");
    trial.app_ok("UPDATE permit SET remark = 'allowed' WHERE permit_id = 1");
    // Deleting a row is a matter of the table; whatever it gives back is not.
    let (code, _) = trial.app_fails("DELETE FROM person WHERE person_id = 1 RETURNING income");
    assert_eq!(code, "42501");
    trial.check(&data::canaries());
}

#[test]
fn without_one_custodian_running_sessions_go_on_and_new_keys_are_not_had() {
    let mut trial = Trial::usual();
    trial.plant();
    trial.stop();
    trial.resume();
    assert_eq!(trial.app_ok("SELECT family_name FROM person WHERE person_id = 1"), "Peeters");
    trial.kill_all();
    for part in ["processor", "register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"] {
        trial.start_part(part);
    }
    let runtime = Runtime::new().unwrap();
    let session = runtime.block_on(trial.app_session());
    let ask = |sql: &'static str| runtime.block_on(session.query_one(sql, &[])).map(|row| row.get::<_, String>(0));
    let read = "SELECT family_name FROM person WHERE person_id = 1";
    let find = "SELECT nickname FROM person WHERE national_number = 85073003328";
    assert_eq!((ask(read).unwrap().as_str(), ask(find).unwrap().as_str()), ("Peeters", "jan"));
    for (custodian, function) in
        [("custodian-access", "access"), ("custodian-structure", "structure"), ("custodian-keys", "keys")]
    {
        trial.stop_part(custodian);
        if function == "access" {
            // Under lease, in this session and in a new one.
            assert_eq!((ask(read).unwrap().as_str(), ask(find).unwrap().as_str()), ("Peeters", "jan"));
            assert_eq!(trial.app_ok(read), "Peeters");
        }
        trial.stop_part("gateway");
        trial.start_part("gateway");
        for sql in [read, find, "INSERT INTO permit VALUES (70, 1, 'x', 'CANARY-remark-5be0')"] {
            let (code, text) = trial.app_fails(sql);
            assert_eq!(code, "58000", "{text}");
            assert!(text.contains(function) && text.contains("HINT:  ") && !text.contains("Peeters"), "{text}");
        }
        // What needs no key is served.
        assert_eq!(trial.app_ok("SELECT town FROM person WHERE person_id = 1"), "Gent");
        trial.start_part(custodian);
        let started = Instant::now();
        while !trial.app(read).ok {
            assert!(started.elapsed() < Duration::from_secs(20), "{custodian} runs again, but no key is had");
        }
        assert_eq!(trial.app_ok(read), "Peeters");
    }
    trial.check(&data::canaries());
}
