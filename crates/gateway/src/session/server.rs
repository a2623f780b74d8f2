//! What the processor answers: opened, compared with the plan, traced, and released.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use drieslot_sql::{Catalog, Kind, Statement};
use drieslot_wire as wire;

use super::bind::client_oids;
use super::errors::{is_aborted, is_outdated, outdated, processor_refusal, put_processor_error};
use super::expect::{Expect, Look, Naming, Prepared, Run, UNNAMED_ENDS};
use super::load::Progress;
use super::rows::{self, Planned};
use super::{Copying, End, Session, required_setting};
use crate::refusal::Refusal;
use crate::trace::Outcome;

/// Rows are released in chunks of about this size.
const CHUNK_BYTES: usize = 128 << 10;
/// Longest row with protected columns.
const MAX_ROW_BYTES: usize = 256 << 20;
/// Passing rows are moved together up to this size.
const PASS_BYTES: usize = 256 << 10;

impl Session {
    /// Handles the next message of the processor; `false` when there is none.
    pub(super) fn on_server(&mut self) -> Result<bool, End> {
        if self.relay > 0 {
            let here = self.relay.min(self.server.input.len());
            self.pass(here);
            self.relay -= here;
            return Ok(here > 0);
        }
        let Some(frame) = wire::split_frame(&self.server.input).map_err(Refusal::protocol)? else {
            return Ok(false);
        };
        if matches!(frame.tag, b'D' | b'd') && self.rows_pass() {
            return self.pass_rows();
        }
        if frame.tag == b'd' && self.server.input.len() >= frame.size {
            return self.open_copy_rows();
        }
        if frame.size > MAX_ROW_BYTES {
            return Err(Refusal::new("54000", format!("a row is longer than {MAX_ROW_BYTES} bytes")).into());
        }
        if self.server.input.len() < frame.size {
            return Ok(false);
        }
        let message = self.server.input.split_to(frame.size).freeze();
        self.message(frame.tag, &message)?;
        Ok(true)
    }

    fn front_run(&mut self) -> Option<&mut Run> {
        self.expects.front_mut()?.current()
    }

    /// Rows of the statement under way need no look at them.
    fn rows_pass(&mut self) -> bool {
        self.front_run().is_some_and(|run| run.rows.is_none() && run.copy_out.is_none() && run.look.is_none())
    }

    fn pass(&mut self, bytes: usize) {
        let part = self.server.input.split_to(bytes);
        self.held.append(&mut self.client.output, |out| out.unsplit(part));
    }

    /// Moves as many passing rows at once as are here; the last may still be arriving.
    fn pass_rows(&mut self) -> Result<bool, End> {
        let mut end = 0;
        while end < PASS_BYTES {
            let rest = self.server.input.get(end..).unwrap_or_default();
            let Some(frame) = wire::split_frame(rest).map_err(Refusal::protocol)? else { break };
            if !matches!(frame.tag, b'D' | b'd') {
                break;
            }
            end += frame.size;
        }
        let here = end.min(self.server.input.len());
        self.relay = end - here;
        self.pass(here);
        Ok(here > 0)
    }

    /// Opens the rows of COPY TO STDOUT that are here, without a buffer of its own for each.
    fn open_copy_rows(&mut self) -> Result<bool, End> {
        let Self { expects, cells, chunk, server, .. } = self;
        let run = expects.front_mut().and_then(Expect::current).ok_or_else(|| unexpected(b'd'))?;
        let (mut used, mut rows) = (0, 0);
        while chunk.len() < CHUNK_BYTES {
            let rest = server.input.get(used..).unwrap_or_default();
            let Some(frame) = wire::split_frame(rest).map_err(Refusal::protocol)? else { break };
            let Some(message) = rest.get(..frame.size).filter(|_| frame.tag == b'd') else { break };
            match &mut run.copy_out {
                Some(copy) => {
                    let body = message.get(wire::Frame::HEAD..).unwrap_or_default();
                    rows += copy.data(body, run.look.as_mut(), cells, chunk)?;
                }
                // Rows that need no opening, of a statement that leaves a trace.
                None => {
                    chunk.extend_from_slice(message);
                    rows += 1;
                }
            }
            used += frame.size;
        }
        count_rows(run.look.as_mut(), rows)?;
        server.input.advance(used);
        self.release_if_full()?;
        Ok(true)
    }

