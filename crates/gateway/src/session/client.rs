//! What the client asks: planned, permitted, sealed and sent on, or refused.

use std::sync::Arc;

use bytes::Bytes;
use drieslot_sql::{self as sql, Kind, Slot, SlotSource, Statement, Template};
use drieslot_wire::{self as wire, Target};

use super::array;
use super::bind::server_oids;
use super::cells::{Column, Input, given, hex};
use super::copy::{CopyIn, CopyShape};
use super::expect::{Expect, Naming, Portal, Prepared, Run, UNNAMED_ENDS};
use super::rows::RowView;
use super::search::Answer;
use super::{Copying, End, Session, Stall};
use crate::refusal::Refusal;

/// Takes the place of a refused message and must fail at the processor. In a failed transaction it fails because of that,
/// as PostgreSQL would have said of the message.
const REFUSED_SQL: &str = "SELECT \"drieslot refused a statement\"";
/// Fails the same whatever the state of the transaction, for what PostgreSQL finds before it looks at that.
const UNREADABLE_SQL: &str = "drieslot refused a message";
/// What that is in a text, and in the messages that have none.
const UNREADABLE_TEXT: &str = "42601";
const UNREADABLE: [&str; 3] = ["26000", "34000", "08P01"];
const REFUSED_NAME: &str = "_drieslot_refused";
/// Bind counts its parameters in 16 bits.
const MAX_PARAMETERS: usize = 65_535;
/// Largest message other than a statement.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

impl Session {
    /// Handles the next message of the client; `false` when there is none, or it has to wait.
    pub(super) fn on_client(&mut self) -> Result<bool, End> {
        if self.loading || self.keys.is_some() || self.guard_in_doubt() || self.come_back() {
            return Ok(false);
        }
        if self.skip > 0 {
            let here = self.skip.min(self.client.input.len());
            let _ = self.client.input.split_to(here);
            self.skip -= here;
            return Ok(here > 0);
        }
        let retried = self.stalled.is_some();
        let Some(message) = self.next_message()? else { return Ok(false) };
        let tag = message.first().copied().unwrap_or_default();
        if self.discard && !matches!(tag, b'S' | b'X') {
            let why = self.stall_failed.take().map_or("25P02", |refusal| refusal.sqlstate);
            self.renounce(why);
            self.answered.clear();
            return Ok(true);
        }
        let handled = match self.stall_failed.take() {
            Some(refusal) => Err(refusal.into()),
            None => self.handle(tag, &message),
        };
        match handled {
            Ok(()) => {
                self.answered.clear();
                Ok(true)
            }
            Err(Stall::Refused(refusal)) => {
                self.answered.clear();
                self.renounce(refusal.sqlstate);
                let unnamed = message.get(wire::Frame::HEAD) == Some(&0);
                self.refuse(tag, unnamed, *refusal).map(|()| true)
            }
            Err(Stall::Search(asked)) => {
                self.stalled = Some(message);
                self.begin_search(asked);
                Ok(true)
            }
            Err(Stall::Catalog) => {
                self.stalled = Some(message);
                Ok(true)
            }
            Err(Stall::Keys(wanted)) => {
                self.stalled = Some(message);
                self.fetch_keys(wanted);
                Ok(true)
            }
            Err(Stall::Cosigned(index)) => {
                self.stalled = Some(message);
                self.await_cosigned(index);
                Ok(true)
            }
            Err(Stall::Issuer(issuer)) => {
                self.stalled = Some(message);
                self.look_for_issuer(issuer);
                Ok(true)
            }
            Err(Stall::CopyStart | Stall::Name) => {
                self.stalled = Some(message);
                Ok(!retried)
            }
        }
    }

