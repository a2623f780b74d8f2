//! COPY of protected tables in text, csv and binary, in and out, beside plain PostgreSQL on the same server: the same
//! bytes, the same rows, the same SQLSTATE.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use bytes::Bytes;
use common::session::code;
use common::{Trial, data};
use futures_util::{SinkExt, TryStreamExt};
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// What is hard to write and to read, in the columns `permit_id, national_number, kind, remark`.
const HARD: &str = r#"INSERT INTO permit VALUES
    (101, 1, 'comma', 'a,b'), (102, 2, 'quote', 'say "a"'), (103, 3, 'newline', E'a\nb'), (104, 4, 'return', E'a\rb'),
    (105, 5, 'empty', ''), (106, 6, 'null', NULL), (107, NULL, 'null', NULL), (108, 8, 'marker', E'\\.'),
    (109, 9, 'backslash', E'a\\b\\'), (110, 10, 'tab', E'a\tb'), (111, 11, 'control', E'\b\f\x0b\x01'),
    (112, 12, 'looks null', E'\\N'), (113, 13, 'looks null', 'NULL'), (114, -14, 'pipe', 'a|b;c''d'),
    (115, 15, 'space', '  '), (116, 16, 'other', '王秀英 🦊 Ω'), (117, 17, 'cell', E'\\x1200ab')"#;

const OUT: [&str; 25] = [
    "COPY permit TO STDOUT",
    "COPY permit TO STDOUT WITH (HEADER)",
    "COPY permit (remark, permit_id) TO STDOUT WITH (DELIMITER '|', NULL 'NULL')",
    "COPY permit (remark) TO STDOUT",
    "COPY permit TO STDOUT WITH (FORMAT csv)",
    "COPY permit (remark) TO STDOUT WITH (FORMAT csv)",
    "COPY permit TO STDOUT WITH (FORMAT csv, HEADER)",
    "COPY permit TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'NULL', QUOTE '''', ESCAPE '\\')",
    "COPY permit TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)",
    "COPY permit TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (remark), ENCODING 'utf-8')",
    "COPY permit TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (kind, national_number))",
    "COPY permit TO STDOUT WITH (FORMAT csv, DELIMITER E'\\t', ESCAPE '|')",
    "COPY permit TO STDOUT CSV HEADER QUOTE '|' FORCE QUOTE remark",
    "COPY permit TO STDOUT WITH (FORMAT binary)",
    "COPY person TO STDOUT",
    "COPY person TO STDOUT WITH (FORMAT csv, NULL '-')",
    "COPY person TO STDOUT WITH (FORMAT binary)",
    "COPY person (born, family_name) TO STDOUT BINARY",
    "COPY street TO STDOUT WITH (FORMAT csv)",
    "COPY (SELECT * FROM permit ORDER BY permit_id) TO STDOUT WITH (FORMAT csv, HEADER)",
    "COPY (SELECT remark AS r, permit_id + 1 AS p FROM permit WHERE national_number = 3) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE (r, p))",
    "COPY (SELECT family_name, age, born FROM person WHERE nickname = 'jan' OR born = '1990-01-01' ORDER BY person_id) TO STDOUT",
    "COPY (SELECT p.family_name, t.remark FROM person p JOIN permit t USING (national_number) ORDER BY t.permit_id) TO STDOUT WITH (FORMAT binary)",
    "COPY (SELECT national_number, count(*) FROM permit WHERE national_number = 85073003328 GROUP BY 1) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
    "COPY (SELECT 'a,b', 1) TO STDOUT CSV",
];

async fn read(client: &Client, sql: &str) -> Result<Vec<u8>, String> {
    let stream = client.copy_out(sql).await.map_err(|error| code(&error))?;
    let pieces: Vec<Bytes> = stream.try_collect().await.map_err(|error| code(&error))?;
    Ok(pieces.concat())
}

async fn write(client: &Client, sql: &str, data: &[u8], piece: usize) -> Result<u64, String> {
    let sink = client.copy_in::<_, Bytes>(sql).await.map_err(|error| code(&error))?;
    tokio::pin!(sink);
    for piece in data.chunks(piece) {
        sink.send(Bytes::copy_from_slice(piece)).await.map_err(|error| code(&error))?;
    }
    sink.finish().await.map_err(|error| code(&error))
}

struct Pair {
    gateway: Client,
    plain: Client,
}

