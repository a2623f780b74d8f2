//! What a key is for: tenant, domain, epoch; and the one way in which parts are joined before they are hashed.

use drieslot_schema::Domain;

use crate::SealError;

/// What a domain key is derived for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainContext {
    /// The controller's tenant name, from its charter.
    pub tenant: String,
    /// The domain.
    pub domain: Domain,
    /// The generation of the domain's key.
    pub epoch: u16,
}

impl DomainContext {
    /// The bytes `ctx` that go into every derivation: tenant, domain (both UTF-8) and epoch (2 bytes, big-endian),
    /// each as a 4-byte big-endian length followed by the bytes.
    ///
    /// # Errors
    /// `NameTooLong` for a name of 4 GiB or more.
    pub fn encode(&self) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(16 + self.tenant.len() + self.domain.0.len());
        push_part(&mut out, self.tenant.as_bytes())?;
        push_part(&mut out, self.domain.0.as_bytes())?;
        push_part(&mut out, &self.epoch.to_be_bytes())?;
        Ok(out)
    }
}

/// Appends `len(part) as u32 BE ‖ part`, so that no two lists of parts give the same bytes.
pub(crate) fn push_part(out: &mut Vec<u8>, part: &[u8]) -> Result<(), SealError> {
    let len = u32::try_from(part.len()).map_err(|_| SealError::NameTooLong { len: part.len() })?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Domain, DomainContext};

    #[test]
    fn parts_cannot_flow_into_each_other() {
        let context = |tenant: &str, domain: &str| {
            DomainContext { tenant: tenant.into(), domain: Domain(domain.into()), epoch: 1 }.encode().unwrap()
        };
        assert_eq!(context("ab", "c"), b"\0\0\0\x02ab\0\0\0\x01c\0\0\0\x02\0\x01");
        assert_ne!(context("ab", "c"), context("a", "bc"));
    }
}
