//! Canonical plaintexts: the bytes that are sealed, per logical type, and their texts as PostgreSQL writes them.
//!
//! Owns the byte-for-byte agreement with PostgreSQL 15 to 18. A form that PostgreSQL might
//! read in another way than this module does is refused, and no error ever holds the value.

mod array;
mod array_text;
mod bytes;
mod calendar;
mod date_style;
mod datetime;
mod declared;
mod error;
mod float;
mod integer;
mod interval;
mod json;
mod mask;
mod moment;
mod network;
mod numeric;
mod plain;

use std::sync::Arc;

use drieslot_schema::{EnumLabels, LogicalType};
use jiff::tz::TimeZone;

pub use date_style::{DateForm, DateOrder, DateStyle};
pub use declared::{Given, encode_binary_as, encode_text_as};
pub use error::ValueError;
pub use interval::IntervalStyle;
pub use mask::mask;

/// `unknown`, the type of an untyped literal.
const UNKNOWN_OID: u32 = 705;

/// The settings of a session that decide how values are read and written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The session's `TimeZone`.
    pub time_zone: TimeZone,
    /// The session's `IntervalStyle`.
    pub interval_style: IntervalStyle,
    /// The session's `DateStyle`.
    pub date_style: DateStyle,
    /// The labels of the database's enum types.
    pub enum_labels: Arc<EnumLabels>,
    /// What stands for the time zone behind a time, where the zone has no name of its own for it.
    zone_name: Option<String>,
}

impl Default for Settings {
    /// PostgreSQL's own, in UTC.
    fn default() -> Self {
        Self {
            time_zone: TimeZone::UTC,
            interval_style: IntervalStyle::default(),
            date_style: DateStyle::default(),
            enum_labels: Arc::default(),
            zone_name: None,
        }
    }
}

impl Settings {
    /// For a `TimeZone` as PostgreSQL reports it (an IANA name, `UTC`, or the POSIX form of `SET TIME ZONE +2`) and the
    /// defaults of `IntervalStyle` and `DateStyle`. `None` where the zone is not known: the session must then be refused.
    pub fn named(time_zone: &str) -> Option<Self> {
        let mut settings = Self::default();
        settings.set_time_zone(time_zone).then_some(settings)
    }

    /// `false`, and nothing changed, where the zone is not known.
    pub fn set_time_zone(&mut self, name: &str) -> bool {
        let (known, zone_name) = match name.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            None => (TimeZone::get(name).ok(), None),
            Some((shown, offset)) => (fixed_zone(offset), Some(shown.to_owned())),
        };
        let Some(time_zone) = known.filter(|zone| !zone.is_unknown()) else { return false };
        (self.time_zone, self.zone_name) = (time_zone, zone_name);
        true
    }

    /// The abbreviation behind a time, as of the time zone database or as the session named it.
    fn zone_abbreviation(&self, seconds: i64) -> Option<String> {
        self.zone_name.clone().or_else(|| calendar::abbreviation_at(&self.time_zone, seconds))
    }
}

/// The offset of a POSIX zone without summer time: PostgreSQL may put a colon into the name before it, POSIX may not.
fn fixed_zone(offset: &str) -> Option<TimeZone> {
    let plain = offset.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b':'));
    plain.then(|| TimeZone::posix(&format!("XXX{offset}")).ok()).flatten()
}

