//! The main job: psql works through the gateway as it does on plain PostgreSQL, or is told why not; every look leaves
//! a trace; the processor has cells only.
//!
//! The same statements run on a plain copy of the tables on the same server, and both outputs are compared as text.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::psql::{Said, run};
use common::{DATABASE, Trial, data};

/// The plain copy.
const REFERENCE: &str = "reference";

fn make_reference(trial: &Trial) {
    trial.superuser("postgres", &format!("CREATE DATABASE {REFERENCE}"));
    let dump = std::fs::read_to_string(trial.folder.path().join("trial.sql")).unwrap();
    trial.superuser(REFERENCE, &dump);
}

/// The same on the plain copy.
fn plain(trial: &Trial, sql: &str) -> Said {
    run(trial.superuser_psql(REFERENCE).args(["-c", sql]), "")
}

/// What must be equal: rows, in order where an order was asked for, and the SQLSTATEs of errors. Their words may
/// differ, for the gateway repeats no value.
fn comparable(sql: &str, said: &Said) -> (Vec<String>, Vec<String>) {
    let mut rows: Vec<String> = said.out.lines().map(str::to_owned).collect();
    if !sql.to_uppercase().contains("ORDER BY") {
        rows.sort();
    }
    let told = said.err.lines().filter_map(|line| line.split_once("ERROR:  ").or_else(|| line.split_once("FATAL:  ")));
    (rows, told.map(|(_, text)| text.chars().take(5).collect()).collect())
}

/// What the gateway does with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer<'a> {
    /// What plain PostgreSQL does, errors too.
    Same,
    /// A refusal with this SQLSTATE, and a hint where it is not about a value; nothing happens.
    Refused(&'a str),
}

/// The lines of statements.txt. `<18` behind a SQLSTATE: refused before that version, and answered from it on.
fn statements(major: u32) -> Vec<(&'static str, Answer<'static>)> {
    let lines = include_str!("statements.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| line.split_once(char::is_whitespace).unwrap());
    let answer = |word: &'static str| match word.split_once('<') {
        None if word == "same" => Answer::Same,
        Some((_, version)) if major >= version.parse().unwrap() => Answer::Same,
        Some((code, _)) => Answer::Refused(code),
        None => Answer::Refused(word),
    };
    parts.map(|(word, sql)| (sql.trim_start(), answer(word))).collect()
}

/// Runs one statement on both sides and says what is wrong.
fn differ(trial: &Trial, sql: &str, expected: Answer<'_>) -> Option<String> {
    let through = trial.app(sql);
    if let Answer::Refused(code) = expected {
        let helps = code.starts_with("22") || through.err.contains("HINT:  ");
        if through.sqlstate() == Some(code) && helps && through.out.is_empty() {
            return None;
        }
        // The plain copy is left alone: a refused statement has done nothing.
        return Some(format!("{sql}\n  expected: refused with {code} and a hint\n  gateway:  {through:?}"));
    }
    let reference = plain(trial, sql);
    if comparable(sql, &through) == comparable(sql, &reference) {
        return None;
    }
    Some(format!("{sql}\n  plain:   {}{}\n  gateway: {}{}", reference.out, reference.err, through.out, through.err))
}

/// Both sides hold the same.
fn same_content(trial: &Trial) {
    for table in ["person", "permit", "measure", "file"] {
        let all = format!("SELECT * FROM {table} ORDER BY {table}_id");
        let through = trial.app(&all);
        assert!(through.ok, "{}", through.err);
        assert_eq!(through.out, plain(trial, &all).out);
    }
}

