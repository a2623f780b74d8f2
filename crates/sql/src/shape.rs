//! A statement without its values: what a recording of an application's statements keeps, and a firewall compares.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RawStmt, ScanToken, Token};

use crate::parse;
use crate::plan::{is_query, source};
use crate::refusal::Result;

/// One statement of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// About the session or its transaction, or it runs what was prepared: nothing that would have to be known.
    Session,
    /// A query, a change of rows, or COPY by way of the client; the same where it is prepared or declared as a cursor.
    Query {
        /// 16 hex digits, as in the journal's intents.
        fingerprint: String,
        /// The text on one line: `$1` in place of each value, lists of values as one, without comments.
        text: String,
    },
    /// Anything else; its values might stay.
    Other,
}

/// The shapes of a text's statements.
///
/// # Errors
/// A text that does not parse.
pub fn shapes(text: &str) -> Result<Vec<Shape>> {
    let tree = parse::parse(text)?;
    Ok(tree.stmts.iter().map(|raw| shape(text, raw).unwrap_or(Shape::Other)).collect())
}

/// `None` for what cannot be told.
fn shape(text: &str, raw: &RawStmt) -> Option<Shape> {
    let node = raw.stmt.as_deref()?;
    let own = text.get(source(text, raw))?;
    let inner = |query: &Option<Box<Node>>| query.as_deref().is_some_and(is_query);
    let tree = node.node.as_ref()?;
    if is_of_session(tree) {
        return Some(Shape::Session);
    }
    let before = if let NodeEnum::PrepareStmt(prepare) = tree {
        inner(&prepare.query).then_some(Some(Token::As))
    } else if let NodeEnum::DeclareCursorStmt(cursor) = tree {
        inner(&cursor.query).then_some(Some(Token::For))
    } else if let NodeEnum::ExplainStmt(explain) = tree {
        inner(&explain.query).then_some(None)
    } else if let NodeEnum::CopyStmt(copy) = tree {
        (copy.filename.is_empty() && !copy.is_program).then_some(None)
    } else {
        is_query(node).then_some(None)
    };
    let query = after(own, before?)?;
    let fingerprint = pg_query::fingerprint(query, 0, 0).ok()?.hex;
    let text = folded(words(&pg_query::normalize(query).ok()?)?).join(" ");
    Some(Shape::Query { fingerprint, text })
}

fn is_of_session(tree: &NodeEnum) -> bool {
    matches!(
        tree,
        NodeEnum::TransactionStmt(_)
            | NodeEnum::VariableSetStmt(_)
            | NodeEnum::VariableShowStmt(_)
            | NodeEnum::DiscardStmt(_)
            | NodeEnum::ExecuteStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::FetchStmt(_)
            | NodeEnum::ClosePortalStmt(_)
    )
}

fn place(token: &ScanToken) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)
}

/// What follows the first such word outside parentheses; without a word, everything.
fn after(own: &str, word: Option<Token>) -> Option<&str> {
    let Some(word) = word else { return Some(own) };
    let mut depth = 0_u32;
    for token in parse::tokens(own).ok()? {
        match own.get(place(&token)?)? {
            "(" => depth += 1,
            ")" => depth = depth.checked_sub(1)?,
            _ if depth == 0 && token.token == word as i32 => return own.get(place(&token)?.end..),
            _ => {}
        }
    }
    None
}

fn is_value(token: Token) -> bool {
    use Token::{Bconst, Fconst, Iconst, Param, Sconst, Usconst, Xconst};
    matches!(token, Param | Sconst | Usconst | Bconst | Xconst | Iconst | Fconst)
}

fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for token in parse::tokens(text).ok()? {
        let word = text.get(place(&token)?)?;
        let token = Token::try_from(token.token).ok()?;
        if matches!(token, Token::SqlComment | Token::CComment) {
            continue;
        }
        words.push(match word {
            _ if is_value(token) => "$1".to_owned(),
            quoted if quoted.contains('"') => quoted.replace(['\n', '\r'], " "),
            plain => plain.to_ascii_lowercase(),
        });
    }
    Some(words)
}

