//! COPY TO STDOUT: the processor's rows with their cells opened, written as PostgreSQL writes values.

use bytes::BytesMut;
use drieslot_wire::{self as wire, BinarySplit};

use super::{CopyShape, FieldShape, malformed};
use crate::refusal::Refusal;
use crate::session::cells::{Cells, Column, unhex};

/// COPY TO STDOUT under way.
pub(in crate::session) struct CopyOut {
    shape: CopyShape,
    binary: wire::BinaryRows,
    /// The header line is still to come.
    header: bool,
    cell: Vec<u8>,
    value: Vec<u8>,
    out: Vec<u8>,
}

impl CopyOut {
    pub(in crate::session) fn new(shape: CopyShape) -> Self {
        let (binary, header) = (wire::BinaryRows::new(shape.fields.len()), shape.header);
        Self { shape, binary, header, cell: Vec::new(), value: Vec::new(), out: Vec::new() }
    }

    /// Opens one CopyData message, which holds whole rows; how many rows it held.
    pub(in crate::session) fn data(
        &mut self,
        chunk: &[u8],
        cells: &mut Cells,
        to: &mut BytesMut,
    ) -> Result<u64, Refusal> {
        self.out.clear();
        let rows = if self.shape.dialect.is_none() {
            self.binary(chunk, cells)?
        } else if std::mem::take(&mut self.header) {
            self.out.extend_from_slice(chunk);
            0
        } else {
            self.line(chunk, cells)?;
            1
        };
        wire::put_frame(to, b'd', |to| to.extend_from_slice(&self.out));
        Ok(rows)
    }

    fn line(&mut self, chunk: &[u8], cells: &mut Cells) -> Result<(), Refusal> {
        let Self { shape, cell, value, out, .. } = self;
        let Some(dialect) = &shape.dialect else { return Err(Refusal::internal("COPY without its format")) };
        let alone = shape.fields.len() == 1;
        let mut fields = wire::CopyFields::new(chunk.strip_suffix(b"\n").unwrap_or(chunk), dialect);
        for (index, shape) in shape.fields.iter().enumerate() {
            let field = fields.next_field().map_err(malformed)?.ok_or_else(wrong_width)?;
            if index > 0 {
                out.push(dialect.delimiter);
            }
            match &shape.column {
                Some(column) if field.raw != dialect.null => {
                    cell.clear();
                    let digits = field.raw.strip_prefix(if dialect.csv.is_some() { &b""[..] } else { b"\\" });
                    unhex(digits.unwrap_or_default(), cell)?;
                    value.clear();
                    cells.open(column, None, cell, 0, value)?;
                    dialect.put(value, shape.force_quote, alone, out);
                }
                Some(_) | None => out.extend_from_slice(field.raw),
            }
        }
        if fields.next_field().map_err(malformed)?.is_some() {
            return Err(wrong_width());
        }
        out.push(b'\n');
        Ok(())
    }

    fn binary(&mut self, chunk: &[u8], cells: &mut Cells) -> Result<u64, Refusal> {
        let (mut used, mut rows) = (0, 0);
        while let Some(rest) = chunk.get(used..).filter(|rest| !rest.is_empty()) {
            let next = match self.binary.split(rest, true).map_err(malformed)? {
                BinarySplit::Header { next } => {
                    self.out.extend_from_slice(rest.get(..next).unwrap_or_default());
                    next
                }
                BinarySplit::Trailer => {
                    self.out.extend_from_slice(rest.get(..2).unwrap_or_default());
                    2
                }
                BinarySplit::Row { next } => {
                    self.binary_row(rest.get(..next).unwrap_or_default(), cells)?;
                    rows += 1;
                    next
                }
                BinarySplit::More => return Err(wrong_width()),
            };
            used += next;
        }
        Ok(rows)
    }

    fn binary_row(&mut self, row: &[u8], cells: &mut Cells) -> Result<(), Refusal> {
        let Self { shape, value, out, .. } = self;
        out.extend_from_slice(row.get(..2).unwrap_or_default());
        let mut fields = wire::BinaryFields::new(row);
        for FieldShape { column, .. } in &shape.fields {
            let field = fields.next_field().map_err(malformed)?;
            match (column, field.value) {
                (Some(column), Some(cell)) => open_binary(column, cell, cells, value, out)?,
                (Some(_) | None, _) => out.extend_from_slice(field.raw),
            }
        }
        Ok(())
    }
}

fn open_binary(
    column: &Column,
    cell: &[u8],
    cells: &mut Cells,
    value: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    value.clear();
    cells.open(column, None, cell, 1, value)?;
    let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

fn wrong_width() -> Refusal {
    Refusal::internal("the processor's COPY rows do not have the columns that were planned")
}
