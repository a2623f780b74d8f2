//! Values, differentially: whatever this crate reads and writes, a real PostgreSQL reads and writes alike.
//!
//! Each text goes through PostgreSQL's input, output and send functions, and through ours. Where we accept, texts and
//! binary forms must agree to the byte; where we refuse with anything but 0A000, PostgreSQL must refuse too. Sound
//! texts must not be refused unless PostgreSQL does, and then with the same SQLSTATE (a spoilt text may have two
//! faults, and be refused for either).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "tests"
)]

mod generate;
mod server;

use std::fmt::Write as _;

use drieslot_schema::LogicalType;
use drieslot_seal::values::{decode_binary, decode_text, encode_binary, encode_text};
use drieslot_seal::{Settings, ValueError};
use generate::Dice;
use server::Server;

struct Case {
    ty: LogicalType,
    zone: &'static str,
    explicit: bool,
    text: String,
    /// Whether 0A000 is no answer.
    sound: bool,
}

/// What PostgreSQL made of a case.
enum Verdict {
    Accepted { text: Vec<u8>, binary: Vec<u8> },
    Refused { sqlstate: String },
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Brussels",
    "Asia/Kolkata",
    "America/New_York",
    "Africa/Monrovia",
    "Australia/Lord_Howe",
    "<+02>-02",
    "<-03:30>+03:30",
];

const SETUP: &str = r"
create function attempt(sql text, v text, out res text) language plpgsql as $$
begin
  execute sql into res using v;
exception when others then
  res := 'E' || sqlstate;
end $$;
create table slot (c varchar(5));
create table cases (id int, zone text, sql text, v text);
";

fn query(case: &Case) -> String {
    let ty = case.ty;
    let send = match ty {
        LogicalType::Bool => "boolsend",
        LogicalType::Int2 => "int2send",
        LogicalType::Int4 => "int4send",
        LogicalType::Int8 => "int8send",
        LogicalType::Numeric(_) => "numeric_send",
        LogicalType::Text => "textsend",
        LogicalType::Varchar(_) => "varcharsend",
        LogicalType::Date => "date_send",
        LogicalType::Timestamp => "timestamp_send",
        LogicalType::Timestamptz => "timestamptz_send",
        LogicalType::Uuid => "uuid_send",
    };
    let output = if ty == LogicalType::Bool { "boolout" } else { "" };
    let result = |value: &str| {
        format!("encode(convert_to({output}({value})::text, 'UTF8'), 'hex') || '|' || encode({send}({value}), 'hex')")
    };
    if matches!(ty, LogicalType::Varchar(_)) && !case.explicit {
        return format!("insert into slot values ($1) returning {}", result("c"));
    }
    format!("select {} from (select $1::{ty} as x offset 0) s", result("x"))
}

fn ask(server: &Server, cases: &[Case]) -> Vec<Verdict> {
    let mut script = format!("{SETUP}copy cases from stdin;\n");
    for (id, case) in cases.iter().enumerate() {
        let escaped = case.text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        writeln!(script, "{id}\t{}\t{}\t{escaped}", case.zone, query(case)).unwrap();
    }
    script.push_str("\\.\n");
    for zone in ZONES {
        writeln!(script, "set timezone = '{zone}';").unwrap();
        writeln!(script, "select id || '|' || attempt(sql, v) from cases where zone = '{zone}';").unwrap();
    }
    let mut verdicts: Vec<Option<Verdict>> = cases.iter().map(|_| None).collect();
    for line in server.psql(&script).lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let verdict = match parts[1].strip_prefix('E') {
            Some(sqlstate) => Verdict::Refused { sqlstate: sqlstate.to_owned() },
            None => Verdict::Accepted { text: unhex(parts[1]), binary: unhex(parts[2]) },
        };
        verdicts[parts[0].parse::<usize>().unwrap()] = Some(verdict);
    }
    verdicts.into_iter().map(Option::unwrap).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn ours(case: &Case) -> Result<(Vec<u8>, Vec<u8>), ValueError> {
    let settings = Settings::named(case.zone).unwrap();
    let (mut canonical, mut text) = (Vec::new(), Vec::new());
    encode_text(case.ty, &case.text, case.explicit, &settings, &mut canonical)?;
    decode_text(case.ty, &canonical, &settings, &mut text).unwrap();
    Ok((canonical, text))
}

