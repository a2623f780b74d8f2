//! Defaults, CHECKs and changes of type of protected columns, beside plain PostgreSQL on the same server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::check::Canary;
use common::psql::{Said, run};
use common::session::code;
use common::{DATABASE, Trial};
use tokio::runtime::Runtime;

const CANARY: &str = "CANARY-default-5b1d-Vermeulen";
const SCHEMA: &str = "CREATE TABLE seed (seed_id integer, secret text);
    INSERT INTO seed (seed_id, secret) VALUES (1, 'one'), (2, 'two');";
const CLASSIFICATION: &str = r#"
kind = "classification"
tenant = "trial-agency"
id = "columns-1"
issued = "2025-01-01T00:00:00Z"
database = "trial"
unlisted_tables = "refuse"

[[table]]
name = "seed"
column = [
  { name = "seed_id", class = 1, protection = "plain" },
  { name = "secret", class = 3, protection = "sealed", type = "text" },
]

[[table]]
name = "grown"
unlisted_columns = "plain"

[[table]]
name = "member"
column = [
  { name = "id", class = 1, protection = "plain" },
  { name = "name", class = 3, protection = "sealed", type = "varchar(150)" },
  { name = "level", class = 3, protection = "exact", type = "text" },
  { name = "age", class = 3, protection = "ordered", type = "integer" },
  { name = "note", class = 3, protection = "sealed", type = "text", search = true },
  { name = "balance", class = 3, protection = "exact", type = "numeric(10,2)" },
  { name = "born", class = 3, protection = "ordered", type = "date" },
  { name = "flag", class = 3, protection = "sealed", type = "boolean" },
]
"#;

