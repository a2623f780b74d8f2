//! Secrets and what is derived from them: a custodian's secret, its share for a domain, the domain's key that three
//! shares make, and the expanded keys that cells are sealed with.
//!
//! A distributed pseudorandom function, n of n: Naor, Pinkas, Reingold, *Distributed Pseudo-Random Functions and
//! KDCs* (EUROCRYPT 1999); Agrawal, Mohassel, Mukherjee, Rindal, *DiSE* (CCS 2018). The shares are joined by HKDF
//! over their concatenation, not by XOR, which the last one to answer could steer.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use drieslot_schema::Protection;
use zeroize::Zeroizing;

use crate::primitives::{Secret32, hkdf_expand, hkdf_extract, hmac_sha256};
use crate::{DomainContext, SealError};

const DOMAIN_KEY_SALT: &[u8] = b"drieslot domain key v1";
const SHARE_CHECK: &[u8] = b"drieslot share check v1";
const KEY_CHECK: &[u8] = b"drieslot key check v1";
const SEALED_KEY: &[u8] = b"drieslot sealed key v1";
const EXACT_KEY: &[u8] = b"drieslot exact key v1";
const ORDERED_KEY: &[u8] = b"drieslot ordered key v1";
const ORDER_CODE_KEY: &[u8] = b"drieslot order code key v1";
const PSEUDONYM_KEY: &[u8] = b"drieslot pseudonym key v1";
const SUBJECT_KEY: &[u8] = b"drieslot subject key v1";
const SEARCH_KEY: &[u8] = b"drieslot search key v1";

/// k_f: the secret of one function, held by its custodian only. 32 bytes.
pub struct FunctionSecret(Secret32);

/// y_f: what one custodian contributes to one domain's key. 32 bytes.
pub struct Share(Secret32);

/// K: the key of one domain in one epoch. 32 bytes.
pub struct DomainKey(Secret32);

fn secret32(bytes: &[u8]) -> Result<Secret32, SealError> {
    let mut out = Zeroizing::new([0_u8; 32]);
    if bytes.len() != out.len() {
        return Err(SealError::SecretLength { len: bytes.len() });
    }
    out.copy_from_slice(bytes);
    Ok(out)
}

impl FunctionSecret {
    /// Takes exactly 32 bytes. The caller wipes its own copy.
    ///
    /// # Errors
    /// `SecretLength` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        secret32(bytes).map(Self)
    }

    /// 32 bytes of the operating system's randomness.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate() -> Result<Self, SealError> {
        let mut out = Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(out.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
        Ok(Self(out))
    }

    /// The secret itself, to write it to its sealed file or escrow. Nothing else may call this.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// `y_f = HMAC-SHA-256(k_f, ctx)`.
    ///
    /// # Errors
    /// `NameTooLong`.
    pub fn share(&self, context: &DomainContext) -> Result<Share, SealError> {
        Ok(Share(hmac_sha256(self.0.as_slice(), &[&context.encode()?])))
    }
}

impl Share {
    /// Takes exactly 32 bytes, as a custodian answered them. The caller wipes its own copy.
    ///
    /// # Errors
    /// `SecretLength` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        secret32(bytes).map(Self)
    }

    /// The share itself, to send it to a gateway over mutual TLS. Nothing else may call this.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// `HMAC-SHA-256(y_f, "drieslot share check v1")`: public, to find which custodian answered wrongly.
    pub fn check_value(&self) -> [u8; 32] {
        *hmac_sha256(self.0.as_slice(), &[SHARE_CHECK])
    }
}

impl DomainKey {
    /// `K = HKDF-SHA-256(salt = "drieslot domain key v1", ikm = y_structure ‖ y_access ‖ y_keys, info = ctx)`, 32 bytes.
    ///
    /// # Errors
    /// `NameTooLong`.
    pub fn combine(
        context: &DomainContext,
        structure: &Share,
        access: &Share,
        keys: &Share,
    ) -> Result<Self, SealError> {
        let ikm: [&[u8]; 3] = [structure.0.as_slice(), access.0.as_slice(), keys.0.as_slice()];
        let prk = hkdf_extract(DOMAIN_KEY_SALT, &ikm);
        Ok(Self(hkdf_expand(&prk, &context.encode()?)))
    }

