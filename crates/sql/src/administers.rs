//! Statements that define or maintain what a database consists of, rather than its rows: an administrator's work, for the trace.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};

use crate::census::{Census, Named};
use crate::decide::{self, Decision};
use crate::statement::Command;

/// Names of so many objects are kept: the statement must fit into one entry of a journal.
const MAX_OBJECTS: usize = 100;

/// Whether a statement that may have objects is of this kind.
pub(crate) fn is_kind(decision: &Decision) -> bool {
    matches!(decision.command, Command::Ddl | Command::Other)
        || (decision.command == Command::Select && decision.effects.ddl)
}

/// The objects that a statement names, as it names them; `None` where it certainly defines and maintains nothing, or only what
/// ends with the session.
pub(crate) fn objects(node: &Node) -> Option<Vec<String>> {
    let new = new_relation(node);
    let temporary = new.is_some_and(|range| range.relpersistence == "t");
    let maintains = matches!(node.node, Some(NodeEnum::VacuumStmt(_)));
    let defines = new.is_some() || decide::command(node) == Command::Ddl;
    if temporary || is_of_session(node) || !(maintains || defines) {
        return None;
    }
    let relations = Census::of(node).map(|census| census.relations).unwrap_or_default();
    let mut names: Vec<String> = relations.iter().map(named).collect();
    names.extend(new.map(|range| dotted([range.schemaname.as_str(), range.relname.as_str()])));
    names.extend(listed(node));
    names.sort();
    names.dedup();
    names.truncate(MAX_OBJECTS);
    Some(names)
}

fn is_of_session(node: &Node) -> bool {
    matches!(
        node.node,
        Some(
            NodeEnum::DiscardStmt(_)
                | NodeEnum::ListenStmt(_)
                | NodeEnum::UnlistenStmt(_)
                | NodeEnum::NotifyStmt(_)
                | NodeEnum::CheckPointStmt(_)
                | NodeEnum::TransactionStmt(_)
        )
    )
}

fn dotted<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

fn named(named: &Named) -> String {
    dotted([named.schema.as_str(), named.name.as_str()])
}

fn new_relation(node: &Node) -> Option<&RangeVar> {
    match node.node.as_ref() {
        Some(NodeEnum::CreateStmt(create)) => create.relation.as_ref(),
        Some(NodeEnum::CreateSeqStmt(create)) => create.sequence.as_ref(),
        Some(NodeEnum::ViewStmt(view)) => view.view.as_ref(),
        Some(NodeEnum::CreateTableAsStmt(create)) => create.into.as_ref()?.rel.as_ref(),
        Some(NodeEnum::SelectStmt(select)) => select.into_clause.as_ref()?.rel.as_ref(),
        Some(_) | None => None,
    }
}

/// DROP and COMMENT name their objects as lists of texts.
fn listed(node: &Node) -> Vec<String> {
    let objects: Vec<&Node> = match node.node.as_ref() {
        Some(NodeEnum::DropStmt(drop)) => drop.objects.iter().collect(),
        Some(NodeEnum::CommentStmt(comment)) => comment.object.as_deref().into_iter().collect(),
        Some(_) | None => return Vec::new(),
    };
    let text = |node: &'_ Node| match node.node.as_ref() {
        Some(NodeEnum::String(text)) => Some(text.sval.clone()),
        Some(_) | None => None,
    };
    let name = |object: &Node| match object.node.as_ref() {
        Some(NodeEnum::List(list)) => list.items.iter().filter_map(text).collect::<Vec<_>>(),
        Some(_) | None => text(object).into_iter().collect(),
    };
    let names = objects.into_iter().map(|object| dotted(name(object).iter().map(String::as_str)));
    names.filter(|name| !name.is_empty()).collect()
}
