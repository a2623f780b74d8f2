//! The binder: follows every protected value through a statement, turns the literals and parameters that meet one
//! into slots, and refuses whatever the column's protection does not allow.

mod aggregates;
mod arrays;
mod cases;
mod constructor;
mod defaults;
mod definition;
mod derived;
mod dml;
mod execute;
mod expr;
mod extreme;
mod from;
mod function;
mod merge;
mod names;
mod row;
mod scope;
mod search;
mod select;
mod set;
mod sources;
mod subjects;
mod unnest;
mod value;
mod values;
mod view;
mod with;

pub(crate) use arrays::element;
pub(crate) use definition::Definition;
pub(crate) use execute::execute;
pub(crate) use subjects::plain_type;

use std::collections::BTreeSet;

use drieslot_schema::{ColumnId, LogicalType, Protected, Protection, TableId};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ParamRef};

use crate::census::Census;
use crate::env::Env;
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::statement::{
    ClientParameter, ResultColumn, Rewritten, Search, ServerParameter, Slot, SlotSource, Typed, Use,
};
use crate::subjects::{Subjects, Without};
use crate::template::{Piece, Template};
use crate::types::common;
pub(crate) use search::{CHANGED, WORDS, candidates, tokens_expression};

pub(crate) use view::{define, viewed};

/// Slots are parameters of the tree from this number on; the protocol's own end at 65535.
const FIRST_SLOT: i32 = 1_000_000;
const LAST_CLIENT_PARAMETER: i64 = 65_535;

/// A protected value: whose cells, of which type here, and the columns that they may come from.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) column: Protected,
    pub(crate) ty: LogicalType,
    pub(crate) origins: BTreeSet<ColumnId>,
}

/// What is asked of the cells of protected values that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Equality,
    Order,
}

/// What an expression gives.
#[derive(Clone, Debug)]
pub(crate) enum Ty {
    /// No protected value.
    Plain,
    /// A literal or parameter that may still become a cell.
    Value,
    /// Cells.
    Protected(Flow),
}

/// One column of a query's result.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) ty: Ty,
}

pub(crate) struct Binder<'a> {
    env: &'a Env<'a>,
    slots: Vec<Slot>,
    searches: Vec<Search>,
    uses: BTreeSet<(ColumnId, Use)>,
    tables: BTreeSet<TableId>,
    /// Of the outermost query.
    subjects: Subjects,
    /// The next query to be bound is the outermost, whose rows go to the client.
    outermost: bool,
    /// Derived tables that are bound now belong to a query whose rows say whom they are about, and which names no row as a whole.
    carrying: bool,
    /// The next query to be bound is such a derived table.
    carries: bool,
    /// What the one that was bound last carries.
    carried: Vec<scope::Carried>,
}

/// Binds and rewrites a SELECT, INSERT, UPDATE or DELETE.
pub(crate) fn bind(env: &Env<'_>, node: &mut Node) -> Result<Rewritten> {
    bind_named(env, node).map(|(rewritten, _)| rewritten)
}

/// The same, with the names of the result's columns.
pub(crate) fn bind_named(env: &Env<'_>, node: &mut Node) -> Result<(Rewritten, Vec<String>)> {
    let mut binder = Binder { outermost: true, ..Binder::new(env) };
    let outputs = binder.query(node, None)?;
    let mut columns = Vec::with_capacity(outputs.len());
    let mut names = Vec::with_capacity(outputs.len());
    for output in outputs {
        names.push(output.name);
        columns.push(match output.ty {
            Ty::Plain | Ty::Value => ResultColumn::Plain,
            Ty::Protected(flow) => {
                binder.mark(&flow, Use::Read);
                ResultColumn::Protected(Typed { column: flow.column, ty: flow.ty })
            }
        });
    }
    finish(binder, node, columns).map(|rewritten| (rewritten, names))
}

/// Binds and rewrites the query of an EXPLAIN.
pub(crate) fn explained(env: &Env<'_>, node: &mut Node) -> Result<Rewritten> {
    let mut binder = Binder::new(env);
    let Some(NodeEnum::ExplainStmt(explain)) = &mut node.node else { return Err(unsupported(node, 0)) };
    let query = explain.query.as_deref_mut().ok_or_else(|| Refusal::internal("EXPLAIN of nothing"))?;
    let outputs = binder.query(query, None)?;
    binder.read(&outputs);
    binder.subjects = Subjects::without(Without::Plan);
    finish(binder, node, vec![ResultColumn::Plain])
}

