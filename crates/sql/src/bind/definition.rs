//! The values of a definition: the constants of defaults and CHECKs become cells that the processor keeps.
//!
//! Refuses a default that is computed, and a CHECK that a WHERE over the same columns would be refused for.

use drieslot_schema::{Protected, TableId};
use pg_query::protobuf::Node;

use super::scope::{Column, Held, Item, Scope};
use super::select::location;
use super::value::{Meeting, is_value};
use super::{Binder, finish};
use crate::env::{Env, Standing};
use crate::refusal::{Refusal, Result};
use crate::statement::{ClientParameter, Purpose, Rewritten, Slot, Use};

/// What a statement defines in one table.
pub(crate) struct Definition<'a> {
    binder: Binder<'a>,
    scope: Scope<'a>,
}

impl<'a> Definition<'a> {
    /// `columns` are those that a CHECK may name.
    pub(crate) fn new<'n>(env: &'a Env<'a>, id: &TableId, columns: impl Iterator<Item = &'n str>) -> Self {
        let table = env.table(id);
        let standing = |name: &str| match table.and_then(|table| table.columns.get(name)?.protected.as_ref()) {
            Some(protected) => Held::new(Standing::Protected(protected.clone())),
            None => Held::Plain,
        };
        let columns = columns.map(|name| Column { name: name.to_owned(), standing: standing(name) }).collect();
        let item = Item {
            name: id.table.clone(),
            table: Some(id.clone()),
            columns,
            opaque: false,
            system_columns: true,
            subject: None,
            carried: Vec::new(),
            by_name: true,
            by_column: true,
        };
        let scope = Scope { items: vec![item], ..Scope::default() };
        Self { binder: Binder::new(env), scope }
    }

    /// A constant becomes a cell of the column.
    pub(crate) fn default(&mut self, node: &mut Node, column: &Protected) -> Result<()> {
        if !is_value(node) {
            return Err(Refusal::unsupported(format!(
                "a default that is computed is not possible on the protected column {}",
                column.id
            ))
            .detail("The processor would compute the value and so see it.")
            .hint("Let the application give the value, or make the default a constant.")
            .column(&column.id)
            .at(location(node)));
        }
        self.binder.cell(node, column, Meeting::Store)
    }

    /// A condition over the table's columns.
    pub(crate) fn check(&mut self, node: &mut Node) -> Result<()> {
        let at = location(node);
        self.binder.condition(node, &self.scope).map_err(|refusal| {
            let hint = "A CHECK over protected columns takes IS NULL, and what a WHERE over them would take.";
            Refusal { hint: refusal.hint.or(Some(hint.to_owned())), ..refusal }
        })?;
        match self.binder.searches.first() {
            None => Ok(()),
            Some(search) => Err(Refusal::unsupported(format!(
                "a search of the protected column {} is not possible in a CHECK",
                search.column.id
            ))
            .detail("The processor cannot tell by itself which cells match.")
            .hint("Check the value in the application.")
            .column(&search.column.id)
            .at(at)),
        }
    }

    /// The statement, whose tree now holds places for the cells. A cell that is made needs a mandate.
    pub(crate) fn finish(self, node: &Node, table: TableId) -> Result<Rewritten> {
        let rewritten = finish(self.binder, node, Vec::new())?;
        if let Some(at) = rewritten.client_parameters.iter().position(|one| *one != ClientParameter::Unused) {
            return Err(Refusal::new("42P02", format!("there is no parameter ${}", at + 1)));
        }
        let used = |slot: &Slot| match slot {
            Slot::Cell(slot) | Slot::Cells(slot) => {
                let used = if slot.purpose == Purpose::Store { Use::Write } else { Use::Search };
                Some((slot.value.column.id.clone(), used))
            }
            Slot::Search { .. } => None,
        };
        let mut uses: Vec<_> = rewritten.slots.iter().filter_map(used).collect();
        uses.sort();
        uses.dedup();
        Ok(Rewritten { uses, tables: vec![table], ..rewritten })
    }
}
