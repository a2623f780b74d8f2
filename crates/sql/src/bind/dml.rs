//! INSERT, UPDATE, DELETE: which value goes to which column, every row of it.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    DeleteStmt, InsertStmt, Node, OnConflictClause, RangeVar, ResTarget, ReturningClause, ReturningOptionKind,
    SelectStmt, UpdateStmt,
};

use super::from::apply_alias;
use super::scope::{Held, Item, Scope};
use super::subjects::Rows;
use super::value::Meeting;
use super::{Binder, Flow, Output, Ty, not_allowed, unsupported};
use crate::refusal::{Refusal, Result};
use crate::statement::Use;
use crate::types::{common, is_within};
use drieslot_schema::{ColumnId, LogicalType};

pub(super) fn missing() -> Refusal {
    Refusal::internal("a statement without its table")
}

impl Binder<'_> {
    /// The relation that a statement changes, under its alias.
    pub(super) fn target_table(&mut self, range: Option<&mut RangeVar>) -> Result<Item> {
        let range = range.ok_or_else(missing)?;
        let at = range.location;
        let mut item = self.table(range)?;
        if !item.system_columns {
            let name = &item.name;
            return Err(Refusal::unsupported(format!("view {name} is not changed beside protected columns"))
                .hint("Change the table itself.")
                .at(at));
        }
        // The target list needs the real names, which a column alias cannot change here.
        apply_alias(&mut item, range.alias.as_ref());
        Ok(item)
    }

    pub(super) fn insert(&mut self, insert: &mut InsertStmt, outer: Option<&Scope<'_>>) -> Result<Vec<Output>> {
        let mut names = Scope { parent: outer, ..Scope::default() };
        let outermost = std::mem::take(&mut self.outermost);
        self.with(insert.with_clause.as_mut(), &mut names)?;
        let item = self.target_table(insert.relation.as_mut())?;
        let absent = self.defaults_left_out(insert, &item)?;
        let targets = insert_targets(&item, &insert.cols)?;
        if let Some(source) = insert.select_stmt.as_deref_mut() {
            self.insert_source(source, &item, &targets, !insert.cols.is_empty(), &names)?;
        }
        self.fill_defaults(insert, &item, &absent)?;
        if let Some(conflict) = insert.on_conflict_clause.as_deref_mut() {
            self.on_conflict(conflict, &item, &names)?;
        }
        let scope = Scope { items: vec![item], ctes: Vec::new(), parent: Some(&names) };
        self.returning(&mut insert.returning_clause, &scope, outermost, |_| true)
    }

    fn insert_source(
        &mut self,
        source: &mut Node,
        item: &Item,
        targets: &[usize],
        listed: bool,
        names: &Scope<'_>,
    ) -> Result<()> {
        let Some(NodeEnum::SelectStmt(select)) = &mut source.node else { return Err(unsupported(source, 0)) };
        if is_values(select) {
            let mut inner = Scope { parent: Some(names), ..Scope::default() };
            self.with(select.with_clause.as_mut(), &mut inner)?;
            for row in &mut select.values_lists {
                let Some(NodeEnum::List(row)) = &mut row.node else { return Err(unsupported(row, 0)) };
                check_count(row.items.len(), targets.len(), listed)?;
                for (node, target) in row.items.iter_mut().zip(targets) {
                    self.assign(node, item, *target, &inner)?;
                }
            }
            return Ok(());
        }
        if let Some(feed) = super::values::feed(select) {
            check_count(select.target_list.len(), targets.len(), listed)?;
            return self.fed(select, &feed, item, targets, names);
        }
        if let Some(call) = super::unnest::call(select).filter(|_| !self.env.catalog.has_user_function("unnest")) {
            check_count(call.args.len(), targets.len(), listed)?;
            return self.unnested(call, item, targets, names);
        }
        if super::unnest::is_list(select) && !self.env.catalog.has_user_function("unnest") {
            check_count(select.target_list.len(), targets.len(), listed)?;
            return self.unnested_list(select, item, targets, names);
        }
        let outputs = self.query(source, Some(names))?;
        check_count(outputs.len(), targets.len(), listed)?;
        for (at, (output, target)) in outputs.iter().zip(targets).enumerate() {
            self.assign_output(&output.ty, (&mut *source, at), held(item, *target)?)?;
        }
        Ok(())
    }

    /// One column of a query's result goes to one column.
    pub(super) fn assign_output(&mut self, ty: &Ty, (query, at): (&mut Node, usize), to: &Held) -> Result<()> {
        match (to, ty) {
            (Held::Barred(refusal), _) => Err((**refusal).clone()),
            (Held::Plain, Ty::Protected(flow)) => Err(not_allowed(flow, "storing it in a plain column", 0)),
            (Held::Plain, Ty::Plain | Ty::Value) => Ok(()),
            (Held::Protected(to), Ty::Protected(from)) => self.stored(to, from, 0),
            (Held::Protected(to), Ty::Value) => {
                self.mark(to, Use::Write);
                self.convert_output(query, at, to, Meeting::Store)
            }
            (Held::Protected(to), Ty::Plain) => Err(computed(to, 0)),
        }
    }

    /// One value goes to one column.
    pub(super) fn assign(&mut self, node: &mut Node, item: &Item, target: usize, scope: &Scope<'_>) -> Result<()> {
        let at = super::select::location(node);
        let default = matches!(node.node, Some(NodeEnum::SetToDefault(_)));
        let held = held(item, target)?;
        if let Held::Protected(to) = held {
            self.mark(to, Use::Write);
        }
        if let Held::Barred(refusal) = held {
            return Err((**refusal).clone().at(at));
        }
        if default {
            if let Held::Protected(to) = held
                && let Some(cell) = self.default_cell(to)?
            {
                *node = cell;
            }
            return Ok(());
        }
        if let Held::Protected(to) = held
            && super::cases::is_case_of_values(node)
        {
            return self.case_of_values(node, to, scope);
        }
        let ty = self.expr(node, scope)?;
        match (held, ty) {
            (Held::Protected(to), Ty::Value) => self.cell(node, &to.column, Meeting::Store),
            (Held::Protected(to), Ty::Protected(from)) => self.stored(to, &from, at),
            (Held::Protected(to), Ty::Plain) => Err(computed(to, at)),
            (Held::Plain | Held::Barred(_), Ty::Protected(flow)) => {
                Err(not_allowed(&flow, "storing it in a plain column", at))
            }
            (Held::Plain | Held::Barred(_), Ty::Plain | Ty::Value) => Ok(()),
        }
    }

    /// Cells of one column are stored in another.
    pub(super) fn stored(&mut self, to: &Flow, from: &Flow, at: i32) -> Result<()> {
        // Without an origin they were made for the column in this statement.
        let made = to.column.id == from.column.id && from.origins.is_empty();
        let same = made || (to.column.id == from.column.id && from.origins.len() == 1);
        let domain = to.column.domain == from.column.domain
            && to.column.protection.shows_equality()
            && from.column.protection == to.column.protection;
        if !same && !domain {
            let message = format!("cells of {} cannot be stored in {}", from.column.id, to.column.id);
            return Err(Refusal::unsupported(message)
                .detail("They are sealed under another key or for another column.")
                .hint("Read the values and write them again, or classify both columns as `exact` in one domain.")
                .column(&to.column.id)
                .at(at));
        }
        if !made && !fits(from.ty, to.column.ty) {
            let message = format!(
                "values of type {} cannot be moved to column {} of type {} without looking at them",
                from.ty, to.column.id, to.column.ty
            );
            return Err(Refusal::unsupported(message)
                .hint("Read the values and write them again.")
                .column(&to.column.id)
                .at(at));
        }
        self.mark(from, Use::Read);
        self.mark(to, Use::Write);
        Ok(())
    }

    fn on_conflict(&mut self, conflict: &mut OnConflictClause, item: &Item, names: &Scope<'_>) -> Result<()> {
        let excluded =
            Item { name: "excluded".to_owned(), table: None, by_column: false, system_columns: false, ..item.clone() };
        let alone = Scope { items: vec![item.clone()], ctes: Vec::new(), parent: Some(names) };
        if let Some(infer) = conflict.infer.as_deref_mut() {
            for node in &mut infer.index_elems {
                let Some(NodeEnum::IndexElem(elem)) = &mut node.node else { return Err(unsupported(node, 0)) };
                let ty = match elem.expr.as_deref_mut() {
                    Some(expr) => {
                        let ty = self.expr(expr, &alone)?;
                        self.plain(&ty, "ON CONFLICT on an expression", 0)?;
                        continue;
                    }
                    None => alone.unqualified(&elem.name, 0)?,
                };
                if let Ty::Protected(flow) = ty {
                    self.compared(&flow, "ON CONFLICT", infer.location)?;
                    if !elem.collation.is_empty() || !elem.opclass.is_empty() {
                        return Err(not_allowed(&flow, "COLLATE or an operator class", infer.location));
                    }
                }
            }
            if let Some(clause) = infer.where_clause.as_deref_mut() {
                self.condition(clause, &alone)?;
            }
        }
        // Both tables answer to bare names only as far as PostgreSQL lets them: `excluded` needs its name.
        let both = Scope { items: vec![item.clone(), excluded], ctes: Vec::new(), parent: Some(names) };
        self.assignments(&mut conflict.target_list, item, &both)?;
        match conflict.where_clause.as_deref_mut() {
            Some(clause) => self.condition(clause, &both),
            None => Ok(()),
        }
    }

    pub(super) fn update(&mut self, update: &mut UpdateStmt, outer: Option<&Scope<'_>>) -> Result<Vec<Output>> {
        let mut names = Scope { parent: outer, ..Scope::default() };
        let outermost = std::mem::take(&mut self.outermost);
        self.with(update.with_clause.as_mut(), &mut names)?;
        let item = self.target_table(update.relation.as_mut())?;
        let mut items = self.items_after(&mut update.from_clause, &names, vec![item.clone()])?;
        let mut assigned = super::sources::assignments(&mut update.target_list, &item)?;
        let conditions: Vec<&Node> = update.where_clause.as_deref().into_iter().collect();
        self.lists_of_values(&mut update.from_clause, &mut items, &mut assigned, &conditions, &names)?;
        let scope = Scope { items, ctes: Vec::new(), parent: Some(&names) };
        self.assignments(&mut update.target_list, &item, &scope)?;
        if let Some(clause) = update.where_clause.as_deref_mut() {
            self.condition(clause, &scope)?;
        }
        let set: Vec<String> = update.target_list.iter().filter_map(assigned_name).collect();
        self.returning(&mut update.returning_clause, &scope, outermost, |column| set.contains(&column.column))
    }

    pub(super) fn delete(&mut self, delete: &mut DeleteStmt, outer: Option<&Scope<'_>>) -> Result<Vec<Output>> {
        let mut names = Scope { parent: outer, ..Scope::default() };
        let outermost = std::mem::take(&mut self.outermost);
        self.with(delete.with_clause.as_mut(), &mut names)?;
        let item = self.target_table(delete.relation.as_mut())?;
        self.deleted(&item);
        let items = self.items_after(&mut delete.using_clause, &names, vec![item])?;
        let scope = Scope { items, ctes: Vec::new(), parent: Some(&names) };
        if let Some(clause) = delete.where_clause.as_deref_mut() {
            self.condition(clause, &scope)?;
        }
        self.returning(&mut delete.returning_clause, &scope, outermost, |_| false)
    }

    /// `is_new` tells whose values the statement itself brings: what may match is asked for before there are any.
    pub(super) fn returning(
        &mut self,
        clause: &mut Option<ReturningClause>,
        own: &Scope<'_>,
        outermost: bool,
        is_new: impl Fn(&ColumnId) -> bool,
    ) -> Result<Vec<Output>> {
        let Some(clause) = clause else {
            if outermost {
                *clause = self.note_written(own);
            }
            return Ok(Vec::new());
        };
        let scope = &with_old_and_new(clause, own)?;
        let before = self.searches.len();
        let outputs = self.targets(&mut clause.exprs, scope)?;
        let mut searched = self.searches.iter().skip(before).flat_map(|search| &search.places);
        if let Some(column) = searched.find(|column| is_new(column)) {
            return Err(Refusal::unsupported(format!(
                "a search of new values of {column} in RETURNING is not possible"
            ))
            .hint("Return the column and search it in the application, or ask for it in a statement of its own.")
            .column(column));
        }
        self.read(&outputs);
        if outermost && !self.uses.is_empty() {
            self.note_subjects(&mut clause.exprs, &outputs, own, Rows::Each);
        }
        Ok(outputs)
    }
}

