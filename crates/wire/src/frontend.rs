//! Messages that a client sends.

use bytes::{BufMut, BytesMut};

use crate::frame::{put_cstr, put_frame};
use crate::{Cursor, WireError};

/// The untagged packet that opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// Asks for TLS.
    SslRequest,
    /// Asks for GSSAPI encryption.
    GssEncRequest,
    /// Asks to cancel what another connection runs.
    Cancel {
        /// That connection's process id.
        process: i32,
        /// Its secret key.
        secret: Vec<u8>,
    },
    /// Opens a session.
    Session {
        /// Minor protocol version.
        minor: u16,
        /// `user`, `database`, `options`, settings.
        parameters: Vec<(String, String)>,
    },
    /// Another major version.
    Unsupported,
}

/// Reads a start-up packet, its length field included.
pub fn read_startup(packet: &[u8]) -> Result<Startup, WireError> {
    let mut cursor = Cursor::new(packet);
    cursor.i32()?;
    let code = cursor.u32()?;
    match (code >> 16, code & 0xffff) {
        (1234, 5679) => cursor.finish().map(|()| Startup::SslRequest),
        (1234, 5680) => cursor.finish().map(|()| Startup::GssEncRequest),
        (1234, 5678) => Ok(Startup::Cancel { process: cursor.i32()?, secret: cursor.rest().to_vec() }),
        (3, minor) => {
            let mut parameters = Vec::new();
            loop {
                let name = cursor.cstr()?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name.to_owned(), cursor.cstr()?.to_owned()));
            }
            cursor.finish()?;
            Ok(Startup::Session { minor: u16::try_from(minor).map_err(|_| WireError::Code)?, parameters })
        }
        _ => Ok(Startup::Unsupported),
    }
}

/// What Describe and Close are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl Target {
    fn read(code: u8) -> Result<Self, WireError> {
        match code {
            b'S' => Ok(Self::Statement),
            b'P' => Ok(Self::Portal),
            _ => Err(WireError::Code),
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}

/// Parse.
#[derive(Clone, Debug)]
pub struct Parse<'a> {
    /// Statement name, empty for the unnamed one.
    pub name: &'a str,
    /// SQL text.
    pub text: &'a str,
    /// Declared parameter types, 0 where the server shall infer.
    pub oids: Vec<u32>,
}

impl<'a> Parse<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let (name, text) = (cursor.cstr()?, cursor.cstr()?);
        let oids = (0..cursor.count()?).map(|_| cursor.u32()).collect::<Result<_, _>>()?;
        cursor.finish()?;
        Ok(Self { name, text, oids })
    }
}

/// Bind.
#[derive(Clone, Debug)]
pub struct Bind<'a> {
    /// Portal name.
    pub portal: &'a str,
    /// Statement name.
    pub statement: &'a str,
    /// None, one for all, or one a parameter: 0 text, 1 binary.
    pub parameter_formats: Vec<i16>,
    /// Values, `None` for NULL.
    pub values: Vec<Option<&'a [u8]>>,
    /// None, one for all, or one a column.
    pub result_formats: Vec<i16>,
}

impl<'a> Bind<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let (portal, statement) = (cursor.cstr()?, cursor.cstr()?);
        let parameter_formats = read_formats(&mut cursor)?;
        let values: Vec<_> = (0..cursor.count()?).map(|_| cursor.value()).collect::<Result<_, _>>()?;
        let result_formats = read_formats(&mut cursor)?;
        cursor.finish()?;
        if parameter_formats.len() > 1 && parameter_formats.len() != values.len() {
            return Err(WireError::Code);
        }
        Ok(Self { portal, statement, parameter_formats, values, result_formats })
    }

    /// The format of parameter `index`.
    pub fn parameter_format(&self, index: usize) -> i16 {
        format_at(&self.parameter_formats, index)
    }
}

/// The format that a list of none, one or all gives to `index`.
pub fn format_at(formats: &[i16], index: usize) -> i16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(0),
    }
}

fn read_formats(cursor: &mut Cursor<'_>) -> Result<Vec<i16>, WireError> {
    (0..cursor.count()?)
        .map(|_| match cursor.i16()? {
            code @ (0 | 1) => Ok(code),
            _ => Err(WireError::Code),
        })
        .collect()
}

/// Describe.
#[derive(Clone, Debug)]
pub struct Describe<'a> {
    /// Statement or portal.
    pub target: Target,
    /// Its name.
    pub name: &'a str,
}

/// Close.
#[derive(Clone, Debug)]
pub struct Close<'a> {
    /// Statement or portal.
    pub target: Target,
    /// Its name.
    pub name: &'a str,
}

fn read_target(body: &[u8]) -> Result<(Target, &str), WireError> {
    let mut cursor = Cursor::new(body);
    let target = Target::read(cursor.u8()?)?;
    let name = cursor.cstr()?;
    cursor.finish()?;
    Ok((target, name))
}

impl<'a> Describe<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        read_target(body).map(|(target, name)| Self { target, name })
    }
}

