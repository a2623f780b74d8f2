//! Asking the three custodians for one key: shares, comparison with the register, and the first confirmation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_link::{Client, Fingerprint, LinkError, Response, TlsIdentity};
use drieslot_register::client::ClientError;
use drieslot_register::follow::Follower;
use drieslot_register::statement::{KeyCheck, ShareChecks, Statement};
use drieslot_register::{Function, Hex32, State};
use drieslot_schema::Domain;
use drieslot_seal::{CellKey, DomainContext, DomainKey, Share};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::Clock;
use crate::client::{KeyError, KeyringConfig};
use crate::exchange::{ConfirmAnswer, ConfirmRequest, ShareAnswer, ShareRequest};

/// How long to wait until the register shows what it just took.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// A key and how long it may be used.
pub(crate) struct Leased {
    pub(crate) key: Arc<CellKey>,
    pub(crate) asked: Instant,
    pub(crate) lease: Duration,
}

/// One custodian's share.
struct Answered {
    share: Share,
    check: Hex32,
    lease_s: u64,
}

/// The replicas of one function, in the order in which they are tried.
struct Replicas {
    function: Function,
    clients: Vec<Client>,
}

/// The three functions' custodians, and the register that their answers are compared with.
pub(crate) struct Custodians {
    structure: Replicas,
    access: Replicas,
    keys: Replicas,
    own_tls: Fingerprint,
    follower: Arc<Follower>,
    clock: Clock,
}

impl Custodians {
    pub(crate) fn new(
        config: &KeyringConfig,
        identity: &TlsIdentity,
        follower: Arc<Follower>,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        let replicas = |function| {
            let mine = config.custodians.iter().filter(|one| one.function == function);
            let clients: Result<Vec<_>, LinkError> =
                mine.map(|one| Client::new(identity, one.tls, one.address.as_str())).collect();
            match clients {
                Ok(clients) if clients.is_empty() => {
                    Err(KeyError::Config(format!("no custodian of {function} is configured")))
                }
                Ok(clients) => Ok(Replicas { function, clients }),
                Err(error) => Err(KeyError::Config(error.to_string())),
            }
        };
        Ok(Self {
            structure: replicas(Function::Structure)?,
            access: replicas(Function::Access)?,
            keys: replicas(Function::Keys)?,
            own_tls: identity.fingerprint(),
            follower,
            clock,
        })
    }

    /// Whether the register, as far as it is known here, allows this key now; and until when.
    pub(crate) fn allowed(&self, state: &State, domain: &Domain, epoch: u16) -> Result<jiff::Timestamp, KeyError> {
        Ok(state.domain_use(domain, epoch, &self.own_tls, (self.clock)())?.valid_until)
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.follower.state()
    }

    /// The key, made of three shares that are what the register knows.
    pub(crate) async fn key(&self, domain: &Domain, epoch: u16) -> Result<Leased, KeyError> {
        let unconfirmed = |why: String| KeyError::Unconfirmed { domain: domain.clone(), why };
        let state = self.follower.state();
        self.allowed(&state, domain, epoch)?;
        let tenant = state.tenant().ok_or_else(|| unconfirmed("the charter is not in force".into()))?;
        let context = DomainContext { tenant: tenant.into(), domain: domain.clone(), epoch };
        let request = ShareRequest { domain: domain.0.clone(), epoch, revision: state.revision() };
        let asked = Instant::now();
        let (structure, access, keys) =
            tokio::try_join!(self.structure.share(&request), self.access.share(&request), self.keys.share(&request))?;
        let shares = ShareChecks { structure: structure.check, access: access.check, keys: keys.check };
        let combined = DomainKey::combine(&context, &structure.share, &access.share, &keys.share)
            .map_err(|error| unconfirmed(error.to_string()))?;
        let key_check = Hex32(combined.check_value());
        let known = match self.follower.state().key_check(domain, epoch) {
            Some(known) => known,
            None => self.confirm(&context, key_check, shares.clone()).await?,
        };
        compare(&known, domain, &shares, key_check)?;
        let key = CellKey::new(&combined, context).map_err(|error| unconfirmed(error.to_string()))?;
        let lease_s = structure.lease_s.min(access.lease_s).min(keys.lease_s);
        Ok(Leased { key: Arc::new(key), asked, lease: Duration::from_secs(lease_s) })
    }