    fn next_message(&mut self) -> Result<Option<Bytes>, End> {
        if let Some(message) = self.stalled.take() {
            return Ok(Some(message));
        }
        let Some(frame) = wire::split_frame(&self.client.input).map_err(Refusal::protocol)? else {
            return Ok(None);
        };
        let limit = self.shared.config.max_statement_bytes;
        if matches!(frame.tag, b'Q' | b'P') && frame.size > limit {
            self.skip = frame.size;
            if !self.discard {
                let refusal = Refusal::new("54000", format!("the statement is longer than {limit} bytes"))
                    .hint("Send data as parameters or with COPY, or raise max_statement_bytes in the gateway's configuration.");
                let unnamed = self.client.input.get(wire::Frame::HEAD).is_none_or(|first| *first == 0);
                self.refuse(frame.tag, unnamed, refusal)?;
            }
            return self.on_client().map(|_| None);
        }
        if frame.size > MAX_MESSAGE_BYTES {
            return Err(Refusal::new("54000", format!("a message is longer than {MAX_MESSAGE_BYTES} bytes")).into());
        }
        if self.client.input.len() < frame.size {
            return Ok(None);
        }
        Ok(Some(self.client.input.split_to(frame.size).freeze()))
    }

    fn handle(&mut self, tag: u8, message: &Bytes) -> Result<(), Stall> {
        let body = message.get(wire::Frame::HEAD..).unwrap_or_default();
        self.own_settled(tag)?;
        self.guard.note(tag, body);
        match tag {
            b'Q' => self.on_query(message, body),
            b'P' => self.on_parse(message, body),
            b'B' => self.on_bind(message, body),
            b'D' => self.on_describe(message, body),
            b'E' => self.on_execute(message, body),
            b'C' => self.on_close(message, body),
            b'S' => {
                self.discard = false;
                self.batch_open = false;
                // While it takes COPY data the processor ignores Sync.
                if matches!(self.copying, Copying::No) {
                    self.expects.push_back(Expect::Sync);
                }
                self.forward(message);
                Ok(())
            }
            b'H' => {
                self.forward(message);
                Ok(())
            }
            b'd' | b'c' | b'f' => self.on_copy(tag, message, body),
            b'X' => {
                self.terminated = true;
                self.forward(message);
                Ok(())
            }
            b'F' => Err(Refusal::new("0A000", "the function call protocol is not supported")
                .hint("Call the function with SELECT.")
                .into()),
            other => Err(Refusal::protocol(format_args!("unexpected message {:?}", char::from(other))).into()),
        }
    }

    fn forward(&mut self, message: &[u8]) {
        self.server.output.extend_from_slice(message);
    }

