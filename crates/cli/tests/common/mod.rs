//! The whole-system harness: a trial of the real program in a folder of its own, and the checker that ends every test.
//!
//! Owns the trial's processes and ends exactly those, by their own ids, also when a test panics. Nothing is mocked:
//! `drieslot up` makes the parts, PostgreSQL is the processor, `psql` and `tokio-postgres` are the applications.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

pub(crate) mod check;
pub(crate) mod data;
pub(crate) mod faults;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod psql;
pub(crate) mod python;
pub(crate) mod random;
pub(crate) mod raw;
pub(crate) mod register;
pub(crate) mod session;
pub(crate) mod softhsm;
pub(crate) mod witnesses;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use ports::Ports;
use processes::{descendants, send};

const READY: &str = "Everything stays up until Ctrl-C.";
const READY_WITHIN: Duration = Duration::from_secs(180);
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// The database of a trial: the dump's file name.
pub(crate) const DATABASE: &str = "trial";
/// The parts that write a journal, by folder.
pub(crate) const PARTS: [&str; 5] =
    ["register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"];

/// Who runs the trial: PostgreSQL refuses root, so tests under root run it as `postgres`.
#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

fn user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line =
        passwd.lines().find(|line| line.starts_with("postgres:")).expect("no user `postgres`: install PostgreSQL");
    let field = |at: usize| line.split(':').nth(at).unwrap().parse().unwrap();
    Some(User { uid: field(2), gid: field(3) })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running, stopped or killed trial.
pub(crate) struct Trial {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    _ports: Ports,
    user: Option<User>,
    up: Option<Child>,
    /// Parts that were started one by one, by folder.
    apart: BTreeMap<String, Child>,
}

impl Trial {
    /// Makes a trial of `dump`, classified by `classification`, and waits until it is ready.
    pub(crate) fn start(dump: &str, classification: &str) -> Self {
        let trial = Self::start_quiet(dump, classification);
        trial.make_talkative();
        trial
    }

    /// The same, with a server that logs as usual: for tests of many statements.
    pub(crate) fn start_quiet(dump: &str, classification: &str) -> Self {
        processes::adopt_orphans();
        let ports = Ports::reserve();
        let folder = tempfile::Builder::new().prefix("ds-").tempdir().unwrap();
        let user = user();
        let mut trial = Self { port: ports.base, folder, _ports: ports, user, up: None, apart: BTreeMap::new() };
        trial.write("trial.sql", dump);
        trial.write("classification.toml", classification);
        if let Some(user) = user {
            std::os::unix::fs::chown(trial.folder.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        // A copy, so that a later build does not replace it while parts are started from it. Made by another process:
        // a file that this one has open for writing could not be run while any thread forks.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_drieslot")).arg(trial.program()).status().unwrap();
        assert!(copied.success(), "the program could not be copied");
        let port = trial.port.to_string();
        trial.run_up(&["--port", &port, "--load", "trial.sql", "--classification", "classification.toml"]);
        trial
    }

    /// A trial of the usual tables and rows.
    pub(crate) fn usual() -> Self {
        Self::start(data::DUMP, data::CLASSIFICATION)
    }

    /// One small table and a quiet server, for tests that bring databases of their own.
    pub(crate) fn small() -> Self {
        Self::start_quiet(data::SMALL_DUMP, data::SMALL_CLASSIFICATION)
    }

    /// Writes a file beside the data folder that the trial's user may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        if let Some(user) = self.user {
            std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
        }
        path
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("drieslot")
    }

