//! bytea: the bytes themselves. Texts are read in both of PostgreSQL's forms and written in hexadecimal.

use super::ValueError;

/// `byteain`.
pub(super) fn encode_text(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = out.len();
    let read = match text.strip_prefix("\\x") {
        Some(digits) => hexadecimal(digits, out),
        None => escaped(text.as_bytes(), out),
    };
    if read.is_err() {
        out.truncate(start);
    }
    read
}

/// `hex_decode_safe`: white space is allowed between pairs of digits.
fn hexadecimal(digits: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut rest = digits.chars();
    let value = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(high) = rest.find(|c| !is_gap(*c)) {
        let high = value(high).ok_or_else(bad_digit)?;
        let Some(low) = rest.next() else {
            return Err(ValueError::new("22023", "invalid hexadecimal data: odd number of digits"));
        };
        out.push((high << 4) | value(low).ok_or_else(bad_digit)?);
    }
    Ok(())
}

fn bad_digit() -> ValueError {
    ValueError::new("22023", "invalid hexadecimal digit")
}

fn is_gap(c: char) -> bool {
    matches!(c, ' ' | '\n' | '\t' | '\r')
}

/// A backslash stands before another, or before three octal digits.
fn escaped(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b'\\', b'\\', after @ ..] => {
                out.push(b'\\');
                after
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                after
            }
            [b'\\', ..] => return Err(ValueError::syntax("bytea")),
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

/// `byteaout` under `bytea_output = hex`.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}