fn assigned_name(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::ResTarget(target)) => Some(target.name.clone()),
        Some(_) | None => None,
    }
}

/// What RETURNING sees: from PostgreSQL 18 on, the changed table's rows before and after too, under names of their own.
fn with_old_and_new<'p>(clause: &ReturningClause, scope: &Scope<'p>) -> Result<Scope<'p>> {
    let mut scope = scope.clone();
    let Some(changed) = scope.items.first().cloned() else { return Ok(scope) };
    let (mut old, mut new) = ("old".to_owned(), "new".to_owned());
    for node in &clause.options {
        let Some(NodeEnum::ReturningOption(option)) = &node.node else { return Err(unsupported(node, 0)) };
        let is_old = option.option == ReturningOptionKind::ReturningOptionOld as i32;
        option.value.clone_into(if is_old { &mut old } else { &mut new });
    }
    for name in [old, new] {
        if scope.items.iter().all(|item| item.name != name) {
            scope.items.push(Item { name, table: None, by_column: false, by_name: true, ..changed.clone() });
        }
    }
    Ok(scope)
}

/// Whether a value of one column is as it is a value of the other.
fn fits(from: LogicalType, to: LogicalType) -> bool {
    is_within(from, to) || (to == LogicalType::Numeric(None) && common(from, to).is_some())
}

