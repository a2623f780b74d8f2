//! `drieslot journal`: the last entries of a journal.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_journal::{Reader, entry};

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
