//! Arrays as texts.

/// `array_in` for one dimension: `{a,"b",NULL}`. `None` for any other form.
pub fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inside = text.trim_matches(|c: char| c.is_ascii_whitespace()).strip_prefix('{')?.strip_suffix('}')?;
    let mut found = Vec::new();
    if inside.trim_matches(|c: char| c.is_ascii_whitespace()).is_empty() {
        return Some(found);
    }
    let mut rest = inside;
    loop {
        let (element, after) = one(rest.trim_start_matches(|c: char| c.is_ascii_whitespace()))?;
        found.push(element);
        let after = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
        if after.is_empty() {
            return Some(found);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// One element, and what follows it.
fn one(text: &str) -> Option<(Option<String>, &str)> {
    if let Some(mut quoted) = text.strip_prefix('"') {
        let mut value = String::new();
        loop {
            let mut characters = quoted.chars();
            match characters.next()? {
                '"' => return Some((Some(value), characters.as_str())),
                '\\' => value.push(characters.next()?),
                other => value.push(other),
            }
            quoted = characters.as_str();
        }
    }
    let end = text.find(',').unwrap_or(text.len());
    let (bare, after) = text.split_at_checked(end)?;
    let bare = bare.trim_end_matches(|c: char| c.is_ascii_whitespace());
    if bare.is_empty() || bare.contains(['{', '}', '"', '\\']) {
        return None;
    }
    Some(((!bare.eq_ignore_ascii_case("null")).then(|| bare.to_owned()), after))
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn array_literals_are_read_as_postgresql_reads_them() {
        let read = |text: &str| {
            elements(text).map(|all| all.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read("{}").unwrap(), "");
        assert_eq!(read(" { } ").unwrap(), "");
        assert_eq!(read("{1, 2 ,NULL}").unwrap(), r#"Some("1") Some("2") None"#);
        assert_eq!(
            read(r#"{"a,\"\\}","NULL", "" ," x"}"#).unwrap(),
            r#"Some("a,\"\\}") Some("NULL") Some("") Some(" x")"#
        );
        for wrong in [
            "",
            "1,2",
            "{1,}",
            "{,}",
            "{{1},{2}}",
            "[1:1]={1}",
            "{a\"b\"}",
            "{\"a\"b}",
            "{\"a}",
            "{a\\b}",
            "{1}2",
            "{\"",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
