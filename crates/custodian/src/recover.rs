//! The two ends of an escrow: writing the shares of a custodian that is whole, and making it anew from them.
//!
//! Both compare the secret with every key-check of the register first, and leave an entry in the custodian's journal
//! before a share or the secret is written.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use drieslot_journal::{IdentityKey, Journal, JournalConfig, entry};
use drieslot_link::TlsIdentity;
use drieslot_register::State;
use drieslot_register::statement::Charter;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::escrow::{self, Deposit, Recipient, Set, refuse};
use crate::private::{read_private, write_new};
use crate::secret;
use crate::server::{CustodianConfig, Place};
use crate::{CustodianError, Introduction};

const TLS_KEY: &str = "key.pem";
const TLS_CERTIFICATE: &str = "cert.pem";

/// What an escrow made.
#[derive(Clone, Debug)]
pub struct Escrowed {
    /// The set's id.
    pub set: String,
    /// Each recipient's name and file.
    pub shares: Vec<(String, PathBuf)>,
    /// Key-checks that the secret was compared with.
    pub domains: usize,
}

/// What a recovery made.
#[derive(Clone, Debug)]
pub struct RecoveredCustodian {
    /// What the charter says of it, as before.
    pub introduction: Introduction,
    /// Key-checks that the secret was compared with.
    pub domains: usize,
}

#[derive(Serialize)]
struct EscrowEntry<'a> {
    set: &'a str,
    threshold: u8,
    recipients: Vec<Receiver<'a>>,
}

#[derive(Serialize)]
struct Receiver<'a> {
    name: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct RecoveryEntry<'a> {
    set: &'a str,
    threshold: u8,
    officers: Vec<&'a str>,
    domains: usize,
    previous_journal: &'a str,
}

fn charter(state: &State) -> Result<&Charter, CustodianError> {
    state.charter().map(|charter| &**charter).ok_or(CustodianError::Escrow("the charter is not in force yet".into()))
}

/// Writes a new set of shares of a custodian that is stopped, one file for each recipient, into a new folder.
///
/// # Errors
/// `Escrow` for a secret in a token, an officer whose key opens nothing, a threshold that cannot be, or a secret that
/// is not the register's; `Exists`, `Secret`, `Journal`, `File`.
pub fn escrow(
    config: &CustodianConfig,
    state: &State,
    given: &[Recipient],
    threshold: u8,
    folder: &Path,
    now: Timestamp,
) -> Result<Escrowed, CustodianError> {
    let Place::File(path, credential) = config.place()? else {
        return refuse(
            "the secret is in a token and cannot leave it. A secret is escrowed before it goes there: make the \
             custodian with a sealed file, escrow it, and recover it into the token",
        );
    };
    if folder.exists() {
        return Err(CustodianError::Exists(folder.to_owned()));
    }
    let charter = charter(state)?;
    let secret = secret::open(path, config.function, credential)?;
    let domains = escrow::check_domains(state, config.function, &secret)?;
    let recipients = escrow::recipients(charter, config.function, given)?;
    let key = IdentityKey::load(&config.key)?;
    let deposit = Deposit {
        secret,
        key: read_private(&config.key)?,
        tls_key: read_private(&config.identity.join(TLS_KEY))?,
        tls_certificate: Zeroizing::new(read(&config.identity.join(TLS_CERTIFICATE))?),
    };
    let mut random = [0_u8; 16];
    rand::fill(&mut random).map_err(|_| CustodianError::Crypto("draw a set's id"))?;
    let set_id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let set =
        Set { tenant: &charter.tenant, function: config.function, origin: &config.origin, set: &set_id, threshold };
    let files = escrow::split(&set, &deposit, &recipients, &key)?;
    let receivers = recipients.iter().map(|one| Receiver { name: &one.name, key: &one.key }).collect();
    record(config, "escrow", now, &EscrowEntry { set: &set_id, threshold, recipients: receivers })?;
    make_folder(folder)?;
    let mut shares = Vec::with_capacity(files.len());
    for (number, (recipient, text)) in recipients.iter().zip(&files).enumerate() {
        let short: String = set_id.chars().take(8).collect();
        let file = folder.join(format!("{}-{short}-{}.age", config.function, number.saturating_add(1)));
        write_new(&file, text.as_bytes())?;
        shares.push((recipient.name.clone(), file));
    }
    Ok(Escrowed { set: set_id, shares, domains })
}