    /// First use of a domain: all three sign what they gave, and the register keeps it.
    async fn confirm(
        &self,
        context: &DomainContext,
        key_check: Hex32,
        shares: ShareChecks,
    ) -> Result<Arc<KeyCheck>, KeyError> {
        let (domain, epoch) = (&context.domain, context.epoch);
        let unconfirmed = |why: String| KeyError::Unconfirmed { domain: domain.clone(), why };
        let mut random = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| unconfirmed("there is no randomness".into()))?;
        let statement = Statement::KeyCheck(KeyCheck {
            tenant: context.tenant.clone(),
            id: format!("key-{:016x}", u64::from_be_bytes(random)),
            issued: (self.clock)(),
            domain: domain.0.clone(),
            epoch,
            key_check,
            shares,
        });
        let text = statement.to_text().map_err(|refusal| unconfirmed(refusal.to_string()))?;
        let request = ConfirmRequest { text };
        let signed = tokio::try_join!(
            self.structure.confirm(&request),
            self.access.confirm(&request),
            self.keys.confirm(&request)
        );
        let submitted = match signed {
            Ok((structure, access, keys)) => {
                self.follower.client().submit(&request.text, &[structure, access, keys]).await.map(|_| ())
            }
            // Another gateway may have been first, which a custodian then says; the register decides below.
            Err(KeyError::Refused { why, .. }) => Err(ClientError::Refused { status: 409, why }),
            Err(other) => return Err(other),
        };
        if let Err(error) = &submitted
            && !matches!(error, ClientError::Refused { status: 409, .. })
        {
            return Err(unconfirmed(error.to_string()));
        }
        let mut states = self.follower.subscribe();
        let shown = states.wait_for(|state| state.key_check(domain, epoch).is_some() || state.closed_why().is_some());
        let known = match tokio::time::timeout(SHOWN_WITHIN, shown).await {
            Ok(Ok(state)) => state.key_check(domain, epoch),
            Ok(Err(_)) | Err(_) => None,
        };
        known.ok_or_else(|| match submitted {
            Err(error) => unconfirmed(error.to_string()),
            Ok(()) => unconfirmed("the register does not show it".into()),
        })
    }
}

fn compare(known: &KeyCheck, domain: &Domain, shares: &ShareChecks, key_check: Hex32) -> Result<(), KeyError> {
    let wrong = Function::ALL.into_iter().find(|function| known.shares.of(*function) != shares.of(*function));
    if let Some(function) = wrong {
        return Err(KeyError::WrongShare { function, domain: domain.clone() });
    }
    if known.key_check != key_check {
        let why = "three right shares make another key than the register has: was it confirmed by a faulty gateway?";
        return Err(KeyError::Unconfirmed { domain: domain.clone(), why: why.into() });
    }
    Ok(())
}

impl Replicas {
    async fn share(&self, request: &ShareRequest) -> Result<Answered, KeyError> {
        let answer: ShareAnswer = self.ask("/share", request).await?;
        let wrong = || KeyError::WrongShare { function: self.function, domain: Domain(request.domain.clone()) };
        let bytes = Zeroizing::new(STANDARD.decode(answer.share.as_bytes()).map_err(|_| wrong())?);
        let share = Share::from_bytes(&bytes).map_err(|_| wrong())?;
        let check = Hex32(share.check_value());
        match check == answer.share_check {
            true => Ok(Answered { share, check, lease_s: answer.lease_s }),
            false => Err(wrong()),
        }
    }

    async fn confirm(&self, request: &ConfirmRequest) -> Result<String, KeyError> {
        self.ask::<ConfirmAnswer>("/confirm", request).await.map(|answer| answer.signature)
    }

    /// The first that answers will do; where none does, what one that could be reached said tells most.
    async fn ask<T: DeserializeOwned>(&self, target: &str, request: &impl Serialize) -> Result<T, KeyError> {
        let function = self.function;
        let unreachable = |why: String| KeyError::Unreachable { function, why };
        let body = serde_json::to_vec(request).map_err(|error| unreachable(error.to_string()))?;
        let mut failed = unreachable("none is configured".into());
        for client in &self.clients {
            let address = client.address();
            let error = match client.post_for_answer(target, body.clone()).await {
                Ok(Response { status: 200, body, .. }) => match serde_json::from_slice(&body) {
                    Ok(answer) => return Ok(answer),
                    // serde's message could quote the share.
                    Err(_) => unreachable(format!("{address} gave an answer that is not understood")),
                },
                Ok(Response { status, body, retry_after_s, .. }) => {
                    let why = String::from_utf8_lossy(&body).into_owned();
                    match status {
                        429 => KeyError::Limited { function, retry_after_s: retry_after_s.unwrap_or(1) },
                        403 | 409 => KeyError::Refused { function, why },
                        _ => unreachable(format!("{address}: {why}")),
                    }
                }
                Err(error) => unreachable(error.to_string()),
            };
            if !matches!(failed, KeyError::Refused { .. } | KeyError::Limited { .. }) {
                failed = error;
            }
        }
        Err(failed)
    }
}
