//! Ordered cells compare as their values do, through the whole range of every type, and hide what they must.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use drieslot_schema::{ColumnId, Domain, LogicalType, Protected, Protection, TableId};
use drieslot_seal::values::encode_text;
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, Nonces, SealError, Settings};

fn cipher(ty: LogicalType) -> ColumnCipher {
    let domain = Domain("d".into());
    let context = DomainContext { tenant: "t".into(), domain: domain.clone(), epoch: 1 };
    let share = |byte| FunctionSecret::from_bytes(&[byte; 32]).unwrap().share(&context).unwrap();
    let key = DomainKey::combine(&context, &share(1), &share(2), &share(3)).unwrap();
    let id = ColumnId { table: TableId { schema: "public".into(), table: "t".into() }, column: "c".into() };
    let column = Protected { id, ty, protection: Protection::Ordered, domain, search: false };
    ColumnCipher::new(Arc::new(CellKey::new(&key, context).unwrap()), &column).unwrap()
}

fn seal(cipher: &ColumnCipher, text: &str) -> Vec<u8> {
    let (mut canonical, mut cell) = (Vec::new(), Vec::new());
    encode_text(cipher.ty(), text, false, &Settings::named("UTC").unwrap(), &mut canonical).unwrap();
    cipher.seal(&canonical, &mut Nonces::new(), &mut cell).unwrap();
    cell
}

/// In PostgreSQL's order.
const ASCENDING: [(&str, &[&str]); 9] = [
    (
        "real",
        &["-Infinity", "-3.4028235e38", "-1.0000001", "-1", "-1e-45", "0", "1e-45", "1", "3.4e38", "Infinity", "NaN"],
    ),
    (
        "double precision",
        &[
            "-Infinity",
            "-1e308",
            "-0.1",
            "-5e-324",
            "0",
            "5e-324",
            "2.2250738585072014e-308",
            "0.1",
            "1e15",
            "Infinity",
            "NaN",
        ],
    ),
    ("smallint", &["-32768", "-1", "0", "1", "255", "256", "32767"]),
    ("integer", &["-2147483648", "-65536", "-1", "0", "1", "65535", "65536", "2147483647"]),
    ("bigint", &["-9223372036854775808", "-1", "0", "1", "4294967296", "9223372036854775807"]),
    ("date", &["-infinity", "4714-11-24 BC", "0001-12-31 BC", "1899-12-31", "2000-01-01", "2000-01-02", "infinity"]),
    ("timestamp", &["-infinity", "1999-12-31 23:59:59.999999", "2000-01-01", "2000-01-01 00:00:00.000001", "infinity"]),
    ("timestamptz", &["-infinity", "2026-11-24 12:00+02", "2026-11-24 11:00+00", "infinity"]),
    (
        "numeric(33,5)",
        &[
            "-9999999999999999999999999999.99999",
            "-10000.00001",
            "-10000",
            "-1.5",
            "-1",
            "-0.00001",
            "0",
            "0.00001",
            "0.1",
            "1",
            "9999.99999",
            "10000",
            "123456789.1",
            "9999999999999999999999999999.99999",
            "NaN",
        ],
    ),
];

#[test]
fn cells_compare_as_their_values_do() {
    for (name, texts) in ASCENDING {
        let cipher = cipher(name.parse().unwrap());
        let cells: Vec<_> = texts.iter().map(|text| seal(&cipher, text)).collect();
        assert!(cells.is_sorted_by(|a, b| a < b), "{name}");
        for (text, cell) in texts.iter().zip(&cells) {
            assert_eq!(*cell, seal(&cipher, text), "{name} {text}: equal values have equal cells");
            let mut opened = Vec::new();
            cipher.open(cell, &mut opened).unwrap();
        }
    }
}

#[test]
fn every_pair_of_many_numbers_is_in_order() {
    let cipher = cipher(LogicalType::Int4);
    // All magnitudes, both signs, and neighbours: a wrapped digit would show about once in 255 comparisons.
    let mut numbers: Vec<i32> =
        (0..31).flat_map(|bit| [1 << bit, -(1 << bit), (1 << bit) - 1, 5 - (1 << bit)]).collect();
    numbers.extend(-600..600);
    numbers.sort_unstable();
    numbers.dedup();
    let mut cells = Vec::new();
    for number in &numbers {
        let mut cell = Vec::new();
        cipher.seal(&number.to_be_bytes(), &mut Nonces::new(), &mut cell).unwrap();
        cells.push(cell);
    }
    assert!(cells.is_sorted_by(|a, b| a < b));
}

#[test]
fn two_codes_agree_up_to_the_first_bit_that_differs_and_not_behind() {
    let cipher = cipher(LogicalType::Int4);
    let code = |number: &str| seal(&cipher, number)[3..35].to_vec();
    // 1000 and 1001 differ in the last bit only; 1000 and 1000 + 2^20 in the eleventh, and behind it only in what F says.
    let (a, b, far) = (code("1000"), code("1001"), code("1049576"));
    assert_eq!(a[..31], b[..31]);
    assert_eq!(a[31] + 1, b[31]);
    assert_eq!(a[..11], far[..11]);
    assert_eq!(a[11] + 1, far[11]);
    let same = a[12..].iter().zip(&far[12..]).filter(|(a, b)| a == b).count();
    assert!(same < 4, "{same} of 20 digits are equal although the bits before them differ");
}

#[test]
fn a_code_cannot_be_put_on_another_cell() {
    let cipher = cipher(LogicalType::Date);
    let (young, old) = (seal(&cipher, "2001-01-01"), seal(&cipher, "1950-01-01"));
    let forged = [&young[..35], &old[35..]].concat();
    assert_eq!(cipher.open(&forged, &mut Vec::new()), Err(SealError::Refused));
    assert_eq!(cipher.open(&young[..30], &mut Vec::new()), Err(SealError::NotACell));
}

#[test]
fn floats_that_equal_another_with_other_bytes_are_refused() {
    for (name, bytes) in [
        ("real", &[0x80, 0, 0, 0][..]),
        ("real", &[0x7f, 0xc0, 0, 1]),
        ("double precision", &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("double precision", &[0xff, 0xf8, 0, 0, 0, 0, 0, 0]),
    ] {
        let mut cell = Vec::new();
        let sealed = cipher(name.parse().unwrap()).seal(bytes, &mut Nonces::new(), &mut cell);
        assert!(matches!(sealed, Err(SealError::NotOrdered)), "{name} {bytes:x?}");
    }
}
