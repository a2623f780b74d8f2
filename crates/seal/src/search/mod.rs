//! Search in texts: which tokens the cells of values that could match have, and whether a value matches.
//!
//! Tokens stand for fragments of folded texts, so the processor can only say which values *may* match: those it names are
//! opened and tested here, and the answer is exact.

mod case;
mod fold;
mod grams;

use crate::{CellKey, SealError};
use fold::fold;
use grams::Run;

pub use case::{Case, Ctype};
pub(crate) use grams::push_tokens;

/// What is asked of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// LIKE, with the character that makes the one behind it stand for itself.
    Like {
        /// `\` where ESCAPE is not written; `None` for ESCAPE ''.
        escape: Option<char>,
    },
    /// It is equal.
    Equal,
    /// It has all the words in it, in whatever order, case and accents.
    Words,
}

/// A search that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    test: Test,
    /// What the value is brought to before it is compared.
    case: Case,
    ctype: Ctype,
    parts: Vec<Part>,
    words: Vec<Vec<char>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    One(char),
    AnyOne,
    Any,
}

/// The pattern ends with its escape character: PostgreSQL's 22025.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("LIKE pattern must not end with escape character")]
pub struct EscapeAtEnd;

impl Search {
    /// A search for `pattern`, which is in its case already.
    ///
    /// # Errors
    /// Where the pattern ends with its escape character.
    pub fn new(test: Test, case: Case, ctype: Ctype, pattern: &str) -> Result<Self, EscapeAtEnd> {
        let (mut parts, mut words) = (Vec::new(), Vec::new());
        match test {
            Test::Like { escape } => parts = parts_of(pattern, escape)?,
            Test::Equal => parts = pattern.chars().map(Part::One).collect(),
            Test::Words => words = words_of(pattern),
        }
        Ok(Self { test, case, ctype, parts, words })
    }

    /// The tokens that the cell of every matching value has; none where every value could match.
    ///
    /// # Errors
    /// `Library`.
    pub fn tokens(&self, key: &CellKey) -> Result<Vec<String>, SealError> {
        grams::of_runs(key.search(), &self.runs())
    }

    /// Whether every value matches, as with LIKE '%'.
    pub fn matches_everything(&self) -> bool {
        match self.test {
            Test::Like { .. } => !self.parts.is_empty() && self.parts.iter().all(|part| *part == Part::Any),
            Test::Equal => false,
            Test::Words => self.words.is_empty(),
        }
    }

    /// Whether a value matches.
    pub fn matches(&self, value: &str) -> bool {
        match self.test {
            Test::Words => {
                let of_value = words_of(value);
                self.words.iter().all(|word| of_value.contains(word))
            }
            Test::Like { .. } | Test::Equal => {
                let text: Vec<char> = self.case.of(value, self.ctype).chars().collect();
                like(&text, &self.parts)
            }
        }
    }

    fn runs(&self) -> Vec<Run> {
        if self.test == Test::Words {
            let word = |word: &Vec<char>| Run { text: word.iter().collect(), at_start: false, at_end: false };
            return self.words.iter().map(word).collect();
        }
        let mut runs = Vec::new();
        let mut run = Run { text: String::new(), at_start: true, at_end: false };
        for part in &self.parts {
            if let Part::One(c) = part {
                run.text.push(*c);
            } else {
                runs.push(std::mem::replace(&mut run, Run { text: String::new(), at_start: false, at_end: false }));
            }
        }
        run.at_end = true;
        runs.push(run);
        runs
    }
}

fn parts_of(pattern: &str, escape: Option<char>) -> Result<Vec<Part>, EscapeAtEnd> {
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            _ if Some(c) == escape => Part::One(chars.next().ok_or(EscapeAtEnd)?),
            '%' => Part::Any,
            '_' => Part::AnyOne,
            _ => Part::One(c),
        });
    }
    Ok(parts)
}

/// Goes back to the last `%` where a later part does not fit, so the work is at most text times pattern.
fn like(text: &[char], parts: &[Part]) -> bool {
    let (mut at, mut part) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (parts.get(part), text.get(at)) {
            (Some(Part::Any), _) => {
                part += 1;
                retry = Some((at, part));
            }
            (Some(Part::AnyOne), Some(_)) => (at, part) = (at + 1, part + 1),
            (Some(Part::One(wanted)), Some(found)) if wanted == found => (at, part) = (at + 1, part + 1),
            (None, None) => return true,
            (Some(Part::One(_) | Part::AnyOne) | None, _) => match retry {
                Some((from, behind)) if from < text.len() => {
                    (at, part) = (from + 1, behind);
                    retry = Some((from + 1, behind));
                }
                Some(_) | None => return false,
            },
        }
    }
}

/// Runs of letters and digits, folded.
fn words_of(text: &str) -> Vec<Vec<char>> {
    let mut folded = Vec::new();
    fold(text, &mut folded);
    let words = folded.split(|c| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(<[char]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::{Case, Ctype, Search, Test};

    fn like(pattern: &str, value: &str) -> bool {
        Search::new(Test::Like { escape: Some('\\') }, Case::Kept, Ctype::Simple, pattern).unwrap().matches(value)
    }

    #[test]
    fn like_is_postgresqls() {
        for (pattern, yes, no) in [
            ("abc", vec!["abc"], vec!["ab", "abcd", "ABC", ""]),
            ("a%", vec!["a", "abc"], vec!["ba", ""]),
            ("%a", vec!["a", "bba"], vec!["ab"]),
            ("%an%", vec!["an", "Jan", "Hannah"], vec!["a", "na"]),
            ("a_c", vec!["abc", "aéc"], vec!["ac", "abbc"]),
            ("%a%b%c%", vec!["abc", "xaxbxcx"], vec!["acb"]),
            ("", vec![""], vec!["a"]),
            ("%", vec!["", "a"], vec![]),
            ("100\\%", vec!["100%"], vec!["1000"]),
            ("_\\_%", vec!["a_", "a_bc"], vec!["ab"]),
            ("%aab", vec!["aaaab", "aab"], vec!["aaba"]),
            ("%_", vec!["a", "ab"], vec![""]),
        ] {
            yes.iter().for_each(|value| assert!(like(pattern, value), "{value} LIKE {pattern}"));
            no.iter().for_each(|value| assert!(!like(pattern, value), "{value} NOT LIKE {pattern}"));
        }
        assert!(Search::new(Test::Like { escape: Some('\\') }, Case::Kept, Ctype::Simple, "a\\").is_err());
    }

    #[test]
    fn words_are_found_in_any_order_case_and_accents() {
        let words = |words: &str, value: &str| {
            Search::new(Test::Words, Case::Kept, Ctype::Simple, words).unwrap().matches(value)
        };
        assert!(words("muller anna", "Anna-Maria MÜLLER"));
        assert!(!words("mull", "Anna Müller"));
        assert!(words("", "anything"));
    }
}
