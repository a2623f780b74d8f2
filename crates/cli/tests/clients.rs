//! Clients as people have them: tokio-postgres, psycopg 3, pgbench in its three protocols, psql, fifty sessions at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use common::psql::run;
use common::python::python;
use common::session::code;
use common::{DATABASE, Trial, data};
use futures_util::{SinkExt, TryStreamExt, future};
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

/// A value as the protocol's binary format has it; of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

#[test]
fn tokio_postgres_speaks_the_extended_protocol() {
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE reference");
    trial.superuser("reference", data::DUMP);
    Runtime::new().unwrap().block_on(async {
        binary_values(&trial).await;
        let session = trial.app_session().await;
        typed_values(&session).await;
        pipelines(&session).await;
        copies(&session).await;
        simple(&session).await;
        portals(&trial).await;
        cancels(&trial).await;
        many_sessions(&trial).await;
    });
    trial.plant();
    trial.check(&data::canaries());
}

/// Every value of every type in binary, read from the plain copy and from the gateway, written through the gateway,
/// and looked for where it is exact.
async fn binary_values(trial: &Trial) {
    let (gateway, plain) = (trial.app_session().await, trial.superuser_session("reference").await);
    let all = "SELECT * FROM person ORDER BY person_id";
    let (through, reference) = (gateway.prepare(all).await.unwrap(), plain.prepare(all).await.unwrap());
    let types = |statement: &tokio_postgres::Statement| -> Vec<(String, Type)> {
        statement.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect()
    };
    assert_eq!(types(&through), types(&reference), "the application sees the logical types");
    let (rows, expected) = (gateway.query(&through, &[]).await.unwrap(), plain.query(&reference, &[]).await.unwrap());
    assert_eq!(rows.len(), expected.len());
    let columns = types(&reference);
    let value = |row: &tokio_postgres::Row, at: usize| row.get::<_, Option<Raw>>(at);
    for (row, wanted) in rows.iter().zip(&expected) {
        for (at, (name, _)) in columns.iter().enumerate() {
            assert_eq!(value(row, at), value(wanted, at), "{name} of row {:?}", value(wanted, 0));
        }
    }
    let numbers: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
    let insert =
        gateway.prepare(&format!("INSERT INTO person VALUES ({}) RETURNING *", numbers.join(", "))).await.unwrap();
    let wanted: Vec<Type> = columns.iter().map(|(_, ty)| ty.clone()).collect();
    assert_eq!(insert.params(), wanted, "parameters have the logical types");
    gateway.batch_execute("BEGIN; DELETE FROM person").await.unwrap();
    for row in &expected {
        let values: Vec<Option<Raw>> = (0..columns.len()).map(|at| value(row, at)).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let returned = gateway.query_one(&insert, &parameters).await.unwrap();
        for (at, sent) in values.iter().enumerate() {
            assert_eq!(&value(&returned, at), sent, "{}", columns[at].0);
        }
        for (at, (name, _)) in columns.iter().enumerate() {
            let exact = ["national_number", "nickname", "age", "balance", "born", "signed_at", "token"]
                .contains(&name.as_str());
            let Some(sent) = values[at].as_ref().filter(|_| exact) else { continue };
            let text = format!("SELECT count(*) FROM person WHERE {name} = $1 AND person_id = $2");
            let found: i64 = gateway.query_one(&text, &[sent, values[0].as_ref().unwrap()]).await.unwrap().get(0);
            assert_eq!(found, 1, "{name} = {sent:?} is not found again");
        }
    }
    gateway.batch_execute("COMMIT").await.unwrap();
}

