//! The bodies of entries, by kind, as `docs/journal.md` says. Members that a later version added are passed over; a member
//! that is missing or of another type is refused.

use drieslot_journal::{JournalError, entry};
use serde::{Deserialize, Serialize};

/// Of `intent`: what a session is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Of the gateway's process: 16 hexadecimal digits.
    pub session: String,
    /// The database role.
    pub principal: String,
    /// Address and port.
    pub client: String,
    /// For whom the principal acts, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<EndUser>,
    /// The database.
    pub database: String,
    /// Ids of the mandates that it rests on.
    pub mandates: Vec<String>,
    /// Their purpose.
    pub purpose: String,
    /// Such as `SELECT`.
    pub command: String,
    /// Of the statement without its constants: 16 hexadecimal digits.
    pub fingerprint: String,
    /// The protected columns, each with its use.
    pub columns: Vec<Touched>,
}

/// A protected column and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Touched {
    /// `schema.table.column`.
    pub column: String,
    /// `read`, `read_masked`, `read_token`, `write` or `search`.
    #[serde(rename = "use")]
    pub used: String,
}

/// A person for whom an application acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUser {
    /// As the application or the token says.
    pub name: String,
    /// How it is known: `asserted` or `verified`.
    pub known: String,
    /// Who issued the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// SHA-256 of the token, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
}

/// Of `outcome`: what one chunk of a result released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// That of the intent.
    pub session: String,
    /// Index of the intent.
    pub intent: u64,
    /// Rows released with this entry.
    pub rows: u64,
    /// How far the statement is.
    pub state: Stage,
    /// PostgreSQL's command tag, or the SQLSTATE of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Pseudonyms of those whom the rows are about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Why some rows are about nobody that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_subject: Vec<String>,
}

/// How far a statement is after a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// More chunks come.
    More,
    /// The client has as many rows as it asked for; it may ask for more.
    Suspended,
    /// The end.
    Done,
    /// It ended in an error.
    Failed,
    /// A word that a later version wrote.
    #[serde(other)]
    Other,
}

/// Whose statement an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Of the gateway's process: 16 hexadecimal digits.
    pub session: String,
    /// The database role.
    pub principal: String,
    /// Address and port.
    pub client: String,
    /// For whom the principal acts, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<EndUser>,
    /// The database.
    pub database: String,
}

/// Of `definition`: what defines or maintains what a database consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Whose statement it is.
    #[serde(flatten)]
    pub actor: Actor,
    /// `begun`, `done` or `failed`.
    pub state: String,
}

/// Of `refused`: what no mandate allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Whose statement it was.
    #[serde(flatten)]
    pub actor: Actor,
    /// Of the error that the client got.
    pub sqlstate: String,
    /// Its text.
    pub why: String,
}

/// Of `alarm`: a decoy is about to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// To whom.
    #[serde(flatten)]
    pub actor: Actor,
    /// `schema.table.column`.
    pub column: String,
    /// Whether the gateway stops giving protected data.
    pub stops: bool,
}

/// Of `firewall`: what a principal's list does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Whose statement it was.
    #[serde(flatten)]
    pub actor: Actor,
    /// `refused` or `passed`.
    pub outcome: String,
    /// Of the statement without its constants.
    pub fingerprint: String,
    /// Why.
    pub why: String,
}

/// Of `share` and `key-check`: what a custodian was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `granted` or `refused`.
    pub outcome: String,
    /// Its name, where the charter has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Its TLS key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_tls: Option<String>,
    /// The domain of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether this version of Drieslot writes entries of that kind.
#[must_use]
pub fn is_known(kind: &str) -> bool {
    const KINDS: [&str; 19] = [
        "intent",
        "outcome",
        "definition",
        "refused",
        "alarm",
        "firewall",
        "rotation",
        "share",
        "key-check",
        "limited",
        "escrow",
        "recovery",
        "link",
        "prune",
        "statement",
        "signature",
        "usage",
        "administration",
        "alert",
    ];
    KINDS.contains(&kind)
}

/// What an entry says, for the kinds that this crate knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `intent`
    Intent(Intent),
    /// `outcome`
    Outcome(Outcome),
    /// `definition`
    Definition(Definition),
    /// `refused`
    Refused(Refused),
    /// `alarm`
    Alarm(Alarm),
    /// `firewall`
    Firewall(Judged),
    /// `share`, `key-check`
    Asked(Asked),
    /// Another kind; [`entry::decode`] has its members.
    Other,
}

impl Body {
    /// Reads an entry's bytes whose kind is already known.
    ///
    /// # Errors
    /// [`JournalError::Entry`] says what is missing or of another type.
    pub fn read(kind: &str, bytes: &[u8]) -> Result<Self, JournalError> {
        Ok(match kind {
            "intent" => Self::Intent(entry::decode_as(bytes)?.body),
            "outcome" => Self::Outcome(entry::decode_as(bytes)?.body),
            "definition" => Self::Definition(entry::decode_as(bytes)?.body),
            "refused" => Self::Refused(entry::decode_as(bytes)?.body),
            "alarm" => Self::Alarm(entry::decode_as(bytes)?.body),
            "firewall" => Self::Firewall(entry::decode_as(bytes)?.body),
            "share" | "key-check" => Self::Asked(entry::decode_as(bytes)?.body),
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    /// A kind that a part writes and the readers do not know would be counted as a later version's.
    #[test]
    fn the_kinds_are_those_of_the_schema() {
        let schema = include_str!("../../../docs/journal.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        let kinds = schema.pointer("/properties/kind/enum").and_then(|kinds| kinds.as_array()).unwrap();
        assert!(kinds.len() > 10);
        for kind in kinds {
            assert!(super::is_known(kind.as_str().unwrap()), "{kind}");
        }
    }
}