fn compare(case: &Case, verdict: &Verdict) -> Result<(), String> {
    let found = ours(case);
    let about = format!("{} {:?} in {} (explicit {})", case.ty, case.text, case.zone, case.explicit);
    match (found, verdict) {
        (Ok((canonical, shown)), Verdict::Accepted { text, binary }) => {
            let (mut received, mut sent) = (Vec::new(), Vec::new());
            encode_binary(case.ty, 0, binary, &mut received).unwrap();
            decode_binary(case.ty, &canonical, &mut sent).unwrap();
            if shown == *text && sent == *binary && received == canonical {
                return Ok(());
            }
            let (shown, text) = (String::from_utf8_lossy(&shown), String::from_utf8_lossy(text));
            Err(format!("{about}: ours {shown} {sent:x?} {received:x?}, PostgreSQL {text} {binary:x?}"))
        }
        (Ok((_, shown)), Verdict::Refused { sqlstate }) => {
            Err(format!("{about}: ours {}, PostgreSQL refused with {sqlstate}", String::from_utf8_lossy(&shown)))
        }
        (Err(error), _) if error.sqlstate == "0A000" && !case.sound => Ok(()),
        (Err(error), Verdict::Refused { sqlstate }) if error.sqlstate == sqlstate || !case.sound => Ok(()),
        (Err(error), Verdict::Refused { sqlstate }) => {
            Err(format!("{about}: ours {error:?}, PostgreSQL refused with {sqlstate}"))
        }
        (Err(error), Verdict::Accepted { text, .. }) => {
            Err(format!("{about}: ours {error:?}, PostgreSQL {}", String::from_utf8_lossy(text)))
        }
    }
}

type Maker = fn(&mut Dice) -> String;

fn sound_cases(dice: &mut Dice) -> Vec<Case> {
    let kinds: [(&str, Maker, usize); 18] = [
        ("smallint", Dice::integer, 500),
        ("integer", Dice::integer, 500),
        ("bigint", Dice::integer, 500),
        ("numeric", Dice::numeric, 1000),
        ("numeric(10,2)", Dice::numeric, 700),
        ("numeric(5,5)", Dice::numeric, 500),
        ("numeric(30,10)", Dice::numeric, 700),
        ("numeric(4,0)", Dice::numeric, 500),
        ("text", Dice::text, 300),
        ("varchar", Dice::text, 300),
        ("varchar(5)", Dice::text, 1000),
        ("date", Dice::date, 1500),
        ("date", Dice::timestamp, 800),
        ("timestamp", Dice::timestamp, 1500),
        ("timestamp", Dice::date, 500),
        ("timestamptz", Dice::timestamp, 4000),
        ("timestamptz", Dice::date, 500),
        ("uuid", Dice::uuid, 300),
    ];
    let mut cases = Vec::new();
    for (name, make, count) in kinds {
        let ty: LogicalType = name.parse().unwrap();
        for _ in 0..count {
            let zone = ZONES[dice.below(ZONES.len() as u64) as usize];
            let explicit = !matches!(ty, LogicalType::Varchar(_)) || dice.below(2) == 0;
            let limited = ty == LogicalType::Varchar(Some(5));
            cases.push(Case { ty, zone, explicit: explicit || !limited, text: make(dice), sound: true });
        }
    }
    cases
}

