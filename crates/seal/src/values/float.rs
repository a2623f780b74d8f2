//! real and double precision: IEEE 754, big-endian, in 4 and 8 bytes. Texts are read as `strtod` of PostgreSQL's
//! platforms reads decimals, and written with the fewest digits that give the number back, as under
//! `extra_float_digits` of 1 or more.

use std::io::Write as _;

use drieslot_schema::LogicalType;

use super::{ValueError, fixed, trim};

const HINT: &str = "Write the number in plain decimal digits, NaN, Infinity or -Infinity.";
/// `get_float4_nan` and `get_float8_nan`.
const NAN4: u32 = 0x7fc0_0000;
const NAN8: u64 = 0x7ff8_0000_0000_0000;

/// `float4in`.
pub(super) fn encode_text4(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let number = decimal(LogicalType::Float4, text)?;
    let value: f32 = number.parse().map_err(|_| ValueError::syntax("real"))?;
    check_range(LogicalType::Float4, number, value.is_infinite(), value == 0.0)?;
    let bits = if value.is_nan() { NAN4 } else { value.to_bits() };
    out.extend_from_slice(&bits.to_be_bytes());
    Ok(())
}

/// `float8in`.
pub(super) fn encode_text8(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let number = decimal(LogicalType::Float8, text)?;
    let value: f64 = number.parse().map_err(|_| ValueError::syntax("double precision"))?;
    check_range(LogicalType::Float8, number, value.is_infinite(), value == 0.0)?;
    let bits = if value.is_nan() { NAN8 } else { value.to_bits() };
    out.extend_from_slice(&bits.to_be_bytes());
    Ok(())
}

/// The text without its sign where it is zero.
pub(super) fn without_negative_zero(text: &str) -> &str {
    let trimmed = trim(text);
    if is_written_zero(trimmed) { trimmed.trim_start_matches('-') } else { text }
}

fn is_written_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// What is left of a text that is read as a decimal number or a special value. `strtod` also reads hexadecimal digits,
/// a sign on NaN and bits inside it.
fn decimal(ty: LogicalType, text: &str) -> Result<&str, ValueError> {
    let trimmed = trim(text);
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed).to_ascii_lowercase();
    let signed_nan = unsigned.starts_with("nan") && unsigned.len() < trimmed.len();
    if unsigned.starts_with("0x") || unsigned.starts_with("nan(") || signed_nan {
        return Err(ValueError::unsupported(&ty.to_string(), HINT));
    }
    Ok(trimmed)
}

/// A number that is not written as infinite or zero must not become so.
fn check_range(ty: LogicalType, number: &str, infinite: bool, zero: bool) -> Result<(), ValueError> {
    let written_infinite = number.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    if (infinite && !written_infinite) || (zero && !is_written_zero(number)) {
        return Err(range(ty));
    }
    Ok(())
}

fn range(ty: LogicalType) -> ValueError {
    ValueError::new("22003", format!("value is out of range for type {ty}"))
}

/// `float8recv`, or `float4recv` and the cast to float8 where that is the type declared.
pub(super) fn encode_binary8(oid: u32, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if oid == LogicalType::Float4.oid() {
        let value = f32::from_be_bytes(fixed(LogicalType::Float4, bytes)?);
        out.extend_from_slice(&f64::from(value).to_be_bytes());
    } else {
        out.extend_from_slice(&fixed::<8>(LogicalType::Float8, bytes)?);
    }
    Ok(())
}

/// The cast `float4(float8)`.
#[expect(clippy::cast_possible_truncation, reason = "the cast rounds to the nearest, and what overflows is refused")]
pub(super) fn narrowed(canonical: [u8; 8]) -> Result<[u8; 4], ValueError> {
    let wide = f64::from_be_bytes(canonical);
    let value = wide as f32;
    let lost = (value.is_infinite() && wide.is_finite()) || (value == 0.0 && wide != 0.0);
    if lost { Err(range(LogicalType::Float4)) } else { Ok(value.to_be_bytes()) }
}

/// 0 and -0 are equal, and so are all NaN; of each only one has a place where cells are compared.
pub(super) fn check_exact(ty: LogicalType, canonical: &[u8]) -> Result<(), ValueError> {
    let doubtful = match canonical {
        [sign, rest @ ..] if ty == LogicalType::Float4 => {
            let nan = u32::from_be_bytes(fixed(ty, canonical)?);
            (*sign == 0x80 && rest.iter().all(|byte| *byte == 0)) || (f32::from_bits(nan).is_nan() && nan != NAN4)
        }
        [sign, rest @ ..] => {
            let nan = u64::from_be_bytes(fixed(ty, canonical)?);
            (*sign == 0x80 && rest.iter().all(|byte| *byte == 0)) || (f64::from_bits(nan).is_nan() && nan != NAN8)
        }
        [] => false,
    };
    if !doubtful {
        return Ok(());
    }
    let message = format!("negative zero and unusual NaNs are not accepted for a protected {ty} that is compared");
    Err(ValueError::new("0A000", message).with_hint("Write 0 or NaN."))
}

