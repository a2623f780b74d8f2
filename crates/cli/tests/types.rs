//! Types that have tests of their own, beside plain PostgreSQL on the same server: arrays, enums, ordered floats,
//! dates under every DateStyle.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use bytes::Bytes;
use common::check::Canary;
use common::psql::{Said, run};
use common::session::code;
use common::{DATABASE, Trial};
use futures_util::{SinkExt, TryStreamExt};
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Under each DateStyle.
const DATED: &str = "INSERT INTO sample (id, born, seen, signed_at)
       VALUES (50, '2020-01-31', '2020-07-01 12:00:00.5', '2020-07-01 12:00+00'), (51, '01/02/2020', '1-2-2020 00:00',
       '01.02.2020 12:00+00'), (52, 'infinity', '0044-03-15 BC', '-infinity');
     INSERT INTO sample (id, born) VALUES (53, '01/31/2020');
     INSERT INTO sample (id, born) VALUES (54, '31/01/2020');
     INSERT INTO sample (id, born, seen) VALUES (55, 'Jan 31 2020', 'Fri Jan 31 12:00:00 2020');
     INSERT INTO parcel (id, marks, days, moments) VALUES (50, '{}', '{01/02/2020}', '{2020-07-01 12:00}');
     SELECT id, born, seen, signed_at FROM sample WHERE id >= 50 ORDER BY id;
     SELECT days, moments FROM parcel WHERE id = 50;
     SELECT id FROM sample WHERE born = '02/01/2020';
     COPY (SELECT born, signed_at FROM sample WHERE id >= 50 ORDER BY id) TO STDOUT (FORMAT csv);";
const DATE_STYLES: [&str; 8] =
    ["ISO, MDY", "ISO, DMY", "SQL, DMY", "SQL, MDY", "Postgres, DMY", "Postgres, MDY", "German, DMY", "German, MDY"];

const DUMP: &str = include_str!("types/schema.sql");
const CLASSIFICATION: &str = include_str!("types/classification.toml");
const REFERENCE: &str = "reference";

