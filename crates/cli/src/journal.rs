//! `drieslot journal`: the last entries of a journal, and the check of a whole one.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_journal::{Reader, Verifier, entry};

use crate::failure::failure;
use crate::files;

/// One entry for people to read.
pub(crate) struct Line {
    pub(crate) index: u64,
    pub(crate) kind: String,
    pub(crate) time: String,
    /// The body's fields, `name=value`.
    pub(crate) body: serde_json::Map<String, serde_json::Value>,
}

/// The last `count` entries, oldest first. Nothing is verified here.
pub(crate) fn last(folder: &Path, count: u64) -> Result<Vec<Line>> {
    let reader = Reader::open(folder).with_context(|| format!("no journal can be read in {}", folder.display()))?;
    let from = reader.size().saturating_sub(count);
    let mut lines = Vec::new();
    for found in reader.entries(from, reader.size())? {
        let (index, bytes) = found?;
        let entry = entry::decode(&bytes).with_context(|| format!("entry {index}"))?;
        lines.push(Line { index, kind: entry.kind, time: entry.time, body: entry.body });
    }
    Ok(lines)
}

/// `drieslot journal tail`
pub(crate) fn tail(folder: &Path, count: u64) -> Result<()> {
    for line in last(folder, count)? {
        println!("{:>8}  {}  {:<9}  {}", line.index, line.time, line.kind, serde_json::Value::Object(line.body));
    }
    Ok(())
}

/// `drieslot journal verify`
pub(crate) fn verify(folder: &Path, key: &Path) -> Result<()> {
    let text = files::read(key)?;
    let hint = "name the file with the journal's verifier key, `origin+id+key`, as you got it from its owner";
    let verifier =
        Verifier::parse(text.trim()).map_err(|error| failure(format!("{}: {error}", key.display()), hint))?;
    let report = drieslot_journal::verify(folder, &verifier).map_err(|error| {
        failure(
            format!("{} does not hold what was signed: {error}", folder.display()),
            "keep a copy of the folder as it is, and tell who relies on it",
        )
    })?;
    println!(
        "{}: {} entries signed for and intact, {} after the checkpoint, {} tiles read",
        report.checkpoint.origin, report.checkpoint.size, report.unsigned_entries, report.tiles
    );
    Ok(())
}
