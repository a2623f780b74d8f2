//! Cancel keys: what a client was given, and which connection of the processor it stands for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;

use crate::backend::CancelKey;

type Sessions = Arc<Mutex<HashMap<i32, ([u8; 4], CancelKey)>>>;

/// All sessions that can be cancelled.
#[derive(Clone, Default)]
pub(crate) struct Cancels {
    sessions: Sessions,
}

/// One session's entry, removed when dropped.
pub(crate) struct CancelEntry {
    sessions: Sessions,
    process: i32,
    secret: [u8; 4],
}

impl Cancels {
    pub(crate) fn add(&self, key: CancelKey) -> CancelEntry {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut random = [0; 8];
        loop {
            // Without randomness the key is all zero, and `find` refuses that one.
            let _ = rand::fill(&mut random);
            let [a, b, c, d, secret @ ..] = random;
            let process = i32::from_be_bytes([a & 0x7f, b, c, d]);
            if let std::collections::hash_map::Entry::Vacant(free) = sessions.entry(process) {
                free.insert((secret, key));
                drop(sessions);
                return CancelEntry { sessions: Arc::clone(&self.sessions), process, secret };
            }
        }
    }

    /// The processor's key for what a client was given.
    pub(crate) fn find(&self, process: i32, secret: &[u8]) -> Option<CancelKey> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, key) = sessions.get(&process)?;
        let fits = *known != [0; 4] && verify_slices_are_equal(known, secret).is_ok();
        fits.then(|| key.clone())
    }
}

impl CancelEntry {
    pub(crate) fn process(&self) -> i32 {
        self.process
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl Drop for CancelEntry {
    fn drop(&mut self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.process);
    }
}
