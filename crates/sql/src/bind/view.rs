//! Views: what a stored query shows, bound from its definition each time it is named, so that a definition that the
//! processor altered is bound as it now is, or refused.

use std::collections::BTreeSet;

use drieslot_schema::{ColumnId, Protected, TableId, Unlisted};
use pg_query::protobuf::Node;

use super::scope::{Column, Held};
use super::{Binder, Flow, Output, Ty};
use crate::catalog::{CatalogColumn, Relation};
use crate::census::Census;
use crate::decide::check_names;
use crate::env::{BYTEA_OID, Env, is_system_schema, opaque_view, unlisted_table};
use crate::parse;
use crate::reflect;
use crate::refusal::{Refusal, Result};
use crate::statement::{Search, Slot, Use};
use crate::types::{is_text, is_within};

/// Views on views end here, whatever the catalogue says.
const MAX_DEPTH: u8 = 32;

/// What a view shows, and what reading it does.
pub(crate) struct Viewed {
    pub(super) columns: Vec<Column>,
    pub(super) uses: BTreeSet<(ColumnId, Use)>,
    pub(super) tables: BTreeSet<TableId>,
}

impl Viewed {
    /// Whether its query touches a table with protected columns.
    pub(crate) fn is_bound(&self) -> bool {
        !self.tables.is_empty() || self.columns.iter().any(|column| !matches!(column.standing, Held::Plain))
    }

    /// Its protected columns, by name.
    pub(crate) fn protected(&self) -> impl Iterator<Item = (&str, &Flow)> {
        self.columns.iter().filter_map(|column| match &column.standing {
            Held::Protected(flow) => Some((column.name.as_str(), flow)),
            Held::Plain | Held::Barred(_) => None,
        })
    }
}

/// Binds a view's query.
pub(crate) fn viewed(env: &Env<'_>, relation: &Relation) -> Result<Viewed> {
    let id = &relation.id;
    if env.table(id).is_none() && env.classification.unlisted_tables() == Unlisted::Refuse {
        return Err(unlisted_table(id));
    }
    let definition = env.catalog.definition(id).filter(|_| env.depth < MAX_DEPTH).ok_or_else(|| opaque_view(id))?;
    let inner = Env {
        catalog: std::borrow::Cow::Borrowed(&*env.catalog),
        classification: env.classification,
        search_path: Vec::new(),
        prepared: crate::env::Names::none(),
        cursors: crate::env::Names::none(),
        least_epoch: env.least_epoch,
        unsure: false,
        names: Some(&definition.names),
        depth: env.depth + 1,
    };
    let text = definition.query.trim_end().trim_end_matches(';');
    let because = |why: Refusal| opaque_view(id).detail(why.message);
    let mut statements = parse::parse(text).map_err(because)?.stmts;
    let (Some(mut node), true) = (statements.pop().and_then(|raw| raw.stmt), statements.is_empty()) else {
        return Err(opaque_view(id));
    };
    check_read(&inner, &node).map_err(because)?;
    let mut binder = Binder::new(&inner);
    let outputs = binder.query(&mut node, None).map_err(because)?;
    if outputs.len() != relation.columns.len() || !binder.slots.is_empty() {
        return Err(opaque_view(id));
    }
    let columns = relation.columns.iter().zip(outputs).map(|(column, output)| Column {
        name: column.name.clone(),
        standing: standing(env, relation, column, output.ty),
    });
    Ok(Viewed { columns: columns.collect(), uses: binder.uses, tables: binder.tables })
}

/// What a query of a view may name besides tables.
fn check_read(env: &Env<'_>, node: &Node) -> Result<()> {
    let census = Census::of(node)?;
    check_names(env, &census)?;
    for named in &census.relations {
        if let Some(relation) = env.find(named)?
            && is_system_schema(&relation.id.schema)
            && reflect::is_mapped_name(&relation.id.table)
        {
            return Err(reflect::unclear(&relation.id.table));
        }
    }
    Ok(())
}

fn standing(env: &Env<'_>, relation: &Relation, column: &CatalogColumn, ty: Ty) -> Held {
    let found = Held::of(ty);
    if let Err(refusal) = agrees(env, &relation.id, &column.name, &found) {
        return Held::Barred(Box::new(refusal));
    }
    match found {
        Held::Protected(flow) if column.type_oid != BYTEA_OID => {
            Held::Barred(Box::new(opaque_view(&relation.id).column(&flow.column.id)))
        }
        found @ (Held::Plain | Held::Protected(_) | Held::Barred(_)) => found,
    }
}

/// Whether a view's column is what the classification says of it, where it says anything. A column that is listed as
/// plain may still hold cells: its values become cells all the same.
fn agrees(env: &Env<'_>, id: &TableId, name: &str, found: &Held) -> Result<()> {
    let Some(table) = env.table(id) else { return Ok(()) };
    let Some(wanted) = env.listed_column(table, name)?.and_then(|column| column.protected.as_ref()) else {
        return Ok(());
    };
    let fits = match found {
        Held::Protected(flow) => {
            let column = &flow.column;
            (&column.domain, column.protection, column.search) == (&wanted.domain, wanted.protection, wanted.search)
                && (flow.ty == wanted.ty || (is_text(flow.ty) && is_within(flow.ty, wanted.ty)))
        }
        Held::Plain | Held::Barred(_) => false,
    };
    if fits {
        return Ok(());
    }
    let gives = match found {
        Held::Protected(Flow { column, ty, .. }) => format!("{} {ty} in domain {}", column.protection, column.domain),
        Held::Plain | Held::Barred(_) => "a plain value".to_owned(),
    };
    let says = format!("{} {} in domain {}", wanted.protection, wanted.ty, wanted.domain);
    Err(Refusal::denied(format!("column {} is classified otherwise than what the view's query gives", wanted.id))
        .detail(format!("The classification says {says}; the query gives {gives}."))
        .hint("Make the view anew, or ask the officers for a classification that fits it.")
        .column(&wanted.id))
}

/// The column that a slot is for.
fn column_of<'s>(slot: &'s Slot, searches: &'s [Search]) -> Result<&'s Protected> {
    match slot {
        Slot::Cell(cell) | Slot::Cells(cell) => Some(&cell.value.column),
        Slot::Search { search, .. } => searches.get(*search).map(|search| &search.column),
    }
    .ok_or_else(|| Refusal::internal("a search that is not there"))
}

/// Binds the query of a new view and makes its names full.
pub(crate) fn define(env: &Env<'_>, id: &TableId, names: &[&str], query: &mut Node) -> Result<BTreeSet<TableId>> {
    let mut binder = Binder::new(env);
    let outputs = binder.query(query, None)?;
    if let Some(slot) = binder.slots.first() {
        let column = &column_of(slot, &binder.searches)?.id;
        return Err(Refusal::unsupported(format!(
            "a value that meets the protected column {column} cannot stand in a view"
        ))
        .detail("The view would keep a cell that no new key reaches.")
        .hint("Leave it out of the view, and give it in the statement that reads the view.")
        .column(column));
    }
    for (at, Output { name, ty }) in outputs.into_iter().enumerate() {
        agrees(env, id, names.get(at).copied().unwrap_or(&name), &Held::of(ty))?;
    }
    Ok(binder.tables)
}
