//! `drieslot mandate|officers|charter new`: statements from flags or answers, checked against the register before
//! anybody signs them. A file is written once, and never over another.

mod answers;
pub(crate) mod arguments;
mod charter;
mod mandate;
mod next;
mod officers;

use std::path::{Path, PathBuf};

use anyhow::Result;
use drieslot_journal::MAX_ENTRY_BYTES;
use drieslot_register::State;
use drieslot_register::entry::Entry;
use drieslot_register::statement::Statement;
use jiff::Timestamp;

pub(crate) use charter::charter;
pub(crate) use mandate::mandate;
pub(crate) use next::{difference, next};
pub(crate) use officers::officers;

use crate::failure::failure;
use crate::files;

/// Refuses what the register could not hold, with its size.
pub(crate) fn check_size(text: &str, now: Timestamp) -> Result<()> {
    entry(text, now).map(|_| ())
}

/// The entry that the register would hold.
fn entry(text: &str, now: Timestamp) -> Result<Vec<u8>> {
    let error = match Entry::Statement(text.into()).encode(&now.to_string()) {
        Ok(entry) => return Ok(entry),
        Err(error) => error,
    };
    let quoted = serde_json::to_string(text).map_or(0, |quoted| quoted.len());
    if quoted < MAX_ENTRY_BYTES - 1_000 {
        return Err(error.into());
    }
    let what =
        format!("the statement takes {quoted} bytes as JSON, and an entry of the register holds {MAX_ENTRY_BYTES}");
    let hint = "make it shorter: leave comments out, write a table's columns in one line each, or grant by several \
                mandates";
    Err(failure(what, hint))
}

/// Whether the register would take it now.
fn check_admitted(state: &State, text: &str, now: Timestamp) -> Result<()> {
    let taken = State::clone(state).apply(state.revision(), &entry(text, now)?);
    taken.map(|_| ()).map_err(|error| failure(error.to_string(), "the register would not take it: change what it says"))
}

/// Shows the text and what it changes, writes it, and says how it is signed.
fn finish(statement: &Statement, text: &str, changes: &str, out: Option<&PathBuf>, who: &str) -> Result<()> {
    let named = PathBuf::from(format!("{}.toml", statement.id()));
    let out = out.unwrap_or(&named);
    println!("{text}");
    print!("{changes}");
    write_new(out, text)?;
    println!("written: {}", out.display());
    println!("next:    {who} sign it: drieslot sign {0} --key KEY && drieslot submit {0}", out.display());
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    check_free(path)?;
    files::write_new(path, text)
}

fn check_free(path: &Path) -> Result<()> {
    match path.symlink_metadata().is_ok() {
        true => Err(failure(format!("{} is there already", path.display()), "name another file with --out")),
        false => Ok(()),
    }
}
