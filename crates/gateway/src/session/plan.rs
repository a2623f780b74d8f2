//! What the session sees of the processor's database, plans made from it, and what the mandates allow.

use std::sync::Arc;

use drieslot_register::{Asker, FIRST_EPOCH, Operation};
use drieslot_schema::{Classification, ColumnId, Mask, Unlisted};
use drieslot_sql::{self as sql, Catalog, Statement, Use};
use drieslot_witness::Unwitnessed;

use super::cells::Column;
use super::expect::{Expect, Look, Prepared, Run};
use super::load::{Load, Part};
use super::subjects::Seen;
use super::{Session, Stall, Who};
use crate::catalogs::{Basis, Planned};
use crate::firewall::{Decision, Stopped};
use crate::refusal::Refusal;
use crate::trace::{Actor, Intent, Judged, Refused, Touched};

/// What the session knows; `None` is to be looked up before the next plan.
#[derive(Default)]
pub(super) struct View {
    pub(super) catalog: Option<(u64, Arc<Catalog>)>,
    pub(super) search_path: Option<Arc<[String]>>,
    /// DDL ran in the open transaction: its catalogue is this session's alone.
    pub(super) ddl: bool,
    /// The search path was changed in the open transaction, and a rollback would change it back.
    pub(super) path_changed: bool,
    /// The catalogue was just read for the stalled message.
    refreshed: bool,
    /// Why it could not be read.
    pub(super) failed: Option<Refusal>,
}

impl View {
    /// Forgets what a transaction's end may have changed.
    pub(super) fn forget(&mut self) {
        self.catalog = None;
        self.search_path = None;
    }
}

impl Session {
    /// The classification in force for this session's database. Where there is none, every table is refused.
    pub(super) fn classification(&self) -> Result<Arc<Classification>, Refusal> {
        if let Some(found) = self.shared.follower.state().classification(&self.who.database) {
            return Ok(found);
        }
        Classification::new(self.who.database.clone(), Vec::new(), Unlisted::Refuse)
            .map(Arc::new)
            .map_err(|error| Refusal::internal(error.to_string()))
    }

    /// Plans a text, from the cache where nothing that it rests on has changed.
    pub(super) fn plan(&mut self, text: &str) -> Result<(Planned, Arc<Classification>), Stall> {
        self.pass_firewall(text)?;
        let (catalog, search_path) = self.view_now()?;
        let classification = self.classification()?;
        let basis = Basis { catalog, classification: Arc::clone(&classification), search_path };
        if let Some(planned) = self.shared.plans.get(text, &basis).filter(|_| self.standard_strings) {
            self.view.refreshed = false;
            return Ok((planned, classification));
        }
        // It reads strings as the standard has them.
        if let (Some(recording), true) = (&self.shared.recording, self.standard_strings) {
            recording.note(text);
        }
        let unsettled = std::cell::Cell::new(false);
        let prepared = |name: &str| {
            let found = self.statement(name).inspect_err(|_| unsettled.set(true)).ok()?;
            found?.statement.clone()
        };
        let cursors = |name: &str| {
            let found = self.portal(name).inspect_err(|_| unsettled.set(true)).ok()?;
            found?.prepared.statement.clone()
        };
        let state = self.shared.follower.state();
        let session = sql::Session {
            search_path: &basis.search_path,
            standard_strings: self.standard_strings,
            prepared: &prepared,
            cursors: &cursors,
            least_epoch: &|domain| Some(state.current_epoch(domain)).filter(|epoch| *epoch != FIRST_EPOCH),
        };
        let made = sql::plan(text, &basis.catalog, &basis.classification, &session);
        if unsettled.get() {
            return Err(Stall::Name);
        }
        match made {
            Ok(statements) => {
                self.view.refreshed = false;
                let planned: Planned = statements.into_iter().map(Arc::new).collect();
                if self.standard_strings && !planned.iter().any(|statement| statement.depends_on_session()) {
                    self.shared.plans.put(text, basis, &planned);
                }
                Ok((planned, classification))
            }
            Err(refusal) if refusal.stale && !self.view.refreshed && self.status != b'E' => {
                self.view.forget();
                self.view.refreshed = true;
                self.begin_load(true);
                Err(Stall::Catalog)
            }
            Err(refusal) => {
                self.view.refreshed = false;
                Err(Refusal::from(refusal).into())
            }
        }
    }

    /// Catalogue and search path, or a stall while they are being read.
    pub(super) fn view_now(&mut self) -> Result<(Arc<Catalog>, Arc<[String]>), Stall> {
        if let Some(refusal) = self.view.failed.take() {
            return Err(refusal.into());
        }
        self.shared.catalogs.note_epochs(self.shared.follower.state().epoch_changes());
        let shared_version = self.shared.catalogs.version();
        if !self.view.ddl && self.view.catalog.as_ref().is_some_and(|(version, _)| *version != shared_version) {
            self.view.catalog = None;
        }
        if self.view.catalog.is_none() && !self.view.ddl {
            self.view.catalog = self.shared.catalogs.get(&self.guard.place());
        }
        if let (Some((_, catalog)), Some(path)) = (&self.view.catalog, &self.view.search_path) {
            self.cells.set_catalog(catalog);
            return Ok((Arc::clone(catalog), Arc::clone(path)));
        }
        if self.status == b'E' && self.expects.is_empty() {
            // Nothing can be read in a failed transaction, and nothing but its end will run.
            return Ok((Arc::new(Catalog::default()), Arc::from([])));
        }
        self.begin_load(self.view.catalog.is_none());
        Err(Stall::Catalog)
    }

