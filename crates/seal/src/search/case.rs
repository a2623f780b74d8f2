//! Upper and lower case as PostgreSQL's `lower`, `upper` and ILIKE have them.

/// How the character classes of a database are decided (`lc_ctype`, and its provider).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ctype {
    /// `C` and `POSIX`: letters are those of ASCII.
    Ascii,
    /// Unicode's simple case mapping, one character to one: the C library's UTF-8 locales but those of Turkic languages
    /// and Lithuanian, and PostgreSQL's own `C.UTF-8`.
    Simple,
}

/// Which case a text is brought to before it is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Case {
    /// As it is.
    #[default]
    Kept,
    /// `lower`
    Lower,
    /// `upper`
    Upper,
}

impl Case {
    /// The text in this case.
    pub fn of(self, text: &str, ctype: Ctype) -> String {
        match (self, ctype) {
            (Self::Kept, _) => text.to_owned(),
            (Self::Lower, Ctype::Ascii) => text.to_ascii_lowercase(),
            (Self::Upper, Ctype::Ascii) => text.to_ascii_uppercase(),
            (Self::Lower, Ctype::Simple) => text.chars().map(simple_lower).collect(),
            (Self::Upper, Ctype::Simple) => text.chars().map(simple_upper).collect(),
        }
    }
}

/// `Simple_Lowercase_Mapping` of the Unicode character database.
fn simple_lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // İ is the only character whose full mapping is longer.
        _ if c == 'İ' => 'i',
        _ => c,
    }
}

/// `Simple_Uppercase_Mapping` of the Unicode character database.
pub(super) fn simple_upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    if let (Some(one), None) = (mapped.next(), mapped.next()) {
        return one;
    }
    // Greek letters with an iota below have a simple mapping beside the longer full one; the others have none.
    let offset = match u32::from(c) {
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => 9,
        _ => 0,
    };
    char::from_u32(u32::from(c) + offset).unwrap_or(c)
}
