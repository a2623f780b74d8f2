//! Journals with the entries of a gateway, written by the real writer.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use drieslot_journal::{IdentityKey, Journal, JournalConfig, Verifier, entry};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) origin: String,
    journal: Option<Journal>,
    next: u64,
}

/// Seconds after the first of January 2026.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

impl Gateway {
    pub(crate) fn new(origin: &str) -> Self {
        Self::with_key(origin, &IdentityKey::generate().unwrap())
    }

    pub(crate) fn with_key(origin: &str, key: &IdentityKey) -> Self {
        let folder = tempfile::tempdir().unwrap();
        key.save(&folder.path().join("key")).unwrap();
        let mut gateway = Self { folder, origin: origin.to_owned(), journal: None, next: 0 };
        gateway.open();
        gateway
    }

    fn key(&self) -> IdentityKey {
        IdentityKey::load(&self.folder.path().join("key")).unwrap()
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::parse(&self.key().vkey(&self.origin).unwrap()).unwrap()
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.key().public_key()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    pub(crate) fn open(&mut self) {
        let config = JournalConfig::new(&self.origin, self.key());
        let (journal, recovered) = Journal::open(&self.journal(), config).unwrap();
        self.next = recovered.entries;
        self.journal = Some(journal);
    }

    /// Waits until all that was written can be read.
    pub(crate) fn settle(&self) {
        if let Some((journal, last)) = self.journal.as_ref().zip(self.next.checked_sub(1)) {
            journal.wait_durable(last).unwrap();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// Ends the writer: there is a checkpoint over all.
    pub(crate) fn close(&mut self) {
        self.journal.take().unwrap().close().unwrap();
    }

    pub(crate) fn write(&mut self, seconds: i64, kind: &str, body: &Value) -> u64 {
        let bytes = entry::encode(kind, &at(seconds).to_string(), body).unwrap();
        let index = self.journal.as_ref().unwrap().append(bytes).unwrap();
        assert_eq!(index, self.next);
        self.next += 1;
        if index % 10_000 == 9_999 {
            self.journal.as_ref().unwrap().wait_durable(index).unwrap();
        }
        index
    }

    pub(crate) fn intent(&mut self, seconds: i64, principal: &str, mandate: &str, columns: &[&str]) -> u64 {
        let columns: Vec<Value> = columns.iter().map(|column| json!({"column": column, "use": "read"})).collect();
        let body = json!({
            "session": "5f0c7a9e2b105f0c", "principal": principal, "client": "10.1.2.3:54321",
            "end_user": {"name": format!("{principal}-user"), "known": "verified", "issuer": "https://login.example"},
            "database": "civic", "mandates": [mandate], "purpose": format!("purpose of {mandate}"), "command": "SELECT",
            "fingerprint": "50fde20626009aba", "columns": columns,
        });
        self.write(seconds, "intent", &body)
    }

    pub(crate) fn outcome(&mut self, seconds: i64, intent: u64, rows: u64, state: &str, subjects: &[&str]) -> u64 {
        let body = json!({
            "session": "5f0c7a9e2b105f0c", "intent": intent, "rows": rows, "state": state, "tag": "SELECT",
            "subjects": subjects,
        });
        self.write(seconds, "outcome", &body)
    }

    pub(crate) fn refused(&mut self, seconds: i64, principal: &str) -> u64 {
        let body = json!({
            "session": "5f0c7a9e2b105f0c", "principal": principal, "client": "10.1.2.3:54321", "database": "civic",
            "sqlstate": "42501", "why": "no mandate", "added_later": [1, 2],
        });
        self.write(seconds, "refused", &body)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            let _ = journal.close();
        }
    }
}

/// Whether the Python of this machine can verify signatures.
pub(crate) fn python_verifies() -> bool {
    let probe = ["-c", "import cryptography.hazmat.primitives.asymmetric.ed25519"];
    let found = std::process::Command::new("python3").args(probe).output();
    let ok = found.is_ok_and(|output| output.status.success());
    if !ok {
        eprintln!("SKIPPED: python3 with the package `cryptography` is needed");
    }
    ok
}

pub(crate) fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(name)
}
