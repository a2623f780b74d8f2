//! The tour: what a newcomer to Drieslot sees on one screen. Everything on it is asked of the running parts.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use drieslot_register::Signer;
use drieslot_register::statement::{Classification, Kind, ProtectionWord, TableEntry};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::folder::Folder;
use super::screen::{WIDTH, heading, table, wrapped};
use crate::application::Application;
use crate::failure::report;
use crate::journal;
use crate::processor::Processor;
use crate::register::Register;

/// What the tour walks through.
pub(crate) struct Tour<'a> {
    pub(crate) application: &'a Application,
    pub(crate) processor: &'a Processor,
    pub(crate) classification: &'a Classification,
    pub(crate) gateway_journal: &'a Path,
}

/// A table with protected columns, and a plain column to find a row by.
struct Shown<'a> {
    table: &'a TableEntry,
    key: Option<&'a str>,
    protected: Vec<(&'a str, ProtectionWord)>,
}

impl Tour<'_> {
    fn database(&self) -> &str {
        &self.classification.database
    }

    /// The table with the most protected columns.
    fn shown(&self) -> Result<Shown<'_>> {
        let tables = self.classification.table.iter().map(|table| {
            let key = table.column.iter().find(|column| column.protection == ProtectionWord::Plain);
            let protected = table.column.iter().filter(|column| column.protection != ProtectionWord::Plain);
            let protected = protected.map(|column| (column.name.as_str(), column.protection)).collect();
            Shown { table, key: key.map(|column| column.name.as_str()), protected }
        });
        tables.max_by_key(|shown| shown.protected.len()).context("no table is classified")
    }

    /// The same row through the gateway and at the processor.
    pub(crate) async fn same_row(&self) -> Result<()> {
        let shown = self.shown()?;
        let name = qualified(shown.table);
        heading(&format!("The same row of {name}, seen twice"));
        let application = self.application.connect(self.database()).await?;
        let Some(plain) = shown.key else {
            println!("  (not shown: the classification names no plain column to find a row by)");
            return Ok(());
        };
        let key = quoted(plain);
        let Some(id) = self.row_id(&application, &name, &key).await? else {
            println!("  (not shown: the table has no rows)");
            return Ok(());
        };
        let condition = format!("{key} = '{}'", id.replace('\'', "''"));
        let columns: Vec<String> = shown.protected.iter().map(|(column, _)| quoted(column)).collect();
        let query = format!("SELECT {key}, {} FROM {name} WHERE {condition}", columns.join(", "));
        let here = one_row(&application, &query).await?.context("the row is gone")?;
        let processor = self.processor.superuser(self.database()).await?;
        let there = one_row(&processor, &query).await?.context("the processor does not have the row")?;
        let mut rows = vec![vec![plain.to_owned(), "plain".into(), value(&here, 0), value(&there, 0)]];
        for (index, (column, protection)) in shown.protected.iter().enumerate() {
            let protection = if *protection == ProtectionWord::Exact { "exact" } else { "sealed" };
            rows.push(vec![
                (*column).to_owned(),
                protection.into(),
                value(&here, index + 1),
                stored(&there, index + 1),
            ]);
        }
        table(
            &["column", "", "the application, through the gateway", "the processor's superuser"],
            &[19, 6, 36],
            &rows,
        );
        Ok(())
    }

    /// A row that has much to show: of the newcomers, one whose name has a script of its own.
    async fn row_id(&self, session: &Client, name: &str, key: &str) -> Result<Option<String>> {
        let preferred = ["contact_language = 'Ukrainian' AND note IS NOT NULL AND email IS NOT NULL", "true"];
        for condition in preferred.into_iter().skip(usize::from(name != "public.newcomers")) {
            let query =
                format!("SELECT {key} FROM {name} WHERE {condition} AND {key} IS NOT NULL ORDER BY {key} LIMIT 1");
            if let Some(row) = one_row(session, &query).await? {
                return Ok(row.get(0).map(str::to_owned));
            }
        }
        Ok(None)
    }

    /// A query that the protection cannot answer is refused, before anything is sent.
    pub(crate) async fn refused_query(&self) -> Result<()> {
        let shown = self.shown()?;
        let sealed = shown.protected.iter().find(|(_, protection)| *protection == ProtectionWord::Sealed);
        let Some((column, _)) = sealed else { return Ok(()) };
        heading("A query that cannot be answered is refused, not guessed at");
        let query = format!("SELECT {0} FROM {1} ORDER BY {0}", quoted(column), qualified(shown.table));
        println!("  {query}");
        let application = self.application.connect(self.database()).await?;
        match application.simple_query(&query).await {
            Ok(_) => anyhow::bail!("the gateway answered a query that it must refuse"),
            Err(error) => print_indented(&report(&crate::application::refused(&error))),
        }
        Ok(())
    }

    /// A join on a column that the processor cannot read.
    pub(crate) async fn join(&self, newcomers: u32) -> Result<()> {
        heading("Joined on the national number, which the processor cannot read");
        let query =
            "SELECT count(*) FROM newcomers n JOIN residence_permits p ON n.national_number = p.national_number";
        println!("  {query}");
        let session = self.application.connect(self.database()).await?;
        let started = Instant::now();
        let found = count(&session, query).await?;
        println!("  {found} permits of {newcomers} newcomers, in {} ms", started.elapsed().as_millis());
        Ok(())
    }

    /// The end of the gateway's journal.
    pub(crate) fn trace(&self) -> Result<()> {
        heading("No look without a trace: the end of the gateway's journal");
        let rows: Vec<Vec<String>> = journal::last(self.gateway_journal, 6)?.iter().map(trace_row).collect();
        table(&["entry", "time (UTC)", "kind", "what"], &[7, 12, 8], &rows);
        Ok(())
    }

    /// One protected value, asked for anew.
    pub(crate) async fn look(&self) -> Result<()> {
        let shown = self.shown()?;
        let (column, _) = shown.protected.first().context("no protected column")?;
        let session = self.application.connect(self.database()).await?;
        let query = format!("SELECT {} FROM {} LIMIT 1", quoted(column), qualified(shown.table));
        session.simple_query(&query).await.map_err(|error| crate::application::refused(&error))?;
        Ok(())
    }
}

