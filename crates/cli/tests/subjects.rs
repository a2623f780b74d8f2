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
        "SELECT x.born FROM (SELECT born, person_id FROM person) x WHERE x.person_id = 1",
        "SELECT c FROM (SELECT p.* FROM person p WHERE person_id = 1) x (a, b, c) WHERE a = 1",
        "SELECT x.born, s.name FROM street s RIGHT JOIN (SELECT born FROM person WHERE person_id = 1) x ON s.street_id = 1",
        "SELECT y.c FROM (SELECT x.b FROM (SELECT born, 1 FROM person WHERE person_id = 1) x (b)) y (c) ORDER BY 1",
        "WITH x AS (SELECT born FROM person WHERE person_id = 1) SELECT born FROM x",
        "WITH x AS (SELECT born, town FROM person WHERE person_id = 1), y (b) AS (SELECT born FROM x) SELECT b FROM y LIMIT 5",
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
        ("SELECT * FROM (SELECT born FROM person) x", "subquery"),
        ("SELECT x.born FROM (SELECT born FROM person UNION ALL SELECT born FROM person) x", "subquery"),
        ("SELECT street_id, (SELECT max(born) FROM person) FROM street", "subquery"),
    ] {
        assert_eq!(about(sql), (set(&[]), set(&[why])), "{sql}");
    }
    exports(&trial, &jan, &holders);
    changes(&trial, &jan);
    Runtime::new().unwrap().block_on(extended(&trial, &jan));
    many(&trial);
    trial.plant();
    trial.check(&data::canaries());
}

/// COPY … TO: the subject is read with the rows, and taken out of every format and of its header.
fn exports(trial: &Trial, jan: &BTreeSet<String>, holders: &BTreeSet<String>) {
    let about = |sql: &str| (trial.app_ok(sql), said(trial));
    let null: BTreeSet<String> = ["null".to_owned()].into();
    for options in ["", "WITH (FORMAT csv, HEADER)", "WITH (FORMAT binary)"] {
        let (out, (subjects, without)) = about(&format!("COPY permit (permit_id, remark) TO STDOUT {options}"));
        assert_eq!((&subjects, &without), (holders, &null), "{options}");
        assert!(!out.contains("national_number") && !out.contains("drieslot"), "{out}");
        let (_, (subjects, without)) = about(&format!("COPY permit TO STDOUT {options}"));
        assert_eq!((&subjects, &without), (holders, &null), "{options}");
        let (out, (subjects, without)) =
            about(&format!("COPY (SELECT family_name, town FROM person WHERE person_id = 1) TO STDOUT {options}"));
        assert_eq!((&subjects, without.len()), (jan, 0), "{options}: {out}");
        assert!(out.contains("Peeters") && !out.contains("drieslot"), "{out}");
        // A plain subject, in text and in binary.
        let (_, (subjects, without)) = about(&format!("COPY measure (ratio) TO STDOUT {options}"));
        assert!(!trial.app_ok("SELECT ratio FROM measure").is_empty() && without.is_empty());
        assert_eq!(subjects, said(trial).0, "{options}");
    }
    let (_, (subjects, without)) = about("COPY (SELECT max(born) FROM person) TO STDOUT");
    assert_eq!((subjects.len(), without), (0, ["aggregate".to_owned()].into()));
}

/// What changes rows names whom they are about, though the client gets none.
fn changes(trial: &Trial, jan: &BTreeSet<String>) {
    let about = |sql: &str| (trial.app_ok(sql), said(trial));
    for sql in [
        "UPDATE person SET shoe_size = 43 WHERE person_id = 1",
        "UPDATE person p SET nickname = 'jan' FROM street WHERE street_id > 0 AND p.person_id = 1",
        "UPDATE person SET score = 11 WHERE national_number = 85073003328",
        "INSERT INTO permit (permit_id, national_number, kind, remark) VALUES (70, 85073003328, 'work', 'x')",
        "INSERT INTO permit VALUES (70, 85073003328, 'work', 'x') ON CONFLICT (permit_id) DO UPDATE SET remark = 'y'",
        "INSERT INTO permit (permit_id, national_number, kind) SELECT 71, national_number, 'x' FROM person WHERE person_id = 1 \
         RETURNING national_number",
        "PREPARE u AS UPDATE permit SET remark = $1 WHERE permit_id = 70; EXECUTE u ('z')",
        "DELETE FROM permit WHERE permit_id >= 70",
    ] {
        let (_, (subjects, _)) = about(sql);
        assert_eq!(&subjects, jan, "{sql}");
    }
    // Nothing but the command's tag comes back, and nothing is noted where nothing changed.
    let said_by_psql = trial.app("UPDATE person SET shoe_size = 43 WHERE person_id = 1");
    assert!(said_by_psql.ok && said_by_psql.out.is_empty() && said_by_psql.err.is_empty(), "{said_by_psql:?}");
    let (_, (subjects, without)) = about("DELETE FROM permit WHERE national_number = 99");
    assert_eq!((subjects.len(), without.len()), (0, 0));
    let (_, (subjects, without)) = about("UPDATE file SET stay = '1 day' WHERE file_id = 1");
    assert_eq!((subjects.len(), without), (0, ["no_subject_column".to_owned()].into()));
}

/// More persons than fit into one entry.
fn many(trial: &Trial) {
    const PERSONS: usize = 5_000;
    for from in (0..PERSONS).step_by(500) {
        let rows: Vec<String> = (from..from + 500)
            .map(|at| format!("({}, {}, 'name')", 10_000 + at, 50_000_000_000_u64 + u64::try_from(at).unwrap()))
            .collect();
        trial.app_ok(&format!(
            "INSERT INTO person (person_id, national_number, family_name) VALUES {}",
            rows.join(", ")
        ));
        assert_eq!(said(trial).0.len(), 500);
    }
    let shown = trial.app_ok("SELECT family_name FROM person WHERE person_id >= 10000");
    assert_eq!(shown.lines().count(), PERSONS);
    let (read, without) = said(trial);
    assert_eq!((read.len(), without.len()), (PERSONS, 0));
    trial.app_ok("UPDATE person SET family_name = 'changed' WHERE person_id >= 10000");
    assert_eq!(said(trial), (read.clone(), without.clone()));
    trial.app_ok("DELETE FROM person WHERE person_id >= 10000");
    assert_eq!(said(trial), (read, without));
}

/// Binary values, descriptions, and portals that are suspended.
async fn extended(trial: &Trial, jan: &BTreeSet<String>) {
    let mut client = trial.app_session().await;
    let statement = client.prepare("SELECT born, town FROM person WHERE person_id = $1").await.unwrap();
    assert_eq!(statement.columns().iter().map(|column| column.name()).collect::<Vec<_>>(), ["born", "town"]);
    let row = client.query_one(&statement, &[&1_i32]).await.unwrap();
    assert_eq!(row.len(), 2);
    assert_eq!(said(trial), (jan.clone(), BTreeSet::new()));
    // What only writes has no rows to describe, and its portal ends whatever limit the client sets.
    let statement = client.prepare("UPDATE person SET shoe_size = $1 WHERE person_id < 3").await.unwrap();
    assert!(statement.columns().is_empty());
    assert_eq!(client.execute(&statement, &[&44_i16]).await.unwrap(), 2);
    assert_eq!(said(trial).0.len(), 2);
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind(&statement, &[&43_i16]).await.unwrap();
    assert!(transaction.query_portal(&portal, 1).await.unwrap().is_empty());
    assert_eq!(said(trial).0.len(), 2);
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
