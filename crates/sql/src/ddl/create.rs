//! CREATE TABLE.

use drieslot_schema::{TableId, Unlisted};
use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, Constraint, CreateStmt, Node};

use super::{both, column, name_of, protected, unmentioned};
use crate::bind::{self, Definition};
use crate::census::Census;
use crate::decide::Decision;
use crate::env::{Env, Place, unlisted_table};
use crate::refusal::{Refusal, Result};
use crate::statement::{Command, Kind};
use crate::types::{string, strings};

pub(super) fn table(env: &Env<'_>, node: &mut Node, census: &Census) -> Result<Decision> {
    let Some(NodeEnum::CreateStmt(create)) = &mut node.node else { return Err(missing()) };
    let range = create.relation.as_ref().ok_or_else(missing)?;
    let temporary = range.relpersistence == "t";
    let id = env.creation(&name_of(range), temporary)?;
    if env.table(&id).is_none() && env.classification.unlisted_tables() == Unlisted::Refuse {
        return Err(unlisted_table(&id).at(range.location));
    }
    not_derived(env, create, &id, census)?;
    let columns = create.table_elts.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::ColumnDef(column)) => Some(column.colname.as_str()),
        Some(_) | None => None,
    });
    let mut definition = Definition::new(env, &id, columns);
    let mut changed = false;
    for node in &mut create.table_elts {
        changed |= match &mut node.node {
            Some(NodeEnum::ColumnDef(column)) => column::define(env, &id, column, &mut definition)?,
            Some(NodeEnum::Constraint(constraint)) => constraint_of(env, &id, constraint, &mut definition)?,
            Some(_) | None => false,
        };
    }
    for node in create.constraints.iter_mut().chain(&mut create.nnconstraints) {
        if let Some(NodeEnum::Constraint(constraint)) = &mut node.node {
            changed |= constraint_of(env, &id, constraint, &mut definition)?;
        }
    }
    partitioned(env, create, &id)?;
    let decision = if changed {
        if let Some(range) = &mut create.relation {
            id.schema.clone_into(&mut range.schemaname);
        }
        Decision::pass(Command::Ddl).kind(Kind::Rewritten(Box::new(definition.finish(node, id)?)))
    } else {
        Decision::pass(Command::Ddl)
    };
    Ok(if temporary { Decision { effects: both(), ..decision } } else { decision })
}

fn missing() -> Refusal {
    Refusal::internal("a statement without its table")
}

/// Columns must be written out where any is protected, here or in the table that they come from.
fn not_derived(env: &Env<'_>, create: &CreateStmt, id: &TableId, census: &Census) -> Result<()> {
    let like = census.nodes.contains("TableLikeClause");
    let derived =
        like || !create.inh_relations.is_empty() || create.partbound.is_some() || create.of_typename.is_some();
    if !derived {
        return Ok(());
    }
    let mut bound = env.table(id).is_some().then(|| id.clone()).filter(|id| env.has_protected(id));
    for named in &census.relations {
        let Some(relation) = env.find(named)? else { continue };
        let protected = match env.place(&relation) {
            Place::Bound => true,
            Place::View => bind::viewed(env, &relation)?.is_bound(),
            Place::System | Place::Plain | Place::Unlisted => false,
        };
        if protected {
            bound = Some(relation.id.clone());
        }
    }
    let barred = env.table(id).is_some_and(|table| table.unlisted_columns == Unlisted::Refuse);
    match bound {
        Some(table) => Err(Refusal::unsupported(format!(
            "INHERITS, LIKE, PARTITION OF and OF are not supported with {table}, which has protected columns"
        ))
        .hint("Write the columns out.")),
        None if barred => Err(Refusal::unsupported(format!("the columns of {id} must be written out"))
            .detail("Only the columns in the classification are allowed.")),
        None => Ok(()),
    }
}

fn partitioned(env: &Env<'_>, create: &CreateStmt, id: &TableId) -> Result<()> {
    let Some(spec) = &create.partspec else { return Ok(()) };
    for node in &spec.part_params {
        let Some(NodeEnum::PartitionElem(elem)) = &node.node else { return Err(missing()) };
        unmentioned(env, id, elem.expr.as_deref(), "PARTITION BY")?;
        if let Some(column) = protected(env, id, &elem.name) {
            return Err(Refusal::unsupported(format!(
                "PARTITION BY the protected column {} is not possible",
                column.id
            ))
            .column(&column.id));
        }
    }
    Ok(())
}

/// A table constraint; whether it has changed.
pub(super) fn constraint_of(
    env: &Env<'_>,
    id: &TableId,
    constraint: &mut Constraint,
    definition: &mut Definition<'_>,
) -> Result<bool> {
    let changed = column::check(env, id, constraint.raw_expr.as_deref_mut(), definition)?;
    unmentioned(env, id, constraint.where_clause.as_deref(), "a condition")?;
    let kind = ConstrType::try_from(constraint.contype).unwrap_or(ConstrType::Undefined);
    for name in constraint.keys.iter().filter_map(string) {
        if let Some(column) = protected(env, id, name)
            && kind != ConstrType::ConstrNotnull
        {
            column::key(column, "PRIMARY KEY or UNIQUE")?;
        }
    }
    if kind == ConstrType::ConstrExclusion && env.has_protected(id) {
        return Err(Refusal::unsupported(format!("EXCLUDE is not supported on {id}, which has protected columns")));
    }
    if kind == ConstrType::ConstrForeign {
        column::foreign_key(env, id, &strings(&constraint.fk_attrs), constraint)?;
    }
    Ok(changed)
}
