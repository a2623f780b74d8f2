//! The catalogue through the gateway is that of plain PostgreSQL: psql's `\d`, information_schema, SQLAlchemy's
//! inspector and Django's inspectdb see logical types and no check of ours.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;

use common::psql::run;
use common::{DATABASE, Trial};

/// The same tables without Drieslot.
const REFERENCE: &str = "reference";
const DUMP: &str = include_str!("common/reflected.sql");
const CLASSIFICATION: &str = include_str!("common/reflected.toml");

/// Nothing here depends on an OID, which the two databases do not share.
const QUERIES: [&str; 22] = [
    "SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length, \
     character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, \
     interval_type, character_set_name, collation_name, domain_name, udt_schema, udt_name, dtd_identifier, \
     is_identity, is_generated, is_updatable FROM information_schema.columns WHERE table_schema = 'public' \
     ORDER BY table_name, ordinal_position",
    "SELECT information_schema.columns.data_type FROM information_schema.columns WHERE table_name = 'citizen' \
     ORDER BY ordinal_position",
    "SELECT table_name, constraint_name, constraint_type, is_deferrable, enforced FROM \
     information_schema.table_constraints WHERE table_schema = 'public' AND constraint_type <> 'CHECK' ORDER BY 1, 2",
    "SELECT constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = 'public' \
     AND check_clause NOT LIKE '%IS NOT NULL' ORDER BY 1",
    "SELECT table_name, column_name, constraint_name FROM information_schema.constraint_column_usage \
     WHERE table_schema = 'public' ORDER BY 1, 2, 3",
    "SELECT * FROM information_schema.key_column_usage WHERE FALSE",
    "SELECT attname, format_type(atttypid, atttypmod), attlen, attbyval, attalign, attstorage, attcollation, attnotnull, \
     atthasdef, attidentity FROM pg_attribute WHERE attrelid = 'citizen'::regclass AND attnum > 0 ORDER BY attnum",
    "SELECT pg_catalog.pg_attribute.attname, pg_attribute.atttypid::regtype FROM pg_catalog.pg_attribute \
     WHERE pg_catalog.pg_attribute.attrelid = 'public.visit'::regclass AND attnum > 0 ORDER BY attnum",
    "SELECT attname, atttypid::regtype, attstorage, attcollation FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid \
     WHERE relname IN ('citizen_national_number_key', 'visit_number', 'citizen_nick') ORDER BY relname, attnum",
    "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'citizen'::regclass ORDER BY 1",
    "SELECT relname, relchecks, relnatts, relhasindex FROM pg_class WHERE relname IN ('citizen', 'visit', 'town') ORDER BY 1",
    "SELECT count(*) FROM (SELECT * FROM pg_class) c WHERE c.relname = 'citizen' AND relchecks = 1",
    "SELECT (c).relchecks FROM pg_class c WHERE relname = 'citizen'",
    "SELECT typname, count(*) FROM pg_type t JOIN pg_attribute a ON a.atttypid = t.oid JOIN pg_class c ON \
     c.oid = a.attrelid WHERE relname IN ('citizen', 'visit') AND attnum > 0 GROUP BY 1 ORDER BY 1",
    "WITH c AS (SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'visit') \
     SELECT * FROM c ORDER BY 1",
    "SELECT data_type FROM information_schema.columns c WHERE EXISTS (SELECT FROM pg_attribute a WHERE \
     a.attname = c.column_name AND a.atttypid = 'numeric'::regtype) AND table_schema = 'public' ORDER BY 1",
    "SELECT c.nick, a.attname, a.atttypid::regtype FROM citizen c JOIN pg_attribute a ON a.attrelid = 'visit'::regclass \
     AND a.attnum = c.citizen_id WHERE c.national_number = 85073003328",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "SELECT tablename, attname FROM pg_stats WHERE tablename = 'town' ORDER BY 2",
    "PREPARE r AS SELECT data_type FROM information_schema.columns WHERE column_name = $1 ORDER BY 1; EXECUTE r('born')",
    "COPY (SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'visit'::regclass AND attnum > 0 \
     ORDER BY attnum) TO STDOUT",
    "SELECT /* , pg_attribute */ attname -- FROM pg_attribute\n FROM pg_catalog . /* x */ pg_attribute WHERE atttypid = \
     20 AND attrelid = 'visit'::regclass ORDER BY 1",
];

