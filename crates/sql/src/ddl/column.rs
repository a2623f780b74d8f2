//! One protected column in a definition: its declared type becomes `bytea` that takes nothing but cells.

use drieslot_schema::{LogicalType, Protected, Protection, TableId};
use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, ColumnDef, ConstrType, Constraint, Node, a_const::Val};

use crate::bind::Definition;
use crate::census::Mentions;
use crate::env::{Env, no_relation};
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::types::{is_text, is_within, quoted, spelled, strings};

use super::{name_of, protected, unmentioned};

/// Least lengths of a cell: everything but the value.
const SEALED_MIN_BYTES: u32 = 31;
const EXACT_MIN_BYTES: u32 = 19;
const SEALED_FIRST_BYTE: u32 = 0x11;
const EXACT_FIRST_BYTE: u32 = 0x12;
const ORDERED_FIRST_BYTE: u32 = 0x13;
const SEARCH: u32 = 8;
/// PostgreSQL cuts longer names.
const MAX_NAME_BYTES: usize = 63;
pub(super) const CELL_CHECK: &str = "_is_cell";

/// Makes a column definition physical; whether it changed.
pub(super) fn define(
    env: &Env<'_>,
    id: &TableId,
    column: &mut ColumnDef,
    definition: &mut Definition<'_>,
) -> Result<bool> {
    let Some(table) = env.table(id) else {
        foreign_keys(env, id, column)?;
        return Ok(false);
    };
    let listed = env.listed_column(table, &column.colname).map_err(|refusal| refusal.at(column.location))?;
    let Some(classified) = listed.and_then(|listed| listed.protected.as_ref()) else {
        let mut changed = false;
        for node in &mut column.constraints {
            let Some(NodeEnum::Constraint(constraint)) = &mut node.node else { continue };
            if constraint.contype == ConstrType::ConstrCheck as i32 {
                changed |= check(env, id, constraint.raw_expr.as_deref_mut(), definition)?;
            } else {
                unmentioned(env, id, constraint.raw_expr.as_deref(), "an expression")?;
            }
        }
        foreign_keys(env, id, column)?;
        return Ok(changed);
    };
    let classified = &Protected { ty: declared_type(env, column, classified)?, ..classified.clone() };
    check_collation(column, classified)?;
    for node in &mut column.constraints {
        let Some(NodeEnum::Constraint(constraint)) = &mut node.node else {
            return Err(refuse(classified, "this constraint"));
        };
        column_constraint(env, id, constraint, (classified, definition))?;
    }
    if column.raw_default.is_some() || !column.identity.is_empty() || !column.generated.is_empty() {
        return Err(refuse(classified, "a default, an identity or a generated value"));
    }
    become_cell(env, column, classified)?;
    Ok(true)
}

fn foreign_keys(env: &Env<'_>, id: &TableId, column: &ColumnDef) -> Result<()> {
    for node in &column.constraints {
        if let Some(NodeEnum::Constraint(constraint)) = &node.node
            && constraint.contype == ConstrType::ConstrForeign as i32
        {
            foreign_key(env, id, &[column.colname.as_str()], constraint)?;
        }
    }
    Ok(())
}

fn refuse(column: &Protected, what: &str) -> Refusal {
    Refusal::unsupported(format!("{what} is not possible on the protected column {}", column.id))
        .detail("The processor sees only cells and cannot make or check one.")
        .hint("Let the application give or check the value.")
        .column(&column.id)
}

/// The type that a column is declared with: the classification's, or a narrower text.
pub(super) fn declared_type(env: &Env<'_>, column: &ColumnDef, classified: &Protected) -> Result<LogicalType> {
    let declared = column.type_name.as_ref().ok_or_else(|| refuse(classified, "a column without a type"))?;
    if let Some(ty) = env.logical(declared).filter(|ty| is_within(*ty, classified.ty)) {
        return Ok(ty);
    }
    let (declared, ty) = (spelled(declared), classified.ty);
    Err(Refusal::new("42804", format!("column {} is declared as {declared} but classified as {ty}", classified.id))
        .hint(format!("Declare it as {ty}, or ask the officers for a classification that says {declared}."))
        .column(&classified.id)
        .at(column.location))
}

/// Equality of cells is equality of bytes, as under every collation of PostgreSQL's own.
fn check_collation(column: &ColumnDef, classified: &Protected) -> Result<()> {
    let Some(clause) = &column.coll_clause else { return Ok(()) };
    let names = strings(&clause.collname);
    let known = match names.as_slice() {
        ["pg_catalog", _] => true,
        [name] => matches!(*name, "C" | "POSIX" | "default" | "ucs_basic" | "unicode") || name.ends_with("-x-icu"),
        _ => false,
    };
    if known || classified.protection == Protection::Sealed || !is_text(classified.ty) {
        return Ok(());
    }
    Err(refuse(classified, "a collation of the database's own"))
}

