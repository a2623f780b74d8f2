//! A classification: for every column of a database, its data class and its protection.

use std::collections::BTreeMap;
use std::fmt;

use crate::LogicalType;

/// What the processor can learn of a protected column, and hence what SQL can do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protection {
    /// Randomised: stored and fetched, nothing else. The processor learns a length class.
    Sealed,
    /// Deterministic: equality, joins, grouping, uniqueness. The processor also learns which values are equal.
    Exact,
    /// As `Exact`, and ranges, ORDER BY, min and max. The processor also learns the order of the values.
    Ordered,
}

impl Protection {
    /// Whether equal values have equal cells, so that cells can be compared, joined, grouped and unique.
    pub fn shows_equality(self) -> bool {
        match self {
            Self::Sealed => false,
            Self::Exact | Self::Ordered => true,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "sealed",
            Self::Exact => "exact",
            Self::Ordered => "ordered",
        })
    }
}

/// The name of a set of columns that share one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(pub String);

/// What names of domains begin with that no classification may give.
const RESERVED: &str = "drieslot/";

impl Domain {
    /// The domain of the key that pseudonyms of subjects are made with. No column has it.
    pub fn subjects() -> Self {
        Self(format!("{RESERVED}subjects"))
    }

    fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table's full name, as PostgreSQL stores it (unquoted, case-folded where SQL folded it).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    /// Schema, such as `public`.
    pub schema: String,
    /// Table, such as `customers`.
    pub table: String,
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A column's full name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId {
    /// The table.
    pub table: TableId,
    /// The column.
    pub column: String,
}

impl fmt::Display for ColumnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// The Flemish information classes, 1 (public) to 5 (highest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(u8);

impl Class {
    /// `None` outside 1 to 5.
    pub fn new(class: u8) -> Option<Self> {
        (1..=5).contains(&class).then_some(Self(class))
    }

    /// 1 to 5.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// How one protected column is protected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protected {
    /// The column.
    pub id: ColumnId,
    /// What the application sees.
    pub ty: LogicalType,
    /// What the processor can learn.
    pub protection: Protection,
    /// Which key.
    pub domain: Domain,
    /// Whether its cells hold tokens of the text's fragments, so that it can be searched. The processor then also learns
    /// which values share fragments.
    pub search: bool,
}

/// One classified column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its data class.
    pub class: Class,
    /// `None`: stored as it is.
    pub protected: Option<Protected>,
}

/// What holds for a table or column that the classification does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// Statements that touch it are refused.
    Refuse,
    /// It is stored as it is, by decision of the officers.
    Plain,
}

/// Whom a table's rows are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The column that says it, by name.
    pub column: String,
    /// Where equal values mean the same person: the domain of a protected column; of a plain one what the classification
    /// says, or its own full name.
    pub realm: Domain,
}

/// One classified table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub id: TableId,
    /// The columns it names, by name.
    pub columns: BTreeMap<String, Column>,
    /// What holds for its other columns.
    pub unlisted_columns: Unlisted,
    /// Whom its rows are about.
    pub subject: Option<Subject>,
}

/// The whole of one database. Made only by [`Classification::new`], which checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    database: String,
    tables: BTreeMap<TableId, Table>,
    unlisted_tables: Unlisted,
}

/// Why a classification contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassificationError {
    /// The same table twice.
    #[error("table {0} is classified twice")]
    DuplicateTable(TableId),
    /// `exact` needs one byte string per value.
    #[error("{id}: `exact` is not possible for {ty}: {why}")]
    NotExact {
        /// The column.
        id: Box<ColumnId>,
        /// Its type.
        ty: LogicalType,
        /// What stands in the way.
        why: &'static str,
    },
    /// Only types of bounded width have an order code.
    #[error("{id}: `ordered` is not possible for {ty}: {}", not_ordered(*ty))]
    NotOrdered {
        /// The column.
        id: Box<ColumnId>,
        /// Its type.
        ty: LogicalType,
    },
    /// Fragments are those of texts.
    #[error("{id}: `search` is for text and varchar, not for {ty}")]
    NoText {
        /// The column.
        id: Box<ColumnId>,
        /// Its type.
        ty: LogicalType,
    },
    /// Columns of one domain are compared byte by byte.
    #[error(
        "domain {domain}: {first} and {second} have different types or protections; columns of one domain must agree"
    )]
    DomainMismatch {
        /// The domain.
        domain: Domain,
        /// One column.
        first: Box<ColumnId>,
        /// Another, that differs.
        second: Box<ColumnId>,
    },
    /// The subject is not a column of the table's list.
    #[error("table {0}: the subject column `{1}` is not among its columns")]
    UnknownSubject(TableId, String),
    /// A value of the subject has several spellings, or names nobody.
    #[error(
        "{id}: a column of type {ty} cannot be a table's subject: use text, varchar(n), char(n), smallint, integer, bigint or uuid"
    )]
    SubjectType {
        /// The column.
        id: Box<ColumnId>,
        /// Its type.
        ty: LogicalType,
    },
    /// A domain whose name is kept for keys that are no column's.
    #[error("domain `{0}`: names that begin with `{RESERVED}` are Drieslot's own")]
    ReservedDomain(Domain),
}