/// Appends the canonical plaintext of a value in text form. `explicit_cast` says that the value stands in an explicit
/// cast to the type, where PostgreSQL shortens an over-long `varchar(n)` without an error. On an error `out` is as
/// before.
///
/// # Errors
/// What PostgreSQL would say, or 0A000 for a form that is not accepted.
pub fn encode_text(
    ty: LogicalType,
    text: &str,
    explicit_cast: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    if text.contains('\0') {
        return Err(plain::nul());
    }
    match ty {
        LogicalType::Bool => out.push(u8::from(plain::parse_bool(text)?)),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => integer::encode_text(ty, text, out)?,
        LogicalType::Numeric(modifier) => numeric::encode_text(modifier, text, out)?,
        LogicalType::Text => plain::encode_text(text, None, explicit_cast, out)?,
        LogicalType::Varchar(limit) => plain::encode_text(text, limit, explicit_cast, out)?,
        LogicalType::Float4 => float::encode_text4(text, out)?,
        LogicalType::Float8 => float::encode_text8(text, out)?,
        LogicalType::Bpchar(length) => plain::encode_padded(text, length, explicit_cast, out)?,
        LogicalType::Bytea => bytes::encode_text(text, out)?,
        LogicalType::Date => out.extend_from_slice(&moment::parse_date(text, settings.date_style.order)?.to_be_bytes()),
        LogicalType::Time => out.extend_from_slice(&moment::parse_time(text)?.to_be_bytes()),
        LogicalType::Timestamp => {
            out.extend_from_slice(&moment::parse_timestamp(text, settings.date_style.order)?.to_be_bytes())
        }
        LogicalType::Timestamptz => {
            let micros = moment::parse_timestamptz(text, settings)?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        LogicalType::Uuid => out.extend_from_slice(&plain::parse_uuid(text)?),
        LogicalType::Interval => interval::encode_text(settings.interval_style, text, out)?,
        LogicalType::Json => json::encode_json(text, out)?,
        LogicalType::Jsonb => json::encode_jsonb(text, out)?,
        LogicalType::Inet | LogicalType::Cidr => network::encode_text(ty, text, out)?,
        LogicalType::Enum(name) => plain::encode_label(settings.enum_labels.get(&name), text, name, out)?,
        LogicalType::Array(element) => array::encode_text(element, text, explicit_cast, settings, out)?,
    }
    Ok(())
}

/// Appends the canonical plaintext of a value in PostgreSQL's binary form. `wire_oid` is the type that the client
/// declared: 0 or the type's own; any integer type for integers; text, varchar or unknown for texts, and their arrays.
/// On an error `out` is as before.
///
/// # Errors
/// What PostgreSQL would say, or 0A000 for a declared type that is not accepted.
pub fn encode_binary(ty: LogicalType, wire_oid: u32, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let oid = if wire_oid == 0 { ty.oid() } else { wire_oid };
    if !accepts(ty, oid) {
        let hint = "Declare the parameter with the column's own type, or leave its type undeclared.";
        return Err(ValueError::new(
            "0A000",
            format!("a binary parameter of type OID {oid} is not accepted for a protected column of type {ty}"),
        )
        .with_hint(hint));
    }
    match ty {
        LogicalType::Bool => out.push(u8::from(fixed::<1>(ty, bytes)? != [0])),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => integer::encode_binary(ty, oid, bytes, out)?,
        LogicalType::Numeric(modifier) => numeric::encode_binary(modifier, bytes, out)?,
        LogicalType::Text => plain::encode_binary(bytes, None, out)?,
        LogicalType::Varchar(limit) => plain::encode_binary(bytes, limit, out)?,
        LogicalType::Float4 => out.extend_from_slice(&fixed::<4>(ty, bytes)?),
        LogicalType::Float8 => float::encode_binary8(oid, bytes, out)?,
        LogicalType::Bpchar(length) => plain::encode_padded(plain::checked_utf8(bytes)?, length, false, out)?,
        LogicalType::Bytea => out.extend_from_slice(bytes),
        LogicalType::Time => {
            let micros = moment::check_time(i64::from_be_bytes(fixed(ty, bytes)?))?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        LogicalType::Date => {
            let days = moment::check_date(i64::from(i32::from_be_bytes(fixed(ty, bytes)?)))?;
            out.extend_from_slice(&days.to_be_bytes());
        }
        LogicalType::Timestamp | LogicalType::Timestamptz => {
            let micros = moment::check_timestamp(Some(i64::from_be_bytes(fixed(ty, bytes)?)))?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        LogicalType::Uuid => out.extend_from_slice(&fixed::<16>(ty, bytes)?),
        LogicalType::Interval => interval::encode_binary(bytes, out)?,
        LogicalType::Json => json::encode_json(plain::checked_utf8(bytes)?, out)?,
        LogicalType::Jsonb => json::encode_jsonb_binary(bytes, out)?,
        LogicalType::Inet | LogicalType::Cidr => network::encode_binary(ty, bytes, out)?,
        // Its binary form is its text, and only that can be checked.
        LogicalType::Enum(_) => return Err(ValueError::unsupported("an enum", "Send the label as a text.")),
        LogicalType::Array(element) => array::encode_binary(element, oid, bytes, out)?,
    }
    Ok(())
}

/// Appends the text that PostgreSQL would send. On an error `out` is as before.
///
/// # Errors
/// XX001 where the bytes are no canonical plaintext of the type.
pub fn decode_text(
    ty: LogicalType,
    canonical: &[u8],
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    check_canonical(ty, canonical)?;
    let wrong = |_| ValueError::corrupted(ty);
    match ty {
        LogicalType::Bool => out.push(if canonical == [0] { b'f' } else { b't' }),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => integer::decode_text(ty, canonical, out)?,
        LogicalType::Numeric(_) => numeric::decode_text(ty, canonical, out)?,
        LogicalType::Float4 => float::write4(f32::from_be_bytes(fixed(ty, canonical).map_err(wrong)?), out),
        LogicalType::Float8 => float::write8(f64::from_be_bytes(fixed(ty, canonical).map_err(wrong)?), out),
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Bpchar(_) | LogicalType::Enum(_) => {
            out.extend_from_slice(canonical);
        }
        LogicalType::Bytea => bytes::write(canonical, out),
        LogicalType::Time => moment::write_time(i64::from_be_bytes(fixed(ty, canonical).map_err(wrong)?), out),
        LogicalType::Date => {
            moment::write_date(i32::from_be_bytes(fixed(ty, canonical).map_err(wrong)?), settings.date_style, out)
        }
        LogicalType::Timestamp => {
            let micros = i64::from_be_bytes(fixed(ty, canonical).map_err(wrong)?);
            moment::write_timestamp(micros, settings, false, out);
        }
        LogicalType::Timestamptz => {
            let micros = i64::from_be_bytes(fixed(ty, canonical).map_err(wrong)?);
            moment::write_timestamp(micros, settings, true, out);
        }
        LogicalType::Uuid => plain::write_uuid(fixed(ty, canonical).map_err(wrong)?, out),
        LogicalType::Interval => {
            interval::write(settings.interval_style, fixed(ty, canonical).map_err(wrong)?, out);
        }
        LogicalType::Json => out.extend_from_slice(canonical),
        LogicalType::Jsonb => out.extend_from_slice(json::jsonb_text(canonical)?.as_bytes()),
        LogicalType::Inet | LogicalType::Cidr => network::decode_text(ty, canonical, out)?,
        LogicalType::Array(element) => array::decode_text(element, canonical, settings, out)?,
    }
    Ok(())
}

/// Appends the binary form that PostgreSQL would send: the canonical plaintext itself, but for the
/// name of the elements' type in an array. On an error `out` is as before.
///
/// # Errors
/// XX001 where the bytes are no canonical plaintext of the type.
pub fn decode_binary(ty: LogicalType, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    check_canonical(ty, canonical)?;
    if let LogicalType::Array(element) = ty {
        array::decode_binary(element, canonical, out);
    } else {
        out.extend_from_slice(canonical);
    }
    Ok(())
}

/// The place of a canonical plaintext in PostgreSQL's order of its type, from 0; below 2^[`LogicalType::order_bits`].
/// `None` where the type has no order code or the bytes are no value of it.
pub(crate) fn rank(ty: LogicalType, canonical: &[u8]) -> Option<u128> {
    match ty {
        LogicalType::Int2 => fixed(ty, canonical).ok().map(|bytes| flipped(i128::from(i16::from_be_bytes(bytes)), 16)),
        LogicalType::Int4 | LogicalType::Date => {
            fixed(ty, canonical).ok().map(|bytes| flipped(i128::from(i32::from_be_bytes(bytes)), 32))
        }
        LogicalType::Int8 | LogicalType::Time | LogicalType::Timestamp | LogicalType::Timestamptz => {
            fixed(ty, canonical).ok().map(|bytes| flipped(i128::from(i64::from_be_bytes(bytes)), 64))
        }
        LogicalType::Float4 | LogicalType::Float8 => float::rank(ty, canonical),
        LogicalType::Numeric(Some(modifier)) => numeric::rank(modifier, canonical),
        LogicalType::Bool
        | LogicalType::Numeric(None)
        | LogicalType::Text
        | LogicalType::Varchar(_)
        | LogicalType::Bpchar(_)
        | LogicalType::Bytea
        | LogicalType::Interval
        | LogicalType::Json
        | LogicalType::Jsonb
        | LogicalType::Inet
        | LogicalType::Cidr
        | LogicalType::Uuid
        | LogicalType::Array(_)
        | LogicalType::Enum(_) => None,
    }
}

/// A signed number of `bits` bits, so that the least becomes 0.
fn flipped(value: i128, bits: u32) -> u128 {
    (value + (1 << (bits - 1))).unsigned_abs()
}

/// Refuses the few values that equal another value of the type with other bytes, for columns whose cells are compared.
///
/// # Errors
/// 0A000, or 22P03 where the bytes are no canonical plaintext of the type.
pub fn check_exact(ty: LogicalType, canonical: &[u8]) -> Result<(), ValueError> {
    if matches!(ty, LogicalType::Float4 | LogicalType::Float8) { float::check_exact(ty, canonical) } else { Ok(()) }
}

/// What authenticated under the column's key must be a value of the column's type: anything else is our fault or the
/// classification's, and is not passed on.
fn check_canonical(ty: LogicalType, canonical: &[u8]) -> Result<(), ValueError> {
    let corrupted = |_| ValueError::corrupted(ty);
    match ty {
        LogicalType::Bool if canonical == [0] || canonical == [1] => Ok(()),
        LogicalType::Bool => Err(ValueError::corrupted(ty)),
        LogicalType::Int2 => fixed::<2>(ty, canonical).map(|_| ()).map_err(corrupted),
        LogicalType::Int4 | LogicalType::Float4 => fixed::<4>(ty, canonical).map(|_| ()).map_err(corrupted),
        LogicalType::Int8 | LogicalType::Float8 => fixed::<8>(ty, canonical).map(|_| ()).map_err(corrupted),
        LogicalType::Uuid => fixed::<16>(ty, canonical).map(|_| ()).map_err(corrupted),
        LogicalType::Interval => interval::encode_binary(canonical, &mut Vec::new()).map_err(corrupted),
        LogicalType::Json => plain::checked_utf8(canonical).and_then(json::check).map_err(corrupted),
        LogicalType::Jsonb => json::jsonb_text(canonical).and_then(json::check).map_err(corrupted),
        LogicalType::Inet | LogicalType::Cidr => network::check_canonical(ty, canonical),
        LogicalType::Array(element) => array::check_canonical(element, canonical),
        LogicalType::Numeric(_) => numeric::check_canonical(ty, canonical),
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Bpchar(_) | LogicalType::Enum(_) => {
            plain::checked_utf8(canonical).map(|_| ()).map_err(corrupted)
        }
        LogicalType::Bytea => Ok(()),
        LogicalType::Time => {
            let micros = i64::from_be_bytes(fixed(ty, canonical).map_err(corrupted)?);
            moment::check_time(micros).map(|_| ()).map_err(corrupted)
        }
        LogicalType::Date => {
            let days = i32::from_be_bytes(fixed(ty, canonical).map_err(corrupted)?);
            moment::check_date(i64::from(days)).map(|_| ()).map_err(corrupted)
        }
        LogicalType::Timestamp | LogicalType::Timestamptz => {
            let micros = i64::from_be_bytes(fixed(ty, canonical).map_err(corrupted)?);
            moment::check_timestamp(Some(micros)).map(|_| ()).map_err(corrupted)
        }
    }
}

/// Which declared types PostgreSQL would turn into the column's type without loss of meaning.
fn accepts(ty: LogicalType, oid: u32) -> bool {
    let integers = [LogicalType::Int2, LogicalType::Int4, LogicalType::Int8];
    match ty {
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => integers.map(LogicalType::oid).contains(&oid),
        LogicalType::Text | LogicalType::Varchar(_) => {
            [LogicalType::Text.oid(), LogicalType::Varchar(None).oid(), UNKNOWN_OID].contains(&oid)
        }
        LogicalType::Float8 => [LogicalType::Float4.oid(), ty.oid()].contains(&oid),
        LogicalType::Bpchar(_) => {
            let texts = [LogicalType::Text, LogicalType::Varchar(None), ty].map(LogicalType::oid);
            texts.contains(&oid) || oid == UNKNOWN_OID
        }
        LogicalType::Array(element) => array::accepted(element, oid).is_some(),
        LogicalType::Enum(_) => false,
        LogicalType::Inet => [ty, LogicalType::Cidr].map(LogicalType::oid).contains(&oid),
        LogicalType::Bool
        | LogicalType::Interval
        | LogicalType::Json
        | LogicalType::Jsonb
        | LogicalType::Cidr
        | LogicalType::Float4
        | LogicalType::Bytea
        | LogicalType::Time
        | LogicalType::Numeric(_)
        | LogicalType::Date
        | LogicalType::Timestamp
        | LogicalType::Timestamptz
        | LogicalType::Uuid => ty.oid() == oid,
    }
}

/// A binary value of fixed length.
fn fixed<const N: usize>(ty: LogicalType, bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| if bytes.len() < N { ValueError::short() } else { ValueError::binary(ty) })
}

/// What C's `isspace` takes for white space, which is what PostgreSQL trims.
fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}
