//! Pseudonyms of subjects: whom a row is about, in a journal that must not be a register of persons.
//!
//! `docs/format.md` is normative.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drieslot_schema::{Domain, LogicalType};

use crate::context::push_part;
use crate::values::{self, ValueError};
use crate::{CellKey, SealError, Settings};

/// Bytes of the HMAC that a pseudonym keeps.
const PSEUDONYM_LEN: usize = 16;

/// The tenant's key of pseudonyms, which opens no cell: as long as the lease of the key that it is made of.
#[derive(Clone, Debug)]
pub struct SubjectKey(Arc<CellKey>);

impl SubjectKey {
    /// Takes the key of the domain [`Domain::subjects`].
    ///
    /// # Errors
    /// `NotOfSubjects` for that of any other domain.
    pub fn new(key: Arc<CellKey>) -> Result<Self, SealError> {
        if key.context().domain == Domain::subjects() {
            return Ok(Self(key));
        }
        Err(SealError::NotOfSubjects { given: key.context().domain.clone() })
    }

    /// Who `subject`, as [`subject_of_text`] or [`subject_of_plaintext`] spell it, is in journals: 22 characters.
    ///
    /// # Errors
    /// `NameTooLong`.
    pub fn pseudonym(&self, realm: &Domain, subject: &[u8]) -> Result<String, SealError> {
        let mut data = Vec::with_capacity(8 + realm.0.len() + subject.len());
        push_part(&mut data, realm.0.as_bytes())?;
        push_part(&mut data, subject)?;
        let tag = self.0.subject(&data);
        Ok(URL_SAFE_NO_PAD.encode(tag.get(..PSEUDONYM_LEN).unwrap_or_default()))
    }
}

/// A subject as PostgreSQL writes it, of a canonical plaintext; appended to `out`.
///
/// # Errors
/// For bytes that are no value of the type, and for types that name nobody.
pub fn subject_of_plaintext(ty: LogicalType, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !ty.names_a_subject() {
        return Err(ValueError::unsupported(&ty.to_string(), "Name a text, a whole number or a uuid as the subject."));
    }
    let begun = out.len();
    values::decode_text(ty, plaintext, &Settings::default(), out)?;
    // What a char(n) is filled up with belongs to the column, not to the person.
    while matches!(ty, LogicalType::Bpchar(_)) && out.len() > begun && out.last() == Some(&b' ') {
        out.pop();
    }
    Ok(())
}

/// The same, of a value in any form that PostgreSQL reads.
///
/// # Errors
/// For a text that is no value of the type, and for types that name nobody.
pub fn subject_of_text(ty: LogicalType, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut plaintext = zeroize::Zeroizing::new(Vec::new());
    values::encode_text(ty, text, false, &Settings::default(), &mut plaintext)?;
    subject_of_plaintext(ty, &plaintext, out)
}
