//! The settings in a start-up packet's `options`, read and written as PostgreSQL does.
//!
//! Only `-c name=value`, `-cname=value` and `--name=value` are read; other switches are refused by whoever asks, since
//! what they set could not be told.

/// A setting: its name in lower case, and its value.
pub(crate) type Setting = (String, String);

/// The settings in order; `None` where a switch is of another form.
pub(crate) fn read(text: &str) -> Option<Vec<Setting>> {
    let mut words = split(text).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(setting), _) => setting.to_owned(),
            (None, Some("")) => words.next()?,
            (None, Some(setting)) => setting.to_owned(),
            (None, None) => return None,
        };
        let (name, value) = setting.split_once('=')?;
        settings.push((name.replace('-', "_").to_ascii_lowercase(), value.to_owned()));
    }
    Some(settings)
}

/// The same settings as one text.
pub(crate) fn write(settings: &[Setting]) -> String {
    let mut text = String::new();
    for (name, value) in settings {
        text.push_str(if text.is_empty() { "-c " } else { " -c " });
        for c in name.chars().chain(['=']).chain(value.chars()) {
            if is_space(c) || c == '\\' {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}

/// At white space, which a backslash makes part of a word.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if is_space(c) => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn options_are_read_as_postgresql_does() {
        let found = read("-c Search-Path=a,\\ b  --x.y=1=2 -crole=\\\\z").unwrap();
        let wanted = [("search_path", "a, b"), ("x.y", "1=2"), ("role", "\\z")];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(read(&write(&found)), Some(found));
        assert_eq!(read(" "), Some(Vec::new()));
        for bad in ["-e", "-ec x=1", "x=1", "-c", "-c x", "--x", "-S 100"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
