//! `drieslot journal find`: looks and other entries of several journals, by time.

use std::iter::Peekable;

use anyhow::{Context, Result};
use drieslot_audit::{Finding, Found};

use super::arguments::JournalFindArgs;
use super::chain::{Named, joints};
use super::show::{self, Screen};

/// Columns of a table are as wide as the first rows want.
const MEASURED_ROWS: usize = 1_000;

/// `drieslot journal find`
pub(crate) fn find(args: &JournalFindArgs) -> Result<()> {
    let keys = args.key.iter().map(|key| super::verifier(key)).collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        eprintln!("note: the journals are read as they are; with --key for each they are verified first");
    }
    let filter = args.filter.to_filter();
    let named = Named::all(&args.folders)?;
    if !keys.is_empty() {
        for Named { folder, reader, .. } in &named {
            super::verified(folder, super::key_of(&keys, reader.origin(), folder)?)?;
        }
    }
    joints(&named)?.iter().for_each(|said| eprintln!("{said}"));
    let mut finding: Vec<Finding<'_>> = named.iter().map(|one| drieslot_audit::find(&one.reader, &filter)).collect();
    let found = Merged(finding.iter_mut().map(Iterator::peekable).collect());
    let mut screen = Screen::open();
    match args.json {
        true => lines(found, &mut screen)?,
        false => table(found, &mut screen)?,
    }
    screen.flush()?;
    let unknown: u64 = finding.iter().map(Finding::unknown_kinds).sum();
    if unknown > 0 {
        eprintln!("note: {unknown} entries are of a kind that this version does not know");
    }
    Ok(())
}

/// What is found in several journals, by time; of each journal in the order of its entries.
struct Merged<I: Iterator>(Vec<Peekable<I>>);

impl<E, I: Iterator<Item = Result<Found, E>>> Iterator for Merged<I> {
    type Item = Result<Found, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = None;
        for (at, journal) in self.0.iter_mut().enumerate() {
            match journal.peek() {
                Some(Ok(found)) => {
                    let place = found.place();
                    if first.as_ref().is_none_or(|(earliest, _)| place < *earliest) {
                        first = Some((place, at));
                    }
                }
                Some(Err(_)) => return journal.next(),
                None => {}
            }
        }
        let (_, at) = first?;
        self.0.get_mut(at)?.next()
    }
}

type Each<'a> = &'a mut dyn Iterator<Item = Result<Found, drieslot_audit::AuditError>>;

fn lines(found: impl Iterator<Item = Result<Found, drieslot_audit::AuditError>>, screen: &mut Screen) -> Result<()> {
    for one in found {
        screen.line(&show::found_json(&one?)?.to_string())?;
        if !screen.is_open() {
            break;
        }
    }
    Ok(())
}

fn table(
    mut found: impl Iterator<Item = Result<Found, drieslot_audit::AuditError>>,
    screen: &mut Screen,
) -> Result<()> {
    let rows = |found: Each<'_>| found.map(|one| one.map(|one| show::found_row(&one))).collect::<Result<Vec<_>, _>>();
    let measured = rows(&mut found.by_ref().take(MEASURED_ROWS)).context("the journals")?;
    let widths = show::widths(&show::FOUND_TITLES, &measured);
    screen.table(&show::FOUND_TITLES, &measured)?;
    for one in found {
        screen.row(&show::found_row(&one?), &widths)?;
        if !screen.is_open() {
            break;
        }
    }
    Ok(())
}
