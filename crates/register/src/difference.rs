//! What a mandate changes for its principal: what is added, what is taken away, and what was given anyway.
//!
//! In doubt it says that more is added: two mandates that only together give as much count as giving less.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use drieslot_schema::{ColumnId, TableId};
use jiff::Timestamp;

use crate::statement::{EndUserClaim, EndUserDemand, Hours, Kind, Mandate, table_id};
use crate::{Operation, State, Status};

/// The difference that one mandate makes once it is in force. Displays as a few lines for officers to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The conditions of everything that it grants.
    pub terms: String,
    /// What can be done that could not be done before, or on wider terms.
    pub added: Vec<Change>,
    /// What can no longer be done, or only on narrower terms.
    pub taken: Vec<Change>,
    /// What stays as it is.
    pub kept: Vec<Change>,
    /// What an officer should know before they sign.
    pub warnings: Vec<String>,
}

/// Operations on columns of one table that share a fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: TableId,
    /// Its columns.
    pub columns: BTreeSet<String>,
    /// On each of them.
    pub operations: BTreeSet<Operation>,
    /// How, and by which other mandate.
    pub why: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        write!(f, "{} {}: {} ({})", operations(&self.operations), self.table, columns.join(", "), self.why)
    }
}

fn operations(all: &BTreeSet<Operation>) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.terms)?;
        for (sign, changes) in [("+", &self.added), ("-", &self.taken), ("=", &self.kept)] {
            changes.iter().try_for_each(|change| writeln!(f, "  {sign} {change}"))?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  ! {warning}"))
    }
}

/// What one operation on one column comes to.
struct Fates(BTreeMap<(ColumnId, Operation), String>);

impl Fates {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn add(&mut self, (column, operation): &(ColumnId, Operation), why: String) {
        self.0.insert((column.clone(), *operation), why);
    }

    /// Columns of a table with the same operations and the same reason become one line.
    fn changes(self) -> Vec<Change> {
        let mut by_column: BTreeMap<(ColumnId, String), BTreeSet<Operation>> = BTreeMap::new();
        for ((column, operation), why) in self.0 {
            by_column.entry((column, why)).or_default().insert(operation);
        }
        let mut lines: BTreeMap<(TableId, String, BTreeSet<Operation>), BTreeSet<String>> = BTreeMap::new();
        for ((column, why), operations) in by_column {
            lines.entry((column.table, why, operations)).or_default().insert(column.column);
        }
        let change = |((table, why, operations), columns)| Change { table, columns, operations, why };
        lines.into_iter().map(change).collect()
    }
}

impl State {
    /// What `mandate` would change for its principal, were it to take effect now.
    pub fn difference(&self, mandate: &Mandate, now: Timestamp) -> Difference {
        let is_here = |one: &&Mandate| one.database == mandate.database && one.id != mandate.id;
        let before: Vec<&Mandate> = self.mandates_of(&mandate.principal).filter(is_here).collect();
        let is_old = |one: &&Mandate| mandate.replaces.as_ref() == Some(&one.id);
        let old = before.iter().copied().find(is_old);
        // What is over gives nothing; what has not begun yet will.
        let lasting = before.iter().copied().filter(|one| one.valid_until > now);
        let (old_rights, others): (Vec<&Mandate>, Vec<&Mandate>) = lasting.partition(is_old);
        let (mut added, mut taken, mut kept) = (Fates::new(), Fates::new(), Fates::new());
        let replaced = old_rights.first().copied();
        let all: BTreeSet<_> = mandate.rights().chain(replaced.into_iter().flat_map(Mandate::rights)).collect();
        for right in &all {
            let others: Vec<&Mandate> = others.iter().copied().filter(|one| one.gives(right)).collect();
            let replaced = replaced.filter(|one| one.gives(right));
            if mandate.gives(right) {
                gained(mandate, replaced, &others, right, &mut added, &mut kept);
            }
            if let Some(old) = replaced {
                lost(mandate, old, &others, right, &mut taken, &mut kept);
            }
        }
        Difference {
            terms: terms(mandate),
            added: added.changes(),
            taken: taken.changes(),
            kept: kept.changes(),
            warnings: self.warnings(mandate, old, now),
        }
    }

    fn warnings(&self, mandate: &Mandate, old: Option<&Mandate>, now: Timestamp) -> Vec<String> {
        let mut warnings = Vec::new();
        if let (Some(order), Some(until)) = (&mandate.order, mandate.disclose_after) {
            warnings.push(format!(
                "for order `{order}` nobody concerned is told of what is looked at under it before {until}"
            ));
        }
        if mandate.valid_until <= now {
            warnings.push(format!("it was over at {} already and would give nothing", mandate.valid_until));
        }
        if let (Some(id), None) = (&mandate.replaces, old) {
            warnings.push(format!("it replaces `{id}`, which is not in force: it can take no signatures"));
        }
        if let Some(record) = self.find(Kind::Mandate, &mandate.id).filter(|one| one.status != Status::Pending) {
            warnings.push(format!(
                "a mandate `{}` is {} already, and an id is never used again",
                mandate.id, record.status
            ));
        }
        if self.charter().is_some_and(|charter| !charter.purposes.contains(&mandate.purpose)) {
            warnings.push(format!("purpose `{}` is not one of the charter's", mandate.purpose));
        }
        let Some(classification) = self.classification(&mandate.database) else {
            warnings.push(format!("no classification of database `{}` is in force", mandate.database));
            return warnings;
        };
        let columns: BTreeSet<ColumnId> = mandate.rights().map(|(column, _)| column).collect();
        for id in columns {
            match classification.table(&id.table).and_then(|table| table.columns.get(&id.column)) {
                None => warnings.push(format!("{id} is not listed in the classification: the grant gives nothing")),
                Some(column) if column.protected.is_none() => {
                    warnings.push(format!("{id} is plain: no mandate is needed for it"));
                }
                Some(_) => {}
            }
        }
        warnings
    }
}

