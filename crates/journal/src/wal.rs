//! The write-ahead file `wal`: entries that are not yet in durable tiles.
//!
//! A header, then one frame for each group commit. Integers are big-endian.
//!
//! ```text
//! header = "DSJWAL01" ‖ u64 base ‖ 16 bytes nonce ‖ SHA-256("DSJWAL01" ‖ base ‖ nonce ‖ origin)[:16]
//! frame  = "DSJF" ‖ u32 payload length ‖ u64 index of its first entry
//!          ‖ SHA-256(nonce ‖ "DSJF" ‖ length ‖ index ‖ payload)[:16] ‖ payload
//! ```
//!
//! The payload has the form of an entry bundle. The nonce is drawn anew for each file, so that
//! nothing inside an entry can pass for a frame. After the last frame the file may hold zeros: a
//! sync of bytes that take the place of others costs the file system less than one of bytes that
//! make the file longer.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::files::{self, Sync};
use crate::hash::sha256_of;
use crate::{JournalError, tile};

const HEADER_MAGIC: &[u8; 8] = b"DSJWAL01";
const FRAME_MAGIC: &[u8; 4] = b"DSJF";
const HEADER_BYTES: usize = 48;
const FRAME_HEADER_BYTES: usize = 32;
/// The file grows by this many bytes at once.
const GROWTH_BYTES: usize = 1024 * 1024;
const FILE: &str = "wal";

type Nonce = [u8; 16];

pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Where frames go: the file, or in tests something that fails.
pub(crate) trait Medium: Send {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The open write-ahead file.
pub(crate) struct Wal {
    path: PathBuf,
    medium: Box<dyn Medium>,
    nonce: Nonce,
    /// Index of the first entry in the file; a multiple of 256.
    pub(crate) base: u64,
    /// Bytes of header and frames.
    pub(crate) len: usize,
    /// Bytes of the file: what is beyond `len` is zeros.
    capacity: usize,
}

impl Wal {
    /// Makes the file anew with these entries (in bundle form) and replaces the old one. Order:
    /// new file, sync, rename, sync the folder; so a crash leaves the old file or the new one,
    /// and what the new one holds is on the disk even if the old one only seemed to be.
    pub(crate) fn replace(dir: &Path, origin: &str, base: u64, payload: &[u8]) -> Result<Self, JournalError> {
        let path = path(dir);
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| JournalError::Crypto { what: "draw a nonce" })?;
        let mut content = header(base, &nonce, origin);
        if !payload.is_empty() {
            content.extend(frame(&nonce, base, payload)?);
        }
        files::replace(&path, &content, Sync::Now)?;
        let file = OpenOptions::new().write(true).open(&path).map_err(JournalError::io("open", &path))?;
        Ok(Self { path, medium: Box::new(file), nonce, base, len: content.len(), capacity: content.len() })
    }

    /// Writes one frame in one write; it is not durable yet.
    pub(crate) fn append(&mut self, first: u64, payload: &[u8]) -> Result<(), JournalError> {
        let mut frame = frame(&self.nonce, first, payload)?;
        let end = self.len + frame.len();
        if end > self.capacity {
            frame.resize(frame.len() + GROWTH_BYTES, 0);
            self.capacity = end + GROWTH_BYTES;
        }
        self.medium.write(self.len as u64, &frame).map_err(JournalError::io("write to", &self.path))?;
        self.len = end;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.medium.sync().map_err(JournalError::io("sync", &self.path))
    }

    #[cfg(test)]
    pub(crate) fn fail_with(&mut self, medium: Box<dyn Medium>) {
        self.medium = medium;
    }
}

fn header(base: u64, nonce: &Nonce, origin: &str) -> Vec<u8> {
    let base = base.to_be_bytes();
    let check = sha256_of(&[HEADER_MAGIC, &base, nonce, origin.as_bytes()]);
    [HEADER_MAGIC.as_slice(), &base, nonce, &check[..16]].concat()
}

fn frame(nonce: &Nonce, first: u64, payload: &[u8]) -> Result<Vec<u8>, JournalError> {
    let len = u32::try_from(payload.len()).map_err(|_| JournalError::EntrySize { len: payload.len() })?.to_be_bytes();
    let first = first.to_be_bytes();
    let check = sha256_of(&[nonce, FRAME_MAGIC, &len, &first, payload]);
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
    for part in [FRAME_MAGIC.as_slice(), &len, &first, &check[..16], payload] {
        frame.extend_from_slice(part);
    }
    Ok(frame)
}

/// What a write-ahead file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Index of the first entry.
    pub(crate) base: u64,
    /// All whole entries, in bundle form.
    pub(crate) payload: Vec<u8>,
    /// Number of those entries.
    pub(crate) count: u64,
    /// Bytes of a last frame that wasn't written whole, so never acknowledged.
    pub(crate) torn_bytes: u64,
}

impl Scan {
    pub(crate) fn size(&self) -> u64 {
        self.base + self.count
    }
}

