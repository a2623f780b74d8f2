//! `drieslot journal find`: looks and other entries of several journals, by time.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_audit::Found;
use drieslot_journal::Verifier;

use super::arguments::JournalFindArgs;
use super::show::{self, Screen};
use crate::failure::failure;

/// `drieslot journal find`
pub(crate) fn find(args: &JournalFindArgs) -> Result<()> {
    let keys = args.key.iter().map(|key| super::verifier(key)).collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        eprintln!("note: the journals are read as they are; with --key for each they are verified first");
    }
    let filter = args.filter.to_filter();
    let mut found = Vec::new();
    for folder in &args.folders {
        let reader = super::open(folder)?;
        if !keys.is_empty() {
            super::verified(folder, key_of(&keys, reader.origin(), folder)?)?;
        }
        found.extend(drieslot_audit::find(&reader, &filter).with_context(|| folder.display().to_string())?);
    }
    found.sort_by_cached_key(Found::place);
    let mut screen = Screen::open();
    if args.json {
        for one in &found {
            screen.line(&show::found_json(one)?.to_string())?;
        }
    } else {
        let rows: Vec<_> = found.iter().map(show::found_row).collect();
        screen.table(&show::FOUND_TITLES, &rows)?;
    }
    screen.flush()
}

fn key_of<'a>(keys: &'a [Verifier], origin: &str, folder: &Path) -> Result<&'a Verifier> {
    keys.iter().find(|key| key.name() == origin).ok_or_else(|| {
        let what = format!("no --key is that of the journal `{origin}` in {}", folder.display());
        failure(what, "name the file with its verifier key, such as gateway/journal.vkey")
    })
}
