//! Entries and looks for people: tables, and one line of words for what an entry says.

use std::io::{BufWriter, ErrorKind, StdoutLock, Write};

use anyhow::Result;
use drieslot_audit::{Event, Found, Look};
use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr;

use crate::up::screen::{legible, shortened};

/// Longest text of a member of a body, in a table.
const MEMBER_WIDTH: usize = 80;
/// Widest column of a table but its last.
const COLUMN_WIDTH: usize = 40;

/// One entry for people to read.
pub(crate) struct Line {
    pub(crate) index: u64,
    pub(crate) kind: String,
    pub(crate) time: String,
    pub(crate) body: Map<String, Value>,
}

impl Line {
    pub(super) fn json(&self, journal: &str) -> Value {
        json!({"journal": journal, "index": self.index, "time": self.time, "kind": self.kind, "body": self.body})
    }

    /// Time, place, kind, who, and what.
    pub(super) fn row(&self) -> Vec<String> {
        let (time, who) = (short_time(&self.time), who(&self.body));
        vec![time, self.index.to_string(), self.kind.clone(), who, what(&self.kind, &self.body)]
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// To the second, in UTC.
pub(super) fn short_time(time: &str) -> String {
    time.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn who(body: &Map<String, Value>) -> String {
    let principal =
        ["principal", "gateway", "caller", "user"].into_iter().map(|name| text(body, name)).find(|one| !one.is_empty());
    let end_user = body
        .get("end_user")
        .and_then(Value::as_object)
        .map(|person| for_whom(text(person, "name"), text(person, "known")));
    principal.unwrap_or_default().to_owned() + &end_user.unwrap_or_default()
}

pub(super) fn for_whom(name: &str, known: &str) -> String {
    format!(" for {name} ({known})")
}

/// What an entry says, in words, without who.
pub(crate) fn what(kind: &str, body: &Map<String, Value>) -> String {
    let number = |name: &str| body.get(name).and_then(Value::as_u64).unwrap_or_default();
    match kind {
        "intent" => {
            let touched = body.get("columns").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let pairs = touched.iter().filter_map(Value::as_object).map(|one| (text(one, "use"), text(one, "column")));
            format!("{}: {}: {}", text(body, "purpose"), text(body, "command"), uses(pairs))
        }
        "outcome" => {
            let (intent, rows) = (number("intent"), number("rows"));
            format!("of {intent}: {rows} rows, {} {}", text(body, "state"), text(body, "tag"))
        }
        _ => members(body),
    }
}

/// `read a.b.c, a.b.d; search a.b.e`
pub(super) fn uses<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut by_use: Vec<(&str, Vec<&str>)> = Vec::new();
    for (used, column) in pairs {
        match by_use.iter_mut().find(|(one, _)| *one == used) {
            Some((_, columns)) => columns.push(column),
            None => by_use.push((used, vec![column])),
        }
    }
    by_use.into_iter().map(|(used, columns)| format!("{used} {}", columns.join(", "))).collect::<Vec<_>>().join("; ")
}

fn members(body: &Map<String, Value>) -> String {
    let shown = body.iter().filter(|(name, _)| {
        !["session", "principal", "gateway", "caller", "user", "end_user"].contains(&name.as_str())
    });
    let shown = shown.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", shortened(&value, MEMBER_WIDTH))
    });
    shown.collect::<Vec<_>>().join(" ")
}

pub(super) const FOUND_TITLES: [&str; 7] = ["time (UTC)", "journal", "entry", "who", "rows", "end", "what"];

/// The row of a look or another entry.
pub(super) fn found_row(found: &Found) -> Vec<String> {
    match found {
        Found::Look(look) => look_row(look),
        Found::Event(event) => event_row(event),
    }
}

fn look_row(look: &Look) -> Vec<String> {
    let intent = &look.intent;
    let pairs = intent.columns.iter().map(|touched| (touched.used.as_str(), touched.column.as_str()));
    let end_user = intent.end_user.as_ref().map(|person| for_whom(&person.name, &person.known));
    let state = look.state.as_str().replace('_', " ");
    let end = match look.tag.as_deref().filter(|_| look.state == drieslot_audit::Progress::Failed) {
        Some(sqlstate) => format!("{state} {sqlstate}"),
        None => state,
    };
    vec![
        short_time(&look.time.to_string()),
        look.journal.to_string(),
        look.first.to_string(),
        intent.principal.clone() + &end_user.unwrap_or_default(),
        look.rows.to_string(),
        end,
        format!("{}: {}: {} ({})", intent.purpose, intent.command, uses(pairs), intent.mandates.join(", ")),
    ]
}

fn event_row(event: &Event) -> Vec<String> {
    vec![
        short_time(&event.time.to_string()),
        event.journal.to_string(),
        event.index.to_string(),
        who(&event.body),
        String::new(),
        event.kind.clone(),
        what(&event.kind, &event.body),
    ]
}

/// One line of JSON.
pub(super) fn found_json(found: &Found) -> Result<Value> {
    Ok(match found {
        Found::Look(look) => {
            let mut value = serde_json::to_value(look)?;
            if let Some(members) = value.as_object_mut() {
                members.insert("kind".into(), "look".into());
            }
            value
        }
        Found::Event(event) => json!({
            "journal": &*event.journal, "index": event.index, "time": event.time.to_string(), "kind": event.kind,
            "body": event.body,
        }),
    })
}

/// Standard output, until who reads it has enough.
pub(super) struct Screen {
    out: Option<BufWriter<StdoutLock<'static>>>,
}

impl Screen {
    pub(super) fn open() -> Self {
        Self { out: Some(BufWriter::new(std::io::stdout().lock())) }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        let written = self.out.as_mut().map_or(Ok(()), |out| writeln!(out, "{line}"));
        self.unless_closed(written)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        let flushed = self.out.as_mut().map_or(Ok(()), Write::flush);
        self.unless_closed(flushed)
    }

    /// Whether somebody still reads.
    pub(super) fn is_open(&self) -> bool {
        self.out.is_some()
    }

    fn unless_closed(&mut self, done: std::io::Result<()>) -> Result<()> {
        match done {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                // What is left in the buffer has nobody to go to.
                if let Some(out) = self.out.take() {
                    drop(out.into_parts());
                }
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// Rows under their titles. Columns are as wide as their texts; the last is never cut.
    pub(super) fn table(&mut self, titles: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let widths = widths(titles, rows);
        let titles: Vec<String> = titles.iter().map(|&title| title.to_owned()).collect();
        self.row(&titles, &widths)?;
        rows.iter().try_for_each(|row| self.row(row, &widths))
    }

    pub(super) fn row(&mut self, row: &[String], widths: &[usize]) -> Result<()> {
        let cells = row.iter().enumerate().map(|(at, text)| match widths.get(at) {
            Some(width) if at + 1 < row.len() => crate::up::screen::cell(text, *width),
            _ => shortened(text, usize::MAX),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        self.line(line.trim_end())
    }
}

/// As wide as its widest text, within a limit.
pub(super) fn widths(titles: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width_of = |at: usize, title: &str| {
        let texts = rows.iter().filter_map(|row| row.get(at)).map(|text| legible(text).width());
        texts.chain([title.width()]).max().unwrap_or(0).min(COLUMN_WIDTH)
    };
    titles.iter().enumerate().map(|(at, title)| width_of(at, title)).collect()
}
