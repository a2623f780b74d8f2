//! A folder of its own for each test, and short ways to make journals.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drieslot_journal::{Durability, IdentityKey, Journal, JournalConfig, JournalError, Recovered, Verifier};

pub const ORIGIN: &str = "gateway.example.org/journal";

/// Removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("drieslot-journal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        let folder = Self(path);
        IdentityKey::generate().unwrap().save(&folder.key_path()).unwrap();
        folder
    }

    pub fn key_path(&self) -> PathBuf {
        self.0.join("identity")
    }

    pub fn key(&self) -> IdentityKey {
        IdentityKey::load(&self.key_path()).unwrap()
    }

    pub fn verifier(&self) -> Verifier {
        self.key().verifier(ORIGIN).unwrap()
    }

    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub fn config(&self) -> JournalConfig {
        let checkpoint_interval = Duration::from_millis(20);
        JournalConfig { origin: ORIGIN.into(), durability: Durability::Os, key: self.key(), checkpoint_interval }
    }

    pub fn open(&self) -> Result<(Journal, Recovered), JournalError> {
        Journal::open(&self.journal(), self.config())
    }

    /// A closed journal of `size` entries.
    pub fn filled(size: u64) -> Self {
        let folder = Self::new();
        let (journal, _) = folder.open().unwrap();
        append(&journal, 0, size);
        journal.close().unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn entry(index: u64) -> Vec<u8> {
    format!("entry {index} {}", "x".repeat((index % 50) as usize)).into_bytes()
}

pub fn append(journal: &Journal, from: u64, to: u64) {
    for index in from..to {
        assert_eq!(journal.append(entry(index)).unwrap(), index);
        if index % 4096 == 0 {
            journal.wait_durable(index).unwrap();
        }
    }
    if to > from {
        journal.wait_durable(to - 1).unwrap();
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_tree(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}
