//! Commands that speak with a register: submit, pending, show, access, revoke.
//!
//! What it shows of the register it has verified itself: every signature, from the charter's hash on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use drieslot_link::TlsIdentity;
use drieslot_register::client::RegisterClient;
use drieslot_register::follow::{FollowConfig, Follower};
use drieslot_register::statement::{Kind, Mandate, Revocation, Statement};
use drieslot_register::{Receipt, Record, State, Status};
use jiff::Timestamp;
use serde::Deserialize;

use crate::export::Log;
use crate::failure::failure;
use crate::files;
use crate::meaning::meaning;
use crate::writing::check_size;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// How a command line reaches a register. Relative paths are relative to the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterAccess {
    /// Folder with this client's TLS identity.
    identity: PathBuf,
    /// The register, and the charter that it must begin with.
    register: FollowConfig,
}

/// A register that can be asked.
pub(crate) struct Register {
    access: RegisterAccess,
    identity: Arc<TlsIdentity>,
    client: RegisterClient,
}

impl Register {
    /// Reads the file and the identity; speaks with nobody yet.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let hint = "name the file with --register; a trial has it in its data folder as officers/register.toml";
        let text =
            std::fs::read_to_string(path).map_err(|error| failure(format!("{}: {error}", path.display()), hint))?;
        let mut access: RegisterAccess =
            toml::from_str(&text).map_err(|error| failure(format!("{}: {}", path.display(), error.message()), hint))?;
        access.identity = path.parent().unwrap_or(Path::new(".")).join(&access.identity);
        let identity = Arc::new(TlsIdentity::load(&access.identity)?);
        let client = RegisterClient::new(&identity, access.register.register_tls, &access.register.register_address)?;
        Ok(Self { access, identity, client })
    }

    /// Hands a statement in; `signatures` are armoured.
    pub(crate) async fn submit(&self, text: &str, signatures: &[String]) -> Result<Receipt> {
        Ok(self.client.submit(text, signatures).await?)
    }

    /// Hands one more signature in.
    pub(crate) async fn add_signature(&self, receipt: &Receipt, armored: &str) -> Result<Receipt> {
        Ok(self.client.sign(receipt.statement, armored).await?)
    }

    /// The whole register, verified.
    pub(crate) async fn state(&self) -> Result<Arc<State>> {
        let follower = Follower::start(self.access.register.clone(), Arc::clone(&self.identity))?;
        let ready = tokio::time::timeout(READY_WITHIN, follower.ready()).await;
        ready.map_err(|_| self.silent())??;
        Ok(follower.state())
    }

    /// Every entry as it is, for whoever verifies them.
    pub(crate) async fn log(&self) -> Result<Log> {
        let (entries, note) = self.client.log().await?;
        Ok(Log { entries, note, charter_sha256: self.access.register.charter_sha256 })
    }

    /// The same, also before its charter is in force: that one is handed in too.
    async fn begun(&self) -> Result<Arc<State>> {
        let follower = Follower::start(self.access.register.clone(), Arc::clone(&self.identity))?;
        let read = async {
            while follower.last_contact_age() == Duration::MAX && follower.state().closed_why().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let asked = tokio::time::timeout(READY_WITHIN, read).await;
        asked.map_err(|_| self.silent())?;
        match follower.state() {
            state if state.closed_why().is_none() => Ok(state),
            _ => Err(follower.ready().await.err().map_or_else(|| self.silent(), Into::into)),
        }
    }

    fn silent(&self) -> anyhow::Error {
        let what = format!("the register at {} does not answer", self.access.register.register_address);
        failure(what, "see that it runs, and that its address and TLS key are those of the file")
    }
}

/// `drieslot submit`: the statement, and every signature that lies beside it as FILE.*sig.
pub(crate) async fn submit(file: &Path, access: &Path) -> Result<()> {
    let text = files::read(file)?;
    check_size(&text, Timestamp::now())?;
    let register = Register::open(access)?;
    let signatures = signatures_beside(file)?;
    let known = register.begun().await?.find_sha256(&drieslot_register::Hex32::sha256(&text)).cloned();
    let receipt = match known {
        None => register.submit(&text, &signatures).await?,
        Some(record) => {
            let mut receipt = Receipt {
                statement: record.sha256,
                in_force: record.status == Status::InForce,
                missing: record.missing(),
            };
            for armored in &signatures {
                match register.add_signature(&receipt, armored).await {
                    Ok(newer) => receipt = newer,
                    Err(error) => println!("not taken: {error}"),
                }
            }
            receipt
        }
    };
    print_receipt(&receipt);
    Ok(())
}

fn signatures_beside(file: &Path) -> Result<Vec<String>> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let prefix = format!("{}.", file.file_name().unwrap_or_default().to_string_lossy());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with("sig") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| files::read(path)).collect()
}