fn not_ordered(ty: LogicalType) -> &'static str {
    match ty {
        LogicalType::Numeric(None) => "write numeric(precision, scale)",
        LogicalType::Numeric(Some(_)) => "its precision may be 33 at most",
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Bpchar(_) => {
            "the order of texts depends on a collation; use `exact`"
        }
        LogicalType::Bool
        | LogicalType::Int2
        | LogicalType::Int4
        | LogicalType::Int8
        | LogicalType::Date
        | LogicalType::Timestamp
        | LogicalType::Timestamptz
        | LogicalType::Float4
        | LogicalType::Float8
        | LogicalType::Bytea
        | LogicalType::Time
        | LogicalType::Inet
        | LogicalType::Cidr
        | LogicalType::Uuid => "use `exact`",
        LogicalType::Enum(_) => "ALTER TYPE can change its order later; use `exact`",
        LogicalType::Interval | LogicalType::Json | LogicalType::Jsonb | LogicalType::Array(_) => "use `sealed`",
    }
}

impl Classification {
    /// Checks that tables are named once, and that the columns of a domain agree in type and protection.
    pub fn new(database: String, tables: Vec<Table>, unlisted_tables: Unlisted) -> Result<Self, ClassificationError> {
        let mut by_id = BTreeMap::new();
        let mut domains: BTreeMap<Domain, Protected> = BTreeMap::new();
        for table in tables {
            for protected in table.columns.values().filter_map(|column| column.protected.as_ref()) {
                check_column(protected, &mut domains)?;
            }
            if let Some(subject) = &table.subject {
                check_subject(&table, subject)?;
            }
            let id = table.id.clone();
            if by_id.insert(id.clone(), table).is_some() {
                return Err(ClassificationError::DuplicateTable(id));
            }
        }
        Ok(Self { database, tables: by_id, unlisted_tables })
    }

    /// The database that it is about.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// One table, where it is named.
    pub fn table(&self, id: &TableId) -> Option<&Table> {
        self.tables.get(id)
    }

    /// All named tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// What holds for the others.
    pub fn unlisted_tables(&self) -> Unlisted {
        self.unlisted_tables
    }

    /// Every table's subject.
    pub fn subjects(&self) -> impl Iterator<Item = (&Table, &Subject)> {
        self.tables.values().filter_map(|table| Some((table, table.subject.as_ref()?)))
    }

    /// Every protected column, by table and name.
    pub fn protected(&self) -> impl Iterator<Item = &Protected> {
        self.tables.values().flat_map(|table| table.columns.values()).filter_map(|column| column.protected.as_ref())
    }
}

/// Each person must have one spelling.
fn check_subject(table: &Table, subject: &Subject) -> Result<(), ClassificationError> {
    let Some(column) = table.columns.get(&subject.column) else {
        return Err(ClassificationError::UnknownSubject(table.id.clone(), subject.column.clone()));
    };
    if subject.realm.is_reserved() {
        return Err(ClassificationError::ReservedDomain(subject.realm.clone()));
    }
    match &column.protected {
        Some(protected) if !protected.ty.names_a_subject() => {
            Err(ClassificationError::SubjectType { id: Box::new(protected.id.clone()), ty: protected.ty })
        }
        Some(_) | None => Ok(()),
    }
}

/// Cells of one domain are compared as bytes, so they must be made alike; two sealed columns may share a domain whatever
/// their types, but all columns of a domain have one protection.
fn check_column(protected: &Protected, domains: &mut BTreeMap<Domain, Protected>) -> Result<(), ClassificationError> {
    if protected.domain.is_reserved() {
        return Err(ClassificationError::ReservedDomain(protected.domain.clone()));
    }
    match (protected.protection, protected.ty.why_not_exact()) {
        (Protection::Exact, Some(why)) => {
            return Err(ClassificationError::NotExact { id: Box::new(protected.id.clone()), ty: protected.ty, why });
        }
        (Protection::Ordered, _) if protected.ty.order_bits().is_none() => {
            return Err(ClassificationError::NotOrdered { id: Box::new(protected.id.clone()), ty: protected.ty });
        }
        (Protection::Sealed | Protection::Exact | Protection::Ordered, _) => {}
    }
    if protected.search && !matches!(protected.ty, LogicalType::Text | LogicalType::Varchar(_)) {
        return Err(ClassificationError::NoText { id: Box::new(protected.id.clone()), ty: protected.ty });
    }
    let first = domains.entry(protected.domain.clone()).or_insert_with(|| protected.clone());
    let agree = (first.protection, first.search) == (protected.protection, protected.search)
        && (!protected.protection.shows_equality() || comparable(first.ty, protected.ty));
    if agree {
        return Ok(());
    }
    Err(ClassificationError::DomainMismatch {
        domain: protected.domain.clone(),
        first: Box::new(first.id.clone()),
        second: Box::new(protected.id.clone()),
    })
}

fn comparable(a: LogicalType, b: LogicalType) -> bool {
    let text = |ty| matches!(ty, LogicalType::Text | LogicalType::Varchar(_));
    a == b || (text(a) && text(b))
}
