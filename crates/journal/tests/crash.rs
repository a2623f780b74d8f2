//! Crashes and full disks, with real processes: this test binary starts itself as the writer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, ORIGIN};
use drieslot_journal::{Durability, IdentityKey, Journal, JournalConfig, JournalError, Reader, verify};

const CHILD: &str = "DRIESLOT_JOURNAL_TEST_WRITER";

/// Long enough that the write-ahead file is renewed several times in a run.
fn entry(index: u64) -> Vec<u8> {
    let mut entry = format!("entry {index} ").into_bytes();
    entry.resize(entry.len() + (index * 997 % 6000) as usize, b'a' + (index % 26) as u8);
    entry
}

/// Not a test: the process that the tests below kill. It says `ack N` when entries below N are
/// acknowledged, and `failed …` when the journal fails.
#[test]
#[ignore = "the writer process of the other tests"]
fn writer() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let (folder, durability) = folder.rsplit_once(':').unwrap();
    let folder = Path::new(folder);
    let key = IdentityKey::load(&folder.join("identity")).unwrap();
    let durability = if durability == "os" { Durability::Os } else { Durability::Fsync };
    let checkpoint_interval = Duration::from_millis(15);
    let config = JournalConfig { origin: ORIGIN.into(), durability, key, checkpoint_interval };
    let (journal, recovered) = Journal::open(&folder.join("journal"), config).unwrap();
    let mut out = std::io::stdout();
    let mut next = recovered.entries;
    writeln!(out, "\nopened {next}").unwrap();
    loop {
        let batch = 1 + next % 90;
        let appended = (next..next + batch).try_for_each(|index| journal.append(entry(index)).map(drop));
        if let Err(error) = appended.and_then(|()| journal.wait_durable(next + batch - 1)) {
            writeln!(out, "failed {error}").unwrap();
            assert!(matches!(journal.append(entry(0)), Err(JournalError::Failed { .. })), "poisoned for good");
            assert!(matches!(journal.close(), Err(JournalError::Failed { .. })));
            return;
        }
        next += batch;
        writeln!(out, "ack {next}").unwrap();
    }
}

/// The writer as a command, under a shell's limit of `blocks` KiB a file.
fn writer_command(folder: &Path, durability: &str, limit_kib: Option<u32>) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match limit_kib {
        None => Command::new(&program),
        Some(limit) => {
            let mut shell = Command::new("bash");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"")]).arg(&program);
            shell
        }
    };
    command
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(CHILD, format!("{}:{durability}", folder.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Runs the writer and kills it after a while; answers how many entries it acknowledged.
fn kill_after(folder: &Path, durability: &str, wait: Duration) -> u64 {
    let mut child = writer_command(folder, durability, None).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut acknowledged, mut opened) = (0, None);
    for line in lines {
        let line = line.unwrap();
        if let Some(count) = line.strip_prefix("opened ") {
            opened = Some(Instant::now());
            acknowledged = count.parse().unwrap();
        }
        if let Some(count) = line.strip_prefix("ack ") {
            acknowledged = count.parse().unwrap();
        }
        if opened.is_some_and(|at| at.elapsed() >= wait) {
            // Lines that it has written already are still read: they were acknowledged too.
            child.kill().unwrap();
            opened = None;
        }
    }
    child.wait().unwrap();
    acknowledged
}

fn check(folder: &Folder, acknowledged: u64) -> u64 {
    let report = verify(&folder.journal(), &folder.verifier()).unwrap();
    let reader = Reader::open(&folder.journal()).unwrap();
    let size = reader.size();
    assert!(size >= acknowledged, "{acknowledged} were acknowledged, {size} are there");
    assert_eq!(report.checkpoint.size + report.unsigned_entries, size);
    for read in reader.entries(0, size).unwrap() {
        let (index, read) = read.unwrap();
        assert!(read == entry(index), "entry {index} is not what was appended");
    }
    size
}

fn killed_again_and_again(durability: &str) {
    let folder = Folder::new();
    let mut random = u64::from(std::process::id()) | 1;
    let mut size = 0;
    for turn in 0..13 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let acknowledged = kill_after(&folder.0, durability, Duration::from_micros(random % 120_000));
        assert!(acknowledged >= size, "turn {turn}: entries that were there are gone");
        size = check(&folder, acknowledged);
        let (journal, recovered) = Journal::open(&folder.journal(), folder.config()).unwrap();
        assert_eq!(recovered.entries, size);
        drop(journal);
        assert_eq!(check(&folder, size), size);
    }
    // Left alone, the writer renews the write-ahead file; most of the killed ones were about to.
    let (journal, recovered) = Journal::open(&folder.journal(), folder.config()).unwrap();
    let (mut next, started) = (recovered.entries, Instant::now());
    while base(&folder) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "the write-ahead file was never renewed: {next} entries");
        for _ in 0..50 {
            journal.append(entry(next)).unwrap();
            next += 1;
        }
        journal.wait_durable(next - 1).unwrap();
    }
    journal.close().unwrap();
    check(&folder, next);
}

