//! Arrays that meet protected columns: a parameter, a literal or a constructor becomes an array of cells.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{AArrayExpr, AConst, Integer, Node, TypeCast, TypeName, a_const::Val};

use super::scope::Scope;
use super::select::location;
use super::value::{Meeting, element_as, reads_as_stored};
use super::values::type_null;
use super::{Binder, FIRST_SLOT, Flow, Need, Ty, not_allowed};
use crate::refusal::{Refusal, Result};
use crate::statement::{CellSlot, Purpose, Slot, SlotSource, Typed};
use crate::types::{logical, loosened};

/// An array as a statement has it.
enum Array<'n> {
    /// A parameter, or a text.
    Whole(SlotSource),
    /// `ARRAY[…]`
    Written(&'n mut Vec<Node>),
}

impl Binder<'_> {
    /// `column = ANY ($1)`, `ANY ('{…}')` or `ANY (ARRAY[…]::type[])`: the array becomes one of cells. `false` where it is
    /// no such array.
    pub(super) fn array_of_cells(
        &mut self,
        need: Need,
        flow: &Flow,
        node: &mut Node,
        (scope, at): (&Scope<'_>, i32),
    ) -> Result<bool> {
        let Some((array, cast)) = array(node) else { return Ok(false) };
        let cast = match cast {
            None if matches!(array, Array::Written(_)) => return Ok(false),
            None => None,
            Some(ty) => Some(element(&ty).ok_or_else(|| other_type(flow, at))?),
        };
        self.needs(need, flow, at)?;
        self.become_cells(node, cast.as_ref(), flow, (Meeting::Compare, scope, at))
    }

    /// An array of a known type whose values one by one are stored in a column, or compared with it; `false` where it is
    /// no such array.
    pub(super) fn listed_array(
        &mut self,
        node: &mut Node,
        to: &Flow,
        (meeting, scope): (Meeting, &Scope<'_>),
    ) -> Result<bool> {
        let at = location(node);
        let Some((_, Some(ty))) = array(node) else { return Ok(false) };
        let Some(element) = element(&ty) else { return Ok(false) };
        self.become_cells(node, Some(&element), to, (meeting, scope, at))
    }

    fn become_cells(
        &mut self,
        node: &mut Node,
        cast: Option<&TypeName>,
        flow: &Flow,
        (meeting, scope, at): (Meeting, &Scope<'_>, i32),
    ) -> Result<bool> {
        let column = &flow.column;
        if matches!(flow.ty, LogicalType::Enum(_)) {
            return Err(not_allowed(flow, "an array of an enum type", at).hint("Write the values out: IN (…, …)."));
        }
        match array(node).ok_or_else(|| Refusal::internal("an array that is none"))?.0 {
            Array::Whole(source) => {
                let numeric = matches!(flow.ty, LogicalType::Numeric(Some(_)));
                let (ty, explicit) = match cast {
                    None if numeric => (flow.ty, false),
                    None => (loosened(flow.ty), false),
                    Some(cast) => {
                        let cast = logical(cast).ok_or_else(|| other_type(flow, at))?;
                        let read = element_as(column, cast, meeting);
                        read.map_err(|refusal| refusal.column(&column.id).at(at))?
                    }
                };
                let source = match source {
                    SlotSource::Param(number) if explicit => SlotSource::CastParam { number },
                    SlotSource::Literal { text, .. } => SlotSource::Literal { text, explicit_cast: explicit },
                    other @ (SlotSource::Param(_) | SlotSource::CastParam { .. } | SlotSource::Default) => other,
                };
                let stored = reads_as_stored(ty, cast.is_some(), meeting);
                let purpose = if stored { Purpose::Store } else { Purpose::Compare };
                let value = Typed { column: column.clone(), ty };
                *node = self.slot(Slot::Cells(CellSlot { source, value, purpose }), at)?;
            }
            Array::Written(items) => {
                let mut elements = std::mem::take(items);
                for item in &mut elements {
                    // PostgreSQL casts each element, too.
                    let cast = TypeCast { arg: Some(Box::new(item.clone())), type_name: cast.cloned(), location: at };
                    *item = Node { node: Some(NodeEnum::TypeCast(Box::new(cast))) };
                    if !matches!(self.expr(item, scope)?, Ty::Value) {
                        return Err(not_allowed(flow, "an array with anything but literals and parameters", at));
                    }
                    self.cell(item, column, meeting)?;
                    type_null(item);
                }
                *node = array_of_bytes(elements, at);
            }
        }
        Ok(true)
    }
}

/// An array constructor over cells, which may be none.
pub(super) fn array_of_bytes(elements: Vec<Node>, location: i32) -> Node {
    let array = AArrayExpr { elements, location, ..AArrayExpr::default() };
    let unbounded = Node { node: Some(NodeEnum::Integer(Integer { ival: -1 })) };
    let ty = TypeName { array_bounds: vec![unbounded], ..super::values::bytea() };
    let array = Node { node: Some(NodeEnum::AArrayExpr(array)) };
    let cast = TypeCast { arg: Some(Box::new(array)), type_name: Some(ty), location };
    Node { node: Some(NodeEnum::TypeCast(Box::new(cast))) }
}

fn other_type(flow: &Flow, at: i32) -> Refusal {
    let message = format!("column {} is of type {}, not that of the array", flow.column.id, flow.ty);
    Refusal::new("42804", message)
        .hint(format!("Cast the array to {}[].", loosened(flow.ty)))
        .column(&flow.column.id)
        .at(at)
}

/// A parameter, a text or a constructor that holds an array, and the type of the cast around it.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is an array whose values are known")]
fn array(node: &mut Node) -> Option<(Array<'_>, Option<TypeName>)> {
    let cast = match &node.node {
        Some(NodeEnum::TypeCast(cast)) => Some(cast.type_name.clone()?),
        Some(_) | None => None,
    };
    let inner = match node.node.as_mut()? {
        NodeEnum::TypeCast(cast) => cast.arg.as_deref_mut()?.node.as_mut()?,
        other => other,
    };
    match inner {
        NodeEnum::ParamRef(param) if (1..FIRST_SLOT).contains(&param.number) => {
            Some((Array::Whole(SlotSource::Param(u32::try_from(param.number).ok()?)), cast))
        }
        NodeEnum::AConst(AConst { val: Some(Val::Sval(text)), .. }) => {
            let source = SlotSource::Literal { text: Some(text.sval.clone()), explicit_cast: false };
            Some((Array::Whole(source), cast))
        }
        NodeEnum::AArrayExpr(array) => Some((Array::Written(&mut array.elements), cast)),
        _ => None,
    }
}

/// The type of an array's elements.
pub(crate) fn element(ty: &TypeName) -> Option<TypeName> {
    let one = matches!(ty.array_bounds.as_slice(), [_]) && !ty.setof && !ty.pct_type;
    one.then(|| TypeName { array_bounds: Vec::new(), ..ty.clone() })
}
