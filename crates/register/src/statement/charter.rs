//! The charter: who the officers are, and which parts exist.

use std::collections::BTreeSet;

use drieslot_link::Fingerprint;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, EcdsaCurve, PublicKey, public::KeyData};

use crate::signature::is_security_key;

use super::words::{check_filled, check_name};
use super::{Duty, Function, WitnessPart};

/// RSA keys shorter than this are refused.
const MIN_RSA_BITS: usize = 3072;

/// The first statement of a register, whose SHA-256 is the pin that every part is given; or one that takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// The controller's name.
    pub tenant: String,
    /// Short name.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The charter that ends when this one takes effect; only the first has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Name of the person with duty `head`.
    pub head: String,
    /// The closed list of purposes.
    pub purposes: Vec<String>,
    /// Whose security keys must verify their user at each signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_verification: Vec<Duty>,
    /// How many witnesses must cosign a checkpoint of a journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness_quorum: Option<usize>,
    /// How many of the witnesses may be faulty or lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness_faults: Option<usize>,
    /// How long applications go on without a quorum of witnesses, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness_grace_s: Option<u64>,
    /// How many officers of each function must sign.
    pub quorum: Quorum,
    /// The register.
    pub register: RegisterPart,
    /// Officers and head.
    pub person: Vec<Person>,
    /// At least one of each function.
    pub custodian: Vec<CustodianPart>,
    /// At least one.
    pub gateway: Vec<GatewayPart>,
    /// Servers that tell citizens who looked at what is about them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<UsagePart>,
    /// Independent parties that countersign the journals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<WitnessPart>,
}

/// How many officers of each function must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// Of structure.
    pub structure: usize,
    /// Of access.
    pub access: usize,
    /// Of keys.
    pub keys: usize,
}

impl Quorum {
    /// Of one function.
    pub fn of(&self, function: Function) -> usize {
        match function {
            Function::Structure => self.structure,
            Function::Access => self.access,
            Function::Keys => self.keys,
        }
    }
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// As others know them.
    pub name: String,
    /// `structure`, `access`, `keys` or `head`.
    pub function: Duty,
    /// SSH public key, `ssh-ed25519 AAAA…`.
    pub key: String,
}

/// One custodian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodianPart {
    /// Its name.
    pub name: String,
    /// Whose secret it holds.
    pub function: Function,
    /// Its TLS key.
    pub tls: Fingerprint,
    /// `ssh-ed25519` public key of its identity, which also signs its journal.
    pub key: String,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayPart {
    /// Its name.
    pub name: String,
    /// Its TLS key.
    pub tls: Fingerprint,
    /// `ssh-ed25519` public key that signs its journal.
    pub key: String,
}

/// One server that tells citizens who looked at what is about them. It gets the key of their pseudonyms, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsagePart {
    /// Its name.
    pub name: String,
    /// Its TLS key.
    pub tls: Fingerprint,
    /// `ssh-ed25519` public key that signs its journal.
    pub key: String,
}

/// The register itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterPart {
    /// Its TLS key.
    pub tls: Fingerprint,
    /// `ssh-ed25519` public key that signs its journal.
    pub key: String,
}

/// Reads an SSH public key that signatures can be verified with.
pub(crate) fn read_key(owner: &str, text: &str) -> Result<KeyData, String> {
    let key = PublicKey::from_openssh(text)
        .map_err(|error| format!("the key of {owner} is not an SSH public key (`ssh-ed25519 AAAA…`): {error}"))?;
    let algorithm = key.algorithm();
    let listed = matches!(
        algorithm,
        Algorithm::Ed25519
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }
    );
    let usable = listed || (key.key_data().is_rsa() && rsa_bits(key.key_data()) >= MIN_RSA_BITS);
    match usable {
        true => Ok(key.key_data().clone()),
        false => Err(format!(
            "the key of {owner} is a {} that is not accepted: use ed25519, ecdsa p-256, their sk- kinds, or rsa of \
             {MIN_RSA_BITS} bits or more",
            algorithm
        )),
    }
}

fn rsa_bits(key: &KeyData) -> usize {
    let modulus = key.rsa().and_then(|rsa| rsa.n.as_positive_bytes());
    modulus.map_or(0, |bytes| bytes.len() * 8)
}

