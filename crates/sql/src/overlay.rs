//! What a statement changes for the names in the statements after it, within one text.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, CreateStmt, Node, ObjectType};

use drieslot_schema::{ColumnId, TableId};

use crate::catalog::{CatalogColumn, Relation};
use crate::census::Named;
use crate::ddl::{check_name, declared_in};
use crate::decide::Decision;
use crate::env::{BYTEA_OID, Env};
use crate::statement::Command;
use crate::types::{logical, strings};

/// Applies the statement that `node` is after it was rewritten.
pub(crate) fn apply(env: &mut Env<'_>, node: &Node, decision: &Decision) {
    match &node.node {
        Some(NodeEnum::CreateStmt(create)) => created(env, create),
        Some(NodeEnum::AlterTableStmt(alter)) => altered(env, alter),
        Some(NodeEnum::DropStmt(drop)) if drop.remove_type == ObjectType::ObjectTable as i32 => {
            for object in &drop.objects {
                let Some(NodeEnum::List(list)) = &object.node else { continue };
                dropped(env, &strings(&list.items));
            }
        }
        _ => {}
    }
    let undone = matches!(decision.command, Command::Rollback | Command::RollbackTo);
    if let Command::Prepare { name } = &decision.command {
        env.prepared.set(name, decision.defines.clone());
    } else if let Command::Declare { name, .. } = &decision.command {
        env.cursors.set(name, decision.defines.clone());
    } else if let Command::Deallocate { name } = &decision.command {
        match name {
            Some(name) => env.prepared.set(name, None),
            None => env.prepared.clear(),
        }
    } else if let Command::Close { name } = &decision.command {
        match name {
            Some(name) => env.cursors.set(name, None),
            None => env.cursors.clear(),
        }
    }
    let moves = decision.effects.search_path && !matches!(node.node, Some(NodeEnum::CreateStmt(_)));
    if moves || undone {
        env.unsure = true;
    }
}

fn created(env: &mut Env<'_>, create: &CreateStmt) {
    let Some(range) = &create.relation else { return };
    let named =
        Named { catalog: String::new(), schema: range.schemaname.clone(), name: range.relname.clone(), location: 0 };
    let Ok(id) = env.creation(&named, range.relpersistence == "t") else { return };
    if create.if_not_exists && env.catalog.relation(&id).is_some() {
        return;
    }
    if id.schema == "pg_temp" && !env.search_path.iter().any(|schema| schema == "pg_temp") {
        env.search_path.insert(0, "pg_temp".to_owned());
    }
    env.catalog.to_mut().forget_defaults(&id);
    let mut columns = Vec::new();
    for node in &create.table_elts {
        let Some(NodeEnum::ColumnDef(column)) = &node.node else { continue };
        env.catalog.to_mut().undeclare(&ColumnId { table: id.clone(), column: column.colname.clone() });
        for constraint in &column.constraints {
            declared(env, &id, &column.colname, constraint);
        }
        let ty = column.type_name.as_ref();
        let bytea = ty.is_some_and(|ty| strings(&ty.names).last() == Some(&"bytea"));
        let logical = ty.and_then(logical);
        columns.push(CatalogColumn {
            number: i16::try_from(columns.len() + 1).unwrap_or(i16::MAX),
            name: column.colname.clone(),
            type_oid: if bytea { BYTEA_OID } else { logical.map_or(0, drieslot_schema::LogicalType::oid) },
            type_modifier: -1,
            not_null: column.is_not_null,
        });
    }
    let known = create.inh_relations.is_empty() && create.of_typename.is_none();
    if known {
        env.catalog.to_mut().put(Relation { oid: 0, id, kind: b'r', columns });
    } else {
        env.catalog.to_mut().remove(&id);
    }
}

/// Notes the type that the check of a column's cells says.
fn declared(env: &mut Env<'_>, table: &TableId, column: &str, constraint: &Node) {
    if let Some(NodeEnum::Constraint(check)) = &constraint.node
        && check.conname == check_name(column)
        && let Some(ty) = declared_in(check)
    {
        env.catalog.to_mut().declare(ColumnId { table: table.clone(), column: column.to_owned() }, ty);
    }
}

/// A change of type makes the check of the cells anew; it may be the type of the classification again.
fn altered(env: &mut Env<'_>, alter: &AlterTableStmt) {
    let Some(range) = &alter.relation else { return };
    let named =
        Named { catalog: String::new(), schema: range.schemaname.clone(), name: range.relname.clone(), location: 0 };
    let Ok(Some(relation)) = env.find(&named) else { return };
    env.catalog.to_mut().forget_defaults(&relation.id);
    for node in &alter.cmds {
        let Some(NodeEnum::AlterTableCmd(command)) = &node.node else { continue };
        for column in &relation.columns {
            if command.name == check_name(&column.name) {
                let id = ColumnId { table: relation.id.clone(), column: column.name.clone() };
                env.catalog.to_mut().undeclare(&id);
            }
            if let Some(constraint) = command.def.as_deref() {
                declared(env, &relation.id, &column.name, constraint);
            }
        }
    }
}

fn dropped(env: &mut Env<'_>, names: &[&str]) {
    let (schema, name) = match names {
        [name] => ("", *name),
        [.., schema, name] => (*schema, *name),
        [] => return,
    };
    let named = Named { catalog: String::new(), schema: schema.to_owned(), name: name.to_owned(), location: 0 };
    if let Ok(Some(relation)) = env.find(&named) {
        let id: TableId = relation.id.clone();
        env.catalog.to_mut().remove(&id);
    }
}
