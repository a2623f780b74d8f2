//! Lists of values in the FROM of an UPDATE or the USING of a MERGE: `(VALUES (…), …) AS v (a, b)` and
//! `unnest($1::type[], …) AS v (a, b)`. A column of such a list that goes to a protected column, or is compared with one,
//! becomes cells where it stands; everywhere else it then counts as protected.

use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, ColumnRef, Node, ResTarget, TypeName};

use super::dml::held;
use super::scope::{Held, Item, Scope};
use super::select::location;
use super::value::Meeting;
use super::values::{Kind, kind};
use super::{Binder, Flow, Ty};
use crate::refusal::{Refusal, Result};
use crate::statement::Use;
use crate::types::{is_builtin, is_text, logical, strings};
use drieslot_schema::{ColumnId, LogicalType};

/// A list of values, by its alias.
struct List<'f> {
    name: String,
    columns: Vec<String>,
    values: Values<'f>,
}

enum Values<'f> {
    /// The rows of VALUES.
    Rows(Vec<&'f mut Vec<Node>>),
    /// The arrays that `unnest` is given.
    Arrays(&'f mut Vec<Node>),
}

/// What a column of a list is for.
struct Wanted {
    list: usize,
    column: usize,
    to: Flow,
    meeting: Meeting,
    /// The cast around the place where it is used.
    cast: Option<TypeName>,
}

fn missing() -> Refusal {
    Refusal::internal("a list of values without a value")
}

fn lists(from: &mut [Node]) -> Vec<List<'_>> {
    from.iter_mut().filter_map(list).collect()
}

fn list(node: &mut Node) -> Option<List<'_>> {
    let (alias, values) = match &mut node.node {
        Some(NodeEnum::RangeSubselect(sub)) => {
            let Some(NodeEnum::SelectStmt(select)) = sub.subquery.as_deref_mut().and_then(|node| node.node.as_mut())
            else {
                return None;
            };
            if !super::dml::is_values(select) || select.with_clause.is_some() {
                return None;
            }
            let rows = select.values_lists.iter_mut().map(|row| match &mut row.node {
                Some(NodeEnum::List(row)) => Some(&mut row.items),
                Some(_) | None => None,
            });
            (sub.alias.as_ref()?, Values::Rows(rows.collect::<Option<_>>()?))
        }
        Some(NodeEnum::RangeFunction(function)) => {
            if function.is_rowsfrom || !function.coldeflist.is_empty() {
                return None;
            }
            let [Node { node: Some(NodeEnum::List(list)) }] = function.functions.as_mut_slice() else { return None };
            let Some(Node { node: Some(NodeEnum::FuncCall(call)) }) = list.items.first_mut() else { return None };
            let unnests = is_builtin(&call.funcname, "unnest") && !call.func_variadic;
            (function.alias.as_ref()?, Values::Arrays(Some(&mut call.args).filter(|_| unnests)?))
        }
        Some(_) | None => return None,
    };
    let columns = strings(&alias.colnames).into_iter().map(str::to_owned).collect();
    Some(List { name: alias.aliasname.clone(), columns, values })
}

/// The column of a list that a reference means: by its table's name, or where nothing else has one of that name.
fn found(column: &ColumnRef, lists: &[List<'_>], items: &[Item]) -> Option<(usize, usize)> {
    let at = |list: &List<'_>, name: &str| list.columns.iter().position(|column| column == name);
    match strings(&column.fields).as_slice() {
        [table, name] => {
            let index = lists.iter().position(|list| list.name == *table)?;
            Some((index, at(lists.get(index)?, name)?))
        }
        [name] => {
            let mut having = lists.iter().enumerate().filter_map(|(index, list)| Some((index, at(list, name)?)));
            let one = having.next().filter(|_| having.next().is_none())?;
            let mut others = items.iter().filter(|item| lists.iter().all(|list| list.name != item.name));
            others.all(|item| item.columns.iter().all(|column| column.name != *name)).then_some(one)
        }
        _ => None,
    }
}

fn reference(node: &Node) -> Option<&ColumnRef> {
    match &node.node {
        Some(NodeEnum::ColumnRef(column)) => Some(column),
        Some(_) | None => None,
    }
}

/// Every comparison of two column references below AND, OR and NOT.
fn compared<'n>(node: &'n Node, pairs: &mut Vec<(&'n ColumnRef, &'n ColumnRef)>) {
    match &node.node {
        Some(NodeEnum::BoolExpr(expr)) => expr.args.iter().for_each(|arg| compared(arg, pairs)),
        Some(NodeEnum::AExpr(expr)) => {
            let AExpr { lexpr: Some(left), rexpr: Some(right), .. } = &**expr else { return };
            if let (Some(left), Some(right)) = (reference(left), reference(right)) {
                pairs.extend([(left, right), (right, left)]);
            }
        }
        Some(_) | None => {}
    }
}

