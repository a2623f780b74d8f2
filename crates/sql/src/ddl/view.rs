//! CREATE VIEW and CREATE MATERIALIZED VIEW.

use drieslot_schema::{TableId, Unlisted};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};

use super::{both, name_of, rewritten};
use crate::bind;
use crate::census::Census;
use crate::decide::{Decision, touched};
use crate::env::{Env, unlisted_table};
use crate::refusal::{Refusal, Result};
use crate::statement::Command;
use crate::types::strings;

fn missing() -> Refusal {
    Refusal::internal("a view without its query")
}

/// The view's name and its query.
fn parts(node: &mut Node) -> Result<(&mut RangeVar, Vec<String>, &mut Node)> {
    let owned = |names: &[Node]| strings(names).into_iter().map(str::to_owned).collect();
    match &mut node.node {
        Some(NodeEnum::ViewStmt(view)) => {
            let names = owned(&view.aliases);
            Ok((view.view.as_mut().ok_or_else(missing)?, names, view.query.as_deref_mut().ok_or_else(missing)?))
        }
        Some(NodeEnum::CreateTableAsStmt(create)) => {
            let into = create.into.as_deref_mut().ok_or_else(missing)?;
            let names = owned(&into.col_names);
            Ok((into.rel.as_mut().ok_or_else(missing)?, names, create.query.as_deref_mut().ok_or_else(missing)?))
        }
        Some(_) | None => Err(missing()),
    }
}

pub(super) fn create(env: &Env<'_>, node: &mut Node, census: &Census) -> Result<Decision> {
    let (range, names, query) = parts(node)?;
    let temporary = range.relpersistence == "t";
    let id = env.creation(&name_of(range), temporary)?;
    if env.table(&id).is_none() && env.classification.unlisted_tables() == Unlisted::Refuse {
        return Err(unlisted_table(&id).at(range.location));
    }
    let decision = if touched(env, census, true)?.bound.is_some() || env.has_protected(&id) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let tables = bind::define(env, &id, &names, query)?;
        if !temporary {
            id.schema.clone_into(&mut range.schemaname);
        }
        let tables: Vec<TableId> = tables.into_iter().collect();
        rewritten(node, Command::Ddl, tables)?
    } else {
        Decision::pass(Command::Ddl)
    };
    Ok(Decision { effects: both(), ..decision })
}
