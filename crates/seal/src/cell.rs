//! The bytes of a cell: header, then what AES-256-GCM-SIV ([RFC 8452](https://www.rfc-editor.org/rfc/rfc8452)) makes
//! of a canonical plaintext. `docs/format.md` is normative.
//!
//! ```text
//! header  version (high nibble) | protection (low nibble), epoch (2 bytes, big-endian)
//! sealed  header ‖ nonce 12 ‖ ciphertext ‖ tag 16
//! exact   header ‖ tag 16 ‖ ciphertext               nonce all zero: a deterministic AEAD
//! search  header ‖ length 3 ‖ tokens ‖ the rest of one of the first two; the tokens are associated data
//! ordered header ‖ order code ‖ tag 16 ‖ ciphertext  nonce all zero; the code is associated data
//! ```

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{Aad, Nonce};
use drieslot_schema::{ColumnId, LogicalType, Protected, Protection};
use zeroize::Zeroizing;

use crate::context::push_part;
use crate::nonces::NONCE_LEN;
use crate::{CellKey, Nonces, SealError, order, padding, search};

/// The format version that this crate writes and reads.
pub const VERSION: u8 = 1;

/// The longest canonical plaintext that a cell holds: 256 MiB.
pub const MAX_VALUE_LEN: usize = 256 << 20;

const HEADER_LEN: usize = 3;
const TAG_LEN: usize = 16;
/// In a header: the cell holds tokens.
const SEARCH: u8 = 8;
/// Bytes of the length of the tokens.
const LENGTH_LEN: usize = 3;

/// Seals and opens the cells of one column in one epoch.
pub struct ColumnCipher {
    key: Arc<CellKey>,
    protection: Protection,
    search: bool,
    ty: LogicalType,
    header: [u8; HEADER_LEN],
    aad: Vec<u8>,
}

impl ColumnCipher {
    /// Binds a domain's key to one of its columns.
    ///
    /// # Errors
    /// `WrongDomain` where the key is not of the column's domain; `NameTooLong`.
    pub fn new(key: Arc<CellKey>, column: &Protected) -> Result<Self, SealError> {
        let context = key.context();
        if context.domain != column.domain {
            return Err(SealError::WrongDomain {
                column: Box::new(column.id.clone()),
                wanted: column.domain.clone(),
                given: context.domain.clone(),
            });
        }
        let [high, low] = context.epoch.to_be_bytes();
        let header = [(VERSION << 4) | protection_code(column.protection, column.search), high, low];
        let aad = associated_data(&key, column)?;
        Ok(Self { key, protection: column.protection, search: column.search, ty: column.ty, header, aad })
    }

    /// The column's type, whose canonical plaintext [`crate::values`] makes and reads.
    pub fn ty(&self) -> LogicalType {
        self.ty
    }

    /// Whether cells of equal values are equal, and so compared by the processor.
    pub fn is_compared(&self) -> bool {
        self.protection.shows_equality()
    }

    /// The epoch whose cells this opens and makes.
    pub fn epoch(&self) -> u16 {
        self.key.context().epoch
    }

    /// What stands for a value of a column where somebody may not know it: the same for the same value, column and purpose,
    /// within the key's epoch. As a text 32 hexadecimal digits, as a uuid those of version 8 (RFC 9562); see `docs/format.md`.
    ///
    /// # Errors
    /// `NameTooLong`.
    pub fn pseudonym(
        &self,
        column: &ColumnId,
        purpose: &str,
        canonical: &[u8],
        as_uuid: bool,
    ) -> Result<Vec<u8>, SealError> {
        let ColumnId { table, column } = column;
        let tenant = &self.key.context().tenant;
        let mut data = Zeroizing::new(Vec::new());
        for part in [tenant, &table.schema, &table.table, column] {
            push_part(&mut data, part.as_bytes())?;
        }
        push_part(&mut data, purpose.as_bytes())?;
        push_part(&mut data, canonical)?;
        let whole = self.key.pseudonym(&data);
        let mut bytes: Vec<u8> = whole.iter().copied().take(16).collect();
        if as_uuid {
            if let Some(version) = bytes.get_mut(6) {
                *version = (*version & 0x0f) | 0x80;
            }
            if let Some(variant) = bytes.get_mut(8) {
                *variant = (*variant & 0x3f) | 0x80;
            }
            return Ok(bytes);
        }
        Ok(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect())
    }

