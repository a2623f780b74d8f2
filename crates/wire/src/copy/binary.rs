//! The binary format: a header, rows of counted fields, a trailer.

use super::CopyError;
use crate::Cursor;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER_LEN: usize = 19;

/// What the front of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinarySplit {
    /// The header, up to `next`.
    Header {
        /// Where the first row begins.
        next: usize,
    },
    /// A row, up to `next`.
    Row {
        /// Where the next one begins.
        next: usize,
    },
    /// The trailer of two bytes.
    Trailer,
    /// Its end has not arrived yet.
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// Finds the ends of rows, whatever the cuts between messages: the buffer grows until its first row is whole.
#[derive(Debug)]
pub struct BinaryRows {
    state: State,
    fields: usize,
    /// Bytes and fields of the first row that need not be looked at again.
    scanned: (usize, usize),
}

impl BinaryRows {
    /// Before the header of rows with so many fields.
    pub fn new(fields: usize) -> Self {
        Self { state: State::Header, fields, scanned: (0, 0) }
    }

    /// Looks at a buffer; `last` where no more data will come. An empty buffer then says whether data may end here.
    ///
    /// # Errors
    /// What PostgreSQL says of malformed data.
    pub fn split(&mut self, bytes: &[u8], last: bool) -> Result<BinarySplit, CopyError> {
        match self.state {
            State::Header => self.header(bytes, last),
            State::Rows => self.row(bytes, last),
            State::Ended if bytes.is_empty() => Ok(BinarySplit::More),
            State::Ended => Err(CopyError::AfterEof),
        }
    }

    fn header(&mut self, bytes: &[u8], last: bool) -> Result<BinarySplit, CopyError> {
        let known = bytes.get(..SIGNATURE.len().min(bytes.len())).unwrap_or_default();
        if !SIGNATURE.starts_with(known) {
            return Err(CopyError::Signature);
        }
        let Some(Ok(extension)) = bytes.get(SIGNATURE.len() + 4..).map(|rest| Cursor::new(rest).i32()) else {
            return match last {
                true if known.len() < SIGNATURE.len() => Err(CopyError::Signature),
                true => Err(CopyError::Header),
                false => Ok(BinarySplit::More),
            };
        };
        let next = HEADER_LEN + usize::try_from(extension).map_err(|_| CopyError::Header)?;
        if bytes.len() < next {
            return if last { Err(CopyError::Header) } else { Ok(BinarySplit::More) };
        }
        self.state = State::Rows;
        Ok(BinarySplit::Header { next })
    }

    fn row(&mut self, bytes: &[u8], last: bool) -> Result<BinarySplit, CopyError> {
        let more = match last && !bytes.is_empty() {
            true => Err(CopyError::Eof),
            false => Ok(BinarySplit::More),
        };
        let (mut at, mut seen) = self.scanned;
        if at == 0 {
            match Cursor::new(bytes).i16() {
                Err(_) => return more,
                Ok(-1) => {
                    self.state = State::Ended;
                    return Ok(BinarySplit::Trailer);
                }
                Ok(found) if usize::try_from(found) != Ok(self.fields) => {
                    return Err(CopyError::FieldCount { found, expected: self.fields });
                }
                Ok(_) => at = 2,
            }
        }
        while seen < self.fields {
            self.scanned = (at, seen);
            let Ok(length) = Cursor::new(bytes.get(at..).unwrap_or_default()).i32() else { return more };
            at += 4 + match length {
                -1 => 0,
                length => usize::try_from(length).map_err(|_| CopyError::FieldSize)?,
            };
            if at > bytes.len() {
                return more;
            }
            seen += 1;
        }
        self.scanned = (0, 0);
        Ok(BinarySplit::Row { next: at })
    }
}

/// One field: with its length, and its value, `None` for NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryField<'a> {
    /// Length and value.
    pub raw: &'a [u8],
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// The fields of a row that [`BinaryRows`] has found whole.
#[derive(Clone, Debug)]
pub struct BinaryFields<'a> {
    rest: &'a [u8],
}