/// Makes a custodian anew from shares, where its configuration says; nothing is written unless the secret is the one
/// that every domain's key in the register was made with.
///
/// # Errors
/// `Escrow` for shares or a secret that are not right; `Exists` where there is a secret already; `Config` where the
/// journal would begin again under a name that it had; `Token`, `Credential`, `Journal`, `File`.
pub fn recover(
    config: &CustodianConfig,
    state: &State,
    shares: &[PathBuf],
    identities: &[PathBuf],
    now: Timestamp,
) -> Result<RecoveredCustodian, CustodianError> {
    let place = config.place()?;
    if let Place::File(path, _) = &place
        && path.exists()
    {
        return Err(CustodianError::Exists(path.to_path_buf()));
    }
    let opened = shares.iter().map(|share| escrow::open(share, identities)).collect::<Result<Vec<_>, _>>()?;
    let (deposit, bodies) = escrow::join(&opened, charter(state)?, config.function)?;
    let domains = escrow::check_domains(state, config.function, &deposit.secret)?;
    let Some(first) = bodies.first() else { return refuse("no share was given") };
    if !config.journal.exists() && config.origin == first.origin {
        return Err(CustodianError::Config(
            "the old journal is not here, and a journal never begins again under the same name: give `origin` another",
        ));
    }
    let files = [
        (config.key.clone(), &deposit.key),
        (config.identity.join(TLS_KEY), &deposit.tls_key),
        (config.identity.join(TLS_CERTIFICATE), &deposit.tls_certificate),
    ];
    for (path, bytes) in &files {
        if path.exists() && read(path)? != ***bytes {
            return Err(CustodianError::Exists(path.clone()));
        }
    }
    if let Place::Token(token) = &place {
        token.check_room()?;
    }
    for (path, bytes) in files.iter().filter(|(path, _)| !path.exists()) {
        make_folder(path.parent().unwrap_or(Path::new(".")))?;
        write_new(path, bytes)?;
    }
    let officers = bodies.iter().map(|body| body.officer.as_str()).collect();
    let (set, threshold, previous_journal) = (first.set.as_str(), first.threshold, first.origin.as_str());
    record(config, "recovery", now, &RecoveryEntry { set, threshold, officers, domains, previous_journal })?;
    match place {
        Place::Token(token) => token.import(&deposit.secret)?,
        Place::File(path, credential) => secret::seal_to_new(path, config.function, &deposit.secret, credential)?,
    }
    let key = drieslot_register::signature::identity_public_key(&IdentityKey::load(&config.key)?)?;
    let tls = TlsIdentity::load(&config.identity)?.fingerprint();
    Ok(RecoveredCustodian { introduction: Introduction { tls, key }, domains })
}

/// Durable before anything else is done. A custodian that runs holds its journal, so this fails where it does.
fn record(config: &CustodianConfig, kind: &str, now: Timestamp, body: &impl Serialize) -> Result<(), CustodianError> {
    let key = IdentityKey::load(&config.key)?;
    let (journal, _) = Journal::open(&config.journal, JournalConfig::new(&config.origin, key))?;
    let index = journal.append(entry::encode(kind, &now.to_string(), body)?)?;
    journal.wait_durable(index)?;
    Ok(journal.close()?)
}

fn read(path: &Path) -> Result<Vec<u8>, CustodianError> {
    fs::read(path).map_err(|source| CustodianError::File { path: path.to_owned(), source })
}

fn make_folder(path: &Path) -> Result<(), CustodianError> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    let made = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    made.map_err(|source| CustodianError::File { path: path.to_owned(), source })
}
