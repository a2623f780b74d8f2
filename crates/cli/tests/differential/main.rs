//! The differential test: whatever is asked, the gateway gives exactly what plain PostgreSQL gives, or refuses.
//!
//! Queries are made from a seed. `DRIESLOT_DIFF_SEED` sets it, `DRIESLOT_DIFF_COUNT` how many, and
//! `DRIESLOT_DIFF_ONLY` asks the question of one number alone; `DRIESLOT_FULL=1` asks 200,000 under more
//! classifications.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod generate;

use std::collections::BTreeMap;
use std::time::Instant;

use generate::connection::Ask;
use generate::judge::{Pair, Question, Verdict};
use generate::setup::Field;

const SHORT: u64 = 2_000;
const FULL: u64 = 200_000;
/// The short run asks the same on every machine.
const SEED: u64 = 20_250_101;
const WORKERS: usize = 2;
/// Differences that are told in full.
const TOLD: usize = 40;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, u64>,
    refusals: BTreeMap<String, u64>,
    differences: Vec<(u64, String)>,
}

impl Tally {
    fn add(&mut self, field: &Field, number: u64, question: &Question, verdict: Verdict) {
        let word = match verdict {
            Verdict::Rows => "same rows",
            Verdict::Error => "same error",
            Verdict::TooSlow => "too slow",
            Verdict::OtherError(codes) => {
                *self.refusals.entry(format!("another error of several: {codes}")).or_default() += 1;
                "another error of several"
            }
            Verdict::Refused(kind) => {
                *self.refusals.entry(kind).or_default() += 1;
                "refused"
            }
            Verdict::Different(what) => {
                self.differences.push((number, told(field, number, question, &what)));
                "DIFFERENT"
            }
        };
        *self.counts.entry(word.to_owned()).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        for (word, count) in other.counts {
            *self.counts.entry(word).or_default() += count;
        }
        for (kind, count) in other.refusals {
            *self.refusals.entry(kind).or_default() += count;
        }
        self.differences.extend(other.differences);
    }

    fn print(&self, asked: u64) {
        for (word, count) in &self.counts {
            println!("{count:>8}  {:>5.1} %  {word}", percent(*count, asked));
        }
        println!("refusals by kind:");
        let mut kinds: Vec<_> = self.refusals.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (kind, count) in kinds {
            println!("{count:>8}  {:>5.1} %  {kind}", percent(*count, asked));
        }
    }
}

fn percent(count: u64, of: u64) -> f64 {
    f64::from(u32::try_from(count * 1000 / of.max(1)).unwrap()) / 10.0
}

fn told(field: &Field, number: u64, question: &Question, what: &str) -> String {
    let scheme = &field.schemes[question.scheme];
    let before = question.before.as_ref().map(|ask| format!("{ask:?}\n  ")).unwrap_or_default();
    let sql = match &question.ask {
        Ask::Simple(sql) => sql.clone(),
        Ask::Extended { sql, parameters, binary_results } => {
            format!("{sql}\n  {parameters:?}\n  binary results: {binary_results}")
        }
    };
    let classified = scheme.describe(&field.worlds[scheme.world], &sql);
    format!("question {number}, schema {}:\n  {before}{sql}\n{classified}  {what}\n", scheme.schema)
}

/// One worker's share of the classifications, so that no two change the same rows.
fn work(field: &Field, seed: u64, numbers: &[u64], worker: usize) -> Tally {
    let mut pairs: BTreeMap<usize, Pair> = BTreeMap::new();
    let mut tally = Tally::default();
    for number in numbers {
        let question = Question::make(field, seed, *number);
        if question.scheme % WORKERS != worker {
            continue;
        }
        let open = || Pair::open(field, &field.schemes[question.scheme]);
        let verdict = pairs.entry(question.scheme).or_insert_with(open).judge(&question);
        if matches!(verdict, Verdict::Different(_)) {
            // Whatever state the sessions are in now, the next question must not suffer from it.
            pairs.remove(&question.scheme);
        }
        tally.add(field, *number, &question, verdict);
    }
    tally
}

#[test]
fn every_query_answers_as_plain_postgresql_or_is_refused() {
    let full = std::env::var_os("DRIESLOT_FULL").is_some();
    let seed = setting("DRIESLOT_DIFF_SEED").unwrap_or(SEED);
    let count = setting("DRIESLOT_DIFF_COUNT").unwrap_or(if full { FULL } else { SHORT });
    let numbers: Vec<u64> = setting("DRIESLOT_DIFF_ONLY").map_or_else(|| (0..count).collect(), |only| vec![only]);
    let started = Instant::now();
    let field = Field::prepare(seed, if full { 8 } else { 4 });
    println!(
        "seed {seed}: {} questions, {} classifications, ready after {:?}",
        numbers.len(),
        field.schemes.len(),
        started.elapsed()
    );
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|at| {
                scope.spawn({
                    let (field, numbers) = (&field, &numbers);
                    move || work(field, seed, numbers, at)
                })
            })
            .collect();
        for worker in workers {
            tally.merge(worker.join().unwrap());
        }
    });
    let asked = u64::try_from(numbers.len()).unwrap();
    println!("asked after {:?}", started.elapsed());
    tally.print(asked);
    tally.differences.sort();
    for (_, difference) in tally.differences.iter().take(TOLD) {
        println!("{difference}");
    }
    field.same_content();
    let found: Vec<u64> = tally.differences.iter().map(|(number, _)| *number).collect();
    assert!(
        found.is_empty(),
        "{} differences; one alone: DRIESLOT_DIFF_SEED={seed} DRIESLOT_DIFF_ONLY=N, N of {found:?}",
        found.len()
    );
    if numbers.len() > 1_000 {
        // A generator of queries that are refused, or wrong, would prove nothing.
        let rows = tally.counts.get("same rows").copied().unwrap_or_default();
        assert!(rows * 2 > asked, "only {rows} of {asked} gave rows");
    }
    field.trial.check_journals();
    field.trial.check_register();
}
