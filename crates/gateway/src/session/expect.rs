//! What the processor still owes an answer to, in the order in which it will answer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use drieslot_sql::{Command, Statement, Without};

use super::copy::{CopyIn, CopyOut};
use super::load::Load;
use super::masks::Shown;
use super::rows::RowView;
use super::subjects::Seen;
use crate::refusal::Refusal;

/// A prepared statement as the gateway knows it. `statement` is `None` for an empty text.
pub(super) struct Prepared {
    pub(super) statement: Option<Arc<Statement>>,
    /// Parameter types that the client declared.
    pub(super) oids: Vec<u32>,
    /// The classification that the plan was made under.
    pub(super) classification: Arc<drieslot_schema::Classification>,
    /// Of one that SQL prepared, and that so holds cells: how many exchanges of cells the session had seen.
    pub(super) sealed_at: Option<u64>,
}

/// A portal as the gateway knows it.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    /// Format of each result column that the client asked for; empty where nothing is rewritten.
    pub(super) formats: Vec<i16>,
    /// Whether the processor sends cells in binary: not from a cursor of SQL.
    pub(super) binary_cells: bool,
    /// Whether it outlives its transaction.
    pub(super) hold: bool,
}

/// What the names of a session stand for.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    pub(super) portals: HashMap<String, Arc<Portal>>,
}

/// What a message or a statement that the processor carries out does to names; `None` ends a name.
#[derive(Clone)]
pub(super) enum Naming {
    Statement(String, Option<Arc<Prepared>>),
    Portal(String, Option<Arc<Portal>>),
    /// Whether all statements end, and whether all portals do.
    EndAll {
        statements: bool,
        portals: bool,
    },
    Nothing,
}

/// What every simple query does.
pub(super) static UNNAMED_ENDS: Naming = Naming::Statement(String::new(), None);

/// One statement under way.
pub(super) struct Run {
    /// `None` for an empty query.
    pub(super) statement: Option<Arc<Statement>>,
    /// How its rows are opened; `None` where rows pass.
    pub(super) rows: Option<RowView>,
    /// How its incoming COPY data is sealed.
    pub(super) copy_in: Option<Box<CopyIn>>,
    /// How its outgoing COPY data is opened.
    pub(super) copy_out: Option<Box<CopyOut>>,
    /// Whether it has an intent entry, and what was released since.
    pub(super) look: Option<Look>,
    /// Where it defines or maintains something: index of the entry that says that it begins.
    pub(super) definition: Option<u64>,
    /// Why the gateway ended its incoming COPY.
    pub(super) refusal: Option<Refusal>,
    /// What it does to names, should it work.
    pub(super) naming: Naming,
}

/// A traced statement.
pub(super) struct Look {
    /// Index of the intent entry.
    pub(super) intent: u64,
    /// It changes rows, and the client gets none.
    pub(super) only_writes: bool,
    /// Nothing is released before its outcome is cosigned.
    pub(super) waits: bool,
    /// Rows since the last outcome entry.
    pub(super) chunk_rows: u64,
    /// Rows in all.
    pub(super) total_rows: u64,
    /// Most rows that the mandate allows for one statement.
    pub(super) row_limit: Option<u64>,
    /// How its result comes out.
    pub(super) shown: Shown,
    /// Whom rows were about since the last outcome entry.
    pub(super) seen: Seen,
    /// Why rows cannot be tied to subjects.
    pub(super) without: Vec<Without>,
}

/// One owed answer.
pub(super) enum Expect {
    /// A simple query: its statements in order, then ReadyForQuery.
    Query {
        runs: VecDeque<Run>,
        refusal: Option<Refusal>,
    },
    Parse(Naming),
    Bind(Naming),
    Close(Naming),
    DescribeStatement(Arc<Prepared>),
    DescribePortal(Arc<Portal>),
    Execute(Box<Run>),
    Sync,
    /// A message sent in place of one that was refused; the processor's error is replaced.
    Refused(Box<Refusal>, Naming),
    /// The gateway's own look at the catalogue.
    Load(Box<Load>),
}

impl Run {
    pub(super) fn plain(statement: Option<Arc<Statement>>) -> Self {
        Self {
            statement,
            rows: None,
            copy_in: None,
            copy_out: None,
            look: None,
            definition: None,
            refusal: None,
            naming: Naming::Nothing,
        }
    }
}

impl Run {
    /// What to tell the client instead of the processor's error, where that is the answer to CopyFail, or to a row that
    /// was cut off before a wrong value, and not about what came before.
    pub(super) fn copy_refusal(&self, body: &[u8]) -> Option<Refusal> {
        let ended = matches!(drieslot_wire::error_field(body, b'C')?.as_str(), "57014" | "22P04");
        self.refusal.clone().filter(|_| ended)
    }
}

impl Expect {
    /// The statement that the processor answers now.
    pub(super) fn current(&mut self) -> Option<&mut Run> {
        match self {
            Self::Query { runs, .. } => runs.front_mut(),
            Self::Execute(run) => Some(run),
            Self::Parse(_)
            | Self::Bind(_)
            | Self::Close(_)
            | Self::DescribeStatement(_)
            | Self::DescribePortal(_)
            | Self::Sync
            | Self::Refused(..)
            | Self::Load(_) => None,
        }
    }

    /// Every statement that it stands for.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        let (many, one) = match self {
            Self::Query { runs, .. } => (Some(runs), None),
            Self::Execute(run) => (None, Some(&**run)),
            Self::Parse(_)
            | Self::Bind(_)
            | Self::Close(_)
            | Self::DescribeStatement(_)
            | Self::DescribePortal(_)
            | Self::Sync
            | Self::Refused(..)
            | Self::Load(_) => (None, None),
        };
        many.into_iter().flatten().chain(one)
    }

    /// Whether it is a question for the rows of a statement that gives the client none.
    pub(super) fn describes_what_only_writes(&self) -> bool {
        let prepared = match self {
            Self::DescribeStatement(prepared) => prepared,
            Self::DescribePortal(portal) => &portal.prepared,
            Self::Query { .. }
            | Self::Parse(_)
            | Self::Bind(_)
            | Self::Close(_)
            | Self::Execute(_)
            | Self::Sync
            | Self::Refused(..)
            | Self::Load(_) => return false,
        };
        prepared.statement.as_deref().is_some_and(Statement::only_writes)
    }

    /// Whether the client's data may be wanted next.
    pub(super) fn awaits_copy(&self) -> bool {
        let copies = |statement: &Statement| matches!(statement.command, Command::Copy);
        // EXECUTE may run a COPY that the protocol has prepared.
        let runs_copy = |statement: &Statement| copies(statement) || statement.of.as_deref().is_some_and(copies);
        self.runs().any(|run| run.statement.as_deref().is_some_and(runs_copy))
    }

    /// What it does to names, should all of it work.
    pub(super) fn naming(&self) -> impl Iterator<Item = &Naming> {
        let own = match self {
            Self::Query { .. } => &UNNAMED_ENDS,
            Self::Parse(naming) | Self::Bind(naming) | Self::Close(naming) | Self::Refused(_, naming) => naming,
            Self::Execute(_) | Self::DescribeStatement(_) | Self::DescribePortal(_) | Self::Sync | Self::Load(_) => {
                &Naming::Nothing
            }
        };
        std::iter::once(own).chain(self.runs().map(|run| &run.naming))
    }
}