fn finish(binder: Binder<'_>, node: &Node, columns: Vec<ResultColumn>) -> Result<Rewritten> {
    let Binder { slots, searches, uses, tables, subjects, .. } = binder;
    let seen = Census::of(node)?.parameters;
    let plain: BTreeSet<u32> =
        seen.range(..i64::from(FIRST_SLOT)).map(|number| u32::try_from(*number).unwrap_or(u32::MAX)).collect();
    let client_parameters = client_parameters(&plain, &slots, &searches)?;
    let mut parameters: Vec<_> = plain.iter().map(|number| ServerParameter::Client(*number)).collect();
    parameters.extend((0..slots.len()).map(ServerParameter::Slot));
    let text = parse::deparse(node)?;
    let template = cut(&text, &plain, &slots)?;
    let (uses, tables) = (uses.into_iter().collect(), tables.into_iter().collect());
    Ok(Rewritten { template, slots, searches, parameters, client_parameters, columns, subjects, uses, tables })
}

fn client_parameters(plain: &BTreeSet<u32>, slots: &[Slot], searches: &[Search]) -> Result<Vec<ClientParameter>> {
    let mut of = std::collections::BTreeMap::new();
    for (index, number) in plain.iter().enumerate() {
        of.insert(*number, ClientParameter::Plain(index));
    }
    let cells = slots.iter().filter_map(|slot| match slot {
        Slot::Cell(slot) => Some((&slot.source, ClientParameter::Protected(slot.value.clone()))),
        Slot::Cells(slot) => Some((&slot.source, ClientParameter::Protecteds(slot.value.clone()))),
        Slot::Search { .. } => None,
    });
    let patterns = searches.iter().flat_map(|search| {
        let typed = Typed { column: search.column.clone(), ty: LogicalType::Text };
        search.pattern.iter().map(move |part| (&part.source, ClientParameter::Protected(typed.clone())))
    });
    for (source, wanted) in cells.chain(patterns) {
        let (SlotSource::Param(number) | SlotSource::CastParam { number }) = source else { continue };
        let (ClientParameter::Protected(typed) | ClientParameter::Protecteds(typed)) = &wanted else { continue };
        let agree = match (of.get(number), &wanted) {
            (None, _) => true,
            (Some(ClientParameter::Protected(other)), ClientParameter::Protected(_))
            | (Some(ClientParameter::Protecteds(other)), ClientParameter::Protecteds(_)) => {
                common(other.ty, typed.ty).is_some()
            }
            (Some(_), _) => false,
        };
        if !agree {
            let message =
                format!("parameter ${number} meets the protected column {} and something else too", typed.column.id);
            return Err(Refusal::unsupported(message)
                .detail("Sent as it is, it would show the protected value.")
                .hint("Use two parameters.")
                .column(&typed.column.id));
        }
        of.entry(*number).or_insert(wanted);
    }
    let highest = of.keys().next_back().copied().unwrap_or(0);
    if i64::from(highest) > LAST_CLIENT_PARAMETER {
        return Err(Refusal::new("54000", "parameter numbers end at 65535"));
    }
    Ok((1..=highest).map(|number| of.remove(&number).unwrap_or(ClientParameter::Unused)).collect())
}

/// Cuts the text at its parameters, and checks that every slot is there: a cell once.
fn cut(text: &str, plain: &BTreeSet<u32>, slots: &[Slot]) -> Result<Template> {
    let lost = || Refusal::internal("the rewritten statement lost a value");
    let first = u32::try_from(FIRST_SLOT).unwrap_or(u32::MAX);
    let mut pieces = Vec::new();
    let mut seen = vec![false; slots.len()];
    let mut from = 0;
    for (start, end, number) in parse::parameters(text)? {
        pieces.push(Piece::Text(text.get(from..start).ok_or_else(lost)?.to_owned()));
        from = end;
        if number < first {
            let server = plain.range(..=number).count();
            pieces.push(Piece::Plain { client: number, server });
            continue;
        }
        let slot = usize::try_from(number - first).map_err(|_| lost())?;
        let seen = seen.get_mut(slot).ok_or_else(lost)?;
        if std::mem::replace(seen, true) && matches!(slots.get(slot), Some(Slot::Cell(_) | Slot::Cells(_)) | None) {
            return Err(lost());
        }
        pieces.push(Piece::Slot { slot, server: plain.len() + slot + 1 });
    }
    if !seen.iter().all(|seen| *seen) {
        return Err(lost());
    }
    pieces.push(Piece::Text(text.get(from..).ok_or_else(lost)?.to_owned()));
    Ok(Template { pieces })
}

impl<'a> Binder<'a> {
    fn new(env: &'a Env<'a>) -> Self {
        Self {
            env,
            slots: Vec::new(),
            searches: Vec::new(),
            uses: BTreeSet::new(),
            tables: BTreeSet::new(),
            subjects: Subjects::default(),
            outermost: false,
            carrying: false,
            carries: false,
            carried: Vec::new(),
        }
    }

    /// The place in the tree of something that the gateway makes.
    fn slot(&mut self, slot: Slot, location: i32) -> Result<Node> {
        let number = self.slot_number(slot)?;
        Ok(Node { node: Some(NodeEnum::ParamRef(ParamRef { number, location })) })
    }

