//! `drieslot journal`: the last entries of a journal, what is looked for in some, and proofs of entries.

pub(crate) mod arguments;
mod export;
mod find;
mod show;
mod tail;

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_journal::{Reader, Verifier};

use crate::failure::failure;
use crate::files;

pub(crate) use export::export;
pub(crate) use find::find;
pub(crate) use show::{Line, what};
pub(crate) use tail::{last, tail};

fn open(folder: &Path) -> Result<Reader> {
    Reader::open(folder).with_context(|| format!("no journal can be read in {}", folder.display()))
}

fn verifier(key: &Path) -> Result<Verifier> {
    let text = files::read(key)?;
    let hint = "name the file with the journal's verifier key, `origin+id+key`, as you got it from its owner";
    Verifier::parse(text.trim()).map_err(|error| failure(format!("{}: {error}", key.display()), hint))
}

fn verified(folder: &Path, verifier: &Verifier) -> Result<drieslot_journal::Report> {
    drieslot_journal::verify(folder, verifier).map_err(|error| {
        failure(
            format!("{} does not hold what was signed: {error}", folder.display()),
            "keep a copy of the folder as it is, and tell who relies on it",
        )
    })
}
