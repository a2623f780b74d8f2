//! The texts of dates and times that are read: all that PostgreSQL writes but for abbreviations of time zones, and what can be
//! taken for nothing else. Everything that depends on the present moment or on a list of abbreviations is refused.

use jiff::tz::TimeZone;

use super::moment::MONTHS;
use super::{DateOrder, ValueError, calendar, is_space, trim};

/// What a text says.
pub(super) enum Reading {
    /// `epoch`
    Epoch,
    /// `infinity`
    Infinity,
    /// `-infinity`
    NegativeInfinity,
    /// A day, with or without a time.
    Civil(Civil),
}

/// A day and a time of day, in the zone that it names, if any.
pub(super) struct Civil {
    /// Days since 2000-01-01.
    pub(super) days: i64,
    /// Microseconds since midnight, up to 24:00:00.
    pub(super) micros: i64,
    pub(super) zone: Option<Zone>,
}

/// A zone written behind a time.
pub(super) enum Zone {
    /// Seconds east of UTC.
    Offset(i64),
    Named(TimeZone),
}

const HINT: &str = "Write the day itself in ISO form, such as 2020-01-31 or 2020-01-31 23:59:00+01.";
/// Words by which PostgreSQL may take a text for a date or time even where it has no digit.
const WORDS: [&str; 7] = ["epoch", "infinity", "now", "today", "tomorrow", "yesterday", "allballs"];
/// 24 hours in microseconds.
const DAY: i64 = 86_400_000_000;
/// `MAXDATELEN`
const MAX_LEN: usize = 128;

fn overflow() -> ValueError {
    ValueError::new("22008", "date/time field value out of range")
}

/// Reads a text of type `type_name`.
pub(super) fn parse(type_name: &'static str, text: &str, order: DateOrder) -> Result<Reading, ValueError> {
    let trimmed = trim(text);
    if trimmed.len() > MAX_LEN {
        return Err(syntax(type_name));
    }
    let lower = trimmed.to_ascii_lowercase();
    match lower.as_str() {
        "epoch" => return Ok(Reading::Epoch),
        "infinity" => return Ok(Reading::Infinity),
        "-infinity" => return Ok(Reading::NegativeInfinity),
        _ => {}
    }
    if let Some(fields) = fields(trimmed, order) {
        return check(&fields).map(Reading::Civil);
    }
    let legible = lower.bytes().any(|byte| byte.is_ascii_digit()) || WORDS.iter().any(|word| lower.contains(word));
    Err(if legible { ValueError::unsupported(type_name, HINT) } else { syntax(type_name) })
}

/// Reads a text of type `time`: `h:m[:s[.fraction]]`. PostgreSQL also takes some forms with a day or a zone, and drops it.
pub(super) fn parse_time_of_day(text: &str) -> Result<i64, ValueError> {
    const TIME_HINT: &str = "Write the time alone, as 23:59:00.";
    let trimmed = trim(text);
    if trimmed.len() > MAX_LEN {
        return Err(syntax("time"));
    }
    if let Some((time, "")) = time_fields(trimmed) {
        return time_of_day(&time);
    }
    let lower = trimmed.to_ascii_lowercase();
    let legible = lower.bytes().any(|byte| byte.is_ascii_digit()) || WORDS.iter().any(|word| lower.contains(word));
    Err(if legible { ValueError::unsupported("time", TIME_HINT) } else { syntax("time") })
}

fn syntax(type_name: &str) -> ValueError {
    ValueError { sqlstate: "22007", ..ValueError::syntax(type_name) }
}

/// The parts of an accepted form, not yet checked for their ranges.
struct Fields<'text> {
    year: i64,
    month: i64,
    day: i64,
    bc: bool,
    time: Option<Time<'text>>,
    zone: Option<&'text str>,
}

struct Time<'text> {
    hour: i64,
    minute: i64,
    second: i64,
    /// From the decimal point on.
    fraction: &'text str,
}

