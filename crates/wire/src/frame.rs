//! Framing: one tag byte, an Int32 length that counts itself, and the body.

use bytes::{BufMut, BytesMut};

use crate::WireError;

/// PostgreSQL's own limit on a message (1 GiB less one).
pub const MAX_FRAME_BYTES: usize = 0x3fff_ffff;

/// A message at the front of a buffer, by its tag and whole size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The tag byte.
    pub tag: u8,
    /// Tag, length and body together, in bytes.
    pub size: usize,
}

impl Frame {
    /// Size of tag and length.
    pub const HEAD: usize = 5;
}

/// The message at the front of `buffer`, once its head is there; its body may not be complete yet.
pub fn split_frame(buffer: &[u8]) -> Result<Option<Frame>, WireError> {
    let Some(([tag, length @ ..], _)) = buffer.split_first_chunk::<{ Frame::HEAD }>() else {
        return Ok(None);
    };
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| WireError::Length)?;
    if !(4..=MAX_FRAME_BYTES).contains(&length) {
        return Err(WireError::Length);
    }
    Ok(Some(Frame { tag: *tag, size: length + 1 }))
}

/// The size of an untagged start-up packet at the front of `buffer`, at most 10,000 bytes as in PostgreSQL.
pub fn startup_length(buffer: &[u8]) -> Result<Option<usize>, WireError> {
    let Some((length, _)) = buffer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| WireError::Length)?;
    if (8..=10_000).contains(&length) { Ok(Some(length)) } else { Err(WireError::Length) }
}

/// Appends a message; `body` writes what follows the length.
pub fn put_frame(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(start..start + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

pub(crate) fn put_cstr(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_whatever_the_cut() {
        let mut out = BytesMut::new();
        put_frame(&mut out, b'Q', |out| put_cstr(out, "select 1"));
        for cut in 0..Frame::HEAD {
            assert_eq!(split_frame(&out[..cut]), Ok(None));
        }
        assert_eq!(split_frame(&out), Ok(Some(Frame { tag: b'Q', size: out.len() })));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [-1_i32, 0, 3, i32::MAX] {
            let mut bytes = vec![b'Q'];
            bytes.extend_from_slice(&length.to_be_bytes());
            assert_eq!(split_frame(&bytes), Err(WireError::Length));
        }
        assert_eq!(startup_length(&10_001_i32.to_be_bytes()), Err(WireError::Length));
        assert_eq!(startup_length(&7_i32.to_be_bytes()), Err(WireError::Length));
    }
}
