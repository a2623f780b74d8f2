//! Values: one byte string per equal value, no value in an error, and no panic on any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests")]

use drieslot_schema::LogicalType;
use drieslot_seal::values::{check_exact, decode_binary, decode_text, encode_binary, encode_text};
use drieslot_seal::{Settings, ValueError};

const TYPES: [&str; 26] = [
    "text[]",
    "varchar(5)[]",
    "numeric[]",
    "jsonb[]",
    "real",
    "float8",
    "char(3)",
    "bytea",
    "time",
    "interval",
    "json",
    "jsonb",
    "inet",
    "cidr",
    "bool",
    "int2",
    "int4",
    "int8",
    "numeric",
    "numeric(10,2)",
    "text",
    "varchar(5)",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
];

fn settings() -> Settings {
    Settings::named("Europe/Brussels").unwrap()
}

fn encode(ty: &str, text: &str) -> Result<Vec<u8>, ValueError> {
    let mut out = b"before".to_vec();
    let encoded = encode_text(ty.parse().unwrap(), text, false, &settings(), &mut out);
    let value = out.split_off(6);
    assert!(out == b"before" && (encoded.is_ok() || value.is_empty()), "an error must leave nothing behind");
    encoded.map(|()| value)
}

#[test]
fn equal_values_have_equal_bytes_whatever_their_spelling() {
    let alike: [(&str, &[&str]); 12] = [
        ("real", &["0.1", "1e-1", " +.1 ", "0.100000001"]),
        ("float8", &["NaN", "nan", " NAN "]),
        ("char(3)", &["a", "a ", "a  ", "a       "]),
        ("bytea", &["\\x6a61", "\\x6A 61", "ja", "\\152\\141"]),
        ("time", &["7:30", "07:30:00", "07:30:00.0000001"]),
        ("inet", &["2001:db8::1", "2001:0DB8:0:0:0:0:0:1/128"]),
        ("int4", &["7", "+7", " 007 "]),
        ("numeric(10,2)", &["1", "1.0", "1.00", "1.000", "+01.001", "100e-2", "0.0999999e1"]),
        ("numeric(10,2)", &["0", "-0", "-0.00", "0e3", "-0.004"]),
        ("date", &["2020-03-29", "20200329", "2020-3-29", "2020-03-29 12:00:00"]),
        (
            "timestamptz",
            &["2020-03-29 01:00:00+00", "2020-03-29T03:00:00", "2020-03-29 01:00:00Z", "2020-03-29 02:00:00"],
        ),
        ("uuid", &["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"]),
    ];
    for (ty, spellings) in alike {
        let first = encode(ty, spellings[0]).unwrap();
        for spelling in spellings {
            assert_eq!(encode(ty, spelling).unwrap(), first, "{ty} {spelling}");
        }
    }
    assert_ne!(encode("numeric", "1.0").unwrap(), encode("numeric", "1.00").unwrap());
    assert_ne!(encode("text", "a").unwrap(), encode("text", "a ").unwrap());
}

#[test]
fn errors_have_the_state_of_postgresql_and_never_the_value() {
    let faults = [
        ("bool", "geheim", "22P02"),
        ("int4", "geheim", "22P02"),
        ("int2", "7654321", "22003"),
        ("numeric(10,2)", "7654321098", "22003"),
        ("numeric", "geheim", "22P02"),
        ("varchar(5)", "geheim", "22001"),
        ("text", "gehe\0im", "22021"),
        ("date", "geheim", "22007"),
        ("date", "7654-32-10", "22008"),
        ("date", "3/2/765", "0A000"),
        ("timestamp", "7654321-01-01", "22008"),
        ("timestamptz", "7654-01-01 00:00:00+16", "22009"),
        ("timestamptz", "7654-01-01 00:00:00 geheim/x", "0A000"),
        ("uuid", "geheim", "22P02"),
        ("real", "geheim", "22P02"),
        ("real", "7654e76", "22003"),
        ("float8", "7654e-765", "22003"),
        ("char(3)", "geheim", "22001"),
        ("bytea", "\\xgeheim", "22023"),
        ("bytea", "\\geheim", "22P02"),
        ("bytea", "gehe\0im", "22021"),
        ("time", "geheim", "22007"),
        ("time", "76:54", "22008"),
        ("interval", "geheim", "22007"),
        ("interval", "7654321098 days", "22015"),
        ("json", "{\"geheim\":}", "22P02"),
        ("jsonb", "{\"geheim\": 7654e7654321}", "22003"),
        ("jsonb", "\"geheim\\u0000\"", "22P05"),
        ("inet", "geheim", "22P02"),
        ("cidr", "76.54.0.1/8", "22P02"),
    ];
    for (ty, text, sqlstate) in faults {
        let error = encode(ty, text).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate, "{ty} {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("geheim") && !shown.contains("7654"), "{shown}");
    }
}

