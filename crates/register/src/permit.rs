//! What the state answers to a question, and the questions' words.

use std::collections::BTreeMap;
use std::fmt;

use drieslot_schema::{ColumnId, Domain, Mask};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a statement does with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Its values come out.
    Read,
    /// What a mask leaves of its values comes out.
    ReadMasked,
    /// Pseudonyms of its values come out.
    ReadToken,
    /// Its values are changed.
    Write,
    /// It is compared: in WHERE, JOIN or GROUP BY.
    Search,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::ReadMasked => "read_masked",
            Self::ReadToken => "read_token",
            Self::Write => "write",
            Self::Search => "search",
        })
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Who signed in.
    pub principal: &'a str,
    /// To which database.
    pub database: &'a str,
    /// For whom, as far as it is known.
    pub end_user: Option<EndUser<'a>>,
    /// For which of several purposes; `None` where that is left open.
    pub purpose: Option<&'a str>,
}

impl<'a> Asker<'a> {
    /// Of whom nothing else is known.
    pub fn new(principal: &'a str, database: &'a str) -> Self {
        Self { principal, database, end_user: None, purpose: None }
    }
}

/// What is known of an end user.
#[derive(Clone, Copy, Debug)]
pub enum EndUser<'a> {
    /// The application says who it is.
    Asserted,
    /// An issuer says it, and these claims, each with one or more values.
    Verified {
        /// Who.
        issuer: &'a str,
        /// What.
        claims: &'a BTreeMap<String, Vec<String>>,
    },
}

/// A statement is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Ids of the mandates it rests on, sorted.
    pub mandates: Vec<String>,
    /// Their common purpose.
    pub purpose: String,
    /// Columns whose values come out only as their masks leave them, or as pseudonyms.
    pub masks: BTreeMap<ColumnId, Mask>,
    /// The smallest limit among them.
    pub rows_per_statement: Option<u64>,
    /// When the first of them ends.
    pub valid_until: Timestamp,
}

/// A statement is not allowed. Displays as a sentence without remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not {operation} {column}: {why}")]
pub struct Denied {
    /// Who asked.
    pub principal: String,
    /// The first column that no mandate covers.
    pub column: ColumnId,
    /// What was to be done with it.
    pub operation: Operation,
    /// Such as `no mandate grants it` or `mandate x ended on …`.
    pub why: String,
}

/// A domain's key may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The mandate that lasts longest; or `rotation` and the id of the rotation that lets its worker have the key; or
    /// `classification` and the id of one that names a subject.
    pub mandate: String,
    /// When that ends.
    pub valid_until: Timestamp,
}

/// A domain's key may not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key for domain `{domain}`: {why}")]
pub struct DomainDenied {
    /// The domain.
    pub domain: Domain,
    /// Why not.
    pub why: String,
}

/// What a TLS key of the charter belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A custodian.
    Custodian {
        /// Its name.
        name: String,
        /// Whose secret it holds.
        function: crate::Function,
    },
    /// A gateway.
    Gateway {
        /// Its name.
        name: String,
    },
    /// A server that tells citizens who looked at what is about them.
    Usage {
        /// Its name.
        name: String,
    },
    /// The register itself.
    Register,
}
