//! Every case of `tests/plan/*.txt`: a statement after `> `, then what is made of it.
//!
//! `BLESS=1` writes the files anew; read the difference before it is committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use drieslot_schema::Unlisted;

use common::{catalog, classification, plan, show, show_refusal};

fn answer(sql: &str, unlisted: Unlisted) -> String {
    match plan(sql, &catalog(), &classification(unlisted)) {
        Err(refusal) => show_refusal(&refusal),
        Ok(statements) => statements.iter().map(show).collect::<Vec<_>>().join("\n"),
    }
}

fn run(name: &str, unlisted: Unlisted) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let bless = std::env::var_os("BLESS").is_some();
    let (mut written, mut wrong, mut count) = (String::new(), String::new(), 0);
    for case in text.split("\n\n").map(str::trim).filter(|case| !case.is_empty()) {
        let (comments, rest): (Vec<&str>, Vec<&str>) = case.lines().partition(|line| line.starts_with("# "));
        for comment in comments {
            writeln!(written, "{comment}").unwrap();
        }
        let Some(sql) = rest.first().and_then(|line| line.strip_prefix("> ")) else {
            writeln!(written).unwrap();
            continue;
        };
        count += 1;
        let expected = rest[1..].join("\n");
        let found = answer(sql, unlisted);
        writeln!(written, "> {sql}\n{found}\n").unwrap();
        if expected != found {
            writeln!(wrong, "> {sql}\n--- expected\n{expected}\n--- found\n{found}\n").unwrap();
        }
    }
    if bless {
        std::fs::write(&path, written.trim_end().to_owned() + "\n").unwrap();
    } else {
        assert!(wrong.is_empty(), "{wrong}");
    }
    count
}

#[test]
fn statements_give_the_plans_on_file() {
    let queries = run("queries.txt", Unlisted::Plain) + run("changes.txt", Unlisted::Plain);
    let others = run("definitions.txt", Unlisted::Plain) + run("session.txt", Unlisted::Plain);
    let views =
        run("views.txt", Unlisted::Plain) + run("shapes.txt", Unlisted::Plain) + run("found.txt", Unlisted::Plain);
    let strict = run("unlisted.txt", Unlisted::Refuse);
    assert!(queries + others + views + strict >= 150, "{queries} + {others} + {views} + {strict} cases");
}

#[test]
fn what_defines_or_maintains_names_its_objects() {
    let (catalog, classification) = (catalog(), classification(Unlisted::Plain));
    for (sql, objects) in [
        ("CREATE TABLE public.shops (id integer)", Some(vec!["public.shops"])),
        ("CREATE INDEX ON towns (name)", Some(vec!["towns"])),
        ("ALTER TABLE towns DROP COLUMN city", Some(vec!["towns"])),
        ("DROP TABLE public.towns, visits", Some(vec!["public.towns", "visits"])),
        ("COMMENT ON TABLE towns IS 'x'", Some(vec!["towns"])),
        ("GRANT SELECT ON towns TO PUBLIC", Some(vec!["towns"])),
        ("CREATE TABLE copies AS SELECT id FROM towns", Some(vec!["copies", "towns"])),
        ("SELECT id INTO copies FROM towns", Some(vec!["copies", "towns"])),
        ("CREATE VIEW v AS SELECT id FROM towns", Some(vec!["towns", "v"])),
        ("VACUUM towns", Some(vec!["towns"])),
        ("TRUNCATE towns", Some(vec!["towns"])),
        ("CREATE ROLE r", Some(vec![])),
        ("CREATE TEMPORARY TABLE scratch (id integer)", None),
        ("SELECT id INTO TEMPORARY scratch FROM towns", None),
        ("SELECT name FROM people", None),
        ("INSERT INTO towns VALUES (1)", None),
        ("EXPLAIN SELECT id FROM towns", None),
        ("LOCK TABLE towns", None),
        ("DISCARD TEMP", None),
        ("LISTEN x", None),
        ("SET search_path = public", None),
        ("BEGIN", None),
    ] {
        let planned = plan(sql, &catalog, &classification).unwrap();
        let found = planned[0].administers.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found, objects, "{sql}");
        assert!(found.is_none() || planned[0].fingerprint.len() == 16, "{sql}");
    }
}
