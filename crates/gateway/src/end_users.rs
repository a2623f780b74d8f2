//! End users: for whom an application acts, as it says itself, or as a token of an issuer says that is verified here.
//!
//! A token goes no further than this: not to the processor, nor into the journal, logs or errors. What is kept of it is who
//! issued it, its claims, when it ends, and its hash.

mod fetch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use drieslot_journal::hash::sha256;
use drieslot_register::{EndUser, State};
use drieslot_sql::OwnName;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::config::{KeySource, TokenIssuer};
use crate::refusal::Refusal;
use crate::{Clock, GatewayError};

const MAX_TOKEN_BYTES: usize = 16 << 10;
const MAX_NAME_CHARS: usize = 200;
/// Keys are looked for again no sooner than this, however many tokens name keys that are not known.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_secs(10);
/// Keys that are older are looked for again before they are used.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// What an application has said of a session or a transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    token: Option<Arc<Verified>>,
    name: Option<Arc<str>>,
    purpose: Option<Arc<str>>,
}

/// What is kept of a token.
#[derive(Debug)]
struct Verified {
    user: String,
    issuer: String,
    claims: BTreeMap<String, Vec<String>>,
    /// Leeway included.
    ends: Timestamp,
    /// SHA-256 of the token, hex.
    hash: String,
}

/// An end user, for the journal.
#[derive(serde::Serialize)]
pub(crate) struct Person<'a> {
    name: &'a str,
    /// `asserted` or `verified`.
    known: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_sha256: Option<&'a str>,
}

/// Why a token is not accepted.
pub(crate) enum Unheard {
    /// The issuer with this index may have other keys by now.
    LookAgain(usize),
    /// It is not.
    Refused(Box<Refusal>),
}

impl From<Refusal> for Unheard {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Said {
    pub(crate) const fn nothing() -> Self {
        Self { token: None, name: None, purpose: None }
    }

