//! SELECT, VALUES, set operations, and what their clauses may do with protected values.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ResTarget, SelectStmt, SetOperation, a_const::Val};

use super::aggregates::has_aggregates;
use super::scope::Scope;
use super::subjects::Rows;
use super::value::{Meeting, cast_of};
use super::{Binder, Flow, Output, Ty, derived, extreme, names, not_allowed, unsupported};
use crate::refusal::{Refusal, Result};
use crate::statement::Use;
use crate::types::{common, is_builtin, string};

/// Where a query stands.
#[derive(Clone, Copy)]
struct Place {
    /// Its rows go to the client.
    outermost: bool,
    /// Its rows become those of one that tells whom they are about.
    carries: bool,
}

impl Place {
    fn tells(self) -> bool {
        self.outermost || self.carries
    }
}

/// Where a GROUP BY, DISTINCT ON or ORDER BY entry finds a bare name first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefer {
    Input,
    Output,
}

impl Binder<'_> {
    /// Any query; its result columns.
    pub(super) fn query(&mut self, node: &mut Node, outer: Option<&Scope<'_>>) -> Result<Vec<Output>> {
        self.carries &= matches!(node.node, Some(NodeEnum::SelectStmt(_)));
        match &mut node.node {
            Some(NodeEnum::SelectStmt(select)) => self.select(select, outer),
            Some(NodeEnum::InsertStmt(insert)) => self.insert(insert, outer),
            Some(NodeEnum::UpdateStmt(update)) => self.update(update, outer),
            Some(NodeEnum::DeleteStmt(delete)) => self.delete(delete, outer),
            Some(NodeEnum::MergeStmt(merge)) => self.merge(merge, outer),
            _ => Err(unsupported(node, 0)),
        }
    }

    fn select(&mut self, select: &mut SelectStmt, outer: Option<&Scope<'_>>) -> Result<Vec<Output>> {
        if select.into_clause.is_some() {
            return Err(Refusal::unsupported("SELECT INTO is not possible with protected columns")
                .hint("Create the table through the gateway under a classification, then INSERT … SELECT."));
        }
        let place =
            Place { outermost: std::mem::take(&mut self.outermost), carries: std::mem::take(&mut self.carries) };
        let outermost = place.outermost;
        let mut names = Scope { parent: outer, ..Scope::default() };
        let before = std::mem::replace(&mut self.carrying, place.tells() && derived::names_in_with(select));
        self.with(select.with_clause.as_mut(), &mut names)?;
        self.carrying = before;
        let outputs = if !select.values_lists.is_empty() {
            self.values(select, &names)?
        } else if select.op != SetOperation::SetopNone as i32 {
            let outputs = self.set_operation(select, &names)?;
            if outermost {
                self.note_subjects_of_set(&outputs);
            }
            return Ok(outputs);
        } else {
            return self.simple(select, &names, place);
        };
        self.limits(select, &names)?;
        self.order(&mut select.sort_clause, &outputs, &names)?;
        Ok(outputs)
    }

    fn limits(&mut self, select: &mut SelectStmt, scope: &Scope<'_>) -> Result<()> {
        for node in [select.limit_count.as_deref_mut(), select.limit_offset.as_deref_mut()].into_iter().flatten() {
            let ty = self.expr(node, scope)?;
            self.plain(&ty, "LIMIT", 0)?;
        }
        Ok(())
    }

    fn simple(&mut self, select: &mut SelectStmt, names: &Scope<'_>, place: Place) -> Result<Vec<Output>> {
        let outermost = place.outermost;
        let before = std::mem::replace(&mut self.carrying, place.tells() && derived::names_in_from(select));
        let items = self.items_of(&mut select.from_clause, names)?;
        self.carrying = before;
        let scope = Scope { items, ctes: Vec::new(), parent: Some(names) };
        if let Some(clause) = select.where_clause.as_deref_mut() {
            self.condition(clause, &scope)?;
        }
        let rows = if place.tells() { rows(select, &scope)? } else { Rows::Each };
        let extreme = extreme::is_alone(select);
        let outputs = self.targets(&mut select.target_list, &scope)?;
        if let (Some(extreme), [Output { ty: Ty::Protected(_), .. }]) = (extreme, outputs.as_slice())
            && scope.is_of_here(&extreme.column)
        {
            extreme::from_index(select, extreme.greatest)?;
        }
        for node in &mut select.group_clause {
            self.group(node, &outputs, &scope)?;
        }
        if let Some(clause) = select.having_clause.as_deref_mut() {
            self.condition(clause, &scope)?;
        }
        for node in &mut select.window_clause {
            let Some(NodeEnum::WindowDef(window)) = &mut node.node else { return Err(unsupported(node, 0)) };
            self.window(window, &scope)?;
        }
        self.distinct(select, &outputs, &scope)?;
        self.order(&mut select.sort_clause, &outputs, &scope)?;
        self.limits(select, names)?;
        if outermost && (!self.uses.is_empty() || outputs.iter().any(|output| matches!(output.ty, Ty::Protected(_)))) {
            self.note_subjects(&mut select.target_list, &outputs, &scope, rows);
        }
        if place.carries && rows == Rows::Each {
            self.carry_subjects(&mut select.target_list, &outputs, &scope);
        }
        Ok(outputs)
    }

    /// A target list, `*` expanded.
    pub(super) fn targets(&mut self, nodes: &mut [Node], scope: &Scope<'_>) -> Result<Vec<Output>> {
        let mut outputs = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(NodeEnum::ResTarget(target)) = &mut node.node else { return Err(unsupported(node, 0)) };
            if let Some(star) = star(target) {
                let (table, location) = star?;
                let table = table.as_ref().map(|(schema, name)| (schema.as_deref(), name.as_str()));
                outputs.extend(scope.star(table, location)?);
                continue;
            }
            outputs.push(self.target(target, scope)?);
        }
        Ok(outputs)
    }

    fn target(&mut self, target: &mut ResTarget, scope: &Scope<'_>) -> Result<Output> {
        let value = target.val.as_deref_mut().ok_or_else(|| Refusal::internal("a target without a value"))?;
        let name = if target.name.is_empty() { names::of(value) } else { target.name.clone() };
        let ty = self.expr(value, scope)?;
        if target.name.is_empty() && names::of(value) != name {
            target.name.clone_from(&name);
        }
        Ok(Output { name, ty })
    }

    fn values(&mut self, select: &mut SelectStmt, scope: &Scope<'_>) -> Result<Vec<Output>> {
        let mut outputs: Vec<Output> = Vec::new();
        for (index, row) in select.values_lists.iter_mut().enumerate() {
            let Some(NodeEnum::List(row)) = &mut row.node else { return Err(unsupported(row, 0)) };
            for (at, node) in row.items.iter_mut().enumerate() {
                let ty = self.expr(node, scope)?;
                if let Ty::Protected(flow) = &ty {
                    return Err(not_allowed(flow, "VALUES", 0));
                }
                if index == 0 {
                    outputs.push(Output { name: format!("column{}", at + 1), ty });
                } else if let (Some(output), Ty::Plain) = (outputs.get_mut(at), &ty) {
                    output.ty = Ty::Plain;
                }
            }
        }
        Ok(outputs)
    }

    fn set_operation(&mut self, select: &mut SelectStmt, names: &Scope<'_>) -> Result<Vec<Output>> {
        let missing = || Refusal::internal("a set operation without a side");
        let left = self.select(select.larg.as_deref_mut().ok_or_else(missing)?, Some(names))?;
        let right = self.select(select.rarg.as_deref_mut().ok_or_else(missing)?, Some(names))?;
        if left.len() != right.len() {
            return Err(Refusal::new("42601", "each side of a set operation must have the same number of columns"));
        }
        let mut outputs = Vec::with_capacity(left.len());
        for (at, (left, right)) in left.into_iter().zip(right).enumerate() {
            let ty = match (left.ty, right.ty) {
                (Ty::Protected(a), Ty::Protected(b)) => Ty::Protected(self.merged(&a, &b, 0)?),
                (Ty::Protected(flow), Ty::Value) => {
                    let side = select.rarg.as_deref_mut().ok_or_else(missing)?;
                    let cast = convert(self, side, at, &flow, Meeting::Beside)?;
                    let ty = cast.and_then(|cast| common(flow.ty, cast));
                    Ty::Protected(
                        ty.map_or_else(|| super::expr::beside(flow.clone()), |ty| Flow { ty, ..flow.clone() }),
                    )
                }
                (Ty::Value, Ty::Protected(flow)) => {
                    let side = select.larg.as_deref_mut().ok_or_else(missing)?;
                    let cast = convert(self, side, at, &flow, Meeting::Beside)?;
                    let ty = cast.and_then(|cast| common(cast, flow.ty));
                    Ty::Protected(
                        ty.map_or_else(|| super::expr::beside(flow.clone()), |ty| Flow { ty, ..flow.clone() }),
                    )
                }
                (Ty::Protected(flow), Ty::Plain) | (Ty::Plain, Ty::Protected(flow)) => {
                    return Err(not_allowed(&flow, "a set operation with a plain column", 0));
                }
                (Ty::Value, Ty::Value) => Ty::Value,
                (Ty::Plain | Ty::Value, Ty::Plain | Ty::Value) => Ty::Plain,
            };
            if let Ty::Protected(flow) = &ty
                && !(select.all && select.op == SetOperation::SetopUnion as i32)
            {
                self.compared(flow, "UNION, INTERSECT or EXCEPT", 0)?;
            }
            outputs.push(Output { name: left.name, ty });
        }
        self.limits(select, names)?;
        self.order_by_output(&select.sort_clause, &outputs)?;
        Ok(outputs)
    }

    /// The values of a query's result column become cells, where they are literals.
    pub(super) fn convert_output(&mut self, node: &mut Node, at: usize, flow: &Flow, meeting: Meeting) -> Result<()> {
        match &mut node.node {
            Some(NodeEnum::SelectStmt(select)) => convert(self, select, at, flow, meeting).map(|_| ()),
            _ => Err(unsupported(node, 0)),
        }
    }

    fn group(&mut self, node: &mut Node, outputs: &[Output], scope: &Scope<'_>) -> Result<()> {
        match &mut node.node {
            Some(NodeEnum::GroupingSet(set)) => {
                for node in &mut set.content {
                    self.group(node, outputs, scope)?;
                }
                return Ok(());
            }
            Some(NodeEnum::RowExpr(row)) => {
                for node in &mut row.args {
                    self.group(node, outputs, scope)?;
                }
                return Ok(());
            }
            _ => {}
        }
        for flow in self.entry(node, outputs, scope, Prefer::Input)? {
            self.compared(&flow, "GROUP BY", location(node))?;
        }
        Ok(())
    }

    fn distinct(&mut self, select: &mut SelectStmt, outputs: &[Output], scope: &Scope<'_>) -> Result<()> {
        let everything = matches!(select.distinct_clause.as_slice(), [Node { node: None }]);
        if everything {
            for output in outputs {
                if let Ty::Protected(flow) = &output.ty {
                    self.compared(flow, "DISTINCT", 0)?;
                }
            }
            return Ok(());
        }
        for node in &mut select.distinct_clause {
            for flow in self.entry(node, outputs, scope, Prefer::Output)? {
                self.compared(&flow, "DISTINCT ON", location(node))?;
            }
        }
        Ok(())
    }

    fn order(&mut self, nodes: &mut [Node], outputs: &[Output], scope: &Scope<'_>) -> Result<()> {
        for node in nodes {
            let Some(NodeEnum::SortBy(sort)) = &mut node.node else { return Err(unsupported(node, 0)) };
            let Some(by) = sort.node.as_deref_mut() else { return Err(Refusal::internal("ORDER BY nothing")) };
            let (built_in, at) = (self.sorts_as_usual(&sort.use_op), location(by));
            for flow in self.entry(by, outputs, scope, Prefer::Output)? {
                self.sorted(&flow, "ORDER BY", at)?;
                if !built_in {
                    return Err(not_allowed(&flow, "ORDER BY … USING another operator than < or >", at));
                }
            }
        }
        Ok(())
    }

    fn order_by_output(&mut self, nodes: &[Node], outputs: &[Output]) -> Result<()> {
        for node in nodes {
            let Some(NodeEnum::SortBy(sort)) = &node.node else { return Err(unsupported(node, 0)) };
            let Some(by) = sort.node.as_deref() else { return Err(Refusal::internal("ORDER BY nothing")) };
            let found = output_entry(by, outputs)?;
            let Some(found) = found else {
                return Err(Refusal::unsupported("ORDER BY of a set operation takes a column's name or number")
                    .at(location(by)));
            };
            for flow in found {
                self.sorted(&flow, "ORDER BY", location(by))?;
                if !self.sorts_as_usual(&sort.use_op) {
                    return Err(not_allowed(&flow, "ORDER BY … USING another operator than < or >", location(by)));
                }
            }
        }
        Ok(())
    }

    /// What a GROUP BY, DISTINCT ON or ORDER BY entry is: a column's number, a name of the result, or an expression.
    fn entry(&mut self, node: &mut Node, outputs: &[Output], scope: &Scope<'_>, prefer: Prefer) -> Result<Vec<Flow>> {
        let input_first = match bare_name(node).filter(|_| prefer == Prefer::Input) {
            Some(name) => scope.has_here(name).unwrap_or_else(|| {
                // A function's result may have it too: then nothing protected may bear the name.
                let protected = |output: &Output| output.name == name && matches!(output.ty, Ty::Protected(_));
                outputs.iter().any(protected)
            }),
            None => false,
        };
        if !input_first && let Some(found) = output_entry(node, outputs)? {
            return Ok(found);
        }
        Ok(match self.expr(node, scope)? {
            Ty::Protected(flow) => vec![flow],
            Ty::Plain | Ty::Value => Vec::new(),
        })
    }

    /// Whether cells sort by the operator as their values do.
    fn sorts_as_usual(&self, operator: &[Node]) -> bool {
        operator.is_empty()
            || ["<", ">"].iter().any(|name| is_builtin(operator, name) && !self.env.catalog.has_user_operator(name))
    }

    /// ORDER BY in an aggregate or a window, where a name or number is no column of the result; the protected values
    /// among its entries.
    pub(super) fn order_inside(&mut self, nodes: &mut [Node], scope: &Scope<'_>) -> Result<Vec<Flow>> {
        let mut flows = Vec::new();
        for node in nodes {
            let Some(NodeEnum::SortBy(sort)) = &mut node.node else { return Err(unsupported(node, 0)) };
            let Some(by) = sort.node.as_deref_mut() else { return Err(Refusal::internal("ORDER BY nothing")) };
            if let Ty::Protected(flow) = self.expr(by, scope)? {
                self.sorted(&flow, "ORDER BY", location(by))?;
                if !self.sorts_as_usual(&sort.use_op) {
                    return Err(not_allowed(&flow, "ORDER BY … USING another operator than < or >", location(by)));
                }
                flows.push(flow);
            }
        }
        Ok(flows)
    }

    /// Notes the reading of every protected column among the outputs.
    pub(super) fn read(&mut self, outputs: &[Output]) {
        for output in outputs {
            if let Ty::Protected(flow) = &output.ty {
                self.mark(flow, Use::Read);
            }
        }
    }
}

