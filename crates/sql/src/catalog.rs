//! What the processor's database looks like: relations, columns, and the names that are not PostgreSQL's own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use drieslot_schema::{ColumnId, EnumLabels, EnumName, LogicalType, TableId};

use crate::ddl::check_name;

/// The user's relations and functions, as rows of [`Catalog::from_rows`].
pub const CATALOG_SQL: &str = concat!(
    "SELECT 'r' AS what, c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, a.attnum::pg_catalog.text, a.attname::pg_catalog.text, a.atttypid::pg_catalog.text,",
    " a.atttypmod::pg_catalog.text, a.attnotnull::pg_catalog.text",
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid",
    " AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
    " AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,v,m,f,p,c}'::pg_catalog.text[])",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL",
    " ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.text[])",
    " UNION ALL SELECT 'f', p.oid::pg_catalog.text, n.nspname::pg_catalog.text, p.proname::pg_catalog.text,",
    " p.prokind::pg_catalog.text, NULL, NULL, NULL, NULL, NULL",
    " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.text[])",
    " UNION ALL SELECT 'o', o.oid::pg_catalog.text, n.nspname::pg_catalog.text, o.oprname::pg_catalog.text,",
    " o.oprkind::pg_catalog.text, NULL, NULL, NULL, NULL, NULL",
    " FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.text[])",
    " UNION ALL SELECT 't', t.oid::pg_catalog.text, n.nspname::pg_catalog.text, t.typname::pg_catalog.text,",
    " t.typtype::pg_catalog.text, NULL, NULL, NULL, NULL, NULL",
    " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL",
    " ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.text[])",
    " UNION ALL SELECT 'n', t.oid::pg_catalog.text, n.nspname::pg_catalog.text, t.typname::pg_catalog.text,",
    " e.enumlabel::pg_catalog.text, NULL, NULL, NULL, NULL, NULL FROM pg_catalog.pg_enum e",
    " JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) e.enumtypid",
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace",
    " UNION ALL SELECT 'w', c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, pg_catalog.pg_get_viewdef(c.oid), NULL, NULL, NULL, NULL",
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.text[])",
    " AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL",
    " ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.text[])",
    // Defaults that may be cells.
    " UNION ALL SELECT 'e', c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, a.attname::pg_catalog.text, pg_catalog.pg_get_expr(d.adbin, d.adrelid),",
    " NULL, NULL, NULL FROM pg_catalog.pg_class c",
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid",
    " AND a.atttypid OPERATOR(pg_catalog.=) 'pg_catalog.bytea'::pg_catalog.regtype AND NOT a.attisdropped",
    " JOIN pg_catalog.pg_attrdef d ON d.adrelid OPERATOR(pg_catalog.=) c.oid",
    " AND d.adnum OPERATOR(pg_catalog.=) a.attnum",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL",
    " ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.text[])",
    // What the checks of cells say of the declared type, and of the least epoch.
    " UNION ALL SELECT 'k', c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, a.attname::pg_catalog.text, k.conname::pg_catalog.text,",
    " pg_catalog.substring(pg_catalog.pg_get_expr(k.conbin, k.conrelid), '''([^'']+)''::text'),",
    " pg_catalog.substring(pg_catalog.pg_get_expr(k.conbin, k.conrelid), '>= ''\\\\x([0-9a-f]{4})''::bytea'), NULL",
    " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid",
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid",
    " AND a.attnum OPERATOR(pg_catalog.=) k.conkey[1]",
    " WHERE k.contype::pg_catalog.text OPERATOR(pg_catalog.=) 'c'",
    " AND k.conname::pg_catalog.text OPERATOR(pg_catalog.~) '_is_cell$'",
    // The provider of the database's character classes, and their locale; a column of that name is not in every version.
    " UNION ALL SELECT 'l', '0', d.datlocprovider::pg_catalog.text,",
    " COALESCE(pg_catalog.to_jsonb(d) OPERATOR(pg_catalog.->>) 'datlocale', d.datctype::pg_catalog.text), '',",
    " NULL, NULL, NULL, NULL, NULL FROM pg_catalog.pg_database d",
    " WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()",
    " UNION ALL SELECT DISTINCT 'd', c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, rn.nspname::pg_catalog.text, r.relname::pg_catalog.text, NULL, NULL, NULL",
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) c.oid",
    " JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) w.oid",
    " AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass",
    " AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass",
    " AND d.refobjid OPERATOR(pg_catalog.<>) c.oid",
    " JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) d.refobjid",
    " JOIN pg_catalog.pg_namespace rn ON rn.oid OPERATOR(pg_catalog.=) r.relnamespace",
    " WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.text[])",
    " AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL",
    " ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.text[])",
);