    /// A fresh cell of a column's default, appended to `out`; `false` where it has none.
    pub(super) fn default_cell(&mut self, column: &Column, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let catalog = self.view.catalog.as_ref().ok_or_else(|| Refusal::internal("a default without the catalogue"))?;
        let Some(cell) = catalog.1.default_of(column.id()) else { return Ok(false) };
        self.cells.reseal(column, cell, out).map(|()| true)
    }

    pub(super) fn begin_load(&mut self, catalog: bool) {
        let mut parts = vec![Part::SearchPath];
        if catalog {
            parts.push(Part::Catalog);
            if self.shared.catalogs.system().is_none() {
                parts.push(Part::System);
            }
        }
        if self.status == b'T' && self.expects.is_empty() {
            parts.insert(0, Part::Aside);
            parts.extend([Part::Back, Part::Over]);
        }
        let version = self.shared.catalogs.version();
        let load = Load::send(parts, version, self.batch_open, None, &mut self.server.output);
        self.expects.push_back(Expect::Load(Box::new(load)));
        self.loading = true;
    }

    /// A look is complete.
    pub(super) fn finish_load(&mut self, load: Load) -> Result<(), Refusal> {
        self.loading = false;
        if load.failed {
            return Ok(());
        }
        if load.guards() {
            return self.guarded(&load);
        }
        if load.overflowed() && load.asked.is_some() {
            self.stall_failed = Some(
                Refusal::new("54000", "the values that could match are too many to be tested")
                    .hint("Search for more characters in a row."),
            );
            return Ok(());
        }
        if let Some(asked) = load.asked {
            self.finish_search(asked, load.rows);
            return Ok(());
        }
        let mut system = self.shared.catalogs.system().cloned();
        let bad = |error: sql::CatalogError| Refusal::internal(format!("the processor's catalogue: {error}"));
        let found: Vec<_> = load.parts.iter().zip(&load.rows).collect();
        for (part, rows) in found.iter().rev() {
            match part {
                Part::Candidates(_) | Part::Aside | Part::Back | Part::Over => {}
                Part::Share | Part::Leave | Part::Mark => {}
                Part::SearchPath => {
                    self.view.search_path = Some(rows.iter().filter_map(|row| row.first()?.clone()).collect());
                }
                Part::System => {
                    let catalog = Catalog::from_rows(rows).map_err(bad)?;
                    system = Some(self.shared.catalogs.set_system(catalog));
                }
                Part::Catalog => {
                    let system = system.clone().ok_or_else(|| Refusal::internal("the system catalogue is not read"))?;
                    let catalog = Arc::new(Catalog::from_rows(rows).map_err(bad)?.with_system(system));
                    if !self.view.ddl {
                        self.shared.catalogs.put(&self.guard.place(), load.version, &catalog);
                    }
                    self.cells.set_catalog(&catalog);
                    self.guard.reloading = false;
                    self.view.catalog = Some((load.version, catalog));
                }
            }
        }
        Ok(())
    }

    /// Whether the mandates allow a statement now; what the trace must say of it.
    pub(super) fn permit(&self, uses: &[(ColumnId, Use)]) -> Result<drieslot_register::Permit, Refusal> {
        self.shared.decoys.check()?;
        self.shared.cosigning.check_grace().map_err(unwitnessed)?;
        let uses: Vec<_> = uses.iter().map(|(column, used)| (column.clone(), operation(*used))).collect();
        let now = (self.shared.clock)();
        let state = self.shared.follower.state();
        let said = self.own.now();
        let end_user = said.end_user(now).inspect_err(|refusal| self.leave_trace_of_refusal(refusal))?;
        let (principal, database) = (self.who.principal.as_str(), self.who.database.as_str());
        let asker = Asker { principal, database, end_user, purpose: said.purpose() };
        state.permit(&asker, now, &uses).map_err(|denied| {
            let refusal = Refusal::new("42501", format!("no mandate in force allows this: {denied}"))
                .hint("Ask the three functions for a mandate that covers the column, the operation and the time.");
            self.leave_trace_of_refusal(&refusal);
            refusal
        })
    }

