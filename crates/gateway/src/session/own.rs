//! The gateway's own settings in a session: for whom the application acts, and for which purpose.
//!
//! They follow transactions as PostgreSQL's settings do, by being simpler than those: SET is refused inside a transaction
//! block, SET LOCAL outside of one. Whoever sets them waits until all before it is answered, and all after it waits for the
//! answer, so that no statement runs for another person than the client thought.

use drieslot_sql::{self as sql, Command, Statement};

use super::expect::Expect;
use super::{Session, Stall};
use crate::end_users::{Said, Unheard};
use crate::refusal::Refusal;

pub(super) struct Own {
    /// What the start-up packet said.
    start: Said,
    session: Said,
    local: Local,
    /// A change that the processor has not yet confirmed, and whether it is local.
    pending: Option<(Said, bool)>,
}

/// What was said for the open transaction.
enum Local {
    No,
    Said(Said),
    /// It may have been taken back with a savepoint: nobody is known until it is said again.
    Lost,
}

static NOTHING: Said = Said::nothing();

impl Own {
    pub(super) fn new(start: Said) -> Self {
        Self { session: start.clone(), start, local: Local::No, pending: None }
    }

    pub(super) fn now(&self) -> &Said {
        match &self.local {
            Local::No => &self.session,
            Local::Said(said) => said,
            Local::Lost => &NOTHING,
        }
    }

    /// Whether a statement's end may change what holds after it.
    fn moved_by(&self, statement: &Statement) -> bool {
        let ends = matches!(statement.command, Command::Commit | Command::Rollback | Command::RollbackTo);
        statement.effects.resets_own || (ends && !matches!(self.local, Local::No))
    }

    /// The processor has carried a statement out.
    pub(super) fn note(&mut self, statement: &Statement) {
        if statement.effects.resets_own {
            self.session = self.start.clone();
            self.local = Local::No;
        }
        if matches!(statement.command, Command::Commit | Command::Rollback) {
            self.local = Local::No;
        } else if statement.command == Command::RollbackTo && !matches!(self.local, Local::No) {
            self.local = Local::Lost;
        }
    }

    /// Nothing of what was sent last will happen.
    pub(super) fn fail(&mut self) {
        self.pending = None;
    }

    /// All that was sent is answered; the status is that of ReadyForQuery.
    pub(super) fn ready(&mut self, status: u8) {
        match self.pending.take().filter(|_| status != b'E') {
            Some((said, true)) => self.local = Local::Said(said),
            Some((said, false)) => self.session = said,
            None => {}
        }
        if status == b'I' {
            self.local = Local::No;
        }
    }
}

impl Session {
    /// Before a message that may run something: for whom it runs must be certain.
    pub(super) fn own_settled(&self, tag: u8) -> Result<(), Stall> {
        if !matches!(tag, b'Q' | b'P' | b'B' | b'E') {
            return Ok(());
        }
        if self.own.pending.is_some() {
            return match (self.batch_open, tag) {
                (false, _) => Err(Stall::Name),
                (true, b'Q' | b'E') => Err(alone().into()),
                (true, _) => Ok(()),
            };
        }
        if !self.batch_open && self.own_moves() {
            return Err(Stall::Name);
        }
        Ok(())
    }

    fn own_moves(&self) -> bool {
        let mut under_way = self.expects.iter().flat_map(Expect::runs).filter_map(|run| run.statement.as_deref());
        under_way.any(|statement| self.own.moved_by(statement))
    }

    /// Refuses a statement with protected columns behind one of the same batch that changes for whom it would run.
    pub(super) fn own_still_holds(&self) -> Result<(), Refusal> {
        if self.own_moves() { Err(behind()) } else { Ok(()) }
    }

    /// The same within one text.
    pub(super) fn own_holds_throughout(&self, planned: &[std::sync::Arc<Statement>]) -> Result<(), Refusal> {
        let mut moved = false;
        for statement in planned {
            if planned.len() > 1 && statement.effects.own.is_some() {
                return Err(alone());
            }
            if moved && !statement.uses().is_empty() {
                return Err(behind());
            }
            moved |= self.own.moved_by(statement);
        }
        Ok(())
    }