impl Pair {
    async fn of(trial: &Trial) -> Self {
        let (gateway, plain) = (trial.app_session().await, trial.superuser_session("reference").await);
        Self { gateway, plain }
    }

    async fn both(&self, sql: &str) {
        self.plain.batch_execute(sql).await.unwrap();
        self.gateway.batch_execute(sql).await.unwrap();
    }

    async fn out(&self, sql: &str) -> Result<Vec<u8>, String> {
        let (through, expected) = (read(&self.gateway, sql).await, read(&self.plain, sql).await);
        let shown =
            |bytes: &Result<Vec<u8>, String>| bytes.clone().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(shown(&through), shown(&expected), "{sql}");
        assert_eq!(through, expected, "{sql}");
        expected
    }

    /// The same answer, and the same rows afterwards.
    async fn load(&self, sql: &str, data: &[u8], piece: usize) -> Result<u64, String> {
        let through = write(&self.gateway, sql, data, piece).await;
        let expected = write(&self.plain, sql, data, piece).await;
        // Forms of numbers that only some versions read are not accepted at all.
        let unread = through == Err("0A000".to_owned()) && expected == Err("22P02".to_owned());
        assert!(unread || through == expected, "{sql} {:?} {through:?} {expected:?}", String::from_utf8_lossy(data));
        let stored = "COPY permit TO STDOUT";
        let (through, plain) = (read(&self.gateway, stored).await, read(&self.plain, stored).await);
        assert_eq!(through, plain, "after {sql} {:?}", String::from_utf8_lossy(data));
        expected
    }
}

fn trial() -> Trial {
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE reference");
    trial.superuser("reference", data::DUMP);
    trial
}

#[test]
fn rows_come_out_as_postgresql_writes_them_and_go_in_again() {
    let trial = trial();
    Runtime::new().unwrap().block_on(async {
        let pair = Pair::of(&trial).await;
        pair.both(HARD).await;
        for sql in OUT {
            let bytes = pair.out(sql).await.unwrap();
            assert!(!bytes.is_empty(), "{sql}");
        }
        round_trips(&pair).await;
        refused(&pair).await;
    });
    trial.plant();
    trial.check(&data::canaries());
}

/// What came out goes in again, in every format, whatever the size of the messages.
async fn round_trips(pair: &Pair) {
    for options in ["", "(HEADER)", "(FORMAT csv)", "(FORMAT csv, HEADER, NULL 'NULL', ESCAPE '\\')", "(FORMAT binary)"]
    {
        let rows = pair.out(&format!("COPY permit TO STDOUT {options}")).await.unwrap();
        let people = pair.out(&format!("COPY person TO STDOUT {options}")).await.unwrap();
        for piece in [1, 7, 100_000] {
            pair.both("DELETE FROM permit; DELETE FROM person").await;
            let count = pair.load(&format!("COPY permit FROM STDIN {options}"), &rows, piece).await;
            assert_eq!(count, Ok(23), "{options}");
            let count = pair.load(&format!("COPY person FROM STDIN {options}"), &people, piece).await;
            assert_eq!(count, Ok(10), "{options}");
            pair.out("COPY person TO STDOUT").await.unwrap();
        }
    }
    let found = pair.out("COPY (SELECT permit_id FROM permit WHERE national_number = -14) TO STDOUT").await;
    assert_eq!(found.unwrap(), b"114\n", "what COPY stored is found by its value");
}

