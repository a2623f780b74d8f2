//! What a receiver of an alert gets: the alert, and for each entry that it rests on a proof that needs neither us nor the
//! journal. `tools/verify_alert.py` verifies it.

use drieslot_audit::proof;
use drieslot_journal::{Checkpoint, Reader, hash};
use serde_json::{Value, json};

use crate::alert::{Alert, Rests};
use crate::event::{Event, What};
use crate::follow::Source;
use crate::state::hex;

/// Longer entries are proven by their leaf hash alone.
const MAX_ENTRY_BYTES: usize = 8 * 1024;

/// An alert on its way.
pub(crate) struct Outgoing {
    pub(crate) alert: Alert,
    pub(crate) time: String,
    /// All of it, as JSON.
    pub(crate) whole: String,
}

/// The alert in an event of the watcher's own journal; `None` for what is no alert.
pub(crate) fn outgoing(event: &Event, sources: &[Source]) -> Option<Outgoing> {
    let What::Other(body) = &event.what else { return None };
    if event.kind != "alert" {
        return None;
    }
    let alert: Alert = serde_json::from_value(Value::Object(body.clone()))
        .inspect_err(
            |error| tracing::error!(index = event.index, %error, "an alert of the watcher's own journal is malformed"),
        )
        .ok()?;
    let entries: Vec<Value> = proven(&alert, sources);
    let mut whole = Value::Object(body.clone());
    if let Some(members) = whole.as_object_mut() {
        members.insert("entries".into(), Value::Array(entries));
        members.insert("time".into(), json!(event.time.to_string()));
        members.insert("recorded".into(), json!({"journal": event.journal.as_ref(), "index": event.index}));
    }
    Some(Outgoing { alert, time: event.time.to_string(), whole: whole.to_string() })
}

/// An alert is sent, also where its entries can no longer be proven: that is one more reason to.
fn proven(alert: &Alert, sources: &[Source]) -> Vec<Value> {
    let open = || {
        let source = sources.iter().find(|source| source.verifier.name() == alert.journal);
        let source = source.ok_or_else(|| "this journal is no longer followed".to_owned())?;
        let reader = Reader::open(&source.folder).map_err(|error| error.to_string())?;
        let checkpoint = Checkpoint::open(reader.note(), &source.verifier).map_err(|error| error.to_string())?;
        Ok::<_, String>((reader, checkpoint))
    };
    let opened = open();
    let one = |rests: &Rests| {
        let shown = opened.as_ref().map_err(Clone::clone).and_then(|(reader, checkpoint)| {
            let proven = proof::prove(reader, checkpoint, rests.index).map_err(|error| error.to_string())?;
            if hex(&hash::leaf(&proven.entry)) != rests.leaf {
                return Err("the entry is no longer the one that was seen".to_owned());
            }
            Ok(proven)
        });
        match shown {
            Ok(proven) => {
                let entry = std::str::from_utf8(&proven.entry).ok().filter(|entry| entry.len() <= MAX_ENTRY_BYTES);
                json!({"index": rests.index, "leaf": rests.leaf, "entry": entry, "proof": proven.proof})
            }
            Err(why) => json!({"index": rests.index, "leaf": rests.leaf, "missing": why}),
        }
    };
    alert.entries.iter().map(one).collect()
}
