//! Who may have the key of which domain.

use drieslot_link::Fingerprint;
use drieslot_schema::Domain;
use jiff::Timestamp;

use crate::mandates::why_not;
use crate::{DomainDenied, Part, State, Use};

impl State {
    /// May this part have the key of `domain` in `epoch` now? A gateway may by a mandate or a rotation; the key of
    /// pseudonyms both gateways and usage servers have while a classification in force names a subject.
    ///
    /// # Errors
    /// [`DomainDenied`].
    pub fn domain_use(
        &self,
        domain: &Domain,
        epoch: u16,
        asker: &Fingerprint,
        now: Timestamp,
    ) -> Result<Use, DomainDenied> {
        let deny = |why: String| Err(DomainDenied { domain: domain.clone(), why });
        if let Some(why) = self.closed_why() {
            return deny(why.to_owned());
        }
        let of_subjects = *domain == Domain::subjects();
        let name = match self.part(asker) {
            Some(Part::Gateway { name }) => name,
            Some(Part::Usage { name }) if of_subjects => name,
            Some(Part::Usage { name }) => {
                return deny(format!("`{name}` of the charter gets the key of subjects and no column's"));
            }
            Some(Part::Custodian { .. } | Part::Register) | None => {
                return deny(format!("the TLS key {asker} belongs to no gateway of the charter"));
            }
        };
        if !self.epochs_in_use(domain).contains(epoch) {
            return deny(match epoch < self.current_epoch(domain) {
                true => format!("epoch {epoch} is retired"),
                false => format!("epoch {epoch} is not in use"),
            });
        }
        if of_subjects {
            return match self.names_a_subject() {
                Some(id) => Ok(Use { mandate: format!("classification {id}"), valid_until: Timestamp::MAX }),
                None => deny("no classification in force names a table's subject".into()),
            };
        }
        let valid = self.mandates.of_domain(domain).filter(|one| one.holds(now));
        match valid.max_by_key(|one| one.mandate.valid_until) {
            Some(one) => Ok(Use { mandate: one.mandate.id.clone(), valid_until: one.mandate.valid_until }),
            None => match self.open_rotation(domain).filter(|open| open.worker == name) {
                Some(open) => Ok(Use { mandate: format!("rotation {}", open.id), valid_until: Timestamp::MAX }),
                None => deny(why_not(self.mandates.of_domain(domain), now)),
            },
        }
    }

    /// The first classification in force that names a table's subject.
    pub(crate) fn names_a_subject(&self) -> Option<&str> {
        let mut all = self.classifications.values();
        all.find(|(_, words)| words.subjects().next().is_some()).map(|(id, _)| id.as_str())
    }
}
