//! What is wrong, hostile or too big: one clear error with a remedy, nothing lost, nothing leaked, and the session or the
//! server usable afterwards where it should be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use common::Trial;
use common::raw::{message, query, startup, told};

const MEMORY_KIB: u64 = 400 << 10;
const BIG: usize = 100 << 20;

/// The most memory that the gateway ever had, in KiB.
fn memory(trial: &Trial) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", trial.id_of("gateway"))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sessions that the gateway has at the processor.
fn sessions(trial: &Trial) -> u32 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'drieslot_gateway'";
    trial.superuser("postgres", sql).parse().unwrap()
}

/// Nothing is left at the processor of clients that went away.
fn no_session_is_left(trial: &Trial) {
    let started = Instant::now();
    while sessions(trial) > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "{} sessions are left at the processor", sessions(trial));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command that must fail with this error and this remedy.
fn fails(trial: &Trial, arguments: &[&str], what: &str, remedy: &str) {
    let output = trial.drieslot(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}{said}", text(&output.stdout));
    assert!(said.contains("error: ") && said.contains(what) && said.contains(remedy), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

// ---- signing in

fn a_wrong_password_and_an_unknown_user_get_the_same_answer_and_the_end(trial: &Trial) {
    let refused = |user: &str| {
        let mut raw = trial.raw();
        let error = raw.sign_in(user, "not the password").unwrap_err();
        assert_eq!(raw.until_closed(), None, "the connection is closed, and nothing more is said");
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("FATAL", "28P01"));
        error.message.replace(user, "USER")
    };
    assert_eq!(refused("app"), refused("nobody"));
    let mut empty = trial.raw();
    told(&empty.sign_in("app", "").unwrap_err(), "28P01", "password authentication failed", "");
    let mut raw = trial.raw();
    raw.send(&startup("app"));
    raw.send(&query("SELECT 1"));
    told(&raw.until_closed().unwrap(), "08P01", "expected SASL response", "");
}

fn without_tls_nothing_is_asked(trial: &Trial) {
    let said = common::psql::run(trial.app_psql("trial").env("PGSSLMODE", "disable").args(["-c", "SELECT 1"]), "");
    assert!(!said.ok && said.err.contains("this gateway demands TLS"), "{said:?}");
    assert!(said.err.contains("sslmode=verify-full"), "the remedy: {said:?}");
}

fn garbage_instead_of_a_start_up_packet_ends_that_connection_alone(trial: &Trial) {
    let length = |n: i32| n.to_be_bytes().to_vec();
    let packets = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 64],
        length(-1),
        length(0),
        length(7),
        length(10_001),
        [length(i32::MAX), vec![0; 100]].concat(),
        [length(9), vec![0, 3, 0, 0, 0xff]].concat(),
        [length(12), b"\0\x03\0\0user".to_vec()].concat(),
        [length(8), vec![0, 2, 0, 0]].concat(),
        [vec![0x16, 3, 1], vec![0xaa; 200]].concat(),
    ];
    for packet in &packets {
        let mut stream = trial.tcp();
        stream.write_all(packet).unwrap();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let gone = ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(ended.is_ok() || gone, "{packet:?}: still open, or {ended:?}");
        if packet.len() < 60 {
            let mut raw = trial.raw();
            raw.send(packet);
            raw.until_closed();
        }
    }
    trial.raw_session().still_works();
}

fn connections_that_never_sign_in_keep_nobody_out(trial: &Trial) {
    let slow: Vec<_> = (0..100u32)
        .map(|index| {
            let mut stream = trial.tcp();
            stream.write_all(&startup("app")[..index as usize % 20]).unwrap();
            stream
        })
        .collect();
    trial.raw_session().still_works();
    assert_eq!(slow.len(), 100);
    eprintln!("SKIPPED: that such connections are cut after 30 s, which nobody waits for here");
}

// ---- statements

fn what_cannot_be_parsed_is_refused_and_the_session_goes_on(trial: &Trial) {
    let mut raw = trial.raw_session();
    for sql in
        ["SELEKT family_name FROM person", "SELECT (", "SELECT 'open", "SELECT 1; SELEC 2", "\u{1F98A}", "$1", "/*"]
    {
        raw.send(&query(sql));
        told(&raw.one_error(), "42601", "syntax error", "");
        raw.send(&[parse(sql), message(b'S', b"")].concat());
        told(&raw.one_error(), "42601", "syntax error", "");
    }
}

