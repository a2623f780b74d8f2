//! What a planned statement is: what is sent, what its values become, what its rows hold.

use std::ops::Range;
use std::sync::Arc;

use drieslot_schema::{ColumnId, LogicalType, Protected, TableId};

use crate::catalog::Ctype;
use crate::subjects::{Subjects, Without};
use crate::template::Template;

/// One planned statement of a text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What to do with it.
    pub kind: Kind,
    /// What it is, coarsely.
    pub command: Command,
    /// Its bytes in the planned text, without the semicolon.
    pub source: Range<usize>,
    /// What it changes for the statements after it.
    pub effects: Effects,
    /// Its form without its constants, 16 hexadecimal digits; empty where it touches no protected column and administers nothing.
    pub fingerprint: String,
    /// Of a statement that defines or maintains what the database consists of: the objects that it names.
    pub administers: Option<Vec<String>>,
    /// What PREPARE and DECLARE give a name to.
    pub defines: Option<Arc<Statement>>,
    /// What EXECUTE, FETCH and MOVE were planned to run.
    pub of: Option<Arc<Statement>>,
    pub(crate) depends_on_session: bool,
}

impl Statement {
    /// Which protected columns it reads, writes and searches, each pair once; empty where it passes.
    pub fn uses(&self) -> &[(ColumnId, Use)] {
        match &self.kind {
            Kind::Pass(_) | Kind::Reworded(..) => &[],
            Kind::Rewritten(rewritten) => &rewritten.uses,
            Kind::CopyIn(plan) | Kind::CopyOut(plan) => &plan.uses,
        }
    }

    /// The places for cells in its text.
    pub fn slots(&self) -> &[Slot] {
        match &self.kind {
            Kind::Pass(_) | Kind::Reworded(..) => &[],
            Kind::Rewritten(rewritten) => &rewritten.slots,
            Kind::CopyIn(plan) | Kind::CopyOut(plan) => &plan.slots,
        }
    }

    /// Why its rows cannot all be tied to the persons that they are about.
    pub fn without_subject(&self) -> &[Without] {
        match &self.kind {
            Kind::Pass(_) | Kind::Reworded(..) => &[],
            Kind::Rewritten(rewritten) => &rewritten.subjects.without,
            Kind::CopyIn(_) => &[Without::Write],
            Kind::CopyOut(plan) => &plan.subjects.without,
        }
    }

    /// What is searched before its text is sent.
    pub fn searches(&self) -> &[Search] {
        match &self.kind {
            Kind::Pass(_) | Kind::Reworded(..) => &[],
            Kind::Rewritten(rewritten) => &rewritten.searches,
            Kind::CopyIn(plan) | Kind::CopyOut(plan) => &plan.searches,
        }
    }

    /// Whether it changes rows and gives none to the client.
    pub fn only_writes(&self) -> bool {
        matches!(&self.kind, Kind::Rewritten(rewritten) if rewritten.subjects.written)
    }

    /// Whether PostgreSQL gives it no parameters, so that its cells must stand in its text.
    pub fn is_utility(&self) -> bool {
        matches!(self.command, Command::Execute { .. } | Command::Ddl)
    }

    /// Whether the plan rests on the session's prepared statements or cursors, and so cannot be shared by sessions.
    pub fn depends_on_session(&self) -> bool {
        self.depends_on_session
    }
}

/// What to do with a statement.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Send the source bytes unchanged.
    Pass(PassProof),
    /// Send this text, which has the same parameters and result: the catalogue with the types that applications see.
    Reworded(String, PassProof),
    /// Send the template.
    Rewritten(Box<Rewritten>),
    /// COPY … FROM STDIN: send the plan's text, seal the fields.
    CopyIn(Box<CopyPlan>),
    /// COPY … TO STDOUT: send the plan's text, open the fields.
    CopyOut(Box<CopyPlan>),
}

