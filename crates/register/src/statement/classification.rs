//! The classification as it is written, and its way to the schema's words.

use std::collections::BTreeMap;

use drieslot_schema as schema;
use drieslot_schema::{Class, ColumnId, Domain, LogicalType, Protected, TableId, Unlisted};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Data class and protection of every column of one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among classifications.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The classification of this database that is in force, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Database.
    pub database: String,
    /// What holds for tables that are not listed.
    #[serde(default)]
    pub unlisted_tables: UnlistedWord,
    /// The tables.
    #[serde(default)]
    pub table: Vec<TableEntry>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEntry {
    /// Schema; `public` where left out.
    #[serde(default = "public")]
    pub schema: String,
    /// Table.
    pub name: String,
    /// What holds for columns that are not listed.
    #[serde(default)]
    pub unlisted_columns: UnlistedWord,
    /// The column that says whom a row is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The columns.
    #[serde(default)]
    pub column: Vec<ColumnEntry>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// Data class, 1 to 5.
    pub class: u8,
    /// `plain`, `sealed`, `exact` or `ordered`.
    pub protection: ProtectionWord,
    /// Its type; required where it is protected, refused where it is not.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// Whether it can be searched by LIKE and the like; for texts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
    /// Which key; `<database>.<schema>.<table>.<column>` where left out. Of a plain column that is its table's subject: with
    /// which columns its values mean the same persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// How a column is protected, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtectionWord {
    /// Stored as it is.
    Plain,
    /// Randomised.
    Sealed,
    /// Deterministic.
    Exact,
    /// Deterministic, and in the order of the values.
    Ordered,
}

/// What holds for what is not listed, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnlistedWord {
    /// Refused.
    #[default]
    Refuse,
    /// Stored as it is.
    Plain,
}

fn public() -> String {
    "public".into()
}

impl From<UnlistedWord> for Unlisted {
    fn from(word: UnlistedWord) -> Self {
        match word {
            UnlistedWord::Refuse => Self::Refuse,
            UnlistedWord::Plain => Self::Plain,
        }
    }
}

/// Reads `schema.table`, or `table` of `public`.
pub(crate) fn table_id(text: &str) -> Result<TableId, String> {
    let (schema, table) = text.split_once('.').unwrap_or(("public", text));
    match schema.is_empty() || table.is_empty() || table.contains('.') {
        true => Err(format!("`{text}` is not a table: write `schema.table`")),
        false => Ok(TableId { schema: schema.into(), table: table.into() }),
    }
}

impl Classification {
    /// In the schema's words.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn to_schema(&self) -> Result<schema::Classification, String> {
        if self.database.is_empty() {
            return Err("database must be named".into());
        }
        let tables: Result<Vec<_>, _> = self.table.iter().map(|table| table.to_schema(&self.database)).collect();
        schema::Classification::new(self.database.clone(), tables?, self.unlisted_tables.into())
            .map_err(|error| error.to_string())
    }
}

impl TableEntry {
    fn to_schema(&self, database: &str) -> Result<schema::Table, String> {
        let id = table_id(&format!("{}.{}", self.schema, self.name))?;
        let mut columns = BTreeMap::new();
        for entry in &self.column {
            let column = entry.to_schema(database, &id, self.subject.as_ref() == Some(&entry.name))?;
            if columns.insert(entry.name.clone(), column).is_some() {
                return Err(format!("column {id}.{} is classified twice", entry.name));
            }
        }
        let subject = self
            .subject
            .as_ref()
            .map(|column| schema::Subject { column: column.clone(), realm: self.realm(column, database, &id) });
        Ok(schema::Table { id, columns, unlisted_columns: self.unlisted_columns.into(), subject })
    }

    /// What the column itself says; that it is listed the schema checks.
    fn realm(&self, column: &str, database: &str, table: &TableId) -> Domain {
        let said = self.column.iter().find(|entry| entry.name == column).and_then(|entry| entry.domain.clone());
        Domain(said.unwrap_or_else(|| format!("{database}.{table}.{column}")))
    }
}

impl ColumnEntry {
    fn to_schema(&self, database: &str, table: &TableId, is_subject: bool) -> Result<schema::Column, String> {
        let id = ColumnId { table: table.clone(), column: self.name.clone() };
        if self.name.is_empty() {
            return Err(format!("a column of {table} has no name"));
        }
        let class = Class::new(self.class).ok_or_else(|| format!("{id}: class {} is not 1 to 5", self.class))?;
        let protection = match self.protection {
            ProtectionWord::Sealed => schema::Protection::Sealed,
            ProtectionWord::Exact => schema::Protection::Exact,
            ProtectionWord::Ordered => schema::Protection::Ordered,
            ProtectionWord::Plain if self.ty.is_some() || self.search || (self.domain.is_some() && !is_subject) => {
                return Err(format!("{id} is plain, so it has no `type`, `domain` or `search`: leave them out"));
            }
            ProtectionWord::Plain => {
                self.domain.as_deref().map_or(Ok(()), |domain| super::words::check_filled("domain", domain))?;
                return Ok(schema::Column { name: self.name.clone(), class, protected: None });
            }
        };
        let ty = self.ty.as_deref().ok_or_else(|| format!("{id} is {protection}, so its `type` must be given"))?;
        let ty: LogicalType = ty.parse().map_err(|error| format!("{id}: {error}"))?;
        let domain = Domain(self.domain.clone().unwrap_or_else(|| format!("{database}.{id}")));
        super::words::check_filled("domain", &domain.0)?;
        let protected = Some(Protected { id, ty, protection, domain, search: self.search });
        Ok(schema::Column { name: self.name.clone(), class, protected })
    }
}
