//! The protocol beside PostgreSQL's own: random sequences of messages, sent as the same bytes to plain PostgreSQL and through
//! the gateway, must be answered alike, message by message, whatever goes wrong in them.
//!
//! `DRIESLOT_PIPELINES_SEED` and `DRIESLOT_PIPELINES_COUNT` choose; a script that differs is shown as short as it can be made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod script;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Trial;
use common::check::Canary;
use common::raw::{Raw, Told, message, query};
use script::{Author, Step, TABLES};

const PLAIN: &str = "reference";
const ROWS: &str = "INSERT INTO {t} VALUES (1, 'ant', 10, 'first'), (2, 'bee', 20, NULL), (3, NULL, 30, 'third')";
const MARKER: &str = "the script has ended";

/// A message of the server, with what two databases cannot have in common taken out.
#[derive(Clone, PartialEq, Eq)]
struct Answer {
    tag: u8,
    body: Vec<u8>,
    hint: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(80).collect();
        write!(f, "{} {text:?}", char::from(self.tag))
    }
}

fn schema() -> String {
    let table = |name: &str| {
        let rows = ROWS.replace("{t}", name);
        format!("CREATE TABLE {name} (id integer PRIMARY KEY, word text, number integer, note text);\n{rows};\n")
    };
    TABLES.map(table).concat()
}

const CLASSIFICATION: &str = r#"kind = "classification"
tenant = "trial-agency"
id = "columns-1"
issued = "2025-01-01T00:00:00Z"
database = "trial"
unlisted_tables = "plain"

[[table]]
name = "closed_row"
subject = "number"
column = [
  { name = "id", class = 1, protection = "plain" },
  { name = "word", class = 3, protection = "exact", type = "text", search = true },
  { name = "number", class = 3, protection = "ordered", type = "integer" },
  { name = "note", class = 3, protection = "sealed", type = "text" },
]
"#;

fn normalise(tag: u8, mut body: Vec<u8>) -> Answer {
    let mut hint = false;
    match tag {
        // The OIDs of tables.
        b'T' => {
            let mut at = 2;
            while let Some(end) = body.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) {
                let oid = at + end + 1;
                body[oid..oid + 4].fill(0);
                at = oid + 18;
            }
        }
        b'E' | b'N' => {
            let told = Told::read(&body);
            hint = !told.hint.is_empty();
            body = format!("{} {}", told.severity, told.code).into_bytes();
        }
        // The process that notifies.
        b'A' => body[..4].fill(0),
        _ => {}
    }
    Answer { tag, body, hint }
}

/// Sends a script and gives what was answered.
fn play(session: &mut Raw, steps: &[Step]) -> Vec<Answer> {
    let mut pending = Vec::new();
    for step in steps {
        pending.extend_from_slice(&step.bytes);
        if step.pause {
            session.send(&std::mem::take(&mut pending));
            std::thread::sleep(Duration::from_millis(4));
        }
    }
    // In whatever state it is, this ends it, and the last row can come from nowhere else.
    for bytes in [message(b'S', b""), query("ROLLBACK"), query(&format!("SELECT '{MARKER}'"))] {
        pending.extend(bytes);
    }
    session.send(&pending);
    let mut answers: Vec<Answer> = Vec::new();
    let mut marked = false;
    while let Some((tag, body)) = session.next() {
        marked |= tag == b'D' && body.ends_with(MARKER.as_bytes());
        answers.push(normalise(tag, body));
        if marked && tag == b'Z' {
            break;
        }
    }
    // COPY TO follows the order of the heap, which is each server's own.
    for run in answers.chunk_by_mut(|a, b| a.tag == b'd' && b.tag == b'd') {
        run.sort_by(|a, b| a.body.cmp(&b.body));
    }
    answers
}

/// The same state as before the first script.
fn reset(session: &mut Raw) {
    let rows = TABLES.map(|table| ROWS.replace("{t}", table)).join("; ");
    let truncate = format!("TRUNCATE {}", TABLES.join(", "));
    for sql in ["ROLLBACK", "DISCARD ALL", "DROP TABLE IF EXISTS made", &truncate, &rows] {
        session.send(&query(sql));
        assert_eq!(session.until_ready(), [], "{sql}");
    }
}

/// How a script came out.
enum Outcome {
    Same,
    /// The gateway refused something that PostgreSQL does; what follows cannot be compared.
    Refused,
    /// The same error, before what PostgreSQL did until then.
    Earlier,
    Different(String),
}

struct Sides {
    trial: Trial,
    plain: Raw,
    gateway: Raw,
}

impl Sides {
    fn compare(&mut self, steps: &[Step]) -> Outcome {
        reset(&mut self.plain);
        reset(&mut self.gateway);
        let plain = play(&mut self.plain, steps);
        let gateway = play(&mut self.gateway, steps);
        let outcome = compare(&plain, &gateway, steps.iter().any(|step| step.several));
        if let Outcome::Different(_) = outcome {
            // Either may be out of step, or ended.
            self.plain = self.trial.raw_plain(PLAIN);
            self.gateway = self.trial.raw_session();
        }
        outcome
    }

    /// Leaves out every step that the difference does not need.
    fn shorten(&mut self, mut steps: Vec<Step>, mut why: String) -> String {
        let mut at = 0;
        while at < steps.len() {
            let mut shorter = steps.clone();
            shorter.remove(at);
            match self.compare(&shorter) {
                Outcome::Different(found) => (steps, why) = (shorter, found),
                Outcome::Same | Outcome::Refused | Outcome::Earlier => at += 1,
            }
        }
        let lines: Vec<_> =
            steps.iter().map(|step| format!("  {}{}", step.shown, if step.pause { " …" } else { "" })).collect();
        format!("{}\n{why}", lines.join("\n"))
    }
}

