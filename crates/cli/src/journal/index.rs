//! `drieslot journal index`: from persons' pseudonyms to who looked.

use std::fmt::Write;

use anyhow::Result;
use drieslot_audit::Index;
use drieslot_audit::index::Reach;

use super::arguments::JournalIndexArgs;
use super::show;

/// `drieslot journal index`
pub(crate) fn index(args: &JournalIndexArgs) -> Result<()> {
    let keys = args.key.iter().map(|key| super::verifier(key)).collect::<Result<Vec<_>>>()?;
    let index = Index::open(&args.index)?;
    for folder in &args.folders {
        let reader = super::open(folder)?;
        let reach = index.follow(folder, super::key_of(&keys, reader.origin(), folder)?)?;
        println!("{}", reaches(&reach));
    }
    Ok(())
}

/// How far an index reaches in one journal, and what it cannot tell.
pub(super) fn reaches(reach: &Reach) -> String {
    let Reach { journal, entries, until, unknown_kinds, without_subject, .. } = reach;
    let until = until.map(|time| format!(" until {}", show::short_time(&time.to_string()))).unwrap_or_default();
    let mut text =
        format!("{journal}: {entries} entries{until}; {without_subject} released rows that are tied to nobody");
    if *unknown_kinds > 0 {
        let _ = write!(text, "; {unknown_kinds} are of a kind that this version does not know");
    }
    text
}