async fn typed_values(session: &Client) {
    let statement = session
        .prepare("SELECT family_name, age, active FROM person WHERE national_number = $1 AND nickname = $2")
        .await
        .unwrap();
    assert_eq!(statement.params(), [Type::INT8, Type::TEXT]);
    for _ in 0..3 {
        let row = session.query_one(&statement, &[&85_073_003_328_i64, &"jan"]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, i32>(1), row.get::<_, bool>(2)), ("Peeters", 41, true));
    }
    assert!(session.query_opt(&statement, &[&85_073_003_328_i64, &"piet"]).await.unwrap().is_none());
    let statement = session.prepare("SELECT person_id FROM person WHERE age = ANY ($1) ORDER BY 1").await.unwrap();
    assert_eq!(statement.params(), [Type::INT4_ARRAY]);
    let found = session.query(&statement, &[&vec![Some(41), None, Some(35)]]).await.unwrap();
    assert_eq!(found.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1, 2, 9, 10]);
    let text = "SELECT count(*) FROM person WHERE nickname = ANY ($1) AND national_number <> ALL ($2)";
    let row = session.query_one(text, &[&vec!["jan", "lee"], &Vec::<i64>::new()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 4);
    let error = session.prepare("SELECT * FROM person WHERE family_name = $1").await.unwrap_err();
    assert_eq!(code(&error), "0A000");
    let error = session.execute("UPDATE person SET shoe_size = $1", &[&"x"]).await.unwrap_err();
    assert!(error.as_db_error().is_none(), "a client's own error: {error}");
    let error = session
        .execute("UPDATE person SET nickname = $1 WHERE person_id = 1", &[&"a nickname of more than twenty"])
        .await
        .unwrap_err();
    assert_eq!(code(&error), "22001");
}

/// Several requests under way on one connection, some refused: each gets its own answer.
async fn pipelines(session: &Client) {
    let texts = [
        "SELECT family_name FROM person WHERE person_id = 1",
        "SELECT * FROM person ORDER BY family_name",
        "SELECT name FROM street WHERE street_id = 1",
        "SELECT 1/(street_id - 1) FROM street",
        "SELECT nickname FROM person WHERE person_id = 2",
        "SELEKT",
        "SELECT family_name FROM person WHERE person_id = 3",
    ];
    for _ in 0..5 {
        let answers = future::join_all(texts.iter().map(|text| session.query(*text, &[]))).await;
        let told: Vec<String> = answers
            .into_iter()
            .map(|answer| match answer {
                Ok(rows) => rows[0].get::<_, String>(0),
                Err(error) => code(&error),
            })
            .collect();
        assert_eq!(told, ["Peeters", "0A000", "Veldstraat", "22012", "lee", "42601", "Van den Bossche"]);
    }
}

async fn copies(session: &Client) {
    let sink = session.copy_in::<_, Bytes>("COPY permit FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    // Pieces that end in the middle of lines.
    let rows: String = (0..2_000).map(|n| format!("{}\t{n}\tcopy\tremark {n}\n", 1_000 + n)).collect();
    for piece in rows.as_bytes().chunks(777) {
        sink.send(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 2_000);
    let stream = session.copy_out("COPY permit (permit_id, remark) TO STDOUT").await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\tremark ")).count(), 2_000);
    assert!(text.contains("2999\tremark 1999\n"));
    // A client that gives up in the middle leaves nothing behind, and the session goes on.
    {
        let sink = session.copy_in::<_, Bytes>("COPY permit FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(Bytes::from_static(b"9000\t1\tcopy\tlost\n9001\t1\tco")).await.unwrap();
    }
    let row = session.query_one("SELECT count(*) FROM permit WHERE permit_id >= 9000", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}

async fn simple(session: &Client) {
    let messages = session
        .simple_query(
            "SELECT 1; UPDATE person SET score = 0 WHERE age = 35; SELECT family_name FROM person WHERE person_id = 9",
        )
        .await
        .unwrap();
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None })
        .collect();
    assert_eq!(rows, ["1", "De Smet"]);
    assert!(messages.iter().any(|message| matches!(message, SimpleQueryMessage::CommandComplete(2))));
    assert!(
        session.simple_query("").await.unwrap().iter().all(|message| !matches!(message, SimpleQueryMessage::Row(_)))
    );
}

/// A portal that is read in parts, in a transaction.
async fn portals(trial: &Trial) {
    let mut session = trial.app_session().await;
    let transaction = session.transaction().await.unwrap();
    let portal =
        transaction.bind("SELECT remark FROM permit WHERE kind = 'copy' ORDER BY permit_id", &[]).await.unwrap();
    let mut total = 0;
    loop {
        let rows = transaction.query_portal(&portal, 300).await.unwrap();
        for row in &rows {
            assert_eq!(row.get::<_, &str>(0), format!("remark {total}"));
            total += 1;
        }
        if rows.len() < 300 {
            break;
        }
    }
    assert_eq!(total, 2_000);
    transaction.rollback().await.unwrap();
}

/// The cancel key that the gateway gave reaches the right statement.
async fn cancels(trial: &Trial) {
    for slow in ["SELECT pg_sleep(30)", "SELECT family_name FROM person WHERE pg_sleep(30) IS NOT NULL"] {
        let session = trial.app_session().await;
        let token = session.cancel_token();
        let started = Instant::now();
        let cancelling = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            token.cancel_query_raw(trial.app_stream().await, trial.tls()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(session.query(slow, &[]), cancelling);
        assert_eq!(code(&answer.unwrap_err()), "57014", "{slow}");
        assert!(started.elapsed() < Duration::from_secs(10));
        let row = session.query_one("SELECT family_name FROM person WHERE person_id = 1", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "Peeters");
    }
}

/// Fifty sessions, each with rows of its own: nobody gets another's answer.
async fn many_sessions(trial: &Trial) {
    let one = async |me: i32| {
        let session = trial.app_session().await;
        let number = i64::from(me) + 700_000;
        let insert = "INSERT INTO person (person_id, national_number, family_name, nickname, account) \
                      VALUES ($1, $2, $3, $4, $5)";
        let (name, nick) = (format!("Session {me}"), format!("s{me}"));
        session.execute(insert, &[&(me + 10_000), &number, &name, &nick, &number]).await.unwrap();
        for round in 0..20_i64 {
            session
                .execute("UPDATE person SET account = $1 WHERE national_number = $2", &[&(number * round), &number])
                .await
                .unwrap();
            let row = session
                .query_one("SELECT family_name, account FROM person WHERE nickname = $1", &[&nick])
                .await
                .unwrap();
            assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), (name.as_str(), number * round));
        }
    };
    future::join_all((0..50).map(one)).await;
    let session = trial.app_session().await;
    let row = session
        .query_one("SELECT count(*), count(DISTINCT nickname) FROM person WHERE person_id >= 10000", &[])
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (50, 50));
}

