//! What of the processor's errors the client is told.

use bytes::BytesMut;
use drieslot_wire as wire;

use crate::refusal::Refusal;

/// The processor's error for a statement that was rewritten: positions point into another text, and cells say
/// nothing to the reader.
pub(super) fn put_processor_error(body: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
    let fields = wire::error_fields(body).map_err(Refusal::protocol)?;
    let kept: Vec<_> = fields
        .iter()
        .filter(|(code, _)| !matches!(code, b'P' | b'p' | b'q'))
        .map(|(code, text)| (*code, hide_cells(text)))
        .collect();
    let fields: Vec<_> = kept.iter().map(|(code, text)| (*code, text.as_str())).collect();
    wire::error_response(out, &fields);
    Ok(())
}

fn hide_cells(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("(protected)");
        shown.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    shown
}

pub(super) fn processor_refusal(body: &[u8]) -> Refusal {
    let field = |code| wire::error_field(body, code).unwrap_or_default();
    match field(b'C').as_str() {
        "25P02" => {
            Refusal::new("25P02", "current transaction is aborted, commands ignored until end of transaction block")
        }
        "57014" => Refusal::new("57014", "canceling statement due to user request"),
        // A search needs the privilege that the statement itself needs.
        "42501" => Refusal::new("42501", field(b'M')),
        code => Refusal::internal(format!("what the statement needs cannot be read: {} ({code})", field(b'M'))),
    }
}

/// The transaction had failed before, and so PostgreSQL did not look at the statement.
pub(super) fn is_aborted(body: &[u8]) -> bool {
    wire::error_field(body, b'C').as_deref() == Some("25P02")
}

pub(super) fn is_outdated(body: &[u8]) -> bool {
    let field = |code| wire::error_field(body, code).unwrap_or_default();
    drieslot_sql::Search::is_outdated(&field(b'C'), &field(b'M'))
}

/// A row that may match was changed after the processor was asked which do.
pub(super) fn outdated() -> Refusal {
    Refusal::new("40001", "rows changed while they were searched").hint("Repeat the statement, or its transaction.")
}

#[cfg(test)]
mod tests {
    use super::hide_cells;

    #[test]
    fn errors_show_no_cells() {
        assert_eq!(hide_cells("Key (nn)=(\\x1200ab) already exists."), "Key (nn)=((protected)) already exists.");
        assert_eq!(hide_cells("nothing here"), "nothing here");
    }
}
