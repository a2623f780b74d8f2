//! What goes out: an entry, with the look that it belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;

use drieslot_audit::body::{Body, Intent};
use drieslot_audit::proof;
use drieslot_journal::hash::{self, Hash};
use drieslot_journal::{Checkpoint, Reader, entry};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Intents that wait for outcomes and are kept in memory; others are read again.
const MAX_INTENTS: usize = 16_384;

/// An entry of a journal, understood as far as this release can.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The journal's name.
    pub journal: Arc<str>,
    /// The entry's place there.
    pub index: u64,
    /// When it was written; that of the entry before where it cannot be read.
    pub time: Timestamp,
    /// What happened.
    pub kind: String,
    /// Its leaf hash.
    pub leaf: Hash,
    /// The particulars.
    pub what: What,
}

/// The particulars of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A kind that is read.
    Known(Body),
    /// An outcome with its intent.
    Released {
        /// What was asked.
        intent: Arc<Intent>,
        /// The leaf hash of that entry.
        intent_leaf: Hash,
        /// What was released with this entry.
        outcome: drieslot_audit::body::Outcome,
    },
    /// A kind that is passed on as it is.
    Other(Map<String, Value>),
    /// It is not as `docs/journal.md` says.
    Unreadable(String),
}

impl Event {
    /// The same for each time that the entry is sent, and for no other entry.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}#{}", self.journal, self.index)
    }
}

/// Reads the entries of one journal in their order.
#[derive(Debug, Default)]
pub(crate) struct Understanding {
    intents: BTreeMap<u64, (Hash, Arc<Intent>)>,
    last: Timestamp,
}

impl Understanding {
    /// Goes on after an entry of this time.
    pub(crate) fn after(last: Timestamp) -> Self {
        Self { intents: BTreeMap::new(), last }
    }

    /// Time of the last entry that could be read.
    pub(crate) fn last(&self) -> Timestamp {
        self.last
    }

    /// The event that an entry is. What is malformed is an event too: whoever writes such entries must not blind who watches.
    pub(crate) fn event(&mut self, reader: &Reader, checkpoint: &Checkpoint, index: u64, bytes: &[u8]) -> Event {
        let journal: Arc<str> = checkpoint.origin.as_str().into();
        let leaf = hash::leaf(bytes);
        match self.read(reader, checkpoint, index, bytes) {
            Ok((time, kind, what)) => {
                self.last = time;
                Event { journal, index, time, kind, leaf, what }
            }
            Err(why) => {
                Event { journal, index, time: self.last, kind: "unreadable".into(), leaf, what: What::Unreadable(why) }
            }
        }
    }

    fn read(
        &mut self,
        reader: &Reader,
        checkpoint: &Checkpoint,
        index: u64,
        bytes: &[u8],
    ) -> Result<(Timestamp, String, What), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let entry = entry::decode(bytes).map_err(|error| said(&error))?;
        let time: Timestamp = entry.time.parse().map_err(|error| said(&error))?;
        let what = match Body::read(&entry.kind, bytes).map_err(|error| said(&error))? {
            Body::Outcome(outcome) => {
                let (intent_leaf, intent) = self.intent(reader, checkpoint, index, outcome.intent)?;
                if intent.session != outcome.session {
                    return Err("it is the outcome of another session's intent".into());
                }
                What::Released { intent, intent_leaf, outcome }
            }
            Body::Intent(intent) => {
                while self.intents.len() >= MAX_INTENTS {
                    self.intents.pop_first();
                }
                self.intents.insert(index, (hash::leaf(bytes), Arc::new(intent.clone())));
                What::Known(Body::Intent(intent))
            }
            Body::Other => What::Other(entry.body),
            known @ (Body::Definition(_) | Body::Refused(_) | Body::Alarm(_) | Body::Firewall(_) | Body::Asked(_)) => {
                What::Known(known)
            }
        };
        Ok((time, entry.kind, what))
    }

    /// From memory, or proven from the journal.
    fn intent(
        &self,
        reader: &Reader,
        checkpoint: &Checkpoint,
        index: u64,
        intent: u64,
    ) -> Result<(Hash, Arc<Intent>), String> {
        if let Some((leaf, known)) = self.intents.get(&intent) {
            return Ok((*leaf, Arc::clone(known)));
        }
        if intent >= index {
            return Err("it is the outcome of an intent that comes after it".into());
        }
        let proven = proof::prove(reader, checkpoint, intent).map_err(|error| error.to_string())?;
        let kind = entry::decode(&proven.entry).map_err(|error| error.to_string())?.kind;
        match Body::read(&kind, &proven.entry).map_err(|error| error.to_string())? {
            Body::Intent(intent) => Ok((hash::leaf(&proven.entry), Arc::new(intent))),
            Body::Outcome(_)
            | Body::Definition(_)
            | Body::Refused(_)
            | Body::Alarm(_)
            | Body::Firewall(_)
            | Body::Asked(_)
            | Body::Other => Err(format!("entry {intent}, which it names, is no intent")),
        }
    }
}
