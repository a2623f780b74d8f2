//! Whom the rows of a statement are about, for the trace.

use drieslot_schema::{Domain, LogicalType};

use crate::statement::ResultColumn;

/// Where a result says whom its rows are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Columns of the processor's rows behind those of the result, which the client is not shown.
    pub hidden: Vec<ResultColumn>,
    /// The columns that name a person.
    pub columns: Vec<SubjectColumn>,
    /// Why rows may be about persons that no column names.
    pub without: Vec<Without>,
    /// The client's statement gives no rows: it changes some, and those that come back are for the trace alone.
    pub written: bool,
}

/// One column that names a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectColumn {
    /// Its index among the processor's columns, from 0.
    pub at: usize,
    /// Where equal values mean the same person.
    pub realm: Domain,
    /// The type of its values.
    pub ty: LogicalType,
}

/// Why rows cannot be tied to subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Without {
    /// A row is made of several rows: GROUP BY, DISTINCT, an aggregate.
    Aggregate,
    /// The classification names no subject of a table.
    NoSubjectColumn,
    /// EXPLAIN: what is shown is a plan.
    Plan,
    /// UNION, INTERSECT, EXCEPT.
    SetOperation,
    /// The table stands in a subquery, a WITH or a view that does not show its subject.
    Subquery,
    /// Rows were written in a way that gives none back: COPY, MERGE.
    Write,
}

impl Without {
    /// For a trace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::NoSubjectColumn => "no_subject_column",
            Self::Plan => "plan",
            Self::SetOperation => "set_operation",
            Self::Subquery => "subquery",
            Self::Write => "write",
        }
    }
}

impl Subjects {
    /// None, for this reason.
    pub(crate) fn without(why: Without) -> Self {
        Self { without: vec![why], ..Self::default() }
    }
}