fn parse(sql: &str) -> Vec<u8> {
    message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// A Bind of the unnamed statement with text parameters.
fn bind(values: &[&[u8]]) -> Vec<u8> {
    let mut body = b"\0\0\0\0".to_vec();
    body.extend(i16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value);
    }
    body.extend([0, 0]);
    message(b'B', &body)
}

fn execute() -> Vec<u8> {
    [message(b'E', &[0, 0, 0, 0, 0]), message(b'S', b"")].concat()
}

fn a_statement_that_is_too_long_is_refused_unread(trial: &Trial) {
    let mut raw = trial.raw_session();
    let long = format!("SELECT '{}'", "x".repeat(BIG));
    for bytes in [query(&long), [parse(&long), message(b'S', b"")].concat()] {
        raw.send(&bytes);
        told(&raw.one_error(), "54000", "the statement is longer than", "Send data as parameters or with COPY");
    }
    // In a pipeline: what follows in the batch is ignored, and the next batch is served.
    raw.send(&[parse(&long), bind(&[]), execute(), query("SELECT 1")].concat());
    assert_eq!(raw.until_ready().len(), 1);
    assert_eq!(raw.until_ready().len(), 0);
    let used = memory(trial);
    assert!(used < MEMORY_KIB, "the gateway had {used} KiB");
}

/// Larger than any statement may be, smaller than any message may be: served or refused, never a hang.
fn a_big_parameter_is_answered(trial: &Trial) {
    let mut raw = trial.raw_session();
    let value = vec![b'x'; 80 << 20];
    raw.send(&[parse("SELECT pg_catalog.length($1::pg_catalog.text)"), bind(&[&value]), execute()].concat());
    let errors = raw.until_ready();
    assert!(errors.iter().all(|error| error.code == "54000"), "{errors:?}");
    raw.still_works();
    let used = memory(trial);
    assert!(used < MEMORY_KIB, "the gateway had {used} KiB");
}

