//! For citizens: whom they may be, and when they are told of what was looked at under a mandate, also one that has ended.

use drieslot_schema::{Domain, LogicalType};
use jiff::Timestamp;

use crate::State;
use crate::statement::{Kind, Statement};

/// What a mandate says of telling those concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// They may be told at once.
    AtOnce,
    /// After this moment.
    After(Timestamp),
    /// No such mandate is known here (yet): nothing can be said.
    Unknown,
}

impl State {
    /// The realms of subjects in the classifications in force, each with the type of a column; a plain column's is not known
    /// here. One realm comes once for each table.
    pub fn subjects(&self) -> impl Iterator<Item = (&Domain, Option<LogicalType>)> {
        self.classifications.values().flat_map(|(_, words)| words.subjects()).map(|(table, subject)| {
            let column = table.columns.get(&subject.column).and_then(|column| column.protected.as_ref());
            (&subject.realm, column.map(|column| column.ty))
        })
    }

    /// By the id of a mandate.
    pub fn disclosure(&self, mandate: &str) -> Disclosure {
        let record = self.find(Kind::Mandate, mandate);
        match record.map(|record| record.statement.as_ref()) {
            Some(Statement::Mandate(mandate)) => mandate.disclose_after.map_or(Disclosure::AtOnce, Disclosure::After),
            Some(_) | None => Disclosure::Unknown,
        }
    }
}
