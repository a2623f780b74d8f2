//! The exchange of compared cells: who holds it up, who must prepare again, and what is not possible meanwhile.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::common::processes::{send, wait};
use crate::common::session::code;
use crate::common::{DATABASE, Trial};
use crate::world::{COMPARED, classification, dump};

const LOOKUP: &str = "SELECT client_id FROM client WHERE code = 'C00007'";

async fn found(client: &Client, sql: &str) -> Result<Vec<String>, Error> {
    let messages = client.simple_query(sql).await?;
    let values = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    Ok(values.collect())
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let since = Instant::now();
    while !reached() {
        assert!(since.elapsed() < Duration::from_secs(30), "not reached: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Trial {
    /// Sessions that have a share in the exchange lock.
    fn shares(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted";
        self.superuser(DATABASE, sql).parse().unwrap()
    }
}

#[test]
fn an_exchange_waits_for_whoever_could_send_an_old_cell() {
    let mut trial = Trial::start_quiet(&dump(), &classification());
    trial.take_apart(|text| format!("{text}\n"));
    let runtime = Runtime::new().unwrap();
    let open = |trial: &Trial| runtime.block_on(trial.app_session());
    let ask = |client: &Client, sql: &str| runtime.block_on(found(client, sql));
    let (silent, working, cleared) = (open(&trial), open(&trial), open(&trial));
    assert_eq!(trial.shares(), 3, "a session has its share from its start on");
    for sql in
        ["DISCARD ALL", "SELECT pg_advisory_unlock_all()", "PREPARE u AS SELECT pg_advisory_unlock_all()", "EXECUTE u"]
    {
        ask(&cleared, sql).unwrap();
        until(sql, || trial.shares() == 3);
    }
    ask(&silent, &format!("PREPARE old AS {LOOKUP}")).unwrap();
    assert_eq!(ask(&silent, "EXECUTE old").unwrap(), ["7"]);
    let prepared = runtime.block_on(silent.prepare("SELECT client_id FROM client WHERE code = $1")).unwrap();
    ask(&working, "BEGIN; UPDATE client SET visits = 1 WHERE client_id = 1").unwrap();

    trial.open_rotation(&COMPARED, "rotation.toml");
    until("silent sessions give their shares back", || trial.shares() == 1);
    let refused = ask(&silent, "CREATE TABLE badge2 (badge_id integer)").unwrap_err();
    assert_eq!(code(&refused), "42501", "the table is not in the classification");
    let refused = ask(&silent, "ALTER TABLE badge ALTER code TYPE varchar(20)").unwrap_err();
    assert_eq!(code(&refused), "0A000", "{refused:?}");
    let mut worker = trial.start_worker("retirement.toml", "1000000");
    until("the worker names who holds it up", || trial.worker_log().contains("idle in transaction"));
    assert!(worker.try_wait().unwrap().is_none(), "{}", trial.worker_log());
    // A gateway that stands still keeps its sessions' shares.
    assert_eq!(ask(&working, LOOKUP).unwrap(), ["7"]);
    ask(&working, "COMMIT").unwrap();
    let status = wait(&mut worker, Duration::from_secs(60));
    assert!(status.is_some_and(|status| status.success()), "{}", trial.worker_log());
    for client in [&silent, &working, &cleared] {
        assert_eq!(ask(client, LOOKUP).unwrap(), ["7"]);
    }
    assert_eq!(runtime.block_on(silent.query_one(&prepared, &[&"C00007"])).unwrap().get::<_, i32>(0), 7);
    let refused = ask(&silent, "EXECUTE old").unwrap_err();
    assert_eq!(code(&refused), "0A000", "{refused:?}");
    assert!(trial.epochs("client", "code").starts_with("2:"), "{}", trial.epochs("client", "code"));
    trial.retire("retirement.toml");
    until("the rotation is over", || ask(&silent, LOOKUP).is_ok_and(|rows| rows == ["7"]));
    ended_by_force(&mut trial, &runtime);
}

/// A gateway that stands still, and a limit to the worker's patience.
fn ended_by_force(trial: &mut Trial, runtime: &Runtime) {
    let busy = runtime.block_on(trial.app_session());
    runtime.block_on(found(&busy, "BEGIN; SELECT 1")).unwrap();
    trial.open_rotation(&COMPARED, "again.toml");
    send(trial.id_of("gateway"), Signal::STOP);
    let mut command = trial.as_user(trial.program());
    let out = trial.folder.path().join("retirement-again.toml");
    command.args(["keys", "rotate", "--config", &trial.config(), "--terminate-after-s", "2", "--out"]).arg(out);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("idle in transaction") && said.contains("ended"), "{said}");
    send(trial.id_of("gateway"), Signal::CONT);
    assert!(runtime.block_on(found(&busy, LOOKUP)).is_err(), "its session was ended");
    let after = runtime.block_on(trial.app_session());
    assert_eq!(runtime.block_on(found(&after, LOOKUP)).unwrap(), ["7"]);
    assert!(trial.epochs("client", "code").starts_with("3:"), "{}", trial.epochs("client", "code"));
    trial.retire("retirement-again.toml");
    until("the rotation is over", || runtime.block_on(found(&after, LOOKUP)).is_ok_and(|rows| rows == ["7"]));
}

#[test]
fn what_an_exchange_could_not_bring_along_is_named_before() {
    let trial = Trial::start_quiet(&dump(), &classification());
    trial.open_rotation(&COMPARED, "rotation.toml");
    let refused = |sql: &str, undo: &str, wanted: &str| trial.is_in_the_way(sql, undo, wanted);
    refused("CREATE VIEW codes AS SELECT code FROM client", "DROP VIEW codes", "view public.codes");
    refused("CREATE PUBLICATION all_of_it FOR TABLE visit", "DROP PUBLICATION all_of_it", "publication all_of_it");
    let check = "ALTER TABLE badge ADD CONSTRAINT odd CHECK (code <> '\\x1234'::bytea)";
    refused(check, "ALTER TABLE badge DROP CONSTRAINT odd", "constraint odd");
    assert!(trial.epochs("client", "code").starts_with("1:"), "nothing was touched");
    trial.finish_rotation("retirement.toml");
    trial.retire("retirement.toml");
    assert_eq!(trial.app_ok(LOOKUP), "7");
    // The processor puts back a whole column of before.
    trial.superuser(
        DATABASE,
        "ALTER TABLE client DROP CONSTRAINT code_is_cell, ADD CONSTRAINT code_is_cell CHECK (octet_length(code) > 0)",
    );
    let since = Instant::now();
    loop {
        let said = trial.app(LOOKUP);
        if !said.ok {
            assert!(said.err.contains("are not in epoch 2") && said.err.contains("HINT:"), "{said:?}");
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(5), "cells of another epoch are looked for");
    }
}
