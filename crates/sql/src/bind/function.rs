//! Function calls, aggregates and windows.

use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, WindowDef};

use super::scope::Scope;
use super::select::location;
use super::value::Meeting;
use super::{Binder, Flow, Ty, extreme, not_allowed};
use crate::refusal::{Refusal, Result};
use crate::statement::Use;
use crate::types::{is_builtin, strings};

/// `FRAMEOPTION_RANGE` and `FRAMEOPTION_START_OFFSET | FRAMEOPTION_END_OFFSET` of PostgreSQL's `parsenodes.h`.
const FRAME_RANGE: i32 = 0x00002;
const FRAME_OFFSETS: i32 = 0x00800 | 0x01000 | 0x02000 | 0x04000;

/// What a function of PostgreSQL's own does with the cells that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It counts them.
    Count,
    /// It gives the least or the greatest of them.
    Extreme,
    /// It gives one of them, whatever it holds.
    Choice,
    /// Something else.
    Other,
}

impl Role {
    fn of(call: &FuncCall) -> Self {
        let named = |names: &[&str]| names.iter().any(|name| is_builtin(&call.funcname, name));
        let usual = call.agg_order.is_empty() && !call.agg_within_group && !call.func_variadic;
        match (usual, call.args.len()) {
            (true, 1) if named(&["count"]) => Self::Count,
            (true, 1) if named(&["min", "max"]) => Self::Extreme,
            (true, 1) if named(&["first_value", "last_value", "any_value"]) => Self::Choice,
            (true, 1..=3) if named(&["lag", "lead"]) => Self::Choice,
            (true, 2) if named(&["nth_value"]) => Self::Choice,
            _ => Self::Other,
        }
    }
}

impl Binder<'_> {
    pub(super) fn call(&mut self, node: &mut Node, scope: &Scope<'_>) -> Result<Ty> {
        let Some(NodeEnum::FuncCall(call)) = &mut node.node else { return Err(Refusal::internal("no function call")) };
        if let Some(search) = self.words(call, scope)? {
            *node = search;
            return Ok(Ty::Plain);
        }
        let (at, role) = (call.location, Role::of(call));
        let name = strings(&call.funcname).last().map_or("", |name| *name).to_owned();
        let distinct = call.agg_distinct;
        let mut chosen: Option<Flow> = None;
        for (index, arg) in call.args.iter_mut().enumerate() {
            let ty = self.expr(arg, scope)?;
            match (role, index, ty) {
                (Role::Choice, 2, ty) if chosen.is_some() => {
                    chosen = self.fallback(chosen.take(), ty, arg)?;
                }
                (Role::Count, _, Ty::Protected(flow)) => {
                    if distinct {
                        self.compared(&flow, "count(DISTINCT …)", at)?;
                    }
                    self.mark(&flow, Use::Search);
                }
                (Role::Extreme, _, Ty::Protected(flow)) => {
                    self.sorted(&flow, &format!("{name}()"), at)?;
                    chosen = Some(flow);
                }
                (Role::Choice, 0, Ty::Protected(flow)) => {
                    if distinct {
                        self.compared(&flow, "DISTINCT", at)?;
                    }
                    chosen = Some(flow);
                }
                (Role::Choice | Role::Other, _, Ty::Protected(flow)) => {
                    return Err(not_allowed(&flow, &format!("function {name}()"), at));
                }
                (_, _, Ty::Plain | Ty::Value) => {}
            }
        }
        self.order_inside(&mut call.agg_order, scope)?;
        if let Some(filter) = call.agg_filter.as_deref_mut() {
            self.condition(filter, scope)?;
        }
        if let Some(window) = call.over.as_deref_mut() {
            self.window(window, scope)?;
        }
        let Some(flow) = chosen else { return Ok(Ty::Plain) };
        if role == Role::Extreme && !self.env.catalog.has_extremes_of_bytes() {
            extreme::aggregate(node, &flow)?;
        }
        // A function's result has no type modifier.
        Ok(Ty::Protected(super::expr::beside(flow)))
    }

    /// The third argument of `lag` and `lead`: what they give where there is no such row.
    fn fallback(&mut self, chosen: Option<Flow>, ty: Ty, arg: &mut Node) -> Result<Option<Flow>> {
        let Some(flow) = chosen else { return Ok(None) };
        match ty {
            Ty::Protected(other) => self.merged(&flow, &other, location(arg)).map(Some),
            Ty::Value => {
                self.cell(arg, &flow.column, Meeting::Beside)?;
                Ok(Some(super::expr::beside(flow)))
            }
            Ty::Plain => Err(not_allowed(&flow, "a default that is a plain expression", location(arg))),
        }
    }

    pub(super) fn window(&mut self, window: &mut WindowDef, scope: &Scope<'_>) -> Result<()> {
        for node in &mut window.partition_clause {
            if let Ty::Protected(flow) = self.expr(node, scope)? {
                self.compared(&flow, "PARTITION BY", window.location)?;
            }
        }
        let order = self.order_inside(&mut window.order_clause, scope)?;
        let distance = window.frame_options & FRAME_RANGE != 0 && window.frame_options & FRAME_OFFSETS != 0;
        if let (true, Some(flow)) = (distance, order.first()) {
            return Err(not_allowed(flow, "a window frame of RANGE with a distance", window.location));
        }
        let bounds = [window.start_offset.as_deref_mut(), window.end_offset.as_deref_mut()];
        for bound in bounds.into_iter().flatten() {
            // A frame without an offset has an empty node here.
            if matches!(bound.node, None | Some(NodeEnum::AConst(_))) {
                continue;
            }
            let ty = self.expr(bound, scope)?;
            self.plain(&ty, "a window's frame", window.location)?;
        }
        Ok(())
    }
}
