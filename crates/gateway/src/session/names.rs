//! Names of prepared statements and of portals, which SQL and the protocol share.
//!
//! A name stands for something new from when the message is sent; the processor's error takes that back.

use std::sync::Arc;

use drieslot_sql::{Command, Kind, ResultColumn, Statement};

use super::expect::{Names, Portal, Prepared, Undo};
use super::{Session, Stall};
use crate::refusal::Refusal;

impl Session {
    /// What EXECUTE and FETCH run now, by name.
    fn named(&self, command: &Command) -> Option<Arc<Prepared>> {
        if let Command::Execute { name } = command {
            self.names.statements.get(name).cloned()
        } else if let Command::Fetch { name } = command {
            self.names.portals.get(name).map(|portal| Arc::clone(&portal.prepared))
        } else {
            None
        }
    }

    /// A plan that was just made may run something that was prepared under another classification.
    pub(super) fn check_planned(&self, statement: &Statement) -> Result<(), Refusal> {
        match self.named(&statement.command) {
            Some(prepared) if same(prepared.statement.as_ref(), statement.of.as_ref()) => {
                self.still_classified(&prepared)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The name in a prepared EXECUTE or FETCH may stand for something else by now.
    pub(super) fn check_run(&self, statement: &Statement) -> Result<(), Refusal> {
        if statement.of.is_none() {
            return Ok(());
        }
        match self.named(&statement.command) {
            Some(prepared) if same(prepared.statement.as_ref(), statement.of.as_ref()) => {
                self.still_classified(&prepared)
            }
            Some(_) | None => Err(Refusal::new("0A000", "the name in this statement stands for something else by now")
                .hint("Prepare the EXECUTE or FETCH again.")),
        }
    }

    /// Notes what a statement that is being sent gives names to, and takes them from.
    pub(super) fn rename(&mut self, statement: &Statement) -> Result<Undo, Stall> {
        let names = &mut self.names;
        let command = &statement.command;
        if let Command::Deallocate { name: Some(name) } = command {
            let previous = names.statements.remove(name);
            return Ok(previous.map_or(Undo::Nothing, |previous| Undo::Statement(name.clone(), Some(previous))));
        }
        if let Command::Close { name: Some(name) } = command {
            let previous = names.portals.remove(name);
            return Ok(previous.map_or(Undo::Nothing, |previous| Undo::Portal(name.clone(), Some(previous))));
        }
        let all = *command == Command::DiscardAll;
        let statements = all || *command == Command::Deallocate { name: None };
        let portals = all || *command == Command::Close { name: None };
        if statements || portals {
            let before = Names { statements: names.statements.clone(), portals: names.portals.clone() };
            if statements {
                names.statements.clear();
            }
            if portals {
                names.portals.clear();
            }
            return Ok(Undo::Names(before));
        }
        let Some(defined) = &statement.defines else { return Ok(Undo::Nothing) };
        let classification = self.classification()?;
        let prepared = Arc::new(Prepared { statement: Some(Arc::clone(defined)), oids: Vec::new(), classification });
        if let Command::Prepare { name } = command {
            let previous = self.names.statements.insert(name.clone(), prepared);
            return Ok(Undo::Statement(name.clone(), previous));
        }
        let Command::Declare { name, hold } = command else { return Ok(Undo::Nothing) };
        let columns: &[ResultColumn] = match &defined.kind {
            Kind::Rewritten(rewritten) => &rewritten.columns,
            Kind::Pass(_) | Kind::Reworded(..) | Kind::CopyIn(_) | Kind::CopyOut(_) => &[],
        };
        let formats = vec![0; columns.len()];
        let portal = Arc::new(Portal { prepared, formats, binary_cells: false, hold: *hold });
        Ok(Undo::Portal(name.clone(), self.names.portals.insert(name.clone(), portal)))
    }
}

fn same(now: Option<&Arc<Statement>>, planned: Option<&Arc<Statement>>) -> bool {
    now.zip(planned).is_some_and(|(now, planned)| Arc::ptr_eq(now, planned))
}