/// `IN ($1, $1)`, `ARRAY[$1, $1]` and VALUES with several equal rows, each as with one.
fn folded(words: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    // For each open parenthesis, where it stands, and whether a list of values began with it.
    let mut open: Vec<(usize, bool)> = Vec::new();
    // Depth of the VALUES whose rows are being read.
    let mut rows: Option<usize> = None;
    for word in words {
        if rows == Some(open.len()) && word != "(" && word != "," {
            rows = None;
        }
        let ends =
            |tail: &[&str]| out.len() >= tail.len() && out.iter().rev().zip(tail.iter().rev()).all(|(a, b)| a == b);
        match word.as_str() {
            "(" => open.push((out.len(), ends(&["in"]))),
            "[" => open.push((out.len(), ends(&["array"]))),
            "$1" if open.last().is_some_and(|(_, list)| *list) && ends(&["$1", ","]) => {
                out.pop();
                continue;
            }
            _ => {}
        }
        let closes = matches!(word.as_str(), ")" | "]");
        if word == "values" {
            rows = Some(open.len());
        }
        out.push(word);
        if closes
            && let Some((start, _)) = open.pop()
            && rows == Some(open.len())
        {
            let row = out.get(start..).unwrap_or_default();
            let before = out.get(..start.saturating_sub(1)).unwrap_or_default();
            if out.get(start.wrapping_sub(1)).is_some_and(|word| word == ",") && before.ends_with(row) {
                out.truncate(start - 1);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let text_of = |shape| match shape {
            Shape::Query { text, .. } => Some(text),
            Shape::Session | Shape::Other => None,
        };
        shapes(text).unwrap_or_default().into_iter().filter_map(text_of).collect()
    }

    #[test]
    fn no_value_and_no_comment_stays() {
        assert_eq!(
            texts(
                "SELECT a /* Peeters */ FROM t WHERE b = 'Peeters' -- Peeters\n AND c LIKE E'P\\'%' AND d > 12.5; COMMIT"
            ),
            ["select a from t where b = $1 and c like $1 and d > $1"]
        );
        assert_eq!(texts("COPY t (a) FROM STDIN (NULL 'Peeters')"), ["copy t ( a ) from stdin ( null $1 )"]);
        for other in
            ["CREATE ROLE r PASSWORD 'secret'", "SET a = 'secret'", "nonsense 'secret'", "COPY t FROM '/secret'"]
        {
            assert_eq!(texts(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_shape_is_that_of_all_its_values() {
        let same = |one: &str, other: &str| assert_eq!(texts(one), texts(other));
        same("SELECT a FROM t WHERE b = 'x' AND c = -5", "select A  from T where b = $1 and c=7.5");
        same("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN (1, $1, -3)");
        same("SELECT a FROM t WHERE b = ANY (ARRAY[1])", "SELECT a FROM t WHERE b = ANY (ARRAY['x', 'y'])");
        same("INSERT INTO t VALUES (1, lower('x'))", "INSERT INTO t VALUES (1, lower('x')), (2, lower('y'))");
        same("SELECT a FROM t WHERE b = 1", "PREPARE p (int) AS SELECT a FROM t WHERE b = $1");
        same("SELECT a FROM t WHERE b = 1", "DECLARE c CURSOR FOR SELECT a FROM t WHERE b = 'x'");
    }

    #[test]
    fn another_question_is_another_shape() {
        let known = "SELECT a FROM t WHERE b = 'x'";
        for other in [
            "SELECT a FROM t WHERE b < 'x'",
            "SELECT a FROM t WHERE b = 'x' OR 1 = 1",
            "SELECT a FROM t WHERE b = 'x' OR true",
            "SELECT a, c FROM t WHERE b = 'x'",
            "SELECT a FROM s.t WHERE b = 'x'",
            "SELECT a FROM \"T\" WHERE b = 'x'",
            "SELECT a FROM t WHERE b = lower('x')",
            "SELECT a FROM t WHERE b = 'x' UNION ALL SELECT c FROM t",
            "EXPLAIN ANALYZE SELECT a FROM t WHERE b = 'x'",
        ] {
            assert_ne!(texts(known), texts(other), "{other}");
        }
        let rows = |text: &str| texts(&format!("INSERT INTO t VALUES {text}"));
        assert_ne!(rows("(1, a)"), rows("(1, a), (1, b)"));
        assert_ne!(texts("SELECT f(1)"), texts("SELECT f(1, 2)"));
    }

    #[test]
    fn what_is_of_the_session_and_what_is_neither() {
        let of = |text: &str| shapes(text).unwrap();
        for text in ["BEGIN", "SET a = 1", "SHOW a", "EXECUTE p (1)", "FETCH 1 FROM c", "CLOSE c", "DEALLOCATE p"] {
            assert_eq!(of(text), [Shape::Session], "{text}");
        }
        for text in ["DO $$ BEGIN END $$", "CREATE TABLE t ()", "COPY t FROM PROGRAM 'x'", "CALL p(1)", "GRANT a TO b"]
        {
            assert_eq!(of(text), [Shape::Other], "{text}");
        }
        assert!(shapes("SELEC 1").is_err());
    }
}
