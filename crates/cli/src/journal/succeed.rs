//! `drieslot journal succeed`: a part's new journal, which goes on from an old one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drieslot_audit::{Link, Reason};
use drieslot_journal::{
    Checkpoint, IdentityKey, JournalConfig, Published, Reader, Stopped, Trust, Verifier, begin, entry, verify_folder,
};
use jiff::Timestamp;

use super::arguments::{JournalSucceedArgs, Why};
use crate::failure::failure;
use crate::files;

/// A signed note of the old journal.
struct Known {
    note: String,
    checkpoint: Checkpoint,
}

/// `drieslot journal succeed`
///
/// Order: the old folder is locked, read and marked; then what its part saw of the register lies beside the new folder; then
/// that is there, with its first entry. So it can be ended at any moment and run again.
pub(crate) fn succeed(args: &JournalSucceedArgs, now: Timestamp) -> Result<()> {
    let old = super::verifier(&args.from_key)?;
    let new = IdentityKey::load(&args.key)?.verifier(&args.origin)?;
    if new.name() == old.name() {
        let what = format!("`{}` is the old journal's name", old.name());
        return Err(failure(
            what,
            "give the new one another --origin: one that begins again looks like one that was rewritten",
        ));
    }
    let known = newest(args, &old)?;
    let stopped = args.from.as_deref().map(stop).transpose()?;
    let link = match (args.why, &args.from) {
        (Why::Key, Some(folder)) => of_whole(folder, &old, known)?,
        (Why::Damaged, Some(folder)) => of_damaged(folder, &old, known),
        (Why::Lost, None) => of_note(known, &old, Reason::Lost),
        (Why::Key | Why::Damaged, None) => return Err(failure("--from is missing", "name the old journal's folder")),
        (Why::Lost, Some(_)) => {
            return Err(failure("what is lost has no --from", "a folder that is there is `damaged`, or all right"));
        }
    };
    if args.folder.exists() {
        return already(args, &link, &new);
    }
    if let Some((stopped, folder)) = stopped.as_ref().zip(args.from.as_deref()) {
        stopped.end(&new)?;
        keep_seen(folder, &args.folder)?;
    }
    let first = link.entry(&now.to_string())?;
    let config = JournalConfig::new(&args.origin, IdentityKey::load(&args.key)?);
    begin(&args.folder, config, first, |found| is(&args.origin, found, &link))?;
    say(args, &link, &new);
    Ok(())
}

fn say(args: &JournalSucceedArgs, link: &Link, new: &Verifier) {
    let known = link.size.map_or("nothing is known of it but its key".into(), |size| format!("{size} entries"));
    println!("{}: {} goes on from {}, as {}: {known}", args.folder.display(), new.name(), link.origin, link.why);
    if let Some(fault) = &link.fault {
        println!("the old folder: {fault}");
    }
    println!("its verifier key, for witnesses, mirrors and auditors:\n{}", new.vkey());
    println!("next: this folder, origin and key into the part's configuration. Keep the old folder.");
}

/// The link that a run before this one has written.
fn is(origin: &str, found: &[u8], link: &Link) -> bool {
    Link::read(origin, found).is_ok_and(|found| found.as_ref() == Some(link))
}

/// The new folder is there: all is done, or it is something else.
fn already(args: &JournalSucceedArgs, link: &Link, new: &Verifier) -> Result<()> {
    let found = Reader::open(&args.folder).ok().filter(|reader| reader.origin() == new.name());
    let first = found.and_then(|reader| reader.first_entry().ok());
    if first.is_some_and(|first| is(&args.origin, &first, link)) {
        println!("{}: this was done before", args.folder.display());
        return Ok(());
    }
    let what = format!("{} is there, and is not the journal that goes on from {}", args.folder.display(), link.origin);
    Err(failure(what, "name a new folder"))
}

fn stop(folder: &Path) -> Result<Stopped> {
    Stopped::lock(folder)
        .map_err(|error| failure(error.to_string(), "stop the part first; name the folder of its journal"))
}

/// A journal that is as it was signed: with all its entries, also those that no checkpoint covers yet.
fn of_whole(folder: &Path, old: &Verifier, known: Option<Known>) -> Result<Link> {
    let hint =
        "where that is so, --why damaged goes on from what was signed; keep the old folder as it is, and find out why";
    let seen = known.map(|known| known.checkpoint);
    let wrong = |error: &dyn std::fmt::Display| failure(format!("{}: {error}", folder.display()), hint);
    verify_folder(folder, Trust { verifier: old, seen: seen.as_ref(), cosigned: None })
        .map_err(|error| wrong(&error))?;
    Published::open(folder, old).and_then(|own| own.cosigned(old)).map_err(|error| wrong(&error))?;
    let reader = Reader::open(folder)?;
    if reader.size() > 0 && entry::decode(&reader.first_entry()?)?.kind == "statement" {
        let what = "this journal is a register, and a register that began anew would have no statements";
        return Err(failure(what, "bring the register's key back from its backup (docs/operations.md)"));
    }
    Ok(Link::to(&reader, old, Reason::Key)?)
}

/// What is known of a journal that is not believed: the newest note that its key signed, and what is wrong with its folder.
fn of_damaged(folder: &Path, old: &Verifier, known: Option<Known>) -> Link {
    let own = ["checkpoint", "checkpoint.cosigned"].into_iter().filter_map(|name| read(&folder.join(name), old).ok());
    let newest = own.chain(known).max_by_key(|known| known.checkpoint.size);
    let seen = newest.as_ref().map(|known| &known.checkpoint);
    let fault = match verify_folder(folder, Trust { verifier: old, seen, cosigned: None }) {
        Err(error) => Some(error.to_string()),
        Ok(_) => Published::open(folder, old).and_then(|own| own.cosigned(old)).err().map(|error| error.to_string()),
    };
    Link { fault, ..of_note(newest, old, Reason::Damaged) }
}

fn of_note(known: Option<Known>, old: &Verifier, why: Reason) -> Link {
    match known {
        Some(Known { note, checkpoint }) => Link::to_note(&note, &checkpoint, old, why),
        None => Link::to_unknown(old, why),
    }
}

fn newest(args: &JournalSucceedArgs, old: &Verifier) -> Result<Option<Known>> {
    let mut all = Vec::new();
    for place in &args.known {
        let path = if place.is_dir() { place.join("checkpoint") } else { place.clone() };
        all.push(read(&path, old)?);
    }
    Ok(all.into_iter().max_by_key(|known| known.checkpoint.size))
}

fn read(path: &Path, old: &Verifier) -> Result<Known> {
    let note = files::read(path)?;
    let hint = "name a mirror's folder, or a file with a checkpoint that the old journal's key signed";
    let checkpoint = Checkpoint::open(&note, old);
    let checkpoint = checkpoint.map_err(|error| failure(format!("{}: {error}", path.display()), hint))?;
    Ok(Known { note, checkpoint })
}

/// What the part has seen of its register lies beside its journal, and must not be forgotten with it.
fn keep_seen(from: &Path, to: &Path) -> Result<()> {
    let beside = |folder: &Path| -> PathBuf {
        let mut name = folder.components().collect::<PathBuf>().into_os_string();
        name.push(".seen");
        name.into()
    };
    let (from, to) = (beside(from), beside(to));
    if !from.try_exists().with_context(|| from.display().to_string())? || to.exists() {
        return Ok(());
    }
    files::write(&to, &files::read(&from)?)
}
