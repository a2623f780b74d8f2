//! A gateway's journal read by others: served to those who may, verified from afar, and mirrored until it is gone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::Trial;
use common::ports::Ports;

/// Head and body of an answer to exactly this request line.
fn ask(port: u16, line: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(socket, "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..at].to_vec()).unwrap().to_lowercase(), answer[at + 4..].to_vec())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Entries that a checkpoint names.
fn signed(folder: &Path) -> u64 {
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap_or_default();
    note.lines().nth(1).map_or(0, |size| size.parse().unwrap())
}

/// What others read, and nothing else.
fn only_tiles_are_served(port: u16, journal: &Path) {
    let (head, body) = ask(port, "GET /checkpoint");
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/plain; charset=utf-8"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let size: u64 = String::from_utf8(body).unwrap().lines().nth(1).unwrap().parse().unwrap();
    for path in [format!("/tile/0/000.p/{size}"), format!("/tile/entries/000.p/{size}")] {
        let (head, body) = ask(port, &format!("GET {path}"));
        assert!(head.contains("200") && head.contains("content-type: application/octet-stream"), "{path}: {head}");
        assert!(head.contains("private") && head.contains("immutable"), "{head}");
        assert_eq!(body, std::fs::read(journal.join(&path[1..])).unwrap());
    }
    assert!(journal.join("wal").exists() && journal.join("../journal.key").exists());
    for path in [
        // There are no witnesses here.
        "/checkpoint.cosigned",
        "/wal",
        "/lock",
        "/",
        "/tile",
        "/tile/0",
        "/tile/0/../../wal",
        "/tile/entries/../../../journal.key",
        "/../journal.key",
        "/checkpoint/../wal",
        "/tile/0/%2e%2e/%2e%2e/wal",
        "/tile/0/000.p/../../../wal",
        "//wal",
        "/./wal",
        "/tile/0/999",
    ] {
        assert!(ask(port, &format!("GET {path}")).0.starts_with("http/1.1 404"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert!(ask(port, &format!("{method} /checkpoint")).0.starts_with("http/1.1 405"), "{method}");
    }
}

#[test]
fn a_journal_is_served_verified_and_mirrored_until_it_is_gone() {
    let mut trial = Trial::small();
    let ports = Ports::reserve();
    let [local, far, metrics, served] = [0, 1, 2, 3].map(|at| ports.base + at);
    let fingerprint = |said: &str| said.split('"').find(|word| word.starts_with("sha256:")).unwrap().to_owned();
    let reader = fingerprint(&trial.drieslot_ok(["mirror", "init", "reader"]));
    trial.drieslot_ok(["mirror", "init", "stranger"]);
    let serve = format!(
        "\n[serve_journal]\nlocal = \"127.0.0.1:{local}\"\nlisten = \"127.0.0.1:{far}\"\nreaders = [\"{reader}\"]\n"
    );
    trial.take_apart(|config| format!("{config}{serve}"));
    until("readable", || trial.app("SELECT body FROM note").ok);
    let (journal, key) = (trial.journal("gateway"), trial.data().join("gateway/journal.vkey"));
    until("a checkpoint over it", || signed(&journal) > 1);
    only_tiles_are_served(local, &journal);

    let shown = gateway_tls(&trial);
    let key = key.display().to_string();
    let verify = |arguments: &[&str]| {
        let all = ["journal", "verify"].into_iter().chain(arguments.iter().copied()).chain(["--key", &key]);
        trial.drieslot(all)
    };
    let here = format!("http://127.0.0.1:{local}/");
    let there = format!("tls://127.0.0.1:{far}");
    let first = verify(&[&here, "--since", "seen"]);
    assert!(first.status.success() && said(&first).contains("nothing was seen before"), "{}", said(&first));
    trial.app_ok("SELECT body FROM note");
    std::thread::sleep(Duration::from_millis(1500));
    for arguments in [&[&*here, "--since", "seen"][..], &[&there, "--identity", "reader/tls", "--tls", &shown]] {
        let again = verify(arguments);
        assert!(again.status.success() && said(&again).contains("signed for and intact"), "{}", said(&again));
    }
    for (arguments, why) in [
        (&["http://192.0.2.1:80"][..], "not fetched in the clear"),
        (&[&there], "needs --identity"),
        (&[&there, "--identity", "stranger/tls", "--tls", &shown], "does it know this part's TLS key"),
        (&[&there, "--identity", "reader/tls", "--tls", &reader], "shows another TLS key"),
    ] {
        let refused = verify(arguments);
        assert!(!refused.status.success() && said(&refused).contains(why), "{}", said(&refused));
    }

    let vkey = std::fs::read_to_string(&key).unwrap();
    let config = format!(
        "folder = \"mirrors\"\nidentity = \"reader/tls\"\nmetrics = \"127.0.0.1:{metrics}\"\n\n[[journal]]\n\
         name = \"gateway\"\nkey = \"{}\"\naddress = \"127.0.0.1:{far}\"\ntls = \"{shown}\"\n\
         serve_journal = {{ local = \"127.0.0.1:{served}\" }}\n",
        vkey.trim()
    );
    let config = trial.write("mirror.toml", &config).display().to_string();
    trial.drieslot_ok(["config", "check", "mirror", &config]);
    let copy = trial.folder.path().join("mirrors/gateway");
    grow_and_kill(&mut trial, &config, metrics, &copy);
    let said_there = String::from_utf8(ask(metrics, "GET /metrics").1).unwrap();
    assert!(said_there.contains("drieslot_refused_journals 0\n"), "{said_there}");

    // The mirror serves what it has, and has it when the journal is deleted.
    std::thread::sleep(Duration::from_millis(1500));
    until("the mirror is up to date", || signed(&copy) == signed(&journal));
    trial.stop_part("gateway");
    std::fs::remove_dir_all(&journal).unwrap();
    let served_there = format!("http://127.0.0.1:{served}");
    for place in [&*copy.display().to_string(), &served_there] {
        let whole = trial.drieslot(["journal", "verify", place, "--key", &key, "--since", "seen"]);
        assert!(whole.status.success() && said(&whole).contains("they begin with"), "{}", said(&whole));
    }
    let tail = trial.drieslot_ok(["journal", "tail", &copy.display().to_string(), "-n", "500"]);
    assert!(tail.contains("intent") && tail.contains("public.note.body"), "{tail}");
}

/// The TLS key that the gateway shows, as the charter has it.
fn gateway_tls(trial: &Trial) -> String {
    let charter = std::fs::read_to_string(trial.data().join("statements/charter.toml")).unwrap();
    let gateway = charter.split("[[gateway]]").nth(1).unwrap();
    gateway.split('"').find(|word| word.starts_with("sha256:")).unwrap().to_owned()
}

/// While the application reads on, the mirror is killed with SIGKILL; whatever it was doing, what it holds verifies.
fn grow_and_kill(trial: &mut Trial, config: &str, metrics: u16, copy: &Path) {
    let key = trial.data().join("gateway/journal.vkey").display().to_string();
    for round in 0..5 {
        let mut command: Command = trial.as_user(trial.program());
        command.args(["mirror", "run", "--config", config]);
        trial.start_apart("mirror", command, metrics);
        for _ in 0..6 {
            trial.app_ok(&"SELECT body FROM note;".repeat(20));
        }
        until("the mirror follows", || signed(copy) > round * 200);
        if round == 4 {
            return;
        }
        trial.kill_part("mirror");
        let folder = copy.display().to_string();
        trial.drieslot_ok(["journal", "verify", &folder, "--key", &key]);
    }
}
