//! Masks on canonical plaintexts.

use drieslot_schema::{HIDDEN, LogicalType, Mask};

use super::ValueError;
use super::calendar::{civil_from_days, days_from_civil};

/// Replaces a canonical plaintext by what the mask leaves of it.
///
/// # Errors
/// The plaintext is none of this type, or the mask none for it: then nothing may be shown.
pub fn mask(mask: Mask, ty: LogicalType, plain: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::corrupted(ty);
    if !mask.fits(ty) {
        return Err(wrong());
    }
    match mask {
        // It needs a key: `ColumnCipher::pseudonym` makes it.
        Mask::Token => return Err(wrong()),
        Mask::Year => {
            let days = i32::from_be_bytes(plain.as_slice().try_into().map_err(|_| wrong())?);
            // Infinity has no year.
            if days != i32::MAX && days != i32::MIN {
                let (year, _, _) = civil_from_days(i64::from(days));
                // The first year that PostgreSQL knows begins in November.
                let first = days_from_civil(year, 1, 1).max(FIRST_DAY);
                plain.copy_from_slice(&i32::try_from(first).map_err(|_| wrong())?.to_be_bytes());
            }
        }
        Mask::First(shown) | Mask::Last(shown) => {
            let text = std::str::from_utf8(plain).map_err(|_| wrong())?;
            let (count, shown) = (text.chars().count(), usize::from(shown));
            let at = |number| text.char_indices().nth(number).map_or(text.len(), |(at, _)| at);
            let masked = if count <= shown {
                HIDDEN.to_owned()
            } else if matches!(mask, Mask::Last(_)) {
                format!("{HIDDEN}{}", text.get(at(count - shown)..).unwrap_or_default())
            } else {
                format!("{}{HIDDEN}", text.get(..at(shown)).unwrap_or_default())
            };
            zeroize::Zeroize::zeroize(plain);
            plain.extend_from_slice(masked.as_bytes());
        }
    }
    Ok(())
}

/// 24 November 4714 BC.
const FIRST_DAY: i64 = -2_451_545;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Settings, decode_text, encode_text};

    fn masked(with: &str, ty: LogicalType, text: &str) -> String {
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        encode_text(ty, text, false, &Settings::default(), &mut plain).unwrap();
        mask(with.parse().unwrap(), ty, &mut plain).unwrap();
        decode_text(ty, &plain, &Settings::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_left_is_a_value_of_the_same_type() {
        for (with, text, wanted) in [
            ("last 3", "85073003328", "***328"),
            ("first 2", "85073003328", "85***"),
            ("last 3", "328", "***"),
            ("last 3", "", "***"),
            ("last 2", "aΩ漢字", "***漢字"),
            ("first 2", "aΩ漢字", "aΩ***"),
        ] {
            assert_eq!(masked(with, LogicalType::Text, text), wanted);
        }
        for (text, wanted) in [
            ("1985-07-30", "1985-01-01"),
            ("2000-01-01", "2000-01-01"),
            ("1999-12-31", "1999-01-01"),
            ("0044-03-15 BC", "0044-01-01 BC"),
            ("infinity", "infinity"),
            ("4714-12-31 BC", "4714-11-24 BC"),
        ] {
            assert_eq!(masked("year", LogicalType::Date, text), wanted);
        }
        assert!(mask(Mask::Year, LogicalType::Date, &mut vec![1, 2]).is_err());
        assert!(mask(Mask::Last(3), LogicalType::Int4, &mut vec![0, 0, 0, 1]).is_err());
        assert!(mask(Mask::Last(3), LogicalType::Text, &mut vec![0xff, 0xfe]).is_err());
    }
}
