//! Arrays: PostgreSQL's binary form. Owns the shape; the elements are read and written as values of their own type.
//!
//! ```text
//! dimensions (4 bytes) | 1 where an element is NULL, else 0 (4) | element type OID (4)
//! of each dimension    length (4) | lower bound (4)
//! of each element      length (4) ‖ value, or -1 for NULL
//! ```
//! Arrays of varchar are stored as arrays of text, so that a column may change between the two.

use drieslot_schema::{Element, LogicalType};

use super::array_text::{self, Dimension};
use super::{Settings, ValueError};

/// `MAXDIM`
pub(super) const MAX_DIMENSIONS: usize = 6;
/// `MaxArraySize`
const MAX_ELEMENTS: usize = 0x3fff_ffff / 8;
const TEXT: u32 = LogicalType::Text.oid();
const VARCHAR: u32 = LogicalType::Varchar(None).oid();
/// Where the element type stands.
const OID_AT: std::ops::Range<usize> = 8..12;

/// The element type in the stored form.
fn stored_oid(element: Element) -> u32 {
    let oid = element.scalar().oid();
    if oid == VARCHAR { TEXT } else { oid }
}

fn is_text(element: Element) -> bool {
    matches!(element, Element::Text | Element::Varchar(_))
}

/// The element type that an array of a declared type must name; `None` where that type is not accepted.
pub(super) fn accepted(element: Element, oid: u32) -> Option<u32> {
    let own = LogicalType::Array(element);
    let texts = [LogicalType::Array(Element::Text), LogicalType::Array(Element::Varchar(None))];
    if oid == own.oid() {
        return Some(element.scalar().oid());
    }
    texts
        .into_iter()
        .find(|ty| ty.oid() == oid && is_text(element))
        .and_then(LogicalType::element)
        .map(LogicalType::oid)
}

pub(super) fn too_many_dimensions(count: impl std::fmt::Display) -> ValueError {
    let message = format!("number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMENSIONS})");
    ValueError::new("54000", message)
}

/// `array_in`
pub(super) fn encode_text(
    element: Element,
    text: &str,
    explicit_cast: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let array = array_text::parse(text)?;
    let items = array.items.iter().map(Option::as_deref);
    build(element, &array.dimensions, items, out, |text, out| {
        super::encode_text(element.scalar(), text, explicit_cast, settings, out)
    })
}

/// `array_recv`
pub(super) fn encode_binary(element: Element, oid: u32, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let array = read(bytes)?;
    if accepted(element, oid) != Some(array.oid) {
        let message = format!("binary data has array element type {} instead of the declared one", array.oid);
        return Err(ValueError::new("42804", message));
    }
    build(element, &array.dimensions, array.items.iter().copied(), out, |bytes, out| {
        super::encode_binary(element.scalar(), 0, bytes, out)
    })
}

/// Appends the stored form. On an error `out` is as before.
fn build<T>(
    element: Element,
    dimensions: &[Dimension],
    items: impl Iterator<Item = Option<T>> + Clone,
    out: &mut Vec<u8>,
    encode: impl Fn(T, &mut Vec<u8>) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    let start = out.len();
    let push = |value: i32, out: &mut Vec<u8>| out.extend_from_slice(&value.to_be_bytes());
    push(i32::try_from(dimensions.len()).unwrap_or(i32::MAX), out);
    push(i32::from(items.clone().any(|item| item.is_none())), out);
    out.extend_from_slice(&stored_oid(element).to_be_bytes());
    for dimension in dimensions {
        push(dimension.length, out);
        push(dimension.lower, out);
    }
    let mut value = Vec::new();
    for item in items {
        let Some(item) = item else {
            push(-1, out);
            continue;
        };
        value.clear();
        if let Err(error) = encode(item, &mut value) {
            out.truncate(start);
            return Err(error);
        }
        push(i32::try_from(value.len()).unwrap_or(i32::MAX), out);
        out.extend_from_slice(&value);
    }
    Ok(())
}

