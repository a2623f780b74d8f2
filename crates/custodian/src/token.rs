//! A function's secret in a PKCS#11 token: made there, used there, never out of it.
//!
//! Owns the module, one login and its sessions. Refuses a key that could be read out, a PIN that was wrong before
//! (so that a restart in a loop cannot lock the token), and a token whose HMAC is not that of RFC 2104.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{hmac, rand};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::{AuthPin, Ulong};
use drieslot_seal::{DomainContext, FunctionSecret, Share};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::CustodianError;
use crate::private::read_private;

const SECRET_BYTES: u64 = 32;

/// Which key in which token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The token maker's PKCS#11 library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The key's label.
    pub key: String,
    /// File with the user's PIN, readable by its owner only; a newline at the end does not count.
    pub pin_file: PathBuf,
}

/// A token that is logged in, and the secret in it.
pub(crate) struct Token {
    config: TokenConfig,
    context: Pkcs11,
    slot: Slot,
    key: ObjectHandle,
    /// Sessions that no thread uses at the moment; taken out while one does. A thread that finds none opens one more.
    idle: Mutex<Vec<Session>>,
}

/// A session that is logged in, before its key is known.
struct Opened {
    context: Pkcs11,
    slot: Slot,
    session: Session,
}

impl TokenConfig {
    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, CustodianError> {
        Err(CustodianError::Token { token: self.token.clone(), why: why.into() })
    }

    fn failed(&self, doing: &str, error: &Error) -> CustodianError {
        let why = match rv(error) {
            Some(RvError::PinIncorrect) => {
                "the PIN is wrong, and is not tried again: correct the PIN file, then log in once by hand \
                 (pkcs11-tool --login --list-objects), which resets the token's count of wrong PINs"
                    .to_owned()
            }
            Some(RvError::PinLocked) => LOCKED.to_owned(),
            Some(RvError::TokenNotPresent | RvError::DeviceRemoved | RvError::SlotIdInvalid) => REMOVED.to_owned(),
            Some(RvError::SessionHandleInvalid | RvError::UserNotLoggedIn | RvError::KeyHandleInvalid) => {
                "its session has ended: it was removed or reset. Put it back, and start this custodian again".to_owned()
            }
            Some(_) | None => format!("{doing}: {error}"),
        };
        CustodianError::Token { token: self.token.clone(), why }
    }

    fn open(&self, writable: bool) -> Result<Opened, CustodianError> {
        let failed = |doing: &'static str| move |error: Error| self.failed(doing, &error);
        if !self.module.is_file() {
            return self.refuse(format!("there is no PKCS#11 module {}: install it", self.module.display()));
        }
        let context = Pkcs11::new(&self.module).map_err(failed("loading the module"))?;
        context
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(failed("initializing the module"))?;
        let slot = self.slot(&context)?;
        let opened = if writable { context.open_rw_session(slot) } else { context.open_ro_session(slot) };
        let session = opened.map_err(failed("opening a session"))?;
        self.login(&context, slot, &session)?;
        Ok(Opened { context, slot, session })
    }

    fn slot(&self, context: &Pkcs11) -> Result<Slot, CustodianError> {
        let slots = context.get_slots_with_initialized_token();
        let mut found = Vec::new();
        let mut seen = Vec::new();
        for slot in slots.map_err(|error| self.failed("listing tokens", &error))? {
            let info = context.get_token_info(slot).map_err(|error| self.failed("looking at a token", &error))?;
            if info.label() == self.token {
                found.push(slot);
            }
            seen.push(format!("`{}`", info.label()));
        }
        match found.as_slice() {
            [one] => Ok(*one),
            [] if seen.is_empty() => self.refuse("the module knows no token: plug it in, or initialize it"),
            [] => self.refuse(format!("it is not there; the module knows {}", seen.join(", "))),
            [_, _, ..] => self.refuse("several tokens have this label: give each a label of its own"),
        }
    }

