//! numeric and numeric(p, s): PostgreSQL's binary form, which is canonical once digits are stripped as its storage
//! strips them. With a scale, equal values have equal bytes; without one the written scale stays (1.0 is not 1.00).

use std::io::Write as _;

use drieslot_schema::LogicalType;

use super::{ValueError, integer, trim};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const POSITIVE_INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;
/// `NUMERIC_DSCALE_MAX`
const MAX_SCALE: i64 = 0x3fff;

type Modifier = Option<(u16, u16)>;

/// A finite number: 0.d1 d2 d3… × 10^`point`, with `scale` digits shown after the decimal point.
struct Decimal {
    negative: bool,
    /// 0 to 9; no zero at either end once stripped; empty for zero.
    digits: Vec<u8>,
    point: i64,
    scale: i64,
}

fn overflow() -> ValueError {
    ValueError::new("22003", "value overflows numeric format")
}

fn field_overflow(detail: String) -> ValueError {
    ValueError::new("22003", "numeric field overflow").with_detail(detail)
}

/// The place of a numeric(p, s) in its order: the number in units of its last decimal, from 0; NaN is the greatest.
pub(super) fn rank((precision, scale): (u16, u16), canonical: &[u8]) -> Option<u128> {
    let words: Vec<u16> = canonical.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word)).collect();
    let [_, weight, sign, _, digits @ ..] = words.as_slice() else { return None };
    let limit = 10_u128.checked_pow(u32::from(precision))?;
    if *sign == NAN {
        return limit.checked_mul(2);
    }
    let mut units = 0_u128;
    let mut power = 4 * i32::from(weight.cast_signed()) + i32::from(scale);
    for digit in digits {
        let ten = 10_u128.checked_pow(power.unsigned_abs())?;
        let digit = u128::from(*digit);
        units = units.checked_add(if power < 0 { digit / ten } else { digit.checked_mul(ten)? })?;
        power -= 4;
    }
    match *sign {
        _ if units >= limit => None,
        0 => Some(limit + units),
        NEGATIVE => Some(limit - units),
        _ => None,
    }
}

/// `numeric_in`.
pub(super) fn encode_text(modifier: Modifier, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let trimmed = trim(text);
    match trimmed.to_ascii_lowercase().as_str() {
        "nan" => encode_special(modifier, NAN, out),
        "inf" | "+inf" | "infinity" | "+infinity" => encode_special(modifier, POSITIVE_INFINITY, out),
        "-inf" | "-infinity" => encode_special(modifier, NEGATIVE_INFINITY, out),
        _ => finish(parse(trimmed)?, modifier, out),
    }
}

fn encode_special(modifier: Modifier, sign: u16, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if let (Some((precision, scale)), false) = (modifier, sign == NAN) {
        let detail = format!("A field with precision {precision}, scale {scale} cannot hold an infinite value.");
        return Err(field_overflow(detail));
    }
    // An infinity's scale shows as 32 in the binary form, because of how PostgreSQL packs its header.
    let scale: u16 = if sign == NAN { 0 } else { 0x20 };
    push_words(&[0, 0, sign, scale], out);
    Ok(())
}

fn push_words(words: &[u16], out: &mut Vec<u8>) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

fn parse(text: &str) -> Result<Decimal, ValueError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let error = || integer::not_plain_digits("numeric", unsigned);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        None => (unsigned, 0),
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(error)?),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if mantissa.len() == mantissa.matches('.').count() || !is_digits(whole) || !is_digits(fraction) {
        return Err(error());
    }
    if exponent.abs() >= i64::from(i32::MAX / 2) {
        return Err(overflow());
    }
    let count = |text: &str| i64::try_from(text.len()).map_err(|_| overflow());
    let scale = (count(fraction)? - exponent).max(0);
    if scale > MAX_SCALE {
        return Err(overflow());
    }
    Ok(Decimal {
        negative: text.starts_with('-'),
        digits: whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect(),
        point: count(whole)? + exponent,
        scale,
    })
}

