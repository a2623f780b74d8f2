//! What a query in the making can name, and what each name stands for.

use super::scheme::Protection;
use super::world::Kind;

/// A column that can be named.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) sql: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) protection: Protection,
    pub(crate) domain: String,
    /// Table and column of the world whose values it has, or resembles.
    pub(crate) like: (usize, usize),
}

/// One entry of a FROM list.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) alias: String,
    pub(crate) columns: Vec<Named>,
    /// Columns that together name a row, where they are known.
    pub(crate) key: Option<Vec<Named>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) items: Vec<Item>,
    pub(crate) outer: Option<&'a Scope<'a>>,
}

/// What is to be done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Fetch,
    Equal,
    Order,
    Match,
    Compute,
}

impl Protection {
    /// Whether the protection promises it.
    pub(crate) fn allows(self, used: Use) -> bool {
        match self {
            Self::Plain => true,
            Self::Sealed => used == Use::Fetch,
            Self::SealedSearch => matches!(used, Use::Fetch | Use::Match),
            Self::Exact => matches!(used, Use::Fetch | Use::Equal),
            Self::ExactSearch => matches!(used, Use::Fetch | Use::Equal | Use::Match),
            Self::Ordered => matches!(used, Use::Fetch | Use::Equal | Use::Order),
        }
    }
}

impl Named {
    /// Whether two columns can be compared by equality.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let alike = self.kind == other.kind && self.kind != Kind::Other;
        let plain = self.protection == Protection::Plain && other.protection == Protection::Plain;
        alike && (plain || (self.protection == other.protection && self.domain == other.domain))
    }

    /// The same under another name.
    pub(crate) fn renamed(&self, alias: &str, name: &str) -> Self {
        let sql = if alias.is_empty() { name.to_owned() } else { format!("{alias}.{name}") };
        Self { sql, name: name.to_owned(), ..self.clone() }
    }
}

impl Scope<'_> {
    /// Columns here, without those of outer queries.
    pub(crate) fn here(&self) -> Vec<&Named> {
        self.items.iter().flat_map(|item| &item.columns).collect()
    }

    pub(crate) fn outer(&self) -> Vec<&Named> {
        self.outer.map(Scope::here).unwrap_or_default()
    }

    /// What makes the order of rows total.
    pub(crate) fn key(&self) -> Option<Vec<Named>> {
        let keys: Option<Vec<_>> = self.items.iter().map(|item| item.key.clone()).collect();
        keys.map(|keys| keys.concat())
    }
}
