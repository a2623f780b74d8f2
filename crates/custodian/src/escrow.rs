//! Escrow inside one function: a custodian's secret and identity in t-of-n shares, each sealed to one officer's key.
//!
//! Owns the shares' form, their making and their check. A share is an [age](https://age-encryption.org/v1) file, so that
//! an officer can open it with stock `age`; in it stand a line of JSON and the custodian's signature of that line.
//! Refuses shares that are not all of one set, whole, signed by a custodian of the charter, and enough.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use age::armor::ArmoredReader;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_journal::{IdentityKey, Verifier};
use drieslot_register::statement::{Charter, Statement};
use drieslot_register::{Function, Hex32, State, Status};
use drieslot_schema::Domain;
use drieslot_seal::{DomainContext, FunctionSecret};
use serde::{Deserialize, Serialize};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use crate::CustodianError;
use crate::private::read_private;

const VERSION: u8 = 1;
const SIGNED: &[u8] = b"drieslot escrow share v1\n";
const MAX_SHARES: usize = 255;

/// Whom a share is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The officer's name.
    pub name: String,
    /// `ssh-ed25519 AAAA…`, `ssh-rsa AAAA…` or `age1…`.
    pub key: String,
}

/// One share of a set, without its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    version: u8,
    pub(crate) tenant: String,
    pub(crate) function: Function,
    /// The custodian's journal when the set was made.
    pub(crate) origin: String,
    /// 16 random bytes, hexadecimal.
    pub(crate) set: String,
    pub(crate) threshold: u8,
    pub(crate) officer: String,
    /// Its point of the polynomial, then a value for each byte that is shared; Base64.
    share: SecretText,
}

/// Wiped when dropped, and not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
struct SecretText(Zeroizing<String>);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<SecretText> for String {
    fn from(text: SecretText) -> Self {
        (*text.0).clone()
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What is shared: all that a custodian's host must have to be that custodian.
pub(crate) struct Deposit {
    pub(crate) secret: FunctionSecret,
    /// The identity key's file.
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// The TLS identity's two files.
    pub(crate) tls_key: Zeroizing<Vec<u8>>,
    pub(crate) tls_certificate: Zeroizing<Vec<u8>>,
}

impl Deposit {
    /// Each part as a 4-byte big-endian length and its bytes.
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, CustodianError> {
        let parts: [&[u8]; 4] = [self.secret.expose(), &self.key, &self.tls_key, &self.tls_certificate];
        let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum()));
        for part in parts {
            let length = u32::try_from(part.len()).map_err(|_| CustodianError::Crypto("share so large a file"))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part);
        }
        Ok(out)
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut part = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            bytes = rest;
            Some(Zeroizing::new(part.to_vec()))
        };
        let (secret, key, tls_key, tls_certificate) = (part()?, part()?, part()?, part()?);
        let secret = FunctionSecret::from_bytes(&secret).ok()?;
        bytes.is_empty().then_some(Self { secret, key, tls_key, tls_certificate })
    }
}

/// The set that is made.
pub(crate) struct Set<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) function: Function,
    pub(crate) origin: &'a str,
    pub(crate) set: &'a str,
    pub(crate) threshold: u8,
}

pub(crate) fn refuse<T>(why: impl Into<String>) -> Result<T, CustodianError> {
    Err(CustodianError::Escrow(why.into()))
}

/// The recipients of a function's shares: its officers of the charter, each by their own key or the one that is given
/// for them, and whoever else is given.
pub(crate) fn recipients(
    charter: &Charter,
    function: Function,
    given: &[Recipient],
) -> Result<Vec<Recipient>, CustodianError> {
    let officers = charter.person.iter().filter(|person| person.function.function() == Some(function));
    let mut all: Vec<Recipient> = officers
        .map(|person| Recipient { name: person.name.clone(), key: person.key.clone() })
        .map(|own| given.iter().find(|one| one.name == own.name).cloned().unwrap_or(own))
        .collect();
    let others: Vec<_> = given.iter().filter(|one| !all.iter().any(|own| own.name == one.name)).cloned().collect();
    all.extend(others);
    let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let keys: BTreeSet<&str> = all.iter().map(|one| one.key.as_str()).collect();
    match names.len() == all.len() && keys.len() == all.len() {
        true => Ok(all),
        false => refuse("nobody, and no key, may have two shares"),
    }
}

