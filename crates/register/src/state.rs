//! The fold: what holds after some entries of the register. Same entries, same state, on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drieslot_link::Fingerprint;
use drieslot_schema as schema;
use drieslot_schema::{ColumnId, Domain};
use drieslot_witness::Policy;
use jiff::Timestamp;
use ssh_key::public::KeyData;

use crate::Refusal;
use crate::entry::{Entry, SignatureEntry};
use crate::epochs::{Epochs, EpochsInUse, OpenRotation};
use crate::evidence::Evidence;
use crate::loosening::loosened;
use crate::mandates::Mandates;
use crate::officers::{changed, taken_away};
use crate::permit::{Asker, Denied, Operation, Part, Permit};
use crate::record::{Effect, Record, Rule, Signer, Status};
use crate::signature::signing_key;
use crate::statement::{
    Charter, Classification, Denial, Hex32, KeyCheck, KeyPolicy, Kind, Mandate, Retirement, Rotation, Statement,
};
use crate::succession::{self, Succession};

/// Most tables of statements are small; a state of 10,000 statements is cloned in milliseconds.
#[derive(Clone, Debug)]
pub struct State {
    pin: Hex32,
    revision: u64,
    /// Why nothing is allowed any more.
    closed: Option<Arc<str>>,
    /// In force, with the officers as they are now.
    charter: Option<Arc<Charter>>,
    /// Officers' keys that were taken away.
    former_keys: BTreeSet<KeyData>,
    /// In the order of the register.
    records: Vec<Arc<Record>>,
    by_sha256: BTreeMap<Hex32, usize>,
    by_id: BTreeMap<(Kind, String), usize>,
    /// In force, by database: id and words.
    pub(crate) classifications: BTreeMap<String, (String, Arc<schema::Classification>)>,
    /// In force.
    pub(crate) mandates: Mandates,
    /// In force.
    key_checks: BTreeMap<(Domain, u16), Arc<KeyCheck>>,
    epochs: Epochs,
    /// In force.
    key_policy: Option<Arc<KeyPolicy>>,
    /// In force.
    evidence: Evidence,
}

fn contradicts<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Contradicts(why.into()))
}

impl State {
    /// Before any entry; `charter_sha256` is the pin.
    pub fn new(charter_sha256: Hex32) -> Self {
        Self {
            pin: charter_sha256,
            revision: 0,
            closed: None,
            charter: None,
            former_keys: BTreeSet::new(),
            records: Vec::new(),
            by_sha256: BTreeMap::new(),
            by_id: BTreeMap::new(),
            classifications: BTreeMap::new(),
            mandates: Mandates::default(),
            key_checks: BTreeMap::new(),
            epochs: Epochs::default(),
            key_policy: None,
            evidence: Evidence::default(),
        }
    }

    /// The same state, but nothing is allowed any more: every question is denied with this reason.
    #[must_use]
    pub fn closed(&self, why: &str) -> Self {
        Self { closed: Some(why.into()), revision: self.revision, ..Self::new(self.pin) }
    }

