//! The name that PostgreSQL gives to a result column without an alias (`FigureColname` in `parse_target.c`).

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SubLinkType};

use crate::types::{string, strings};

/// The name, `?column?` where PostgreSQL has none.
pub(super) fn of(node: &Node) -> String {
    figure(node).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// A name, and whether it is a strong one.
#[allow(clippy::wildcard_enum_match_arm, reason = "PostgreSQL names no other expression")]
fn figure(node: &Node) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(column) => {
            let name = column.fields.iter().rev().find_map(string)?;
            strong(name)
        }
        NodeEnum::AIndirection(indirection) => match indirection.indirection.iter().rev().find_map(string) {
            Some(name) => strong(name),
            None => figure(indirection.arg.as_deref()?),
        },
        NodeEnum::FuncCall(call) => strong(strings(&call.funcname).last()?),
        NodeEnum::AExpr(expr) if expr.kind == pg_query::protobuf::AExprKind::AexprNullif as i32 => strong("nullif"),
        NodeEnum::TypeCast(cast) => match cast.arg.as_deref().and_then(figure) {
            Some((name, true)) => strong(&name),
            Some((_, false)) | None => {
                let name = cast.type_name.as_ref().and_then(|ty| strings(&ty.names).last().map(|s| (*s).to_owned()))?;
                Some((name, false))
            }
        },
        NodeEnum::CollateClause(collate) => figure(collate.arg.as_deref()?),
        NodeEnum::GroupingFunc(_) => strong("grouping"),
        NodeEnum::SubLink(link) => match SubLinkType::try_from(link.sub_link_type).ok()? {
            SubLinkType::ExistsSublink => strong("exists"),
            SubLinkType::ArraySublink => strong("array"),
            SubLinkType::ExprSublink => first_target(link.subselect.as_deref()?),
            SubLinkType::Undefined
            | SubLinkType::AllSublink
            | SubLinkType::AnySublink
            | SubLinkType::RowcompareSublink
            | SubLinkType::MultiexprSublink
            | SubLinkType::CteSublink => None,
        },
        NodeEnum::CaseExpr(case) => match case.defresult.as_deref().and_then(figure) {
            Some((name, true)) => strong(&name),
            Some((_, false)) | None => Some(("case".to_owned(), false)),
        },
        NodeEnum::AArrayExpr(_) => strong("array"),
        NodeEnum::RowExpr(_) => strong("row"),
        NodeEnum::CoalesceExpr(_) => strong("coalesce"),
        NodeEnum::MinMaxExpr(expr) => {
            strong(if expr.op == pg_query::protobuf::MinMaxOp::IsGreatest as i32 { "greatest" } else { "least" })
        }
        _ => None,
    }
}

fn first_target(node: &Node) -> Option<(String, bool)> {
    let NodeEnum::SelectStmt(select) = node.node.as_ref()? else { return None };
    let NodeEnum::ResTarget(target) = select.target_list.first()?.node.as_ref()? else { return None };
    if target.name.is_empty() { figure(target.val.as_deref()?) } else { Some((target.name.clone(), true)) }
}
