//! The test vectors of `docs/format.md`: every cell under `vectors/cells` opens to its text or fails with its error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::path::PathBuf;
use std::sync::Arc;

use drieslot_schema::{ColumnId, Domain, Element, LogicalType, Protected, Protection, TableId};
use drieslot_seal::values::{decode_text, encode_text};
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, Nonces, SealError, Settings};
use serde_json::{Value, json};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/cells")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[derive(Clone)]
struct Setting {
    tenant: String,
    domain: String,
    epoch: u16,
    secrets: [Vec<u8>; 3],
    column: [String; 3],
    ty: LogicalType,
    protection: Protection,
    search: bool,
}

struct Made {
    share_checks: [String; 3],
    key_check: String,
    cipher: ColumnCipher,
}

impl Setting {
    fn make(&self) -> Made {
        let domain = Domain(self.domain.clone());
        let context = DomainContext { tenant: self.tenant.clone(), domain: domain.clone(), epoch: self.epoch };
        let shares = self.secrets.each_ref().map(|k| FunctionSecret::from_bytes(k).unwrap().share(&context).unwrap());
        let key = DomainKey::combine(&context, &shares[0], &shares[1], &shares[2]).unwrap();
        let [schema, table, column] = self.column.clone();
        let id = ColumnId { table: TableId { schema, table }, column };
        let column = Protected { id, ty: self.ty, protection: self.protection, domain, search: self.search };
        let share_checks = shares.each_ref().map(|share| hex(&share.check_value()));
        let key_check = hex(&key.check_value());
        let cipher = ColumnCipher::new(Arc::new(CellKey::new(&key, context).unwrap()), &column).unwrap();
        Made { share_checks, key_check, cipher }
    }

    fn read(file: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let column = &file["column"];
        Self {
            tenant: text(&file["tenant"]),
            domain: text(&file["domain"]),
            epoch: u16::try_from(file["epoch"].as_u64().unwrap()).unwrap(),
            secrets: ["structure", "access", "keys"].map(|function| unhex(&text(&file["secrets"][function]))),
            column: ["schema", "table", "name"].map(|part| text(&column[part])),
            ty: text(&column["type"]).parse().unwrap(),
            protection: match column["protection"].as_str().unwrap() {
                "sealed" => Protection::Sealed,
                "exact" => Protection::Exact,
                "ordered" => Protection::Ordered,
                other => panic!("unknown protection {other}"),
            },
            search: column["search"] == true,
        }
    }

    fn seal(&self, canonical: &[u8]) -> Vec<u8> {
        let mut cell = Vec::new();
        self.make().cipher.seal(canonical, &mut Nonces::new(), &mut cell).unwrap();
        cell
    }

    fn canonical(&self, text: &str) -> Vec<u8> {
        let mut settings = utc();
        if let LogicalType::Enum(name) = self.ty {
            settings.enum_labels = Arc::new([(name, [text.to_owned()].into())].into());
        }
        let mut out = Vec::new();
        encode_text(self.ty, text, false, &settings, &mut out).unwrap();
        out
    }
}

fn utc() -> Settings {
    Settings::named("UTC").unwrap()
}

