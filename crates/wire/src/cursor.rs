//! Bounds-checked reading of big-endian fields.

use crate::WireError;

/// Reads fields from the front of a message body.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the body's first byte.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        let (head, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Int16.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Int32.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Int32 read as an OID.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// An Int16 that counts something.
    pub fn count(&mut self) -> Result<usize, WireError> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    /// A zero-terminated UTF-8 string, without its terminator.
    pub fn cstr(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.cbytes()?).map_err(|_| WireError::Utf8)
    }

    /// A zero-terminated byte string, without its terminator.
    pub fn cbytes(&mut self) -> Result<&'a [u8], WireError> {
        let end = memchr::memchr(0, self.rest).ok_or(WireError::Truncated)?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// A value with an Int32 length, where -1 means NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| WireError::Length)?).map(Some),
        }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses anything left over.
    pub fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}
