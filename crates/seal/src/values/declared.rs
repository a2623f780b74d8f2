//! Parameters: values that a client sends with a declared type, which need not be the column's.
//!
//! PostgreSQL would cast such a value to the column's type where it is stored, and compare it in the declared type
//! where it is compared. What comes out otherwise by way of the column's own reading is refused.

use drieslot_schema::LogicalType;

use super::{
    Settings, UNKNOWN_OID, ValueError, accepts, encode_binary, encode_text, fixed, float, moment, network, plain,
};

/// How a parameter is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The type that the client declared; 0 for none.
    pub oid: u32,
    /// It stands in an explicit cast to the type.
    pub explicit_cast: bool,
    /// It is compared with values of the column, and not stored there.
    pub compared: bool,
}

const DATE: u32 = LogicalType::Date.oid();
const TIMESTAMP: u32 = LogicalType::Timestamp.oid();
const TIMESTAMPTZ: u32 = LogicalType::Timestamptz.oid();
const FLOAT4: u32 = LogicalType::Float4.oid();
const FLOAT8: u32 = LogicalType::Float8.oid();
const NUMBERS: [LogicalType; 4] = [LogicalType::Int2, LogicalType::Int4, LogicalType::Int8, LogicalType::Numeric(None)];

fn is_number(oid: u32) -> bool {
    NUMBERS.map(LogicalType::oid).contains(&oid)
}

fn is_integer(oid: u32) -> bool {
    is_number(oid) && oid != LogicalType::Numeric(None).oid()
}

/// The declared type gives another value, or PostgreSQL has no such cast.
fn unequal(ty: LogicalType, oid: u32) -> ValueError {
    let message = format!("a parameter of type OID {oid} is not accepted here for a protected column of type {ty}");
    ValueError::new("0A000", message)
        .with_hint("Declare the parameter with the column's own type, or leave its type undeclared.")
}

/// As [`encode_text`], for a parameter.
///
/// # Errors
/// What PostgreSQL would say, or 0A000 for a declared type that is not accepted.
pub fn encode_text_as(
    ty: LogicalType,
    given: Given,
    text: &str,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let oid = given.oid;
    if let (LogicalType::Bpchar(length), true) = (ty, given.compared && !given.explicit_cast) {
        check_blanks(ty, oid, text)?;
        return plain::encode_compared(text, length, out);
    }
    if ty == LogicalType::Cidr && given.compared && !given.explicit_cast && oid != ty.oid() {
        let inet = oid == 0 || oid == UNKNOWN_OID || oid == LogicalType::Inet.oid();
        return if inet { network::encode_compared(text, out) } else { Err(unequal(ty, oid)) };
    }
    if oid == 0 || oid == UNKNOWN_OID || oid == ty.oid() {
        return encode_text(ty, text, given.explicit_cast, settings, out);
    }
    if let Some(declared) = NUMBERS.into_iter().find(|ty| ty.oid() == oid) {
        encode_text(declared, text, false, settings, &mut Vec::new())?;
    }
    let whole = is_integer(oid);
    match ty {
        LogicalType::Float4 | LogicalType::Float8 if is_number(oid) || oid == FLOAT4 || oid == FLOAT8 => {
            encode_float(ty, given, text, out)
        }
        LogicalType::Date | LogicalType::Timestamp | LogicalType::Timestamptz => {
            encode_moment(ty, given, text, settings, out)
        }
        LogicalType::Jsonb if oid == LogicalType::Json.oid() && !given.compared => {
            encode_text(ty, text, given.explicit_cast, settings, out)
        }
        LogicalType::Jsonb => Err(unequal(ty, oid)),
        LogicalType::Numeric(_) if whole => encode_text(ty, text, given.explicit_cast, settings, out),
        LogicalType::Bool
        | LogicalType::Int2
        | LogicalType::Int4
        | LogicalType::Int8
        | LogicalType::Float4
        | LogicalType::Float8
        | LogicalType::Numeric(_)
        | LogicalType::Text
        | LogicalType::Varchar(_)
        | LogicalType::Bpchar(_)
        | LogicalType::Bytea
        | LogicalType::Time
        | LogicalType::Uuid
        | LogicalType::Interval
        | LogicalType::Json
        | LogicalType::Inet
        | LogicalType::Cidr
        | LogicalType::Array(_)
        | LogicalType::Enum(_) => {
            if !accepts(ty, oid) {
                return Err(unequal(ty, oid));
            }
            encode_text(ty, text, given.explicit_cast, settings, out)
        }
    }
}

