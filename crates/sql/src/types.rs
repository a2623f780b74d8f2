//! Type names of the parser to logical types.

use drieslot_schema::{EnumName, LogicalType};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, TypeName, a_const::Val};

/// The string of a `String` node.
pub(crate) fn string(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(string)) => Some(&string.sval),
        Some(_) | None => None,
    }
}

pub(crate) fn strings(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter_map(string).collect()
}

/// A name as an SQL identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether a list of names is this one name of `pg_catalog`.
pub(crate) fn is_builtin(names: &[Node], name: &str) -> bool {
    matches!(strings(names).as_slice(), [one] | ["pg_catalog", one] if *one == name)
}

/// The logical type of a type name; `None` where there is none.
pub(crate) fn logical(ty: &TypeName) -> Option<LogicalType> {
    if ty.setof || ty.pct_type {
        return None;
    }
    if !ty.array_bounds.is_empty() {
        // PostgreSQL keeps neither their number nor their lengths.
        let element = logical(&TypeName { array_bounds: Vec::new(), ..ty.clone() })?;
        return element.as_element().map(LogicalType::Array);
    }
    let names = strings(&ty.names);
    let name = match names.as_slice() {
        [name] | ["pg_catalog", name] => *name,
        // Whatever else it may be: only the classification says that it is an enum.
        [schema, name] if ty.typmods.is_empty() => return EnumName::find(schema, name).map(LogicalType::Enum),
        _ => return None,
    };
    let modifiers: Option<Vec<u32>> = ty.typmods.iter().map(modifier).collect();
    let plain = match name {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "varchar" => "varchar",
        "numeric" | "text" | "bpchar" | "bytea" | "date" | "time" | "timestamp" | "timestamptz" | "uuid" | "float4"
        | "float8" | "interval" | "json" | "jsonb" | "inet" | "cidr" => name,
        _ => return None,
    };
    let modifiers = modifiers?;
    let text = if modifiers.is_empty() {
        plain.to_owned()
    } else {
        let list: Vec<_> = modifiers.iter().map(ToString::to_string).collect();
        format!("{plain}({})", list.join(","))
    };
    text.parse().ok()
}

/// Whether it is `character` without a length, the type of `N'…'`.
pub(crate) fn is_character(ty: &TypeName) -> bool {
    let bare = ty.typmods.is_empty() && ty.array_bounds.is_empty() && !ty.setof && !ty.pct_type;
    bare && is_builtin(&ty.names, "bpchar")
}

fn modifier(node: &Node) -> Option<u32> {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return None };
    match &constant.val {
        Some(Val::Ival(integer)) => u32::try_from(integer.ival).ok(),
        Some(Val::Fval(_) | Val::Boolval(_) | Val::Sval(_) | Val::Bsval(_)) | None => None,
    }
}

/// The type's name as a reader would write it.
pub(crate) fn spelled(ty: &TypeName) -> String {
    if let Some(logical) = logical(ty) {
        return logical.to_string();
    }
    let mut name = strings(&ty.names).last().copied().unwrap_or("?").to_owned();
    if !ty.array_bounds.is_empty() {
        name.push_str("[]");
    }
    name
}

/// Types whose values differ only in a length limit.
pub(crate) fn is_text(ty: LogicalType) -> bool {
    matches!(ty, LogicalType::Text | LogicalType::Varchar(_))
}

/// Whether every value of one type is one of the other, as it is: texts, which differ only in how long they may be.
pub(crate) fn is_within(ty: LogicalType, wider: LogicalType) -> bool {
    match (ty, wider) {
        (LogicalType::Varchar(Some(length)), LogicalType::Varchar(Some(limit))) => length <= limit,
        (LogicalType::Text | LogicalType::Varchar(_), LogicalType::Text | LogicalType::Varchar(None)) => true,
        _ => ty == wider,
    }
}

/// The type without its modifier, as PostgreSQL gives to values that stand beside others.
pub(crate) fn loosened(ty: LogicalType) -> LogicalType {
    match ty {
        LogicalType::Varchar(_) => LogicalType::Varchar(None),
        LogicalType::Numeric(_) => LogicalType::Numeric(None),
        LogicalType::Bpchar(_) => LogicalType::Bpchar(None),
        LogicalType::Array(element) => loosened(element.scalar()).as_element().map_or(ty, LogicalType::Array),
        LogicalType::Bool
        | LogicalType::Int2
        | LogicalType::Int4
        | LogicalType::Int8
        | LogicalType::Float4
        | LogicalType::Float8
        | LogicalType::Text
        | LogicalType::Bytea
        | LogicalType::Date
        | LogicalType::Time
        | LogicalType::Timestamp
        | LogicalType::Timestamptz
        | LogicalType::Uuid
        | LogicalType::Interval
        | LogicalType::Json
        | LogicalType::Jsonb
        | LogicalType::Inet
        | LogicalType::Cidr
        | LogicalType::Enum(_) => ty,
    }
}

/// The type of a column that holds values of both, `a` first; `None` where PostgreSQL or we have none. Of text and
/// varchar, each of which can be taken for the other, PostgreSQL keeps the first.
pub(crate) fn common(a: LogicalType, b: LogicalType) -> Option<LogicalType> {
    if a == b {
        return Some(a);
    }
    if is_text(a) && is_text(b) {
        return Some(loosened(a));
    }
    (loosened(a) == loosened(b)).then(|| loosened(a))
}
