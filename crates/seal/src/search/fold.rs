//! Folding: texts that differ only in case or accents become one, so that their fragments are the same.
//!
//! Each character is folded by itself, so that the folded text of a part is a part of the folded text.

use unicode_normalization::char::{canonical_combining_class, decompose_compatible};

use super::case::simple_upper;

/// Appends the folded form of a text: compatibility decomposition (Unicode NFKD) without accents, in lower case,
/// and Latin letters that Unicode does not decompose as the base letters that they are written with.
pub(super) fn fold(text: &str, out: &mut Vec<char>) {
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            decompose_compatible(c, |part| fold_part(part, out));
        }
    }
}

/// Accents and points have a class; vowel signs, as those of Devanagari, have none and stay. The Greek iota below is a
/// letter in upper case.
fn is_accent(c: char) -> bool {
    canonical_combining_class(c) != 0 && c != '\u{345}'
}

fn fold_part(part: char, out: &mut Vec<char>) {
    if is_accent(part) {
        return;
    }
    // By way of the upper case, which several lower-case letters may share, as σ and ς do.
    for lower in simple_upper(part).to_lowercase().filter(|lower| !is_accent(*lower)) {
        let spelled: &[char] = match lower {
            'ß' => &['s', 's'],
            'æ' => &['a', 'e'],
            'œ' => &['o', 'e'],
            'þ' => &['t', 'h'],
            'ø' => &['o'],
            'đ' | 'ð' => &['d'],
            'ħ' => &['h'],
            'ı' => &['i'],
            'ł' => &['l'],
            'ŋ' => &['n'],
            'ŧ' => &['t'],
            _ => &[lower],
        };
        out.extend_from_slice(spelled);
    }
}

#[cfg(test)]
mod tests {
    use super::fold;

    fn folded(text: &str) -> String {
        let mut out = Vec::new();
        fold(text, &mut out);
        out.into_iter().collect()
    }

    #[test]
    fn case_and_accents_do_not_count() {
        for (text, expected) in [
            ("Peeters", "peeters"),
            ("ÉLODIE Müller", "elodie muller"),
            ("e\u{301}lodie", "elodie"),
            ("Çelik-Şükran", "celik-sukran"),
            ("Łukasz Strauß", "lukasz strauss"),
            ("SØREN Ægir", "soren aegir"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("ﬁn ①", "fin 1"),
            ("İstanbul", "istanbul"),
            ("Шевченко", "шевченко"),
            ("王秀英", "王秀英"),
        ] {
            assert_eq!(folded(text), expected);
        }
        assert_eq!(folded("σίσυφος"), folded("ΣΊΣΥΦΟΣ"));
    }

    /// What PostgreSQL finds after `lower` or `upper` must be found by tokens of the text as it is.
    #[test]
    fn every_character_folds_as_its_upper_and_lower_case_do() {
        use super::super::{Case, Ctype};
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            for case in [Case::Lower, Case::Upper] {
                assert_eq!(folded(&case.of(&text, Ctype::Simple)), folded(&text), "{c:?}");
            }
        }
    }

    #[test]
    fn a_part_folds_to_a_part() {
        for text in ["Ångström e\u{301}\u{327}", "각하ㅏ", "ΰς İıß", "a\u{300}b"] {
            let chars: Vec<char> = text.chars().collect();
            for split in 0..=chars.len() {
                let part = |range: &[char]| folded(&range.iter().collect::<String>());
                assert_eq!(part(&chars[..split]) + &part(&chars[split..]), folded(text));
            }
        }
    }
}
