//! Whom the rows of the outermost query are about: the columns of its result that say so, and those that are added to it.

use std::collections::BTreeSet;

use drieslot_schema::{ColumnId, Domain, LogicalType, TableId};
use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, Node, ResTarget, ReturningClause, String as PgString};

use super::scope::{Held, Item, Scope};
use super::{Binder, Flow, Output, Ty};
use crate::env::Env;
use crate::statement::{ResultColumn, Typed};
use crate::subjects::{SubjectColumn, Subjects, Without};

/// What the names of hidden columns begin with.
pub(super) const HIDDEN: &str = "drieslot_subject";
/// `MaxTupleAttributeNumber`
const MAX_COLUMNS: usize = 1_664;

/// How the rows of a result come from those of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Each by itself.
    Each,
    /// Equal ones become one.
    Distinct,
    /// Several become one.
    Grouped,
}

/// A column of a table in FROM that can be added.
pub(super) struct Source {
    pub(super) node: Node,
    pub(super) column: ResultColumn,
    pub(super) realm: Domain,
    pub(super) ty: LogicalType,
}

/// An entry of a target list under a name.
pub(super) fn target(name: String, value: Node) -> Node {
    let target = ResTarget { name, val: Some(Box::new(value)), ..ResTarget::default() };
    Node { node: Some(NodeEnum::ResTarget(Box::new(target))) }
}

/// The type of a plain column, where its values have one spelling.
pub(crate) fn plain_type(oid: u32) -> Option<LogicalType> {
    let all = [
        LogicalType::Text,
        LogicalType::Varchar(None),
        LogicalType::Bpchar(None),
        LogicalType::Int2,
        LogicalType::Int4,
        LogicalType::Int8,
        LogicalType::Uuid,
    ];
    all.into_iter().find(|ty| ty.oid() == oid)
}

/// Where equal values of a flow mean the same person; `None` where they name nobody.
fn realm(env: &Env<'_>, flow: &Flow) -> Option<Domain> {
    let mut realms = flow.origins.iter().map(|id| {
        let subject = env.table(&id.table)?.subject.as_ref()?;
        (subject.column == id.column).then_some(&subject.realm)
    });
    let first = realms.next()??;
    realms.all(|other| other == Some(first)).then(|| first.clone())
}

fn tables(columns: &BTreeSet<ColumnId>) -> impl Iterator<Item = TableId> {
    columns.iter().map(|column| column.table.clone())
}

pub(super) fn protected(output: &Output) -> Option<&Flow> {
    match &output.ty {
        Ty::Protected(flow) => Some(flow),
        Ty::Plain | Ty::Value => None,
    }
}

fn is_column(node: Option<&Node>) -> bool {
    match node.and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::ResTarget(target)) => {
            matches!(target.val.as_deref().and_then(|value| value.node.as_ref()), Some(NodeEnum::ColumnRef(_)))
        }
        Some(_) | None => false,
    }
}