/// A CHECK; whether it speaks of protected columns, and so has changed.
pub(super) fn check(
    env: &Env<'_>,
    id: &TableId,
    expr: Option<&mut Node>,
    definition: &mut Definition<'_>,
) -> Result<bool> {
    let Some(expr) = expr else { return Ok(false) };
    let mentions = Mentions::of(expr)?;
    if !mentions.iter().any(|name| protected(env, id, name).is_some()) {
        unmentioned(env, id, Some(expr), "CHECK")?;
        return Ok(false);
    }
    definition.check(expr)?;
    Ok(true)
}

fn column_constraint(
    env: &Env<'_>,
    id: &TableId,
    constraint: &mut Constraint,
    (classified, definition): (&Protected, &mut Definition<'_>),
) -> Result<()> {
    match ConstrType::try_from(constraint.contype).unwrap_or(ConstrType::Undefined) {
        ConstrType::ConstrNull
        | ConstrType::ConstrNotnull
        | ConstrType::ConstrAttrDeferrable
        | ConstrType::ConstrAttrNotDeferrable
        | ConstrType::ConstrAttrDeferred
        | ConstrType::ConstrAttrImmediate
        | ConstrType::ConstrAttrEnforced
        | ConstrType::ConstrAttrNotEnforced => Ok(()),
        ConstrType::ConstrDefault => match constraint.raw_expr.as_deref_mut() {
            Some(expr) => definition.default(expr, classified),
            None => Err(refuse(classified, "a default")),
        },
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique => key(classified, "PRIMARY KEY or UNIQUE"),
        ConstrType::ConstrForeign => foreign_key(env, id, &[classified.id.column.as_str()], constraint),
        ConstrType::ConstrCheck => check(env, id, constraint.raw_expr.as_deref_mut(), definition).map(|_| ()),
        ConstrType::ConstrGenerated => Err(refuse(classified, "a generated value")),
        ConstrType::ConstrIdentity => Err(refuse(classified, "an identity")),
        ConstrType::ConstrExclusion | ConstrType::Undefined => Err(refuse(classified, "this constraint")),
    }
}

/// Sealed cells do not tell equal values.
pub(super) fn key(column: &Protected, what: &str) -> Result<()> {
    match column.protection {
        Protection::Exact | Protection::Ordered => Ok(()),
        Protection::Sealed => {
            Err(Refusal::unsupported(format!("{what} is not possible on the sealed column {}", column.id))
                .detail("Two sealed cells of one value differ.")
                .hint("A classification that protects it as `exact` would allow it.")
                .column(&column.id))
        }
    }
}

/// A foreign key's ends are both plain, or both exact in one domain.
pub(super) fn foreign_key(env: &Env<'_>, id: &TableId, own: &[&str], constraint: &Constraint) -> Result<()> {
    let range = constraint.pktable.as_ref().ok_or_else(|| Refusal::internal("a foreign key to nothing"))?;
    let named = name_of(range);
    let other = match env.find(&named)? {
        Some(relation) => relation.id.clone(),
        None if named.name == id.table && (named.schema.is_empty() || named.schema == id.schema) => id.clone(),
        None if !env.could_be_protected(&named) => return plain_ends(env, id, own),
        None => return Err(no_relation(&named)),
    };
    let theirs = strings(&constraint.pk_attrs);
    if theirs.is_empty() {
        let protected_end = own.iter().find_map(|name| protected(env, id, name));
        return match protected_end {
            None => Ok(()),
            Some(column) => Err(refuse(column, "a foreign key that does not name the referenced column")
                .hint("Write REFERENCES table (column).")),
        };
    }
    for (mine, theirs) in own.iter().zip(theirs) {
        let ends = (protected(env, id, mine), protected(env, &other, theirs));
        match ends {
            (None, None) => {}
            (Some(column), None) | (None, Some(column)) => {
                return Err(refuse(column, "a foreign key with a plain column at the other end"));
            }
            (Some(a), Some(b)) => {
                key(a, "FOREIGN KEY")?;
                key(b, "FOREIGN KEY")?;
                if a.domain != b.domain {
                    return Err(refuse(a, "a foreign key to a column of another domain")
                        .hint("A classification that puts them in one domain would allow it."));
                }
            }
        }
    }
    Ok(())
}

fn plain_ends(env: &Env<'_>, id: &TableId, own: &[&str]) -> Result<()> {
    match own.iter().find_map(|name| protected(env, id, name)) {
        None => Ok(()),
        Some(column) => Err(refuse(column, "a foreign key to a plain table")),
    }
}

/// `<column>_is_cell`, within PostgreSQL's length.
pub fn check_name(column: &str) -> String {
    let mut end = column.len().min(MAX_NAME_BYTES - CELL_CHECK.len());
    while !column.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CELL_CHECK}", column.get(..end).unwrap_or_default())
}

