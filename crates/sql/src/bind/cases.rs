//! SET column = (CASE WHEN … THEN value … END)::type: how Django changes many rows at once. The values become cells; the
//! conditions are conditions as anywhere.
//!
//! Owns this one shape: every result is a literal or a parameter. Any other CASE is bound as an expression.

use pg_query::NodeEnum;
use pg_query::protobuf::{CaseExpr, Node, TypeName};

use super::scope::Scope;
use super::values::{Kind, kind};
use super::{Binder, Flow};
use crate::refusal::{Refusal, Result};

fn case(node: &Node) -> Option<&CaseExpr> {
    let inner = match &node.node {
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref()?,
        Some(_) | None => node,
    };
    match &inner.node {
        Some(NodeEnum::CaseExpr(case)) => Some(case),
        Some(_) | None => None,
    }
}

/// Whether a node is a CASE of values of one kind, perhaps in a cast.
pub(super) fn is_case_of_values(node: &Node) -> bool {
    let Some(case) = case(node).filter(|case| case.arg.is_none()) else { return false };
    let results = case.args.iter().map(|when| match &when.node {
        Some(NodeEnum::CaseWhen(when)) => when.result.as_deref().and_then(kind),
        Some(_) | None => None,
    });
    let Some(mut kinds) = results.collect::<Option<Vec<Kind>>>() else { return false };
    if let Some(result) = case.defresult.as_deref() {
        let Some(kind) = kind(result) else { return false };
        kinds.push(kind);
    }
    kinds.retain(|kind| *kind != Kind::Null);
    kinds.iter().all(|kind| Some(kind) == kinds.first())
}

impl Binder<'_> {
    /// Binds a CASE of values that goes to a protected column.
    pub(super) fn case_of_values(&mut self, node: &mut Node, to: &Flow, scope: &Scope<'_>) -> Result<()> {
        let mut outer: Option<TypeName> = None;
        if let Some(NodeEnum::TypeCast(cast)) = &mut node.node {
            outer = cast.type_name.take();
            let inner = cast.arg.take().ok_or_else(|| Refusal::internal("a cast of nothing"))?;
            *node = *inner;
        }
        let Some(NodeEnum::CaseExpr(case)) = &mut node.node else { return Err(Refusal::internal("no CASE")) };
        for when in &mut case.args {
            let Some(NodeEnum::CaseWhen(when)) = &mut when.node else { return Err(Refusal::internal("no WHEN")) };
            let (Some(condition), Some(result)) = (when.expr.as_deref_mut(), when.result.as_deref_mut()) else {
                return Err(Refusal::internal("WHEN without a condition"));
            };
            self.condition(condition, scope)?;
            self.entry_cell(result, to, outer.as_ref(), scope)?;
        }
        match case.defresult.as_deref_mut() {
            Some(result) => self.entry_cell(result, to, outer.as_ref(), scope),
            None => Ok(()),
        }
    }
}
