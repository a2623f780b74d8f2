//! date, time, timestamp and timestamptz: days or microseconds since 2000-01-01 (UTC), as PostgreSQL keeps them.

use std::io::Write as _;

use jiff::tz::TimeZone;

use super::datetime::{Civil, Reading, Zone, parse, parse_time_of_day};
use super::{DateForm, DateOrder, DateStyle, Settings, ValueError, calendar};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 1970-01-01.
const UNIX_DAYS: i64 = -10_957;
/// 4714-11-24 BC, Julian day 0.
const MIN_DAYS: i64 = -2_451_545;
/// 5874898-01-01, the first day after the last.
const END_DAYS: i64 = 2_145_031_949;
/// 294277-01-01, the first moment after the last.
const END_MICROS: i64 = 9_223_371_331_200_000_000;

pub(super) fn parse_date(text: &str, order: DateOrder) -> Result<i32, ValueError> {
    match parse("date", text, order)? {
        Reading::Epoch => check_date(UNIX_DAYS),
        Reading::Infinity => Ok(i32::MAX),
        Reading::NegativeInfinity => Ok(i32::MIN),
        Reading::Civil(civil) if (MIN_DAYS..END_DAYS).contains(&civil.days) => check_date(civil.days),
        Reading::Civil(_) => Err(date_range()),
    }
}

pub(super) fn parse_time(text: &str) -> Result<i64, ValueError> {
    check_time(parse_time_of_day(text)?)
}

/// From midnight to midnight, both included.
pub(super) fn check_time(micros: i64) -> Result<i64, ValueError> {
    let valid = (0..=DAY).contains(&micros);
    valid.then_some(micros).ok_or_else(|| ValueError::new("22008", "time out of range"))
}

fn date_range() -> ValueError {
    ValueError::new("22008", "date out of range")
}

/// Any day that PostgreSQL has, and the two infinities.
pub(super) fn check_date(days: i64) -> Result<i32, ValueError> {
    let days32 = i32::try_from(days).map_err(|_| date_range())?;
    let valid = (MIN_DAYS..END_DAYS).contains(&days) || days32 == i32::MAX || days32 == i32::MIN;
    valid.then_some(days32).ok_or_else(date_range)
}

fn timestamp_range() -> ValueError {
    ValueError::new("22008", "timestamp out of range")
}

/// Any moment that PostgreSQL has, and the two infinities. `None` stands for an overflow.
pub(super) fn check_timestamp(micros: Option<i64>) -> Result<i64, ValueError> {
    let in_range = |micros: i64| is_finite(micros) || micros == i64::MAX || micros == i64::MIN;
    micros.filter(|micros| in_range(*micros)).ok_or_else(timestamp_range)
}

fn is_finite(micros: i64) -> bool {
    (MIN_DAYS * DAY..END_MICROS).contains(&micros)
}

fn local_micros(civil: &Civil) -> Option<i64> {
    civil.days.checked_mul(DAY)?.checked_add(civil.micros)
}

fn finite(micros: Option<i64>) -> Result<i64, ValueError> {
    micros.filter(|micros| is_finite(*micros)).ok_or_else(timestamp_range)
}

/// A zone in the text is checked and then ignored, as PostgreSQL does.
pub(super) fn parse_timestamp(text: &str, order: DateOrder) -> Result<i64, ValueError> {
    match parse("timestamp", text, order)? {
        Reading::Epoch => Ok(UNIX_DAYS * DAY),
        Reading::Infinity => Ok(i64::MAX),
        Reading::NegativeInfinity => Ok(i64::MIN),
        Reading::Civil(civil) => finite(local_micros(&civil)),
    }
}

/// A text without a zone is in the session's.
pub(super) fn parse_timestamptz(text: &str, session: &Settings) -> Result<i64, ValueError> {
    match parse("timestamp with time zone", text, session.date_style.order)? {
        Reading::Epoch => Ok(UNIX_DAYS * DAY),
        Reading::Infinity => Ok(i64::MAX),
        Reading::NegativeInfinity => Ok(i64::MIN),
        Reading::Civil(civil) => {
            let local = local_micros(&civil).ok_or_else(timestamp_range)?;
            let seconds = local.div_euclid(SECOND);
            let offset = match &civil.zone {
                Some(Zone::Offset(seconds)) => Some(*seconds),
                Some(Zone::Named(zone)) => calendar::offset_of_local(zone, seconds),
                None => calendar::offset_of_local(&session.time_zone, seconds),
            };
            finite(offset.and_then(|offset| local.checked_sub(offset * SECOND)))
        }
    }
}

/// The cast from date to timestamp.
pub(super) fn midnight(days: i32) -> Result<i64, ValueError> {
    match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        days => finite(i64::from(days).checked_mul(DAY)),
    }
}

/// The cast from timestamp to date.
pub(super) fn day_of(micros: i64) -> Result<i32, ValueError> {
    match micros {
        i64::MAX => Ok(i32::MAX),
        i64::MIN => Ok(i32::MIN),
        micros => check_date(micros.div_euclid(DAY)),
    }
}

