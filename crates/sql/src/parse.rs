//! From text to trees and back, with PostgreSQL's own grammar.

use pg_query::protobuf::{Node, ParseResult, RawStmt, ScanToken, Token};

use crate::census::Shape;
use crate::refusal::{Refusal, Result};

/// The longest text that is planned.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// `PG_QUERY_DISABLE_STANDARD_CONFORMING_STRINGS` of libpg_query.
const DISABLE_STANDARD_CONFORMING_STRINGS: i32 = 32;

/// Parses a text. Nesting is bounded by the parser's own stack check and by the depth limit of its decoder.
pub(crate) fn parse(text: &str) -> Result<ParseResult> {
    parse_as(text, true)
}

/// The same, as with `standard_conforming_strings` on or off.
pub(crate) fn parse_as(text: &str, standard_strings: bool) -> Result<ParseResult> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Refusal::new("54000", format!("the statement is longer than {MAX_TEXT_BYTES} bytes")));
    }
    let options = if standard_strings { 0 } else { DISABLE_STANDARD_CONFORMING_STRINGS };
    match pg_query::parse(text, options) {
        Ok(parsed) => Ok(parsed.protobuf),
        Err(pg_query::Error::Conversion(_)) => {
            Err(Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"))
        }
        Err(pg_query::Error::Decode(_)) => Err(too_deep()),
        Err(error) => {
            let message = error.to_string();
            if message.contains("stack depth") || message.contains("memory exhausted") {
                return Err(too_deep());
            }
            Err(syntax_error(text, &message))
        }
    }
}

fn too_deep() -> Refusal {
    Refusal::new("54001", "the statement is nested too deeply")
        .hint("Split the statement, or write long chains of operators with fewer levels.")
}

/// PostgreSQL's message may quote a token, which may be a literal: only a keyword is repeated, and only where it stands
/// alone in the text is its position told.
fn syntax_error(text: &str, message: &str) -> Refusal {
    let refusal = Refusal::new("42601", "syntax error");
    let near = message.split_once("at or near \"").and_then(|(_, rest)| rest.strip_suffix('"'));
    let Some(near) = near.filter(|near| !near.is_empty()) else {
        return match message.contains("at end of input") {
            true => Refusal { position: Some(text.len()), ..Refusal::new("42601", "syntax error at end of input") },
            false => refusal,
        };
    };
    let mut places = text.match_indices(near);
    let (first, second) = (places.next(), places.next());
    let refusal = match pg_query::scan_tokens(near) {
        Ok(tokens) if matches!(tokens.as_slice(), [one] if one.keyword_kind > 1) => {
            Refusal::new("42601", format!("syntax error at or near \"{near}\""))
        }
        Ok(_) | Err(_) => refusal,
    };
    match (first, second) {
        // Not by `at`, to which 0 is no place.
        (Some((at, _)), None) => Refusal { position: Some(at), ..refusal },
        _ => refusal,
    }
}

/// A syntax error in the parser's own words, which may repeat a part of the text: for where nothing is protected.
pub(crate) fn in_full(text: &str, refusal: Refusal) -> Refusal {
    match pg_query::parse(text, 0) {
        Err(pg_query::Error::Parse(message)) if refusal.sqlstate == "42601" => Refusal { message, ..refusal },
        Ok(_) | Err(_) => refusal,
    }
}

/// The text of one statement's tree, checked to mean that tree.
pub(crate) fn deparse(node: &Node) -> Result<String> {
    let shape = Shape::of(node)?;
    if shape.has_odd_modifiers() {
        // The deparser knows no others either, and would stop the whole process in a debug build.
        return Err(Refusal::new("42601", "type modifiers must be simple constants or identifiers"));
    }
    let raw = RawStmt { stmt: Some(Box::new(node.clone())), stmt_location: 0, stmt_len: 0 };
    let tree = ParseResult { version: 0, stmts: vec![raw] };
    let failed = || Refusal::internal("the rewritten statement cannot be written as text");
    let text = pg_query::deparse(&tree, pg_query::DeparseOptions::default()).map_err(|_| failed())?;
    let again = pg_query::parse(&text, 0).map_err(|_| failed())?.protobuf;
    let [RawStmt { stmt: Some(read), .. }] = again.stmts.as_slice() else { return Err(failed()) };
    if !shape.is_that_of(&Shape::of(read)?) {
        return Err(Refusal::unsupported("the rewritten statement does not read back as it was meant"));
    }
    Ok(text)
}

/// The tokens of a text, comments too.
pub(crate) fn tokens(text: &str) -> Result<Vec<ScanToken>> {
    pg_query::scan_tokens(text).map_err(|_| Refusal::internal("the statement cannot be scanned"))
}

/// The parameters of a text: start, end, number.
pub(crate) fn parameters(text: &str) -> Result<Vec<(usize, usize, u32)>> {
    let failed = || Refusal::internal("the rewritten statement cannot be scanned");
    let mut found = Vec::new();
    for token in tokens(text)? {
        if token.token == Token::Param as i32 {
            let start = usize::try_from(token.start).map_err(|_| failed())?;
            let end = usize::try_from(token.end).map_err(|_| failed())?;
            let digits = text.get(start..end).and_then(|token| token.strip_prefix('$')).ok_or_else(failed)?;
            found.push((start, end, digits.parse().map_err(|_| failed())?));
        }
    }
    Ok(found)
}
