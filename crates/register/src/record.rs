//! One statement of the register, who signed it, and whose signature it still needs.

use std::sync::Arc;

use ssh_key::public::KeyData;

use crate::signature::Signed;
use crate::statement::{Charter, Duty, Function, Kind, Quorum, Statement, read_key};
use crate::succession::Succession;
use crate::{Hex32, Refusal};

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for signatures.
    Pending,
    /// It has taken effect.
    InForce,
    /// A later one took its place, or that of the one that it was written against.
    Replaced,
    /// It was revoked, before or after it took effect.
    Revoked,
    /// An officer denied it before it took effect.
    Denied,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::InForce => "in force",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Denied => "denied",
        })
    }
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// Name in the charter.
    pub name: String,
    /// What they are there for; of a custodian, its function's.
    pub duty: Duty,
}

impl Signer {
    /// Their function; `None` for who is no officer.
    pub fn function(&self) -> Option<Function> {
        self.duty.function()
    }
}

/// What an entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A statement now waits for signatures.
    Recorded {
        /// SHA-256 of its text.
        sha256: Hex32,
    },
    /// A signature was added; more are needed.
    Signed {
        /// Whose, each as a phrase.
        missing: Vec<String>,
    },
    /// A statement took effect.
    InForce {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
    },
}

/// One statement of the register.
#[derive(Clone, Debug)]
pub struct Record {
    /// Index of its entry.
    pub index: u64,
    /// SHA-256 of its text.
    pub sha256: Hex32,
    /// Its exact text.
    pub text: Arc<str>,
    /// What the text says.
    pub statement: Arc<Statement>,
    /// Who signed it, in order.
    pub signers: Vec<Signer>,
    /// Where it stands.
    pub status: Status,
    /// What it takes, found when it entered.
    pub(crate) rule: Rule,
}

/// Whose signatures make a statement take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Every person named.
    Everyone(Vec<Signer>),
    /// Those of a charter that takes another's place.
    Succession(Succession),
    /// A quorum of each of these functions.
    Quorums(Vec<(Function, usize)>),
    /// A quorum of this function, and one of any other.
    FunctionAndAnother(Function, Quorum),
    /// Any one officer.
    AnyOfficer,
    /// One custodian of each function.
    Custodians,
    /// One person.
    One(Whom),
}

/// Whose one signature is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whoever the charter names, officer or not.
    Anyone,
    /// The head.
    Head,
    /// The head, or a data-protection officer.
    HeadOrDataProtection,
    /// The person with this name.
    Named(String),
}

impl Whom {
    fn includes(&self, signer: &Signer) -> bool {
        match self {
            Self::Anyone => true,
            Self::Head => signer.duty == Duty::Head,
            Self::HeadOrDataProtection => matches!(signer.duty, Duty::Head | Duty::DataProtectionOfficer),
            Self::Named(name) => signer.name == *name,
        }
    }
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anyone => "any person of the charter",
            Self::Head => "the head",
            Self::HeadOrDataProtection => "the head, or a data-protection officer",
            Self::Named(name) => name,
        })
    }
}

impl Rule {
    pub(crate) fn everyone(charter: &Charter) -> Self {
        let signer = |person: &crate::statement::Person| Signer { name: person.name.clone(), duty: person.function };
        Self::Everyone(charter.person.iter().map(signer).collect())
    }

    pub(crate) fn all_functions(quorum: Quorum) -> Self {
        Self::Quorums(Function::ALL.map(|function| (function, quorum.of(function))).to_vec())
    }

    pub(crate) fn structure(quorum: Quorum) -> Self {
        Self::Quorums(vec![(Function::Structure, quorum.structure)])
    }

    pub(crate) fn keys(quorum: Quorum) -> Self {
        Self::Quorums(vec![(Function::Keys, quorum.keys)])
    }

    pub(crate) fn structure_and_keys(quorum: Quorum) -> Self {
        Self::Quorums([Function::Structure, Function::Keys].map(|function| (function, quorum.of(function))).to_vec())
    }

