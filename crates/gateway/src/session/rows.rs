//! Rows and their descriptions on the way from the processor to the client.

use bytes::BytesMut;
use drieslot_schema::{Classification, Protected};
use drieslot_sql::{Catalog, ResultColumn};
use drieslot_wire as wire;

use super::cells::{Cells, Column, unhex};
use super::masks::Shown;
use crate::refusal::Refusal;

/// How the rows of one statement are opened.
pub(super) struct RowView {
    pub(super) columns: Vec<Option<Column>>,
    /// What the client asked for, a column each: 0 text, 1 binary.
    pub(super) formats: Vec<i16>,
    /// Whether the processor sends cells in binary; else in hex text.
    pub(super) binary_cells: bool,
}

/// Reused between rows.
#[derive(Default)]
pub(super) struct RowScratch {
    cell: Vec<u8>,
    value: Vec<u8>,
}

impl RowView {
    /// Appends the row with its cells opened.
    pub(super) fn open(
        &self,
        body: &[u8],
        shown: Option<&Shown>,
        cells: &mut Cells,
        scratch: &mut RowScratch,
        out: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let mut row = wire::DataRow::read(body).map_err(Refusal::protocol)?;
        if row.left() != self.columns.len() {
            return Err(Refusal::internal("the processor's rows do not have the columns that were planned"));
        }
        let mut writer = wire::RowWriter::new(out, self.columns.len());
        for (at, (column, format)) in self.columns.iter().zip(&self.formats).enumerate() {
            let mask = shown.and_then(|shown| shown.column(at));
            let field = row.field().map_err(Refusal::protocol)?;
            let (Some(column), Some(bytes)) = (column, field) else {
                writer.value(field);
                continue;
            };
            scratch.value.clear();
            if self.binary_cells {
                cells.open(column, mask, bytes, *format, &mut scratch.value)?;
            } else {
                scratch.cell.clear();
                unhex(bytes, &mut scratch.cell)?;
                cells.open(column, mask, &scratch.cell, *format, &mut scratch.value)?;
            }
            writer.value(Some(&scratch.value));
        }
        writer.finish();
        row.finish().map_err(Refusal::protocol)
    }
}

/// The plan's columns, or `None` for a statement that passes.
pub(super) type PlannedColumns<'a> = Option<&'a [ResultColumn]>;

/// Gives a RowDescription the logical types, and compares it with the plan: where the processor names the column
/// that a value comes from and the plan says otherwise, nothing goes on.
pub(super) fn describe(
    body: &[u8],
    planned: PlannedColumns<'_>,
    formats: Option<&[i16]>,
    catalog: &Catalog,
    classification: &Classification,
    out: &mut BytesMut,
) -> Result<(), Refusal> {
    let mut description = wire::RowDescription::read(body).map_err(Refusal::protocol)?;
    if planned.is_some_and(|planned| planned.len() != description.fields.len()) {
        return Err(Refusal::internal("the processor describes other columns than were planned"));
    }
    for (index, field) in description.fields.iter_mut().enumerate() {
        let plan = planned.and_then(|planned| planned.get(index)).and_then(ResultColumn::protected);
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
