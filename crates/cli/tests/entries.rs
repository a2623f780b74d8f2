//! `docs/journal.schema.json`: it knows the kinds that `docs/journal.md` lists, takes what the parts write (which every
//! end-to-end test checks, see `common/check.rs`), and refuses what they don't.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::check::entries_fit;
use common::python::python;
use serde_json::{Value, json};

fn documentation(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

/// The first cells of the table under `Bodies by kind:`, and the last ones.
fn documented() -> Vec<(Vec<String>, String)> {
    let text = documentation("journal.md");
    let table = text.split_once("Bodies by kind:").unwrap().1;
    let rows = table.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let kinds = cells[0].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (kinds, cells[2..].join(" | "))
    })
    .collect()
}

#[test]
fn the_schema_and_the_documentation_know_the_same_kinds_and_members() {
    let schema: Value = serde_json::from_str(&documentation("journal.schema.json")).unwrap();
    let known: BTreeSet<&str> =
        schema["properties"]["kind"]["enum"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    let documented = documented();
    let told: BTreeSet<&str> = documented.iter().flat_map(|(kinds, _)| kinds).map(String::as_str).collect();
    assert_eq!(known, told);
    assert!(known.iter().all(|kind| drieslot_audit::body::is_known(kind)), "readers count a known kind as unknown");
    for (kinds, fields) in &documented {
        let mut body = &schema["$defs"][&kinds[0]];
        if let Some(other) = body["$ref"].as_str() {
            body = &schema["$defs"][other.rsplit('/').next().unwrap()];
        }
        for member in body["properties"].as_object().unwrap().keys() {
            assert!(fields.contains(&format!("`{member}`")), "{kinds:?}: docs/journal.md lacks `{member}`");
        }
    }
}

#[test]
fn what_no_part_writes_is_refused() {
    let Some(python) = python() else { return };
    let salt = "0123456789abcdef".repeat(2);
    let entry = |kind: &str, body: Value| json!({"v": 1, "kind": kind, "time": "2026-01-31T23:59:59.5Z", "salt": salt, "body": body});
    let outcome = json!({"session": "0123456789abcdef", "intent": 7, "rows": 0, "state": "done", "tag": "SELECT 0"});
    let good = entry("outcome", outcome.clone());
    let said = entries_fit(&python, &good.to_string());
    assert!(said.ok && said.out.trim() == "outcome=1", "{said:?}");
    let changed = |member: &str, value: Value| {
        let mut bad = good.clone();
        match member.strip_prefix("body.") {
            Some(member) => bad["body"][member] = value,
            None => bad[member] = value,
        }
        bad.to_string()
    };
    let mut without = good.clone();
    without["body"].as_object_mut().unwrap().remove("rows");
    let cases = [
        without.to_string(),
        entry("share", outcome).to_string(),
        changed("v", json!(2)),
        changed("kind", json!("outcome2")),
        changed("time", json!("2026-01-31T23:59:59+01:00")),
        changed("salt", json!("0123456789ABCDEF0123456789ABCDEF")),
        changed("more", json!(1)),
        changed("body", json!([])),
        changed("body.more", json!(1)),
        changed("body.rows", json!(-1)),
        changed("body.rows", json!("1")),
        changed("body.state", json!("over")),
        changed("body.session", json!("x")),
        good.to_string().replace("\"rows\":0", "\"rows\":0,\"rows\":1"),
        "{".into(),
    ];
    for case in cases {
        let said = entries_fit(&python, &case);
        assert!(!said.ok && said.err.starts_with("entry 0: "), "{case}: {said:?}");
    }
}
