//! Arrays as texts: braces, quotes and bounds, as `array_in` and `array_out` of PostgreSQL 15 to 18 agree on them.

use std::io::Write as _;

use super::array::{MAX_DIMENSIONS, check_size, too_many_dimensions};
use super::{ValueError, is_space};

/// One dimension of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dimension {
    pub(super) length: i32,
    /// The subscript of the first element.
    pub(super) lower: i32,
}

/// An array whose elements are not yet read; `None` for NULL.
pub(super) struct Parsed {
    pub(super) dimensions: Vec<Dimension>,
    pub(super) items: Vec<Option<String>>,
}

fn malformed(why: &str) -> ValueError {
    ValueError::new("22P02", "malformed array literal").with_detail(why)
}

fn unsupported() -> ValueError {
    ValueError::unsupported("array", "Write an empty array as {}, and bounds as [1:3].")
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// `[2:3][1:2]={{…},{…}}` or `{…}`.
pub(super) fn parse(text: &str) -> Result<Parsed, ValueError> {
    let (bounds, body) = bounds(text)?;
    let body = skip_space(body);
    if !body.starts_with('{') {
        return Err(malformed("Array value must start with \"{\" or dimension information."));
    }
    let (lengths, items) = contents(body)?;
    let dimensions = match bounds {
        None => lengths.into_iter().map(|length| Dimension { length, lower: 1 }).collect(),
        Some(_) if items.is_empty() => return Err(unsupported()),
        Some(bounds) if bounds.iter().map(|bound| bound.length).eq(lengths) => bounds,
        Some(_) => return Err(malformed("Specified array dimensions do not match array contents.")),
    };
    check_size(&dimensions)?;
    Ok(Parsed { dimensions, items })
}

/// The dimensions that stand before the array, and what follows the sign behind them.
fn bounds(text: &str) -> Result<(Option<Vec<Dimension>>, &str), ValueError> {
    let mut found = Vec::new();
    let mut rest = skip_space(text);
    while let Some(after) = rest.strip_prefix('[') {
        let (inside, behind) = after.split_once(']').ok_or_else(|| malformed("Missing \"]\" after dimensions."))?;
        let (lower, upper) = inside.split_once(':').unwrap_or(("1", inside));
        let (Some(lower), Some(upper)) = (bound(lower)?, bound(upper)?) else {
            return Err(malformed("\"[\" must introduce explicitly-specified array dimensions."));
        };
        if upper < lower {
            return Err(ValueError::new("2202E", "upper bound cannot be less than lower bound"));
        }
        if found.len() == MAX_DIMENSIONS {
            return Err(too_many_dimensions(MAX_DIMENSIONS + 1));
        }
        let length = upper.checked_sub(lower).and_then(|length| length.checked_add(1)).ok_or_else(unsupported)?;
        found.push(Dimension { length, lower });
        rest = skip_space(behind);
    }
    if found.is_empty() {
        return Ok((None, rest));
    }
    let body = rest.strip_prefix('=').ok_or_else(|| malformed("Missing \"=\" after array dimensions."))?;
    Ok((Some(found), body))
}

/// A bound; `None` for what is no number. The versions differ in what they take beside plain digits.
fn bound(text: &str) -> Result<Option<i32>, ValueError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+')) {
        return Ok(None);
    }
    if digits.is_empty() || digits.contains(['-', '+']) {
        return Err(unsupported());
    }
    text.parse().map(Some).map_err(|_| unsupported())
}

/// The levels of braces that are open, and what is known of each.
#[derive(Default)]
struct Levels {
    /// How many members each open level has so far, outermost first.
    open: Vec<i32>,
    /// How many the first of each level had.
    lengths: Vec<Option<i32>>,
    /// At which level elements stand.
    deepest: Option<usize>,
}

impl Levels {
    fn enter(&mut self) -> Result<(), ValueError> {
        if self.open.len() == MAX_DIMENSIONS {
            return Err(too_many_dimensions(MAX_DIMENSIONS + 1));
        }
        if self.deepest.is_some_and(|deepest| self.open.len() >= deepest) {
            return Err(malformed("Unexpected \"{\" character."));
        }
        self.open.push(0);
        if self.lengths.len() < self.open.len() {
            self.lengths.push(None);
        }
        Ok(())
    }

    fn element(&mut self) -> Result<(), ValueError> {
        let depth = self.open.len();
        if *self.deepest.get_or_insert(depth) != depth {
            return Err(malformed("Unexpected array element."));
        }
        self.member();
        Ok(())
    }

