//! Whether a query's result has aggregates, so that no column of a single row can stand beside them.

use pg_query::protobuf::{Node, SelectStmt};

use super::scope::Scope;
use crate::refusal::{Refusal, Result};
use crate::walk::{Visit, walk};

/// The aggregates of PostgreSQL 15 to 18, by name.
const AGGREGATES: [&str; 53] = [
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "dense_rank",
    "every",
    "json_agg",
    "json_agg_strict",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "max",
    "min",
    "mode",
    "percent_rank",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "range_intersect_agg",
    "rank",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];
const ALSO_AGGREGATES: [&str; 4] = ["xmlagg", "JsonArrayAgg", "JsonObjectAgg", "GroupingFunc"];

/// Whether rows of the result may be made of several rows.
pub(super) fn has_aggregates(select: &SelectStmt, scope: &Scope<'_>) -> Result<bool> {
    if !select.group_clause.is_empty() || select.having_clause.is_some() {
        return Ok(true);
    }
    let all = select.target_list.iter().chain(&select.sort_clause).chain(&select.distinct_clause);
    for node in all.chain(&select.window_clause) {
        if finds(node, scope)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn finds(node: &Node, scope: &Scope<'_>) -> Result<bool> {
    let mut finder = Finder { scope, frames: Vec::new(), queries: 0, found: false };
    walk(node, &mut finder).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(finder.found)
}

struct Frame {
    name: &'static str,
    field: &'static str,
    texts: Vec<String>,
    over: bool,
    /// It has a column that is surely of the query around it, so that it belongs to that query.
    inner: bool,
    refers: bool,
}

struct Finder<'s> {
    scope: &'s Scope<'s>,
    frames: Vec<Frame>,
    /// Queries around this place, without the outermost.
    queries: usize,
    found: bool,
}

impl Finder<'_> {
    fn may_be_of_outermost(&self, column: &[String]) -> bool {
        match column {
            [name] => self.scope.has_here(name) != Some(false),
            [.., table, _] => self.scope.items.iter().any(|item| item.name == *table),
            [] => true,
        }
    }

    fn is_aggregate(name: &str) -> bool {
        AGGREGATES.contains(&name) || ALSO_AGGREGATES.contains(&name)
    }
}

impl Visit for Finder<'_> {
    fn enter(&mut self, name: &'static str) {
        if let Some(around) = self.frames.last_mut()
            && (around.name, around.field) == ("FuncCall", "over")
        {
            around.over = true;
        }
        self.queries += usize::from(name == "SelectStmt");
        self.frames.push(Frame { name, field: "", texts: Vec::new(), over: false, inner: false, refers: false });
    }

    fn field(&mut self, name: &'static str) {
        if let Some(frame) = self.frames.last_mut() {
            frame.field = name;
        }
    }

    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        match frame.name {
            "SelectStmt" => self.queries -= 1,
            "ColumnRef" => {
                let inner = !self.may_be_of_outermost(&frame.texts);
                for around in self.frames.iter_mut().filter(|around| around.name == "FuncCall") {
                    around.refers = true;
                    around.inner |= inner;
                }
            }
            "FuncCall" => {
                let aggregate = frame.texts.last().is_some_and(|name| Self::is_aggregate(name)) && !frame.over;
                // One without a column of an outer query belongs to the query that it stands in.
                self.found |= aggregate && (self.queries == 0 || (frame.refers && !frame.inner));
            }
            name => self.found |= Self::is_aggregate(name),
        }
    }

    fn text(&mut self, text: &str) {
        let around = self.frames.len().checked_sub(3).and_then(|at| self.frames.get_mut(at));
        if let Some(around) = around
            && matches!((around.name, around.field), ("FuncCall", "funcname") | ("ColumnRef", "fields"))
        {
            around.texts.push(text.to_owned());
        }
    }

    fn number(&mut self, _: i64) {}
}
