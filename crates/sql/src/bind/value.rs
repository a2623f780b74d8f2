//! Literals and parameters that meet a protected column: whether they may, and the slot that they become.

use drieslot_schema::{LogicalType, Protected, Protection};
use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, Node, a_const::Val};

use super::constructor::{self, Elements};
use super::{Binder, FIRST_SLOT};
use crate::refusal::{Refusal, Result};
use crate::statement::{CellSlot, Purpose, Slot, SlotSource, Typed};
use crate::types::{is_character, is_text, logical, loosened};

/// How a value meets a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// It is stored in the column.
    Store,
    /// It is compared with the column.
    Compare,
    /// It is compared with the column as a member of a list, all of which have one type.
    Listed,
    /// It stands beside the column's values, as in COALESCE.
    Beside,
}

pub(super) enum Literal {
    Null,
    Text(String),
    Integer(i32),
    Float(String),
    Bool(bool),
    Parameter(u32),
    /// `ARRAY[…]` of literals, as the text of an array.
    Array(String, Elements),
}

/// A literal or parameter, and the type of the cast around it.
pub(super) struct Value {
    pub(super) literal: Literal,
    cast: Option<LogicalType>,
    /// Of type `character`, as in `N'…'`: its trailing spaces do not count.
    blank_padded: bool,
    location: i32,
}

impl Value {
    /// A literal or parameter without a cast.
    pub(super) fn is_bare(&self) -> bool {
        self.cast.is_none() && !self.blank_padded
    }
}

