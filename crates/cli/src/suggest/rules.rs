//! Which column names speak of a person, in English, Dutch and French.

/// What a column seems to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Birth,
    Address,
    Phone,
    /// National number or e-mail address: must be found and joined.
    Identifier,
    Account,
    Note,
    Special,
    Picture,
}

impl Kind {
    /// The Flemish information class, 1 to 5.
    pub(super) fn class(self) -> u8 {
        match self {
            Self::Name | Self::Address | Self::Phone | Self::Picture => 3,
            Self::Birth | Self::Identifier | Self::Account | Self::Note | Self::Special => 4,
        }
    }

    /// In words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Name => "a name of a person",
            Self::Birth => "a date of birth",
            Self::Address => "an address",
            Self::Phone => "a telephone number",
            Self::Identifier => "identifies a person",
            Self::Account => "a bank account",
            Self::Note => "free text",
            Self::Special => "sensitive by its nature",
            Self::Picture => "a picture of a person",
        }
    }
}

const PEOPLE: &[&str] = &[
    "applicant",
    "citizen",
    "client",
    "contact",
    "contacts",
    "customer",
    "employee",
    "inhabitant",
    "member",
    "newcomer",
    "patient",
    "people",
    "person",
    "personnel",
    "resident",
    "staff",
    "student",
    "subscriber",
    "teacher",
    "user",
    "visitor",
    "volunteer",
    "burger",
    "inburgeraar",
    "klant",
    "leerling",
    "medewerker",
    "patiënt",
    "persoon",
    "personen",
    "burgers",
    "citoyen",
    "personne",
    "élève",
    "employé",
];
const NAMES: &[&str] = &[
    "firstname",
    "lastname",
    "surname",
    "familyname",
    "givenname",
    "middlename",
    "maidenname",
    "fullname",
    "contactname",
    "ownername",
    "shipname",
    "recipientname",
    "birthname",
    "nickname",
    "voornaam",
    "achternaam",
    "familienaam",
    "prenom",
    "prénom",
    "nomdefamille",
    "nameinownscript",
    "nativename",
    "displayname",
];
const BIRTH: &[&str] = &[
    "birthdate",
    "dateofbirth",
    "birthday",
    "dob",
    "born",
    "bornon",
    "geboortedatum",
    "datenaissance",
    "datedenaissance",
    "birthplace",
    "placeofbirth",
];
const ADDRESS_WORDS: &[&str] = &[
    "address",
    "address1",
    "address2",
    "street",
    "housenumber",
    "adres",
    "straat",
    "huisnummer",
    "adresse",
    "rue",
    "postcode",
    "zip",
    "zipcode",
];
const PHONE_WORDS: &[&str] =
    &["phone", "telephone", "fax", "mobile", "cellphone", "gsm", "telefoon", "tel", "téléphone", "portable"];
const NATIONAL: &[&str] = &[
    "nationalnumber",
    "nationalregisternumber",
    "nationalid",
    "ssn",
    "socialsecuritynumber",
    "insz",
    "niss",
    "rijksregisternummer",
    "rrn",
    "bisnumber",
    "registrenational",
    "numeronational",
    "bsn",
    "nino",
];
const EMAIL_WORDS: &[&str] = &["email", "mail", "courriel", "emailaddress", "mailaddress"];
const NOTE_WORDS: &[&str] =
    &["note", "notes", "remark", "remarks", "opmerking", "opmerkingen", "remarque", "remarques"];
const SPECIAL: &[&str] = &[
    "diagnosis",
    "medication",
    "religion",
    "ethnicity",
    "salary",
    "income",
    "residencestatus",
    "disability",
    "allergy",
    "allergies",
    "nationality",
    "maritalstatus",
];
const PICTURE: &[&str] = &["photo", "picture", "portrait", "foto"];

/// What `column` of `table` seems to hold of a person, by its name.
pub(super) fn kind(table: &str, column: &str) -> Option<Kind> {
    let words = words(column);
    let joined = words.concat();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let is = |list: &[&str]| list.contains(&joined.as_str());
    let people = is_people(table);
    // `phone_id`, `address_type`, `email_sent`: about the thing, not the thing.
    let aside = ["id", "type", "kind", "count", "sent", "verified", "confirmed", "path", "enabled", "status"];
    if words.len() > 1
        && words.last().is_some_and(|word| aside.contains(&word.as_str()))
        && !is(SPECIAL)
        && !is(NATIONAL)
    {
        return None;
    }
    if is_national(column)
        || is(EMAIL_WORDS)
        || words.windows(2).any(|pair| pair.concat() == "email")
        || has(&["email"])
    {
        return Some(Kind::Identifier);
    }
    if is(BIRTH) {
        return Some(Kind::Birth);
    }
    if is(NAMES) || (people && matches!(joined.as_str(), "name" | "naam" | "nom")) {
        return Some(Kind::Name);
    }
    let postal = joined.ends_with("postalcode") || joined.ends_with("codepostal");
    if has(ADDRESS_WORDS) || postal {
        return Some(Kind::Address);
    }
    if has(PHONE_WORDS) {
        return Some(Kind::Phone);
    }
    if has(&["iban"]) || joined == "bankaccount" {
        return Some(Kind::Account);
    }
    if is(NOTE_WORDS) || (people && matches!(joined.as_str(), "comment" | "comments" | "commentaire")) {
        return Some(Kind::Note);
    }
    if people && is(SPECIAL) {
        return Some(Kind::Special);
    }
    (people && is(PICTURE)).then_some(Kind::Picture)
}

/// Whether the column holds a number that a state gives to a person.
pub(super) fn is_national(column: &str) -> bool {
    NATIONAL.contains(&words(column).concat().as_str())
}

fn is_people(table: &str) -> bool {
    words(table)
        .iter()
        .any(|word| PEOPLE.contains(&word.as_str()) || word.strip_suffix('s').is_some_and(|one| PEOPLE.contains(&one)))
}

/// `first_name`, `FirstName` and `first-name` alike: `["first", "name"]`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        let boundary = !c.is_alphanumeric() || (c.is_uppercase() && after_lower);
        if boundary {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && c.is_alphanumeric()
        {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}
