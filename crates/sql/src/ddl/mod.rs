//! Statements that define things: which pass, which are rewritten, which are refused.

mod alter;
mod column;
mod create;
mod enums;
mod index;
mod view;

use drieslot_schema::{Protected, TableId, Unlisted};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ObjectType, RangeVar, SelectStmt};

pub(crate) use column::declared_in;
pub use column::{cell_condition, check_name};

use crate::census::{Census, Mentions, Named};
use crate::decide::{Decision, touched};
use crate::env::{Env, unlisted_table};
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::statement::{Command, Effects, Kind, Rewritten};
use crate::subjects::Subjects;
use crate::template::{Piece, Template};

/// Decides over a statement that is no query, no COPY and not about the session.
#[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not listed is refused")]
#[allow(clippy::too_many_lines, reason = "one list of statements")]
pub(crate) fn decide(env: &Env<'_>, node: &mut Node, census: &Census, command: Command) -> Result<Decision> {
    enums::check(env, node)?;
    match &mut node.node {
        Some(NodeEnum::CreateStmt(_)) => create::table(env, node, census),
        Some(NodeEnum::AlterTableStmt(_)) => alter::table(env, node, census),
        Some(NodeEnum::IndexStmt(index)) => match index::define(env, index)? {
            true => rewritten(node, command, Vec::new()),
            false => Ok(Decision::pass(command)),
        },
        Some(NodeEnum::RenameStmt(rename)) => {
            let schema = rename.rename_type == ObjectType::ObjectSchema as i32;
            alter::rename(env, rename)?;
            let decision = Decision::pass(command);
            Ok(if schema { Decision { effects: both(), ..decision } } else { decision })
        }
        Some(NodeEnum::AlterObjectSchemaStmt(alter)) => alter::move_to(env, alter).map(|()| Decision::pass(command)),
        Some(NodeEnum::CreateTableAsStmt(create)) if create.objtype != ObjectType::ObjectMatview as i32 => {
            unbound(env, census, "CREATE TABLE AS").map_err(|refusal| {
                refusal.hint("Ask the officers for a classification of the new table, CREATE it, and INSERT … SELECT.")
            })?;
            let range = create.into.as_ref().and_then(|into| into.rel.as_ref());
            new_relation(env, range)?;
            Ok(Decision { effects: both(), ..Decision::pass(command) })
        }
        Some(NodeEnum::ViewStmt(_) | NodeEnum::CreateTableAsStmt(_)) => view::create(env, node, census),
        Some(NodeEnum::CreatePolicyStmt(_) | NodeEnum::AlterPolicyStmt(_) | NodeEnum::CreateStatsStmt(_)) => {
            unbound(env, census, "this statement")?;
            Ok(Decision::pass(command))
        }
        Some(NodeEnum::CreateSchemaStmt(create)) if create.schema_elts.is_empty() => {
            Ok(Decision { effects: both(), ..Decision::pass(command) })
        }
        Some(NodeEnum::DefineStmt(define)) if is_harmless_definition(define.kind) => Ok(Decision::pass(command)),
        Some(NodeEnum::DropStmt(drop)) if drop.remove_type != ObjectType::ObjectSchema as i32 => {
            Ok(Decision::pass(command))
        }
        Some(NodeEnum::DropStmt(_)) => Ok(Decision { effects: both(), ..Decision::pass(command) }),
        Some(
            NodeEnum::TruncateStmt(_)
            | NodeEnum::LockStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::ReindexStmt(_)
            | NodeEnum::ClusterStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::SecLabelStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::GrantRoleStmt(_)
            | NodeEnum::AlterDefaultPrivilegesStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::CreateRoleStmt(_)
            | NodeEnum::AlterRoleStmt(_)
            | NodeEnum::DropRoleStmt(_)
            | NodeEnum::CreatedbStmt(_)
            | NodeEnum::AlterDatabaseStmt(_)
            | NodeEnum::DropdbStmt(_)
            | NodeEnum::CreateTableSpaceStmt(_)
            | NodeEnum::DropTableSpaceStmt(_)
            | NodeEnum::AlterTableSpaceOptionsStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateRangeStmt(_)
            | NodeEnum::AlterTypeStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::AlterDomainStmt(_)
            | NodeEnum::AlterStatsStmt(_)
            | NodeEnum::DropOwnedStmt(_)
            | NodeEnum::ReassignOwnedStmt(_)
            | NodeEnum::RefreshMatViewStmt(_),
        ) => Ok(Decision::pass(command)),
        Some(NodeEnum::AlterRoleSetStmt(_) | NodeEnum::AlterDatabaseSetStmt(_) | NodeEnum::AlterSystemStmt(_)) => {
            Err(Refusal::denied("settings of roles, databases and the server are not changed through Drieslot")
                .hint("Use SET in the session."))
        }
        Some(
            NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::RuleStmt(_)
            | NodeEnum::CreateEventTrigStmt(_),
        ) => Err(Refusal::denied("functions, triggers and rules cannot be made where columns are protected")
            .detail("What they do with protected columns could not be seen from the statements that run them.")),
        _ => Err(Refusal::denied("this statement is not allowed where columns are protected")
            .detail("What it does with protected columns cannot be seen from it.")),
    }
}