    fn member(&mut self) {
        if let Some(count) = self.open.last_mut() {
            *count = count.saturating_add(1);
        }
    }

    fn leave(&mut self) -> Result<(), ValueError> {
        let count = self.open.pop().unwrap_or(0);
        let depth = self.open.len();
        let uneven = || malformed("Multidimensional arrays must have sub-arrays with matching dimensions.");
        if let Some(length) = self.lengths.get_mut(depth)
            && *length.get_or_insert(count) != count
        {
            return Err(uneven());
        }
        self.member();
        Ok(())
    }
}

/// What the braces hold: the length of each dimension, and the elements in the order of the text.
fn contents(text: &str) -> Result<(Vec<i32>, Vec<Option<String>>), ValueError> {
    let mut levels = Levels::default();
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        rest = skip_space(rest);
        if let Some(after) = rest.strip_prefix('{') {
            levels.enter()?;
            rest = skip_space(after);
            let Some(after) = rest.strip_prefix('}') else { continue };
            // Braces without anything in them: the versions differ in what they take within others.
            if levels.open.len() > 1 || !items.is_empty() {
                return Err(unsupported());
            }
            levels = Levels::default();
            rest = after;
        } else {
            let (item, after) = element(rest)?;
            levels.element()?;
            items.push(item);
            rest = after;
        }
        loop {
            rest = skip_space(rest);
            if levels.open.is_empty() {
                let end = rest.is_empty();
                let lengths = levels.lengths.into_iter().flatten().collect();
                return if end { Ok((lengths, items)) } else { Err(malformed("Junk after closing right brace.")) };
            }
            if let Some(after) = rest.strip_prefix('}') {
                levels.leave()?;
                rest = after;
            } else {
                rest = rest.strip_prefix(',').ok_or_else(|| malformed("Unexpected array element."))?;
                break;
            }
        }
    }
}

/// One element, and what follows it.
fn element(text: &str) -> Result<(Option<String>, &str), ValueError> {
    let end = || malformed("Unexpected end of input.");
    let mut value = String::new();
    if let Some(quoted) = text.strip_prefix('"') {
        let mut characters = quoted.chars();
        loop {
            match characters.next().ok_or_else(end)? {
                '"' => return Ok((Some(value), characters.as_str())),
                '\\' => value.push(characters.next().ok_or_else(end)?),
                other => value.push(other),
            }
        }
    }
    let mut characters = text.chars();
    // Spaces at the end do not belong to it, but for one behind a backslash.
    let (mut kept, mut escaped) = (0, false);
    loop {
        let rest = characters.as_str();
        match characters.next().ok_or_else(end)? {
            ',' | '}' => {
                value.truncate(kept);
                if value.is_empty() {
                    return Err(malformed("Unexpected \",\" or \"}\" character."));
                }
                let null = !escaped && value.eq_ignore_ascii_case("null");
                return Ok(((!null).then_some(value), rest));
            }
            '{' | '"' => return Err(malformed("Unexpected \"{\" character or quote.")),
            '\\' => {
                value.push(characters.next().ok_or_else(end)?);
                escaped = true;
                kept = value.len();
            }
            other => {
                value.push(other);
                if !is_space(other) {
                    kept = value.len();
                }
            }
        }
    }
}

/// `array_out`
pub(super) fn write(dimensions: &[Dimension], items: &[Option<Vec<u8>>], out: &mut Vec<u8>) {
    if dimensions.iter().any(|dimension| dimension.lower != 1) {
        for Dimension { length, lower } in dimensions {
            let _infallible = write!(out, "[{lower}:{}]", lower + length - 1);
        }
        out.push(b'=');
    }
    if items.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    let lengths: Vec<usize> =
        dimensions.iter().map(|dimension| usize::try_from(dimension.length).unwrap_or(0)).collect();
    for (at, item) in items.iter().enumerate() {
        // How many levels begin with this element, and how many end with it.
        let (mut begin, mut end, mut size) = (0, 0, 1);
        for length in lengths.iter().rev() {
            size *= length;
            begin += usize::from(at.is_multiple_of(size));
            end += usize::from((at + 1).is_multiple_of(size));
        }
        if at > 0 {
            out.push(b',');
        }
        out.resize(out.len() + begin, b'{');
        write_item(item.as_deref(), out);
        out.resize(out.len() + end, b'}');
    }
}

fn write_item(item: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(item) = item else { return out.extend_from_slice(b"NULL") };
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*byte));
    if !item.is_empty() && !item.eq_ignore_ascii_case(b"null") && !item.iter().any(special) {
        return out.extend_from_slice(item);
    }
    out.push(b'"');
    for byte in item {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
