//! The table of tamperings in `docs/journal.md`, row by row: each is done to a real journal, the finders that the row names must
//! find it, and no other one may. Tessera's fsck looks in `./check --full` only.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod finders;
#[path = "../foreign/tessera.rs"]
mod tessera;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use changes::CHANGES;
use finders::Finders;
use world::World;

const NOBODY: &str = "nobody";

/// What is done, and who finds it.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/journal.md")).unwrap();
    let (_, rest) = page.split_once("\n| tampering | found by |\n|---|---|\n").unwrap();
    let rows = rest.lines().take_while(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split_once('|').unwrap());
    let finders = |cell: &str| cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect();
    cells.map(|(what, who)| (what.trim().to_owned(), finders(who))).collect()
}

#[test]
fn each_tampering_of_the_page_is_found_by_whom_it_names_and_by_no_other() {
    let rows = table();
    let names: BTreeSet<&str> = rows.iter().map(|(what, _)| what.as_str()).collect();
    let known: BTreeSet<&str> = CHANGES.iter().map(|(what, _)| *what).collect();
    assert_eq!(names, known, "the page and this test list the same tamperings");
    assert!(rows.len() >= 20 && names.len() == rows.len(), "{} rows", rows.len());
    let world = World::new();
    let finders = Finders::new(&world);
    fs::create_dir(world.tampered()).unwrap();
    world.reset();
    assert_eq!(finders.all(), BTreeSet::new(), "the journal as it was");
    let mut wrong = Vec::new();
    for (what, mut expected) in rows {
        world.reset();
        let (_, change) = CHANGES.iter().find(|(name, _)| *name == what).unwrap();
        change(&world, &world.tampered());
        expected.remove(NOBODY);
        let named: BTreeSet<&str> = expected.iter().map(String::as_str).filter(|name| finders.looks(name)).collect();
        let found = finders.all();
        if found != named {
            wrong.push(format!("{what}\n    page:  {named:?}\n    found: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
