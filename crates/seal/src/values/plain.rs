//! boolean, text, varchar(n), char(n) and uuid.

use std::io::Write as _;

use std::collections::BTreeSet;

use drieslot_schema::EnumName;

use super::{ValueError, trim};

/// `boolin`: any unambiguous prefix of true, false, yes, no; on, off; 1, 0.
pub(super) fn parse_bool(text: &str) -> Result<bool, ValueError> {
    let lower = trim(text).to_ascii_lowercase();
    let begins = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || lower == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0" {
        Ok(false)
    } else {
        Err(ValueError::syntax("boolean"))
    }
}

/// `varchar_input`, and the cast `varchar(varchar, int, bool)` where the cast is explicit.
pub(super) fn encode_text(
    text: &str,
    limit: Option<u32>,
    explicit_cast: bool,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let kept = limited(text, limit, explicit_cast, "character varying")?;
    out.extend_from_slice(kept.as_bytes());
    Ok(())
}

/// What fits into the limit. Spaces beyond it are dropped; anything else only in an explicit cast.
fn limited<'text>(
    text: &'text str,
    limit: Option<u32>,
    explicit_cast: bool,
    name: &str,
) -> Result<&'text str, ValueError> {
    if text.contains('\0') {
        return Err(nul());
    }
    let kept = limit.and_then(|limit| usize::try_from(limit).ok()).map_or(text, |limit| {
        let end = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
        text.get(..end).unwrap_or(text)
    });
    let excess = text.get(kept.len()..).unwrap_or("");
    if !explicit_cast && excess.contains(|c| c != ' ') {
        let limit = limit.unwrap_or(0);
        return Err(ValueError::new("22001", format!("value too long for type {name}({limit})")));
    }
    Ok(kept)
}

/// `bpchar_input`, and the cast `bpchar(bpchar, int, bool)` where the cast is explicit: padded to the length.
pub(super) fn encode_padded(
    text: &str,
    length: Option<u32>,
    explicit_cast: bool,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let kept = limited(text, length, explicit_cast, "character")?;
    push_padded(kept, length, out);
    Ok(())
}

/// As the column would hold it, if it could: a longer text stays longer, and so equals nothing there.
pub(super) fn encode_compared(text: &str, length: Option<u32>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let kept = limited(text, None, false, "character")?;
    push_padded(kept.trim_end_matches(' '), length, out);
    Ok(())
}

fn push_padded(text: &str, length: Option<u32>, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let missing = length.saturating_sub(text.chars().count());
    out.resize(out.len() + missing, b' ');
}

/// `enum_in`: one of the type's labels, letter by letter.
pub(super) fn encode_label(
    labels: Option<&BTreeSet<String>>,
    text: &str,
    name: EnumName,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let Some(labels) = labels else {
        let message = format!("the enum type {name} does not exist in the database");
        return Err(ValueError::new("42704", message).with_hint("Create it, or ask for a classification without it."));
    };
    if !labels.contains(text) {
        return Err(ValueError::new("22P02", format!("invalid input value for enum {}", name.name())));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// `varcharrecv`.
pub(super) fn encode_binary(bytes: &[u8], limit: Option<u32>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    encode_text(checked_utf8(bytes)?, limit, false, out)
}

/// Text as PostgreSQL stores it: UTF-8 without NUL.
pub(super) fn checked_utf8(bytes: &[u8]) -> Result<&str, ValueError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ValueError::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
    if text.contains('\0') { Err(nul()) } else { Ok(text) }
}

pub(super) fn nul() -> ValueError {
    ValueError::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")
}

/// `string_to_uuid`: 32 hexadecimal digits, a hyphen allowed after every fourth, braces allowed around it all.
pub(super) fn parse_uuid(text: &str) -> Result<[u8; 16], ValueError> {
    let error = || ValueError::syntax("uuid");
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(error)?,
        None => text,
    };
    let mut rest = inner.as_bytes();
    let mut uuid = [0_u8; 16];
    for (at, byte) in uuid.iter_mut().enumerate() {
        let (pair, after) = rest.split_first_chunk::<2>().ok_or_else(error)?;
        let [high, low] = pair.map(|c| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        *byte = (high.ok_or_else(error)? << 4) | low.ok_or_else(error)?;
        rest = match after.split_first() {
            Some((b'-', after)) if at % 2 == 1 && at < 15 => after,
            Some(_) | None => after,
        };
    }
    if rest.is_empty() { Ok(uuid) } else { Err(error()) }
}

pub(super) fn write_uuid(uuid: [u8; 16], out: &mut Vec<u8>) {
    for (at, byte) in uuid.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        let _infallible = write!(out, "{byte:02x}");
    }
}
