//! `min` and `max` of cells for servers that have them not for `bytea`: PostgreSQL 15 to 17.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AConst, AIndices, AIndirection, BoolExpr, BoolExprType, ColumnRef, FuncCall, Integer, LimitOption, Node, NullTest,
    NullTestType, ResTarget, SelectStmt, SetOperation, SortBy, SortByDir, SortByNulls, String as PgString, SubLink,
    SubLinkType, a_const::Val,
};

use super::{Flow, not_allowed};
use crate::census::Census;
use crate::refusal::{Refusal, Result};
use crate::types::is_builtin;

fn node(inner: NodeEnum) -> Node {
    Node { node: Some(inner) }
}

fn boxed(inner: NodeEnum) -> Option<Box<Node>> {
    Some(Box::new(node(inner)))
}

/// Least or greatest first, NULL last.
fn sorted(by: Node, greatest: bool) -> Node {
    let direction = if greatest { SortByDir::SortbyDesc } else { SortByDir::SortbyAsc };
    let sort = SortBy {
        node: Some(Box::new(by)),
        sortby_dir: direction as i32,
        sortby_nulls: SortByNulls::SortbyNullsLast as i32,
        use_op: Vec::new(),
        location: 0,
    };
    node(NodeEnum::SortBy(Box::new(sort)))
}

/// `min(x)` becomes `(array_agg(x ORDER BY x NULLS LAST))[1]`.
pub(super) fn aggregate(place: &mut Node, flow: &Flow) -> Result<()> {
    let lost = || Refusal::internal("an aggregate without its argument");
    let Some(NodeEnum::FuncCall(call)) = place.node.take() else { return Err(lost()) };
    let greatest = is_builtin(&call.funcname, "max");
    if call.over.is_some() {
        return Err(not_allowed(flow, "min or max over a window", call.location)
            .hint("PostgreSQL 18 at the processor would allow it; or take first_value over the sorted window."));
    }
    let arg = call.args.first().ok_or_else(lost)?;
    if Census::of(arg)?.parameters.iter().any(|number| *number >= i64::from(super::FIRST_SLOT)) {
        return Err(not_allowed(flow, "min or max of an expression with literals", call.location));
    }
    let name = |sval: &str| node(NodeEnum::String(PgString { sval: sval.to_owned() }));
    let array = FuncCall {
        funcname: vec![name("pg_catalog"), name("array_agg")],
        agg_order: vec![sorted(arg.clone(), greatest)],
        agg_distinct: false,
        ..*call
    };
    let one = AConst { isnull: false, location: 0, val: Some(Val::Ival(Integer { ival: 1 })) };
    let first = AIndices { is_slice: false, lidx: None, uidx: boxed(NodeEnum::AConst(one)) };
    let indirection = AIndirection {
        arg: boxed(NodeEnum::FuncCall(Box::new(array))),
        indirection: vec![node(NodeEnum::AIndices(Box::new(first)))],
    };
    place.node = Some(NodeEnum::AIndirection(Box::new(indirection)));
    Ok(())
}

/// `first AND second`, in one list as the parser has it.
fn both(first: Node, second: Node) -> Node {
    let args = match first.node {
        Some(NodeEnum::BoolExpr(mut expr)) if expr.boolop == BoolExprType::AndExpr as i32 => {
            expr.args.push(second);
            expr.args
        }
        inner => vec![Node { node: inner }, second],
    };
    let expr = BoolExpr { xpr: None, boolop: BoolExprType::AndExpr as i32, args, location: 0 };
    node(NodeEnum::BoolExpr(Box::new(expr)))
}

/// One `min` or `max` of a column.
pub(super) struct Extreme {
    pub(super) greatest: bool,
    pub(super) column: ColumnRef,
}

/// Whether a query gives nothing but one `min` or `max` of a column over all its rows.
pub(super) fn is_alone(select: &SelectStmt) -> Option<Extreme> {
    let bare = SelectStmt {
        target_list: Vec::new(),
        from_clause: Vec::new(),
        where_clause: None,
        with_clause: None,
        ..select.clone()
    };
    let op = SetOperation::SetopNone as i32;
    let limit_option = select.limit_option;
    let no_limit = [LimitOption::Default as i32, LimitOption::Undefined as i32].contains(&limit_option);
    if !no_limit || bare != (SelectStmt { op, limit_option, ..SelectStmt::default() }) {
        return None;
    }
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return None };
    let Some(NodeEnum::FuncCall(call)) = target.val.as_deref().and_then(|value| value.node.as_ref()) else {
        return None;
    };
    let usual = call.args.len() == 1 && call.agg_filter.is_none() && call.over.is_none();
    let greatest = match usual {
        true if is_builtin(&call.funcname, "max") => true,
        true if is_builtin(&call.funcname, "min") => false,
        _ => return None,
    };
    match &call.args.first()?.node {
        Some(NodeEnum::ColumnRef(column)) => Some(Extreme { greatest, column: column.clone() }),
        Some(_) | None => None,
    }
}

/// `SELECT min(x) FROM t WHERE c`, bound already, becomes
/// `SELECT (SELECT x FROM t WHERE c AND x IS NOT NULL ORDER BY x LIMIT 1)`, which an index answers.
pub(super) fn from_index(select: &mut SelectStmt, greatest: bool) -> Result<()> {
    let lost = || Refusal::internal("an aggregate that was just there");
    let Some(Node { node: Some(NodeEnum::ResTarget(target)) }) = select.target_list.first_mut() else {
        return Err(lost());
    };
    let Some(NodeEnum::AIndirection(indirection)) = target.val.as_deref().and_then(|value| value.node.as_ref()) else {
        return Ok(());
    };
    let Some(NodeEnum::FuncCall(call)) = indirection.arg.as_deref().and_then(|arg| arg.node.as_ref()) else {
        return Err(lost());
    };
    let value = call.args.first().cloned().ok_or_else(lost)?;
    let known = NullTest {
        xpr: None,
        arg: Some(Box::new(value.clone())),
        nulltesttype: NullTestType::IsNotNull as i32,
        argisrow: false,
        location: 0,
    };
    let known = node(NodeEnum::NullTest(Box::new(known)));
    let condition = match select.where_clause.take() {
        None => known,
        Some(clause) => both(*clause, known),
    };
    let one = AConst { isnull: false, location: 0, val: Some(Val::Ival(Integer { ival: 1 })) };
    let inner = SelectStmt {
        target_list: vec![node(NodeEnum::ResTarget(Box::new(ResTarget {
            val: Some(Box::new(value.clone())),
            ..ResTarget::default()
        })))],
        from_clause: std::mem::take(&mut select.from_clause),
        where_clause: Some(Box::new(condition)),
        sort_clause: vec![sorted(value, greatest)],
        limit_count: boxed(NodeEnum::AConst(one)),
        limit_option: LimitOption::Count as i32,
        op: SetOperation::SetopNone as i32,
        ..SelectStmt::default()
    };
    let link = SubLink {
        sub_link_type: SubLinkType::ExprSublink as i32,
        subselect: boxed(NodeEnum::SelectStmt(Box::new(inner))),
        ..SubLink::default()
    };
    target.val = boxed(NodeEnum::SubLink(Box::new(link)));
    Ok(())
}