/// One after the other, each in a session of its own, on both sides.
const SAME: &[&str] = &[
    "CREATE TABLE member (id integer PRIMARY KEY, name varchar(30) DEFAULT 'Vermeulen',
       level text NOT NULL DEFAULT 'basic' CHECK (level IN ('basic', 'gold')),
       age integer DEFAULT 18 CHECK (age >= 18 AND age BETWEEN 0 AND 150), note text,
       balance numeric(10,2) DEFAULT 0 NOT NULL, born date DEFAULT '2000-01-01'::date,
       CONSTRAINT told CHECK (note IS NOT NULL OR level = 'gold' OR member.balance <> 5));",
    "INSERT INTO member (id) VALUES (1), (2), (3); INSERT INTO member VALUES (4), (5, 'five');
     INSERT INTO member (level, id, name) VALUES (DEFAULT, 6, DEFAULT), ('gold', 7, NULL) RETURNING *;
     INSERT INTO member (id, name) VALUES (8, DEFAULT) ON CONFLICT (id) DO UPDATE SET name = 'x';
     INSERT INTO member (id, name) VALUES (8, DEFAULT) ON CONFLICT (id) DO UPDATE SET name = DEFAULT, age = DEFAULT;
     INSERT INTO member DEFAULT VALUES; SELECT * FROM member ORDER BY id;",
    "INSERT INTO member (id) SELECT seed_id + 10 FROM seed; UPDATE member SET name = DEFAULT, born = DEFAULT WHERE id = 5;
     COPY member (id, level) FROM stdin;\n20\tgold\n21\tbasic\n\\.\n
     MERGE INTO member USING seed ON id = seed_id + 30 WHEN NOT MATCHED THEN INSERT (id, name) VALUES (seed_id + 30, DEFAULT);
     SELECT * FROM member ORDER BY id;",
    "WITH new AS (INSERT INTO member (id, age) VALUES (40, 40) RETURNING name, age) SELECT * FROM new;
     PREPARE p AS INSERT INTO member (id, level) VALUES ($1, $2) RETURNING *; EXECUTE p (41, 'gold'); EXECUTE p (42, 'basic');",
    "INSERT INTO member (id, level) VALUES (50, 'silver'); INSERT INTO member (id, age) VALUES (50, 17); UPDATE member SET age = 151;
     INSERT INTO member (id, balance) VALUES (50, 5); INSERT INTO member (id, balance, note) VALUES (50, 5, 'why');
     UPDATE member SET note = NULL WHERE id = 50; INSERT INTO member (id, age, level) VALUES (51, NULL, NULL);
     SELECT count(*) FROM member;",
    "INSERT INTO member (id, name) VALUES (60, 'a name of thirty characters ab'), (61, 'a name of thirty characters abc');
     SELECT count(*) FROM member WHERE id IN (60, 61);
     ALTER TABLE member ALTER COLUMN name TYPE varchar(150);
     INSERT INTO member (id, name) VALUES (61, 'a name of thirty characters abc'), (62, 'xxxxx');
     INSERT INTO member (id, name) VALUES (61, 'a name of thirty characters abc');
     SELECT id, name FROM member WHERE id IN (60, 61) ORDER BY id;",
    "SELECT column_name, data_type, character_maximum_length FROM information_schema.columns
       WHERE table_name = 'member' ORDER BY ordinal_position;
     SELECT conname, contype FROM pg_constraint WHERE conrelid = 'member'::regclass ORDER BY 1;",
    "ALTER TABLE member ADD COLUMN flag boolean DEFAULT true NOT NULL; INSERT INTO member (id) VALUES (70);
     SELECT id, flag FROM member WHERE id IN (1, 70) ORDER BY id; ALTER TABLE member ALTER flag SET DEFAULT false;
     INSERT INTO member (id) VALUES (71); ALTER TABLE member ALTER flag DROP DEFAULT, ALTER flag DROP NOT NULL;
     INSERT INTO member (id) VALUES (72); SELECT id, flag FROM member WHERE id > 69 ORDER BY id;",
    "ALTER TABLE member ADD CONSTRAINT grown CHECK (age > 18); ALTER TABLE member ADD CONSTRAINT grown CHECK (age > 17) NOT VALID;
     ALTER TABLE member VALIDATE CONSTRAINT grown; ALTER TABLE member DROP CONSTRAINT grown;",
    "BEGIN; ALTER TABLE member ALTER name SET DEFAULT 'short'; INSERT INTO member (id) VALUES (80); ROLLBACK;
     INSERT INTO member (id) VALUES (81); SELECT id, name FROM member WHERE id > 79;",
    "ALTER TABLE member ALTER name SET DEFAULT 'twice'\\; INSERT INTO member (id) VALUES (82)\\; SELECT name FROM member WHERE id = 82;",
];

/// Refused, with the SQLSTATE and a part of the reason.
const REFUSED: &[(&str, &str)] = &[
    ("ALTER TABLE member ALTER born SET DEFAULT now()", "a default that is computed"),
    ("ALTER TABLE member ADD CHECK (length(name) > 3)", "length()"),
    ("ALTER TABLE member ADD CHECK (name <> '')", "sealed column"),
    ("ALTER TABLE member ADD CHECK (note LIKE 'a%')", "CHECK"),
    ("ALTER TABLE member ALTER name TYPE varchar(10)", "a change of type from"),
    ("ALTER TABLE member ALTER name TYPE varchar(10) USING left(name, 10)", "USING"),
];

fn script(trial: &Trial, through: bool, script: &str) -> Said {
    let mut command = if through { trial.app_psql(DATABASE) } else { trial.superuser_psql("reference") };
    run(command.args(["-v", "VERBOSITY=sqlstate"]), script)
}

