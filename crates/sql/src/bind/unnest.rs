//! INSERT … SELECT * FROM unnest('{…}'::type[], …): how Django inserts many rows. The elements of the array literals
//! become cells.
//!
//! Owns this one shape; an array that is a parameter is refused for a protected
//! column.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AArrayExpr, AConst, AStar, FuncCall, Node, ResTarget, SelectStmt, TypeCast, TypeName, a_const::Val,
};

use super::dml::{computed, held};
use super::scope::{Held, Item, Scope};
use super::select::location;
use super::value::Meeting;
use super::{Binder, Flow, Ty};
use crate::array::elements;
use crate::refusal::{Refusal, Result};
use crate::statement::Use;
use crate::types::{is_builtin, logical};

/// The call, where the query is this shape.
pub(super) fn call(select: &mut SelectStmt) -> Option<&mut FuncCall> {
    if !super::values::is_bare(select) || !select.sort_clause.is_empty() {
        return None;
    }
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return None };
    let ResTarget { indirection, val: Some(star), .. } = &**target else { return None };
    let Some(NodeEnum::ColumnRef(star)) = &star.node else { return None };
    if !matches!(star.fields.as_slice(), [Node { node: Some(NodeEnum::AStar(AStar {})) }]) || !indirection.is_empty() {
        return None;
    }
    let [Node { node: Some(NodeEnum::RangeFunction(function)) }] = select.from_clause.as_mut_slice() else {
        return None;
    };
    if function.lateral || function.ordinality || function.is_rowsfrom || !function.coldeflist.is_empty() {
        return None;
    }
    let [Node { node: Some(NodeEnum::List(list)) }] = function.functions.as_mut_slice() else { return None };
    let Some(Node { node: Some(NodeEnum::FuncCall(call)) }) = list.items.first_mut() else { return None };
    let bare = call.agg_order.is_empty()
        && call.agg_filter.is_none()
        && call.over.is_none()
        && !call.agg_star
        && !call.agg_distinct
        && !call.func_variadic
        && !call.agg_within_group;
    (bare && is_builtin(&call.funcname, "unnest")).then_some(call)
}

/// The type of the elements, where it is a cast to an array of one dimension.
fn element(ty: &TypeName) -> Option<TypeName> {
    let one = matches!(ty.array_bounds.as_slice(), [_]) && !ty.setof && !ty.pct_type;
    one.then(|| TypeName { array_bounds: Vec::new(), ..ty.clone() })
}

fn is_integer(ty: LogicalType) -> bool {
    matches!(ty, LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8)
}

fn in_range(text: &str, ty: LogicalType) -> bool {
    let number = text.trim().parse::<i64>();
    if ty == LogicalType::Int2 {
        return number.is_ok_and(|number| i16::try_from(number).is_ok());
    }
    if ty == LogicalType::Int4 {
        return number.is_ok_and(|number| i32::try_from(number).is_ok());
    }
    number.is_ok()
}

/// An array literal in casts: its text, and the type of its elements, outermost cast first.
fn literal(node: &Node) -> Option<(&str, Vec<TypeName>)> {
    let mut casts = Vec::new();
    let mut node = node;
    while let Some(NodeEnum::TypeCast(cast)) = &node.node {
        casts.push(element(cast.type_name.as_ref()?)?);
        node = cast.arg.as_deref()?;
    }
    let Some(NodeEnum::AConst(AConst { val: Some(Val::Sval(text)), isnull: false, .. })) = &node.node else {
        return None;
    };
    Some((&text.sval, casts))
}

impl Binder<'_> {
    /// Binds a source of this shape; the targets are columns of `item`.
    pub(super) fn unnested(
        &mut self,
        call: &mut FuncCall,
        item: &Item,
        targets: &[usize],
        names: &Scope<'_>,
    ) -> Result<()> {
        for (arg, target) in call.args.iter_mut().zip(targets) {
            match held(item, *target)? {
                Held::Barred(refusal) => return Err((**refusal).clone()),
                Held::Plain => {
                    let ty = self.expr(arg, names)?;
                    self.plain(&ty, "an array", location(arg))?;
                }
                Held::Protected(to) => {
                    self.mark(to, Use::Write);
                    self.cells_of(arg, to, names)?;
                }
            }
        }
        Ok(())
    }

    /// An array literal becomes an array of cells.
    fn cells_of(&mut self, node: &mut Node, to: &Flow, names: &Scope<'_>) -> Result<()> {
        let at = location(node);
        let (text, casts) = literal(node).ok_or_else(|| computed(to, at))?;
        let values = elements(text).ok_or_else(|| computed(to, at))?;
        let outer = casts.first().cloned().ok_or_else(|| computed(to, at))?;
        let outermost = logical(&outer).ok_or_else(|| computed(to, at))?;
        for inner in casts.iter().skip(1) {
            let inner = logical(inner).ok_or_else(|| computed(to, at))?;
            if inner != outermost && !(is_integer(inner) && is_integer(outermost)) {
                return Err(computed(to, at));
            }
            // What the narrower type cannot hold is an error, which a cell would not give.
            if inner != outermost && !values.iter().flatten().all(|text| in_range(text, inner)) {
                return Err(Refusal::new("22003", format!("value out of range for type {inner}")).at(at));
            }
        }
        let mut cells = Vec::with_capacity(values.len());
        for value in values {
            let val = value.map(|sval| Val::Sval(pg_query::protobuf::String { sval }));
            let constant = AConst { isnull: val.is_none(), location: at, val };
            let cast = TypeCast {
                arg: Some(Box::new(Node { node: Some(NodeEnum::AConst(constant)) })),
                type_name: Some(outer.clone()),
                location: at,
            };
            let mut cell = Node { node: Some(NodeEnum::TypeCast(Box::new(cast))) };
            if !matches!(self.expr(&mut cell, names)?, Ty::Value) {
                return Err(computed(to, at));
            }
            self.cell(&mut cell, &to.column, Meeting::Store)?;
            cells.push(cell);
        }
        let array = AArrayExpr { elements: cells, location: at, ..AArrayExpr::default() };
        let ty = TypeName { array_bounds: vec![unbounded()], ..super::values::bytea() };
        let cast = TypeCast {
            arg: Some(Box::new(Node { node: Some(NodeEnum::AArrayExpr(array)) })),
            type_name: Some(ty),
            location: at,
        };
        node.node = Some(NodeEnum::TypeCast(Box::new(cast)));
        Ok(())
    }
}

fn unbounded() -> Node {
    Node { node: Some(NodeEnum::Integer(pg_query::protobuf::Integer { ival: -1 })) }
}
