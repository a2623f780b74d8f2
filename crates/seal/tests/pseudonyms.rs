//! The pseudonyms of `docs/format.md`: those of `vectors/pseudonyms.json`, which `tools/pseudonyms.py` made without Drieslot.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use drieslot_schema::{ColumnId, Domain, LogicalType, Protected, Protection, TableId};
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret};
use serde_json::Value;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn made(secrets: &Value, case: &Value) -> Vec<u8> {
    let text = |name: &str| case[name].as_str().unwrap().to_owned();
    let epoch = u16::try_from(case["epoch"].as_u64().unwrap()).unwrap();
    let context = DomainContext { tenant: text("tenant"), domain: Domain(text("domain")), epoch };
    let share = |function: &str| {
        FunctionSecret::from_bytes(&unhex(secrets[function].as_str().unwrap())).unwrap().share(&context).unwrap()
    };
    let key = DomainKey::combine(&context, &share("structure"), &share("access"), &share("keys")).unwrap();
    let key = Arc::new(CellKey::new(&key, context).unwrap());
    let table = TableId { schema: text("schema"), table: text("table") };
    let id = ColumnId { table, column: text("column") };
    let ty: LogicalType = text("type").parse().unwrap();
    let protected =
        Protected { id: id.clone(), domain: Domain(text("domain")), protection: Protection::Sealed, ty, search: false };
    let cipher = ColumnCipher::new(key, &protected).unwrap();
    cipher.pseudonym(&id, &text("purpose"), &unhex(&text("canonical")), ty == LogicalType::Uuid).unwrap()
}

#[test]
fn every_pseudonym_is_that_of_the_vectors() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/pseudonyms.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut all = BTreeSet::new();
    for case in file["cases"].as_array().unwrap() {
        let wanted = case["pseudonym"].as_str().unwrap();
        let found = made(&file["secrets"], case);
        let found: String = if case["type"] == "uuid" {
            found.iter().map(|byte| format!("{byte:02x}")).collect()
        } else {
            String::from_utf8(found).unwrap()
        };
        assert_eq!(found, wanted, "{case}");
        assert!(all.insert(wanted), "tenant, domain, epoch, column, purpose and value each make another");
    }
    assert_eq!(all.len(), 11);
}
