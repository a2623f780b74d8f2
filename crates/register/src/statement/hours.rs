//! The hours of the week at which a mandate holds, by the clocks of a named time zone.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// From one time of day until another, on some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// By the IANA's name, such as `Europe/Brussels`.
    pub zone: String,
    /// On which days.
    pub days: Vec<Day>,
    /// Not before, `HH:MM`.
    pub from: TimeOfDay,
    /// Not at or after, `HH:MM`; `24:00` is the day's end.
    pub until: TimeOfDay,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "their names say it")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Minutes since midnight, as the clock on the wall shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl Hours {
    /// Whether they can be held to.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), String> {
        if self.time_zone().is_none() {
            return Err(format!("hours: `{}` is no time zone: write a name such as Europe/Brussels", self.zone));
        }
        if self.days.is_empty() {
            return Err("hours: name at least one of the days".into());
        }
        if self.until <= self.from {
            return Err("hours: until must be later than from; for hours over midnight write two entries".into());
        }
        Ok(())
    }

    /// From the program's own database, so that every part reads the same.
    fn time_zone(&self) -> Option<TimeZone> {
        TimeZoneDatabase::bundled().get(&self.zone).ok()
    }

    /// Whether a moment is within them.
    pub fn holds(&self, now: Timestamp) -> bool {
        let Some(zone) = self.time_zone() else { return false };
        let local = now.to_zoned(zone);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let minute = TimeOfDay(minute.unsigned_abs());
        self.days.iter().any(|day| day.weekday() == local.weekday()) && self.from <= minute && minute < self.until
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = self.days.iter().map(|day| format!("{day:?}").to_lowercase()).collect();
        write!(f, "{} from {} until {} ({})", days.join(", "), self.from, self.until, self.zone)
    }
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Monday => Weekday::Monday,
            Self::Tuesday => Weekday::Tuesday,
            Self::Wednesday => Weekday::Wednesday,
            Self::Thursday => Weekday::Thursday,
            Self::Friday => Weekday::Friday,
            Self::Saturday => Weekday::Saturday,
            Self::Sunday => Weekday::Sunday,
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
        let parts = text.split_once(':').and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
        let fits = parts.filter(|(hour, minute)| *minute < 60 && hour * 60 + minute <= 24 * 60);
        let (hour, minute) = fits.ok_or_else(|| format!("`{text}` is no time of day: write HH:MM, at most 24:00"))?;
        Ok(Self(hour * 60 + minute))
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: Vec<Day>, from: &str, until: &str) -> Hours {
        Hours { zone: "Europe/Brussels".into(), days, from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    fn at(hours: &Hours, moment: &str) -> bool {
        hours.holds(moment.parse().unwrap())
    }

    #[test]
    fn the_border_is_that_of_the_clock_on_the_wall() {
        // Friday 2026-03-27 is winter, Monday 2026-03-30 is summer time.
        let office = hours(vec![Day::Monday, Day::Friday], "08:00", "18:30");
        for (moment, wanted) in [
            ("2026-03-27T06:59:59.999Z", false),
            ("2026-03-27T07:00:00Z", true),
            ("2026-03-27T17:29:59.999Z", true),
            ("2026-03-27T17:30:00Z", false),
            ("2026-03-28T09:00:00Z", false),
            ("2026-03-30T05:59:59Z", false),
            ("2026-03-30T06:00:00Z", true),
            ("2026-03-30T16:29:59Z", true),
            ("2026-03-30T16:30:00Z", false),
        ] {
            assert_eq!(at(&office, moment), wanted, "{moment}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_counts_twice_and_one_that_is_left_out_not_at_all() {
        let night = hours(vec![Day::Sunday], "02:00", "03:00");
        // 2026-10-25: at 03:00 summer time it is 02:00 again.
        for (moment, wanted) in [
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T02:00:00Z", false),
        ] {
            assert_eq!(at(&night, moment), wanted, "{moment}");
        }
        // 2026-03-29: after 01:59:59 comes 03:00.
        assert!(!at(&night, "2026-03-29T00:59:59Z") && !at(&night, "2026-03-29T01:00:00Z"));
        let day = hours(vec![Day::Sunday], "00:00", "24:00");
        assert!(at(&day, "2026-03-29T21:59:59Z") && !at(&day, "2026-03-29T22:00:00Z"));
    }

    #[test]
    fn what_is_no_time_of_day_is_refused() {
        for bad in ["8:00", "08:60", "24:01", "25:00", "0800", "08:00:00", "+8:00", "", "08:0x"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
        }
        assert_eq!("24:00".parse::<TimeOfDay>().unwrap().to_string(), "24:00");
    }
}
