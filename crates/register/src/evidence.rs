//! What a dossier reads of the register: approvals, attestations, legal orders, incidents and exits in force.
//!
//! Whether they are still valid at a moment, and what follows from them, is for their reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::record::{Rule, Whom};
use crate::statement::{
    Approval, Attestation, Charter, Exit, Incident, Kind, Mandate, Order, OrderStage, Quorum, Statement,
};

type InForce<T> = BTreeMap<String, Arc<T>>;

/// All that is in force, also what is no longer valid.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    approvals: InForce<Approval>,
    attestations: InForce<Attestation>,
    orders: InForce<Order>,
    incidents: InForce<Incident>,
    exits: InForce<Exit>,
}

impl Evidence {
    /// The head's decisions.
    pub fn approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.values().map(Arc::as_ref)
    }

    /// Of criteria; there may be several of one.
    pub fn attestations(&self) -> impl Iterator<Item = &Attestation> {
        self.attestations.values().map(Arc::as_ref)
    }

    /// Each by its last step.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().map(Arc::as_ref)
    }

    /// Each by its last step.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().map(Arc::as_ref)
    }

    /// Reports.
    pub fn exits(&self) -> impl Iterator<Item = &Exit> {
        self.exits.values().map(Arc::as_ref)
    }

    pub(crate) fn admit_approval(&self, new: &Approval) -> Result<Rule, String> {
        replaced(&self.approvals, Kind::Approval, new.replaces.as_ref())?;
        Ok(Rule::One(Whom::Head))
    }

    pub(crate) fn admit_attestation(&self, charter: &Charter, new: &Attestation) -> Result<Rule, String> {
        if !charter.person.iter().any(|person| person.name == new.who) {
            return Err(format!("`{}` is no person of the charter as it is now", new.who));
        }
        if let Some(old) = replaced(&self.attestations, Kind::Attestation, new.replaces.as_ref())? {
            if !new.same_subject(old) {
                return Err(format!("attestation `{}` is of another criterion, application or processor", old.id));
            }
            // Otherwise anybody could put their own word in the place of another's.
            if new.who != old.who && new.who != charter.head {
                return Err(format!("attestation `{}` is of {}: they replace it, or the head", old.id, old.who));
            }
        }
        Ok(Rule::One(Whom::Named(new.who.clone())))
    }

    pub(crate) fn admit_order(&self, new: &Order, is_mandate: impl Fn(&str) -> bool) -> Result<Rule, String> {
        if let Some(old) = replaced(&self.orders, Kind::Order, new.replaces.as_ref())? {
            new.follows(old)?;
        }
        match (new.stage, &new.mandate) {
            (OrderStage::Granted, Some(id)) if !is_mandate(id) => Err(format!("there is no mandate `{id}` in force")),
            (OrderStage::Received, _) if new.replaces.is_none() => Ok(Rule::One(Whom::Anyone)),
            (
                OrderStage::Received
                | OrderStage::Granted
                | OrderStage::Delivered
                | OrderStage::Refused
                | OrderStage::CannotDeliver
                | OrderStage::Withdrawn,
                _,
            ) => Ok(Rule::One(Whom::Head)),
        }
    }

    /// Looks under a mandate are kept secret only for an order that is under way, and no longer than it says.
    pub(crate) fn admit_secrecy(&self, mandate: &Mandate) -> Result<(), String> {
        let (Some(id), Some(until)) = (&mandate.order, mandate.disclose_after) else { return Ok(()) };
        let order = self.orders.get(id).ok_or_else(|| format!("`{id}` is no step of an order in force"))?;
        if !matches!(order.stage, OrderStage::Received | OrderStage::Granted) {
            return Err(format!("order `{id}` is over: nothing is looked at for it any more"));
        }
        match order.secret_until {
            Some(secret) if until <= secret => Ok(()),
            Some(secret) => Err(format!("disclose_after is later than order `{id}` keeps it secret: {secret}")),
            None => Err(format!("order `{id}` says nothing of secrecy: leave order and disclose_after out")),
        }
    }

    pub(crate) fn admit_incident(&self, new: &Incident) -> Result<Rule, String> {
        if let Some(old) = replaced(&self.incidents, Kind::Incident, new.replaces.as_ref())? {
            new.follows(old)?;
        }
        Ok(Rule::One(if new.closed.is_some() { Whom::HeadOrDataProtection } else { Whom::Anyone }))
    }

    pub(crate) fn admit_exit(&self, new: &Exit, quorum: Quorum) -> Result<Rule, String> {
        if let Some(old) = replaced(&self.exits, Kind::Exit, new.replaces.as_ref())?
            && (new.event, &new.from, &new.to) != (old.event, &old.from, &old.to)
        {
            return Err(format!("exit `{}` was another: `event`, `from` and `to` stay as they were", old.id));
        }
        Ok(Rule::structure_and_keys(quorum))
    }

    /// Puts a statement in the place of the one that it replaces, and gives that one's id.
    pub(crate) fn enact(&mut self, statement: &Statement) -> Option<String> {
        match statement {
            Statement::Approval(new) => put(&mut self.approvals, &new.id, new.replaces.as_ref(), new),
            Statement::Attestation(new) => put(&mut self.attestations, &new.id, new.replaces.as_ref(), new),
            Statement::Order(new) => put(&mut self.orders, &new.id, new.replaces.as_ref(), new),
            Statement::Incident(new) => put(&mut self.incidents, &new.id, new.replaces.as_ref(), new),
            Statement::Exit(new) => put(&mut self.exits, &new.id, new.replaces.as_ref(), new),
            Statement::Charter(_)
            | Statement::Classification(_)
            | Statement::Mandate(_)
            | Statement::Revocation(_)
            | Statement::KeyCheck(_)
            | Statement::KeyPolicy(_)
            | Statement::Rotation(_)
            | Statement::Retirement(_)
            | Statement::Officers(_)
            | Statement::Denial(_) => None,
        }
    }
}

fn replaced<'a, T>(all: &'a InForce<T>, kind: Kind, id: Option<&String>) -> Result<Option<&'a T>, String> {
    let Some(id) = id else { return Ok(None) };
    let old = all.get(id).ok_or_else(|| format!("it replaces `{id}`, which is no {kind} in force"))?;
    Ok(Some(old))
}

fn put<T: Clone>(all: &mut InForce<T>, id: &str, replaces: Option<&String>, new: &T) -> Option<String> {
    all.insert(id.to_owned(), Arc::new(new.clone()));
    replaces.filter(|old| all.remove(*old).is_some()).cloned()
}
