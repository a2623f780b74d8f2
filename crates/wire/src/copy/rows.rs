//! Where rows of the text and csv formats end.

use super::{CopyDialect, CopyError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

/// What the front of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A row of `len` bytes; the next one begins at `next`.
    Row {
        /// Without its line end.
        len: usize,
        /// With it.
        next: usize,
    },
    /// The end-of-copy marker: what follows is no data.
    End,
    /// Its end has not arrived yet.
    More,
}

/// Finds the ends of rows, whatever the cuts between messages: the buffer grows until its first row is whole.
#[derive(Debug)]
pub struct CopyRows {
    csv: Option<(u8, u8)>,
    csv_end_marker: bool,
    line_end: Option<LineEnd>,
    /// Bytes of the first row that need not be looked at again.
    scanned: usize,
    quoted: bool,
    escaped: bool,
}

impl CopyRows {
    /// At the first row.
    pub fn new(dialect: &CopyDialect) -> Self {
        Self {
            csv: dialect.csv,
            csv_end_marker: dialect.csv_end_marker,
            line_end: None,
            scanned: 0,
            quoted: false,
            escaped: false,
        }
    }

    /// Looks at a buffer that begins with a row; `last` where no more data will come.
    ///
    /// # Errors
    /// What PostgreSQL says of line ends that are mixed and markers that are malformed.
    pub fn split(&mut self, bytes: &[u8], last: bool) -> Result<Split, CopyError> {
        let split = match self.csv {
            Some(csv) => self.split_csv(csv, bytes, last)?,
            None => self.split_text(bytes, last)?,
        };
        if split != Split::More {
            self.scanned = 0;
            self.quoted = false;
        }
        Ok(split)
    }

    fn split_text(&mut self, bytes: &[u8], last: bool) -> Result<Split, CopyError> {
        loop {
            let Some(at) = find(bytes, self.scanned, |rest| memchr::memchr3(b'\n', b'\r', b'\\', rest)) else {
                return Ok(self.rest(bytes, last));
            };
            self.scanned = at;
            if bytes.get(at) != Some(&b'\\') {
                return self.line_end(bytes, at, last);
            }
            match bytes.get(at + 1) {
                // PostgreSQL drops a backslash that ends the data.
                None if last => return Ok(Split::Row { len: at, next: bytes.len() }),
                None => return Ok(Split::More),
                Some(b'.') if at == 0 => return self.text_marker(bytes, last),
                Some(b'.') => return Err(CopyError::Marker),
                Some(_) => self.scanned = at + 2,
            }
        }
    }

    fn split_csv(&mut self, (quote, escape): (u8, u8), bytes: &[u8], last: bool) -> Result<Split, CopyError> {
        if self.csv_end_marker && self.scanned == 0 && bytes.first() == Some(&b'\\') {
            match self.csv_marker(bytes, last)? {
                Some(split) => return Ok(split),
                None => self.scanned = 1,
            }
        }
        loop {
            if self.escaped && self.scanned < bytes.len() {
                self.escaped = false;
                self.scanned += 1;
            }
            let found = match self.quoted {
                true => find(bytes, self.scanned, |rest| memchr::memchr2(quote, escape, rest)),
                false => find(bytes, self.scanned, |rest| memchr::memchr3(b'\n', b'\r', quote, rest)),
            };
            let Some(at) = found else { return Ok(self.rest(bytes, last)) };
            let byte = bytes.get(at).copied().unwrap_or(quote);
            self.scanned = at;
            if byte == quote {
                self.quoted = !self.quoted;
            } else if self.quoted {
                self.escaped = true;
            } else {
                return self.line_end(bytes, at, last);
            }
            self.scanned = at + 1;
        }
    }

    fn rest(&mut self, bytes: &[u8], last: bool) -> Split {
        if last {
            return Split::Row { len: bytes.len(), next: bytes.len() };
        }
        self.scanned = self.scanned.max(bytes.len());
        Split::More
    }

    /// `\r` or `\n` at `at`.
    fn line_end(&mut self, bytes: &[u8], at: usize, last: bool) -> Result<Split, CopyError> {
        let (known, found) = match (bytes.get(at), bytes.get(at + 1), self.line_end) {
            (Some(b'\n'), _, known) => (known, LineEnd::Lf),
            (_, _, Some(LineEnd::Cr)) => (None, LineEnd::Cr),
            (_, Some(b'\n'), known) => (known, LineEnd::CrLf),
            (_, None, None | Some(LineEnd::CrLf)) if !last => return Ok(Split::More),
            (_, _, known) => (known, LineEnd::Cr),
        };
        match (known, found) {
            (Some(known), found) if known == found => {}
            (Some(_), LineEnd::Lf) => return Err(CopyError::Newline),
            (Some(_), _) => return Err(CopyError::CarriageReturn),
            (None, _) => self.line_end = Some(found),
        }
        let bytes = if found == LineEnd::CrLf { 2 } else { 1 };
        Ok(Split::Row { len: at, next: at + bytes })
    }

