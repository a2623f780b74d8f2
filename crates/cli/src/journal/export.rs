//! `drieslot journal export`: chosen entries with their proofs, for an auditor who has nothing else of the journal.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use drieslot_audit::{Found, proof};
use drieslot_journal::Checkpoint;

use super::arguments::JournalExportArgs;
use super::show;
use crate::failure::failure;
use crate::files;

/// `drieslot journal export`
pub(crate) fn export(args: &JournalExportArgs) -> Result<()> {
    let key = super::verifier(&args.key)?;
    let reader = super::open(&args.folder)?;
    let checkpoint = Checkpoint::open(reader.note(), &key).map_err(|error| {
        failure(error.to_string(), "name the file with the verifier key of this journal, and look at `journal verify`")
    })?;
    let found = drieslot_audit::find(&reader, &args.filter.to_filter())?;
    let mut entries = BTreeSet::new();
    let mut summary = String::new();
    for one in &found {
        match one {
            Found::Look(look) => entries.extend(std::iter::once(look.first).chain(look.outcomes.iter().copied())),
            Found::Event(event) => drop(entries.insert(event.index)),
        }
        writeln!(summary, "{}", show::found_json(one)?)?;
    }
    if let Some(last) = entries.last().filter(|last| **last >= checkpoint.size) {
        let what = format!("entry {last} is not signed for yet: the checkpoint covers {} entries", checkpoint.size);
        return Err(failure(what, "try again in a second, or set --until"));
    }
    if args.out.exists() {
        return Err(failure(format!("{} exists", args.out.display()), "name a folder that is not there yet"));
    }
    files::make_folder(&args.out.join("entries"))?;
    for index in &entries {
        write(&args.out.join("entries"), *index, &proof::prove(&reader, &checkpoint, *index)?)?;
    }
    files::write_new(&args.out.join("found.jsonl"), &summary)?;
    files::write_new(&args.out.join("README"), &readme(&checkpoint, entries.len()))?;
    println!("{}: {} entries with their proofs, of {}", args.out.display(), entries.len(), checkpoint.origin);
    Ok(())
}

fn write(folder: &Path, index: u64, proven: &proof::Proven) -> Result<()> {
    let name = format!("{index:012}.json");
    let entry = std::str::from_utf8(&proven.entry).context("an entry that is not UTF-8")?;
    files::write_new(&folder.join(format!("{name}.tlog-proof")), &proven.proof)?;
    files::write_new(&folder.join(name), entry)
}

fn readme(checkpoint: &Checkpoint, count: usize) -> String {
    format!(
        "{count} of the {} entries of the journal `{}`.\n\n\
         entries/N.json             the exact bytes of entry N\n\
         entries/N.json.tlog-proof  that it is entry N of the journal, signed for by the journal's key:\n\
         \x20                          https://c2sp.org/tlog-proof\n\
         found.jsonl                what the entries say together, a look a line; made for reading, and proven by nothing\n\n\
         To verify: tools/verify_export.py FOLDER VKEY, with the verifier key from where you trust it.\n\
         The proofs do not show that no other entry was left out.\n",
        checkpoint.size, checkpoint.origin
    )
}
