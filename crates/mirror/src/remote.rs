//! The reader's side: a journal that another process serves.

use std::path::PathBuf;

use drieslot_journal::{COSIGNED, JournalError, MAX_FILE_BYTES, Source};
use drieslot_link::{Client, Fingerprint, LinkError, LoopbackAddress, TlsIdentity};
use tokio::runtime::Handle;

/// Tries of one file before it counts as not to be had.
const TRIES: u32 = 3;

/// A journal at another process. As a [`Source`] it is for threads that may block.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    /// What stands before every path: empty, or `/…` without a slash at its end.
    prefix: String,
    runtime: Handle,
}

impl Remote {
    /// Over plain HTTP on this machine. In the current tokio runtime.
    pub fn local(address: LoopbackAddress, prefix: &str) -> Self {
        Self::by(Client::local(address), prefix)
    }

    /// Over mutual TLS, by an address `host:port` and the TLS key that the server must show. In the current tokio runtime.
    ///
    /// # Errors
    /// `Setup` where the identity cannot be used.
    pub fn pinned(identity: &TlsIdentity, peer: Fingerprint, address: &str) -> Result<Self, LinkError> {
        Ok(Self::by(Client::new(identity, peer, address)?, ""))
    }

    fn by(client: Client, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/').to_owned();
        Self { client: client.taking(MAX_FILE_BYTES), prefix, runtime: Handle::current() }
    }

    /// The signed note, fetched anew.
    ///
    /// # Errors
    /// [`JournalError::Fetch`].
    pub async fn note(&self) -> Result<String, JournalError> {
        self.text("checkpoint").await?.ok_or_else(|| self.fault("checkpoint", "no journal is served there"))
    }

    /// The note that witnesses cosigned last, fetched anew; `None` where none is served. Whoever compares it with the
    /// checkpoint fetches it first.
    ///
    /// # Errors
    /// [`JournalError::Fetch`].
    pub async fn cosigned(&self) -> Result<Option<String>, JournalError> {
        self.text(COSIGNED).await
    }

    async fn text(&self, path: &str) -> Result<Option<String>, JournalError> {
        let Some(bytes) = self.get(path).await? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| self.fault(path, "it is not UTF-8"))
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let target = format!("{}/{path}", self.prefix);
        let mut tries = 1;
        loop {
            match self.client.get(&target).await {
                Ok((200, body)) => return Ok(Some(body.to_vec())),
                Ok((404 | 410, _)) => return Ok(None),
                // Whoever keeps a connection alive may close it at any moment.
                Err(LinkError::Answer { .. }) if tries < TRIES => tries += 1,
                Ok((status, _)) => return Err(self.fault(path, format!("HTTP status {status}"))),
                Err(error) => return Err(self.fault(path, error.to_string())),
            }
        }
    }

    fn fault(&self, path: &str, why: impl Into<String>) -> JournalError {
        JournalError::Fetch { place: self.place(path), why: why.into() }
    }
}

impl Source for Remote {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.runtime.block_on(self.get(path))
    }

    fn place(&self, path: &str) -> PathBuf {
        format!("{}{}/{path}", self.client.address(), self.prefix).into()
    }
}