    /// `\.` at the beginning of a line of the text format.
    fn text_marker(&self, bytes: &[u8], last: bool) -> Result<Split, CopyError> {
        let wanted = if self.line_end == Some(LineEnd::CrLf) { 4 } else { 3 };
        if bytes.len() < wanted && !last {
            return Ok(Split::More);
        }
        match (self.line_end, bytes.get(2), bytes.get(3)) {
            (None, Some(b'\r' | b'\n'), _)
            | (Some(LineEnd::Lf), Some(b'\n'), _)
            | (Some(LineEnd::Cr), Some(b'\r'), _)
            | (Some(LineEnd::CrLf), Some(b'\r'), Some(b'\n')) => Ok(Split::End),
            (Some(_), Some(b'\r' | b'\n'), _) => Err(CopyError::MarkerStyle),
            _ => Err(CopyError::Marker),
        }
    }

    /// In csv a line that only begins with `\.` is data; `None` for it.
    fn csv_marker(&self, bytes: &[u8], last: bool) -> Result<Option<Split>, CopyError> {
        if bytes.get(1).is_some_and(|byte| *byte != b'.') {
            return Ok(None);
        }
        match self.text_marker(bytes, last) {
            Ok(split) => Ok(Some(split)),
            Err(CopyError::MarkerStyle) if self.line_end != Some(LineEnd::CrLf) => Err(CopyError::MarkerStyle),
            Err(_) => Ok(None),
        }
    }
}

fn find(bytes: &[u8], from: usize, search: impl FnOnce(&[u8]) -> Option<usize>) -> Option<usize> {
    search(bytes.get(from..)?).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(csv: Option<(u8, u8)>) -> CopyDialect {
        CopyDialect { delimiter: b',', null: Vec::new(), default: None, csv, csv_end_marker: true }
    }

    /// The rows of a stream that arrives in two pieces.
    fn rows(csv: Option<(u8, u8)>, stream: &[u8], cut: usize) -> Result<Vec<Vec<u8>>, CopyError> {
        let mut splitter = CopyRows::new(&dialect(csv));
        let (mut rows, mut buffer) = (Vec::new(), Vec::new());
        for (piece, last) in [(&stream[..cut], false), (&stream[cut..], false), (&[][..], true)] {
            buffer.extend_from_slice(piece);
            while !buffer.is_empty() {
                match splitter.split(&buffer, last)? {
                    Split::Row { len, next } => {
                        rows.push(buffer[..len].to_vec());
                        buffer.drain(..next);
                    }
                    Split::End => return Ok(rows),
                    Split::More => break,
                }
            }
        }
        Ok(rows)
    }

    fn whatever_the_cut(csv: Option<(u8, u8)>, stream: &[u8]) -> Result<Vec<String>, CopyError> {
        let whole = rows(csv, stream, 0);
        for cut in 1..=stream.len() {
            assert_eq!(rows(csv, stream, cut), whole, "cut at {cut}");
        }
        whole.map(|rows| rows.into_iter().map(|row| String::from_utf8(row).unwrap()).collect())
    }

    #[test]
    fn text_rows() {
        let split = |stream: &str| whatever_the_cut(None, stream.as_bytes());
        assert_eq!(split("a\tb\nc\\\nd\ne\\\\\nlast").unwrap(), ["a\tb", "c\\\nd", "e\\\\", "last"]);
        assert_eq!(split("a\r\nb\r\n\\.\r\nrubbish").unwrap(), ["a", "b"]);
        assert_eq!(split("a\rb\r").unwrap(), ["a", "b"]);
        assert_eq!(split("a\n\n").unwrap(), ["a", ""]);
        assert_eq!(split("a\\").unwrap(), ["a"]);
        assert_eq!(split("a\nb\r\n"), Err(CopyError::CarriageReturn));
        assert_eq!(split("a\r\nb\n"), Err(CopyError::Newline));
        assert_eq!(split("a\r\nb\rc\n"), Err(CopyError::CarriageReturn));
        assert_eq!(split("a\rb\n"), Err(CopyError::Newline));
        assert_eq!(split("a\nb\\.\n"), Err(CopyError::Marker));
        assert_eq!(split("a\n\\.b\n"), Err(CopyError::Marker));
        assert_eq!(split("a\n\\.\r\n"), Err(CopyError::MarkerStyle));
        assert_eq!(split("a\n\\."), Err(CopyError::Marker));
    }

    #[test]
    fn csv_rows() {
        let split = |stream: &str| whatever_the_cut(Some((b'"', b'"')), stream.as_bytes());
        assert_eq!(split("a,\"b\nc\"\"\n\",d\ne").unwrap(), ["a,\"b\nc\"\"\n\",d", "e"]);
        assert_eq!(split("a\n\\.\nrubbish").unwrap(), ["a"]);
        assert_eq!(split("a\n\\.,b\n\"\\.\"\n\\.").unwrap(), ["a", "\\.,b", "\"\\.\"", "\\."]);
        assert_eq!(split("\"a\r\",b\r\n\\.\n\r\nc\r\n"), Err(CopyError::Newline));
        assert_eq!(split("\"never closed\n").unwrap(), ["\"never closed\n"]);
        let escaped = |stream: &str| whatever_the_cut(Some((b'"', b'\\')), stream.as_bytes());
        assert_eq!(escaped("\"a\\\"\n\\\\\",b\nc\\\n").unwrap(), ["\"a\\\"\n\\\\\",b", "c\\"]);
    }
}