/// The text of a cell, or the name of its error in `docs/format.md`.
fn open(cipher: &ColumnCipher, cell: &[u8]) -> Result<String, &'static str> {
    let mut canonical = Vec::new();
    cipher.open(cell, &mut canonical).map_err(|error| match error {
        SealError::NotACell => "not a cell",
        SealError::UnknownVersion { .. } => "unknown version",
        SealError::WrongProtection { .. } => "wrong protection",
        SealError::OtherEpoch { .. } => "other epoch",
        SealError::Refused => "refused",
        other => panic!("unexpected {other}"),
    })?;
    let mut text = Vec::new();
    decode_text(cipher.ty(), &canonical, &utc(), &mut text).map_err(|_| "not canonical")?;
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn every_vector_gives_what_it_says() {
    let (mut opened, mut refused) = (0, 0);
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let setting = Setting::read(&file);
        let made = setting.make();
        assert_eq!(made.key_check, file["key_check"].as_str().unwrap(), "{}", path.display());
        for (at, function) in ["structure", "access", "keys"].iter().enumerate() {
            assert_eq!(made.share_checks[at], file["share_checks"][function].as_str().unwrap());
        }
        for vector in file["cells"].as_array().unwrap() {
            let cell = unhex(vector["cell"].as_str().unwrap());
            let about = format!("{}: {}", path.display(), vector["note"]);
            match (open(&made.cipher, &cell), vector["text"].as_str(), vector["error"].as_str()) {
                (Ok(text), Some(expected), None) => {
                    assert_eq!(text, expected, "{about}");
                    if setting.protection.shows_equality() {
                        assert_eq!(setting.seal(&setting.canonical(&text)), cell, "{about}");
                    }
                    opened += 1;
                }
                (Err(error), None, Some(expected)) => {
                    assert_eq!(error, expected, "{about}");
                    refused += 1;
                }
                other => panic!("{about}: {other:?}"),
            }
        }
    }
    assert!(opened >= 40 && refused > opened, "{opened} open and {refused} do not: vectors are missing");
}

/// The reader in `tools/` was written from `docs/format.md` alone; it must agree with this crate.
#[test]
fn the_independent_reader_agrees() {
    let python = |arguments: &[&str]| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::process::Command::new("python3").args(arguments).current_dir(root).output()
    };
    let able =
        python(&["-c", "from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV; AESGCMSIV(bytes(32))"]);
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no python3 with the package `cryptography`; the independent reader was NOT run");
        return;
    }
    let output = python(&["tools/read_cells.py", "vectors", "vectors/cells"]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(" passed, 0 failed"), "{text}");
}

const TEXTS: [(&str, &str, &[&str]); 30] = [
    ("enum", "enum public.mood", &["very happy", "sad"]),
    (
        "interval",
        "interval",
        &[
            "1 year 2 mons 3 days 04:05:06.7",
            "00:00:00",
            "-1 years -2 mons +3 days -04:05:06",
            "-00:00:00.5",
            "2147483647 days",
        ],
    ),
    ("json", "json", &["{\"b\" : 1.50, \"a\":[]}", "\"\\u00e9\"", "null"]),
    ("jsonb", "jsonb", &["{\"a\": [], \"b\": 1.50}", "\"é\"", "null", "[1, {\"\": true}]"]),
    ("inet", "inet", &["10.0.0.1", "192.168.1.5/24", "2001:db8::1", "::ffff:1.2.3.4", "::/0"]),
    ("cidr", "cidr", &["10.0.0.0/8", "2001:db8::/32", "1.2.3.4/32"]),
    ("real", "real", &["1.5", "0", "-0.0001", "1e+10", "3.4028235e+38", "NaN", "-Infinity"]),
    ("double", "double precision", &["0.1", "-1234.5", "1e-07", "123456789012345", "1e+15", "NaN", "Infinity"]),
    ("char", "character(5)", &["jan  ", "     ", "Zoë é", "12345"]),
    ("bytea", "bytea", &["\\x00ff80", "\\x", "\\x000102030405060708090a0b0c0d0e0f"]),
    ("time", "time without time zone", &["23:59:59.999999", "00:00:00", "24:00:00", "12:30:00.5"]),
    ("bool", "boolean", &["t", "f"]),
    ("smallint", "smallint", &["0", "-32768", "32767"]),
    ("integer", "integer", &["42", "-2147483648"]),
    ("bigint", "bigint", &["9223372036854775807", "-1"]),
    ("numeric", "numeric(12,2)", &["1234.50", "-0.05", "0.00", "1000000000.00", "NaN"]),
    ("text", "text", &["Jan Peeters", "", "O'Brien \\ \"x\"\n", "Zoë €😀", "123456789012345", "1234567890123456"]),
    ("varchar", "character varying(20)", &["85.07.30-033.61"]),
    ("date", "date", &["1985-07-30", "0044-03-15 BC", "5874897-12-31", "infinity", "-infinity"]),
    (
        "timestamp",
        "timestamp without time zone",
        &["2020-02-29 23:59:59.000001", "294276-12-31 23:59:59.999999", "-infinity"],
    ),
    ("timestamptz", "timestamp with time zone", &["2026-03-29 01:00:00+00", "0001-12-31 23:59:59.5+00 BC"]),
    ("uuid", "uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    (
        "text-array",
        "text[]",
        &[
            "{jan,\"Zoë €\",NULL,\"\",\"null\",\"a\\\"b\\\\c\"}",
            "{}",
            "[0:1][3:5]={{a,b,c},{\"d,e\",\"{f}\",\" g\"}}",
            "{{{{{{deep}}}}}}",
        ],
    ),
    ("varchar-array", "character varying(5)[]", &["{peter,jan}", "{NULL}"]),
    ("integer-array", "integer[]", &["{1,-2147483648,NULL}", "[-5:-4]={0,7}", "{{1,2},{3,4}}"]),
    ("numeric-array", "numeric[]", &["{1.0,1.00,NaN,-0.5}"]),
    ("bytea-array", "bytea[]", &["{\"\\\\x00ff\",\"\\\\x\"}"]),
    ("timestamptz-array", "timestamp with time zone[]", &["{\"2026-03-29 01:00:00+00\",infinity,NULL}"]),
    ("uuid-array", "uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    ("interval-array", "interval[]", &["{\"1 year 2 mons\",00:00:00,\"-1 days\"}"]),
];

