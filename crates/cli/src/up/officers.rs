//! The trial's people: one officer of each function and the head, each with an SSH key in a folder of their own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::rand;
use drieslot_register::statement::{Duty, Person};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

use crate::files;

/// Made-up people.
pub(crate) const PEOPLE: [(Duty, &str); 4] = [
    (Duty::Structure, "An Peeters"),
    (Duty::Access, "Bilal Haddad"),
    (Duty::Keys, "Chantal Dubois"),
    (Duty::Head, "Hilde Claes"),
];

/// Where a person's SSH key lies.
pub(crate) fn key_path(folder: &Path, duty: Duty) -> PathBuf {
    folder.join(duty.to_string()).join("id_ed25519")
}

/// Makes everybody's key, as `ssh-keygen -t ed25519` would.
pub(crate) fn create(folder: &Path) -> Result<Vec<Person>> {
    let mut people = Vec::new();
    for (function, name) in PEOPLE {
        let path = key_path(folder, function);
        files::make_folder(&folder.join(function.to_string()))?;
        let key = new_key(name)?;
        files::write_secret(&path, &key.to_openssh(LineEnding::LF).context("an SSH key")?)?;
        let public = key.public_key().to_openssh().context("an SSH public key")?;
        files::write(&path.with_extension("pub"), &format!("{public}\n"))?;
        people.push(Person { name: name.to_owned(), function, key: public });
    }
    files::write(&folder.join("allowed_signers"), &allowed_signers(&people))?;
    Ok(people)
}

fn new_key(name: &str) -> Result<PrivateKey> {
    let mut seed = [0_u8; 32];
    rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("the operating system gave no randomness"))?;
    let pair = Ed25519Keypair::from_seed(&seed);
    seed.fill(0);
    PrivateKey::new(KeypairData::Ed25519(pair), name).context("an SSH key")
}

/// For `ssh-keygen -Y verify -f`: anybody can check a signature without this program.
fn allowed_signers(people: &[Person]) -> String {
    let line = |person: &Person| format!("\"{}\" namespaces=\"statement@drieslot\" {}\n", person.name, person.key);
    people.iter().map(line).collect()
}
