//! The house rules that a machine can check: who may import whom, heads and sizes of files, licences.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const MAX_LINES: usize = 600;
const MAX_COLUMNS: usize = 130;

/// Our crates, and which of ours each may import. Downward only.
const ROOMS: [(&str, &[&str]); 15] = [
    ("schema", &[]),
    ("wire", &[]),
    ("journal", &[]),
    ("link", &[]),
    ("witness", &["journal", "link"]),
    ("seal", &["schema"]),
    ("sql", &["schema"]),
    ("mirror", &["journal", "link"]),
    ("register", &["schema", "journal", "link", "mirror", "witness"]),
    ("audit", &["journal", "register"]),
    ("watch", &["journal", "link", "audit"]),
    ("custodian", &["schema", "seal", "journal", "link", "mirror", "witness", "register"]),
    ("usage", &["schema", "seal", "journal", "link", "mirror", "witness", "register", "custodian", "audit"]),
    ("gateway", &["schema", "seal", "journal", "link", "mirror", "witness", "register", "custodian", "sql", "wire"]),
    (
        "cli",
        &[
            "schema",
            "seal",
            "journal",
            "link",
            "mirror",
            "register",
            "custodian",
            "sql",
            "wire",
            "gateway",
            "witness",
            "audit",
            "usage",
            "watch",
        ],
    ),
];

/// What a room must be unable to touch.
const FORBIDDEN: [(&str, &[&str]); 11] = [
    ("schema", &["tokio", "tracing"]),
    ("seal", &["tokio", "tracing", "anyhow", "hyper"]),
    ("sql", &["tokio", "tracing", "aws-lc-rs", "anyhow"]),
    ("wire", &["tokio", "tracing", "aws-lc-rs"]),
    ("journal", &["tokio", "hyper", "anyhow"]),
    ("witness", &["rustls", "serde_json", "anyhow"]),
    ("audit", &["pg_query", "tokio-postgres", "anyhow"]),
    ("watch", &["pg_query", "tokio-postgres", "anyhow"]),
    ("custodian", &["pg_query", "tokio-postgres"]),
    ("gateway", &["anyhow", "tokio-postgres"]),
    ("usage", &["anyhow", "pg_query", "tokio-postgres", "redb"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Direct dependencies that end up in the product, by crate.
fn dependencies(metadata: &serde_json::Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: Vec<_> = metadata["workspace_members"].as_array().unwrap().iter().collect();
    let packages = metadata["packages"].as_array().unwrap().iter().filter(|package| members.contains(&&package["id"]));
    packages
        .map(|package| {
            let kept = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
            let names = kept.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().trim_start_matches("drieslot-").to_owned(), names)
        })
        .collect()
}

#[test]
fn crates_import_downward_only() {
    let found = dependencies(&metadata());
    let rooms: BTreeMap<_, _> = ROOMS.into_iter().collect();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        rooms.keys().copied().collect::<BTreeSet<_>>().iter().collect::<Vec<_>>()
    );
    for (room, names) in &found {
        for ours in names.iter().filter_map(|name| name.strip_prefix("drieslot-")) {
            assert!(rooms[room.as_str()].contains(&ours), "{room} must not import {ours}");
        }
    }
    for (room, forbidden) in FORBIDDEN {
        for name in forbidden {
            assert!(!found[room].contains(*name), "{room} must not import {name}");
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_say_what_they_own_and_stay_small() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    assert!(files.len() > 40, "the walk finds the sources");
    let mut faults = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut fault = |what: String| faults.push(format!("{}: {what}", path.display()));
        if !text.starts_with("//!") {
            fault("does not open with //!".into());
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            fault(format!("{lines} lines, at most {MAX_LINES}"));
        }
        for (number, line) in text.lines().enumerate() {
            // What rustfmt cannot break: a literal, an address.
            let breakable = !line.contains('"') && !line.contains("://");
            if breakable && line.chars().count() > MAX_COLUMNS {
                fault(format!("line {} is longer than {MAX_COLUMNS}", number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn anyhow_the_real_clock_and_the_environment_live_in_the_program_only() {
    let mut files = Vec::new();
    for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "cli") {
        sources(&root().join("crates").join(room).join("src"), &mut files);
    }
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["anyhow", "SystemTime::now", "Timestamp::now", "Zoned::now", "env::var", "println!"] {
            assert!(!text.contains(word), "{} must not use {word}", path.display());
        }
    }
}

/// `A OR B` needs one allowed, `A AND B` both.
fn allowed(expression: &str, list: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let any = expression.split(" AND ").map(|part| part.trim().trim_matches(['(', ')']));
    any.into_iter().all(|part| part.split(" OR ").any(|name| list.contains(name.trim().trim_matches(['(', ')']))))
}

#[test]
fn licences_of_all_dependencies_fit() {
    let deny: toml::Table = std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let list: BTreeSet<String> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    for package in metadata()["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(allowed(licence, &list), "{}: licence {licence}", package["name"]);
    }
    assert!(!allowed("GPL-3.0-only", &list) && !allowed("MIT AND GPL-3.0-only", &list));
}

/// `crate/tests/file::name` or `crate/src/file::name`, wherever the threat model says that something is shown.
#[test]
fn the_threat_model_names_tests_that_exist() {
    let model = std::fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let quoted: BTreeSet<_> = model.split('`').filter(|quoted| !quoted.contains(char::is_whitespace)).collect();
    let named: Vec<_> = quoted.iter().filter_map(|quoted| quoted.split_once("::")).collect();
    assert!(named.len() > 30, "{named:?}");
    for (file, name) in named {
        let test = format!("{file}::{name}");
        let path = root().join("crates").join(file).with_extension("rs");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let defined = text.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{test} does not exist"));
        let before = defined.0.trim_end().lines().rev().take(3).collect::<String>();
        assert!(before.contains("test]") || before.contains("::test("), "{test} is not a test");
    }
    let without: Vec<_> = model.lines().filter(|line| line.starts_with("| ") && line.ends_with("| |")).collect();
    assert!(without.is_empty(), "nothing shows {without:?}");
}