/// The place in the order, NaN behind infinity: the sign first, and then the bits, which ascend away from zero. `None` for
/// what equals another value with other bytes.
pub(super) fn rank(ty: LogicalType, canonical: &[u8]) -> Option<u128> {
    check_exact(ty, canonical).ok()?;
    if ty == LogicalType::Float4 {
        let bits = u32::from_be_bytes(fixed(ty, canonical).ok()?);
        return Some(u128::from(if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }));
    }
    let bits = u64::from_be_bytes(fixed(ty, canonical).ok()?);
    Some(u128::from(if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }))
}

/// `float4out`.
pub(super) fn write4(value: f32, out: &mut Vec<u8>) {
    let shortest = format!("{value:e}");
    let round = |digits: usize| format!("{value:.digits$e}");
    let is_value = |text: &str| text.parse::<f32>() == Ok(value);
    let parts = (u64::from(value.to_bits() & 0x7f_ffff), i64::from((value.to_bits() >> 23) & 0xff), 23, 150);
    let special = (value.is_nan(), value.is_infinite(), value.is_sign_negative());
    write(special, &strict(shortest, parts, round, is_value), 6, out);
}

/// `float8out`.
pub(super) fn write8(value: f64, out: &mut Vec<u8>) {
    let shortest = format!("{value:e}");
    let round = |digits: usize| format!("{value:.digits$e}");
    let is_value = |text: &str| text.parse::<f64>() == Ok(value);
    let exponent = i64::try_from((value.to_bits() >> 52) & 0x7ff).unwrap_or(0);
    let parts = (value.to_bits() & 0x000f_ffff_ffff_ffff, exponent, 52, 1075);
    let special = (value.is_nan(), value.is_infinite(), value.is_sign_negative());
    write(special, &strict(shortest, parts, round, is_value), 15, out);
}

/// PostgreSQL takes the fewest digits that lie strictly between the number's neighbours' halves, and of those the nearest,
/// ties to even. Rust also takes a decimal that lies exactly on a half and is read back only because ties go to even
/// there, and rounds ties up. Parts are mantissa bits, biased exponent, width of the mantissa and bias.
fn strict(
    shortest: String,
    parts: (u64, i64, u32, i64),
    round: impl Fn(usize) -> String,
    is_value: impl Fn(&str) -> bool,
) -> String {
    let good = |text: &String| is_value(text) && !on_a_half(text, parts);
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let nearest = round(digits.saturating_sub(1));
    if good(&nearest) {
        nearest
    } else if on_a_half(&shortest, parts) {
        (digits..17).map(round).find(good).unwrap_or(shortest)
    } else {
        shortest
    }
}

/// Whether a decimal is exactly in the middle between the number and a neighbour.
fn on_a_half(text: &str, (fraction, biased, width, bias): (u64, i64, u32, i64)) -> bool {
    let Some((digits, exponent)) = text.trim_start_matches('-').split_once('e') else { return false };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let plain: String = digits.chars().filter(char::is_ascii_digit).collect();
    let (Ok(digits), Ok(exponent), Ok(decimals)) =
        (plain.parse::<u128>(), exponent.parse::<i64>(), i64::try_from(decimals))
    else {
        return false;
    };
    let power = exponent - decimals;
    // Below 10^0 a half has more digits than any shortest text.
    let Some(five) = u32::try_from(power).ok().and_then(|power| 5_u128.checked_pow(power)) else { return false };
    let Some(odd) = digits.checked_mul(five).filter(|product| *product > 0) else { return false };
    let twos = i64::from(odd.trailing_zeros()) + power;
    let odd = odd >> odd.trailing_zeros();
    let (mantissa, binary) = if biased == 0 { (fraction, 1 - bias) } else { (fraction | (1 << width), biased - bias) };
    let mantissa = u128::from(mantissa);
    let above = (2 * mantissa + 1, binary - 1);
    let below =
        if fraction == 0 && biased > 1 { (4 * mantissa - 1, binary - 2) } else { (2 * mantissa - 1, binary - 1) };
    [above, below].contains(&(odd, twos))
}

/// From `d.ddde±x`: plain digits where the exponent is from -4 up to but not including `fixed_end`.
fn write((nan, infinite, negative): (bool, bool, bool), scientific: &str, fixed_end: i32, out: &mut Vec<u8>) {
    if nan {
        return out.extend_from_slice(b"NaN");
    }
    if negative {
        out.push(b'-');
    }
    if infinite {
        return out.extend_from_slice(b"Infinity");
    }
    let unsigned = scientific.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..fixed_end).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _infallible = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let Ok(whole) = usize::try_from(exponent + 1) else { return write_small(exponent, digits, out) };
    let digits: Vec<u8> = digits.collect();
    for at in 0..whole.max(1) {
        out.push(if whole == 0 { b'0' } else { digits.get(at).copied().unwrap_or(b'0') });
    }
    if let Some(fraction @ [_, ..]) = digits.get(whole..) {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

fn write_small(exponent: i32, digits: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0.");
    out.extend((exponent + 1..0).map(|_| b'0'));
    out.extend(digits);
}
