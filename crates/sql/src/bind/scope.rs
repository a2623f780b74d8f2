//! Which names a place in a statement can see, as PostgreSQL's parser resolves them.

use drieslot_schema::{Domain, LogicalType, TableId};
use pg_query::protobuf::ColumnRef;

use super::{Flow, Output, Ty};
use crate::env::Standing;
use crate::refusal::{Refusal, Result};
use crate::statement::ResultColumn;
use crate::types::strings;

/// One column that a FROM item shows.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) standing: Held,
}

/// How a visible column stands.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Plain,
    Protected(Flow),
    Barred(Box<Refusal>),
}

impl Held {
    pub(super) fn new(standing: Standing) -> Self {
        match standing {
            Standing::Plain => Self::Plain,
            Standing::Protected(column) => {
                let origins = std::iter::once(column.id.clone()).collect();
                Self::Protected(Flow { ty: column.ty, column, origins })
            }
            Standing::Barred(refusal) => Self::Barred(refusal),
        }
    }

    pub(super) fn of(ty: Ty) -> Self {
        match ty {
            Ty::Plain | Ty::Value => Self::Plain,
            Ty::Protected(flow) => Self::Protected(flow),
        }
    }

    pub(super) fn ty(&self, location: i32) -> Result<Ty> {
        match self {
            Self::Plain => Ok(Ty::Plain),
            Self::Protected(flow) => Ok(Ty::Protected(flow.clone())),
            Self::Barred(refusal) => Err((**refusal).clone().at(location)),
        }
    }
}

/// A plain column that says whom the rows of its table are about.
#[derive(Clone, Debug)]
pub(super) struct PlainSubject {
    pub(super) table: TableId,
    /// Its index among the columns.
    pub(super) at: usize,
    pub(super) realm: Domain,
    pub(super) ty: LogicalType,
}

/// A column behind those of a derived table, which says whom its rows are about.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) table: TableId,
    pub(super) name: String,
    pub(super) column: ResultColumn,
    pub(super) realm: Domain,
    pub(super) ty: LogicalType,
}

/// One item of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Alias, or the relation's own name; empty for a join without an alias.
    pub(super) name: String,
    /// Where there is no alias.
    pub(super) table: Option<TableId>,
    pub(super) columns: Vec<Column>,
    /// There may be more columns, all of them plain.
    pub(super) opaque: bool,
    /// A real table has system columns.
    pub(super) system_columns: bool,
    /// Whom a real table's rows are about, where a plain column says it.
    pub(super) subject: Option<PlainSubject>,
    /// The same of a derived table, by columns that nothing of the statement names.
    pub(super) carried: Vec<Carried>,
    /// `name.column` finds it.
    pub(super) by_name: bool,
    /// `column` finds its columns, and `*` shows them.
    pub(super) by_column: bool,
}

/// A query that WITH names.
#[derive(Clone, Debug)]
pub(super) struct Cte {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) opaque: bool,
    pub(super) carried: Vec<Carried>,
}

/// What a place sees, and what the places around it see.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'p> {
    pub(super) items: Vec<Item>,
    pub(super) ctes: Vec<Cte>,
    pub(super) parent: Option<&'p Scope<'p>>,
}

fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "tableoid" | "xmin" | "xmax" | "cmin" | "cmax")
}

impl Item {
    fn holds_only_plain(&self) -> bool {
        self.columns.iter().all(|column| matches!(column.standing, Held::Plain))
    }

    fn column(&self, name: &str, location: i32) -> Result<Option<&Held>> {
        let mut found = self.columns.iter().filter(|column| column.name == name);
        let Some(first) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(ambiguous(name, location));
        }
        Ok(Some(&first.standing))
    }

    fn answers_to(&self, schema: Option<&str>, name: &str) -> bool {
        self.by_name
            && self.name == name
            && schema.is_none_or(|schema| self.table.as_ref().is_some_and(|table| table.schema == schema))
    }
}

fn ambiguous(name: &str, location: i32) -> Refusal {
    Refusal::new("42702", format!("column reference \"{name}\" is ambiguous")).at(location)
}

fn no_column(name: &str, location: i32) -> Refusal {
    Refusal::new("42703", format!("column \"{name}\" does not exist")).at(location).stale()
}

