//! The mandates in force, arranged for the question that every SQL statement asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drieslot_schema::{Classification, ColumnId, Domain, Mask};
use jiff::Timestamp;

use crate::statement::{EndUserClaim, EndUserDemand, Mandate, table_id};
use crate::{Asker, Denied, EndUser, Operation, Permit};

impl Mandate {
    /// Each operation on each column that it grants; one may come twice.
    pub fn rights(&self) -> impl Iterator<Item = (ColumnId, Operation)> {
        self.grant.iter().filter_map(|grant| Some((grant, table_id(&grant.table).ok()?))).flat_map(|(grant, table)| {
            let id = move |column: &String| ColumnId { table: table.clone(), column: column.clone() };
            let columns = grant.columns.iter().map(id);
            columns.flat_map(|id| grant.operations.iter().map(move |operation| (id.clone(), *operation)))
        })
    }

    pub(crate) fn gives(&self, (column, operation): &(ColumnId, Operation)) -> bool {
        self.grant.iter().any(|grant| {
            grant.operations.contains(operation)
                && grant.columns.contains(&column.column)
                && table_id(&grant.table).is_ok_and(|table| table == column.table)
        })
    }
}

/// One mandate in force; its time may not have come, or be over.
#[derive(Debug)]
pub(crate) struct ActiveMandate {
    pub(crate) mandate: Mandate,
    grants: BTreeMap<ColumnId, BTreeSet<Operation>>,
    /// Of the columns that are read masked. Of several masks the first counts.
    masks: BTreeMap<ColumnId, Mask>,
}

impl ActiveMandate {
    pub(crate) fn new(mandate: Mandate) -> Self {
        let mut grants: BTreeMap<ColumnId, BTreeSet<Operation>> = BTreeMap::new();
        let mut masks = BTreeMap::new();
        for grant in &mandate.grant {
            let Ok(table) = table_id(&grant.table) else { continue };
            for column in &grant.columns {
                let id = ColumnId { table: table.clone(), column: column.clone() };
                if let Some(mask) = grant.shown().ok().flatten() {
                    masks.entry(id.clone()).or_insert(mask);
                }
                grants.entry(id).or_default().extend(&grant.operations);
            }
        }
        Self { mandate, grants, masks }
    }

    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.mandate.valid_from <= now && now < self.mandate.valid_until
    }

    /// Why this mandate, though valid, is of no use to who asks, whatever the columns.
    fn misfit(&self, asker: &Asker<'_>, now: Timestamp) -> Option<String> {
        let Mandate { id, purpose, hours, end_user, end_user_claim, .. } = &self.mandate;
        if !hours.is_empty() && !hours.iter().any(|hours| hours.holds(now)) {
            let all: Vec<_> = hours.iter().map(ToString::to_string).collect();
            return Some(format!("mandate `{id}` grants it only on {}", all.join("; on ")));
        }
        if let Some(chosen) = asker.purpose.filter(|chosen| chosen != purpose) {
            return Some(format!("mandate `{id}` is for {purpose}, and drieslot.purpose is {chosen}"));
        }
        match (end_user, &asker.end_user) {
            (EndUserDemand::None, _) | (EndUserDemand::Asserted, Some(_)) => None,
            (EndUserDemand::Asserted, None) => {
                Some(format!("mandate `{id}` demands an end user: SET drieslot.end_user or drieslot.user_token"))
            }
            (EndUserDemand::Verified, Some(EndUser::Verified { issuer, claims })) => {
                let has = |wanted: &EndUserClaim| {
                    let values = claims.get(&wanted.claim).map(Vec::as_slice).unwrap_or_default();
                    wanted.issuer == *issuer && values.iter().any(|value| wanted.values.contains(value))
                };
                let fits = end_user_claim.is_empty() || end_user_claim.iter().any(has);
                (!fits).then(|| format!("mandate `{id}` is for end users with other claims than this one's"))
            }
            (EndUserDemand::Verified, Some(EndUser::Asserted) | None) => {
                Some(format!("mandate `{id}` demands a verified end user: SET drieslot.user_token"))
            }
        }
    }

    /// The same, where a masked value will do for one that is read.
    fn grants_masked(&self, used: &(ColumnId, Operation)) -> bool {
        let masked = || {
            self.grants.get(&used.0).is_some_and(|granted| {
                granted.contains(&Operation::ReadMasked) || granted.contains(&Operation::ReadToken)
            })
        };
        self.grants(used) || (used.1 == Operation::Read && self.masks.contains_key(&used.0) && masked())
    }

    fn grants(&self, (column, operation): &(ColumnId, Operation)) -> bool {
        self.grants.get(column).is_some_and(|operations| operations.contains(operation))
    }
}

