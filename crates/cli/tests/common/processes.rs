//! Processes by their ids: who descends from whom, and signals. Nothing is ever found by its name.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process};

/// A process that was seen, by id and start time: an id alone may come back as another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    parent: u32,
    started: u64,
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything, so fields are counted from its end.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if fields.first() == Some(&"Z") {
            return None;
        }
        Some(Self { id, parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
    }

    /// Whether this very process still runs.
    pub(crate) fn is_there(&self) -> bool {
        Self::read(self.id).is_some_and(|now| now.started == self.started)
    }

    /// Takes its exit status where it is an orphan that came to this process; whether nothing is left of it.
    fn is_reaped(&self) -> bool {
        if let Some(pid) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        !std::path::Path::new(&format!("/proc/{}", self.id)).exists()
            || Self::read(self.id).is_some_and(|now| now.started != self.started)
    }

    /// kill -9, if it is still this one.
    pub(crate) fn kill(&self) {
        if self.is_there() {
            send(self.id, Signal::KILL);
        }
    }
}

/// Orphans of this process's children come to it, wherever the tests run: an init that takes no exit statuses would
/// leave a killed PostgreSQL behind as a zombie, which its successor takes for a running one.
pub(crate) fn adopt_orphans() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
}

/// kill -9 of all of them; waits until nothing is left of any.
pub(crate) fn kill_and_reap(mut all: Vec<Process>) {
    all.iter().for_each(Process::kill);
    let patience = Instant::now();
    while patience.elapsed() < Duration::from_secs(10) {
        all.retain(|process| !process.is_reaped());
        if all.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All processes under `root`, not itself.
pub(crate) fn descendants(root: u32) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<Process> = ids.filter_map(Process::read).collect();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.id);
            found.push(process.clone());
        }
    }
    found
}

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn send(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Waits for a child's end.
pub(crate) fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if started.elapsed() < within => std::thread::sleep(Duration::from_millis(20)),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}