pub(crate) fn print_receipt(receipt: &Receipt) {
    println!("statement {}", receipt.statement);
    match receipt.in_force {
        true => println!("in force"),
        false if receipt.missing.is_empty() => println!("recorded, without any signature yet"),
        false => println!("still needs: {}", receipt.missing.join(", ")),
    }
}

/// `drieslot pending`
pub(crate) async fn pending(access: &Path) -> Result<()> {
    let state = Register::open(access)?.state().await?;
    for record in state.pending() {
        println!("{:>6}  {} `{}`  needs: {}", record.index, record.kind(), record.id(), record.missing().join(", "));
        if let Statement::Denial(denial) = record.statement.as_ref() {
            println!("        denies {} `{}`: {}", denial.denies.kind, denial.denies.id, denial.why);
        }
    }
    Ok(())
}

/// By index, id, or the beginning of its hash. An id may stand for several kinds: what waits comes first.
pub(crate) fn find<'a>(state: &'a State, wanted: &str) -> Result<&'a Record> {
    let is_it = |record: &&Arc<Record>| {
        record.id() == wanted
            || record.index.to_string() == wanted
            || (wanted.len() >= 6 && record.sha256.to_string().starts_with(wanted))
    };
    let found = state.pending().find(is_it).or_else(|| state.statements().iter().find(is_it));
    let hint = "list them with `drieslot access PRINCIPAL` or `drieslot pending`";
    found.map(Arc::as_ref).ok_or_else(|| failure(format!("the register holds no statement `{wanted}`"), hint))
}

/// `drieslot show`: by index, id, or the beginning of its hash.
pub(crate) async fn show(access: &Path, wanted: &str, now: Timestamp) -> Result<()> {
    let state = Register::open(access)?.state().await?;
    let record = find(&state, wanted)?;
    println!("{}", record.text);
    println!("# entry {} of the register, SHA-256 {}", record.index, record.sha256);
    for signer in &record.signers {
        println!("# signed by {} ({})", signer.name, signer.duty);
    }
    println!("# {}", record.status);
    for denial in state.statements().iter().filter(|one| one.status == Status::InForce) {
        if let Statement::Denial(no) = denial.statement.as_ref()
            && (no.denies.kind, no.denies.id.as_str()) == (record.kind(), record.id())
        {
            let by: Vec<&str> = denial.signers.iter().map(|signer| signer.name.as_str()).collect();
            println!("# denied by {}: {}", by.join(", "), no.why);
        }
    }
    if let (Statement::Mandate(mandate), Status::Pending) = (record.statement.as_ref(), record.status) {
        changes(&state, mandate, now).lines().for_each(|line| println!("# {line}"));
    }
    if let (Some(meaning), Status::Pending) = (meaning(&record.statement, now), record.status) {
        meaning.lines().for_each(|line| println!("# {line}"));
    }
    Ok(())
}

/// What a mandate would change, with a heading.
pub(crate) fn changes(state: &State, mandate: &Mandate, now: Timestamp) -> String {
    format!("what mandate `{}` changes:\n{}", mandate.id, state.difference(mandate, now))
}

/// `drieslot revoke`: writes the revocation; it takes one officer's signature to work.
pub(crate) async fn revoke(access: &Path, mandate: &str, why: &str, out: &Path, now: Timestamp) -> Result<()> {
    let state = Register::open(access)?.state().await?;
    if state.find(Kind::Mandate, mandate).is_none() {
        let hint = "see `drieslot access PRINCIPAL` for the mandates in force";
        return Err(failure(format!("the register holds no mandate `{mandate}`"), hint));
    }
    let tenant = state.tenant().context("the register has no charter in force")?.to_owned();
    let revocation =
        Revocation { tenant, id: format!("revoke-{mandate}"), issued: now, mandate: mandate.into(), why: why.into() };
    files::write(out, &Statement::Revocation(revocation).to_text()?)?;
    println!("written: {}", out.display());
    println!("next:    drieslot sign {0} --key KEY && drieslot submit {0}", out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::signatures_beside;
    use crate::sign::signature_path;

    #[test]
    fn signatures_lie_beside_their_statement() {
        let path = signature_path(Path::new("/a/m.toml"), Path::new("/o/keys/id_ed25519"));
        assert_eq!(path, Path::new("/a/m.toml.keys.sig"));
        let path = signature_path(Path::new("/a/m.toml"), Path::new("/o/keys/kim"));
        assert_eq!(path, Path::new("/a/m.toml.keys-kim.sig"));
        let folder = tempfile::tempdir().unwrap();
        for name in ["m.toml", "m.toml.keys.sig", "m.toml.sig", "n.toml.sig", "m.toml.new"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        assert_eq!(signatures_beside(&folder.path().join("m.toml")).unwrap(), ["m.toml.keys.sig", "m.toml.sig"]);
    }
}
