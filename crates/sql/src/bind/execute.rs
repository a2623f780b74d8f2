//! EXECUTE of a statement that takes cells: its values become cells in the order of the processor's parameters.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, Node, ParamRef};

use super::scope::Scope;
use super::value::{Literal, value};
use super::{Binder, FIRST_SLOT, finish};
use crate::env::Env;
use crate::refusal::{Refusal, Result};
use crate::statement::{CellSlot, ClientParameter, Rewritten, ServerParameter, Slot, SlotSource};

/// Rewrites the EXECUTE of what was prepared as `prepared`.
pub(crate) fn execute(env: &Env<'_>, node: &mut Node, prepared: &Rewritten) -> Result<Rewritten> {
    let Some(NodeEnum::ExecuteStmt(execute)) = &mut node.node else { return Err(Refusal::internal("no EXECUTE")) };
    let mut values = std::mem::take(&mut execute.params);
    if values.len() != prepared.client_parameters.len() {
        let message = format!("wrong number of parameters for prepared statement \"{}\"", execute.name);
        let (wanted, given) = (prepared.client_parameters.len(), values.len());
        return Err(Refusal::new("42601", message).detail(format!("Expected {wanted} parameters but got {given}.")));
    }
    let mut binder = Binder::new(env);
    for (value, parameter) in values.iter_mut().zip(&prepared.client_parameters) {
        if !matches!(parameter, ClientParameter::Protected(_)) {
            let ty = binder.expr(value, &Scope::default())?;
            binder.plain(&ty, "EXECUTE", 0)?;
        }
    }
    let lost = || Refusal::internal("a prepared statement lost a parameter");
    let given = |number: u32| usize::try_from(number).ok().and_then(|n| values.get(n.checked_sub(1)?)).ok_or_else(lost);
    for parameter in &prepared.parameters {
        let node = match parameter {
            ServerParameter::Client(number) => given(*number)?.clone(),
            ServerParameter::Slot(index) => {
                let Some(Slot::Cell(slot)) = prepared.slots.get(*index) else { return Err(lost()) };
                match &slot.source {
                    SlotSource::Literal { .. } => binder.fill(slot.clone())?,
                    SlotSource::Param(number) | SlotSource::CastParam { number } => {
                        let cast = matches!(slot.source, SlotSource::CastParam { .. });
                        binder.argument(given(*number)?, slot, cast)?
                    }
                }
            }
        };
        execute.params.push(node);
    }
    let rewritten = finish(binder, node, prepared.columns.clone())?;
    if let Some(number) = u64::try_from(rewritten.client_parameters.len()).ok().filter(|number| *number > 0) {
        return Err(no_parameter(number));
    }
    Ok(Rewritten { uses: prepared.uses.clone(), tables: prepared.tables.clone(), ..rewritten })
}

/// PostgreSQL gives a utility statement no parameters.
fn no_parameter(number: u64) -> Refusal {
    Refusal::new("42P02", format!("there is no parameter ${number}"))
}

impl Binder<'_> {
    fn fill(&mut self, slot: CellSlot) -> Result<Node> {
        let number = i32::try_from(self.slots.len()).ok().and_then(|index| FIRST_SLOT.checked_add(index));
        let number = number.ok_or_else(|| Refusal::new("54000", "the statement has too many literals"))?;
        self.slots.push(Slot::Cell(slot));
        Ok(Node { node: Some(NodeEnum::ParamRef(ParamRef { number, location: 0 })) })
    }

    /// A value that is given for a protected parameter: a literal that PostgreSQL would read as the column's type.
    fn argument(&mut self, node: &Node, slot: &CellSlot, explicit_cast: bool) -> Result<Node> {
        let refuse = || {
            Refusal::unsupported("EXECUTE takes only plain literals for a protected parameter")
                .hint("Write the value as a literal in quotes.")
                .column(&slot.value.column.id)
        };
        let found = value(node).filter(|value| value.is_bare()).ok_or_else(refuse)?;
        let ty = slot.value.ty;
        let integer = matches!(ty, LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8);
        let numeric = matches!(ty, LogicalType::Numeric(_));
        let text = match found.literal {
            Literal::Null => {
                let null = AConst { isnull: true, location: 0, val: None };
                return Ok(Node { node: Some(NodeEnum::AConst(null)) });
            }
            Literal::Text(text) => text,
            Literal::Integer(number) if integer || numeric => number.to_string(),
            Literal::Float(number) if numeric => number,
            // Beyond integer the grammar calls them floats.
            Literal::Float(number) if integer && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                number
            }
            Literal::Bool(truth) if ty == LogicalType::Bool => truth.to_string(),
            Literal::Parameter(number) => return Err(no_parameter(u64::from(number))),
            Literal::Integer(_) | Literal::Float(_) | Literal::Bool(_) => return Err(refuse()),
        };
        let source = SlotSource::Literal { text: Some(text), explicit_cast };
        self.fill(CellSlot { source, ..slot.clone() })
    }
}
