//! EXPLAIN: PostgreSQL's own over the rewritten query, and EXPLAIN (DRIESLOT), which says what happens to each protected
//! column, or why the statement is refused. Neither shows a protected value.

use std::fmt::Write as _;

use drieslot_schema::{ColumnId, Domain};
use pg_query::NodeEnum;
use pg_query::protobuf::{ExplainStmt, Node};

use crate::bind;
use crate::census::Census;
use crate::decide::{Decision, check_target, decide, touched};
use crate::env::Env;
use crate::plan::is_query;
use crate::refusal::{Refusal, Result};
use crate::statement::{CellSlot, Command, Kind, PassProof, Purpose, Rewritten, SearchPart, Slot, SlotSource, Use};

fn missing() -> Refusal {
    Refusal::internal("EXPLAIN of nothing")
}

fn has_option(explain: &ExplainStmt, name: &str) -> bool {
    explain.options.iter().any(|node| matches!(&node.node, Some(NodeEnum::DefElem(option)) if option.defname == name))
}

/// EXPLAIN (DRIESLOT), whose answer is our own.
pub(crate) fn report(env: &Env<'_>, node: &Node) -> Result<Option<Decision>> {
    let Some(NodeEnum::ExplainStmt(explain)) = &node.node else { return Ok(None) };
    if !has_option(explain, "drieslot") {
        return Ok(None);
    }
    if explain.options.len() > 1 {
        return Err(Refusal::unsupported("EXPLAIN (DRIESLOT) takes no other option").hint("Leave the others out."));
    }
    let mut query = explain.query.as_deref().ok_or_else(missing)?.clone();
    let lines = match decide(env, &mut query) {
        Ok(decision) => told(env, &decision),
        Err(refusal) => refused(&refusal),
    };
    let rows: Vec<String> = lines.iter().map(|line| format!("('{}')", line.replace('\'', "''"))).collect();
    let text = format!("SELECT t.* FROM (VALUES {}) AS t(\"DRIESLOT\")", rows.join(", "));
    let kind = Kind::Reworded(text, PassProof(()));
    Ok(Some(Decision { kind, ..Decision::pass(Command::Other) }))
}

/// EXPLAIN over protected columns needs what the query would need: its estimates tell of values too. `None` where the
/// query touches none, or is no query.
pub(crate) fn bound(env: &Env<'_>, node: &mut Node, census: &Census) -> Result<Option<Decision>> {
    let Some(NodeEnum::ExplainStmt(explain)) = &node.node else { return Ok(None) };
    let query = explain.query.as_deref().ok_or_else(missing)?;
    if !is_query(query) {
        return Ok(None);
    }
    check_target(env, census, query)?;
    if touched(env, census, false)?.bound.is_none() {
        return Ok(None);
    }
    let rewritten = bind::explained(env, node)?;
    Ok(Some(Decision { kind: Kind::Rewritten(Box::new(rewritten)), ..Decision::pass(Command::Other) }))
}

fn refused(refusal: &Refusal) -> Vec<String> {
    let mut lines = vec![format!("Refused ({}): {}.", refusal.sqlstate, refusal.message)];
    lines.extend(refusal.detail.iter().map(|detail| format!("Why: {detail}")));
    lines.extend(refusal.hint.iter().map(|hint| format!("What would allow it: {hint}")));
    lines
}

fn told(env: &Env<'_>, decision: &Decision) -> Vec<String> {
    match &decision.kind {
        Kind::Pass(_) => {
            vec!["No protected column is touched: the statement goes to the processor as it is.".to_owned()]
        }
        Kind::Reworded(..) => {
            vec!["The catalogue is read: protected columns show the types of the classification.".to_owned()]
        }
        Kind::Rewritten(rewritten) => of_query(env, rewritten),
        Kind::CopyIn(plan) | Kind::CopyOut(plan) => needed(env, &plan.uses),
    }
}

fn of_query(env: &Env<'_>, rewritten: &Rewritten) -> Vec<String> {
    let mut lines = needed(env, &rewritten.uses);
    for slot in &rewritten.slots {
        if let Slot::Cell(slot) | Slot::Cells(slot) = slot {
            lines.push(of_slot(slot));
        }
    }
    for search in &rewritten.searches {
        lines.push(format!(
            "The cells of {} that have the pattern's tokens are asked for, opened and tested; the statement is sent with those \
             that match and those that do not.",
            search.column.id
        ));
    }
    for (at, column) in (1..).zip(&rewritten.columns) {
        if let Some(typed) = column.protected() {
            lines.push(format!("Result column {at} holds cells of {}, opened as {}.", typed.column.id, typed.ty));
        }
    }
    for subject in &rewritten.subjects.columns {
        let Domain(realm) = &subject.realm;
        lines.push(match rewritten.columns.len() {
            shown if subject.at < shown => {
                format!("Result column {} says whom a row is about ({realm}); the journal names them.", subject.at + 1)
            }
            _ => format!("Whom a row is about ({realm}) is read with it for the journal, and not shown."),
        });
    }
    let text = rewritten.template.render_inline(&mut |slot, out: &mut String| {
        let _ = match rewritten.slots.get(slot) {
            Some(Slot::Cell(slot)) => write!(out, "[cell of {}]", slot.value.column.id),
            Some(Slot::Cells(slot)) => write!(out, "[cells of {}]", slot.value.column.id),
            Some(Slot::Search { part: SearchPart::Tokens, .. }) => write!(out, "[tokens of the pattern]"),
            Some(Slot::Search { part: SearchPart::Everything, .. }) => write!(out, "[whether everything matches]"),
            Some(Slot::Search { part: SearchPart::Matching, .. }) => write!(out, "[cells that match]"),
            Some(Slot::Search { part: SearchPart::Others, .. }) => write!(out, "[cells that do not]"),
            None => Ok(()),
        };
    });
    lines.push(format!("The processor gets: {text}"));
    lines
}

fn of_slot(slot: &CellSlot) -> String {
    let from = match &slot.source {
        SlotSource::Literal { .. } => "A literal".to_owned(),
        SlotSource::Default => "The default".to_owned(),
        SlotSource::Param(number) | SlotSource::CastParam { number } => format!("Parameter ${number}"),
    };
    let purpose = match slot.purpose {
        Purpose::Store => "stored in it",
        Purpose::Compare => "compared with it",
    };
    format!("{from} is read as {} and becomes a cell of {}, to be {purpose}.", slot.value.ty, slot.value.column.id)
}

/// What a mandate must allow, a line for each column.
fn needed(env: &Env<'_>, uses: &[(ColumnId, Use)]) -> Vec<String> {
    let mut lines = Vec::new();
    for chunk in uses.chunk_by(|a, b| a.0 == b.0) {
        let Some((column, _)) = chunk.first() else { continue };
        let operations: Vec<&str> = chunk.iter().map(|(_, used)| operation(*used)).collect();
        let protected =
            env.table(&column.table).and_then(|table| table.columns.get(&column.column)?.protected.as_ref());
        let how = protected.map_or_else(String::new, |column| {
            let search = if column.search { " with search" } else { "" };
            format!(" ({}{search} {}, domain {})", column.protection, column.ty, column.domain)
        });
        lines.push(format!("{column}{how}: a mandate must allow {}.", operations.join(" and ")));
    }
    if lines.is_empty() {
        lines.push("No protected value is read, stored or compared: no mandate is needed.".to_owned());
    }
    lines
}

fn operation(used: Use) -> &'static str {
    match used {
        Use::Read => "read",
        Use::Write => "write",
        Use::Search => "search",
    }
}
