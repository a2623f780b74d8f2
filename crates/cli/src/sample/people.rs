//! The people of the sample, their course results and their residence permits.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::names::{COMMUNITIES, COURSES, Community, NOTES, PLACES, STATUSES, STREETS};
use super::national_number::national_number;
use super::random::Random;

/// The same people on every machine.
const SEED: u64 = 0x000D_1E55_1077;

/// One row of `newcomers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newcomer {
    pub(crate) id: u32,
    pub(crate) national_number: String,
    pub(crate) last_name: String,
    pub(crate) first_name: String,
    pub(crate) own_script: Option<String>,
    pub(crate) birth: Date,
    pub(crate) street: Option<String>,
    pub(crate) postal_code: String,
    pub(crate) municipality: String,
    pub(crate) email: Option<String>,
    pub(crate) language: String,
    pub(crate) status: String,
    pub(crate) enrolled: Date,
    pub(crate) note: Option<String>,
}

/// One row of `course_results`. The score is in tenths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Result {
    pub(crate) id: u32,
    pub(crate) newcomer: u32,
    pub(crate) course: String,
    pub(crate) level: Option<String>,
    pub(crate) score_tenths: Option<u32>,
    pub(crate) passed: Option<bool>,
    pub(crate) taken: Date,
}

/// One row of `residence_permits`, joined on the national number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permit {
    pub(crate) id: u32,
    pub(crate) national_number: String,
    pub(crate) kind: String,
    pub(crate) valid_until: Date,
}

/// The whole register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) newcomers: Vec<Newcomer>,
    pub(crate) results: Vec<Result>,
    pub(crate) permits: Vec<Permit>,
}

/// `count` newcomers, one to three course results each, and a permit for most.
pub(crate) fn generate(count: u32) -> Sample {
    let mut random = Random::new(SEED);
    let mut serials = BTreeMap::new();
    let mut sample = Sample { newcomers: Vec::new(), results: Vec::new(), permits: Vec::new() };
    for id in 1..=count {
        let newcomer = newcomer(id, &mut random, &mut serials);
        for _ in 0..=random.below(3) {
            let result_id = next_id(sample.results.len());
            sample.results.push(result(result_id, &newcomer, &mut random));
        }
        if newcomer.status != "EU citizen" && random.chance(85) {
            let permit_id = next_id(sample.permits.len());
            sample.permits.push(permit(permit_id, &newcomer, &mut random));
        }
        sample.newcomers.push(newcomer);
    }
    sample
}

fn next_id(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX).saturating_add(1)
}

fn newcomer(id: u32, random: &mut Random, serials: &mut BTreeMap<(Date, bool), u16>) -> Newcomer {
    let community = community(random);
    let woman = random.chance(52);
    let first = random.pick(if woman { community.women } else { community.men });
    let family = random.pick(community.families);
    let birth = day(random, date(1948, 1, 1), 22_000);
    // Men take the odd serials, women the even ones.
    let serial = serials.entry((birth, woman)).and_modify(|serial| *serial += 2).or_insert(if woman { 2 } else { 1 });
    let number = national_number(birth, *serial, random.chance(12));
    let (postal_code, municipality) = random.pick(PLACES);
    let own_script =
        if community.family_first { format!("{}{}", family.1, first.1) } else { format!("{} {}", first.1, family.1) };
    Newcomer {
        id,
        national_number: number,
        last_name: family.0.to_owned(),
        first_name: first.0.to_owned(),
        own_script: (first.0 != first.1).then_some(own_script),
        birth,
        street: random.chance(97).then(|| format!("{} {}", random.pick(STREETS), random.below(180) + 1)),
        postal_code: postal_code.to_owned(),
        municipality: municipality.to_owned(),
        email: random.chance(80).then(|| email(first.0, family.0, id)),
        language: community.language.to_owned(),
        status: random.pick(STATUSES).to_owned(),
        enrolled: day(random, date(2019, 1, 7), 2_400),
        note: random.chance(40).then(|| random.pick(NOTES).to_owned()),
    }
}