/// An optional sign and digits; `i64::MAX` for one that is far too large.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(i64::MAX))
}

/// Rounds to the modifier and writes the canonical bytes: digit count, weight of the first digit, sign, scale (2 bytes
/// each), then digits in base 10000 (2 bytes each).
fn finish(mut value: Decimal, modifier: Modifier, out: &mut Vec<u8>) -> Result<(), ValueError> {
    value.strip();
    if let Some((precision, scale)) = modifier {
        value.round(i64::from(scale));
        let whole = i64::from(precision) - i64::from(scale);
        if !value.digits.is_empty() && value.point > whole {
            let bound = if whole > 0 { format!("10^{whole}") } else { "1".to_owned() };
            let detail = format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
            );
            return Err(field_overflow(detail));
        }
    }
    let scale = u16::try_from(value.scale).map_err(|_| overflow())?;
    if value.digits.is_empty() {
        push_words(&[0, 0, 0, scale], out);
        return Ok(());
    }
    let weight = (value.point - 1).div_euclid(4);
    let lead = usize::try_from((weight + 1) * 4 - value.point).map_err(|_| overflow())?;
    let count = (lead + value.digits.len()).div_ceil(4);
    let weight = i16::try_from(weight).map_err(|_| overflow())?;
    let count = u16::try_from(count).map_err(|_| overflow())?;
    push_words(&[count, weight.cast_unsigned(), if value.negative { NEGATIVE } else { 0 }, scale], out);
    let mut digits = std::iter::repeat_n(0, lead).chain(value.digits.iter().copied());
    for _ in 0..count {
        let group = (0..4).fold(0_u16, |group, _| group * 10 + u16::from(digits.next().unwrap_or(0)));
        push_words(&[group], out);
    }
    Ok(())
}

impl Decimal {
    /// Removes zeros at both ends; zero has no sign.
    fn strip(&mut self) {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        self.point = self.point.saturating_sub(i64::try_from(zeros).unwrap_or(i64::MAX));
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.negative = false;
        }
    }

    /// Keeps `scale` digits after the decimal point.
    fn truncate(&mut self, scale: i64) {
        let kept = usize::try_from(self.point.saturating_add(scale).max(0)).unwrap_or(usize::MAX);
        self.digits.truncate(kept);
        self.scale = scale;
        self.strip();
    }

    /// `round_var`: to `scale` digits after the decimal point, half away from zero.
    fn round(&mut self, scale: i64) {
        let kept = self.point.saturating_add(scale);
        let up = usize::try_from(kept).ok().and_then(|kept| self.digits.get(kept)).is_some_and(|digit| *digit >= 5);
        let negative = self.negative;
        self.truncate(scale);
        if !up {
            return;
        }
        self.negative = negative;
        if self.digits.is_empty() {
            self.digits.push(1);
            self.point = 1 - scale;
            return;
        }
        let kept = usize::try_from(kept).unwrap_or(0);
        self.digits.resize(kept, 0);
        let nines = self.digits.iter().rev().take_while(|digit| **digit == 9).count();
        self.digits.truncate(kept - nines);
        match self.digits.last_mut() {
            Some(digit) => *digit += 1,
            None => {
                self.digits.push(1);
                self.point += 1;
            }
        }
    }
}

/// The binary form, taken apart: weight, sign, scale and digits in base 10000.
struct Wire<'bytes> {
    weight: i16,
    sign: u16,
    scale: u16,
    digits: &'bytes [u8],
}

impl<'bytes> Wire<'bytes> {
    fn parse(bytes: &'bytes [u8]) -> Option<Self> {
        let (head, digits) = bytes.split_first_chunk::<8>()?;
        let [c0, c1, w0, w1, s0, s1, d0, d1] = *head;
        let count = usize::from(u16::from_be_bytes([c0, c1]));
        let wire = Self {
            weight: i16::from_be_bytes([w0, w1]),
            sign: u16::from_be_bytes([s0, s1]),
            scale: u16::from_be_bytes([d0, d1]),
            digits,
        };
        (digits.len() == count * 2 && wire.groups().all(|group| group < 10_000)).then_some(wire)
    }

