//! Catalogues and plans shared by all sessions of the gateway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use drieslot_schema::Classification;
use drieslot_sql::{Catalog, Statement};

/// What the processor's databases look like, as of a version that every committed DDL raises.
#[derive(Default)]
pub(crate) struct Catalogs {
    version: AtomicU64,
    /// The register's count of rotations opened and ended, as it was last noted.
    epoch_changes: AtomicU64,
    system: OnceLock<Arc<Catalog>>,
    databases: Mutex<HashMap<String, (u64, Arc<Catalog>)>>,
    /// By which each database's checks of cells were last told apart.
    marks: Mutex<HashMap<String, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps below hold no half-made values, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Catalogs {
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Tells all sessions to look again.
    pub(crate) fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Definitions hold cells too, and those were brought over by somebody else: when a rotation opens or ends, all
    /// look again.
    pub(crate) fn note_epochs(&self, changes: u64) {
        if self.epoch_changes.load(Ordering::Acquire) < changes
            && self.epoch_changes.fetch_max(changes, Ordering::AcqRel) < changes
        {
            self.changed();
        }
    }

    /// All look again where the checks of cells are others than before.
    pub(crate) fn note_mark(&self, database: &str, mark: &str) {
        let before = lock(&self.marks).insert(database.to_owned(), mark.to_owned());
        if before.is_none_or(|before| before != mark) {
            self.changed();
        }
    }

    pub(crate) fn get(&self, database: &str) -> Option<(u64, Arc<Catalog>)> {
        let current = self.version();
        lock(&self.databases).get(database).filter(|(version, _)| *version == current).cloned()
    }

    /// Keeps what a session read when the version was `version`.
    pub(crate) fn put(&self, database: &str, version: u64, catalog: &Arc<Catalog>) {
        lock(&self.databases).insert(database.to_owned(), (version, Arc::clone(catalog)));
    }

    pub(crate) fn system(&self) -> Option<&Arc<Catalog>> {
        self.system.get()
    }

    pub(crate) fn set_system(&self, catalog: Catalog) -> Arc<Catalog> {
        Arc::clone(self.system.get_or_init(|| Arc::new(catalog)))
    }
}

/// What a plan depends on besides the statement's text. The pointers keep what they point to alive, so that an
/// address is never met again with another meaning.
#[derive(Clone)]
pub(crate) struct Basis {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) classification: Arc<Classification>,
    pub(crate) search_path: Arc<[String]>,
}

impl Basis {
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.catalog, &other.catalog)
            && Arc::ptr_eq(&self.classification, &other.classification)
            && (Arc::ptr_eq(&self.search_path, &other.search_path) || self.search_path == other.search_path)
    }
}

/// The statements of one text, planned.
pub(crate) type Planned = Arc<[Arc<Statement>]>;

/// Plans by text. Bounded: when full, it starts anew.
#[derive(Default)]
pub(crate) struct Plans {
    by_text: Mutex<HashMap<Box<str>, (Basis, Planned)>>,
}

const MAX_PLANS: usize = 4_096;
const MAX_PLAN_TEXT_BYTES: usize = 16 << 10;

impl Plans {
    pub(crate) fn get(&self, text: &str, basis: &Basis) -> Option<Planned> {
        let plans = lock(&self.by_text);
        plans.get(text).filter(|(made_for, _)| made_for.same(basis)).map(|(_, planned)| Arc::clone(planned))
    }

    pub(crate) fn put(&self, text: &str, basis: Basis, planned: &Planned) {
        if text.len() > MAX_PLAN_TEXT_BYTES {
            return;
        }
        let mut plans = lock(&self.by_text);
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(text.into(), (basis, Arc::clone(planned)));
    }
}
