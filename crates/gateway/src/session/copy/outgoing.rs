//! COPY TO STDOUT: the processor's rows with their cells opened, written as PostgreSQL writes values.

use bytes::BytesMut;
use drieslot_wire::{self as wire, BinarySplit};

use super::{CopyShape, FieldShape, malformed};
use crate::refusal::Refusal;
use crate::session::cells::{Cells, Column, unhex};
use crate::session::expect::Look;
use crate::session::subjects::{RowSubjects, Seen};

/// COPY TO STDOUT under way.
pub(in crate::session) struct CopyOut {
    shape: CopyShape,
    /// How many of the processor's fields the client gets; those behind are for the trace.
    shown: usize,
    subjects: Option<RowSubjects>,
    binary: wire::BinaryRows,
    /// The header line is still to come.
    header: bool,
    cell: Vec<u8>,
    value: Vec<u8>,
    subject: Vec<u8>,
    out: Vec<u8>,
}

impl CopyOut {
    /// Of so many fields at the end that the client is not shown.
    pub(in crate::session) fn new(shape: CopyShape, hidden: usize, subjects: Option<RowSubjects>) -> Self {
        let (binary, header) = (wire::BinaryRows::new(shape.fields.len()), shape.header);
        let shown = shape.fields.len().saturating_sub(hidden);
        let (cell, value, subject, out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { shape, shown, subjects, binary, header, cell, value, subject, out }
    }

    /// The processor's message that rows begin, with the columns that the client gets.
    pub(in crate::session) fn start(&self, message: &[u8]) -> Result<BytesMut, Refusal> {
        let body = message.get(wire::Frame::HEAD..).unwrap_or_default();
        let fields = self.shape.fields.len();
        let (Some(format), 3) = (body.first(), body.len().saturating_sub(2 * fields)) else {
            return Err(wrong_width());
        };
        let shown = i16::try_from(self.shown).map_err(|_| wrong_width())?;
        let mut out = BytesMut::new();
        wire::put_frame(&mut out, b'H', |out| {
            out.extend_from_slice(&[*format]);
            out.extend_from_slice(&shown.to_be_bytes());
            out.extend_from_slice(body.get(3..3 + 2 * self.shown).unwrap_or_default());
        });
        Ok(out)
    }

    /// Opens one CopyData message, which holds whole rows; how many rows it held.
    pub(in crate::session) fn data(
        &mut self,
        chunk: &[u8],
        look: Option<&mut Look>,
        cells: &mut Cells,
        to: &mut BytesMut,
    ) -> Result<u64, Refusal> {
        let Some(Look { seen, .. }) = look else {
            return Err(Refusal::internal("a protected row of a statement that leaves no trace"));
        };
        self.out.clear();
        let rows = if self.shape.dialect.is_none() {
            self.binary(chunk, seen, cells)?
        } else if std::mem::take(&mut self.header) {
            self.names(chunk)?;
            0
        } else {
            self.line(chunk, seen, cells)?;
            1
        };
        wire::put_frame(to, b'd', |to| to.extend_from_slice(&self.out));
        Ok(rows)
    }

    /// The header line.
    fn names(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let Self { shape, shown, out, .. } = self;
        let Some(dialect) = &shape.dialect else { return Err(Refusal::internal("COPY without its format")) };
        let mut fields = wire::CopyFields::new(chunk.strip_suffix(b"\n").unwrap_or(chunk), dialect);
        for index in 0..*shown {
            if index > 0 {
                out.push(dialect.delimiter);
            }
            out.extend_from_slice(fields.next_field().map_err(malformed)?.ok_or_else(wrong_width)?.raw);
        }
        out.push(b'\n');
        Ok(())
    }

    fn line(&mut self, chunk: &[u8], seen: &mut Seen, cells: &mut Cells) -> Result<(), Refusal> {
        let Self { shape, shown, subjects, cell, value, subject, out, .. } = self;
        let Some(dialect) = &shape.dialect else { return Err(Refusal::internal("COPY without its format")) };
        let alone = *shown == 1;
        let mut fields = wire::CopyFields::new(chunk.strip_suffix(b"\n").unwrap_or(chunk), dialect);
        for (index, shape) in shape.fields.iter().enumerate() {
            let field = fields.next_field().map_err(malformed)?.ok_or_else(wrong_width)?;
            let (is_shown, names) = (index < *shown, subjects.as_ref().filter(|subjects| subjects.names(index)));
            if is_shown && index > 0 {
                out.push(dialect.delimiter);
            }
            let named = match &shape.column {
                _ if field.raw == dialect.null => {
                    out.extend_from_slice(if is_shown { field.raw } else { b"" });
                    None
                }
                Some(column) => {
                    cell.clear();
                    let digits = field.raw.strip_prefix(if dialect.csv.is_some() { &b""[..] } else { b"\\" });
                    unhex(digits.unwrap_or_default(), cell)?;
                    value.clear();
                    if is_shown {
                        cells.open(column, None, cell, 0, value)?;
                        dialect.put(value, shape.force_quote, alone, out);
                    } else {
                        cells.subject(column, cell, value)?;
                    }
                    Some(value.as_slice())
                }
                None => {
                    out.extend_from_slice(if is_shown { field.raw } else { b"" });
                    names.map(|_| field.value(dialect, subject))
                }
            };
            names.map_or(Ok(()), |names| names.note(index, named, seen))?;
        }
        if fields.next_field().map_err(malformed)?.is_some() {
            return Err(wrong_width());
        }
        out.push(b'\n');
        Ok(())
    }

    fn binary(&mut self, chunk: &[u8], seen: &mut Seen, cells: &mut Cells) -> Result<u64, Refusal> {
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
                    self.binary_row(rest.get(..next).unwrap_or_default(), seen, cells)?;
                    rows += 1;
                    next
                }
                BinarySplit::More => return Err(wrong_width()),
            };
            used += next;
        }
        Ok(rows)
    }

    fn binary_row(&mut self, row: &[u8], seen: &mut Seen, cells: &mut Cells) -> Result<(), Refusal> {
        let Self { shape, shown, subjects, value, subject, out, .. } = self;
        out.extend_from_slice(&i16::try_from(*shown).map_err(|_| wrong_width())?.to_be_bytes());
        let mut fields = wire::BinaryFields::new(row);
        for (index, FieldShape { column, .. }) in shape.fields.iter().enumerate() {
            let field = fields.next_field().map_err(malformed)?;
            let (is_shown, names) = (index < *shown, subjects.as_ref().filter(|subjects| subjects.names(index)));
            match (column, field.value) {
                (Some(column), Some(cell)) => {
                    if let Some(names) = names {
                        subject.clear();
                        cells.subject(column, cell, subject)?;
                        names.note(index, Some(subject), seen)?;
                    }
                    if is_shown {
                        open_binary(column, cell, cells, value, out)?;
                    }
                }
                (Some(_) | None, plain) => {
                    names.map_or(Ok(()), |names| names.note_binary(index, plain, seen))?;
                    out.extend_from_slice(if is_shown { field.raw } else { b"" });
                }
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
