//! interval: microseconds (8 bytes), days (4), months (4), each signed. What is read are sums of whole units, a time,
//! and ISO 8601 durations; a fraction only of seconds, for PostgreSQL spreads others over smaller units.

use std::io::Write as _;

use drieslot_schema::LogicalType;

use super::{ValueError, datetime, fixed, trim};

/// `IntervalStyle`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    /// `postgres`
    #[default]
    Postgres,
    /// `postgres_verbose`
    PostgresVerbose,
    /// `sql_standard`
    SqlStandard,
    /// `iso_8601`
    Iso8601,
}

impl IntervalStyle {
    /// For a value of the setting as PostgreSQL reports it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "postgres" => Some(Self::Postgres),
            "postgres_verbose" => Some(Self::PostgresVerbose),
            "sql_standard" => Some(Self::SqlStandard),
            "iso_8601" => Some(Self::Iso8601),
            _ => None,
        }
    }
}

const HINT: &str = "Write it as 1 year 2 mons 3 days 04:05:06 or P1Y2M3DT4H5M6S, with fractions of seconds only.";
const SECOND: i64 = 1_000_000;

/// Units with one mask each: what is written twice is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}

fn unsupported() -> ValueError {
    ValueError::unsupported("interval", HINT)
}

fn range() -> ValueError {
    ValueError::new("22008", "interval out of range")
}

fn field_range() -> ValueError {
    ValueError::new("22015", "interval field value out of range")
}

#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
    seen: Vec<Unit>,
}

/// `interval_in`.
pub(super) fn encode_text(style: IntervalStyle, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let lower = trim(text).to_ascii_lowercase();
    // PostgreSQL takes no space around a duration.
    if lower.starts_with('p') && lower.len() < text.len() {
        return Err(unsupported());
    }
    // A sign then counts for what follows it too.
    if style == IntervalStyle::SqlStandard && lower.contains('-') {
        return Err(unsupported());
    }
    let sum = match lower.strip_prefix('p') {
        Some(rest) => iso(rest)?,
        None => words(&lower)?,
    };
    let days = i32::try_from(sum.days).map_err(|_| field_range())?;
    let months = i32::try_from(sum.months).map_err(|_| range())?;
    push(sum.micros, days, months, out)
}

/// PostgreSQL 17 takes the extremes together for infinity, and earlier ones for a number.
fn push(micros: i64, days: i32, months: i32, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let infinite = [(i64::MAX, i32::MAX, i32::MAX), (i64::MIN, i32::MIN, i32::MIN)].contains(&(micros, days, months));
    if infinite {
        return Err(ValueError::unsupported("interval", "Store a finite interval."));
    }
    out.extend_from_slice(&micros.to_be_bytes());
    out.extend_from_slice(&days.to_be_bytes());
    out.extend_from_slice(&months.to_be_bytes());
    Ok(())
}

impl Sum {
    fn add(&mut self, unit: Unit, count: i64) -> Result<(), ValueError> {
        if self.seen.contains(&unit) {
            return Err(unsupported());
        }
        self.seen.push(unit);
        let (field, factor) = match unit {
            Unit::Year => (&mut self.months, 12),
            Unit::Month => (&mut self.months, 1),
            Unit::Week => (&mut self.days, 7),
            Unit::Day => (&mut self.days, 1),
            Unit::Hour => (&mut self.micros, 3600 * SECOND),
            Unit::Minute => (&mut self.micros, 60 * SECOND),
            Unit::Second => (&mut self.micros, SECOND),
            Unit::Millisecond => (&mut self.micros, 1000),
            Unit::Microsecond => (&mut self.micros, 1),
        };
        let sum = count.checked_mul(factor).and_then(|count| field.checked_add(count));
        *field = sum.ok_or_else(field_range)?;
        Ok(())
    }

    fn add_number(&mut self, unit: Unit, number: Number<'_>) -> Result<(), ValueError> {
        if unit == Unit::Second {
            self.add_seconds(number)
        } else if number.fraction.is_empty() {
            self.add(unit, number.whole)
        } else {
            Err(unsupported())
        }
    }

    /// Seconds with a fraction, of a unit or a duration: what is exactly half a microsecond is dropped.
    fn add_seconds(&mut self, number: Number<'_>) -> Result<(), ValueError> {
        let fraction: f64 =
            if number.fraction.is_empty() { 0.0 } else { number.fraction.parse().map_err(|_| range())? };
        self.add_fraction(number.whole, number.negative, half_down(fraction))
    }

