//! What each part tells Prometheus: well-formed, counted rightly, and without a name or value of anybody.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::ports::Ports;
use common::{PARTS, Trial};

fn get(port: u16, target: &str) -> (String, String) {
    let started = Instant::now();
    // A gateway listens before it has read the register, and speaks of itself after that.
    let mut socket = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => break socket,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    write!(socket, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The text format to the letter, stricter than Prometheus is: HELP, TYPE and then samples of that name, each once.
fn parse(text: &str) -> BTreeMap<String, u64> {
    assert!(text.ends_with('\n'), "{text}");
    let (mut samples, mut names) = (BTreeMap::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, said) = help.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(word(name) && name.starts_with("drieslot_") && said.ends_with('.'), "{help}");
        assert!(names.insert(name.to_owned()), "{name} comes twice");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        assert!(kind == if name.ends_with("_total") { "counter" } else { "gauge" }, "{name} is a {kind}");
        let mut count = 0;
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (sample, number) = line.rsplit_once(' ').unwrap();
            let label = sample.strip_prefix(name).unwrap();
            if !label.is_empty() {
                let (key, value) = label.strip_prefix('{').unwrap().strip_suffix('}').unwrap().split_once('=').unwrap();
                assert!(word(key) && word(value.strip_prefix('"').unwrap().strip_suffix('"').unwrap()), "{line}");
            }
            assert!(samples.insert(sample.to_owned(), number.parse().unwrap()).is_none(), "{line}");
            count += 1;
        }
        assert!(count > 0, "{name} has no sample");
    }
    samples
}

fn scrape(port: u16) -> (String, BTreeMap<String, u64>) {
    let (head, body) = get(port, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let parsed = parse(&body);
    (body, parsed)
}

#[test]
fn every_part_says_what_it_does_and_names_nobody() {
    let mut trial = Trial::small();
    trial.stop();
    let ports = Ports::reserve();
    let port = |part: &str| ports.base + u16::try_from(PARTS.iter().position(|one| *one == part).unwrap()).unwrap();
    for part in PARTS {
        let path = trial.data().join(part).join("config.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("metrics = \"127.0.0.1:{}\"\n{config}", port(part))).unwrap();
    }
    for part in ["processor", "register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"] {
        trial.start_part(part);
    }
    let before = scrape(port("gateway")).1;
    assert_eq!((before["drieslot_protected_statements_total"], before["drieslot_keys_held"]), (0, 0));
    let started = Instant::now();
    while !trial.app("SELECT body FROM note").ok {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    let (text, after) = scrape(port("gateway"));
    assert!(after["drieslot_protected_statements_total"] >= 1 && after["drieslot_keys_held"] == 1, "{text}");
    assert_eq!(after["drieslot_refused_statements_total"], 0, "{text}");
    assert!((1..=900).contains(&after["drieslot_lease_left_seconds"]) && after["drieslot_register_age_seconds"] < 10);
    assert!(after["drieslot_journal_entries_total"] > before["drieslot_journal_entries_total"], "{text}");
    let mut said = text;
    for part in PARTS {
        let (text, samples) = scrape(port(part));
        let revision = samples["drieslot_register_revision"];
        assert!(revision > 5 && samples["drieslot_start_time_seconds"] > 1_700_000_000, "{part}: {text}");
        if part.starts_with("custodian") {
            assert!(samples["drieslot_questions_total{outcome=\"given\"}"] >= 1, "{part}: {text}");
            assert_eq!(samples["drieslot_questions_total{outcome=\"limited\"}"], 0);
        }
        said += &text;
        assert!(get(port(part), "/").0.starts_with("HTTP/1.1 404"), "{part}");
    }
    for name in ["trial", "note", "body", "app", "first", "gateway-1"] {
        let quoted = said.lines().filter(|line| !line.starts_with('#')).any(|line| line.contains(name));
        assert!(!quoted, "{name} stands in the metrics:\n{said}");
    }
    trial.submit(&trial.prepare_revocation("app-1"));
    let started = Instant::now();
    while trial.app("SELECT body FROM note").ok {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    let (text, after) = scrape(port("gateway"));
    assert_eq!((after["drieslot_refused_statements_total"], after["drieslot_keys_held"]), (1, 0), "{text}");
    let open = trial.data().join("gateway/config.toml");
    let config = std::fs::read_to_string(&open).unwrap().replacen("metrics = \"127.0.0.1", "metrics = \"0.0.0.0", 1);
    let path = trial.write("open.toml", &config).display().to_string();
    let refused = trial.drieslot(["config", "check", "gateway", &path]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("loopback"), "{refused:?}");
}
