//! `drieslot register export`: the whole register as plain files, for whoever verifies it without Drieslot.
//!
//! It is verified before a file is written: every signature, from the charter's hash on, and the checkpoint over all entries.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drieslot_journal::Reader;
use drieslot_journal::hash::{self, Peaks};
use drieslot_register::entry::{Entry, SignatureEntry};
use drieslot_register::follow::check_checkpoint;
use drieslot_register::signature::NAMESPACE;
use drieslot_register::{Hex32, Record, State};
use ssh_key::{PublicKey, SshSig};

use crate::command::RegisterExportArgs;
use crate::failure::failure;
use crate::files;
use crate::register::Register;

/// The register's entries as they were written, and the signed note over them.
pub(crate) struct Log {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) note: String,
    pub(crate) charter_sha256: Hex32,
}

/// A signature that counts.
struct Counted {
    /// Index of its entry.
    index: usize,
    armored: String,
    /// The line that lets `ssh-keygen` accept it.
    allowed: String,
}

/// Runs the command.
pub(crate) async fn export(args: &RegisterExportArgs) -> Result<()> {
    let log = match (&args.journal, args.charter_sha256) {
        (Some(folder), Some(charter_sha256)) => read(folder, charter_sha256)?,
        (Some(_), None) | (None, Some(_)) => {
            return Err(failure("the charter is not known", "give both --journal and --charter-sha256, or neither"));
        }
        (None, None) => Register::open(&args.client.register)?.log().await?,
    };
    let (state, signatures) = fold(&log)?;
    let out = &args.folder;
    let hint = "name a folder that is not there yet, so that nothing else can be in it";
    fs::create_dir(out).map_err(|error| failure(format!("{}: {error}", out.display()), hint))?;
    write_log(&out.join("log"), &log)?;
    let statements = out.join("statements");
    files::make_folder(&statements)?;
    for record in state.statements() {
        write_statement(&statements, record, signatures.get(&record.sha256).map_or(&[], Vec::as_slice))?;
    }
    files::write(&out.join("README"), &readme(&log, &state))?;
    println!("{}: {} statements of {} entries", out.display(), state.statements().len(), log.entries.len());
    println!("verify it with the script in docs/statements.md, and the charter's SHA-256 as you know it");
    Ok(())
}

/// From a journal's folder: what its checkpoint covers.
fn read(folder: &Path, charter_sha256: Hex32) -> Result<Log> {
    let shown = folder.display().to_string();
    let reader = Reader::open(folder).with_context(|| format!("no journal can be read in {shown}"))?;
    let entries = reader.entries(0, reader.checkpointed())?.map(|found| found.map(|(_, bytes)| bytes));
    let entries = entries.collect::<Result<Vec<_>, _>>().with_context(|| shown)?;
    Ok(Log { entries, note: reader.note().to_owned(), charter_sha256 })
}

fn fold(log: &Log) -> Result<(State, BTreeMap<Hex32, Vec<Counted>>)> {
    let (mut state, mut peaks) = (State::new(log.charter_sha256), Peaks::default());
    let mut signatures: BTreeMap<Hex32, Vec<Counted>> = BTreeMap::new();
    for (index, bytes) in log.entries.iter().enumerate() {
        let at = state.revision();
        state.apply(at, bytes).with_context(|| format!("the register is corrupt at entry {at}"))?;
        peaks.push(hash::leaf(bytes));
        if let Entry::Signature(signature) = Entry::decode(bytes)? {
            let counted = counted(&state, index, &signature)?;
            signatures.entry(signature.statement).or_default().push(counted);
        }
    }
    check_checkpoint(&state, &peaks, &log.note).map_err(|why| {
        failure(format!("the register is corrupt: {why}"), "compare it with its backups and with what custodians saw")
    })?;
    Ok((state, signatures))
}

fn counted(state: &State, index: usize, signature: &SignatureEntry) -> Result<Counted> {
    let record = state.find_sha256(&signature.statement).context("a signature of no statement")?;
    let signer = record.signers.last().context("a signature of nobody")?;
    let key = SshSig::from_pem(signature.armored.trim())?.public_key().clone();
    let key = PublicKey::from(key).to_openssh()?;
    let allowed = format!("{} namespaces=\"{NAMESPACE}\" {key}\n", principal(&signer.name));
    Ok(Counted { index, armored: signature.armored.clone(), allowed })
}

/// A name as `allowed_signers` may have it: there blanks, commas, quotes, `*`, `?` and `!` mean something.
fn principal(name: &str) -> String {
    name.chars().map(|one| if one.is_alphanumeric() || "-._".contains(one) { one } else { '_' }).collect()
}

fn file_name(record: &Record) -> String {
    format!("{:06}-{}-{}.toml", record.index, record.kind(), record.id())
}

fn write_statement(folder: &Path, record: &Record, signatures: &[Counted]) -> Result<()> {
    let path = folder.join(file_name(record));
    let beside = |what: &str| PathBuf::from(format!("{}.{what}", path.display()));
    files::write(&path, &record.text)?;
    let allowed: String = signatures.iter().map(|one| one.allowed.as_str()).collect();
    files::write(&beside("allowed_signers"), &allowed)?;
    for one in signatures {
        files::write(&beside(&format!("{:06}.sig", one.index)), &one.armored)?;
    }
    Ok(())
}

/// Each entry's exact bytes: the leaves of the checkpoint's tree.
fn write_log(folder: &Path, log: &Log) -> Result<()> {
    files::make_folder(folder)?;
    for (index, bytes) in log.entries.iter().enumerate() {
        let path = folder.join(format!("{index:06}.json"));
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    files::write(&folder.join("checkpoint"), &log.note)
}

fn readme(log: &Log, state: &State) -> String {
    let mut text = format!(
        "The register of {}, {} entries. The charter's SHA-256 is {}: compare it with what you were given.\n\n\
         statements/  each statement's exact bytes, its signatures (*.sig, by the number of their entry), and whose\n\
         \x20            signatures counted there (*.allowed_signers): officers as they were at that moment\n\
         log/         each entry's exact bytes, and the checkpoint signed by the register's key in the charter:\n\
         \x20            RFC 6962 root of the entries in order\n\n\
         The script in Drieslot's docs/statements.md verifies every signature with ssh-keygen.\n\n",
        state.tenant().unwrap_or("(no charter in force)"),
        log.entries.len(),
        log.charter_sha256
    );
    for record in state.statements() {
        let signers: Vec<&str> = record.signers.iter().map(|signer| signer.name.as_str()).collect();
        text.push_str(&format!("{}  {}; signed by {}\n", file_name(record), record.status, signers.join(", ")));
    }
    text
}