    /// Why nothing is allowed any more.
    pub fn closed_why(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// Applies the next entry. On an error the state is as before, and the entry must not be in the register: a
    /// server does not append it, a follower who meets it closes.
    ///
    /// # Errors
    /// Any [`Refusal`].
    pub fn apply(&mut self, index: u64, bytes: &[u8]) -> Result<Effect, Refusal> {
        if index != self.revision {
            return Err(Refusal::OutOfOrder { found: index, expected: self.revision });
        }
        if let Some(why) = &self.closed {
            return Err(Refusal::Closed(why.to_string()));
        }
        let effect = match Entry::decode(bytes)? {
            Entry::Statement(text) => self.record(index, &text)?,
            Entry::Signature(signature) => self.sign(&signature)?,
        };
        self.revision += 1;
        Ok(effect)
    }

    fn record(&mut self, index: u64, text: &str) -> Result<Effect, Refusal> {
        let sha256 = Hex32::sha256(text);
        if self.by_sha256.contains_key(&sha256) {
            return Err(Refusal::Known("this statement".into()));
        }
        if self.records.is_empty() && sha256 != self.pin {
            return contradicts(format!(
                "the first statement must be the charter with SHA-256 {}, and this one has {sha256}",
                self.pin
            ));
        }
        let statement = Statement::parse(text)?;
        let rule = self.admit(&statement)?;
        let key = (statement.kind(), statement.id().to_owned());
        if self.by_id.contains_key(&key) {
            return Err(Refusal::Known(format!("a {} with id `{}`", key.0, key.1)));
        }
        let at = self.records.len();
        let (text, statement) = (text.into(), Arc::new(statement));
        let record = Record { index, sha256, text, statement, signers: Vec::new(), status: Status::Pending, rule };
        self.records.push(Arc::new(record));
        self.by_sha256.insert(sha256, at);
        self.by_id.insert(key, at);
        Ok(Effect::Recorded { sha256 })
    }

    /// Whether a statement may enter, and whose signatures it will take.
    fn admit(&self, statement: &Statement) -> Result<Rule, Refusal> {
        if let (Statement::Charter(first), true) = (statement, self.records.is_empty()) {
            return match first.replaces {
                None => Ok(Rule::everyone(first)),
                Some(_) => contradicts("the first charter replaces none: leave `replaces` out"),
            };
        }
        let Some(charter) = &self.charter else {
            return contradicts("the charter is not in force yet: it needs the signatures of all it names first");
        };
        if statement.tenant() != charter.tenant {
            let (theirs, ours) = (statement.tenant(), &charter.tenant);
            return contradicts(format!(
                "the statement is for tenant `{theirs}`, and this is the register of `{ours}`"
            ));
        }
        match statement {
            Statement::Charter(new) => {
                let admitted = Succession::admit(charter, new, &self.former_keys, self.mandates.purposes());
                admitted.map_or_else(contradicts, |succession| Ok(Rule::Succession(succession)))
            }
            Statement::Classification(one) => self.admit_classification(charter, one),
            Statement::Mandate(one) => self.admit_mandate(charter, one),
            Statement::Revocation(one) => match self.find(Kind::Mandate, &one.mandate) {
                Some(record) if matches!(record.status, Status::Revoked | Status::Denied) => {
                    contradicts(format!("mandate `{}` is {} already", one.mandate, record.status))
                }
                Some(_) => Ok(Rule::AnyOfficer),
                None => contradicts(format!("there is no mandate `{}` in the register", one.mandate)),
            },
            Statement::KeyCheck(one) => self.admit_key_check(one),
            Statement::KeyPolicy(one) => self.admit_key_policy(charter, one),
            Statement::Rotation(one) => self.admit_rotation(charter, one),
            Statement::Retirement(one) => self.admit_retirement(charter, one),
            Statement::Officers(one) => match changed(charter, one, &self.former_keys) {
                Ok(_) => Ok(Rule::FunctionAndAnother(one.function, charter.quorum)),
                Err(why) => contradicts(why),
            },
            Statement::Denial(one) => self.admit_denial(one),
            Statement::Approval(one) => self.evidence.admit_approval(one).or_else(contradicts),
            Statement::Attestation(one) => self.evidence.admit_attestation(charter, one).or_else(contradicts),
            Statement::Order(one) => {
                let is_mandate = |id: &str| self.mandates.get(id).is_some();
                self.evidence.admit_order(one, is_mandate).or_else(contradicts)
            }
            Statement::Incident(one) => self.evidence.admit_incident(one).or_else(contradicts),
            Statement::Exit(one) => self.evidence.admit_exit(one, charter.quorum).or_else(contradicts),
        }
    }

    fn admit_classification(&self, charter: &Charter, new: &Classification) -> Result<Rule, Refusal> {
        let words = new.to_schema().map_err(Refusal::Malformed)?;
        let current = self.classifications.get(&new.database);
        let (database, current_id) = (&new.database, current.map(|(id, _)| id));
        if new.replaces.as_ref() != current_id {
            return contradicts(match current_id {
                Some(id) => {
                    format!("classification `{id}` of database `{database}` is in force: write replaces = \"{id}\"")
                }
                None => format!("no classification of database `{database}` is in force: leave `replaces` out"),
            });
        }
        self.epochs.admit_columns(current.map(|(_, old)| old.as_ref()), &words)?;
        Ok(match current {
            Some((_, old)) if loosened(old, &words).is_none() => Rule::structure(charter.quorum),
            Some(_) | None => Rule::all_functions(charter.quorum),
        })
    }

    fn admit_mandate(&self, charter: &Charter, mandate: &Mandate) -> Result<Rule, Refusal> {
        if !charter.purposes.contains(&mandate.purpose) {
            let list = charter.purposes.join(", ");
            return contradicts(format!("purpose `{}` is not one of the charter's: {list}", mandate.purpose));
        }
        self.evidence.admit_secrecy(mandate).or_else(contradicts)?;
        if let Some(old) = &mandate.replaces {
            let same = |old: &Mandate| old.principal == mandate.principal && old.database == mandate.database;
            if !self.mandates.get(old).is_some_and(|active| same(&active.mandate)) {
                return contradicts(format!(
                    "it replaces `{old}`, which is not a mandate in force of the same principal and database"
                ));
            }
        }
        Ok(Rule::all_functions(charter.quorum))
    }

    fn admit_denial(&self, denial: &Denial) -> Result<Rule, Refusal> {
        let (kind, id) = (denial.denies.kind, &denial.denies.id);
        let Some(record) = self.find(kind, id) else {
            return contradicts(format!("there is no {kind} `{id}` in the register"));
        };
        match record.rule {
            Rule::Quorums(_) | Rule::FunctionAndAnother(..) => {}
            Rule::Everyone(_) | Rule::Succession(_) | Rule::AnyOfficer | Rule::Custodians | Rule::One(_) => {
                return contradicts(format!("a {kind} is not for officers to deny"));
            }
        }
        match record.status {
            Status::Pending => Ok(Rule::AnyOfficer),
            Status::InForce => contradicts(format!(
                "{kind} `{id}` is in force, and only what waits can be denied: a mandate is revoked, and all else replaced"
            )),
            Status::Replaced | Status::Revoked | Status::Denied => {
                contradicts(format!("{kind} `{id}` is {} already", record.status))
            }
        }
    }

    /// Otherwise whoever is to go could stay for ever.
    fn check_own_removal(&self, statement: &Statement, signer: &Signer) -> Result<(), Refusal> {
        let Statement::Denial(denial) = statement else { return Ok(()) };
        let target = self.find(denial.denies.kind, &denial.denies.id).map(|record| Arc::clone(&record.statement));
        match target.as_deref() {
            Some(Statement::Officers(change)) if change.removes(&signer.name) => {
                Err(Refusal::Signer(format!("{} may not deny their own removal", signer.name)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn admit_key_check(&self, check: &KeyCheck) -> Result<Rule, Refusal> {
        let domain = Domain(check.domain.clone());
        let of_column =
            || self.classifications.values().any(|(_, words)| words.protected().any(|one| one.domain == domain));
        let of_subjects = domain == Domain::subjects() && self.names_a_subject().is_some();
        if !of_subjects && !of_column() {
            return contradicts(format!("no classification in force has a domain `{domain}`"));
        }
        if !self.epochs_in_use(&domain).contains(check.epoch) {
            return contradicts(format!("domain `{domain}` is in epoch {}", self.current_epoch(&domain)));
        }
        match self.key_check(&domain, check.epoch) {
            Some(_) => Err(Refusal::Known(format!("a key-check for domain `{domain}`, epoch {}", check.epoch))),
            None => Ok(Rule::Custodians),
        }
    }

    fn admit_key_policy(&self, charter: &Charter, new: &KeyPolicy) -> Result<Rule, Refusal> {
        match (self.key_policy.as_ref().map(|policy| &policy.id), &new.replaces) {
            (current, replaced) if current == replaced.as_ref() => Ok(Rule::keys(charter.quorum)),
            (Some(id), _) => contradicts(format!("key-policy `{id}` is in force: write replaces = \"{id}\"")),
            (None, _) => contradicts("no key-policy is in force: leave `replaces` out"),
        }
    }

    fn admit_rotation(&self, charter: &Charter, rotation: &Rotation) -> Result<Rule, Refusal> {
        if !charter.gateway.iter().any(|gateway| gateway.name == rotation.worker) {
            return contradicts(format!("worker `{}` is no gateway of the charter", rotation.worker));
        }
        self.epochs.admit(rotation, &self.columns())?;
        Ok(Rule::structure_and_keys(charter.quorum))
    }

    fn admit_retirement(&self, charter: &Charter, end: &Retirement) -> Result<Rule, Refusal> {
        self.epochs.admit_end(end, |domain, epoch| self.key_check(domain, epoch).is_some())?;
        Ok(Rule::keys(charter.quorum))
    }

    fn sign(&mut self, entry: &SignatureEntry) -> Result<Effect, Refusal> {
        let at = self.by_sha256.get(&entry.statement).copied();
        let Some((at, record)) = at.and_then(|at| Some((at, Arc::clone(self.records.get(at)?)))) else {
            return Err(Refusal::UnknownStatement(entry.statement.to_string()));
        };
        self.check_unsettled(&record)?;
        let signed = signing_key(record.text.as_bytes(), &entry.armored)?;
        let signer = match (record.statement.as_ref(), &self.charter) {
            (Statement::Charter(charter), now) => record.admit_signer(charter, now.as_deref(), &signed)?,
            (_, Some(charter)) => record.admit_signer(charter, None, &signed)?,
            (_, None) => return contradicts("the charter is not in force yet"),
        };
        self.check_own_removal(&record.statement, &signer)?;
        let mut record = record.as_ref().clone();
        record.signers.push(signer);
        let missing = record.missing();
        let complete = missing.is_empty();
        let (kind, id) = (record.kind(), record.id().to_owned());
        if complete {
            record.status = Status::InForce;
            self.take_effect(&record);
        }
        if let Some(place) = self.records.get_mut(at) {
            *place = Arc::new(record);
        }
        Ok(if complete { Effect::InForce { kind, id } } else { Effect::Signed { missing } })
    }

    /// A statement that is in force, or overtaken, takes no more signatures.
    fn check_unsettled(&self, record: &Record) -> Result<(), Refusal> {
        let why = match record.status {
            Status::Pending => match self.admit(record.statement.as_ref()) {
                Ok(rule) if rule == record.rule => return Ok(()),
                Err(_) if self.charter.is_none() => return Ok(()),
                Ok(_) | Err(_) => "was written against what is no longer in force: write it anew",
            },
            Status::InForce => "is in force already",
            Status::Replaced => "was replaced",
            Status::Revoked => "was revoked",
            Status::Denied => "was denied by an officer",
        };
        Err(Refusal::Settled { kind: record.kind(), id: record.id().to_owned(), why })
    }

    fn take_effect(&mut self, record: &Record) {
        match record.statement.as_ref() {
            Statement::Charter(new) => {
                if let Some(old) = self.charter.replace(Arc::new(new.clone())) {
                    self.former_keys.extend(succession::taken_away(&old, new));
                    self.settle(Kind::Charter, &old.id, Status::Replaced);
                }
            }
            Statement::Classification(new) => {
                // It was checked when the text was read.
                if let Ok(words) = new.to_schema() {
                    let entry = (new.id.clone(), Arc::new(words));
                    if let Some((old, _)) = self.classifications.insert(new.database.clone(), entry) {
                        self.settle(Kind::Classification, &old, Status::Replaced);
                    }
                }
            }
            Statement::Mandate(mandate) => {
                if let Some(old) = &mandate.replaces {
                    self.mandates.remove(old);
                    self.settle(Kind::Mandate, old, Status::Replaced);
                }
                self.mandates.insert(mandate.clone());
            }
            Statement::Revocation(revocation) => {
                self.mandates.remove(&revocation.mandate);
                self.settle(Kind::Mandate, &revocation.mandate, Status::Revoked);
            }
            Statement::KeyCheck(check) => {
                self.key_checks.insert((Domain(check.domain.clone()), check.epoch), Arc::new(check.clone()));
            }
            Statement::KeyPolicy(new) => {
                if let Some(old) = self.key_policy.replace(Arc::new(new.clone())) {
                    self.settle(Kind::KeyPolicy, &old.id, Status::Replaced);
                }
            }
            Statement::Rotation(rotation) => self.epochs.start(rotation),
            Statement::Retirement(retirement) => self.epochs.end(retirement),
            Statement::Officers(change) => {
                // It was checked when the signature was admitted.
                if let Some(charter) = &self.charter
                    && let Ok(next) = changed(charter, change, &self.former_keys)
                {
                    self.former_keys.extend(taken_away(charter, change));
                    self.charter = Some(Arc::new(next));
                }
            }
            Statement::Denial(denial) => self.settle(denial.denies.kind, &denial.denies.id, Status::Denied),
            Statement::Approval(_)
            | Statement::Attestation(_)
            | Statement::Order(_)
            | Statement::Incident(_)
            | Statement::Exit(_) => {
                if let Some(old) = self.evidence.enact(record.statement.as_ref()) {
                    self.settle(record.kind(), &old, Status::Replaced);
                }
            }
        }
        self.mandates.arrange(self.classifications.values().map(|(_, words)| words.as_ref()));
    }

    fn settle(&mut self, kind: Kind, id: &str, status: Status) {
        let at = self.by_id.get(&(kind, id.to_owned())).copied();
        if let Some(record) = at.and_then(|at| self.records.get_mut(at)) {
            Arc::make_mut(record).status = status;
        }
    }
}

/// Questions.
impl State {
    /// Entries applied.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The charter in force, with the officers as they are now.
    pub fn charter(&self) -> Option<&Arc<Charter>> {
        self.charter.as_ref()
    }

    /// The witnesses that the charter wants; `None` where no charter is in force, or nothing is allowed any more.
    pub fn witnessing(&self) -> Option<Policy> {
        self.charter.as_ref().and_then(|charter| charter.witnessing().ok())
    }

    /// The controller's name, once the charter is in force.
    pub fn tenant(&self) -> Option<&str> {
        self.charter.as_ref().map(|charter| charter.tenant.as_str())
    }

    /// Which part of the charter has this TLS key.
    pub fn part(&self, tls: &Fingerprint) -> Option<Part> {
        let charter = self.charter.as_ref()?;
        let custodian = charter.custodian.iter().find(|part| part.tls == *tls);
        let gateway = charter.gateway.iter().find(|part| part.tls == *tls);
        let usage = charter.usage.iter().find(|part| part.tls == *tls);
        match (custodian, gateway, usage) {
            (Some(part), _, _) => Some(Part::Custodian { name: part.name.clone(), function: part.function }),
            (None, Some(part), _) => Some(Part::Gateway { name: part.name.clone() }),
            (None, None, Some(part)) => Some(Part::Usage { name: part.name.clone() }),
            (None, None, None) => (charter.register.tls == *tls).then_some(Part::Register),
        }
    }

    /// The classification in force for a database.
    pub fn classification(&self, database: &str) -> Option<Arc<schema::Classification>> {
        self.classifications.get(database).map(|(_, words)| Arc::clone(words))
    }

    /// May `asker` do all of `uses` in one statement, for one purpose? For no uses at all the answer is a permit
    /// without mandate.
    ///
    /// # Errors
    /// [`Denied`], for the first use that is not covered.
    pub fn permit(
        &self,
        asker: &Asker<'_>,
        now: Timestamp,
        uses: &[(ColumnId, Operation)],
    ) -> Result<Permit, Box<Denied>> {
        if let (Some(why), Some((column, operation))) = (&self.closed, uses.first()) {
            let (column, operation) = (column.clone(), *operation);
            return Err(Box::new(Denied {
                principal: asker.principal.into(),
                column,
                operation,
                why: why.to_string(),
            }));
        }
        self.mandates.permit(asker, now, uses)
    }

    /// The check values that the three custodians signed for a domain's key.
    pub fn key_check(&self, domain: &Domain, epoch: u16) -> Option<Arc<KeyCheck>> {
        self.key_checks.get(&(domain.clone(), epoch)).cloned()
    }

    /// The epoch that new cells are sealed in.
    pub fn current_epoch(&self, domain: &Domain) -> u16 {
        self.epochs_in_use(domain).current
    }

    /// The epochs whose cells may be opened: one, or two while a rotation is open.
    pub fn epochs_in_use(&self, domain: &Domain) -> EpochsInUse {
        self.epochs.in_use(domain, |epoch| self.key_check(domain, epoch).is_some())
    }

    /// The rotation of a domain that is not ended yet.
    pub fn open_rotation(&self, domain: &Domain) -> Option<&OpenRotation> {
        self.epochs.open(domain)
    }

    /// Grows whenever a rotation is opened or ended.
    pub fn epoch_changes(&self) -> u64 {
        self.epochs.changes()
    }

    /// The key-policy in force.
    pub fn key_policy(&self) -> Option<&Arc<KeyPolicy>> {
        self.key_policy.as_ref()
    }

    /// What a dossier reads.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The protected columns of a domain, each with its database.
    pub fn columns_of<'a>(&'a self, domain: &Domain) -> Vec<(&'a str, &'a schema::Protected)> {
        self.columns().into_iter().filter(|(_, column)| column.domain == *domain).collect()
    }

    fn columns(&self) -> Vec<(&str, &schema::Protected)> {
        let all = self
            .classifications
            .iter()
            .flat_map(|(database, (_, words))| words.protected().map(move |column| (database.as_str(), column)));
        all.collect()
    }

    /// Whether a rotation is open of cells in this database that can only be exchanged all at once.
    pub fn is_exchanging(&self, database: &str) -> bool {
        let exchanged =
            |column: &schema::Protected| !crate::is_moved_singly(column) && self.epochs.open(&column.domain).is_some();
        self.epochs.any_open()
            && self.classifications.get(database).is_some_and(|(_, words)| words.protected().any(exchanged))
    }

    /// All domains of the classifications in force.
    pub fn domains(&self) -> BTreeSet<&Domain> {
        let all = self.classifications.values().flat_map(|(_, words)| words.protected());
        all.map(|column| &column.domain).collect()
    }

    /// A principal's mandates in force, also those whose time has not come or is over.
    pub fn mandates_of<'a>(&'a self, principal: &str) -> impl Iterator<Item = &'a Mandate> + use<'a> {
        self.mandates.of_principal(principal).map(|one| &one.mandate)
    }

    /// Everyone with a mandate in force.
    pub fn principals(&self) -> BTreeSet<&str> {
        let in_force = self.records.iter().filter(|record| record.status == Status::InForce);
        let mut principals = BTreeSet::new();
        for record in in_force {
            if let Statement::Mandate(mandate) = record.statement.as_ref() {
                principals.insert(mandate.principal.as_str());
            }
        }
        principals
    }

    /// All statements, in the order of the register.
    pub fn statements(&self) -> &[Arc<Record>] {
        &self.records
    }

    /// Those that wait for signatures.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter().filter(|record| record.status == Status::Pending)
    }

    /// One statement by kind and id.
    pub fn find(&self, kind: Kind, id: &str) -> Option<&Arc<Record>> {
        self.by_id.get(&(kind, id.to_owned())).and_then(|at| self.records.get(*at))
    }

    /// One statement by the SHA-256 of its text.
    pub fn find_sha256(&self, sha256: &Hex32) -> Option<&Arc<Record>> {
        self.by_sha256.get(sha256).and_then(|at| self.records.get(*at))
    }
}
