//! What a mandate leaves of a value that is not read whole.

use std::fmt;
use std::str::FromStr;

use crate::LogicalType;

/// Stands for what is not shown, whatever its length.
pub const HIDDEN: &str = "***";
/// Most characters that a mask may leave.
const MOST: u8 = 20;

/// What of a value is shown. The result is a value of the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mask {
    /// The first characters of a text; nothing of one that has no more than these.
    First(u8),
    /// The last characters of a text; nothing of one that has no more than these.
    Last(u8),
    /// The year of a date: its first of January.
    Year,
    /// A pseudonym in its place: the same for the same value, and telling nothing else of it.
    Token,
}

/// Characters of a pseudonym as a text.
const TOKEN_CHARACTERS: usize = 32;

impl Mask {
    /// Whether it gives a value of this type.
    pub fn fits(self, ty: LogicalType) -> bool {
        let text = |length: usize| {
            let room = |limit: u32| usize::try_from(limit).is_ok_and(|limit| length <= limit);
            matches!(ty, LogicalType::Text | LogicalType::Varchar(None))
                || matches!(ty, LogicalType::Varchar(Some(limit)) if room(limit))
        };
        match self {
            Self::Year => ty == LogicalType::Date,
            Self::First(shown) | Self::Last(shown) => text(usize::from(shown) + HIDDEN.len()),
            Self::Token => ty == LogicalType::Uuid || text(TOKEN_CHARACTERS),
        }
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(shown) => write!(f, "first {shown}"),
            Self::Last(shown) => write!(f, "last {shown}"),
            Self::Year => f.write_str("year"),
            Self::Token => f.write_str("token"),
        }
    }
}

impl FromStr for Mask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unclear =
            || format!("`{text}` is no mask: write \"first N\" or \"last N\" with N from 1 to {MOST}, or \"year\"");
        if text == "year" {
            return Ok(Self::Year);
        }
        let (end, shown) = text.split_once(' ').ok_or_else(unclear)?;
        let shown = shown.parse().ok().filter(|count| (1..=MOST).contains(count) && !shown.starts_with(['+', '0']));
        let shown = shown.ok_or_else(unclear)?;
        match end {
            "first" => Ok(Self::First(shown)),
            "last" => Ok(Self::Last(shown)),
            _ => Err(unclear()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_as_written_and_fit_their_types() {
        for text in ["first 1", "last 3", "last 20", "year"] {
            assert_eq!(text.parse::<Mask>().unwrap().to_string(), text);
        }
        for bad in
            ["", "last", "last 0", "last 21", "last 03", "last +3", "last -1", "token", "middle 3", "Last 3", "year 1"]
        {
            assert!(bad.parse::<Mask>().is_err(), "{bad}");
        }
        let last = Mask::Last(3);
        assert!(last.fits(LogicalType::Text) && last.fits(LogicalType::Varchar(Some(6))));
        assert!(
            !last.fits(LogicalType::Varchar(Some(5))) && !last.fits(LogicalType::Int4) && !last.fits(LogicalType::Date)
        );
        assert!(Mask::Token.fits(LogicalType::Uuid) && Mask::Token.fits(LogicalType::Varchar(Some(32))));
        assert!(!Mask::Token.fits(LogicalType::Varchar(Some(31))) && !Mask::Token.fits(LogicalType::Date));
        assert!(Mask::Year.fits(LogicalType::Date) && !Mask::Year.fits(LogicalType::Text));
    }
}
