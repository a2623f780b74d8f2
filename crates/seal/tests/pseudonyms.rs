//! The pseudonyms of `docs/format.md`: those of values and of subjects in `vectors/`, which `tools/pseudonyms.py` made without
//! Drieslot.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use drieslot_schema::{ColumnId, Domain, LogicalType, Protected, Protection, TableId};
use drieslot_seal::{
    CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, SealError, SubjectKey, subject_of_text,
};
use serde_json::Value;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn key(secrets: &Value, context: DomainContext) -> Arc<CellKey> {
    let share = |function: &str| {
        FunctionSecret::from_bytes(&unhex(secrets[function].as_str().unwrap())).unwrap().share(&context).unwrap()
    };
    let key = DomainKey::combine(&context, &share("structure"), &share("access"), &share("keys")).unwrap();
    Arc::new(CellKey::new(&key, context).unwrap())
}

fn vectors(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn made(secrets: &Value, case: &Value) -> Vec<u8> {
    let text = |name: &str| case[name].as_str().unwrap().to_owned();
    let epoch = u16::try_from(case["epoch"].as_u64().unwrap()).unwrap();
    let key = key(secrets, DomainContext { tenant: text("tenant"), domain: Domain(text("domain")), epoch });
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
    let file = vectors("pseudonyms.json");
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

#[test]
fn every_subject_has_the_pseudonym_of_the_vectors() {
    let file = vectors("subjects.json");
    let mut all = BTreeSet::new();
    for case in file["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let context = DomainContext { tenant: text("tenant"), domain: Domain::subjects(), epoch: 1 };
        let key = SubjectKey::new(key(&file["secrets"], context)).unwrap();
        let mut subject = Vec::new();
        subject_of_text(text("type").parse().unwrap(), &text("given"), &mut subject).unwrap();
        assert_eq!(String::from_utf8(subject.clone()).unwrap(), text("subject"), "{case}");
        let found = key.pseudonym(&Domain(text("realm")), &subject).unwrap();
        assert_eq!((found.as_str(), found.len()), (text("pseudonym").as_str(), 22), "{case}");
        assert!(all.insert(found), "tenant, realm and subject each make another");
    }
    assert_eq!(all.len(), 9);
}

#[test]
fn no_other_key_makes_subjects_and_no_other_type_names_them() {
    let secrets = &vectors("subjects.json")["secrets"];
    let context = DomainContext { tenant: "agency.example".into(), domain: Domain("person".into()), epoch: 1 };
    assert!(matches!(SubjectKey::new(key(secrets, context)), Err(SealError::NotOfSubjects { .. })));
    for (ty, text) in [(LogicalType::Date, "2000-01-01"), (LogicalType::Bool, "t"), (LogicalType::Int4, "five")] {
        let mut out = b"kept".to_vec();
        assert!(subject_of_text(ty, text, &mut out).is_err());
        assert_eq!(out, b"kept");
    }
}