/// Each in a session of its own; the same rows and the same SQLSTATE.
const SAME: &[&str] = &[
    "SELECT tags, marks, tags IS NULL FROM parcel;
     SELECT * FROM parcel ORDER BY id;
     SELECT count(tags) FROM parcel;",
    r#"INSERT INTO parcel (id, label, tags, marks) VALUES (10, '{"p"}', '{a,"b c",NULL,"NULL","",\\"x}', '{}'), (11,
       '{}', '{}', '{a}') RETURNING tags, marks;
     SELECT tags FROM parcel WHERE id = 10;"#,
    r#"INSERT INTO parcel (id, tags, marks) VALUES (10, '[2:3][-1:0]={{"{","}"},{"a,b",""}}', '{{a},{b}}');
     SELECT tags, marks FROM parcel WHERE id = 10;"#,
    "INSERT INTO parcel (id, tags, codes, marks, counts, smalls, bigs, prices, rates, tokens, days, moments, spans,
       files, docs, hosts, flags, reals) VALUES (10, '{ a , b }', '{abcde,NULL}', '{a,bcd}', '{1,-2147483648}', '{1,2}',
       '{9223372036854775807}', '{1.005,2,NULL}', '{1.0,1.00,NaN}', '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}',
       '{2020-01-31,infinity}', '{2020-01-31 12:00,\"2020-07-01 12:00+00\"}', '{1 day 02:03:04,P1Y}',
       '{\"\\\\x00ff\",\"abc\"}', '{\"{\\\"a\\\": 1.50}\",null}', '{10.0.0.1/8,::1}', '{t,no,NULL}', '{1.5,-0,NaN}');
     SELECT * FROM parcel WHERE id = 10;",
    "INSERT INTO parcel (id, tags, codes, marks) VALUES (10, ARRAY['a','b c',NULL], ARRAY['x','y'], ARRAY['p','q']);
     INSERT INTO parcel (id, marks, tags) VALUES (11, '{}', ARRAY[['a','b'],['c','d\"\\,{}']]);
     INSERT INTO parcel (id, marks, tags) VALUES (12, '{}', ARRAY[]::text[]), (13, '{}', ARRAY['a']::varchar[]), (14,
       '{}', NULL);
     INSERT INTO parcel (id, marks, counts, bigs, prices, reals) VALUES (15, '{}', ARRAY[1,-2], ARRAY[3], ARRAY[1.005,2],
       ARRAY[1.1]);
     INSERT INTO parcel (id, marks, tokens) VALUES (16, '{}', ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]);
     INSERT INTO parcel (id, marks, days) VALUES (17, '{}', ARRAY['2020-01-31','2020-02-01']::date[]);
     INSERT INTO parcel (id, marks, flags) VALUES (18, '{}', ARRAY[true,false,NULL]);
     SELECT id, tags, codes, marks, counts, bigs, prices, reals, tokens, days,
       flags FROM parcel WHERE id >= 10 ORDER BY id;",
    "INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '{a,b');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', 'a');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '{a}}');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '{a,,b}');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '[3:1]={a}');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '[1:2]={a}');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '{{a},{b,c}}');
     INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', '{{{{{{{a}}}}}}}');
     INSERT INTO parcel (id, marks, counts) VALUES (10, '{}', '{1,x}');
     INSERT INTO parcel (id, marks, counts) VALUES (10, '{}', '{2147483648}');
     INSERT INTO parcel (id, marks, codes) VALUES (10, '{}', '{abcdef}');
     INSERT INTO parcel (id, marks, codes) VALUES (10, '{}', '{abcde  }');
     INSERT INTO parcel (id, marks, codes) VALUES (11, '{}', '{\"abcde  \"}');
     INSERT INTO parcel (id, marks) VALUES (12, '{abcd}');
     INSERT INTO parcel (id, marks, codes) VALUES (12, '{}', '{abcdefgh}'::varchar(3)[]);
     INSERT INTO parcel (id, marks) VALUES (13, NULL);
     INSERT INTO parcel (id, marks, prices) VALUES (14, '{}', '{123456789}');
     INSERT INTO parcel (id, marks, days) VALUES (14, '{}', '{2020-02-30}');
     INSERT INTO parcel (id, marks, smalls) VALUES (14, '{}', ARRAY[32768]);
     INSERT INTO parcel (id, marks, counts) VALUES (14, '{}', ARRAY['a','b']);
     INSERT INTO parcel (id, marks, tokens) VALUES (14, '{}', ARRAY['a']);
     SELECT id, tags, codes, marks, counts FROM parcel ORDER BY id;",
    "UPDATE parcel SET tags = '{new}', label = ARRAY['old','new'] WHERE id = 1 RETURNING tags, label;
     SELECT COALESCE(tags, '{none}') FROM parcel;
     SELECT CASE WHEN id = 1 THEN tags ELSE '{\"other one\"}' END FROM parcel;",
    "SET TimeZone = 'Asia/Kolkata';
     SET IntervalStyle = 'iso_8601';
     INSERT INTO parcel (id, marks, moments, spans) VALUES (10, '{}', '{2020-01-31 12:00}', '{1 mon 2 days}');
     SELECT moments, spans FROM parcel WHERE id = 10;
     SET TimeZone = 'UTC';
     SET IntervalStyle = 'sql_standard';
     SELECT moments, spans FROM parcel WHERE id = 10;",
    "PREPARE q (text[]) AS INSERT INTO parcel (id, marks, tags) VALUES (10, '{}', $1) RETURNING tags;
     EXECUTE q ('{a,\"b c\"}');
     PREPARE r AS INSERT INTO parcel (id, marks, counts) VALUES (11, '{}', $1) RETURNING counts;
     EXECUTE r ('{1,NULL}');
     EXECUTE r (ARRAY[4]);",
    "\\d parcel\nSELECT * FROM parcel \\gdesc\n
     SELECT attname, format_type(atttypid, atttypmod), attndims,
       attstorage FROM pg_attribute WHERE attrelid = 'parcel'::regclass AND attnum > 0;
     SELECT column_name, data_type, udt_name,
       dtd_identifier FROM information_schema.columns WHERE table_name = 'parcel' ORDER BY 1;
     SELECT object_type, data_type, character_maximum_length,
       numeric_precision FROM information_schema.element_types WHERE object_schema = 'public' ORDER BY 1, 2;",
    "INSERT INTO sample (id, mood, hidden) VALUES (60, 'ok', 'sad'), (61, 'very happy'::mood, 'ok'::public.mood), (62,
       NULL, NULL);
     INSERT INTO sample (id, mood) VALUES (63, 'Ok');
     INSERT INTO sample (id, hidden) VALUES (63, '');
     INSERT INTO sample (id, hidden) VALUES (63, 'ok ');
     SELECT id, mood, hidden FROM sample WHERE id >= 60 ORDER BY id;
     SELECT id FROM sample WHERE mood = 'ok';
     SELECT id FROM sample WHERE mood IN ('ok'::mood, 'very happy') ORDER BY id;
     SELECT id FROM sample WHERE mood <> 'sad' ORDER BY id;
     SELECT id FROM sample WHERE mood = 'unknown';
     SELECT mood, count(*) FROM sample WHERE id >= 60 GROUP BY mood HAVING count(*) = 1 AND mood = 'ok';
     SELECT a.id FROM sample a JOIN sample b USING (mood) ORDER BY 1;
     UPDATE sample SET mood = 'sad' WHERE mood = 'ok' RETURNING mood;
     SELECT COALESCE(mood, 'sad') FROM sample WHERE id >= 60 ORDER BY id;
     COPY (SELECT id, mood, hidden FROM sample WHERE id >= 60 ORDER BY id) TO STDOUT (FORMAT csv);",
    "\\d sample\nSELECT mood, hidden FROM sample \\gdesc\n
     SELECT attname, atttypid::regtype, attlen, attalign FROM pg_attribute WHERE attrelid = 'sample'::regclass AND attnum > 0;
     PREPARE q (mood) AS SELECT id FROM sample WHERE mood = $1;
     EXECUTE q ('ok');",
    "SELECT id, ratio, weight FROM sample ORDER BY ratio, id;
     SELECT id FROM sample ORDER BY weight DESC NULLS LAST, id;
     SELECT id FROM sample WHERE ratio < '1.5' ORDER BY id;
     SELECT id FROM sample WHERE weight >= 0 ORDER BY id;
     SELECT id FROM sample WHERE weight BETWEEN -0.1 AND 0.1 ORDER BY id;
     SELECT id FROM sample WHERE weight > 'Infinity' ORDER BY id;
     SELECT id FROM sample WHERE weight = 0 ORDER BY id;
     SELECT min(ratio), max(ratio), min(weight), max(weight) FROM sample;
     SELECT max(weight) FROM sample WHERE weight < 'Infinity';
     SELECT count(*), ratio FROM sample GROUP BY ratio ORDER BY ratio NULLS FIRST;
     SELECT greatest(weight, 0.05) FROM sample ORDER BY id;
     CREATE INDEX ON sample (weight);
     SELECT id FROM sample WHERE weight < -1e10;",
];