/// As [`encode_binary`], for a parameter.
///
/// # Errors
/// What PostgreSQL would say, or 0A000 for a declared type that is not accepted.
pub fn encode_binary_as(ty: LogicalType, given: Given, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let oid = given.oid;
    if let (LogicalType::Bpchar(length), true) = (ty, given.compared && !given.explicit_cast) {
        let text = plain::checked_utf8(bytes)?;
        check_blanks(ty, oid, text)?;
        return plain::encode_compared(text, length, out);
    }
    if ty == LogicalType::Float4 && oid == FLOAT8 {
        return push_narrowed(given, fixed(LogicalType::Float8, bytes)?, out);
    }
    encode_binary(ty, oid, bytes, out)
}

/// Compared as text, a character column's trailing spaces are cut off and the other side's are not.
fn check_blanks(ty: LogicalType, oid: u32, text: &str) -> Result<(), ValueError> {
    let character = oid == 0 || oid == UNKNOWN_OID || oid == ty.oid();
    if !character && !accepts(ty, oid) {
        return Err(unequal(ty, oid));
    }
    if character || !text.ends_with(' ') {
        return Ok(());
    }
    Err(unequal(ty, oid))
}

fn encode_float(ty: LogicalType, given: Given, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut read = Vec::new();
    // Integers and numerics have no negative zero.
    let text = if is_number(given.oid) { float::without_negative_zero(text) } else { text };
    if given.oid == FLOAT4 {
        float::encode_text4(text, &mut read)?;
        let value = f32::from_be_bytes(fixed(LogicalType::Float4, &read)?);
        out.extend_from_slice(&f64::from(value).to_be_bytes());
    } else if ty == LogicalType::Float8 || !(given.compared || given.oid == FLOAT8) {
        return if ty == LogicalType::Float8 { float::encode_text8(text, out) } else { float::encode_text4(text, out) };
    } else {
        float::encode_text8(text, &mut read)?;
        push_narrowed(given, fixed(LogicalType::Float8, &read)?, out)?;
    }
    Ok(())
}

/// A number that a real cannot hold equals no real.
fn push_narrowed(given: Given, wide: [u8; 8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let narrow = float::narrowed(wide)?;
    let same = f64::from(f32::from_be_bytes(narrow)).to_bits() == f64::from_be_bytes(wide).to_bits();
    if given.compared && !same {
        return Err(unequal(LogicalType::Float4, given.oid));
    }
    out.extend_from_slice(&narrow);
    Ok(())
}

fn encode_moment(
    ty: LogicalType,
    given: Given,
    text: &str,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let (zone, order) = (&settings.time_zone, settings.date_style.order);
    match (ty, given.oid) {
        (LogicalType::Timestamp, DATE) => {
            out.extend_from_slice(&moment::midnight(moment::parse_date(text, order)?)?.to_be_bytes());
        }
        (LogicalType::Timestamptz, DATE) => {
            let local = moment::midnight(moment::parse_date(text, order)?)?;
            out.extend_from_slice(&moment::from_local(local, zone)?.to_be_bytes());
        }
        (LogicalType::Timestamptz, TIMESTAMP) => {
            let local = moment::parse_timestamp(text, order)?;
            out.extend_from_slice(&moment::from_local(local, zone)?.to_be_bytes());
        }
        // Two moments may have one local time: only the cast is told apart from a comparison.
        (LogicalType::Timestamp, TIMESTAMPTZ) if !given.compared => {
            let local = moment::to_local(moment::parse_timestamptz(text, settings)?, zone)?;
            out.extend_from_slice(&local.to_be_bytes());
        }
        (LogicalType::Date, TIMESTAMP) => push_day(given, moment::parse_timestamp(text, order)?, out)?,
        (LogicalType::Date, TIMESTAMPTZ) if !given.compared => {
            push_day(given, moment::to_local(moment::parse_timestamptz(text, settings)?, zone)?, out)?;
        }
        _ => return Err(unequal(ty, given.oid)),
    }
    Ok(())
}

/// A time other than midnight equals no day.
fn push_day(given: Given, micros: i64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let day = moment::day_of(micros)?;
    if given.compared && moment::midnight(day)? != micros {
        return Err(unequal(LogicalType::Date, given.oid));
    }
    out.extend_from_slice(&day.to_be_bytes());
    Ok(())
}