/// `date [T| ]time[ ][zone] [AD|BC]`, or `date offset [AD|BC]`. `None` for any other form.
fn fields(text: &str, order: DateOrder) -> Option<Fields<'_>> {
    let mut tokens: Vec<&str> = text.split(is_space).filter(|token| !token.is_empty()).collect();
    let era = tokens.last().map(|token| token.to_ascii_lowercase());
    let bc = era.as_deref() == Some("bc");
    if bc || era.as_deref() == Some("ad") {
        tokens.pop();
    }
    if let Some(fields) = with_month_name(&tokens, bc, order) {
        return Some(fields);
    }
    let (first, rest) = tokens.split_first()?;
    let (date, after) = match first.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (*first, None),
    };
    let (time, zone) = match (after, rest) {
        (time, []) => (time, None),
        // A day in a zone, as JDBC writes one.
        (None, [zone]) if zone.starts_with(['+', '-']) => (None, Some(*zone)),
        (None, [time]) => (Some(*time), None),
        (None, [time, zone]) => (Some(*time), Some(*zone)),
        (Some(time), [zone]) => (Some(time), Some(*zone)),
        (None | Some(_), _) => return None,
    };
    let (year, month, day) = date_fields(date, bc, order)?;
    let (time, attached) = match time {
        None => (None, None),
        Some(token) => {
            let (time, rest) = time_fields(token)?;
            (Some(time), (!rest.is_empty()).then_some(rest))
        }
    };
    if zone.is_some() && attached.is_some() {
        return None;
    }
    Some(Fields { year, month, day, bc, time, zone: zone.or(attached) })
}

/// `[Fri] Jan 31 [12:00:00] 2020 [zone]`, or with the day before the month.
fn with_month_name<'text>(tokens: &[&'text str], bc: bool, order: DateOrder) -> Option<Fields<'text>> {
    const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let tokens = match tokens {
        [first, rest @ ..] if WEEKDAYS.contains(&first.to_ascii_lowercase().as_str()) => rest,
        _ => tokens,
    };
    let [first, second, rest @ ..] = tokens else { return None };
    let month_of = |token: &str| MONTHS.iter().position(|month| month.eq_ignore_ascii_case(token));
    let (month, day) = match (month_of(first), month_of(second)) {
        (Some(month), None) => (month, *second),
        (None, Some(month)) => (month, *first),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let whole = |token: &str, count| number(token, count).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value);
    // A year of two digits could stand in the day's place.
    let day = whole(day, 1..=2).filter(|_| order != DateOrder::Ymd)?;
    let (time, year, zone) = match rest {
        [year] => (None, year, None),
        [time, year] if time.contains(':') => (Some(*time), year, None),
        [time, year, zone] if time.contains(':') => (Some(*time), year, Some(*zone)),
        _ => return None,
    };
    let year = whole(year, 4..=7)?;
    let time = match time.map(time_fields) {
        None => None,
        Some(Some((time, ""))) => Some(time),
        Some(_) => return None,
    };
    Some(Fields { year, month: i64::try_from(month).ok()? + 1, day, bc, time, zone })
}

/// `YYYY-M-D` with four to seven digits of year, `YYYY/M/D`, or `YYYYMMDD`: with the year first PostgreSQL reads month and
/// day in this order whatever the DateStyle. Else `D-M-Y`, `M-D-Y` or `Y-M-D` as it says, with `-`, `/` or `.` between.
fn date_fields(token: &str, bc: bool, order: DateOrder) -> Option<(i64, i64, i64)> {
    if token.len() == 8 && token.bytes().all(|byte| byte.is_ascii_digit()) {
        let part = |range| token.get(range).and_then(|digits: &str| digits.parse().ok());
        return Some((part(0..4)?, part(4..6)?, part(6..8)?));
    }
    let (first, rest) = number(token, 1..=7)?;
    let first_len = token.len() - rest.len();
    let separator = rest.chars().next().filter(|c| matches!(c, '-' | '/' | '.'))?;
    let (second, rest) = number(rest.strip_prefix(separator)?, 1..=2)?;
    let last = rest.strip_prefix(separator)?;
    let (third, rest) = number(last, 1..=7)?;
    let full = |year: i64, len: usize| match len {
        1 | 2 if bc => Some(year),
        1 | 2 if year < 70 => Some(year + 2000),
        1 | 2 => Some(year + 1900),
        3 => None,
        _ => Some(year),
    };
    if !rest.is_empty() {
        return None;
    }
    let year_first = first_len >= 3 || order == DateOrder::Ymd;
    if year_first {
        let sound = last.len() <= 2 && (separator != '.' || first_len <= 2);
        return sound.then(|| full(first, first_len)).flatten().map(|year| (year, second, third));
    }
    let year = full(third, last.len())?;
    Some(if order == DateOrder::Dmy { (year, second, first) } else { (year, first, second) })
}