/// The condition that takes nothing but cells of the column, from an epoch on where one is named; it says the declared
/// type where the classification's is another.
pub fn cell_condition(column: &Protected, declared: Option<LogicalType>, least_epoch: Option<u16>) -> String {
    let (least, first) = match column.protection {
        Protection::Sealed => (SEALED_MIN_BYTES, SEALED_FIRST_BYTE),
        Protection::Exact => (EXACT_MIN_BYTES, EXACT_FIRST_BYTE),
        Protection::Ordered => (EXACT_MIN_BYTES + column.ty.order_bits().map_or(0, u32::from), ORDERED_FIRST_BYTE),
    };
    let (least, first) = if column.search { (least + 3, first | SEARCH) } else { (least, first) };
    let name = quoted(&column.id.column);
    let epoch = least_epoch.map_or(String::new(), |epoch| {
        format!(" AND pg_catalog.substring({name}, 2, 2) >= '\\x{epoch:04x}'::pg_catalog.bytea")
    });
    let declared = declared.map_or(String::new(), |ty| format!(" AND '{ty}'::pg_catalog.text IS NOT NULL"));
    format!("pg_catalog.octet_length({name}) >= {least} AND pg_catalog.get_byte({name}, 0) = {first}{epoch}{declared}")
}

fn cell_check(env: &Env<'_>, column: &Protected) -> String {
    let classified = protected(env, &column.id.table, &column.id.column).map(|classified| classified.ty);
    let declared = (classified != Some(column.ty)).then_some(column.ty);
    let least = env.catalog.least_epoch(&column.id).or_else(|| (env.least_epoch)(&column.domain));
    let condition = cell_condition(column, declared, least);
    format!("CONSTRAINT {} CHECK ({condition})", quoted(&check_name(&column.id.column)))
}

/// The declared type in such a check.
pub(crate) fn declared_in(check: &Constraint) -> Option<LogicalType> {
    let Some(NodeEnum::BoolExpr(all)) = &check.raw_expr.as_deref()?.node else { return None };
    let Some(NodeEnum::NullTest(test)) = &all.args.last()?.node else { return None };
    let Some(NodeEnum::TypeCast(cast)) = &test.arg.as_deref()?.node else { return None };
    match &cast.arg.as_deref()?.node {
        Some(NodeEnum::AConst(AConst { val: Some(Val::Sval(text)), .. })) => text.sval.parse().ok(),
        Some(_) | None => None,
    }
}

fn become_cell(env: &Env<'_>, column: &mut ColumnDef, classified: &Protected) -> Result<()> {
    let name = quoted(&column.colname);
    let text = format!("CREATE TABLE t ({name} pg_catalog.bytea {})", cell_check(env, classified));
    let failed = || Refusal::internal("the cell's check cannot be written");
    let statement = parse::parse(&text)?.stmts.pop().and_then(|raw| raw.stmt).ok_or_else(failed)?;
    let Some(NodeEnum::CreateStmt(create)) = statement.node else { return Err(failed()) };
    let Some(Node { node: Some(NodeEnum::ColumnDef(physical)) }) = create.table_elts.into_iter().next() else {
        return Err(failed());
    };
    column.type_name = physical.type_name;
    column.coll_clause = None;
    column.constraints.extend(physical.constraints);
    Ok(())
}

/// ALTER COLUMN … TYPE: the commands in its place, which leave the cells and make their check anew.
pub(super) fn retyped(env: &Env<'_>, column: &Protected, definition: &ColumnDef) -> Result<Vec<Node>> {
    let ty = declared_type(env, definition, column)?;
    let name = column.id.column.as_str();
    let own = |node: &Node| matches!(&node.node, Some(NodeEnum::ColumnRef(of)) if strings(&of.fields) == [name]);
    let as_it_is = match definition.raw_default.as_deref() {
        None => true,
        Some(Node { node: Some(NodeEnum::TypeCast(cast)) }) => {
            cast.arg.as_deref().is_some_and(own) && cast.type_name.as_ref().and_then(|to| env.logical(to)) == Some(ty)
        }
        Some(using) => own(using),
    };
    if !as_it_is || definition.coll_clause.is_some() {
        return Err(refuse(column, "USING or COLLATE in ALTER COLUMN … TYPE"));
    }
    let before = env.declared(column).ty;
    if !is_within(before, ty) {
        return Err(refuse(column, &format!("a change of type from {before} to {ty}"))
            .hint("Check in the application that every value fits, and bring the values over to a new column."));
    }
    if env.catalog.is_viewed(&column.id.table) {
        return Err(refuse(column, "a change of type under a view").hint("Drop the view, and make it anew."));
    }
    let check = quoted(&check_name(&column.id.column));
    let text =
        format!("ALTER TABLE t DROP CONSTRAINT {check}, ADD {}", cell_check(env, &Protected { ty, ..column.clone() }));
    let statement = parse::parse(&text)?.stmts.pop().and_then(|raw| raw.stmt);
    match statement.and_then(|statement| statement.node) {
        Some(NodeEnum::AlterTableStmt(alter)) => Ok(alter.cmds),
        Some(_) | None => Err(Refusal::internal("the cell's check cannot be written")),
    }
}
