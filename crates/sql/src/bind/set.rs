//! SET of UPDATE, ON CONFLICT and MERGE, with one column or several at a time.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ResTarget, SubLinkType};

use super::dml::{held, missing, target_column};
use super::scope::{Item, Scope};
use super::{Binder, unsupported};
use crate::refusal::{Refusal, Result};

fn target(node: &mut Node) -> Result<&mut ResTarget> {
    match &mut node.node {
        Some(NodeEnum::ResTarget(target)) => Ok(target),
        Some(_) | None => Err(missing()),
    }
}

/// The place of a target in `SET (a, b) = …`, from 0, how many there are, and what stands on the right.
fn several(target: &ResTarget) -> Result<Option<(usize, usize, &Node)>> {
    let Some(NodeEnum::MultiAssignRef(multi)) = target.val.as_deref().and_then(|node| node.node.as_ref()) else {
        return Ok(None);
    };
    let at = usize::try_from(multi.colno).ok().and_then(|number| number.checked_sub(1));
    let count = usize::try_from(multi.ncolumns).ok();
    match (at, count, multi.source.as_deref()) {
        (Some(at), Some(count), Some(source)) => Ok(Some((at, count, source))),
        _ => Err(missing()),
    }
}

fn mismatch(at: i32) -> Refusal {
    Refusal::new("42601", "number of columns does not match number of values").at(at)
}

impl Binder<'_> {
    pub(super) fn assignments(&mut self, nodes: &mut [Node], item: &Item, scope: &Scope<'_>) -> Result<()> {
        let mut rest = nodes;
        while let Some(node) = rest.first_mut() {
            let first = target(node)?;
            let at = first.location;
            let taken = match several(first)? {
                None => {
                    let to = target_column(item, first)?;
                    self.assign(first.val.as_deref_mut().ok_or_else(missing)?, item, to, scope)?;
                    1
                }
                Some((_, count, source)) => match source.node.as_ref() {
                    Some(NodeEnum::RowExpr(_)) => {
                        let group = rest.get_mut(..count).ok_or_else(missing)?;
                        self.assign_row(group, item, scope)?;
                        count
                    }
                    Some(NodeEnum::SubLink(link)) if link.sub_link_type == SubLinkType::ExprSublink as i32 => {
                        let mut source = source.clone();
                        let group = rest.get_mut(..count).ok_or_else(missing)?;
                        self.assign_query(group, &mut source, item, scope).map_err(|refusal| refusal.at(at))?;
                        count
                    }
                    Some(_) | None => return Err(unsupported(source, at)),
                },
            };
            rest = rest.get_mut(taken..).ok_or_else(missing)?;
        }
        Ok(())
    }

    /// `SET (a, b) = (x, y)` is `SET a = x, b = y`.
    fn assign_row(&mut self, group: &mut [Node], item: &Item, scope: &Scope<'_>) -> Result<()> {
        for node in group {
            let target = target(node)?;
            let (at, count, source) = several(target)?.ok_or_else(missing)?;
            let Some(NodeEnum::RowExpr(row)) = &source.node else { return Err(missing()) };
            let value = row.args.get(at).filter(|_| row.args.len() == count).cloned();
            let mut value = value.ok_or_else(|| mismatch(target.location))?;
            let to = target_column(item, target)?;
            self.assign(&mut value, item, to, scope)?;
            target.val = Some(Box::new(value));
        }
        Ok(())
    }

    /// `SET (a, b) = (SELECT …)`: each target has a copy of the query in the tree, which is one in the text.
    fn assign_query(&mut self, group: &mut [Node], source: &mut Node, item: &Item, scope: &Scope<'_>) -> Result<()> {
        let Some(NodeEnum::SubLink(link)) = &mut source.node else { return Err(missing()) };
        let query = link.subselect.as_deref_mut().ok_or_else(missing)?;
        let outputs = self.query(query, Some(scope))?;
        if outputs.len() != group.len() {
            return Err(mismatch(0));
        }
        for (at, (node, output)) in group.iter_mut().zip(&outputs).enumerate() {
            let to = target_column(item, target(node)?)?;
            self.assign_output(&output.ty, (&mut *query, at), held(item, to)?)?;
        }
        for node in group {
            if let Some(NodeEnum::MultiAssignRef(multi)) =
                target(node)?.val.as_deref_mut().and_then(|node| node.node.as_mut())
            {
                multi.source = Some(Box::new(source.clone()));
            }
        }
        Ok(())
    }
}