/// PostgreSQL's own relations, in the same shape.
pub const SYSTEM_CATALOG_SQL: &str = concat!(
    "SELECT 'r' AS what, c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, a.attnum::pg_catalog.text, a.attname::pg_catalog.text, a.atttypid::pg_catalog.text,",
    " a.atttypmod::pg_catalog.text, a.attnotnull::pg_catalog.text",
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid",
    " AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema}'::pg_catalog.text[])",
    " AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,v,m,f,p,c}'::pg_catalog.text[])",
    " UNION ALL SELECT 'v', '0', '', pg_catalog.current_setting('server_version_num'), '', NULL, NULL, NULL, NULL, NULL",
    " UNION ALL SELECT 'w', c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,",
    " c.relkind::pg_catalog.text, pg_catalog.pg_get_viewdef(c.oid), NULL, NULL, NULL, NULL",
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
    " WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) 'information_schema'",
    " AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{columns,column_udt_usage,element_types,check_constraints,",
    "check_constraint_routine_usage,constraint_column_usage,table_constraints}'::pg_catalog.text[])",
);

/// The catalogue's rows are not those of [`CATALOG_SQL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {what}")]
pub struct CatalogError {
    /// From 0.
    pub row: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// One column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogColumn {
    /// `attnum`, from 1.
    pub number: i16,
    /// `attname`.
    pub name: String,
    /// `atttypid`.
    pub type_oid: u32,
    /// `atttypmod`.
    pub type_modifier: i32,
    /// `attnotnull`.
    pub not_null: bool,
}

/// One relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its OID; 0 for one that a statement before in the same text creates.
    pub oid: u32,
    /// Its name.
    pub id: TableId,
    /// `relkind`.
    pub kind: u8,
    /// In `attnum` order.
    pub columns: Vec<CatalogColumn>,
}

impl Relation {
    /// Whether a query stands behind it.
    pub(crate) fn is_view(&self) -> bool {
        matches!(self.kind, b'v' | b'm')
    }
}

/// What a view is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    /// As `pg_get_viewdef` writes it: a name that the reading session's search path finds is bare.
    pub(crate) query: String,
    /// The user's relations that it names.
    pub(crate) names: Vec<TableId>,
}

/// How `lower`, `upper` and ILIKE map letters in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ctype {
    /// Those of ASCII alone.
    Ascii,
    /// By Unicode's simple mapping, one character to one.
    Simple,
}

impl Ctype {
    /// By `datlocprovider` and locale.
    fn of(provider: &str, locale: &str) -> Option<Self> {
        let lower = locale.to_ascii_lowercase();
        let unicode = lower.contains(".utf-8") || lower.contains(".utf8");
        let language: String = lower.chars().take_while(char::is_ascii_alphabetic).collect();
        // Their letters i are mapped in other ways.
        let special = ["tr", "az", "lt", "crh", "ku", "tt"].contains(&language.as_str());
        match (provider, lower.as_str()) {
            ("b" | "c", "c" | "posix") => Some(Self::Ascii),
            ("b", "c.utf-8" | "c.utf8") => Some(Self::Simple),
            ("c", _) if unicode && !special => Some(Self::Simple),
            _ => None,
        }
    }
}

/// The value of `'\x…'::bytea`.
fn bytes(expression: &str) -> Option<Vec<u8>> {
    let digits = expression.strip_prefix("'\\x")?.strip_suffix("'::bytea")?.as_bytes();
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(value(high)? << 4 | value(low)?)).collect()
}

/// One version of a database's catalogue.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    relations: BTreeMap<TableId, Arc<Relation>>,
    by_oid: HashMap<u32, TableId>,
    functions: BTreeSet<String>,
    operators: BTreeSet<String>,
    /// The schemas in which a type of a name exists.
    types: BTreeMap<String, BTreeSet<String>>,
    enum_oids: BTreeMap<EnumName, u32>,
    enum_labels: Arc<EnumLabels>,
    /// `server_version_num`; 0 where it is not known.
    version: u32,
    definitions: BTreeMap<TableId, Definition>,
    /// Of columns that hold bytes: the default where it is a constant.
    defaults: BTreeMap<ColumnId, Vec<u8>>,
    /// The types that protected columns were declared with, where the classification allows a wider one.
    declared: BTreeMap<ColumnId, LogicalType>,
    /// From which epoch on the processor takes cells, where a rotation has said so.
    least_epochs: BTreeMap<ColumnId, u16>,
    /// `None` where it is not known, or not understood.
    ctype: Option<Ctype>,
    system: Option<Arc<Catalog>>,
}

