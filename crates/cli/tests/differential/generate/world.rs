//! The tables that queries are about, as a plain database describes them, and values that stand in them.

use std::collections::BTreeMap;

use super::connection::{Answer, Ask, Connection};

/// Rows of each table that are kept: enough for hits, few enough for any join.
const ROWS: usize = 60;
const SAMPLES: usize = 14;

/// Groups of types that operators take alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Int,
    Num,
    Float,
    Text,
    Bool,
    Date,
    Stamp,
    StampTz,
    Uuid,
    Time,
    Char,
    Bytes,
    Net,
    /// Only stored and fetched.
    Other,
}

impl Kind {
    fn of(oid: u32) -> Self {
        match oid {
            20 | 21 | 23 => Self::Int,
            1700 => Self::Num,
            700 | 701 => Self::Float,
            25 | 1043 => Self::Text,
            16 => Self::Bool,
            1082 => Self::Date,
            1114 => Self::Stamp,
            1184 => Self::StampTz,
            2950 => Self::Uuid,
            1083 => Self::Time,
            1042 => Self::Char,
            17 => Self::Bytes,
            869 | 650 => Self::Net,
            _ => Self::Other,
        }
    }
}

/// A value as PostgreSQL writes it, in both formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) text: String,
    pub(crate) binary: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As in CREATE TABLE.
    pub(crate) ty: String,
    pub(crate) oid: u32,
    pub(crate) kind: Kind,
    pub(crate) not_null: bool,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Of the primary key.
    pub(crate) key: Vec<usize>,
    /// Other unique columns.
    pub(crate) unique: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) tables: Vec<Table>,
    /// Each table's rows as COPY writes them.
    data: Vec<Vec<u8>>,
}

const COLUMNS: &str = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.attnotnull,
        coalesce((SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i
                  WHERE i.indrelid = c.oid AND i.indisprimary), -1),
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary
                AND i.indnatts = 1 AND i.indkey[0] = a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'pgbench%'
    ORDER BY 1, a.attnum";

pub(crate) fn texts(answer: &Answer) -> Vec<Vec<String>> {
    let text = |field: &Option<Vec<u8>>| String::from_utf8(field.clone().unwrap_or_default()).unwrap();
    answer.rows.iter().map(|row| row.iter().map(text).collect()).collect()
}

