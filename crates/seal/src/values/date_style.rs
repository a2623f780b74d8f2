//! `DateStyle`: in which form days and moments are written, and in which order day and month are read.

/// The form of a date's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateForm {
    /// `2020-01-31 12:00:00+01`
    #[default]
    Iso,
    /// `31/01/2020 12:00:00 CET`, or with the month first
    Sql,
    /// `Fri 31 Jan 12:00:00 2020 CET`, or with the month first; a date as `31-01-2020`
    Postgres,
    /// `31.01.2020 12:00:00 CET`
    German,
}

/// The order of year, month and day in a text that does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// Year, month, day.
    Ymd,
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    #[default]
    Mdy,
}

/// `DateStyle`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateStyle {
    /// How dates are written.
    pub form: DateForm,
    /// How dates are read.
    pub order: DateOrder,
}

impl DateStyle {
    /// For a value of the setting as PostgreSQL reports it.
    pub fn named(value: &str) -> Option<Self> {
        let (form, order) = value.split_once(", ")?;
        let form = match form {
            "ISO" => DateForm::Iso,
            "SQL" => DateForm::Sql,
            "Postgres" => DateForm::Postgres,
            "German" => DateForm::German,
            _ => return None,
        };
        let order = match order {
            "YMD" => DateOrder::Ymd,
            "DMY" => DateOrder::Dmy,
            "MDY" => DateOrder::Mdy,
            _ => return None,
        };
        Some(Self { form, order })
    }

    /// Whether the day is written before the month, where the form leaves that open.
    pub(super) fn day_first(self) -> bool {
        self.order == DateOrder::Dmy
    }
}
