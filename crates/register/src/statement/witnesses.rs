//! What a charter says of witnesses: who they are, how many must cosign, and how long applications go on without.

use std::collections::BTreeSet;
use std::time::Duration;

use drieslot_journal::Cosigner;
use drieslot_witness::{Cosigning, Policy};
use serde::{Deserialize, Serialize};
use ssh_key::public::{Ed25519PublicKey, KeyData};

use super::Charter;

/// Longest grace: a day.
const MAX_GRACE_S: u64 = 86_400;

/// One witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessPart {
    /// Its name, which its cosignatures carry.
    pub name: String,
    /// Its C2SP verifier key of type 4, `name+key id+key`.
    pub key: String,
}

impl WitnessPart {
    /// Its key as one among those of the charter, of which nobody has two.
    pub(super) fn identity(&self) -> Result<KeyData, String> {
        Ok(KeyData::Ed25519(Ed25519PublicKey(self.cosigner()?.public_key())))
    }

    fn cosigner(&self) -> Result<Cosigner, String> {
        let name = &self.name;
        let cosigner = Cosigner::parse(&self.key).map_err(|error| format!("the key of witness `{name}`: {error}"))?;
        match cosigner.name() == name {
            true => Ok(cosigner),
            false => {
                Err(format!("the key of witness `{name}` is of `{}`: write the name that the key has", cosigner.name()))
            }
        }
    }
}

impl Charter {
    /// What its parts need before they may go on; `cosigners` is empty where it has no witnesses.
    ///
    /// # Errors
    /// What is contradictory in it.
    pub fn witnessing(&self) -> Result<Policy, String> {
        let numbers = (self.witness_quorum, self.witness_faults, self.witness_grace_s);
        let (quorum, faults, grace_s) = match numbers {
            (None, None, None) if self.witness.is_empty() => return Ok(Policy::default()),
            (Some(quorum), Some(faults), Some(grace_s)) => (quorum, faults, grace_s),
            (..) => {
                return Err(
                    "witnesses need all of witness_quorum, witness_faults and witness_grace_s, and at least one \
                            [[witness]]; without witnesses leave all of them out"
                        .into(),
                );
            }
        };
        let count = self.witness.len();
        if count > Cosigning::MAX_WITNESSES {
            return Err(format!("there are {count} witnesses: at most {}", Cosigning::MAX_WITNESSES));
        }
        if grace_s > MAX_GRACE_S {
            return Err(format!("witness_grace_s is {grace_s}: at most {MAX_GRACE_S}, a day"));
        }
        Policy::check_numbers(count, quorum, faults)?;
        let cosigners = self.witness.iter().map(WitnessPart::cosigner).collect::<Result<Vec<_>, _>>()?;
        let names: BTreeSet<_> = cosigners.iter().map(Cosigner::name).collect();
        let keys: BTreeSet<_> = cosigners.iter().map(Cosigner::public_key).collect();
        if names.len() < count || keys.len() < count {
            return Err("two witnesses have the same name or key: they are to be independent".into());
        }
        Ok(Policy { cosigners, quorum, faults, grace: Duration::from_secs(grace_s) })
    }
}