    /// `HKDF-Expand(K, "drieslot key check v1")`: public; whoever combined the right shares finds the same.
    pub fn check_value(&self) -> [u8; 32] {
        *hkdf_expand(&self.0, KEY_CHECK)
    }
}

/// The expanded AES-256-GCM-SIV keys of one domain in one epoch: one subkey per protection, so that no cell of one
/// protection can be taken for one of the other. Meant to live in an `Arc`, shared by threads.
pub struct CellKey {
    context: DomainContext,
    sealed: LessSafeKey,
    exact: LessSafeKey,
    ordered: LessSafeKey,
    order_code: BlockKey,
    search: BlockKey,
    pseudonym: Secret32,
    subject: Secret32,
}

/// A key of AES-256 as a pseudorandom function of single blocks: for order codes and for tokens.
pub(crate) struct BlockKey(EncryptingKey);

impl BlockKey {
    fn new(key: &Secret32) -> Result<Self, SealError> {
        let unbound = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| SealError::Library)?;
        EncryptingKey::ecb(unbound).map(Self).map_err(|_| SealError::Library)
    }

    /// AES-256 of each block of 16 bytes by itself.
    pub(crate) fn encrypt_blocks(&self, blocks: &mut [u8]) -> Result<(), SealError> {
        self.0.encrypt(blocks).map(drop).map_err(|_| SealError::Library)
    }
}

impl CellKey {
    /// `HKDF-Expand(K, label)` for the label of each protection, order codes, tokens, pseudonyms and subjects, expanded.
    ///
    /// # Errors
    /// `Library`.
    pub fn new(key: &DomainKey, context: DomainContext) -> Result<Self, SealError> {
        let sealed = expand_aes(&hkdf_expand(&key.0, SEALED_KEY))?;
        let exact = expand_aes(&hkdf_expand(&key.0, EXACT_KEY))?;
        let ordered = expand_aes(&hkdf_expand(&key.0, ORDERED_KEY))?;
        let order_code = BlockKey::new(&hkdf_expand(&key.0, ORDER_CODE_KEY))?;
        let search = BlockKey::new(&hkdf_expand(&key.0, SEARCH_KEY))?;
        let pseudonym = hkdf_expand(&key.0, PSEUDONYM_KEY);
        let subject = hkdf_expand(&key.0, SUBJECT_KEY);
        Ok(Self { context, sealed, exact, ordered, order_code, search, pseudonym, subject })
    }

    /// What the key is for.
    pub fn context(&self) -> &DomainContext {
        &self.context
    }

    pub(crate) fn for_protection(&self, protection: Protection) -> &LessSafeKey {
        match protection {
            Protection::Sealed => &self.sealed,
            Protection::Exact => &self.exact,
            Protection::Ordered => &self.ordered,
        }
    }

    /// `HMAC-SHA-256(HKDF-Expand(K, "drieslot pseudonym key v1"), data)`.
    pub(crate) fn pseudonym(&self, data: &[u8]) -> Secret32 {
        hmac_sha256(self.pseudonym.as_slice(), &[data])
    }

    /// `HMAC-SHA-256(HKDF-Expand(K, "drieslot subject key v1"), data)`.
    pub(crate) fn subject(&self, data: &[u8]) -> Secret32 {
        hmac_sha256(self.subject.as_slice(), &[data])
    }

    pub(crate) fn search(&self) -> &BlockKey {
        &self.search
    }

    pub(crate) fn order_code(&self) -> &BlockKey {
        &self.order_code
    }
}

/// AES-256-GCM-SIV, [RFC 8452](https://www.rfc-editor.org/rfc/rfc8452).
fn expand_aes(key: &Secret32) -> Result<LessSafeKey, SealError> {
    let unbound = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice()).map_err(|_| SealError::Library)?;
    Ok(LessSafeKey::new(unbound))
}

impl fmt::Debug for FunctionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FunctionSecret(…)")
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(…)")
    }
}

impl fmt::Debug for DomainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainKey(…)")
    }
}

impl fmt::Debug for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CellKey({:?}, …)", self.context)
    }
}
