//! LIKE, ILIKE, case-insensitive equality and word search over columns whose cells hold tokens.
//!
//! The processor can say which cells *may* match; the gateway asks it for those first, opens and tests them, and sends
//! along which do and which do not. A row whose cell is in neither list was changed meanwhile, and the statement fails.

use drieslot_schema::ColumnId;
use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, BoolExpr, BoolExprType, ColumnRef, FuncCall, Node};

use super::expr::column_ref;
use super::scope::Scope;
use super::value::text_value;
use super::{Binder, Flow, Ty, not_allowed};
use crate::catalog::Ctype;
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::statement::{LetterCase, PatternPart, Search, SearchPart, SearchTest, Slot, Use};
use crate::types::{is_builtin, is_text, logical, quoted, strings};

/// `drieslot.has_words(column, words)`.
pub(crate) const WORDS: (&str, &str) = ("drieslot", "has_words");

/// Each value of a list is a search of its own.
const MAX_AMONG: usize = 100;

/// The column that is searched: `name`, `lower(name)`, `upper(name)`, as text or not.
#[derive(Clone)]
struct Subject {
    flow: Flow,
    case: LetterCase,
    column: ColumnRef,
}

/// What is looked for, put together by the gateway.
struct Pattern {
    parts: Vec<PatternPart>,
    case: LetterCase,
    null_is_empty: bool,
    escape: Option<char>,
}

/// The tokens in a cell, as an array of texts: an expression of PostgreSQL's own immutable functions, for conditions and
/// for GIN indexes. `docs/format.md` says where they are.
fn tokens_of(column: &str) -> String {
    format!(
        "pg_catalog.string_to_array(pg_catalog.encode(pg_catalog.substring({column}, 7, \
         pg_catalog.get_byte({column}, 3) OPERATOR(pg_catalog.*) 65536 \
         OPERATOR(pg_catalog.+) pg_catalog.get_byte({column}, 4) OPERATOR(pg_catalog.*) 256 \
         OPERATOR(pg_catalog.+) pg_catalog.get_byte({column}, 5)), 'escape'), ' ')"
    )
}

/// The same for a column of the table that an index is on.
pub(crate) fn tokens_expression(column: &str) -> Result<Node> {
    expression(&format!("SELECT {}", tokens_of(&quoted(column))))
}

/// Asks for the different cells of one column that have all of the tokens, as hex text; at most `limit`.
pub(crate) fn candidates(place: &ColumnId, tokens: &[String], limit: usize) -> String {
    let (schema, table, column) = (quoted(&place.table.schema), quoted(&place.table.table), quoted(&place.column));
    let list: String = tokens.join(",").chars().filter(|c| *c != '\'').collect();
    format!(
        "SELECT DISTINCT {column} FROM {schema}.{table} WHERE ({}) COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.@>) \
         '{{{list}}}'::pg_catalog.text[] LIMIT {limit}",
        tokens_of(&column)
    )
}

fn case_of(call: &FuncCall) -> Option<LetterCase> {
    match call.args.len() {
        1 if is_builtin(&call.funcname, "lower") => Some(LetterCase::Lower),
        1 if is_builtin(&call.funcname, "upper") => Some(LetterCase::Upper),
        _ => None,
    }
}

/// What a cast to text without a length leaves as it is.
fn within_text_cast(node: &Node) -> &Node {
    match &node.node {
        Some(NodeEnum::TypeCast(cast)) => {
            let text = cast.type_name.as_ref().and_then(logical).is_some_and(|ty| is_text(ty) && ty.typmod() == -1);
            cast.arg.as_deref().filter(|_| text).unwrap_or(node)
        }
        Some(_) | None => node,
    }
}

/// An array's elements, where it is cast to an array of texts without a length.
fn within_array_cast(node: &Node) -> &Node {
    let Some(NodeEnum::TypeCast(cast)) = &node.node else { return node };
    let element = cast.type_name.as_ref().and_then(super::arrays::element).as_ref().and_then(logical);
    let text = element.is_some_and(|ty| is_text(ty) && ty.typmod() == -1);
    cast.arg.as_deref().filter(|_| text).unwrap_or(node)
}

