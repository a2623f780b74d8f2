//! The register's two kinds of journal entry.

use drieslot_journal::entry;
use serde::{Deserialize, Serialize};

use crate::{Hex32, Refusal};

const STATEMENT: &str = "statement";
const SIGNATURE: &str = "signature";

/// A statement or a signature, as the register's journal holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A statement's exact text.
    Statement(String),
    /// A signature of a statement.
    Signature(SignatureEntry),
}

/// A signature of a statement that is in the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureEntry {
    /// SHA-256 of the statement's text.
    pub statement: Hex32,
    /// `-----BEGIN SSH SIGNATURE-----` and so on.
    pub armored: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementEntry {
    text: String,
}

impl Entry {
    /// Bytes for the journal; `time` is RFC 3339 in UTC.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] where it does not fit an entry of 65,535 bytes.
    pub fn encode(&self, time: &str) -> Result<Vec<u8>, Refusal> {
        Ok(match self {
            Self::Statement(text) => entry::encode(STATEMENT, time, &StatementEntry { text: text.clone() })?,
            Self::Signature(signature) => entry::encode(SIGNATURE, time, signature)?,
        })
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for anything that [`Entry::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |error: serde_json::Error| Refusal::Malformed(error.to_string());
        let entry = entry::decode(bytes)?;
        let body = serde_json::Value::Object(entry.body);
        match entry.kind.as_str() {
            STATEMENT => {
                let statement: StatementEntry = serde_json::from_value(body).map_err(malformed)?;
                Ok(Self::Statement(statement.text))
            }
            SIGNATURE => Ok(Self::Signature(serde_json::from_value(body).map_err(malformed)?)),
            other => Err(Refusal::Malformed(format!("an entry of kind `{other}` does not belong in a register"))),
        }
    }
}
