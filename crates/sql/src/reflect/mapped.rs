//! What stands in place of each of PostgreSQL's own relations that would show how protected columns are stored.

use std::fmt::Write as _;

use std::collections::BTreeMap;

use drieslot_schema::{LogicalType, TableId};

use super::places::Places;
use super::unclear;
use crate::bind;
use crate::ddl::check_name;
use crate::env::{BYTEA_OID, Env};
use crate::refusal::Result;

/// Views whose definition is put in their place, so that what they read is mapped in turn.
const INLINED: [&str; 7] = [
    "columns",
    "column_udt_usage",
    "element_types",
    "check_constraints",
    "check_constraint_routine_usage",
    "constraint_column_usage",
    "table_constraints",
];
const MAPPED: [&str; 7] =
    ["pg_attribute", "pg_class", "pg_constraint", "pg_statistic", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"];
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

pub(crate) fn is_mapped_name(name: &str) -> bool {
    INLINED.contains(&name) || MAPPED.contains(&name)
}

pub(super) fn is_inlined(id: &TableId) -> bool {
    id.schema == "information_schema" && INLINED.contains(&id.table.as_str())
}

/// A query with the same columns; `None` where the relation may stay as it is.
pub(super) fn query(env: &Env<'_>, id: &TableId, places: &Places) -> Result<Option<String>> {
    if id.schema != "pg_catalog" {
        return Ok(None);
    }
    Ok(Some(match id.table.as_str() {
        "pg_attribute" => attributes(env, id, places)?,
        "pg_class" if places.may_mention("relchecks", "pg_class") => classes(env, id, places)?,
        "pg_constraint" => format!(
            "SELECT k.*{} FROM pg_catalog.pg_constraint k LEFT JOIN ({}) g \
             ON g.relid = k.conrelid AND g.con = k.conname AND k.contype = 'c' WHERE g.relid IS NULL",
            system_columns("k", places),
            checks(env)
        ),
        // Statistics of cells would show cells as if they were values.
        "pg_statistic" => format!(
            "SELECT s.* FROM pg_catalog.pg_statistic s LEFT JOIN (SELECT a.attrelid, a.attnum \
             FROM pg_catalog.pg_attribute a JOIN ({}) m ON m.relid = a.attrelid AND m.att = a.attname) x \
             ON x.attrelid = s.starelid AND x.attnum = s.staattnum WHERE x.attrelid IS NULL",
            types(env)
        ),
        "pg_stats" => format!(
            "SELECT s.* FROM pg_catalog.pg_stats s LEFT JOIN (VALUES {}) v(nsp, rel, att) \
             ON v.nsp = s.schemaname AND v.rel = s.tablename AND v.att = s.attname WHERE v.nsp IS NULL",
            shown_rows(env, |row, column, _| row.name(column))
        ),
        "pg_stats_ext" | "pg_stats_ext_exprs" => format!(
            "SELECT s.* FROM pg_catalog.{} s WHERE NOT EXISTS (SELECT FROM (VALUES {}) v(nsp, rel) \
             WHERE v.nsp = s.schemaname AND v.rel = s.tablename)",
            id.table,
            shown_rows(env, |_, _, _| ())
        ),
        _ => return Ok(None),
    }))
}

fn attributes(env: &Env<'_>, id: &TableId, places: &Places) -> Result<String> {
    let one = |name: &str| match name {
        "atttypid" => "COALESCE(m.typ, a.atttypid) AS atttypid".to_owned(),
        "atttypmod" => "COALESCE(m.typmod, a.atttypmod) AS atttypmod".to_owned(),
        "attndims" | "attlen" | "attbyval" | "attalign" | "attstorage" | "attcollation" => {
            let of_type = name.replacen("att", "typ", 1);
            format!("COALESCE(m.{of_type}, a.{name}) AS {name}")
        }
        _ => format!("a.{name}"),
    };
    let columns = columns(env, id, one)?;
    // The columns of an index bear the names of the table's.
    Ok(format!(
        "SELECT {columns}{} FROM pg_catalog.pg_attribute a LEFT JOIN (SELECT r.relid, t.att, t.typ, t.typmod, \
         t.typndims, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcollation FROM ({}) t JOIN (SELECT c.oid, c.oid \
         FROM pg_catalog.pg_class c UNION ALL SELECT i.indexrelid, i.indrelid FROM pg_catalog.pg_index i) \
         r(relid, owner) ON r.owner = t.relid) m \
         ON m.relid = a.attrelid AND m.att = a.attname AND a.atttypid = 17::pg_catalog.oid",
        system_columns("a", places),
        types(env)
    ))
}

fn classes(env: &Env<'_>, id: &TableId, places: &Places) -> Result<String> {
    let one = |name: &str| match name {
        "relchecks" => {
            "(c.relchecks - COALESCE(g.checks, 0::pg_catalog.int8))::pg_catalog.int2 AS relchecks".to_owned()
        }
        _ => format!("c.{name}"),
    };
    Ok(format!(
        "SELECT {}{} FROM pg_catalog.pg_class c LEFT JOIN (SELECT k.conrelid, pg_catalog.count(*) AS checks \
         FROM pg_catalog.pg_constraint k JOIN ({}) g ON g.relid = k.conrelid AND g.con = k.conname \
         WHERE k.contype = 'c' GROUP BY k.conrelid) g ON g.conrelid = c.oid",
        columns(env, id, one)?,
        system_columns("c", places),
        checks(env)
    ))
}

fn columns(env: &Env<'_>, id: &TableId, one: impl Fn(&str) -> String) -> Result<String> {
    let relation = env.catalog.relation(id).ok_or_else(|| unclear(&id.table))?;
    let columns: Vec<String> = relation.columns.iter().map(|column| one(&column.name)).collect();
    Ok(columns.join(", "))
}

/// System columns that the statement mentions; a star does not show them.
fn system_columns(alias: &str, places: &Places) -> String {
    let wanted = SYSTEM_COLUMNS.iter().filter(|name| !places.star && places.mentions(name));
    wanted.fold(String::new(), |mut all, name| {
        let _ = write!(all, ", {alias}.{name}");
        all
    })
}

/// relid, att, typ, typmod and what follows from the type, of every protected column.
fn types(env: &Env<'_>) -> String {
    let values = shown_rows(env, |row, column, ty| {
        row.name(column);
        row.put(format_args!("{}::pg_catalog.oid, {}::pg_catalog.int4", env.catalog.oid_of(ty), ty.typmod()));
    });
    format!(
        "SELECT c.oid AS relid, v.att, t.oid AS typ, v.typmod, \
         CASE t.typcategory WHEN 'A' THEN 1::pg_catalog.int2 ELSE 0::pg_catalog.int2 END AS typndims, \
         t.typlen, t.typbyval, t.typalign, t.typstorage, \
         t.typcollation FROM (VALUES {values}) v(nsp, rel, att, typ, typmod) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = v.nsp \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.rel \
         JOIN pg_catalog.pg_type t ON t.oid = v.typ"
    )
}

/// relid and con of every check that lets nothing but cells in.
fn checks(env: &Env<'_>) -> String {
    let columns = env.classification.protected().map(|column| (&column.id.table, check_name(&column.id.column)));
    let values = rows(columns, |row, check| row.name(&check));
    format!(
        "SELECT c.oid AS relid, v.con FROM (VALUES {values}) v(nsp, rel, con) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = v.nsp \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.rel"
    )
}

struct Row(String);

impl Row {
    fn put(&mut self, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, ", {value}");
    }

    fn name(&mut self, name: &str) {
        self.put(name_literal(name));
    }
}