/// Kills the writer within a moment after it has begun or ended a renewal; whether the file was a new one then.
fn kill_in_renewal(folder: &Folder, wait: Duration) -> bool {
    let before = base(folder);
    let mut child = writer_command(&folder.0, "fsync", None).stdout(Stdio::null()).spawn().unwrap();
    let (new, started) = (folder.journal().join("wal.new"), Instant::now());
    // At its start it writes the file anew too, with the same beginning.
    std::thread::sleep(Duration::from_millis(60));
    while !new.exists() && base(folder) == before {
        assert!(started.elapsed() < Duration::from_secs(60), "the write-ahead file is never renewed");
        std::thread::yield_now();
    }
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    base(folder) != before
}

#[test]
fn a_writer_that_is_killed_in_a_renewal_loses_nothing() {
    let folder = Folder::new();
    folder.open().unwrap().0.close().unwrap();
    let (mut size, mut done, mut undone) = (0, 0, 0);
    for turn in 0..14_u32 {
        match kill_in_renewal(&folder, Duration::from_micros(50 << turn)) {
            true => done += 1,
            false => undone += 1,
        }
        size = check(&folder, size);
        let (journal, recovered) = Journal::open(&folder.journal(), folder.config()).unwrap();
        assert_eq!(recovered.entries, size);
        drop(journal);
        check(&folder, size);
        if turn >= 11 && done > 0 {
            break;
        }
    }
    // The longer it is let run, the surer the new file is in its place.
    assert!(done > 0 && undone > 0, "{done} renewals were done when it was killed, and {undone} were not");
}

/// First entry of the write-ahead file.
fn base(folder: &Folder) -> u64 {
    let mut head = [0; 16];
    std::fs::File::open(folder.journal().join("wal")).unwrap().read_exact(&mut head).unwrap();
    u64::from_be_bytes(head[8..].try_into().unwrap())
}

#[test]
fn killed_writers_lose_nothing_acknowledged_fsync() {
    killed_again_and_again("fsync");
}

#[test]
fn killed_writers_lose_nothing_acknowledged_os() {
    killed_again_and_again("os");
}

/// Runs the writer until it says that its journal failed.
fn run_until_failure(mut command: Command) -> (u64, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let last = |prefix: &str| text.lines().filter_map(|line| line.strip_prefix(prefix)).next_back();
    let failure = last("failed ").unwrap().to_owned();
    (last("ack ").or_else(|| last("opened ")).unwrap().parse().unwrap(), failure)
}

#[test]
fn a_file_that_may_not_grow_stops_the_journal() {
    let folder = Folder::new();
    let (acknowledged, failure) = run_until_failure(writer_command(&folder.0, "fsync", Some(3000)));
    assert!(acknowledged > 0);
    assert!(failure.contains("stopped taking entries") && failure.contains("File too large"), "{failure}");
    assert!(check(&folder, acknowledged) >= acknowledged);
    let (journal, recovered) = folder.open().unwrap();
    assert!(recovered.entries >= acknowledged);
    assert_eq!(journal.append(entry(recovered.entries)).unwrap(), recovered.entries);
    journal.close().unwrap();
    check(&folder, acknowledged + 1);
}

/// Unmounted when dropped.
struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_journal() {
    let folder = Folder::new();
    let disk = folder.journal();
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("SKIPPED a_full_disk_stops_the_journal: mounting a tmpfs needs root");
        return;
    }
    let mount = Mount(disk.clone());
    let (acknowledged, failure) = run_until_failure(writer_command(&folder.0, "fsync", None));
    assert!(acknowledged > 0);
    assert!(failure.contains("No space left on device"), "{failure}");
    assert!(check(&folder, acknowledged) >= acknowledged);
    let full = folder.open().unwrap_err().to_string();
    assert!(full.contains("No space left on device"), "a full disk stops the start too: {full}");

    let grown = Command::new("mount").args(["-o", "remount,size=60m"]).arg(&disk).status().unwrap();
    assert!(grown.success());
    let (journal, recovered) = folder.open().unwrap();
    assert!(recovered.entries >= acknowledged);
    journal.append(entry(recovered.entries)).unwrap();
    journal.close().unwrap();
    check(&folder, acknowledged + 1);
    drop(mount);
}