    /// Sends something that fails in place of a refused message; its error will be replaced. `unnamed`: the name that the
    /// message begins with is empty.
    fn refuse(&mut self, tag: u8, unnamed: bool, refusal: Refusal) -> Result<(), End> {
        let unreadable = match tag {
            b'Q' | b'P' => refusal.sqlstate == UNREADABLE_TEXT,
            _ => UNREADABLE.contains(&refusal.sqlstate),
        };
        let text = if unreadable { UNREADABLE_SQL } else { REFUSED_SQL };
        match tag {
            b'Q' | b'F' => {
                wire::query(&mut self.server.output, text);
                self.names.apply(&UNNAMED_ENDS);
                self.expects
                    .push_back(Expect::Query { runs: std::collections::VecDeque::new(), refusal: Some(refusal) });
                self.batch_open = false;
            }
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                wire::put_parse(&mut self.server.output, REFUSED_NAME, text, &[]);
                let naming = if tag == b'P' && unnamed { UNNAMED_ENDS.clone() } else { Naming::Nothing };
                self.names.apply(&naming);
                self.expects.push_back(Expect::Refused(Box::new(refusal), naming));
                self.batch_open = true;
                self.discard = true;
            }
            b'd' | b'c' => self.fail_copy(refusal),
            _ => return Err(refusal.into()),
        }
        Ok(())
    }

    fn on_query(&mut self, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        let mut cursor = wire::Cursor::new(body);
        let text = cursor.cstr().map_err(text_refusal)?;
        let (planned, _) = self.plan(text)?;
        self.own_holds_throughout(&planned)?;
        for statement in planned.iter() {
            if !statement.uses().is_empty() {
                self.permit(statement.uses())?;
            }
        }
        let mut runs = Vec::with_capacity(planned.len());
        let mut cells = Vec::with_capacity(planned.len());
        search_comes_first(&planned)?;
        for (index, statement) in planned.iter().enumerate() {
            self.check_planned(statement)?;
            runs.push(self.prepare_run(statement, None)?);
            cells.push(self.expressions(index, statement)?);
        }
        if let [statement] = &*planned {
            self.change_own(statement)?;
        }
        // As PostgreSQL does with each simple query.
        self.names.apply(&UNNAMED_ENDS);
        // Entries are written only once nothing else can stall or refuse the message.
        let entered = self.enter(&planned)?;
        for ((statement, run), entered) in planned.iter().zip(&mut runs).zip(entered) {
            (run.look, run.definition) = (entered.look, entered.definition);
            run.naming = self.rename(statement)?;
        }
        if planned.iter().all(|statement| matches!(statement.kind, Kind::Pass(_))) {
            self.forward(message);
        } else {
            let parts: Vec<_> =
                planned.iter().zip(&cells).map(|(statement, cells)| inline(text, statement, cells)).collect();
            // A line comment at the end of a part must not swallow the separator.
            wire::query(&mut self.server.output, &parts.join("\n;\n"));
        }
        if runs.is_empty() {
            runs.push(Run::plain(None));
        }
        self.expects.push_back(Expect::Query { runs: runs.into(), refusal: None });
        self.batch_open = false;
        Ok(())
    }

    /// How a statement's rows and COPY data will be treated. `formats` are those of a portal; a simple query has text.
    fn prepare_run(&mut self, statement: &Arc<Statement>, formats: Option<&[i16]>) -> Result<Run, Stall> {
        let mut run = Run::plain(Some(Arc::clone(statement)));
        match &statement.kind {
            Kind::Pass(_) | Kind::Reworded(..) => {}
            Kind::Rewritten(rewritten) => {
                let cells = rewritten.columns.iter().any(|column| column.protected().is_some());
                if cells || !rewritten.subjects.columns.is_empty() {
                    let columns = self.result_columns(rewritten)?;
                    let subjects = self.row_subjects(&rewritten.subjects, columns.len())?;
                    let (shown, binary_cells) = (rewritten.columns.len(), formats.is_some());
                    let formats = formats.map_or_else(|| vec![0; shown], <[i16]>::to_vec);
                    let only_writes = rewritten.subjects.written;
                    run.rows = Some(RowView { columns, shown, formats, binary_cells, subjects, only_writes });
                }
            }
            Kind::CopyIn(plan) => {
                let columns = self.copy_columns(plan)?;
                run.copy_in = Some(Box::new(CopyIn::new(CopyShape::new(plan, columns, self.server_major))));
            }
            // It shows nothing protected.
            Kind::CopyOut(plan) if plan.uses.is_empty() => {}
            Kind::CopyOut(plan) => run.copy_out = Some(Box::new(self.copy_out(plan)?)),
        }
        Ok(run)
    }

    pub(super) fn copy_columns(&mut self, plan: &sql::CopyPlan) -> Result<Vec<Option<Column>>, Stall> {
        let typed = plan.fields.iter().map(|field| field.protected.as_ref());
        self.cells.columns(typed.map(|typed| typed.map(|typed| (&typed.column, typed.ty))))
    }

    /// What goes into a statement's slots, as SQL expressions, for a simple query.
    fn expressions(&mut self, index: usize, statement: &Statement) -> Result<Vec<String>, Stall> {
        let columns = self.slot_columns(statement.slots())?;
        let answers = self.answers(index, statement.searches(), &mut literal)?;
        let slots = statement.slots().iter().zip(&columns);
        slots.map(|(slot, column)| self.expression(slot, column.as_ref(), &answers).map_err(Stall::from)).collect()
    }

    fn expression(&mut self, slot: &Slot, column: Option<&Column>, answers: &[Answer]) -> Result<String, Refusal> {
        let slot = match slot {
            Slot::Cell(slot) => slot,
            Slot::Cells(slot) => {
                let Some(text) = literal(&slot.source)? else { return Ok("NULL".to_owned()) };
                let column = column.ok_or_else(|| Refusal::internal("a literal without its column"))?;
                let sealed = array::seal_text(&mut self.cells, column, slot, &text)?;
                return Ok(array::expression(sealed.iter().map(Option::as_deref)));
            }
            Slot::Search { search, part } => {
                let answer = answers.get(*search).ok_or_else(|| Refusal::internal("a search without its answer"))?;
                return Ok(answer.as_ref().map_or_else(|| "NULL".to_owned(), |found| found.expression(*part)));
            }
        };
        let column = column.ok_or_else(|| Refusal::internal("a literal without its column"))?;
        let (mut cell, mut digits) = (Vec::new(), Vec::new());
        if slot.source == SlotSource::Default {
            if !self.default_cell(column, &mut cell)? {
                return Ok("NULL".to_owned());
            }
        } else {
            let Some(text) = literal(&slot.source)? else { return Ok("NULL".to_owned()) };
            self.cells.seal(column, given(slot, 0), Input::Text(text.as_bytes()), &mut cell)?;
        }
        hex(&cell, &mut digits);
        Ok(format!("'\\x{}'::pg_catalog.bytea", String::from_utf8_lossy(&digits)))
    }

    pub(super) fn slot_columns(&mut self, slots: &[Slot]) -> Result<Vec<Option<Column>>, Stall> {
        if slots.iter().any(|slot| matches!(slot, Slot::Cell(slot) if slot.source == SlotSource::Default)) {
            // Since the statement was prepared a default may have changed.
            self.view_now()?;
        }
        self.cells.columns(slots.iter().map(|slot| match slot {
            Slot::Cell(slot) | Slot::Cells(slot) => Some((&slot.value.column, slot.value.ty)),
            Slot::Search { .. } => None,
        }))
    }

    fn on_parse(&mut self, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        let parse = wire::Parse::read(body).map_err(text_refusal)?;
        let (planned, classification) = self.plan(parse.text)?;
        if let [one] = &*planned {
            self.check_literals(one.slots())?;
        }
        let mut statement = match &*planned {
            [] => None,
            [one] => Some(Arc::clone(one)),
            [..] => {
                let message = "cannot insert multiple commands into a prepared statement";
                return Err(Refusal::new("42601", message).into());
            }
        };
        match statement.clone().as_deref().map(|statement| &statement.kind) {
            None | Some(Kind::Pass(_)) => self.forward(message),
            Some(Kind::Reworded(text, _)) => {
                wire::put_parse(&mut self.server.output, parse.name, text, &parse.oids);
            }
            Some(Kind::Rewritten(rewritten)) if statement.as_ref().is_some_and(|statement| statement.is_utility()) => {
                if !rewritten.uses.is_empty() {
                    self.permit(&rewritten.uses)?;
                }
                let filled = statement.as_deref().map(|statement| self.expressions(0, statement)).transpose()?;
                let text = inline_template(&rewritten.template, &filled.unwrap_or_default());
                wire::put_parse(&mut self.server.output, parse.name, &text, &[]);
                statement = statement.as_deref().map(without_parameters);
            }
            Some(Kind::Rewritten(rewritten)) => {
                if rewritten.parameters.len() > MAX_PARAMETERS {
                    let message =
                        format!("the statement has more than {MAX_PARAMETERS} protected values and parameters");
                    return Err(Refusal::new("54000", message).hint("Use several statements, or COPY.").into());
                }
                let oids = server_oids(rewritten, &parse.oids);
                let text = rewritten.template.with_parameters();
                wire::put_parse(&mut self.server.output, parse.name, &text, &oids);
            }
            Some(Kind::CopyIn(plan) | Kind::CopyOut(plan)) => {
                // COPY takes no parameters.
                let uses = &plan.uses;
                if !uses.is_empty() {
                    self.permit(uses)?;
                }
                let cells = statement.as_deref().map(|statement| self.expressions(0, statement)).transpose()?;
                let text = inline_template(&plan.template, &cells.unwrap_or_default());
                wire::put_parse(&mut self.server.output, parse.name, &text, &[]);
            }
        }
        let prepared = Arc::new(Prepared { statement, oids: parse.oids, classification, sealed_at: None });
        let name = parse.name.to_owned();
        let naming = Naming::Statement(name, Some(prepared));
        self.names.apply(&naming);
        self.expects.push_back(Expect::Parse(naming));
        self.batch_open = true;
        Ok(())
    }

    /// PostgreSQL reads a statement's literals when it parses it.
    fn check_literals(&mut self, slots: &[Slot]) -> Result<(), Refusal> {
        for slot in slots {
            let Slot::Cell(slot) = slot else { continue };
            let SlotSource::Literal { text: Some(text), .. } = &slot.source else { continue };
            self.cells.check(&slot.value.column, slot.value.ty, given(slot, 0), text)?;
        }
        Ok(())
    }

    fn on_bind(&mut self, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        let bind = wire::Bind::read(body).map_err(text_refusal)?;
        let prepared = self.statement(bind.statement)?.ok_or_else(|| no_statement(bind.statement))?;
        if let Some(statement) = &prepared.statement {
            self.check_run(statement)?;
        }
        let mut formats = Vec::new();
        match prepared.statement.as_deref() {
            Some(Statement { kind: Kind::Rewritten(rewritten), .. }) => {
                self.still_classified(&prepared)?;
                if !rewritten.uses.is_empty() {
                    self.permit(&rewritten.uses)?;
                }
                formats = self.send_bind(&bind, rewritten, &prepared.oids)?;
            }
            Some(statement @ Statement { kind: Kind::CopyIn(_) | Kind::CopyOut(_), .. }) => {
                self.still_classified(&prepared)?;
                self.permit(statement.uses())?;
                self.forward(message);
            }
            Some(Statement { kind: Kind::Reworded(..), .. }) => {
                self.still_classified(&prepared)?;
                self.forward(message);
            }
            Some(Statement { kind: Kind::Pass(_), .. }) | None => self.forward(message),
        }
        let name = bind.portal.to_owned();
        let portal = Arc::new(Portal { prepared, formats, binary_cells: true, hold: false });
        let naming = Naming::Portal(name, Some(portal));
        self.names.apply(&naming);
        self.expects.push_back(Expect::Bind(naming));
        self.batch_open = true;
        Ok(())
    }

    fn on_describe(&mut self, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        let describe = wire::Describe::read(body).map_err(text_refusal)?;
        let expect = match describe.target {
            Target::Statement => {
                let prepared = self.statement(describe.name)?;
                Expect::DescribeStatement(prepared.ok_or_else(|| no_statement(describe.name))?)
            }
            Target::Portal => {
                let portal = self.portal(describe.name)?;
                Expect::DescribePortal(portal.ok_or_else(|| no_portal(describe.name))?)
            }
        };
        self.forward(message);
        self.expects.push_back(expect);
        self.batch_open = true;
        Ok(())
    }

    fn on_execute(&mut self, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        let execute = wire::Execute::read(body).map_err(text_refusal)?;
        let portal = self.portal(execute.portal)?.ok_or_else(|| no_portal(execute.portal))?;
        let mut run = match &portal.prepared.statement {
            None => Run::plain(None),
            Some(statement) => {
                self.check_run(statement)?;
                let mut run = if matches!(statement.kind, Kind::Pass(_) | Kind::Reworded(..)) {
                    Run::plain(Some(Arc::clone(statement)))
                } else {
                    self.still_classified(&portal.prepared)?;
                    self.prepare_run(statement, Some(&portal.formats))?
                };
                let entered = self.enter(std::slice::from_ref(statement))?.pop().unwrap_or_default();
                (run.look, run.definition) = (entered.look, entered.definition);
                run
            }
        };
        if let Some(view) = &mut run.rows {
            view.binary_cells = portal.binary_cells;
        }
        if let Some(statement) = &portal.prepared.statement {
            self.change_own(statement)?;
            run.naming = self.rename(statement)?;
        }
        match run.rows.as_ref().is_some_and(|rows| rows.only_writes) {
            // What the client does not know of cannot be counted by it.
            true => wire::put_execute(&mut self.server.output, execute.portal, 0),
            false => self.forward(message),
        }
        self.expects.push_back(Expect::Execute(Box::new(run)));
        self.batch_open = true;
        Ok(())
    }

    fn on_close(&mut self, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        let close = wire::Close::read(body).map_err(text_refusal)?;
        let name = close.name.to_owned();
        let naming = match close.target {
            Target::Statement => Naming::Statement(name, None),
            Target::Portal => Naming::Portal(name, None),
        };
        self.forward(message);
        self.names.apply(&naming);
        self.expects.push_back(Expect::Close(naming));
        self.batch_open = true;
        Ok(())
    }

    fn on_copy(&mut self, tag: u8, message: &Bytes, body: &[u8]) -> Result<(), Stall> {
        match (&mut self.copying, tag) {
            (Copying::No, _) if self.expects.iter().any(Expect::awaits_copy) => return Err(Stall::CopyStart),
            // As PostgreSQL does with COPY messages that nothing asked for.
            (Copying::No, _) => return Ok(()),
            (Copying::Seal(copy), b'd') => {
                copy.data(body, &mut self.cells, &mut self.server.output)?;
                return Ok(());
            }
            (Copying::Seal(copy), b'c') => copy.done(&mut self.cells, &mut self.server.output)?,
            (Copying::Pass | Copying::Seal(_), _) => {}
        }
        self.forward(message);
        if tag != b'd' {
            self.copying = Copying::No;
        }
        Ok(())
    }

    /// Ends a COPY FROM STDIN because of what the client sent.
    fn fail_copy(&mut self, refusal: Refusal) {
        self.copying = Copying::No;
        wire::copy_fail(&mut self.server.output, "refused by the gateway");
        if let Some(run) = self.expects.front_mut().and_then(Expect::current) {
            run.refusal = Some(refusal);
        }
    }
}