    /// Seconds of a duration, which PostgreSQL reads as one double.
    fn add_iso_seconds(&mut self, number: &Number<'_>) -> Result<(), ValueError> {
        let value: f64 = format!("{}{}", number.whole.abs(), number.fraction).parse().map_err(|_| range())?;
        self.add_fraction(number.whole, number.negative, half_down(value.fract()))
    }

    fn add_fraction(&mut self, whole: i64, negative: bool, micros: i64) -> Result<(), ValueError> {
        self.add(Unit::Second, whole)?;
        let micros = if negative { -micros } else { micros };
        self.micros = self.micros.checked_add(micros).ok_or_else(field_range)?;
        Ok(())
    }

    fn negate(&mut self) -> Result<(), ValueError> {
        for field in [&mut self.months, &mut self.days, &mut self.micros] {
            *field = field.checked_neg().ok_or_else(field_range)?;
        }
        Ok(())
    }
}

/// `AdjustFractMicroseconds`
#[expect(clippy::cast_possible_truncation, reason = "a fraction times a million is between 0 and a million")]
fn half_down(fraction: f64) -> i64 {
    let micros = fraction * 1_000_000.0;
    micros.trunc() as i64 + i64::from(micros.fract() > 0.5)
}

struct Number<'text> {
    negative: bool,
    /// With its sign.
    whole: i64,
    /// From the decimal point on.
    fraction: &'text str,
}

/// A sign, digits and a fraction, and what follows. `None` where there are no digits, or too many.
fn number(text: &str) -> Option<(Number<'_>, &str)> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at_checked(digits(unsigned))?;
    if whole.is_empty() || whole.len() > 15 {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(after) if digits(after) > 0 => rest.split_at_checked(1 + digits(after))?,
        Some(_) => return None,
    };
    let value: i64 = whole.parse().ok()?;
    Some((Number { negative, whole: if negative { -value } else { value }, fraction }, rest))
}

/// `1 year 2 mons -3 days 04:05:06.7 ago`, with or without `@`.
fn words(text: &str) -> Result<Sum, ValueError> {
    let mut tokens: Vec<&str> = text.split(super::is_space).filter(|token| !token.is_empty()).collect();
    if tokens.first() == Some(&"@") {
        tokens.remove(0);
    }
    let ago = tokens.last() == Some(&"ago");
    if ago {
        tokens.pop();
    }
    let mut sum = Sum::default();
    let mut rest = tokens.as_slice();
    while let [token, after @ ..] = rest {
        rest = after;
        if token.contains(':') {
            add_time(&mut sum, token)?;
            continue;
        }
        let (number, attached) = number(token).ok_or_else(|| not_read(text))?;
        let unit = if attached.is_empty() {
            let [unit, after @ ..] = rest else { return Err(unsupported()) };
            rest = after;
            unit
        } else {
            attached
        };
        sum.add_number(unit_named(unit).ok_or_else(|| not_read(text))?, number)?;
    }
    if sum.seen.is_empty() {
        return Err(not_read(text));
    }
    if ago {
        sum.negate()?;
    }
    Ok(sum)
}

/// Without a digit it is surely no interval, but for the infinities of PostgreSQL 17, and a point that is taken for 0.
fn not_read(text: &str) -> ValueError {
    let legible = text.bytes().any(|byte| byte.is_ascii_digit() || byte == b'.') || text.contains("infinity");
    if legible { unsupported() } else { ValueError { sqlstate: "22007", ..ValueError::syntax("interval") } }
}

fn unit_named(name: &str) -> Option<Unit> {
    Some(match name {
        "year" | "years" => Unit::Year,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "week" | "weeks" => Unit::Week,
        "day" | "days" => Unit::Day,
        "hour" | "hours" => Unit::Hour,
        "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "millisecond" | "milliseconds" => Unit::Millisecond,
        "microsecond" | "microseconds" => Unit::Microsecond,
        _ => return None,
    })
}

