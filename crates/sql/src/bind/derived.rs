//! Derived tables, in FROM and in WITH, that carry along whom their rows are about: columns behind their own, for the trace.
//!
//! Nothing of the statement may see such a column. So a query carries only where the one around it says no `*`; and where its own
//! result has protected columns, because then no row of it is taken as a whole.

use std::collections::BTreeSet;

use drieslot_schema::TableId;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, SetOperation};

use super::scope::{Carried, Scope};
use super::subjects::{HIDDEN, Source, protected, target};
use super::{Binder, Output};
use crate::census::Census;
use crate::refusal::Result;

fn says_star(select: SelectStmt) -> bool {
    let node = Node { node: Some(NodeEnum::SelectStmt(Box::new(select))) };
    Census::of(&node).map_or(true, |census| census.nodes.contains("AStar"))
}

fn is_derived(node: &Node) -> bool {
    match node.node.as_ref() {
        Some(NodeEnum::RangeSubselect(_)) => true,
        Some(NodeEnum::JoinExpr(join)) => {
            [join.larg.as_deref(), join.rarg.as_deref()].into_iter().flatten().any(is_derived)
        }
        Some(_) | None => false,
    }
}

/// What a derived table in FROM is bound from, taken out: the stars in it are its own.
fn without_queries(node: &mut Node) -> bool {
    match node.node.as_mut() {
        Some(NodeEnum::RangeSubselect(sub)) => {
            sub.subquery = None;
            !sub.lateral
        }
        Some(NodeEnum::JoinExpr(join)) => {
            let sides = [join.larg.as_deref_mut(), join.rarg.as_deref_mut()];
            sides.into_iter().flatten().all(without_queries)
        }
        Some(_) | None => true,
    }
}

/// Whether a query names the columns that it takes of the derived tables in its FROM.
pub(super) fn names_in_from(select: &SelectStmt) -> bool {
    if !select.from_clause.iter().any(is_derived) {
        return false;
    }
    let mut around = SelectStmt { with_clause: None, ..select.clone() };
    around.from_clause.iter_mut().all(without_queries) && !says_star(around)
}

/// The same of the queries in its WITH, which any part of it may name.
pub(super) fn names_in_with(select: &SelectStmt) -> bool {
    let plain = select.op == SetOperation::SetopNone as i32;
    select.with_clause.as_ref().is_some_and(|with| !with.recursive) && plain && !says_star(select.clone())
}

impl Binder<'_> {
    /// A query whose result is a table of the one around it.
    pub(super) fn derived(&mut self, query: &mut Node, outer: &Scope<'_>) -> Result<(Vec<Output>, Vec<Carried>)> {
        self.carries = self.carrying;
        let outputs = self.query(query, Some(outer))?;
        self.carries = false;
        Ok((outputs, std::mem::take(&mut self.carried)))
    }

    /// Adds the columns that say whom the rows of the tables are about whose values come out.
    pub(super) fn carry_subjects(&mut self, targets: &mut Vec<Node>, outputs: &[Output], scope: &Scope<'_>) {
        let read: BTreeSet<TableId> = outputs
            .iter()
            .filter_map(protected)
            .flat_map(|flow| flow.origins.iter().map(|column| column.table.clone()))
            .collect();
        if outputs.iter().any(|output| output.name.starts_with(HIDDEN)) {
            return;
        }
        let shown = self.shown_tables(outputs);
        let mut carried = Vec::new();
        for table in read {
            let sources = self.sources(&table, scope);
            if shown.contains(&table) && sources.len() < 2 {
                continue;
            }
            for Source { node, column, realm, ty } in sources {
                let name = format!("{HIDDEN}_{}", carried.len() + 1);
                targets.push(target(name.clone(), node));
                carried.push(Carried { table: table.clone(), name, column, realm, ty });
            }
        }
        self.carried = carried;
    }
}
