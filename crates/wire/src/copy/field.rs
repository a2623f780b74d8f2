//! Fields of the text and csv formats.

use super::{CopyDialect, CopyError};

/// One field, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyField<'a> {
    /// With its quotes and escapes.
    pub raw: &'a [u8],
    /// Whether it has any of them.
    marked: bool,
}

/// The fields of a row.
#[derive(Clone, Debug)]
pub struct CopyFields<'a> {
    row: Option<&'a [u8]>,
    delimiter: u8,
    csv: Option<(u8, u8)>,
}

impl<'a> CopyFields<'a> {
    /// Of a row without its line end.
    pub fn new(row: &'a [u8], dialect: &CopyDialect) -> Self {
        Self { row: Some(row), delimiter: dialect.delimiter, csv: dialect.csv }
    }

    /// The next field, `None` after the last.
    ///
    /// # Errors
    /// `Unterminated`.
    pub fn next_field(&mut self) -> Result<Option<CopyField<'a>>, CopyError> {
        let Some(row) = self.row else { return Ok(None) };
        let (end, marked) = match self.csv {
            Some(csv) => csv_end(row, self.delimiter, csv)?,
            None => text_end(row, self.delimiter),
        };
        let (raw, rest) = row.split_at_checked(end).unwrap_or((row, &[]));
        self.row = rest.get(1..);
        Ok(Some(CopyField { raw, marked }))
    }

    /// How many fields are left.
    ///
    /// # Errors
    /// `Unterminated`.
    pub fn count(mut self) -> Result<usize, CopyError> {
        let mut count = 0;
        while self.next_field()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Where the first field ends, and whether it has escapes. A delimiter after a backslash belongs to the field.
fn text_end(row: &[u8], delimiter: u8) -> (usize, bool) {
    let (mut at, mut marked) = (0, false);
    while let Some(rest) = row.get(at..)
        && let Some(offset) = memchr::memchr2(delimiter, b'\\', rest)
    {
        if rest.get(offset) != Some(&b'\\') {
            return (at + offset, marked);
        }
        marked = true;
        at += offset + 2;
    }
    (row.len(), marked)
}

fn csv_end(row: &[u8], delimiter: u8, (quote, escape): (u8, u8)) -> Result<(usize, bool), CopyError> {
    let (mut at, mut marked) = (0, false);
    while let Some(rest) = row.get(at..)
        && let Some(offset) = memchr::memchr2(delimiter, quote, rest)
    {
        at += offset;
        if row.get(at) != Some(&quote) {
            return Ok((at, marked));
        }
        marked = true;
        at = quoted_end(row, at + 1, quote, escape)?;
    }
    Ok((row.len(), marked))
}

/// After the quote that closes what was opened before `at`.
fn quoted_end(row: &[u8], mut at: usize, quote: u8, escape: u8) -> Result<usize, CopyError> {
    loop {
        let rest = row.get(at..).unwrap_or_default();
        at += memchr::memchr2(quote, escape, rest).ok_or(CopyError::Unterminated)?;
        let (byte, next) = (row.get(at).copied(), row.get(at + 1).copied());
        if byte == Some(escape) && next.is_some_and(|next| next == quote || next == escape) {
            at += 2;
        } else if byte == Some(quote) {
            return Ok(at + 1);
        } else {
            at += 1;
        }
    }
}

impl<'a> CopyField<'a> {
    /// The value, in `scratch` where it had to be unescaped. Whether it is NULL is not asked here.
    pub fn value<'s>(&self, dialect: &CopyDialect, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        if !self.marked {
            return self.raw;
        }
        scratch.clear();
        match dialect.csv {
            Some((quote, escape)) => unquote(self.raw, quote, escape, scratch),
            None => unescape(self.raw, scratch),
        }
        scratch
    }
}

fn unquote(raw: &[u8], quote: u8, escape: u8, out: &mut Vec<u8>) {
    let mut quoted = false;
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if quoted
            && byte == escape
            && let Some(next) = bytes.next_if(|next| *next == quote || *next == escape)
        {
            out.push(next);
        } else if byte == quote {
            quoted = !quoted;
        } else {
            out.push(byte);
        }
    }
}

fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (head, tail) = rest.split_at(at);
        out.extend_from_slice(head);
        rest = match tail.get(1..) {
            // PostgreSQL drops a backslash that ends the data.
            None | Some([]) => &[],
            Some(tail) => unescape_one(tail, out),
        };
    }
    out.extend_from_slice(rest);
}

/// Reads what follows a backslash; gives what is left.
fn unescape_one<'a>(tail: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some((code, rest)) = tail.split_first() else { return tail };
    let (byte, rest) = match code {
        b'b' => (0x08, rest),
        b'f' => (0x0c, rest),
        b'n' => (b'\n', rest),
        b'r' => (b'\r', rest),
        b't' => (b'\t', rest),
        b'v' => (0x0b, rest),
        b'0'..=b'7' => number(tail, 8, 3),
        b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => number(rest, 16, 2),
        other => (*other, rest),
    };
    out.push(byte);
    rest
}