    fn emit(&mut self, message: &[u8]) {
        self.held.append(&mut self.client.output, |out| out.extend_from_slice(message));
    }

    fn message(&mut self, tag: u8, message: &Bytes) -> Result<(), End> {
        let body = message.get(wire::Frame::HEAD..).unwrap_or_default();
        match tag {
            b'N' | b'A' => self.emit(message),
            b'S' => {
                if let Some((name, value)) = crate::backend::read_parameter(body) {
                    if name != "standard_conforming_strings" {
                        required_setting(&name, &value)?;
                    }
                    self.note_parameter(&name, &value);
                }
                self.emit(message);
            }
            b'E' => self.on_error(message, body)?,
            _ if matches!(self.expects.front(), Some(Expect::Load(_))) => self.on_load(tag, body)?,
            b'1' | b'2' | b'3' => self.on_acknowledged(tag, message)?,
            b't' | b'T' | b'n' => self.on_description(tag, message, body)?,
            b'D' => self.on_row(body)?,
            b'C' | b'I' | b's' => self.on_complete(tag, message, body)?,
            b'G' | b'H' => self.on_copy_start(tag, message)?,
            b'c' => self.on_copy_done(message)?,
            b'Z' => self.on_ready(message, body)?,
            other => return Err(unexpected(other).into()),
        }
        Ok(())
    }

    fn on_load(&mut self, tag: u8, body: &[u8]) -> Result<(), End> {
        let Some(Expect::Load(load)) = self.expects.front_mut() else { return Err(unexpected(tag).into()) };
        if let Progress::Done = load.message(tag, body)?
            && let Some(Expect::Load(load)) = self.expects.pop_front()
        {
            if let (b'Z', Some(status)) = (tag, body.first()) {
                self.status = *status;
            }
            self.finish_load(*load)?;
        }
        Ok(())
    }

    fn on_acknowledged(&mut self, tag: u8, message: &[u8]) -> Result<(), End> {
        match (tag, self.expects.pop_front()) {
            (b'1', Some(Expect::Parse(naming)))
            | (b'2', Some(Expect::Bind(naming)))
            | (b'3', Some(Expect::Close(naming))) => {
                self.known.apply(&naming);
                self.emit(message);
                Ok(())
            }
            _ => Err(unexpected(tag).into()),
        }
    }

    fn on_description(&mut self, tag: u8, message: &[u8], body: &[u8]) -> Result<(), End> {
        let front = self.expects.front();
        let mut out = BytesMut::new();
        match (tag, front) {
            (b't', Some(Expect::DescribeStatement(prepared))) => {
                put_parameter_types(prepared, &self.catalog(), (message, body), &mut out)?;
                self.emit(&out);
                return Ok(());
            }
            (b'T', Some(expect)) if expect.describes_what_only_writes() => wire::put_frame(&mut out, b'n', |_| {}),
            (b'T', Some(Expect::DescribeStatement(prepared))) => {
                self.describe(body, planned(prepared.statement.as_deref()), None, &mut out)?;
            }
            (b'T', Some(Expect::DescribePortal(portal))) => {
                let planned = planned(portal.prepared.statement.as_deref());
                self.describe(body, planned, Some(&portal.formats), &mut out)?;
            }
            (b'n', Some(Expect::DescribeStatement(_) | Expect::DescribePortal(_))) => out.extend_from_slice(message),
            (b'T', Some(Expect::Query { runs, .. })) => {
                let run = runs.front().ok_or_else(|| unexpected(tag))?;
                if run.rows.as_ref().is_some_and(|rows| rows.only_writes) {
                    return Ok(());
                }
                self.describe(body, planned(run.statement.as_deref()), None, &mut out)?;
                self.emit(&out);
                return Ok(());
            }
            _ => return Err(unexpected(tag).into()),
        }
        self.expects.pop_front();
        self.emit(&out);
        Ok(())
    }

    fn describe(
        &self,
        body: &[u8],
        planned: Planned<'_>,
        formats: Option<&[i16]>,
        out: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let classification = self.classification()?;
        rows::describe(body, planned, formats, &self.catalog(), &classification, out)
    }

    /// The newest catalogue that is known. Without one nothing can be compared; DDL in this transaction made it so, and the
    /// plan was made after it.
    fn catalog(&self) -> Arc<Catalog> {
        let shared = self.shared.catalogs.get(&self.guard.place());
        self.view.catalog.clone().or(shared).map(|(_, catalog)| catalog).unwrap_or_default()
    }