/// Makes the vectors that are not there: `cargo test -p drieslot-seal --test vectors -- --ignored`.
#[test]
#[ignore = "writes the vectors"]
fn write_vectors() {
    std::fs::create_dir_all(directory()).unwrap();
    for (name, ty, texts) in TEXTS {
        for protection in [Protection::Sealed, Protection::Exact, Protection::Ordered] {
            let ty: LogicalType = ty.parse().unwrap();
            let impossible = match protection {
                Protection::Sealed => false,
                Protection::Exact => ty.why_not_exact().is_some(),
                Protection::Ordered => ty.order_bits().is_none(),
            };
            if impossible {
                continue;
            }
            let setting = Setting {
                tenant: "stad-gent".into(),
                domain: format!("citizens.{name}"),
                epoch: 258,
                secrets: [0x11, 0x22, 0x33].map(|byte: u8| (0..32).map(|at| byte.wrapping_add(at)).collect()),
                column: ["public".into(), "citizens".into(), name.into()],
                ty,
                protection,
                search: false,
            };
            write_file(&format!("{name}-{protection}"), &setting, texts);
            if name == "text" {
                write_file(&format!("{name}-{protection}-search"), &Setting { search: true, ..setting }, texts);
            }
        }
    }
    let setting = Setting {
        tenant: "Vlaamse überheid".into(),
        domain: "bedrag".into(),
        epoch: 0,
        secrets: [vec![0; 32], vec![0xff; 32], vec![0x5a; 32]],
        column: ["Öffentlich".into(), "Table \"x\"".into(), "bedrag".into()],
        ty: LogicalType::Numeric(None),
        protection: Protection::Sealed,
        search: false,
    };
    let numbers = ["1.0", "1.00", "-0.000000000001", "123456789012345678901234567890", "Infinity", "-Infinity", "NaN"];
    write_file("numeric-written-scale", &setting, &numbers);
}