/// The mandates in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mandates {
    by_id: BTreeMap<String, Arc<ActiveMandate>>,
    by_principal: BTreeMap<String, Vec<Arc<ActiveMandate>>>,
    /// By database, in the order in which they took effect.
    by_column: BTreeMap<String, BTreeMap<ColumnId, Vec<Arc<ActiveMandate>>>>,
    /// Each domain's protected columns with their databases; see [`Mandates::arrange`].
    domains: BTreeMap<Domain, Vec<(String, ColumnId)>>,
}

impl Mandates {
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<ActiveMandate>> {
        self.by_id.get(id)
    }

    /// Ids, and what each is for.
    pub(crate) fn purposes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_id.values().map(|one| (one.mandate.id.as_str(), one.mandate.purpose.as_str()))
    }

    pub(crate) fn insert(&mut self, mandate: Mandate) {
        let active = Arc::new(ActiveMandate::new(mandate));
        self.by_principal.entry(active.mandate.principal.clone()).or_default().push(Arc::clone(&active));
        let columns = self.by_column.entry(active.mandate.database.clone()).or_default();
        for column in active.grants.keys() {
            columns.entry(column.clone()).or_default().push(Arc::clone(&active));
        }
        self.by_id.insert(active.mandate.id.clone(), active);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        let Some(gone) = self.by_id.remove(id) else { return };
        if let Some(list) = self.by_principal.get_mut(&gone.mandate.principal) {
            list.retain(|one| one.mandate.id != id);
        }
        let Some(columns) = self.by_column.get_mut(&gone.mandate.database) else { return };
        for column in gone.grants.keys() {
            if let Some(list) = columns.get_mut(column) {
                list.retain(|one| one.mandate.id != id);
            }
        }
    }

    /// Notes which columns a domain has: its own, and those of tables whose subject is of it, for whoever reads them must
    /// be able to say whom the rows are about. That takes as long for ten thousand mandates as for one, for it is done at every
    /// statement that takes effect.
    pub(crate) fn arrange<'a>(&mut self, classifications: impl Iterator<Item = &'a Classification>) {
        self.domains.clear();
        for classification in classifications {
            for protected in classification.protected() {
                let column = (classification.database().to_owned(), protected.id.clone());
                self.domains.entry(protected.domain.clone()).or_default().push(column);
            }
            for (table, subject) in classification.subjects() {
                let protected = table.columns.values().filter_map(|column| column.protected.as_ref());
                let others = protected.clone().filter(|other| other.domain != subject.realm);
                let columns = others.map(|other| (classification.database().to_owned(), other.id.clone()));
                if protected.clone().any(|one| one.id.column == subject.column) {
                    self.domains.entry(subject.realm.clone()).or_default().extend(columns);
                }
            }
        }
    }

    pub(crate) fn of_principal<'a>(&'a self, principal: &str) -> impl Iterator<Item = &'a ActiveMandate> + use<'a> {
        self.by_principal.get(principal).into_iter().flatten().map(Arc::as_ref)
    }

    /// One that grants several columns of the domain comes several times.
    pub(crate) fn of_domain<'a>(&'a self, domain: &Domain) -> impl Iterator<Item = &'a ActiveMandate> + use<'a> {
        let columns = self.domains.get(domain).into_iter().flatten();
        let mandates = columns.filter_map(|(database, column)| self.by_column.get(database)?.get(column));
        mandates.flatten().map(Arc::as_ref)
    }

    /// One mandate that covers all uses, else several of one purpose that do together.
    pub(crate) fn permit(
        &self,
        asker: &Asker<'_>,
        now: Timestamp,
        uses: &[(ColumnId, Operation)],
    ) -> Result<Permit, Box<Denied>> {
        let here = || self.of_principal(asker.principal).filter(|one| one.mandate.database == asker.database);
        let valid: Vec<_> = here().filter(|one| one.holds(now) && one.misfit(asker, now).is_none()).collect();
        let purposes: BTreeSet<_> = valid.iter().map(|one| one.mandate.purpose.as_str()).collect();
        // Whole values where that is granted; else what masks leave of some.
        for granted in [ActiveMandate::grants, ActiveMandate::grants_masked] {
            let single = valid.iter().find(|one| uses.iter().all(|used| granted(one, used)));
            if let Some(one) = single {
                return Ok(permit_of(&vec![*one; uses.len()], uses));
            }
            for purpose in &purposes {
                let same = || valid.iter().copied().filter(|one| one.mandate.purpose == **purpose);
                let cover =
                    |used| same().find(|one| one.grants(used)).or_else(|| same().find(|one| granted(one, used)));
                let covering: Option<Vec<_>> = uses.iter().map(cover).collect();
                if let Some(covering) = covering {
                    return Ok(permit_of(&covering, uses));
                }
            }
        }
        let uncovered = uses.iter().find(|used| !valid.iter().any(|one| one.grants_masked(used)));
        let Some(used) = uncovered.or(uses.first()) else {
            return Ok(permit_of(&[], &[]));
        };
        let why = match uncovered {
            Some(used) => {
                let granting = || here().filter(|one| one.grants_masked(used));
                let misfit = granting().filter(|one| one.holds(now)).find_map(|one| one.misfit(asker, now));
                misfit.unwrap_or_else(|| why_not(granting(), now))
            }
            None => {
                let purposes: Vec<_> = purposes.into_iter().collect();
                let list = purposes.join(", ");
                format!("its columns are granted for different purposes ({list}), and a statement serves one")
            }
        };
        let (column, operation) = used.clone();
        Err(Box::new(Denied { principal: asker.principal.into(), column, operation, why }))
    }
}

