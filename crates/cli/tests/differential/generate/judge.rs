//! Runs one query on both sides and says what came of it.

use super::connection::{Answer, Ask, Connection, Row, Shape};
use super::generator::{Generator, Query};
use super::random::Random;
use super::scheme::Scheme;
use super::setup::{Field, PLAIN};
use super::value::{with_execute, with_literals, with_parameters};

/// A query that takes longer tells nothing; on either side.
const TIMEOUT: &str = "SET statement_timeout = '4s'";
const CANCELLED: &str = "57014";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same rows, of the same shape.
    Rows,
    /// The same error.
    Error,
    /// Both sides refuse, each for another of the statement's faults.
    OtherError(String),
    /// Refused, and of which kind.
    Refused(String),
    TooSlow,
    /// A bug, described.
    Different(String),
}

/// A session on each side, in the schema of one classification.
pub(crate) struct Pair {
    gateway: Connection,
    plain: Connection,
}

/// One question as it is asked.
pub(crate) struct Question {
    pub(crate) scheme: usize,
    pub(crate) query: Query,
    /// What is asked before it.
    pub(crate) before: Option<Ask>,
    /// It is asked in a transaction that is rolled back.
    pub(crate) within: bool,
    pub(crate) ask: Ask,
}

impl Question {
    /// The question of this number.
    pub(crate) fn make(field: &Field, seed: u64, number: u64) -> Self {
        let mut random = Random::of(seed, number + 1);
        let at = random.below(field.schemes.len());
        let scheme = &field.schemes[at];
        let literals = random.percent(45);
        let binary = random.percent(50);
        let form = random.below(100);
        let query = Generator::new(random, &field.worlds[scheme.world], scheme).query();
        let looks = query.changes.is_none();
        let (mut before, mut within) = (None, query.changes.is_some());
        let Ask::Simple(text) = with_literals(&query.text, &query.values) else { unreachable!() };
        let ask = match form {
            0..6 if looks => Ask::Simple(format!("COPY ({text}) TO STDOUT")),
            6..9 if looks => Ask::Simple(format!("COPY ({text}) TO STDOUT WITH (FORMAT csv, HEADER)")),
            9..16 if looks => {
                within = true;
                let moved = if query.ordered { " MOVE 1 IN c;" } else { "" };
                Ask::Simple(format!("DECLARE c CURSOR FOR {text}; FETCH 2 FROM c;{moved} FETCH ALL FROM c"))
            }
            16..20 if looks => {
                within = true;
                before = Some(Ask::Simple(format!("CREATE VIEW asked AS {text}")));
                Ask::Simple("SELECT * FROM asked".to_owned())
            }
            20..28 => with_execute(&query.text, &query.values),
            _ if literals => Ask::Simple(text),
            _ => with_parameters(&query.text, &query.values, binary),
        };
        Self { scheme: at, query, before, within, ask }
    }
}

impl Pair {
    pub(crate) fn open(field: &Field, scheme: &Scheme) -> Self {
        let trial = &field.trial;
        let mut pair =
            Self { gateway: Connection::gateway(trial, &scheme.schema), plain: Connection::plain(trial, PLAIN) };
        for session in [&mut pair.gateway, &mut pair.plain] {
            session.run(&format!("SET search_path = {}", scheme.schema));
            session.run("SET TimeZone = 'Europe/Brussels'");
            session.run(TIMEOUT);
        }
        pair
    }

    pub(crate) fn judge(&mut self, question: &Question) -> Verdict {
        if question.query.changes.is_none() && question.within {
            return self.within(question);
        }
        let Some(table) = &question.query.changes else {
            self.gateway.send(&question.ask);
            let plain = self.plain.ask(&question.ask);
            let gateway = self.gateway.answer();
            return compare(&gateway, &plain, question.query.ordered);
        };
        let content = Ask::Simple(format!("SELECT * FROM {table}"));
        let simple = |sql: &str| Ask::Simple(sql.to_owned());
        let all = [&simple("BEGIN"), &question.ask, &content, &simple("ROLLBACK")];
        for ask in all {
            self.gateway.send(ask);
            self.plain.send(ask);
        }
        let [_, there, after_there, _] = all.map(|_| self.plain.answer());
        let [_, here, after_here, ended] = all.map(|_| self.gateway.answer());
        let verdict = compare(&here, &there, false);
        if verdict != Verdict::Rows {
            return verdict;
        }
        if ended.status != b'I' {
            return Verdict::Different(format!("after ROLLBACK: {ended:?}"));
        }
        match compare(&after_here, &after_there, false) {
            Verdict::Different(what) => Verdict::Different(format!("the table's content afterwards: {what}")),
            Verdict::Refused(what) => Verdict::Different(format!("the table's content is refused: {what}")),
            Verdict::Rows | Verdict::Error | Verdict::OtherError(_) | Verdict::TooSlow => Verdict::Rows,
        }
    }
}

impl Pair {
    /// A question in a transaction, and what is asked before it there.
    fn within(&mut self, question: &Question) -> Verdict {
        let mut verdict = Verdict::Rows;
        for session in [&mut self.gateway, &mut self.plain] {
            session.run("BEGIN");
        }
        // A view shows its rows in no order.
        let ordered = question.query.ordered && question.before.is_none();
        for ask in question.before.iter().chain([&question.ask]) {
            self.gateway.send(ask);
            let plain = self.plain.ask(ask);
            let gateway = self.gateway.answer();
            verdict = compare(&gateway, &plain, ordered);
            if verdict != Verdict::Rows || gateway.closed {
                break;
            }
        }
        if !matches!(verdict, Verdict::Different(_)) {
            for session in [&mut self.gateway, &mut self.plain] {
                session.run("ROLLBACK");
            }
        }
        verdict
    }
}

