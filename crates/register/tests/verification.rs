//! A charter may want security keys that verify their user: whose signatures then count, and whose do not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod people;

use drieslot_journal::IdentityKey;
use drieslot_journal::hash::sha256;
use drieslot_register::signature::{NAMESPACE, sign_elsewhere, sign_with_identity};
use drieslot_register::statement::{Charter, Duty, Statement};
use drieslot_register::{Effect, Function, Hex32, Refusal, State};
use people::{Log, classification, denial, mandate, officers, ssh_key};
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEd25519};
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, Signature, SshSig};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;

struct SecurityKey(IdentityKey);

impl SecurityKey {
    fn new() -> Self {
        Self(IdentityKey::generate().unwrap())
    }

    fn key(&self) -> KeyData {
        KeyData::SkEd25519(SkEd25519::new(Ed25519PublicKey(self.0.public_key()), "ssh:"))
    }

    fn public(&self) -> String {
        PublicKey::from(self.key()).to_openssh().unwrap()
    }

    /// As an authenticator does it: [PROTOCOL.u2f](https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.u2f).
    fn raw(&self, to_sign: &[u8], flags: u8) -> Signature {
        let trailer = [flags, 0, 0, 0, 9];
        let message = [&sha256(b"ssh:")[..], &trailer, &sha256(to_sign)].concat();
        Signature::new(Algorithm::SkEd25519, [&self.0.sign(&message)[..], &trailer].concat()).unwrap()
    }

    fn sign(&self, text: &str, flags: u8) -> String {
        sign_elsewhere::<Refusal>(text.as_bytes(), &self.key(), |to_sign| Ok(self.raw(to_sign, flags))).unwrap()
    }

    /// Without the look at it that the signer takes.
    fn sign_unseen(&self, text: &str, flags: u8) -> String {
        let to_sign = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
        let raw = self.raw(&to_sign, flags);
        SshSig::new(self.key(), NAMESPACE, HashAlg::Sha512, raw).unwrap().to_pem(LineEnding::LF).unwrap()
    }
}

/// Kim of `keys` has a security key; the charter wants it to verify him.
fn verifying(kim: &SecurityKey, duties: &[Duty]) -> Result<Log, Refusal> {
    let mut log = Log::unsigned();
    let Statement::Charter(mut charter) = Statement::parse(&log.charter)? else { unreachable!() };
    charter.user_verification = duties.to_vec();
    charter.person.iter_mut().find(|one| one.name == "kim").unwrap().key = kim.public();
    let text = Statement::Charter(charter).to_text()?;
    Statement::parse(&text)?;
    log = Log { state: State::new(Hex32::sha256(&text)), entries: Vec::new(), charter: text.clone(), ..log };
    log.submit(&text)?;
    for who in ["sam", "sofie", "ann", "hilde"] {
        log.sign(who, &text)?;
    }
    Ok(log)
}

fn refused(effect: Result<Effect, Refusal>, what: &str) {
    let why = effect.unwrap_err().to_string();
    assert!(why.contains(what), "{why}");
}

#[test]
fn where_the_charter_asks_a_touch_is_not_enough() {
    let kim = SecurityKey::new();
    let mut log = verifying(&kim, &[Duty::Keys]).unwrap();
    let charter = log.charter.clone();
    let unverified = "verify its user";
    refused(log.armored(&charter, kim.sign(&charter, PRESENT)), unverified);
    refused(log.armored(&charter, kim.sign_unseen(&charter, VERIFIED)), "nobody touched");
    refused(log.armored(&charter, kim.sign_unseen(&charter, 0)), "nobody touched");
    assert!(matches!(log.armored(&charter, kim.sign(&charter, PRESENT | VERIFIED)), Ok(Effect::InForce { .. })));

    for (text, whole) in [(classification("c1", None, ""), true), (mandate("m1", ""), false)] {
        log.submit(&text).unwrap();
        for who in ["sam", "sofie", "ann"] {
            log.sign(who, &text).unwrap();
        }
        refused(log.armored(&text, kim.sign(&text, PRESENT)), unverified);
        if whole {
            let effect = log.armored(&text, kim.sign(&text, PRESENT | VERIFIED));
            assert!(matches!(effect, Ok(Effect::InForce { .. })), "{effect:?}");
        }
    }
    // A no is a signature too.
    let no = denial("d1", "mandate", "m1");
    log.submit(&no).unwrap();
    refused(log.armored(&no, kim.sign(&no, PRESENT)), unverified);
    assert!(matches!(log.armored(&no, kim.sign(&no, PRESENT | VERIFIED)), Ok(Effect::InForce { .. })));
}