    pub(crate) fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// What mandates are asked about; a token that has ended speaks for nobody.
    pub(crate) fn end_user(&self, now: Timestamp) -> Result<Option<EndUser<'_>>, Refusal> {
        match (&self.token, &self.name) {
            (Some(token), _) if now >= token.ends => Err(Refusal::new("28000", "the end user's token has expired")
                .hint("SET drieslot.user_token to a new one, or RESET it.")),
            (Some(token), _) => Ok(Some(EndUser::Verified { issuer: &token.issuer, claims: &token.claims })),
            (None, Some(_)) => Ok(Some(EndUser::Asserted)),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn person(&self) -> Option<Person<'_>> {
        match (&self.token, &self.name) {
            (Some(token), _) => Some(Person {
                name: &token.user,
                known: "verified",
                issuer: Some(&token.issuer),
                token_sha256: Some(&token.hash),
            }),
            (None, Some(name)) => Some(Person { name, known: "asserted", issuer: None, token_sha256: None }),
            (None, None) => None,
        }
    }
}

/// The issuers whose tokens are accepted.
pub(crate) struct EndUsers {
    issuers: Vec<Issuer>,
    clock: Clock,
}

struct Issuer {
    config: TokenIssuer,
    source: fetch::Source,
    keys: Mutex<Keys>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
}

struct Keys {
    set: Arc<JwkSet>,
    /// When the set was had.
    had: Timestamp,
    /// When it was last looked for.
    looked: Timestamp,
}

impl Issuer {
    fn keys(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndUsers {
    /// Reads the keys that are in files; those behind an address are had when they are first needed.
    pub(crate) fn new(config: &[TokenIssuer], clock: Clock) -> Result<Self, GatewayError> {
        let issuer = |config: &TokenIssuer| {
            let source = fetch::Source::new(config)?;
            let now = clock();
            let keys = match &config.keys {
                KeySource::File { file } => {
                    let bad = |why| GatewayError::Config(format!("{}: {why}", file.display()));
                    Keys { set: Arc::new(fetch::read_file(file).map_err(bad)?), had: now, looked: now }
                }
                KeySource::Url { .. } => {
                    let never = Timestamp::MIN;
                    Keys { set: Arc::new(JwkSet { keys: Vec::new() }), had: never, looked: never }
                }
            };
            let looking = tokio::sync::Mutex::new(());
            Ok(Issuer { config: config.clone(), source, keys: Mutex::new(keys), looking })
        };
        let issuers = config.iter().map(issuer).collect::<Result<_, GatewayError>>()?;
        Ok(Self { issuers, clock })
    }

    /// Takes a setting, or the end of it, into what was said.
    pub(crate) fn hear(
        &self,
        said: &mut Said,
        name: OwnName,
        value: Option<&str>,
        state: &State,
    ) -> Result<(), Unheard> {
        let value = value.filter(|value| !value.is_empty());
        match name {
            OwnName::User => said.name = value.map(check_name).transpose()?.map(Arc::from),
            OwnName::UserToken => said.token = value.map(|token| self.verify(token)).transpose()?.map(Arc::new),
            OwnName::Purpose => {
                let known = |wanted: &&str| {
                    state.charter().is_some_and(|charter| charter.purposes.iter().any(|one| one == wanted))
                };
                if value.as_ref().is_some_and(|wanted| !known(wanted)) {
                    return Err(Refusal::new("22023", "drieslot.purpose is none of the charter's purposes")
                        .hint("Set it to the purpose of a mandate, as it is written there.")
                        .into());
                }
                said.purpose = value.map(Arc::from);
            }
        }
        Ok(())
    }

    /// The same where waiting is possible.
    pub(crate) async fn hear_waiting(
        &self,
        said: &mut Said,
        name: OwnName,
        value: &str,
        state: &State,
    ) -> Result<(), Refusal> {
        for _ in 0..2 {
            match self.hear(said, name, Some(value), state) {
                Ok(()) => return Ok(()),
                Err(Unheard::Refused(refusal)) => return Err(*refusal),
                Err(Unheard::LookAgain(issuer)) => self.look(issuer).await,
            }
        }
        Err(not_accepted("its key is not known"))
    }

    /// Has an issuer's keys anew; where that fails, the old ones stay.
    pub(crate) async fn look(&self, issuer: usize) {
        let Some(issuer) = self.issuers.get(issuer) else { return };
        let _one = issuer.looking.lock().await;
        let now = (self.clock)();
        if !may_look(&issuer.keys(), now) {
            return;
        }
        issuer.keys().looked = now;
        match issuer.source.read().await {
            Ok(set) => {
                let mut keys = issuer.keys();
                keys.set = Arc::new(set);
                keys.had = now;
            }
            Err(error) => {
                tracing::error!(issuer = issuer.config.issuer, %error, "the keys of an issuer of tokens cannot be had");
            }
        }
    }

    fn verify(&self, token: &str) -> Result<Verified, Unheard> {
        let unreadable = || not_accepted("it is not a signed JSON Web Token");
        if token.len() > MAX_TOKEN_BYTES {
            return Err(not_accepted("it is too long").into());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| unreadable())?;
        let unverified: Map<String, Value> =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| unreadable())?;
        let named = unverified.get("iss").and_then(Value::as_str);
        let found = self.issuers.iter().enumerate().find(|(_, one)| Some(one.config.issuer.as_str()) == named);
        let Some((index, issuer)) = found else {
            return Err(not_accepted("its issuer is none that the gateway's configuration names").into());
        };
        if !issuer.config.algorithms.contains(&header.alg) {
            return Err(not_accepted("its algorithm is not allowed for its issuer").into());
        }
        let now = (self.clock)();
        let (set, had, again) = {
            let keys = issuer.keys();
            (Arc::clone(&keys.set), keys.had, may_look(&keys, now))
        };
        let age = now.duration_since(had);
        if again && age > FRESH {
            return Err(Unheard::LookAgain(index));
        }
        if age > issuer.config.max_age() {
            return Err(not_accepted("the keys of its issuer cannot be had").into());
        }
        let Some(key) = choose(&set, header.kid.as_deref(), header.alg) else {
            return Err(if again { Unheard::LookAgain(index) } else { not_accepted("its key is not known").into() });
        };
        let mut rules = Validation::new(header.alg);
        // Times are those of the gateway's own clock, below.
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&[&issuer.config.issuer]);
        rules.set_audience(&[&issuer.config.audience]);
        let key = DecodingKey::from_jwk(key).map_err(|_| not_accepted("its key is of a kind that cannot be used"))?;
        let claims =
            jsonwebtoken::decode::<Map<String, Value>>(token, &key, &rules).map_err(|error| explain(&error))?;
        Ok(keep(&issuer.config, &claims.claims, token, now)?)
    }
}

fn may_look(keys: &Keys, now: Timestamp) -> bool {
    keys.looked > now || now.duration_since(keys.looked) >= BETWEEN_LOOKS
}

/// The key that a token names, or the only one that there is.
fn choose<'k>(set: &'k JwkSet, kid: Option<&str>, algorithm: jsonwebtoken::Algorithm) -> Option<&'k Jwk> {
    let fits = |key: &&Jwk| {
        let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let declared = key.common.key_algorithm.map(|declared| declared.to_string());
        signs && declared.is_none_or(|declared| declared == format!("{algorithm:?}"))
    };
    let mut fitting = set.keys.iter().filter(fits);
    match kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// What is kept of a token whose signature, issuer and audience are right.
