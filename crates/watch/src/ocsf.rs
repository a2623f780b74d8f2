//! Events in the words of the Open Cybersecurity Schema Framework, <https://schema.ocsf.io/1.6.0/>. `docs/siem.md` says which
//! entry becomes what.

use std::net::SocketAddr;

use drieslot_audit::body::{Actor, Body, EndUser, Intent, Outcome, Stage};
use serde_json::{Map, Value, json};

use crate::event::{Event, What};

/// The version of the schema.
pub const VERSION: &str = "1.6.0";

#[derive(Clone, Copy)]
struct Class {
    uid: u64,
    name: &'static str,
    category: u64,
}

const DATASTORE_ACTIVITY: Class = Class { uid: 6005, name: "Datastore Activity", category: 6 };
const API_ACTIVITY: Class = Class { uid: 6003, name: "API Activity", category: 6 };
const DETECTION_FINDING: Class = Class { uid: 2004, name: "Detection Finding", category: 2 };
const ENTITY_MANAGEMENT: Class = Class { uid: 3004, name: "Entity Management", category: 3 };
const BASE_EVENT: Class = Class { uid: 0, name: "Base Event", category: 0 };

/// How bad it is, in OCSF's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Informational = 1,
    Medium = 3,
    High = 4,
    Critical = 5,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

/// How bad an event is.
pub(crate) fn severity(event: &Event) -> Severity {
    match &event.what {
        What::Known(Body::Refused(_) | Body::Firewall(_)) => Severity::Medium,
        What::Known(Body::Alarm(_)) | What::Unreadable(_) => Severity::Critical,
        What::Known(Body::Asked(asked)) if asked.outcome == "refused" => Severity::Medium,
        What::Other(_) if event.kind == "limited" => Severity::Medium,
        What::Other(body) if event.kind == "alert" => match body.get("severity").and_then(Value::as_str) {
            Some("critical") => Severity::Critical,
            Some("high") => Severity::High,
            Some(_) | None => Severity::Medium,
        },
        What::Known(Body::Intent(_) | Body::Outcome(_) | Body::Definition(_) | Body::Asked(_) | Body::Other)
        | What::Released { .. }
        | What::Other(_) => Severity::Informational,
    }
}

/// One event; `None` for an intent, which its outcomes repeat.
#[must_use]
pub fn event(event: &Event) -> Option<Value> {
    let unmapped = |body: &Map<String, Value>| json!({"unmapped": body});
    Some(match &event.what {
        What::Known(Body::Intent(_) | Body::Outcome(_) | Body::Other) => return None,
        What::Released { intent, outcome, .. } => released(event, intent, outcome),
        What::Known(Body::Refused(refused)) => {
            let mut more = datastore(&refused.actor);
            set(&mut more, "status_id", json!(2));
            set(&mut more, "status", json!("Failure"));
            set(&mut more, "status_code", json!(refused.sqlstate));
            set(&mut more, "status_detail", json!(refused.why));
            whole(event, DATASTORE_ACTIVITY, (4, "Query"), "a statement was refused", more)
        }
        What::Known(Body::Definition(definition)) => {
            let mut more = datastore(&definition.actor);
            let failed = definition.state == "failed";
            set(&mut more, "status_id", json!(if failed { 2 } else { 1 }));
            set(&mut more, "status", json!(if failed { "Failure" } else { "Success" }));
            set(&mut more, "status_detail", json!(definition.state));
            whole(
                event,
                DATASTORE_ACTIVITY,
                (2, "Update"),
                "what a database consists of is defined or maintained",
                more,
            )
        }
        What::Known(Body::Alarm(alarm)) => {
            let message = format!("{} is about to be shown a decoy of {}", alarm.actor.principal, alarm.column);
            let more = json!({"column": alarm.column, "stops": alarm.stops});
            finding(event, &message, Some(&alarm.actor), more)
        }
        What::Known(Body::Firewall(judged)) => {
            let message =
                format!("the firewall {} a statement of {}: {}", judged.outcome, judged.actor.principal, judged.why);
            let more = json!({"outcome": judged.outcome, "fingerprint": judged.fingerprint});
            finding(event, &message, Some(&judged.actor), more)
        }
        What::Known(Body::Asked(asked)) => {
            let caller = asked.gateway.as_deref().or(asked.gateway_tls.as_deref()).unwrap_or("unknown");
            let granted = asked.outcome == "granted";
            let more = json!({
                "actor": {"app_name": caller},
                "api": {"operation": event.kind, "service": {"name": event.journal.as_ref()}},
                "src_endpoint": {"name": caller},
                "status_id": if granted { 1 } else { 2 },
                "status": if granted { "Success" } else { "Failure" },
                "status_detail": asked.why,
                "unmapped": {"domain": asked.domain, "outcome": asked.outcome},
            });
            whole(event, API_ACTIVITY, (2, "Read"), "a share of a key was asked for", more)
        }
        What::Other(body) if event.kind == "statement" || event.kind == "signature" => {
            let more = json!({"entity": {"name": event.kind, "uid": event.id(), "type": "statement"},
                "unmapped": {"statement": body.get("statement")}});
            whole(event, ENTITY_MANAGEMENT, (1, "Create"), "the register took an entry", more)
        }
        What::Other(body) if event.kind == "alert" => {
            let message = body.get("what").and_then(Value::as_str).unwrap_or("an alert");
            finding(event, message, None, Value::Object(body.clone()))
        }
        What::Other(body) => whole(event, BASE_EVENT, (99, "Other"), &event.kind, unmapped(body)),
        What::Unreadable(why) => finding(event, &format!("an entry cannot be read: {why}"), None, json!({"why": why})),
    })
}