fn write_file(name: &str, setting: &Setting, texts: &[&str]) {
    let path = directory().join(format!("{name}.json"));
    if path.exists() {
        return;
    }
    let made = setting.make();
    let mut cells: Vec<Value> = texts
        .iter()
        .map(|text| json!({"note": "a value", "cell": hex(&setting.seal(&setting.canonical(text))), "text": text}))
        .collect();
    let base = setting.seal(&setting.canonical(texts[0]));
    for (note, cell) in failures(setting, &setting.canonical(texts[0]), &base) {
        let error = open(&made.cipher, &cell).expect_err(note);
        cells.push(json!({"note": note, "cell": hex(&cell), "error": error}));
    }
    let functions = |parts: [String; 3]| {
        let [structure, access, keys] = parts;
        json!({"structure": structure, "access": access, "keys": keys})
    };
    let [schema, table, column] = &setting.column;
    let file = json!({
        "tenant": setting.tenant,
        "domain": setting.domain,
        "epoch": setting.epoch,
        "secrets": functions(setting.secrets.each_ref().map(|secret| hex(secret))),
        "share_checks": functions(made.share_checks),
        "key_check": made.key_check,
        "column": {"schema": schema, "table": table, "name": column,
            "type": setting.ty.to_string(), "protection": setting.protection.to_string(), "search": setting.search},
        "cells": cells,
    });
    let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
    std::fs::write(path, text).unwrap();
}

fn failures(setting: &Setting, canonical: &[u8], base: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize, bits: u8| {
        let mut cell = base.to_vec();
        cell[at] ^= bits;
        cell
    };
    let sealed = setting.protection == Protection::Sealed;
    let other_protection =
        Setting { protection: if sealed { Protection::Exact } else { Protection::Sealed }, ..setting.clone() };
    let [structure, access, keys] = setting.secrets.clone();
    let other = Setting { epoch: setting.epoch + 1, ..setting.clone() };
    let mut relabelled = other.seal(canonical);
    relabelled[1..3].copy_from_slice(&setting.epoch.to_be_bytes());
    let mut reheaded = other_protection.seal(canonical);
    reheaded[0] = base[0];
    let ordered = setting.protection == Protection::Ordered;
    let other_type = match setting.ty {
        LogicalType::Int4 => LogicalType::Date,
        LogicalType::Date => LogicalType::Int4,
        LogicalType::Timestamp => LogicalType::Timestamptz,
        _ if ordered => LogicalType::Timestamp,
        _ => LogicalType::Int4,
    };
    let mut list = vec![
        ("no bytes", Vec::new()),
        ("a header only", base[..3].to_vec()),
        ("plaintext where a cell should be", b"Jan Peeters".to_vec()),
        ("version 2", flipped(0, 0x30)),
        ("protection 7", flipped(0, 0x07 ^ (base[0] & 0x0f))),
        ("a cell of the other protection", other_protection.seal(canonical)),
        ("a cell of the other protection, relabelled", reheaded),
        ("a cell of the next epoch", other.seal(canonical)),
        ("a cell of the next epoch, relabelled", relabelled),
        ("one bit changed in the first byte after the header", flipped(3, 0x01)),
        ("one bit changed in the middle", flipped(base.len() / 2, 0x80)),
        ("one bit changed in the last byte", flipped(base.len() - 1, 0x01)),
        ("one byte cut off", base[..base.len() - 1].to_vec()),
        ("one byte added", [base, &[0]].concat()),
        ("another tenant", Setting { tenant: "stad-brugge".into(), ..setting.clone() }.seal(canonical)),
        ("another domain", Setting { domain: "other".into(), ..setting.clone() }.seal(canonical)),
        (
            "shares of structure and access swapped",
            Setting { secrets: [access.clone(), structure.clone(), keys], ..setting.clone() }.seal(canonical),
        ),
        (
            "another keys custodian",
            Setting { secrets: [structure, access, vec![7; 32]], ..setting.clone() }.seal(canonical),
        ),
    ];
    if !ordered || setting.ty.order_bits() == other_type.order_bits() {
        list.push(("another type", Setting { ty: other_type, ..setting.clone() }.seal(canonical)));
    }
    list.extend(failures_of_kind(setting, canonical, base));
    list
}

