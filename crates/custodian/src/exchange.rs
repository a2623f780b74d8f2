//! What gateways and custodians say to each other: JSON bodies, shared by server and client.

use drieslot_register::Hex32;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// POST /share
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareRequest {
    pub(crate) domain: String,
    pub(crate) epoch: u16,
    /// Entries of the register that the gateway knows; a custodian that is behind waits a little.
    pub(crate) revision: u64,
}

/// Its answer. No Debug: it holds the share.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareAnswer {
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub(crate) share: Zeroizing<String>,
    pub(crate) lease_s: u64,
    pub(crate) share_check: Hex32,
}

/// POST /confirm
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    /// Text of a key-check statement.
    pub(crate) text: String,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmAnswer {
    /// Armoured SSHSIG of the text.
    pub(crate) signature: String,
}

fn write_secret<S: Serializer>(secret: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret)
}

fn read_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}
