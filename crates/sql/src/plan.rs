//! From a text to its planned statements.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use drieslot_schema::{Classification, Domain};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RawStmt, Token};

use crate::administers;
use crate::catalog::Catalog;
use crate::decide::{Decision, decide};
use crate::env::{Env, Names};
use crate::parse;
use crate::reflect;
use crate::refusal::Refusal;
use crate::statement::{Kind, PassProof, Statement};

/// What a plan depends on besides text, catalogue and classification.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// `current_schemas(true)`.
    pub search_path: &'a [String],
    /// `standard_conforming_strings`: whether a backslash in a plain string stands for itself.
    pub standard_strings: bool,
    /// Prepared statements by name, whether SQL or the protocol prepared them.
    pub prepared: &'a dyn Fn(&str) -> Option<Arc<Statement>>,
    /// Open cursors and portals by name.
    pub cursors: &'a dyn Fn(&str) -> Option<Arc<Statement>>,
    /// From which epoch on the checks of new columns of a domain take cells; `None` for all.
    pub least_epoch: &'a dyn Fn(&Domain) -> Option<u16>,
}

/// Plans every statement of a text, in order; none for an empty text.
///
/// # Errors
/// The first statement that is refused.
pub fn plan(
    text: &str,
    catalog: &Catalog,
    classification: &Classification,
    session: &Session<'_>,
) -> Result<Vec<Statement>, Refusal> {
    let mut env = Env {
        catalog: Cow::Borrowed(catalog),
        classification,
        search_path: session.search_path.to_vec(),
        prepared: Names::of(session.prepared),
        cursors: Names::of(session.cursors),
        least_epoch: session.least_epoch,
        unsure: false,
        names: None,
        depth: 0,
    };
    let tree = parse::parse_as(text, session.standard_strings).map_err(|refusal| {
        let told = if env.protects() { refusal } else { parse::in_full(text, refusal) };
        told.located(text)
    })?;
    if !session.standard_strings && env.protects() && !tree.stmts.iter().all(is_of_session) {
        return Err(Refusal::denied("standard_conforming_strings is off, and columns are protected by now")
            .detail("Backslashes in strings would mean something else to the processor than to Drieslot.")
            .hint("SET standard_conforming_strings = on."));
    }
    let mut statements = Vec::with_capacity(tree.stmts.len());
    for raw in tree.stmts {
        let source = source(text, &raw);
        let mut node = *raw.stmt.ok_or_else(|| Refusal::internal("a statement without its tree"))?;
        let objects = administers::objects(&node);
        let decision = planned(&env, text, &source, &mut node)?;
        let administers = objects.filter(|_| administers::is_kind(&decision));
        crate::overlay::apply(&mut env, &node, &decision);
        let own = text.get(source.clone()).unwrap_or_default();
        let fingerprint = match &decision.kind {
            Kind::Pass(PassProof(())) if administers.is_some() => fingerprint(text, &source),
            Kind::Pass(PassProof(())) => String::new(),
            Kind::Reworded(_, PassProof(())) => {
                same_in_all_versions(own, &env)?;
                String::new()
            }
            Kind::Rewritten(_) | Kind::CopyIn(_) | Kind::CopyOut(_) => {
                same_in_all_versions(own, &env)?;
                fingerprint(text, &source)
            }
        };
        statements.push(Statement {
            kind: decision.kind,
            command: decision.command,
            source,
            effects: decision.effects,
            administers,
            defines: decision.defines,
            of: decision.of,
            fingerprint,
            depends_on_session: decision.depends_on_session,
        });
    }
    Ok(statements)
}

/// Whether a statement is about the session or its transaction, and holds no value.
fn is_of_session(raw: &RawStmt) -> bool {
    let node = raw.stmt.as_deref().and_then(|node| node.node.as_ref());
    matches!(node, Some(NodeEnum::VariableSetStmt(_) | NodeEnum::TransactionStmt(_)))
}

/// What the grammar here reads in another way than the server's, and the tree does not tell: `E'\\v'` is a vertical tab for
/// newer versions of PostgreSQL and the letter v for older ones; `0x1F` and `1_000` are numbers from version 16 on.
fn same_in_all_versions(text: &str, env: &Env<'_>) -> Result<(), Refusal> {
    let escapes = text.contains("E'") || text.contains("e'");
    if escapes && text.contains("\\v") {
        let what = "the escape \\v in a string means different things to different versions of PostgreSQL";
        return Err(Refusal::unsupported(what).hint("Write \\x0B for a vertical tab, and v for the letter."));
    }
    if env.catalog.version() < NUMBERS_OF_ANY_BASE && has_new_number(text) {
        return Err(Refusal::new("42601", "trailing junk after numeric literal"));
    }
    Ok(())
}

/// The first version that reads `0x1F`, `0o17`, `0b11` and `1_000` as numbers.
const NUMBERS_OF_ANY_BASE: u32 = 160_000;

fn has_new_number(text: &str) -> bool {
    let looks_so = |pair: &[u8]| matches!(pair, [b'0'..=b'9', b'x' | b'X' | b'o' | b'O' | b'b' | b'B' | b'_']);
    if !text.as_bytes().windows(2).any(looks_so) {
        return false;
    }
    let Ok(tokens) = parse::tokens(text) else { return true };
    tokens.iter().any(|token| {
        let range = usize::try_from(token.start).unwrap_or(0)..usize::try_from(token.end).unwrap_or(0);
        let number = token.token == Token::Iconst as i32 || token.token == Token::Fconst as i32;
        number && text.get(range).is_none_or(|number| number.as_bytes().windows(2).any(looks_so))
    })
}

/// Decides over one statement, worded anew where it reads the catalogue.
fn planned(env: &Env<'_>, text: &str, source: &Range<usize>, node: &mut Node) -> Result<Decision, Refusal> {
    let Some(reworded) = reflect::reword(env, text, source, node).map_err(|refusal| refusal.located(text))? else {
        return decide(env, node).map_err(|refusal| refusal.located(text));
    };
    let mut statements = parse::parse(&reworded).map_or_else(|_| Vec::new(), |tree| tree.stmts);
    let (Some(new), true) = (statements.pop().and_then(|raw| raw.stmt), statements.is_empty()) else {
        // What is refused anyway says better why.
        decide(env, node).map_err(|refusal| refusal.located(text))?;
        return Err(reflect::unclear("the catalogue"));
    };
    *node = *new;
    let decision = decide(env, node).map_err(|refusal| Refusal { position: None, ..refusal })?;
    Ok(match decision.kind {
        Kind::Pass(proof) => Decision { kind: Kind::Reworded(reworded, proof), ..decision },
        Kind::Reworded(..) | Kind::Rewritten(_) | Kind::CopyIn(_) | Kind::CopyOut(_) => decision,
    })
}

pub(crate) fn source(text: &str, raw: &RawStmt) -> Range<usize> {
    let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(text.len());
    let len = usize::try_from(raw.stmt_len).unwrap_or(0);
    let end = if len == 0 { text.len() } else { start.saturating_add(len).min(text.len()) };
    start..end
}

fn fingerprint(text: &str, source: &Range<usize>) -> String {
    let own = text.get(source.clone()).unwrap_or_default();
    pg_query::fingerprint(own, 0, 0).map(|fingerprint| fingerprint.hex).unwrap_or_default()
}

/// The tree of a node that holds a query, for EXPLAIN and its like.
pub(crate) fn is_query(node: &Node) -> bool {
    matches!(
        node.node,
        Some(
            NodeEnum::SelectStmt(_)
                | NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
                | NodeEnum::MergeStmt(_)
        )
    )
}