/// What PostgreSQL makes of values of this kind without a cast is read as the column's type would be.
fn fits_uncast(kind: &Kind, ty: LogicalType) -> bool {
    let integer = matches!(ty, LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8);
    match kind {
        Kind::Null => true,
        Kind::Untyped => is_text(ty),
        Kind::Number => integer || matches!(ty, LogicalType::Numeric(_)),
        Kind::Boolean => ty == LogicalType::Bool,
        Kind::Cast(_) => false,
    }
}

impl Binder<'_> {
    /// `from` has been bound, and gave `items` with the changed table first. `assigned` are the values that SET and the like
    /// give to columns of that table, `conditions` what it is joined by.
    pub(super) fn lists_of_values(
        &mut self,
        from: &mut [Node],
        items: &mut [Item],
        assigned: &mut [(&mut Node, Held)],
        conditions: &[&Node],
        names: &Scope<'_>,
    ) -> Result<()> {
        let lists = lists(from);
        if lists.is_empty() || self.env.catalog.has_user_function("unnest") {
            return Ok(());
        }
        let mut wanted = stores(&lists, items, assigned);
        wanted.extend(comparisons(&lists, items, conditions));
        let mut lists = lists;
        let mut done: Vec<(usize, usize, Meeting, ColumnId)> = Vec::new();
        for Wanted { list, column, to, meeting, cast } in wanted {
            match done.iter().find(|(l, c, ..)| (*l, *c) == (list, column)) {
                Some((_, _, before, id)) if *before == meeting && *id == to.column.id && cast.is_none() => continue,
                Some(_) => {
                    return Err(Refusal::unsupported(format!(
                        "a value that goes to the column {} is used elsewhere too",
                        to.column.id
                    ))
                    .hint("Send it twice.")
                    .column(&to.column.id));
                }
                None => done.push((list, column, meeting, to.column.id.clone())),
            }
            let list = lists.get_mut(list).ok_or_else(missing)?;
            let ty = self.listed(list, column, (&to, meeting, cast.as_ref()), names)?;
            let flow = Flow { ty, origins: std::collections::BTreeSet::new(), ..to };
            let shown = items.iter_mut().find(|item| item.name == list.name);
            let shown = shown.and_then(|item| item.columns.get_mut(column)).ok_or_else(missing)?;
            shown.standing = Held::Protected(flow);
        }
        Ok(())
    }

    /// One column of a list becomes cells; the type that its values have to PostgreSQL.
    fn listed(
        &mut self,
        list: &mut List<'_>,
        column: usize,
        (to, meeting, outer): (&Flow, Meeting, Option<&TypeName>),
        names: &Scope<'_>,
    ) -> Result<LogicalType> {
        if meeting == Meeting::Store {
            self.mark(to, Use::Write);
        }
        let cast_outside = outer.and_then(logical);
        let rows = match &mut list.values {
            Values::Rows(rows) => rows,
            Values::Arrays(arrays) => {
                let array = arrays.get_mut(column).ok_or_else(missing)?;
                if outer.is_some() || !self.listed_array(array, to, (meeting, names))? {
                    return Err(super::dml::computed(to, location(array)));
                }
                return Ok(to.column.ty);
            }
        };
        let mut first = Kind::Null;
        for row in rows {
            let node = row.get_mut(column).ok_or_else(missing)?;
            let (at, found) = (location(node), kind(node));
            let found = found.ok_or_else(|| super::dml::computed(to, at))?;
            if first != Kind::Null && found != Kind::Null && found != first {
                return Err(super::values::mixed(to, at));
            }
            if outer.is_some() && matches!(node.node, Some(NodeEnum::ParamRef(_))) {
                // To the client the parameter would be a text.
                return Err(super::values::mixed(to, at));
            }
            let bare = outer.is_none() && fits_uncast(&found, to.column.ty);
            if meeting == Meeting::Store && !bare {
                self.entry_cell(node, to, outer, names)?;
            } else {
                if outer.is_some() || (!bare && !matches!(found, Kind::Cast(_))) {
                    return Err(super::values::mixed(to, at));
                }
                if !matches!(self.expr(node, names)?, Ty::Value) {
                    return Err(super::dml::computed(to, at));
                }
                self.cell(node, &to.column, meeting)?;
                super::values::type_null(node);
            }
            first = if first == Kind::Null { found } else { first };
        }
        let inside = match &first {
            Kind::Cast(Some(ty)) => logical(ty),
            Kind::Untyped | Kind::Null => Some(LogicalType::Text),
            Kind::Number | Kind::Boolean | Kind::Cast(None) => None,
        };
        Ok(cast_outside.or(inside).unwrap_or(to.column.ty))
    }
}