#[test]
fn psycopg_runs_its_script() {
    let Some(python) = python() else { return };
    let trial = Trial::usual();
    trial.python_script(&python, "psycopg_script.py");
    trial.plant();
    trial.check(&data::canaries());
}

#[test]
fn pgbench_runs_in_its_three_protocols() {
    let trial = Trial::usual();
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(common::postgres_bin().join("pgbench"));
        let environment = trial.app_psql(DATABASE);
        command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = run(command.args(arguments), "");
        assert!(said.ok, "pgbench {arguments:?}\n{}{}", said.out, said.err);
        said.out
    };
    bench(&["--initialize", "--scale", "1", "--quiet"]);
    assert_eq!(trial.app_ok("SELECT count(*) FROM pgbench_accounts"), "100000");
    let script = trial.write(
        "protected.pgbench",
        "\\set id random(1, 10)
\\set amount random(-100000, 100000)
BEGIN;
UPDATE person SET account = :amount, score = :id WHERE person_id = :id;
SELECT family_name, balance FROM person WHERE person_id = :id;
SELECT p.person_id, r.remark FROM person p JOIN permit r USING (national_number) WHERE p.nickname = 'jan';
INSERT INTO permit VALUES (:client_id * 1000000 + :id * 1000 + 500000, :amount, 'bench', 'bench remark')
  ON CONFLICT (permit_id) DO UPDATE SET remark = EXCLUDED.remark, national_number = :amount;
END;
",
    );
    for protocol in ["simple", "extended", "prepared"] {
        let run = ["--no-vacuum", "--client=4", "--jobs=2", "--transactions=50", "--protocol", protocol];
        let plain = bench(&run);
        assert!(plain.contains("number of transactions actually processed: 200/200"), "{plain}");
        let file = script.display().to_string();
        let protected = bench(&[&run[..], &["--file", &file]].concat());
        assert!(protected.contains("number of transactions actually processed: 200/200"), "{protected}");
    }
    assert_eq!(trial.app_ok("SELECT count(*) FROM person"), "10");
    assert_ne!(trial.app_ok("SELECT count(*) FROM permit WHERE kind = 'bench'"), "0");
    trial.plant();
    trial.check(&data::canaries());
}
