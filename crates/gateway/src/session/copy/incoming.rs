//! COPY FROM STDIN: the client's rows in the client's format, with cells in place of protected values.

use bytes::BytesMut;
use drieslot_seal::values::Given;
use drieslot_wire::{self as wire, BinarySplit, Split};

use super::{CopyShape, FieldShape, MAX_ROW_BYTES, malformed};
use crate::refusal::Refusal;
use crate::session::cells::{Cells, Column, Input, hex};

/// COPY FROM STDIN under way.
pub(in crate::session) struct CopyIn {
    shape: CopyShape,
    splitter: Splitter,
    /// The beginning of a row that is not whole yet.
    partial: Vec<u8>,
    row_number: u64,
    scratch: Scratch,
    /// Rows that are ready for the processor.
    out: Vec<u8>,
}

enum Splitter {
    /// `ended`: nothing that follows is looked at, because of the marker or of a row that the processor will refuse.
    Lines {
        rows: wire::CopyRows,
        ended: bool,
    },
    Binary(wire::BinaryRows),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Whole,
    /// Fields are missing, of which the processor will complain.
    Short,
}

/// Reused between fields.
#[derive(Default)]
struct Scratch {
    value: Vec<u8>,
    cell: Vec<u8>,
}

impl CopyIn {
    pub(in crate::session) fn new(shape: CopyShape) -> Self {
        let splitter = match &shape.dialect {
            Some(dialect) => Splitter::Lines { rows: wire::CopyRows::new(dialect), ended: false },
            None => Splitter::Binary(wire::BinaryRows::new(shape.fields.len())),
        };
        Self { shape, splitter, partial: Vec::new(), row_number: 0, scratch: Scratch::default(), out: Vec::new() }
    }

    /// Takes a chunk and appends a CopyData message with the rows that it completed. On an error everything before the
    /// wrong field is there, so that what the processor says of it comes first.
    pub(in crate::session) fn data(
        &mut self,
        chunk: &[u8],
        cells: &mut Cells,
        to: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let taken = if self.partial.is_empty() {
            let taken = self.rows(chunk, false, cells);
            if let Ok(used) = taken {
                self.partial.extend_from_slice(chunk.get(used..).unwrap_or_default());
            }
            taken
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(chunk);
            let taken = self.rows(&partial, false, cells);
            if let Ok(used) = taken {
                partial.drain(..used);
            }
            self.partial = partial;
            taken
        };
        self.send(to);
        if self.partial.len() > MAX_ROW_BYTES {
            return Err(Refusal::new("54000", format!("a COPY row is longer than {MAX_ROW_BYTES} bytes")));
        }
        taken.map(drop)
    }

    /// The client is done: the last row may lack its line end.
    pub(in crate::session) fn done(&mut self, cells: &mut Cells, to: &mut BytesMut) -> Result<(), Refusal> {
        let partial = std::mem::take(&mut self.partial);
        let taken = self.rows(&partial, true, cells);
        self.send(to);
        taken.map(drop)
    }

    fn send(&mut self, to: &mut BytesMut) {
        if !self.out.is_empty() {
            wire::put_frame(to, b'd', |to| to.extend_from_slice(&self.out));
            self.out.clear();
        }
    }

    /// Handles the whole rows at the front of `bytes`; how many bytes they were.
    fn rows(&mut self, bytes: &[u8], last: bool, cells: &mut Cells) -> Result<usize, Refusal> {
        let Self { shape, splitter, row_number, scratch, out, .. } = self;
        let placed = |refusal: Refusal, number: u64| {
            let place = format!("COPY {}, line {number}.", shape.table);
            let detail = refusal.detail.as_deref().map_or(place.clone(), |detail| format!("{place} {detail}"));
            refusal.detail(detail)
        };
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let taken = match splitter {
                Splitter::Lines { ended: true, .. } => return Ok(bytes.len()),
                Splitter::Lines { .. } if rest.is_empty() => return Ok(used),
                Splitter::Lines { rows, ended } => {
                    *row_number += 1;
                    match rows.split(rest, last) {
                        Ok(Split::Row { len, next }) => {
                            let header = shape.header && *row_number == 1;
                            shape.line(rest, (len, next), header, cells, scratch, out).map(|row| {
                                *ended = row == Row::Short;
                                Some(next)
                            })
                        }
                        Ok(Split::End) => {
                            *ended = true;
                            Ok(Some(0))
                        }
                        Ok(Split::More) => {
                            *row_number -= 1;
                            Ok(None)
                        }
                        Err(error) => Err(malformed(error)),
                    }
                }
                Splitter::Binary(rows) => match rows.split(rest, last) {
                    Ok(BinarySplit::Header { next }) => {
                        out.extend_from_slice(rest.get(..next).unwrap_or_default());
                        Ok(Some(next))
                    }
                    Ok(BinarySplit::Row { next }) => {
                        *row_number += 1;
                        let row = rest.get(..next).unwrap_or_default();
                        shape.binary_row(row, cells, scratch, out).map(|()| Some(next))
                    }
                    Ok(BinarySplit::Trailer) => {
                        out.extend_from_slice(rest.get(..2).unwrap_or_default());
                        Ok(Some(2))
                    }
                    Ok(BinarySplit::More) => Ok(None),
                    Err(error) => Err(malformed(error)),
                },
            };
            match taken {
                Ok(Some(next)) => used += next,
                Ok(None) => return Ok(used),
                Err(refusal) => return Err(placed(refusal, *row_number)),
            }
        }
    }
}

