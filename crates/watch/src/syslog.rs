//! [RFC 5424](https://www.rfc-editor.org/rfc/rfc5424) messages with structured data, and their frames on a stream by octet
//! counting ([RFC 6587](https://www.rfc-editor.org/rfc/rfc6587) section 3.4.1, [RFC 5425](https://www.rfc-editor.org/rfc/rfc5425)).

use drieslot_audit::body::{Actor, Body, Stage};
use serde_json::Value;

use crate::event::{Event, What};
use crate::ocsf::{Severity, severity};

/// `log audit`.
const FACILITY: u8 = 13;
/// The number that is reserved for documentation (RFC 5612): the project has none of its own.
const SD_ID: &str = "drieslot@32473";
/// Longest value of a parameter, in characters; what is longer ends in `…`.
const MAX_VALUE: usize = 512;

/// One message, of which `text` is the free part.
#[must_use]
pub fn message(event: &Event, host: &str, text: &str) -> String {
    let level = match severity(event) {
        Severity::Informational => 6,
        Severity::Medium => 4,
        Severity::High => 3,
        Severity::Critical => 2,
    };
    let priority = FACILITY * 8 + level;
    let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    // RFC 5424 has no more than six digits of a second.
    let time = event.time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let kind: String = event.kind.chars().take(32).collect();
    let data: String =
        parameters(event).iter().map(|(name, value)| format!(" {name}=\"{}\"", escaped(value))).collect();
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("<{priority}>1 {time} {host} drieslot - {kind} [{SD_ID}{data}] \u{feff}{text}")
}

/// The same in a frame: its length in bytes, a space, and it.
#[must_use]
pub fn framed(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// RFC 5424 section 6.3.3.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for (at, c) in value.chars().enumerate() {
        if at == MAX_VALUE {
            text.push('…');
            break;
        }
        if matches!(c, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(if c.is_control() { ' ' } else { c });
    }
    text
}

fn parameters(event: &Event) -> Vec<(&'static str, String)> {
    let mut found =
        vec![("id", event.id()), ("journal", event.journal.to_string()), ("index", event.index.to_string())];
    match &event.what {
        What::Released { intent, outcome, .. } => {
            found.extend([
                ("principal", intent.principal.clone()),
                ("client", intent.client.clone()),
                ("database", intent.database.clone()),
                ("look", outcome.intent.to_string()),
                ("command", intent.command.clone()),
                ("purpose", intent.purpose.clone()),
                ("mandates", intent.mandates.join(" ")),
                ("columns", intent.columns.iter().map(|touched| touched.column.as_str()).collect::<Vec<_>>().join(" ")),
                ("rows", outcome.rows.to_string()),
                ("subjects", outcome.subjects.len().to_string()),
                ("state", stage(outcome.state).to_owned()),
            ]);
            found.extend(intent.end_user.as_ref().map(|person| ("end_user", person.name.clone())));
        }
        What::Known(Body::Refused(refused)) => {
            found.extend(by(&refused.actor));
            found.extend([("sqlstate", refused.sqlstate.clone()), ("why", refused.why.clone())]);
        }
        What::Known(Body::Definition(definition)) => {
            found.extend(by(&definition.actor));
            found.push(("state", definition.state.clone()));
        }
        What::Known(Body::Alarm(alarm)) => {
            found.extend(by(&alarm.actor));
            found.push(("column", alarm.column.clone()));
        }
        What::Known(Body::Firewall(judged)) => {
            found.extend(by(&judged.actor));
            found.extend([("outcome", judged.outcome.clone()), ("why", judged.why.clone())]);
        }
        What::Known(Body::Asked(asked)) => {
            found.push(("outcome", asked.outcome.clone()));
            let named = [("gateway", &asked.gateway), ("domain", &asked.domain), ("why", &asked.why)];
            found.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        }
        What::Other(body) => {
            let named = ["rule", "severity", "principal", "state", "domain", "statement", "gateway"];
            let texts = named.into_iter().filter_map(|name| Some((name, body.get(name).and_then(Value::as_str)?)));
            found.extend(texts.map(|(name, text)| (name, text.to_owned())));
        }
        What::Unreadable(why) => found.push(("why", why.clone())),
        What::Known(Body::Intent(_) | Body::Outcome(_) | Body::Other) => {}
    }
    found
}

fn by(actor: &Actor) -> impl Iterator<Item = (&'static str, String)> {
    let always = [
        ("principal", actor.principal.clone()),
        ("client", actor.client.clone()),
        ("database", actor.database.clone()),
    ];
    always.into_iter().chain(actor.end_user.as_ref().map(|person| ("end_user", person.name.clone())))
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::More => "more",
        Stage::Suspended => "suspended",
        Stage::Done => "done",
        Stage::Failed => "failed",
        Stage::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn values_cannot_leave_their_quotes_or_their_line() {
        assert_eq!(escaped(r#"a"b\c]d"#), r#"a\"b\\c\]d"#);
        assert_eq!(escaped("a\nb\0c"), "a b c");
        assert_eq!(escaped(&"x".repeat(600)).chars().count(), MAX_VALUE + 1);
        let what = What::Unreadable("a\"] [x".into());
        let kind = "k".repeat(64);
        let event = Event {
            journal: "a.example/g".into(),
            index: 7,
            time: "2026-01-31T23:59:59.5Z".parse().unwrap(),
            kind,
            leaf: [0; 32],
            what,
        };
        let said = message(&event, "a host\n", "one\ntwo");
        let expected = format!(
            "<106>1 2026-01-31T23:59:59.500000Z ahost drieslot - {} [drieslot@32473 id=\"a.example/g#7\" \
             journal=\"a.example/g\" index=\"7\" why=\"a\\\"\\] [x\"] \u{feff}one two",
            "k".repeat(32)
        );
        assert_eq!(said, expected);
        assert_eq!(framed("äb"), "3 äb");
    }
}
