//! Traps that others have fallen into: one step for each, on one trial.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use bytes::Bytes;
use common::raw::{query, told};
use common::session::code;
use common::{DATABASE, Trial, data};
use futures_util::SinkExt;
use tokio::runtime::Runtime;

/// A value, and what it looks like where it is not protected.
const PLANTED: &str = "TRAP-4c1f-Vandewalle";

#[test]
fn traps_of_others() {
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE reference");
    trial.superuser("reference", data::DUMP);
    let runtime = Runtime::new().unwrap();
    a_wrong_password_ends_the_session(&trial);
    begin_and_commit_stay_in_a_rewritten_text(&trial);
    every_row_of_an_insert_is_looked_at(&trial);
    on_conflict_stores_no_plaintext(&trial);
    runtime.block_on(copy_in_stores_no_plaintext(&trial));
    unparseable_sql_is_not_forwarded(&trial);
    aliases_give_values_and_not_cells(&trial);
    a_pattern_matches_or_is_refused(&trial);
    the_protocol_stays_in_step_after_a_refusal(&trial);
    runtime.block_on(memory_stays_flat(&trial));
    runtime.block_on(a_statement_is_parsed_once(&trial));
    a_refusal_in_a_transaction_ends_it(&trial);
    trial.plant();
    let mut canaries = data::canaries();
    canaries.push(common::check::Canary::Text(PLANTED.into()));
    trial.check(&canaries);
}

/// What the processor holds of a column, as text.
fn stored(trial: &Trial, sql: &str) -> String {
    trial.superuser(DATABASE, sql)
}

fn a_wrong_password_ends_the_session(trial: &Trial) {
    let mut raw = trial.raw();
    let refused = raw.sign_in("app", "not the password").unwrap_err();
    assert_eq!((refused.severity.as_str(), refused.code.as_str()), ("FATAL", "28P01"));
    assert!(raw.until_closed().is_none(), "the session went on after a wrong password");
}

fn begin_and_commit_stay_in_a_rewritten_text(trial: &Trial) {
    let insert = "INSERT INTO permit VALUES (700, 7001, 'trap', 'x')";
    let read = "SELECT count(*) FROM permit WHERE permit_id = 700";
    let (code, _) = trial.app_fails(&format!("BEGIN; {insert}; SELECT 1/0; COMMIT"));
    assert_eq!((code.as_str(), trial.app_ok(read).as_str()), ("22012", "0"));
    trial.app_ok(&format!("BEGIN; {insert}; ROLLBACK"));
    assert_eq!(trial.app_ok(read), "0", "ROLLBACK was lost");
    let (code, _) = trial.app_fails(&format!("BEGIN; {insert}; COMMIT; SELECT 1/0"));
    assert_eq!((code.as_str(), trial.app_ok(read).as_str()), ("22012", "1"), "COMMIT was lost");
    let (code, _) = trial.app_fails("DELETE FROM permit WHERE national_number = 7001; SELECT 1/0");
    assert_eq!((code.as_str(), trial.app_ok(read).as_str()), ("22012", "1"), "the implicit transaction was lost");
}

fn every_row_of_an_insert_is_looked_at(trial: &Trial) {
    trial.app_ok(
        "INSERT INTO permit VALUES (710, 1, 'trap', 'one'), (711, 2, 'trap', 'two'), (712, NULL, 'trap', NULL)",
    );
    let cells = stored(
        trial,
        "SELECT count(*) FROM permit WHERE permit_id BETWEEN 710 AND 712 AND (remark IS NULL OR get_byte(remark, 0) = 17)",
    );
    assert_eq!(cells, "3", "rows that are no cells");
    let (code, _) =
        trial.app_fails("INSERT INTO permit VALUES (713, 1, 'trap', 'one'), (714, upper('x')::bigint, 'trap', 'two')");
    assert_eq!(code, "0A000", "a value that cannot be sealed in the second row");
    assert_eq!(trial.app_ok("SELECT string_agg(permit_id::text, ',') FROM permit WHERE permit_id IN (713, 714)"), "");
}

