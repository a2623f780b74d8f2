//! `drieslot journal prune`: lets entries of a stopped part go that are older than its configuration says.

use std::path::{Path, PathBuf};

use anyhow::Result;
use drieslot_audit::{Prune, first_since};
use drieslot_journal::{
    Block, Checkpoint, IdentityKey, JournalConfig, JournalError, Note, Pruned, Published, Verifier,
};
use drieslot_register::State;
use jiff::{SignedDuration, Timestamp};

use super::arguments::JournalPruneArgs;
use crate::failure::failure;
use crate::register::Register;
use crate::{custodian, roles};

/// What a part's configuration says of its journal.
struct Kept {
    folder: PathBuf,
    origin: String,
    key: PathBuf,
    keep_days: Option<u32>,
}

fn kept(args: &JournalPruneArgs) -> Result<Kept> {
    if let Some(path) = &args.gateway {
        let journal = roles::gateway_config(path)?.journal;
        let (folder, origin, key) = (journal.folder, journal.origin, journal.key);
        return Ok(Kept { folder, origin, key, keep_days: journal.keep_days });
    }
    let Some(path) = &args.custodian else {
        return Err(failure("whose journal?", "name the part's configuration with --gateway or --custodian"));
    };
    let config = custodian::config(path)?;
    let (folder, origin, key) = (config.journal, config.origin, config.key);
    Ok(Kept { folder, origin, key, keep_days: config.journal_keep_days })
}

/// `drieslot journal prune`
pub(crate) async fn prune(args: &JournalPruneArgs, now: Timestamp) -> Result<()> {
    let kept = kept(args)?;
    let days = days(args, &kept)?;
    let key = IdentityKey::load(&kept.key)?;
    let verifier = key.verifier(&kept.origin)?;
    let before = before(args, &kept.folder, days, now)?;
    check_witnesses(&*Register::open(&args.client.register)?.state().await?, &kept.folder, &verifier, before)?;
    let (who, why) = (args.who.as_str(), args.why.as_str());
    let said = Prune { before, who, why, keep_days: days }.entry(&now.to_string())?;
    let config = JournalConfig::new(&kept.origin, key);
    let pruned = drieslot_journal::prune(&kept.folder, config, before, said).map_err(|error| {
        if matches!(error, JournalError::Locked { .. }) {
            return failure(error.to_string(), "stop the part first; it goes on where it was afterwards");
        }
        error.into()
    })?;
    println!("{}: the entries before {} are pruned, as entry {} says", kept.origin, pruned.first, pruned.entry);
    Ok(())
}

/// How many days stay.
fn days(args: &JournalPruneArgs, kept: &Kept) -> Result<u32> {
    let Some(least) = kept.keep_days else {
        let hint = "whoever decides on retention writes `keep_days` into it: `keep_days` under [journal] of a gateway, \
                    `journal_keep_days` of a custodian";
        return Err(failure("the part's configuration keeps its journal for ever", hint));
    };
    match args.keep_days {
        Some(days) if days < least => {
            Err(failure(format!("the part's configuration keeps {least} days"), "keep as many or more"))
        }
        days => Ok(days.unwrap_or(least)),
    }
}

/// The first entry that stays.
fn before(args: &JournalPruneArgs, folder: &Path, days: u32, now: Timestamp) -> Result<u64> {
    let reader = super::open(folder)?;
    let young = first_since(&reader, now - SignedDuration::from_hours(24 * i64::from(days)))?;
    let most = young / Block::ENTRIES * Block::ENTRIES;
    match args.before {
        Some(before) if before > young => {
            let what = format!("entry {young} is not older than {days} days");
            Err(failure(what, format!("prune before {most} at most")))
        }
        Some(before) => Ok(before),
        // What a run before this one left is deleted, where nothing more is old enough.
        None if most > 0 || reader.first() > 0 => Ok(most.max(reader.first())),
        None => {
            let what = format!("no 256 entries are older than {days} days");
            Err(failure(what, "there is nothing to prune yet: entries are let go by bundles of 256"))
        }
    }
}

/// What no quorum has cosigned stays: nobody else could say that it was there.
fn check_witnesses(state: &State, folder: &Path, verifier: &Verifier, before: u64) -> Result<()> {
    let hint = "start the part, and prune when its journal is cosigned (drieslot_cosigned_age_seconds)";
    let Some(policy) = state.witnessing() else { return Err(failure("the register has no charter yet", hint)) };
    if policy.is_none() {
        return Ok(());
    }
    let refuse = |what: String| Err(failure(what, hint));
    let Some(note) = Published::open(folder, verifier)?.cosigned(verifier)? else {
        return refuse("the charter has witnesses, and nothing of this journal is cosigned".to_owned());
    };
    let (signed, checkpoint) = (Note::parse(&note)?, Checkpoint::open(&note, verifier)?);
    let mut cosigned = 0;
    for cosigner in &policy.cosigners {
        cosigned += usize::from(signed.cosigned_by(cosigner)?.is_some());
    }
    match cosigned < policy.quorum || checkpoint.size < before {
        true => refuse(format!("a quorum of witnesses has not cosigned the first {before} entries")),
        false => Ok(()),
    }
}

/// What readers are told of a journal that was pruned.
pub(crate) fn note_on(origin: &str, pruned: Option<Pruned>) -> Option<String> {
    let pruned = pruned?;
    Some(format!(
        "note: of {origin} the entries before {} were pruned, as its entry {} says",
        pruned.first, pruned.entry
    ))
}
