//! `drieslot journal tail`: the last entries, and those that come.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use drieslot_journal::{Reader, entry};

use super::arguments::JournalTailArgs;
use super::chain::{Named, in_order, joints};
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
    read(&reader, reader.size().saturating_sub(count).max(reader.first()))
}

/// The last `count` of journals that go on from one another, with the name of each journal.
fn last_of(named: &[Named], count: u64) -> Result<Vec<(&str, Vec<Line>)>> {
    let (mut all, mut left) = (Vec::new(), count);
    for Named { reader, .. } in named.iter().rev() {
        let lines = read(reader, reader.size().saturating_sub(left).max(reader.first()))?;
        left = left.saturating_sub(lines.len() as u64);
        all.push((reader.origin(), lines));
    }
    all.reverse();
    Ok(all)
}

/// `drieslot journal tail`
pub(crate) async fn tail(args: &JournalTailArgs) -> Result<()> {
    let changes: Vec<_> = args.folders.iter().map(|folder| (folder.clone(), changed(folder))).collect();
    let named = Named::all(&args.folders)?;
    joints(&named)?.iter().for_each(|said| eprintln!("{said}"));
    let named = in_order(named)?;
    let Some(Named { folder, reader, .. }) = named.last() else { return Ok(()) };
    let lines = last_of(&named, args.lines)?;
    let rows: Vec<_> = lines.iter().flat_map(|(_, lines)| lines.iter().map(Line::row)).collect();
    let widths = show::widths(&TITLES, &rows);
    if !args.json {
        Screen::open().table(&TITLES, &rows)?;
    }
    for (origin, lines) in lines.iter().filter(|_| args.json) {
        print(lines, true, origin, &widths)?;
    }
    if !args.follow {
        return Ok(());
    }
    let mut changed = changes.into_iter().find_map(|(one, changed)| (one == *folder).then_some(changed)).flatten();
    let mut size = reader.size();
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = self::changed(folder);
        if now == changed {
            continue;
        }
        changed = now;
        let reader = super::open(folder)?;
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