/// That a statement touches no protected column. Only [`crate::plan`] makes one.
#[derive(Clone, Debug)]
pub struct PassProof(pub(crate) ());

/// What a statement is, coarsely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// COPY.
    Copy,
    /// CREATE, ALTER, DROP, COMMENT, GRANT and the like.
    Ddl,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT.
    Savepoint,
    /// RELEASE SAVEPOINT.
    Release,
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo,
    /// SET, RESET.
    Set,
    /// SHOW.
    Show,
    /// SQL PREPARE.
    Prepare {
        /// Of the prepared statement.
        name: String,
    },
    /// SQL EXECUTE.
    Execute {
        /// Of the prepared statement.
        name: String,
    },
    /// SQL DEALLOCATE.
    Deallocate {
        /// `None`: all.
        name: Option<String>,
    },
    /// DECLARE CURSOR.
    Declare {
        /// Of the cursor.
        name: String,
        /// Whether it outlives its transaction.
        hold: bool,
    },
    /// FETCH, MOVE.
    Fetch {
        /// Of the cursor.
        name: String,
    },
    /// CLOSE.
    Close {
        /// `None`: all.
        name: Option<String>,
    },
    /// DISCARD ALL.
    DiscardAll,
    /// Anything else.
    Other,
}

impl Command {
    /// For a trace.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Merge => "MERGE",
            Self::Copy => "COPY",
            Self::Ddl => "DDL",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
            Self::Savepoint => "SAVEPOINT",
            Self::Release => "RELEASE",
            Self::RollbackTo => "ROLLBACK TO",
            Self::Set => "SET",
            Self::Show => "SHOW",
            Self::Prepare { .. } => "PREPARE",
            Self::Execute { .. } => "EXECUTE",
            Self::Deallocate { .. } => "DEALLOCATE",
            Self::Declare { .. } => "DECLARE",
            Self::Fetch { .. } => "FETCH",
            Self::Close { .. } => "CLOSE",
            Self::DiscardAll => "DISCARD ALL",
            Self::Other => "OTHER",
        }
    }
}

/// What a statement changes for the statements after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The catalogue may change.
    pub ddl: bool,
    /// What unqualified names mean may change.
    pub search_path: bool,
    /// A SET of one name, in lower case, to these values; no value for RESET and SET TO DEFAULT.
    pub set: Option<(String, Option<String>)>,
    /// A setting of the gateway's own, which the processor is not told.
    pub own: Option<Own>,
    /// RESET ALL and DISCARD ALL: the gateway's own settings are what they were when the session began.
    pub resets_own: bool,
}

/// SET or RESET of a setting of the gateway's own.
#[derive(Clone, PartialEq, Eq)]
pub struct Own {
    /// Which.
    pub name: OwnName,
    /// `None` for RESET and SET TO DEFAULT.
    pub value: Option<String>,
    /// SET LOCAL: until the transaction ends.
    pub local: bool,
}

/// The value may be a token.
impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("name", &self.name).field("local", &self.local).finish_non_exhaustive()
    }
}

/// The gateway's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnName {
    /// `drieslot.end_user`: the end user, as the application says.
    User,
    /// `drieslot.user_token`: the end user, as an issuer says.
    UserToken,
    /// `drieslot.purpose`: which of the principal's purposes.
    Purpose,
}

impl OwnName {
    /// Whether a setting, by its name in lower case, is one of the gateway's; `None` where its prefix is, and it is not.
    pub fn read(name: &str) -> Option<Option<Self>> {
        let known = match name.strip_prefix("drieslot.")? {
            "end_user" => Some(Self::User),
            "user_token" => Some(Self::UserToken),
            "purpose" => Some(Self::Purpose),
            _ => None,
        };
        Some(known)
    }
}

/// What a statement does with a protected column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Use {
    /// Its values come out.
    Read,
    /// Its values are stored or changed.
    Write,
    /// Its values are compared, grouped, counted or joined.
    Search,
}

