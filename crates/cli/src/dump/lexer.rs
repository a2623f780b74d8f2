//! Where a statement ends: the part of psql's lexer (`psqlscan.l`) that decides it, as a state machine over bytes.
//!
//! Owns quotes, dollar quotes, nested comments, parentheses and `BEGIN ATOMIC` bodies.

/// What a byte did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to a token of the statement.
    Token,
    /// It is white space or comment.
    Blank,
    /// It is the semicolon that ends the statement.
    End,
    /// It is a backslash outside of quotes and comments: a command of psql.
    Backslash,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Plain,
    /// `'…'`, where a backslash is an ordinary character.
    Quoted,
    /// `E'…'`; true after a backslash.
    Escaped(bool),
    /// `"…"`
    Identifier,
    /// `$tag$…$tag$`: the delimiter, and how many of its bytes the last ones match.
    Dollar(Vec<u8>, usize),
    LineComment,
    /// `/* … */`, with its depth.
    BlockComment(u32),
}

/// Lexer state across lines. Feed it each line with its newline.
#[derive(Debug)]
pub(super) struct Lexer {
    mode: Mode,
    paren_depth: u32,
    begin_depth: u32,
    /// The first four words of the statement, in lower case.
    words: Vec<String>,
    word: String,
    /// After the end of an `E'…'`: whether a newline followed. A further quote after one continues the same literal.
    after_escaped: Option<bool>,
    /// So many bytes more belong to what was just recognised.
    skip: (usize, Step),
}

impl Lexer {
    pub(super) fn new() -> Self {
        Self {
            mode: Mode::Plain,
            paren_depth: 0,
            begin_depth: 0,
            words: Vec::new(),
            word: String::new(),
            after_escaped: None,
            skip: (0, Step::Blank),
        }
    }

    /// The next byte, and what follows it in the same line.
    pub(super) fn step(&mut self, byte: u8, rest: &[u8]) -> Step {
        if let (left @ 1.., step) = self.skip {
            self.skip.0 = left - 1;
            return step;
        }
        match &mut self.mode {
            Mode::Plain => self.plain(byte, rest),
            Mode::Quoted => {
                if byte == b'\'' {
                    self.mode = Mode::Plain;
                }
                Step::Token
            }
            Mode::Escaped(after_backslash) => {
                if *after_backslash {
                    *after_backslash = false;
                } else if byte == b'\\' {
                    *after_backslash = true;
                } else if byte == b'\'' {
                    self.mode = Mode::Plain;
                    self.after_escaped = Some(false);
                }
                Step::Token
            }
            Mode::Identifier => {
                if byte == b'"' {
                    self.mode = Mode::Plain;
                }
                Step::Token
            }
            Mode::Dollar(delimiter, matched) => {
                *matched = advance(delimiter, *matched, byte);
                if *matched == delimiter.len() {
                    self.mode = Mode::Plain;
                }
                Step::Token
            }
            Mode::LineComment => {
                if byte == b'\n' {
                    self.mode = Mode::Plain;
                    self.newline();
                }
                Step::Blank
            }
            Mode::BlockComment(depth) => {
                if byte == b'*' && rest.first() == Some(&b'/') {
                    *depth -= 1;
                    if *depth == 0 {
                        self.mode = Mode::Plain;
                    }
                    self.skip = (1, Step::Blank);
                } else if byte == b'/' && rest.first() == Some(&b'*') {
                    *depth += 1;
                    self.skip = (1, Step::Blank);
                }
                Step::Blank
            }
        }
    }

    /// What is open, for the error at the end of the file.
    pub(super) fn open(&self) -> Option<&'static str> {
        match self.mode {
            Mode::Quoted | Mode::Escaped(_) => Some("a quoted string"),
            Mode::Identifier => Some("a quoted identifier"),
            Mode::Dollar(..) => Some("a dollar-quoted string"),
            Mode::BlockComment(_) => Some("a comment"),
            Mode::Plain | Mode::LineComment => (self.paren_depth > 0).then_some("a parenthesis"),
        }
    }

    fn newline(&mut self) {
        if let Some(newline) = &mut self.after_escaped {
            *newline = true;
        }
    }

    fn plain(&mut self, byte: u8, rest: &[u8]) -> Step {
        let in_word = !self.word.is_empty();
        if is_word(byte) || (byte == b'$' && in_word) {
            self.after_escaped = None;
            self.word.push(char::from(byte.to_ascii_lowercase()));
            return Step::Token;
        }
        let prefix = std::mem::take(&mut self.word);
        if in_word {
            self.end_word(&prefix);
        }
        if byte.is_ascii_whitespace() || byte == 0x0b {
            if byte == b'\n' {
                self.newline();
            }
            return Step::Blank;
        }
        let next = rest.first().copied();
        if (byte == b'-' && next == Some(b'-')) || (byte == b'/' && next == Some(b'*')) {
            self.mode = if byte == b'-' { Mode::LineComment } else { Mode::BlockComment(1) };
            self.skip = (1, Step::Blank);
            return Step::Blank;
        }
        let continues_escaped = self.after_escaped.take() == Some(true);
        match byte {
            b'\\' => return Step::Backslash,
            b';' if self.paren_depth == 0 && self.begin_depth == 0 => {
                *self = Self::new();
                return Step::End;
            }
            b'\'' => self.mode = if prefix == "e" || continues_escaped { Mode::Escaped(false) } else { Mode::Quoted },
            b'"' => self.mode = Mode::Identifier,
            b'(' => self.paren_depth += 1,
            b')' => self.paren_depth = self.paren_depth.saturating_sub(1),
            b'$' => {
                if let Some(delimiter) = dollar_delimiter(rest) {
                    self.skip = (delimiter.len() - 1, Step::Token);
                    self.mode = Mode::Dollar(delimiter, 0);
                }
            }
            _ => {}
        }
        Step::Token
    }

    /// psql's rule for `BEGIN ATOMIC … END`: only in CREATE [OR REPLACE] FUNCTION or PROCEDURE, outside parentheses.
    fn end_word(&mut self, word: &str) {
        if self.words.len() < 4 {
            self.words.push(word.to_owned());
        }
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let routine = matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
        );
        if !routine || self.paren_depth > 0 {
            return;
        }
        match word {
            "begin" => self.begin_depth += 1,
            "case" if self.begin_depth > 0 => self.begin_depth += 1,
            "end" => self.begin_depth = self.begin_depth.saturating_sub(1),
            _ => {}
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// `$`, an optional tag, `$`; `rest` is what follows the first `$`.
fn dollar_delimiter(rest: &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|&byte| byte == b'$')?;
    let tag = rest.get(..end)?;
    let starts_well = tag.first().is_none_or(|byte| !byte.is_ascii_digit());
    let valid = starts_well && tag.iter().all(|&byte| is_word(byte));
    valid.then(|| [b"$", tag, b"$"].concat())
}

/// One step of a search for `delimiter`, of which `matched` bytes have matched.
fn advance(delimiter: &[u8], matched: usize, byte: u8) -> usize {
    if delimiter.get(matched) == Some(&byte) {
        return matched + 1;
    }
    usize::from(delimiter.first() == Some(&byte))
}
