//! Reads a dump line by line; holds one statement in memory at a time.

use std::io::BufRead;

use super::lexer::{Lexer, Step};

/// A longer statement is refused: COPY carries bulk data, and it is streamed.
const STATEMENT_MAX_BYTES: usize = 256 << 20;

/// One thing that a dump asks for, with the line on which it starts (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A statement without its semicolon. After `COPY … FROM stdin` read the data with [`Reader::copy_line`].
    Statement {
        /// Without comments before it.
        sql: String,
        /// Where it starts.
        line: u64,
    },
    /// `\c` or `\connect` with a database name.
    Connect {
        /// The database.
        database: String,
        /// Where.
        line: u64,
    },
}

/// Why a dump can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DumpError {
    #[error("line {line}: {source}")]
    Io { line: u64, source: std::io::Error },
    #[error("line {line}: the file is not UTF-8; convert it first, for instance with `iconv -t UTF-8`")]
    NotUtf8 { line: u64 },
    #[error(
        "line {line}: the backslash command `{command}` is for psql alone; of these, a dump may \
         hold \\connect, \\restrict and \\unrestrict"
    )]
    Backslash { line: u64, command: String },
    #[error(
        "line {line}: \\connect to another user, host or port ({arguments}); everything is loaded by one role through one gateway"
    )]
    ConnectElsewhere { line: u64, arguments: String },
    #[error("line {line}: the file ends inside {what}")]
    Unfinished { line: u64, what: &'static str },
    #[error("line {line}: a statement of more than 256 MiB; write bulk data as COPY")]
    TooLong { line: u64 },
    #[error("line {line}: the COPY data that starts here has no end (`\\.`)")]
    CopyUnfinished { line: u64 },
}

/// Splits what `input` holds.
pub(crate) struct Reader<R> {
    input: R,
    lexer: Lexer,
    /// The line being read, with its newline.
    current: Vec<u8>,
    position: usize,
    line: u64,
}

/// The statement being gathered.
#[derive(Default)]
struct Gathered {
    text: Vec<u8>,
    line: u64,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, lexer: Lexer::new(), current: Vec::new(), position: 0, line: 0 }
    }

    /// The next item, or `None` at the end of the file.
    pub(crate) fn next_item(&mut self) -> Result<Option<Item>, DumpError> {
        let mut gathered = Gathered::default();
        loop {
            let Some((&byte, rest)) = self.current.get(self.position..).and_then(<[u8]>::split_first) else {
                if self.next_line()? {
                    continue;
                }
                return self.at_end(gathered);
            };
            let step = self.lexer.step(byte, rest);
            self.position += 1;
            match step {
                Step::Blank if gathered.text.is_empty() => {}
                Step::Blank | Step::Token => {
                    if gathered.text.is_empty() {
                        gathered.line = self.line;
                    }
                    gathered.text.push(byte);
                    if gathered.text.len() > STATEMENT_MAX_BYTES {
                        return Err(DumpError::TooLong { line: gathered.line });
                    }
                }
                Step::End if gathered.text.is_empty() => {}
                Step::End => return statement(gathered).map(Some),
                Step::Backslash => {
                    if let Some(item) = self.backslash(&gathered)? {
                        return Ok(Some(item));
                    }
                }
            }
        }
    }

    /// The next line of COPY data, with its newline, or `None` after `\.`.
    pub(crate) fn copy_line(&mut self, copy_started: u64) -> Result<Option<Vec<u8>>, DumpError> {
        let mut data = Vec::new();
        let read = self.input.read_until(b'\n', &mut data);
        let count = read.map_err(|source| DumpError::Io { line: self.line, source })?;
        self.line += 1;
        if count == 0 {
            return Err(DumpError::CopyUnfinished { line: copy_started });
        }
        let end = matches!(data.as_slice(), b"\\.\n" | b"\\.\r\n" | b"\\.");
        Ok((!end).then_some(data))
    }

    fn next_line(&mut self) -> Result<bool, DumpError> {
        self.current.clear();
        self.position = 0;
        let read = self.input.read_until(b'\n', &mut self.current);
        let count = read.map_err(|source| DumpError::Io { line: self.line, source })?;
        self.line += 1;
        if self.line == 1 && self.current.starts_with(b"\xef\xbb\xbf") {
            self.position = 3;
        }
        Ok(count > 0)
    }

    fn at_end(&mut self, gathered: Gathered) -> Result<Option<Item>, DumpError> {
        if let Some(what) = self.lexer.open() {
            return Err(DumpError::Unfinished { line: gathered.line.max(1), what });
        }
        self.lexer = Lexer::new();
        if gathered.text.is_empty() {
            return Ok(None);
        }
        statement(gathered).map(Some)
    }

    /// A backslash command takes the rest of its line.
    fn backslash(&mut self, gathered: &Gathered) -> Result<Option<Item>, DumpError> {
        let rest = self.current.get(self.position..).unwrap_or_default();
        let text = std::str::from_utf8(rest).map_err(|_| DumpError::NotUtf8 { line: self.line })?;
        let line = self.line;
        let (name, arguments) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let arguments = arguments.trim();
        let refused = || DumpError::Backslash { line, command: format!("\\{name}") };
        if !gathered.text.is_empty() {
            return Err(refused());
        }
        let item = match name {
            "restrict" | "unrestrict" => None,
            "c" | "connect" => Some(Item::Connect { database: database(arguments, line)?, line }),
            _ => return Err(refused()),
        };
        self.position = self.current.len();
        Ok(item)
    }
}

