//! What names mean, and how a relation stands under the classification.

use std::collections::HashMap;
use std::sync::Arc;

use drieslot_schema::{Classification, Column, Domain, LogicalType, Protected, Table, TableId, Unlisted};
use pg_query::protobuf::TypeName;

use crate::catalog::{Catalog, CatalogColumn, Relation};
use crate::census::Named;
use crate::refusal::{Refusal, Result};
use crate::statement::Statement;
use crate::types::{is_within, logical, strings};

pub(crate) const BYTEA_OID: u32 = 17;

/// Everything that names are resolved against; a text's earlier statements may have changed it.
pub(crate) struct Env<'a> {
    pub(crate) catalog: std::borrow::Cow<'a, Catalog>,
    pub(crate) classification: &'a Classification,
    pub(crate) search_path: Vec<String>,
    pub(crate) prepared: Names<'a>,
    pub(crate) cursors: Names<'a>,
    pub(crate) least_epoch: &'a dyn Fn(&Domain) -> Option<u16>,
    /// An earlier statement of the text may have changed what unqualified names mean.
    pub(crate) unsure: bool,
    /// Inside the definition of a view: the user's relations that its bare names mean.
    pub(crate) names: Option<&'a [TableId]>,
    /// How many views are around.
    pub(crate) depth: u8,
}

/// What names of prepared statements or cursors stand for: the session's, and what the text itself has changed.
#[derive(Clone)]
pub(crate) struct Names<'a> {
    session: &'a dyn Fn(&str) -> Option<Arc<Statement>>,
    changed: HashMap<String, Option<Arc<Statement>>>,
    cleared: bool,
}

impl<'a> Names<'a> {
    pub(crate) fn of(session: &'a dyn Fn(&str) -> Option<Arc<Statement>>) -> Self {
        Self { session, changed: HashMap::new(), cleared: false }
    }

    pub(crate) fn none() -> Self {
        Self::of(&nothing)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Statement>> {
        match self.changed.get(name) {
            Some(changed) => changed.clone(),
            None if self.cleared => None,
            None => (self.session)(name),
        }
    }

    pub(crate) fn set(&mut self, name: &str, statement: Option<Arc<Statement>>) {
        self.changed.insert(name.to_owned(), statement);
    }

    pub(crate) fn clear(&mut self) {
        self.changed.clear();
        self.cleared = true;
    }
}

fn nothing(_: &str) -> Option<Arc<Statement>> {
    None
}

/// How a column stands.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    Plain,
    Protected(Protected),
    /// Must not be touched, and why.
    Barred(Box<Refusal>),
}

/// How a relation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// PostgreSQL's own, a sequence, an index: holds no value that could be protected.
    System,
    /// Every column may go as it is.
    Plain,
    /// Some columns are protected or barred.
    Bound,
    /// A view: its query says.
    View,
    /// Not in the classification.
    Unlisted,
}

pub(crate) fn is_system_schema(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema" | "pg_toast")
}