/// How the rows of a query come from those of its tables; before anything in it is rewritten.
fn rows(select: &SelectStmt, scope: &Scope<'_>) -> Result<Rows> {
    if has_aggregates(select, scope)? {
        return Ok(Rows::Grouped);
    }
    let distinct = matches!(select.distinct_clause.as_slice(), [Node { node: None }]);
    Ok(if distinct { Rows::Distinct } else { Rows::Each })
}

/// Turns the literals of a result column into cells; gives the type that all were cast to.
fn convert(
    binder: &mut Binder<'_>,
    select: &mut SelectStmt,
    at: usize,
    flow: &Flow,
    meeting: Meeting,
) -> Result<Option<LogicalType>> {
    let mut casts: Vec<Option<LogicalType>> = Vec::new();
    for side in [select.larg.as_deref_mut(), select.rarg.as_deref_mut()].into_iter().flatten() {
        casts.push(convert(binder, side, at, flow, meeting)?);
    }
    let mixes = select.larg.is_some() && !(select.all && select.op == SetOperation::SetopUnion as i32);
    if mixes && !flow.column.protection.shows_equality() {
        return Err(not_allowed(flow, "UNION, INTERSECT or EXCEPT", 0));
    }
    if !select.values_lists.is_empty() && !select.sort_clause.is_empty() {
        binder.sorted(flow, "ORDER BY", 0)?;
    }
    for row in &mut select.values_lists {
        let Some(NodeEnum::List(row)) = &mut row.node else { return Err(unsupported(row, 0)) };
        let node =
            row.items.get_mut(at).ok_or_else(|| Refusal::new("42601", "VALUES lists must all be the same length"))?;
        casts.push(cast_of(node));
        binder.cell(node, &flow.column, meeting)?;
    }
    if select.target_list.is_empty() {
        return Ok(one_of(&casts));
    }
    let before_star = select.target_list.iter().take(at + 1).all(|node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => star(target).is_none(),
        Some(_) | None => false,
    });
    let Some(Node { node: Some(NodeEnum::ResTarget(target)) }) = select.target_list.get_mut(at).filter(|_| before_star)
    else {
        return Err(not_allowed(flow, "a literal after *", 0));
    };
    let Some(value) = target.val.as_deref_mut() else { return Err(Refusal::internal("a target without a value")) };
    if target.name.is_empty() {
        target.name = names::of(value);
    }
    casts.push(cast_of(value));
    binder.cell(value, &flow.column, meeting)?;
    Ok(one_of(&casts))
}

