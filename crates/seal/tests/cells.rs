//! Cells: what is sealed opens again, and nothing else does.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::sync::Arc;

use drieslot_schema::{ColumnId, Domain, LogicalType, Protected, Protection, TableId};
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, Nonces, SealError, epoch_of};

#[derive(Clone)]
struct Place {
    tenant: &'static str,
    domain: &'static str,
    epoch: u16,
    secrets: [u8; 3],
    schema: &'static str,
    table: &'static str,
    column: &'static str,
    ty: LogicalType,
    protection: Protection,
}

const fn place(ty: LogicalType, protection: Protection) -> Place {
    let (schema, table, column) = ("public", "citizens", "name");
    Place { tenant: "gent", domain: "names", epoch: 7, secrets: [1, 2, 3], schema, table, column, ty, protection }
}

fn cipher(place: &Place) -> ColumnCipher {
    let domain = Domain(place.domain.into());
    let context = DomainContext { tenant: place.tenant.into(), domain: domain.clone(), epoch: place.epoch };
    let [structure, access, keys] =
        place.secrets.map(|byte| FunctionSecret::from_bytes(&[byte; 32]).unwrap().share(&context).unwrap());
    let key = DomainKey::combine(&context, &structure, &access, &keys).unwrap();
    let table = TableId { schema: place.schema.into(), table: place.table.into() };
    let id = ColumnId { table, column: place.column.into() };
    let column = Protected { id, ty: place.ty, protection: place.protection, domain, search: false };
    ColumnCipher::new(Arc::new(CellKey::new(&key, context).unwrap()), &column).unwrap()
}

fn seal(cipher: &ColumnCipher, value: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    cipher.seal(value, &mut Nonces::new(), &mut out).unwrap();
    out.split_off(6)
}

fn open(cipher: &ColumnCipher, cell: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut out = b"before".to_vec();
    let opened = cipher.open(cell, &mut out);
    let value = out.split_off(6);
    assert_eq!(out, b"before");
    assert!(opened.is_ok() || value.is_empty(), "an error must leave nothing behind");
    opened.map(|()| value)
}

const BOTH: [Protection; 2] = [Protection::Sealed, Protection::Exact];

#[test]
fn values_of_every_length_come_back_and_have_the_promised_size() {
    for (protection, overhead) in [(Protection::Sealed, 31), (Protection::Exact, 19)] {
        let text = cipher(&place(LogicalType::Text, protection));
        let fixed = cipher(&place(LogicalType::Int8, protection));
        for len in (0..600).chain([4096, 70_000]) {
            let value: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let cell = seal(&text, &value);
            assert_eq!(open(&text, &cell).unwrap(), value);
            assert_eq!((cell.len() - overhead) % 16, 0);
            assert!(cell.len() > len + overhead);
        }
        assert_eq!(seal(&fixed, &[9; 8]).len(), overhead + 8);
    }
}

#[test]
fn every_altered_byte_and_every_other_length_is_refused() {
    for protection in BOTH {
        let cipher = cipher(&place(LogicalType::Text, protection));
        let cell = seal(&cipher, "Ada Lovelace".as_bytes());
        for at in 0..cell.len() {
            for bit in 0..8 {
                let mut altered = cell.clone();
                altered[at] ^= 1 << bit;
                let error = open(&cipher, &altered).unwrap_err();
                assert_eq!(error == SealError::Refused, at >= 3, "byte {at}: {error}");
            }
        }
        for len in 0..cell.len() {
            open(&cipher, &cell[..len]).unwrap_err();
        }
        assert_eq!(open(&cipher, &[&cell[..], &[0]].concat()), Err(SealError::Refused));
    }
}

#[test]
fn a_cell_opens_only_where_it_belongs() {
    for protection in BOTH {
        let home = place(LogicalType::Text, protection);
        let cell = seal(&cipher(&home), b"value");
        let elsewhere = [
            Place { tenant: "brugge", ..home.clone() },
            Place { domain: "streets", ..home.clone() },
            Place { secrets: [9, 2, 3], ..home.clone() },
            Place { secrets: [1, 9, 3], ..home.clone() },
            Place { secrets: [1, 2, 9], ..home.clone() },
            Place { secrets: [2, 1, 3], ..home.clone() },
            Place { ty: LogicalType::Numeric(None), ..home.clone() },
        ];
        for other in &elsewhere {
            assert_eq!(open(&cipher(other), &cell), Err(SealError::Refused));
        }
        let moved = [
            Place { schema: "other", ..home.clone() },
            Place { table: "orders", ..home.clone() },
            Place { column: "street", ..home.clone() },
        ];
        for other in &moved {
            let opened = open(&cipher(other), &cell);
            match protection {
                Protection::Sealed => assert_eq!(opened, Err(SealError::Refused)),
                Protection::Exact | Protection::Ordered => {
                    assert_eq!(opened.unwrap(), b"value", "columns of a domain are joined")
                }
            }
        }
    }
}

#[test]
fn a_cell_names_its_epoch_and_its_type_family() {
    for protection in BOTH {
        let home = place(LogicalType::Text, protection);
        let cell = seal(&cipher(&home), b"value");
        let varchar = Place { ty: LogicalType::Varchar(Some(40)), ..home.clone() };
        assert_eq!(open(&cipher(&varchar), &cell).unwrap(), b"value");
        let later = Place { epoch: 8, ..home.clone() };
        assert_eq!(open(&cipher(&later), &cell), Err(SealError::OtherEpoch { expected: 8, found: 7 }));
        assert_eq!(epoch_of(&cell), Ok(7));
        let mut relabelled = cell.clone();
        relabelled[2] = 8;
        assert_eq!(open(&cipher(&later), &relabelled), Err(SealError::Refused));
    }
}

