//! INSERT … SELECT * FROM unnest('{…}'::type[], …), and its like: how drivers and ORMs insert many rows. The elements of
//! the arrays become cells.
//!
//! Owns these shapes; any other source of an INSERT is bound as a query.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, AStar, FuncCall, Node, ResTarget, SelectStmt, TypeCast, TypeName, a_const::Val};

use super::arrays::{array_of_bytes, element};
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

fn is_unnest(call: &FuncCall) -> bool {
    let bare = call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none();
    bare && !call.func_variadic && matches!(call.args.as_slice(), [_]) && is_builtin(&call.funcname, "unnest")
}

/// `SELECT unnest($1::type[]), …` and `SELECT v.a, … FROM unnest($1::type[], …) AS v (a, …)`, with constants beside them.
pub(super) fn is_list(select: &SelectStmt) -> bool {
    let unnests = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => matches!(
            target.val.as_deref().and_then(|value| value.node.as_ref()),
            Some(NodeEnum::FuncCall(call)) if is_unnest(call)
        ),
        Some(_) | None => false,
    };
    let starred = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => super::select::star(target).is_some(),
        Some(_) | None => true,
    };
    let named = |node: &Node| match &node.node {
        Some(NodeEnum::RangeFunction(function)) => {
            function.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty())
        }
        Some(_) | None => false,
    };
    super::values::is_bare(select)
        && select.sort_clause.is_empty()
        && !select.target_list.iter().any(starred)
        && match select.from_clause.as_slice() {
            [] => select.target_list.iter().any(unnests),
            [one] => named(one),
            [..] => false,
        }
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

    /// Binds a source that `is_list`.
    pub(super) fn unnested_list(
        &mut self,
        select: &mut SelectStmt,
        item: &Item,
        targets: &[usize],
        names: &Scope<'_>,
    ) -> Result<()> {
        let mut items = self.items_of(&mut select.from_clause, names)?;
        let mut assigned = Vec::new();
        for (node, to) in select.target_list.iter_mut().zip(targets) {
            let Some(NodeEnum::ResTarget(target)) = &mut node.node else { continue };
            assigned.extend(target.val.as_deref_mut().map(|value| (value, *to)));
        }
        let mut given = Vec::new();
        for (value, to) in &mut assigned {
            given.push((&mut **value, held(item, *to)?.clone()));
        }
        self.lists_of_values(&mut select.from_clause, &mut items, &mut given, &[], names)?;
        let scope = Scope { items, ctes: Vec::new(), parent: Some(names) };
        for (value, to) in assigned {
            match (held(item, to)?, &mut value.node) {
                (Held::Protected(to), Some(NodeEnum::FuncCall(call))) if is_unnest(call) => {
                    self.mark(to, Use::Write);
                    let array = call.args.first_mut().ok_or_else(|| computed(to, call.location))?;
                    self.cells_of(array, to, names)?;
                }
                (Held::Protected(_) | Held::Plain | Held::Barred(_), _) => self.assign(value, item, to, &scope)?,
            }
        }
        Ok(())
    }

    /// An array becomes an array of cells; its type must be known.
    pub(super) fn cells_of(&mut self, node: &mut Node, to: &Flow, names: &Scope<'_>) -> Result<()> {
        let at = location(node);
        if self.listed_array(node, to, (Meeting::Store, names))? {
            return Ok(());
        }
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
        *node = array_of_bytes(cells, at);
        Ok(())
    }
}