    fn on_row(&mut self, body: &[u8]) -> Result<(), End> {
        let run = self.expects.front_mut().and_then(Expect::current);
        let run = run.ok_or_else(|| unexpected(b'D'))?;
        match &run.rows {
            Some(view) => view.open(body, run.look.as_mut(), &mut self.cells, &mut self.scratch, &mut self.chunk)?,
            None => wire::put_frame(&mut self.chunk, b'D', |out| out.extend_from_slice(body)),
        }
        if run.rows.as_ref().is_some_and(|rows| rows.only_writes) {
            return self.note_many_subjects();
        }
        count_rows(run.look.as_mut(), 1)?;
        self.release_if_full()
    }

    /// Of rows that nobody gets, whom they are about is written as it comes.
    fn note_many_subjects(&mut self) -> Result<(), End> {
        let look = self.front_run().and_then(|run| run.look.as_mut()).filter(|look| look.seen.fills_an_entry());
        let Some(look) = look else { return Ok(()) };
        let chunk = look.chunk(false);
        look.begin_chunk();
        Ok(self.release(&chunk, "more", None)?)
    }

    /// Releases a full chunk, if the mandate still holds.
    fn release_if_full(&mut self) -> Result<(), End> {
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        let statement = self.front_run().and_then(|run| run.statement.clone());
        if let Some(statement) = statement {
            let permit = self.permit(statement.uses())?;
            let shown = self.masks(&statement, &permit)?;
            if self.front_run().and_then(|run| run.look.as_ref()).is_none_or(|look| look.shown != shown) {
                return Err(Refusal::new("42501", "the mandates have changed while the rows were read")
                    .hint("Ask again.")
                    .into());
            }
        }
        let Some(look) = self.front_run().and_then(|run| run.look.as_mut()) else {
            return Err(Refusal::internal("rows of a statement that leaves no trace").into());
        };
        let chunk = look.chunk(false);
        look.begin_chunk();
        self.release(&chunk, "more", None)?;
        Ok(())
    }

    fn on_complete(&mut self, tag: u8, message: &[u8], body: &[u8]) -> Result<(), End> {
        let run = match self.expects.front_mut() {
            Some(Expect::Query { runs, .. }) => runs.pop_front(),
            Some(Expect::Execute(_)) => match self.expects.pop_front() {
                Some(Expect::Execute(run)) => Some(*run),
                _ => None,
            },
            _ => None,
        };
        let run = run.ok_or_else(|| unexpected(tag))?;
        if let Some(begun) = run.definition {
            let command = wire::command_tag(body).map_err(Refusal::protocol)?;
            let ended = self.end_definition(begun, "done", Some(command))?;
            if run.look.is_none() {
                self.chunk.extend_from_slice(message);
                self.hold_chunk(ended, false);
            }
        }
        match &run.look {
            None if run.definition.is_some() => {}
            None => self.emit(message),
            Some(look) => {
                self.chunk.extend_from_slice(message);
                let (state, command) = match tag {
                    b'C' => ("done", Some(wire::command_tag(body).map_err(Refusal::protocol)?)),
                    _ => ("suspended", None),
                };
                self.release(&look.chunk(tag == b'C'), state, command)?;
            }
        }
        self.copying = Copying::No;
        self.known.apply(&run.naming);
        self.note_effects(&run);
        Ok(())
    }

    fn on_copy_start(&mut self, tag: u8, message: &[u8]) -> Result<(), End> {
        let in_batch = matches!(self.expects.front(), Some(Expect::Execute(_)));
        let run = self.front_run().ok_or_else(|| unexpected(tag))?;
        let start = run.copy_out.as_ref().map(|copy| copy.start(message)).transpose()?;
        if tag == b'G' {
            self.copying = match run.copy_in.take() {
                Some(copy) => Copying::Seal(copy),
                None => Copying::Pass,
            };
            // A Sync that is already on its way will be ignored by the processor.
            if in_batch {
                self.expects.retain(|expect| !matches!(expect, Expect::Sync));
                self.batch_open = true;
            }
        }
        self.emit(start.as_deref().unwrap_or(message));
        Ok(())
    }

    fn on_copy_done(&mut self, message: &[u8]) -> Result<(), End> {
        let run = self.front_run().ok_or_else(|| unexpected(b'c'))?;
        if run.look.is_some() {
            self.chunk.extend_from_slice(message);
        } else {
            self.emit(message);
        }
        Ok(())
    }