/// Up to `most` digits of `radix` as one byte, as PostgreSQL reads them (the low eight bits).
fn number(text: &[u8], radix: u32, most: usize) -> (u8, &[u8]) {
    let mut value = 0_u32;
    let mut used = 0;
    for byte in text.iter().take(most) {
        let Some(digit) = char::from(*byte).to_digit(radix) else {
            break;
        };
        value = value * radix + digit;
        used += 1;
    }
    let low = u8::try_from(value & 0xff).unwrap_or(0);
    (low, text.get(used..).unwrap_or_default())
}

impl CopyDialect {
    /// Appends a value as PostgreSQL writes it. `force` is FORCE_QUOTE, `alone` whether the row has no other field.
    pub fn put(&self, value: &[u8], force: bool, alone: bool, out: &mut Vec<u8>) {
        match self.csv {
            Some((quote, escape)) => {
                let special = |byte: &u8| *byte == self.delimiter || *byte == quote || matches!(byte, b'\n' | b'\r');
                let marker = alone && value == b"\\.";
                if force || marker || value == self.null || value.iter().any(special) {
                    put_quoted(value, quote, escape, out);
                } else {
                    out.extend_from_slice(value);
                }
            }
            None => put_escaped(value, self.delimiter, out),
        }
    }
}

fn put_quoted(value: &[u8], quote: u8, escape: u8, out: &mut Vec<u8>) {
    out.push(quote);
    let mut rest = value;
    while let Some(at) = memchr::memchr2(quote, escape, rest) {
        let (head, tail) = rest.split_at(at);
        out.extend_from_slice(head);
        out.push(escape);
        let (one, tail) = tail.split_at_checked(1).unwrap_or_default();
        out.extend_from_slice(one);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(quote);
}

fn put_escaped(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| *byte < b' ' || *byte == b'\\' || *byte == delimiter) {
        let (head, tail) = rest.split_at(at);
        out.extend_from_slice(head);
        let Some((byte, tail)) = tail.split_first() else { break };
        let code = match byte {
            0x08 => Some(b'b'),
            0x0c => Some(b'f'),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x0b => Some(b'v'),
            other if *other == delimiter || *other == b'\\' => Some(*other),
            _ => None,
        };
        match code {
            Some(code) => out.extend_from_slice(&[b'\\', code]),
            None => out.push(*byte),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> CopyDialect {
        CopyDialect { delimiter: b'\t', null: b"\\N".to_vec(), default: None, csv: None, csv_end_marker: false }
    }

    fn csv(escape: u8) -> CopyDialect {
        CopyDialect { delimiter: b',', null: Vec::new(), csv: Some((b'"', escape)), ..text() }
    }

    fn values(row: &[u8], dialect: &CopyDialect) -> Vec<Vec<u8>> {
        let mut fields = CopyFields::new(row, dialect);
        let mut found = Vec::new();
        while let Some(field) = fields.next_field().unwrap() {
            found.push(field.value(dialect, &mut Vec::new()).to_vec());
        }
        assert_eq!(CopyFields::new(row, dialect).count(), Ok(found.len()));
        found
    }

    #[test]
    fn text_fields() {
        assert_eq!(values(b"a\\\tb\t\\\\\t\t\\N", &text()), [&b"a\tb"[..], b"\\", b"", b"N"]);
        assert_eq!(values(b"", &text()), [b""]);
        assert_eq!(values(b"\\101\\x41\\q\\x\\7\\x4z\\", &text()), [b"AAqx\x07\x04z"]);
    }

    #[test]
    fn csv_fields() {
        assert_eq!(values(b"a,\"b,\"\"c\"\"\",,\"\",x\"y,\"z", &csv(b'"')), [&b"a"[..], b"b,\"c\"", b"", b"", b"xy,z"]);
        assert_eq!(values(b"\"a\\\"\\\\\\n\",b\\", &csv(b'\\')), [&b"a\"\\\\n"[..], b"b\\"]);
        assert_eq!(CopyFields::new(b"a,\"b", &csv(b'"')).count(), Err(CopyError::Unterminated));
    }

    #[test]
    fn values_round_trip() {
        for value in [&b"plain"[..], b"tab\tline\nback\\slash\r\x08\x0b\x0c\x01,\"", b"", b"\\N", b"N", b"\\."] {
            for dialect in [text(), csv(b'"'), csv(b'\\')] {
                let mut raw = Vec::new();
                dialect.put(value, false, true, &mut raw);
                assert_eq!(values(&raw, &dialect), [value]);
                assert_ne!(raw, dialect.null, "a value that reads as NULL");
            }
        }
    }
}
