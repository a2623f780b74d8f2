//! The epochs of each domain's key: which one new cells are sealed in, and which other one may still be opened.

use std::collections::BTreeMap;

use drieslot_schema::{Classification, Domain, Protected, Protection};

use crate::Refusal;
use crate::statement::{Retirement, Rotation};

/// The first epoch of every domain.
pub const FIRST_EPOCH: u16 = 1;

/// A rotation that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRotation {
    /// The rotation's id.
    pub id: String,
    /// The gateway that brings the cells over.
    pub worker: String,
    /// The epoch that is to be left.
    pub from: u16,
    /// The epoch after it.
    pub to: u16,
}

/// What a domain's cells may be sealed with now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochsInUse {
    /// New cells.
    pub current: u16,
    /// While a rotation is open: cells that are not brought over yet, or that others have sealed ahead of us.
    pub other: Option<u16>,
}

impl EpochsInUse {
    /// Whether cells of this epoch may be opened.
    pub fn contains(self, epoch: u16) -> bool {
        epoch == self.current || Some(epoch) == self.other
    }
}

#[derive(Clone, Debug)]
struct DomainEpochs {
    /// The newest that is alone, or was before the rotation that is open.
    settled: u16,
    open: Option<OpenRotation>,
}

/// Of all domains that were ever rotated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epochs {
    by_domain: BTreeMap<Domain, DomainEpochs>,
    /// How many rotations were opened or ended.
    changes: u64,
}

/// Whether cells of a column can be of two epochs at a time: those that the processor compares or searches cannot.
pub fn is_moved_singly(column: &Protected) -> bool {
    column.protection == Protection::Sealed && !column.search
}

fn contradicts<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal::Contradicts(why))
}

impl Epochs {
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn open(&self, domain: &Domain) -> Option<&OpenRotation> {
        self.by_domain.get(domain)?.open.as_ref()
    }

    pub(crate) fn any_open(&self) -> bool {
        self.by_domain.values().any(|epochs| epochs.open.is_some())
    }

    fn settled(&self, domain: &Domain) -> u16 {
        self.by_domain.get(domain).map_or(FIRST_EPOCH, |epochs| epochs.settled)
    }

    /// Nothing is sealed in a new epoch before its key is known to be right: `checked` says whether it is.
    pub(crate) fn in_use(&self, domain: &Domain, checked: impl Fn(u16) -> bool) -> EpochsInUse {
        match self.open(domain) {
            None => EpochsInUse { current: self.settled(domain), other: None },
            Some(open) if checked(open.to) => EpochsInUse { current: open.to, other: Some(open.from) },
            Some(open) => EpochsInUse { current: open.from, other: Some(open.to) },
        }
    }

    /// Whether a rotation may take effect over these columns.
    pub(crate) fn admit(&self, rotation: &Rotation, columns: &[(&str, &Protected)]) -> Result<(), Refusal> {
        for wanted in &rotation.domain {
            let domain = Domain(wanted.name.clone());
            if let Some(open) = self.open(&domain) {
                return contradicts(format!("rotation `{}` of domain `{domain}` is not ended yet", open.id));
            }
            let next = self.settled(&domain).checked_add(1);
            if next != Some(wanted.epoch) {
                let current = self.settled(&domain);
                return contradicts(format!(
                    "domain `{domain}` is in epoch {current}: a rotation opens the one after it"
                ));
            }
            let own: Vec<_> = columns.iter().filter(|(_, column)| column.domain == domain).collect();
            let Some((first, _)) = own.first() else {
                return contradicts(format!("no classification in force has a domain `{domain}`"));
            };
            let compared = own.iter().find(|(_, column)| !is_moved_singly(column));
            if let (Some((_, column)), true) = (compared, own.iter().any(|(database, _)| database != first)) {
                return contradicts(format!(
                    "column {} of domain `{domain}` is compared or searched by the processor, so that all cells of the \
                     domain must be exchanged in one transaction, and its columns are in several databases",
                    column.id
                ));
            }
        }
        Ok(())
    }

    /// Whether a retirement may take effect.
    pub(crate) fn admit_end(&self, end: &Retirement, checked: impl Fn(&Domain, u16) -> bool) -> Result<(), Refusal> {
        for ended in &end.domain {
            let domain = Domain(ended.name.clone());
            match self.open(&domain) {
                Some(open) if open.from != ended.epoch => {
                    return contradicts(format!("the rotation of domain `{domain}` leaves epoch {}", open.from));
                }
                Some(open) if !checked(&domain, open.to) => {
                    return contradicts(format!("nothing of domain `{domain}` was ever sealed in epoch {}", open.to));
                }
                Some(_) => {}
                None => return contradicts(format!("no rotation of domain `{domain}` is open")),
            }
        }
        Ok(())
    }

    /// While a domain is rotated its columns stay as they are: the worker must know all of them.
    pub(crate) fn admit_columns(&self, old: Option<&Classification>, new: &Classification) -> Result<(), Refusal> {
        let rotated = |classification: &Classification| -> Vec<Protected> {
            classification.protected().filter(|column| self.open(&column.domain).is_some()).cloned().collect()
        };
        let (before, after) = (old.map(rotated).unwrap_or_default(), rotated(new));
        let changed = before.iter().find(|column| !after.contains(column));
        match changed.or_else(|| after.iter().find(|column| !before.contains(column))) {
            None => Ok(()),
            Some(column) => contradicts(format!(
                "column {} is of domain `{}`, whose rotation is not ended yet: its columns cannot change until then",
                column.id, column.domain
            )),
        }
    }

    pub(crate) fn start(&mut self, rotation: &Rotation) {
        for wanted in &rotation.domain {
            let domain = Domain(wanted.name.clone());
            let from = self.settled(&domain);
            let (id, worker) = (rotation.id.clone(), rotation.worker.clone());
            let open = Some(OpenRotation { id, worker, from, to: wanted.epoch });
            self.by_domain.insert(domain, DomainEpochs { settled: from, open });
        }
        self.changes += 1;
    }

    pub(crate) fn end(&mut self, retirement: &Retirement) {
        for ended in &retirement.domain {
            if let Some(epochs) = self.by_domain.get_mut(&Domain(ended.name.clone()))
                && let Some(open) = epochs.open.take()
            {
                epochs.settled = open.to;
            }
        }
        self.changes += 1;
    }
}