/// `[-+]h:mm[:ss[.fraction]]`
fn add_time(sum: &mut Sum, token: &str) -> Result<(), ValueError> {
    let (negative, unsigned) = (token.starts_with('-'), token.strip_prefix(['-', '+']).unwrap_or(token));
    let (hours, rest) = unsigned.split_once(':').ok_or_else(unsupported)?;
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let whole = |text: &str, most: usize| {
        let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| plain).ok_or_else(unsupported)
    };
    let (hours, minutes) = (whole(hours, 9)?, whole(minutes, 2)?);
    let (second, rest) = number(seconds).filter(|(second, _)| !second.negative).ok_or_else(unsupported)?;
    if !rest.is_empty() || seconds.starts_with('+') || seconds.split('.').next().is_some_and(|whole| whole.len() > 2) {
        return Err(unsupported());
    }
    if minutes > 59 || second.whole > 60 {
        return Err(field_range());
    }
    let signed = |value: i64| if negative { -value } else { value };
    sum.add(Unit::Hour, signed(hours))?;
    sum.add(Unit::Minute, signed(minutes))?;
    sum.add_fraction(signed(second.whole), negative, datetime::fraction_micros(second.fraction)?)
}

/// What follows the `P` of an ISO 8601 duration.
fn iso(text: &str) -> Result<Sum, ValueError> {
    let mut sum = Sum::default();
    let mut rest = text;
    let mut in_time = false;
    while !rest.is_empty() {
        if let (Some(after), false) = (rest.strip_prefix('t'), in_time) {
            in_time = true;
            rest = after;
            continue;
        }
        let (number, after) = number(rest).filter(|_| !rest.starts_with('+')).ok_or_else(unsupported)?;
        let mut letters = after.chars();
        let unit = match (letters.next(), in_time) {
            (Some('y'), false) => Unit::Year,
            (Some('m'), false) => Unit::Month,
            (Some('w'), false) => Unit::Week,
            (Some('d'), false) => Unit::Day,
            (Some('h'), true) => Unit::Hour,
            (Some('m'), true) => Unit::Minute,
            (Some('s'), true) => Unit::Second,
            _ => return Err(unsupported()),
        };
        rest = letters.as_str();
        if unit == Unit::Second {
            sum.add_iso_seconds(&number)?;
        } else {
            sum.add_number(unit, number)?;
        }
    }
    if sum.seen.is_empty() || text.ends_with('t') { Err(unsupported()) } else { Ok(sum) }
}

/// `interval_recv`.
pub(super) fn encode_binary(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (micros, days, months) = split(fixed(LogicalType::Interval, bytes)?);
    push(micros, days, months, out)
}

fn split(bytes: [u8; 16]) -> (i64, i32, i32) {
    let value = i128::from_be_bytes(bytes);
    let part = |shift: u32| value >> shift;
    let [.., a, b, c, d] = part(0).to_be_bytes();
    let [.., e, f, g, h] = part(32).to_be_bytes();
    let [.., i, j, k, l, m, n, o, p] = part(64).to_be_bytes();
    (i64::from_be_bytes([i, j, k, l, m, n, o, p]), i32::from_be_bytes([e, f, g, h]), i32::from_be_bytes([a, b, c, d]))
}

/// The parts that are shown, each with its own sign.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    fraction: i64,
}

/// `interval_out`.
pub(super) fn write(style: IntervalStyle, canonical: [u8; 16], out: &mut Vec<u8>) {
    let (micros, days, months) = split(canonical);
    let parts = Parts {
        year: i64::from(months / 12),
        month: i64::from(months % 12),
        day: i64::from(days),
        hour: micros / (3600 * SECOND),
        minute: micros / (60 * SECOND) % 60,
        second: micros / SECOND % 60,
        fraction: micros % SECOND,
    };
    match style {
        IntervalStyle::Postgres => write_postgres(&parts, out),
        IntervalStyle::PostgresVerbose => write_verbose(&parts, out),
        IntervalStyle::SqlStandard => write_sql(&parts, out),
        IntervalStyle::Iso8601 => write_iso(&parts, out),
    }
}