fn name_literal(name: &str) -> String {
    format!("'{}'::pg_catalog.name", name.replace('\'', "''"))
}

/// Every column that shows protected values, with the type that an application sees: of tables by the classification, of
/// views by their queries.
fn shown(env: &Env<'_>) -> BTreeMap<(TableId, String), LogicalType> {
    let listed = env.classification.protected();
    let mut all: BTreeMap<_, _> =
        listed.map(|column| ((column.id.table.clone(), column.id.column.clone()), env.declared(column).ty)).collect();
    for view in env.catalog.views() {
        let cells = view.columns.iter().any(|column| column.type_oid == BYTEA_OID);
        let Some(viewed) = cells.then(|| bind::viewed(env, view).ok()).flatten() else { continue };
        all.extend(viewed.protected().map(|(name, flow)| ((view.id.clone(), name.to_owned()), flow.ty)));
    }
    all
}

fn shown_rows(env: &Env<'_>, more: impl Fn(&mut Row, &str, LogicalType)) -> String {
    let all = shown(env);
    rows(all.iter().map(|((table, column), ty)| (table, (column, *ty))), |row, (column, ty)| more(row, column, ty))
}

/// Rows of schema, table, and what `more` adds.
fn rows<'r, T>(all: impl Iterator<Item = (&'r TableId, T)>, more: impl Fn(&mut Row, T)) -> String {
    let all = all.map(|(table, value)| {
        let mut row = Row(name_literal(&table.schema));
        row.name(&table.table);
        more(&mut row, value);
        format!("({})", row.0)
    });
    all.collect::<Vec<_>>().join(", ")
}
