//! What the values of a column give away: check digits, forms, and names that many people bear.
//!
//! Looks at samples only and keeps none of them; what it finds is a kind and a share, never a value.

use std::collections::BTreeSet;

use super::rules::Kind;
use crate::sample::{COMMUNITIES, STREETS};

/// Fewer values than this say nothing.
const ENOUGH: usize = 5;

/// What the samples of one column show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(super) kind: Kind,
    /// Numbers that a state gives to its people: the same in every table.
    pub(super) national: bool,
    /// For the reader: why.
    pub(super) why: String,
}

struct Detector {
    kind: Kind,
    what: &'static str,
    /// Of a hundred values.
    share: usize,
    fits: fn(&str) -> bool,
}

/// From the surest to the least sure.
const DETECTORS: [Detector; 6] = [
    Detector {
        kind: Kind::Identifier,
        what: "Belgian national numbers, by their check digits",
        share: 80,
        fits: is_national_number,
    },
    Detector { kind: Kind::Account, what: "IBANs, by their check digits", share: 80, fits: is_iban },
    Detector { kind: Kind::Identifier, what: "e-mail addresses", share: 80, fits: is_email },
    Detector { kind: Kind::Phone, what: "telephone numbers", share: 80, fits: is_phone },
    Detector { kind: Kind::Address, what: "streets with house numbers", share: 60, fits: is_address },
    Detector { kind: Kind::Name, what: "names that people bear", share: 40, fits: is_name },
];

/// Looks at the values of one column, as text; NULL is left out by the caller.
pub(crate) fn look(values: &[String]) -> Option<Finding> {
    let filled: Vec<&str> = values.iter().map(|value| value.trim()).filter(|value| !value.is_empty()).collect();
    let distinct: BTreeSet<&str> = filled.iter().copied().collect();
    if distinct.len() < ENOUGH {
        return None;
    }
    DETECTORS.iter().find_map(|detector| {
        let fitting = filled.iter().filter(|value| (detector.fits)(value)).count();
        (fitting * 100 >= filled.len() * detector.share).then(|| Finding {
            kind: detector.kind,
            national: detector.what.contains("national"),
            why: format!("{fitting} of {} values look like {}", filled.len(), detector.what),
        })
    })
}

/// Whether days spread as birthdays of people now alive do: over decades, and none in the future. `today` and the days
/// as `YYYY-MM-DD`.
pub(crate) fn are_birthdays(days: &[String], today: &str) -> Option<Finding> {
    let year = |day: &str| day.get(..4).and_then(|year| year.parse::<i32>().ok());
    let this_year = year(today)?;
    let years: Vec<i32> = days.iter().filter_map(|day| year(day)).collect();
    let distinct: BTreeSet<&str> = days.iter().filter_map(|day| day.get(..10)).collect();
    let (first, last) = (*years.iter().min()?, *years.iter().max()?);
    let alive = years.iter().all(|year| (this_year - 115..=this_year).contains(year));
    let spread = last - first >= 15 && this_year - first >= 25;
    (alive && spread && distinct.len() >= ENOUGH && distinct.len() * 2 > days.len()).then(|| Finding {
        kind: Kind::Birth,
        national: false,
        why: format!("{} days spread over {} years, as days of birth do", years.len(), last - first),
    })
}

fn digits(text: &str, between: &[char]) -> Option<Vec<u8>> {
    let kept = text.chars().filter(|c| !between.contains(c));
    kept.map(|c| c.to_digit(10).and_then(|digit| u8::try_from(digit).ok())).collect()
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit))
}

/// `YYMMDDSSSCC`: 97 less the rest of the first nine digits by 97, with a 2 before them for those born from 2000 on.
/// Months of bis numbers are 20 or 40 higher. A number column has lost the zeros before it.
fn is_national_number(text: &str) -> bool {
    let Some(mut digits) = digits(text, &['.', '-', ' ', '/']).filter(|digits| (9..=11).contains(&digits.len())) else {
        return false;
    };
    while digits.len() < 11 {
        digits.insert(0, 0);
    }
    let (Some(month), Some(day), Some(body), Some(check)) =
        (digits.get(2..4), digits.get(4..6), digits.get(..9), digits.get(9..))
    else {
        return false;
    };
    let (month, day, body, check) = (number(month), number(day), number(body), number(check));
    let dated = month % 20 <= 12 && month < 60 && day <= 31;
    dated && (97 - body % 97 == check || 97 - (2_000_000_000 + body) % 97 == check)
}

