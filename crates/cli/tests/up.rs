//! `drieslot up` as somebody runs it: real processes, a real PostgreSQL, and what it says when something is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader, Lines};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Six ports in a row for each test, away from the ephemeral range.
fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 300).unwrap() * 60;
    loop {
        let first = start + NEXT.fetch_add(6, Ordering::SeqCst);
        if (first..first + 6).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// A folder that the unprivileged user owns, removed in the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let path = tempfile::Builder::new().prefix("drieslot-").tempdir().unwrap().keep();
        if is_root() {
            let done = Command::new("chown").arg("postgres").arg(&path).status().unwrap();
            assert!(done.success());
        }
        Self(path)
    }

    fn data(&self) -> PathBuf {
        self.0.join("t")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The binary, as the user that PostgreSQL may run as.
fn drieslot(home: &Home) -> Command {
    let binary = env!("CARGO_BIN_EXE_drieslot");
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", binary]);
        command
    } else {
        Command::new(binary)
    };
    command.current_dir(&home.0);
    command
}

fn up(home: &Home, port: u16, more: &[&str]) -> Command {
    let mut command = drieslot(home);
    command.arg("up").arg("--data").arg(home.data()).args(["--port", &port.to_string()]).args(more);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn each_thing_that_is_wrong_is_one_error_with_a_remedy() {
    let home = Home::new();
    let port = ports();
    let listener = TcpListener::bind(("127.0.0.1", port + 2)).unwrap();
    let in_use = refusal(up(&home, port, &["--once"]));
    assert!(in_use.contains(&format!("error: port {} for the register is not free", port + 2)), "{in_use}");
    assert!(in_use.contains("\nhint: stop what uses it"), "{in_use}");
    drop(listener);

    let no_postgres = refusal(up(&home, port, &["--postgres-bin", "/nonexistent"]));
    assert!(no_postgres.contains("error: no PostgreSQL server programs"), "{no_postgres}");

    let no_dump = refusal(up(&home, port, &["--load", "/nonexistent.sql"]));
    assert!(no_dump.contains("hint: name a plain SQL dump"), "{no_dump}");

    let dump = home.0.join("bad.sql");
    std::fs::write(&dump, "SELECT 1;\n\\i other.sql\n").unwrap();
    let backslash = refusal(up(&home, port, &["--load", dump.to_str().unwrap()]));
    assert!(backslash.contains("line 2: the backslash command `\\i`"), "{backslash}");

    std::fs::write(home.data().join("trial.toml"), "format = 9\n").unwrap();
    let format = refusal(up(&home, port, &[]));
    assert!(
        format.contains("is of format 9; this version reads format 1\nhint: use the version that made it"),
        "{format}"
    );
}

#[test]
fn root_is_refused() {
    if !is_root() {
        eprintln!("SKIPPED: this test runs as root only");
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_drieslot"));
    command.args(["up", "--data", "/nonexistent"]);
    let text = refusal(command);
    assert!(text.contains("does not run as root") && text.contains("hint: run ./demo"), "{text}");
}

/// The whole tour, a resumed trial, and an end by SIGTERM that leaves no process behind.
#[test]
fn a_trial_is_made_shown_resumed_and_stopped() {
    let home = Home::new();
    let port = ports();
    let first = up(&home, port, &["--once"]).output().unwrap();
    let shown = text(&first);
    assert!(first.status.success(), "{shown}");
    for expected in [
        "THIS IS A TRIAL",
        "public.newcomers",
        "The same row of public.newcomers, seen twice",
        "hint:",
        "mandate `app-1`",
        "An Peeters (structure), Bilal Haddad (access), Chantal Dubois (keys)",
        "custodian of access",
        "The same query answers.",
        "sslmode=verify-full",
    ] {
        assert!(shown.contains(expected), "no `{expected}` in:\n{shown}");
    }
    nothing_listens(port);
    stock_ssh_keygen_agrees(&home.data());
    journals_verify(&home);
    no_plaintext_at_the_processor(&home.data().join("processor"));

    killed_and_resumed(&home, port);
    let resumed = Up::ready(up(&home, port, &[]));
    one_officer_stops_it(&home, port);
    resumed.terminate();
    nothing_listens(port);
}

/// A `drieslot up` whose tour is over: while it lasts, the gateway is restarted.
struct Up {
    child: Child,
    /// Kept open: what it prints must go somewhere.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Up {
    fn ready(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut shown = String::new();
        while !shown.contains("stays up until") {
            let line = lines.next().unwrap_or_else(|| panic!("ended early:\n{shown}")).unwrap();
            shown.push_str(&line);
            shown.push('\n');
        }
        Self { child, _lines: lines }
    }

    fn terminate(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// kill -9 leaves the parts to notice by themselves, and PostgreSQL to the next run.
fn killed_and_resumed(home: &Home, port: u16) {
    let mut child = up(home, port, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the gateway answers", || psql(home, port, "SELECT 1").status.success());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the parts notice", || {
        (port..port + 6).filter(|at| *at != port + 1).all(|at| TcpStream::connect(("127.0.0.1", at)).is_err())
    });
}

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Stock psql with the connection string that the tour prints.
fn psql(home: &Home, port: u16, query: &str) -> Output {
    psql_in(home, port, "newcomers", query)
}

fn psql_in(home: &Home, port: u16, database: &str, query: &str) -> Output {
    let root = home.data().join("gateway/root.crt");
    let connection = format!(
        "host=127.0.0.1 port={port} user=app dbname={database} sslmode=verify-full sslrootcert={}",
        root.display()
    );
    let mut command = Command::new("psql");
    command.env("PGPASSFILE", home.data().join("application/pgpass")).args(["-XAtc", query, &connection]);
    command.output().unwrap()
}

/// Reads, then one officer revokes the mandate with the commands that the documentation names, and nothing reads.
fn one_officer_stops_it(home: &Home, port: u16) {
    let query = "SELECT last_name FROM newcomers WHERE newcomer_id = 1";
    let before = psql(home, port, query);
    assert!(before.status.success() && before.stdout.len() > 2, "{}", text(&before));
    let register = home.data().join("officers/register.toml");
    let run = |arguments: &[&str]| {
        let output = drieslot(home).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    let register = ["--register", register.to_str().unwrap()];
    assert!(run(&["access", "app", register[0], register[1]]).contains("mandate `app-1` (valid"));
    assert!(run(&["show", "app-1", register[0], register[1]]).contains("# signed by Chantal Dubois (keys)"));
    run(&["revoke", "app-1", "--why", "a test", "--out", "r.toml", register[0], register[1]]);
    let key = home.data().join("officers/keys/id_ed25519");
    run(&["sign", "r.toml", "--key", key.to_str().unwrap()]);
    assert!(run(&["submit", "r.toml", register[0], register[1]]).contains("in force"));
    assert!(run(&["access", "app", register[0], register[1]]).contains("no mandate in force"));
    let started = Instant::now();
    wait_until("the gateway stops reading", || !psql(home, port, query).status.success());
    assert!(started.elapsed() < Duration::from_secs(5), "the revocation took {:?}", started.elapsed());
    let after = text(&psql(home, port, query));
    assert!(after.contains("no mandate grants it"), "{after}");
}

fn nothing_listens(port: u16) {
    for port in port..port + 6 {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens on {port}");
    }
}

fn stock_ssh_keygen_agrees(data: &Path) {
    for (function, person) in [("structure", "An Peeters"), ("access", "Bilal Haddad"), ("keys", "Chantal Dubois")] {
        let statement = data.join("statements/mandate.toml");
        let mut verify = Command::new("ssh-keygen");
        verify
            .args(["-Y", "verify", "-n", "statement@drieslot", "-I", person, "-f"])
            .arg(data.join("officers/allowed_signers"));
        verify.arg("-s").arg(format!("{}.{function}.sig", statement.display()));
        let output = verify.stdin(std::fs::File::open(&statement).unwrap()).output().unwrap();
        assert!(output.status.success(), "{person}: {}", text(&output));
    }
}

fn journals_verify(home: &Home) {
    for part in ["gateway", "register", "custodian-structure", "custodian-access", "custodian-keys"] {
        let folder = home.data().join(part);
        let mut command = drieslot(home);
        command.args(["journal", "verify"]).arg(folder.join("journal")).arg("--key").arg(folder.join("journal.vkey"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{part}: {}", text(&output));
    }
}

/// Names, addresses and notes that are in the sample must be in none of the processor's files.
fn no_plaintext_at_the_processor(folder: &Path) {
    let planted = ["Shevchenko", "Шевченко", "Begijnhofdries", "hearing aid", "@example.org", "subsidiary protection"];
    let mut folders = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                let content = std::fs::read(entry.path()).unwrap();
                bytes += content.len();
                for word in planted {
                    let found = content.windows(word.len()).any(|window| window == word.as_bytes());
                    assert!(!found, "{word} is in {}", entry.path().display());
                }
            }
        }
    }
    assert!(bytes > 10 << 20, "only {bytes} bytes were looked at");
}

/// Dumps that others made, unchanged: what is read through the gateway is what plain PostgreSQL has after the same dump.
#[test]
fn a_dump_comes_in_as_plain_postgresql_would_have_it() {
    let Some(folder) = std::env::var_os("DRIESLOT_TEST_DUMPS") else {
        eprintln!("SKIPPED: DRIESLOT_TEST_DUMPS does not name a folder with northwind.sql and chinook.sql");
        return;
    };
    for (name, tables) in [
        ("northwind", "customers employees orders order_details shippers suppliers us_states"),
        ("chinook", "customer employee invoice invoice_line artist track"),
    ] {
        let home = Home::new();
        let port = ports();
        let dump = home.0.join(format!("{name}.sql"));
        let original = std::fs::read_to_string(Path::new(&folder).join(format!("{name}.sql"))).unwrap();
        std::fs::write(&dump, &original).unwrap();
        let loaded = Up::ready(up(&home, port, &["--load", dump.to_str().unwrap()]));
        compare_with_plain(&home, port, name, tables, &original);
        loaded.terminate();
    }
}

/// The same dump into a database of the same server, past the gateway.
fn compare_with_plain(home: &Home, port: u16, name: &str, tables: &str, original: &str) {
    let past = |arguments: &[&str]| {
        let password = std::fs::read_to_string(home.data().join("processor/superuser.password")).unwrap();
        let mut command = Command::new("psql");
        command.env("PGPASSWORD", password.trim()).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        command.arg(home.data().join("processor")).args(["-p", &(port + 1).to_string()]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        output.stdout
    };
    let sorted = |output: Vec<u8>| {
        let text = String::from_utf8(output).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let of_databases = |line: &&str| {
        !line.starts_with("DROP DATABASE") && !line.starts_with("CREATE DATABASE") && !line.starts_with("\\c ")
    };
    let plain = home.0.join("plain.sql");
    std::fs::write(&plain, original.lines().filter(of_databases).collect::<Vec<_>>().join("\n")).unwrap();
    past(&["-d", "postgres", "-c", "CREATE DATABASE plain"]);
    past(&["-d", "plain", "-f", plain.to_str().unwrap()]);
    for table in tables.split_whitespace() {
        let query = format!("SELECT * FROM {table}");
        let there = sorted(past(&["-d", "plain", "-At", "-c", &query]));
        let output = psql_in(home, port, name, &query);
        assert!(output.status.success(), "{table}: {}", text(&output));
        let here = sorted(output.stdout);
        assert!(!there.is_empty(), "{table} is empty");
        assert_eq!(here, there, "{name}.{table}");
    }
}
