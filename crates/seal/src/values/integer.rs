//! smallint, integer and bigint: two's complement, big-endian, in 2, 4 and 8 bytes.

use std::io::Write as _;

use drieslot_schema::LogicalType;

use super::{ValueError, fixed, trim};

/// `pg_strtoint16`, `pg_strtoint32`, `pg_strtoint64` as in PostgreSQL 15.
pub(super) fn encode_text(ty: LogicalType, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let trimmed = trim(text);
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_plain_digits(&ty.to_string(), unsigned));
    }
    let range = || ValueError::new("22003", format!("value is out of range for type {ty}"));
    let value: i64 = trimmed.parse().map_err(|_| range())?;
    push(ty, value, out).ok_or_else(range)
}

/// PostgreSQL 16 reads `0x1F`, `0o17`, `0b11` and `1_000`, and 15 does not; 15 reads `1e 5`.
pub(super) fn not_plain_digits(type_name: &str, unsigned: &str) -> ValueError {
    let lower = unsigned.to_ascii_lowercase();
    let newer = lower.starts_with("0x") || lower.starts_with("0o") || lower.starts_with("0b") || lower.contains('_');
    let known = lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-'));
    let spaced_exponent = lower.split_once('e').is_some_and(|(_, exponent)| exponent.starts_with(super::is_space));
    if (newer && known) || spaced_exponent {
        ValueError::unsupported(type_name, "Write the number in plain decimal digits.")
    } else {
        ValueError::syntax(type_name)
    }
}

/// `oid` is one of the three integer types.
pub(super) fn encode_binary(ty: LogicalType, oid: u32, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let value = if oid == LogicalType::Int2.oid() {
        i64::from(i16::from_be_bytes(fixed(LogicalType::Int2, bytes)?))
    } else if oid == LogicalType::Int4.oid() {
        i64::from(i32::from_be_bytes(fixed(LogicalType::Int4, bytes)?))
    } else {
        i64::from_be_bytes(fixed(LogicalType::Int8, bytes)?)
    };
    push(ty, value, out).ok_or_else(|| ValueError::new("22003", format!("{ty} out of range")))
}

fn push(ty: LogicalType, value: i64, out: &mut Vec<u8>) -> Option<()> {
    if ty == LogicalType::Int2 {
        out.extend_from_slice(&i16::try_from(value).ok()?.to_be_bytes());
    } else if ty == LogicalType::Int4 {
        out.extend_from_slice(&i32::try_from(value).ok()?.to_be_bytes());
    } else {
        out.extend_from_slice(&value.to_be_bytes());
    }
    Some(())
}

pub(super) fn decode_text(ty: LogicalType, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = |_| ValueError::corrupted(ty);
    let value = if ty == LogicalType::Int2 {
        i64::from(i16::from_be_bytes(fixed(ty, canonical).map_err(wrong)?))
    } else if ty == LogicalType::Int4 {
        i64::from(i32::from_be_bytes(fixed(ty, canonical).map_err(wrong)?))
    } else {
        i64::from_be_bytes(fixed(ty, canonical).map_err(wrong)?)
    };
    let _infallible = write!(out, "{value}");
    Ok(())
}
