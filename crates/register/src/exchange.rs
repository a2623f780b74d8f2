//! What register and followers say to each other: JSON bodies, shared by server and client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{Effect, Hex32};

/// Longest wait of a long poll, in seconds.
pub(crate) const MAX_WAIT_S: u64 = 30;
/// Raw bytes of entries in one answer; the body stays below the link's 1 MiB in base64.
pub(crate) const MAX_ANSWER_BYTES: usize = 512 << 10;

/// POST /statement
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) signatures: Vec<String>,
}

/// What a register did with a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// SHA-256 of the statement's text.
    pub statement: Hex32,
    /// Whether it has taken effect.
    pub in_force: bool,
    /// Whose signatures it still needs, each as a phrase.
    pub missing: Vec<String>,
}

impl Receipt {
    pub(crate) fn new(statement: Hex32, effect: &Effect) -> Self {
        let (in_force, missing) = match effect {
            Effect::Recorded { .. } => (false, Vec::new()),
            Effect::Signed { missing } => (false, missing.clone()),
            Effect::InForce { .. } => (true, Vec::new()),
        };
        Self { statement, in_force, missing }
    }
}

/// GET /entries?from=N&wait_s=T
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesAnswer {
    /// Entries in the register; more than `from` and those here where they did not fit one answer.
    pub(crate) size: u64,
    /// Signed note of exactly that size.
    pub(crate) checkpoint: String,
    /// From `from` on, base64.
    pub(crate) entries: Vec<Base64>,
}

/// Raw bytes, base64 in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        STANDARD.encode(bytes.0)
    }
}

/// The name of the register's journal.
pub(crate) fn origin(tenant: &str) -> String {
    format!("{tenant}/register")
}