/// Refused, and the session goes on.
const REFUSED: &[&str] = &[
    "SELECT id FROM parcel WHERE tags = '{a}'",
    "SELECT id FROM parcel WHERE 'a' = ANY(tags)",
    "SELECT tags[1] FROM parcel",
    "SELECT unnest(tags) FROM parcel",
    "SELECT tags || '{x}' FROM parcel",
    "SELECT array_length(tags, 1) FROM parcel",
    "SELECT id FROM parcel ORDER BY tags",
    "SELECT DISTINCT tags FROM parcel",
    "SELECT tags::text FROM parcel",
    "SELECT id FROM parcel WHERE tags @> ARRAY['a']",
    "UPDATE parcel SET tags[1] = 'x'",
    "UPDATE parcel SET tags = array_append(tags, 'x')",
    "INSERT INTO parcel (id, marks, tags) SELECT 20, '{}', array_agg('a'::text)",
    "INSERT INTO parcel (id, marks, tags) VALUES (20, '{}', '{{},{}}')",
    "SET array_nulls = off",
    "UPDATE sample SET weight = '-0'",
    "SELECT sum(weight) FROM sample",
    "SELECT mood FROM sample ORDER BY mood",
    "SELECT id FROM sample WHERE mood < 'ok'",
    "SELECT id FROM sample WHERE mood = ANY ('{ok}')",
    "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
    "ALTER TYPE mood RENAME TO temper",
    "DROP TYPE mood CASCADE",
    // It is a number of double precision to PostgreSQL, which no real needs to equal.
    "SELECT id FROM sample WHERE ratio < 1.5",
];

