//! Whom released rows are about: pseudonyms for the trace, gathered while rows are opened.

use std::collections::BTreeSet;

use drieslot_register::FIRST_EPOCH;
use drieslot_schema::{Domain, LogicalType};
use drieslot_seal::SubjectKey;
use drieslot_sql::{self as sql, Rewritten, Subjects, Without};

use super::cells::Column;
use super::copy::{CopyOut, CopyShape};
use super::expect::Look;
use super::{Session, Stall};
use crate::refusal::Refusal;
use crate::trace::Outcome;

/// More pseudonyms than this do not fit into one entry of the journal.
pub(super) const PSEUDONYMS_PER_ENTRY: usize = 2_300;
/// Some rows have no subject: it is NULL.
const NULL: &str = "null";

/// Which columns of a statement's rows name persons.
pub(super) struct RowSubjects {
    key: SubjectKey,
    /// By column of the processor's rows.
    columns: Vec<Option<Whose>>,
}

struct Whose {
    realm: Domain,
    ty: LogicalType,
}

/// Whom rows were about since the last outcome entry.
#[derive(Default)]
pub(super) struct Seen {
    pseudonyms: BTreeSet<String>,
    null: bool,
    /// Rows of one person often follow each other.
    last: Option<(usize, Vec<u8>)>,
}

/// What an outcome entry says of a chunk of rows.
pub(super) struct Chunk {
    pub(super) intent: u64,
    pub(super) waits: bool,
    pub(super) rows: u64,
    pub(super) subjects: Vec<String>,
    pub(super) without: Vec<&'static str>,
}

impl Seen {
    /// So many persons that they fill an entry of the journal.
    pub(super) fn fills_an_entry(&self) -> bool {
        self.pseudonyms.len() >= PSEUDONYMS_PER_ENTRY
    }
}

impl RowSubjects {
    /// Notes whom a row is about by a plain value in PostgreSQL's binary format.
    pub(super) fn note_binary(&self, at: usize, value: Option<&[u8]>, seen: &mut Seen) -> Result<(), Refusal> {
        let Some(whose) = self.columns.get(at).and_then(Option::as_ref) else { return Ok(()) };
        let text =
            value.map(|value| text_of(whose.ty, value).ok_or_else(|| Refusal::internal("a subject of another type")));
        self.note(at, text.transpose()?.as_deref(), seen)
    }

    /// Whether the column names a person.
    pub(super) fn names(&self, at: usize) -> bool {
        self.columns.get(at).is_some_and(Option::is_some)
    }

    /// Notes whom a row is about; `None` for NULL.
    pub(super) fn note(&self, at: usize, subject: Option<&[u8]>, seen: &mut Seen) -> Result<(), Refusal> {
        let Some(whose) = self.columns.get(at).and_then(Option::as_ref) else { return Ok(()) };
        let Some(mut subject) = subject else {
            seen.null = true;
            return Ok(());
        };
        while matches!(whose.ty, LogicalType::Bpchar(_))
            && let Some(rest) = subject.strip_suffix(b" ")
        {
            subject = rest;
        }
        if seen.last.as_ref().is_some_and(|(column, last)| *column == at && last == subject) {
            return Ok(());
        }
        let pseudonym = self.key.pseudonym(&whose.realm, subject);
        seen.pseudonyms.insert(pseudonym.map_err(|error| Refusal::internal(error.to_string()))?);
        seen.last = Some((at, subject.to_vec()));
        Ok(())
    }
}

/// A plain value of a type that names persons, from PostgreSQL's binary format.
fn text_of(ty: LogicalType, value: &[u8]) -> Option<Vec<u8>> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "texts are the same in both formats")]
    Some(match ty {
        LogicalType::Int2 => i16::from_be_bytes(value.try_into().ok()?).to_string().into_bytes(),
        LogicalType::Int4 => i32::from_be_bytes(value.try_into().ok()?).to_string().into_bytes(),
        LogicalType::Int8 => i64::from_be_bytes(value.try_into().ok()?).to_string().into_bytes(),
        LogicalType::Uuid => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            let part = |from: usize, to: usize| hex.get(from..to);
            [part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-").into_bytes()
        }
        _ => value.to_vec(),
    })
}