#[test]
fn statements_answer_as_plain_postgresql_or_are_refused() {
    let trial = Trial::usual();
    make_reference(&trial);
    same_content(&trial);
    let all = statements(trial.server_major());
    let wrong: Vec<String> = all.iter().filter_map(|(sql, expected)| differ(&trial, sql, *expected)).collect();
    assert!(wrong.is_empty(), "{} of {} statements differ:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    same_content(&trial);
    described(&trial);
    styles(&trial);
    transactions(&trial);
    copies(&trial);
    same_content(&trial);
    trial.plant();
    trial.check(&data::canaries());
}

/// psql's own commands. `tests/reflection.rs` compares them in full.
fn described(trial: &Trial) {
    let said = trial.app_script("\\d person\n\\dt\n\\d street\n");
    assert!(said.ok && said.err.is_empty(), "{}", said.err);
    for name in ["national_number", "family_name", "person_pkey", "permit", "street_pkey", "length_m"] {
        assert!(said.out.contains(name), "{name} is missing from \\d:\n{}", said.out);
    }
}

/// A script on both sides, each statement by itself; all that is printed must be equal, but for the order of rows
/// where none was asked for.
fn same_script(trial: &Trial, script: &str) -> Said {
    let through = trial.app_script(script);
    let reference = run(&mut trial.superuser_psql(REFERENCE), script);
    assert_eq!(comparable(script, &through), comparable(script, &reference), "{script}\n{}", through.err);
    through
}

/// Settings of the session that change how values are read and written.
fn styles(trial: &Trial) {
    for style in ["postgres", "postgres_verbose", "sql_standard", "iso_8601"] {
        same_script(trial, &format!("SET intervalstyle = '{style}';\nSELECT file_id, stay FROM file ORDER BY 1;\n"));
    }
    same_script(
        trial,
        "SET intervalstyle = sql_standard;\nUPDATE file SET stay = '1 day 2:00' WHERE file_id = 5 RETURNING stay;\n\
         RESET intervalstyle;\nSELECT stay FROM file WHERE file_id = 5;\n",
    );
    let said = trial
        .app_script("SET intervalstyle = sql_standard;\nUPDATE file SET stay = '-1 day 2:00' WHERE file_id = 5;\n");
    assert!(said.err.contains("0A000") && said.err.contains("HINT:  "), "{}", said.err);
    for digits in ["1", "3"] {
        same_script(
            trial,
            &format!("SET extra_float_digits = {digits};\nSELECT ratio, mass FROM measure ORDER BY measure_id;\n"),
        );
    }
}

fn transactions(trial: &Trial) {
    // Each is one message of the simple protocol.
    for several in [
        "UPDATE person SET family_name = 'lost' WHERE person_id = 1; INSERT INTO permit VALUES (1, 1, 'twice', 'x')",
        "BEGIN; UPDATE person SET family_name = 'kept', balance = 3 WHERE person_id = 2; COMMIT; SELECT 1/0",
        "UPDATE person SET family_name = 'gone' WHERE person_id = 3; ROLLBACK",
        "BEGIN; UPDATE person SET nickname = 'gone' WHERE person_id = 3; ROLLBACK; \
         UPDATE public.person SET nickname = 'stays' WHERE person_id = 9",
        "SELECT family_name FROM person WHERE person_id = 1; SELECT nickname FROM person WHERE person_id = 9",
        ";; SELECT balance FROM person WHERE person_id = 2;",
        "BEGIN; SAVEPOINT a; UPDATE person SET nickname = 'b' WHERE person_id = 3; ROLLBACK TO a; \
         UPDATE public.person SET nickname = 'c' WHERE person_id = 3; COMMIT",
    ] {
        let wrong = differ(trial, several, Answer::Same);
        assert!(wrong.is_none(), "{}", wrong.unwrap());
    }
    same_content(trial);
    // A refused second statement takes the first along, which plain PostgreSQL has not seen.
    let (code, _) = trial.app_fails(
        "UPDATE person SET family_name = 'lost' WHERE person_id = 1; SELECT * FROM person ORDER BY family_name",
    );
    assert_eq!(code, "0A000");
    same_content(trial);
    same_script(
        trial,
        "BEGIN;\nUPDATE person SET nickname = 'lost' WHERE person_id = 1;\nSELECT 1/0;\n\
         SELECT family_name FROM person;\nCOMMIT;\nSELECT nickname FROM person WHERE person_id = 1;\n",
    );
    same_script(
        trial,
        "BEGIN;\nDECLARE c CURSOR FOR SELECT street_id FROM street ORDER BY 1;\nFETCH 2 FROM c;\nCLOSE c;\nCOMMIT;\n",
    );
    refusals_in_transactions(trial);
}

/// A refusal aborts a transaction exactly as an error does.
fn refusals_in_transactions(trial: &Trial) {
    let said = trial.app_script(
        "BEGIN;\nUPDATE person SET nickname = 'lost' WHERE person_id = 1;\n\
         SELECT * FROM person WHERE family_name ~ '^P';\n\
         SELECT nickname FROM person WHERE person_id = 1;\nCOMMIT;\nSELECT nickname FROM person WHERE person_id = 1;\n",
    );
    let codes: Vec<&str> =
        said.err.lines().filter_map(|line| line.split_once("ERROR:  ")?.1.split(':').next()).collect();
    assert_eq!(codes, ["0A000", "25P02"], "{}", said.err);
    assert!(!said.out.contains("lost") && said.out.contains("jan"), "{}", said.out);
}

fn copies(trial: &Trial) {
    let folder = trial.folder.path().display();
    same_script(
        trial,
        "COPY person TO STDOUT;\nCOPY permit (remark, permit_id) TO STDOUT;\n\
         COPY street TO STDOUT WITH (FORMAT csv, HEADER);\n",
    );
    let rows = "71\t12345678901\twork\tvia \\\\copy\n72\t\\N\tstay\t\\N\n73\t1\tstay\ttab\\there\n";
    std::fs::write(trial.folder.path().join("permits.tsv"), rows).unwrap();
    same_script(
        trial,
        &format!("\\copy permit from '{folder}/permits.tsv'\nSELECT * FROM permit ORDER BY permit_id;\n"),
    );
    trial.app_script(&format!("\\copy person to '{folder}/through.tsv'\n"));
    run(&mut trial.superuser_psql(REFERENCE), &format!("\\copy person to '{folder}/plain.tsv'\n"));
    let read = |name: &str| std::fs::read_to_string(trial.folder.path().join(name)).unwrap();
    let sorted = |name| {
        let text = read(name);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("through.tsv"), sorted("plain.tsv"));
    // A bad line in the middle: nothing of it stays, on either side.
    std::fs::write(trial.folder.path().join("bad.tsv"), "81\t1\twork\tfine\n82\tnot a number\twork\tbad\n").unwrap();
    let said = trial.app_script(&format!("\\copy permit from '{folder}/bad.tsv'\n"));
    assert_eq!(said.sqlstate(), Some("22P02"), "{}", said.err);
    assert!(!said.err.contains("(protected)"), "{}", said.err);
    same_content(trial);
}

/// An entry of the gateway's journal, as `drieslot journal tail` prints it.
struct Entry {
    index: u64,
    kind: String,
    body: serde_json::Value,
}

fn entries(trial: &Trial, count: u64) -> Vec<Entry> {
    let journal = trial.journal("gateway").display().to_string();
    let said = trial.drieslot_ok(["journal", "tail", &journal, "-n", &count.to_string(), "--json"]);
    let lines = said.lines().map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let (index, kind) = (entry["index"].as_u64().unwrap(), entry["kind"].as_str().unwrap().to_owned());
        Entry { index, kind, body: entry["body"].clone() }
    });
    lines.collect()
}

