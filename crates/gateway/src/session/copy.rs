//! COPY in text format, sealed and opened in flight, a line at a time.

use bytes::BytesMut;
use drieslot_sql::CopyPlan;
use drieslot_wire as wire;

use super::cells::{Cells, Column, hex, unhex};
use crate::refusal::Refusal;

/// The longest line; PostgreSQL's own limit on a field is 1 GiB.
const MAX_LINE_BYTES: usize = 256 << 20;
const END: &[u8] = b"\\.";

/// How the fields of one COPY are treated.
pub(super) struct CopyShape {
    columns: Vec<Option<Column>>,
    delimiter: u8,
    null: Vec<u8>,
    table: String,
}

impl CopyShape {
    pub(super) fn new(plan: &CopyPlan, columns: Vec<Option<Column>>) -> Self {
        Self { columns, delimiter: plan.delimiter, null: plan.null.clone().into_bytes(), table: plan.table.to_string() }
    }

    fn wrong_count(&self, found: usize) -> Refusal {
        Refusal::new("22P04", format!("a line has {found} fields, {} are expected", self.columns.len()))
    }
}

/// COPY FROM STDIN under way.
pub(super) struct CopyIn {
    shape: CopyShape,
    lines: wire::CopyLines,
    line_number: u64,
    ended: bool,
    value: Vec<u8>,
    cell: Vec<u8>,
    out: Vec<u8>,
}

impl CopyIn {
    pub(super) fn new(shape: CopyShape) -> Self {
        let lines = wire::CopyLines::default();
        let (value, cell, out) = (Vec::new(), Vec::new(), Vec::new());
        Self { shape, lines, line_number: 0, ended: false, value, cell, out }
    }

    /// Takes a chunk and appends a CopyData message with the lines that it completed.
    pub(super) fn data(&mut self, chunk: &[u8], cells: &mut Cells, to: &mut BytesMut) -> Result<(), Refusal> {
        self.lines.push(chunk);
        while let Some(line) = self.lines.line() {
            self.line(&line, cells)?;
        }
        if self.lines.pending() > MAX_LINE_BYTES {
            return Err(Refusal::new("54000", format!("a COPY line is longer than {MAX_LINE_BYTES} bytes")));
        }
        self.send(to);
        Ok(())
    }

    /// The client is done: the last line may lack its newline.
    pub(super) fn done(&mut self, cells: &mut Cells, to: &mut BytesMut) -> Result<(), Refusal> {
        let rest = self.lines.rest();
        if !rest.is_empty() {
            self.line(&rest, cells)?;
        }
        self.send(to);
        Ok(())
    }

    fn send(&mut self, to: &mut BytesMut) {
        if !self.out.is_empty() {
            wire::put_frame(to, b'd', |to| to.extend_from_slice(&self.out));
            self.out.clear();
        }
    }

    fn line(&mut self, line: &[u8], cells: &mut Cells) -> Result<(), Refusal> {
        self.line_number += 1;
        if self.ended {
            return Ok(());
        }
        if line == END {
            self.ended = true;
            return Ok(());
        }
        let number = self.line_number;
        let sealed = self.fields(line, cells);
        sealed.map_err(|refusal| {
            let place = format!("COPY {}, line {number}.", self.shape.table);
            let detail = refusal.detail.as_deref().map_or(place.clone(), |detail| format!("{place} {detail}"));
            refusal.detail(detail)
        })
    }

    fn fields(&mut self, line: &[u8], cells: &mut Cells) -> Result<(), Refusal> {
        let shape = &self.shape;
        let count = wire::fields(line, shape.delimiter).count();
        if count != shape.columns.len() {
            return Err(shape.wrong_count(count));
        }
        for (index, (raw, column)) in wire::fields(line, shape.delimiter).zip(&shape.columns).enumerate() {
            if index > 0 {
                self.out.push(shape.delimiter);
            }
            let Some(column) = column else {
                self.out.extend_from_slice(raw);
                continue;
            };
            self.value.clear();
            if !wire::decode_field(raw, &shape.null, &mut self.value).map_err(Refusal::protocol)? {
                self.out.extend_from_slice(raw);
                continue;
            }
            self.cell.clear();
            cells.seal_text(column, &self.value, false, &mut self.cell)?;
            self.out.extend_from_slice(b"\\\\x");
            hex(&self.cell, &mut self.out);
        }
        self.out.push(b'\n');
        Ok(())
    }
}

/// COPY TO STDOUT under way.
pub(super) struct CopyOut {
    shape: CopyShape,
    field: Vec<u8>,
    cell: Vec<u8>,
    value: Vec<u8>,
    line: Vec<u8>,
}

impl CopyOut {
    pub(super) fn new(shape: CopyShape) -> Self {
        Self { shape, field: Vec::new(), cell: Vec::new(), value: Vec::new(), line: Vec::new() }
    }

    /// One CopyData message is one line.
    pub(super) fn data(&mut self, chunk: &[u8], cells: &mut Cells, to: &mut BytesMut) -> Result<(), Refusal> {
        let shape = &self.shape;
        let line = chunk.strip_suffix(b"\n").unwrap_or(chunk);
        let count = wire::fields(line, shape.delimiter).count();
        if count != shape.columns.len() {
            return Err(shape.wrong_count(count));
        }
        self.line.clear();
        for (index, (raw, column)) in wire::fields(line, shape.delimiter).zip(&shape.columns).enumerate() {
            if index > 0 {
                self.line.push(shape.delimiter);
            }
            self.field.clear();
            let present =
                column.is_some() && wire::decode_field(raw, &shape.null, &mut self.field).map_err(Refusal::protocol)?;
            let (Some(column), true) = (column, present) else {
                self.line.extend_from_slice(raw);
                continue;
            };
            self.cell.clear();
            self.value.clear();
            unhex(&self.field, &mut self.cell)?;
            cells.open(column, &self.cell, 0, &mut self.value)?;
            wire::encode_field(&self.value, shape.delimiter, &mut self.line);
        }
        self.line.push(b'\n');
        wire::put_frame(to, b'd', |to| to.extend_from_slice(&self.line));
        Ok(())
    }
}