fn trial() -> Trial {
    let trial = Trial::start(DUMP, CLASSIFICATION);
    trial.superuser("postgres", &format!("CREATE DATABASE {REFERENCE}"));
    trial.superuser(REFERENCE, DUMP);
    trial
}

fn script(trial: &Trial, through: bool, script: &str) -> Said {
    let mut command = if through { trial.app_psql(DATABASE) } else { trial.superuser_psql(REFERENCE) };
    let rolled_back = format!("BEGIN;\n\\set ON_ERROR_ROLLBACK on\n{script}\nROLLBACK;");
    run(command.args(["-v", "VERBOSITY=sqlstate"]), &rolled_back)
}

#[test]
fn values_are_as_in_postgresql() {
    let trial = trial();
    for text in SAME {
        assert_eq!(script(&trial, true, text), script(&trial, false, text), "{text}");
    }
    for style in DATE_STYLES {
        let text = format!("SET datestyle = '{style}';\n{DATED}");
        assert_eq!(script(&trial, true, &text), script(&trial, false, &text), "{style}");
    }
    for text in REFUSED {
        let said = script(&trial, true, &format!("{text};\nSELECT 'goes on';"));
        assert!(
            ["0A000", "42501", "42804"].iter().any(|code| said.err.contains(code)) && said.out.contains("goes on"),
            "{text} {said:?}"
        );
    }
    Runtime::new().unwrap().block_on(async {
        let (gateway, plain) = (trial.app_session().await, trial.superuser_session(REFERENCE).await);
        parameters(&gateway, &plain).await;
        copied(&gateway, &plain).await;
        labels(&gateway, &plain).await;
    });
    trial.app_ok("INSERT INTO parcel (id, marks, tags) VALUES (901, '{}', '{CANARY-7f3a-array,b}')");
    trial.check(&[Canary::Text("CANARY-7f3a-array".into())]);
}