fn statement(gathered: Gathered) -> Result<Item, DumpError> {
    let line = gathered.line;
    let sql = String::from_utf8(gathered.text).map_err(|_| DumpError::NotUtf8 { line })?;
    Ok(Item::Statement { sql: sql.trim_end().to_owned(), line })
}

/// The name in `\connect NAME`, `\connect "NAME"` or `\connect -reuse-previous=on "dbname='NAME'"` (pg_dump's forms).
fn database(arguments: &str, line: u64) -> Result<String, DumpError> {
    let elsewhere = || DumpError::ConnectElsewhere { line, arguments: arguments.to_owned() };
    let bare = arguments.trim_end_matches(';').trim();
    if let Some(connection) = bare.strip_prefix("-reuse-previous=on") {
        let inner = connection.trim().strip_prefix("\"dbname='").and_then(|rest| rest.strip_suffix("'\""));
        return inner.map(str::to_owned).filter(|name| !name.is_empty()).ok_or_else(elsewhere);
    }
    if let Some(quoted) = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(quoted.replace("\"\"", "\""));
    }
    let others = bare.split_whitespace().skip(1).any(|argument| argument != "-");
    let name = bare.split_whitespace().next().unwrap_or_default();
    let plain = !name.is_empty() && !name.contains(['=', '/', '\'', '"', '-']);
    if plain && !others { Ok(name.to_owned()) } else { Err(elsewhere()) }
}

#[cfg(test)]
mod tests {
    use super::{DumpError, Item, Reader};

    fn items(text: &str) -> Result<Vec<Item>, DumpError> {
        let mut reader = Reader::new(text.as_bytes());
        let mut items = Vec::new();
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
        Ok(items)
    }

    fn statements(text: &str) -> Vec<String> {
        let only_sql = |item| match item {
            Item::Statement { sql, .. } => sql,
            Item::Connect { database, .. } => format!("\\c {database}"),
        };
        items(text).unwrap().into_iter().map(only_sql).collect()
    }

