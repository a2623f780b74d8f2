//! EXECUTE of a statement that takes cells: its values become cells in the order of the processor's parameters.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, Node};

use super::scope::Scope;
use super::value::{Literal, Meeting, value};
use super::{Binder, finish};
use crate::env::Env;
use crate::refusal::{Refusal, Result};
use crate::statement::{CellSlot, ClientParameter, Rewritten, SearchPart, ServerParameter, Slot, SlotSource, Typed};

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
        if !matches!(parameter, ClientParameter::Protected(_) | ClientParameter::Protecteds(_)) {
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
                let slot = prepared.slots.get(*index).ok_or_else(lost)?;
                let (Slot::Cell(cell) | Slot::Cells(cell)) = slot else {
                    execute.params.push(binder.slot(slot.clone(), 0)?);
                    continue;
                };
                match &cell.source {
                    SlotSource::Literal { .. } | SlotSource::Default => binder.slot(slot.clone(), 0)?,
                    SlotSource::Param(number) | SlotSource::CastParam { number } => {
                        let explicit_cast = matches!(cell.source, SlotSource::CastParam { .. });
                        match (slot, given_text(given(*number)?, &cell.value, slot)?) {
                            (_, None) => null(),
                            (Slot::Cells(_), text) => {
                                let source = SlotSource::Literal { text, explicit_cast };
                                binder.slot(Slot::Cells(CellSlot { source, ..cell.clone() }), 0)?
                            }
                            (Slot::Cell(_) | Slot::Search { .. }, text) => {
                                let source = SlotSource::Literal { text, explicit_cast };
                                binder.slot(Slot::Cell(CellSlot { source, ..cell.clone() }), 0)?
                            }
                        }
                    }
                }
            }
        };
        execute.params.push(node);
    }
    for search in &prepared.searches {
        let mut search = search.clone();
        for part in &mut search.pattern {
            if let SlotSource::Param(number) | SlotSource::CastParam { number } = part.source {
                let typed = Typed { column: search.column.clone(), ty: LogicalType::Text };
                let text = given_text(given(number)?, &typed, &Slot::Search { search: 0, part: SearchPart::Tokens })?;
                part.source = SlotSource::Literal { text, explicit_cast: false };
            }
        }
        binder.searches.push(search);
    }
    let rewritten = finish(binder, node, prepared.columns.clone())?;
    if let Some(number) = u64::try_from(rewritten.client_parameters.len()).ok().filter(|number| *number > 0) {
        return Err(no_parameter(number));
    }
    let subjects = prepared.subjects.clone();
    Ok(Rewritten { subjects, uses: prepared.uses.clone(), tables: prepared.tables.clone(), ..rewritten })
}

/// PostgreSQL gives a utility statement no parameters.
fn no_parameter(number: u64) -> Refusal {
    Refusal::new("42P02", format!("there is no parameter ${number}"))
}

fn null() -> Node {
    Node { node: Some(NodeEnum::AConst(AConst { isnull: true, location: 0, val: None })) }
}

/// A value that is given for a protected parameter: a literal that PostgreSQL would read as the column's type; `None` for
/// NULL.
fn given_text(node: &Node, typed: &Typed, slot: &Slot) -> Result<Option<String>> {
    let refuse = || {
        Refusal::unsupported("EXECUTE takes only plain literals for a protected parameter")
            .hint("Write the value as a literal in quotes.")
            .column(&typed.column.id)
    };
    let found = value(node).filter(|value| value.is_bare()).ok_or_else(refuse)?;
    let ty = typed.ty;
    let one = matches!(slot, Slot::Cell(_));
    let integer = one && matches!(ty, LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8);
    let numeric = one && matches!(ty, LogicalType::Numeric(_));
    Ok(Some(match found.literal {
        Literal::Null => return Ok(None),
        Literal::Text(text) => text,
        Literal::Integer(number) if integer || numeric => number.to_string(),
        Literal::Float(number) if numeric => number,
        // Beyond integer the grammar calls them floats.
        Literal::Float(number) if integer && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => number,
        Literal::Bool(truth) if one && ty == LogicalType::Bool => truth.to_string(),
        Literal::Parameter(number) => return Err(no_parameter(u64::from(number))),
        Literal::Array(text, elements) if one && super::constructor::fits(elements, ty, Meeting::Store) => text,
        Literal::Integer(_) | Literal::Float(_) | Literal::Bool(_) | Literal::Array(..) => return Err(refuse()),
    }))
}
