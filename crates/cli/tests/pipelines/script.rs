//! Random scripts of the protocol's messages, made from a seed.

use super::common::random::Random;
use super::common::raw::{message, query};

/// Tables of the same shape: one of them protected, the other not.
pub(crate) const TABLES: [&str; 2] = ["open_row", "closed_row"];

/// One or more messages that belong together.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) shown: String,
    pub(crate) bytes: Vec<u8>,
    /// Wait a little, so that the processor has answered what came before.
    pub(crate) pause: bool,
    /// A simple query of several statements.
    pub(crate) several: bool,
}

/// A parameter: what it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Id,
    Word,
    Number,
    Pattern,
}
use Given::{Id, Number, Pattern, Word};

/// Rows in and out; `{t}` is one of the tables.
const DATA: &[(&str, &[Given])] = &[
    ("SELECT id, word, number FROM {t} ORDER BY id", &[]),
    ("SELECT * FROM {t} ORDER BY id", &[]),
    ("SELECT word, note FROM {t} WHERE id = $1", &[Id]),
    ("SELECT id, number FROM {t} WHERE word = $1 ORDER BY id", &[Word]),
    ("SELECT id FROM {t} WHERE word LIKE $1 ORDER BY id", &[Pattern]),
    ("SELECT count(*) FROM {t} WHERE number > $1", &[Number]),
    ("INSERT INTO {t} VALUES ($1, $2, $3, $4)", &[Id, Word, Number, Word]),
    ("INSERT INTO {t} VALUES ($1, $2, 5, NULL) RETURNING id, word", &[Id, Word]),
    ("INSERT INTO {t} VALUES (7, 'gnu', 8, 'new') ON CONFLICT (id) DO UPDATE SET note = EXCLUDED.note", &[]),
    ("UPDATE {t} SET number = $2 WHERE word = $1", &[Word, Number]),
    ("DELETE FROM {t} WHERE id = $1 RETURNING note", &[Id]),
    ("SELECT g, repeat('x', 900) FROM generate_series(1, 300) g", &[]),
    ("SELECT $1::integer + 1", &[Id]),
    ("SELECT 10 / (g - 3) FROM generate_series(1, 5) g", &[]),
];

/// What begins and ends transactions.
const TRANSACTIONS: &[&str] = &[
    "BEGIN",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
    "COMMIT AND CHAIN",
    "BEGIN READ ONLY",
];

/// Mistakes.
const WRONG: &[&str] = &[
    "SELECT 1/0",
    "SELEKT",
    "SELECT nothing FROM {t}",
    "SELECT * FROM nowhere",
    "SELECT 1; SELECT 2",
    "INSERT INTO {t} VALUES (1, 'dup', 1, 'dup')",
    "INSERT INTO {t} VALUES (9, 'x', 'no number', 'x')",
];

/// What has names, settings, or no rows at all.
const OTHERS: &[&str] = &[
    "",
    "SET application_name = 'other'",
    "SHOW application_name",
    "SET LOCAL search_path = public, pg_temp",
    "PREPARE s1 AS SELECT word FROM {t} ORDER BY id",
    "PREPARE s2 AS SELECT id FROM {t} ORDER BY id",
    "EXECUTE s1",
    "EXECUTE s2",
    "DEALLOCATE s1",
    "DEALLOCATE ALL",
    "DECLARE p1 CURSOR FOR SELECT id, note FROM {t} ORDER BY id",
    "DECLARE p2 CURSOR WITH HOLD FOR SELECT word FROM {t} ORDER BY id",
    "FETCH 1 FROM p1",
    "FETCH 2 FROM p2",
    "MOVE 1 IN p1",
    "CLOSE p1",
    "CLOSE ALL",
    "COPY (SELECT id, word FROM {t} ORDER BY id) TO STDOUT",
    "COPY {t} TO STDOUT",
    "CREATE TABLE made (a integer)",
    "DROP TABLE made",
    "SELECT a FROM made",
    "LISTEN news",
    "NOTIFY news, 'told'",
    "UNLISTEN *",
    "DISCARD ALL",
    "TRUNCATE {t}",
];

const STATEMENTS: [&str; 3] = ["", "s1", "s2"];
const PORTALS: [&str; 4] = ["", "", "p1", "p2"];
const WORDS: [&str; 4] = ["ant", "bee", "cat", "Ærø"];

