//! What a dump's DDL says of tables: columns, types, keys, indexes. PostgreSQL's own grammar reads it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use drieslot_schema::{LogicalType, TableId};
use pg_query::protobuf::{
    AlterTableStmt, ColumnDef, ConstrType, Constraint, CreateStmt, IndexStmt, RangeVar, TypeName, a_const,
};
use pg_query::{Node, NodeEnum};

/// One column as it was created.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_name: String,
    /// `None` where no protection exists for the type.
    pub(super) ty: Option<LogicalType>,
}

/// One table as it was created and altered.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    primary_key: Vec<String>,
    /// Columns of the primary key or of a foreign key.
    pub(super) keys: BTreeSet<String>,
    /// Columns of an index or a uniqueness.
    pub(super) indexed: BTreeSet<String>,
    /// Column, and the column that it references.
    pub(super) foreign_keys: Vec<(String, (TableId, String))>,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// All tables of a dump.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: BTreeMap<TableId, Table>,
}

impl Tables {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TableId, &Table)> {
        self.tables.iter()
    }

    /// The names of all tables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &TableId> {
        self.tables.keys()
    }

    /// Columns of a table whose values say something by themselves, and whether they are days: texts, numbers that may be
    /// identifiers, dates.
    pub(crate) fn legible(&self, id: &TableId) -> Vec<(String, bool)> {
        let columns = self.tables.get(id).map_or(&[][..], |table| table.columns.as_slice());
        let legible = columns.iter().filter_map(|column| {
            let ty = column.type_name.split('(').next().unwrap_or_default();
            match ty {
                "date" | "timestamp" | "timestamptz" => Some((column.name.clone(), true)),
                "text" | "varchar" | "bpchar" | "int8" | "numeric" | "citext" => Some((column.name.clone(), false)),
                _ => None,
            }
        });
        legible.collect()
    }

    /// How many tables.
    pub(crate) fn len(&self) -> usize {
        self.tables.len()
    }

    /// Reads one statement; only DDL changes anything. True where it created a table.
    pub(crate) fn read(&mut self, sql: &str) -> Result<bool> {
        let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if !["create", "alter"].iter().any(|ddl| word.eq_ignore_ascii_case(ddl)) {
            return Ok(false);
        }
        let parsed = pg_query::parse(sql, 0).context("PostgreSQL's grammar does not accept this statement")?;
        let mut created = false;
        for statement in parsed.protobuf.stmts {
            let node = statement.stmt.and_then(|node| node.node);
            if let Some(NodeEnum::CreateStmt(create)) = node {
                created = true;
                self.create(&create);
            } else if let Some(NodeEnum::AlterTableStmt(alter)) = node {
                self.alter(&alter);
            } else if let Some(NodeEnum::IndexStmt(index)) = node {
                self.index(&index);
            }
        }
        Ok(created)
    }

    fn create(&mut self, create: &CreateStmt) {
        let Some(id) = create.relation.as_ref().map(table_id) else {
            return;
        };
        self.tables.insert(id.clone(), Table::default());
        for element in &create.table_elts {
            if let Some(NodeEnum::ColumnDef(column)) = &element.node {
                self.add_column(&id, column);
            } else if let Some(NodeEnum::Constraint(constraint)) = &element.node {
                self.constrain(&id, constraint, None);
            }
        }
    }

    fn add_column(&mut self, id: &TableId, definition: &ColumnDef) {
        let type_name = definition.type_name.as_ref().map(type_text).unwrap_or_default();
        let column = Column { name: definition.colname.clone(), ty: type_name.parse().ok(), type_name };
        if let Some(table) = self.tables.get_mut(id) {
            table.columns.push(column);
        }
        for constraint in &definition.constraints {
            if let Some(NodeEnum::Constraint(constraint)) = &constraint.node {
                self.constrain(id, constraint, Some(&definition.colname));
            }
        }
    }

    fn alter(&mut self, alter: &AlterTableStmt) {
        let Some(id) = alter.relation.as_ref().map(table_id) else {
            return;
        };
        for command in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &command.node else {
                continue;
            };
            let definition = command.def.as_ref().and_then(|node| node.node.as_ref());
            if let Some(NodeEnum::Constraint(constraint)) = definition {
                self.constrain(&id, constraint, None);
            }
        }
    }

    fn index(&mut self, index: &IndexStmt) {
        let Some(table) = index.relation.as_ref().and_then(|relation| self.tables.get_mut(&table_id(relation))) else {
            return;
        };
        for parameter in &index.index_params {
            if let Some(NodeEnum::IndexElem(element)) = &parameter.node {
                table.indexed.insert(element.name.clone());
            }
        }
    }

    /// `column` is set for a constraint that stands with its column.
    fn constrain(&mut self, id: &TableId, constraint: &Constraint, column: Option<&str>) {
        let names = |nodes: &[Node]| {
            let listed: Vec<String> = nodes.iter().filter_map(string).collect();
            if listed.is_empty() { column.map(str::to_owned).into_iter().collect() } else { listed }
        };
        if constraint.contype == ConstrType::ConstrPrimary as i32 {
            let keys = names(&constraint.keys);
            if let Some(table) = self.tables.get_mut(id) {
                table.keys.extend(keys.iter().cloned());
                table.primary_key = keys;
            }
        } else if constraint.contype == ConstrType::ConstrUnique as i32 {
            let keys = names(&constraint.keys);
            if let Some(table) = self.tables.get_mut(id) {
                table.indexed.extend(keys);
            }
        } else if constraint.contype == ConstrType::ConstrForeign as i32 {
            self.reference(id, &names(&constraint.fk_attrs), constraint);
        }
    }

    fn reference(&mut self, id: &TableId, columns: &[String], constraint: &Constraint) {
        let Some(target) = constraint.pktable.as_ref().map(table_id) else {
            return;
        };
        let mut referenced: Vec<String> = constraint.pk_attrs.iter().filter_map(string).collect();
        if referenced.is_empty() {
            referenced = self.tables.get(&target).map(|table| table.primary_key.clone()).unwrap_or_default();
        }
        if let Some(table) = self.tables.get_mut(id) {
            table.keys.extend(columns.iter().cloned());
            let pairs = columns.iter().cloned().zip(referenced.into_iter().map(|column| (target.clone(), column)));
            table.foreign_keys.extend(pairs);
        }
        let referenced: Vec<String> = constraint.pk_attrs.iter().filter_map(string).collect();
        if let Some(table) = self.tables.get_mut(&target) {
            table.keys.extend(referenced);
        }
    }
}