fn compare(plain: &[Answer], gateway: &[Answer], several: bool) -> Outcome {
    for at in 0..plain.len().max(gateway.len()) {
        let (wanted, found) = (plain.get(at), gateway.get(at));
        if wanted.map(|a| (a.tag, &a.body)) == found.map(|a| (a.tag, &a.body)) {
            continue;
        }
        let refused = found.is_some_and(|a| a.tag == b'E' && a.hint && a.body.ends_with(b"0A000"));
        match wanted {
            // Two mistakes in one message: the gateway may tell the other first.
            Some(wanted) if refused && wanted.tag == b'E' => {}
            Some(wanted) if found.is_some_and(|found| is_also_wrong(found, wanted)) => {}
            _ if refused => return Outcome::Refused,
            _ if found.is_some_and(|found| is_told_earlier(found, plain.get(at..).unwrap_or_default(), several)) => {
                return Outcome::Earlier;
            }
            _ => {
                let from = at.saturating_sub(4);
                let part = |answers: &[Answer]| answers.iter().skip(from).take(9).cloned().collect::<Vec<_>>();
                let (plain, gateway) = (part(plain), part(gateway));
                return Outcome::Different(format!("at answer {at}:\n  plain   {plain:?}\n  gateway {gateway:?}"));
            }
        }
    }
    Outcome::Same
}

/// Two mistakes in one message, of which the gateway tells the other: a name that is missing or wrongly used beside one that
/// is taken; a portal that has ended all portals, which for PostgreSQL has ended but is still there; and in a failed
/// transaction the unnamed portal that a simple query's failed COPY has left behind at PostgreSQL.
fn is_also_wrong(found: &Answer, wanted: &Answer) -> bool {
    let pair = (&wanted.body[..], &found.body[..]);
    let pairs: [(&[u8], &[u8]); 5] = [
        (b"ERROR 42P05", b"ERROR 42601"),
        (b"ERROR 42P05", b"ERROR 26000"),
        (b"ERROR 42P05", b"ERROR 34000"),
        (b"ERROR 55000", b"ERROR 34000"),
        (b"ERROR 25P02", b"ERROR 34000"),
    ];
    wanted.tag == b'E' && found.tag == b'E' && pairs.contains(&pair)
}

/// The gateway plans a message whole before it sends any of it: what a later statement of a simple query has wrong is told
/// before the rows of the first, and a name that EXECUTE or FETCH needs is missed at Parse, or that it is
/// given the wrong number of values.
fn is_told_earlier(found: &Answer, wanted: &[Answer], several: bool) -> bool {
    let unnamed = matches!(&found.body[..], b"ERROR 26000" | b"ERROR 34000" | b"ERROR 42601");
    let parsed = wanted.first().is_some_and(|answer| answer.tag == b'1');
    let later = several && wanted.iter().take_while(|answer| answer.tag != b'Z').any(|answer| answer.tag == b'E');
    found.tag == b'E' && (later || parsed && unnamed)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
fn random_pipelines_are_answered_as_postgresql_answers_them() {
    let seed = number("DRIESLOT_PIPELINES_SEED").unwrap_or(20_251);
    let full = std::env::var_os("DRIESLOT_FULL").is_some();
    let count = number("DRIESLOT_PIPELINES_COUNT").unwrap_or(if full { 20_000 } else { 500 });
    let trial = Trial::start_quiet(&schema(), CLASSIFICATION);
    trial.superuser("postgres", &format!("CREATE ROLE {PLAIN} LOGIN PASSWORD '{PLAIN}'"));
    trial.superuser("postgres", &format!("CREATE DATABASE {PLAIN} OWNER {PLAIN}"));
    trial.superuser(PLAIN, &format!("SET ROLE {PLAIN};\n{}", schema()));
    trial.superuser(PLAIN, &format!("GRANT ALL ON SCHEMA public TO {PLAIN}"));
    let (plain, gateway) = (trial.raw_plain(PLAIN), trial.raw_session());
    let mut sides = Sides { trial, plain, gateway };
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for offset in 0..count {
        let steps = Author::new(seed + offset).script();
        match sides.compare(&steps) {
            Outcome::Same => *told.entry("same").or_default() += 1,
            Outcome::Refused => *told.entry("refused").or_default() += 1,
            Outcome::Earlier => *told.entry("told earlier").or_default() += 1,
            Outcome::Different(why) => {
                let shown = sides.shorten(steps, why);
                println!("DRIESLOT_PIPELINES_SEED={} DRIESLOT_PIPELINES_COUNT=1\n{shown}\n", seed + offset);
                wrong.push(seed + offset);
                if wrong.len() == 5 {
                    break;
                }
            }
        }
    }
    println!("{count} scripts from seed {seed}: {told:?}");
    assert!(wrong.is_empty(), "scripts are answered otherwise: seeds {wrong:?}");
    let refused = told.get("refused").copied().unwrap_or_default();
    assert!(refused * 4 <= count, "too many refusals to have compared much: {refused}");
    sides.trial.app_ok("INSERT INTO closed_row VALUES (900, 'CANARY-pipe-77ab', 1, 'CANARY-pipe-77ab')");
    sides.trial.check(&[Canary::Text("CANARY-pipe-77ab".into())]);
}