fn shown(shown: String, bytes: Vec<u8>) -> Step {
    Step { shown, bytes, pause: false, several: false }
}

fn cstr(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn simple(text: &str) -> Step {
    shown(format!("Query {text:?}"), query(text))
}

fn parse(name: &str, text: &str) -> Step {
    let body = [cstr(name), cstr(text), vec![0, 0]].concat();
    shown(format!("Parse {name:?} {text:?}"), message(b'P', &body))
}

fn named(tag: u8, kind: u8, name: &str) -> Step {
    let verb = if tag == b'D' { "Describe" } else { "Close" };
    shown(format!("{verb} {} {name:?}", char::from(kind)), message(tag, &[&[kind][..], &cstr(name)].concat()))
}

fn execute(portal: &str, limit: i32) -> Step {
    shown(format!("Execute {portal:?} {limit}"), message(b'E', &[&cstr(portal)[..], &limit.to_be_bytes()].concat()))
}

fn bare(tag: u8) -> Step {
    shown(format!("{:?}", char::from(tag)), message(tag, b""))
}

/// Makes scripts.
pub(crate) struct Author {
    random: Random,
    /// What each of the statements takes, as far as the author knows.
    takes: [&'static [Given]; 3],
}

impl Author {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random(seed), takes: [&[]; 3] }
    }

    /// A script that leaves no COPY open.
    pub(crate) fn script(&mut self) -> Vec<Step> {
        let length = 3 + self.random.below(28);
        let mut steps = Vec::new();
        while steps.len() < length {
            match self.random.below(100) {
                0..=25 => self.usual(&mut steps),
                26..=35 => steps.push(self.parse()),
                36..=47 => steps.push(self.bind()),
                48..=53 => steps.push(self.named(b'D')),
                54..=66 => steps.push(self.execute()),
                67..=70 => steps.push(self.named(b'C')),
                71..=72 => steps.push(bare(b'H')),
                73..=83 => steps.push(bare(b'S')),
                84..=94 => steps.push(self.simple()),
                _ => steps.extend(self.copy()),
            }
            if let Some(last) = steps.last_mut() {
                last.pause = self.random.percent(12);
            }
        }
        steps
    }

    fn text(&mut self) -> (String, &'static [Given]) {
        let (text, takes): (&str, &[Given]) = match self.random.below(100) {
            0..=54 => *self.random.pick(DATA),
            55..=69 => (*self.random.pick(TRANSACTIONS), &[]),
            70..=78 => (*self.random.pick(WRONG), &[]),
            _ => (*self.random.pick(OTHERS), &[]),
        };
        let table = self.random.pick(&TABLES);
        (text.replace("{t}", table), takes)
    }

    /// What drivers send.
    fn usual(&mut self, steps: &mut Vec<Step>) {
        let (text, takes) = self.text();
        self.takes[0] = takes;
        steps.push(parse("", &text));
        if self.random.percent(40) {
            steps.push(named(b'D', b'S', ""));
        }
        if self.random.percent(15) {
            steps.push(bare(b'S'));
        }
        steps.push(self.bind_of("", "", takes));
        if self.random.percent(50) {
            steps.push(named(b'D', b'P', ""));
        }
        let limit = if self.random.percent(80) { 0 } else { 2 };
        steps.push(execute("", limit));
        if self.random.percent(70) {
            steps.push(bare(b'S'));
        }
    }

    fn parse(&mut self) -> Step {
        let which = self.random.below(STATEMENTS.len());
        let (text, takes) = self.text();
        self.takes[which] = takes;
        parse(STATEMENTS[which], &text)
    }

    fn bind(&mut self) -> Step {
        let which = self.random.below(STATEMENTS.len());
        let portal = *self.random.pick(&PORTALS);
        let takes = if self.random.percent(95) { self.takes[which] } else { &[Id] };
        self.bind_of(portal, STATEMENTS[which], takes)
    }

    fn bind_of(&mut self, portal: &str, statement: &str, takes: &[Given]) -> Step {
        let binary = self.random.percent(25);
        let mut body = [cstr(portal), cstr(statement)].concat();
        body.extend_from_slice(if binary { &[0, 1, 0, 1] } else { &[0, 0] });
        body.extend_from_slice(&u16::try_from(takes.len()).unwrap().to_be_bytes());
        let mut values = Vec::new();
        for given in takes {
            let value = self.value(*given, binary);
            body.extend_from_slice(&value.as_ref().map_or(-1, |v| i32::try_from(v.len()).unwrap()).to_be_bytes());
            body.extend_from_slice(value.as_deref().unwrap_or_default());
            values.push(value.map(|value| String::from_utf8_lossy(&value).into_owned()));
        }
        let results: &[u8] = match self.random.below(20) {
            0 => &[0, 2, 0, 0, 0, 1],
            1..=4 => &[0, 1, 0, 1],
            _ => &[0, 0],
        };
        body.extend_from_slice(results);
        let values = format!("{values:?} binary {binary} results {results:?}");
        shown(format!("Bind {portal:?} {statement:?} {values}"), message(b'B', &body))
    }

    fn value(&mut self, given: Given, binary: bool) -> Option<Vec<u8>> {
        if self.random.percent(8) {
            return None;
        }
        let number = i32::try_from(match given {
            Id => self.random.below(7),
            Number | Word | Pattern => self.random.below(20),
        });
        Some(match given {
            Id | Number if binary => number.unwrap().to_be_bytes().to_vec(),
            Id | Number if self.random.percent(3) => b"no number".to_vec(),
            Id | Number => number.unwrap().to_string().into_bytes(),
            Word => self.random.pick(&WORDS).as_bytes().to_vec(),
            Pattern => self.random.pick(&["a%", "%ee", "%a%", "cat"]).as_bytes().to_vec(),
        })
    }

    fn named(&mut self, tag: u8) -> Step {
        if self.random.percent(50) {
            let statement = self.random.pick(&STATEMENTS);
            named(tag, b'S', statement)
        } else {
            let portal = self.random.pick(&PORTALS);
            named(tag, b'P', portal)
        }
    }

    fn execute(&mut self) -> Step {
        let portal = *self.random.pick(&PORTALS);
        execute(portal, *self.random.pick(&[0, 0, 1, 2]))
    }

    fn simple(&mut self) -> Step {
        let count = if self.random.percent(85) { 1 } else { 2 + self.random.below(2) };
        let texts: Vec<String> = (0..count).map(|_| self.text().0).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).filter(|text| !text.contains('$')).collect();
        Step { several: texts.len() > 1, ..simple(&texts.join(";")) }
    }

    /// COPY FROM STDIN with its data, which must be together: another message in between ends the session.
    fn copy(&mut self) -> Vec<Step> {
        let text = format!("COPY {} (id, word, number) FROM STDIN", *self.random.pick(&TABLES));
        let mut data = Vec::new();
        let mut told = String::new();
        for _ in 0..self.random.below(4) {
            let id = self.random.below(60);
            let row = match self.random.below(12) {
                0 => format!("{id}\tfew\n"),
                1 => format!("{id}\tword\tno number\n"),
                2 => format!("{id}\t\\N\t{id}\n{id}0\tpart"),
                _ => format!("{id}\tword{id}\t{id}\n"),
            };
            told.push_str(&row);
            data.extend(message(b'd', row.as_bytes()));
            if self.random.percent(10) {
                data.extend(message(b'H', b""));
            }
        }
        let end = if self.random.percent(85) { message(b'c', b"") } else { message(b'f', b"given up\0") };
        told.push(char::from(end[0]));
        data.extend(end);
        if self.random.percent(50) {
            let more = if self.random.percent(30) { "; SELECT 1; SELECT 1/0" } else { "" };
            let bytes = [query(&format!("{text}{more}")), data].concat();
            return vec![shown(format!("Query {text:?}{more} {told:?}"), bytes)];
        }
        let start = [parse("", &text).bytes, self.bind_of("", "", &[]).bytes, execute("", 0).bytes].concat();
        // A Sync before the data is one that PostgreSQL ignores.
        let early = if self.random.percent(30) { bare(b'S').bytes } else { Vec::new() };
        let close = [named(b'C', b'S', "").bytes, named(b'C', b'P', "").bytes].concat();
        let told = format!("Parse, Bind, Execute {text:?}, early sync {}, {told:?}, S, Close", !early.is_empty());
        vec![shown(told, [start, early, data, bare(b'S').bytes, close].concat())]
    }
}
