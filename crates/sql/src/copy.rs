//! COPY of a table with protected columns.

use drieslot_schema::{ColumnId, Protected};
use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, DefElem, Node, String as PgString, a_const::Val};

use crate::catalog::Relation;
use crate::env::{Env, Standing};
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::statement::{CopyFormat, CopyPlan, Use};
use crate::types::strings;

/// Plans COPY … FROM STDIN and COPY … TO STDOUT of a table; the caller knows that it is bound.
pub(crate) fn plan(env: &Env<'_>, copy: &mut CopyStmt, relation: &Relation) -> Result<CopyPlan> {
    if copy.where_clause.is_some() {
        return Err(Refusal::unsupported("COPY … WHERE is not supported on a table with protected columns yet"));
    }
    let names = if copy.attlist.is_empty() {
        relation.columns.iter().map(|column| column.name.clone()).collect()
    } else {
        strings(&copy.attlist).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut columns = Vec::with_capacity(names.len());
    for name in &names {
        columns.push(field(env, relation, name)?);
    }
    copy.attlist = names.into_iter().map(|sval| Node { node: Some(NodeEnum::String(PgString { sval })) }).collect();
    let used = if copy.is_from { Use::Write } else { Use::Read };
    let mut uses: Vec<(ColumnId, Use)> = columns.iter().flatten().map(|column| (column.id.clone(), used)).collect();
    uses.sort();
    uses.dedup();
    if let Some(range) = &mut copy.relation {
        relation.id.schema.clone_into(&mut range.schemaname);
    }
    let mut plan = CopyPlan {
        table: relation.id.clone(),
        columns,
        format: CopyFormat::Text,
        delimiter: b'\t',
        null: "\\N".to_owned(),
        header: false,
        quote: b'"',
        escape: b'"',
        uses,
        text: String::new(),
    };
    options(&copy.options, &mut plan)?;
    for node in &mut copy.options {
        // HEADER in the old syntax comes as true, and is written without a value.
        if let Some(NodeEnum::DefElem(option)) = &mut node.node
            && option.defname == "header"
            && text(option).as_deref() == Some("true")
        {
            option.arg = None;
        }
    }
    plan.text = parse::deparse(&Node { node: Some(NodeEnum::CopyStmt(Box::new(copy.clone()))) })?;
    Ok(plan)
}

fn field(env: &Env<'_>, relation: &Relation, name: &str) -> Result<Option<Protected>> {
    let column = relation.columns.iter().find(|column| column.name == name).ok_or_else(|| {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.id.table);
        Refusal::new("42703", message).stale()
    })?;
    match env.standing(relation, column) {
        Standing::Plain => Ok(None),
        Standing::Protected(protected) => Ok(Some(protected)),
        Standing::Barred(refusal) => Err(*refusal),
    }
}

/// Reads the options in the order in which PostgreSQL's defaults depend on each other.
fn options(nodes: &[Node], plan: &mut CopyPlan) -> Result<()> {
    let mut found = Vec::new();
    for node in nodes {
        let Some(NodeEnum::DefElem(option)) = &node.node else { return Err(Refusal::internal("a COPY option")) };
        found.push(&**option);
    }
    let get = |name: &str| found.iter().find(|option| option.defname == name).copied();
    if let Some(option) = get("format") {
        plan.format = match text(option).as_deref() {
            Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            _ => return Err(Refusal::new("22023", "COPY format not recognized")),
        };
    }
    if plan.format == CopyFormat::Csv {
        plan.delimiter = b',';
        plan.null.clear();
    }
    if let Some(option) = get("quote") {
        plan.quote = byte(option)?;
    }
    plan.escape = plan.quote;
    for option in &found {
        match option.defname.as_str() {
            "format" | "quote" => {}
            "delimiter" => plan.delimiter = byte(option)?,
            "null" => plan.null = text(option).ok_or_else(|| Refusal::internal("a COPY option"))?,
            "escape" => plan.escape = byte(option)?,
            "header" => {
                let value = text(option);
                plan.header = match value.as_deref() {
                    None | Some("true" | "on" | "1" | "match") => true,
                    Some("false" | "off" | "0") => false,
                    Some(_) => return Err(Refusal::unsupported("this COPY HEADER is not supported")),
                };
            }
            "encoding"
                if text(option).is_some_and(|name| matches!(name.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8")) => {}
            "freeze" => {}
            name => {
                return Err(Refusal::unsupported(format!(
                    "COPY option {name} is not supported on a table with protected columns yet"
                )));
            }
        }
    }
    Ok(())
}

#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is an option's text")]
fn text(option: &DefElem) -> Option<String> {
    match option.arg.as_deref()?.node.as_ref()? {
        NodeEnum::String(string) => Some(string.sval.clone()),
        NodeEnum::Boolean(boolean) => Some(boolean.boolval.to_string()),
        NodeEnum::Integer(integer) => Some(integer.ival.to_string()),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            Val::Sval(value) => Some(value.sval.clone()),
            Val::Ival(value) => Some(value.ival.to_string()),
            Val::Fval(_) | Val::Boolval(_) | Val::Bsval(_) => None,
        },
        _ => None,
    }
}

fn byte(option: &DefElem) -> Result<u8> {
    match text(option).unwrap_or_default().as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(Refusal::new("0A000", "a COPY delimiter, quote and escape must be a single one-byte character")),
    }
}