impl Env<'_> {
    /// Whether there is anything to protect.
    pub(crate) fn protects(&self) -> bool {
        self.classification.unlisted_tables() == Unlisted::Refuse
            || self.classification.protected().next().is_some()
            || self.classification.tables().any(|table| table.unlisted_columns == Unlisted::Refuse)
    }

    /// The relation that a name means, or `None` where the catalogue has none.
    pub(crate) fn find(&self, named: &Named) -> Result<Option<Arc<Relation>>> {
        if !named.catalog.is_empty() && named.catalog != self.classification.database() {
            return Err(Refusal::unsupported("cross-database references are not implemented"));
        }
        if named.schema == "pg_temp" {
            let own = self.search_path.iter().filter(|schema| schema.starts_with("pg_temp"));
            return Ok(own.filter_map(|schema| self.in_schema(schema, &named.name)).next());
        }
        if !named.schema.is_empty() {
            return Ok(self.in_schema(&named.schema, &named.name));
        }
        if let Some(names) = self.names {
            let mut found = names.iter().filter(|id| id.table == named.name);
            return match (found.next(), found.next()) {
                (None, _) => Ok(self.in_schema("pg_catalog", &named.name)),
                (Some(id), None) => Ok(self.in_schema(&id.schema, &id.table)),
                (Some(_), Some(_)) => Err(Refusal::unsupported(format!("\"{}\" may be two tables", named.name))),
            };
        }
        if self.unsure {
            return Err(Refusal::unsupported(
                "an earlier statement of this text may have changed what unqualified names mean",
            )
            .hint("Send the statement by itself, or write the schema's name before the table's."));
        }
        Ok(self.search_path.iter().find_map(|schema| self.in_schema(schema, &named.name)))
    }

    /// The logical type of a type name, a bare one by the search path.
    pub(crate) fn logical(&self, ty: &TypeName) -> Option<LogicalType> {
        let found = logical(ty);
        let names = strings(&ty.names);
        let [name] = names.as_slice() else { return found };
        let bare = found.is_none() && !self.unsure && self.names.is_none() && ty.array_bounds.is_empty();
        let user = if bare { self.catalog.enum_named(&self.search_path, name) } else { None };
        user.map_or(found, |user| Some(LogicalType::Enum(user)))
    }

    fn in_schema(&self, schema: &str, name: &str) -> Option<Arc<Relation>> {
        self.catalog.relation(&TableId { schema: schema.to_owned(), table: name.to_owned() }).cloned()
    }

    /// The full name that a new relation would get.
    pub(crate) fn creation(&self, named: &Named, temporary: bool) -> Result<TableId> {
        let schema = if temporary || named.schema == "pg_temp" {
            "pg_temp".to_owned()
        } else if named.schema.is_empty() {
            if self.unsure {
                return Err(Refusal::unsupported(
                    "an earlier statement of this text may have changed where new tables go",
                )
                .hint("Send the statement by itself, or write the schema's name before the table's."));
            }
            let target =
                self.search_path.iter().find(|schema| !is_system_schema(schema) && !schema.starts_with("pg_temp"));
            target.cloned().ok_or_else(|| Refusal::new("3F000", "no schema has been selected to create in"))?
        } else {
            named.schema.clone()
        };
        Ok(TableId { schema, table: named.name.clone() })
    }

    pub(crate) fn table(&self, id: &TableId) -> Option<&Table> {
        self.classification.table(id)
    }

    /// How a column of a listed table stands by its name alone.
    pub(crate) fn listed_column<'t>(&self, table: &'t Table, name: &str) -> Result<Option<&'t Column>> {
        match table.columns.get(name) {
            Some(column) => Ok(Some(column)),
            None if table.unlisted_columns == Unlisted::Plain => Ok(None),
            None => Err(unlisted_column(&table.id, name)),
        }
    }

    /// How a column of the catalogue stands.
    pub(crate) fn standing(&self, relation: &Relation, column: &CatalogColumn) -> Standing {
        let Some(table) = self.table(&relation.id) else { return Standing::Plain };
        match self.listed_column(table, &column.name) {
            Err(refusal) => Standing::Barred(Box::new(refusal)),
            Ok(None) => Standing::Plain,
            Ok(Some(Column { protected: None, .. })) => Standing::Plain,
            Ok(Some(Column { protected: Some(protected), .. })) => {
                if column.type_oid == BYTEA_OID {
                    return Standing::Protected(self.declared(protected));
                }
                let message = format!(
                    "column {} is classified `{}` but the processor's column does not hold cells",
                    protected.id, protected.protection
                );
                let hint = "Create the table through the gateway, or bring its values over first.";
                Standing::Barred(Box::new(Refusal::denied(message).hint(hint).column(&protected.id)))
            }
        }
    }

    /// A protected column with the type that its table declares, which may be narrower than the classification's.
    pub(crate) fn declared(&self, protected: &Protected) -> Protected {
        let declared = self.catalog.declared(&protected.id).filter(|ty| is_within(*ty, protected.ty));
        Protected { ty: declared.unwrap_or(protected.ty), ..protected.clone() }
    }

    /// How a relation stands.
    pub(crate) fn place(&self, relation: &Relation) -> Place {
        if is_system_schema(&relation.id.schema) {
            return Place::System;
        }
        if matches!(relation.kind, b'S' | b'i' | b'I' | b'c' | b't') {
            return Place::System;
        }
        if matches!(relation.kind, b'v' | b'm') {
            return Place::View;
        }
        let Some(_) = self.table(&relation.id) else {
            return match self.classification.unlisted_tables() {
                Unlisted::Plain => Place::Plain,
                Unlisted::Refuse => Place::Unlisted,
            };
        };
        let plain = relation.columns.iter().all(|column| matches!(self.standing(relation, column), Standing::Plain));
        if plain && !self.has_protected(&relation.id) { Place::Plain } else { Place::Bound }
    }

    /// Whether the classification protects a column of the table.
    pub(crate) fn has_protected(&self, id: &TableId) -> bool {
        self.table(id).is_some_and(|table| table.columns.values().any(|column| column.protected.is_some()))
    }

    /// Whether a name could mean a table with protected columns that the catalogue does not show.
    pub(crate) fn could_be_protected(&self, named: &Named) -> bool {
        self.classification.tables().any(|table| {
            table.id.table == named.name
                && (named.schema.is_empty() || named.schema == table.id.schema)
                && self.has_protected(&table.id)
        })
    }
}

pub(crate) fn unlisted_table(id: &TableId) -> Refusal {
    Refusal::denied(format!("table {id} is not in the classification"))
        .hint("Ask the officers for a classification that lists the table.")
}

pub(crate) fn unlisted_column(id: &TableId, name: &str) -> Refusal {
    Refusal::denied(format!("column {id}.{name} is not in the classification"))
        .hint("Ask the officers for a classification that lists the column.")
}

pub(crate) fn opaque_view(id: &TableId) -> Refusal {
    Refusal::denied(format!("view {id} cannot be read: what its query gives is not known"))
        .hint("Make the view anew through the gateway, or write its query in the statement.")
}

pub(crate) fn no_relation(named: &Named) -> Refusal {
    let name = if named.schema.is_empty() { named.name.clone() } else { format!("{}.{}", named.schema, named.name) };
    Refusal::new("42P01", format!("relation \"{name}\" does not exist"))
        .at(i32::try_from(named.location).unwrap_or(0))
        .stale()
}
