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
mod written;

use std::fmt::Write as _;

use drieslot_schema::LogicalType;
use drieslot_seal::values::{
    DateStyle, Given, IntervalStyle, decode_binary, decode_text, encode_binary, encode_text, encode_text_as,
};
use drieslot_seal::{Settings, ValueError};
use generate::Dice;
use server::Server;

struct Case {
    ty: LogicalType,
    zone: &'static str,
    style: &'static str,
    dates: &'static str,
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

const STYLES: [&str; 4] = ["postgres", "postgres_verbose", "sql_standard", "iso_8601"];

const DATE_STYLES: [&str; 11] = [
    "ISO, MDY",
    "ISO, DMY",
    "ISO, YMD",
    "SQL, MDY",
    "SQL, DMY",
    "SQL, YMD",
    "Postgres, MDY",
    "Postgres, DMY",
    "Postgres, YMD",
    "German, DMY",
    "German, MDY",
];

const SETUP: &str = r"
create function attempt(sql text, v text, out res text) language plpgsql as $$
begin
  execute sql into res using v;
exception when others then
  res := 'E' || sqlstate;
end $$;
create table slot (v varchar(5), c char(5), va varchar(5)[], ca char(5)[]);
create table cases (id int, zone text, style text, dates text, sql text, v text);
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
        LogicalType::Float4 => "float4send",
        LogicalType::Float8 => "float8send",
        LogicalType::Bpchar(_) => "bpcharsend",
        LogicalType::Bytea => "byteasend",
        LogicalType::Date => "date_send",
        LogicalType::Time => "time_send",
        LogicalType::Timestamp => "timestamp_send",
        LogicalType::Timestamptz => "timestamptz_send",
        LogicalType::Uuid => "uuid_send",
        LogicalType::Interval => "interval_send",
        LogicalType::Json => "json_send",
        LogicalType::Jsonb => "jsonb_send",
        LogicalType::Inet => "inet_send",
        LogicalType::Cidr => "cidr_send",
        LogicalType::Array(_) => "array_send",
        LogicalType::Enum(_) => "enum_send",
    };
    let output = if matches!(ty, LogicalType::Bpchar(_)) {
        "bpcharout"
    } else if ty == LogicalType::Bool {
        "boolout"
    } else if ty == LogicalType::Inet {
        "inet_out"
    } else {
        ""
    };
    let result = |value: &str| {
        format!("encode(convert_to({output}({value})::text, 'UTF8'), 'hex') || '|' || encode({send}({value}), 'hex')")
    };
    if !case.explicit && matches!(ty, LogicalType::Varchar(_)) {
        return format!("insert into slot (v) values ($1) returning {}", result("v"));
    }
    if !case.explicit && matches!(ty, LogicalType::Bpchar(_)) {
        return format!("insert into slot (c) values ($1) returning {}", result("c"));
    }
    for (column, base) in [("va", "varchar"), ("ca", "bpchar")] {
        if !case.explicit && ty == format!("{base}(5)[]").parse().unwrap() {
            return format!("insert into slot ({column}) values ($1::{base}[]) returning {}", result(column));
        }
    }
    format!("select {} from (select $1::{ty} as x offset 0) s", result("x"))
}

fn ask(server: &Server, cases: &[Case]) -> Vec<Verdict> {
    let mut script = format!("{SETUP}copy cases from stdin;\n");
    for (id, case) in cases.iter().enumerate() {
        let escaped = case.text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        let (zone, style, dates) = (case.zone, case.style, case.dates);
        writeln!(script, "{id}\t{zone}\t{style}\t{dates}\t{}\t{escaped}", query(case).replace('\\', "\\\\")).unwrap();
    }
    script.push_str("\\.\n");
    for zone in ZONES {
        writeln!(script, "set timezone = '{zone}';").unwrap();
        let styles = STYLES.into_iter().map(|style| (style, DATE_STYLES[0]));
        for (style, dates) in styles.chain(DATE_STYLES.into_iter().skip(1).map(|dates| (STYLES[0], dates))) {
            let wanted = format!("zone = '{zone}' and style = '{style}' and dates = '{dates}'");
            writeln!(script, "set intervalstyle = '{style}';\nset datestyle = '{dates}';").unwrap();
            writeln!(script, "select id || '|' || attempt(sql, v) from cases where {wanted};").unwrap();
        }
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
    let mut settings = Settings::named(case.zone).unwrap();
    settings.interval_style = IntervalStyle::named(case.style).unwrap();
    settings.date_style = DateStyle::named(case.dates).unwrap();
    let (mut canonical, mut text) = (Vec::new(), Vec::new());
    encode_text(case.ty, &case.text, case.explicit, &settings, &mut canonical)?;
    decode_text(case.ty, &canonical, &settings, &mut text).unwrap();
    Ok((canonical, text))
}

fn compare(case: &Case, verdict: &Verdict) -> Result<(), String> {
    let found = ours(case);
    let about = format!("{} {:?} in {} {} (explicit {})", case.ty, case.text, case.zone, case.dates, case.explicit);
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

/// Every type of elements, and the makers of their texts.
const ARRAYS: [(&str, Maker); 22] = [
    ("boolean", Dice::truth),
    ("smallint", Dice::integer),
    ("integer", Dice::integer),
    ("bigint", Dice::integer),
    ("real", Dice::float),
    ("double precision", Dice::float),
    ("numeric", Dice::numeric),
    ("numeric(10,2)", Dice::numeric),
    ("text", Dice::text),
    ("varchar(5)", Dice::text),
    ("character(5)", Dice::text),
    ("bytea", Dice::bytes),
    ("date", Dice::date),
    ("time", Dice::time),
    ("timestamp", Dice::timestamp),
    ("timestamptz", Dice::timestamp),
    ("uuid", Dice::uuid),
    ("interval", Dice::interval),
    ("json", Dice::json),
    ("jsonb", Dice::json),
    ("inet", Dice::address),
    ("cidr", Dice::address),
];

fn array_cases(dice: &mut Dice) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, make) in ARRAYS {
        let ty: LogicalType = format!("{name}[]").parse().unwrap();
        for _ in 0..250 {
            let zone = ZONES[dice.below(ZONES.len() as u64) as usize];
            let explicit = !name.ends_with("(5)") || dice.below(2) == 0;
            // PostgreSQL limits the elements of an explicit cast after it has read them all, and one version looks at bounds
            // before and another after: two faults in one text.
            let text = dice.array(make);
            let sound = name != "numeric(10,2)" && !text.contains("]");
            cases.push(Case { ty, zone, style: STYLES[0], dates: DATE_STYLES[0], explicit, text, sound });
        }
    }
    cases
}

