//! Search cells: tokens find every value that matches, and reveal and allow nothing more than the format says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use drieslot_schema::{ColumnId, Domain, LogicalType, Protected, Protection, TableId};
use drieslot_seal::search::{Case, Ctype, Search, Test};
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, Nonces, SealError};

fn key() -> Arc<CellKey> {
    let context = DomainContext { tenant: "t".into(), domain: Domain("d".into()), epoch: 1 };
    let share = |byte| FunctionSecret::from_bytes(&[byte; 32]).unwrap().share(&context).unwrap();
    let key = DomainKey::combine(&context, &share(1), &share(2), &share(3)).unwrap();
    Arc::new(CellKey::new(&key, context).unwrap())
}

fn cipher(protection: Protection) -> ColumnCipher {
    let id = ColumnId { table: TableId { schema: "public".into(), table: "t".into() }, column: "c".into() };
    let column = Protected { id, ty: LogicalType::Text, protection, domain: Domain("d".into()), search: true };
    ColumnCipher::new(key(), &column).unwrap()
}

fn seal(cipher: &ColumnCipher, value: &str) -> Vec<u8> {
    let mut cell = Vec::new();
    cipher.seal(value.as_bytes(), &mut Nonces::new(), &mut cell).unwrap();
    cell
}

/// What the processor's extractor sees.
fn tokens(cell: &[u8]) -> BTreeSet<String> {
    let len = usize::from(cell[3]) << 16 | usize::from(cell[4]) << 8 | usize::from(cell[5]);
    let text = std::str::from_utf8(&cell[6..6 + len]).unwrap();
    text.split(' ').map(str::to_owned).collect()
}

const VALUES: [&str; 16] = [
    "",
    "a",
    "Jan",
    "jan",
    "JAN",
    "Jansen",
    "van Janssens",
    "Élodie",
    "elodie",
    "E\u{301}lodie",
    "Çelik-Şükran",
    "王秀英",
    "O'Hara \"Lee\"",
    "50% off_x",
    "Strauß",
    "ΣΊΣΥΦΟΣ",
];
const PATTERNS: [&str; 22] = [
    "", "%", "J%", "%n", "%an%", "_an", "__", "%a", "a%", "Jan%", "jan", "É%", "%lod%", "%ü%", "王%", "%英", "%'%",
    "50\\%%", "%\\_x", "%s", "%ß%", "Σ%",
];

#[test]
fn whatever_matches_has_the_tokens() {
    let (key, cipher) = (key(), cipher(Protection::Sealed));
    let mut matched = 0;
    for value in VALUES {
        let cell = seal(&cipher, value);
        for pattern in PATTERNS {
            for case in [Case::Kept, Case::Lower, Case::Upper] {
                let pattern = case.of(pattern, Ctype::Simple);
                let search = Search::new(Test::Like { escape: Some('\\') }, case, Ctype::Simple, &pattern).unwrap();
                let wanted = search.tokens(&key).unwrap();
                let may = wanted.iter().all(|token| tokens(&cell).contains(token));
                if search.matches(value) {
                    matched += 1;
                    assert!(may, "{value:?} LIKE {pattern:?} ({case:?}) is not found");
                }
            }
        }
    }
    assert!(matched > 100, "{matched}");
}

#[test]
fn most_of_what_does_not_match_is_told_apart_by_tokens() {
    let (key, cipher) = (key(), cipher(Protection::Sealed));
    let search = Search::new(Test::Like { escape: None }, Case::Lower, Ctype::Simple, "jans%").unwrap();
    let wanted = search.tokens(&key).unwrap();
    let found: Vec<_> = VALUES
        .iter()
        .filter(|value| wanted.iter().all(|token| tokens(&seal(&cipher, value)).contains(token)))
        .collect();
    assert_eq!(found, [&"Jansen"]);
}

#[test]
fn an_exact_cell_stays_deterministic_and_a_sealed_one_does_not() {
    for (protection, same) in [(Protection::Sealed, false), (Protection::Exact, true)] {
        let cipher = cipher(protection);
        let (a, b) = (seal(&cipher, "Jan Peeters"), seal(&cipher, "Jan Peeters"));
        assert_eq!(a == b, same);
        assert_eq!(tokens(&a), tokens(&b));
        let mut opened = Vec::new();
        cipher.open(&a, &mut opened).unwrap();
        assert_eq!(opened, b"Jan Peeters");
    }
}

#[test]
fn the_number_of_tokens_is_rounded_up_with_fillers_of_the_value_alone() {
    let cipher = cipher(Protection::Sealed);
    let of = |value: &str| tokens(&seal(&cipher, value));
    assert!(VALUES.iter().all(|value| of(value).len() % 8 == 0));
    // One letter: itself, two pairs, one triple. The other four are shared with nobody.
    assert_eq!((of("a").len(), of("a").intersection(&of("b")).count()), (8, 0));
}

#[test]
fn tokens_cannot_be_exchanged_or_left_out() {
    let cipher = cipher(Protection::Exact);
    let (a, b) = (seal(&cipher, "abc"), seal(&cipher, "abd"));
    let behind = 6 + usize::from(a[5]);
    assert_eq!(a[5], b[5]);
    let forged = [&a[..behind], &b[behind..]].concat();
    assert_eq!(cipher.open(&forged, &mut Vec::new()), Err(SealError::Refused));
}