    fn groups(&self) -> impl DoubleEndedIterator<Item = u16> + 'bytes {
        self.digits.chunks_exact(2).map(|pair| match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => u16::MAX,
        })
    }

    fn is_special(&self) -> bool {
        matches!(self.sign, NAN | POSITIVE_INFINITY | NEGATIVE_INFINITY)
    }
}

/// `numeric_recv`: digits that the scale would hide are cut off, then the modifier applies.
pub(super) fn encode_binary(modifier: Modifier, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let error = || ValueError::binary(LogicalType::Numeric(modifier));
    let wire = Wire::parse(bytes).ok_or_else(error)?;
    if wire.is_special() {
        return encode_special(modifier, wire.sign, out);
    }
    if (wire.sign != 0 && wire.sign != NEGATIVE) || i64::from(wire.scale) > MAX_SCALE {
        return Err(error());
    }
    let mut value = Decimal {
        negative: wire.sign == NEGATIVE,
        digits: Vec::with_capacity(wire.digits.len() * 2),
        point: (i64::from(wire.weight) + 1) * 4,
        scale: i64::from(wire.scale),
    };
    for group in wire.groups() {
        value.digits.extend(decimal_digits(group));
    }
    value.strip();
    value.truncate(i64::from(wire.scale));
    finish(value, modifier, out)
}

fn decimal_digits(group: u16) -> [u8; 4] {
    [group / 1000, group / 100, group / 10, group].map(|shifted| u8::try_from(shifted % 10).unwrap_or(0))
}

pub(super) fn check_canonical(ty: LogicalType, canonical: &[u8]) -> Result<(), ValueError> {
    let error = || ValueError::corrupted(ty);
    let wire = Wire::parse(canonical).ok_or_else(error)?;
    let valid = match wire.sign {
        NAN => wire.digits.is_empty() && wire.weight == 0 && wire.scale == 0,
        POSITIVE_INFINITY | NEGATIVE_INFINITY => wire.digits.is_empty() && wire.weight == 0 && wire.scale == 0x20,
        0 if wire.digits.is_empty() => wire.weight == 0 && i64::from(wire.scale) <= MAX_SCALE,
        0 | NEGATIVE => {
            let ends = (wire.groups().next(), wire.groups().next_back());
            i64::from(wire.scale) <= MAX_SCALE && matches!(ends, (Some(1..), Some(1..)))
        }
        _ => false,
    };
    valid.then_some(()).ok_or_else(error)
}

/// `get_str_from_var`.
pub(super) fn decode_text(ty: LogicalType, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wire = Wire::parse(canonical).ok_or_else(|| ValueError::corrupted(ty))?;
    match wire.sign {
        NAN => out.extend_from_slice(b"NaN"),
        POSITIVE_INFINITY => out.extend_from_slice(b"Infinity"),
        NEGATIVE_INFINITY => out.extend_from_slice(b"-Infinity"),
        _ => write_finite(&wire, out),
    }
    Ok(())
}

fn write_finite(wire: &Wire<'_>, out: &mut Vec<u8>) {
    if wire.sign == NEGATIVE {
        out.push(b'-');
    }
    let mut groups = wire.groups();
    let whole = i32::from(wire.weight) + 1;
    if whole <= 0 {
        out.push(b'0');
    }
    for at in 0..whole {
        let group = groups.next().unwrap_or(0);
        let _infallible = if at == 0 { write!(out, "{group}") } else { write!(out, "{group:04}") };
    }
    if wire.scale == 0 {
        return;
    }
    out.push(b'.');
    let end = out.len() + usize::from(wire.scale);
    for _ in whole..0 {
        if out.len() >= end {
            break;
        }
        out.extend_from_slice(b"0000");
    }
    while out.len() < end {
        let group = groups.next().unwrap_or(0);
        let _infallible = write!(out, "{group:04}");
    }
    out.truncate(end);
}