pub(super) fn is_values(select: &SelectStmt) -> bool {
    !select.values_lists.is_empty()
        && select.sort_clause.is_empty()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
}

pub(super) fn computed(to: &Flow, at: i32) -> Refusal {
    Refusal::unsupported(format!("column {} takes a literal or a parameter, not an expression", to.column.id))
        .detail("The processor would compute the value and so see it.")
        .hint("Compute the value in the application and send it as a parameter.")
        .column(&to.column.id)
        .at(at)
}

pub(super) fn held(item: &Item, at: usize) -> Result<&Held> {
    item.columns.get(at).map(|column| &column.standing).ok_or_else(missing)
}

fn check_count(values: usize, targets: usize, listed: bool) -> Result<()> {
    if values > targets {
        return Err(Refusal::new("42601", "INSERT has more expressions than target columns"));
    }
    if listed && values < targets {
        return Err(Refusal::new("42601", "INSERT has more target columns than expressions"));
    }
    Ok(())
}

pub(super) fn target_column(item: &Item, target: &ResTarget) -> Result<usize> {
    let found = item.columns.iter().position(|column| column.name == target.name).ok_or_else(|| {
        let message = format!("column \"{}\" of relation \"{}\" does not exist", target.name, item.name);
        Refusal::new("42703", message).at(target.location).stale()
    })?;
    if !target.indirection.is_empty() {
        return Err(Refusal::unsupported(
            "assignment to a part of a column is not supported beside protected columns yet",
        )
        .at(target.location));
    }
    Ok(found)
}

pub(super) fn insert_targets(item: &Item, cols: &[Node]) -> Result<Vec<usize>> {
    if cols.is_empty() {
        return Ok((0..item.columns.len()).collect());
    }
    cols.iter()
        .map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => target_column(item, target),
            Some(_) | None => Err(unsupported(node, 0)),
        })
        .collect()
}
