//! Makes a new trial: the processor, every part's keys, the charter, the classification, the mandate.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_register::statement::{Classification, Duty, Statement};
use drieslot_register::{Hex32, Receipt};
use jiff::Timestamp;

use super::folder::{Folder, Part, Trial};
use super::officers::{self, key_path};
use super::parts::{CUSTODIANS, Parts, create_roles};
use super::running::Running;
use super::statements;
use crate::files;
use crate::processor::Processor;
use crate::register::Register;
use crate::sign::{sign_file, signature_path};

const CHARTER: &str = "charter.toml";
const CLASSIFICATION: &str = "classification.toml";
const MANDATE: &str = "mandate.toml";

/// Everything up to the point where an application can connect.
pub(crate) async fn create(
    folder: &Folder,
    trial: &Trial,
    processor: &Processor,
    classification: &Classification,
    running: &mut Running,
    new_database: bool,
    now: Timestamp,
) -> Result<()> {
    processor.create().await?;
    running.add(Part::Processor, processor.start()?);
    processor.wait_ready(running.child(Part::Processor)?).await?;
    create_roles(folder, trial, processor, new_database).await?;
    let parts = Parts::create(folder)?;
    let people = officers::create(&folder.at("officers"))?;
    files::make_folder(&folder.at("statements"))?;
    let charter = statements::charter(parts.charter(people, now))?;
    parts.configure(folder, trial, Hex32::sha256(&charter), processor)?;
    running.start(Part::Register, folder, trial).await?;
    let register = Register::open(&folder.at("officers").join("register.toml"))?;
    put_in_force(folder, &register, CHARTER, &charter).await?;
    for (part, _) in CUSTODIANS {
        running.start(part, folder, trial).await?;
    }
    let classification_text = statements::text(&Statement::Classification(classification.clone()))?;
    put_in_force(folder, &register, CLASSIFICATION, &classification_text).await?;
    let mandate = statements::text(&Statement::Mandate(statements::mandate(classification, now)?))?;
    put_in_force(folder, &register, MANDATE, &mandate).await?;
    running.start(Part::Gateway, folder, trial).await
}

/// Starts what an earlier run made.
pub(crate) async fn resume(folder: &Folder, trial: &Trial, processor: &Processor, running: &mut Running) -> Result<()> {
    running.add(Part::Processor, processor.start()?);
    processor.wait_ready(running.child(Part::Processor)?).await?;
    running.start(Part::Register, folder, trial).await?;
    for (part, _) in CUSTODIANS {
        running.start(part, folder, trial).await?;
    }
    running.start(Part::Gateway, folder, trial).await
}

/// The classification that the trial's officers signed.
pub(crate) fn classification(folder: &Folder, trial: &Trial) -> Result<Classification> {
    let path = folder.at("statements").join(CLASSIFICATION);
    statements::read_classification(&files::read(&path)?, &trial.database).with_context(|| path.display().to_string())
}

/// Writes a statement, lets the officers sign it whose signatures the register asks for, and hands all in.
async fn put_in_force(folder: &Folder, register: &Register, name: &str, text: &str) -> Result<()> {
    let path = folder.at("statements").join(name);
    files::write(&path, text)?;
    // Structure signs every kind of statement of a trial; the receipt then names whose signatures are missing.
    let first = sign(folder, &path, Duty::Structure)?;
    let mut receipt = register.submit(text, &[first]).await.with_context(|| name.to_owned())?;
    for (duty, person) in officers::PEOPLE {
        if !receipt.in_force && asked_for(&receipt, duty, person) {
            receipt = register.add_signature(&receipt, &sign(folder, &path, duty)?).await?;
        }
    }
    anyhow::ensure!(receipt.in_force, "{name} is not in force; it still needs: {}", receipt.missing.join(", "));
    Ok(())
}

/// The register names persons, or functions.
fn asked_for(receipt: &Receipt, duty: Duty, person: &str) -> bool {
    let function = duty.to_string();
    receipt.missing.iter().any(|phrase| phrase == person || phrase.split_whitespace().any(|word| word == function))
}

/// The signature lies beside the statement too, for anybody to verify with `ssh-keygen`.
fn sign(folder: &Folder, path: &Path, duty: Duty) -> Result<String> {
    let key = key_path(&folder.at("officers"), duty);
    let armored = sign_file(path, &key)?;
    files::write(&signature_path(path, &key), &armored)?;
    Ok(armored)
}
