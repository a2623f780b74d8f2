//! Belgian national register numbers (royal decree of 3 April 1984) and BIS numbers.
//!
//! Eleven digits: birth date as yymmdd, a serial that is odd for men and even for women, and two check digits:
//! 97 minus the first nine digits modulo 97, with a 2 put before them for births from 2000 on. A BIS number, for who is
//! not in the national register, adds 40 to the month.

use jiff::civil::Date;

/// The eleven digits. `serial` is 1 to 998; `bis` adds 40 to the month.
pub(crate) fn national_number(birth: Date, serial: u16, bis: bool) -> String {
    let year = birth.year().rem_euclid(100);
    let month = birth.month() + if bis { 40 } else { 0 };
    let head = format!("{year:02}{month:02}{:02}{serial:03}", birth.day());
    let check = check_digits(&head, birth.year() >= 2000);
    format!("{head}{check:02}")
}

/// Whether the check digits fit, for either century.
#[cfg(test)]
pub(crate) fn is_valid(number: &str) -> bool {
    let Some((head, check)) = number.split_at_checked(9) else {
        return false;
    };
    let digits = number.len() == 11 && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && [false, true].iter().any(|&from_2000| check.parse() == Ok(check_digits(head, from_2000)))
}

fn check_digits(head: &str, from_2000: bool) -> u64 {
    let head: u64 = head.parse().unwrap_or(0);
    97 - (head + if from_2000 { 2_000_000_000 } else { 0 }) % 97
}

#[cfg(test)]
mod tests {
    use super::{is_valid, national_number};
    use jiff::civil::date;

    /// 85.07.30-033.28 is the example that Belgian administrations publish; the rest is worked out by hand.
    #[test]
    fn check_digits_of_both_centuries() {
        assert_eq!(national_number(date(1985, 7, 30), 33, false), "85073003328");
        assert_eq!(national_number(date(1999, 12, 31), 1, false).len(), 11);
        assert_eq!(
            national_number(date(2000, 1, 1), 1, false),
            format!("000101001{:02}", 97 - (2_000_101_001_u64 % 97))
        );
        assert!(
            is_valid("85073003328") && !is_valid("85073003329") && !is_valid("8507300332") && !is_valid("8507300332x")
        );
        assert!(national_number(date(1990, 3, 4), 2, true).starts_with("904304002"));
    }
}