#[test]
fn every_look_leaves_a_trace_and_the_processor_has_cells() {
    let trial = Trial::usual();
    trial.plant();
    for (sql, columns, rows) in [
        ("SELECT family_name FROM person WHERE person_id <= 4", vec!["public.person.family_name read"], 4),
        (
            "SELECT town FROM person WHERE national_number = 85073003328",
            vec!["public.person.national_number search"],
            1,
        ),
        ("UPDATE person SET income = 1 WHERE person_id = 5", vec!["public.person.income write"], 0),
        (
            "INSERT INTO permit VALUES (50, 1, 'work', 'x') RETURNING remark",
            vec!["public.permit.national_number write", "public.permit.remark read", "public.permit.remark write"],
            1,
        ),
        ("COPY permit (remark) TO STDOUT", vec!["public.permit.remark read"], 8),
        (
            "SELECT count(*) FROM permit p JOIN person USING (national_number) WHERE p.kind = 'none'",
            vec!["public.permit.national_number search", "public.person.national_number search"],
            1,
        ),
    ] {
        let before = entries(&trial, 1).pop().map_or(0, |entry| entry.index + 1);
        trial.app_ok(sql);
        let new: Vec<Entry> = entries(&trial, 20).into_iter().filter(|entry| entry.index >= before).collect();
        let intents: Vec<&Entry> = new.iter().filter(|entry| entry.kind == "intent").collect();
        let [intent] = intents.as_slice() else { panic!("{sql}: {} intents", intents.len()) };
        let mut touched: Vec<String> = intent.body["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|touched| format!("{} {}", touched["column"].as_str().unwrap(), touched["use"].as_str().unwrap()))
            .collect();
        touched.sort();
        assert_eq!(touched, columns, "{sql}");
        assert_eq!(intent.body["principal"], "app");
        assert_eq!(intent.body["mandates"][0], "app-1");
        assert_eq!(intent.body["purpose"], "integration-course");
        let outcomes: Vec<&Entry> = new.iter().filter(|entry| entry.kind == "outcome").collect();
        assert!(outcomes.iter().all(|entry| entry.body["intent"] == intent.index), "{sql}");
        assert_eq!(outcomes.last().unwrap().body["state"], "done", "{sql}");
        let counted: u64 = outcomes.iter().map(|entry| entry.body["rows"].as_u64().unwrap()).sum();
        assert_eq!(counted, rows, "{sql}");
    }
    plain_looks_leave_none(&trial);
    cells(&trial);
    trial.check(&data::canaries());
}

fn plain_looks_leave_none(trial: &Trial) {
    let before = entries(trial, 1).pop().unwrap().index;
    trial.app_ok("SELECT town FROM person WHERE person_id = 1");
    trial.app_ok("SELECT count(*) FROM street");
    assert_eq!(entries(trial, 1).pop().unwrap().index, before);
}

/// What the superuser sees of protected columns.
fn cells(trial: &Trial) {
    let seen = |sql: &str| trial.superuser(DATABASE, sql);
    let types = "SELECT string_agg(DISTINCT format_type(atttypid, atttypmod), ',') FROM pg_attribute
                 WHERE attrelid = 'person'::regclass AND attnum > 0 AND attname NOT IN ('person_id', 'town', 'score')";
    assert_eq!(seen(types), "bytea");
    // Equal values: sealed cells differ, exact cells are equal, across tables of one domain too.
    assert_eq!(seen("SELECT count(DISTINCT family_name) FROM person WHERE person_id IN (1, 10)"), "2");
    assert_eq!(trial.app_ok("SELECT count(*) FROM person WHERE person_id IN (1, 10) AND age = 41"), "2");
    assert_eq!(seen("SELECT count(DISTINCT age) FROM person WHERE person_id IN (1, 10)"), "1");
    assert_eq!(seen("SELECT count(*) FROM person JOIN permit USING (national_number) WHERE permit_id IN (1, 2)"), "2");
    // Nothing but a cell can be stored.
    let said =
        run(trial.superuser_psql(DATABASE).args(["-c", "UPDATE person SET family_name = 'Janssens'::bytea"]), "");
    assert_eq!(said.sqlstate(), Some("23514"), "{}", said.err);
}
