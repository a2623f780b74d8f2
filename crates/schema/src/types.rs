//! Logical types: what the application sees of a protected column.

use std::fmt;
use std::str::FromStr;

use crate::{Element, EnumName};

/// The type that a protected column has for the application. At the processor it is always `bytea`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogicalType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric` or `numeric(precision, scale)`
    Numeric(Option<(u16, u16)>),
    /// `text`
    Text,
    /// `character varying` or `character varying(n)`, n in characters
    Varchar(Option<u32>),
    /// `character(n)`, n in characters; without n as `bpchar`, which pads nothing
    Bpchar(Option<u32>),
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time without time zone`, microseconds
    Time,
    /// `timestamp without time zone`, microseconds
    Timestamp,
    /// `timestamp with time zone`, microseconds
    Timestamptz,
    /// `uuid`
    Uuid,
    /// `interval`, microseconds
    Interval,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// `inet`
    Inet,
    /// `cidr`
    Cidr,
    /// An array of these, of up to six dimensions
    Array(Element),
    /// An enum type of the database
    Enum(EnumName),
}

/// `MaxAttrSize`
const LENGTHS: std::ops::RangeInclusive<u32> = 1..=10_485_760;

/// A type name that no protection exists for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "type `{0}` cannot be protected: use one of boolean, smallint, integer, bigint, real, double precision, numeric(p,s), text, varchar(n), char(n), bytea, date, time, timestamp, timestamptz, interval, uuid, json, jsonb, inet, cidr, an array of one of these, or an enum as `enum schema.name`"
)]
pub struct TypeError(pub String);

impl LogicalType {
    /// The type's OID in `pg_type`; 0 of an enum, which only the database's catalogue knows.
    pub const fn oid(self) -> u32 {
        match self {
            Self::Bool => 16,
            Self::Int2 => 21,
            Self::Int4 => 23,
            Self::Int8 => 20,
            Self::Float4 => 700,
            Self::Float8 => 701,
            Self::Numeric(_) => 1700,
            Self::Text => 25,
            Self::Varchar(_) => 1043,
            Self::Bpchar(_) => 1042,
            Self::Bytea => 17,
            Self::Date => 1082,
            Self::Time => 1083,
            Self::Timestamp => 1114,
            Self::Timestamptz => 1184,
            Self::Uuid => 2950,
            Self::Interval => 1186,
            Self::Json => 114,
            Self::Jsonb => 3802,
            Self::Inet => 869,
            Self::Cidr => 650,
            Self::Array(Element::Varchar(_)) => 1015,
            Self::Array(element) => element.scalar().array_oid(),
            Self::Enum(_) => 0,
        }
    }

    /// OID of the array type that PostgreSQL gives to a parameter which values of this type are compared with: of text
    /// for both text types, and of an array its own.
    pub const fn array_oid(self) -> u32 {
        match self {
            Self::Bool => 1000,
            Self::Int2 => 1005,
            Self::Int4 => 1007,
            Self::Int8 => 1016,
            Self::Numeric(_) => 1231,
            Self::Text | Self::Varchar(_) => 1009,
            Self::Float4 => 1021,
            Self::Float8 => 1022,
            Self::Bpchar(_) => 1014,
            Self::Bytea => 1001,
            Self::Time => 1183,
            Self::Interval => 1187,
            Self::Json => 199,
            Self::Jsonb => 3807,
            Self::Inet => 1041,
            Self::Cidr => 651,
            Self::Date => 1182,
            Self::Timestamp => 1115,
            Self::Timestamptz => 1185,
            Self::Uuid => 2951,
            Self::Array(_) | Self::Enum(_) => self.oid(),
        }
    }

    /// `pg_type.typlen`: bytes, or -1 for variable length.
    pub const fn typlen(self) -> i16 {
        match self {
            Self::Bool => 1,
            Self::Int2 => 2,
            Self::Int4 | Self::Float4 | Self::Date | Self::Enum(_) => 4,
            Self::Int8 | Self::Float8 | Self::Time | Self::Timestamp | Self::Timestamptz => 8,
            Self::Numeric(_)
            | Self::Text
            | Self::Varchar(_)
            | Self::Bpchar(_)
            | Self::Bytea
            | Self::Json
            | Self::Jsonb
            | Self::Inet
            | Self::Cidr
            | Self::Array(_) => -1,
            Self::Uuid | Self::Interval => 16,
        }
    }

    /// Whether a value has one spelling, and can say whom a row is about.
    pub const fn names_a_subject(self) -> bool {
        match self {
            Self::Text | Self::Varchar(_) | Self::Bpchar(_) | Self::Int2 | Self::Int4 | Self::Int8 | Self::Uuid => true,
            Self::Bool
            | Self::Float4
            | Self::Float8
            | Self::Numeric(_)
            | Self::Bytea
            | Self::Date
            | Self::Time
            | Self::Timestamp
            | Self::Timestamptz
            | Self::Interval
            | Self::Json
            | Self::Jsonb
            | Self::Inet
            | Self::Cidr
            | Self::Array(_)
            | Self::Enum(_) => false,
        }
    }

    /// Why equal values of the type may have different bytes, so that it cannot be `exact`; `None` where they have not.
    pub const fn why_not_exact(self) -> Option<&'static str> {
        match self {
            Self::Numeric(None) => {
                Some("1.0 and 1.00 are equal but written differently; numeric(precision, scale) can be exact")
            }
            Self::Bpchar(None) => {
                Some("values that differ in trailing spaces are equal but written differently; char(n) can be exact")
            }
            Self::Interval => Some("1 mon and 30 days are equal but written differently"),
            Self::Json => Some("PostgreSQL has no equality for it"),
            Self::Array(_) => Some("arrays are sealed only"),
            Self::Jsonb => Some("1.0 and 1.00 inside are equal but written differently"),
            Self::Bool
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float4
            | Self::Float8
            | Self::Numeric(Some(_))
            | Self::Text
            | Self::Varchar(_)
            | Self::Bpchar(Some(_))
            | Self::Bytea
            | Self::Date
            | Self::Time
            | Self::Timestamp
            | Self::Timestamptz
            | Self::Uuid
            | Self::Inet
            | Self::Cidr
            | Self::Enum(_) => None,
        }
    }

    /// `atttypmod`: -1 where the type has no modifier; of an array that of its elements.
    pub fn typmod(self) -> i32 {
        match self {
            Self::Array(element) => element.scalar().typmod(),
            Self::Varchar(Some(n)) | Self::Bpchar(Some(n)) => i32::try_from(n).map_or(-1, |n| n.saturating_add(4)),
            Self::Numeric(Some((precision, scale))) => ((i32::from(precision) << 16) | i32::from(scale)) + 4,
            Self::Bool
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float4
            | Self::Float8
            | Self::Numeric(None)
            | Self::Text
            | Self::Varchar(None)
            | Self::Bpchar(None)
            | Self::Bytea
            | Self::Date
            | Self::Time
            | Self::Timestamp
            | Self::Timestamptz
            | Self::Uuid
            | Self::Interval
            | Self::Json
            | Self::Jsonb
            | Self::Inet
            | Self::Cidr
            | Self::Enum(_) => -1,
        }
    }
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("boolean"),
            Self::Int2 => f.write_str("smallint"),
            Self::Int4 => f.write_str("integer"),
            Self::Int8 => f.write_str("bigint"),
            Self::Float4 => f.write_str("real"),
            Self::Float8 => f.write_str("double precision"),
            Self::Numeric(None) => f.write_str("numeric"),
            Self::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Self::Text => f.write_str("text"),
            Self::Varchar(None) => f.write_str("character varying"),
            Self::Varchar(Some(n)) => write!(f, "character varying({n})"),
            Self::Bpchar(None) => f.write_str("bpchar"),
            Self::Bpchar(Some(n)) => write!(f, "character({n})"),
            Self::Bytea => f.write_str("bytea"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time without time zone"),
            Self::Timestamp => f.write_str("timestamp without time zone"),
            Self::Timestamptz => f.write_str("timestamp with time zone"),
            Self::Uuid => f.write_str("uuid"),
            Self::Interval => f.write_str("interval"),
            Self::Json => f.write_str("json"),
            Self::Jsonb => f.write_str("jsonb"),
            Self::Inet => f.write_str("inet"),
            Self::Cidr => f.write_str("cidr"),
            Self::Array(element) => write!(f, "{}[]", element.scalar()),
            Self::Enum(name) => write!(f, "enum {name}"),
        }
    }
}

/// The widest order code, in bits of the value.
pub const MAX_ORDER_BITS: u16 = 112;

impl LogicalType {
    /// Bits of the value's place in the order of its type; `None` where the type cannot be `ordered`.
    pub fn order_bits(self) -> Option<u16> {
        match self {
            Self::Int2 => Some(16),
            Self::Int4 | Self::Float4 | Self::Date => Some(32),
            Self::Int8 | Self::Float8 | Self::Time | Self::Timestamp | Self::Timestamptz => Some(64),
            // 2·10^precision, the place of NaN, is the greatest.
            Self::Numeric(Some((precision, _))) => {
                let greatest = 10_u128.checked_pow(u32::from(precision))?.checked_mul(2)?;
                u16::try_from(u128::BITS - greatest.leading_zeros()).ok().filter(|bits| *bits <= MAX_ORDER_BITS)
            }
            Self::Bool
            | Self::Numeric(None)
            | Self::Text
            | Self::Varchar(_)
            | Self::Bpchar(_)
            | Self::Bytea
            | Self::Interval
            | Self::Uuid
            | Self::Json
            | Self::Jsonb
            | Self::Inet
            | Self::Cidr
            | Self::Array(_)
            | Self::Enum(_) => None,
        }
    }
}

impl FromStr for LogicalType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let lower = text.trim().to_ascii_lowercase();
        let error = || TypeError(text.trim().to_owned());
        if let Some(name) = text.trim().strip_prefix("enum ") {
            return EnumName::parse(name.trim()).map(Self::Enum).ok_or_else(error);
        }
        if let Some(element) = lower.strip_suffix("[]") {
            let element = element.parse::<Self>().ok().and_then(Self::as_element);
            return element.map(Self::Array).ok_or_else(error);
        }
        let (name, modifiers) = match lower.split_once('(') {
            None => (lower.as_str(), Vec::new()),
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')').ok_or_else(error)?;
                let numbers: Result<Vec<u32>, _> = inner.split(',').map(|part| part.trim().parse::<u32>()).collect();
                (name.trim(), numbers.map_err(|_| error())?)
            }
        };
        match (name, modifiers.as_slice()) {
            ("bool" | "boolean", []) => Ok(Self::Bool),
            ("int2" | "smallint", []) => Ok(Self::Int2),
            ("int" | "int4" | "integer", []) => Ok(Self::Int4),
            ("int8" | "bigint", []) => Ok(Self::Int8),
            ("float4" | "real", []) => Ok(Self::Float4),
            ("float8" | "float" | "double precision", []) => Ok(Self::Float8),
            ("numeric" | "decimal", []) => Ok(Self::Numeric(None)),
            ("numeric" | "decimal", [p]) => Self::numeric(*p, 0).ok_or_else(error),
            ("numeric" | "decimal", [p, s]) => Self::numeric(*p, *s).ok_or_else(error),
            ("text", []) => Ok(Self::Text),
            ("varchar" | "character varying", []) => Ok(Self::Varchar(None)),
            ("varchar" | "character varying", [n]) if LENGTHS.contains(n) => Ok(Self::Varchar(Some(*n))),
            ("char" | "character", []) => Ok(Self::Bpchar(Some(1))),
            ("bpchar", []) => Ok(Self::Bpchar(None)),
            ("char" | "character" | "bpchar", [n]) if LENGTHS.contains(n) => Ok(Self::Bpchar(Some(*n))),
            ("bytea", []) => Ok(Self::Bytea),
            ("date", []) => Ok(Self::Date),
            ("time" | "time without time zone", []) => Ok(Self::Time),
            ("timestamp" | "timestamp without time zone", []) => Ok(Self::Timestamp),
            ("timestamptz" | "timestamp with time zone", []) => Ok(Self::Timestamptz),
            ("uuid", []) => Ok(Self::Uuid),
            ("interval", []) => Ok(Self::Interval),
            ("json", []) => Ok(Self::Json),
            ("jsonb", []) => Ok(Self::Jsonb),
            ("inet", []) => Ok(Self::Inet),
            ("cidr", []) => Ok(Self::Cidr),
            _ => Err(error()),
        }
    }
}

impl LogicalType {
    fn numeric(precision: u32, scale: u32) -> Option<Self> {
        let fits = (1..=1000).contains(&precision) && scale <= precision;
        let pair = (u16::try_from(precision).ok()?, u16::try_from(scale).ok()?);
        fits.then_some(Self::Numeric(Some(pair)))
    }
}

#[cfg(test)]
mod tests {
    use super::LogicalType;

    #[test]
    fn names_round_trip_and_nonsense_is_refused() {
        for name in [
            "boolean",
            "smallint",
            "bigint",
            "numeric",
            "numeric(10,2)",
            "text",
            "character varying(40)",
            "date",
            "real",
            "double precision",
            "character(3)",
            "bpchar",
            "bytea",
            "time without time zone",
            "interval",
            "json",
            "jsonb",
            "inet",
            "cidr",
            "text[]",
            "character varying(40)[]",
            "timestamp with time zone[]",
            "enum public.mood",
            "enum App.Mood",
        ] {
            let parsed: LogicalType = name.parse().unwrap();
            assert_eq!(parsed.to_string(), name);
        }
        for name in [
            "",
            "varchar(0)",
            "numeric(0)",
            "numeric(2,3)",
            "int[][]",
            "[]",
            "money[]",
            "enum",
            "enum a.b.c",
            "enum mood[]x.",
            "varchar(40",
            "money",
            "text(3)",
            "char(0)",
            "timetz",
            "time(3)",
        ] {
            assert!(name.parse::<LogicalType>().is_err(), "{name} must be refused");
        }
    }

    #[test]
    fn an_order_code_has_a_bounded_width() {
        let bits = |name: &str| name.parse::<LogicalType>().unwrap().order_bits();
        assert_eq!((bits("date"), bits("numeric(10,2)"), bits("numeric(33,33)")), (Some(32), Some(35), Some(111)));
        assert_eq!((bits("numeric(34,0)"), bits("numeric"), bits("text"), bits("uuid")), (None, None, None, None));
    }

    #[test]
    fn modifiers_are_those_of_pg_attribute() {
        assert_eq!("varchar(40)".parse::<LogicalType>().unwrap().typmod(), 44);
        assert_eq!("numeric(10,2)".parse::<LogicalType>().unwrap().typmod(), 655_366);
        assert_eq!(LogicalType::Text.typmod(), -1);
        let array: LogicalType = "varchar(40)[]".parse().unwrap();
        assert_eq!((array.oid(), array.typmod(), array.typlen()), (1015, 44, -1));
        assert_eq!("inet[]".parse::<LogicalType>().unwrap().oid(), 1041);
    }
}