/// Reads a write-ahead file. A bad frame with nothing good behind it is a torn last write and is
/// left out; a bad frame before a good one is damage.
pub(crate) fn scan(content: &[u8], origin: &str) -> Result<Scan, String> {
    let (base, nonce) = read_header(content, origin)?;
    let mut scan = Scan { base, payload: Vec::new(), count: 0, torn_bytes: 0 };
    let mut offset = HEADER_BYTES;
    let end = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    while let Some(rest) = content.get(offset..).filter(|_| offset < end) {
        let Some((first, payload)) = read_frame(rest, &nonce) else {
            if let Some(good) = later_frame(rest, &nonce) {
                return Err(format!(
                    "the frame at byte {offset}, of entry {}, is damaged: a good frame follows at byte {}",
                    scan.size(),
                    offset + good
                ));
            }
            scan.torn_bytes = (end - offset) as u64;
            break;
        };
        if first != scan.size() {
            return Err(format!("the frame at byte {offset} starts at entry {first}, expected {}", scan.size()));
        }
        let entries = tile::split_entries(payload)
            .ok_or_else(|| format!("the frame at byte {offset} does not divide into entries"))?;
        scan.count += entries.len() as u64;
        scan.payload.extend_from_slice(payload);
        offset += FRAME_HEADER_BYTES + payload.len();
    }
    Ok(scan)
}

fn read_header(content: &[u8], origin: &str) -> Result<(u64, Nonce), String> {
    let parse = || {
        let rest = content.strip_prefix(HEADER_MAGIC)?;
        let (base, rest) = rest.split_first_chunk::<8>()?;
        let nonce = rest.first_chunk::<16>()?;
        Some((u64::from_be_bytes(*base), *nonce))
    };
    let (base, nonce) = parse().ok_or("this is no write-ahead file of a journal")?;
    if !content.starts_with(&header(base, &nonce, origin)) {
        return Err(format!("the header is damaged, or of a journal other than {origin}"));
    }
    if base % tile::WIDTH != 0 {
        return Err(format!("it starts at entry {base}, which is not the first of a bundle"));
    }
    Ok((base, nonce))
}

fn read_frame<'a>(bytes: &'a [u8], nonce: &Nonce) -> Option<(u64, &'a [u8])> {
    let rest = bytes.strip_prefix(FRAME_MAGIC)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (check, rest) = rest.split_first_chunk::<16>()?;
    let payload = rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    let expected = sha256_of(&[nonce, FRAME_MAGIC, len, first, payload]);
    expected.starts_with(check).then_some((u64::from_be_bytes(*first), payload))
}

/// Offset of a good frame behind a bad one.
fn later_frame(bytes: &[u8], nonce: &Nonce) -> Option<usize> {
    let marks = bytes.windows(FRAME_MAGIC.len()).enumerate().skip(1).filter(|(_, window)| window == FRAME_MAGIC);
    marks.map(|(at, _)| at).find(|at| bytes.get(*at..).and_then(|rest| read_frame(rest, nonce)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[(u64, &[u8])]) -> Vec<u8> {
        let nonce = [7; 16];
        let mut content = header(256, &nonce, "o");
        for (first, payload) in frames {
            content.extend(frame(&nonce, *first, payload).unwrap());
        }
        content
    }

    const TWO: &[(u64, &[u8])] = &[(256, b"\0\x01a\0\x01b"), (258, b"\0\x03abc")];

    #[test]
    fn each_cut_drops_only_what_was_not_whole() {
        let whole = file(TWO);
        let first_end = file(&TWO[..1]).len();
        for cut in HEADER_BYTES..=whole.len() {
            let scan = scan(&whole[..cut], "o").unwrap();
            // Zeros at the end can't be told from room for frames to come.
            let written = whole[..cut].iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let (count, torn) = match cut {
                _ if cut == whole.len() => (3, 0),
                _ if cut >= first_end => (2, written.saturating_sub(first_end)),
                _ => (0, written.saturating_sub(HEADER_BYTES)),
            };
            assert_eq!((scan.count, scan.torn_bytes), (count, torn as u64), "cut at {cut}");
        }
        for cut in 0..HEADER_BYTES {
            scan(&whole[..cut], "o").unwrap_err();
        }
    }

    #[test]
    fn zeros_after_the_last_frame_are_nothing() {
        let mut content = file(TWO);
        content.resize(content.len() + 5000, 0);
        let whole = scan(&content, "o").unwrap();
        assert_eq!((whole.count, whole.torn_bytes), (3, 0));
        let cut = file(TWO).len() - 2;
        content[cut..].fill(0);
        let torn = scan(&content, "o").unwrap();
        assert_eq!((torn.count, torn.torn_bytes), (2, (cut - file(&TWO[..1]).len()) as u64));
    }

    #[test]
    fn each_flipped_bit_is_seen() {
        let whole = file(TWO);
        let first_end = file(&TWO[..1]).len();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[at] ^= 1 << bit;
                let result = scan(&bad, "o");
                if at < first_end {
                    assert!(result.is_err(), "byte {at}: damage before a good frame");
                } else {
                    assert_eq!(result.unwrap().count, 2, "byte {at}: the last frame isn't taken");
                }
            }
        }
    }

    #[test]
    fn other_journals_orders_and_entries_are_refused() {
        assert!(scan(&file(TWO), "other").unwrap_err().contains("other"));
        assert!(scan(&file(&[TWO[0], TWO[0]]), "o").unwrap_err().contains("starts at entry 256, expected 258"));
        assert!(scan(&file(&[(256, b"\0\x05a")]), "o").unwrap_err().contains("does not divide"));
    }

    #[test]
    fn a_frame_inside_an_entry_does_not_pass_for_one() {
        let inner = frame(&[8; 16], 300, b"\0\x01x").unwrap();
        let mut payload = u16::try_from(inner.len()).unwrap().to_be_bytes().to_vec();
        payload.extend(inner);
        let whole = file(&[(256, &payload)]);
        let scan = scan(&whole[..whole.len() - 1], "o");
        assert_eq!(scan.unwrap().count, 0, "torn, though it holds the letters of a frame");
    }
}
