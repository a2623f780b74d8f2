//! Search in protected texts beyond what one statement shows: parameters, indexes, word search, rows that change while
//! they are searched, and what the processor can tell.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::session::code;
use common::{DATABASE, Trial, data};
use futures_util::TryStreamExt;
use tokio::runtime::Runtime;

#[test]
fn patterns_come_as_parameters_and_indexes_answer() {
    let trial = Trial::usual();
    Runtime::new().unwrap().block_on(async {
        let client = trial.app_session().await;
        let find = client.prepare("SELECT person_id FROM person WHERE family_name ILIKE $1 ORDER BY 1").await.unwrap();
        assert_eq!(find.params(), [tokio_postgres::types::Type::TEXT]);
        for (pattern, expected) in [("peet%", vec![1, 10]), ("%SM%", vec![9]), ("nobody%", vec![]), ("%é%", vec![])] {
            let rows = client.query(&find, &[&pattern]).await.unwrap();
            assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), expected, "{pattern}");
        }
        assert_eq!(client.query(&find, &[&None::<&str>]).await.unwrap().len(), 0);
        assert_eq!(client.query(&find, &[&"%"]).await.unwrap().len(), 10);
        let bad = client.query(&find, &[&"x\\"]).await.unwrap_err();
        assert_eq!(code(&bad), "22025");
        let both = "SELECT count(*) FROM person WHERE family_name LIKE '%' || $1 || '%' AND nickname LIKE concat($2::text, '%')";
        let found: i64 = client.query_one(both, &[&"ee", &"j"]).await.unwrap().get(0);
        assert_eq!(found, 1);
        // COPY takes no parameters: it is answered when it is prepared.
        let copy = client.copy_out("COPY (SELECT family_name FROM person WHERE family_name LIKE 'Peet%') TO STDOUT");
        let data: Vec<bytes::Bytes> = copy.await.unwrap().try_collect().await.unwrap();
        assert_eq!(data.concat(), b"Peeters\nPeeters\n");
    });
    index(&trial);
    words(&trial);
    trial.plant();
    trial.check(&data::canaries());
}

fn index(trial: &Trial) {
    trial.app_ok("CREATE INDEX person_family_name ON person USING gin (family_name)");
    trial.app_ok("CREATE INDEX person_nickname ON person (lower(nickname))");
    let made =
        trial.superuser(DATABASE, "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'person_%name' ORDER BY 1");
    assert_eq!(made.matches("USING gin").count(), 2, "{made}");
    trial.superuser(
        DATABASE,
        "LOAD 'auto_explain'; ALTER SYSTEM SET session_preload_libraries = 'auto_explain';
         ALTER SYSTEM SET auto_explain.log_min_duration = 0; ALTER SYSTEM SET enable_seqscan = off; SELECT pg_reload_conf();",
    );
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(trial.app_ok("SELECT count(*) FROM person WHERE family_name LIKE 'Peeters'"), "2");
    assert_eq!(trial.app_ok("SELECT count(*) FROM person WHERE lower(nickname) = 'jan'"), "2");
    let log = std::fs::read_to_string(trial.processor().join("postgresql.log")).unwrap();
    for name in ["person_family_name", "person_nickname"] {
        let used = log.matches(&format!("Bitmap Index Scan on {name}")).count();
        assert!(used >= 2, "{name} is used {used} times: for the question and for the statement");
    }
}

fn words(trial: &Trial) {
    for (words, expected) in
        [("bossche van", "3"), ("CELIK", "5"), ("sukran celik", "5"), ("boss", ""), ("o hara", "2")]
    {
        let sql = format!("SELECT person_id FROM person WHERE drieslot.has_words(family_name, '{words}')");
        assert_eq!(trial.app_ok(&sql), expected, "{words}");
    }
    let (code, _) = trial.app_fails("SELECT drieslot.has_words(town, 'x') FROM person");
    assert_eq!(code, "0A000");
}

/// One session changes what another one searches, many times: an answer is what it was before or after, or 40001.
#[test]
fn rows_that_change_while_they_are_searched_are_never_missed() {
    let trial = Trial::usual();
    Runtime::new().unwrap().block_on(async {
        let (writer, reader) = (trial.app_session().await, trial.app_session().await);
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let writing = tokio::spawn(async move {
            let mut round = 0;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                // Its cell is another one each time, and it always matches.
                let name = format!("Peeters-{round}");
                writer.execute("UPDATE person SET family_name = $1 WHERE person_id = 1", &[&name]).await.unwrap();
            }
            round
        });
        let (mut right, mut outdated) = (0, 0);
        for _ in 0..400 {
            match reader.query("SELECT person_id FROM person WHERE family_name LIKE 'Peeters%' ORDER BY 1", &[]).await {
                Ok(rows) => {
                    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 10]);
                    right += 1;
                }
                Err(error) => {
                    assert_eq!(code(&error), "40001", "{error:?}");
                    outdated += 1;
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let rounds = writing.await.unwrap();
        assert!(rounds > 50 && right > 0, "{rounds} changes, {right} right, {outdated} outdated");
        eprintln!("{rounds} changes, {right} right answers, {outdated} outdated");
    });
    trial.check(&[common::check::Canary::Text("Peeters-1".into())]);
}