/// Splits a deposit: one armoured age file for each recipient, in their order.
pub(crate) fn split(
    set: &Set<'_>,
    deposit: &Deposit,
    recipients: &[Recipient],
    signer: &IdentityKey,
) -> Result<Vec<String>, CustodianError> {
    let threshold = usize::from(set.threshold);
    if threshold < 2 || recipients.len() < threshold || recipients.len() > MAX_SHARES {
        let count = recipients.len();
        return refuse(format!("{threshold} of {count} shares cannot be: at least 2 are needed, at most all of 255"));
    }
    let bytes = deposit.encode()?;
    let shares = Gf256::split_bytes(threshold, recipients.len(), bytes.as_slice(), rand::rng());
    let shares = Zeroizing::new(shares.map_err(|_| CustodianError::Crypto("split the secret"))?);
    let mut files = Vec::with_capacity(shares.len());
    for (recipient, share) in recipients.iter().zip(shares.iter()) {
        let body = Body {
            version: VERSION,
            tenant: set.tenant.into(),
            function: set.function,
            origin: set.origin.into(),
            set: set.set.into(),
            threshold: set.threshold,
            officer: recipient.name.clone(),
            share: STANDARD.encode(share).into(),
        };
        let line = serde_json::to_string(&body).map_err(|_| CustodianError::Crypto("write a share"))?;
        let line = Zeroizing::new(line);
        let signature = STANDARD.encode(signer.sign(&signed(&line)));
        files.push(seal_to(recipient, &Zeroizing::new(format!("{}\n{signature}\n", *line)))?);
    }
    Ok(files)
}

fn signed(line: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([SIGNED, line.as_bytes()].concat())
}

fn seal_to(recipient: &Recipient, text: &str) -> Result<String, CustodianError> {
    let sealed = if let Ok(key) = recipient.key.parse::<age::x25519::Recipient>() {
        age::encrypt_and_armor(&key, text.as_bytes())
    } else if let Ok(key) = recipient.key.parse::<age::ssh::Recipient>() {
        age::encrypt_and_armor(&key, text.as_bytes())
    } else {
        let kind = recipient.key.split(' ').next().unwrap_or_default();
        return refuse(format!(
            "nothing can be sealed to the {kind} key of {name}: it only signs. Give a key of theirs that can \
             decrypt: --recipient '{name}=age1…' (from age-keygen), or another ssh-ed25519 key",
            name = recipient.name
        ));
    };
    sealed.map_err(|_| CustodianError::Escrow(format!("the share of {} could not be sealed", recipient.name)))
}

/// Opens a share: an age file with one of the identities, or one that its officer has opened already.
pub(crate) fn open(share: &Path, identities: &[PathBuf]) -> Result<Zeroizing<String>, CustodianError> {
    let bytes = read_private(share)?;
    let text = |bytes: Zeroizing<Vec<u8>>| match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => refuse(format!("{} is no share", share.display())),
    };
    if bytes.starts_with(b"{") {
        return text(bytes);
    }
    let mut keys: Vec<Box<dyn age::Identity>> = Vec::new();
    for path in identities {
        keys.extend(identity(path)?);
    }
    let changed = || CustodianError::Escrow(format!("{} is no share, or was changed", share.display()));
    let failed = |error: age::DecryptError| {
        let foreign = matches!(error, age::DecryptError::NoMatchingKeys);
        let other = || format!("{} does not open with the identities that are given", share.display());
        if foreign { CustodianError::Escrow(other()) } else { changed() }
    };
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(bytes.as_slice())).map_err(failed)?;
    let mut reader = decryptor.decrypt(keys.iter().map(|key| &**key)).map_err(failed)?;
    let mut opened = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader.read_to_end(&mut opened).map_err(|_| changed())?;
    text(opened)
}

fn identity(path: &Path) -> Result<Vec<Box<dyn age::Identity>>, CustodianError> {
    let bytes = read_private(path)?;
    let unusable = |why: &str| CustodianError::Escrow(format!("the identity {}: {why}", path.display()));
    if bytes.starts_with(b"-----BEGIN") {
        let key = age::ssh::Identity::from_buffer(bytes.as_slice(), None);
        return match key.map_err(|_| unusable("it is no OpenSSH private key"))? {
            age::ssh::Identity::Unencrypted(key) => Ok(vec![Box::new(age::ssh::Identity::from(key))]),
            age::ssh::Identity::Encrypted(_) => Err(unusable(
                "it is protected by a passphrase: its officer opens the share with `age -d -i KEY SHARE`, and gives that",
            )),
            age::ssh::Identity::Unsupported(_) => Err(unusable("a key of this kind opens nothing")),
        };
    }
    let file = age::IdentityFile::from_buffer(bytes.as_slice());
    let keys = file.map_err(|_| unusable("it is neither an SSH key nor an age identity"))?.into_identities();
    let keys = keys.map_err(|_| unusable("it cannot be used"))?;
    Ok(keys.into_iter().map(|key| -> Box<dyn age::Identity> { key }).collect())
}