    /// The tokens that the cell of every value that a search matches has.
    ///
    /// # Errors
    /// `Library`.
    pub fn tokens(&self, search: &search::Search) -> Result<Vec<String>, SealError> {
        search.tokens(&self.key)
    }

    /// Appends the cell of a canonical plaintext to `out`, which is left as it was on an error.
    ///
    /// # Errors
    /// `TooLong`, `NoRandomness`, `Library`.
    pub fn seal(&self, canonical: &[u8], nonces: &mut Nonces, out: &mut Vec<u8>) -> Result<(), SealError> {
        let start = out.len();
        let sealed = self.seal_at_end(canonical, nonces, out);
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed
    }

    fn seal_at_end(&self, canonical: &[u8], nonces: &mut Nonces, out: &mut Vec<u8>) -> Result<(), SealError> {
        let too_long = SealError::TooLong { len: canonical.len(), max: MAX_VALUE_LEN };
        if canonical.len() > MAX_VALUE_LEN {
            return Err(too_long);
        }
        let padded_len =
            if is_padded(self.ty) { padding::class_of(canonical.len()).ok_or(too_long)? } else { canonical.len() };
        out.reserve(HEADER_LEN + NONCE_LEN + padded_len + TAG_LEN);
        out.extend_from_slice(&self.header);
        let front = out.len();
        if self.protection == Protection::Ordered {
            order::push_code(self.key.order_code(), self.ty, canonical, out)?;
        }
        if self.search {
            self.push_tokens(canonical, out)?;
        }
        let aad = self.associated_with(out.get(front..).unwrap_or_default())?;
        let before = out.len();
        let nonce = match self.protection {
            Protection::Sealed => nonces.next()?,
            Protection::Exact | Protection::Ordered => [0; NONCE_LEN],
        };
        match self.protection {
            Protection::Sealed => out.extend_from_slice(&nonce),
            Protection::Exact | Protection::Ordered => out.extend_from_slice(&[0; TAG_LEN]),
        }
        let body = out.len();
        out.extend_from_slice(canonical);
        if is_padded(self.ty) {
            padding::pad(out, body, padded_len);
        }
        let plaintext = out.get_mut(body..).ok_or(SealError::Library)?;
        let tag = self
            .key
            .for_protection(self.protection)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*aad), plaintext)
            .map_err(|_| SealError::Library)?;
        match self.protection {
            Protection::Sealed => out.extend_from_slice(tag.as_ref()),
            Protection::Exact | Protection::Ordered => {
                out.get_mut(before..body).ok_or(SealError::Library)?.copy_from_slice(tag.as_ref());
            }
        }
        Ok(())
    }

    /// The length of the tokens, and the tokens.
    fn push_tokens(&self, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let value = std::str::from_utf8(canonical).map_err(|_| SealError::NoText)?;
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_LEN]);
        search::push_tokens(self.key.search(), value, out)?;
        let len = u32::try_from(out.len() - start - LENGTH_LEN).map_err(|_| SealError::Library)?;
        let [_, bytes @ ..] = len.to_be_bytes();
        out.get_mut(start..start + LENGTH_LEN).ok_or(SealError::Library)?.copy_from_slice(&bytes);
        Ok(())
    }

    /// The front part of a cell behind its header, order code or tokens, and the rest.
    fn split_front<'cell>(&self, body: &'cell [u8]) -> Result<(&'cell [u8], &'cell [u8]), SealError> {
        let len = if self.search {
            let (bytes, _) = body.split_first_chunk::<LENGTH_LEN>().ok_or(SealError::NotACell)?;
            bytes.iter().fold(0, |len, byte| (len << 8) | usize::from(*byte)) + LENGTH_LEN
        } else if self.protection == Protection::Ordered {
            order::code_len(self.ty).ok_or(SealError::NotOrdered)?
        } else {
            0
        };
        body.split_at_checked(len).ok_or(SealError::NotACell)
    }

    /// The column's associated data, with the front part of one cell where it has one: it cannot be exchanged.
    fn associated_with(&self, front: &[u8]) -> Result<Cow<'_, [u8]>, SealError> {
        if front.is_empty() {
            return Ok(Cow::Borrowed(&self.aad));
        }
        let mut aad = self.aad.clone();
        push_part(&mut aad, front)?;
        Ok(Cow::Owned(aad))
    }

    /// Appends the canonical plaintext of a cell to `out`, which is left as it was on an error.
    ///
    /// # Errors
    /// `NotACell`, `UnknownVersion`, `WrongProtection`, `OtherEpoch`; `Refused` for everything that does not
    /// authenticate, whatever the cause.
    pub fn open(&self, cell: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let body = self.body_of(cell)?;
        let (front, body) = self.split_front(body)?;
        let aad = self.associated_with(front)?;
        let (nonce, tag, ciphertext) = match self.protection {
            Protection::Sealed => {
                let (nonce, rest) = body.split_first_chunk::<NONCE_LEN>().ok_or(SealError::NotACell)?;
                let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(SealError::NotACell)?;
                (*nonce, tag, ciphertext)
            }
            Protection::Exact | Protection::Ordered => {
                let (tag, ciphertext) = body.split_first_chunk::<TAG_LEN>().ok_or(SealError::NotACell)?;
                ([0; NONCE_LEN], tag, ciphertext)
            }
        };
        let start = out.len();
        out.resize(start + ciphertext.len(), 0);
        let opened = match out.get_mut(start..) {
            None => Err(SealError::Library),
            Some(plaintext) => self.decrypt(nonce, &aad, (tag, ciphertext), plaintext),
        };
        match opened {
            Ok(len) => out.truncate(start + len),
            Err(_) => out.truncate(start),
        }
        opened.map(|_| ())
    }

    /// Checks the header and gives what follows it.
    fn body_of<'cell>(&self, cell: &'cell [u8]) -> Result<&'cell [u8], SealError> {
        let (header, body) = cell.split_first_chunk::<HEADER_LEN>().ok_or(SealError::NotACell)?;
        let [first, high, low] = *header;
        if first >> 4 != VERSION {
            return Err(SealError::UnknownVersion { found: first >> 4 });
        }
        if first & 0x0f != protection_code(self.protection, self.search) {
            return Err(SealError::WrongProtection { expected: self.protection, found: first & 0x0f });
        }
        let found = u16::from_be_bytes([high, low]);
        if found != self.epoch() {
            return Err(SealError::OtherEpoch { expected: self.epoch(), found });
        }
        Ok(body)
    }

    /// Gives the length of the value within `plaintext`.
    fn decrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        (tag, ciphertext): (&[u8; TAG_LEN], &[u8]),
        plaintext: &mut [u8],
    ) -> Result<usize, SealError> {
        self.key
            .for_protection(self.protection)
            .open_separate_gather(Nonce::assume_unique_for_key(nonce), Aad::from(aad), ciphertext, tag, plaintext)
            .map_err(|_| SealError::Refused)?;
        if is_padded(self.ty) {
            padding::unpadded_len(plaintext).ok_or(SealError::Refused)
        } else {
            Ok(plaintext.len())
        }
    }
}

