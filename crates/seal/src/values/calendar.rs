//! The proleptic Gregorian calendar, in days since 2000-01-01, and offsets of time zones in PostgreSQL's whole range.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
/// Seconds from 1970-01-01 to 2000-01-01.
const EPOCH_SECONDS: i64 = EPOCH_DAYS * 86_400;
/// The calendar, and with it every rule of a time zone, repeats after 400 years.
const CYCLE_DAYS: i64 = 146_097;
const CYCLE_SECONDS: i64 = CYCLE_DAYS * 86_400;
/// 9000-01-01 in seconds since 2000: later moments are looked up some cycles earlier, as PostgreSQL does.
const FAR_SECONDS: i64 = 220_898_707_200;

/// Days since 2000-01-01. Year 0 is 1 BC. Howard Hinnant, *chrono-compatible low-level date algorithms*.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * CYCLE_DAYS + day_of_era - 719_468 - EPOCH_DAYS
}

/// Year (0 is 1 BC), month and day. The inverse of [`days_from_civil`].
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + EPOCH_DAYS + 719_468;
    let era = shifted.div_euclid(CYCLE_DAYS);
    let day_of_era = shifted.rem_euclid(CYCLE_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn near(seconds: i64) -> i64 {
    let beyond = seconds - FAR_SECONDS;
    if beyond < 0 { seconds } else { seconds - (beyond / CYCLE_SECONDS + 1) * CYCLE_SECONDS }
}

/// Seconds east of UTC at a moment (seconds since 2000-01-01 UTC). `None` before the range of PostgreSQL.
pub(super) fn offset_at(zone: &TimeZone, seconds: i64) -> Option<i64> {
    let moment = Timestamp::from_second(near(seconds) + EPOCH_SECONDS).ok()?;
    Some(i64::from(zone.to_offset(moment).seconds()))
}

/// What the zone is called at a moment, such as CEST.
pub(super) fn abbreviation_at(zone: &TimeZone, seconds: i64) -> Option<String> {
    let moment = Timestamp::from_second(near(seconds) + EPOCH_SECONDS).ok()?;
    Some(zone.to_offset_info(moment).abbreviation().to_owned())
}

/// Seconds east of UTC at a local time (seconds since 2000-01-01 local). As `DetermineTimeZoneOffset`: of two readings of
/// an ambiguous or skipped time, the one that gives the later moment.
pub(super) fn offset_of_local(zone: &TimeZone, seconds: i64) -> Option<i64> {
    let local = near(seconds) + EPOCH_SECONDS;
    let civil = TimeZone::UTC.to_datetime(Timestamp::from_second(local).ok()?);
    let moment = zone.to_ambiguous_timestamp(civil).later().ok()?;
    Some(local - moment.as_second())
}

#[cfg(test)]
mod tests {
    use super::{civil_from_days, days_from_civil};

    #[test]
    fn days_and_dates_agree_both_ways() {
        assert_eq!(days_from_civil(2000, 1, 1), 0);
        assert_eq!(days_from_civil(1970, 1, 1), -10_957);
        assert_eq!(days_from_civil(-4713, 11, 24), -2_451_545);
        for days in (-2_451_600..2_147_483_000).step_by(99_991) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