/// A statement whose protected values become cells.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// The text to send.
    pub template: Template,
    /// Where cells go.
    pub slots: Vec<Slot>,
    /// What is searched before the statement is sent.
    pub searches: Vec<Search>,
    /// What `$1`, `$2`, … are at the processor.
    pub parameters: Vec<ServerParameter>,
    /// What the client's `$1`, `$2`, … become, up to the highest number that the statement names.
    pub client_parameters: Vec<ClientParameter>,
    /// The row that comes back, every column of it; empty where no rows come.
    pub columns: Vec<ResultColumn>,
    /// Whom those rows are about.
    pub subjects: Subjects,
    /// Each pair once.
    pub uses: Vec<(ColumnId, Use)>,
    /// The tables with protected columns that it touches, each once.
    pub tables: Vec<TableId>,
}

/// A place for something that the gateway makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// One cell, or NULL.
    Cell(CellSlot),
    /// An array of cells, of type `bytea[]`, for an array of values.
    Cells(CellSlot),
    /// A part of a search.
    Search {
        /// Index in [`Rewritten::searches`].
        search: usize,
        /// Which part.
        part: SearchPart,
    },
}

/// A place for one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellSlot {
    /// Where the value comes from.
    pub source: SlotSource,
    /// Which column's cell to make, and the type to read the value with: that of the column where the value is stored;
    /// without the length limit where it is compared; that of the cast where the statement has a cast.
    pub value: Typed,
    /// What the cell is for.
    pub purpose: Purpose,
}

/// A search in the texts of a column. Before the statement is sent, the processor is asked for the cells that have all of
/// the pattern's tokens; they are opened and tested, and the statement is sent with those that match and those that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What is asked.
    pub test: SearchTest,
    /// What the value is brought to before it is tested.
    pub case: LetterCase,
    /// How letters are mapped for that.
    pub ctype: Ctype,
    /// What is looked for: all parts, one behind the other.
    pub pattern: Vec<PatternPart>,
    /// What the pattern as a whole is brought to.
    pub pattern_case: LetterCase,
    /// Whether a part that is NULL counts as empty, as in `concat`; else it makes the answer NULL.
    pub null_is_empty: bool,
    /// Whose cells they are.
    pub column: Protected,
    /// The columns that they may come from.
    pub places: Vec<ColumnId>,
}

impl Search {
    /// The questions for the cells that have all of the tokens, in hex text, one for each place; at most `limit` cells each.
    pub fn candidates(&self, tokens: &[String], limit: usize) -> Vec<String> {
        self.places.iter().map(|place| crate::bind::candidates(place, tokens, limit)).collect()
    }

    /// Whether the processor's error says that a row changed between that question and the statement.
    pub fn is_outdated(sqlstate: &str, message: &str) -> bool {
        sqlstate == "22P02" && message.contains(crate::bind::CHANGED)
    }
}

/// What is asked of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchTest {
    /// LIKE; `None` where ESCAPE is empty.
    Like {
        /// What makes the character behind it stand for itself.
        escape: Option<char>,
    },
    /// It is equal.
    Equal,
    /// It has all the words in it.
    Words,
}

/// What a text is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterCase {
    /// As it is.
    Kept,
    /// `lower`
    Lower,
    /// `upper`
    Upper,
}

impl LetterCase {
    /// One after the other; `None` where that is neither of them, as `lower(upper(x))` is not always `lower(x)`.
    pub(crate) fn then(self, later: Self) -> Option<Self> {
        match (self, later) {
            (Self::Kept, case) | (case, Self::Kept) => Some(case),
            (Self::Lower, Self::Lower) | (Self::Upper, Self::Upper) => Some(later),
            (Self::Lower, Self::Upper) | (Self::Upper, Self::Lower) => None,
        }
    }
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternPart {
    /// Where it comes from.
    pub source: SlotSource,
    /// What it is brought to before it joins the others.
    pub case: LetterCase,
}

/// What of a search a parameter holds. All are NULL where the pattern is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchPart {
    /// `text[]`: the tokens that every match has.
    Tokens,
    /// `boolean`: whether everything matches.
    Everything,
    /// `bytea[]`: the cells that match.
    Matching,
    /// `bytea[]`: the cells with these tokens that do not match.
    Others,
}

