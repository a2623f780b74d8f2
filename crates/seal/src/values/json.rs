//! json, which stays as it is written, and jsonb, which PostgreSQL brings into one form: keys by length and then by
//! bytes, of equal keys the last, numbers as numeric writes them. Errors and limits are those of its parser.

use std::borrow::Cow;

use drieslot_schema::LogicalType;

use super::{ValueError, numeric, plain};

/// The first byte of jsonb in binary form.
const VERSION: u8 = 1;
/// PostgreSQL is limited by its stack only.
const MAX_DEPTH: usize = 500;

/// A value of jsonb.
enum Jsonb<'text> {
    Literal(&'static str),
    /// As numeric writes it.
    Number(Vec<u8>),
    String(Cow<'text, str>),
    Array(Vec<Jsonb<'text>>),
    Object(Vec<(Cow<'text, str>, Jsonb<'text>)>),
}

/// `json_in`: the text itself, once it is known to be valid.
pub(super) fn encode_json(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    check(text)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// `jsonb_in`: the binary form.
pub(super) fn encode_jsonb(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut parser = Parser { rest: text, binary: true };
    let value = parser.document()?;
    out.push(VERSION);
    write(&value, out);
    Ok(())
}

/// `jsonb_recv`.
pub(super) fn encode_jsonb_binary(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match bytes {
        [VERSION, text @ ..] => encode_jsonb(plain::checked_utf8(text)?, out),
        [] | [_, ..] => Err(ValueError::binary(LogicalType::Jsonb)),
    }
}

/// The text of jsonb in binary form.
pub(super) fn jsonb_text(canonical: &[u8]) -> Result<&str, ValueError> {
    let corrupted = || ValueError::corrupted(LogicalType::Jsonb);
    let Some((&VERSION, text)) = canonical.split_first() else { return Err(corrupted()) };
    plain::checked_utf8(text).map_err(|_| corrupted())
}

/// Whether a text is json.
pub(super) fn check(text: &str) -> Result<(), ValueError> {
    Parser { rest: text, binary: false }.document().map(|_| ())
}

struct Parser<'text> {
    rest: &'text str,
    /// For jsonb, whose strings are unescaped and whose numbers are read.
    binary: bool,
}

fn syntax() -> ValueError {
    ValueError::syntax("json")
}

impl<'text> Parser<'text> {
    fn document(&mut self) -> Result<Jsonb<'text>, ValueError> {
        let value = self.value(0)?;
        self.skip_space();
        if self.rest.is_empty() { Ok(value) } else { Err(syntax()) }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// The next character but for white space.
    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest.chars().next()
    }

    fn take(&mut self, token: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), ValueError> {
        if self.take(token) { Ok(()) } else { Err(syntax()) }
    }

    fn value(&mut self, depth: usize) -> Result<Jsonb<'text>, ValueError> {
        if depth > MAX_DEPTH {
            let message = format!("JSON nested deeper than {MAX_DEPTH} levels is not accepted for a protected column");
            return Err(ValueError::new("54001", message).with_hint("Nest it less deeply."));
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => self.string().map(Jsonb::String),
            Some('-' | '0'..='9') => self.number(),
            Some(_) => self.literal(),
            None => Err(syntax()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Jsonb<'text>, ValueError> {
        self.expect('{')?;
        let mut pairs = Vec::new();
        if self.take('}') {
            return Ok(Jsonb::Object(pairs));
        }
        loop {
            if self.peek() != Some('"') {
                return Err(syntax());
            }
            let key = self.string()?;
            self.expect(':')?;
            let value = self.value(depth + 1)?;
            if self.binary {
                pairs.push((key, value));
            }
            if !self.take(',') {
                break;
            }
        }
        self.expect('}')?;
        Ok(Jsonb::Object(unique(pairs)))
    }

    fn array(&mut self, depth: usize) -> Result<Jsonb<'text>, ValueError> {
        self.expect('[')?;
        let mut items = Vec::new();
        if self.take(']') {
            return Ok(Jsonb::Array(items));
        }
        loop {
            let item = self.value(depth + 1)?;
            if self.binary {
                items.push(item);
            }
            if !self.take(',') {
                break;
            }
        }
        self.expect(']')?;
        Ok(Jsonb::Array(items))
    }

    fn literal(&mut self) -> Result<Jsonb<'text>, ValueError> {
        for word in ["true", "false", "null"] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                self.end_of_word()?;
                return Ok(Jsonb::Literal(word));
            }
        }
        Err(syntax())
    }

    /// `JSON_ALPHANUMERIC_CHAR`
    fn end_of_word(&self) -> Result<(), ValueError> {
        let goes_on = self.rest.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
        if goes_on { Err(syntax()) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Jsonb<'text>, ValueError> {
        let start = self.rest;
        self.rest = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let whole = self.digits()?;
        if whole > 1 && start.trim_start_matches('-').starts_with('0') {
            return Err(syntax());
        }
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            self.digits()?;
        }
        if let Some(rest) = self.rest.strip_prefix(['e', 'E']) {
            self.rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            self.digits()?;
        }
        self.end_of_word()?;
        if !self.binary {
            return Ok(Jsonb::Literal("null"));
        }
        let text = start.get(..start.len() - self.rest.len()).ok_or_else(syntax)?;
        let (mut canonical, mut written) = (Vec::new(), Vec::new());
        numeric::encode_text(None, text, &mut canonical)?;
        numeric::decode_text(LogicalType::Numeric(None), &canonical, &mut written)?;
        Ok(Jsonb::Number(written))
    }

    fn digits(&mut self) -> Result<usize, ValueError> {
        let after = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = self.rest.len() - after.len();
        self.rest = after;
        if count == 0 { Err(syntax()) } else { Ok(count) }
    }

    /// With its quotes. Without an escape it is a part of the text.
    fn string(&mut self) -> Result<Cow<'text, str>, ValueError> {
        let body = self.rest.strip_prefix('"').ok_or_else(syntax)?;
        let end = body.find(['"', '\\']).ok_or_else(syntax)?;
        let (plain, rest) = body.split_at(end);
        if plain.bytes().any(|byte| byte < 0x20) {
            return Err(syntax());
        }
        if let Some(rest) = rest.strip_prefix('"') {
            self.rest = rest;
            return Ok(Cow::Borrowed(plain));
        }
        self.rest = rest;
        let mut value = plain.to_owned();
        loop {
            let mut chars = self.rest.chars();
            let c = chars.next().ok_or_else(syntax)?;
            self.rest = chars.as_str();
            match c {
                '"' => return Ok(Cow::Owned(value)),
                '\\' => self.escape(&mut value)?,
                '\0'..='\x1f' => return Err(syntax()),
                c => value.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, value: &mut String) -> Result<(), ValueError> {
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or_else(syntax)?;
        self.rest = chars.as_str();
        value.push(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(value),
            _ => return Err(syntax()),
        });
        Ok(())
    }

    /// json may hold any four hexadecimal digits; jsonb only what is a character.
    fn unicode(&mut self, value: &mut String) -> Result<(), ValueError> {
        let first = self.hexadecimal()?;
        if !self.binary {
            return Ok(());
        }
        let code = match first {
            0 => {
                return Err(ValueError::new("22P05", "unsupported Unicode escape sequence")
                    .with_detail("\\u0000 cannot be converted to text."));
            }
            0xd800..=0xdbff => {
                self.rest = self.rest.strip_prefix("\\u").ok_or_else(syntax)?;
                let second = self.hexadecimal()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(syntax());
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        value.push(char::from_u32(code).ok_or_else(syntax)?);
        Ok(())
    }

    fn hexadecimal(&mut self) -> Result<u32, ValueError> {
        let (digits, rest) = self.rest.split_at_checked(4).ok_or_else(syntax)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(syntax());
        }
        self.rest = rest;
        u32::from_str_radix(digits, 16).map_err(|_| syntax())
    }
}

/// `uniqueifyJsonbObject`: sorted by length and then by bytes; of equal keys the last counts.
fn unique<'text>(mut pairs: Vec<(Cow<'text, str>, Jsonb<'text>)>) -> Vec<(Cow<'text, str>, Jsonb<'text>)> {
    pairs.reverse();
    pairs.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes())));
    pairs.dedup_by(|(later, _), (first, _)| later == first);
    pairs
}

/// `JsonbToCString`.
fn write(value: &Jsonb<'_>, out: &mut Vec<u8>) {
    match value {
        Jsonb::Literal(word) => out.extend_from_slice(word.as_bytes()),
        Jsonb::Number(text) => out.extend_from_slice(text),
        Jsonb::String(text) => write_string(text, out),
        Jsonb::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                write(item, out);
            }
            out.push(b']');
        }
        Jsonb::Object(pairs) => {
            out.push(b'{');
            for (at, (key, item)) in pairs.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                write_string(key, out);
                out.extend_from_slice(b": ");
                write(item, out);
            }
            out.push(b'}');
        }
    }
}

/// `escape_json`.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}