fn deep_nesting_is_refused_and_the_session_goes_on(trial: &Trial) {
    let mut raw = trial.raw_session();
    let nested = [
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1", " - ".repeat(10_000)),
        format!("SELECT 1{}", " + 1".repeat(10_000)),
        format!("SELECT {}true", "NOT ".repeat(10_000)),
        format!("SELECT family_name FROM person WHERE {} age = 1 {}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("{} SELECT 1 {}", "SELECT * FROM (".repeat(3_000), ") s".repeat(3_000)),
        format!("SELECT {}1{}", "ARRAY[".repeat(5_000), "]".repeat(5_000)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(5_000), " END".repeat(5_000)),
    ];
    for sql in nested {
        raw.send(&query(&sql));
        let errors = raw.until_ready();
        let short: String = sql.chars().take(40).collect();
        // What plain PostgreSQL can do may work.
        assert!(
            errors.iter().all(|error| ["54001", "42601", "0A000"].contains(&error.code.as_str())),
            "{short}: {errors:?}"
        );
        raw.still_works();
    }
}

fn a_nul_or_broken_utf8_is_refused_and_the_session_goes_on(trial: &Trial) {
    let mut raw = trial.raw_session();
    let insert = "INSERT INTO permit (permit_id, national_number, kind, remark) VALUES (800, 1, 'x', $1)";
    for value in [&b"a\0b"[..], b"\xff\xfe", b"\xc3"] {
        for sql in [insert, "SELECT street_id FROM street WHERE name = $1", "SELECT kind FROM permit WHERE remark = $1"]
        {
            raw.send(&[parse(sql), bind(&[value]), execute()].concat());
            let error = raw.one_error();
            let expected: &[&str] = if sql.contains("WHERE remark") { &["0A000", "22021"] } else { &["22021"] };
            assert!(expected.contains(&error.code.as_str()), "{sql} {value:?}: {error:?}");
            assert!(!error.message.contains("\\x"), "{error:?}");
        }
    }
    raw.send(&message(b'Q', b"SELECT '\xff\xfe'\0"));
    assert_eq!(raw.one_error().code, "22021");
    raw.send(&[message(b'P', b"\0SELECT '\xff'\0\0\0"), message(b'S', b"")].concat());
    assert_eq!(raw.one_error().code, "22021");
    assert_eq!(trial.app_ok("SELECT count(*) FROM permit WHERE permit_id = 800"), "0");
    let line = b"800\t1\tx\tbad \xff\n";
    raw.send(&query("COPY permit FROM STDIN"));
    assert_eq!(raw.next().unwrap().0, b'G');
    raw.send(&[message(b'd', line), message(b'c', b"")].concat());
    assert_eq!(raw.one_error().code, "22021");
}

// ---- messages

fn broken_messages_end_the_session_or_are_refused(trial: &Trial) {
    for broken in [
        vec![b'Q', 0xff, 0xff, 0xff, 0xff],
        vec![b'Q', 0, 0, 0, 0],
        vec![b'B', 0, 0, 0, 3],
        vec![b'Q', 0x80, 0, 0, 0],
        vec![b'd', 0x7f, 0xff, 0xff, 0xff],
    ] {
        let mut raw = trial.raw_session();
        raw.send(&broken);
        let last = raw.until_closed().unwrap_or_else(|| panic!("{broken:?}: closed without a word"));
        assert_eq!((last.severity.as_str(), last.code.as_str()), ("FATAL", "08P01"), "{broken:?}: {last:?}");
    }
    let mut raw = trial.raw_session();
    for sql in ["SELECT $1::int, $2::int", "SELECT remark FROM permit WHERE national_number IN ($1, $2)"] {
        for values in [&[&b"1"[..]][..], &[], &[b"1", b"2", b"3"]] {
            raw.send(&[parse(sql), bind(values), execute()].concat());
            let error = raw.one_error();
            told(&error, "08P01", "parameters, but prepared statement", "");
        }
    }
    for cut in [&b""[..], b"\0", b"\0\0\0\0\0\x05", b"\0\0\0\x01\0\x09\0\0\0\0", b"\0\0\0\0\0\x01\x7f\xff\xff\xff"] {
        raw.send(&[parse("SELECT $1::int"), message(b'B', cut), execute()].concat());
        assert_eq!(raw.one_error().code, "08P01", "{cut:?}");
    }
    raw.send(&[message(b'B', b"\0nothing\0\0\0\0\0\0\0"), execute()].concat());
    assert_eq!(raw.one_error().code, "26000");
    raw.send(&[message(b'E', b"nothing\0\0\0\0\0"), message(b'S', b"")].concat());
    assert_eq!(raw.one_error().code, "34000");
    raw.send(&[message(b'F', &[0; 10])].concat());
    assert_eq!(raw.one_error().code, "0A000");
}

fn a_length_of_a_gibibyte_and_then_nothing_takes_no_memory(trial: &Trial) {
    let before = memory(trial);
    let mut held = Vec::new();
    for tag in [b'Q', b'P', b'B', b'd'] {
        let mut raw = trial.raw_session();
        raw.send(&[tag, 0x3f, 0xff, 0xff, 0xff]);
        raw.send(&[b'x'; 100]);
        held.push(raw);
    }
    trial.raw_session().still_works();
    let mut first = held.remove(0);
    let error = first.next().map(|(tag, _)| tag);
    assert_eq!(error, Some(b'E'), "a statement of a GiB is refused at once");
    assert!(memory(trial) < before + (64 << 10), "the gateway went from {before} to {} KiB", memory(trial));
    drop(first);
    held.into_iter().for_each(common::raw::Raw::vanish);
    no_session_is_left(trial);
}

// ---- clients that vanish or do not read

fn a_client_that_vanishes_leaves_nothing(trial: &Trial) {
    let count = || trial.superuser("trial", "SELECT count(*) FROM permit");
    let before = count();
    let mut raw = trial.raw_session();
    raw.send(&query("COPY permit FROM STDIN"));
    assert_eq!(raw.next().unwrap().0, b'G');
    for id in 0..5_000 {
        raw.send(&message(b'd', format!("{}\t1\tx\tthe remark of {id}\n", 700_000 + id).as_bytes()));
    }
    raw.vanish();
    let mut raw = trial.raw_session();
    raw.send(&query("BEGIN"));
    assert!(raw.until_ready().is_empty());
    raw.send(&query(
        "INSERT INTO permit VALUES (800, 1, 'x', 'never committed'); DELETE FROM permit WHERE permit_id = 1",
    ));
    assert!(raw.until_ready().is_empty());
    raw.vanish();
    let mut raw = trial.raw_session();
    raw.send(&query("SELECT pg_catalog.pg_sleep(0.3)"));
    raw.vanish();
    let mut half = trial.raw_session();
    half.send(&query("SELECT 1")[..7]);
    half.vanish();
    no_session_is_left(trial);
    assert_eq!(count(), before);
}

fn a_client_that_does_not_read_fills_no_memory(trial: &Trial) {
    for sql in [
        "SELECT pg_catalog.repeat('x', 10000) FROM pg_catalog.generate_series(1, 60000)",
        "SELECT p.family_name, p.token, repeat('x', 1000) FROM person p, generate_series(1, 60000)",
    ] {
        let mut raw = trial.raw_session();
        raw.send(&query(sql));
        assert_eq!(raw.next().map(|(tag, _)| tag), Some(b'T'), "{sql}");
        std::thread::sleep(Duration::from_millis(1_500));
        let used = memory(trial);
        assert!(used < MEMORY_KIB, "the gateway had {used} KiB for {sql}");
        let mut other = trial.raw_session();
        other.still_works();
        raw.vanish();
    }
    no_session_is_left(trial);
}

// ---- commands

fn statements_that_nobody_signed_so_are_refused(trial: &Trial) {
    let register = trial.data().join("officers/register.toml").display().to_string();
    let submit = |name: &str, text: &str, signature: Option<&[u8]>, what: &str| {
        let path = trial.write(name, text).display().to_string();
        if let Some(signature) = signature {
            trial.write(&format!("{name}.access.sig"), std::str::from_utf8(signature).unwrap());
        }
        fails(trial, &["submit", &path, "--register", &register], what, "");
    };
    let mandate = std::fs::read_to_string(trial.data().join("statements/mandate.toml")).unwrap();
    let signature = std::fs::read(trial.data().join("statements/mandate.toml.access.sig")).unwrap();
    let unknown = mandate.replacen("principal = ", "allow_everything = true\nprincipal = ", 1);
    submit("unknown.toml", &unknown, Some(&signature), "allow_everything");
    let wider = mandate.replacen("id = \"app-1\"", "id = \"app-2\"", 1);
    assert_ne!(wider, mandate);
    submit("tampered.toml", &wider, Some(&signature), "signature");
    submit("none.toml", "", None, "kind");
    submit("binary.toml", "\u{1}\u{2} = [", None, "malformed");
    let unsigned = trial.write("unsigned.toml", &wider).display().to_string();
    let missing = trial.folder.path().join("missing.toml").display().to_string();
    fails(
        trial,
        &["submit", &missing, "--register", &register],
        "could not be read",
        "hint: see that the file is there",
    );
    fails(
        trial,
        &["submit", &unsigned, "--register", "/nonexistent"],
        "/nonexistent",
        "hint: name the file with --register",
    );
    // An unsigned statement is at most recorded; it opens nothing.
    let output = trial.drieslot(["submit", &unsigned, "--register", &register]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("in force"), "{said}");
    assert!(said.contains("without any signature") || said.contains("error: "), "{said}");
    assert!(!trial.access().contains("app-2"), "an unsigned mandate counts");
}

fn a_configuration_that_cannot_be_used_is_named(trial: &Trial) {
    let config = trial.data().join("gateway/config.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let check = |text: &str, what: &str| {
        let path = trial.write("gateway.toml", text).display().to_string();
        fails(trial, &["config", "check", "gateway", &path], what, "hint: correct the file");
        fails(trial, &["gateway", "run", "--config", &path], what, "hint: correct the file");
    };
    check(&good.replacen("principals", "require_tsl = false\nprincipals", 1), "unknown field `require_tsl`");
    check(&good.replacen("verify-full", "verify", 1), "unknown variant `verify`");
    check(&good.replacen("listen = ", "# ", 1), "missing field `listen`");
    check("listen = ", "gateway.toml");
    let path = trial.write("secret.toml", &good);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let path = path.display().to_string();
    let check = ["config", "check", "gateway"];
    fails(
        trial,
        &[check.as_slice(), &[&path]].concat(),
        "could not be read: Permission denied",
        "this user may read it",
    );
    fails(
        trial,
        &[check.as_slice(), &["/nonexistent/x.toml"]].concat(),
        "No such file",
        "hint: see that the file is there",
    );
    let config = config.display().to_string();
    trial.drieslot_ok(["config", "check", "gateway", &config]);
    let port = trial.port.to_string();
    fails(
        trial,
        &["gateway", "run", "--config", &config],
        &format!("cannot listen on 127.0.0.1:{port}"),
        "stop what uses it",
    );
}

fn what_a_trial_needs_is_named_before_anything_is_made(trial: &Trial) {
    let empty = trial.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let other = trial.folder.path().join("other").display().to_string();
    let (bin, taken) = (empty.display().to_string(), trial.port.to_string());
    fails(
        trial,
        &["up", "--data", &other, "--postgres-bin", &bin],
        "no PostgreSQL server programs",
        "hint: install them",
    );
    fails(
        trial,
        &["up", "--data", &other, "--port", &taken],
        &format!("port {taken} for the gateway"),
        "hint: stop what uses it",
    );
    fails(trial, &["up", "--data", "d"], "another `drieslot up` uses", "hint: stop it with Ctrl-C");
    let old = trial.folder.path().join("old");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("lock"), "").unwrap();
    std::fs::write(old.join("trial.toml"), "format = 7\n").unwrap();
    Command::new("chmod").args(["-R", "a+rwX"]).arg(&old).status().unwrap();
    let old = old.display().to_string();
    fails(
        trial,
        &["up", "--data", &old],
        "is of format 7; this version reads format 1",
        "hint: use the version that made it",
    );
    if rustix::process::geteuid().is_root() {
        let output = Command::new(env!("CARGO_BIN_EXE_drieslot")).args(["up", "--data", &other]).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains("error: `drieslot up` does not run as root") && said.contains("hint: "), "{said}");
    } else {
        eprintln!("SKIPPED: `drieslot up` under root, for the tests do not run as root");
    }
}

