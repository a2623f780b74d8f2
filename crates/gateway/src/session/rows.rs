//! Rows and their descriptions on the way from the processor to the client.

use bytes::BytesMut;
use drieslot_schema::{Classification, Protected};
use drieslot_sql::{Catalog, ResultColumn, Rewritten};
use drieslot_wire as wire;

use super::cells::{Cells, Column, unhex};
use super::expect::Look;
use super::subjects::RowSubjects;
use crate::refusal::Refusal;

/// How the rows of one statement are opened.
pub(super) struct RowView {
    /// Of the processor's rows.
    pub(super) columns: Vec<Option<Column>>,
    /// How many of them the client is shown; those behind are for the trace.
    pub(super) shown: usize,
    /// What the client asked for, a column each: 0 text, 1 binary.
    pub(super) formats: Vec<i16>,
    /// Whether the processor sends cells in binary; else in hex text.
    pub(super) binary_cells: bool,
    pub(super) subjects: Option<RowSubjects>,
    /// The client gets no rows: all of them are for the trace.
    pub(super) only_writes: bool,
}

/// Reused between rows.
#[derive(Default)]
pub(super) struct RowScratch {
    cell: Vec<u8>,
    value: Vec<u8>,
    subject: Vec<u8>,
}

impl RowView {
    /// Appends the row with its cells opened, without the columns that are not shown; notes whom it is about.
    pub(super) fn open(
        &self,
        body: &[u8],
        look: Option<&mut Look>,
        cells: &mut Cells,
        scratch: &mut RowScratch,
        out: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let RowScratch { cell, value, subject } = scratch;
        let Some(Look { shown: masks, seen, .. }) = look else {
            return Err(Refusal::internal("a protected row of a statement that leaves no trace"));
        };
        let mut row = wire::DataRow::read(body).map_err(Refusal::protocol)?;
        if row.left() != self.columns.len() {
            return Err(Refusal::internal("the processor's rows do not have the columns that were planned"));
        }
        let mut writer = (!self.only_writes).then(|| wire::RowWriter::new(out, self.shown));
        for (at, column) in self.columns.iter().enumerate() {
            let field = row.field().map_err(Refusal::protocol)?;
            let sealed = match (column, field) {
                (Some(_), Some(bytes)) if self.binary_cells => Some(bytes),
                (Some(_), Some(bytes)) => {
                    cell.clear();
                    unhex(bytes, cell)?;
                    Some(cell.as_slice())
                }
                (Some(_), None) | (None, _) => None,
            };
            let names = self.subjects.as_ref().filter(|subjects| subjects.names(at));
            let format = self.formats.get(at).filter(|_| at < self.shown);
            let (Some(column), Some(sealed)) = (column, sealed) else {
                names.map_or(Ok(()), |names| names.note(at, field, seen))?;
                if let (Some(writer), Some(_)) = (&mut writer, format) {
                    writer.value(field);
                }
                continue;
            };
            let mask = masks.column(at);
            let as_named = format == Some(&0) && mask.is_none();
            if let Some(names) = names.filter(|_| !as_named) {
                subject.clear();
                cells.subject(column, sealed, subject)?;
                names.note(at, Some(subject), seen)?;
            }
            let Some(format) = format else { continue };
            value.clear();
            cells.open(column, mask, sealed, *format, value)?;
            // A whole value in text is how a subject is spelt.
            if let Some(names) = names.filter(|_| as_named) {
                names.note(at, Some(value), seen)?;
            }
            if let Some(writer) = &mut writer {
                writer.value(Some(value));
            }
        }
        if let Some(writer) = writer {
            writer.finish();
        }
        row.finish().map_err(Refusal::protocol)
    }
}

/// The plan, or `None` for a statement that passes.
pub(super) type Planned<'a> = Option<&'a Rewritten>;

/// Gives a RowDescription the logical types, and compares it with the plan: where the processor names the column
/// that a value comes from and the plan says otherwise, nothing goes on.
pub(super) fn describe(
    body: &[u8],
    planned: Planned<'_>,
    formats: Option<&[i16]>,
    catalog: &Catalog,
    classification: &Classification,
    out: &mut BytesMut,
) -> Result<(), Refusal> {
    let mut description = wire::RowDescription::read(body).map_err(Refusal::protocol)?;
    let (columns, hidden): (&[_], &[_]) =
        planned.map_or((&[], &[]), |planned| (&planned.columns, &planned.subjects.hidden));
    if planned.is_some() && columns.len() + hidden.len() != description.fields.len() {
        return Err(Refusal::internal("the processor describes other columns than were planned"));
    }
    for (index, field) in description.fields.iter_mut().enumerate() {
        let plan = columns.iter().chain(hidden).nth(index).and_then(ResultColumn::protected);
        check_origin(field, plan.map(|typed| &typed.column), catalog, classification)?;
        if let Some(typed) = plan {
            field.type_oid = catalog.oid_of(typed.ty);
            field.type_length = typed.ty.typlen();
            field.type_modifier = typed.ty.typmod();
            if let Some(format) = formats.and_then(|formats| formats.get(index)) {
                field.format = *format;
            }
        }
    }
    if planned.is_some() {
        description.fields.truncate(columns.len());
    }
    description.put(out);
    Ok(())
}

fn check_origin(
    field: &wire::Field<'_>,
    plan: Option<&Protected>,
    catalog: &Catalog,
    classification: &Classification,
) -> Result<(), Refusal> {
    let Some(id) = catalog.column_at(field.table_oid, field.column) else {
        return Ok(());
    };
    let real = classification.table(&id.table).and_then(|table| table.columns.get(&id.column)?.protected.as_ref());
    let agree = match (plan, real) {
        (None, None) => true,
        (Some(plan), Some(real)) => plan.domain == real.domain && plan.protection == real.protection,
        (None, Some(_)) | (Some(_), None) => false,
    };
    if agree {
        return Ok(());
    }
    tracing::error!(column = %id, "plan and processor disagree on a result column");
    Err(Refusal::internal(format!("the plan and the processor disagree about column {id}; nothing was released"))
        .hint("Reconnect; if it happens again, report the statement."))
}