impl Catalog {
    /// From the rows of [`CATALOG_SQL`] or [`SYSTEM_CATALOG_SQL`].
    ///
    /// # Errors
    /// A row without the ten columns of those statements.
    pub fn from_rows(rows: &[Vec<Option<String>>]) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for (row, values) in rows.iter().enumerate() {
            let error = |what| CatalogError { row, what };
            let [what, oid, schema, name, kind, rest @ ..] = values.as_slice() else {
                return Err(error("too few columns"));
            };
            let [Some(what), Some(oid), Some(schema), Some(name), Some(kind)] = [what, oid, schema, name, kind] else {
                return Err(error("a value is missing"));
            };
            match what.as_str() {
                "r" => {
                    let oid = oid.parse().map_err(|_| error("oid"))?;
                    let kind = kind.bytes().next().ok_or_else(|| error("relkind"))?;
                    let id = TableId { schema: schema.clone(), table: name.clone() };
                    catalog.add_row(oid, id, kind, rest).map_err(error)?;
                }
                "w" => {
                    let [Some(query), ..] = rest else { return Err(error("a view without its query")) };
                    catalog.defined(schema, name).query.clone_from(query);
                }
                "d" => {
                    let [Some(of), Some(table), ..] = rest else { return Err(error("a view of nothing")) };
                    let table = TableId { schema: of.clone(), table: table.clone() };
                    catalog.defined(schema, name).names.push(table);
                }
                "e" => {
                    let [Some(column), Some(expression), ..] = rest else { return Err(error("a default of nothing")) };
                    let table = TableId { schema: schema.clone(), table: name.clone() };
                    let id = ColumnId { table, column: column.clone() };
                    catalog.defaults.extend(bytes(expression).map(|bytes| (id, bytes)));
                }
                "k" => {
                    let [Some(column), Some(check), declared, epoch, ..] = rest else {
                        return Err(error("a check of nothing"));
                    };
                    let table = TableId { schema: schema.clone(), table: name.clone() };
                    let ty = declared.as_deref().and_then(|ty| ty.parse().ok());
                    let id = ColumnId { table, column: column.clone() };
                    if *check == check_name(column) {
                        let epoch = epoch.as_deref().and_then(|digits| u16::from_str_radix(digits, 16).ok());
                        catalog.least_epochs.extend(epoch.map(|epoch| (id.clone(), epoch)));
                        catalog.declared.extend(ty.map(|ty| (id, ty)));
                    }
                }
                "l" => catalog.ctype = Ctype::of(schema, name),
                "f" => drop(catalog.functions.insert(name.clone())),
                "o" => drop(catalog.operators.insert(name.clone())),
                "t" => drop(catalog.types.entry(name.clone()).or_default().insert(schema.clone())),
                "n" => {
                    let oid = oid.parse().map_err(|_| error("oid"))?;
                    let full = EnumName::new(schema, name).ok_or_else(|| error("a type's name"))?;
                    catalog.enum_oids.insert(full, oid);
                    // In this row it is a label.
                    Arc::make_mut(&mut catalog.enum_labels).entry(full).or_default().insert(kind.clone());
                }
                "v" => catalog.version = name.parse().map_err(|_| error("server_version_num"))?,
                _ => return Err(error("unknown kind of row")),
            }
        }
        for relation in catalog.relations.values_mut() {
            Arc::make_mut(relation).columns.sort_by_key(|column| column.number);
        }
        Ok(catalog)
    }

    fn add_row(&mut self, oid: u32, id: TableId, kind: u8, rest: &[Option<String>]) -> Result<(), &'static str> {
        self.by_oid.insert(oid, id.clone());
        let relation = self
            .relations
            .entry(id.clone())
            .or_insert_with(|| Arc::new(Relation { oid, id, kind, columns: Vec::new() }));
        let [number, name, type_oid, modifier, not_null] = rest else { return Err("not ten columns") };
        let (Some(number), Some(name)) = (number, name) else { return Ok(()) };
        let (Some(type_oid), Some(modifier), Some(not_null)) = (type_oid, modifier, not_null) else {
            return Err("a column's value is missing");
        };
        Arc::make_mut(relation).columns.push(CatalogColumn {
            number: number.parse().map_err(|_| "attnum")?,
            name: name.clone(),
            type_oid: type_oid.parse().map_err(|_| "atttypid")?,
            type_modifier: modifier.parse().map_err(|_| "atttypmod")?,
            not_null: matches!(not_null.as_str(), "t" | "true"),
        });
        Ok(())
    }

    fn defined(&mut self, schema: &str, name: &str) -> &mut Definition {
        let id = TableId { schema: schema.to_owned(), table: name.to_owned() };
        self.definitions.entry(id).or_insert_with(|| Definition { query: String::new(), names: Vec::new() })
    }

    /// Adds PostgreSQL's own relations.
    #[must_use]
    pub fn with_system(mut self, system: Arc<Catalog>) -> Self {
        self.system = Some(system);
        self
    }

    /// The cell that a column has as its default.
    pub fn default_of(&self, column: &ColumnId) -> Option<&[u8]> {
        self.defaults.get(column).map(Vec::as_slice)
    }

    /// The type that a protected column was declared with, where its check says so.
    pub fn declared(&self, column: &ColumnId) -> Option<LogicalType> {
        self.declared.get(column).copied()
    }

    /// The epoch from which on a column's check takes cells.
    pub fn least_epoch(&self, column: &ColumnId) -> Option<u16> {
        self.least_epochs.get(column).copied()
    }

    pub(crate) fn declare(&mut self, column: ColumnId, ty: LogicalType) {
        self.declared.insert(column, ty);
    }

    /// What a statement before in the same text may have changed.
    pub(crate) fn forget_defaults(&mut self, table: &TableId) {
        self.defaults.retain(|column, _| column.table != *table);
    }

    pub(crate) fn undeclare(&mut self, column: &ColumnId) {
        self.declared.remove(column);
    }

    /// Whether a view's query names the relation.
    pub(crate) fn is_viewed(&self, id: &TableId) -> bool {
        self.definitions.values().any(|definition| definition.names.contains(id))
    }

    /// The relation of that full name.
    pub fn relation(&self, id: &TableId) -> Option<&Arc<Relation>> {
        self.relations.get(id).or_else(|| self.system.as_ref()?.relations.get(id))
    }

    /// The user's views.
    pub(crate) fn views(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values().filter(|relation| relation.is_view())
    }

    /// What a view is; `None` where its query is not known.
    pub(crate) fn definition(&self, id: &TableId) -> Option<&Definition> {
        let found = self.definitions.get(id).or_else(|| self.system.as_ref()?.definitions.get(id));
        found.filter(|definition| !definition.query.is_empty())
    }

    /// The column at a place of the user's relations, as a RowDescription names it.
    pub fn column_at(&self, table_oid: u32, attnum: i16) -> Option<ColumnId> {
        let table = self.by_oid.get(&table_oid)?;
        // A view's own columns are what its query says.
        let relation = self.relations.get(table).filter(|relation| !relation.is_view())?;
        let column = relation.columns.iter().find(|column| column.number == attnum)?;
        Some(ColumnId { table: table.clone(), column: column.name.clone() })
    }

    /// Whether a function of that name exists outside `pg_catalog`.
    pub fn has_user_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    /// Whether an operator of that name exists outside `pg_catalog`.
    pub fn has_user_operator(&self, name: &str) -> bool {
        self.operators.contains(name)
    }

    /// How the database maps letters; `None` where it does so in a way that is not understood, such as ICU's.
    pub(crate) fn ctype(&self) -> Option<Ctype> {
        self.ctype
    }

    /// `server_version_num`; 0 where it is not known.
    pub(crate) fn version(&self) -> u32 {
        self.system.as_ref().map_or(self.version, |system| system.version)
    }

    /// Whether the server has `min(bytea)` and `max(bytea)`.
    pub(crate) fn has_extremes_of_bytes(&self) -> bool {
        self.version() >= 180_000
    }

    /// Whether a type of that name exists outside `pg_catalog`; every user relation has one of its own name.
    pub fn has_user_type(&self, name: &str) -> bool {
        self.types.contains_key(name)
    }

    /// The enum type that a bare name means under a search path.
    pub(crate) fn enum_named(&self, search_path: &[String], name: &str) -> Option<EnumName> {
        let schemas = self.types.get(name)?;
        let schema = search_path.iter().find(|schema| schemas.contains(*schema))?;
        EnumName::find(schema, name).filter(|full| self.enum_oids.contains_key(full))
    }

    /// The OID that clients know a type by; 0 of an enum that the database has not.
    pub fn oid_of(&self, ty: LogicalType) -> u32 {
        if let LogicalType::Enum(name) = ty { self.enum_oids.get(&name).copied().unwrap_or(0) } else { ty.oid() }
    }

    /// The labels of the database's enum types.
    pub fn enum_labels(&self) -> &Arc<EnumLabels> {
        &self.enum_labels
    }

    pub(crate) fn put(&mut self, relation: Relation) {
        self.types.entry(relation.id.table.clone()).or_default().insert(relation.id.schema.clone());
        self.relations.insert(relation.id.clone(), Arc::new(relation));
    }

    pub(crate) fn remove(&mut self, id: &TableId) {
        self.relations.remove(id);
    }
}
