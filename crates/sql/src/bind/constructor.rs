//! `ARRAY[…]` of literals: as drivers write lists. It is taken for the text of an array; anything else in one is bound
//! as an expression.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{AArrayExpr, Node, a_const::Val};

use super::value::Meeting;
use crate::types::{is_text, logical, loosened};

/// What PostgreSQL takes the elements for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    /// There are none, which only a cast gives a type.
    None,
    /// Strings, or nothing but NULL.
    Strings,
    Integers,
    /// Numbers, not all of which are integers.
    Numbers,
    Booleans,
    /// Strings in casts to one type.
    Cast(LogicalType),
}

/// The text of the array and what its elements are; `None` where it is not of literals of one kind and even lengths.
pub(super) fn array(array: &AArrayExpr) -> Option<(String, Elements)> {
    let mut elements = None;
    let mut text = String::new();
    level(array, &mut elements, &mut text)?;
    let elements = match elements {
        None if array.elements.is_empty() => Elements::None,
        None => Elements::Strings,
        Some(elements) => elements,
    };
    Some((text, elements))
}

/// Appends one level of braces; gives the lengths of the levels from here on.
fn level(array: &AArrayExpr, elements: &mut Option<Elements>, text: &mut String) -> Option<Vec<usize>> {
    let mut below: Option<Vec<usize>> = None;
    text.push('{');
    for (at, node) in array.elements.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        let inner = match &node.node {
            Some(NodeEnum::AArrayExpr(inner)) if !inner.elements.is_empty() => level(inner, elements, text)?,
            Some(_) | None => {
                element(node, elements, text)?;
                Vec::new()
            }
        };
        if *below.get_or_insert_with(|| inner.clone()) != inner {
            return None;
        }
    }
    text.push('}');
    let mut lengths = vec![array.elements.len()];
    lengths.extend(below.unwrap_or_default());
    Some(lengths)
}

fn element(node: &Node, elements: &mut Option<Elements>, text: &mut String) -> Option<()> {
    let (node, cast) = match &node.node {
        Some(NodeEnum::TypeCast(cast)) => (cast.arg.as_deref()?, Some(logical(cast.type_name.as_ref()?)?)),
        Some(_) | None => (node, None),
    };
    let Some(NodeEnum::AConst(constant)) = &node.node else { return None };
    if constant.isnull && cast.is_none() {
        text.push_str("NULL");
        return Some(());
    }
    let (found, value) = match (constant.val.as_ref()?, cast) {
        (Val::Sval(value), Some(cast)) if cast.typmod() == -1 && cast.element().is_none() => {
            (Elements::Cast(cast), value.sval.as_str())
        }
        (Val::Sval(value), None) => (Elements::Strings, value.sval.as_str()),
        (Val::Ival(value), None) => {
            text.push_str(&value.ival.to_string());
            return noted(elements, Elements::Integers);
        }
        // PostgreSQL's numeric has no negative zero.
        (Val::Fval(value), None) if value.fval.bytes().any(|byte| matches!(byte, b'1'..=b'9')) => {
            text.push_str(&value.fval);
            return noted(elements, Elements::Numbers);
        }
        (Val::Boolval(value), None) => {
            text.push(if value.boolval { 't' } else { 'f' });
            return noted(elements, Elements::Booleans);
        }
        (Val::Sval(_) | Val::Ival(_) | Val::Fval(_) | Val::Boolval(_) | Val::Bsval(_), _) => return None,
    };
    text.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    noted(elements, found)
}

fn noted(elements: &mut Option<Elements>, found: Elements) -> Option<()> {
    let kind = match (*elements, found) {
        (None, found) => found,
        (Some(before), found) if before == found => found,
        (Some(Elements::Integers | Elements::Numbers), Elements::Integers | Elements::Numbers) => Elements::Numbers,
        (Some(_), _) => return None,
    };
    *elements = Some(kind);
    Some(())
}

/// Whether PostgreSQL makes an array of `ty` of it, as of its text.
pub(super) fn fits(elements: Elements, ty: LogicalType, meeting: Meeting) -> bool {
    let Some(ty) = ty.element() else { return false };
    // What is compared here is the type of a cast.
    let cast = match meeting {
        Meeting::Compare => true,
        Meeting::Store => false,
        Meeting::Listed | Meeting::Beside => return false,
    };
    let float = matches!(ty, LogicalType::Float4 | LogicalType::Float8);
    let number = float || matches!(ty, LogicalType::Numeric(_));
    let integer = matches!(ty, LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8);
    match elements {
        Elements::None => cast,
        Elements::Strings => cast || is_text(ty) || matches!(ty, LogicalType::Bpchar(_)),
        Elements::Integers => integer || number,
        Elements::Numbers => number,
        Elements::Booleans => ty == LogicalType::Bool,
        Elements::Cast(of) => of == loosened(ty) || (is_text(of) && is_text(ty)),
    }
}
