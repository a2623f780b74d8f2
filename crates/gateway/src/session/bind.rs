//! Parameters on the way to the processor: what the client binds becomes cells, and the other way round what the
//! processor says of its parameters is told in the client's numbering.

use bytes::{BufMut, BytesMut};
use drieslot_sql::{Catalog, CellSlot, ClientParameter, Rewritten, ServerParameter, Slot, SlotSource};
use drieslot_wire as wire;

use super::array::{self, BYTEA_ARRAY_OID, BYTEA_OID, CellArray};
use super::cells::{Column, Input, given};
use super::client::no_text;
use super::search::{Answer, part_oid};
use super::{Session, Stall};
use crate::refusal::Refusal;

/// Undeclared, unknown, text, varchar, name.
const TEXT_OIDS: [u32; 5] = [0, 705, 25, 1043, 19];

impl Session {
    /// Sends a Bind whose protected values are cells; gives the format that the client wants of each column.
    pub(super) fn send_bind(
        &mut self,
        bind: &wire::Bind<'_>,
        rewritten: &Rewritten,
        oids: &[u32],
    ) -> Result<Vec<i16>, Stall> {
        let wanted = rewritten.client_parameters.len().max(oids.len());
        if bind.values.len() != wanted {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                bind.values.len(),
                bind.statement,
                wanted
            );
            return Err(Refusal::new("08P01", message).into());
        }
        let columns = self.slot_columns(&rewritten.slots)?;
        let answers = self.answers(0, &rewritten.searches, &mut |source| text_of(bind, source, oids))?;
        self.result_columns(rewritten)?;
        let wanted: Vec<i16> =
            (0..rewritten.columns.len()).map(|index| wire::format_at(&bind.result_formats, index)).collect();
        // A statement without columns takes any formats.
        if bind.result_formats.len() > 1 && !wanted.is_empty() && bind.result_formats.len() != wanted.len() {
            let message = format!(
                "bind message has {} result formats but query has {} columns",
                bind.result_formats.len(),
                wanted.len()
            );
            return Err(Refusal::new("08P01", message).into());
        }
        let mut formats = Vec::with_capacity(rewritten.parameters.len());
        let mut values = BytesMut::new();
        let mut cell = Vec::new();
        for parameter in &rewritten.parameters {
            cell.clear();
            let (format, value) = match parameter {
                ServerParameter::Client(number) => client_value(bind, *number)?,
                ServerParameter::Slot(index) => {
                    let present = self.fill_slot(bind, rewritten, *index, (&columns, &answers), oids, &mut cell)?;
                    (1, present.then_some(cell.as_slice()))
                }
            };
            formats.push(format);
            put_value(&mut values, value);
        }
        let asked: Vec<i16> = rewritten
            .columns
            .iter()
            .zip(&wanted)
            .map(|(column, format)| (column, *format))
            // What is not shown is read in text.
            .chain(rewritten.subjects.hidden.iter().map(|column| (column, 0)))
            .map(|(column, format)| if column.protected().is_some() { 1 } else { format })
            .collect();
        let asked = if asked.is_empty() { &bind.result_formats } else { &asked };
        let names = (bind.portal, bind.statement);
        let count = formats.len();
        wire::put_bind(&mut self.server.output, names, &formats, count, |out| out.extend_from_slice(&values), asked);
        Ok(wanted)
    }

    /// What goes into one slot; `false` for NULL.
    fn fill_slot(
        &mut self,
        bind: &wire::Bind<'_>,
        rewritten: &Rewritten,
        index: usize,
        (columns, answers): (&[Option<Column>], &[Answer]),
        oids: &[u32],
        cell: &mut Vec<u8>,
    ) -> Result<bool, Refusal> {
        let lost = || Refusal::internal("a parameter without its column");
        let slot = match rewritten.slots.get(index).ok_or_else(lost)? {
            Slot::Cell(slot) => slot,
            Slot::Cells(slot) => {
                let column = columns.get(index).and_then(Option::as_ref).ok_or_else(lost)?;
                let sealed = self.seal_array(bind, slot, column)?;
                if let Some(sealed) = &sealed {
                    array::put_binary(sealed, cell);
                }
                return Ok(sealed.is_some());
            }
            Slot::Search { search, part } => {
                let answer = answers.get(*search).ok_or_else(lost)?;
                if let Some(found) = answer {
                    found.put_binary(*part, cell);
                }
                return Ok(answer.is_some());
            }
        };
        let column = columns.get(index).and_then(Option::as_ref).ok_or_else(lost)?;
        let number = match &slot.source {
            SlotSource::Literal { text: None, .. } => return Ok(false),
            SlotSource::Literal { text: Some(text), .. } => {
                self.cells.seal(column, given(slot, 0), Input::Text(text.as_bytes()), cell)?;
                return Ok(true);
            }
            SlotSource::Default => return self.default_cell(column, cell),
            SlotSource::Param(number) | SlotSource::CastParam { number } => *number,
        };
        let (format, value) = client_value(bind, number)?;
        let Some(bytes) = value else { return Ok(false) };
        let oid = oids.get(number.saturating_sub(1) as usize).copied().unwrap_or(0);
        let value = if format == 1 { Input::Binary(bytes) } else { Input::Text(bytes) };
        self.cells.seal(column, given(slot, oid), value, cell)?;
        Ok(true)
    }

    /// The cells of an array; `None` for NULL.
    fn seal_array(
        &mut self,
        bind: &wire::Bind<'_>,
        slot: &CellSlot,
        column: &Column,
    ) -> Result<Option<CellArray>, Refusal> {
        let number = match &slot.source {
            SlotSource::Literal { text: None, .. } => return Ok(None),
            SlotSource::Literal { text: Some(text), .. } => {
                return array::seal_text(&mut self.cells, column, slot, text).map(Some);
            }
            SlotSource::Param(number) | SlotSource::CastParam { number } => *number,
            SlotSource::Default => return Err(no_text()),
        };
        let (format, value) = client_value(bind, number)?;
        let Some(bytes) = value else { return Ok(None) };
        if format == 1 {
            return array::seal_binary(&mut self.cells, column, slot, bytes).map(Some);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
        array::seal_text(&mut self.cells, column, slot, text).map(Some)
    }
}