#[test]
fn headers_say_what_is_wrong() {
    let sealed = place(LogicalType::Text, Protection::Sealed);
    let exact = place(LogicalType::Text, Protection::Exact);
    let cell = seal(&cipher(&sealed), b"value");
    let expected = SealError::WrongProtection { expected: Protection::Exact, found: 1 };
    assert_eq!(open(&cipher(&exact), &cell), Err(expected));
    assert_eq!(open(&cipher(&sealed), b"Ada Lovelace"), Err(SealError::UnknownVersion { found: 4 }));
    assert_eq!(open(&cipher(&sealed), &cell[..3]), Err(SealError::NotACell));
    assert_eq!(open(&cipher(&sealed), &cell[..30]), Err(SealError::NotACell));
    assert_eq!(open(&cipher(&sealed), b""), Err(SealError::NotACell));
    assert_eq!(epoch_of(b"\x11"), Err(SealError::NotACell));
    assert_eq!(epoch_of(b"\x21\0\x01"), Err(SealError::UnknownVersion { found: 2 }));
    let mut relabelled = cell.clone();
    relabelled[0] = 0x12;
    assert_eq!(open(&cipher(&exact), &relabelled), Err(SealError::Refused));
}

#[test]
fn exact_is_the_same_everywhere_and_sealed_never() {
    let exact = place(LogicalType::Text, Protection::Exact);
    let other = Place { table: "orders", ty: LogicalType::Varchar(None), ..exact.clone() };
    assert_eq!(seal(&cipher(&exact), b"85.07.30-033.61"), seal(&cipher(&other), b"85.07.30-033.61"));
    assert_ne!(seal(&cipher(&exact), b"85.07.30-033.61"), seal(&cipher(&exact), b"85.07.30-033.62"));
    let sealed = cipher(&place(LogicalType::Text, Protection::Sealed));
    let cells: std::collections::BTreeSet<_> = (0..1000).map(|_| seal(&sealed, b"value")).collect();
    assert_eq!(cells.len(), 1000);
}

#[test]
fn check_values_find_the_faulty_share() {
    let context = DomainContext { tenant: "gent".into(), domain: Domain("names".into()), epoch: 1 };
    let share = |byte| FunctionSecret::from_bytes(&[byte; 32]).unwrap().share(&context).unwrap();
    let key = |a, b, c| DomainKey::combine(&context, &share(a), &share(b), &share(c)).unwrap().check_value();
    assert_eq!(key(1, 2, 3), key(1, 2, 3));
    assert_ne!(key(1, 2, 3), key(1, 2, 4));
    assert_ne!(key(1, 2, 3), key(2, 1, 3));
    assert_ne!(share(1).check_value(), share(4).check_value());
    assert_ne!(&share(1).check_value(), share(1).expose());
    assert_eq!(drieslot_seal::Share::from_bytes(&[0; 31]).unwrap_err(), SealError::SecretLength { len: 31 });
    assert_ne!(FunctionSecret::generate().unwrap().expose(), FunctionSecret::generate().unwrap().expose());
}

#[test]
fn a_key_is_not_bound_to_a_column_of_another_domain() {
    let context = DomainContext { tenant: "gent".into(), domain: Domain("names".into()), epoch: 1 };
    let share = |byte| FunctionSecret::from_bytes(&[byte; 32]).unwrap().share(&context).unwrap();
    let key = DomainKey::combine(&context, &share(1), &share(2), &share(3)).unwrap();
    let key = Arc::new(CellKey::new(&key, context).unwrap());
    let table = TableId { schema: "public".into(), table: "t".into() };
    let id = ColumnId { table, column: "c".into() };
    let domain = Domain("streets".into());
    let column = Protected { id, ty: LogicalType::Text, protection: Protection::Exact, domain, search: false };
    assert!(matches!(ColumnCipher::new(key, &column), Err(SealError::WrongDomain { .. })));
}

#[test]
fn secrets_and_values_are_not_in_debug_texts() {
    let secret = FunctionSecret::from_bytes(&[0xab; 32]).unwrap();
    let cipher = cipher(&place(LogicalType::Text, Protection::Sealed));
    let text = format!("{secret:?} {cipher:?} {:?}", Nonces::new());
    assert!(!text.contains("171") && !text.contains("ab, ab"), "{text}");
}

#[test]
fn arbitrary_bytes_never_open_and_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let ciphers: Vec<_> = BOTH.map(|protection| cipher(&place(LogicalType::Text, protection))).into();
    for round in 0..20_000_usize {
        let mut bytes: Vec<u8> = (0..next() % 80).map(|_| next() as u8).collect();
        if round % 2 == 0 && bytes.len() >= 3 {
            bytes[..3].copy_from_slice(&[0x11 + (round / 2 % 2) as u8, 0, 7]);
        }
        let _ = epoch_of(&bytes);
        for cipher in &ciphers {
            open(cipher, &bytes).unwrap_err();
        }
    }
}

#[test]
fn a_value_beyond_the_limit_is_refused_before_any_work() {
    let cipher = cipher(&place(LogicalType::Text, Protection::Sealed));
    let mut out = b"before".to_vec();
    let len = drieslot_seal::MAX_VALUE_LEN + 1;
    let refused = cipher.seal(&vec![0; len], &mut Nonces::new(), &mut out);
    assert_eq!(refused, Err(SealError::TooLong { len, max: drieslot_seal::MAX_VALUE_LEN }));
    assert_eq!(out, b"before");
}