impl Look {
    /// What is to be said of the rows since the last outcome entry.
    pub(super) fn chunk(&self, done: bool) -> Chunk {
        let counts = |_: &&Without| if self.only_writes { done } else { self.chunk_rows > 0 };
        let why = self.without.iter().filter(counts).map(|why| why.name());
        let mut without: Vec<_> = why.chain(self.seen.null.then_some(NULL)).collect();
        without.sort_unstable();
        let subjects = self.seen.pseudonyms.iter().cloned().collect();
        Chunk { intent: self.intent, waits: self.waits, rows: self.chunk_rows, subjects, without }
    }

    /// The rows since the last outcome entry have theirs.
    pub(super) fn begin_chunk(&mut self) {
        self.chunk_rows = 0;
        self.seen = Seen::default();
    }
}

impl Session {
    /// How the columns of the processor's rows are opened; a stall where keys must be fetched first.
    pub(super) fn result_columns(&mut self, rewritten: &Rewritten) -> Result<Vec<Option<Column>>, Stall> {
        let all = rewritten.columns.iter().chain(&rewritten.subjects.hidden).map(sql::ResultColumn::protected);
        let columns = self.cells.columns(all.map(|typed| typed.map(|typed| (&typed.column, typed.ty))))?;
        self.row_subjects(&rewritten.subjects, columns.len())?;
        Ok(columns)
    }

    /// How COPY's fields are opened, and which of them name persons.
    pub(super) fn copy_out(&mut self, plan: &sql::CopyPlan) -> Result<CopyOut, Stall> {
        let columns = self.copy_columns(plan)?;
        let subjects = self.row_subjects(&plan.subjects, columns.len())?;
        Ok(CopyOut::new(CopyShape::new(plan, columns, self.server_major), plan.subjects.hidden.len(), subjects))
    }

    /// Which of so many columns name persons; `None` where none does.
    pub(super) fn row_subjects(&self, subjects: &Subjects, columns: usize) -> Result<Option<RowSubjects>, Stall> {
        if subjects.columns.is_empty() {
            return Ok(None);
        }
        let Some(key) = self.shared.keyring.cached_subject_key() else {
            return Err(Stall::Keys(vec![(Domain::subjects(), FIRST_EPOCH)]));
        };
        let whose = |at: usize| {
            let found = subjects.columns.iter().find(|column| column.at == at)?;
            Some(Whose { realm: found.realm.clone(), ty: found.ty })
        };
        Ok(Some(RowSubjects { key, columns: (0..columns).map(whose).collect() }))
    }

    /// Writes the outcome entries of the chunk, and holds it until all of them are durable.
    pub(super) fn release(&mut self, chunk: &Chunk, state: &'static str, tag: Option<&str>) -> Result<(), Refusal> {
        let Chunk { intent, waits, rows, subjects, without } = chunk;
        let (session, trace) = (self.who.session.as_str(), &self.shared.trace);
        let mut rest = subjects.as_slice();
        while let Some((part, more)) = rest.split_at_checked(PSEUDONYMS_PER_ENTRY).filter(|(_, more)| !more.is_empty())
        {
            let part = Outcome {
                session,
                intent: *intent,
                rows: 0,
                state: "more",
                tag: None,
                subjects: part,
                without_subject: &[],
            };
            trace.append("outcome", &part)?;
            rest = more;
        }
        let last =
            Outcome { session, intent: *intent, rows: *rows, state, tag, subjects: rest, without_subject: without };
        let index = trace.append("outcome", &last)?;
        self.hold_chunk(index, *waits);
        Ok(())
    }

    /// Holds the chunk until the entry at `index` is durable, or cosigned.
    pub(super) fn hold_chunk(&mut self, index: u64, cosigned: bool) {
        let chunk = self.chunk.split();
        if self.held.bytes() == 0 {
            // What was said just before goes out with it: one write, and the client wakes once.
            let mut part = self.client.output.split();
            part.unsplit(chunk);
            self.held.hold(index, cosigned, part);
        } else {
            self.held.hold(index, cosigned, chunk);
        }
    }
}