fn community(random: &mut Random) -> &'static Community {
    static NOBODY: Community =
        Community { language: "", weight: 0, family_first: false, women: &[], men: &[], families: &[] };
    let total = COMMUNITIES.iter().map(|community| community.weight).sum();
    let mut left = random.below(total);
    for community in COMMUNITIES {
        if left < community.weight {
            return community;
        }
        left -= community.weight;
    }
    &NOBODY
}

/// ASCII letters only, as mail providers hand them out; the number keeps it unique.
fn email(first: &str, family: &str, id: u32) -> String {
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    format!("{}.{}{id}@example.org", letters(first), letters(family))
}

fn result(id: u32, newcomer: &Newcomer, random: &mut Random) -> Result {
    let (course, level) = random.pick(COURSES);
    let score = random.chance(90).then(|| random.below(701) + 300);
    Result {
        id,
        newcomer: newcomer.id,
        course: course.to_owned(),
        level: (!level.is_empty()).then(|| level.to_owned()),
        score_tenths: score,
        passed: score.map(|score| score >= 500),
        taken: day(random, newcomer.enrolled, 400),
    }
}

fn permit(id: u32, newcomer: &Newcomer, random: &mut Random) -> Permit {
    let kind =
        random.pick(&["A card", "B card", "orange card", "attestation of immatriculation", "annex 26", "F card"]);
    Permit {
        id,
        national_number: newcomer.national_number.clone(),
        kind: kind.to_owned(),
        valid_until: day(random, newcomer.enrolled, 1_800),
    }
}

fn day(random: &mut Random, from: Date, within_days: u32) -> Date {
    from.saturating_add(i64::from(random.below(within_days)).days())
}

/// One line of COPY's text format: tabs between, `\N` for NULL, backslash escapes.
fn copy_line(fields: &[Option<String>]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| field.as_deref().map_or("\\N".to_owned(), escape)).collect();
    let mut line = fields.join("\t");
    line.push('\n');
    line
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

impl Newcomer {
    /// For `COPY newcomers FROM STDIN`.
    pub(crate) fn copy_line(&self) -> String {
        copy_line(&[
            Some(self.id.to_string()),
            Some(self.national_number.clone()),
            Some(self.last_name.clone()),
            Some(self.first_name.clone()),
            self.own_script.clone(),
            Some(self.birth.to_string()),
            self.street.clone(),
            Some(self.postal_code.clone()),
            Some(self.municipality.clone()),
            self.email.clone(),
            Some(self.language.clone()),
            Some(self.status.clone()),
            Some(self.enrolled.to_string()),
            self.note.clone(),
        ])
    }
}

impl Result {
    /// For `COPY course_results FROM STDIN`.
    pub(crate) fn copy_line(&self) -> String {
        copy_line(&[
            Some(self.id.to_string()),
            Some(self.newcomer.to_string()),
            Some(self.course.clone()),
            self.level.clone(),
            self.score_tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
            self.passed.map(|passed| if passed { "t" } else { "f" }.to_owned()),
            Some(self.taken.to_string()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::national_number::is_valid;
    use super::{copy_line, generate};

    #[test]
    fn ten_thousand_distinct_people_with_valid_numbers() {
        let sample = generate(10_000);
        assert_eq!(sample, generate(10_000));
        let numbers: BTreeSet<_> = sample.newcomers.iter().map(|newcomer| &newcomer.national_number).collect();
        assert_eq!(numbers.len(), 10_000);
        assert!(numbers.iter().all(|number| is_valid(number)));
        assert!(sample.newcomers.iter().any(|newcomer| newcomer.birth.year() >= 2000));
        assert!(sample.permits.iter().all(|permit| numbers.contains(&permit.national_number)));
        assert!(sample.results.len() > 10_000 && sample.permits.len() > 5_000);
        assert!(sample.newcomers.iter().all(|newcomer| newcomer.last_name.chars().count() <= 60));
    }

    #[test]
    fn copy_fields_survive_tabs_newlines_and_backslashes() {
        let line = copy_line(&[Some("a\tb\nc\\d".to_owned()), None, Some(String::new())]);
        assert_eq!(line, "a\\tb\\nc\\\\d\t\\N\t\n");
    }
}