fn trace_row(line: &journal::Line) -> Vec<String> {
    let time: String = line.time.chars().skip(11).take(12).collect();
    let principal =
        line.body.get("principal").and_then(serde_json::Value::as_str).map_or(String::new(), |who| format!("{who}: "));
    vec![line.index.to_string(), time, line.kind.clone(), principal + &journal::what(&line.kind, &line.body)]
}

/// A text, wrapped to the screen.
pub(crate) fn print_indented(text: &str) {
    for line in text.lines().flat_map(|line| wrapped(line, WIDTH - 2)) {
        println!("  {line}");
    }
}

/// A query's single number.
pub(crate) async fn count(session: &Client, query: &str) -> Result<u64> {
    let row = one_row(session, query).await?.context("no row")?;
    row.get(0).unwrap_or_default().parse().context("not a number")
}

/// Who signed what, as the verified register has it.
pub(crate) async fn signatures(folder: &Folder) -> Result<()> {
    heading("Three must agree: the register, verified from the charter on");
    let state = Register::open(&folder.at("officers").join("register.toml"))?.state().await?;
    let mut key_checks = 0;
    for record in state.statements() {
        if record.kind() == Kind::KeyCheck {
            key_checks += 1;
            continue;
        }
        let signer = |signer: &Signer| format!("{} ({})", signer.name, signer.duty);
        let signers: Vec<String> = record.signers.iter().map(signer).collect();
        println!("  entry {:>2}  {} `{}`, {}", record.index, record.kind(), record.id(), record.status);
        for line in wrapped(&format!("signed by {}", signers.join(", ")), WIDTH - 12) {
            println!("            {line}");
        }
    }
    println!("  and the check values of {key_checks} keys, each signed by all three custodians");
    Ok(())
}

async fn one_row(session: &Client, query: &str) -> Result<Option<SimpleQueryRow>> {
    let messages = session.simple_query(query).await.map_err(|error| crate::application::refused(&error))?;
    let row = messages
        .into_iter()
        .find_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None });
    Ok(row)
}

fn value(row: &SimpleQueryRow, index: usize) -> String {
    row.get(index).unwrap_or("NULL").to_owned()
}

/// A cell as the processor has it: the beginning of its bytes and their number.
fn stored(row: &SimpleQueryRow, index: usize) -> String {
    let Some(hex) = row.get(index) else { return "NULL".into() };
    let bytes = hex.len().saturating_sub(2) / 2;
    let beginning: String = hex.chars().take(18).collect();
    format!("{beginning}… {bytes} bytes")
}

/// `schema.table`, each quoted where it must be.
pub(crate) fn qualified(table: &TableEntry) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

/// An identifier, quoted unless it is one that SQL would fold to itself.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !RESERVED.contains(&name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The reserved words that are likely names of tables and columns.
const RESERVED: &[&str] = &[
    "user",
    "order",
    "group",
    "table",
    "column",
    "end",
    "from",
    "to",
    "desc",
    "default",
    "check",
    "primary",
    "references",
    "limit",
    "offset",
    "select",
    "where",
    "grant",
    "when",
    "then",
    "case",
    "analyse",
    "analyze",
    "all",
    "and",
    "any",
    "as",
    "asc",
    "both",
    "cast",
    "do",
    "else",
    "for",
    "foreign",
    "in",
    "into",
    "not",
    "null",
    "on",
    "only",
    "or",
    "some",
    "union",
    "unique",
    "using",
    "with",
];
