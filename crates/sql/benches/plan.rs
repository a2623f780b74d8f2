//! Time to plan a statement; a plan is made once for each text, not for each execution.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a benchmark")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

fn main() {
    let (catalog, classification) = (common::catalog(), common::classification(drieslot_schema::Unlisted::Plain));
    for (name, sql) in [
        ("pass", "SELECT name FROM towns WHERE id = $1"),
        ("point", "SELECT name, email FROM people WHERE ssn = $1"),
        (
            "join",
            "SELECT p.name, v.notes FROM people p LEFT JOIN visits v ON v.person_ssn = p.ssn WHERE p.email = $1 AND v.fee > 3 ORDER BY v.at",
        ),
        (
            "upsert",
            "INSERT INTO people (id, ssn, name) VALUES (1, $1, $2) ON CONFLICT (ssn) DO UPDATE SET name = EXCLUDED.name",
        ),
    ] {
        let rounds = 2_000_u32;
        let start = Instant::now();
        for _ in 0..rounds {
            common::plan(sql, &catalog, &classification).unwrap();
        }
        println!("{name:8} {:?}", start.elapsed() / rounds);
    }
}
