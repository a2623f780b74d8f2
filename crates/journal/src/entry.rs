//! JSON entries, version 1.

use std::cell::RefCell;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{JournalError, MAX_ENTRY_BYTES};

const VERSION: u8 = 1;

/// One entry, read back: its body as it is, or as the type that the kind asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<B = Map<String, Value>> {
    /// Version of the format: 1.
    pub v: u8,
    /// What happened.
    pub kind: String,
    /// When, RFC 3339 in UTC, by the writer's clock.
    pub time: String,
    /// 16 random bytes in hex, so that a leaf hash tells nothing of its entry.
    pub salt: String,
    /// The particulars, by kind.
    pub body: B,
}

#[derive(Serialize)]
struct Written<'a, B> {
    v: u8,
    kind: &'a str,
    time: &'a str,
    salt: &'a str,
    body: &'a B,
}

/// Writes an entry. `time` is RFC 3339 in UTC (`…Z`); `body` must serialize to a JSON object.
///
/// # Errors
/// [`JournalError::Entry`] for another time or body, [`JournalError::EntrySize`] where the entry
/// gets longer than 65,535 bytes, [`JournalError::Crypto`] without entropy.
pub fn encode(kind: &str, time: &str, body: &impl Serialize) -> Result<Vec<u8>, JournalError> {
    let refuse = |why: String| JournalError::Entry { why };
    if !is_kind(kind) {
        return Err(refuse(format!("kind {kind:?} is not 1 to 64 of a-z, 0-9, '.', '_', '-'")));
    }
    if !is_utc_time(time) {
        return Err(refuse(format!("time {time:?} is not RFC 3339 in UTC, like 2026-01-31T23:59:59Z")));
    }
    let mut hex = [0; 32];
    let written = Written { v: VERSION, kind, time, salt: salt(&mut hex)?, body };
    let bytes = serde_json::to_vec(&written).map_err(|error| refuse(error.to_string()))?;
    // The body comes last: no other JSON value ends in a brace.
    if !bytes.ends_with(b"}}") {
        return Err(refuse("the body is not a JSON object".into()));
    }
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(JournalError::EntrySize { len: bytes.len() });
    }
    Ok(bytes)
}

/// Random bytes for 64 salts, and how many of them are used: the generator costs more a call than a byte.
struct Salts([u8; 1024], usize);

thread_local! {
    static SALTS: RefCell<Salts> = const { RefCell::new(Salts([0; 1024], 1024)) };
}

fn salt(hex: &mut [u8; 32]) -> Result<&str, JournalError> {
    let no_salt = || JournalError::Crypto { what: "draw a salt" };
    let random: [u8; 16] = SALTS.with_borrow_mut(|Salts(block, used)| {
        if *used >= block.len() {
            aws_lc_rs::rand::fill(block).map_err(|_| no_salt())?;
            *used = 0;
        }
        let salt = block.get(*used..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(no_salt);
        *used += 16;
        salt
    })?;
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(random) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    std::str::from_utf8(hex).map_err(|_| no_salt())
}

/// Reads an entry.
///
/// # Errors
/// [`JournalError::Entry`] says what isn't as [`encode`] writes it.
pub fn decode(bytes: &[u8]) -> Result<Entry, JournalError> {
    decode_as(bytes)
}

/// As [`decode`], with the body of a type of its own.
///
/// # Errors
/// As [`decode`], and where the body is not of that type.
pub fn decode_as<B: DeserializeOwned>(bytes: &[u8]) -> Result<Entry<B>, JournalError> {
    let refuse = |why: String| JournalError::Entry { why };
    let entry: Entry<B> = serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
    if entry.v != VERSION {
        return Err(refuse(format!("version {}", entry.v)));
    }
    if !is_kind(&entry.kind) || !is_utc_time(&entry.time) {
        return Err(refuse("kind or time is malformed".into()));
    }
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if entry.salt.len() != 32 || !entry.salt.bytes().all(is_hex) {
        return Err(refuse("the salt is not 32 hex digits".into()));
    }
    Ok(entry)
}

fn is_kind(kind: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&kind.len()) && kind.bytes().all(allowed)
}

/// The shape only; the caller's clock is trusted for the rest.
fn is_utc_time(time: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let Some((seconds, rest)) = time.as_bytes().split_at_checked(SHAPE.len()) else { return false };
    let fits = seconds.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        exact => byte == exact,
    });
    let fraction_ends = match rest.split_last() {
        Some((b'Z', [])) => true,
        Some((b'Z', [b'.', digits @ ..])) => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    fits && fraction_ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let body = serde_json::json!({"rows": 3, "columns": ["a.b.c"]});
        let bytes = encode("outcome", "2026-01-31T23:59:59.123456Z", &body).unwrap();
        let entry = decode(&bytes).unwrap();
        assert_eq!((entry.v, entry.kind.as_str(), entry.body.get("rows")), (1, "outcome", Some(&3.into())));
        let again = encode("outcome", "2026-01-31T23:59:59.123456Z", &body).unwrap();
        assert_ne!(bytes, again, "each entry has its own salt");
    }

    #[test]
    fn other_shapes_are_refused() {
        let object = serde_json::json!({});
        for time in ["", "2026-01-31", "2026-01-31T23:59:59", "2026-01-31T23:59:59+01:00", "2026-01-31T23:59:59.Z", "Z"]
        {
            assert!(matches!(encode("k", time, &object), Err(JournalError::Entry { .. })), "{time}");
        }
        let time = "2026-01-31T23:59:59Z";
        assert!(encode("k", time, &object).is_ok());
        for kind in ["", "A", "a b", "a\"b"] {
            assert!(matches!(encode(kind, time, &object), Err(JournalError::Entry { .. })), "{kind}");
        }
        for body in [
            serde_json::json!([]),
            serde_json::json!("body"),
            serde_json::json!(null),
            serde_json::json!(["\"body\":{}}"]),
        ] {
            assert!(matches!(encode("k", time, &body), Err(JournalError::Entry { .. })), "{body}");
        }
        let long = serde_json::json!({"x": "y".repeat(70_000)});
        assert!(matches!(encode("k", time, &long), Err(JournalError::EntrySize { .. })));
        for bytes in [&b""[..], b"{}", b"null", br#"{"v":2,"kind":"k","time":"2026-01-31T23:59:59Z","salt":"00000000000000000000000000000000","body":{}}"#,
            br#"{"v":1,"kind":"k","time":"2026-01-31T23:59:59Z","salt":"0","body":{}}"#,
            br#"{"v":1,"kind":"k","time":"2026-01-31T23:59:59Z","salt":"00000000000000000000000000000000","body":{},"more":1}"#] {
            assert!(decode(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