fn keep(config: &TokenIssuer, claims: &Map<String, Value>, token: &str, now: Timestamp) -> Result<Verified, Refusal> {
    let leeway = SignedDuration::from_secs(config.leeway_s.into());
    let time = |name: &str| {
        let seconds = claims.get(name)?.as_f64()?;
        // Fractions are allowed by the standard, and of no use here.
        let whole = serde_json::Number::from_f64(seconds.trunc())?.to_string().split('.').next()?.parse().ok()?;
        Timestamp::from_second(whole).ok()
    };
    let ends = time("exp").and_then(|end| end.checked_add(leeway).ok()).ok_or_else(|| not_accepted("it has no end"))?;
    if now >= ends {
        return Err(not_accepted("it has expired"));
    }
    if claims.contains_key("nbf") {
        let begins = time("nbf").and_then(|begin| begin.checked_sub(leeway).ok());
        if begins.is_none_or(|begin| now < begin) {
            return Err(not_accepted("it is not valid yet"));
        }
    }
    let user = claims.get(&config.user_claim).and_then(Value::as_str).unwrap_or_default();
    let user = check_name(user).map_err(|_| not_accepted(&format!("its claim {} names nobody", config.user_claim)))?;
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Null | Value::Object(_) => Vec::new(),
    };
    Ok(Verified {
        user: user.to_owned(),
        issuer: config.issuer.clone(),
        claims: claims.iter().map(|(name, value)| (name.clone(), texts(value))).collect(),
        ends,
        hash: sha256(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

fn check_name(name: &str) -> Result<&str, Refusal> {
    let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    fits.then_some(name).ok_or_else(|| {
        Refusal::new(
            "22023",
            format!("an end user's name has 1 to {MAX_NAME_CHARS} characters, none of them a control"),
        )
        .hint("SET drieslot.end_user = 'name'.")
    })
}

fn explain(error: &jsonwebtoken::errors::Error) -> Refusal {
    use jsonwebtoken::errors::ErrorKind::{InvalidAudience, InvalidIssuer, MissingRequiredClaim};
    let kind = error.kind();
    not_accepted(if matches!(kind, InvalidAudience) {
        "it is for another audience"
    } else if matches!(kind, InvalidIssuer | MissingRequiredClaim(_)) {
        "it lacks one of exp, iss and aud"
    } else {
        "its signature is wrong"
    })
}

fn not_accepted(why: &str) -> Refusal {
    Refusal::new("28000", format!("the end user's token is not accepted: {why}"))
        .hint("Ask the issuer for a new one, or have the gateway's token_issuers looked at.")
}