/// The cast from timestamp to timestamptz.
pub(super) fn from_local(local: i64, zone: &TimeZone) -> Result<i64, ValueError> {
    if local == i64::MAX || local == i64::MIN {
        return Ok(local);
    }
    let offset = calendar::offset_of_local(zone, local.div_euclid(SECOND));
    finite(offset.and_then(|offset| local.checked_sub(offset * SECOND)))
}

/// The cast from timestamptz to timestamp.
pub(super) fn to_local(micros: i64, zone: &TimeZone) -> Result<i64, ValueError> {
    if micros == i64::MAX || micros == i64::MIN {
        return Ok(micros);
    }
    let offset = calendar::offset_at(zone, micros.div_euclid(SECOND));
    finite(offset.and_then(|offset| micros.checked_add(offset * SECOND)))
}

/// `EncodeDateOnly`.
pub(super) fn write_date(days: i32, style: DateStyle, out: &mut Vec<u8>) {
    if days == i32::MAX || days == i32::MIN {
        return write_infinity(days == i32::MAX, out);
    }
    let civil = Written::of(i64::from(days));
    match style.form {
        DateForm::Postgres => civil.write_parts(style.day_first(), '-', out),
        DateForm::Iso | DateForm::Sql | DateForm::German => civil.write(style, out),
    }
    out.extend_from_slice(civil.era);
}

/// `EncodeDateTime`. In a time zone, in its local time and followed by its offset or name.
pub(super) fn write_timestamp(micros: i64, settings: &Settings, in_zone: bool, out: &mut Vec<u8>) {
    if micros == i64::MAX || micros == i64::MIN {
        return write_infinity(micros == i64::MAX, out);
    }
    let style = settings.date_style;
    let seconds = micros.div_euclid(SECOND);
    let offset = in_zone.then(|| calendar::offset_at(&settings.time_zone, seconds).unwrap_or(0));
    let local = i128::from(micros) + i128::from(offset.unwrap_or(0) * SECOND);
    let days = i64::try_from(local.div_euclid(i128::from(DAY))).unwrap_or(0);
    let of_day = i64::try_from(local.rem_euclid(i128::from(DAY))).unwrap_or(0);
    let civil = Written::of(days);
    if style.form == DateForm::Postgres {
        let weekday = usize::try_from((days + SATURDAY).rem_euclid(7)).unwrap_or(0);
        let (weekday, month) = (WEEKDAYS.get(weekday).unwrap_or(&""), civil.month_name());
        let _infallible = match style.day_first() {
            true => write!(out, "{weekday} {:02} {month} ", civil.day),
            false => write!(out, "{weekday} {month} {:02} ", civil.day),
        };
        write_time(of_day, out);
        let _infallible = write!(out, " {:04}", civil.year);
    } else {
        civil.write(style, out);
        out.push(b' ');
        write_time(of_day, out);
    }
    if let Some(offset) = offset {
        let named = style.form != DateForm::Iso;
        match named.then(|| settings.zone_abbreviation(seconds)).flatten() {
            Some(name) => {
                let shown: String = name.chars().take(MAX_ZONE_NAME).collect();
                let _infallible = write!(out, " {shown}");
            }
            None => write_offset(offset, out),
        }
    }
    out.extend_from_slice(civil.era);
}

/// `MAXTZLEN`
const MAX_ZONE_NAME: usize = 10;
/// 2000-01-01 was one.
const SATURDAY: i64 = 6;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `EncodeTimeOnly`, and the time of day in [`write_timestamp`].
pub(super) fn write_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / SECOND;
    let _infallible = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = micros % SECOND;
    if fraction != 0 {
        let _infallible = write!(out, ".{fraction:06}");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// A day as it is written.
struct Written {
    year: i64,
    month: i64,
    day: i64,
    /// What stands at the very end.
    era: &'static [u8],
}

impl Written {
    fn of(days: i64) -> Self {
        let (year, month, day) = calendar::civil_from_days(days);
        let (year, era): (i64, &[u8]) = if year > 0 { (year, b"") } else { (1 - year, b" BC") };
        Self { year, month, day, era }
    }

    fn month_name(&self) -> &'static str {
        usize::try_from(self.month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"")
    }

    /// In every form but that of POSTGRES.
    fn write(&self, style: DateStyle, out: &mut Vec<u8>) {
        match style.form {
            DateForm::Iso | DateForm::Postgres => {
                let _infallible = write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day);
            }
            DateForm::Sql => self.write_parts(style.day_first(), '/', out),
            DateForm::German => self.write_parts(true, '.', out),
        }
    }

    fn write_parts(&self, day_first: bool, between: char, out: &mut Vec<u8>) {
        let (first, second) = if day_first { (self.day, self.month) } else { (self.month, self.day) };
        let _infallible = write!(out, "{first:02}{between}{second:02}{between}{:04}", self.year);
    }
}

/// `EncodeTimezone`: hours, then what else is not zero.
fn write_offset(offset: i64, out: &mut Vec<u8>) {
    let (sign, seconds) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    let _infallible = write!(out, "{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        let _infallible = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        let _infallible = write!(out, ":{:02}", seconds % 60);
    }
}

fn write_infinity(positive: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if positive { b"infinity" } else { b"-infinity" });
}
