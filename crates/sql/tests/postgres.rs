//! What is planned runs on a real PostgreSQL: the catalogue's statements, definitions, and every kind of rewriting.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{classification, plan};
use drieslot_schema::{Protection, Unlisted};
use drieslot_sql::{CATALOG_SQL, Catalog, Kind, SYSTEM_CATALOG_SQL, Slot, SlotSource, Statement};

const BIN: &str = "/usr/lib/postgresql/15/bin";

struct Server {
    folder: PathBuf,
}

fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", &format!("{BIN}/{program}")]).current_dir("/");
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    /// A server of its own, reachable through a socket in its folder only; `None` where PostgreSQL 15 is not installed.
    fn start() -> Option<Self> {
        if !Path::new(BIN).join("initdb").exists() {
            eprintln!("SKIPPED: there is no PostgreSQL 15 in {BIN}");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("drieslot-sql-{}", std::process::id()));
        run(Command::new("install").args(["-d", "-o", "postgres"]).arg(&folder));
        let data = folder.join("data");
        run(as_postgres("initdb").args(["-A", "trust", "-E", "UTF8", "--no-sync", "-D"]).arg(&data));
        let options = format!("-c listen_addresses='' -c fsync=off -k {}", folder.display());
        run(as_postgres("pg_ctl")
            .args(["-w", "-l"])
            .arg(folder.join("log"))
            .args(["-o", &options, "-D"])
            .arg(&data)
            .arg("start"));
        let server = Self { folder };
        server.sql("CREATE DATABASE town", "postgres").unwrap();
        Some(server)
    }

    fn sql(&self, sql: &str, database: &str) -> Result<String, String> {
        self.psql(sql, database, "\n")
    }

    fn psql(&self, sql: &str, database: &str, between_rows: &str) -> Result<String, String> {
        let mut command = as_postgres("psql");
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-F",
            "\x1f",
            "-P",
            "null=\\N",
            "-R",
            between_rows,
            "-d",
            database,
            "-h",
        ]);
        let output = command.arg(&self.folder).args(["-c", sql]).output().unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        // Definitions of views have several lines.
        let text = self.psql(sql, "town", "\x1e").unwrap();
        let value = |value: &str| (value != "\\N").then(|| value.to_owned());
        text.trim_end_matches('\n')
            .split('\x1e')
            .filter(|line| !line.is_empty())
            .map(|line| line.split('\x1f').map(value).collect())
            .collect()
    }

    fn catalog(&self) -> Catalog {
        let system = Catalog::from_rows(&self.rows(SYSTEM_CATALOG_SQL)).unwrap();
        Catalog::from_rows(&self.rows(CATALOG_SQL)).unwrap().with_system(Arc::new(system))
    }

    /// Plans and runs a text; its rows.
    fn through(&self, sql: &str) -> Result<String, String> {
        let statements =
            plan(sql, &self.catalog(), &classification(Unlisted::Plain)).map_err(|refusal| refusal.message)?;
        statements.iter().map(|statement| self.sql(&text(sql, statement), "town")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        run(as_postgres("pg_ctl").args(["-m", "immediate", "-D"]).arg(self.folder.join("data")).arg("stop"));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A cell as far as the processor can tell: one for each value of an exact column.
fn cell(slot: &Slot) -> String {
    let Slot::Cell(slot) = slot else { panic!("no cell") };
    let SlotSource::Literal { text: Some(text), .. } = &slot.source else { panic!("no literal") };
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let first = if slot.value.column.protection == Protection::Exact { "12" } else { "11" };
    format!("'\\x{first}{}{digits}'::pg_catalog.bytea", "00".repeat(40))
}

fn text(sql: &str, statement: &Statement) -> String {
    match &statement.kind {
        Kind::Pass(_) => sql[statement.source.clone()].to_owned(),
        Kind::Rewritten(rewritten) => {
            rewritten.template.render_inline(&mut |slot, out: &mut String| out.push_str(&cell(&rewritten.slots[slot])))
        }
        Kind::Reworded(text, _) => text.clone(),
        Kind::CopyIn(plan) | Kind::CopyOut(plan) => {
            plan.template.render_inline(&mut |slot, out: &mut String| out.push_str(&cell(&plan.slots[slot])))
        }
    }
}

#[test]
fn plans_run_on_postgresql() {
    let Some(server) = Server::start() else { return };
    let system = Catalog::from_rows(&server.rows(SYSTEM_CATALOG_SQL)).unwrap();
    let pg_class = drieslot_schema::TableId { schema: "pg_catalog".to_owned(), table: "pg_class".to_owned() };
    assert_eq!(system.relation(&pg_class).unwrap().columns[1].name, "relname");

    server.through("CREATE TABLE people (id int PRIMARY KEY, ssn varchar(11) NOT NULL UNIQUE, name text, born date, email text COLLATE \"C\", active bool, income numeric(10,2), children int DEFAULT NULL, city text DEFAULT 'Gent')").unwrap();
    server.through("CREATE TABLE visits (id int, person_ssn varchar(11) REFERENCES people (ssn), contact text, notes text, at timestamptz, fee numeric); CREATE TABLE towns (id int, name text, city text)").unwrap();
    server.through("CREATE INDEX ON visits (contact)").unwrap();
    let catalog = server.catalog();
    let people = drieslot_schema::TableId { schema: "public".to_owned(), table: "people".to_owned() };
    let relation = catalog.relation(&people).unwrap();
    let types: HashMap<_, _> = relation.columns.iter().map(|column| (column.name.as_str(), column.type_oid)).collect();
    assert_eq!((types["ssn"], types["born"], types["id"], types["city"]), (17, 17, 23, 25));
    assert_eq!(catalog.column_at(relation.oid, 2).unwrap().to_string(), "public.people.ssn");

    let plaintext = server.sql("INSERT INTO people (id, ssn) VALUES (1, 'plaintext')", "town").unwrap_err();
    assert!(plaintext.contains("ssn_is_cell"), "{plaintext}");

    for (sql, rows) in [
        ("INSERT INTO people (id, ssn, name, email) VALUES (1, 'a', 'Jan', 'j@x'), (2, 'b', 'Piet', NULL)", ""),
        ("INSERT INTO people VALUES (3, 'c', 'An', '1985-01-01', 'j@x', true, 10.50, 2)", ""),
        ("INSERT INTO visits (id, person_ssn, contact) SELECT id, ssn, coalesce(email, 'none') FROM people", ""),
        (
            "INSERT INTO people (id, ssn) VALUES (9, 'a') ON CONFLICT (ssn) DO UPDATE SET name = 'New', city = 'Aalst'",
            "",
        ),
        ("INSERT INTO people (id, ssn) VALUES (9, 'a') ON CONFLICT DO NOTHING", ""),
        ("SELECT id, city FROM people WHERE ssn = 'a'", "1\x1fAalst\n"),
        ("SELECT count(*) FROM people WHERE email = 'j@x'", "2\n"),
        ("SELECT count(DISTINCT email), count(name) FROM people", "1\x1f3\n"),
        (
            "SELECT p.id FROM people p JOIN visits v ON v.person_ssn = p.ssn WHERE v.contact IN ('j@x', 'z') ORDER BY 1",
            "1\n3\n",
        ),
        ("SELECT count(*) FROM people JOIN (SELECT person_ssn AS ssn FROM visits) v USING (ssn)", "3\n"),
        ("SELECT id FROM visits WHERE contact = 'none'", "2\n"),
        ("SELECT id FROM people WHERE coalesce(email, 'none') = 'none'", "2\n"),
        ("SELECT id FROM people WHERE ssn = ANY (ARRAY['b', 'z'])", "2\n"),
        ("SELECT id FROM people WHERE nullif(ssn, 'b') IS NULL", "2\n"),
        ("SELECT count(*) FROM (SELECT email FROM people GROUP BY email HAVING email IS DISTINCT FROM 'j@x') x", "1\n"),
        ("SELECT count(*) FROM (SELECT ssn FROM people UNION SELECT person_ssn FROM visits) x", "3\n"),
        ("SELECT count(*) FROM (SELECT ssn FROM people UNION ALL SELECT 'none' UNION ALL VALUES ('z')) x", "5\n"),
        ("SELECT CASE ssn WHEN 'a' THEN 1 ELSE 2 END FROM people ORDER BY id", "1\n2\n2\n"),
        ("SELECT id FROM people WHERE active = true AND children = 2 AND income = 10.50", "3\n"),
        ("WITH gone AS (DELETE FROM visits WHERE person_ssn = 'c' RETURNING id) SELECT id FROM gone", "3\n"),
        (
            "UPDATE people p SET email = v.contact, name = 'x' FROM visits v WHERE v.person_ssn = p.ssn AND p.ssn = 'b' RETURNING p.id",
            "2\n",
        ),
        (
            "SELECT id FROM visits v WHERE EXISTS (SELECT 1 FROM people WHERE ssn = v.person_ssn AND email = 'none')",
            "2\n",
        ),
        ("SELECT id, count(*) OVER (PARTITION BY email) FROM people ORDER BY id", "1\x1f2\n2\x1f1\n3\x1f2\n"),
        ("ALTER TABLE visits DROP COLUMN notes", ""),
        ("ALTER TABLE visits ADD COLUMN notes text", ""),
        ("DELETE FROM people WHERE ssn = 'c'", ""),
        ("SELECT count(*) FROM people", "2\n"),
    ] {
        assert_eq!(server.through(sql).as_deref(), Ok(rows), "{sql}");
    }
    let foreign = server.through("INSERT INTO visits (id, person_ssn) VALUES (1, 'nobody')").unwrap_err();
    assert!(foreign.contains("foreign key"), "{foreign}");
}