#[test]
fn definitions_of_protected_columns_do_what_postgresql_s_do() {
    let trial = Trial::start(SCHEMA, CLASSIFICATION);
    trial.superuser("postgres", "CREATE DATABASE reference");
    trial.superuser("reference", SCHEMA);
    for text in SAME {
        assert_eq!(script(&trial, true, text), script(&trial, false, text), "{text}");
    }
    for (text, why) in REFUSED {
        let said = trial.app(text);
        assert!(!said.ok && said.err.contains(why) && said.err.contains("HINT"), "{text} {said:?}");
    }
    // The rows of an INSERT of values do not show that they hold the default.
    let same = "SELECT count(*) - count(DISTINCT name) FROM member WHERE id IN (1, 2, 3, 4, 6, 40, 41, 42)";
    assert_eq!(trial.superuser(DATABASE, same).trim(), "0");
    let shown = trial.app("\\d member").out
        + &trial.app("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'").out
        + &trial.app("SELECT column_default FROM information_schema.columns WHERE table_name = 'member'").out
        + &trial.app("SELECT check_clause FROM information_schema.check_constraints").out;
    assert!(shown.contains("(level = ANY (ARRAY['[protected]', '[protected]']))"), "{shown}");
    assert!(!shown.contains("\\x") && !shown.contains("bytea"), "{shown}");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(prepared(&trial));
    runtime.block_on(locks(&trial));
    let plant = format!("ALTER TABLE member ALTER note SET DEFAULT '{CANARY}', ADD CHECK (level <> '{CANARY}')");
    trial.app_ok(&plant);
    trial.app_ok("INSERT INTO member (id) VALUES (200); INSERT INTO member (id) SELECT 201");
    trial.check(&[Canary::Text(CANARY.into())]);
}

/// A statement that was prepared before a default changed gives the new one; definitions go by the extended protocol too.
async fn prepared(trial: &Trial) {
    let (one, two) = (trial.app_session().await, trial.app_session().await);
    let insert = one.prepare("INSERT INTO member (id) VALUES ($1) RETURNING name, flag").await.unwrap();
    let given = async |id: i32| {
        let row = one.query_one(&insert, &[&id]).await.unwrap();
        (row.get::<_, Option<String>>(0), row.get::<_, Option<bool>>(1))
    };
    assert_eq!(given(100).await, (Some("twice".into()), None));
    two.execute("ALTER TABLE member ALTER name SET DEFAULT 'new', ALTER flag SET DEFAULT true", &[]).await.unwrap();
    assert_eq!(given(101).await, (Some("new".into()), Some(true)));
    two.execute("ALTER TABLE member ALTER name DROP DEFAULT", &[]).await.unwrap();
    assert_eq!(given(102).await, (None, Some(true)));
    let wrong = one.execute("INSERT INTO member (id, level) VALUES (103, 'silver')", &[]).await.unwrap_err();
    assert_eq!(code(&wrong), "23514");
}

/// The look at the catalogue reads the queries of views, which locks what they read: no lock may stay behind.
async fn locks(trial: &Trial) {
    trial.app_ok("CREATE VIEW grown AS SELECT id, age FROM member WHERE age IS NOT NULL");
    let (one, two) = (trial.app_session().await, trial.app_session().await);
    let held = || {
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                   WHERE c.relname IN ('member', 'grown')";
        trial.superuser(DATABASE, sql).trim().to_owned()
    };
    one.batch_execute("BEGIN; SAVEPOINT own; DECLARE c CURSOR FOR SELECT generate_series(1, 3)").await.unwrap();
    two.batch_execute("CREATE INDEX ON member (level)").await.unwrap();
    one.batch_execute("SELECT 17").await.unwrap();
    assert_eq!(held(), "0");
    // The same inside a batch of the extended protocol, and where the transaction's own definitions are new.
    two.batch_execute("CREATE INDEX ON member (balance)").await.unwrap();
    assert_eq!(one.query_one("SELECT 18", &[]).await.unwrap().get::<_, i32>(0), 18);
    assert_eq!(held(), "0");
    one.batch_execute("COMMENT ON TABLE seed IS 'sown'").await.unwrap();
    assert_eq!(one.query_one("SELECT count(*) FROM seed", &[]).await.unwrap().get::<_, i64>(0), 2);
    assert_eq!(held(), "0");
    assert_eq!(one.query_one("FETCH 1 FROM c", &[]).await.unwrap().get::<_, i32>(0), 1);
    one.batch_execute("ROLLBACK TO own; COMMIT").await.unwrap();
}