/// The type that all are.
fn one_of(casts: &[Option<LogicalType>]) -> Option<LogicalType> {
    let first = casts.first().copied().flatten();
    first.filter(|first| casts.iter().all(|cast| *cast == Some(*first)))
}

fn bare_name(node: &Node) -> Option<&str> {
    let Some(NodeEnum::ColumnRef(column)) = &node.node else { return None };
    match column.fields.as_slice() {
        [name] => string(name),
        _ => None,
    }
}

/// A column number or a name of the result; `None` where the entry is neither.
fn output_entry(node: &Node, outputs: &[Output]) -> Result<Option<Vec<Flow>>> {
    let flows = |outputs: &mut dyn Iterator<Item = &Output>| -> Vec<Flow> {
        outputs
            .filter_map(|output| match &output.ty {
                Ty::Protected(flow) => Some(flow.clone()),
                Ty::Plain | Ty::Value => None,
            })
            .collect()
    };
    if let Some(NodeEnum::AConst(constant)) = &node.node
        && let Some(Val::Ival(number)) = &constant.val
    {
        let at = usize::try_from(number.ival).ok().and_then(|number| number.checked_sub(1));
        let output = at
            .and_then(|at| outputs.get(at))
            .ok_or_else(|| Refusal::new("42P10", "position is not in select list").at(constant.location))?;
        return Ok(Some(flows(&mut std::iter::once(output))));
    }
    let Some(name) = bare_name(node) else { return Ok(None) };
    if outputs.iter().all(|output| output.name != name) {
        return Ok(None);
    }
    Ok(Some(flows(&mut outputs.iter().filter(|output| output.name == name))))
}