fn on_conflict_stores_no_plaintext(trial: &Trial) {
    let upsert = format!(
        "INSERT INTO person (person_id, national_number, family_name) VALUES (1, 85073003328, 'x')
         ON CONFLICT (national_number) DO UPDATE SET family_name = '{PLANTED}' RETURNING family_name"
    );
    assert_eq!(trial.app_ok(&upsert), PLANTED);
    let kind = stored(
        trial,
        "SELECT pg_typeof(family_name), get_byte(family_name, 0) IN (17, 25) FROM person WHERE person_id = 1",
    );
    assert_eq!(kind, "bytea|t");
    trial.app_ok(
        "INSERT INTO person (person_id, national_number, family_name) VALUES (1, 85073003328, 'Peeters')
         ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name",
    );
    assert_eq!(trial.app_ok("SELECT family_name FROM person WHERE person_id = 1"), "Peeters");
}

async fn copy_in_stores_no_plaintext(trial: &Trial) {
    let session = trial.app_session().await;
    for (number, options, row) in
        [(720, "", format!("720\t7\ttrap\t{PLANTED}\n")), (721, "CSV", format!("721,7,trap,\"{PLANTED}\"\n"))]
    {
        let sink = session.copy_in::<_, Bytes>(&format!("COPY permit FROM STDIN {options}")).await.unwrap();
        tokio::pin!(sink);
        sink.send(Bytes::from(row)).await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 1);
        let first = stored(trial, &format!("SELECT get_byte(remark, 0) FROM permit WHERE permit_id = {number}"));
        assert_eq!(first, "17");
        assert_eq!(trial.app_ok(&format!("SELECT remark FROM permit WHERE permit_id = {number}")), PLANTED);
    }
}

fn unparseable_sql_is_not_forwarded(trial: &Trial) {
    let log = || std::fs::read_to_string(trial.data().join("logs/processor.log")).unwrap_or_default();
    for sql in [
        format!("SELEKT '{PLANTED}'"),
        format!("INSERT INTO permit VALUES (730, 1, 'trap', '{PLANTED}'"),
        format!("SELECT * FROM permit WHERE remark = $${PLANTED}"),
    ] {
        let (code, _) = trial.app_fails(&sql);
        assert_eq!(code, "42601", "{sql}");
    }
    // The scan at the end looks through the processor's log for it; it must be there to be looked through.
    assert!(trial.data().join("logs").is_dir() && !log().contains(PLANTED));
}

fn aliases_give_values_and_not_cells(trial: &Trial) {
    for sql in [
        "SELECT family_name AS alias FROM person WHERE person_id = 3",
        "SELECT p.family_name alias FROM person p WHERE p.person_id = 3",
        "SELECT s.n FROM (SELECT family_name AS n, person_id AS i FROM person) AS s (n, i) WHERE i = 3",
        "WITH w (n, i) AS (SELECT family_name, person_id FROM person) SELECT w.n AS \"other name\" FROM w WHERE i = 3",
        "SELECT (SELECT family_name FROM person q WHERE q.person_id = p.person_id) AS x FROM person p WHERE person_id = 3",
        "SELECT x.* FROM person AS x (a, b, c) WHERE a = 3",
    ] {
        let (through, plain) = (trial.app_ok(sql), trial.superuser("reference", sql));
        assert_eq!(through, plain, "{sql}");
        assert!(through.contains("Van den Bossche"), "{sql}: {through}");
    }
}

/// A pattern that starts with `%` and has an `@` matched nothing elsewhere.
fn a_pattern_matches_or_is_refused(trial: &Trial) {
    let insert = "INSERT INTO person (person_id, national_number, family_name, nickname)
                  VALUES (740, 7401, 'a@x.com', 'a@x.com'), (741, 7402, 'b@y.com', 'b@y.com')";
    trial.app_ok(insert);
    trial.superuser("reference", insert);
    for column in ["nickname", "family_name"] {
        let sql = format!("SELECT person_id FROM person WHERE {column} LIKE '%@x.com'");
        let said = trial.app(&sql);
        if said.ok {
            assert_eq!(trial.app_ok(&sql), "740", "{sql}");
            assert_eq!(trial.superuser("reference", &sql), "740");
        } else {
            assert_eq!(said.sqlstate(), Some("0A000"), "{sql} {said:?}");
        }
    }
    let delete = "DELETE FROM person WHERE person_id IN (740, 741)";
    trial.app_ok(delete);
    trial.superuser("reference", delete);
}

