//! Values of a query: drawn from the data or odd on purpose, and written as literals or sent as parameters.

use super::connection::{Ask, Parameter};
use super::random::Random;
use super::world::{Column, Kind, Sample};

/// Stands before and after a value's number in a query's text.
const MARK: char = '\u{1}';

#[derive(Clone, Debug)]
pub(crate) struct Value {
    ty: String,
    oid: u32,
    kind: Kind,
    /// `None` for NULL.
    text: Option<String>,
    /// Where it is known.
    binary: Option<Vec<u8>>,
    style: usize,
}

impl Value {
    /// A value for a column: one that stands there, its neighbour, NULL, or nonsense.
    pub(crate) fn draw(random: &mut Random, column: &Column) -> Self {
        let style = random.below(100);
        let value = |text: Option<String>, binary| Self {
            ty: column.ty.clone(),
            oid: column.oid,
            kind: column.kind,
            text,
            binary,
            style,
        };
        let Some(Sample { text, binary }) = random.maybe(&column.samples).cloned() else { return value(None, None) };
        match random.below(100) {
            0..80 => value(Some(text), Some(binary)),
            80..88 => value(Some(neighbour(random, &text, column.kind)), None),
            88..93 => value(None, None),
            _ => value(Some(odd(random, column.kind)), None),
        }
    }

    /// A whole number, whatever the data.
    pub(crate) fn number(random: &mut Random, number: usize) -> Self {
        let binary = u32::try_from(number).unwrap().to_be_bytes().to_vec();
        let (ty, text) = ("integer".to_owned(), Some(number.to_string()));
        Self { ty, oid: 23, kind: Kind::Int, text, binary: Some(binary), style: random.below(100) }
    }

    /// A text, whatever the data.
    pub(crate) fn text(random: &mut Random, text: &str) -> Self {
        let binary = Some(text.as_bytes().to_vec());
        let (ty, text) = ("text".to_owned(), Some(text.to_owned()));
        Self { ty, oid: 25, kind: Kind::Text, text, binary, style: random.below(100) }
    }

    /// One of the values that stand in a column, by number.
    pub(crate) fn sample(random: &mut Random, column: &Column, number: usize) -> Option<Self> {
        let Sample { text, binary } = column.samples.get(number % column.samples.len().max(1))?.clone();
        let style = random.below(100);
        Some(Self {
            ty: column.ty.clone(),
            oid: column.oid,
            kind: column.kind,
            text: Some(text),
            binary: Some(binary),
            style,
        })
    }

    /// An array of values of one column, which is always cast.
    pub(crate) fn array(random: &mut Random, column: &Column, values: &[Self]) -> Self {
        let quoted = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let element = |value: &Self| value.text.as_ref().map_or_else(|| "NULL".to_owned(), quoted);
        let text = format!("{{{}}}", values.iter().map(element).collect::<Vec<_>>().join(","));
        let (ty, style) = (format!("{}[]", column.ty), 75 + random.below(5));
        Self { ty, oid: 0, kind: Kind::Other, text: Some(text), binary: None, style }
    }

    fn bare(&self) -> String {
        let array = if self.ty.ends_with("[]") { "[]" } else { "" };
        format!("{}{array}", self.ty.trim_end_matches("[]").split('(').next().unwrap())
    }

    fn literal(&self) -> String {
        let Some(text) = &self.text else {
            return if self.style < 70 { "NULL".into() } else { format!("NULL::{}", self.bare()) };
        };
        let quoted = format!("'{}'", text.replace('\'', "''"));
        let numeric = matches!(self.kind, Kind::Int | Kind::Num);
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
        if numeric && digits && self.style < 60 {
            return text.clone();
        }
        if self.kind == Kind::Bool && self.style < 60 && matches!(text.as_str(), "t" | "f") {
            return if text == "t" { "true".into() } else { "false".into() };
        }
        match self.style {
            0..75 => quoted,
            75..80 => format!("{quoted}::{}", self.ty),
            80..85 => format!("{quoted}::{}", self.bare()),
            85..90 => format!("CAST({quoted} AS {})", self.bare()),
            90..95 => format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            _ if !text.contains('$') => format!("$x${text}$x$"),
            _ => quoted,
        }
    }

    fn parameter(&self, number: usize) -> (String, Parameter) {
        let text = || self.text.as_ref().map(|text| text.clone().into_bytes());
        let binary = self.binary.is_some();
        let known = || self.binary.clone().or_else(text);
        match self.style {
            0..40 => (format!("${number}"), Parameter { oid: 0, binary: false, value: text() }),
            40..65 => (format!("${number}"), Parameter { oid: self.oid, binary, value: known() }),
            65..75 => (format!("${number}"), Parameter { oid: self.oid, binary: false, value: text() }),
            75..90 => (format!("${number}::{}", self.bare()), Parameter { oid: 0, binary, value: known() }),
            _ => (format!("CAST(${number} AS {})", self.ty), Parameter { oid: self.oid, binary, value: known() }),
        }
    }
}

