//! Masked reading: a principal sees of a column what its mandate's mask leaves, and has no other way to the whole values.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::Trial;
use tokio::runtime::Runtime;

const DUMP: &str = "CREATE TABLE person (id integer PRIMARY KEY, nn varchar(11), name text, born date, income integer, other text,\n  code uuid);
INSERT INTO person VALUES (1, '85073003328', 'Peeters', '1985-07-30', 2100, 'plain',\n  '00112233-4455-6677-8899-aabbccddeeff'),
  (2, '90011512345', 'Li', NULL, 1, 'plain', NULL);
CREATE TABLE permit (id integer PRIMARY KEY, holder varchar(11));
INSERT INTO permit VALUES (1, '85073003328');
";
const CLASSIFICATION: &str = r#"kind = "classification"
tenant = "trial-agency"
id = "columns-1"
issued = "2025-01-01T00:00:00Z"
database = "trial"

[[table]]
name = "person"
subject = "nn"
column = [
  { name = "id", class = 1, protection = "plain" },
  { name = "nn", class = 3, protection = "exact", type = "varchar(11)", domain = "nn" },
  { name = "name", class = 3, protection = "sealed", type = "text" },
  { name = "born", class = 3, protection = "ordered", type = "date", domain = "born" },
  { name = "income", class = 3, protection = "sealed", type = "integer" },
  { name = "code", class = 3, protection = "exact", type = "uuid", domain = "code" },
  { name = "other", class = 3, protection = "sealed", type = "text" },
]

[[table]]
name = "permit"
subject = "holder"
column = [
  { name = "id", class = 1, protection = "plain" },
  { name = "holder", class = 3, protection = "exact", type = "varchar(11)", domain = "nn" },
]
"#;