/// `h:m[:s[.fraction]]`, and what follows it.
fn time_fields(token: &str) -> Option<(Time<'_>, &str)> {
    let (hour, rest) = number(token, 1..=2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 1..=2)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return Some((Time { hour, minute, second: 0, fraction: "" }, rest));
    };
    let (second, rest) = number(rest, 1..=2)?;
    let fraction_len = match rest.strip_prefix('.') {
        None => 0,
        Some(digits) => 1 + Some(digits.bytes().take_while(u8::is_ascii_digit).count()).filter(|count| *count > 0)?,
    };
    let (fraction, rest) = rest.split_at_checked(fraction_len)?;
    Some((Time { hour, minute, second, fraction }, rest))
}

/// Leading digits, as many as `count` allows and not one more.
fn number(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<(i64, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    if !count.contains(&len) {
        return None;
    }
    let (digits, rest) = text.split_at_checked(len)?;
    Some((digits.parse().ok()?, rest))
}

/// `ValidateDate`, and the limits of `DecodeDateTime`.
fn check(fields: &Fields<'_>) -> Result<Civil, ValueError> {
    let micros = fields.time.as_ref().map_or(Ok(0), time_of_day)?;
    let zone = fields.zone.map(parse_zone).transpose()?;
    if fields.year <= 0 || !(1..=12).contains(&fields.month) || fields.day < 1 {
        return Err(overflow());
    }
    let year = if fields.bc { 1 - fields.year } else { fields.year };
    if fields.day > calendar::days_in_month(year, fields.month) {
        return Err(overflow());
    }
    let days = calendar::days_from_civil(year, fields.month, fields.day);
    Ok(Civil { days, micros, zone })
}

/// `DecodeTime` and `time_overflows`: a second may be 60, and 24:00:00 is the end of the day.
fn time_of_day(time: &Time<'_>) -> Result<i64, ValueError> {
    let fraction = fraction_micros(time.fraction)?;
    let micros = ((time.hour * 60 + time.minute) * 60 + time.second) * 1_000_000 + fraction;
    if time.minute > 59 || time.second > 60 || micros > DAY {
        return Err(overflow());
    }
    Ok(micros)
}

/// `ParseFractionalSecond`: by way of a double, rounded half to even, because PostgreSQL does so.
#[expect(clippy::cast_possible_truncation, reason = "a fraction times a million is between 0 and a million")]
pub(super) fn fraction_micros(fraction: &str) -> Result<i64, ValueError> {
    if fraction.is_empty() {
        return Ok(0);
    }
    let seconds: f64 = fraction.parse().map_err(|_| overflow())?;
    Ok((seconds * 1_000_000.0).round_ties_even() as i64)
}

/// `Z`, `UTC`, `GMT`, an offset in hours, minutes and seconds, or a name such as `Europe/Brussels`.
fn parse_zone(token: &str) -> Result<Zone, ValueError> {
    let lower = token.to_ascii_lowercase();
    if matches!(lower.as_str(), "z" | "utc" | "gmt") {
        return Ok(Zone::Offset(0));
    }
    if let Some(rest) = token.strip_prefix('+') {
        return parse_offset(rest).map(Zone::Offset);
    }
    if let Some(rest) = token.strip_prefix('-') {
        return parse_offset(rest).map(|seconds| Zone::Offset(-seconds));
    }
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '-');
    let named = token.contains('/') && token.chars().all(plain);
    named.then(|| TimeZone::get(token).ok()).flatten().map(Zone::Named).ok_or_else(|| {
        let hint = "Write the offset, such as +01, or a zone's full name, such as Europe/Brussels.";
        ValueError::unsupported("time zone", hint)
    })
}

/// `DecodeTimezone`: `h`, `hh`, `hmm`, `hhmm`, `h:mm`, `hh:mm:ss`.
fn parse_offset(text: &str) -> Result<i64, ValueError> {
    let unsupported = || ValueError::unsupported("time zone offset", "Write it as +hh, +hh:mm or +hh:mm:ss.");
    let (hour, minute, second) = match text.split_once(':') {
        None => {
            let (value, rest) = number(text, 1..=4).ok_or_else(unsupported)?;
            let split = if text.len() > 2 { (value / 100, value % 100) } else { (value, 0) };
            if !rest.is_empty() {
                return Err(unsupported());
            }
            (split.0, split.1, 0)
        }
        Some((hour, rest)) => {
            let part = |text: &str| number(text, 1..=2).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value);
            let (minute, second) = rest.split_once(':').unwrap_or((rest, "0"));
            let parts = (part(hour), part(minute), part(second));
            let (Some(hour), Some(minute), Some(second)) = parts else { return Err(unsupported()) };
            (hour, minute, second)
        }
    };
    if hour > 15 || minute > 59 || second > 59 {
        return Err(ValueError::new("22009", "time zone displacement out of range"));
    }
    Ok((hour * 60 + minute) * 60 + second)
}