fn neighbour(random: &mut Random, text: &str, kind: Kind) -> String {
    match kind {
        Kind::Int => text.parse::<i64>().map_or_else(|_| "1".into(), |number| number.saturating_add(1).to_string()),
        Kind::Num => random.pick(&["0", "1.5", "12.505", "-3", "1e2", "00.10"]).to_string(),
        Kind::Text => match random.below(4) {
            0 => text.to_uppercase(),
            1 => format!("{text} "),
            2 => text.chars().take(2).collect(),
            _ => String::new(),
        },
        Kind::Date => random.pick(&["1996-07-04", "2024-02-29", "epoch", "19960704", "infinity"]).to_string(),
        Kind::Stamp | Kind::StampTz => {
            random.pick(&["2024-01-01", "2024-06-01 14:00:00+02", "2024-01-01T00:00:00Z", "epoch"]).to_string()
        }
        Kind::Bool => random.pick(&["yes", "off", "1", "F"]).to_string(),
        Kind::Uuid => text.to_uppercase(),
        Kind::Time => random.pick(&["04:05:06.789", "24:00", "23:59:59.9999999", "4:05 PM"]).to_string(),
        Kind::Char => random.pick(&["c", "c  ", "", " c"]).to_string(),
        Kind::Bytes => random.pick(&["\\x", "abc", "\\x00ff"]).to_string(),
        Kind::Net => random.pick(&["10.0.0.0/8", "10.0.0.0", "::1", "::ffff:1.2.3.4"]).to_string(),
        Kind::Float => random.pick(&["-0", "0.1", "NaN", "1e10"]).to_string(),
        Kind::Other => text.to_owned(),
    }
}

fn odd(random: &mut Random, kind: Kind) -> String {
    let all: &[&str] = match kind {
        Kind::Int => &["99999999999999999999", "forty", "", "1.5", " 7 ", "0x10", "-2147483649", "70000"],
        Kind::Num | Kind::Float => &["NaN", "Infinity", "1e400", "12345678901234567890.5", "x", ""],
        Kind::Text | Kind::Other => {
            &["", "'", "\\", "%", "a text of far more than any column of these worlds would hold, by far", "é"]
        }
        Kind::Date => &["2023-02-30", "yesterday-ish", "", "July 4, 1996", "5874898-01-01", "04/07/1996"],
        Kind::Stamp | Kind::StampTz => {
            &["2023-02-30 10:00", "", "now-ish", "2024-01-01 25:00", "2024-01-01 10:00 Mars/Crater"]
        }
        Kind::Bool => &["maybe", "", "2"],
        Kind::Time => &["25:00", "", "noon-ish"],
        Kind::Char => &["a text of far more than any column of these worlds would hold, by far", "é", "'"],
        Kind::Bytes => &["\\xz", "\\", "\\x0"],
        Kind::Net => &["10.0.0.1/33", "", "1.2.3.4/8", "fe80::1%eth0"],
        Kind::Uuid => &["nonsense", "", "00000000-0000-0000-0000-00000000000g"],
    };
    (*random.pick(all)).to_owned()
}

/// Where a value stands in a text that is not yet written out.
pub(crate) fn marked(number: usize) -> String {
    format!("{MARK}{number}{MARK}")
}

/// Writes a text out with literals, for the simple protocol.
pub(crate) fn with_literals(text: &str, values: &[Value]) -> Ask {
    let parts = text.split(MARK).enumerate();
    let written = parts.map(|(at, part)| if at % 2 == 0 { part.to_owned() } else { values[index(part)].literal() });
    Ask::Simple(written.collect())
}

/// Writes a text out with parameters, numbered as they come, for the extended protocol.
pub(crate) fn with_parameters(text: &str, values: &[Value], binary_results: bool) -> Ask {
    let mut seen: Vec<usize> = Vec::new();
    let mut parameters = Vec::new();
    let mut sql = String::new();
    for (at, part) in text.split(MARK).enumerate() {
        if at % 2 == 0 {
            sql.push_str(part);
            continue;
        }
        let value = index(part);
        let known = seen.iter().position(|other| *other == value);
        let number = known.unwrap_or_else(|| {
            seen.push(value);
            seen.len() - 1
        }) + 1;
        let (written, parameter) = values[value].parameter(number);
        if known.is_none() {
            parameters.push(parameter);
        }
        sql.push_str(&written);
    }
    Ask::Extended { sql, parameters, binary_results }
}

/// Writes a text out as PREPARE and EXECUTE, with plain literals for the values.
pub(crate) fn with_execute(text: &str, values: &[Value]) -> Ask {
    let mut arguments: Vec<String> = Vec::new();
    let mut sql = String::new();
    for (at, part) in text.split(MARK).enumerate() {
        if at % 2 == 0 {
            sql.push_str(part);
            continue;
        }
        let value = &values[index(part)];
        let text = value.text.as_ref().map(|text| format!("'{}'", text.replace('\'', "''")));
        arguments.push(text.unwrap_or_else(|| "NULL".to_owned()));
        sql.push_str(&format!("${}", arguments.len()));
        if value.style >= 75 {
            sql.push_str(&format!("::{}", value.ty));
        }
    }
    let arguments = if arguments.is_empty() { String::new() } else { format!(" ({})", arguments.join(", ")) };
    Ask::Simple(format!("DEALLOCATE ALL; PREPARE q AS {sql}; EXECUTE q{arguments}"))
}

fn index(part: &str) -> usize {
    part.parse().unwrap()
}