impl Binder<'_> {
    /// The result's own columns that name persons, and the tables whose rows they tell of.
    fn shown_subjects(&self, outputs: &[Output], ties: impl Fn(usize) -> bool) -> (Subjects, BTreeSet<TableId>) {
        let (mut found, mut tied) = (Subjects::default(), BTreeSet::new());
        for (at, flow) in outputs.iter().enumerate().filter_map(|(at, output)| Some((at, protected(output)?))) {
            let Some(realm) = realm(self.env, flow) else { continue };
            found.columns.push(SubjectColumn { at, realm, ty: flow.ty });
            if ties(at) {
                tied.extend(tables(&flow.origins));
            }
        }
        (found, tied)
    }

    /// The tables whose values come out; where none do, those that the statement touches.
    fn concerned(&self, outputs: &[Output]) -> BTreeSet<TableId> {
        let read: BTreeSet<TableId> =
            outputs.iter().filter_map(protected).flat_map(|flow| tables(&flow.origins)).collect();
        if read.is_empty() { self.uses.iter().map(|(column, _)| column.table.clone()).collect() } else { read }
    }

    /// Notes whom the rows are about; `targets` get the hidden columns.
    pub(super) fn note_subjects(&mut self, targets: &mut Vec<Node>, outputs: &[Output], scope: &Scope<'_>, rows: Rows) {
        let stars = targets.len() != outputs.len();
        let (mut found, tied) = self.shown_subjects(outputs, |at| match rows {
            Rows::Each | Rows::Distinct => true,
            Rows::Grouped => !stars && is_column(targets.get(at)),
        });
        let mut without = BTreeSet::new();
        for table in self.concerned(outputs) {
            if self.env.table(&table).is_none_or(|table| table.subject.is_none()) {
                without.insert(Without::NoSubjectColumn);
                continue;
            }
            let told = tied.contains(&table);
            if rows != Rows::Each {
                without.extend((!told).then_some(Without::Aggregate));
                continue;
            }
            let sources = self.sources(&table, scope);
            if told && sources.len() < 2 {
                continue;
            }
            let taken = outputs.iter().any(|output| output.name.starts_with(HIDDEN));
            let count = outputs.len() + found.hidden.len() + sources.len();
            if sources.is_empty() || taken || count > MAX_COLUMNS {
                without.insert(Without::Subquery);
                continue;
            }
            for Source { node, column, realm, ty } in sources {
                let at = outputs.len() + found.hidden.len();
                targets.push(target(format!("{HIDDEN}_{}", found.hidden.len() + 1), node));
                found.hidden.push(column);
                found.columns.push(SubjectColumn { at, realm, ty });
            }
        }
        found.without = without.into_iter().collect();
        self.subjects = found;
    }

    /// The same where nothing can be added: of a set operation.
    pub(super) fn note_subjects_of_set(&mut self, outputs: &[Output]) {
        let (mut found, tied) = self.shown_subjects(outputs, |_| true);
        let untold: Vec<_> = self.concerned(outputs).into_iter().filter(|table| !tied.contains(table)).collect();
        let names = |table: &TableId| self.env.table(table).is_some_and(|table| table.subject.is_some());
        let why = untold.iter().map(|one| if names(one) { Without::SetOperation } else { Without::NoSubjectColumn });
        found.without = why.collect::<BTreeSet<_>>().into_iter().collect();
        self.subjects = found;
    }

    /// The tables of whose rows the result itself says whom they are about.
    pub(super) fn shown_tables(&self, outputs: &[Output]) -> BTreeSet<TableId> {
        self.shown_subjects(outputs, |_| true).1
    }

    /// Of every item in FROM that has rows of the table, the columns that say whom they are about; none where one cannot be
    /// named.
    pub(super) fn sources(&self, table: &TableId, scope: &Scope<'_>) -> Vec<Source> {
        let mut found = Vec::new();
        for item in scope.items.iter().filter(|item| item.by_name) {
            for (name, column, realm, ty) in self.sources_of(table, item) {
                if scope.items.iter().filter(|other| other.by_name && other.name == item.name).count() > 1 {
                    return Vec::new();
                }
                let part = |sval: &str| Node { node: Some(NodeEnum::String(PgString { sval: sval.to_owned() })) };
                let reference = ColumnRef { fields: vec![part(&item.name), part(&name)], location: 0 };
                found.push(Source { node: Node { node: Some(NodeEnum::ColumnRef(reference)) }, column, realm, ty });
            }
        }
        found
    }

    fn sources_of(&self, table: &TableId, item: &Item) -> Vec<(String, ResultColumn, Domain, LogicalType)> {
        let carried = item.carried.iter().filter(|carried| carried.table == *table);
        let carried: Vec<_> =
            carried.map(|one| (one.name.clone(), one.column.clone(), one.realm.clone(), one.ty)).collect();
        if !carried.is_empty() {
            return carried;
        }
        let is_single = |name: &str| item.columns.iter().filter(|column| column.name == name).count() == 1;
        let plain = item.subject.as_ref().filter(|subject| subject.table == *table);
        let of_plain = plain.and_then(|subject| {
            let name = item.columns.get(subject.at)?.name.clone();
            Some((name, ResultColumn::Plain, subject.realm.clone(), subject.ty))
        });
        let of_cells = || {
            item.columns.iter().find_map(|column| {
                let Held::Protected(flow) = &column.standing else { return None };
                let realm = realm(self.env, flow).filter(|_| tables(&flow.origins).any(|one| one == *table))?;
                let typed = Typed { column: flow.column.clone(), ty: flow.ty };
                Some((column.name.clone(), ResultColumn::Protected(typed), realm, flow.ty))
            })
        };
        of_plain.or_else(of_cells).filter(|(name, ..)| is_single(name)).into_iter().collect()
    }

    /// Of a statement that changes rows and gives none back: a RETURNING for the trace alone, where it can say whom they are
    /// about.
    pub(super) fn note_written(&mut self, own: &Scope<'_>) -> Option<ReturningClause> {
        if self.uses.is_empty() {
            return None;
        }
        let mut exprs = Vec::new();
        self.note_subjects(&mut exprs, &[], own, Rows::Each);
        self.subjects.written = true;
        (!exprs.is_empty()).then(|| ReturningClause { exprs, ..ReturningClause::default() })
    }

    /// The same of a MERGE, which returns rows only from PostgreSQL 17 on.
    pub(super) fn note_merged(&mut self) {
        if !self.uses.is_empty() {
            self.subjects = Subjects { written: true, ..Subjects::without(Without::Write) };
        }
    }
}