pub(super) fn location(node: &Node) -> i32 {
    match &node.node {
        Some(NodeEnum::ColumnRef(node)) => node.location,
        Some(NodeEnum::FuncCall(node)) => node.location,
        Some(NodeEnum::AExpr(node)) => node.location,
        Some(NodeEnum::TypeCast(node)) => node.location,
        Some(NodeEnum::SubLink(node)) => node.location,
        Some(NodeEnum::AConst(node)) => node.location,
        Some(NodeEnum::ParamRef(node)) => node.location,
        Some(_) | None => 0,
    }
}

type Star = (Option<(Option<String>, String)>, i32);

/// The table before a star, where the target is a star.
pub(super) fn star(target: &ResTarget) -> Option<Result<Star>> {
    let Some(NodeEnum::ColumnRef(column)) = target.val.as_deref().and_then(|node| node.node.as_ref()) else {
        return None;
    };
    let [before @ .., Node { node: Some(NodeEnum::AStar(_)) }] = column.fields.as_slice() else { return None };
    let names = crate::types::strings(before);
    Some(match names.as_slice() {
        [] => Ok((None, column.location)),
        [table] => Ok((Some((None, (*table).to_owned())), column.location)),
        [schema, table] => Ok((Some((Some((*schema).to_owned()), (*table).to_owned())), column.location)),
        _ => Err(Refusal::unsupported("a name of four parts is not supported").at(column.location)),
    })
}