fn sound_cases(dice: &mut Dice) -> Vec<Case> {
    let kinds: [(&str, Maker, usize); 30] = [
        ("interval", Dice::interval, 4000),
        ("json", Dice::json, 1500),
        ("jsonb", Dice::json, 3000),
        ("inet", Dice::address, 3000),
        ("cidr", Dice::address, 1500),
        ("real", Dice::float, 6000),
        ("double precision", Dice::float, 6000),
        ("character(5)", Dice::text, 1000),
        ("bpchar", Dice::text, 300),
        ("bytea", Dice::bytes, 1000),
        ("time", Dice::time, 1000),
        ("time", Dice::timestamp, 300),
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
            let limited = matches!(ty, LogicalType::Varchar(Some(5)) | LogicalType::Bpchar(Some(5)));
            let explicit = !limited || dice.below(2) == 0;
            let text = make(dice);
            let sound = ty != LogicalType::Time
                || !text.contains(['-', '/']) && text.get(..6).is_none_or(|start| start.contains([':', ' ']));
            let style = if ty == LogicalType::Interval { STYLES[dice.below(4) as usize] } else { STYLES[0] };
            let sound = sound && !(style == "sql_standard" && text.contains('-'));
            cases.push(Case { ty, zone, style, dates: DATE_STYLES[0], explicit, text, sound });
        }
    }
    cases
}

/// Days and moments under every DateStyle, in every form that one of them writes.
fn styled_cases(dice: &mut Dice) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["date", "timestamp", "timestamptz", "date[]", "timestamptz[]"] {
        let ty: LogicalType = name.parse().unwrap();
        for at in 0..3000 {
            let zone = ZONES[dice.below(ZONES.len() as u64) as usize];
            let dates = DATE_STYLES[dice.below(DATE_STYLES.len() as u64) as usize];
            let text = match (at % 2, name.ends_with(']')) {
                (0, false) => dice.timestamp(),
                (0, true) => dice.array(Dice::timestamp),
                (_, false) => dice.styled(),
                (_, true) => dice.array(Dice::styled),
            };
            cases.push(Case { ty, zone, style: STYLES[0], dates, explicit: true, text, sound: false });
        }
    }
    cases
}

fn written_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, texts) in written::SOUND {
        let ty = name.parse().unwrap();
        let zones = if name == "timestamptz" { &ZONES[..] } else { &ZONES[..1] };
        for (text, zone) in texts.iter().flat_map(|text| zones.iter().map(move |zone| (text, *zone))) {
            for explicit in [true, false] {
                if !explicit && ty == LogicalType::Bpchar(None) {
                    continue;
                }
                cases.push(Case {
                    ty,
                    zone,
                    style: STYLES[0],
                    dates: DATE_STYLES[0],
                    explicit,
                    text: (*text).to_owned(),
                    sound: true,
                });
            }
        }
    }
    cases
}