/// The columns of lists that go to protected columns. Takes off the cast around each, which is for the list.
fn stores(lists: &[List<'_>], items: &[Item], assigned: &mut [(&mut Node, Held)]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (node, held) in assigned {
        let Held::Protected(to) = held else { continue };
        let (inner, cast) = match &node.node {
            Some(NodeEnum::TypeCast(cast)) => (cast.arg.as_deref().cloned(), cast.type_name.clone()),
            Some(_) | None => (Some((**node).clone()), None),
        };
        let Some(inner) = inner else { continue };
        if let Some((list, column)) = reference(&inner).and_then(|column| found(column, lists, items)) {
            wanted.push(Wanted { list, column, to: to.clone(), meeting: Meeting::Store, cast });
            **node = inner;
        }
    }
    wanted
}

/// The columns of lists that are compared with protected columns of the changed table.
fn comparisons(lists: &[List<'_>], items: &[Item], conditions: &[&Node]) -> Vec<Wanted> {
    let Some(changed) = items.first() else { return Vec::new() };
    let mut pairs = Vec::new();
    conditions.iter().for_each(|node| compared(node, &mut pairs));
    let protected = |column: &ColumnRef| {
        let name = match strings(&column.fields).as_slice() {
            [name] => (*name).to_owned(),
            [table, name] if *table == changed.name => (*name).to_owned(),
            _ => return None,
        };
        changed.columns.iter().find(|column| column.name == name).and_then(|column| match &column.standing {
            Held::Protected(flow) => Some(flow.clone()),
            Held::Plain | Held::Barred(_) => None,
        })
    };
    let one = |(mine, theirs): (&ColumnRef, &ColumnRef)| {
        let (list, column) = found(theirs, lists, items)?;
        let to = protected(mine)?;
        Some(Wanted { list, column, to, meeting: Meeting::Compare, cast: None })
    };
    pairs.into_iter().filter_map(one).collect()
}

/// What SET gives to columns of a table.
pub(super) fn assignments<'n>(targets: &'n mut [Node], item: &Item) -> Result<Vec<(&'n mut Node, Held)>> {
    let mut all = Vec::new();
    for node in targets {
        let Some(NodeEnum::ResTarget(target)) = &mut node.node else { continue };
        let ResTarget { name, val: Some(value), .. } = &mut **target else { continue };
        if let Some(at) = item.columns.iter().position(|column| column.name == *name) {
            all.push((&mut **value, held(item, at)?.clone()));
        }
    }
    Ok(all)
}
