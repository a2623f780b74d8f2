//! The small words of statements: kinds, functions, duties, hashes, names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The first statement of a register.
    Charter,
    /// Data class and protection of every column of a database.
    Classification,
    /// Who may do what.
    Mandate,
    /// The end of a mandate.
    Revocation,
    /// A domain key's check values.
    KeyCheck,
    /// How old an epoch may be.
    KeyPolicy,
    /// The opening of a new epoch.
    Rotation,
    /// The end of an old one.
    Retirement,
    /// A change of a function's officers.
    Officers,
    /// One officer's no to a statement that waits.
    Denial,
    /// The head's decision.
    Approval,
    /// One person's word on a criterion.
    Attestation,
    /// A step of a legal order.
    Order,
    /// A step of an incident.
    Incident,
    /// The report of a move, a drill of one, or an export.
    Exit,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Charter => "charter",
            Self::Classification => "classification",
            Self::Mandate => "mandate",
            Self::Revocation => "revocation",
            Self::KeyCheck => "key-check",
            Self::KeyPolicy => "key-policy",
            Self::Rotation => "rotation",
            Self::Retirement => "retirement",
            Self::Officers => "officers",
            Self::Denial => "denial",
            Self::Approval => "approval",
            Self::Attestation => "attestation",
            Self::Order => "order",
            Self::Incident => "incident",
            Self::Exit => "exit",
        })
    }
}

/// One of the three separated duties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// Database structure.
    Structure,
    /// Who may do what.
    Access,
    /// Key parameters.
    Keys,
}

impl Function {
    /// All three, in the order in which shares are combined.
    pub const ALL: [Self; 3] = [Self::Structure, Self::Access, Self::Keys];
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Structure => "structure",
            Self::Access => "access",
            Self::Keys => "keys",
        })
    }
}

impl FromStr for Function {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|function| function.to_string() == text);
        named.ok_or_else(|| format!("`{text}` is no function: it is structure, access or keys"))
    }
}

/// What a person of the charter is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// Officer of structure.
    Structure,
    /// Officer of access.
    Access,
    /// Officer of keys.
    Keys,
    /// Head of the agency.
    Head,
    /// Advises the head on security; no officer.
    SecurityConsultant,
    /// As the GDPR has one; no officer.
    DataProtectionOfficer,
}

impl Duty {
    /// The officer's function; `None` for who is no officer.
    pub fn function(self) -> Option<Function> {
        match self {
            Self::Structure => Some(Function::Structure),
            Self::Access => Some(Function::Access),
            Self::Keys => Some(Function::Keys),
            Self::Head | Self::SecurityConsultant | Self::DataProtectionOfficer => None,
        }
    }
}

impl From<Function> for Duty {
    fn from(function: Function) -> Self {
        match function {
            Function::Structure => Self::Structure,
            Function::Access => Self::Access,
            Function::Keys => Self::Keys,
        }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Structure => "structure",
            Self::Access => "access",
            Self::Keys => "keys",
            Self::Head => "head",
            Self::SecurityConsultant => "security-consultant",
            Self::DataProtectionOfficer => "data-protection-officer",
        })
    }
}

/// 32 bytes, written as 64 hexadecimal digits: a hash or a check value, nothing secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hex32(pub [u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hash: 64 hexadecimal digits are expected")]
pub struct HexError(pub String);

impl Hex32 {
    /// SHA-256 of a text.
    pub fn sha256(text: &str) -> Self {
        Self(drieslot_journal::hash::sha256(text.as_bytes()))
    }
}

impl fmt::Display for Hex32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Hex32 {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let error = || HexError(text.to_owned());
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error());
        }
        let mut out = [0_u8; 32];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| error())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(out))
    }
}

impl Serialize for Hex32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Ids, tenants and names of parts: they appear in file names, journal origins and logs.
pub fn check_name(field: &str, name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    match (1..=100).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(format!("{field} `{name}` must be 1 to 100 of a-z, 0-9, `.`, `_` and `-`")),
    }
}

/// Free text: there, in one line, and not endless.
pub(crate) fn check_filled(field: &str, text: &str) -> Result<(), String> {
    let fits = !text.trim().is_empty() && text.len() <= 1_000 && !text.chars().any(char::is_control);
    fits.then_some(()).ok_or_else(|| format!("{field} must be one line of 1 to 1000 bytes"))
}
