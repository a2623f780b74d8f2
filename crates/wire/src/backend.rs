//! Messages that a server sends.

use bytes::{BufMut, BytesMut};

use crate::frame::{put_cstr, put_frame};
use crate::{Cursor, WireError};

/// One column of a RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Column name.
    pub name: &'a [u8],
    /// Table OID, 0 where it is no simple column.
    pub table_oid: u32,
    /// Attribute number, 0 where it is no simple column.
    pub column: i16,
    /// Type OID.
    pub type_oid: u32,
    /// `typlen`.
    pub type_length: i16,
    /// `atttypmod`.
    pub type_modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDescription<'a> {
    /// The columns in order.
    pub fields: Vec<Field<'a>>,
}

impl<'a> RowDescription<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let count = cursor.count()?;
        let mut fields = Vec::with_capacity(count.min(2_000));
        for _ in 0..count {
            fields.push(Field {
                name: cursor.cbytes()?,
                table_oid: cursor.u32()?,
                column: cursor.i16()?,
                type_oid: cursor.u32()?,
                type_length: cursor.i16()?,
                type_modifier: cursor.i32()?,
                format: cursor.i16()?,
            });
        }
        cursor.finish()?;
        Ok(Self { fields })
    }

    /// Appends the message.
    pub fn put(&self, out: &mut BytesMut) {
        put_frame(out, b'T', |out| {
            out.put_u16(u16::try_from(self.fields.len()).unwrap_or(u16::MAX));
            for field in &self.fields {
                out.put_slice(field.name);
                out.put_u8(0);
                out.put_u32(field.table_oid);
                out.put_i16(field.column);
                out.put_u32(field.type_oid);
                out.put_i16(field.type_length);
                out.put_i32(field.type_modifier);
                out.put_i16(field.format);
            }
        });
    }
}

/// A DataRow, read field by field.
#[derive(Clone, Debug)]
pub struct DataRow<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<'a> DataRow<'a> {
    /// Starts at a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let left = cursor.count()?;
        Ok(Self { cursor, left })
    }

    /// Fields not yet read.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next value, `None` for NULL.
    pub fn field(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        self.left = self.left.checked_sub(1).ok_or(WireError::Truncated)?;
        self.cursor.value()
    }

    /// Refuses fields or bytes left over.
    pub fn finish(self) -> Result<(), WireError> {
        if self.left > 0 {
            return Err(WireError::Trailing);
        }
        self.cursor.finish()
    }
}

/// Writes a DataRow field by field, straight into the output.
#[derive(Debug)]
pub struct RowWriter<'a> {
    out: &'a mut BytesMut,
    start: usize,
}

impl<'a> RowWriter<'a> {
    /// Opens a row of `fields` fields.
    pub fn new(out: &'a mut BytesMut, fields: usize) -> Self {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_u16(u16::try_from(fields).unwrap_or(u16::MAX));
        Self { out, start }
    }

    /// A value as it is, or NULL.
    pub fn value(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.out.put_i32(-1),
            Some(bytes) => {
                self.out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                self.out.put_slice(bytes);
            }
        }
    }

    /// Closes the row.
    pub fn finish(self) {
        let length = i32::try_from(self.out.len() - self.start).unwrap_or(i32::MAX);
        if let Some(slot) = self.out.get_mut(self.start..self.start + 4) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// ParameterDescription.
pub fn parameter_description(out: &mut BytesMut, oids: &[u32]) {
    put_frame(out, b't', |out| {
        out.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
        oids.iter().for_each(|oid| out.put_u32(*oid));
    });
}

/// Reads a ParameterDescription body.
pub fn read_oids(body: &[u8]) -> Result<Vec<u32>, WireError> {
    let mut cursor = Cursor::new(body);
    let oids = (0..cursor.count()?).map(|_| cursor.u32()).collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(oids)
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    put_frame(out, b'R', |out| out.put_i32(0));
}

/// AuthenticationSASL with the mechanisms offered.
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&str]) {
    put_frame(out, b'R', |out| {
        out.put_i32(10);
        mechanisms.iter().for_each(|name| put_cstr(out, name));
        out.put_u8(0);
    });
}