/// A column whose cells stand somewhere in a statement, and the type that their values have there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// As it is classified: what its cells are made for.
    pub column: Protected,
    /// Without a modifier where PostgreSQL gives none, as beside a literal.
    pub ty: LogicalType,
}

/// What a cell is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be stored in the column.
    Store,
    /// To be compared with the column, or to stand beside its values in a result. A value that the column's type would
    /// have to round must be refused, not rounded.
    Compare,
}

/// Where a cell's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotSource {
    /// A literal of the statement.
    Literal {
        /// As PostgreSQL's input function would read it; `None` for NULL.
        text: Option<String>,
        /// Whether it stands in an explicit cast that shortens over-long texts without an error.
        explicit_cast: bool,
    },
    /// The client's parameter, from 1.
    Param(u32),
    /// The client's parameter, from 1, in an explicit cast that shortens over-long texts without an error.
    CastParam {
        /// From 1.
        number: u32,
    },
    /// The column's default, of which the table keeps a cell ([`crate::Catalog::default_of`]): to be opened and sealed
    /// anew, so that rows with the default do not show that they are equal.
    Default,
}

/// One parameter of the text that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerParameter {
    /// The client's parameter with this number, from 1, as it is.
    Client(u32),
    /// What goes into the slot with this index: for a cell of type `bytea`.
    Slot(usize),
}

/// One parameter of the client's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientParameter {
    /// Goes as it is, as the server parameter with this index, from 0.
    Plain(usize),
    /// Becomes cells; to the client it has this type.
    Protected(Typed),
    /// Becomes an array of cells; to the client it is an array of this column's logical type.
    Protecteds(Typed),
    /// The statement does not name it.
    Unused,
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultColumn {
    /// As it comes.
    Plain,
    /// Cells of this column.
    Protected(Typed),
}

impl ResultColumn {
    /// The column whose cells it holds.
    pub fn protected(&self) -> Option<&Typed> {
        match self {
            Self::Plain => None,
            Self::Protected(protected) => Some(protected),
        }
    }
}

/// How COPY writes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// `text`
    Text,
    /// `csv`
    Csv,
    /// `binary`
    Binary,
}

/// A COPY of a table or query with protected columns.
#[derive(Clone, Debug)]
pub struct CopyPlan {
    /// The table, or the first of the query's.
    pub table: TableId,
    /// In order; behind those that the client is shown, those that are for the trace.
    pub fields: Vec<CopyField>,
    /// Whom its rows are about, where they come out.
    pub subjects: Subjects,
    /// The format.
    pub format: CopyFormat,
    /// Between fields, one byte.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// What stands for a column's default.
    pub default: Option<String>,
    /// Whether the first line holds names.
    pub header: bool,
    /// csv only.
    pub quote: u8,
    /// csv only.
    pub escape: u8,
    /// Each pair once.
    pub uses: Vec<(ColumnId, Use)>,
    /// The statement to send.
    pub template: Template,
    /// Where cells go in it: literals only.
    pub slots: Vec<Slot>,
    /// What is searched before it is sent.
    pub searches: Vec<Search>,
}

/// One field of a COPY.
#[derive(Clone, Debug)]
pub struct CopyField {
    /// Of the column.
    pub name: String,
    /// `None` for a plain one.
    pub protected: Option<Typed>,
    /// FORCE_QUOTE.
    pub force_quote: bool,
    /// FORCE_NULL.
    pub force_null: bool,
    /// FORCE_NOT_NULL.
    pub force_not_null: bool,
}
