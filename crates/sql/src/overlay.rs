//! What a statement changes for the names in the statements after it, within one text.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateStmt, Node, ObjectType};

use drieslot_schema::TableId;

use crate::catalog::{CatalogColumn, Relation};
use crate::census::Named;
use crate::decide::Decision;
use crate::env::{BYTEA_OID, Env};
use crate::statement::Command;
use crate::types::{logical, strings};

/// Applies the statement that `node` is after it was rewritten.
pub(crate) fn apply(env: &mut Env<'_>, node: &Node, decision: &Decision) {
    match &node.node {
        Some(NodeEnum::CreateStmt(create)) => created(env, create),
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
    let mut columns = Vec::new();
    for node in &create.table_elts {
        let Some(NodeEnum::ColumnDef(column)) = &node.node else { continue };
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
