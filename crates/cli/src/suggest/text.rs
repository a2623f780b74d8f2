//! A suggestion as the text of a classification, with a comment on each column: why, and what the processor will learn.

use std::fmt::Write as _;

use anyhow::Result;
use drieslot_register::statement::Statement;
use drieslot_schema::Protection;
use jiff::Timestamp;

use super::{SuggestedColumn, Suggestion};
use crate::failure::failure;

/// What stands at the head of the statement.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) id: &'a str,
    pub(crate) database: &'a str,
    pub(crate) issued: Timestamp,
    /// What the suggestion rests on.
    pub(crate) rests_on: String,
}

/// What a protection tells the processor.
fn leak(column: &SuggestedColumn) -> String {
    let mut learns = match column.protected.as_ref().map(|(_, protection, _)| *protection) {
        None => return "everything: it is plain".to_owned(),
        Some(Protection::Sealed) => "a length class".to_owned(),
        Some(Protection::Exact) => "a length class, and which values are equal".to_owned(),
        Some(Protection::Ordered) => "which values are equal, and their order".to_owned(),
    };
    if column.search {
        learns.push_str(", and which values share fragments of text");
    }
    learns
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// One line whatever it holds.
fn comment(out: &mut String, text: &str) {
    let _ = writeln!(out, "# {}", text.replace(['\n', '\r'], " "));
}

/// The text, which is checked to be a classification before it is given.
pub(crate) fn text(suggestion: &Suggestion, head: &Head<'_>) -> Result<String> {
    let mut out = String::new();
    comment(
        &mut out,
        &format!("Suggested from {}. Nothing is in force before the officers have signed it.", head.rests_on),
    );
    comment(
        &mut out,
        "Read every line, also the plain ones: a suggestion sees names, samples and statements, not the law.",
    );
    if !suggestion.left_plain.is_empty() {
        comment(&mut out, "To be looked at by somebody:");
        for note in &suggestion.left_plain {
            comment(&mut out, &format!("  {note}"));
        }
    }
    if !suggestion.unnamed.is_empty() {
        comment(
            &mut out,
            "The journal names those whom rows are about, by pseudonyms, where a table says subject = \"COLUMN\". To be decided:",
        );
        for note in &suggestion.unnamed {
            comment(&mut out, &format!("  {note}"));
        }
    }
    let (tenant, id, database) = (quoted(head.tenant), quoted(head.id), quoted(head.database));
    let issued = quoted(&head.issued.round(jiff::Unit::Second)?.to_string());
    let _ = write!(
        out,
        "kind = \"classification\"\ntenant = {tenant}\nid = {id}\nissued = {issued}\ndatabase = {database}\n\
         unlisted_tables = \"refuse\"\n"
    );
    for table in &suggestion.tables {
        let _ = write!(out, "\n[[table]]\nschema = {}\nname = {}\n", quoted(&table.id.schema), quoted(&table.id.table));
        if let Some(subject) = &table.subject {
            comment(&mut out, "Whom a row is about: the journal names them, by pseudonyms.");
            let _ = writeln!(out, "subject = {}", quoted(subject));
        }
        for column in &table.columns {
            out.push('\n');
            write_column(&mut out, column, head.database);
        }
    }
    Statement::parse(&out).map_err(|error| {
        failure(format!("the suggestion is no classification: {error}"), "report it, with the names of the tables")
    })?;
    Ok(out)
}

fn write_column(out: &mut String, column: &SuggestedColumn, database: &str) {
    if column.protected.is_some() || column.class > 2 {
        comment(out, &format!("{}. The processor learns {}.", column.why, leak(column)));
    }
    let _ = write!(out, "[[table.column]]\nname = {}\nclass = {}\n", quoted(&column.name), column.class);
    let Some((ty, protection, domain)) = &column.protected else {
        out.push_str("protection = \"plain\"\n");
        return;
    };
    let _ = write!(out, "protection = \"{protection}\"\ntype = {}\n", quoted(&ty.to_string()));
    if column.search {
        out.push_str("search = true\n");
    }
    if *protection != Protection::Sealed {
        let _ = writeln!(out, "domain = {}", quoted(&format!("{database}.{domain}")));
    }
}