/// `ArrayGetNItems` and `ArrayCheckBounds`.
pub(super) fn check_size(dimensions: &[Dimension]) -> Result<usize, ValueError> {
    let too_large = || ValueError::new("54000", "array size or lower bound exceeds the maximum allowed");
    let mut count = usize::from(!dimensions.is_empty());
    for dimension in dimensions {
        let length = usize::try_from(dimension.length).map_err(|_| too_large())?;
        count = count.checked_mul(length).filter(|count| *count <= MAX_ELEMENTS).ok_or_else(too_large)?;
    }
    let fits = |dimension: &Dimension| dimension.lower.checked_add(dimension.length).is_some();
    if count > 0 && !dimensions.iter().all(fits) {
        return Err(too_large());
    }
    Ok(count)
}

/// An array in binary form, its elements not yet read.
struct Binary<'a> {
    oid: u32,
    has_nulls: bool,
    dimensions: Vec<Dimension>,
    items: Vec<Option<&'a [u8]>>,
}

fn malformed(message: &str) -> ValueError {
    ValueError::new("22P03", message)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn four(&mut self) -> Result<[u8; 4], ValueError> {
        let (four, rest) = self.0.split_first_chunk::<4>().ok_or_else(ValueError::short)?;
        self.0 = rest;
        Ok(*four)
    }

    fn int(&mut self) -> Result<i32, ValueError> {
        self.four().map(i32::from_be_bytes)
    }

    fn item(&mut self) -> Result<Option<&'a [u8]>, ValueError> {
        let length = self.int()?;
        if length == -1 {
            return Ok(None);
        }
        let split = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
        let (item, rest) = split.ok_or_else(|| malformed("insufficient data left in message"))?;
        self.0 = rest;
        Ok(Some(item))
    }
}

fn read(bytes: &[u8]) -> Result<Binary<'_>, ValueError> {
    let mut cursor = Cursor(bytes);
    let count = cursor.int()?;
    let dimension_count =
        usize::try_from(count).map_err(|_| malformed(&format!("invalid number of dimensions: {count}")))?;
    if dimension_count > MAX_DIMENSIONS {
        return Err(too_many_dimensions(count));
    }
    let flags = cursor.int()?;
    if flags != 0 && flags != 1 {
        return Err(malformed("invalid array flags"));
    }
    let oid = u32::from_be_bytes(cursor.four()?);
    let mut dimensions = Vec::with_capacity(dimension_count);
    for _ in 0..dimension_count {
        dimensions.push(Dimension { length: cursor.int()?, lower: cursor.int()? });
    }
    let mut items = Vec::new();
    for _ in 0..check_size(&dimensions)? {
        items.push(cursor.item()?);
    }
    if !cursor.0.is_empty() {
        return Err(malformed("incorrect binary data format"));
    }
    if items.is_empty() {
        dimensions.clear();
    }
    Ok(Binary { oid, has_nulls: flags == 1, dimensions, items })
}

/// Whether it is the one form in which [`build`] writes it.
pub(super) fn check_canonical(element: Element, canonical: &[u8]) -> Result<(), ValueError> {
    let corrupted = || ValueError::corrupted(LogicalType::Array(element));
    let array = read(canonical).map_err(|_| corrupted())?;
    let empty = array.items.is_empty();
    let shape = array.oid == stored_oid(element)
        && array.has_nulls == array.items.iter().any(Option::is_none)
        && (!empty || canonical.len() == OID_AT.end);
    if !shape {
        return Err(corrupted());
    }
    array.items.into_iter().flatten().try_for_each(|item| super::check_canonical(element.scalar(), item))
}

/// `array_send`, of a canonical plaintext.
pub(super) fn decode_binary(element: Element, canonical: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(canonical);
    if let Some(oid) = out.get_mut(start + OID_AT.start..start + OID_AT.end) {
        oid.copy_from_slice(&element.scalar().oid().to_be_bytes());
    }
}

/// `array_out`, of a canonical plaintext.
pub(super) fn decode_text(
    element: Element,
    canonical: &[u8],
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let array = read(canonical)?;
    let mut texts = Vec::with_capacity(array.items.len());
    for item in array.items {
        texts.push(match item {
            None => None,
            Some(item) => {
                let mut text = Vec::new();
                super::decode_text(element.scalar(), item, settings, &mut text)?;
                Some(text)
            }
        });
    }
    array_text::write(&array.dimensions, &texts, out);
    Ok(())
}
