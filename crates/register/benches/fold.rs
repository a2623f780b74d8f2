//! Time to fold a register of ten thousand statements, signatures verified, and to clone and ask its state.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

#[path = "../tests/people/mod.rs"]
mod people;

use std::time::Instant;

use drieslot_register::{Hex32, State};

fn main() {
    let (log, entries) = people::many(4_000, 3_000, 3_000);
    let mut state = State::new(Hex32::sha256(&log.charter));
    let begun = Instant::now();
    for (at, part) in entries.chunks(entries.len().div_ceil(8)).enumerate() {
        let start = Instant::now();
        for entry in part {
            state.apply(state.revision(), entry).unwrap();
        }
        let each = start.elapsed() / u32::try_from(part.len()).unwrap();
        println!("eighth {}  {each:?} an entry, {} statements", at + 1, state.statements().len());
    }
    println!("fold      {:?} for {} entries", begun.elapsed(), entries.len());
    let start = Instant::now();
    let rounds = 20_u32;
    for _ in 0..rounds {
        drop(std::hint::black_box(state.clone()));
    }
    println!("clone     {:?}", start.elapsed() / rounds);
}
