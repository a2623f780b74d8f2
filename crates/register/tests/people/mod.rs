//! People, parts and statements for tests: two officers of structure (quorum 2), one of access, one of keys, a head.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::collections::BTreeMap;

use drieslot_journal::IdentityKey;
use drieslot_link::Fingerprint;
use drieslot_register::entry::{Entry, SignatureEntry};
use drieslot_register::signature::{identity_public_key, sign};
use drieslot_register::statement::{
    Charter, CustodianPart, Duty, GatewayPart, Person, Quorum, RegisterPart, Statement,
};
use drieslot_register::{Effect, Function, Hex32, Refusal, State};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, PrivateKey};

pub const TENANT: &str = "agency.example";
pub const NOW: &str = "2026-06-01T12:00:00Z";

pub fn now() -> jiff::Timestamp {
    NOW.parse().unwrap()
}

pub fn ssh_key() -> PrivateKey {
    PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
}

/// The private keys of everybody.
pub struct People {
    pub keys: BTreeMap<&'static str, PrivateKey>,
}

pub const PERSONS: [(&str, Duty); 5] = [
    ("sam", Duty::Structure),
    ("sofie", Duty::Structure),
    ("ann", Duty::Access),
    ("kim", Duty::Keys),
    ("hilde", Duty::Head),
];

pub const APPROVERS: [&str; 4] = ["sam", "sofie", "ann", "kim"];

impl People {
    pub fn new() -> Self {
        Self { keys: PERSONS.iter().map(|(name, _)| (*name, ssh_key())).collect() }
    }

    pub fn persons(&self) -> Vec<Person> {
        let person = |(name, function): &(&'static str, Duty)| Person {
            name: (*name).into(),
            function: *function,
            key: self.keys[name].public_key().to_openssh().unwrap(),
        };
        PERSONS.iter().map(person).collect()
    }

    pub fn sign(&self, who: &str, text: &str) -> String {
        sign(text.as_bytes(), &self.keys[who]).unwrap()
    }

    pub fn sign_all(&self, who: &[&str], text: &str) -> Vec<String> {
        who.iter().map(|who| self.sign(who, text)).collect()
    }
}

/// One part's keys, as the charter names them.
pub struct Part {
    pub tls: Fingerprint,
    pub key: String,
}

pub fn paper_part(name: &str) -> (Part, IdentityKey) {
    let key = IdentityKey::generate().unwrap();
    let part = Part { tls: Fingerprint::of_spki(name.as_bytes()), key: identity_public_key(&key).unwrap() };
    (part, key)
}

pub fn charter(people: &People, custodians: &[(Function, Part)], gateway: &Part, register: &Part) -> Charter {
    let custodian = |(function, part): &(Function, Part)| CustodianPart {
        name: format!("custodian-{function}"),
        function: *function,
        tls: part.tls,
        key: part.key.clone(),
    };
    Charter {
        tenant: TENANT.into(),
        id: "charter".into(),
        issued: "2026-01-01T00:00:00Z".parse().unwrap(),
        replaces: None,
        head: "hilde".into(),
        purposes: vec!["onboarding".into(), "court_order".into()],
        user_verification: Vec::new(),
        quorum: Quorum { structure: 2, access: 1, keys: 1 },
        register: RegisterPart { tls: register.tls, key: register.key.clone() },
        person: people.persons(),
        custodian: custodians.iter().map(custodian).collect(),
        gateway: vec![GatewayPart { name: "gateway-1".into(), tls: gateway.tls, key: gateway.key.clone() }],
        usage: Vec::new(),
        witness_quorum: None,
        witness_faults: None,
        witness_grace_s: None,
        witness: Vec::new(),
    }
}

pub fn classification(id: &str, replaces: Option<&str>, extra: &str) -> String {
    let replaces = replaces.map(|id| format!("replaces = \"{id}\"\n")).unwrap_or_default();
    format!(
        r#"kind = "classification"
tenant = "agency.example"
id = "{id}"
issued = "2026-01-02T00:00:00Z"
{replaces}database = "civic"

[[table]]
name = "newcomers"
subject = "national_number"

[[table.column]]
name = "id"
class = 1
protection = "plain"

[[table.column]]
name = "national_number"
class = 4
protection = "exact"
type = "varchar(11)"
domain = "person"

[[table.column]]
name = "name"
class = 3
protection = "sealed"
type = "text"
{extra}"#
    )
}

