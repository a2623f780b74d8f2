//! Whatever text comes, planning answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use std::path::Path;

use common::{catalog, classification, nothing_protected, plan};
use drieslot_schema::Unlisted;
use drieslot_sql::Kind;

fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn nesting_is_refused_before_the_stack_ends() {
    on_small_stack(|| {
        let (catalog, classification) = (catalog(), classification(Unlisted::Plain));
        for depth in [10, 60, 200, 3_000, 100_000] {
            let deep = [
                format!("SELECT {}ssn{} FROM people", "(".repeat(depth), ")".repeat(depth)),
                format!("SELECT ssn FROM people WHERE {}active = true", "NOT ".repeat(depth)),
                format!("SELECT 1{} FROM people", "+1".repeat(depth)),
                format!("SELECT ssn FROM people{}", " UNION ALL SELECT ssn FROM people".repeat(depth)),
                format!("SELECT {}1{}", "(SELECT ".repeat(depth), ")".repeat(depth)),
                format!("SELECT {}1{} FROM people", "coalesce(".repeat(depth), ",1)".repeat(depth)),
                format!("SELECT ssn FROM people WHERE ssn = ANY ({}", "(".repeat(depth)),
            ];
            for text in deep {
                if let Err(refusal) = plan(&text, &catalog, &classification) {
                    assert!(["54001", "42601"].contains(&refusal.sqlstate), "{refusal:?}");
                }
            }
        }
        let text = format!("SELECT {}1{}", "(SELECT ".repeat(200), ")".repeat(200));
        assert_eq!(plan(&text, &catalog, &classification).unwrap_err().sqlstate, "54001");
    });
}

#[test]
fn long_statements_are_planned_and_zero_bytes_refused() {
    let (catalog, classification) = (catalog(), classification(Unlisted::Plain));
    let rows = vec!["(1, 'a')"; 50_000].join(", ");
    let text = format!("INSERT INTO people (id, ssn) VALUES {rows}");
    let planned = plan(&text, &catalog, &classification).unwrap();
    let Kind::Rewritten(rewritten) = &planned[0].kind else { panic!("not rewritten") };
    assert_eq!(rewritten.slots.len(), 50_000);
    let long = format!("INSERT INTO people (id, name) VALUES (1, '{}')", "x".repeat(10 << 20));
    assert_eq!(plan(&long, &catalog, &classification).unwrap().len(), 1);
    assert_eq!(plan("SELECT '\0'", &catalog, &classification).unwrap_err().sqlstate, "22021");
    assert!(plan("", &catalog, &classification).unwrap().is_empty());
    assert!(plan(" ; -- nothing\n;", &catalog, &classification).unwrap().is_empty());
}

fn cases() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan");
    let texts = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    texts
        .flat_map(|text| text.lines().filter_map(|line| line.strip_prefix("> ").map(str::to_owned)).collect::<Vec<_>>())
        .collect()
}

/// No refusal repeats a literal, and no rewritten text holds one that became a cell.
#[test]
fn mutated_statements_neither_crash_nor_repeat_a_secret() {
    let (catalog, classification, plain) = (catalog(), classification(Unlisted::Plain), nothing_protected());
    let cases = cases();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    for round in 0..6_000 {
        let mut words: Vec<String> =
            cases[round % cases.len()].split(' ').map(|word| word.replace("'85'", "'sEcReT'")).collect();
        let other: Vec<&str> = cases[random(cases.len())].split(' ').collect();
        for _ in 0..=random(2) {
            let at = random(words.len());
            match random(4) {
                0 => drop(words.remove(at)),
                1 => words[at] = other[random(other.len())].to_owned(),
                2 => words.insert(at, other[random(other.len())].to_owned()),
                _ => words.insert(at, words[random(words.len())].clone()),
            }
            if words.is_empty() {
                break;
            }
        }
        let text = words.join(" ");
        match plan(&text, &catalog, &classification) {
            Err(refusal) => assert!(!format!("{refusal:?}").contains("sEcReT"), "{text}\n{refusal:?}"),
            Ok(statements) => {
                for statement in &statements {
                    assert!(statement.source.end <= text.len());
                    if let Kind::Rewritten(rewritten) = &statement.kind {
                        let inline = rewritten.template.render_inline(&mut |_, out: &mut String| out.push_str("NULL"));
                        let stored = rewritten.slots.iter().filter(|slot| format!("{slot:?}").contains("sEcReT"));
                        let left = inline.matches("sEcReT").count();
                        assert_eq!(
                            left + stored.count(),
                            text[statement.source.clone()].matches("sEcReT").count(),
                            "{text}\n{inline}"
                        );
                    }
                }
            }
        }
        let _ = plan(&text, &catalog, &plain);
    }
}

#[test]
fn real_dumps_pass_where_nothing_is_protected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for name in ["northwind.sql", "chinook.sql"] {
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
            eprintln!("SKIPPED: {name} is not there");
            continue;
        };
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('\\')).collect();
        let statements = plan(&kept.join("\n"), &catalog(), &nothing_protected()).unwrap();
        assert!(statements.len() > 10, "{name}");
        assert!(statements.iter().all(|statement| matches!(statement.kind, Kind::Pass(_))), "{name}");
    }
}

#[test]
fn syntax_errors_repeat_the_text_only_where_nothing_is_protected() {
    let (catalog, classification, plain) = (catalog(), classification(Unlisted::Plain), nothing_protected());
    let text = "SELECT 'a' 'sEcReT'";
    let refusal = plan(text, &catalog, &classification).unwrap_err();
    assert_eq!((refusal.sqlstate, refusal.message.as_str(), refusal.position), ("42601", "syntax error", Some(12)));
    let told = plan(text, &catalog, &plain).unwrap_err();
    assert_eq!(told.message, "syntax error at or near \"'sEcReT'\"");
    let first = plan("SELEKT 1", &catalog, &plain).unwrap_err();
    assert_eq!((first.message.as_str(), first.position), ("syntax error at or near \"SELEKT\"", Some(1)));
}