fn released(event: &Event, intent: &Intent, outcome: &Outcome) -> Value {
    let does = |used: &str| intent.columns.iter().any(|touched| touched.used.starts_with(used));
    let (reads, writes) = (does("read"), does("write"));
    let activity = match intent.command.as_str() {
        "INSERT" => (5, "Write"),
        "COPY" if writes => (5, "Write"),
        "UPDATE" | "MERGE" => (2, "Update"),
        "DELETE" => (7, "Delete"),
        _ if reads => (1, "Read"),
        _ => (4, "Query"),
    };
    let actor = Actor {
        session: intent.session.clone(),
        principal: intent.principal.clone(),
        client: intent.client.clone(),
        end_user: intent.end_user.clone(),
        database: intent.database.clone(),
    };
    let mut more = datastore(&actor);
    let tables: std::collections::BTreeSet<_> =
        intent.columns.iter().filter_map(|touched| touched.column.rsplit_once('.')).map(|(table, _)| table).collect();
    if let (Some(table), 1) = (tables.first(), tables.len()) {
        set(&mut more, "table", json!({"name": table}));
        set(&mut more, "type_id", json!(3));
    }
    let failed = outcome.state == Stage::Failed;
    set(&mut more, "status_id", json!(if failed { 2 } else { 1 }));
    set(&mut more, "status", json!(if failed { "Failure" } else { "Success" }));
    if let Some(tag) = &outcome.tag {
        set(&mut more, "status_code", json!(tag));
    }
    let unmapped = json!({
        "intent": outcome.intent,
        "mandates": intent.mandates,
        "purpose": intent.purpose,
        "command": intent.command,
        "fingerprint": intent.fingerprint,
        "columns": intent.columns,
        "rows": outcome.rows,
        "subjects": outcome.subjects.len(),
        "without_subject": outcome.without_subject,
        "state": outcome.state,
    });
    set(&mut more, "unmapped", unmapped);
    let message = format!("{} rows for {}: {}", outcome.rows, intent.principal, intent.purpose);
    let mut value = whole(event, DATASTORE_ACTIVITY, activity, &message, more);
    let look = format!("{}#{}", event.journal, outcome.intent);
    if let Some(metadata) = value.get_mut("metadata") {
        set(metadata, "correlation_uid", json!(look));
    }
    value
}

/// Who, from where, at which database.
fn datastore(actor: &Actor) -> Value {
    json!({
        "actor": who(actor),
        "src_endpoint": endpoint(&actor.client),
        "database": {"name": actor.database, "type_id": 1, "type": "Relational"},
        "type_id": 1,
    })
}

/// The end user where one is known, and the principal as the application.
fn who(actor: &Actor) -> Value {
    let user = actor.end_user.as_ref().map_or_else(|| json!({"name": actor.principal, "type_id": 4}), person);
    json!({"user": user, "app_name": actor.principal, "session": {"uid": actor.session}})
}

fn person(person: &EndUser) -> Value {
    let issuer = person.issuer.as_ref().map(|issuer| json!({"name": issuer}));
    let mut user = json!({"name": person.name, "type_id": 99, "type": format!("end user, {}", person.known)});
    if let Some(issuer) = issuer {
        set(&mut user, "org", issuer);
    }
    user
}

fn endpoint(client: &str) -> Value {
    client.parse().map_or_else(
        |_| json!({"name": client}),
        |at: SocketAddr| json!({"ip": at.ip().to_string(), "port": at.port()}),
    )
}

fn finding(event: &Event, message: &str, actor: Option<&Actor>, unmapped: Value) -> Value {
    let analytic = json!({"name": event.kind, "type_id": 1, "type": "Rule"});
    let mut more = json!({
        "finding_info": {"uid": event.id(), "title": message, "analytic": analytic},
        "is_alert": true,
        "status_id": 1,
        "status": "New",
        "unmapped": unmapped,
    });
    if let Some(actor) = actor {
        let evidence = json!({"actor": who(actor), "src_endpoint": endpoint(&actor.client),
            "database": {"name": actor.database, "type_id": 1, "type": "Relational"}});
        set(&mut more, "evidences", json!([evidence]));
    }
    whole(event, DETECTION_FINDING, (1, "Create"), message, more)
}

/// What every event has.
fn whole(event: &Event, class: Class, activity: (u64, &str), message: &str, more: Value) -> Value {
    let severity = severity(event);
    let mut whole = json!({
        "class_uid": class.uid,
        "class_name": class.name,
        "category_uid": class.category,
        "activity_id": activity.0,
        "activity_name": activity.1,
        "type_uid": class.uid * 100 + activity.0,
        "time": event.time.as_millisecond(),
        "severity_id": severity as u64,
        "severity": severity.as_str(),
        "message": message,
        "metadata": {
            "version": VERSION,
            "uid": event.id(),
            "event_code": event.kind,
            "log_name": event.journal.as_ref(),
            "log_provider": "drieslot",
            "original_time": event.time.to_string(),
            "sequence": event.index,
            "product": {"name": "Drieslot", "vendor_name": "Drieslot", "version": env!("CARGO_PKG_VERSION")},
        },
    });
    if let (Value::Object(whole), Value::Object(more)) = (&mut whole, more) {
        whole.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    whole
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}
