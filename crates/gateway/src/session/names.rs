//! Names of prepared statements and of portals, which SQL and the protocol share.
//!
//! `Session::known` is what the processor has confirmed; `Session::names` runs ahead of it by what is under way, and is what
//! the client's next message means. An error takes back what will not happen, and nothing else.

use std::sync::Arc;

use drieslot_sql::{Command, Kind, ResultColumn, Statement};

use super::expect::{Expect, Names, Naming, Portal, Prepared};
use super::{Session, Stall};
use crate::refusal::Refusal;

impl Session {
    /// The prepared statement of this name, once it is certain which that will be.
    pub(super) fn statement(&self, name: &str) -> Result<Option<Arc<Prepared>>, Stall> {
        let (ahead, known) = (self.names.statements.get(name), self.known.statements.get(name));
        self.settled(ahead.is_some() && same(ahead, known), |naming| naming.of_statement(name))?;
        Ok(ahead.cloned())
    }

    /// The portal of this name, once it is certain which that will be.
    pub(super) fn portal(&self, name: &str) -> Result<Option<Arc<Portal>>, Stall> {
        let (ahead, known) = (self.names.portals.get(name), self.known.portals.get(name));
        self.settled(ahead.is_some() && same(ahead, known), |naming| naming.of_portal(name))?;
        Ok(ahead.cloned())
    }

    /// A message of this same batch that gives the name its meaning either works, or everything after it is ignored. One of
    /// an earlier batch may fail, and the name then keep its old meaning, which must not be taken for the new one.
    fn settled(&self, confirmed: bool, gives: impl Fn(&Naming) -> bool) -> Result<(), Stall> {
        let same_batch = |expect: &&Expect| {
            !matches!(expect, Expect::Sync | Expect::Query { .. })
                && !matches!(expect, Expect::Load(load) if load.ends_with_sync())
        };
        let mut batch = self.expects.iter().rev().take_while(same_batch);
        let certain = confirmed
            || batch.any(|expect| expect.naming().any(&gives))
            || !self.expects.iter().any(|expect| expect.naming().any(&gives));
        if certain { Ok(()) } else { Err(Stall::Name) }
    }

    /// What EXECUTE and FETCH run now, by name.
    fn named(&self, command: &Command) -> Result<Option<Arc<Prepared>>, Stall> {
        if let Command::Execute { name } = command {
            self.statement(name)
        } else if let Command::Fetch { name } = command {
            Ok(self.portal(name)?.map(|portal| Arc::clone(&portal.prepared)))
        } else {
            Ok(None)
        }
    }

    /// A plan that was just made may run something that was prepared under another classification.
    pub(super) fn check_planned(&self, statement: &Statement) -> Result<(), Stall> {
        match self.named(&statement.command)? {
            Some(prepared) if same(prepared.statement.as_ref(), statement.of.as_ref()) => {
                Ok(self.still_classified(&prepared)?)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The name in a prepared EXECUTE or FETCH may stand for something else by now.
    pub(super) fn check_run(&self, statement: &Statement) -> Result<(), Stall> {
        if statement.of.is_none() {
            return Ok(());
        }
        match self.named(&statement.command)? {
            Some(prepared) if same(prepared.statement.as_ref(), statement.of.as_ref()) => {
                Ok(self.still_classified(&prepared)?)
            }
            Some(_) | None => Err(Refusal::new("0A000", "the name in this statement stands for something else by now")
                .hint("Prepare the EXECUTE or FETCH again.")
                .into()),
        }
    }

    /// What a statement that is being sent gives names to, and takes them from.
    pub(super) fn rename(&mut self, statement: &Statement) -> Result<Naming, Stall> {
        let naming = self.naming(statement)?;
        self.names.apply(&naming);
        Ok(naming)
    }

    fn naming(&self, statement: &Statement) -> Result<Naming, Stall> {
        let command = &statement.command;
        if let Command::Deallocate { name: Some(name) } = command {
            return Ok(Naming::Statement(name.clone(), None));
        }
        if let Command::Close { name: Some(name) } = command {
            return Ok(Naming::Portal(name.clone(), None));
        }
        let all = *command == Command::DiscardAll;
        let statements = all || *command == Command::Deallocate { name: None };
        let portals = all || *command == Command::Close { name: None };
        if statements || portals {
            return Ok(Naming::EndAll { statements, portals });
        }
        let Some(defined) = &statement.defines else { return Ok(Naming::Nothing) };
        let classification = self.classification()?;
        let sealed_at = (!defined.slots().is_empty()).then_some(self.guard.exchanges);
        let statement = Some(Arc::clone(defined));
        let prepared = Arc::new(Prepared { statement, oids: Vec::new(), classification, sealed_at });
        if let Command::Prepare { name } = command {
            return Ok(Naming::Statement(name.clone(), Some(prepared)));
        }
        let Command::Declare { name, hold } = command else { return Ok(Naming::Nothing) };
        let columns: &[ResultColumn] = match &defined.kind {
            Kind::Rewritten(rewritten) => &rewritten.columns,
            Kind::Pass(_) | Kind::Reworded(..) | Kind::CopyIn(_) | Kind::CopyOut(_) => &[],
        };
        let formats = vec![0; columns.len()];
        let portal = Arc::new(Portal { prepared, formats, binary_cells: false, hold: *hold });
        Ok(Naming::Portal(name.clone(), Some(portal)))
    }

    /// After an error: the names as confirmed, and as what is still under way will make them.
    pub(super) fn take_back(&mut self) {
        self.names = self.known.clone();
        self.expects.iter().flat_map(Expect::naming).for_each(|naming| self.names.apply(naming));
    }

    /// The transaction is over, and with it the portals that do not outlive it.
    pub(super) fn end_portals(&mut self) {
        let before = self.known.portals.len();
        self.known.portals.retain(|_, portal| portal.hold);
        if self.expects.is_empty() {
            self.names.portals.clone_from(&self.known.portals);
        } else if before != self.known.portals.len() {
            self.take_back();
        }
    }
}

impl Names {
    pub(super) fn apply(&mut self, naming: &Naming) {
        match naming {
            Naming::Statement(name, Some(prepared)) => {
                drop(self.statements.insert(name.clone(), Arc::clone(prepared)));
            }
            Naming::Statement(name, None) => drop(self.statements.remove(name)),
            Naming::Portal(name, Some(portal)) => drop(self.portals.insert(name.clone(), Arc::clone(portal))),
            Naming::Portal(name, None) => drop(self.portals.remove(name)),
            Naming::EndAll { statements, portals } => {
                if *statements {
                    // The unnamed one is of the protocol alone.
                    self.statements.retain(|name, _| name.is_empty());
                }
                if *portals {
                    self.portals.clear();
                }
            }
            Naming::Nothing => {}
        }
    }
}

impl Naming {
    fn of_statement(&self, wanted: &str) -> bool {
        match self {
            Self::Statement(name, _) => name == wanted,
            Self::EndAll { statements, .. } => *statements && !wanted.is_empty(),
            Self::Portal(..) | Self::Nothing => false,
        }
    }

    fn of_portal(&self, wanted: &str) -> bool {
        match self {
            Self::Portal(name, _) => name == wanted,
            Self::EndAll { portals, .. } => *portals,
            Self::Statement(..) | Self::Nothing => false,
        }
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