fn constant(constant: &AConst) -> Option<Literal> {
    if constant.isnull {
        return Some(Literal::Null);
    }
    match constant.val.as_ref()? {
        Val::Ival(value) => Some(Literal::Integer(value.ival)),
        Val::Fval(value) => Some(Literal::Float(value.fval.replace('_', ""))),
        Val::Boolval(value) => Some(Literal::Bool(value.boolval)),
        Val::Sval(value) => Some(Literal::Text(value.sval.clone())),
        Val::Bsval(_) => None,
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is a literal")]
fn bare(node: &Node) -> Option<Value> {
    match node.node.as_ref()? {
        NodeEnum::AConst(node) => {
            Some(Value { literal: constant(node)?, cast: None, blank_padded: false, location: node.location })
        }
        NodeEnum::ParamRef(node) if (1..FIRST_SLOT).contains(&node.number) => Some(Value {
            literal: Literal::Parameter(u32::try_from(node.number).ok()?),
            cast: None,
            blank_padded: false,
            location: node.location,
        }),
        NodeEnum::AArrayExpr(array) => {
            let (text, elements) = constructor::array(array)?;
            Some(Value {
                literal: Literal::Array(text, elements),
                cast: None,
                blank_padded: false,
                location: array.location,
            })
        }
        _ => None,
    }
}

pub(super) fn value(node: &Node) -> Option<Value> {
    if let Some(NodeEnum::TypeCast(cast)) = &node.node {
        let arg = cast.arg.as_deref()?;
        if let Some(NodeEnum::TypeCast(again)) = &arg.node {
            // The same cast twice, as where driver and ORM both write one.
            let same = logical(cast.type_name.as_ref()?)? == logical(again.type_name.as_ref()?)?;
            return if same { value(arg) } else { None };
        }
        let inner = bare(arg)?;
        if let (Literal::Text(text), true) = (&inner.literal, is_character(cast.type_name.as_ref()?)) {
            let literal = Literal::Text(text.trim_end_matches(' ').to_owned());
            return Some(Value { literal, blank_padded: true, ..inner });
        }
        return Some(Value { cast: Some(logical(cast.type_name.as_ref()?)?), ..inner });
    }
    bare(node)
}

/// Where a text comes from: a string literal, NULL or a parameter, as text or varchar without a length.
pub(super) fn text_value(node: &Node) -> Option<SlotSource> {
    let value = value(node)?;
    let text = value.cast.is_none_or(|cast| is_text(cast) && cast.typmod() == -1);
    match value.literal {
        Literal::Null if text => Some(SlotSource::Literal { text: None, explicit_cast: false }),
        Literal::Text(content) if text && !value.blank_padded => {
            Some(SlotSource::Literal { text: Some(content), explicit_cast: false })
        }
        Literal::Parameter(number) if text => Some(SlotSource::Param(number)),
        Literal::Null
        | Literal::Text(_)
        | Literal::Parameter(_)
        | Literal::Integer(_)
        | Literal::Float(_)
        | Literal::Array(..)
        | Literal::Bool(_) => None,
    }
}

/// Whether a node is a literal or parameter, with or without a cast, that could become a cell.
pub(super) fn is_value(node: &Node) -> bool {
    value(node).is_some()
}

/// The type that a cast gives a literal or parameter.
pub(super) fn cast_of(node: &Node) -> Option<LogicalType> {
    value(node).and_then(|value| value.cast)
}

/// Whether PostgreSQL, seeing it alone, would take it for a text.
pub(super) fn is_untyped(node: &Node) -> bool {
    value(node).is_some_and(|value| {
        let open = matches!(value.literal, Literal::Null | Literal::Text(_) | Literal::Parameter(_));
        open && value.cast.is_none() && !value.blank_padded
    })
}

/// Whether an array of these has another type to PostgreSQL than the column, for values that have none of their own.
pub(super) fn retypes(items: &[Node], column: LogicalType) -> bool {
    let other = |node: &Node| match value(node) {
        Some(Value { cast: Some(cast), .. }) => loosened(cast) != loosened(column),
        Some(Value { literal: Literal::Integer(_), .. }) => column != LogicalType::Int4,
        Some(Value { literal: Literal::Float(_), .. }) => !matches!(column, LogicalType::Numeric(_)),
        Some(_) | None => false,
    };
    let open = |node: &Node| is_untyped(node) && !matches!(value(node), Some(Value { literal: Literal::Null, .. }));
    items.iter().any(open) && items.iter().any(other)
}

impl Binder<'_> {
    /// Turns a literal or parameter into a slot for a cell of the column. NULL stays NULL.
    pub(super) fn cell(&mut self, node: &mut Node, column: &Protected, meeting: Meeting) -> Result<()> {
        let Some(value) = value(node) else {
            return Err(Refusal::internal("a value that is no literal was to become a cell"));
        };
        let location = value.location;
        let refuse = |refusal: Refusal| refusal.column(&column.id).at(location);
        let (ty, explicit_cast) = read_as(column, &value, meeting).map_err(refuse)?;
        let source = match value.literal {
            Literal::Null => {
                *node = Node { node: Some(NodeEnum::AConst(AConst { isnull: true, location, val: None })) };
                return Ok(());
            }
            // A number without quotes is a numeric to PostgreSQL, and those have no negative zero.
            Literal::Float(text) if is_zero(&text) => {
                SlotSource::Literal { text: Some(text.trim_start_matches('-').to_owned()), explicit_cast }
            }
            Literal::Text(text) | Literal::Float(text) | Literal::Array(text, _) => {
                SlotSource::Literal { text: Some(text), explicit_cast }
            }
            Literal::Integer(number) => SlotSource::Literal { text: Some(number.to_string()), explicit_cast },
            Literal::Bool(truth) => {
                let text = if truth { "true" } else { "false" };
                SlotSource::Literal { text: Some(text.to_owned()), explicit_cast }
            }
            Literal::Parameter(number) if explicit_cast => SlotSource::CastParam { number },
            Literal::Parameter(number) => SlotSource::Param(number),
        };
        let purpose =
            if reads_as_stored(ty, value.cast.is_some(), meeting) { Purpose::Store } else { Purpose::Compare };
        let slot = CellSlot { source, value: Typed { column: column.clone(), ty }, purpose };
        *node = self.slot(Slot::Cell(slot), location)?;
        Ok(())
    }
}

/// Whether a value is read as one that is stored would be. A cidr is compared as an inet, but in a list, beside others
/// or in a cast it must be a cidr. A character value is compared without its trailing spaces, but beside others keeps them.
pub(super) fn reads_as_stored(ty: LogicalType, cast: bool, meeting: Meeting) -> bool {
    let strict = ty == LogicalType::Cidr && (cast || meeting != Meeting::Compare);
    let shown = matches!(ty, LogicalType::Bpchar(_)) && meeting == Meeting::Beside;
    meeting == Meeting::Store || strict || shown
}

/// The type to read the elements of an array with that is cast to an array of `cast`, and whether that shortens or rounds.
pub(super) fn element_as(column: &Protected, cast: LogicalType, meeting: Meeting) -> Result<(LogicalType, bool)> {
    let literal = Literal::Parameter(0);
    read_as(column, &Value { literal, cast: Some(cast), blank_padded: false, location: 0 }, meeting)
}

/// The type to read the value with, and whether an explicit cast shortens or rounds it.
fn read_as(column: &Protected, value: &Value, meeting: Meeting) -> Result<(LogicalType, bool)> {
    let meets_character = meeting != Meeting::Beside && matches!(column.ty, LogicalType::Bpchar(_));
    if value.blank_padded && !(meets_character || (meeting == Meeting::Store && is_text(column.ty))) {
        // PostgreSQL would compare without the trailing spaces of the column's values too.
        return Err(Refusal::unsupported(format!(
            "a literal of type character cannot meet the protected column {}",
            column.id
        ))
        .hint("Write it without the N before the quote, or cast it to the column's type."));
    }
    if let Some(cast) = value.cast {
        literal_fits(&value.literal, cast, Meeting::Compare)?;
        return cast_as(column, cast, value, meeting);
    }
    literal_fits(&value.literal, column.ty, meeting)?;
    Ok((uncast(column, value, meeting)?, false))
}

fn uncast(column: &Protected, value: &Value, meeting: Meeting) -> Result<LogicalType> {
    match (meeting, column.ty) {
        (Meeting::Store, ty) => Ok(ty),
        (Meeting::Compare | Meeting::Listed | Meeting::Beside, LogicalType::Numeric(Some((_, scale)))) => {
            if column.protection == Protection::Sealed {
                return Ok(LogicalType::Numeric(None));
            }
            numeric_fits(&value.literal, scale, meeting, column)?;
            Ok(column.ty)
        }
        (Meeting::Compare | Meeting::Listed | Meeting::Beside, LogicalType::Bpchar(length)) => {
            character(&value.literal, length, meeting, column)
        }
        // PostgreSQL has no operators of varchar: it takes both sides for texts.
        (Meeting::Compare, ty) if is_text(ty) => Ok(LogicalType::Text),
        (Meeting::Compare | Meeting::Listed | Meeting::Beside, ty) => Ok(loosened(ty)),
    }
}

/// An exact character column has one byte string per value only at its own length; beside its values PostgreSQL
/// pads a literal to none.
fn character(literal: &Literal, length: Option<u32>, meeting: Meeting, column: &Protected) -> Result<LogicalType> {
    let padded = meeting != Meeting::Beside && length.is_some();
    if padded {
        return Ok(column.ty);
    }
    if column.protection == Protection::Sealed || matches!(literal, Literal::Null) {
        return Ok(LogicalType::Bpchar(None));
    }
    Err(Refusal::unsupported(format!(
        "a value of unknown length cannot stand beside the protected column {}, or be compared with what does",
        column.id
    ))
    .hint("Cast it to the column's type, such as CAST('…' AS character(3)), or compare the column itself."))
}

/// An exact numeric column has one byte string per value only at its own scale.
fn numeric_fits(literal: &Literal, scale: u16, meeting: Meeting, column: &Protected) -> Result<()> {
    let digits = match literal {
        Literal::Null => return Ok(()),
        Literal::Integer(_) => Some(0),
        Literal::Text(text) | Literal::Float(text) => fraction_digits(text),
        Literal::Bool(_) | Literal::Parameter(_) | Literal::Array(..) => None,
    };
    if matches!(meeting, Meeting::Compare | Meeting::Listed) && matches!(literal, Literal::Parameter(_)) {
        // Whoever makes the cell sees the value, and refuses one that would have to be rounded.
        return Ok(());
    }
    let fits = digits.is_some_and(|digits| match meeting {
        Meeting::Beside => digits == usize::from(scale),
        Meeting::Compare | Meeting::Listed | Meeting::Store => digits <= usize::from(scale),
    });
    if fits {
        return Ok(());
    }
    Err(Refusal::unsupported(format!(
        "a value of unknown scale cannot be compared with the protected column {}",
        column.id
    ))
    .hint(format!("Cast it: CAST(… AS {}).", column.ty)))
}

fn is_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

fn fraction_digits(text: &str) -> Option<usize> {
    let digits = text.trim();
    let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (all_digits(whole) && all_digits(fraction) && !digits.is_empty()).then_some(fraction.len())
}

fn cast_as(column: &Protected, cast: LogicalType, value: &Value, meeting: Meeting) -> Result<(LogicalType, bool)> {
    let ty = column.ty;
    let mismatch = || {
        Refusal::new("42804", format!("column {} is of type {ty} but the value is cast to {cast}", column.id))
            .hint(format!("Cast the value to {ty}, or leave the cast out."))
    };
    if is_text(ty) && is_text(cast) {
        return match (cast, meeting, ty) {
            (LogicalType::Varchar(Some(n)), Meeting::Store, LogicalType::Varchar(Some(limit))) if n > limit => {
                Err(mismatch())
            }
            (LogicalType::Varchar(Some(_)), _, _) => Ok((cast, true)),
            (_, Meeting::Store, _) => Ok((ty, false)),
            (_, Meeting::Compare | Meeting::Listed | Meeting::Beside, _) => Ok((cast, false)),
        };
    }
    if cast == ty {
        let modified = matches!(ty, LogicalType::Numeric(Some(_)) | LogicalType::Bpchar(Some(_)));
        return Ok((ty, modified));
    }
    if let (Some(of), Some(to)) = (cast.element(), ty.element()) {
        return cast_array((cast, of), (ty, to), meeting).ok_or_else(mismatch);
    }
    match (ty, cast) {
        (LogicalType::Numeric(_), LogicalType::Numeric(None)) | (LogicalType::Bpchar(_), LogicalType::Bpchar(None)) => {
            Ok((uncast(column, value, meeting)?, false))
        }
        (LogicalType::Numeric(None), LogicalType::Numeric(Some(_))) => Ok((cast, true)),
        _ => Err(mismatch()),
    }
}

/// As [`cast_as`], by the types of the elements. `None` where PostgreSQL would convert or shorten them once more.
fn cast_array(
    (cast, of): (LogicalType, LogicalType),
    (ty, to): (LogicalType, LogicalType),
    meeting: Meeting,
) -> Option<(LogicalType, bool)> {
    let texts = is_text(of) && is_text(to);
    if !texts && loosened(of) != loosened(to) {
        return None;
    }
    let limited = of.typmod() != -1;
    match (of, to) {
        (LogicalType::Varchar(Some(n)), LogicalType::Varchar(Some(limit))) if n <= limit => Some((cast, true)),
        _ if meeting != Meeting::Store || of == to || (limited && to.typmod() == -1) => Some((cast, limited)),
        _ if !limited => Some((ty, false)),
        _ => None,
    }
}

/// Whether PostgreSQL would read a literal of this kind as the type, with the same meaning as its text.
fn literal_fits(literal: &Literal, ty: LogicalType, meeting: Meeting) -> Result<()> {
    let integer = matches!(ty, LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8);
    // PostgreSQL compares a real with a number in double precision, where 0.1 is another value.
    let float = ty == LogicalType::Float8 || (ty == LogicalType::Float4 && meeting == Meeting::Store);
    let numeric = float || matches!(ty, LogicalType::Numeric(_));
    let text = is_text(ty) || matches!(ty, LogicalType::Bpchar(_));
    let (fits, kind) = match literal {
        Literal::Null | Literal::Text(_) | Literal::Parameter(_) => (true, ""),
        // Beside a smaller type it would make the whole column an integer.
        Literal::Integer(_) if ty == LogicalType::Int2 && meeting == Meeting::Beside => (false, "an integer"),
        Literal::Integer(_) => (integer || numeric || (text && meeting == Meeting::Store), "an integer"),
        Literal::Float(text) => {
            let whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            let widens = meeting == Meeting::Beside && ty != LogicalType::Int8;
            (numeric || (integer && whole && !widens), "a number")
        }
        Literal::Bool(_) => (ty == LogicalType::Bool, "a boolean"),
        Literal::Array(_, elements) => (constructor::fits(*elements, ty, meeting), "an array"),
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::new("42804", format!("{kind} literal stands where a value of type {ty} is needed"))
        .hint("Write the value as a string literal."))
}
