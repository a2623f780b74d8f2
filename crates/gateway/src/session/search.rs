//! Searches: before a statement that searches is sent, the processor is asked for the cells that may match; they are
//! opened and tested here, and the statement is sent with those that match and those that do not.

use drieslot_seal::search::{Case, Ctype, Search as Test, Test as Kind};
use drieslot_sql::{self as sql, LetterCase, SearchPart, SearchTest, SlotSource};

use super::array::{self, BYTEA_ARRAY_OID, BYTEA_OID};
use super::cells::{Cells, Column, unhex};
use super::load::{Load, Part};
use super::{Session, Stall};
use crate::refusal::Refusal;

/// Most different cells that the tokens of one search may leave to be tested.
const MAX_CANDIDATES: usize = 1 << 16;
const TEXT_OID: u32 = 25;

/// What a statement is sent with for one search; `None` where its pattern is NULL.
pub(super) type Answer = Option<Found>;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    tokens: Vec<String>,
    everything: bool,
    matching: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

/// A search whose candidates must be asked for.
pub(super) struct Wanted {
    test: Test,
    column: Column,
    found: Found,
    questions: Vec<String>,
}

/// Searches of one statement of a text, in the order of its plan.
pub(super) struct Asked {
    pub(super) statement: usize,
    searches: Vec<Option<Wanted>>,
}

/// The OID of what a part of a search is.
pub(super) fn part_oid(part: SearchPart) -> u32 {
    match part {
        SearchPart::Tokens => 1009,
        SearchPart::Everything => 16,
        SearchPart::Matching | SearchPart::Others => BYTEA_ARRAY_OID,
    }
}

fn case(case: LetterCase) -> Case {
    match case {
        LetterCase::Kept => Case::Kept,
        LetterCase::Lower => Case::Lower,
        LetterCase::Upper => Case::Upper,
    }
}

fn ctype(ctype: sql::Ctype) -> Ctype {
    match ctype {
        sql::Ctype::Ascii => Ctype::Ascii,
        sql::Ctype::Simple => Ctype::Simple,
    }
}

/// The pattern, in its case; `None` for NULL.
fn pattern(
    search: &sql::Search,
    value: &mut dyn FnMut(&SlotSource) -> Result<Option<String>, Refusal>,
) -> Result<Option<String>, Refusal> {
    let ctype = ctype(search.ctype);
    let mut pattern = String::new();
    for part in &search.pattern {
        match value(&part.source)? {
            Some(text) => pattern.push_str(&case(part.case).of(&text, ctype)),
            None if search.null_is_empty => {}
            None => return Ok(None),
        }
    }
    Ok(Some(case(search.pattern_case).of(&pattern, ctype)))
}

impl Session {
    /// The answers to a statement's searches, which `value` gives the texts for; a stall where they must be asked for.
    pub(super) fn answers(
        &mut self,
        statement: usize,
        searches: &[sql::Search],
        value: &mut dyn FnMut(&SlotSource) -> Result<Option<String>, Refusal>,
    ) -> Result<Vec<Answer>, Stall> {
        if searches.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(answers) = self.answered.remove(&statement) {
            return Ok(answers);
        }
        let mut asked = Vec::with_capacity(searches.len());
        for search in searches {
            let pattern = pattern(search, value)?;
            asked.push(pattern.map(|pattern| self.wanted(search, &pattern)).transpose()?);
        }
        Err(Stall::Search(Asked { statement, searches: asked }))
    }

    fn wanted(&mut self, search: &sql::Search, pattern: &str) -> Result<Wanted, Stall> {
        let kind = match search.test {
            SearchTest::Like { escape } => Kind::Like { escape },
            SearchTest::Equal => Kind::Equal,
            SearchTest::Words => Kind::Words,
        };
        let test = Test::new(kind, case(search.case), ctype(search.ctype), pattern)
            .map_err(|error| Refusal::new("22025", error.to_string()))?;
        let column = self.cells.column(&search.column, search.column.ty)?;
        let tokens = column.cipher.tokens(&test).map_err(|error| Refusal::internal(error.to_string()))?;
        let everything = test.matches_everything();
        let questions = if everything { Vec::new() } else { search.candidates(&tokens, MAX_CANDIDATES + 1) };
        Ok(Wanted { test, column, found: Found { tokens, everything, ..Found::default() }, questions })
    }

