//! `drieslot journal`: checks of journals, their last entries, what is looked for in some, proofs of entries, and new journals
//! that go on from old ones.

pub(crate) mod arguments;
pub(crate) mod chain;
mod export;
mod find;
mod index;
mod prune;
mod show;
mod succeed;
mod tail;
mod who_saw;

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_journal::{Reader, Verifier};

use crate::failure::failure;
use crate::files;

pub(crate) use export::export;
pub(crate) use find::find;
pub(crate) use index::index;
pub(crate) use prune::{note_on, prune};
pub(crate) use show::{Line, what};
pub(crate) use succeed::succeed;
pub(crate) use tail::{last, tail};
pub(crate) use who_saw::who_saw;

pub(crate) fn open(folder: &Path) -> Result<Reader> {
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

/// The one of these keys that is a journal's.
pub(crate) fn key_of<'a>(keys: &'a [Verifier], origin: &str, folder: &Path) -> Result<&'a Verifier> {
    keys.iter().find(|key| key.name() == origin).ok_or_else(|| {
        let what = format!("no --key is that of the journal `{origin}` in {}", folder.display());
        failure(what, "name the file with its verifier key, such as gateway/journal.vkey")
    })
}