/// ISO 13616: the first four characters moved to the end, letters as 10 to 35, the whole leaves 1 by 97.
fn is_iban(text: &str) -> bool {
    let compact: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    let (Some(head), Some(tail)) = (compact.get(..4), compact.get(4..)) else { return false };
    let country = matches!(head, [a, b, c, d] if a.is_ascii_uppercase() && b.is_ascii_uppercase()
        && c.is_ascii_digit() && d.is_ascii_digit());
    if !country || !(15..=34).contains(&compact.len()) {
        return false;
    }
    let rest = tail.iter().chain(head).try_fold(0, |rest, c| {
        let value = c.to_digit(36).filter(|_| !c.is_ascii_lowercase())?;
        Some((rest * if value < 10 { 10 } else { 100 } + value) % 97)
    });
    rest == Some(1)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains([' ', '@', ',', ';', '/']);
    plain(local) && plain(domain) && domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty())
}

/// `+32 2 555 12 12`, `(171) 555-2222`, `030-0074321`: 7 to 15 digits in groups, or with a plus or a zero before them.
fn is_phone(text: &str) -> bool {
    let marks = [' ', '-', '.', '/', '(', ')', '+'];
    let Some(digits) = digits(text, &marks).filter(|digits| (7..=15).contains(&digits.len())) else { return false };
    let grouped = text.contains(marks) && !text.contains("--");
    let date = text.len() == 10 && text.split('-').map(str::len).eq([4, 2, 2]);
    (grouped || digits.first() == Some(&0)) && !date && !is_decimal(text)
}

fn is_decimal(text: &str) -> bool {
    text.parse::<f64>().is_ok() && !text.starts_with(['+', '0'])
}

