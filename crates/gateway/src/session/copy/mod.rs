//! COPY, sealed and opened in flight, a row at a time: memory is bounded by the longest row.

mod incoming;
mod outgoing;

use drieslot_sql::{CopyFormat, CopyPlan};
use drieslot_wire as wire;

use super::cells::Column;
use crate::refusal::Refusal;

pub(super) use incoming::CopyIn;
pub(super) use outgoing::CopyOut;

/// The longest row; PostgreSQL's own limit on a field is 1 GiB.
const MAX_ROW_BYTES: usize = 256 << 20;
/// Up to this version `\.` ends csv data.
const LAST_WITH_CSV_MARKER: u32 = 17;

/// How the fields of one COPY are treated.
pub(super) struct CopyShape {
    fields: Vec<FieldShape>,
    /// `None` for the binary format.
    dialect: Option<wire::CopyDialect>,
    header: bool,
    table: String,
}

struct FieldShape {
    column: Option<Column>,
    force_quote: bool,
    force_null: bool,
    force_not_null: bool,
}

impl CopyShape {
    pub(super) fn new(plan: &CopyPlan, columns: Vec<Option<Column>>, server_major: u32) -> Self {
        let fields = plan.fields.iter().zip(columns).map(|(field, column)| FieldShape {
            column,
            force_quote: field.force_quote,
            force_null: field.force_null,
            force_not_null: field.force_not_null,
        });
        let dialect = wire::CopyDialect {
            delimiter: plan.delimiter,
            null: plan.null.clone().into_bytes(),
            default: plan.default.clone().map(String::into_bytes),
            csv: (plan.format == CopyFormat::Csv).then_some((plan.quote, plan.escape)),
            csv_end_marker: server_major <= LAST_WITH_CSV_MARKER,
        };
        Self {
            fields: fields.collect(),
            dialect: (plan.format != CopyFormat::Binary).then_some(dialect),
            header: plan.header,
            table: plan.table.to_string(),
        }
    }
}

fn malformed(error: wire::CopyError) -> Refusal {
    let refusal = Refusal::new("22P04", error.to_string());
    match error {
        wire::CopyError::CarriageReturn => refusal.hint("Use \"\\r\" to represent carriage return."),
        wire::CopyError::Newline => refusal.hint("Use \"\\n\" to represent newline."),
        wire::CopyError::Marker
        | wire::CopyError::MarkerStyle
        | wire::CopyError::Unterminated
        | wire::CopyError::Signature
        | wire::CopyError::Header
        | wire::CopyError::FieldCount { .. }
        | wire::CopyError::FieldSize
        | wire::CopyError::Eof
        | wire::CopyError::AfterEof => refusal,
    }
}