fn table_id(relation: &RangeVar) -> TableId {
    let schema = if relation.schemaname.is_empty() { "public" } else { &relation.schemaname };
    TableId { schema: schema.to_owned(), table: relation.relname.clone() }
}

fn string(node: &Node) -> Option<String> {
    if let Some(NodeEnum::String(text)) = &node.node { Some(text.sval.clone()) } else { None }
}

/// As `format_type` would write it, for what `LogicalType` reads; anything else gets a name that it refuses.
fn type_text(name: &TypeName) -> String {
    let names: Vec<String> = name.names.iter().filter_map(string).collect();
    let base = names.last().cloned().unwrap_or_default();
    let base = match names.as_slice() {
        [schema, _] if schema == "pg_catalog" => base,
        // PostgreSQL's internal type of one byte, which is not `char`.
        [_] if base == "char" => "\"char\"".to_owned(),
        [_] => base,
        _ => names.join("."),
    };
    let modifiers: Vec<String> = name.typmods.iter().filter_map(integer).collect();
    let array = if name.array_bounds.is_empty() { "" } else { "[]" };
    if modifiers.is_empty() { format!("{base}{array}") } else { format!("{base}({}){array}", modifiers.join(",")) }
}

fn integer(node: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(constant)) = &node.node else {
        return None;
    };
    if let Some(a_const::Val::Ival(value)) = &constant.val { Some(value.ival.to_string()) } else { None }
}