/// `mandates`: for each of the uses the one that covers it.
fn permit_of(mandates: &[&ActiveMandate], uses: &[(ColumnId, Operation)]) -> Permit {
    let reads = mandates.iter().zip(uses).filter(|(one, used)| used.1 == Operation::Read && !one.grants(used));
    let ids: BTreeSet<_> = mandates.iter().map(|one| one.mandate.id.clone()).collect();
    Permit {
        mandates: ids.into_iter().collect(),
        purpose: mandates.first().map(|one| one.mandate.purpose.clone()).unwrap_or_default(),
        masks: reads.filter_map(|(one, (column, _))| Some((column.clone(), *one.masks.get(column)?))).collect(),
        rows_per_statement: mandates.iter().filter_map(|one| one.mandate.rows_per_statement).min(),
        valid_until: mandates.iter().map(|one| one.mandate.valid_until).min().unwrap_or(Timestamp::MAX),
    }
}

/// Why none of these mandates helps now.
pub(crate) fn why_not<'a>(mandates: impl Iterator<Item = &'a ActiveMandate>, now: Timestamp) -> String {
    let mut nearest = "no mandate grants it".to_owned();
    for one in mandates {
        let (id, from, until) = (&one.mandate.id, one.mandate.valid_from, one.mandate.valid_until);
        nearest = match now < from {
            true => format!("mandate `{id}` grants it only from {from}"),
            false => format!("mandate `{id}` granted it until {until}"),
        };
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mandate(n: usize) -> Mandate {
        let grant = crate::statement::Grant {
            table: "public.people".into(),
            columns: vec![format!("c{}", n % 3)],
            operations: vec![Operation::Read],
            mask: None,
        };
        Mandate {
            tenant: "t".into(),
            id: format!("m{n}"),
            issued: Timestamp::UNIX_EPOCH,
            replaces: None,
            principal: format!("app{}", n % 100),
            database: "civic".into(),
            purpose: "p".into(),
            legal_basis: "b".into(),
            valid_from: Timestamp::UNIX_EPOCH,
            valid_until: Timestamp::MAX,
            rows_per_statement: None,
            requester: None,
            hours: Vec::new(),
            end_user: EndUserDemand::None,
            end_user_claim: Vec::new(),
            order: None,
            disclose_after: None,
            grant: vec![grant],
        }
    }

    /// What one more mandate adds, and what is arranged at every statement, must not grow with how many there are.
    #[test]
    fn what_is_kept_grows_by_the_same_for_the_first_mandate_and_the_last() {
        let text = "kind = \"classification\"\ntenant = \"t\"\nid = \"c\"\nissued = \"2026-01-01T00:00:00Z\"\n\
                    database = \"civic\"\n[[table]]\nname = \"people\"\ncolumn = [{ name = \"c0\", class = 3, \
                    protection = \"sealed\", type = \"text\" }, { name = \"c1\", class = 3, protection = \"sealed\", type = \"text\" }]";
        let Ok(crate::statement::Statement::Classification(one)) = crate::statement::Statement::parse(text) else {
            panic!("{text}");
        };
        let words = one.to_schema().unwrap();
        let mut all = Mandates::default();
        let kept = |all: &Mandates| {
            let columns = all.by_column.values().flat_map(BTreeMap::values).map(Vec::len).sum::<usize>();
            let arranged = all.domains.values().map(Vec::len).sum::<usize>();
            (columns + all.by_id.len() + all.by_principal.values().map(Vec::len).sum::<usize>(), arranged)
        };
        for n in 0..10_000 {
            all.insert(mandate(n));
            all.arrange(std::iter::once(&words));
            assert_eq!(kept(&all), (3 * (n + 1), 2), "after {} mandates", n + 1);
        }
        let domain = words.protected().next().unwrap().domain.clone();
        assert_eq!(all.of_domain(&domain).count(), 3_334);
        for n in 0..10_000 {
            all.remove(&format!("m{n}"));
        }
        assert_eq!(kept(&all), (0, 2));
        assert_eq!(all.of_domain(&domain).count(), 0);
    }
}