/// AuthenticationSASLContinue.
pub fn authentication_sasl_continue(out: &mut BytesMut, data: &[u8]) {
    put_frame(out, b'R', |out| {
        out.put_i32(11);
        out.put_slice(data);
    });
}

/// AuthenticationSASLFinal.
pub fn authentication_sasl_final(out: &mut BytesMut, data: &[u8]) {
    put_frame(out, b'R', |out| {
        out.put_i32(12);
        out.put_slice(data);
    });
}

/// BackendKeyData.
pub fn backend_key_data(out: &mut BytesMut, process: i32, secret: &[u8]) {
    put_frame(out, b'K', |out| {
        out.put_i32(process);
        out.put_slice(secret);
    });
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    put_frame(out, b'S', |out| {
        put_cstr(out, name);
        put_cstr(out, value);
    });
}

/// ReadyForQuery; `status` is `I`, `T` or `E`.
pub fn ready_for_query(out: &mut BytesMut, status: u8) {
    put_frame(out, b'Z', |out| out.put_u8(status));
}

/// ErrorResponse from its fields (code, text).
pub fn error_response(out: &mut BytesMut, fields: &[(u8, &str)]) {
    put_frame(out, b'E', |out| {
        for (code, text) in fields {
            out.put_u8(*code);
            // A NUL would end the field early and let the rest be read as other fields.
            out.put_slice(text.replace('\0', "").as_bytes());
            out.put_u8(0);
        }
        out.put_u8(0);
    });
}

/// One field of an ErrorResponse or NoticeResponse; `None` where it is not there, or the message is malformed.
pub fn error_field(body: &[u8], wanted: u8) -> Option<String> {
    error_fields(body).ok()?.into_iter().find(|(code, _)| *code == wanted).map(|(_, text)| text)
}

/// The fields of an ErrorResponse or NoticeResponse body.
pub fn error_fields(body: &[u8]) -> Result<Vec<(u8, String)>, WireError> {
    let mut cursor = Cursor::new(body);
    let mut fields = Vec::new();
    loop {
        let code = cursor.u8()?;
        if code == 0 {
            return cursor.finish().map(|()| fields);
        }
        fields.push((code, String::from_utf8_lossy(cursor.cbytes()?).into_owned()));
    }
}

/// The tag of a CommandComplete body.
pub fn command_tag(body: &[u8]) -> Result<&str, WireError> {
    let mut cursor = Cursor::new(body);
    let tag = cursor.cstr()?;
    cursor.finish()?;
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_descriptions_round_trip() {
        let field = Field {
            name: b"name",
            table_oid: 5,
            column: 2,
            type_oid: 25,
            type_length: -1,
            type_modifier: -1,
            format: 0,
        };
        let description = RowDescription { fields: vec![field.clone(), field] };
        let mut out = BytesMut::new();
        description.put(&mut out);
        assert_eq!(RowDescription::read(&out[5..]).unwrap(), description);

        out.clear();
        let mut writer = RowWriter::new(&mut out, 2);
        writer.value(Some(b"x"));
        writer.value(None);
        writer.finish();
        let mut row = DataRow::read(&out[5..]).unwrap();
        assert_eq!(row.field(), Ok(Some(&b"x"[..])));
        assert_eq!(row.field(), Ok(None));
        assert_eq!(row.clone().field(), Err(WireError::Truncated));
        row.finish().unwrap();
    }

    #[test]
    fn an_error_cannot_smuggle_fields() {
        let mut out = BytesMut::new();
        error_response(&mut out, &[(b'M', "a\0Hb")]);
        assert_eq!(error_fields(&out[5..]).unwrap(), vec![(b'M', "aHb".to_owned())]);
    }
}