async fn refused(pair: &Pair) {
    for sql in [
        "COPY permit TO STDOUT (FORMAT csv, DELIMITER 'a')",
        "COPY permit TO STDOUT (FORMAT csv, QUOTE '0')",
        "COPY permit TO STDOUT (NULL '\\x12')",
        "COPY permit TO STDOUT (ENCODING 'LATIN1')",
        "COPY (SELECT upper(remark) FROM permit) TO STDOUT",
        "COPY (DELETE FROM permit) TO STDOUT",
        "COPY permit FROM STDIN WHERE national_number = 5",
    ] {
        assert_eq!(read(&pair.gateway, sql).await.unwrap_err(), "0A000", "{sql}");
    }
    for sql in [
        "COPY permit TO STDOUT (FORMAT csv, FORCE_QUOTE (nothing))",
        "COPY permit (kind) TO STDOUT (FORMAT csv, FORCE_QUOTE (remark))",
        "COPY permit TO STDOUT (FORMAT csv, FORCE_QUOTE (nothing, remark))",
        "COPY permit TO STDOUT (FORMAT nothing)",
        "COPY permit TO STDOUT (FORMAT csv, DELIMITER 'ab')",
        "COPY permit TO STDOUT (FORMAT csv, DELIMITER ';', QUOTE ';')",
        "COPY permit TO STDOUT (FORMAT binary, DELIMITER ';')",
        "COPY permit TO STDOUT (FORMAT binary, HEADER)",
        "COPY permit TO STDOUT (FORCE_QUOTE *)",
        "COPY permit TO STDOUT (DELIMITER 'q')",
        "COPY permit (nothing) TO STDOUT",
        "COPY permit (remark, remark) TO STDOUT",
        "COPY (SELECT remark FROM permit WHERE permit_id = $1) TO STDOUT",
    ] {
        assert!(pair.out(sql).await.is_err(), "{sql}");
    }
}

/// Data that is right, odd or wrong: the same count or the same SQLSTATE, and the same rows.
#[test]
fn rows_go_in_as_postgresql_takes_them() {
    let trial = trial();
    Runtime::new().unwrap().block_on(async {
        let pair = Pair::of(&trial).await;
        let mut taken = 0;
        for (options, data) in INPUT {
            for piece in [1, 5, 100_000] {
                pair.both("DELETE FROM permit").await;
                let result = pair.load(&format!("COPY permit FROM STDIN {options}"), data.as_bytes(), piece).await;
                taken += u32::from(result.is_ok());
            }
        }
        assert!(taken > 60, "most of the data is right: {taken}");
        bytes(&pair).await;
        binary(&pair).await;
        mutations(&pair).await;
        other_columns(&pair).await;
    });
    trial.plant();
    trial.check(&data::canaries());
}

const INPUT: [(&str, &str); 52] = [
    ("", "1\t2\tk\tr\n2\t\\N\tk\t\\N\n"),
    ("", "1\t2\tk\tr\n2\t3\tk\tno newline at the end"),
    ("", "1\t2\tk\tr\n\\.\nwhatever\tcomes\n"),
    ("", "1\t2\tk\tr\r\n2\t3\tk\ts\r\n\\.\r\n"),
    ("", "1\t2\tk\tr\r2\t3\tk\ts\r"),
    ("", "1\t2\tk\tr\r\n2\t3\tk\ts\n"),
    ("", "1\t2\tk\tr\n2\t3\tk\ts\r\n"),
    ("", "1\t2\tk\tr\n2\t3\tk\ts\r3"),
    ("", "1\t2\tk\ta\\\nb\\\tc\\\\d\\x41\\101\\q\\r\\n\n"),
    ("", "1\t2\tk\tr\\"),
    ("", "1\t2\tk\n"),
    ("", "1\n"),
    ("", "\n"),
    ("", "1\t2\tk\tr\ts\n"),
    ("", "1\tx\tk\tr\ts\n"),
    ("", "1\tx\tk\tr\n"),
    ("", "1\t99999999999999999999\tk\tr\n"),
    ("", "1\t\tk\tr\n"),
    ("", "1\t 7 \tk\t r \n"),
    ("", "x\t2\tk\tr\n"),
    ("", "1\t2\t\\N\tr\n"),
    ("", "1\t2\tk\tr\n1\t2\tk\tr\n"),
    ("", "x\t2\tk\tr\n1\tx\tk\tr\n"),
    ("", "1\tx\tk\tr\nx\t2\tk\tr\n"),
    ("", ""),
    ("(DELIMITER '|', NULL 'none')", "1|none|k|none\n2|3|none|\\none\n"),
    ("(HEADER)", "whatever\n1\t2\tk\tr\n"),
    ("(HEADER MATCH)", "permit_id\tnational_number\tkind\tremark\n1\t2\tk\tr\n"),
    ("(HEADER MATCH)", "permit_id\tnational_number\tkind\tother\n1\t2\tk\tr\n"),
    ("(FORMAT csv)", "1,2,k,r\n2,,k,\n3,\"3\",k,\"\"\n"),
    ("(FORMAT csv)", "1,2,k,\"a\nb\r\n\"\"c\"\", d\"\n"),
    ("(FORMAT csv)", "1,2,k,a\"b,c\"d\n2,3,k, \"x\" \n"),
    ("(FORMAT csv)", "1,2,k,r\n\\.\nwhatever"),
    ("(FORMAT csv)", "1,2,k,\\.\n2,3,k,\"\\.\"\n"),
    ("(FORMAT csv)", "\\.x,2,k,r\n"),
    ("(FORMAT csv)", "1,2,k,\"never closed\n2,3,k,r\n"),
    ("(FORMAT csv)", "1,2,k,r\r\n2,3,k,\"s\r\n\"\r\n"),
    ("(FORMAT csv)", "1,2,k,r\r\n2,3,k,s\n"),
    ("(FORMAT csv)", "1,2,k,r\n2,3,k,s\r\n"),
    ("(FORMAT csv)", "1,2,k\n"),
    ("(FORMAT csv)", "1,2,k,r,s\n"),
    ("(FORMAT csv)", "1,two,k,r,\"s\n"),
    ("(FORMAT csv)", "1,,k,\n"),
    ("(FORMAT csv)", "1,\"\",k,\"\"\n"),
    ("(FORMAT csv, FORCE_NULL (national_number, remark))", "1,\"\",k,\"\"\n2,,k,\n"),
    ("(FORMAT csv, FORCE_NOT_NULL (remark, kind))", "1,2,,\n2,2,\"\",\"\"\n"),
    ("(FORMAT csv, FORCE_NOT_NULL (national_number))", "1,,k,\n"),
    ("(FORMAT csv, NULL 'n', FORCE_NULL (remark, kind), FORCE_NOT_NULL (remark))", "1,2,k,n\n2,2,k,\"n\"\n"),
    ("(FORMAT csv, QUOTE '''', ESCAPE '\\', DELIMITER ';')", "1;2;k;'it\\'s; \\\\ \\n'\n"),
    ("(FORMAT csv, HEADER MATCH)", "permit_id,\"national_number\",kind,remark\n1,2,k,r\n"),
    ("(FORMAT csv, HEADER)", "\"two\nlines\",b\n1,2,k,r\n"),
    ("WHERE permit_id > 1 AND kind <> 'x'", "1\t2\tk\tr\n2\t3\tk\ts\n3\t4\tx\tt\n"),
];