fn gained(
    new: &Mandate,
    replaced: Option<&Mandate>,
    others: &[&Mandate],
    right: &(ColumnId, Operation),
    added: &mut Fates,
    kept: &mut Fates,
) {
    if let Some(other) = others.iter().find(|other| more(other, new, right).is_empty()) {
        return kept.add(right, format!("`{}` gives it already, no less widely", other.id));
    }
    match replaced.or(others.first().copied()) {
        None => added.add(right, mask(new, right).map_or("new".to_owned(), |mask| format!("new, mask {mask}"))),
        Some(before) => {
            let wider = more(before, new, right);
            let narrower = more(new, before, right);
            match (wider.is_empty(), narrower.is_empty()) {
                (true, true) => kept.add(right, format!("as by `{}`", before.id)),
                (true, false) => {}
                (false, _) => added.add(right, format!("beyond `{}`: {}", before.id, wider.join(", "))),
            }
        }
    }
}

fn lost(
    new: &Mandate,
    old: &Mandate,
    others: &[&Mandate],
    right: &(ColumnId, Operation),
    taken: &mut Fates,
    kept: &mut Fates,
) {
    let narrower = if new.gives(right) { more(new, old, right) } else { vec!["all".to_owned()] };
    if narrower.is_empty() {
        return;
    }
    if let Some(other) = others.iter().find(|other| more(other, old, right).is_empty()) {
        return kept.add(right, format!("no more by `{}`, but by `{}` no less widely", old.id, other.id));
    }
    if new.gives(right) {
        return taken.add(right, format!("`{}` gave: {}", old.id, narrower.join(", ")));
    }
    match others.first() {
        Some(other) => {
            let gone = more(other, old, right).join(", ");
            taken.add(right, format!("`{}` gave it; `{}` still gives it, but not: {gone}", old.id, other.id));
        }
        None => taken.add(right, format!("`{}` gave it, and nothing does any more", old.id)),
    }
}

/// In what the terms of `new` go beyond those of `old`; empty where whatever the one allows the other does too.
fn more(old: &Mandate, new: &Mandate, right: &(ColumnId, Operation)) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(mask) = mask(new, right).filter(|_| mask(old, right) != mask(new, right)) {
        all.push(format!("mask {mask}"));
    }
    if new.purpose != old.purpose {
        all.push(format!("for {}", new.purpose));
    }
    if new.valid_from < old.valid_from {
        all.push(format!("from {}", new.valid_from));
    }
    if new.valid_until > old.valid_until {
        all.push(format!("until {}", new.valid_until));
    }
    match (old.rows_per_statement, new.rows_per_statement) {
        (Some(_), None) => all.push("any number of rows a statement".into()),
        (Some(before), Some(now)) if now > before => all.push(format!("{now} rows a statement")),
        (Some(_), Some(_)) | (None, _) => {}
    }
    if !old.hours.is_empty() && new.hours != old.hours {
        all.push(hours(&new.hours));
    }
    if new.end_user < old.end_user {
        all.push(end_user(new));
    } else if new.end_user == old.end_user && !old.end_user_claim.is_empty() {
        let further = |claim: &EndUserClaim| !old.end_user_claim.contains(claim);
        if new.end_user_claim.is_empty() || new.end_user_claim.iter().any(further) {
            all.push(end_user(new));
        }
    }
    all
}

/// What is left of a column that is read masked: of several masks the first counts.
fn mask<'a>(mandate: &'a Mandate, (column, operation): &(ColumnId, Operation)) -> Option<&'a str> {
    let of_table = |table: &str| table_id(table).is_ok_and(|table| table == column.table);
    let grants = mandate.grant.iter().filter(|grant| *operation == Operation::ReadMasked && of_table(&grant.table));
    let mut here = grants.filter(|grant| grant.columns.contains(&column.column));
    here.find_map(|grant| grant.mask.as_deref())
}

fn hours(hours: &[Hours]) -> String {
    let all: Vec<_> = hours.iter().map(ToString::to_string).collect();
    if all.is_empty() { "at every hour".into() } else { format!("on {}", all.join("; on ")) }
}

fn end_user(mandate: &Mandate) -> String {
    let of = |claim: &EndUserClaim| format!("{} {} by {}", claim.claim, claim.values.join(" or "), claim.issuer);
    let claims: Vec<_> = mandate.end_user_claim.iter().map(of).collect();
    match mandate.end_user {
        EndUserDemand::None => "without an end user".into(),
        EndUserDemand::Asserted => "for an end user whom the application names".into(),
        EndUserDemand::Verified if claims.is_empty() => "for any verified end user".into(),
        EndUserDemand::Verified => format!("for verified end users with {}", claims.join(", or ")),
    }
}

impl Mandate {
    /// Rows, hours and end users, as a phrase.
    pub fn limits(&self) -> String {
        let rows = self.rows_per_statement;
        let rows = rows.map_or("any number of rows a statement".to_owned(), |rows| format!("{rows} rows a statement"));
        format!("{rows}, {}, {}", hours(&self.hours), end_user(self))
    }
}

fn terms(mandate: &Mandate) -> String {
    format!(
        "for {} in database {}: {}, from {} until {}, {}",
        mandate.principal,
        mandate.database,
        mandate.purpose,
        mandate.valid_from,
        mandate.valid_until,
        mandate.limits()
    )
}
