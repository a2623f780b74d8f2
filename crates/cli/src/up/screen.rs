//! What the tour prints: plain text of at most 100 columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) const WIDTH: usize = 100;

/// A heading with a rule.
pub(crate) fn heading(text: &str) {
    let rule = WIDTH.saturating_sub(text.width() + 4);
    println!("\n── {text} {}", "─".repeat(rule));
}

/// Characters that change how others are shown, or are not shown: a name could pass for another one by them.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// A text in one line, with a name in place of each character that is not shown as one.
pub(crate) fn legible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if c.is_control() || is_unseen(c) => shown.push_str(&format!("<U+{:04X}>", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// A text cut to `width` columns.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let one_line = legible(text);
    if one_line.width() <= width {
        return one_line;
    }
    let mut short = String::new();
    let mut used = 0;
    for c in one_line.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        short.push(c);
    }
    short.push('…');
    short
}

/// A text cut or filled to `width` columns.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let text = shortened(text, width);
    let fill = width.saturating_sub(text.width());
    text + &" ".repeat(fill)
}

/// Words in lines of at most `width` columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Rows under their titles; the last column takes what is left of the line.
pub(crate) fn table(titles: &[&str], widths: &[usize], rows: &[Vec<String>]) {
    let titles: Vec<String> = titles.iter().map(|&title| title.to_owned()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for (index, text) in row.iter().enumerate() {
            let left = WIDTH.saturating_sub(line.width() + 2);
            let width = widths.get(index).copied().unwrap_or(left).min(left);
            line.push_str("  ");
            line.push_str(&cell(text, width));
        }
        println!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::{cell, shortened};
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn columns_are_those_of_a_terminal() {
        assert_eq!(cell("王秀英", 8), "王秀英  ");
        assert_eq!(shortened("王秀英", 5), "王秀…");
        assert_eq!(shortened("Şükran", 6), "Şükran");
        assert_eq!(shortened("a\nb", 9), "a b");
        // A right-to-left override, an escape of the terminal's, a space without width.
        assert_eq!(shortened("Els\u{202e}snevetS", 99), "Els<U+202E>snevetS");
        assert_eq!(shortened("\u{1b}[2J\u{200b}x", 99), "<U+001B>[2J<U+200B>x");
        assert_eq!(shortened("أحمد a\u{301}", 99), "أحمد a\u{301}", "what letters are made of stays");
        assert!(shortened("𓀀é\u{301}long text", 5).width() <= 5);
    }
}