    fn login(&self, context: &Pkcs11, slot: Slot, session: &Session) -> Result<(), CustodianError> {
        let info = context.get_token_info(slot).map_err(|error| self.failed("looking at the token", &error))?;
        if info.user_pin_locked() {
            return self.refuse(LOCKED);
        }
        if info.user_pin_count_low() || info.user_pin_final_try() {
            return self.refuse(
                "a wrong PIN was given before, so none is tried, for the token could lock: correct the PIN file, then \
                 log in once by hand (pkcs11-tool --login --list-objects), which resets the count",
            );
        }
        let bytes = read_private(&self.pin_file)?;
        let pin = std::str::from_utf8(bytes.strip_suffix(b"\n").unwrap_or(&bytes))
            .map_err(|_| CustodianError::Credential { path: self.pin_file.clone(), why: "a PIN is a text" })?;
        session.login(UserType::User, Some(&AuthPin::from(pin))).map_err(|error| self.failed("logging in", &error))
    }

    fn find(&self, session: &Session) -> Result<Vec<ObjectHandle>, CustodianError> {
        let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(self.key.as_bytes().to_vec())];
        session.find_objects(&template).map_err(|error| self.failed("looking for the key", &error))
    }

    fn template(&self) -> Vec<Attribute> {
        vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Modifiable(false),
            Attribute::Sign(true),
            Attribute::Label(self.key.as_bytes().to_vec()),
        ]
    }

    /// Has the token draw the secret itself.
    pub(crate) fn generate(&self) -> Result<(), CustodianError> {
        let opened = self.open(true)?;
        self.absent(&opened.session)?;
        let mut template = self.template();
        template.push(Attribute::ValueLen(Ulong::new(SECRET_BYTES)));
        let made = opened.session.generate_key(&Mechanism::GenericSecretKeyGen, &template);
        let key = made.map_err(|error| self.failed("making the key", &error))?;
        self.check_new(&opened.session, key)
    }

    /// That the token can be used, and has no such key yet.
    pub(crate) fn check_room(&self) -> Result<(), CustodianError> {
        self.absent(&self.open(false)?.session)
    }

    /// Brings in a secret that was escrowed; from then on the token does not give it out.
    pub(crate) fn import(&self, secret: &FunctionSecret) -> Result<(), CustodianError> {
        let opened = self.open(true)?;
        self.absent(&opened.session)?;
        let mut template = self.template();
        template.push(Attribute::Class(ObjectClass::SECRET_KEY));
        template.push(Attribute::KeyType(KeyType::GENERIC_SECRET));
        template.push(Attribute::Value(secret.expose().to_vec()));
        let made = opened.session.create_object(&template);
        wipe(&mut template);
        let key = made.map_err(|error| self.failed("bringing the key in", &error))?;
        self.check_new(&opened.session, key)
    }

    fn absent(&self, session: &Session) -> Result<(), CustodianError> {
        match self.find(session)?.is_empty() {
            true => Ok(()),
            false => self.refuse(format!("it has a key `{}` already, and a secret is never overwritten", self.key)),
        }
    }

    /// A key that turns out to be of no use is not left behind.
    fn check_new(&self, session: &Session, key: ObjectHandle) -> Result<(), CustodianError> {
        let checked = self.check_kept(session, key).and_then(|()| self.check_hmac(session));
        if checked.is_err() {
            let _ = session.destroy_object(key);
        }
        checked
    }

    /// The token says itself that the key cannot leave it.
    fn check_kept(&self, session: &Session, key: ObjectHandle) -> Result<(), CustodianError> {
        let asked = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::KeyType];
        let said = session.get_attributes(key, &asked).map_err(|error| self.failed("looking at the key", &error))?;
        let wanted =
            [Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::KeyType(KeyType::GENERIC_SECRET)];
        match wanted.iter().all(|one| said.contains(one)) {
            true => Ok(()),
            false => self.refuse(format!(
                "the key `{}` is not a generic secret that is sensitive and not extractable: it must be made anew",
                self.key
            )),
        }
    }

    /// A token that computes something else would make data that no other custodian of this secret could open.
    fn check_hmac(&self, session: &Session) -> Result<(), CustodianError> {
        let mut known = Zeroizing::new([0_u8; 32]);
        rand::fill(known.as_mut_slice()).map_err(|_| CustodianError::Crypto("draw a key"))?;
        let mut template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Sign(true),
            Attribute::Value(known.to_vec()),
        ];
        let made = session.create_object(&template);
        wipe(&mut template);
        let key = made.map_err(|error| self.failed("taking a key for the test", &error))?;
        let text = b"drieslot known-answer test v1";
        let answer = session.sign(&Mechanism::Sha256Hmac, key, text);
        let _ = session.destroy_object(key);
        let answer = answer.map_err(|error| self.failed("the HMAC of the known-answer test", &error))?;
        let right = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, known.as_slice()), text);
        match right.as_ref() == answer {
            true => Ok(()),
            false => self.refuse("its HMAC-SHA-256 is not that of RFC 2104: no share can be made with it"),
        }
    }
}