    /// What is still missing, each as a phrase; empty where the rule is met.
    fn missing(&self, signers: &[Signer]) -> Vec<String> {
        let of = |function| signers.iter().filter(|signer| signer.function() == Some(function)).count();
        match self {
            Self::Everyone(all) => {
                let absent = all.iter().filter(|one| !signers.contains(one));
                absent.map(|one| one.name.clone()).collect()
            }
            Self::Succession(succession) => succession.missing(signers),
            Self::Quorums(quorums) => {
                let short = quorums.iter().filter(|(function, quorum)| of(*function) < *quorum);
                short.map(|(function, quorum)| format!("{} of {function}", quorum - of(*function))).collect()
            }
            Self::FunctionAndAnother(own, quorum) => {
                let short = |function: Function| quorum.of(function).saturating_sub(of(function));
                let phrase = |function: Function| format!("{} of {function}", short(function));
                let others: Vec<_> = Function::ALL.into_iter().filter(|function| function != own).collect();
                let mut missing = Vec::new();
                if short(*own) > 0 {
                    missing.push(phrase(*own));
                }
                if others.iter().all(|other| short(*other) > 0) {
                    missing.push(others.into_iter().map(phrase).collect::<Vec<_>>().join(" or "));
                }
                missing
            }
            Self::AnyOfficer if signers.is_empty() => vec!["any officer".into()],
            Self::One(whom) if signers.is_empty() => vec![whom.to_string()],
            Self::AnyOfficer | Self::One(_) => Vec::new(),
            Self::Custodians => {
                let absent = Function::ALL.into_iter().filter(|function| of(*function) == 0);
                absent.map(|function| format!("custodian of {function}")).collect()
            }
        }
    }

    /// Whether a signature of this person counts at all.
    fn counts(&self, signer: &Signer) -> bool {
        match self {
            Self::Everyone(all) => all.contains(signer),
            Self::Quorums(quorums) => quorums.iter().any(|(function, _)| signer.function() == Some(*function)),
            Self::Succession(_) => true,
            Self::FunctionAndAnother(..) | Self::AnyOfficer | Self::Custodians => signer.function().is_some(),
            Self::One(whom) => whom.includes(signer),
        }
    }
}

impl Record {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.statement.kind()
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.statement.id()
    }

    /// Whose signatures it still needs, each as a phrase such as `1 of access`.
    pub fn missing(&self) -> Vec<String> {
        match self.status {
            Status::Pending => self.rule.missing(&self.signers),
            Status::InForce | Status::Replaced | Status::Revoked | Status::Denied => Vec::new(),
        }
    }

    /// Finds whose key it is and whether their signature counts here. `now` is the charter in force, where `charter` is
    /// one that is to take its place.
    pub(crate) fn admit_signer(
        &self,
        charter: &Charter,
        now: Option<&Charter>,
        signed: &Signed,
    ) -> Result<Signer, Refusal> {
        let key = &signed.key;
        let refuse = |why: String| Err(Refusal::Signer(why));
        let found = match &self.rule {
            Rule::Succession(succession) => succession.person(key),
            Rule::Custodians => custodian(charter, key),
            Rule::Everyone(_) | Rule::Quorums(_) | Rule::FunctionAndAnother(..) | Rule::AnyOfficer | Rule::One(_) => {
                person(charter, key)
            }
        };
        let Some(signer) = found else {
            let whom = if self.rule == Rule::Custodians { "custodian" } else { "person" };
            let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256);
            return refuse(format!("its key {fingerprint} belongs to no {whom} of the charter as it is now"));
        };
        if !self.rule.counts(&signer) {
            return refuse(format!("a {} does not need the signature of {}", self.kind(), signer.name));
        }
        if !signed.user_verified && (charter.verifies_user_of(key) || now.is_some_and(|now| now.verifies_user_of(key)))
        {
            return refuse(format!(
                "the charter wants the security key of {} to verify its user, and it did not: sign again, with its PIN or \
                 fingerprint (a key made by `ssh-keygen -O verify-required` always asks)",
                signer.name
            ));
        }
        if let Statement::Mandate(mandate) = self.statement.as_ref()
            && mandate.requester.as_deref().is_some_and(|requester| requester.eq_ignore_ascii_case(&signer.name))
        {
            return refuse(format!("{} requested this mandate and so may not approve it", signer.name));
        }
        // By name: who changed their key or function in between still signs once.
        match self.signers.iter().any(|earlier| earlier.name.eq_ignore_ascii_case(&signer.name)) {
            true => Err(Refusal::Known(format!("the signature of {}", signer.name))),
            false => Ok(signer),
        }
    }
}

pub(crate) fn person(charter: &Charter, key: &KeyData) -> Option<Signer> {
    let person = charter.person.iter().find(|one| read_key(&one.name, &one.key).as_ref() == Ok(key))?;
    Some(Signer { name: person.name.clone(), duty: person.function })
}

pub(crate) fn custodian(charter: &Charter, key: &KeyData) -> Option<Signer> {
    let part = charter.custodian.iter().find(|one| read_key(&one.name, &one.key).as_ref() == Ok(key))?;
    Some(Signer { name: part.name.clone(), duty: part.function.into() })
}