impl Scope<'_> {
    pub(super) fn cte(&self, name: &str) -> Option<&Cte> {
        let here = self.ctes.iter().rev().find(|cte| cte.name == name);
        here.or_else(|| self.parent.and_then(|parent| parent.cte(name)))
    }

    /// `column`, or the whole row of a table of that name.
    pub(super) fn unqualified(&self, name: &str, location: i32) -> Result<Ty> {
        match self.level(name, location)? {
            Some(ty) => Ok(ty),
            None => self.whole_row(None, name, location)?.ok_or_else(|| no_column(name, location)),
        }
    }

    /// The column of that name in the innermost level that has it.
    fn level(&self, name: &str, location: i32) -> Result<Option<Ty>> {
        let mut found = None;
        for item in self.items.iter().filter(|item| item.by_column) {
            if let Some(standing) = item.column(name, location)? {
                if found.is_some() {
                    return Err(ambiguous(name, location));
                }
                found = Some(standing);
            }
        }
        if let Some(standing) = found {
            return standing.ty(location).map(Some);
        }
        if is_system_column(name) && self.items.iter().any(|item| item.by_column && item.system_columns) {
            return Ok(Some(Ty::Plain));
        }
        let outer = match self.parent {
            Some(parent) => parent.level(name, location)?,
            None => None,
        };
        if self.items.iter().any(|item| item.by_column && item.opaque) {
            self.whole_row(None, name, location)?;
            return match outer {
                None | Some(Ty::Plain | Ty::Value) => Ok(Some(Ty::Plain)),
                Some(Ty::Protected(_)) => Err(Refusal::unsupported(format!(
                    "\"{name}\" may be a column of a function's result or a protected column outside"
                ))
                .hint("Write the table's name before the column's.")
                .at(location)),
            };
        }
        Ok(outer)
    }

    /// Whether this level, without those around it, has a column of that name; `None` where a function's result might.
    pub(super) fn has_here(&self, name: &str) -> Option<bool> {
        let mut visible = self.items.iter().filter(|item| item.by_column);
        if visible.clone().any(|item| item.columns.iter().any(|column| column.name == name)) {
            return Some(true);
        }
        if visible.any(|item| item.opaque) { None } else { Some(false) }
    }

    /// Whether a column is surely one of this level: an aggregate of an outer column would belong to the outer query.
    pub(super) fn is_of_here(&self, column: &ColumnRef) -> bool {
        let has = |schema, table: &str, name: &str| {
            let mut items = self.items.iter().filter(|item| item.answers_to(schema, table));
            items.any(|item| item.columns.iter().any(|column| column.name == name))
        };
        match strings(&column.fields).as_slice() {
            [name] => self.has_here(name) == Some(true),
            [table, name] => has(None, table, name),
            [schema, table, name] => has(Some(schema), table, name),
            _ => false,
        }
    }

    fn item(&self, schema: Option<&str>, name: &str, location: i32) -> Result<Option<&Item>> {
        let mut found = self.items.iter().filter(|item| item.answers_to(schema, name));
        let Some(first) = found.next() else {
            return self.parent.map_or(Ok(None), |parent| parent.item(schema, name, location));
        };
        if found.next().is_some() {
            return Err(Refusal::new("42P09", format!("table reference \"{name}\" is ambiguous")).at(location));
        }
        Ok(Some(first))
    }

    fn item_here(&self, schema: Option<&str>, name: &str, location: i32) -> Result<&Item> {
        self.item(schema, name, location)?.ok_or_else(|| {
            Refusal::new("42P01", format!("missing FROM-clause entry for table \"{name}\"")).at(location)
        })
    }

    /// `table.column` or `schema.table.column`.
    pub(super) fn qualified(&self, schema: Option<&str>, table: &str, name: &str, location: i32) -> Result<Ty> {
        let item = self.item_here(schema, table, location)?;
        if let Some(standing) = item.column(name, location)? {
            return standing.ty(location);
        }
        if (item.system_columns && is_system_column(name)) || (item.opaque && item.holds_only_plain()) {
            return Ok(Ty::Plain);
        }
        Err(no_column(name, location))
    }

    /// The row of a table as one value.
    pub(super) fn whole_row(&self, schema: Option<&str>, table: &str, location: i32) -> Result<Option<Ty>> {
        let Some(item) = self.item(schema, table, location)? else { return Ok(None) };
        if item.holds_only_plain() {
            return Ok(Some(Ty::Plain));
        }
        Err(Refusal::unsupported(format!("the row of {table} as one value would hold protected columns"))
            .hint("Name the columns, or write * by itself.")
            .at(location))
    }

    /// What `*`, or `table.*`, shows.
    pub(super) fn star(&self, table: Option<(Option<&str>, &str)>, location: i32) -> Result<Vec<Output>> {
        let items: Vec<&Item> = match table {
            None => self.items.iter().filter(|item| item.by_column).collect(),
            Some((schema, name)) => vec![self.item_here(schema, name, location)?],
        };
        let mut outputs = Vec::new();
        for item in items {
            if item.opaque {
                return Err(Refusal::unsupported(
                    "* over a function's result is not supported beside protected columns",
                )
                .hint("Name the columns.")
                .at(location));
            }
            for column in &item.columns {
                outputs.push(Output { name: column.name.clone(), ty: column.standing.ty(location)? });
            }
        }
        Ok(outputs)
    }
}
