//! ALTER TABLE, RENAME and SET SCHEMA.

use drieslot_schema::{TableId, Unlisted};
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterObjectSchemaStmt, AlterTableCmd, AlterTableType, Node, ObjectType, RenameStmt};

use super::{column, create, name_of, protected, unmentioned};
use crate::bind::Definition;
use crate::census::Census;
use crate::decide::Decision;
use crate::env::{Env, Place, no_relation, unlisted_table};
use crate::refusal::{Refusal, Result};
use crate::statement::{Command, Kind};

pub(super) fn table(env: &Env<'_>, node: &mut Node, census: &Census) -> Result<Decision> {
    let Some(NodeEnum::AlterTableStmt(alter)) = &mut node.node else { return Err(missing()) };
    let range = alter.relation.as_mut().ok_or_else(missing)?;
    let named = name_of(range);
    let Some(relation) = env.find(&named)? else {
        let harmless = !env.could_be_protected(&named)
            && (env.classification.unlisted_tables() == Unlisted::Plain || alter.missing_ok);
        return if harmless { Ok(Decision::pass(Command::Ddl)) } else { Err(no_relation(&named)) };
    };
    let place = env.place(&relation);
    match place {
        Place::System | Place::View => return Ok(Decision::pass(Command::Ddl)),
        Place::Unlisted => return Err(unlisted_table(&relation.id).at(range.location)),
        Place::Plain | Place::Bound => {}
    }
    let bound = place == Place::Bound;
    relation.id.schema.clone_into(&mut range.schemaname);
    let commands = alter.cmds.clone();
    let added = commands.iter().filter_map(added_column);
    let added = added.filter(|name| relation.columns.iter().all(|column| column.name != *name));
    let columns = relation.columns.iter().map(|column| column.name.as_str()).chain(added);
    let mut definition = Definition::new(env, &relation.id, columns);
    let mut changed = false;
    for mut node in std::mem::take(&mut alter.cmds) {
        let Some(NodeEnum::AlterTableCmd(command)) = &mut node.node else { return Err(missing()) };
        if let Some(retyped) = retyped(env, &relation.id, command)? {
            alter.cmds.extend(retyped);
            changed = true;
            continue;
        }
        changed |= alter_command(env, &relation.id, command, (bound, census), &mut definition)?;
        alter.cmds.push(node);
    }
    if changed {
        let rewritten = definition.finish(node, relation.id.clone())?;
        return Ok(Decision::pass(Command::Ddl).kind(Kind::Rewritten(Box::new(rewritten))));
    }
    Ok(Decision::pass(Command::Ddl))
}

fn missing() -> Refusal {
    Refusal::internal("a statement without its table")
}

fn added_column(node: &Node) -> Option<&str> {
    let Some(NodeEnum::AlterTableCmd(command)) = &node.node else { return None };
    let adds = command.subtype == AlterTableType::AtAddColumn as i32;
    match &command.def.as_deref()?.node {
        Some(NodeEnum::ColumnDef(column)) => Some(column.colname.as_str()).filter(|_| adds),
        Some(_) | None => None,
    }
}

/// ALTER COLUMN … TYPE of a column that holds cells.
fn retyped(env: &Env<'_>, id: &TableId, command: &AlterTableCmd) -> Result<Option<Vec<Node>>> {
    let alters = command.subtype == AlterTableType::AtAlterColumnType as i32;
    let Some(column) = protected(env, id, &command.name).filter(|_| alters) else { return Ok(None) };
    match command.def.as_deref().map(|def| &def.node) {
        Some(Some(NodeEnum::ColumnDef(definition))) => column::retyped(env, column, definition).map(Some),
        Some(_) | None => Err(missing()),
    }
}

