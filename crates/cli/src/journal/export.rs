//! `drieslot journal export`: chosen entries with their proofs, for an auditor who has nothing else of the journal.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use drieslot_audit::{Found, proof};
use drieslot_journal::{Checkpoint, Reader, Verifier};

use super::arguments::JournalExportArgs;
use super::chain::{Named, joints};
use super::show;
use crate::failure::failure;
use crate::files;

/// `drieslot journal export`
pub(crate) fn export(args: &JournalExportArgs) -> Result<()> {
    let keys = args.key.iter().map(|key| super::verifier(key)).collect::<Result<Vec<_>>>()?;
    let named = Named::all(&args.folders)?;
    let joints = joints(&named)?;
    let mut chosen = Vec::new();
    for Named { folder, reader, .. } in &named {
        chosen.push(Chosen::of(reader, super::key_of(&keys, reader.origin(), folder)?, args)?);
    }
    if args.out.exists() {
        return Err(failure(format!("{} exists", args.out.display()), "name a folder that is not there yet"));
    }
    for (number, chosen) in (1..).zip(&chosen) {
        // One journal's files lie in the folder itself.
        let folder = if named.len() == 1 { args.out.clone() } else { args.out.join(number.to_string()) };
        chosen.write(&folder, &joints)?;
        let (count, origin) = (chosen.entries.len(), &chosen.checkpoint.origin);
        println!("{}: {count} entries with their proofs, of {origin}", folder.display());
    }
    joints.iter().for_each(|said| println!("{said}"));
    Ok(())
}

/// What is exported of a journal.
struct Chosen<'a> {
    reader: &'a Reader,
    checkpoint: Checkpoint,
    entries: BTreeSet<u64>,
    summary: String,
}

impl<'a> Chosen<'a> {
    fn of(reader: &'a Reader, key: &Verifier, args: &JournalExportArgs) -> Result<Self> {
        let checkpoint = Checkpoint::open(reader.note(), key).map_err(|error| {
            let hint = "name the file with the verifier key of this journal, and look at `journal verify`";
            failure(error.to_string(), hint)
        })?;
        let (mut entries, mut summary) = (BTreeSet::new(), String::new());
        for one in drieslot_audit::find(reader, &args.filter.to_filter()) {
            let one = one?;
            match &one {
                Found::Look(look) => entries.extend(std::iter::once(look.first).chain(look.outcomes.iter().copied())),
                Found::Event(event) => drop(entries.insert(event.index)),
            }
            writeln!(summary, "{}", show::found_json(&one)?)?;
        }
        if let Some(last) = entries.last().filter(|last| **last >= checkpoint.size) {
            let what = format!("entry {last} is not signed for yet: the checkpoint covers {} entries", checkpoint.size);
            return Err(failure(what, "try again in a second, or set --until"));
        }
        Ok(Self { reader, checkpoint, entries, summary })
    }

    fn write(&self, folder: &Path, joints: &[String]) -> Result<()> {
        files::make_folder(&folder.join("entries"))?;
        for index in &self.entries {
            write(&folder.join("entries"), *index, &proof::prove(self.reader, &self.checkpoint, *index)?)?;
        }
        files::write_new(&folder.join("found.jsonl"), &self.summary)?;
        let joints: String = joints.iter().map(|said| format!("\n{said}\n")).collect();
        files::write_new(&folder.join("README"), &(readme(&self.checkpoint, self.entries.len()) + &joints))
    }
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
