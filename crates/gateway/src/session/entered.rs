//! What of a message is in the journal before it is sent, and what waits until witnesses have cosigned that.
//!
//! Definitions, exports and looks for a purpose of [`COSIGNED_PURPOSES`] are not sent before their entry is cosigned, and nothing
//! of them is released before its outcome is. Where the charter has no witnesses they wait for the disk, as all else does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use drieslot_sql::{Kind, Statement};
use drieslot_witness::Unwitnessed;

use super::expect::Look;
use super::{Session, Stall};
use crate::refusal::Refusal;
use crate::trace::{Definition, Outcome};

/// Looks for these purposes wait for witnesses: what a court has ordered, and work on the structure of a database.
const COSIGNED_PURPOSES: [&str; 2] = ["court_order", "structure"];

/// The entries of one statement.
#[derive(Default)]
pub(super) struct Entered {
    pub(super) look: Option<Look>,
    /// Index of the entry that says that a definition begins.
    pub(super) definition: Option<u64>,
}

/// Entries whose statements are not sent yet: their cosignatures are awaited.
pub(super) struct Announced {
    statements: Vec<Arc<Statement>>,
    entered: Vec<Entered>,
}

/// Ends with how many entries are cosigned.
pub(super) type Cosigned = Pin<Box<dyn Future<Output = Result<u64, Refusal>> + Send>>;

/// Waits for witnesses, if there is something to wait for.
pub(super) async fn poll(cosigned: &mut Option<Cosigned>) -> Result<u64, Refusal> {
    match cosigned {
        Some(wait) => wait.await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Whether what a statement shows waits for witnesses, under mandates of this purpose.
    pub(super) fn waits_for_witnesses(&self, statement: &Statement, purpose: &str) -> bool {
        let export = matches!(statement.kind, Kind::CopyOut(_));
        (export || COSIGNED_PURPOSES.contains(&purpose)) && self.shared.cosigning.is_wanted()
    }

    /// Writes the entries of statements that are about to be sent. A stall where they must be cosigned first; the message is then
    /// handled anew, and has them already.
    pub(super) fn enter(&mut self, planned: &[Arc<Statement>]) -> Result<Vec<Entered>, Stall> {
        if let Some(announced) = self.announced.take() {
            return match self.still_holds(&announced, planned) {
                Ok(()) => Ok(announced.entered),
                Err(refusal) => {
                    self.announced = Some(announced);
                    Err(refusal.into())
                }
            };
        }
        let entered = planned.iter().map(|statement| self.enter_one(statement)).collect::<Result<Vec<_>, _>>()?;
        let wanted = self.shared.cosigning.is_wanted();
        let look = |one: &Entered| one.look.as_ref().filter(|look| look.waits).map(|look| look.intent);
        let last = entered.iter().filter_map(|one| look(one).max(one.definition.filter(|_| wanted))).max();
        match last {
            None => Ok(entered),
            Some(index) => {
                self.announced = Some(Announced { statements: planned.to_vec(), entered });
                Err(Stall::Cosigned(index))
            }
        }
    }

    fn enter_one(&self, statement: &Statement) -> Result<Entered, Refusal> {
        let look = self.look(statement)?;
        let Some(objects) = &statement.administers else { return Ok(Entered { look, definition: None }) };
        let entry = Definition {
            actor: self.actor(),
            state: "begun",
            begun: None,
            fingerprint: Some(&statement.fingerprint),
            objects,
            tag: None,
        };
        let definition = Some(self.shared.trace.append("definition", &entry)?);
        Ok(Entered { look, definition })
    }

    /// While witnesses were awaited a mandate may have ended, or what a name means may have changed.
    fn still_holds(&self, announced: &Announced, planned: &[Arc<Statement>]) -> Result<(), Refusal> {
        let same = |(before, now): (&Arc<Statement>, &Arc<Statement>)| {
            Arc::ptr_eq(before, now) || (before.uses() == now.uses() && before.fingerprint == now.fingerprint)
        };
        let changed =
            |what: &str| Refusal::new("42501", format!("{what} while witnesses were awaited")).hint("Ask again.");
        if announced.statements.len() != planned.len() || !announced.statements.iter().zip(planned).all(same) {
            return Err(changed("what the statement touches has changed"));
        }
        for (statement, entered) in planned.iter().zip(&announced.entered) {
            let Some(look) = &entered.look else { continue };
            let permit = self.permit(statement.uses())?;
            if self.masks(statement, &permit)? != look.shown {
                return Err(changed("the mandates have changed"));
            }
        }
        Ok(())
    }

    /// What was announced is not sent.
    pub(super) fn renounce(&mut self, sqlstate: &str) {
        for entered in self.announced.take().into_iter().flat_map(|announced| announced.entered) {
            if let Some(look) = &entered.look {
                let (session, intent, tag) = (self.who.session.as_str(), look.intent, Some(sqlstate));
                let entry =
                    Outcome { session, intent, rows: 0, state: "failed", tag, subjects: &[], without_subject: &[] };
                // If it cannot be written, access has stopped already.
                let _ = self.shared.trace.append("outcome", &entry);
            }
            if let Some(begun) = entered.definition {
                let _ = self.end_definition(begun, "failed", Some(sqlstate));
            }
        }
    }

    /// Says how a definition ended; the index of the entry.
    pub(super) fn end_definition(&self, begun: u64, state: &'static str, tag: Option<&str>) -> Result<u64, Refusal> {
        let (begun, objects) = (Some(begun), &[][..]);
        let entry = Definition { actor: self.actor(), state, begun, fingerprint: None, objects, tag };
        self.shared.trace.append("definition", &entry)
    }

    /// Waits until the entry at `index` is cosigned.
    pub(super) fn cosigned(&self, index: u64) -> Cosigned {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.cosigning.cosigned(index).await.map(|()| index + 1).map_err(unwitnessed) })
    }

    /// Asks for the cosignatures that output waits for.
    pub(super) fn ask_witnesses(&mut self) {
        if self.cosigning.is_none()
            && let Some(index) = self.held.wants_cosigned()
        {
            self.cosigning = Some(self.cosigned(index));
        }
    }
}

/// Administrators stop first: they wait for each entry, and applications for the charter's grace.
fn unwitnessed(why: Unwitnessed) -> Refusal {
    let (message, hint) = match &why {
        Unwitnessed::Halted(_) => (
            "the gateway's journal has another history, so that nothing is defined, exported or shown on an order",
            "Ask the gateway's administrator, at once: this is an alarm.",
        ),
        Unwitnessed::NoQuorum { .. } => (
            "too few witnesses countersign the gateway's journal, so that nothing is defined, exported or shown on an order",
            "See that the witnesses run and are reached, and do it again; the gateway's log names those that are not. Other \
             statements go on until the charter's grace is over.",
        ),
    };
    tracing::error!(%why, "what waits for witnesses is refused");
    Refusal::new("58000", message).hint(hint)
}
