//! Function calls, aggregates and windows.

use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, WindowDef};

use super::scope::Scope;
use super::{Binder, Ty, not_allowed};
use crate::refusal::Result;
use crate::statement::Use;
use crate::types::{is_builtin, strings};

impl Binder<'_> {
    pub(super) fn call(&mut self, call: &mut FuncCall, scope: &Scope<'_>) -> Result<Ty> {
        let at = call.location;
        let counts = is_builtin(&call.funcname, "count")
            && call.args.len() == 1
            && call.agg_order.is_empty()
            && !call.agg_within_group
            && !call.func_variadic;
        let name = strings(&call.funcname).last().map_or("", |name| *name).to_owned();
        for arg in &mut call.args {
            if let Ty::Protected(flow) = self.expr(arg, scope)? {
                if !counts {
                    return Err(not_allowed(&flow, &format!("function {name}()"), at));
                }
                if call.agg_distinct {
                    self.compared(&flow, "count(DISTINCT …)", at)?;
                }
                self.mark(&flow, Use::Search);
            }
        }
        self.order_plain(&mut call.agg_order, scope)?;
        if let Some(filter) = call.agg_filter.as_deref_mut() {
            self.condition(filter, scope)?;
        }
        if let Some(window) = call.over.as_deref_mut() {
            self.window(window, scope)?;
        }
        Ok(Ty::Plain)
    }

    pub(super) fn window(&mut self, window: &mut WindowDef, scope: &Scope<'_>) -> Result<()> {
        for node in &mut window.partition_clause {
            if let Ty::Protected(flow) = self.expr(node, scope)? {
                self.compared(&flow, "PARTITION BY", window.location)?;
            }
        }
        self.order_plain(&mut window.order_clause, scope)?;
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