/// A street by its word or ending, and a house number before or behind it.
fn is_address(text: &str) -> bool {
    const ENDINGS: [&str; 12] =
        ["straat", "laan", "weg", "plein", "lei", "dreef", "steenweg", "strasse", "straße", "str.", "gatan", "kaai"];
    const WORDS: [&str; 22] = [
        "rue",
        "avenue",
        "ave.",
        "boulevard",
        "place",
        "chaussée",
        "street",
        "st.",
        "road",
        "rd.",
        "way",
        "drive",
        "blvd.",
        "lane",
        "via",
        "calle",
        "rua",
        "av.",
        "c/",
        "platz",
        "plaza",
        "square",
    ];
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let numbered = words.iter().any(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let named = STREETS.iter().any(|street| lower.contains(&street.to_lowercase()));
    let typed = words.iter().any(|word| WORDS.contains(word) || ENDINGS.iter().any(|end| word.ends_with(end)));
    numbered && words.len() > 1 && (named || typed)
}

/// One to four words, one of which many people bear as a name.
fn is_name(text: &str) -> bool {
    let words: Vec<String> = text.split([' ', '-']).map(str::to_lowercase).collect();
    if words.len() > 4 || text.contains(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let known = |word: &String| {
        let sampled = COMMUNITIES.iter().flat_map(|community| {
            let names = community.women.iter().chain(community.men).chain(community.families);
            names.flat_map(|(latin, own)| [*latin, *own])
        });
        COMMON.contains(&word.as_str()) || sampled.into_iter().any(|name| name.to_lowercase() == *word)
    };
    words.iter().any(known)
}

/// First names that are common in Western Europe and America, beside those of the made-up newcomers.
const COMMON: &[&str] = &[
    "aaron",
    "adam",
    "alexander",
    "alice",
    "andrew",
    "ann",
    "anna",
    "anne",
    "antonio",
    "astrid",
    "bernard",
    "bram",
    "camille",
    "carlos",
    "catherine",
    "charles",
    "charlotte",
    "christina",
    "christine",
    "daniel",
    "dan",
    "david",
    "dirk",
    "edward",
    "eduardo",
    "elisabeth",
    "elizabeth",
    "ellen",
    "emma",
    "eric",
    "eva",
    "felipe",
    "fernanda",
    "françois",
    "frank",
    "françoise",
    "fynn",
    "georg",
    "george",
    "hannah",
    "hans",
    "heather",
    "helena",
    "helen",
    "henri",
    "ine",
    "ingrid",
    "isabelle",
    "jack",
    "jan",
    "jane",
    "janet",
    "jean",
    "jennifer",
    "jeroen",
    "joe",
    "johan",
    "johannes",
    "john",
    "jonas",
    "joris",
    "josé",
    "julia",
    "karin",
    "karl",
    "kathy",
    "koen",
    "laura",
    "laurence",
    "leonie",
    "lies",
    "linda",
    "lotte",
    "louis",
    "lucas",
    "luís",
    "luc",
    "margaret",
    "maria",
    "marie",
    "mario",
    "mark",
    "martin",
    "martine",
    "mary",
    "michael",
    "michelle",
    "miguel",
    "nancy",
    "nele",
    "nicolas",
    "nina",
    "patricia",
    "patrick",
    "paul",
    "paula",
    "pedro",
    "peter",
    "philip",
    "philippe",
    "pieter",
    "richard",
    "robert",
    "roberto",
    "ruth",
    "sam",
    "sarah",
    "sophie",
    "stefan",
    "steve",
    "steven",
    "susan",
    "sven",
    "thomas",
    "tom",
    "victoria",
    "willem",
    "william",
    "wim",
    "yoshi",
];

#[cfg(test)]
mod tests {
    use super::{are_birthdays, is_address, is_email, is_iban, is_name, is_national_number, is_phone, look};
    use crate::suggest::rules::Kind;

    #[test]
    fn check_digits_are_checked() {
        for sound in ["85073003328", "85.07.30-033.28", "17073003384", "00012556777", "40080100189"] {
            assert!(is_national_number(sound), "{sound}");
        }
        for wrong in ["85073003329", "85143003328", "12345678901", "8507300332", "x", ""] {
            assert!(!is_national_number(wrong), "{wrong}");
        }
        for sound in
            ["BE68 5390 0754 7034", "NL91ABNA0417164300", "DE89370400440532013000", "MT84MALT011000012345MTLCAST001S"]
        {
            assert!(is_iban(sound), "{sound}");
        }
        for wrong in ["BE68 5390 0754 7035", "be68539007547034", "68539007547034", "BE6", "NL91ABNA0417164301"] {
            assert!(!is_iban(wrong), "{wrong}");
        }
    }

    #[test]
    fn forms_are_told_apart() {
        assert!(is_email("jan.peeters+x@agency.example") && !is_email("jan@localhost") && !is_email("a b@c.d"));
        for sound in ["+32 2 555 12 12", "(171) 555-2222", "030-0074321", "0471234567", "40.32.21.21"] {
            assert!(is_phone(sound), "{sound}");
        }
        for wrong in ["2024-02-29", "12345678", "3.14159265", "-12345678.90", "12345-678x"] {
            assert!(!is_phone(wrong), "{wrong}");
        }
        assert!(
            is_address("Veldstraat 12")
                && is_address("12 Orchestra Street")
                && is_address("120 Hanover Sq., Main St. 3")
        );
        assert!(!is_address("Street fighting") && !is_address("42 things"));
        assert!(is_name("Maria Anders") && is_name("Nour") && !is_name("Queso Cabrales") && !is_name("Jan 3"));
    }

    #[test]
    fn a_few_odd_values_and_few_values_say_nothing() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mails = texts(&["a@b.be", "c@d.be", "e@f.be", "g@h.be", "none"]);
        assert_eq!(look(&mails).map(|finding| finding.kind), Some(Kind::Identifier));
        assert_eq!(look(&texts(&["a@b.be", "c@d.be", "none", "x", "y"])), None);
        assert_eq!(look(&texts(&["a@b.be", "c@d.be", "a@b.be", "c@d.be", "a@b.be"])), None);
        let days = texts(&["1950-01-02", "1961-03-04", "1972-05-06", "1983-07-08", "1999-09-10"]);
        assert_eq!(are_birthdays(&days, "2026-11-25").map(|finding| finding.kind), Some(Kind::Birth));
        let orders = texts(&["2024-01-02", "2024-03-04", "2024-05-06", "2025-07-08", "2026-09-10"]);
        assert_eq!(are_birthdays(&orders, "2026-11-25"), None);
    }
}
