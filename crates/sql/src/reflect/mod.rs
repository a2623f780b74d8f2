//! The catalogue as plain PostgreSQL would have it: a statement that reads pg_attribute, pg_constraint or what rests on
//! them is worded anew, so that protected columns show their logical types and the cells' checks do not show.
//!
//! Works on the text, so that the rest of the statement goes on as it was written. The new text is planned like any
//! other; whatever cannot be worded anew is refused.

mod mapped;
mod places;

use std::ops::Range;

use drieslot_schema::TableId;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ScanToken, Token};

use crate::census::Named;
use crate::env::{Env, is_system_schema};
use crate::parse;
use crate::plan::is_query;
use crate::refusal::{Refusal, Result};
use places::{Places, RangeAt};

pub(crate) use mapped::is_mapped_name;

/// The statement's text with mapped relations in place of those that show the processor's types; `None` where it reads
/// none of them.
pub(crate) fn reword(env: &Env<'_>, text: &str, source: &Range<usize>, node: &Node) -> Result<Option<String>> {
    let reads = is_query(node)
        || matches!(
            node.node,
            Some(
                NodeEnum::ExplainStmt(_)
                    | NodeEnum::PrepareStmt(_)
                    | NodeEnum::DeclareCursorStmt(_)
                    | NodeEnum::CopyStmt(_)
                    | NodeEnum::CreateTableAsStmt(_)
            )
        );
    if !reads || env.classification.protected().next().is_none() {
        return Ok(None);
    }
    let own = text.get(source.clone()).unwrap_or_default();
    let find = |range: &RangeAt| -> Result<Option<TableId>> {
        let named = Named {
            catalog: range.catalog.clone(),
            schema: range.schema.clone(),
            name: range.name.clone(),
            location: range.location,
        };
        Ok(env.find(&named)?.map(|relation| relation.id.clone()))
    };
    edited(env, own, source.start, node, &find)
}

type Find<'f> = &'f dyn Fn(&RangeAt) -> Result<Option<TableId>>;

/// `text` begins at byte `offset` of the text that the tree's locations count in.
fn edited(env: &Env<'_>, text: &str, offset: usize, node: &Node, find: Find<'_>) -> Result<Option<String>> {
    let places = Places::of(node)?;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut tokens = None;
    for range in places.ranges.iter().filter(|range| mapped::is_mapped_name(&range.name)) {
        if range.schema.is_empty() && places.ctes.contains(&range.name) {
            return Err(unclear(&range.name));
        }
        let Some(id) = find(range)?.filter(|id| is_system_schema(&id.schema)) else { continue };
        let Some(query) = subquery(env, &id, &places)? else { continue };
        if !range.with_children {
            return Err(unclear(&range.name));
        }
        let tokens = match &mut tokens {
            Some(tokens) => tokens,
            none => none.insert(parse::tokens(text)?),
        };
        let at = name_at(tokens, range.location, offset, range.parts())?;
        let alias = if range.aliased { String::new() } else { format!(" AS {}", id.table) };
        edits.push((at, format!("({query}){alias}")));
        if !range.aliased {
            edits.extend(shortened(&places, tokens, &id, offset)?);
        }
    }
    edits.extend(veiled(text, offset, &places)?);
    if edits.is_empty() {
        return Ok(None);
    }
    edits.sort_by_key(|(at, _)| (at.start, at.end));
    edits.dedup_by(|a, b| a.0 == b.0);
    let mut out = String::with_capacity(text.len() * 2);
    let mut from = 0;
    for (at, new) in edits {
        out.push_str(text.get(from..at.start).ok_or_else(lost)?);
        out.push_str(&new);
        from = at.end;
    }
    out.push_str(text.get(from..).ok_or_else(lost)?);
    Ok(Some(out))
}

/// What stands in place of one of PostgreSQL's own relations; `None` where it can stay.
fn subquery(env: &Env<'_>, id: &TableId, places: &Places) -> Result<Option<String>> {
    if let Some(query) = mapped::query(env, id, places)? {
        return Ok(Some(query));
    }
    if !mapped::is_inlined(id) {
        return Ok(None);
    }
    let definition = env.catalog.definition(id).ok_or_else(|| unclear(&id.table))?;
    let text = definition.query.trim_end().trim_end_matches(';');
    let mut statements = parse::parse(text)?.stmts;
    let (Some(node), true) = (statements.pop().and_then(|raw| raw.stmt), statements.is_empty()) else {
        return Err(unclear(&id.table));
    };
    // The names that PostgreSQL leaves bare in a definition are those of pg_catalog.
    let find = |range: &RangeAt| -> Result<Option<TableId>> {
        let schema = if range.schema.is_empty() { "pg_catalog" } else { range.schema.as_str() };
        if !is_system_schema(schema) {
            return Err(unclear(&range.name));
        }
        Ok(Some(TableId { schema: schema.to_owned(), table: range.name.clone() }))
    };
    edited(env, text, 0, &node, &find)
}