    /// Asks the processor.
    pub(super) fn begin_search(&mut self, asked: Asked) {
        let questions = asked.searches.iter().flatten().flat_map(|wanted| &wanted.questions);
        let parts: Vec<Part> = questions.cloned().map(Part::Candidates).collect();
        if parts.is_empty() {
            self.finish_search(asked, Vec::new());
            return;
        }
        let load = Load::send(parts, 0, self.batch_open, Some(asked), &mut self.server.output);
        self.expects.push_back(super::Expect::Load(Box::new(load)));
        self.loading = true;
    }

    /// Takes the processor's answers: the rows of each question in order.
    pub(super) fn finish_search(&mut self, asked: Asked, rows: Vec<Vec<Vec<Option<String>>>>) {
        let mut rows = rows.into_iter();
        let mut answers = Vec::with_capacity(asked.searches.len());
        for wanted in asked.searches {
            let Some(wanted) = wanted else {
                answers.push(None);
                continue;
            };
            let candidates: Vec<_> = rows.by_ref().take(wanted.questions.len()).collect();
            match test_all(wanted, candidates, &mut self.cells) {
                Ok(found) => answers.push(Some(found)),
                Err(refusal) => self.stall_failed = Some(refusal),
            }
        }
        self.answered.insert(asked.statement, answers);
    }
}

fn test_all(wanted: Wanted, rows: Vec<Vec<Vec<Option<String>>>>, cells: &mut Cells) -> Result<Found, Refusal> {
    let Wanted { test, column, mut found, .. } = wanted;
    if rows.iter().any(|rows| rows.len() > MAX_CANDIDATES) {
        return Err(Refusal::new("54000", format!("more than {MAX_CANDIDATES} values of {} could match", column.id()))
            .detail("Each of them would have to be opened to know whether it matches.")
            .hint("Search for more characters in a row, or by another column too in a subquery."));
    }
    let mut value = Vec::new();
    for row in rows.into_iter().flatten() {
        let Some(Some(text)) = row.into_iter().next() else { continue };
        let mut cell = Vec::new();
        unhex(text.as_bytes(), &mut cell)?;
        value.clear();
        cells.open(&column, None, &cell, 1, &mut value)?;
        let text = std::str::from_utf8(&value).map_err(|_| Refusal::internal("a text that is not UTF-8"))?;
        if test.matches(text) { found.matching.push(cell) } else { found.others.push(cell) }
    }
    zeroize::Zeroize::zeroize(&mut value);
    Ok(found)
}

impl Found {
    /// Appends a part in binary form.
    pub(super) fn put_binary(&self, part: SearchPart, out: &mut Vec<u8>) {
        let cells = |cells: &[Vec<u8>], out: &mut Vec<u8>| {
            array::put_array(BYTEA_OID, cells.iter().map(|cell| Some(cell.as_slice())), out);
        };
        match part {
            SearchPart::Tokens => {
                array::put_array(TEXT_OID, self.tokens.iter().map(|token| Some(token.as_bytes())), out);
            }
            SearchPart::Everything => out.push(u8::from(self.everything)),
            SearchPart::Matching => cells(&self.matching, out),
            SearchPart::Others => cells(&self.others, out),
        }
    }

    /// A part as an SQL expression. Tokens are letters, digits, `-` and `_`.
    pub(super) fn expression(&self, part: SearchPart) -> String {
        match part {
            SearchPart::Tokens => format!("'{{{}}}'::pg_catalog.text[]", self.tokens.join(",")),
            SearchPart::Everything => format!("{}", self.everything),
            SearchPart::Matching => array::expression(self.matching.iter().map(|cell| Some(cell.as_slice()))),
            SearchPart::Others => array::expression(self.others.iter().map(|cell| Some(cell.as_slice()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_written_as_postgresql_reads_them() {
        let found =
            Found { tokens: vec!["ab_-09".into()], matching: vec![vec![0x19, 0xff], vec![]], ..Found::default() };
        assert_eq!(found.expression(SearchPart::Tokens), "'{ab_-09}'::pg_catalog.text[]");
        assert_eq!(found.expression(SearchPart::Matching), r#"'{"\\x19ff","\\x"}'::pg_catalog.bytea[]"#);
        assert_eq!(found.expression(SearchPart::Others), "'{}'::pg_catalog.bytea[]");
        let mut out = Vec::new();
        found.put_binary(SearchPart::Others, &mut out);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17]);
    }
}
