//! The gateway's own look at the processor's catalogue, or at the cells that a search may match, over the session's own
//! connection, so that it sees what the session's open transaction sees.

use bytes::BytesMut;
use drieslot_sql::{CATALOG_SQL, SYSTEM_CATALOG_SQL};
use drieslot_wire as wire;

use super::guard::{LEAVE_SQL, MARK_SQL, SHARE_SQL};
use super::search::Asked;
use crate::refusal::Refusal;

const SEARCH_PATH_SQL: &str = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))";
/// Most bytes of candidates, in hex.
const MAX_CANDIDATE_BYTES: usize = 64 << 20;
const NAME: &str = "_drieslot_catalog";
/// Close messages of one part.
const CLOSES: usize = 3;

/// One part of the look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    SearchPath,
    Catalog,
    System,
    /// Before and after what would keep locks until the client's transaction ends: `pg_get_viewdef` locks what a view
    /// reads, and a rollback to a savepoint gives that back.
    Aside,
    Back,
    Over,
    /// Gives the session's share in the exchange lock back where it has one, and takes it anew.
    Share,
    /// Gives the share back while the client is silent.
    Leave,
    /// What tells the database's checks of cells apart from those before an exchange.
    Mark,
    /// A question for the cells that a search may match.
    Candidates(String),
}

impl Part {
    fn sql(&self) -> &str {
        match self {
            Self::SearchPath => SEARCH_PATH_SQL,
            Self::Catalog => CATALOG_SQL,
            Self::System => SYSTEM_CATALOG_SQL,
            Self::Aside => "SAVEPOINT _drieslot_look",
            Self::Back => "ROLLBACK TO SAVEPOINT _drieslot_look",
            Self::Over => "RELEASE SAVEPOINT _drieslot_look",
            Self::Share => SHARE_SQL,
            Self::Leave => LEAVE_SQL,
            Self::Mark => MARK_SQL,
            Self::Candidates(question) => question,
        }
    }
}

type Row = Vec<Option<String>>;

/// A look under way.
pub(super) struct Load {
    pub(super) parts: Vec<Part>,
    pub(super) rows: Vec<Vec<Row>>,
    /// Version of the shared catalogue when the look began.
    pub(super) version: u64,
    /// Ends with a Sync, and so with ReadyForQuery; else it is inside an open batch.
    syncs: bool,
    closes: usize,
    /// Bytes of the rows so far.
    bytes: usize,
    /// What is to be done with candidates.
    pub(super) asked: Option<Asked>,
    /// The processor answered with an error; only its ReadyForQuery is awaited.
    pub(super) failed: bool,
}

/// What a message meant for a look.
pub(super) enum Progress {
    More,
    Done,
}

impl Load {
    /// Writes the request. Inside an open extended-protocol batch a Sync would end the client's transaction, so the
    /// look then ends with a Flush. A simple query would end the client's unnamed statement and portal.
    pub(super) fn send(
        parts: Vec<Part>,
        version: u64,
        batch_open: bool,
        asked: Option<Asked>,
        out: &mut BytesMut,
    ) -> Self {
        for part in &parts {
            // A look that failed or was cancelled has left its statement behind.
            wire::put_close(out, wire::Target::Statement, NAME);
            wire::put_parse(out, NAME, part.sql(), &[]);
            wire::put_bind(out, (NAME, NAME), &[], 0, |_| (), &[]);
            wire::put_execute(out, NAME, 0);
            wire::put_close(out, wire::Target::Portal, NAME);
            wire::put_close(out, wire::Target::Statement, NAME);
        }
        wire::put_frame(out, if batch_open { b'H' } else { b'S' }, |_| ());
        let rows = vec![Vec::new()];
        Self { parts, rows, version, syncs: !batch_open, closes: 0, bytes: 0, asked, failed: false }
    }

    /// Nothing can be read; only the answer to a Sync is awaited.
    pub(super) fn give_up(&mut self, out: &mut BytesMut) {
        wire::put_frame(out, b'S', |_| ());
        self.syncs = true;
        self.failed = true;
    }

    /// Takes a message other than an error.
    pub(super) fn message(&mut self, tag: u8, body: &[u8]) -> Result<Progress, Refusal> {
        match tag {
            b'D' => {
                self.bytes += body.len();
                if self.asked.is_some() && self.bytes > MAX_CANDIDATE_BYTES {
                    // One row too many tells that there were too many.
                    return Ok(Progress::More);
                }
                let row = read_row(body).map_err(Refusal::protocol)?;
                self.rows.last_mut().ok_or_else(|| Refusal::protocol("rows without a query"))?.push(row);
            }
            b'C' => self.rows.push(Vec::new()),
            b'3' => self.closes += 1,
            b'Z' if self.syncs => return Ok(Progress::Done),
            b'1' | b'2' | b'T' | b'n' => {}
            other => return Err(Refusal::protocol(format_args!("processor sent {:?}", char::from(other)))),
        }
        let done = !self.syncs && self.closes == CLOSES * self.parts.len();
        Ok(if done { Progress::Done } else { Progress::More })
    }

    /// Whether rows were left out because there were too many bytes of them.
    pub(super) fn overflowed(&self) -> bool {
        self.bytes > MAX_CANDIDATE_BYTES
    }

    /// Whether it is about the exchange lock.
    pub(super) fn guards(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Share | Part::Leave | Part::Mark])
    }

    /// Whether a ReadyForQuery of its own will follow an error.
    pub(super) fn ends_with_sync(&self) -> bool {
        self.syncs
    }
}

fn read_row(body: &[u8]) -> Result<Row, wire::WireError> {
    let mut row = wire::DataRow::read(body)?;
    let mut values = Vec::with_capacity(row.left());
    while row.left() > 0 {
        let value = row.field()?.map(|bytes| std::str::from_utf8(bytes).map(str::to_owned));
        values.push(value.transpose().map_err(|_| wire::WireError::Utf8)?);
    }
    row.finish()?;
    Ok(values)
}