impl CopyShape {
    /// A row of the text or csv format, and its line end as it is.
    fn line(
        &self,
        bytes: &[u8],
        (len, next): (usize, usize),
        header: bool,
        cells: &mut Cells,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Row, Refusal> {
        let (row, line) = (bytes.get(..len).unwrap_or_default(), bytes.get(..next).unwrap_or_default());
        let Some(dialect) = &self.dialect else { return Err(Refusal::internal("COPY without its format")) };
        if header {
            out.extend_from_slice(line);
            return Ok(Row::Whole);
        }
        let start = out.len();
        let mut fields = wire::CopyFields::new(row, dialect);
        let (written, sealed) = self.fields(&mut fields, dialect, cells, scratch, out);
        if (sealed.is_err() || fields.count() != Ok(0))
            && let Err(refusal) = self.whole(row, dialect)
        {
            out.truncate(start);
            return Err(refusal);
        }
        if written > 0 {
            out.extend_from_slice(line.get(len..).unwrap_or_default());
        }
        sealed
    }

    /// What PostgreSQL looks at before the first value of a row.
    fn whole(&self, row: &[u8], dialect: &wire::CopyDialect) -> Result<(), Refusal> {
        if row.contains(&0) || std::str::from_utf8(row).is_err() {
            return Err(Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""));
        }
        if wire::CopyFields::new(row, dialect).count().map_err(malformed)? > self.fields.len() {
            return Err(Refusal::new("22P04", "extra data after last expected column"));
        }
        Ok(())
    }

    /// Writes the fields in order, up to the first that is missing or that cannot be sealed, and counts them: what the
    /// processor has to say of those comes first.
    fn fields(
        &self,
        fields: &mut wire::CopyFields<'_>,
        dialect: &wire::CopyDialect,
        cells: &mut Cells,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> (usize, Result<Row, Refusal>) {
        for (index, shape) in self.fields.iter().enumerate() {
            let field = match fields.next_field() {
                Ok(Some(field)) => field,
                Ok(None) => return (index, Ok(Row::Short)),
                Err(error) => return (index, Err(malformed(error))),
            };
            let before = out.len();
            if index > 0 {
                out.push(dialect.delimiter);
            }
            match &shape.column {
                None => out.extend_from_slice(field.raw),
                Some(column) => {
                    if let Err(refusal) = shape.seal(column, &field, dialect, cells, scratch, out) {
                        out.truncate(before);
                        return (index, Err(refusal));
                    }
                }
            }
        }
        (self.fields.len(), Ok(Row::Whole))
    }

    fn binary_row(
        &self,
        row: &[u8],
        cells: &mut Cells,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let start = out.len();
        out.extend_from_slice(row.get(..2).unwrap_or_default());
        let mut fields = wire::BinaryFields::new(row);
        for shape in &self.fields {
            let field = fields.next_field().map_err(malformed)?;
            let (Some(column), Some(value)) = (&shape.column, field.value) else {
                out.extend_from_slice(field.raw);
                continue;
            };
            scratch.cell.clear();
            if let Err(refusal) = cells.seal(column, Given::default(), Input::Binary(value), &mut scratch.cell) {
                out.truncate(start);
                return Err(refusal);
            }
            let length = i32::try_from(scratch.cell.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&scratch.cell);
        }
        Ok(())
    }
}

impl FieldShape {
    /// A protected field of the text or csv format. The processor is not told of FORCE_NULL and FORCE_NOT_NULL.
    fn seal(
        &self,
        column: &Column,
        field: &wire::CopyField<'_>,
        dialect: &wire::CopyDialect,
        cells: &mut Cells,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let Scratch { value, cell } = scratch;
        let is_null = field.raw == dialect.null;
        if is_null && !self.force_not_null || dialect.default.as_deref() == Some(field.raw) {
            out.extend_from_slice(field.raw);
            return Ok(());
        }
        let value = field.value(dialect, value);
        if self.force_null && !is_null && value == dialect.null {
            out.extend_from_slice(&dialect.null);
            return Ok(());
        }
        cell.clear();
        cells.seal(column, Given::default(), Input::Text(value), cell)?;
        out.extend_from_slice(if dialect.csv.is_some() { b"\\x" } else { b"\\\\x" });
        hex(cell, out);
        Ok(())
    }
}