    /// Takes a setting in, once the processor has confirmed what is sent in its place.
    pub(super) fn change_own(&mut self, statement: &Statement) -> Result<(), Stall> {
        let Some(own) = &statement.effects.own else { return Ok(()) };
        let batch =
            self.expects.iter().rev().take_while(|expect| !matches!(expect, Expect::Sync | Expect::Query { .. }));
        let (mut before, mut begins) = (0, false);
        for expect in batch {
            // Drivers send BEGIN together with a transaction's first statement.
            let begin =
                expect.runs().any(|run| run.statement.as_ref().is_some_and(|one| one.command == Command::Begin));
            begins |= begin;
            if !begin && matches!(expect, Expect::Execute(_) | Expect::Refused(..)) {
                return Err(alone().into());
            }
            before += 1;
        }
        if self.expects.len() > before {
            return Err(Stall::Name);
        }
        match (own.local, if begins && self.status == b'I' { b'T' } else { self.status }) {
            (true, b'I') => return Err(no_block().into()),
            (false, b'T') => return Err(in_block().into()),
            // The processor says what is wrong.
            (_, b'E') => return Ok(()),
            _ => {}
        }
        let mut said = if own.local { self.own.now().clone() } else { self.own.session.clone() };
        let state = self.shared.follower.state();
        match self.shared.end_users.hear(&mut said, own.name, own.value.as_deref(), &state) {
            Ok(()) => {}
            Err(Unheard::LookAgain(issuer)) => return Err(Stall::Issuer(issuer)),
            Err(Unheard::Refused(refusal)) => {
                self.leave_trace_of_refusal(&refusal);
                return Err(Stall::Refused(refusal));
            }
        }
        self.own.pending = Some((said, own.local));
        Ok(())
    }
}

/// The gateway's own settings in a start-up packet, taken out of it.
pub(crate) fn own_settings(settings: &mut Vec<(String, String)>) -> Result<Vec<(sql::OwnName, String)>, Refusal> {
    let mut found = Vec::new();
    let mut take = |settings: &mut Vec<(String, String)>| {
        let mut unknown = None;
        settings.retain(|(name, value)| match sql::OwnName::read(&name.to_ascii_lowercase()) {
            Some(Some(own)) => {
                found.push((own, value.clone()));
                false
            }
            Some(None) => {
                unknown = Some(name.clone());
                false
            }
            None => true,
        });
        unknown.map_or(Ok(()), |name| {
            Err(Refusal::new("42704", format!("unrecognized configuration parameter \"{name}\""))
                .hint("There are drieslot.end_user, drieslot.user_token and drieslot.purpose."))
        })
    };
    take(settings)?;
    for (_, value) in settings.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("options")) {
        let Some(mut inner) = crate::options::read(value) else { continue };
        let all = inner.len();
        take(&mut inner)?;
        if inner.len() < all {
            *value = crate::options::write(&inner);
        }
    }
    Ok(found)
}

fn alone() -> Refusal {
    Refusal::new("0A000", "a setting of Drieslot is set by itself: no other statement may be sent with it")
        .hint("Send SET drieslot.… as a message of its own, and Sync before the next statement.")
}

fn behind() -> Refusal {
    Refusal::new("0A000", "the end user or purpose may have changed within this batch or text")
        .hint("Send COMMIT, ROLLBACK, RESET ALL and DISCARD ALL by themselves where drieslot settings are used.")
}

fn no_block() -> Refusal {
    Refusal::new("25P01", "SET LOCAL of a setting of Drieslot can only be used in transaction blocks")
        .hint("BEGIN before it, or SET it for the session.")
}

fn in_block() -> Refusal {
    Refusal::new("25001", "SET of a setting of Drieslot cannot run inside a transaction block")
        .hint("Use SET LOCAL, or SET before BEGIN.")
}