fn subject(node: &Node, scope: &Scope<'_>) -> Result<Option<Subject>> {
    let node = within_text_cast(node);
    let (node, case) = match &node.node {
        Some(NodeEnum::FuncCall(call)) => match (case_of(call), call.args.first()) {
            (Some(case), Some(arg)) => (within_text_cast(arg), case),
            _ => return Ok(None),
        },
        Some(_) | None => (node, LetterCase::Kept),
    };
    let Some(NodeEnum::ColumnRef(column)) = &node.node else { return Ok(None) };
    Ok(match column_ref(column, scope)? {
        Ty::Protected(flow) => Some(Subject { flow, case, column: column.clone() }),
        Ty::Plain | Ty::Value => None,
    })
}

#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is a pattern")]
fn pattern(node: &Node) -> Option<Pattern> {
    if let Some(source) = text_value(node) {
        let parts = vec![PatternPart { source, case: LetterCase::Kept }];
        return Some(Pattern { parts, case: LetterCase::Kept, null_is_empty: false, escape: Some('\\') });
    }
    let inner = within_text_cast(node);
    match inner.node.as_ref()? {
        NodeEnum::FuncCall(call) => pattern_call(call),
        NodeEnum::AExpr(expr) if expr.kind == AExprKind::AexprOp as i32 && is_builtin(&expr.name, "||") => {
            let (left, right) = (pattern(expr.lexpr.as_deref()?)?, pattern(expr.rexpr.as_deref()?)?);
            if left.null_is_empty || right.null_is_empty {
                return None;
            }
            let cased = |pattern: Pattern| {
                let case = pattern.case;
                pattern.parts.into_iter().map(move |part| Some(PatternPart { case: part.case.then(case)?, ..part }))
            };
            let parts = cased(left).chain(cased(right)).collect::<Option<_>>()?;
            Some(Pattern { parts, case: LetterCase::Kept, null_is_empty: false, escape: Some('\\') })
        }
        NodeEnum::AExpr(_) => None,
        _ if !std::ptr::eq(inner, node) => pattern(inner),
        _ => None,
    }
}

fn pattern_call(call: &FuncCall) -> Option<Pattern> {
    if let Some(case) = case_of(call) {
        let inner = pattern(call.args.first()?)?;
        let nested = inner.parts.iter().any(|part| part.case.then(case).is_none());
        return inner.case.then(case).filter(|_| !nested).map(|case| Pattern { case, ..inner });
    }
    if is_builtin(&call.funcname, "concat") {
        let part = |arg| Some(PatternPart { source: text_value(arg)?, case: LetterCase::Kept });
        let parts = call.args.iter().map(part).collect::<Option<Vec<_>>>()?;
        return Some(Pattern { parts, case: LetterCase::Kept, null_is_empty: true, escape: Some('\\') });
    }
    let [of, by] = call.args.as_slice() else { return None };
    if is_builtin(&call.funcname, "like_escape")
        && let Some(NodeEnum::AConst(constant)) = &by.node
        && let Some(pg_query::protobuf::a_const::Val::Sval(escape)) = &constant.val
    {
        let mut chars = escape.sval.chars();
        return match (chars.next(), chars.next()) {
            (escape, None) => Some(Pattern { escape, ..pattern(of)? }),
            _ => None,
        };
    }
    None
}

/// Which operators of LIKE an expression is, whether negated, and what it does to the case.
fn like(kind: AExprKind, expr: &AExpr) -> Option<(bool, LetterCase)> {
    let known = matches!(kind, AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprOp);
    let names = [
        ("~~", (false, LetterCase::Kept)),
        ("!~~", (true, LetterCase::Kept)),
        ("~~*", (false, LetterCase::Lower)),
        ("!~~*", (true, LetterCase::Lower)),
    ];
    names.into_iter().find(|(name, _)| known && is_builtin(&expr.name, name)).map(|(_, found)| found)
}