/// `pg_catalog.pg_attribute.attname` becomes `pg_attribute.attname`: a subquery has no schema.
fn shortened(
    places: &Places,
    tokens: &[ScanToken],
    id: &TableId,
    offset: usize,
) -> Result<Vec<(Range<usize>, String)>> {
    let mut edits = Vec::new();
    for column in &places.columns {
        let [before @ .., table, _] = column.names.as_slice() else { continue };
        if *table != id.table || before.last() != Some(&id.schema) {
            continue;
        }
        let long = name_at(tokens, column.location, offset, before.len() + 1)?;
        let table = name_at(tokens, column.location, offset, before.len())?;
        // From the first token to the last dot before the table's name.
        let dot = tokens.iter().find(|token| usize::try_from(token.start).is_ok_and(|start| start >= table.end));
        let dot = dot.and_then(|token| usize::try_from(token.end).ok()).ok_or_else(lost)?;
        edits.push((long.start..dot, String::new()));
    }
    Ok(edits)
}

/// PostgreSQL's functions that write the text of a default or a CHECK.
const WRITERS: [&str; 2] = ["pg_get_expr", "pg_get_constraintdef"];
/// A cell as they write it, for `regexp_replace`, within quotes.
const CELL: &str = r"''\\x1[0-9a-f]{37,}''::bytea";

/// Cells in such a text show as `[protected]`: in place of the call stands a subquery whose result bears its name.
fn veiled(text: &str, offset: usize, places: &Places) -> Result<Vec<(Range<usize>, String)>> {
    let mut edits = Vec::new();
    for call in &places.calls {
        let name = match call.names.as_slice() {
            [name] => name,
            [schema, name] if schema == "pg_catalog" => name,
            _ => continue,
        };
        if !WRITERS.contains(&name.as_str()) {
            continue;
        }
        let tokens = parse::tokens(text)?;
        let at = name_at(&tokens, call.location, offset, call.names.len())?;
        let end = closed(&tokens, at.end).ok_or_else(lost)?;
        edits.push((at.start..at.start, "(SELECT pg_catalog.regexp_replace(".to_owned()));
        edits.push((end..end, format!(", '{CELL}', '''[protected]''', 'g') AS {name})")));
    }
    Ok(edits)
}

/// The end of the parenthesis that opens next after a place.
fn closed(tokens: &[ScanToken], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for token in tokens.iter().filter(|token| usize::try_from(token.start).is_ok_and(|start| start >= from)) {
        if token.token == Token::Ascii40 as i32 {
            depth += 1;
        } else if token.token == Token::Ascii41 as i32 {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return usize::try_from(token.end).ok();
            }
        }
    }
    None
}

/// Where a name of so many parts stands in the text.
fn name_at(tokens: &[ScanToken], location: i64, offset: usize, parts: usize) -> Result<Range<usize>> {
    let start = usize::try_from(location).ok().and_then(|at| at.checked_sub(offset)).ok_or_else(lost)?;
    let code = |token: &&ScanToken| token.token != Token::SqlComment as i32 && token.token != Token::CComment as i32;
    let mut from = tokens.iter().filter(code).skip_while(|token| usize::try_from(token.start) != Ok(start));
    let mut end = None;
    for part in 0..parts {
        if part > 0 && from.next().is_none_or(|dot| dot.token != Token::Ascii46 as i32) {
            return Err(lost());
        }
        end = from.next().and_then(|token| usize::try_from(token.end).ok());
    }
    end.map(|end| start..end).ok_or_else(lost)
}

fn lost() -> Refusal {
    Refusal::internal("a name is not where the parser saw it")
}

/// Refused rather than shown with the processor's types.
pub(crate) fn unclear(name: &str) -> Refusal {
    Refusal::unsupported(format!("{name} cannot be read in this way where columns are protected"))
        .detail("It would show how the processor stores protected columns, not their types.")
        .hint(format!("Write SELECT … FROM pg_catalog.{name} or information_schema.{name}, without ONLY."))
}