    pub(crate) fn as_user(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.folder.path());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid).env("HOME", self.folder.path());
        }
        command
    }

    fn run_up(&mut self, arguments: &[&str]) {
        assert!(self.up.is_none() && self.apart.is_empty(), "the trial runs already");
        let log = self.folder.path().join("up.log");
        let output = File::create(&log).unwrap();
        let mut command = self.as_user(self.program());
        command.args(["up", "--data", "d"]).args(arguments);
        if let Some(bin) = chosen_postgres() {
            command.arg("--postgres-bin").arg(bin);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        loop {
            let said = std::fs::read(&log).map(|bytes| text(&bytes)).unwrap_or_default();
            if said.contains(READY) {
                break;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("`drieslot up` ended ({status}):\n{said}");
            }
            if started.elapsed() > READY_WITHIN {
                self.up = Some(child);
                panic!("`drieslot up` was not ready within {READY_WITHIN:?}:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.up = Some(child);
    }

    /// `drieslot up` again, on the same folder.
    pub(crate) fn resume(&mut self) {
        self.run_up(&[]);
    }

    /// SIGTERM, and waits until everything has ended.
    pub(crate) fn stop(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        let all = descendants(up.id());
        send(up.id(), Signal::TERM);
        if processes::wait(&mut up, STOP_WITHIN).is_none() {
            self.up = Some(up);
            panic!("`drieslot up` did not stop within {STOP_WITHIN:?} of SIGTERM");
        }
        let left: Vec<_> = all.iter().filter(|process| process.is_there()).collect();
        assert!(left.is_empty(), "`drieslot up` left processes behind: {left:?}");
    }

    /// kill -9 of every process of the trial.
    pub(crate) fn kill_all(&mut self) {
        let children = self.up.take().into_iter().chain(std::mem::take(&mut self.apart).into_values());
        for mut child in children {
            let all = descendants(child.id());
            // Whoever could start more goes first.
            send(child.id(), Signal::KILL);
            let _ = child.wait();
            processes::kill_and_reap(all);
        }
    }

    /// Starts one part by itself, as an operator would, and waits until its port answers. `part` is its folder.
    pub(crate) fn start_part(&mut self, part: &str) {
        let offsets = [("gateway", 0), ("processor", 1), ("register", 2)];
        let custodians = [("custodian-structure", 3), ("custodian-access", 4), ("custodian-keys", 5)];
        let (_, offset) = offsets.into_iter().chain(custodians).find(|(name, _)| *name == part).unwrap();
        let command = if part == "processor" {
            let mut command = self.as_user(postgres_bin().join("postgres"));
            command.arg("-D").arg(self.processor().join("data"));
            command
        } else {
            let mut command = self.as_user(self.program());
            let kind = part.split('-').next().unwrap();
            command.args([kind, "run", "--config"]).arg(self.data().join(part).join("config.toml"));
            command
        };
        self.start_apart(part, command, self.port + offset);
    }

    /// Starts a process that answers on a port, under a name of its own.
    pub(crate) fn start_apart(&mut self, name: &str, mut command: Command, port: u16) {
        let log = File::options().create(true).append(true).open(self.folder.path().join(format!("{name}.apart.log")));
        let log = log.unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        self.apart.insert(name.to_owned(), child);
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let child = self.apart.get_mut(name).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{name} ended:\n{}", self.tail(name));
            assert!(started.elapsed() < Duration::from_secs(60), "{name} is not ready:\n{}", self.tail(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends `drieslot up`, and runs its parts one by one, with the gateway's configuration changed.
    pub(crate) fn take_apart(&mut self, change: impl Fn(&str) -> String) {
        self.stop();
        self.reconfigure(change);
        for part in ["processor", "register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"] {
            self.start_part(part);
        }
    }

    /// Changes the gateway's configuration; takes effect when it is started.
    pub(crate) fn reconfigure(&self, change: impl Fn(&str) -> String) {
        let path = self.data().join("gateway/config.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        let after = change(&before);
        assert_ne!(before, after, "nothing was changed in the gateway's configuration");
        std::fs::write(&path, after).unwrap();
    }

    /// The same for a gateway that runs by itself.
    pub(crate) fn restart_gateway(&mut self, change: impl Fn(&str) -> String) {
        self.stop_part("gateway");
        self.reconfigure(change);
        self.start_part("gateway");
    }

    fn tail(&self, part: &str) -> String {
        let path = self.folder.path().join(format!("{part}.apart.log"));
        let said = std::fs::read(path).map(|bytes| text(&bytes)).unwrap_or_default();
        last_lines(&said, 15)
    }

    /// Ends one part that was started by itself.
    pub(crate) fn stop_part(&mut self, part: &str) {
        let mut child = self.apart.remove(part).unwrap();
        send(child.id(), if ["processor", "standby"].contains(&part) { Signal::INT } else { Signal::TERM });
        assert!(processes::wait(&mut child, STOP_WITHIN).is_some(), "{part} does not stop:\n{}", self.tail(part));
    }

    /// The trial's data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("d")
    }

    /// The processor's major version.
    pub(crate) fn server_major(&self) -> u32 {
        self.superuser("postgres", "SHOW server_version_num").parse::<u32>().unwrap() / 10_000
    }

    /// What lies at the processor: cluster, server log, socket.
    pub(crate) fn processor(&self) -> PathBuf {
        self.data().join("processor")
    }

    /// A part's journal.
    pub(crate) fn journal(&self, part: &str) -> PathBuf {
        self.data().join(part).join("journal")
    }

    /// An officer's SSH key: `structure`, `access`, `keys` or `head`.
    pub(crate) fn officer_key(&self, duty: &str) -> PathBuf {
        self.data().join("officers").join(duty).join("id_ed25519")
    }

    /// Runs a subcommand as the trial's user.
    pub(crate) fn drieslot<I: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Output {
        self.as_user(self.program()).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a subcommand that must succeed; gives what it printed.
    pub(crate) fn drieslot_ok<I: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> String {
        let output = self.drieslot(arguments);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn print_logs(&self) {
        let mut paths: Vec<PathBuf> = vec![self.folder.path().join("up.log")];
        let logs = std::fs::read_dir(self.data().join("logs")).into_iter().flatten().flatten();
        paths.extend(logs.map(|entry| entry.path()));
        for path in paths {
            let said = std::fs::read(&path).map(|bytes| text(&bytes)).unwrap_or_default();
            eprintln!("--- {} ends with\n{}", path.display(), last_lines(&said, 12));
        }
    }
}

fn last_lines(said: &str, count: usize) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The folder of server programs that `DRIESLOT_TEST_POSTGRES` names.
fn chosen_postgres() -> Option<PathBuf> {
    std::env::var_os("DRIESLOT_TEST_POSTGRES").filter(|bin| !bin.is_empty()).map(PathBuf::from)
}

/// PostgreSQL's server programs: those that are chosen, or the newest that are installed.
pub(crate) fn postgres_bin() -> PathBuf {
    if let Some(bin) = chosen_postgres() {
        return bin;
    }
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = entries
        .filter(|entry| entry.path().join("bin/postgres").is_file())
        .max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    newest.expect("no PostgreSQL under /usr/lib/postgresql").path().join("bin")
}

impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        if let Some(up) = &mut self.up {
            let all = descendants(up.id());
            send(up.id(), Signal::TERM);
            if processes::wait(up, Duration::from_secs(20)).is_some() {
                self.up = None;
            }
            processes::kill_and_reap(all);
        }
        self.kill_all();
        if std::env::var_os("DRIESLOT_KEEP_TRIALS").is_some() {
            eprintln!("kept: {}", self.folder.path().display());
            self.folder.disable_cleanup(true);
        }
    }
}