/// A parameter or a result as it is on the wire, of whatever type.
#[derive(Debug, PartialEq)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Binary parameters and results, and the types of both.
async fn parameters(gateway: &Client, plain: &Client) {
    let columns = ["tags", "codes", "counts", "prices", "tokens", "moments", "files", "docs", "reals"];
    let mut texts = vec!["{}", "{NULL}", "[0:0]={NULL}"];
    for column in columns {
        texts.truncate(3);
        texts.push(match column {
            "tags" | "codes" => "{a,\"b \"}",
            "counts" | "prices" | "reals" => "{{1,2},{3,4}}",
            "tokens" => "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "moments" => "{2020-01-31 12:00}",
            _ => "{\"{}\"}",
        });
        for text in &texts {
            let sql = format!("SELECT '{text}'::{}", if column == "codes" { "varchar[]" } else { type_of(column) });
            let wire: Raw = plain.query_one(&sql, &[]).await.unwrap().get(0);
            let mut answers = Vec::new();
            for client in [gateway, plain] {
                let sql =
                    format!("INSERT INTO parcel (id, marks, {column}) VALUES (50, '{{}}', $1) RETURNING {column}");
                let statement = client.prepare(&sql).await.unwrap();
                let types = (statement.params().to_vec(), statement.columns()[0].type_().clone());
                let row = client.query_one(&statement, &[&wire]).await.unwrap();
                client.batch_execute("DELETE FROM parcel WHERE id = 50").await.unwrap();
                answers.push((types, row.get::<_, Raw>(0)));
            }
            assert_eq!(answers[0], answers[1], "{column} {text}");
        }
    }
    let sql = "INSERT INTO parcel (id, marks, tags) VALUES (50, '{}', $1)";
    for (bytes, expected) in [
        (&b"\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\0\0\x05"[..], "42804"),
        (b"\0\0\0\x07\0\0\0\0\0\0\0\x19", "54000"),
        (b"\0\0\0\x01\0\0\0\x02\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x01a", "22P03"),
        (b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x01a", "08P01"),
        (b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x05a", "22P03"),
        (b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x01\xff", "22021"),
    ] {
        for client in [gateway, plain] {
            let error = client.execute(sql, &[&Raw(bytes.to_vec())]).await.unwrap_err();
            assert_eq!(code(&error), expected, "{bytes:x?}");
        }
    }
}

/// Enums in the extended protocol: their types are the database's own, and new labels are known at once.
async fn labels(gateway: &Client, plain: &Client) {
    for client in [gateway, plain] {
        let sql = "INSERT INTO sample (id, mood, hidden) VALUES (70, $1, $2) RETURNING mood, hidden";
        let statement = client.prepare(sql).await.unwrap();
        for ty in statement.params().iter().chain(statement.columns().iter().map(tokio_postgres::Column::type_)) {
            assert_eq!((ty.name(), ty.schema()), ("mood", "public"));
        }
        let row = client.query_one(&statement, &[&Raw(b"ok".to_vec()), &Raw(b"sad".to_vec())]).await.unwrap();
        assert_eq!((row.get::<_, Raw>(0).0, row.get::<_, Raw>(1).0), (b"ok".to_vec(), b"sad".to_vec()));
        let error = client.query_one(&statement, &[&Raw(b"new".to_vec()), &Raw(b"sad".to_vec())]).await.unwrap_err();
        assert_eq!(code(&error), "22P02");
        client.batch_execute("DELETE FROM sample WHERE id = 70").await.unwrap();
        client.batch_execute("ALTER TYPE mood ADD VALUE 'new' BEFORE 'ok'").await.unwrap();
        client.batch_execute("INSERT INTO sample (id, mood) VALUES (71, 'new')").await.unwrap();
        let row = client.query_one("SELECT id FROM sample WHERE mood = 'new'", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 71);
    }
}

fn type_of(column: &str) -> &'static str {
    match column {
        "tags" => "text[]",
        "counts" => "int4[]",
        "prices" => "numeric[]",
        "tokens" => "uuid[]",
        "moments" => "timestamptz[]",
        "files" => "bytea[]",
        "docs" => "jsonb[]",
        _ => "float4[]",
    }
}

async fn read(client: &Client, sql: &str) -> Vec<u8> {
    let stream = client.copy_out(sql).await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    pieces.concat()
}

async fn write(client: &Client, sql: &str, data: &[u8]) -> Result<u64, String> {
    let sink = client.copy_in::<_, Bytes>(sql).await.map_err(|error| code(&error))?;
    tokio::pin!(sink);
    sink.send(Bytes::copy_from_slice(data)).await.map_err(|error| code(&error))?;
    sink.finish().await.map_err(|error| code(&error))
}

/// COPY in all its formats.
async fn copied(gateway: &Client, plain: &Client) {
    let rows = r#"INSERT INTO parcel (id, tags, marks, counts, prices, files, docs, spans) VALUES
        (70, '{a,"b,c","d\\e",NULL,"\"q\""}', '{a}', '[5:6]={1,2}', '{1.5}', '{"\\x0001","\\x"}', '{"{\"a\": \"b\"}"}',
     '{1 day}'),
        (71, NULL, '{}', '{}', NULL, '{}', NULL, '{}')"#;
    for client in [gateway, plain] {
        client.batch_execute(rows).await.unwrap();
    }
    for options in ["", "(FORMAT csv)", "(FORMAT csv, DELIMITER ';', QUOTE '''')", "(FORMAT binary)"] {
        let out = format!("COPY (SELECT * FROM parcel ORDER BY id) TO STDOUT {options}");
        let data = read(gateway, &out).await;
        assert_eq!(String::from_utf8_lossy(&data), String::from_utf8_lossy(&read(plain, &out).await), "{options}");
        for client in [gateway, plain] {
            client.batch_execute("DELETE FROM parcel").await.unwrap();
            assert_eq!(write(client, &format!("COPY parcel FROM STDIN {options}"), &data).await, Ok(3), "{options}");
        }
        assert_eq!(data, read(gateway, &out).await, "{options}");
    }
    for wrong in ["80\t{a\t{}\n", "80\t{a}\t{\"abcd\"}\n"] {
        let sql = "COPY parcel (id, tags, marks) FROM STDIN";
        let (through, expected) =
            (write(gateway, sql, wrong.as_bytes()).await, write(plain, sql, wrong.as_bytes()).await);
        assert!(through.is_err() && through == expected, "{wrong}: {through:?}, {expected:?}");
    }
}