#[test]
fn the_flags_are_under_the_signature() {
    let kim = SecurityKey::new();
    let mut log = verifying(&kim, &[Duty::Keys]).unwrap();
    let text = log.charter.clone();
    let to_sign = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
    let mut raw = kim.raw(&to_sign, PRESENT).as_bytes().to_vec();
    let at = raw.len() - 5;
    raw[at] |= VERIFIED;
    let forged = Signature::new(Algorithm::SkEd25519, raw).unwrap();
    let forged = SshSig::new(kim.key(), NAMESPACE, HashAlg::Sha512, forged).unwrap().to_pem(LineEnding::LF).unwrap();
    refused(log.armored(&text, forged), "not a signature of this text");
}

#[test]
fn whoever_must_be_verified_has_a_security_key() {
    let kim = SecurityKey::new();
    let why = verifying(&kim, &[Duty::Keys, Duty::Access]).map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("user verification of ann"), "{why}");
    assert!(verifying(&kim, &[Duty::Head]).is_err(), "the head too");

    let mut log = verifying(&kim, &[Duty::Keys]).unwrap();
    let charter = log.charter.clone();
    log.armored(&charter, kim.sign(&charter, PRESENT | VERIFIED)).unwrap();
    let plain = ssh_key().public_key().to_openssh().unwrap();
    refused(log.submit(&officers("o1", "keys", &[], &[("karel", &plain)])), "user verification of karel");
    let new = SecurityKey::new();
    let text = officers("o2", "keys", &["kim"], &[("karel", &new.public())]);
    log.submit(&text).unwrap();
    log.sign("ann", &text).unwrap();
    refused(log.armored(&text, kim.sign(&text, PRESENT)), "verify its user");
    log.armored(&text, kim.sign(&text, PRESENT | VERIFIED)).unwrap();
    let text = denial("d1", "officers", "o3");
    assert!(log.submit(&text).is_err());
    let next = officers("o3", "access", &[], &[("an", &plain)]);
    log.submit(&next).unwrap();
    log.submit(&text).unwrap();
    refused(log.armored(&text, new.sign(&text, PRESENT)), "verify its user");
    refused(log.armored(&text, kim.sign(&text, PRESENT | VERIFIED)), "belongs to no person");
    log.armored(&text, new.sign(&text, PRESENT | VERIFIED)).unwrap();
}

/// The charter in force, written anew under another id.
fn next(log: &Log, change: impl Fn(&mut Charter)) -> String {
    let mut charter = log.state.charter().unwrap().as_ref().clone();
    charter.replaces = Some(charter.id.clone());
    charter.id = "charter-2".into();
    change(&mut charter);
    Statement::Charter(charter).to_text().unwrap()
}

#[test]
fn a_next_charter_does_not_get_round_it() {
    let kim = SecurityKey::new();
    let mut log = verifying(&kim, &[Duty::Keys]).unwrap();
    let charter = log.charter.clone();
    log.armored(&charter, kim.sign(&charter, PRESENT | VERIFIED)).unwrap();
    let text = next(&log, |charter| charter.user_verification.clear());
    log.submit(&text).unwrap();
    for who in ["sam", "sofie", "ann", "hilde"] {
        log.sign(who, &text).unwrap();
    }
    refused(log.armored(&text, kim.sign(&text, PRESENT)), "verify its user");
    let effect = log.armored(&text, kim.sign(&text, PRESENT | VERIFIED));
    assert!(matches!(effect, Ok(Effect::InForce { .. })), "{effect:?}");
}

#[test]
fn a_custodian_stands_in_for_a_lost_security_key() {
    let (kim, new) = (SecurityKey::new(), SecurityKey::new());
    let mut log = verifying(&kim, &[Duty::Keys]).unwrap();
    let charter = log.charter.clone();
    log.armored(&charter, kim.sign(&charter, PRESENT | VERIFIED)).unwrap();
    let text = next(&log, |charter| {
        charter.person.iter_mut().find(|one| one.name == "kim").unwrap().key = new.public();
    });
    log.submit(&text).unwrap();
    for who in ["sam", "sofie", "ann", "hilde"] {
        log.sign(who, &text).unwrap();
    }
    refused(log.armored(&text, new.sign(&text, PRESENT)), "verify its user");
    log.armored(&text, new.sign(&text, PRESENT | VERIFIED)).unwrap();
    let by_custodian = sign_with_identity(text.as_bytes(), &log.custodians[&Function::Keys]).unwrap();
    let effect = log.armored(&text, by_custodian);
    assert!(matches!(effect, Ok(Effect::InForce { .. })), "{effect:?}");
}