const SOUND: [(&str, &[&str]); 10] = [
    (
        "boolean",
        &[
            "t", "TRUE", " tr ", "y", "yes", "on", "1", "f", "fa", "no", "of", "off", "0", "o", "", "2", "truee",
            "\u{b}t",
        ],
    ),
    ("integer", &["", " ", "-", "+", "--1", "1 1", "1.0", "1e3", "٣", "-0", "\u{a0}1"]),
    (
        "numeric",
        &[
            "NaN",
            "nan",
            "-NaN",
            "inf",
            "+Infinity",
            "-inf",
            "-0",
            "-0.00",
            "0e5",
            "0.000e-3",
            ".",
            "-",
            "1e",
            "e5",
            "1.2.3",
            "",
            "1e131071",
            "1e131072",
            "1e-16383",
            "1e-16384",
            "1e99999",
            "1e-99999",
            "00012.3400",
            "1,5",
            "1e+5",
            "infinit",
        ],
    ),
    (
        "numeric(5,2)",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "999.994",
            "999.995",
            "-0.004",
            "-0.005",
            "1e-20000",
            "1e20000",
            "0e9",
            "1e-16383",
            "1e-16384",
            "0e-16384",
            "0.5e-16383",
            "10e-16384",
        ],
    ),
    ("numeric(3,3)", &["0.9994", "0.9995", "1", "-0.0005", "-0.00049"]),
    (
        "date",
        &[
            "epoch",
            "infinity",
            "-INFINITY",
            " 2020-02-29 ",
            "2021-02-29",
            "1900-02-29",
            "2000-02-29",
            "0000-01-01",
            "0001-01-01 BC",
            "0005-02-29 BC",
            "0004-02-29 BC",
            "4714-11-24 BC",
            "4714-11-23 BC",
            "5874897-12-31",
            "5874898-01-01",
            "2020-01-02 AD",
            "2020-01-02 bc",
            "2020-01-02 24:00:00",
            "abc",
            "",
            "2020-01-02 99:00:00",
            "20201301",
            "2020-01-02 +00",
            "2020-01-02 -05:30",
            "20200102 +1",
            "0044-03-15 +01:17:30 BC",
            "2020-01-02 +16",
        ],
    ),
    (
        "timestamp",
        &[
            "epoch",
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "4714-11-23 23:59:59 BC",
            "294276-12-31 23:59:59.999999",
            "294276-12-31 24:00:00",
            "294277-01-01",
            "2020-12-31 23:59:60",
            "2020-12-31 23:59:60.5",
            "2020-01-01 24:00:00.000001",
            "2020-01-01 00:00:00.9999995",
            "2020-01-01 00:00:00.0000005",
            "2020-01-01 23:60:00",
            "2020-01-01 +12",
            "x",
        ],
    ),
    (
        "timestamptz",
        &[
            "epoch",
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "4714-11-24 00:00:00+01 BC",
            "294276-12-31 23:59:59-00",
            "294276-12-31 23:59:59-01",
            "1879-12-31 23:00:00+00",
            "0001-01-01 00:00:00+00",
            "0001-01-01 00:00:00 BC",
            "2020-01-01 00:00:00+16",
            "2020-01-01 00:00:00+15:59:59",
            "2020-01-01 00:00:00+02:60",
            "2020-01-01 +00",
            "2020-01-01 -1130",
            "2020/01/01 +05:30",
            "0044-03-15 +01 BC",
            "2020-01-01 -16",
        ],
    ),
    (
        "uuid",
        &[
            "",
            "{}",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11}",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ],
    ),
    ("varchar(5)", &["", "12345", "123456", "12345   ", "éééééé", "ééééé ", "      "]),
];

fn written_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, texts) in SOUND {
        let ty = name.parse().unwrap();
        let zones = if name == "timestamptz" { &ZONES[..] } else { &ZONES[..1] };
        for (text, zone) in texts.iter().flat_map(|text| zones.iter().map(move |zone| (text, *zone))) {
            for explicit in [true, false] {
                cases.push(Case { ty, zone, explicit, text: (*text).to_owned(), sound: true });
            }
        }
    }
    cases
}