fn read_identity(owner: &str, text: &str) -> Result<KeyData, String> {
    let key = read_key(owner, text)?;
    match key.is_ed25519() {
        true => Ok(key),
        false => Err(format!("the key of {owner} must be an ssh-ed25519 key: it also signs its journal")),
    }
}

impl Charter {
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut purposes = BTreeSet::new();
        for purpose in &self.purposes {
            check_name("purpose", purpose)?;
            if !purposes.insert(purpose) {
                return Err(format!("purpose `{purpose}` is listed twice"));
            }
        }
        if purposes.is_empty() {
            return Err("the list of purposes is empty, so no mandate could ever be given".into());
        }
        self.check_persons()?;
        self.check_verification()?;
        self.check_parts()?;
        self.check_keys()?;
        self.witnessing().map(drop)
    }

    fn check_persons(&self) -> Result<(), String> {
        let heads: Vec<_> = self.person.iter().filter(|person| person.function == Duty::Head).collect();
        if !matches!(heads.as_slice(), [head] if head.name == self.head) {
            return Err(format!("exactly one person has function `head`, and it must be `{}`", self.head));
        }
        for function in Function::ALL {
            let quorum = self.quorum.of(function);
            let officers = self.person.iter().filter(|person| person.function.function() == Some(function)).count();
            if quorum == 0 || officers < quorum {
                return Err(format!(
                    "{function} has {officers} officers and a quorum of {quorum}: 1 ≤ quorum ≤ officers"
                ));
            }
        }
        Ok(())
    }

    fn verified(&self) -> impl Iterator<Item = &Person> {
        self.person.iter().filter(|one| self.user_verification.contains(&one.function))
    }

    /// Whether this is the key of a person who signs only with a PIN or a finger.
    pub(crate) fn verifies_user_of(&self, key: &KeyData) -> bool {
        self.verified().any(|one| read_key(&one.name, &one.key).as_ref() == Ok(key))
    }

    /// Otherwise there were officers whose signature never counts.
    fn check_verification(&self) -> Result<(), String> {
        for person in self.verified() {
            if !is_security_key(&read_key(&person.name, &person.key)?) {
                return Err(format!(
                    "the charter wants user verification of {}, so their key must be a security key: \
                     sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com",
                    person.name
                ));
            }
        }
        Ok(())
    }

    fn check_parts(&self) -> Result<(), String> {
        for function in Function::ALL {
            if !self.custodian.iter().any(|part| part.function == function) {
                return Err(format!("there is no custodian of {function}: name at least one of each function"));
            }
        }
        if self.gateway.is_empty() {
            return Err("there is no gateway: name at least one".into());
        }
        let custodians = self.custodian.iter().map(|part| part.tls);
        let gateways = self.gateway.iter().map(|part| part.tls);
        let usages = self.usage.iter().map(|part| part.tls);
        let mut seen = BTreeSet::new();
        for tls in custodians.chain(gateways).chain(usages).chain([self.register.tls]) {
            if !seen.insert(tls) {
                return Err(format!("two parts have the TLS key {tls}: each part has its own"));
            }
        }
        Ok(())
    }

    /// No person and no key appears twice: nobody has two hats.
    fn check_keys(&self) -> Result<(), String> {
        let persons = self.person.iter().map(|person| (&person.name, read_key(&person.name, &person.key)));
        let custodians = self.custodian.iter().map(|part| (&part.name, read_identity(&part.name, &part.key)));
        let gateways = self.gateway.iter().map(|part| (&part.name, read_identity(&part.name, &part.key)));
        let usages = self.usage.iter().map(|part| (&part.name, read_identity(&part.name, &part.key)));
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::from([read_identity("the register", &self.register.key)?]);
        let witnesses = self.witness.iter().map(|part| (&part.name, part.identity()));
        for (name, key) in persons.chain(custodians).chain(gateways).chain(usages).chain(witnesses) {
            check_filled("name", name)?;
            if !names.insert(name.to_lowercase()) {
                return Err(format!("`{name}` appears twice: nobody has two functions"));
            }
            if !keys.insert(key?) {
                return Err(format!("the key of `{name}` also belongs to another: nobody has two functions"));
            }
        }
        Ok(())
    }
}