    fn on_error(&mut self, message: &[u8], body: &[u8]) -> Result<(), End> {
        self.own.fail();
        self.copying = Copying::No;
        self.fatal_told |= matches!(wire::error_field(body, b'V').as_deref(), Some("FATAL" | "PANIC"));
        match self.expects.front_mut() {
            // An error that answers nothing, such as a shutdown.
            None => self.emit(message),
            Some(Expect::Query { runs, refusal }) => {
                let run = runs.pop_front();
                let refusal = refusal.take().filter(|_| !is_aborted(body));
                let refusal = refusal.or(run.as_ref().and_then(|run| run.copy_refusal(body)));
                let abandoned = std::mem::take(runs);
                self.tell_error(run.as_ref(), refusal.as_ref(), message, body)?;
                for run in abandoned {
                    self.note_abandoned(&run, None)?;
                }
                self.take_back();
            }
            // Without its share in the exchange lock, or knowledge of what was exchanged, a session must not go on.
            Some(Expect::Load(load)) if load.ends_with_sync() && (load.guards() || self.guard.reloading) => {
                return Err(processor_refusal(body).into());
            }
            Some(Expect::Load(load)) if load.ends_with_sync() => {
                load.failed = true;
                match load.asked {
                    // Without a transaction to look in, the message is planned without a catalogue.
                    None if is_aborted(body) => {}
                    None => self.view.failed = Some(processor_refusal(body)),
                    Some(_) => self.stall_failed = Some(processor_refusal(body)),
                }
            }
            Some(_) => self.fail_batch(message, body)?,
        }
        Ok(())
    }

    /// After an error the processor ignores everything up to Sync.
    fn fail_batch(&mut self, message: &[u8], body: &[u8]) -> Result<(), End> {
        // The transaction had failed before this batch, so that a Sync of the gateway's own changes nothing; the message for
        // which it looked is planned without a catalogue.
        if let Some(Expect::Load(load)) = self.expects.front_mut()
            && is_aborted(body)
        {
            load.give_up(&mut self.server.output);
            if load.asked.is_some() {
                self.stall_failed = Some(processor_refusal(body));
            }
            return Ok(());
        }
        let until = self.expects.iter().position(|expect| matches!(expect, Expect::Sync));
        if until.is_none() {
            self.discard = true;
        }
        // The gateway's own Sync ends the processor's ignoring, but not the client's batch.
        let own = match self.expects.back_mut() {
            Some(Expect::Load(load)) if until.is_none() && load.ends_with_sync() => {
                load.failed = true;
                1
            }
            Some(_) | None => 0,
        };
        let until = until.unwrap_or(self.expects.len().saturating_sub(own));
        let mut dropped: VecDeque<Expect> = self.expects.drain(..until).collect();
        let failed = dropped.pop_front();
        for run in dropped.iter().flat_map(Expect::runs) {
            self.note_abandoned(run, None)?;
        }
        let looking = failed.iter().chain(&dropped).any(|expect| matches!(expect, Expect::Load(_)));
        self.loading &= !looking;
        match failed {
            Some(Expect::Refused(refusal, naming)) => {
                let refusal = Some(&*refusal).filter(|_| !is_aborted(body));
                self.tell_error(None, refusal, message, body)?;
                self.known.apply(&naming);
            }
            Some(Expect::Execute(run)) => {
                self.tell_error(Some(&run), run.copy_refusal(body).as_ref(), message, body)?;
            }
            Some(Expect::Parse(Naming::Statement(name, _))) if name.is_empty() => {
                // PostgreSQL ends the unnamed statement before it reads the new text.
                self.known.statements.remove("");
                self.tell_error(None, None, message, body)?;
            }
            Some(_) => self.tell_error(None, None, message, body)?,
            None => self.emit(message),
        }
        self.take_back();
        Ok(())
    }

    /// A traced statement that never ran, or was cut off.
    fn note_abandoned(&self, run: &Run, tag: Option<&str>) -> Result<(), Refusal> {
        if let Some(begun) = run.definition {
            self.end_definition(begun, "failed", tag)?;
        }
        let Some(look) = &run.look else { return Ok(()) };
        let (session, intent) = (self.who.session.as_str(), look.intent);
        let entry = Outcome { session, intent, rows: 0, state: "failed", tag, subjects: &[], without_subject: &[] };
        self.shared.trace.append("outcome", &entry).map(drop)
    }

