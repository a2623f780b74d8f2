//! What may not become of the enum types of protected columns: the processor does not know that the columns have them.

use drieslot_schema::{LogicalType, Protected};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ObjectType};

use crate::env::Env;
use crate::refusal::{Refusal, Result};
use crate::types::strings;

/// Refuses to rename a label or the type, to move the type, and to drop it. New labels are welcome.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is about an enum type that exists")]
pub(super) fn check(env: &Env<'_>, node: &Node) -> Result<()> {
    let is_type = |kind: i32| kind == ObjectType::ObjectType as i32;
    match &node.node {
        Some(NodeEnum::AlterEnumStmt(alter)) if !alter.old_val.is_empty() => {
            refuse(env, &alter.type_name, "renaming a label of", "The cells keep the old label.")
        }
        Some(NodeEnum::RenameStmt(rename)) if is_type(rename.rename_type) => {
            refuse_object(env, rename.object.as_deref(), "renaming")
        }
        Some(NodeEnum::AlterObjectSchemaStmt(alter)) if is_type(alter.object_type) => {
            refuse_object(env, alter.object.as_deref(), "SET SCHEMA of")
        }
        Some(NodeEnum::DropStmt(drop)) if is_type(drop.remove_type) => {
            drop.objects.iter().try_for_each(|object| refuse_object(env, Some(object), "dropping"))
        }
        _ => Ok(()),
    }
}

fn refuse_object(env: &Env<'_>, object: Option<&Node>, what: &str) -> Result<()> {
    let names = match object.and_then(|object| object.node.as_ref()) {
        Some(NodeEnum::TypeName(ty)) => &ty.names,
        Some(NodeEnum::List(list)) => &list.items,
        Some(_) | None => return Ok(()),
    };
    refuse(env, names, what, "The classification names the type.")
}

/// By its last name, whatever the search path: the same name in another schema is refused too.
fn refuse(env: &Env<'_>, names: &[Node], what: &str, why: &str) -> Result<()> {
    let names = strings(names);
    let Some(name) = names.last() else { return Ok(()) };
    let of = |column: &&Protected| matches!(column.ty, LogicalType::Enum(full) if full.name() == *name);
    let Some(column) = env.classification.protected().find(of) else { return Ok(()) };
    Err(Refusal::unsupported(format!("{what} the type of the protected column {} is not possible", column.id))
        .detail(why)
        .hint("Ask the officers for a classification with a new type, and bring the values over.")
        .column(&column.id))
}