impl fmt::Debug for ColumnCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColumnCipher({:?}, {}, {}, …)", self.key.context(), self.protection, self.ty)
    }
}

/// The epoch in a cell's header, to choose the key that opens it. It is not authenticated until the cell is opened.
///
/// # Errors
/// `NotACell`, `UnknownVersion`.
pub fn epoch_of(cell: &[u8]) -> Result<u16, SealError> {
    match cell {
        [first, high, low, ..] if first >> 4 == VERSION => Ok(u16::from_be_bytes([*high, *low])),
        [first, _, _, ..] => Err(SealError::UnknownVersion { found: first >> 4 }),
        _ => Err(SealError::NotACell),
    }
}

/// Length-prefixed: tenant, domain, protection, epoch, type; for `sealed` also schema, table and column, so that a
/// cell cannot be moved. Exact and ordered cells of a domain must be equal across its columns, and cannot be bound to one.
fn associated_data(key: &CellKey, column: &Protected) -> Result<Vec<u8>, SealError> {
    let context = key.context();
    let mut out = Vec::new();
    push_part(&mut out, context.tenant.as_bytes())?;
    push_part(&mut out, context.domain.0.as_bytes())?;
    push_part(&mut out, &[protection_code(column.protection, column.search)])?;
    push_part(&mut out, &context.epoch.to_be_bytes())?;
    push_part(&mut out, &[type_code(column.ty)])?;
    if column.protection == Protection::Sealed {
        push_part(&mut out, column.id.table.schema.as_bytes())?;
        push_part(&mut out, column.id.table.table.as_bytes())?;
        push_part(&mut out, column.id.column.as_bytes())?;
    }
    Ok(out)
}

