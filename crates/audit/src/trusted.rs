//! Journals whose key the charter has: only those are believed.

use std::path::Path;
use std::sync::Arc;

use drieslot_journal::{Checkpoint, Reader, Verifier};
use drieslot_register::statement::{Charter, GatewayPart};
use ssh_key::PublicKey;

use crate::AuditError;

/// A gateway's journal with a checkpoint that its key signed. Its entries are not looked at yet.
#[derive(Debug)]
pub struct Trusted<'a> {
    /// The journal as it is now.
    pub reader: Reader,
    /// What the gateway signed for.
    pub checkpoint: Checkpoint,
    /// The gateway's key under the journal's name.
    pub verifier: Verifier,
    /// Whose journal it is.
    pub gateway: &'a GatewayPart,
}

impl<'a> Trusted<'a> {
    /// Opens the journal in a folder.
    ///
    /// # Errors
    /// [`AuditError::Journal`] where it cannot be read, [`AuditError::NotOfCharter`].
    pub fn open(folder: &Path, charter: &'a Charter) -> Result<Self, AuditError> {
        let reader = Reader::open(folder)?;
        let found = charter.gateway.iter().find_map(|gateway| {
            let verifier = verifier(reader.origin(), gateway)?;
            Checkpoint::open(reader.note(), &verifier).ok().map(|checkpoint| (gateway, verifier, checkpoint))
        });
        match found {
            Some((gateway, verifier, checkpoint)) => Ok(Self { reader, checkpoint, verifier, gateway }),
            None => Err(AuditError::NotOfCharter { origin: reader.origin().to_owned() }),
        }
    }

    /// Checks every entry against what was signed.
    ///
    /// # Errors
    /// [`AuditError::Changed`].
    pub fn verify(&self, folder: &Path) -> Result<(), AuditError> {
        let changed = |source| AuditError::Changed { origin: self.reader.origin().to_owned(), source };
        drieslot_journal::verify(folder, &self.verifier).map_err(changed).map(|_| ())
    }

    /// The journal's name.
    #[must_use]
    pub fn origin(&self) -> Arc<str> {
        self.reader.origin().into()
    }
}

/// Whether the journal that this key signs is that of the gateway, by the gateway's key in the charter.
#[must_use]
pub fn is_of(key: &Verifier, gateway: &GatewayPart) -> bool {
    verifier(key.name(), gateway).is_some_and(|expected| expected.vkey() == key.vkey())
}

fn verifier(origin: &str, gateway: &GatewayPart) -> Option<Verifier> {
    let key = PublicKey::from_openssh(&gateway.key).ok()?;
    Verifier::new(origin, key.key_data().ed25519()?.0).ok()
}
