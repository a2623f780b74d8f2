//! The examples of docs/statements.md are statements, and survive being written again.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::BTreeSet;

use drieslot_register::statement::Statement;

#[test]
fn every_example_is_a_statement() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/statements.md")).unwrap();
    let examples: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let mut kinds = BTreeSet::new();
    for example in &examples {
        let statement = Statement::parse(example).unwrap();
        assert_eq!(Statement::parse(&statement.to_text().unwrap()).unwrap(), statement);
        kinds.insert(statement.kind());
    }
    assert_eq!((examples.len(), kinds.len()), (15, 15));
}