impl Binder<'_> {
    /// LIKE and its kin, and equality of `lower` or `upper`; `None` where the expression is no search of a protected
    /// column.
    pub(super) fn search(&mut self, kind: AExprKind, expr: &mut AExpr, scope: &Scope<'_>) -> Result<Option<Node>> {
        let own = strings(&expr.name).last().is_some_and(|name| self.env.catalog.has_user_operator(name));
        let (Some(left), Some(right), false) = (expr.lexpr.as_deref(), expr.rexpr.as_deref(), own) else {
            return Ok(None);
        };
        let at = expr.location;
        if let Some((negated, case)) = like(kind, expr) {
            let Some(subject) = subject(left, scope)? else { return Ok(None) };
            let pattern = self.usable(&subject, right, "LIKE", at)?;
            let nested = pattern.parts.iter().any(|part| part.case.then(case).is_none());
            let cases = subject.case.then(case).zip(pattern.case.then(case)).filter(|_| !nested);
            let (of_value, of_pattern) =
                cases.ok_or_else(|| not_allowed(&subject.flow, "ILIKE beside upper()", at).hint("Use LIKE."))?;
            let test = SearchTest::Like { escape: pattern.escape };
            let (subject, pattern) = (Subject { case: of_value, ..subject }, Pattern { case: of_pattern, ..pattern });
            return self.searched(test, subject, pattern, negated, at).map(Some);
        }
        let equality = [("=", false), ("<>", true)].into_iter().find(|(name, _)| is_builtin(&expr.name, name));
        if let (AExprKind::AexprIn | AExprKind::AexprOpAny, Some((_, negated))) = (kind, equality) {
            return self.among(kind, (left, right, negated), scope, at);
        }
        let (AExprKind::AexprOp, Some((_, negated))) = (kind, equality) else { return Ok(None) };
        for (side, other) in [(left, right), (right, left)] {
            if let Some(subject) = subject(side, scope)?.filter(|subject| subject.case != LetterCase::Kept) {
                let pattern = self.usable(&subject, other, "equality of lower() or upper()", at)?;
                return self.searched(SearchTest::Equal, subject, pattern, negated, at).map(Some);
            }
        }
        Ok(None)
    }

    /// `lower(name) IN (…)` and `= ANY (ARRAY[…])`: one search for each.
    fn among(
        &mut self,
        kind: AExprKind,
        (left, right, negated): (&Node, &Node, bool),
        scope: &Scope<'_>,
        at: i32,
    ) -> Result<Option<Node>> {
        let Some(subject) = subject(left, scope)?.filter(|subject| subject.case != LetterCase::Kept) else {
            return Ok(None);
        };
        let what = "equality of lower() or upper()";
        let items = match &within_array_cast(right).node {
            Some(NodeEnum::List(list)) => &list.items,
            Some(NodeEnum::AArrayExpr(array)) if !negated && !array.elements.is_empty() => &array.elements,
            Some(_) | None => {
                if !subject.flow.column.search {
                    self.usable(&subject, right, what, at)?;
                }
                return Err(not_allowed(&subject.flow, "this comparison of lower() or upper()", at)
                    .hint("Write the values out: IN (…, …)."));
            }
        };
        if items.len() > MAX_AMONG {
            return Err(not_allowed(&subject.flow, "a list of so many values for lower() or upper()", at)
                .hint(format!("Write at most {MAX_AMONG} values.")));
        }
        let mut args = Vec::with_capacity(items.len());
        for item in items {
            let pattern = self.usable(&subject, item, what, at)?;
            args.push(self.searched(SearchTest::Equal, subject.clone(), pattern, negated, at)?);
        }
        let all = kind == AExprKind::AexprIn && negated;
        let boolop = if all { BoolExprType::AndExpr } else { BoolExprType::OrExpr } as i32;
        Ok(Some(match (args.pop(), args.is_empty()) {
            (Some(one), true) => one,
            (last, _) => {
                args.extend(last);
                Node { node: Some(NodeEnum::BoolExpr(Box::new(BoolExpr { boolop, args, ..BoolExpr::default() }))) }
            }
        }))
    }

    /// `drieslot.has_words(column, words)`; `None` for any other call.
    pub(super) fn words(&mut self, call: &FuncCall, scope: &Scope<'_>) -> Result<Option<Node>> {
        if strings(&call.funcname) != [WORDS.0, WORDS.1] {
            return Ok(None);
        }
        let [of, words] = call.args.as_slice() else {
            return Err(Refusal::new("42883", "drieslot.has_words takes a column and the words to look for"));
        };
        let subject = subject(of, scope)?.ok_or_else(|| {
            Refusal::unsupported("drieslot.has_words takes a protected column as its first argument").at(call.location)
        })?;
        let pattern = self.usable(&subject, words, "word search", call.location)?;
        self.searched(SearchTest::Words, subject, pattern, false, call.location).map(Some)
    }

    fn usable(&mut self, subject: &Subject, node: &Node, what: &str, at: i32) -> Result<Pattern> {
        let column = &subject.flow.column;
        if !column.search {
            let refusal = not_allowed(&subject.flow, what, at);
            let text = is_text(column.ty);
            let hint = "A classification with `search = true` for the column would allow it.";
            return Err(if text { refusal.hint(hint) } else { refusal });
        }
        pattern(node).ok_or_else(|| {
            let what =
                "a search for anything but literals and parameters, put together with ||, concat, lower or upper,";
            not_allowed(&subject.flow, what, at).hint("Put the pattern together in the application.")
        })
    }

    fn searched(
        &mut self,
        test: SearchTest,
        subject: Subject,
        pattern: Pattern,
        negated: bool,
        at: i32,
    ) -> Result<Node> {
        let Subject { flow, case, column } = subject;
        if flow.origins.is_empty() {
            return Err(not_allowed(&flow, "a search in a list of values", at));
        }
        let keeps = case == LetterCase::Kept
            && pattern.case == LetterCase::Kept
            && pattern.parts.iter().all(|part| part.case == LetterCase::Kept);
        let ctype = match self.env.catalog.ctype() {
            Some(ctype) => ctype,
            None if keeps => Ctype::Ascii,
            None => {
                return Err(not_allowed(&flow, "a search without regard to case", at)
                    .detail(
                        "This database maps letters by ICU or by rules of its locale's own, where one letter may become several \
                         and what stands around it counts.",
                    )
                    .hint("Use LIKE, or drieslot.has_words(column, words)."));
            }
        };
        self.mark(&flow, Use::Search);
        let search = self.searches.len();
        self.searches.push(Search {
            test,
            case,
            ctype,
            pattern: pattern.parts,
            pattern_case: pattern.case,
            null_is_empty: pattern.null_is_empty,
            places: flow.origins.iter().cloned().collect(),
            column: flow.column,
        });
        let mut slot = |part| self.slot_number(Slot::Search { search, part }).map(|number| format!("${number}"));
        let (tokens, everything) = (slot(SearchPart::Tokens)?, slot(SearchPart::Everything)?);
        let (matching, others) = (slot(SearchPart::Matching)?, slot(SearchPart::Others)?);
        let names: Vec<String> = strings(&column.fields).into_iter().map(quoted).collect();
        let cell = names.join(".");
        let may = format!(
            "({}) COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.@>) {tokens}::pg_catalog.text[]",
            tokens_of(&cell)
        );
        let not = if negated { "NOT " } else { "" };
        let text = format!(
            "SELECT {not}({may} AND CASE {may} WHEN true THEN CASE WHEN {everything}::pg_catalog.bool THEN true \
             WHEN {cell} IN (SELECT pg_catalog.unnest({matching}::pg_catalog.bytea[])) THEN true \
             WHEN {cell} IN (SELECT pg_catalog.unnest({others}::pg_catalog.bytea[])) THEN false \
             ELSE pg_catalog.concat('{CHANGED}', pg_catalog.octet_length({cell}))::pg_catalog.bool END \
             WHEN false THEN false END)"
        );
        expression(&text).map_err(|refusal| refusal.at(at))
    }
}

/// In the processor's error where a row changed between the question for candidates and the statement.
pub(crate) const CHANGED: &str = "drieslot: changed while searched ";

/// The expression of `SELECT expression`.
fn expression(text: &str) -> Result<Node> {
    let lost = || Refusal::internal("the search cannot be written");
    let statement = parse::parse(text)?.stmts.pop().and_then(|raw| raw.stmt).ok_or_else(lost)?;
    let Some(NodeEnum::SelectStmt(select)) = statement.node else { return Err(lost()) };
    match select.target_list.into_iter().next().and_then(|target| target.node) {
        Some(NodeEnum::ResTarget(target)) => target.val.map(|node| *node).ok_or_else(lost),
        Some(_) | None => Err(lost()),
    }
}
