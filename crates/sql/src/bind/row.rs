//! Comparisons of rows, and with values of a subquery.

use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, Node, RowExpr, SelectStmt};

use super::scope::Scope;
use super::value::{Literal, Meeting, value};
use super::{Binder, Flow, Need, Output, Ty, not_allowed};
use crate::refusal::{Refusal, Result};
use crate::types::is_text;

fn row(node: Option<&mut Node>) -> Option<&mut RowExpr> {
    match node.and_then(|node| node.node.as_mut()) {
        Some(NodeEnum::RowExpr(row)) => Some(row),
        Some(_) | None => None,
    }
}

fn unequal(at: i32) -> Refusal {
    Refusal::new("42601", "unequal number of entries in row expressions").at(at)
}

impl Binder<'_> {
    /// `(a, b) = (c, d)` and `(a, b) IN ((c, d), …)`: value by value. `false` where it is no such comparison.
    pub(super) fn rows_compared(&mut self, need: Need, expr: &mut AExpr, scope: &Scope<'_>) -> Result<bool> {
        let at = expr.location;
        let is_in = expr.kind == AExprKind::AexprIn as i32;
        let distinct = [AExprKind::AexprDistinct, AExprKind::AexprNotDistinct].iter().any(|k| *k as i32 == expr.kind);
        if need != Need::Equality || !(is_in || distinct || expr.kind == AExprKind::AexprOp as i32) {
            return Ok(false);
        }
        let Some(left) = row(expr.lexpr.as_deref_mut()) else { return Ok(false) };
        let rights: Vec<&mut RowExpr> = match expr.rexpr.as_deref_mut().and_then(|node| node.node.as_mut()) {
            Some(NodeEnum::RowExpr(right)) if !is_in => vec![right],
            Some(NodeEnum::List(list)) if is_in => {
                let all = list.items.len();
                let rows: Vec<_> = list.items.iter_mut().filter_map(|node| row(Some(node))).collect();
                if rows.len() != all {
                    return Ok(false);
                }
                rows
            }
            Some(_) | None => return Ok(false),
        };
        let left_types = self.types(&mut left.args, scope)?;
        for right in rights {
            let right_types = self.types(&mut right.args, scope)?;
            if left_types.len() != right_types.len() {
                return Err(unequal(at));
            }
            let pairs = left.args.iter_mut().zip(&left_types).zip(right.args.iter_mut().zip(right_types));
            for ((a, a_type), (b, b_type)) in pairs {
                if let (Ty::Value, Ty::Protected(flow), true) = (a_type, &b_type, is_in) {
                    return Err(not_allowed(flow, "standing in a list", at));
                }
                self.met(need, (a, a_type.clone()), (b, b_type), at)?;
            }
        }
        Ok(true)
    }

    fn types(&mut self, nodes: &mut [Node], scope: &Scope<'_>) -> Result<Vec<Ty>> {
        nodes.iter_mut().map(|node| self.expr(node, scope)).collect()
    }

    /// `(a, b) IN (SELECT c, d …)`.
    pub(super) fn row_among(
        &mut self,
        row: &mut RowExpr,
        query: &mut Node,
        outputs: &[Output],
        scope: &Scope<'_>,
    ) -> Result<()> {
        let at = row.location;
        if row.args.len() != outputs.len() {
            return Err(unequal(at));
        }
        for (index, (node, output)) in row.args.iter_mut().zip(outputs).enumerate() {
            match (self.expr(node, scope)?, &output.ty) {
                (Ty::Protected(a), Ty::Protected(b)) => self.comparable(Need::Equality, &a, b, at)?,
                (Ty::Value, Ty::Protected(flow)) => self.compare_value(Need::Equality, flow, node, at)?,
                (Ty::Protected(flow), Ty::Value) => {
                    self.values_among(Need::Equality, &flow, (&mut *query, index), at)?
                }
                (Ty::Protected(flow), Ty::Plain) => {
                    return Err(not_allowed(&flow, "comparison with a subquery of plain values", at));
                }
                (Ty::Plain, Ty::Protected(flow)) => {
                    return Err(not_allowed(flow, "comparison with a subquery of plain values", at));
                }
                (Ty::Plain | Ty::Value, Ty::Plain | Ty::Value) => {}
            }
        }
        Ok(())
    }

    /// `column IN (VALUES …)`: a column of a subquery that has literals and parameters only.
    pub(super) fn values_among(
        &mut self,
        need: Need,
        flow: &Flow,
        (query, index): (&mut Node, usize),
        at: i32,
    ) -> Result<()> {
        self.needs(need, flow, at)?;
        if !is_text(flow.ty) {
            // A string in a subquery is a text, whatever it is compared with.
            return Err(not_allowed(flow, "comparison with literals in a subquery", at)
                .hint("Write the values out: IN (…, …)."));
        }
        if gives_null(query, index) {
            // A column of NULL alone would be a text to the processor.
            return Err(
                not_allowed(flow, "comparison with NULL in a subquery", at).hint("Write the values out: IN (…, …).")
            );
        }
        self.convert_output(query, index, flow, Meeting::Compare)
    }
}

/// Whether a column of a query of literals is NULL in one of its rows.
fn gives_null(query: &Node, index: usize) -> bool {
    let Some(NodeEnum::SelectStmt(select)) = &query.node else { return false };
    select_gives_null(select, index)
}

fn select_gives_null(select: &SelectStmt, index: usize) -> bool {
    let is_null = |node: &Node| value(node).is_some_and(|value| matches!(value.literal, Literal::Null));
    let sides = [select.larg.as_deref(), select.rarg.as_deref()];
    let rows = select.values_lists.iter().any(|row| match &row.node {
        Some(NodeEnum::List(row)) => row.items.get(index).is_some_and(is_null),
        Some(_) | None => false,
    });
    let target = select.target_list.get(index).is_some_and(|target| match &target.node {
        Some(NodeEnum::ResTarget(target)) => target.val.as_deref().is_some_and(is_null),
        Some(_) | None => false,
    });
    rows || target || sides.into_iter().flatten().any(|side| select_gives_null(side, index))
}
