//! Where a domain's cells lie at the processor, and what would stand in the worker's way there.

use drieslot_schema::{ColumnId, LogicalType, Protected, TableId};
use drieslot_sql::{cell_check_name, quoted};

use super::sql::Sql;
use crate::refusal::Refusal;

/// One column as the processor has it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) protected: Protected,
    /// The table's OID, and the column's number.
    pub(super) oid: u32,
    pub(super) number: i16,
    /// From which epoch on its check takes cells.
    pub(super) least_epoch: Option<u16>,
    /// As it is named in statements.
    pub(super) table: String,
    pub(super) column: String,
    /// The expression of its default.
    pub(super) default: Option<String>,
    /// The type that its check says it was declared with.
    pub(super) declared: Option<LogicalType>,
    /// The table's triggers that an update would set off.
    pub(super) triggers: Option<String>,
}

pub(super) fn table_name(id: &TableId) -> String {
    format!("{}.{}", quoted(&id.schema), quoted(&id.table))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Everything about one column, in the order of `Found`.
fn question(protected: &Protected) -> String {
    let (schema, table) = (literal(&protected.id.table.schema), literal(&protected.id.table.table));
    let (column, check) = (literal(&protected.id.column), literal(&cell_check_name(&protected.id.column)));
    let triggers = |states: &str| {
        format!(
            "(SELECT string_agg(quote_ident(t.tgname), ', ') FROM pg_trigger t WHERE t.tgrelid = c.oid \
             AND NOT t.tgisinternal AND (t.tgtype & 16) <> 0 AND t.tgenabled IN ({states}))"
        )
    };
    format!(
        "SELECT c.relkind, pg_has_role(c.relowner, 'USAGE'), row_security_active(c.oid), \
         EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)), \
         EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid), \
         a.atttypid = 'bytea'::regtype AND a.attgenerated = '', pg_get_expr(d.adbin, d.adrelid), \
         {ordinary}, {always}, \
         (SELECT string_agg(quote_ident(g.attname), ', ') FROM pg_depend p JOIN pg_attrdef e ON e.oid = p.objid \
          JOIN pg_attribute g ON g.attrelid = e.adrelid AND g.attnum = e.adnum AND g.attgenerated <> '' \
          WHERE p.classid = 'pg_attrdef'::regclass AND p.refclassid = 'pg_class'::regclass \
          AND p.refobjid = c.oid AND p.refobjsubid = a.attnum AND g.attnum <> a.attnum), \
         (SELECT substring(pg_get_expr(k.conbin, k.conrelid), '''([^'']+)''::text') FROM pg_constraint k \
          WHERE k.conrelid = c.oid AND k.conname = {check}), \
         (SELECT substring(pg_get_expr(k.conbin, k.conrelid), '>= ''\\\\x([0-9a-f]{{4}})''::bytea') FROM pg_constraint k \
          WHERE k.conrelid = c.oid AND k.conname = {check}), c.oid, a.attnum \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = {column} AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE n.nspname = {schema} AND c.relname = {table}",
        ordinary = triggers("'O'"),
        always = triggers("'R', 'A'"),
    )
}

impl Place {
    /// `None` where the processor has no such table, or a view, which holds no cells of its own.
    pub(super) async fn find(sql: &mut Sql, protected: &Protected) -> Result<Option<Self>, Refusal> {
        let mut rows = sql.texts(&question(protected)).await?;
        let Some(row) = rows.pop() else { return Ok(None) };
        let [
            kind,
            owned,
            filtered,
            inherits,
            rules,
            is_cell,
            default,
            triggers,
            always,
            generated,
            declared,
            least,
            oid,
            number,
        ] = <[Option<String>; 14]>::try_from(row).map_err(|_| Refusal::protocol("a row of another width"))?;
        let yes = |answer: &Option<String>| answer.as_deref() == Some("t");
        let id = &protected.id;
        let table = &id.table;
        let refuse = |what: String, hint: &str| Err(Refusal::new("55000", what).hint(hint));
        match kind.as_deref() {
            Some("v") => return Ok(None),
            Some("r") if !yes(&inherits) => {}
            Some("m") => {
                return refuse(
                    format!("the materialized view {table} holds copies of cells of {id}"),
                    "Drop it, and make it anew through the gateway when the rotation is over.",
                );
            }
            Some(_) | None => {
                return refuse(
                    format!("{table} is partitioned, inherits, or is no table, and its rows cannot be brought over"),
                    "Bring its rows into a table of their own through the gateway, or take it out of the domain.",
                );
            }
        }
        stands_in_the_way(id, [yes(&is_cell), yes(&owned), yes(&filtered), yes(&rules)], (always, generated))?;
        Ok(Some(Self {
            protected: protected.clone(),
            oid: oid.and_then(|oid| oid.parse().ok()).unwrap_or(0),
            number: number.and_then(|number| number.parse().ok()).unwrap_or(0),
            least_epoch: least.and_then(|digits| u16::from_str_radix(&digits, 16).ok()),
            table: table_name(table),
            column: quoted(&id.column),
            default,
            declared: declared.and_then(|ty| ty.parse().ok()),
            triggers,
        }))
    }

    /// The cell that is the column's default; an error where it is something else that holds bytes.
    pub(super) fn default_cell(&self) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(expression) = self.default.as_deref().filter(|expression| expression.contains("\\x")) else {
            return Ok(None);
        };
        let digits = expression.strip_prefix("'").and_then(|rest| rest.strip_suffix("'::bytea"));
        let mut cell = Vec::new();
        let read = digits.and_then(|digits| crate::session::unhex(digits.as_bytes(), &mut cell).ok());
        read.map(|()| Some(cell)).ok_or_else(|| {
            Refusal::new("55000", format!("the default of {} is no cell", self.protected.id))
                .hint("ALTER TABLE … ALTER COLUMN … SET DEFAULT through the gateway.")
        })
    }
}

fn stands_in_the_way(
    id: &ColumnId,
    [is_cell, owned, filtered, rules]: [bool; 4],
    (always, generated): (Option<String>, Option<String>),
) -> Result<(), Refusal> {
    let table = &id.table;
    let refuse = |what: String, hint: &str| Err(Refusal::new("55000", what).hint(hint));
    if !is_cell {
        return refuse(
            format!("the processor's column {id} is no column of cells"),
            "Load the table through the gateway, or correct the classification.",
        );
    }
    if !owned {
        return refuse(
            format!("the worker's role does not own {table}, and so cannot change defaults and checks"),
            "Name in [backend] the role that owns it, or grant that role to the worker's.",
        );
    }
    if filtered {
        let hint = "Let the worker's role bypass row security (ALTER ROLE … BYPASSRLS) while it works.";
        return refuse(format!("row security hides rows of {table} from the worker"), hint);
    }
    if rules {
        return refuse(format!("{table} has rules, which an UPDATE would set off"), "Drop them while it works.");
    }
    if let Some(names) = always {
        let hint = "ALTER TABLE … DISABLE TRIGGER, or ENABLE TRIGGER without ALWAYS or REPLICA, while it works.";
        return refuse(format!("an UPDATE of {table} would set off its triggers {names}"), hint);
    }
    if let Some(names) = generated {
        let hint = "Drop the generated column; the processor cannot compute with cells.";
        return refuse(format!("column {names} of {table} is generated from {id}"), hint);
    }
    Ok(())
}