/// Forms that depend on a setting, on the moment or on the version: never read, so never read wrongly.
fn refused_cases() -> Vec<Case> {
    let words: [(&str, &[&str]); 4] = [
        ("integer", &["0x1F", "1_000", "0b11"]),
        ("numeric", &["1_000.5", "0xff"]),
        (
            "date",
            &[
                "1/2/2020",
                "01-02-2020",
                "Jan 2 2020",
                "now",
                "today",
                "J2451545",
                "2020.123",
                "99-01-02",
                "2020-Jan-02",
                "200102",
            ],
        ),
        (
            "timestamptz",
            &[
                "2020-01-02 03:04:05 CET",
                "2020-01-02 03:04 PM",
                "tomorrow",
                "2020-01-02 030405",
                "2020-01-02 03:04:05 Mars/Phobos",
            ],
        ),
    ];
    let made =
        |ty: LogicalType, text: &&str| Case { ty, zone: "UTC", explicit: true, text: (*text).to_owned(), sound: false };
    words.iter().flat_map(|(name, texts)| texts.iter().map(|text| made(name.parse().unwrap(), text))).collect()
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_with_a_hint() {
    for case in refused_cases() {
        let error = ours(&case).unwrap_err();
        assert_eq!((error.sqlstate, error.hint.is_some()), ("0A000", true), "{} {:?}", case.ty, case.text);
    }
}

#[test]
fn values_agree_with_postgresql() {
    let Some(server) = Server::start("values") else {
        eprintln!("SKIPPED: no PostgreSQL 15 to 18 under /usr/lib/postgresql; values were NOT compared with it");
        return;
    };
    let mut dice = Dice(0x5eed_0123_4567_89ab);
    let mut cases = sound_cases(&mut dice);
    cases.extend(written_cases());
    let spoilt: Vec<Case> = cases
        .iter()
        .filter(|case| !matches!(case.ty, LogicalType::Text | LogicalType::Varchar(_)))
        .map(|case| Case { text: dice.spoil(&case.text), sound: false, ..*case })
        .collect();
    cases.extend(spoilt);
    let verdicts = ask(&server, &cases);
    let accepted = cases.iter().filter(|case| ours(case).is_ok()).count();
    let faults: Vec<String> =
        cases.iter().zip(&verdicts).filter_map(|(case, verdict)| compare(case, verdict).err()).collect();
    let shown = faults.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} of {} differ:\n{shown}", faults.len(), cases.len());
    assert!(accepted * 3 > cases.len(), "only {accepted} of {} were accepted: the test has become blind", cases.len());
}

/// Binary numerics as clients send them: not stripped, and with digits that the scale hides.
#[test]
fn received_numerics_agree_with_postgresql() {
    let Some(server) = Server::start("numerics") else {
        eprintln!("SKIPPED: no PostgreSQL 15 to 18 under /usr/lib/postgresql; values were NOT compared with it");
        return;
    };
    let mut dice = Dice(0xfeed_5eed_0000_0001);
    let wires: Vec<Vec<u8>> = (0..2000).map(|_| wire_numeric(&mut dice)).collect();
    let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (id, wire) in wires.iter().enumerate() {
        copy.extend_from_slice(&[0, 3, 0, 0, 0, 4]);
        copy.extend_from_slice(&u32::try_from(id).unwrap().to_be_bytes());
        for _ in 0..2 {
            copy.extend_from_slice(&u32::try_from(wire.len()).unwrap().to_be_bytes());
            copy.extend_from_slice(wire);
        }
    }
    copy.extend_from_slice(&[0xff, 0xff]);
    let path = server.file("numerics.copy", &copy);
    let script = format!(
        "create table n (id int, a numeric, b numeric(60,3));\n\\copy n from '{}' (format binary)\n\
         select a || '|' || encode(numeric_send(a), 'hex') || '|' || encode(numeric_send(b), 'hex') from n order by id;",
        path.display()
    );
    let rows = server.psql(&script);
    assert_eq!(rows.lines().count(), wires.len());
    for (row, wire) in rows.lines().zip(&wires) {
        let parts: Vec<&str> = row.split('|').collect();
        let settings = Settings::named("UTC").unwrap();
        let (mut plain, mut limited, mut text) = (Vec::new(), Vec::new(), Vec::new());
        encode_binary(LogicalType::Numeric(None), 0, wire, &mut plain).unwrap();
        encode_binary(LogicalType::Numeric(Some((60, 3))), 1700, wire, &mut limited).unwrap();
        decode_text(LogicalType::Numeric(None), &plain, &settings, &mut text).unwrap();
        let found = (String::from_utf8(text).unwrap(), plain, limited);
        assert_eq!(found, (parts[0].to_owned(), unhex(parts[1]), unhex(parts[2])), "{wire:x?}");
    }
}

fn wire_numeric(dice: &mut Dice) -> Vec<u8> {
    let count = dice.below(7) as u16;
    let weight = dice.below(9) as i16 - 4;
    let sign = if dice.below(2) == 0 { 0 } else { 0x4000 };
    let head = [count, weight.cast_unsigned(), sign, dice.below(25) as u16];
    let digits = (0..count).map(|_| match dice.below(4) {
        0 => 0,
        1 => 9999,
        _ => dice.below(10_000) as u16,
    });
    head.into_iter().chain(digits).flat_map(u16::to_be_bytes).collect()
}