const LOCKED: &str = "its PIN is locked: its security officer must set a new one";
const REMOVED: &str = "it was removed: put it back, and start this custodian again";

/// The template's copy of a secret.
fn wipe(template: &mut [Attribute]) {
    for attribute in template {
        if let Attribute::Value(bytes) = attribute {
            bytes.zeroize();
        }
    }
}

fn rv(error: &Error) -> Option<RvError> {
    if let Error::Pkcs11(rv, _) = error { Some(*rv) } else { None }
}

impl Token {
    /// Logs in, finds the key, and tests both.
    pub(crate) fn open(config: &TokenConfig) -> Result<Self, CustodianError> {
        let opened = config.open(false)?;
        let found = config.find(&opened.session)?;
        let [key] = found.as_slice() else {
            return config.refuse(match found.is_empty() {
                true => format!("it has no key `{}`: make it with `drieslot custodian init`", config.key),
                false => format!("several keys are called `{}`", config.key),
            });
        };
        config.check_kept(&opened.session, *key)?;
        config.check_hmac(&opened.session)?;
        let Opened { context, slot, session } = opened;
        Ok(Self { config: config.clone(), context, slot, key: *key, idle: Mutex::new(vec![session]) })
    }

    /// `y_f = HMAC-SHA-256(k_f, ctx)`, in the token.
    pub(crate) fn share(&self, context: &DomainContext) -> Result<Share, CustodianError> {
        let refuse = |why: String| CustodianError::Token { token: self.config.token.clone(), why };
        let message = context.encode().map_err(|error| refuse(error.to_string()))?;
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match taken {
            Some(session) => session,
            None => self
                .context
                .open_ro_session(self.slot)
                .map_err(|error| self.config.failed("opening a session", &error))?,
        };
        let answer = session.sign(&Mechanism::Sha256Hmac, self.key, &message);
        // A session that failed is closed.
        let answer = Zeroizing::new(answer.map_err(|error| self.config.failed("asking for a share", &error))?);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        Share::from_bytes(&answer).map_err(|error| refuse(error.to_string()))
    }
}

/// Where a custodian has its secret.
pub(crate) enum SecretHolder {
    /// In its own memory, from the sealed file.
    Memory(FunctionSecret),
    /// In a token.
    Token(Token),
}

impl SecretHolder {
    /// The function's share for one domain's key.
    pub(crate) fn share(&self, context: &DomainContext) -> Result<Share, CustodianError> {
        match self {
            Self::Memory(secret) => secret.share(context).map_err(|_| CustodianError::Crypto("make a share")),
            // A token may take its time; the other tasks of this thread go on elsewhere.
            Self::Token(token) => tokio::task::block_in_place(|| token.share(context)),
        }
    }
}