    /// Sends the client the refusal, or the processor's error without what only the processor's text explains.
    fn tell_error(
        &mut self,
        run: Option<&Run>,
        refusal: Option<&Refusal>,
        message: &[u8],
        body: &[u8],
    ) -> Result<(), Refusal> {
        let mut out = BytesMut::new();
        let reworded =
            |run: &Run| run.statement.as_ref().is_some_and(|statement| matches!(statement.kind, Kind::Reworded(..)));
        let rewritten = run.is_some_and(|run| run.look.is_some() || run.rows.is_some() || reworded(run));
        let outdated = is_outdated(body).then(outdated).filter(|_| rewritten);
        let refusal = refusal.or(outdated.as_ref());
        match refusal {
            Some(refusal) => refusal.put(&mut out, "ERROR"),
            None if rewritten => put_processor_error(body, &mut out)?,
            None => out.extend_from_slice(message),
        }
        let processors = wire::error_field(body, b'C');
        let sqlstate = refusal.map(|refusal| refusal.sqlstate).or(processors.as_deref());
        if let Some(begun) = run.and_then(|run| run.definition) {
            self.end_definition(begun, "failed", sqlstate)?;
        }
        let Some(look) = run.and_then(|run| run.look.as_ref()) else {
            self.emit(&out);
            return Ok(());
        };
        self.chunk.extend_from_slice(&out);
        self.release(&look.chunk(false), "failed", sqlstate)
    }

    fn on_ready(&mut self, message: &[u8], body: &[u8]) -> Result<(), End> {
        match self.expects.pop_front() {
            Some(Expect::Sync) => {}
            Some(Expect::Query { runs, .. }) if runs.is_empty() => self.known.apply(&UNNAMED_ENDS),
            Some(Expect::Query { .. }) => {
                return Err(Refusal::internal("the processor did not answer every statement").into());
            }
            _ => return Err(unexpected(b'Z').into()),
        }
        self.status = body.first().copied().unwrap_or(b'E');
        self.own.ready(self.status);
        if self.status == b'I' {
            if std::mem::take(&mut self.view.ddl) {
                self.shared.catalogs.changed();
                self.view.catalog = None;
            }
            if std::mem::take(&mut self.view.path_changed) {
                self.view.search_path = None;
            }
            self.end_portals();
        }
        self.emit(message);
        Ok(())
    }

    /// Whatever was under way when the session ended says so in the trace.
    pub(super) fn leave_trace_of_end(&mut self, sqlstate: &str) {
        self.renounce(sqlstate);
        for run in self.expects.iter().flat_map(Expect::runs) {
            // If it cannot be written, access has stopped already.
            let _ = self.note_abandoned(run, Some(sqlstate));
        }
    }
}

fn count_rows(look: Option<&mut Look>, rows: u64) -> Result<(), Refusal> {
    let Some(look) = look else {
        return Err(Refusal::internal("a protected row of a statement that leaves no trace"));
    };
    look.chunk_rows += rows;
    look.total_rows += rows;
    match look.row_limit {
        Some(limit) if look.total_rows > limit => {
            Err(Refusal::new("53400", format!("the mandate allows {limit} rows for one statement"))
                .hint("Ask for fewer rows, or ask the officers for a mandate with a higher limit."))
        }
        _ => Ok(()),
    }
}

fn unexpected(tag: u8) -> Refusal {
    Refusal::protocol(format_args!("the processor sent {:?} where it answers nothing", char::from(tag)))
}

fn planned(statement: Option<&Statement>) -> Planned<'_> {
    match statement.map(|statement| &statement.kind) {
        Some(Kind::Rewritten(rewritten)) => Some(rewritten),
        Some(Kind::Pass(_) | Kind::Reworded(..) | Kind::CopyIn(_) | Kind::CopyOut(_)) | None => None,
    }
}

fn put_parameter_types(
    prepared: &Prepared,
    catalog: &Catalog,
    (message, body): (&[u8], &[u8]),
    out: &mut BytesMut,
) -> Result<(), Refusal> {
    if let Some(Statement { kind: Kind::Rewritten(rewritten), .. }) = prepared.statement.as_deref() {
        let server = wire::read_oids(body).map_err(Refusal::protocol)?;
        wire::parameter_description(out, &client_oids(rewritten, &server, &prepared.oids, catalog));
    } else {
        out.extend_from_slice(message);
    }
    Ok(())
}