/// One command; whether it was rewritten.
#[allow(clippy::wildcard_enum_match_arm, reason = "refused where columns are protected")]
fn alter_command(
    env: &Env<'_>,
    id: &TableId,
    command: &mut AlterTableCmd,
    (bound, census): (bool, &Census),
    definition: &mut Definition<'_>,
) -> Result<bool> {
    let kind = AlterTableType::try_from(command.subtype).unwrap_or(AlterTableType::Undefined);
    let column = protected(env, id, &command.name);
    let refuse = |what: &str| {
        let mut refusal = Refusal::unsupported(format!("{what} is not supported on {id}, which has protected columns"))
            .hint("Change the classification, and bring the values over to a new column.");
        refusal.column = column.map(|column| column.id.clone());
        refusal
    };
    match kind {
        AlterTableType::AtAddColumn => match command.def.as_deref_mut().map(|def| &mut def.node) {
            Some(Some(NodeEnum::ColumnDef(column))) => column::define(env, id, column, definition),
            Some(_) | None => Err(missing()),
        },
        AlterTableType::AtAddConstraint => match command.def.as_deref_mut().map(|def| &mut def.node) {
            Some(Some(NodeEnum::Constraint(constraint))) => create::constraint_of(env, id, constraint, definition),
            Some(_) | None => Err(missing()),
        },
        AlterTableType::AtDropConstraint if bound && command.name.ends_with(column::CELL_CHECK) => {
            Err(refuse("dropping the check that takes nothing but cells"))
        }
        AlterTableType::AtColumnDefault => match (column, command.def.as_deref_mut()) {
            (Some(column), Some(value)) => definition.default(value, &env.declared(column)).map(|()| true),
            (None, _) | (_, None) => Ok(false),
        },
        AlterTableType::AtAlterColumnType => {
            unmentioned(env, id, command.def.as_deref(), "USING")?;
            if let Some(Some(NodeEnum::ColumnDef(definition))) = command.def.as_deref().map(|def| &def.node) {
                unmentioned(env, id, definition.raw_default.as_deref(), "USING")?;
            }
            Ok(false)
        }
        AlterTableType::AtDropConstraint
        | AlterTableType::AtDropNotNull
        | AlterTableType::AtSetNotNull
        | AlterTableType::AtSetStatistics
        | AlterTableType::AtSetStorage
        | AlterTableType::AtSetCompression
        | AlterTableType::AtDropColumn
        | AlterTableType::AtValidateConstraint
        | AlterTableType::AtChangeOwner
        | AlterTableType::AtClusterOn
        | AlterTableType::AtDropCluster
        | AlterTableType::AtSetLogged
        | AlterTableType::AtSetUnLogged
        | AlterTableType::AtSetTableSpace
        | AlterTableType::AtSetRelOptions
        | AlterTableType::AtResetRelOptions
        | AlterTableType::AtReplicaIdentity => Ok(false),
        AlterTableType::AtAddIdentity | AlterTableType::AtSetIdentity | AlterTableType::AtDropIdentity
            if column.is_none() =>
        {
            Ok(false)
        }
        AlterTableType::AtAddInherit
        | AlterTableType::AtAttachPartition
        | AlterTableType::AtDropInherit
        | AlterTableType::AtDetachPartition => {
            for named in &census.relations {
                let relation = env.find(named)?.ok_or_else(|| no_relation(named))?;
                if env.place(&relation) == Place::Bound {
                    return Err(refuse("INHERIT or a partition"));
                }
            }
            Ok(false)
        }
        other if bound => Err(refuse(other.as_str_name())),
        _ => Ok(false),
    }
}

/// A classification speaks of names.
fn classified_name(env: &Env<'_>, id: &TableId) -> Result<()> {
    if env.has_protected(id) {
        return Err(Refusal::unsupported(format!("{id} is the name of a table with protected columns"))
            .hint("Make the table by CREATE TABLE, through the gateway."));
    }
    Ok(())
}

fn is_relation(kind: i32) -> bool {
    [
        ObjectType::ObjectTable,
        ObjectType::ObjectColumn,
        ObjectType::ObjectTabconstraint,
        ObjectType::ObjectView,
        ObjectType::ObjectMatview,
        ObjectType::ObjectForeignTable,
    ]
    .into_iter()
    .any(|relation| relation as i32 == kind)
}

pub(super) fn rename(env: &Env<'_>, rename: &RenameStmt) -> Result<()> {
    if rename.rename_type == ObjectType::ObjectSchema as i32 {
        let touches = |name: &str| {
            env.classification.tables().any(|table| table.id.schema == name && env.has_protected(&table.id))
        };
        if touches(&rename.subname) || touches(&rename.newname) {
            return Err(Refusal::unsupported("a schema with protected tables is not renamed")
                .hint("Ask the officers for a classification under the new name."));
        }
        return Ok(());
    }
    let (Some(range), true) = (&rename.relation, is_relation(rename.rename_type)) else { return Ok(()) };
    let named = name_of(range);
    let Some(relation) = env.find(&named)? else {
        return if env.could_be_protected(&named) { Err(no_relation(&named)) } else { Ok(()) };
    };
    if env.place(&relation) == Place::Unlisted {
        return Err(unlisted_table(&relation.id).at(range.location));
    }
    let cell_check = rename.subname.ends_with(column::CELL_CHECK);
    if env.has_protected(&relation.id) && (rename.rename_type != ObjectType::ObjectTabconstraint as i32 || cell_check) {
        return Err(Refusal::unsupported(format!(
            "renaming is not supported on {}, which has protected columns",
            relation.id
        ))
        .hint("Ask the officers for a classification under the new name, and bring the values over."));
    }
    if rename.rename_type == ObjectType::ObjectTable as i32 || rename.rename_type == ObjectType::ObjectView as i32 {
        let schema = relation.id.schema.clone();
        classified_name(env, &TableId { schema, table: rename.newname.clone() })?;
    }
    Ok(())
}

pub(super) fn move_to(env: &Env<'_>, alter: &AlterObjectSchemaStmt) -> Result<()> {
    let Some(range) = &alter.relation else { return Ok(()) };
    let named = name_of(range);
    let Some(relation) = env.find(&named)? else {
        return if env.could_be_protected(&named) { Err(no_relation(&named)) } else { Ok(()) };
    };
    if env.has_protected(&relation.id) {
        return Err(Refusal::unsupported(format!(
            "SET SCHEMA is not supported on {}, which has protected columns",
            relation.id
        ))
        .hint("Ask the officers for a classification under the new name, and bring the values over."));
    }
    classified_name(env, &TableId { schema: alter.newschema.clone(), table: relation.id.table.clone() })
}
