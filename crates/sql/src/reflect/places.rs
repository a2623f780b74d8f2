//! Where a statement names relations and columns, in bytes of its text.

use std::collections::BTreeSet;

use pg_query::protobuf::Node;

use crate::refusal::{Refusal, Result};
use crate::walk::{Visit, walk};

/// A relation's name.
#[derive(Debug, Default)]
pub(super) struct RangeAt {
    pub(super) catalog: String,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) location: i64,
    pub(super) aliased: bool,
    /// Without ONLY.
    pub(super) with_children: bool,
}

impl RangeAt {
    pub(super) fn parts(&self) -> usize {
        1 + usize::from(!self.schema.is_empty()) + usize::from(!self.catalog.is_empty())
    }
}

/// A column's name, in its parts.
#[derive(Debug, Default)]
pub(super) struct ColumnAt {
    pub(super) names: Vec<String>,
    pub(super) location: i64,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) ranges: Vec<RangeAt>,
    pub(super) columns: Vec<ColumnAt>,
    /// Function calls: the function's name, in its parts.
    pub(super) calls: Vec<ColumnAt>,
    pub(super) ctes: BTreeSet<String>,
    pub(super) star: bool,
    aliases: BTreeSet<String>,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    name: &'static str,
    field: &'static str,
    range: RangeAt,
    column: ColumnAt,
}

impl Places {
    pub(super) fn of(node: &Node) -> Result<Self> {
        let mut places = Self::default();
        walk(node, &mut places).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(places)
    }

    /// Whether a column of that name is mentioned, or might be by a star or a whole row.
    pub(super) fn may_mention(&self, column: &str, relation: &str) -> bool {
        let whole = |name: &str| name == relation || self.aliases.contains(name);
        let named = |found: &ColumnAt| match found.names.as_slice() {
            [one] => one == column || whole(one),
            names => names.iter().any(|name| name == column),
        };
        self.star || self.columns.iter().any(named)
    }

    /// Whether a name stands as the last part of a column reference.
    pub(super) fn mentions(&self, column: &str) -> bool {
        self.columns.iter().any(|found| found.names.last().is_some_and(|name| name == column))
    }
}

impl Visit for Places {
    fn enter(&mut self, name: &'static str) {
        let column_of = |at: Option<&Frame>| at.is_some_and(|frame| frame.name == "ColumnRef");
        if name == "AStar" && column_of(self.frames.len().checked_sub(2).and_then(|at| self.frames.get(at))) {
            self.star = true;
        }
        if name == "Alias"
            && let Some(around) = self.frames.last_mut()
            && around.name == "RangeVar"
        {
            around.range.aliased = true;
        }
        self.frames.push(Frame { name, field: "", range: RangeAt::default(), column: ColumnAt::default() });
    }

    fn field(&mut self, name: &'static str) {
        if let Some(frame) = self.frames.last_mut() {
            frame.field = name;
        }
    }

    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        match frame.name {
            "RangeVar" => self.ranges.push(frame.range),
            "ColumnRef" => self.columns.push(frame.column),
            "FuncCall" => self.calls.push(frame.column),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let Some(frame) = self.frames.last_mut() else { return };
        match (frame.name, frame.field) {
            ("RangeVar", "catalogname") => text.clone_into(&mut frame.range.catalog),
            ("RangeVar", "schemaname") => text.clone_into(&mut frame.range.schema),
            ("RangeVar", "relname") => text.clone_into(&mut frame.range.name),
            ("Alias", "aliasname") => drop(self.aliases.insert(text.to_owned())),
            ("CommonTableExpr", "ctename") => drop(self.ctes.insert(text.to_owned())),
            ("String", "sval") => {
                let around = self.frames.len().checked_sub(3).and_then(|at| self.frames.get_mut(at));
                let named = |around: &&mut Frame| {
                    around.name == "ColumnRef" || (around.name, around.field) == ("FuncCall", "funcname")
                };
                if let Some(around) = around.filter(named) {
                    around.column.names.push(text.to_owned());
                }
            }
            _ => {}
        }
    }

    fn number(&mut self, number: i64) {
        let Some(frame) = self.frames.last_mut() else { return };
        match (frame.name, frame.field) {
            ("RangeVar", "location") => frame.range.location = number,
            ("RangeVar", "inh") => frame.range.with_children = number != 0,
            ("ColumnRef" | "FuncCall", "location") => frame.column.location = number,
            _ => {}
        }
    }
}
