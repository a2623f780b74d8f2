//! The text format of COPY: lines of tab-separated, backslash-escaped fields.

use bytes::BytesMut;

use crate::WireError;

/// Cuts a stream of CopyData into lines, whatever the message boundaries.
#[derive(Debug, Default)]
pub struct CopyLines {
    partial: BytesMut,
}

impl CopyLines {
    /// Adds a chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        self.partial.extend_from_slice(chunk);
    }

    /// The next whole line without its newline. An escaped newline (backslash before it) belongs to the line.
    pub fn line(&mut self) -> Option<BytesMut> {
        let mut from = 0;
        loop {
            let end = from + memchr::memchr(b'\n', self.partial.get(from..)?)?;
            let before = self.partial.get(..end)?;
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                let mut line = self.partial.split_to(end + 1);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end - 1);
                }
                return Some(line);
            }
            from = end + 1;
        }
    }

    /// What is left after the last newline.
    pub fn rest(&mut self) -> BytesMut {
        self.partial.split()
    }

    /// Bytes of the line that is not complete yet.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }
}

/// One field of a line: the raw bytes, still escaped.
pub type CopyField<'a> = &'a [u8];

/// The raw fields of a line. A delimiter after a backslash belongs to the field.
pub fn fields(line: &[u8], delimiter: u8) -> impl Iterator<Item = CopyField<'_>> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let current = rest?;
        let mut at = 0;
        loop {
            match memchr::memchr2(delimiter, b'\\', current.get(at..)?) {
                None => {
                    rest = None;
                    return Some(current);
                }
                Some(offset) if current.get(at + offset) == Some(&b'\\') => at = (at + offset + 2).min(current.len()),
                Some(offset) => {
                    rest = current.get(at + offset + 1..);
                    return current.get(..at + offset);
                }
            }
        }
    })
}

/// Undoes the escapes of one field, appending to `out`; `false` means NULL (the field equals `null` as written).
pub fn decode_field(raw: &[u8], null: &[u8], out: &mut Vec<u8>) -> Result<bool, WireError> {
    if raw == null {
        return Ok(false);
    }
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (head, tail) = rest.split_at(at);
        out.extend_from_slice(head);
        let (_, tail) = tail.split_first().ok_or(WireError::CopyEscape)?;
        rest = decode_escape(tail, out)?;
    }
    out.extend_from_slice(rest);
    Ok(true)
}

/// Reads what follows a backslash; gives what is left.
fn decode_escape<'a>(tail: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], WireError> {
    let (code, rest) = tail.split_first().ok_or(WireError::CopyEscape)?;
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
    Ok(rest)
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

/// Escapes one value, appending to `out`.
pub fn encode_field(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in value {
        let code = match byte {
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            other if *other == delimiter => *other,
            other => {
                out.push(*other);
                continue;
            }
        };
        out.push(b'\\');
        out.push(code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(raw: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode_field(raw, b"\\N", &mut out).unwrap().then_some(out)
    }

    #[test]
    fn lines_are_found_across_chunks() {
        let text = b"a\tb\nc\\\nd\te\r\nlast";
        for cut in 0..text.len() {
            let mut lines = CopyLines::default();
            let mut found = Vec::new();
            for chunk in [&text[..cut], &text[cut..]] {
                lines.push(chunk);
                while let Some(line) = lines.line() {
                    found.push(line.to_vec());
                }
            }
            assert_eq!(found, vec![b"a\tb".to_vec(), b"c\\\nd\te".to_vec()]);
            assert_eq!(&lines.rest()[..], b"last");
        }
    }

    #[test]
    fn fields_keep_escaped_delimiters() {
        let found: Vec<_> = fields(b"a\\\tb\t\\\\\t\t\\N", b'\t').collect();
        assert_eq!(found, vec![&b"a\\\tb"[..], b"\\\\", b"", b"\\N"]);
        assert_eq!(fields(b"", b'\t').count(), 1);
        assert_eq!(fields(b"x\\", b'\t').collect::<Vec<_>>(), vec![&b"x\\"[..]]);
    }

    #[test]
    fn values_round_trip() {
        for value in [&b"plain"[..], b"tab\tline\nback\\slash\r\x08\x0b\x0c", b"", b"\\N", b"N"] {
            let mut raw = Vec::new();
            encode_field(value, b'\t', &mut raw);
            assert_eq!(decode(&raw).as_deref(), Some(value));
        }
        assert_eq!(decode(b"\\N"), None);
        assert_eq!(decode(b"\\101\\x41\\q"), Some(b"AAq".to_vec()));
        assert!(decode_field(b"x\\", b"\\N", &mut Vec::new()).is_err());
    }
}