/// What can only go wrong with some protections or types.
fn failures_of_kind(setting: &Setting, canonical: &[u8], base: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let ordered = setting.protection == Protection::Ordered;
    let mut list = Vec::new();
    if ordered {
        let code = setting.ty.order_bits().map(usize::from).unwrap();
        let mut exchanged = base.to_vec();
        let another = setting.seal(&vec![u8::from(canonical.iter().all(|byte| *byte == 0)); canonical.len()]);
        exchanged[3..3 + code].copy_from_slice(&another[3..3 + code]);
        list.push(("the order code of another value", exchanged));
    }
    if setting.protection == Protection::Sealed {
        let [schema, table, column] = setting.column.clone();
        let moved = |column: [String; 3]| Setting { column, ..setting.clone() }.seal(canonical);
        list.push(("moved from another schema", moved(["archive".into(), table.clone(), column.clone()])));
        list.push(("moved from another table", moved([schema.clone(), "orders".into(), column])));
        list.push(("moved from another column", moved([schema, table, "other".into()])));
    }
    if setting.search {
        let another = setting.seal(b"another value");
        let end = |cell: &[u8]| 6 + usize::from(cell[4]) * 256 + usize::from(cell[5]);
        let exchanged = [&another[..end(&another)], &base[end(base)..]].concat();
        list.push(("the tokens of another value", exchanged));
        let bare = [&base[..3], &[0, 0, 0], &base[end(base)..]].concat();
        list.push(("without its tokens", bare));
        list.push(("a length of tokens beyond the cell", [&base[..3], &[0xff, 0xff, 0xff], &base[6..]].concat()));
        let without = Setting { search: false, ..setting.clone() };
        list.push(("a cell that cannot be searched", without.seal(canonical)));
        return list;
    }
    let sealable =
        !ordered || matches!(setting.ty, LogicalType::Date | LogicalType::Timestamp | LogicalType::Timestamptz);
    if let (Some(bytes), true) = (not_canonical(setting.ty), sealable) {
        list.push(("authentic, but no canonical plaintext of the type", setting.seal(bytes)));
    }
    list
}

/// Bytes that are no value of the type; every byte string is a bytea.
fn not_canonical(ty: LogicalType) -> Option<&'static [u8]> {
    let bytes: &[u8] = match ty {
        LogicalType::Bytea => return None,
        LogicalType::Bool => b"\x02",
        // Two elements are announced, and one is there.
        LogicalType::Array(Element::Text) => b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x01a",
        // The elements' type is varchar's.
        LogicalType::Array(Element::Varchar(_)) => b"\0\0\0\0\0\0\0\0\0\0\x04\x13",
        // A NULL is announced, and none is there.
        LogicalType::Array(Element::Int4) => b"\0\0\0\0\0\0\0\x01\0\0\0\x17",
        // The element is no value of its type.
        LogicalType::Array(Element::Numeric(_)) => b"\0\0\0\x01\0\0\0\0\0\0\x06\xa4\0\0\0\x01\0\0\0\x01\0\0\0\x01\0",
        // Something follows the last element.
        LogicalType::Array(Element::Bytea) => b"\0\0\0\0\0\0\0\0\0\0\0\x11\0",
        // A dimension of length 0.
        LogicalType::Array(Element::Uuid) => b"\0\0\0\x01\0\0\0\0\0\0\x0b\x86\0\0\0\0\0\0\0\x01",
        // Seven dimensions.
        LogicalType::Array(_) => b"\0\0\0\x07\0\0\0\0\0\0\x04\xa0",
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Bpchar(_) | LogicalType::Enum(_) => b"caf\xe9",
        LogicalType::Float4 | LogicalType::Float8 => b"\0\0\0",
        LogicalType::Interval => b"\0\0\0",
        LogicalType::Json => b"{\"a\":}",
        LogicalType::Jsonb => b"{}",
        LogicalType::Inet | LogicalType::Cidr => b"\x02\x21\0\x04\x0a\0\0\x01",
        LogicalType::Time => b"\0\0\0\x14\x1d\xd7\x60\x01",
        LogicalType::Numeric(_) => b"\0\x01\0\0\0\0\0\0\0\0",
        LogicalType::Date => b"\x80\0\0\x01",
        LogicalType::Timestamp | LogicalType::Timestamptz => b"\x80\0\0\0\0\0\0\x01",
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 | LogicalType::Uuid => b"\0\0\0",
    };
    Some(bytes)
}