pub(super) fn server_oids(rewritten: &Rewritten, declared: &[u32]) -> Vec<u32> {
    let of = |parameter: &ServerParameter| match parameter {
        ServerParameter::Slot(index) => match rewritten.slots.get(*index) {
            Some(Slot::Search { part, .. }) => part_oid(*part),
            Some(Slot::Cells(_)) => BYTEA_ARRAY_OID,
            Some(Slot::Cell(_)) | None => BYTEA_OID,
        },
        ServerParameter::Client(number) => declared.get(number.saturating_sub(1) as usize).copied().unwrap_or(0),
    };
    rewritten.parameters.iter().map(of).collect()
}

/// A part of a pattern, as a text.
fn text_of(bind: &wire::Bind<'_>, source: &SlotSource, oids: &[u32]) -> Result<Option<String>, Refusal> {
    let number = match source {
        SlotSource::Literal { text, .. } => return Ok(text.clone()),
        SlotSource::Param(number) | SlotSource::CastParam { number } => *number,
        SlotSource::Default => return Err(no_text()),
    };
    let declared = oids.get(number.saturating_sub(1) as usize).copied().unwrap_or(0);
    if !TEXT_OIDS.contains(&declared) {
        return Err(Refusal::new("0A000", format!("parameter ${number} is a pattern, but declared as no text"))
            .hint("Declare it as text, or leave its type undeclared."));
    }
    let (_, value) = client_value(bind, number)?;
    let text = value.map(|bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')));
    text.map(|text| {
        text.map(str::to_owned).ok_or_else(|| Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""))
    })
    .transpose()
}

/// Format and value of the client's parameter `number`, from 1.
fn client_value<'a>(bind: &wire::Bind<'a>, number: u32) -> Result<(i16, Option<&'a [u8]>), Refusal> {
    let index = number.saturating_sub(1) as usize;
    let value = bind.values.get(index).ok_or_else(|| Refusal::protocol("a parameter is missing"))?;
    Ok((bind.parameter_format(index), *value))
}

fn put_value(out: &mut BytesMut, value: Option<&[u8]>) {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            out.put_slice(bytes);
        }
    }
}

/// The parameter types that the client is told, in its own numbering.
pub(super) fn client_oids(rewritten: &Rewritten, server: &[u32], declared: &[u32], catalog: &Catalog) -> Vec<u32> {
    let of = |(index, parameter): (usize, &ClientParameter)| match parameter {
        ClientParameter::Plain(at) => server.get(*at).copied().unwrap_or(0),
        ClientParameter::Protected(typed) => {
            declared.get(index).copied().filter(|oid| *oid != 0).unwrap_or(catalog.oid_of(typed.ty))
        }
        ClientParameter::Protecteds(typed) => {
            declared.get(index).copied().filter(|oid| *oid != 0).unwrap_or(typed.ty.array_oid())
        }
        ClientParameter::Unused => declared.get(index).copied().unwrap_or(0),
    };
    let named = rewritten.client_parameters.iter().enumerate().map(of);
    // Types that the client declared for parameters that the statement does not name.
    named.chain(declared.iter().skip(rewritten.client_parameters.len()).copied()).collect()
}
