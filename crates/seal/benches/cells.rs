//! What one seal and one open cost. Prints nanoseconds; asserts nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use drieslot_schema::{ColumnId, Domain, LogicalType, Protected, Protection, TableId};
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, Nonces};

const ROUNDS: u32 = 200_000;

fn cipher(protection: Protection) -> ColumnCipher {
    let domain = Domain("names".into());
    let context = DomainContext { tenant: "gent".into(), domain: domain.clone(), epoch: 1 };
    let share = || FunctionSecret::generate().unwrap().share(&context).unwrap();
    let key = DomainKey::combine(&context, &share(), &share(), &share()).unwrap();
    let table = TableId { schema: "public".into(), table: "citizens".into() };
    let id = ColumnId { table, column: "name".into() };
    let column = Protected { id, ty: LogicalType::Text, protection, domain, search: false };
    ColumnCipher::new(Arc::new(CellKey::new(&key, context).unwrap()), &column).unwrap()
}

fn time(mut work: impl FnMut()) -> u128 {
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        work();
    }
    begun.elapsed().as_nanos() / u128::from(ROUNDS)
}

fn main() {
    let mut nonces = Nonces::new();
    for protection in [Protection::Sealed, Protection::Exact] {
        let cipher = cipher(protection);
        for len in [16, 256] {
            let value = vec![b'a'; len];
            let (mut cell, mut out) = (Vec::new(), Vec::new());
            let seal = time(|| {
                cell.clear();
                cipher.seal(black_box(&value), &mut nonces, &mut cell).unwrap();
            });
            let open = time(|| {
                out.clear();
                cipher.open(black_box(&cell), &mut out).unwrap();
            });
            println!("{protection} {len} B: seal {seal} ns, open {open} ns, cell {} B", cell.len());
        }
    }
}