fn text_refusal(error: wire::WireError) -> Refusal {
    if error == wire::WireError::Utf8 {
        return Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\"");
    }
    Refusal::protocol(error)
}

fn no_statement(name: &str) -> Refusal {
    if name.is_empty() {
        return Refusal::new("26000", "unnamed prepared statement does not exist");
    }
    Refusal::new("26000", format!("prepared statement \"{name}\" does not exist"))
}

fn no_portal(name: &str) -> Refusal {
    Refusal::new("34000", format!("portal \"{name}\" does not exist"))
}

/// The text of a slot's literal; `None` for NULL. A simple query has no parameters.
fn literal(source: &SlotSource) -> Result<Option<String>, Refusal> {
    match source {
        SlotSource::Literal { text, .. } => Ok(text.clone()),
        SlotSource::Param(number) | SlotSource::CastParam { number } => {
            Err(Refusal::new("42P02", format!("there is no parameter ${number}")))
        }
        SlotSource::Default => Err(no_text()),
    }
}

pub(super) fn no_text() -> Refusal {
    Refusal::internal("a default stands where a text is needed")
}

/// A search is answered before anything of its text runs, so nothing before it may change rows.
fn search_comes_first(planned: &[Arc<Statement>]) -> Result<(), Refusal> {
    use sql::Command;
    let mut changes = false;
    for statement in planned {
        if changes && !statement.searches().is_empty() {
            return Err(Refusal::new(
                "0A000",
                "a search is not possible in one text behind statements that change rows",
            )
            .hint("Send the statements one by one."));
        }
        let looks = statement.command == Command::Select && !statement.effects.ddl;
        changes |=
            !looks && !matches!(statement.command, Command::Begin | Command::Set | Command::Show | Command::Savepoint);
    }
    Ok(())
}

/// One statement's text with its slots filled.
fn inline(text: &str, statement: &Statement, expressions: &[String]) -> String {
    match &statement.kind {
        Kind::Pass(_) => text.get(statement.source.clone()).unwrap_or_default().to_owned(),
        Kind::Reworded(text, _) => text.clone(),
        Kind::Rewritten(rewritten) => inline_template(&rewritten.template, expressions),
        Kind::CopyIn(plan) | Kind::CopyOut(plan) => inline_template(&plan.template, expressions),
    }
}

/// The statement as it is once its values stand in its text.
fn without_parameters(statement: &Statement) -> Arc<Statement> {
    let mut own = statement.clone();
    if let Kind::Rewritten(rewritten) = &mut own.kind {
        rewritten.slots.clear();
        rewritten.parameters.clear();
    }
    Arc::new(own)
}

fn inline_template(template: &Template, expressions: &[String]) -> String {
    template.render_inline(&mut |index, out: &mut String| {
        out.push_str(expressions.get(index).map_or("NULL", String::as_str));
    })
}