    fn pass_firewall(&self, text: &str) -> Result<(), Refusal> {
        let (stopped, refused) = match self.shared.firewall.judge(&self.who.principal, text, self.standard_strings) {
            Decision::Pass => return Ok(()),
            Decision::Report(stopped) => (stopped, false),
            Decision::Refuse(stopped) => (stopped, true),
        };
        let Stopped { why, fingerprint } = &stopped;
        let who = &self.who;
        tracing::warn!(principal = %who.principal, fingerprint, refused, why, "the firewall does not allow a statement");
        let entry =
            Judged { actor: self.actor(), outcome: if refused { "refused" } else { "passed" }, fingerprint, why };
        let _ = self.shared.trace.append("firewall", &entry);
        if let Some(recording) = &self.shared.recording {
            recording.note(text);
        }
        let refusal = Refusal::new("42501", "the firewall does not allow the statement")
            .detail(format!("Its fingerprint is `{fingerprint}`, the principal `{}`: {why}.", who.principal))
            .hint("If the application needs it, have the gateway's administrator add it to the list of allowed statements.");
        if refused { Err(refusal) } else { Ok(()) }
    }

    pub(super) fn actor(&self) -> Actor<'_> {
        let Who { session, principal, database, client, .. } = &self.who;
        Actor { session, principal, client, end_user: self.own.now().person(), database }
    }

    pub(super) fn leave_trace_of_refusal(&self, refusal: &Refusal) {
        let entry = Refused { actor: self.actor(), sqlstate: refusal.sqlstate, why: &refusal.message };
        // The client is refused whether or not this can be written.
        let _ = self.shared.trace.append("refused", &entry);
    }

    /// Begins the trace of a statement that touches protected columns.
    pub(super) fn look<'s>(&self, statement: &'s Statement) -> Result<Option<Look>, Refusal> {
        if statement.effects.ddl && matches!(statement.kind, sql::Kind::Rewritten(_)) {
            self.guard.allow_definition()?;
        }
        let uses = statement.uses();
        if uses.is_empty() {
            return Ok(None);
        }
        self.own_still_holds()?;
        let permit = self.permit(uses)?;
        let shown = self.masks(statement, &permit).inspect_err(|refusal| self.leave_trace_of_refusal(refusal))?;
        let touched = |(column, used): &'s (ColumnId, Use)| Touched {
            column,
            used: if *used == Use::Read && permit.masks.contains_key(column) {
                if permit.masks.get(column) == Some(&Mask::Token) { "read_token" } else { "read_masked" }
            } else {
                operation_name(*used)
            },
        };
        let columns = uses.iter().map(touched).collect();
        let intent = self.shared.trace.append_intent(&Intent {
            session: &self.who.session,
            principal: &self.who.principal,
            client: &self.who.client,
            end_user: self.own.now().person(),
            database: &self.who.database,
            mandates: &permit.mandates,
            purpose: &permit.purpose,
            command: statement.command.name(),
            fingerprint: &statement.fingerprint,
            columns,
        })?;
        Ok(Some(Look {
            intent,
            only_writes: statement.only_writes(),
            waits: self.waits_for_witnesses(statement, &permit.purpose),
            chunk_rows: 0,
            total_rows: 0,
            row_limit: permit.rows_per_statement,
            shown,
            seen: Seen::default(),
            without: statement.without_subject().to_vec(),
        }))
    }

    /// A prepared statement's plan still rests on the classification in force.
    pub(super) fn still_classified(&self, prepared: &Prepared) -> Result<(), Refusal> {
        if prepared.sealed_at.is_some_and(|seen| seen != self.guard.exchanges) {
            let message = "the keys of protected columns have changed since this statement was prepared";
            return Err(Refusal::new("0A000", message).hint("Prepare the statement again."));
        }
        let current = self.classification()?;
        if Arc::ptr_eq(&current, &prepared.classification) || *current == *prepared.classification {
            return Ok(());
        }
        Err(Refusal::new("0A000", "the classification has changed since this statement was prepared")
            .hint("Prepare the statement again."))
    }

    /// What a finished statement changes for those after it.
    pub(super) fn note_effects(&mut self, run: &Run) {
        let Some(statement) = &run.statement else { return };
        self.own.note(statement);
        if statement.effects.ddl {
            self.view.ddl = true;
            self.view.catalog = None;
        }
        if statement.effects.search_path {
            self.view.path_changed = true;
            self.view.search_path = None;
        }
        let command = &statement.command;
        if matches!(command, sql::Command::Rollback | sql::Command::RollbackTo)
            && (self.view.ddl || self.view.path_changed)
        {
            self.view.forget();
        }
    }
}

fn operation(used: Use) -> Operation {
    match used {
        Use::Read => Operation::Read,
        Use::Write => Operation::Write,
        Use::Search => Operation::Search,
    }
}

fn operation_name(used: Use) -> &'static str {
    match used {
        Use::Read => "read",
        Use::Write => "write",
        Use::Search => "search",
    }
}

/// No witness, no look: who relies on the journal could not be sure that there is one history of it.
fn unwitnessed(why: Unwitnessed) -> Refusal {
    let (message, hint) = match &why {
        Unwitnessed::Halted(_) => (
            "the gateway's journal has another history, so protected data is not released",
            "Ask the gateway's administrator, at once: this is an alarm.",
        ),
        Unwitnessed::NoQuorum { .. } => (
            "too few witnesses countersign the gateway's journal, so protected data is not released",
            "Try again later, or ask the gateway's administrator to see that the witnesses run and are reached.",
        ),
    };
    tracing::error!(%why, "protected data is not released");
    Refusal::new("58000", message).hint(hint)
}