impl<'a> BinaryFields<'a> {
    /// Of a row; its count is skipped.
    pub fn new(row: &'a [u8]) -> Self {
        Self { rest: row.get(2..).unwrap_or_default() }
    }

    /// The next field.
    ///
    /// # Errors
    /// `FieldSize`, `Eof`.
    pub fn next_field(&mut self) -> Result<BinaryField<'a>, CopyError> {
        let mut cursor = Cursor::new(self.rest);
        let value = cursor.value().map_err(|_| CopyError::Eof)?;
        let (raw, rest) = self.rest.split_at_checked(self.rest.len() - cursor.rest().len()).ok_or(CopyError::Eof)?;
        self.rest = rest;
        Ok(BinaryField { raw, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<u8> {
        [&SIGNATURE[..], &[0; 8]].concat()
    }

    fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
        for field in fields {
            let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap());
            out.extend(length.to_be_bytes());
            out.extend(field.unwrap_or_default());
        }
        out
    }

    /// Rows of two fields from a stream that arrives in two pieces.
    fn rows(stream: &[u8], cut: usize) -> Result<Vec<Vec<u8>>, CopyError> {
        let mut splitter = BinaryRows::new(2);
        let (mut rows, mut buffer) = (Vec::new(), Vec::new());
        for (piece, last) in [(&stream[..cut], false), (&stream[cut..], false), (&[][..], true)] {
            buffer.extend_from_slice(piece);
            loop {
                let used = match splitter.split(&buffer, last)? {
                    BinarySplit::Header { next } => next,
                    BinarySplit::Row { next } => {
                        rows.push(buffer[..next].to_vec());
                        next
                    }
                    BinarySplit::Trailer => 2,
                    BinarySplit::More => break,
                };
                buffer.drain(..used);
            }
        }
        Ok(rows)
    }

    fn whatever_the_cut(stream: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
        let whole = rows(stream, 0);
        for cut in 1..=stream.len() {
            assert_eq!(rows(stream, cut), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn rows_are_found_and_cut() {
        let (one, two) = (row(&[Some(b"abc"), None]), row(&[Some(b""), Some(b"x")]));
        let stream = [header(), one.clone(), two.clone()].concat();
        assert_eq!(whatever_the_cut(&stream).unwrap(), [one.clone(), two]);
        let mut fields = BinaryFields::new(&one);
        assert_eq!(fields.next_field().unwrap().value, Some(&b"abc"[..]));
        assert_eq!(fields.next_field().unwrap(), BinaryField { raw: &[255; 4], value: None });
        assert_eq!(fields.next_field(), Err(CopyError::Eof));
        assert_eq!(whatever_the_cut(&[header(), one.clone(), vec![255, 255]].concat()).unwrap(), [one]);
    }

    #[test]
    fn malformed_data_is_refused() {
        let one = row(&[Some(b"abc"), None]);
        assert_eq!(whatever_the_cut(b""), Err(CopyError::Signature));
        assert_eq!(whatever_the_cut(b"1\tx\n"), Err(CopyError::Signature));
        assert_eq!(whatever_the_cut(&header()[..15]), Err(CopyError::Header));
        assert_eq!(whatever_the_cut(&[header(), one[..one.len() - 1].to_vec()].concat()), Err(CopyError::Eof));
        assert_eq!(whatever_the_cut(&[header(), vec![255, 255], one].concat()), Err(CopyError::AfterEof));
        let wide = [header(), row(&[None, None, None])].concat();
        assert_eq!(whatever_the_cut(&wide), Err(CopyError::FieldCount { found: 3, expected: 2 }));
        let negative = [header(), vec![0, 2], vec![255, 255, 255, 254]].concat();
        assert_eq!(whatever_the_cut(&negative), Err(CopyError::FieldSize));
    }
}