/// The low four bits of a header.
fn protection_code(protection: Protection, search: bool) -> u8 {
    let code = match protection {
        Protection::Sealed => 1,
        Protection::Exact => 2,
        Protection::Ordered => 3,
    };
    if search { code | SEARCH } else { code }
}

/// One code per family: text and varchar(n) are one, so that an exact domain may mix them.
fn type_code(ty: LogicalType) -> u8 {
    match ty {
        LogicalType::Bool => 1,
        LogicalType::Int2 => 2,
        LogicalType::Int4 => 3,
        LogicalType::Int8 => 4,
        LogicalType::Numeric(_) => 5,
        LogicalType::Text | LogicalType::Varchar(_) => 6,
        LogicalType::Date => 7,
        LogicalType::Timestamp => 8,
        LogicalType::Timestamptz => 9,
        LogicalType::Uuid => 10,
        LogicalType::Float4 => 11,
        LogicalType::Float8 => 12,
        LogicalType::Bpchar(_) => 13,
        LogicalType::Bytea => 14,
        LogicalType::Time => 15,
        LogicalType::Interval => 16,
        LogicalType::Json => 17,
        LogicalType::Jsonb => 18,
        LogicalType::Inet => 19,
        LogicalType::Cidr => 20,
        LogicalType::Enum(_) => 21,
        LogicalType::Array(element) => ARRAY | type_code(element.scalar()),
    }
}

/// In a type code: an array of the type that the rest says.
const ARRAY: u8 = 128;

/// Whether a type's values vary in length, and are padded.
fn is_padded(ty: LogicalType) -> bool {
    match ty {
        LogicalType::Numeric(_)
        | LogicalType::Text
        | LogicalType::Varchar(_)
        | LogicalType::Bpchar(_)
        | LogicalType::Bytea
        | LogicalType::Json
        | LogicalType::Jsonb
        | LogicalType::Inet
        | LogicalType::Cidr
        | LogicalType::Array(_)
        | LogicalType::Enum(_) => true,
        LogicalType::Bool
        | LogicalType::Int2
        | LogicalType::Int4
        | LogicalType::Int8
        | LogicalType::Float4
        | LogicalType::Float8
        | LogicalType::Date
        | LogicalType::Time
        | LogicalType::Timestamp
        | LogicalType::Timestamptz
        | LogicalType::Uuid
        | LogicalType::Interval => false,
    }
}