/// What is no text: NUL, bytes that are not UTF-8, alone and escaped, in plain and in protected columns.
async fn bytes(pair: &Pair) {
    let text: [&[u8]; 9] = [
        b"1\t2\tk\tr\0s\n",
        b"1\t2\tk\0\tr\n",
        b"1\t2\0\tk\tr\n",
        b"1\t2\tk\t\xff\n",
        b"1\t2\t\xc3\tr\n",
        b"1\t2\tk\t\\xff\n",
        b"1\t2\tk\t\\000\n",
        b"1\t2\tk\t\\xc3\\xa9\n",
        b"1\t\xff\tk\tr\n",
    ];
    for data in text {
        pair.both("DELETE FROM permit").await;
        let first = pair.load("COPY permit FROM STDIN", data, 100_000).await;
        assert_eq!(first.is_ok(), data.ends_with(b"\\xa9\n"), "{data:?}");
        let csv: Vec<u8> = data.iter().map(|byte| if *byte == b'\t' { b',' } else { *byte }).collect();
        pair.both("DELETE FROM permit").await;
        let _ = pair.load("COPY permit FROM STDIN CSV", &csv, 100_000).await;
    }
}

async fn binary(pair: &Pair) {
    let header: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let row = |fields: &[&[u8]]| {
        let mut row = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
        for field in fields {
            row.extend(i32::try_from(field.len()).unwrap().to_be_bytes());
            row.extend(*field);
        }
        row
    };
    let (id, number) = (7_i32.to_be_bytes(), 8_i64.to_be_bytes());
    let good = row(&[&id, &number, b"k", b"r"]);
    let trailer: &[u8] = &[255, 255];
    for (rows, fine) in [
        (vec![good.clone()], true),
        (vec![good.clone(), trailer.to_vec()], true),
        (vec![], true),
        (vec![trailer.to_vec(), good.clone()], false),
        (vec![good[..good.len() - 1].to_vec()], false),
        (vec![row(&[&id, &number, b"k"]), trailer.to_vec()], false),
        (vec![row(&[&id, &number, b"k", b"r", b"s"])], false),
        (vec![row(&[&id, &id, b"k", b"r"])], false),
        (vec![row(&[&id, b"", b"k", b"r"])], false),
        (vec![row(&[b"x", &number, b"k", b"r"])], false),
        (vec![row(&[&id, &number, b"k", b"\xff"])], false),
        (vec![row(&[&id, &number, b"k", b"\0"])], false),
        (vec![row(&[&id, &number, b"\0", b"r"])], false),
        (vec![vec![0, 4, 255, 255, 255, 254]], false),
    ] {
        let data = [header.to_vec(), rows.concat()].concat();
        for piece in [1, 100_000] {
            pair.both("DELETE FROM permit").await;
            let result = pair.load("COPY permit FROM STDIN BINARY", &data, piece).await;
            assert_eq!(result.is_ok(), fine, "{rows:?}: {result:?}");
        }
    }
    for data in [&b""[..], b"1\t2\tk\tr\n", &header[..12], &[&header[..11], &[0, 1, 0, 0, 0, 0, 0, 0]].concat()] {
        assert!(pair.load("COPY permit FROM STDIN BINARY", data, 100).await.is_err());
    }
}

