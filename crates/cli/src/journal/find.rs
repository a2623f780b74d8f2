//! `drieslot journal find`: looks and other entries of several journals, by time.

use anyhow::{Context, Result};
use drieslot_audit::Found;

use super::arguments::JournalFindArgs;
use super::chain::{Named, joints};
use super::show::{self, Screen};

/// `drieslot journal find`
pub(crate) fn find(args: &JournalFindArgs) -> Result<()> {
    let keys = args.key.iter().map(|key| super::verifier(key)).collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        eprintln!("note: the journals are read as they are; with --key for each they are verified first");
    }
    let filter = args.filter.to_filter();
    let mut found = Vec::new();
    let named = Named::all(&args.folders)?;
    for Named { folder, reader, .. } in &named {
        if !keys.is_empty() {
            super::verified(folder, super::key_of(&keys, reader.origin(), folder)?)?;
        }
        found.extend(drieslot_audit::find(reader, &filter).with_context(|| folder.display().to_string())?);
    }
    joints(&named)?.iter().for_each(|said| eprintln!("{said}"));
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