type Case = (&'static str, fn(&Trial));

const CASES: [Case; 15] = [
    ("wrong password", a_wrong_password_and_an_unknown_user_get_the_same_answer_and_the_end),
    ("no TLS", without_tls_nothing_is_asked),
    ("garbage", garbage_instead_of_a_start_up_packet_ends_that_connection_alone),
    ("slow", connections_that_never_sign_in_keep_nobody_out),
    ("syntax", what_cannot_be_parsed_is_refused_and_the_session_goes_on),
    ("nesting", deep_nesting_is_refused_and_the_session_goes_on),
    ("NUL and UTF-8", a_nul_or_broken_utf8_is_refused_and_the_session_goes_on),
    ("messages", broken_messages_end_the_session_or_are_refused),
    ("a gibibyte", a_length_of_a_gibibyte_and_then_nothing_takes_no_memory),
    ("too long", a_statement_that_is_too_long_is_refused_unread),
    ("big parameter", a_big_parameter_is_answered),
    ("vanishing", a_client_that_vanishes_leaves_nothing),
    ("not reading", a_client_that_does_not_read_fills_no_memory),
    ("submit", statements_that_nobody_signed_so_are_refused),
    ("configuration", a_configuration_that_cannot_be_used_is_named),
];

/// All of it on one trial: what one case breaks, the next would show.
#[test]
fn each_bad_input_is_one_clear_error_and_everything_goes_on() {
    let mut trial = Trial::usual();
    trial.plant();
    let mut failed = Vec::new();
    for (name, case) in
        CASES.into_iter().chain([("up", what_a_trial_needs_is_named_before_anything_is_made as fn(&Trial))])
    {
        let started = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| case(&trial))).is_err() {
            failed.push(name);
        }
        println!("{name}: {:.1?}", started.elapsed());
    }
    assert!(failed.is_empty(), "these failed: {failed:?}");
    trial.check(&common::data::canaries());
    trial.stop();
}