/// Replaces the mandate by one with these grants: columns of a table, operations, and a mask.
fn enact(trial: &Trial, grants: &[(&str, &str, &str, &str)]) {
    let text = std::fs::read_to_string(trial.data().join("statements/mandate.toml")).unwrap();
    let head = text.split("[[grant]]").next().unwrap();
    let head = head.replace("id = \"app-1\"", "id = \"app-2\"\nreplaces = \"app-1\"");
    let grants: String = grants
        .iter()
        .map(|(table, columns, operations, mask)| {
            let mask = if mask.is_empty() { String::new() } else { format!("mask = \"{mask}\"\n") };
            format!(
                "[[grant]]\ntable = \"public.{table}\"\ncolumns = [{columns}]\noperations = [{operations}]\n{mask}\n"
            )
        })
        .collect();
    let said = trial.sign_and_submit("masked.toml", &format!("{head}{grants}"), &["structure", "access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    let started = Instant::now();
    while trial.app_ok("SELECT nn FROM person WHERE id = 1") != "***328" {
        assert!(started.elapsed() < Duration::from_secs(5), "the old mandate still holds");
    }
}

#[test]
fn a_mask_leaves_what_it_says_and_nothing_else_comes_out() {
    let trial = Trial::start_quiet(DUMP, CLASSIFICATION);
    assert_eq!(trial.app_ok("SELECT nn FROM person WHERE id = 1"), "85073003328");
    enact(
        &trial,
        &[
            ("person", "\"nn\"", "\"read_masked\", \"search\", \"write\"", "last 3"),
            ("person", "\"name\"", "\"read_masked\", \"write\"", "first 2"),
            ("person", "\"born\"", "\"read_masked\"", "year"),
            ("person", "\"income\"", "\"read_masked\"", "last 3"),
            ("person", "\"other\"", "\"read_token\"", ""),
            ("person", "\"code\"", "\"read_token\", \"search\"", ""),
            ("permit", "\"holder\"", "\"read\", \"write\", \"search\"", ""),
        ],
    );
    for (sql, wanted) in [
        ("SELECT nn, name, born FROM person ORDER BY id", "***328|Pe***|1985-01-01\n***345|***|"),
        ("SELECT p.nn FROM person p WHERE p.nn = '85073003328'", "***328"),
        ("SELECT x.nn FROM (SELECT nn FROM person) x JOIN permit ON holder = x.nn", "***328"),
        ("WITH x AS MATERIALIZED (SELECT name AS n FROM person WHERE id = 1) SELECT n FROM x", "Pe***"),
        ("SELECT CASE WHEN id = 1 THEN nn END FROM person ORDER BY id", "***328\n"),
        ("SELECT (SELECT nn FROM person WHERE id = 1)", "***328"),
        ("SELECT count(*) FROM person WHERE nn = '85073003328'", "1"),
        ("BEGIN; DECLARE c CURSOR FOR SELECT nn FROM person WHERE id = 1; FETCH c", "***328"),
        ("PREPARE q AS SELECT nn FROM person WHERE id = 1; EXECUTE q", "***328"),
        ("SELECT holder FROM permit", "85073003328"),
        ("UPDATE person SET name = 'Peeters-Li' WHERE id = 1; SELECT name FROM person WHERE id = 1", "Pe***"),
    ] {
        assert_eq!(trial.app_ok(sql), wanted.trim_end(), "{sql}");
    }
    pseudonyms(&trial);
    for sql in [
        "SELECT income FROM person",
        "SELECT 1 FROM person WHERE born > '1980-01-01'",
        "SELECT born FROM person ORDER BY born",
        "SELECT max(born), count(DISTINCT born) FROM person",
        "UPDATE person SET name = 'x' WHERE id = 1 RETURNING name",
        "UPDATE person SET income = 1",
        "DELETE FROM person WHERE id = 1 RETURNING nn",
        "INSERT INTO permit SELECT 7, nn FROM person WHERE id = 1",
        "UPDATE permit SET holder = (SELECT nn FROM person WHERE id = 1)",
        "WITH x AS (INSERT INTO permit SELECT 7, nn FROM person RETURNING 1) SELECT nn FROM person",
        "COPY person (nn) TO STDOUT",
        "COPY person (code) TO STDOUT",
        "UPDATE person SET other = other RETURNING other",
        "COPY (SELECT name FROM person) TO STDOUT",
        "SELECT nn FROM person UNION ALL SELECT holder FROM permit",
        "SELECT COALESCE(holder, nn) FROM person JOIN permit ON holder = nn",
        "SELECT p.nn, holder FROM person p JOIN permit ON holder = p.nn",
    ] {
        let said = trial.app(sql);
        let refused = matches!(said.sqlstate(), Some("42501" | "0A000"));
        let shown = ["85073003328", "Peeters", "1985-07", "2100"].iter().any(|value| said.out.contains(value));
        assert!(refused && !shown && said.err.contains("HINT:"), "{sql}: {said:?}");
    }
    assert_eq!(trial.app_ok("SELECT id, holder FROM permit"), "1|85073003328", "nothing was stored");
    Runtime::new().unwrap().block_on(async {
        let session = trial.app_session().await;
        let row = session.query_one("SELECT nn, name, born::text FROM person WHERE id = $1", &[&1]).await;
        // A cast of a date needs the value; without it all comes in binary form.
        assert!(row.is_err());
        let row = session.query_one("SELECT nn, name FROM person WHERE nn = $1", &[&"85073003328"]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("***328", "Pe***"));
    });
    let journal = trial.journal("gateway").display().to_string();
    let said = trial.drieslot_ok(["journal", "tail", &journal, "-n", "500"]);
    assert!(said.contains("read_masked") && said.contains("read_token"), "{said}");
    trial.check_journals();
}

fn pseudonyms(trial: &Trial) {
    let tokens = trial.app_ok("SELECT other, code FROM person ORDER BY id");
    let (first, second) = tokens.split_once('\n').unwrap();
    let ((text, uuid), (same, null)) = (first.split_once('|').unwrap(), second.split_once('|').unwrap());
    assert!(text == same && text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tokens}");
    assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'8' && !uuid.contains("4455") && null.is_empty(), "{tokens}");
    let found = trial.app_ok("SELECT code FROM person WHERE code = '00112233-4455-6677-8899-aabbccddeeff'");
    assert_eq!(found, uuid);
}