pub fn mandate(id: &str, extra: &str) -> String {
    mandate_until(id, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", extra)
}

pub fn mandate_until(id: &str, from: &str, until: &str, extra: &str) -> String {
    format!(
        r#"kind = "mandate"
tenant = "agency.example"
id = "{id}"
issued = "2026-01-03T00:00:00Z"
principal = "app_intake"
database = "civic"
purpose = "onboarding"
legal_basis = "Decree of 7 June 2013, art. 26"
valid_from = "{from}"
valid_until = "{until}"
{extra}
[[grant]]
table = "public.newcomers"
columns = ["national_number", "name"]
operations = ["read", "write", "search"]
"#
    )
}

pub fn revocation(id: &str, mandate: &str) -> String {
    format!(
        "kind = \"revocation\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-01-04T00:00:00Z\"\n\
         mandate = \"{mandate}\"\nwhy = \"the project ended\"\n"
    )
}

/// A change of officers; each of `add` is a name and a public key.
pub fn officers(id: &str, function: &str, remove: &[&str], add: &[(&str, &str)]) -> String {
    let added: String =
        add.iter().map(|(name, key)| format!("\n[[add]]\nname = \"{name}\"\nkey = \"{key}\"\n")).collect();
    format!(
        "kind = \"officers\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-01-04T00:00:00Z\"\n\
         function = \"{function}\"\nwhy = \"a new year\"\nremove = {remove:?}\n{added}"
    )
}

pub fn denial(id: &str, kind: &str, denied: &str) -> String {
    format!(
        "kind = \"denial\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-01-04T00:00:00Z\"\n\
         denies = {{ kind = \"{kind}\", id = \"{denied}\" }}\nwhy = \"not agreed\"\n"
    )
}

/// A register on paper: the fold alone.
pub struct Log {
    pub people: People,
    pub custodians: BTreeMap<Function, IdentityKey>,
    pub gateway: Fingerprint,
    pub charter: String,
    pub state: State,
    pub entries: Vec<Vec<u8>>,
}

impl Log {
    /// With a charter that nobody signed yet.
    pub fn unsigned() -> Self {
        let people = People::new();
        let mut parts = Vec::new();
        let mut custodians = BTreeMap::new();
        for function in Function::ALL {
            let (part, key) = paper_part(&format!("custodian {function}"));
            parts.push((function, part));
            custodians.insert(function, key);
        }
        let (gateway, _) = paper_part("gateway");
        let (register, _) = paper_part("register");
        let text = Statement::Charter(charter(&people, &parts, &gateway, &register)).to_text().unwrap();
        let state = State::new(Hex32::sha256(&text));
        let mut log = Self { people, custodians, gateway: gateway.tls, charter: text, state, entries: Vec::new() };
        log.submit(&log.charter.clone()).unwrap();
        log
    }

    /// With a charter in force.
    pub fn new() -> Self {
        let mut log = Self::unsigned();
        let text = log.charter.clone();
        for (name, _) in PERSONS {
            log.sign(name, &text).unwrap();
        }
        log
    }

    /// With classification `c1` in force.
    pub fn classified() -> Self {
        let mut log = Self::new();
        log.enact(&classification("c1", None, ""));
        log
    }

    pub fn apply(&mut self, entry: &Entry) -> Result<Effect, Refusal> {
        let bytes = entry.encode(NOW)?;
        let before = self.state.clone();
        let effect = self.state.apply(self.state.revision(), &bytes);
        match &effect {
            Ok(_) => self.entries.push(bytes),
            Err(_) => assert_eq!(format!("{before:?}"), format!("{:?}", self.state), "a refusal changes nothing"),
        }
        effect
    }

    pub fn statement_entry(text: &str) -> Vec<u8> {
        Entry::Statement(text.into()).encode(NOW).unwrap()
    }

    pub fn submit(&mut self, text: &str) -> Result<Effect, Refusal> {
        self.apply(&Entry::Statement(text.into()))
    }

    pub fn armored(&mut self, text: &str, armored: String) -> Result<Effect, Refusal> {
        self.apply(&Entry::Signature(SignatureEntry { statement: Hex32::sha256(text), armored }))
    }

    pub fn sign(&mut self, who: &str, text: &str) -> Result<Effect, Refusal> {
        let armored = self.people.sign(who, text);
        self.armored(text, armored)
    }

    /// Submits, and has all officers sign.
    pub fn enact(&mut self, text: &str) {
        self.submit(text).unwrap();
        let mut last = None;
        for who in APPROVERS {
            last = Some(self.sign(who, text).unwrap());
        }
        assert!(matches!(last, Some(Effect::InForce { .. })), "{last:?}");
    }
}

/// Entries with a charter, a classification, and beyond them: mandates in force, then revocations of the first of them,
/// then mandates that wait.
pub fn many(in_force: usize, revoked: usize, waiting: usize) -> (Log, Vec<Vec<u8>>) {
    let log = Log::classified();
    let mut entries = log.entries.clone();
    let mut add = |text: &str, who: &[&str]| {
        entries.push(Log::statement_entry(text));
        for armored in log.people.sign_all(who, text) {
            let signature = SignatureEntry { statement: Hex32::sha256(text), armored };
            entries.push(Entry::Signature(signature).encode(NOW).unwrap());
        }
    };
    (0..in_force).for_each(|n| add(&mandate(&format!("m{n}"), ""), &APPROVERS));
    (0..revoked).for_each(|n| add(&revocation(&format!("r{n}"), &format!("m{n}")), &["ann"]));
    (0..waiting).for_each(|n| add(&mandate(&format!("w{n}"), ""), &[]));
    (log, entries)
}