#[test]
fn binary_parameters_may_be_of_any_integer_or_text_type() {
    let encode = |ty: &str, oid, bytes: &[u8]| {
        let mut out = Vec::new();
        encode_binary(ty.parse().unwrap(), oid, bytes, &mut out).map(|()| out).map_err(|error| error.sqlstate)
    };
    assert_eq!(encode("int8", 21, &[0xff, 0xfe]), Ok(vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]));
    assert_eq!(encode("int2", 20, &[0, 0, 0, 0, 0, 0, 0, 9]), Ok(vec![0, 9]));
    assert_eq!(encode("int2", 23, &[0, 1, 0, 0]), Err("22003"));
    assert_eq!(encode("int4", 0, &[0, 1]), Err("08P01"));
    assert_eq!(encode("int4", 701, &[0; 8]), Err("0A000"));
    for oid in [0, 25, 705, 1043] {
        assert_eq!(encode("varchar(5)", oid, "ééééé".as_bytes()), Ok("ééééé".into()));
        assert_eq!(encode("varchar(5)", oid, b"123456"), Err("22001"));
        assert_eq!(encode("text", oid, b"caf\xe9"), Err("22021"));
    }
    assert_eq!(encode("text", 17, b"x"), Err("0A000"));
    assert_eq!(encode("uuid", 25, &[0; 16]), Err("0A000"));
    assert_eq!(encode("bool", 16, &[7]), Ok(vec![1]));
    assert_eq!(encode("date", 0, &i32::MAX.to_be_bytes()), Ok(i32::MAX.to_be_bytes().into()));
    assert_eq!(encode("date", 0, &(i32::MAX - 1).to_be_bytes()), Err("22008"));
    assert_eq!(encode("numeric(5,2)", 0, &[0, 0, 0, 0, 0xd0, 0, 0, 0]), Err("22003"));
    assert_eq!(encode("numeric", 0, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]), Err("22P03"));
}

#[test]
fn what_equals_another_value_with_other_bytes_is_refused_where_cells_are_compared() {
    for (ty, text, sound) in [
        ("real", "-0", false),
        ("real", "0", true),
        ("real", "NaN", true),
        ("real", "-1", true),
        ("float8", "-0.0", false),
        ("float8", "-1e-320", true),
        ("float8", "-inf", true),
        ("text", "-0", true),
    ] {
        let checked = check_exact(ty.parse().unwrap(), &encode(ty, text).unwrap());
        assert_eq!(checked.map_err(|error| error.sqlstate), if sound { Ok(()) } else { Err("0A000") }, "{ty} {text}");
    }
    assert!(check_exact(LogicalType::Float4, &[0xff, 0xc0, 0, 0]).is_err());
    assert!(check_exact(LogicalType::Float8, &[0x7f, 0xf8, 0, 0, 0, 0, 0, 1]).is_err());
    for ty in ["numeric", "bpchar", "interval", "json", "jsonb", "text[]"] {
        assert!(ty.parse::<LogicalType>().unwrap().why_not_exact().is_some(), "{ty}");
    }
}

#[test]
fn json_may_be_nested_deeply_but_not_endlessly() {
    for ty in ["json", "jsonb"] {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(encode(ty, &nested(500)).is_ok());
        for deep in [502, 100_000] {
            assert_eq!(encode(ty, &nested(deep)).unwrap_err().sqlstate, "54001");
            assert_eq!(encode(ty, &"{\"a\":".repeat(deep)).unwrap_err().sqlstate, "54001");
        }
    }
}

#[test]
fn time_zones_are_those_that_postgresql_reports() {
    for known in ["UTC", "Europe/Brussels", "<+02>-02", "<-03:30>+03:30", "Etc/GMT+5"] {
        assert!(Settings::named(known).is_some(), "{known}");
    }
    for unknown in
        ["", "Mars/Phobos", "localtime", "+02", "Etc/Unknown", "<x>", "<+02>-02CEST", "EST5EDT4,M3.2.0,M11.1.0"]
    {
        assert!(Settings::named(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn no_bytes_and_no_text_make_it_panic() {
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let types: Vec<LogicalType> = TYPES.iter().map(|name| name.parse().unwrap()).collect();
    for _ in 0..20_000 {
        let kind = next() % 4;
        let bytes: Vec<u8> = (0..next() % 24)
            .map(|_| {
                if kind == 0 {
                    next() as u8
                } else {
                    b"0123456789-+:. TeEZ/{}\0\x7f\xff\x01[]\"\\,uP"[(next() % 33) as usize]
                }
            })
            .collect();
        let text = String::from_utf8_lossy(&bytes);
        for ty in &types {
            let (mut canonical, mut out) = (Vec::new(), Vec::new());
            for oid in [0, 20, 21, 23, 25, 700] {
                if encode_binary(*ty, oid, &bytes, &mut canonical).is_ok() {
                    decode_text(*ty, &canonical, &settings(), &mut out).unwrap();
                }
                canonical.clear();
            }
            if encode_text(*ty, &text, false, &settings(), &mut canonical).is_ok() {
                decode_binary(*ty, &canonical, &mut out).unwrap();
            }
            let _ = decode_text(*ty, &bytes, &settings(), &mut out);
            let _ = decode_binary(*ty, &bytes, &mut out);
        }
    }
}