/// `AppendSeconds`, without a sign.
fn write_seconds(parts: &Parts, width: usize, out: &mut Vec<u8>) {
    let _infallible = write!(out, "{:0width$}", parts.second.abs());
    if parts.fraction != 0 {
        let _infallible = write!(out, ".{:06}", parts.fraction.abs());
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

impl Parts {
    fn time(&self) -> [i64; 4] {
        [self.hour, self.minute, self.second, self.fraction]
    }

    fn has_time(&self) -> bool {
        self.time().iter().any(|part| *part != 0)
    }

    fn negative_time(&self) -> bool {
        self.time().iter().any(|part| *part < 0)
    }
}

fn write_postgres(parts: &Parts, out: &mut Vec<u8>) {
    let start = out.len();
    let mut before = false;
    for (value, unit) in [(parts.year, "year"), (parts.month, "mon"), (parts.day, "day")] {
        if value == 0 {
            continue;
        }
        let space = if out.len() == start { "" } else { " " };
        let sign = if before && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        let _infallible = write!(out, "{space}{sign}{value} {unit}{plural}");
        before = value < 0;
    }
    if out.len() == start || parts.has_time() {
        let space = if out.len() == start { "" } else { " " };
        let sign = match (parts.negative_time(), before) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let _infallible = write!(out, "{space}{sign}{:02}:{:02}:", parts.hour.abs(), parts.minute.abs());
        write_seconds(parts, 2, out);
    }
}

fn write_verbose(parts: &Parts, out: &mut Vec<u8>) {
    out.push(b'@');
    let (mut zero, mut before) = (true, false);
    let units =
        [(parts.year, "year"), (parts.month, "mon"), (parts.day, "day"), (parts.hour, "hour"), (parts.minute, "min")];
    for (value, unit) in units {
        if value == 0 {
            continue;
        }
        if zero {
            before = value < 0;
        }
        let shown = if before { -value } else { value };
        let _infallible = write!(out, " {shown} {unit}{}", if shown == 1 { "" } else { "s" });
        zero = false;
    }
    if parts.second != 0 || parts.fraction != 0 {
        out.push(b' ');
        let negative = parts.second < 0 || (parts.second == 0 && parts.fraction < 0);
        if zero {
            before = negative;
        } else if negative != before {
            out.push(b'-');
        }
        write_seconds(parts, 1, out);
        let singular = parts.second.abs() == 1 && parts.fraction == 0;
        let _infallible = write!(out, " sec{}", if singular { "" } else { "s" });
        zero = false;
    }
    if zero {
        out.extend_from_slice(b" 0");
    }
    if before {
        out.extend_from_slice(b" ago");
    }
}

fn write_iso(parts: &Parts, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(b'P');
    let push = |value: i64, unit: char, out: &mut Vec<u8>| {
        if value != 0 {
            let _infallible = write!(out, "{value}{unit}");
        }
    };
    push(parts.year, 'Y', out);
    push(parts.month, 'M', out);
    push(parts.day, 'D', out);
    if parts.has_time() {
        out.push(b'T');
    }
    push(parts.hour, 'H', out);
    push(parts.minute, 'M', out);
    if parts.second != 0 || parts.fraction != 0 {
        if parts.second < 0 || parts.fraction < 0 {
            out.push(b'-');
        }
        write_seconds(parts, 1, out);
        out.push(b'S');
    }
    if out.len() == start + 1 {
        out.extend_from_slice(b"T0S");
    }
}

fn write_sql(parts: &Parts, out: &mut Vec<u8>) {
    let all = [parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second, parts.fraction];
    let negative = all.iter().any(|part| *part < 0);
    let positive = all.iter().any(|part| *part > 0);
    let year_month = parts.year != 0 || parts.month != 0;
    let day_time = parts.day != 0 || parts.has_time();
    let standard = !(negative && positive || year_month && day_time);
    if !negative && !positive {
        return out.push(b'0');
    }
    if negative && standard {
        out.push(b'-');
    }
    let sign = |negative: bool| if negative { '-' } else { '+' };
    if !standard {
        let _infallible = write!(
            out,
            "{}{}-{} {}{} {}{}:{:02}:",
            sign(parts.year < 0 || parts.month < 0),
            parts.year.abs(),
            parts.month.abs(),
            sign(parts.day < 0),
            parts.day.abs(),
            sign(parts.negative_time()),
            parts.hour.abs(),
            parts.minute.abs()
        );
    } else if year_month {
        let _infallible = write!(out, "{}-{}", parts.year.abs(), parts.month.abs());
        return;
    } else if parts.day != 0 {
        let _infallible = write!(out, "{} {}:{:02}:", parts.day.abs(), parts.hour.abs(), parts.minute.abs());
    } else {
        let _infallible = write!(out, "{}:{:02}:", parts.hour.abs(), parts.minute.abs());
    }
    write_seconds(parts, 2, out);
}
