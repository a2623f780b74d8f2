//! What only newer versions of PostgreSQL have: answered as the server does, or refused before anything is sent. Run it
//! with `DRIESLOT_TEST_POSTGRES` for another server than the installed one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::psql::{Said, run};
use common::{DATABASE, Trial, data};

/// Each in a transaction that is rolled back: the same answer, or a refusal with a hint.
const STATEMENTS: &[&str] = &[
    "UPDATE person SET nickname = 'x' WHERE person_id = 1 RETURNING old.nickname, new.nickname",
    "UPDATE person SET nickname = 'x' WHERE person_id = 1 RETURNING old.*, new.*",
    "UPDATE person SET nickname = 'x' WHERE person_id = 1 RETURNING WITH (OLD AS o, NEW AS n) o.nickname, n.nickname, nickname",
    "INSERT INTO permit VALUES (60, 1, 'k', 'r') RETURNING old.remark, new.remark, remark",
    "DELETE FROM permit WHERE permit_id = 1 RETURNING old.remark, new.remark",
    "UPDATE person SET town = 'x' WHERE person_id = 1 RETURNING old.town, new.town, nickname",
    "MERGE INTO permit p USING (VALUES (1)) v(i) ON p.permit_id = v.i WHEN MATCHED THEN UPDATE SET remark = 'm'
     RETURNING merge_action(), p.remark",
    "MERGE INTO permit p USING (VALUES (1)) v(i) ON p.permit_id = v.i WHEN MATCHED THEN UPDATE SET remark = 'm'
     RETURNING merge_action(), old.remark, new.remark",
    "MERGE INTO permit p USING (VALUES (1)) v(i) ON p.permit_id = v.i WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "MERGE INTO permit p USING (VALUES (1)) v(i) ON p.permit_id = v.i
     WHEN NOT MATCHED BY SOURCE THEN UPDATE SET remark = 'gone'",
    "SELECT any_value(family_name) FROM person",
    "SELECT casefold(family_name) FROM person",
    "SELECT reverse(remark) FROM permit",
    "SELECT crc32(remark::bytea) FROM permit",
    "SELECT JSON_VALUE(remark, '$.a') FROM permit",
    "SELECT remark IS JSON FROM permit",
    "SELECT JSON_OBJECT('a': remark) FROM permit",
    "SELECT JSON_ARRAYAGG(remark) FROM permit",
    "SELECT * FROM permit, JSON_TABLE(remark, '$' COLUMNS (a text PATH '$.a'))",
    "SELECT min(born), max(born), count(*) FROM person",
    "SELECT max(born) OVER (ORDER BY person_id), min(born) OVER (PARTITION BY town) FROM person ORDER BY person_id",
    "SELECT town, max(born) FROM person GROUP BY town ORDER BY town",
    "SELECT person_id, 0x1F, 1_000, 0b11, 0o17 FROM person WHERE person_id = 0x1 AND nickname IS NOT NULL",
    "SELECT family_name FROM person WHERE age > 0x10 ORDER BY person_id",
    "SELECT family_name FROM person WHERE national_number = 85_073_003_328",
    "SELECT 0x1F, 1_000",
    "SELECT family_name, E'a\\vb' FROM person",
    "INSERT INTO permit VALUES (61, 1, 'k', E'a\\vb') RETURNING remark",
    "COPY permit FROM STDIN WITH (ON_ERROR ignore)",
    "COPY permit FROM STDIN WITH (ON_ERROR ignore, REJECT_LIMIT 3, LOG_VERBOSITY verbose)",
    "COPY permit FROM STDIN WITH (FORMAT csv, FORCE_NULL *)",
    "COPY permit FROM STDIN WITH (DEFAULT 'x')",
    "CREATE TABLE permit_copy (LIKE permit INCLUDING ALL)",
    "ALTER TABLE permit ADD COLUMN twice text GENERATED ALWAYS AS (remark || remark) VIRTUAL",
    "ALTER TABLE permit ADD COLUMN twice text GENERATED ALWAYS AS (remark || remark)",
    "ALTER TABLE permit ALTER COLUMN remark SET EXPRESSION AS ('a')",
    "ALTER TABLE permit ADD CONSTRAINT n NOT NULL remark",
    "ALTER TABLE permit ADD CONSTRAINT n NOT NULL remark NOT VALID",
    "ALTER TABLE permit ADD CONSTRAINT c CHECK (remark <> '') NOT ENFORCED",
    "ALTER TABLE permit ADD CONSTRAINT u UNIQUE (national_number, permit_id WITHOUT OVERLAPS)",
    "ALTER TABLE permit ALTER CONSTRAINT permit_remark_is_cell NOT ENFORCED",
    "ALTER TABLE permit ALTER COLUMN remark SET COMPRESSION default",
    "EXPLAIN (MEMORY, COSTS OFF) SELECT kind FROM permit",
    "SELECT conname, contype FROM pg_constraint WHERE conrelid = 'permit'::regclass ORDER BY 1",
    "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef",
    "SELECT attname, attnotnull, atthasmissing FROM pg_attribute WHERE attrelid = 'permit'::regclass AND attnum > 0
     ORDER BY attnum",
    "SELECT tablename, attname, histogram_bounds FROM pg_stats WHERE tablename = 'permit' AND attname = 'remark'",
    "SELECT pg_restore_attribute_stats('relation', 'permit'::regclass)",
    "\\d+ permit",
    "\\d+ person",
];

fn script(trial: &Trial, through: bool, statement: &str) -> Said {
    let mut command = if through { trial.app_psql(DATABASE) } else { trial.superuser_psql("reference") };
    let end = if statement.starts_with('\\') { "" } else { ";" };
    run(&mut command, &format!("BEGIN;\n{statement}{end}\n\\.\nROLLBACK;"))
}

#[test]
fn what_is_new_is_answered_as_the_server_does_or_refused() {
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE reference");
    trial.superuser("reference", data::DUMP);
    let (mut wrong, mut same) = (Vec::new(), 0);
    for statement in STATEMENTS {
        let (through, expected) = (script(&trial, true, statement), script(&trial, false, statement));
        let alike = through.out == expected.out && through.sqlstate() == expected.sqlstate();
        let refused = ["0A000", "42501"].map(Some).contains(&through.sqlstate()) && through.err.contains("HINT:  ");
        same += u32::from(alike);
        if !(alike || refused) || through.out.contains("\\x1") {
            wrong.push(format!("{statement}\n  plain:   {expected:?}\n  gateway: {through:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), STATEMENTS.len(), wrong.join("\n"));
    assert!(same >= 12, "only {same} were answered");
    trial.plant();
    trial.check(&data::canaries());
}
