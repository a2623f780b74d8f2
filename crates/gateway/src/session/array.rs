//! Arrays of values on the way to arrays of cells, in text and binary form, of one dimension.

use std::fmt::Write as _;

use bytes::BufMut;
use drieslot_sql::CellSlot;
use drieslot_wire as wire;

use super::cells::{Cells, Column, Input, given, hex};
use crate::refusal::Refusal;

pub(crate) const BYTEA_OID: u32 = 17;
pub(crate) const BYTEA_ARRAY_OID: u32 = 1001;

/// One cell for each value; `None` for NULL.
pub(super) type CellArray = Vec<Option<Vec<u8>>>;

fn dimensions(column: &Column) -> Refusal {
    Refusal::new("0A000", format!("an array for column {} cannot be read", column.id()))
        .hint("Send an array of one dimension that begins at 1.")
}

/// An array in text form.
pub(super) fn seal_text(cells: &mut Cells, column: &Column, slot: &CellSlot, text: &str) -> Result<CellArray, Refusal> {
    let elements = drieslot_sql::array_elements(text).ok_or_else(|| dimensions(column))?;
    let seal = |element: Option<String>| {
        let Some(text) = element else { return Ok(None) };
        let mut cell = Vec::new();
        cells.seal(column, given(slot, 0), Input::Text(text.as_bytes()), &mut cell)?;
        Ok(Some(cell))
    };
    elements.into_iter().map(seal).collect()
}

/// An array in binary form.
pub(super) fn seal_binary(
    cells: &mut Cells,
    column: &Column,
    slot: &CellSlot,
    bytes: &[u8],
) -> Result<CellArray, Refusal> {
    let (oid, elements) = elements(bytes).map_err(Refusal::protocol)?.ok_or_else(|| dimensions(column))?;
    let seal = |element: Option<&[u8]>| {
        let Some(bytes) = element else { return Ok(None) };
        let mut cell = Vec::new();
        cells.seal(column, given(slot, oid), Input::Binary(bytes), &mut cell)?;
        Ok(Some(cell))
    };
    elements.into_iter().map(seal).collect()
}

/// The elements' type, and the elements; `None` for more than one dimension.
type Elements<'a> = Option<(u32, Vec<Option<&'a [u8]>>)>;

fn elements(bytes: &[u8]) -> Result<Elements<'_>, wire::WireError> {
    let mut cursor = wire::Cursor::new(bytes);
    let dimensions = cursor.i32()?;
    let _has_nulls = cursor.i32()?;
    let oid = cursor.u32()?;
    if dimensions == 0 {
        return Ok(Some((oid, Vec::new())));
    }
    if dimensions != 1 {
        return Ok(None);
    }
    let (count, _lower_bound) = (cursor.i32()?, cursor.i32()?);
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(cursor.value()?);
    }
    cursor.finish()?;
    Ok(Some((oid, found)))
}

/// Appends the cells as a `bytea[]` in binary form.
pub(super) fn put_binary(cells: &CellArray, out: &mut Vec<u8>) {
    put_array(BYTEA_OID, cells.iter().map(Option::as_deref), out);
}

/// Appends an array of one dimension in binary form; `None` for NULL.
pub(crate) fn put_array<'v>(
    oid: u32,
    values: impl ExactSizeIterator<Item = Option<&'v [u8]>> + Clone,
    out: &mut Vec<u8>,
) {
    let length = |len: usize| i32::try_from(len).unwrap_or(i32::MAX);
    let count = length(values.len());
    out.put_i32(i32::from(count > 0));
    out.put_i32(i32::from(values.clone().any(|value| value.is_none())));
    out.put_u32(oid);
    if count > 0 {
        out.put_i32(count);
        out.put_i32(1);
    }
    for value in values {
        match value {
            None => out.put_i32(-1),
            Some(value) => {
                out.put_i32(length(value.len()));
                out.put_slice(value);
            }
        }
    }
}

/// Cells as an SQL expression; `None` for NULL.
pub(super) fn expression<'c>(cells: impl IntoIterator<Item = Option<&'c [u8]>>) -> String {
    let mut out = String::from("'{");
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match cell {
            None => out.push_str("NULL"),
            Some(cell) => {
                let mut digits = Vec::with_capacity(cell.len() * 2);
                hex(cell, &mut digits);
                let _ = write!(out, "\"\\\\x{}\"", String::from_utf8_lossy(&digits));
            }
        }
    }
    out.push_str("}'::pg_catalog.bytea[]");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_and_written_as_postgresql_does() {
        let cells = vec![Some(vec![0x12, 0xff]), None];
        assert_eq!(expression(cells.iter().map(Option::as_deref)), r#"'{"\\x12ff",NULL}'::pg_catalog.bytea[]"#);
        let mut out = Vec::new();
        put_binary(&cells, &mut out);
        let read = elements(&out).ok().flatten();
        assert_eq!(read, Some((17, vec![Some(&[0x12, 0xff][..]), None])));
        assert_eq!(elements(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23]).ok().flatten(), Some((23, Vec::new())));
        let two = [[0, 0, 0, 2], [0; 4], [0, 0, 0, 23]].concat();
        assert_eq!(elements(&two).ok().flatten(), None);
        assert!(elements(&out[..out.len() - 1]).is_err());
    }
}