/// Joins opened shares that are of one set, of this tenant and function, and signed by a custodian of the charter.
pub(crate) fn join(
    opened: &[Zeroizing<String>],
    charter: &Charter,
    function: Function,
) -> Result<(Deposit, Vec<Body>), CustodianError> {
    let bodies = opened.iter().map(|text| verify(text, charter, function)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = bodies.first() else { return refuse("no share was given") };
    let mut seen = BTreeSet::new();
    for body in &bodies {
        if body.set != first.set || body.threshold != first.threshold {
            let (one, other) = (&first.officer, &body.officer);
            return refuse(format!(
                "the shares of {one} (set {}) and {other} (set {}) are of different sets: all must be of one",
                first.set, body.set
            ));
        }
        if !seen.insert(&body.officer) {
            return refuse(format!("the share of {} was given twice", body.officer));
        }
    }
    if bodies.len() < usize::from(first.threshold) {
        return refuse(format!(
            "{} shares of set {} are too few: it takes {}",
            bodies.len(),
            first.set,
            first.threshold
        ));
    }
    let shares: Result<Vec<_>, _> = bodies.iter().map(|body| STANDARD.decode(body.share.0.as_bytes())).collect();
    let shares = Zeroizing::new(shares.map_err(|_| CustodianError::Escrow("a share is not Base64".into()))?);
    let joined = Gf256::combine_bytes(shares.as_slice());
    let joined = Zeroizing::new(joined.map_err(|_| CustodianError::Escrow("the shares do not fit together".into()))?);
    match Deposit::decode(&joined) {
        Some(deposit) => Ok((deposit, bodies)),
        None => refuse("the shares do not fit together"),
    }
}

fn verify(text: &str, charter: &Charter, function: Function) -> Result<Body, CustodianError> {
    let mut lines = text.lines();
    let (Some(line), Some(signature), None) = (lines.next(), lines.next(), lines.next()) else {
        return refuse("a share has two lines, and this has not: was it cut off?");
    };
    // serde's message could quote the share.
    let body: Body =
        serde_json::from_str(line).map_err(|_| CustodianError::Escrow("a share is not well-formed".into()))?;
    let name = &body.officer;
    if body.version != VERSION {
        return refuse(format!("the share of {name} is of version {}, and this program reads {VERSION}", body.version));
    }
    if body.function != function || body.tenant != charter.tenant {
        return refuse(format!(
            "the share of {name} is of {} of {}, and this custodian is of {function} of {}",
            body.function, body.tenant, charter.tenant
        ));
    }
    let signature = STANDARD.decode(signature).unwrap_or_default();
    let custodians = charter.custodian.iter().filter(|part| part.function == function);
    let signed = signed(line);
    let genuine = custodians.filter_map(|part| public_key(&part.key)).any(|key| key.verify(&signed, &signature));
    match genuine {
        true => Ok(body),
        false => refuse(format!("the share of {name} was changed, or no custodian of the charter made it")),
    }
}

fn public_key(key: &str) -> Option<Verifier> {
    let blob = STANDARD.decode(key.split(' ').nth(1)?).ok()?;
    Verifier::new("custodian", *blob.last_chunk::<32>()?).ok()
}

/// That a secret is the one that every domain's key was made with; how many domains there are.
pub(crate) fn check_domains(
    state: &State,
    function: Function,
    secret: &FunctionSecret,
) -> Result<usize, CustodianError> {
    let mut checked = 0;
    for record in state.statements().iter().filter(|record| record.status == Status::InForce) {
        let Statement::KeyCheck(check) = record.statement.as_ref() else { continue };
        let context =
            DomainContext { tenant: check.tenant.clone(), domain: Domain(check.domain.clone()), epoch: check.epoch };
        let share = secret.share(&context).map_err(|_| CustodianError::Crypto("make a share"))?;
        if Hex32(share.check_value()) != check.shares.of(function) {
            return refuse(format!(
                "this is not the secret of {function} that the key of domain `{}` was made with; nothing was written",
                check.domain
            ));
        }
        checked += 1;
    }
    Ok(checked)
}