const SCRIPT: &str =
    "\\d\n\\dt\n\\d citizen\n\\d visit\n\\d town\n\\d citizen_pkey\n\\d visit_number\n\\di\n\\d+ citizen
\\d+ visit\n\\d known\n\\d+ known\n\\dS+ citizen_national_number_key\nSELECT * FROM citizen WHERE national_number = 1 \\gdesc\n";

fn trial() -> Trial {
    let trial = Trial::start(DUMP, CLASSIFICATION);
    trial.superuser("postgres", &format!("CREATE DATABASE {REFERENCE}"));
    // The same owner, whom `\\dt` shows.
    let owner = trial.superuser(DATABASE, "SELECT relowner::regrole FROM pg_class WHERE relname = 'citizen'");
    trial.superuser(REFERENCE, &format!("GRANT ALL ON SCHEMA public TO {owner}; SET ROLE {owner}; {DUMP}"));
    for database in [DATABASE, REFERENCE] {
        trial.superuser(database, "ANALYZE");
    }
    trial
}

#[test]
fn the_catalogue_shows_logical_types() {
    let trial = trial();
    let mut wrong = String::new();
    for sql in QUERIES {
        let (through, plain) = (trial.app(sql), run(trial.superuser_psql(REFERENCE).args(["-c", sql]), ""));
        if through != plain {
            wrong +=
                &format!("{sql}\n--- plain\n{}{}--- gateway\n{}{}", plain.out, plain.err, through.out, through.err);
        }
    }
    let (through, plain) = (trial.app_script(SCRIPT), run(&mut trial.superuser_psql(REFERENCE), SCRIPT));
    if through != plain {
        wrong += &format!("--- plain\n{}{}--- gateway\n{}{}", plain.out, plain.err, through.out, through.err);
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Statistics of cells do not pose as those of values.
    assert_eq!(
        trial.app_ok("SELECT count(*) FROM pg_stats WHERE tablename = 'citizen' AND attname = 'national_number'"),
        "0"
    );
    assert_eq!(trial.app_ok("SELECT count(*) FROM pg_stats WHERE tablename = 'citizen' AND attname = 'town'"), "1");
    assert_eq!(trial.app_fails("SELECT atttypid FROM ONLY pg_attribute").0, "0A000");
    assert_eq!(trial.app_fails("TABLE pg_attribute").0, "0A000");
    assert_eq!(trial.app_fails("UPDATE pg_attribute SET atttypid = 25").0, "42501");
    assert_eq!(trial.app_fails("SELECT no_such_column FROM pg_attribute").0, "42703");
    // A table that the session made a moment ago, in the same transaction.
    let said = trial.app_script("BEGIN;\nCREATE TABLE later (id integer, secret varchar(7));\n\\d later\nROLLBACK;\n");
    assert!(said.ok && said.out.contains("character varying(7)") && !said.out.contains("bytea"), "{said:?}");
    trial.check_journals();
}

#[test]
fn sqlalchemy_and_django_see_plain_tables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/drivers/python/bin/python");
    let there = python.is_file() && run(Command::new(&python).args(["-c", "import django, sqlalchemy"]), "").ok;
    if !there {
        eprintln!("SKIPPED: {} has no Django and SQLAlchemy; ./check installs them", python.display());
        return;
    }
    let trial = trial();
    let password = std::fs::read_to_string(trial.processor().join("superuser.password")).unwrap();
    let through = trial.dsn();
    let plain = format!(
        "host={} port={} user=postgres dbname={REFERENCE} password={}",
        trial.processor().display(),
        trial.port + 1,
        password.trim()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/reflection.py");
    let says = |dsn: &str| {
        let said = run(Command::new(&python).arg(&script).env("DRIESLOT_DSN", dsn), "");
        assert!(said.ok, "{}", said.err);
        said.out
    };
    let (through, plain) = (says(&through), says(&plain));
    assert!(
        plain.contains("models.DecimalField(max_digits=10, decimal_places=2") && plain.contains("BIGINT"),
        "{plain}"
    );
    assert!(through == plain, "--- plain\n{plain}\n--- gateway\n{through}");
}
