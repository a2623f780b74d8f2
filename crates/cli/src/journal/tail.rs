//! `drieslot journal tail`: the last entries, and those that come.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use drieslot_journal::{Reader, entry};

use super::arguments::JournalTailArgs;
use super::show::{self, Line, Screen};

const TITLES: [&str; 5] = ["time (UTC)", "entry", "kind", "who", "what"];
const PAUSE: Duration = Duration::from_millis(200);

fn read(reader: &Reader, from: u64) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for found in reader.entries(from, reader.size())? {
        let (index, bytes) = found?;
        let entry = entry::decode(&bytes).with_context(|| format!("entry {index}"))?;
        lines.push(Line { index, kind: entry.kind, time: entry.time, body: entry.body });
    }
    Ok(lines)
}

/// The last `count` entries, oldest first. Nothing is verified here.
pub(crate) fn last(folder: &Path, count: u64) -> Result<Vec<Line>> {
    let reader = super::open(folder)?;
    read(&reader, reader.size().saturating_sub(count))
}

/// `drieslot journal tail`
pub(crate) async fn tail(args: &JournalTailArgs) -> Result<()> {
    let mut changed = changed(&args.folder);
    let reader = super::open(&args.folder)?;
    let mut size = reader.size();
    let lines = read(&reader, size.saturating_sub(args.lines))?;
    let rows: Vec<_> = lines.iter().map(Line::row).collect();
    let widths = show::widths(&TITLES, &rows);
    if !args.json {
        Screen::open().table(&TITLES, &rows)?;
    } else {
        print(&lines, true, reader.origin(), &widths)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = self::changed(&args.folder);
        if now == changed {
            continue;
        }
        changed = now;
        let reader = super::open(&args.folder)?;
        anyhow::ensure!(reader.size() >= size, "the journal had {size} entries, and now has {}", reader.size());
        if !print(&read(&reader, size)?, args.json, reader.origin(), &widths)? {
            return Ok(());
        }
        size = reader.size();
    }
}

/// Whether somebody still reads.
fn print(lines: &[Line], json: bool, journal: &str, widths: &[usize]) -> Result<bool> {
    let mut screen = Screen::open();
    for line in lines {
        match json {
            true => screen.line(&line.json(journal).to_string())?,
            false => screen.row(&line.row(), widths)?,
        }
    }
    screen.flush()?;
    Ok(screen.is_open())
}

/// Entries go to the write-ahead file first.
fn changed(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join("wal")).and_then(|about| about.modified()).ok()
}
