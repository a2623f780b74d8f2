//! Masked reading: what of a result's values comes out where the mandates grant no more than that.
//!
//! Only queries that hand values to the client and to nobody else may read masked columns; the processor moves cells, so a
//! masked value that is stored elsewhere would be a whole one there.

use drieslot_register::Permit;
use drieslot_schema::{ColumnId, Mask};
use drieslot_sql::{self as sql, Command, Kind, Statement, Typed, Use};

use super::Session;
use crate::refusal::Refusal;

/// How the values of a result come out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// A column each; none at all where nothing is masked.
    pub(super) masks: Vec<Option<Mask>>,
    /// What pseudonyms are made for.
    purpose: String,
}

impl Shown {
    pub(super) fn column(&self, at: usize) -> Option<(Mask, &str)> {
        self.masks.get(at).copied().flatten().map(|mask| (mask, self.purpose.as_str()))
    }
}

impl Session {
    /// How a statement's result comes out.
    pub(super) fn masks(&self, statement: &Statement, permit: &Permit) -> Result<Shown, Refusal> {
        let Some(masked) = permit.masks.keys().next() else { return Ok(Shown::default()) };
        let hands_out = matches!(
            statement.command,
            Command::Select | Command::Fetch { .. } | Command::Declare { .. } | Command::Execute { .. }
        );
        let writes = statement.uses().iter().any(|(_, used)| *used == Use::Write);
        let Kind::Rewritten(rewritten) = &statement.kind else { return Err(only_queries(masked)) };
        if !hands_out || writes || statement.effects.ddl {
            return Err(only_queries(masked));
        }
        let mask = |column: &sql::ResultColumn| {
            column.protected().map_or(Ok(None), |typed| self.mask_of(typed, statement, permit))
        };
        let masks = rewritten.columns.iter().map(mask).collect::<Result<_, _>>()?;
        Ok(Shown { masks, purpose: permit.purpose.clone() })
    }

    /// Values of one domain may come from any of its columns, so all that are read must be masked alike.
    fn mask_of(&self, typed: &Typed, statement: &Statement, permit: &Permit) -> Result<Option<Mask>, Refusal> {
        let classification = self.classification()?;
        let same_domain = |id: &ColumnId| {
            let column = classification.table(&id.table).and_then(|table| table.columns.get(&id.column));
            column.and_then(|column| column.protected.as_ref()).is_none_or(|known| known.domain == typed.column.domain)
        };
        let id = &typed.column.id;
        let reads = statement.uses().iter().filter(|(id, used)| *used == Use::Read && same_domain(id));
        let mut masks = reads.clone().map(|(id, _)| permit.masks.get(id).copied());
        let first = masks.next().ok_or_else(|| Refusal::internal("a result column that no use names"))?;
        if first == Some(Mask::Token) && reads.clone().any(|(other, _)| other != id) {
            return Err(Refusal::new(
                "42501",
                format!("{id} is read by pseudonyms, which are made for one column alone"),
            )
            .hint("Read the columns of its domain by statements of their own."));
        }
        if masks.any(|mask| mask != first) {
            return Err(Refusal::new(
                "42501",
                format!("a column of the domain of {id} is read masked, and another is not, or otherwise"),
            )
            .hint("Read them by statements of their own."));
        }
        match first {
            Some(mask) if !mask.fits(typed.ty) => {
                Err(Refusal::new("42501", format!("the mask \"{mask}\" gives no value of type {} of {id}", typed.ty))
                    .hint("Ask the three functions for a mandate whose mask fits the column's type."))
            }
            mask => Ok(mask),
        }
    }
}

fn only_queries(column: &ColumnId) -> Refusal {
    Refusal::new("42501", format!("{column} may be read masked only, and a masked value goes to the client alone"))
        .detail("INSERT, UPDATE, MERGE, RETURNING, COPY, SELECT INTO and EXPLAIN take whole values.")
        .hint("SELECT it by itself, or ask for a mandate with the operation read.")
}