/// Forms that depend on a setting, on the moment or on the version: never read, so never read wrongly.
fn refused_cases() -> Vec<Case> {
    let words: [(&str, &[&str]); 10] = [
        ("text[]", &["{{}}", "{{},{}}", "[1:2]={}", "[+1:2]={a,b}", "[-2147483648:2147483647]={a}"]),
        (
            "interval",
            &[
                "1.5 days",
                "1 day 1 day",
                "5",
                "1 12:00:00",
                "1-2",
                "P1.5D",
                "P0001-02-03",
                "infinity",
                "10:20.5",
                "1 century",
                "1 fortnight 2",
                "P",
            ],
        ),
        ("inet", &["10.1/16", "10", "10.0.0.1/08"]),
        ("double precision", &["0x1p3", "nan(1)", "-nan"]),
        ("real", &["0xA", "+NaN"]),
        ("time", &["10:00 PM", "103000", "10:00+02", "allballs", "now", "10:20.5", "2020-01-01", "2020-01-01 10:00"]),
        ("integer", &["0x1F", "1_000", "0b11"]),
        ("numeric", &["1_000.5", "0xff"]),
        (
            "date",
            &[
                "Jan 2 20",
                "2020 Jan 2",
                "January 2 2020",
                "now",
                "today",
                "J2451545",
                "2020.123",
                "1/2/020",
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
    let made = |ty: LogicalType, text: &&str| Case {
        ty,
        zone: "UTC",
        style: STYLES[0],
        dates: DATE_STYLES[0],
        explicit: true,
        text: (*text).to_owned(),
        sound: false,
    };
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
    cases.extend(array_cases(&mut dice));
    let styled = styled_cases(&mut dice);
    let read = styled.iter().filter(|case| ours(case).is_ok()).count();
    assert!(read * 2 > styled.len(), "only {read} of {} days were read: the test has become blind", styled.len());
    cases.extend(styled);
    cases.extend(written_cases());
    let spoilt: Vec<Case> = cases
        .iter()
        .filter(|case| !matches!(case.ty, LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Bpchar(_)))
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

/// Parameters of another declared type: where we accept, storing gives what PostgreSQL's cast gives, and a comparison
/// is with a value that PostgreSQL finds equal.
#[test]
fn declared_types_agree_with_postgresql() {
    let Some(server) = Server::start("declared") else {
        eprintln!("SKIPPED: no PostgreSQL 15 to 18 under /usr/lib/postgresql; values were NOT compared with it");
        return;
    };
    let numbers: [(&str, Maker); 8] = [
        ("int2", Dice::integer),
        ("int4", Dice::integer),
        ("int8", Dice::integer),
        ("numeric", Dice::numeric),
        ("real", Dice::float),
        ("double precision", Dice::float),
        ("bigint", Dice::integer),
        ("integer", Dice::integer),
    ];
    let moments: [(&str, Maker); 5] = [
        ("date", Dice::date),
        ("timestamp", Dice::timestamp),
        ("timestamptz", Dice::timestamp),
        ("timestamp", Dice::date),
        ("timestamptz", Dice::date),
    ];
    let texts: [(&str, Maker); 4] =
        [("text", Dice::text), ("varchar", Dice::text), ("bpchar", Dice::text), ("character(5)", Dice::text)];
    let mut dice = Dice(0xdec1_a4ed_0000_0001);
    let mut script = format!("{SETUP}\\set ON_ERROR_STOP on\n");
    let mut expected = Vec::new();
    let (mut accepted, mut refused) = (0, 0);
    for family in [&numbers[..], &moments[..], &texts[..]] {
        for (column, _) in family {
            for (declared, make) in family.iter().filter(|(name, _)| !name.ends_with(')')) {
                for at in 0..60 {
                    let (ty, oid) =
                        (column.parse::<LogicalType>().unwrap(), declared.parse::<LogicalType>().unwrap().oid());
                    let (zone, text) = (ZONES[dice.below(4) as usize], make(&mut dice));
                    let compared = at % 2 == 0;
                    let settings = Settings::named(zone).unwrap();
                    let (mut canonical, mut shown) = (Vec::new(), Vec::new());
                    let given = Given { oid, explicit_cast: false, compared };
                    if encode_text_as(ty, given, &text, &settings, &mut canonical).is_err() {
                        refused += 1;
                        continue;
                    }
                    accepted += 1;
                    // A longer text equals nothing in the column, and is compared as it is.
                    let loose = if matches!(ty, LogicalType::Bpchar(_)) { LogicalType::Bpchar(None) } else { ty };
                    let loose = if matches!(ty, LogicalType::Varchar(_)) { LogicalType::Text } else { loose };
                    decode_text(ty, &canonical, &settings, &mut shown).unwrap();
                    let (text, shown) = (quoted(&text), quoted(&String::from_utf8(shown).unwrap()));
                    let (ours, theirs) = (format!("{shown}::{loose}"), format!("{text}::{declared}"));
                    let sql = if compared && oid != 0 {
                        // Whoever sends text to a character column, compares texts.
                        format!("select {ours} = {theirs}")
                    } else {
                        format!("select ({ours})::text = ({theirs}::{ty})::text")
                    };
                    writeln!(script, "set timezone = '{zone}';\nselect attempt({}, '');", quoted(&sql)).unwrap();
                    expected.push(format!("{ty} <- {declared}, compared {compared}: {sql}"));
                }
            }
        }
    }
    let said = server.psql(&script);
    assert_eq!(said.lines().count(), expected.len());
    let wrong: Vec<_> = said
        .lines()
        .zip(&expected)
        .filter(|(said, _)| *said != "true")
        .map(|(said, sql)| format!("{said}: {sql}"))
        .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted > 1000 && refused > 300, "{accepted} accepted, {refused} refused: the test has become blind");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
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