fn the_protocol_stays_in_step_after_a_refusal(trial: &Trial) {
    let mut raw = trial.raw_session();
    for _ in 0..3 {
        raw.send(&query("SELECT upper(family_name) FROM person"));
        told(&raw.one_error(), "0A000", "family_name", "");
        raw.send(&query("SELECT 1; SELECT upper(family_name) FROM person; SELECT 2"));
        told(&raw.one_error(), "0A000", "family_name", "");
    }
    // Two at once: the answers stay apart.
    raw.send(&[query("SELECT upper(family_name) FROM person"), query("SELECT 1/0")].concat());
    assert_eq!(raw.until_ready()[0].code, "0A000");
    assert_eq!(raw.until_ready()[0].code, "22012");
    raw.still_works();
}

/// Bytes of memory of the gateway's process that are resident.
fn gateway_memory(trial: &Trial) -> u64 {
    let config = trial.data().join("gateway").display().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command).into_owned();
        if command.contains(&config) && command.contains("gateway") {
            let pages = std::fs::read_to_string(entry.path().join("statm")).unwrap();
            return pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096;
        }
    }
    panic!("the gateway's process is not found");
}

/// 1 KB for each statement would be 20 MB.
async fn memory_stays_flat(trial: &Trial) {
    let session = trial.app_session().await;
    let sql = "SELECT family_name FROM person WHERE national_number = $1";
    let read = async |count: usize| {
        for _ in 0..count {
            let statement = session.prepare(sql).await.unwrap();
            session.query_one(&statement, &[&85_073_003_328_i64]).await.unwrap();
        }
    };
    read(2_000).await;
    let before = gateway_memory(trial);
    read(20_000).await;
    let grown = gateway_memory(trial).saturating_sub(before);
    assert!(grown < 8 << 20, "the gateway grew by {grown} bytes over 20,000 statements");
}

/// A plan is made once for a text, not for each result row: a text that takes long to plan gives many rows no later.
async fn a_statement_is_parsed_once(trial: &Trial) {
    let session = trial.app_session().await;
    let wide: Vec<String> = (0..400).map(|n| format!("p.score + {n} AS s{n}")).collect();
    let sql =
        format!("SELECT p.family_name, {} FROM person p, person q, person r, person s LIMIT 10000", wide.join(", "));
    let one = format!("{} LIMIT 1", sql.rsplit_once(" LIMIT").unwrap().0);
    let started = std::time::Instant::now();
    let statement = session.prepare(&one).await.unwrap();
    session.query(&statement, &[]).await.unwrap();
    let planned = started.elapsed();
    let statement = session.prepare(&sql).await.unwrap();
    let rows = session.query(&statement, &[]).await.unwrap();
    assert_eq!(rows.len(), 10_000);
    // Parsing again for every row would take 10,000 times as long as planning.
    assert!(started.elapsed() < planned * 2_000, "{:?} for 10,000 rows, {planned:?} for one", started.elapsed());
}

fn a_refusal_in_a_transaction_ends_it(trial: &Trial) {
    Runtime::new().unwrap().block_on(async {
        let session = trial.app_session().await;
        session.batch_execute("BEGIN; INSERT INTO permit VALUES (750, 1, 'trap', 'x')").await.unwrap();
        let refused = session.batch_execute("SELECT upper(remark) FROM permit").await.unwrap_err();
        assert_eq!(code(&refused), "0A000");
        assert_eq!(code(&session.batch_execute("SELECT 1").await.unwrap_err()), "25P02");
        session.batch_execute("COMMIT").await.unwrap();
        assert_eq!(trial.app_ok("SELECT count(*) FROM permit WHERE permit_id = 750"), "0");
    });
}
