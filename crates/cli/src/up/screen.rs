//! What the tour prints: plain text of at most 100 columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) const WIDTH: usize = 100;

/// A heading with a rule.
pub(crate) fn heading(text: &str) {
    let rule = WIDTH.saturating_sub(text.width() + 4);
    println!("\n── {text} {}", "─".repeat(rule));
}

/// A text cut to `width` columns.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
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
        assert!(shortened("𓀀é\u{301}long text", 5).width() <= 5);
    }
}