/// Whatever bytes: right data with random bytes changed, taken out and put in.
async fn mutations(pair: &Pair) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let (text, csv) = ("1\t22\tkind\tre\\tm\n2\t\\N\tk\t\\N\n", "1,22,\"kind\",\"r\"\"e\nm\"\n2,,k,\n");
    let mut outcomes = std::collections::BTreeMap::new();
    for round in 0..600 {
        let (options, sample, odd) = match round % 3 {
            0 => ("", text, &b"\t\n\r\\\\N.7\0\xc3"[..]),
            1 => ("CSV", csv, &b",\n\r\"\"\\.7\0\xc3"[..]),
            _ => ("(FORMAT csv, ESCAPE '\\', NULL 'k', FORCE_NULL (remark))", csv, &b",\n\r\"\\\\\\k7"[..]),
        };
        let mut data = sample.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let (at, byte) = (random(data.len()), odd[random(odd.len())]);
            match random(3) {
                0 => data[at] = byte,
                1 => data.insert(at, byte),
                _ => drop(data.remove(at)),
            }
        }
        // PostgreSQL before 18 takes what stands before a marker in mid-line; here that is refused, as 18 does.
        if data.windows(2).any(|pair| pair == b"\\.") {
            continue;
        }
        pair.both("DELETE FROM permit").await;
        let result = pair.load(&format!("COPY permit FROM STDIN {options}"), &data, 1 + random(40)).await;
        *outcomes.entry(result.map_or_else(|code| code, |_| "taken".to_owned())).or_insert(0) += 1;
    }
    assert!(outcomes.len() > 4 && outcomes["taken"] > 50, "{outcomes:?}");
}

/// Other tables and types; a column list; a plain table.
async fn other_columns(pair: &Pair) {
    pair.both("DELETE FROM permit; DELETE FROM person").await;
    let person =
        "COPY person (person_id, national_number, family_name, nickname, born, active, balance, signed_at, token)";
    let rows = [
        "1,5,a,b,1990-02-01,yes,1.005,2024-01-01 00:00+02,5f1c2a34-0000-4000-8000-000000000001\n",
        "2,6,\"\",,,,,,\n",
        "3,7,a,bbbbbbbbbbbbbbbbbbbbbbbbb,,,,,\n",
        "4,8,a,\"bbbbbbbbbbbbbbbbbbbb      \",,,,,\n",
        "5,9,a,b,1990-02-30,,,,\n",
        "6,10,a,b,,maybe,,,\n",
        "7,11,a,b,,,1234567890.00,,\n",
        "8,12,a,b,,,,,not-a-uuid\n",
        "9,13,,b,,,,,\n",
        "10,5,a,b,,,,,\n",
        "11,,a,b,,,,,\n",
    ];
    let mut taken = 0;
    for row in rows {
        taken += u32::from(pair.load(&format!("{person} FROM STDIN CSV"), row.as_bytes(), 9).await.is_ok());
        pair.out("COPY person TO STDOUT").await.unwrap();
    }
    assert_eq!(taken, 3);
    pair.load("COPY street FROM STDIN CSV", b"9,\"a,b\",1\n", 3).await.unwrap();
    pair.load("COPY street FROM STDIN CSV", b"10,x,y\n", 3).await.unwrap_err();
}
