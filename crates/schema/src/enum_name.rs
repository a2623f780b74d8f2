//! Enum types: their full names, and their labels as the processor's catalogue tells them.
//!
//! Owns the names: one copy of each for the life of the process, so that a logical type stays small. Only classifications
//! and catalogues add to them, never a statement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `NAMEDATALEN` less the end.
const MAX_BYTES: usize = 63;

/// The labels of every enum type of a database.
pub type EnumLabels = BTreeMap<EnumName, BTreeSet<String>>;

/// The full name of an enum type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnumName(&'static Names);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Names {
    schema: String,
    name: String,
}

static KNOWN: Mutex<BTreeSet<&'static Names>> = Mutex::new(BTreeSet::new());

fn known() -> MutexGuard<'static, BTreeSet<&'static Names>> {
    // A set of references is whole whatever happened to its last user.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EnumName {
    /// By the names of a classification or a catalogue; `None` where one is empty or longer than PostgreSQL's are.
    pub fn new(schema: &str, name: &str) -> Option<Self> {
        let fits = |text: &str| (1..=MAX_BYTES).contains(&text.len());
        if !fits(schema) || !fits(name) {
            return None;
        }
        let names = Names { schema: schema.to_owned(), name: name.to_owned() };
        let mut known = known();
        if let Some(found) = known.get(&names) {
            return Some(Self(found));
        }
        let kept: &'static Names = Box::leak(Box::new(names));
        known.insert(kept);
        Some(Self(kept))
    }

    /// By the names in a statement; `None` where no classification and no catalogue has such a type.
    pub fn find(schema: &str, name: &str) -> Option<Self> {
        let names = Names { schema: schema.to_owned(), name: name.to_owned() };
        known().get(&names).copied().map(Self)
    }

    /// `schema.name`, or the name alone of a type of the schema `public`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        if name.contains('.') { None } else { Self::new(schema, name) }
    }

    /// The schema.
    pub fn schema(&self) -> &'static str {
        &self.0.schema
    }

    /// The name within the schema.
    pub fn name(&self) -> &'static str {
        &self.0.name
    }
}

impl fmt::Display for EnumName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema(), self.name())
    }
}

impl fmt::Debug for EnumName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnumName({self})")
    }
}