    #[test]
    fn semicolons_end_statements_only_where_psql_says_so() {
        let cases: &[(&str, &[&str])] = &[
            ("a; b;c", &["a", "b", "c"]),
            (";;  ;\n", &[]),
            ("select ';' ; x", &["select ';'", "x"]),
            ("select 'it''s;' ; x", &["select 'it''s;'", "x"]),
            ("select 'a\\'; x", &["select 'a\\'", "x"]),
            ("select E'a\\';' ; x", &["select E'a\\';'", "x"]),
            ("select e'\\\\'; x", &["select e'\\\\'", "x"]),
            ("select E'a'\n'b\\';'; x", &["select E'a'\n'b\\';'", "x"]),
            ("select E'a' 'b\\'; x", &["select E'a' 'b\\'", "x"]),
            ("select name'a\\'; x", &["select name'a\\'", "x"]),
            ("select U&'d\\0061t;a'; x", &["select U&'d\\0061t;a'", "x"]),
            ("select \"a;\"\"b\"; x", &["select \"a;\"\"b\"", "x"]),
            ("select $$a;b$$; x", &["select $$a;b$$", "x"]),
            ("select $a$ $b$; $$ $a$; x", &["select $a$ $b$; $$ $a$", "x"]),
            ("select $a$ $a $a$; x", &["select $a$ $a $a$", "x"]),
            ("select $1; $2;", &["select $1", "$2"]),
            ("select a$b$c; x", &["select a$b$c", "x"]),
            ("select $é$;$é$; x", &["select $é$;$é$", "x"]),
            ("-- a; 'b\nselect 1; -- c;\nx", &["select 1", "x"]),
            ("/* a; /* ' */ ; */ select 1 /* ; */; x", &["select 1 /* ; */", "x"]),
            ("/*/ ; */ x; y", &["x", "y"]),
            ("create rule r as on insert to t do (a; b); x", &["create rule r as on insert to t do (a; b)", "x"]),
            (
                "create function f() begin atomic select 1; select case when true then 1 end; end; x",
                &["create function f() begin atomic select 1; select case when true then 1 end; end", "x"],
            ),
            (
                "CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC a; END; x",
                &["CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC a; END", "x"],
            ),
            ("begin; a; end; x", &["begin", "a", "end", "x"]),
            ("\u{feff}a; b", &["a", "b"]),
            ("\\restrict abc\na;\n\\unrestrict abc\n", &["a"]),
            (
                "\\c chinook;\na;\n\\connect other\nb;\n\\c \"we\"\"ird\"\n",
                &["\\c chinook", "a", "\\c other", "b", "\\c we\"ird"],
            ),
            ("\\connect -reuse-previous=on \"dbname='x y'\"\n", &["\\c x y"]),
        ];
        for (text, expected) in cases {
            assert_eq!(statements(text), *expected, "{text}");
        }
    }

    #[test]
    fn lines_are_those_of_the_first_token() {
        let found = items("-- c\n\na;\n\n/* x\n */ b\n;\n").unwrap();
        assert_eq!(found, [Item::Statement { sql: "a".into(), line: 3 }, Item::Statement { sql: "b".into(), line: 6 }]);
    }

    #[test]
    fn copy_data_ends_at_backslash_dot_and_the_rest_of_the_line_comes_after() {
        let mut reader = Reader::new("copy t from stdin; b;\n1\t;'\n\\.x\n\\.\nc;".as_bytes());
        assert!(matches!(reader.next_item(), Ok(Some(Item::Statement { line: 1, .. }))));
        assert_eq!(reader.copy_line(1).unwrap().unwrap(), b"1\t;'\n");
        assert_eq!(reader.copy_line(1).unwrap().unwrap(), b"\\.x\n");
        assert_eq!(reader.copy_line(1).unwrap(), None);
        assert_eq!(reader.next_item().unwrap(), Some(Item::Statement { sql: "b".into(), line: 4 }));
        assert_eq!(reader.next_item().unwrap(), Some(Item::Statement { sql: "c".into(), line: 5 }));
        let mut reader = Reader::new("copy t from stdin;\n1\n".as_bytes());
        reader.next_item().unwrap();
        reader.copy_line(1).unwrap();
        assert!(matches!(reader.copy_line(1), Err(DumpError::CopyUnfinished { line: 1 })));
    }

    #[test]
    fn what_only_psql_could_do_is_refused_with_its_line() {
        for text in ["a;\n\\i other.sql\n", "a;\n\\! rm x\n", "a;\nselect 1 \\gset\n", "a;\n\\set x 1", "a;\n\\."] {
            assert!(matches!(items(text), Err(DumpError::Backslash { line: 2, .. })), "{text}");
        }
        for text in ["\\c db user", "\\c", "\\c postgres://x/y", "\\c dbname=x"] {
            assert!(matches!(items(text), Err(DumpError::ConnectElsewhere { line: 1, .. })), "{text}");
        }
        for text in ["select 'a", "select \"a", "select $x$ a", "select $$$a$$$$; x", "/* a", "select (1", "E'a\\'"] {
            assert!(matches!(items(text), Err(DumpError::Unfinished { .. })), "{text}");
        }
        let mut latin1 = Reader::new(&b"select '\xe9';"[..]);
        assert!(matches!(latin1.next_item(), Err(DumpError::NotUtf8 { line: 1 })));
    }
}
