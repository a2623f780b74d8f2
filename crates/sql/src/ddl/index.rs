//! CREATE INDEX.

use drieslot_schema::TableId;
use pg_query::NodeEnum;
use pg_query::protobuf::{IndexElem, IndexStmt, Node, String as PgString};

use super::{column, name_of, protected, unmentioned};
use crate::bind;
use crate::env::{Env, Place, no_relation, unlisted_table};
use crate::refusal::{Refusal, Result};
use crate::types::{is_builtin, strings};

/// Checks an index, and makes one over the tokens of a column that can be searched: `USING gin (name)`, with or without
/// the operator class of pg_trgm, and `(lower(name))`. Whether it changed.
pub(super) fn define(env: &Env<'_>, index: &mut IndexStmt) -> Result<bool> {
    let range = index.relation.as_ref().ok_or_else(|| Refusal::internal("an index on nothing"))?;
    let named = name_of(range);
    let relation = env.find(&named)?.ok_or_else(|| no_relation(&named))?;
    let id = &relation.id;
    match env.place(&relation) {
        Place::Unlisted => return Err(unlisted_table(id).at(range.location)),
        Place::System | Place::Plain | Place::View => return Ok(false),
        Place::Bound => {}
    }
    unmentioned(env, id, index.where_clause.as_deref(), "an index's condition")?;
    if over_case(env, id, index)? {
        index.access_method = "gin".to_owned();
    }
    let mut changed = false;
    for node in &mut index.index_params {
        let Some(NodeEnum::IndexElem(elem)) = &mut node.node else {
            return Err(Refusal::internal("an index's column"));
        };
        if index.access_method == "gin" && over_tokens(env, id, elem)? {
            changed = true;
            continue;
        }
        unmentioned(env, id, elem.expr.as_deref(), "an index's expression")?;
        let Some(column) = protected(env, id, &elem.name) else { continue };
        column::key(column, "an index")?;
        let refuse = |what: &str| {
            Refusal::unsupported(format!("{what} is not possible in an index on the protected column {}", column.id))
                .hint("Leave it out: cells are indexed as bytes.")
                .column(&column.id)
        };
        // Of use for LIKE only, which no index on cells serves; equality it serves without.
        if matches!(strings(&elem.opclass).last(), Some(&("varchar_pattern_ops" | "text_pattern_ops"))) {
            elem.opclass.clear();
            changed = true;
        }
        if !elem.opclass.is_empty() || !elem.collation.is_empty() {
            return Err(refuse("an operator class or COLLATE"));
        }
        if !matches!(index.access_method.as_str(), "" | "btree" | "hash") {
            return Err(refuse("this access method"));
        }
    }
    if let (true, Some(range)) = (changed, &mut index.relation) {
        relation.id.schema.clone_into(&mut range.schemaname);
    }
    Ok(changed)
}

/// Whether the only column of an index that is not unique is `lower` or `upper` of a column that can be searched: such an
/// index is of use for the same searches as one over tokens. Leaves the bare column.
fn over_case(env: &Env<'_>, id: &TableId, index: &mut IndexStmt) -> Result<bool> {
    let [Node { node: Some(NodeEnum::IndexElem(elem)) }] = index.index_params.as_mut_slice() else { return Ok(false) };
    let Some(NodeEnum::FuncCall(call)) = elem.expr.as_deref().and_then(|expr| expr.node.as_ref()) else {
        return Ok(false);
    };
    let cased = ["lower", "upper"].iter().any(|name| is_builtin(&call.funcname, name));
    let [Node { node: Some(NodeEnum::ColumnRef(column)) }] = call.args.as_slice() else { return Ok(false) };
    let [name] = strings(&column.fields)[..] else { return Ok(false) };
    let Some(column) = protected(env, id, name).filter(|column| cased && column.search) else { return Ok(false) };
    if index.unique {
        return Err(Refusal::unsupported(format!(
            "a unique index over lower or upper of the protected column {} is not possible",
            column.id
        ))
        .hint("Store the value in one case in an exact column.")
        .column(&column.id));
    }
    elem.name = name.to_owned();
    elem.expr = None;
    Ok(true)
}

fn over_tokens(env: &Env<'_>, id: &TableId, elem: &mut IndexElem) -> Result<bool> {
    let Some(column) = protected(env, id, &elem.name).filter(|column| column.search) else { return Ok(false) };
    let usual = matches!(strings(&elem.opclass).last(), None | Some(&"gin_trgm_ops"));
    if !usual || !elem.collation.is_empty() {
        return Err(Refusal::unsupported(format!(
            "this operator class or COLLATE is not possible in an index on the protected column {}",
            column.id
        ))
        .hint("Leave it out.")
        .column(&column.id));
    }
    let name = |sval: &str| Node { node: Some(NodeEnum::String(PgString { sval: sval.to_owned() })) };
    elem.expr = Some(Box::new(bind::tokens_expression(&elem.name)?));
    elem.name.clear();
    elem.opclass.clear();
    elem.collation = vec![name("pg_catalog"), name("C")];
    Ok(true)
}