impl World {
    /// Describes the `public` tables of a database, and keeps some of their rows.
    pub(crate) fn read(name: &str, reference: &mut Connection) -> Self {
        let mut tables: Vec<Table> = Vec::new();
        let mut keys: BTreeMap<String, Vec<(i32, usize)>> = BTreeMap::new();
        for row in texts(&reference.run(COLUMNS)) {
            let [table, column, ty, oid, not_null, key, unique] = row.try_into().unwrap();
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(Table { name: table.clone(), columns: Vec::new(), key: Vec::new(), unique: Vec::new() });
            }
            let last = tables.last_mut().unwrap();
            let oid = oid.parse().unwrap();
            let at = last.columns.len();
            if let Some(position) = key.parse().ok().filter(|position| *position >= 0) {
                keys.entry(table).or_default().push((position, at));
            }
            if unique == "t" {
                last.unique.push(at);
            }
            let kind = Kind::of(oid);
            last.columns.push(Column { name: column, ty, oid, kind, not_null: not_null == "t", samples: Vec::new() });
        }
        for table in &mut tables {
            let mut key = keys.remove(&table.name).unwrap_or_default();
            key.sort_unstable();
            table.key = key.into_iter().map(|(_, at)| at).collect();
        }
        tables.retain(|table| !table.key.is_empty());
        assert!(!tables.is_empty(), "{name} has no tables");
        let copy = |table: &Table| {
            let order = table.key_names().join(", ");
            let sql = format!("COPY (SELECT * FROM {} ORDER BY {order} LIMIT {ROWS}) TO STDOUT", table.name);
            reference.run(&sql).copied
        };
        let data = tables.iter().map(copy).collect();
        Self { name: name.to_owned(), tables, data }
    }

    /// Creates the tables in a schema of this session's database. Columns are unique where `unique` lets them, given
    /// table and column.
    pub(crate) fn create(&self, schema: &str, unique: impl Fn(usize, usize) -> bool, session: &mut Connection) {
        session.run(&format!("CREATE SCHEMA {schema}"));
        for (at, table) in self.tables.iter().enumerate() {
            let columns = table.columns.iter().enumerate();
            let mut parts: Vec<String> =
                columns.map(|(number, column)| column.definition(table.has_default(number))).collect();
            if table.key.iter().all(|column| unique(at, *column)) {
                parts.push(format!("PRIMARY KEY ({})", table.key_names().join(", ")));
            }
            let others = table.unique.iter().filter(|column| unique(at, **column));
            parts.extend(others.map(|column| format!("UNIQUE ({})", table.columns[*column].name)));
            session.run(&format!("CREATE TABLE {schema}.{} ({})", table.name, parts.join(", ")));
        }
    }

    /// Brings the rows in.
    pub(crate) fn fill(&self, schema: &str, session: &mut Connection) {
        for (table, data) in self.tables.iter().zip(&self.data) {
            session.copy_in(&format!("COPY {schema}.{} FROM STDIN", table.name), data);
        }
        session.run("ANALYZE");
    }

    /// Notes values that stand in the columns.
    pub(crate) fn sample(&mut self, schema: &str, plain: &mut Connection) {
        for table in &mut self.tables {
            for column in &mut table.columns {
                let name = &column.name;
                // Some types have no order, but all have a text.
                let sql = format!(
                    "SELECT DISTINCT ON ({name}::text) {name} FROM {schema}.{} WHERE {name} IS NOT NULL
                     ORDER BY {name}::text LIMIT {SAMPLES}",
                    table.name
                );
                let fetch = |binary_results| Ask::Extended { sql: sql.clone(), parameters: Vec::new(), binary_results };
                let text = texts(&plain.ask(&fetch(false)));
                let binary = plain.ask(&fetch(true)).rows;
                let pairs = text.into_iter().zip(binary);
                column.samples = pairs
                    .map(|(text, binary)| Sample { text: text[0].clone(), binary: binary[0].clone().unwrap() })
                    .collect();
            }
        }
    }
}

impl Table {
    /// Whether a column has a default: two of three that are no keys.
    pub(crate) fn has_default(&self, number: usize) -> bool {
        let key = self.key.contains(&number) || self.unique.contains(&number);
        !key && !number.is_multiple_of(3) && self.columns[number].default().is_some()
    }

    pub(crate) fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|at| self.columns[*at].name.as_str()).collect()
    }
}

impl Column {
    fn definition(&self, default: bool) -> String {
        let default = if default { self.default().map(|value| format!(" DEFAULT {value}")) } else { None };
        let not_null = if self.not_null { " NOT NULL" } else { "" };
        format!("{} {}{}{not_null}", self.name, self.ty, default.unwrap_or_default())
    }

    /// A constant, written in one way or another.
    fn default(&self) -> Option<&'static str> {
        Some(match self.kind {
            Kind::Int => "7",
            Kind::Num => "1.5",
            Kind::Float => "'-0.25'",
            Kind::Text => "'d'::text",
            Kind::Bool => "true",
            Kind::Date => "'2001-02-03'::date",
            Kind::Stamp | Kind::StampTz => "'2001-02-03 04:05:06'",
            Kind::Uuid => "'5F1C2A34-0000-4000-8000-0000000000FF'",
            Kind::Time => "'04:05'",
            Kind::Char => "'c'",
            Kind::Bytes => "'\\x00ff'",
            Kind::Net => "'10.0.0.0/8'",
            Kind::Other => return None,
        })
    }
}