    /// The same for a text.
    fn slot_number(&mut self, slot: Slot) -> Result<i32> {
        let number = i32::try_from(self.slots.len()).ok().and_then(|index| FIRST_SLOT.checked_add(index));
        self.slots.push(slot);
        number.ok_or_else(|| Refusal::new("54000", "the statement has too many literals"))
    }
}

impl Binder<'_> {
    fn mark(&mut self, flow: &Flow, used: Use) {
        self.uses.extend(flow.origins.iter().map(|column| (column.clone(), used)));
    }

    /// Notes that a protected value is compared as the need says.
    fn needs(&mut self, need: Need, flow: &Flow, location: i32) -> Result<()> {
        match need {
            Need::Equality => self.compared(flow, "comparison", location),
            Need::Order => self.sorted(flow, "comparison by order", location),
        }
    }

    /// Notes that the order of a protected value is used, which only `ordered` allows.
    fn sorted(&mut self, flow: &Flow, what: &str, location: i32) -> Result<()> {
        if flow.column.protection == Protection::Ordered {
            self.mark(flow, Use::Search);
            return Ok(());
        }
        let refusal = not_allowed(flow, what, location);
        Err(match flow.column.ty.order_bits() {
            Some(_) => refusal.hint("A classification that protects it as `ordered` would allow it."),
            None => refusal,
        })
    }

    /// Notes that the bytes of a protected value are compared, which `sealed` does not allow.
    fn compared(&mut self, flow: &Flow, what: &str, location: i32) -> Result<()> {
        if !flow.column.protection.shows_equality() {
            let message = format!("{what} is not possible on the sealed column {}", flow.column.id);
            return Err(Refusal::unsupported(message)
                .detail("A sealed column is only stored, fetched, counted and tested for NULL.")
                .hint("A classification that protects it as `exact` would allow it.")
                .column(&flow.column.id)
                .at(location));
        }
        self.mark(flow, Use::Search);
        Ok(())
    }

    /// Two protected values meet as bytes.
    fn comparable(&mut self, need: Need, a: &Flow, b: &Flow, location: i32) -> Result<()> {
        self.needs(need, a, location)?;
        self.needs(need, b, location)?;
        if a.column.domain != b.column.domain {
            let message =
                format!("columns {} and {} are of different domains and cannot be compared", a.column.id, b.column.id);
            return Err(Refusal::unsupported(message)
                .hint("A classification that puts them in one domain would allow it.")
                .column(&a.column.id)
                .at(location));
        }
        Ok(())
    }

    /// One column for values of both: the same column, or exact columns of one domain.
    fn merged(&self, a: &Flow, b: &Flow, location: i32) -> Result<Flow> {
        let same =
            a.column.id == b.column.id || (a.column.domain == b.column.domain && a.column.protection.shows_equality());
        let ty = common(a.ty, b.ty).filter(|_| same);
        let Some(ty) = ty else {
            let message = format!("values of {} and {} cannot stand in one column", a.column.id, b.column.id);
            return Err(Refusal::unsupported(message)
                .detail("They are sealed under different keys or for different columns.")
                .hint("Fetch them as two columns, or classify both as `exact` in one domain, with one type.")
                .column(&a.column.id)
                .at(location));
        };
        let origins = a.origins.union(&b.origins).cloned().collect();
        Ok(Flow { column: a.column.clone(), ty, origins })
    }

    /// Refuses a protected value where none may be.
    fn plain(&self, ty: &Ty, what: &str, location: i32) -> Result<()> {
        let Ty::Protected(flow) = ty else { return Ok(()) };
        Err(not_allowed(flow, what, location))
    }
}

fn not_allowed(flow: &Flow, what: &str, location: i32) -> Refusal {
    let column = &flow.column;
    Refusal::unsupported(format!("{what} is not possible on the protected column {}", column.id))
        .detail(match column.protection {
            Protection::Sealed => "A sealed column is only stored, fetched, counted and tested for NULL.",
            Protection::Exact => "An exact column is only compared for equality, joined, grouped and counted.",
            Protection::Ordered => "An ordered column is only compared, sorted, joined, grouped and counted.",
        })
        .hint("Fetch the column and do this in the application.")
        .column(&column.id)
        .at(location)
}

/// What a node is, for a refusal.
fn kind(node: &Node) -> &'static str {
    match &node.node {
        Some(NodeEnum::MergeStmt(_)) => "MERGE",
        Some(NodeEnum::XmlExpr(_)) => "an XML expression",
        Some(NodeEnum::RangeTableFunc(_) | NodeEnum::JsonTable(_)) => "a table function",
        Some(_) | None => "this construct",
    }
}

fn unsupported(node: &Node, location: i32) -> Refusal {
    Refusal::unsupported(format!("{} is not supported yet in a statement that touches protected columns", kind(node)))
        .hint("Write the statement without it.")
        .at(location)
}
