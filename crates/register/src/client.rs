//! Speaking to a register: submitting statements and signatures, and reading entries.

use std::time::Duration;

use drieslot_link::{Client, Fingerprint, LinkError, TlsIdentity};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Hex32;
use crate::entry::SignatureEntry;
use crate::exchange::{EntriesAnswer, Receipt, Submission};

/// Why a register did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It could not be reached.
    #[error("the register: {0}")]
    Link(#[from] LinkError),
    /// It refused, and says why.
    #[error("the register refuses it: {why}")]
    Refused {
        /// HTTP status: 400 and 409 are the caller's fault, 403 the caller's identity, 503 the register's.
        status: u16,
        /// Its words.
        why: String,
    },
    /// It answered something else than a register does.
    #[error("the register's answer is not understood: {0}")]
    Answer(String),
}

/// A client of one register.
#[derive(Debug)]
pub struct RegisterClient {
    link: Client,
}

impl RegisterClient {
    /// `address` is `host:port`; `tls` the register's key.
    ///
    /// # Errors
    /// [`ClientError::Link`] where the identity cannot be used.
    pub fn new(identity: &TlsIdentity, tls: Fingerprint, address: &str) -> Result<Self, ClientError> {
        Ok(Self { link: Client::new(identity, tls, address)? })
    }

    /// Submits a statement with the signatures that there are. All or nothing is taken.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn submit(&self, text: &str, signatures: &[String]) -> Result<Receipt, ClientError> {
        self.post("/statement", &Submission { text: text.into(), signatures: signatures.to_vec() }).await
    }

    /// Adds a signature to a statement that is in the register.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn sign(&self, statement: Hex32, armored: &str) -> Result<Receipt, ClientError> {
        self.post("/signature", &SignatureEntry { statement, armored: armored.into() }).await
    }

    /// The register's signed checkpoint, a C2SP note.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn checkpoint(&self) -> Result<String, ClientError> {
        let (status, body) = self.link.get("/checkpoint").await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == 200 { Ok(text) } else { Err(ClientError::Refused { status, why: text }) }
    }

    /// All entries there are now, and the signed note over exactly those; nothing of it is verified here.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn log(&self) -> Result<(Vec<Vec<u8>>, String), ClientError> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        loop {
            let answer = self.entries(entries.len() as u64, Duration::ZERO).await?;
            let none_came = answer.entries.is_empty();
            entries.extend(answer.entries.into_iter().map(|entry| entry.0));
            if entries.len() as u64 == answer.size {
                return Ok((entries, answer.checkpoint));
            }
            if none_came {
                return Err(ClientError::Answer(format!(
                    "it says {} entries but gives {}",
                    answer.size,
                    entries.len()
                )));
            }
        }
    }

    pub(crate) async fn entries(&self, from: u64, wait: Duration) -> Result<EntriesAnswer, ClientError> {
        let target = format!("/entries?from={from}&wait_s={}", wait.as_secs());
        read(self.link.get_within(&target, wait + Duration::from_secs(5)).await?)
    }

    async fn post<T: DeserializeOwned>(&self, target: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Answer(error.to_string()))?;
        read(self.link.post(target, body).await?)
    }
}

fn read<T: DeserializeOwned>((status, body): (u16, impl AsRef<[u8]>)) -> Result<T, ClientError> {
    if status != 200 {
        return Err(ClientError::Refused { status, why: String::from_utf8_lossy(body.as_ref()).into_owned() });
    }
    serde_json::from_slice(body.as_ref()).map_err(|error| ClientError::Answer(error.to_string()))
}