impl<'a> Close<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        read_target(body).map(|(target, name)| Self { target, name })
    }
}

/// Execute.
#[derive(Clone, Debug)]
pub struct Execute<'a> {
    /// Portal name.
    pub portal: &'a str,
    /// Most rows to return, 0 for all.
    pub max_rows: i32,
}

impl<'a> Execute<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let (portal, max_rows) = (cursor.cstr()?, cursor.i32()?);
        cursor.finish()?;
        Ok(Self { portal, max_rows })
    }
}

/// A simple query.
pub fn query(out: &mut BytesMut, text: &str) {
    put_frame(out, b'Q', |out| put_cstr(out, text));
}

/// Parse.
pub fn put_parse(out: &mut BytesMut, name: &str, text: &str, oids: &[u32]) {
    put_frame(out, b'P', |out| {
        put_cstr(out, name);
        put_cstr(out, text);
        out.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
        oids.iter().for_each(|oid| out.put_u32(*oid));
    });
}

/// Bind; `values` writes each value with its Int32 length.
pub fn put_bind(
    out: &mut BytesMut,
    (portal, statement): (&str, &str),
    parameter_formats: &[i16],
    value_count: usize,
    values: impl FnOnce(&mut BytesMut),
    result_formats: &[i16],
) {
    let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    put_frame(out, b'B', |out| {
        put_cstr(out, portal);
        put_cstr(out, statement);
        out.put_u16(count(parameter_formats.len()));
        parameter_formats.iter().for_each(|format| out.put_i16(*format));
        out.put_u16(count(value_count));
        values(out);
        out.put_u16(count(result_formats.len()));
        result_formats.iter().for_each(|format| out.put_i16(*format));
    });
}

/// Describe.
pub fn put_describe(out: &mut BytesMut, target: Target, name: &str) {
    put_frame(out, b'D', |out| {
        out.put_u8(target.code());
        put_cstr(out, name);
    });
}

/// Execute.
pub fn put_execute(out: &mut BytesMut, portal: &str, max_rows: i32) {
    put_frame(out, b'E', |out| {
        put_cstr(out, portal);
        out.put_i32(max_rows);
    });
}

/// Close.
pub fn put_close(out: &mut BytesMut, target: Target, name: &str) {
    put_frame(out, b'C', |out| {
        out.put_u8(target.code());
        put_cstr(out, name);
    });
}

/// Sync.
pub fn sync(out: &mut BytesMut) {
    put_frame(out, b'S', |_| ());
}

/// CopyFail with its reason.
pub fn copy_fail(out: &mut BytesMut, reason: &str) {
    put_frame(out, b'f', |out| put_cstr(out, reason));
}

/// The packet that asks for TLS.
pub fn ssl_request(out: &mut BytesMut) {
    out.put_i32(8);
    out.put_i32((1234 << 16) | 5679);
}

/// The packet that asks to cancel.
pub fn cancel_request(out: &mut BytesMut, process: i32, secret: &[u8]) {
    out.put_i32(i32::try_from(12 + secret.len()).unwrap_or(12));
    out.put_i32((1234 << 16) | 5678);
    out.put_i32(process);
    out.put_slice(secret);
}

/// The packet that opens a session, protocol 3.0.
pub fn startup_message(out: &mut BytesMut, parameters: &[(&str, &str)]) {
    let start = out.len();
    out.put_i32(0);
    out.put_i32(3 << 16);
    for (name, value) in parameters {
        put_cstr(out, name);
        put_cstr(out, value);
    }
    out.put_u8(0);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(start..start + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_round_trips_and_every_truncation_is_refused() {
        let mut out = BytesMut::new();
        let values = |out: &mut BytesMut| {
            out.put_i32(2);
            out.put_slice(b"ab");
            out.put_i32(-1);
        };
        put_bind(&mut out, ("p", "s"), &[1, 0], 2, values, &[1]);
        let body = &out[5..];
        let bind = Bind::read(body).unwrap();
        assert_eq!((bind.portal, bind.statement), ("p", "s"));
        assert_eq!(bind.values, vec![Some(&b"ab"[..]), None]);
        assert_eq!((bind.parameter_format(0), bind.parameter_format(1)), (1, 0));
        for cut in 0..body.len() {
            assert!(Bind::read(&body[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert_eq!(Bind::read(&longer).unwrap_err(), WireError::Trailing);
    }

    #[test]
    fn startup_packets_are_told_apart() {
        let mut out = BytesMut::new();
        ssl_request(&mut out);
        assert_eq!(read_startup(&out), Ok(Startup::SslRequest));
        out.clear();
        cancel_request(&mut out, 7, &[1, 2, 3, 4]);
        assert_eq!(read_startup(&out), Ok(Startup::Cancel { process: 7, secret: vec![1, 2, 3, 4] }));
        out.clear();
        startup_message(&mut out, &[("user", "app")]);
        let parameters = vec![("user".to_owned(), "app".to_owned())];
        assert_eq!(read_startup(&out), Ok(Startup::Session { minor: 0, parameters }));
    }
}