/// Lines of COPY in the order that counts.
fn lines(copied: &[u8], ordered: bool) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = copied.split(|byte| *byte == b'\n').collect();
    if !ordered {
        lines.sort_unstable();
    }
    lines
}

fn compare(gateway: &Answer, plain: &Answer, ordered: bool) -> Verdict {
    let different =
        |what: &str| Verdict::Different(format!("{what}\n  plain:   {}\n  gateway: {}", shown(plain), shown(gateway)));
    if gateway.closed || plain.closed {
        return different("the session ended");
    }
    let code = |answer: &Answer| answer.fault.as_ref().map(|fault| fault.code.clone());
    let (here, there) = (code(gateway), code(plain));
    if here.as_deref() == Some(CANCELLED) || there.as_deref() == Some(CANCELLED) {
        return Verdict::TooSlow;
    }
    if let Some(fault) = &gateway.fault {
        if here == there {
            return Verdict::Error;
        }
        let about_value = fault.code.starts_with("22");
        let refusal = matches!(fault.code.as_str(), "0A000" | "42501" | "42804") && !fault.hint.is_empty();
        if fault.own && (refusal || about_value) {
            return Verdict::Refused(format!("{} {}", fault.code, kind(&fault.message)));
        }
        if fault.own && fault.code.starts_with("42") && there.is_some() {
            return Verdict::OtherError(format!("{} for {}", fault.code, there.unwrap_or_default()));
        }
        // Each about one row; which row comes first, a join over cells may decide otherwise.
        let of_rows = |code: &str| code.starts_with("22") || code.starts_with("23");
        if let Some(there) = there.filter(|there| !fault.own && of_rows(there) && of_rows(&fault.code)) {
            return Verdict::OtherError(format!("{} for {there}", fault.code));
        }
        return different("errors differ");
    }
    if there.is_some() {
        return different("the gateway gives no error");
    }
    if gateway.parameters.as_deref().map(as_texts) != plain.parameters.as_deref().map(as_texts) {
        return different(&format!("parameter types {:?} and {:?}", plain.parameters, gateway.parameters));
    }
    // Only the extended protocol describes a statement before it is planned.
    let planned = if plain.parameters.is_some() { plain.shapes.len().saturating_sub(1) } else { 0 };
    if !same_shapes(&gateway.shapes, &plain.shapes, planned) {
        return different(&format!("columns\n  {:?}\n  {:?}", plain.shapes, gateway.shapes));
    }
    if gateway.tags != plain.tags || gateway.status != plain.status {
        return different("command tags");
    }
    let sorted = |rows: &[Row]| {
        let mut rows = rows.to_vec();
        rows.sort();
        rows
    };
    let same = if ordered { gateway.rows == plain.rows } else { sorted(&gateway.rows) == sorted(&plain.rows) };
    if lines(&gateway.copied, ordered) != lines(&plain.copied, ordered) {
        let text = |answer: &Answer| String::from_utf8_lossy(&answer.copied).chars().take(400).collect::<String>();
        return different(&format!("COPY\n  {}\n  {}", text(plain), text(gateway)));
    }
    if same { Verdict::Rows } else { different("rows") }
}

/// Whether an undeclared parameter beside one that the client declared is varchar or text, PostgreSQL knows only from
/// the declaration. It makes no difference to any value.
fn as_texts(oids: &[u32]) -> Vec<u32> {
    let text = |oid: &u32| match oid {
        1043 => 25,
        1015 => 1009,
        // cidr has no operators of its own: PostgreSQL takes it for inet.
        650 => 869,
        other => *other,
    };
    oids.iter().map(text).collect()
}

/// PostgreSQL describes a portal after planning, when a branch that can't be taken is gone: it may then know a type
/// modifier that the statement does not show. Either side may know less, never another.
fn same_shapes(gateway: &[Vec<Shape>], plain: &[Vec<Shape>], planned: usize) -> bool {
    let same = |at: usize, here: &Shape, there: &Shape| {
        let unknown = at >= planned && (here.modifier == -1 || there.modifier == -1);
        let modifier = if unknown { here.modifier } else { there.modifier };
        *here == Shape { modifier, ..there.clone() }
    };
    let alike = |(at, (here, there)): (usize, (&Vec<Shape>, &Vec<Shape>))| {
        here.len() == there.len() && here.iter().zip(there).all(|(here, there)| same(at, here, there))
    };
    gateway.len() == plain.len() && gateway.iter().zip(plain).enumerate().all(alike)
}

/// A refusal's words without the names in them.
fn kind(message: &str) -> String {
    let general = |word: &str| {
        let name = word.contains('.') || word.contains('"') || word.contains("_") || word.starts_with('$');
        if name { "…".to_owned() } else { word.to_owned() }
    };
    message.split(' ').map(general).collect::<Vec<_>>().join(" ")
}

fn shown(answer: &Answer) -> String {
    if let Some(fault) = &answer.fault {
        let who = if fault.own { "own" } else { "server" };
        return format!("{} {} ({who}; {})", fault.code, fault.message, fault.hint);
    }
    let field = |field: &Option<Vec<u8>>| match field {
        None => "NULL".to_owned(),
        Some(bytes) => String::from_utf8_lossy(bytes).escape_debug().to_string(),
    };
    let mut rows: Vec<String> =
        answer.rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join("|")).collect();
    rows.sort();
    let some: Vec<String> = rows.iter().take(8).cloned().collect();
    format!("{:?} {} rows: {}", answer.tags, answer.rows.len(), some.join(" / "))
}
