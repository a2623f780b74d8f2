//! Defaults of sealed columns: the gateway gives them itself, a fresh cell in each row of an INSERT of values. The
//! processor's own default is one cell, which would show which rows have it.
//!
//! What the processor fills by itself (INSERT … SELECT, COPY, ADD COLUMN) gets that one cell.

use drieslot_schema::Protection;
use pg_query::NodeEnum;
use pg_query::protobuf::{InsertStmt, LimitOption, List, Node, ResTarget, SelectStmt, SetOperation};

use super::dml::{insert_targets, is_values};
use super::scope::{Held, Item};
use super::{Binder, Flow};
use crate::refusal::{Refusal, Result};
use crate::statement::{CellSlot, Purpose, Slot, SlotSource, Typed, Use};

impl Binder<'_> {
    /// The place of a fresh cell of the default; `None` where the processor's own will do.
    pub(super) fn default_cell(&mut self, to: &Flow) -> Result<Option<Node>> {
        if !self.gives_default(to) {
            return Ok(None);
        }
        let column = &to.column;
        let value = Typed { column: column.clone(), ty: column.ty };
        let slot = CellSlot { source: SlotSource::Default, value, purpose: Purpose::Store };
        self.slot(Slot::Cell(slot), 0).map(Some)
    }

    /// Whether the gateway gives the column its default itself.
    fn gives_default(&self, to: &Flow) -> bool {
        to.column.protection == Protection::Sealed && self.env.catalog.default_of(&to.column.id).is_some()
    }

    /// Adds what an INSERT of values leaves out. The rows get places for cells only once they are bound.
    pub(super) fn defaults_left_out(&self, insert: &InsertStmt, item: &Item) -> Result<Vec<Flow>> {
        let listed = insert_targets(item, &insert.cols)?;
        let given = match insert.select_stmt.as_deref().map(|source| &source.node) {
            None => 0,
            Some(Some(NodeEnum::SelectStmt(select))) if is_values(select) => width(select),
            Some(_) => return Ok(Vec::new()),
        };
        let given: Vec<usize> = listed.into_iter().take(given).collect();
        let absent = item.columns.iter().enumerate().filter(|(at, _)| !given.contains(at));
        let given = absent.filter_map(|(_, column)| match &column.standing {
            Held::Protected(flow) if self.gives_default(flow) => Some(flow.clone()),
            Held::Protected(_) | Held::Plain | Held::Barred(_) => None,
        });
        Ok(given.collect())
    }

    /// Gives each row of an INSERT of values the defaults that it leaves out.
    pub(super) fn fill_defaults(&mut self, insert: &mut InsertStmt, item: &Item, absent: &[Flow]) -> Result<()> {
        if absent.is_empty() {
            return Ok(());
        }
        if insert.select_stmt.is_none() {
            let none = Node { node: Some(NodeEnum::List(List::default())) };
            let values = SelectStmt {
                values_lists: vec![none],
                limit_option: LimitOption::Default as i32,
                op: SetOperation::SetopNone as i32,
                ..SelectStmt::default()
            };
            insert.select_stmt = Some(Box::new(Node { node: Some(NodeEnum::SelectStmt(Box::new(values))) }));
        }
        let Some(NodeEnum::SelectStmt(select)) = insert.select_stmt.as_deref_mut().and_then(|node| node.node.as_mut())
        else {
            return Err(Refusal::internal("an INSERT without its values"));
        };
        if insert.cols.is_empty() {
            insert.cols = item.columns.iter().take(width(select)).map(|column| target(&column.name)).collect();
        }
        insert.cols.extend(absent.iter().map(|flow| target(&flow.column.id.column)));
        for row in &mut select.values_lists {
            let Some(NodeEnum::List(row)) = &mut row.node else { return Err(Refusal::internal("a row of VALUES")) };
            for flow in absent {
                row.items.extend(self.default_cell(flow)?);
            }
        }
        for flow in absent {
            self.mark(flow, Use::Write);
        }
        Ok(())
    }
}

/// How many values each row has.
fn width(select: &SelectStmt) -> usize {
    match select.values_lists.first().and_then(|row| row.node.as_ref()) {
        Some(NodeEnum::List(row)) => row.items.len(),
        Some(_) | None => 0,
    }
}

fn target(name: &str) -> Node {
    Node { node: Some(NodeEnum::ResTarget(Box::new(ResTarget { name: name.to_owned(), ..ResTarget::default() }))) }
}