fn both() -> Effects {
    Effects { ddl: true, search_path: true, ..Effects::default() }
}

fn is_harmless_definition(kind: i32) -> bool {
    [ObjectType::ObjectCollation, ObjectType::ObjectTsconfiguration, ObjectType::ObjectTsdictionary]
        .into_iter()
        .any(|harmless| harmless as i32 == kind)
}

fn unbound(env: &Env<'_>, census: &Census, what: &str) -> Result<()> {
    let touched = touched(env, census, true)?;
    let Some(table) = touched.bound else { return Ok(()) };
    let mut refusal =
        Refusal::unsupported(format!("{what} is not supported over {table}, which has protected columns"))
            .hint("Read the columns with SELECT and do this in the application.");
    refusal.column = touched.column;
    Err(refusal)
}

fn name_of(range: &RangeVar) -> Named {
    Named {
        catalog: range.catalogname.clone(),
        schema: range.schemaname.clone(),
        name: range.relname.clone(),
        location: i64::from(range.location),
    }
}

/// A relation with columns that the statement does not declare may not bear a classified name.
fn new_relation(env: &Env<'_>, range: Option<&RangeVar>) -> Result<()> {
    let range = range.ok_or_else(|| Refusal::internal("a statement without its table"))?;
    let id = env.creation(&name_of(range), range.relpersistence == "t")?;
    if env.has_protected(&id) {
        return Err(Refusal::unsupported(format!("{id} has protected columns and must be made by CREATE TABLE")));
    }
    if env.table(&id).is_none() && env.classification.unlisted_tables() == Unlisted::Refuse {
        return Err(unlisted_table(&id).at(range.location));
    }
    Ok(())
}

/// SELECT … INTO over plain tables.
pub(crate) fn create_table_as(env: &Env<'_>, node: &Node) -> Result<()> {
    let Some(NodeEnum::SelectStmt(select)) = &node.node else {
        return Err(Refusal::unsupported("INTO is not supported here"));
    };
    let mut select: &SelectStmt = select;
    while let Some(left) = select.larg.as_deref() {
        select = left;
    }
    new_relation(env, select.into_clause.as_deref().and_then(|into| into.rel.as_ref()))
}

/// The protected columns of a table by its classification.
fn protected<'e>(env: &'e Env<'_>, id: &TableId, name: &str) -> Option<&'e Protected> {
    env.table(id)?.columns.get(name)?.protected.as_ref()
}

/// Refuses an expression that mentions a protected column of the table, or the whole row.
fn unmentioned(env: &Env<'_>, id: &TableId, node: Option<&Node>, what: &str) -> Result<()> {
    let Some(node) = node else { return Ok(()) };
    for name in Mentions::of(node)? {
        if let Some(column) = protected(env, id, &name) {
            return Err(Refusal::unsupported(format!(
                "{what} over the protected column {} is not possible",
                column.id
            ))
            .detail("The processor sees only cells.")
            .hint("Check the value in the application.")
            .column(&column.id));
        }
        if name == id.table && env.has_protected(id) {
            return Err(Refusal::unsupported(format!("{what} over the whole row of {id} is not possible")));
        }
    }
    Ok(())
}

/// A definition whose text is the tree's own.
fn rewritten(node: &Node, command: Command, tables: Vec<TableId>) -> Result<Decision> {
    let template = Template { pieces: vec![Piece::Text(parse::deparse(node)?)] };
    let rewritten = Rewritten {
        template,
        slots: Vec::new(),
        searches: Vec::new(),
        parameters: Vec::new(),
        client_parameters: Vec::new(),
        columns: Vec::new(),
        subjects: Subjects::default(),
        uses: Vec::new(),
        tables,
    };
    let decision = Decision::pass(command);
    Ok(Decision { kind: Kind::Rewritten(Box::new(rewritten)), ..decision })
}
