//! Whom released rows were about stands in the journal by pseudonyms, and the client sees nothing of how that is known.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{Trial, data};
use tokio::runtime::Runtime;

/// What the outcomes behind the last intent say: subjects, and why some rows have none.
fn said(trial: &Trial) -> (BTreeSet<String>, BTreeSet<String>) {
    let journal = trial.journal("gateway").display().to_string();
    let tail = trial.drieslot_ok(["journal", "tail", &journal, "-n", "30", "--json"]);
    let entries: Vec<serde_json::Value> = tail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = entries.iter().rposition(|entry| entry["kind"] == "intent").unwrap();
    let (mut subjects, mut without) = (BTreeSet::new(), BTreeSet::new());
    for entry in &entries[begun + 1..] {
        let list = |name: &str| {
            let texts =
                entry["body"][name].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned());
            texts.collect::<Vec<_>>()
        };
        subjects.extend(list("subjects"));
        without.extend(list("without_subject"));
    }
    assert!(subjects.iter().all(|one| one.len() == 22), "{subjects:?}");
    (subjects, without)
}

#[test]
fn outcomes_name_the_subjects_of_their_rows() {
    let trial = Trial::usual();
    let about = |sql: &str| {
        trial.app_ok(sql);
        said(&trial)
    };
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    let (jan, none) = about("SELECT national_number FROM person WHERE person_id = 1");
    assert_eq!((jan.len(), none), (1, set(&[])));
    // The subject column is not asked for, and needs no mention.
    for sql in [
        "SELECT family_name FROM person WHERE person_id = 1",
        "SELECT c FROM person AS p (a, b, c) WHERE a = 1",
        "SELECT f.family_name FROM public.person f LEFT JOIN street ON false WHERE f.person_id = 1 ORDER BY f.score LIMIT 1",
        "SELECT town FROM person WHERE national_number = (SELECT national_number FROM person WHERE person_id = 1)",
        "SELECT x.born FROM (SELECT * FROM person WHERE person_id = 1) x",
        "WITH x AS (SELECT national_number, born FROM person WHERE person_id = 1) SELECT born FROM x",
        "UPDATE person SET shoe_size = 40 WHERE person_id = 1 RETURNING shoe_size",
        "SELECT DISTINCT national_number FROM person WHERE person_id = 1",
        "SELECT family_name, count(*) OVER () FROM person WHERE person_id = 1",
        "SELECT family_name, (SELECT max(s.name) FROM street s) FROM person WHERE person_id = 1",
        "BEGIN; DECLARE c CURSOR FOR SELECT born FROM person WHERE person_id = 1; FETCH ALL FROM c; COMMIT",
        "PREPARE q AS SELECT born FROM person WHERE person_id = $1; EXECUTE q (1)",
    ] {
        assert_eq!(about(sql), (jan.clone(), set(&[])), "{sql}");
    }
    // Two tables of one domain agree, and NULL is nobody.
    let (all, _) = about("SELECT family_name FROM person");
    let (holders, none) = about("SELECT remark FROM permit");
    assert_eq!(none, set(&["null"]));
    let (both, _) = about("SELECT p.born, q.remark FROM person p JOIN permit q USING (national_number)");
    assert!(both.is_subset(&all) && both.is_subset(&holders) && !both.is_empty() && all.contains(jan.first().unwrap()));
    let (two, _) = about("SELECT a.born, b.born FROM person a, person b WHERE a.person_id = 1 AND b.person_id = 2");
    assert_eq!(two.len(), 2);
    // A plain subject.
    let (one, none) = about("SELECT ratio FROM measure WHERE measure_id = 1");
    assert_eq!((one.len(), none), (1, set(&[])));
    for (sql, why) in [
        ("SELECT count(*) FROM person WHERE nickname = 'jan'", "aggregate"),
        ("SELECT nickname, count(*) FROM person GROUP BY nickname", "aggregate"),
        ("SELECT DISTINCT nickname FROM person", "aggregate"),
        ("SELECT max(born) FROM person", "aggregate"),
        ("SELECT nickname FROM person UNION SELECT nickname FROM person", "set_operation"),
        ("SELECT x.born FROM (SELECT born FROM person) x", "subquery"),
        ("INSERT INTO permit VALUES (60, 1, 'work', 'x')", "write"),
        ("COPY permit (remark) TO STDOUT", "copy"),
    ] {
        assert_eq!(about(sql), (set(&[]), set(&[why])), "{sql}");
    }
    Runtime::new().unwrap().block_on(extended(&trial, &jan));
    trial.plant();
    trial.check(&data::canaries());
}

/// Binary values, descriptions, and portals that are suspended.
async fn extended(trial: &Trial, jan: &BTreeSet<String>) {
    let mut client = trial.app_session().await;
    let statement = client.prepare("SELECT born, town FROM person WHERE person_id = $1").await.unwrap();
    assert_eq!(statement.columns().iter().map(|column| column.name()).collect::<Vec<_>>(), ["born", "town"]);
    let row = client.query_one(&statement, &[&1_i32]).await.unwrap();
    assert_eq!(row.len(), 2);
    assert_eq!(said(trial), (jan.clone(), BTreeSet::new()));
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT family_name FROM person ORDER BY person_id", &[]).await.unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        assert_eq!(transaction.query_portal(&portal, 1).await.unwrap()[0].len(), 1);
        let (one, none) = said(trial);
        assert_eq!((one.len(), none), (1, BTreeSet::new()));
        seen.extend(one);
    }
    assert_eq!(seen.len(), 3);
    assert!(seen.is_superset(jan));
}
