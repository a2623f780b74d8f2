//! A statement without its values: what a recording of an application's statements may keep.

use pg_query::protobuf::Token;

use crate::parse;
use crate::plan::{is_query, source};

/// A query or a change of rows, with `$1`, `$2` … in place of its constants and without its comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 16 hex digits; the same for texts that differ in constants, names of parameters and spaces only.
    pub fingerprint: String,
    /// The text, on one line.
    pub text: String,
}

/// The shapes of a text's statements. What is neither a query nor a change of rows, or can't be told, has none: its
/// constants might stay.
#[must_use]
pub fn shapes(text: &str) -> Vec<Shape> {
    let Ok(tree) = parse::parse(text) else { return Vec::new() };
    let queries = tree.stmts.iter().filter(|raw| raw.stmt.as_deref().is_some_and(is_query));
    queries.filter_map(|raw| shape(text.get(source(text, raw))?)).collect()
}

fn shape(source: &str) -> Option<Shape> {
    let fingerprint = pg_query::fingerprint(source, 0, 0).ok()?.hex;
    let normal = pg_query::normalize(source).ok()?;
    let tokens = parse::tokens(&normal).ok()?;
    let mut words = Vec::with_capacity(tokens.len());
    for token in tokens {
        let word = normal.get(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)?;
        let token = Token::try_from(token.token).ok()?;
        if matches!(token, Token::Sconst | Token::Usconst | Token::Bconst | Token::Xconst) {
            // A constant that normalization has left.
            words.push("$0");
        } else if !matches!(token, Token::SqlComment | Token::CComment) {
            words.push(word);
        }
    }
    Some(Shape { fingerprint, text: words.join(" ").replace(['\n', '\r'], " ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        shapes(text).into_iter().map(|shape| shape.text).collect()
    }

    #[test]
    fn no_value_and_no_comment_stays() {
        assert_eq!(
            texts(
                "SELECT a /* Peeters */ FROM t WHERE b = 'Peeters' -- Peeters\n AND c LIKE E'P\\'%' AND d > 12.5; COMMIT"
            ),
            ["SELECT a FROM t WHERE b = $1 AND c LIKE $2 AND d > $3"]
        );
        assert_eq!(texts("INSERT INTO t VALUES ('x', 1), ($1, 2)"), ["INSERT INTO t VALUES ( $2 , $3 ) , ( $1 , $4 )"]);
        for other in
            ["CREATE ROLE r PASSWORD 'secret'", "SET a = 'secret'", "nonsense 'secret'", "COPY t FROM '/secret'"]
        {
            assert_eq!(texts(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn one_shape_for_all_values() {
        let of = |text: &str| shapes(text).pop().unwrap().fingerprint;
        assert_eq!(of("SELECT a FROM t WHERE b = 'x'"), of("select a from t where b = 'yy'"));
        assert_ne!(of("SELECT a FROM t WHERE b = 'x'"), of("SELECT a FROM t WHERE b < 'x'"));
    }
}
