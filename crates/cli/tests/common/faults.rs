//! Faults on purpose: parts of a running trial, found among its own processes, and how `drieslot up` takes their end.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::processes::{self, Process, descendants, send};
use super::{STOP_WITHIN, Trial, text};

/// The arguments of a process, one a line.
fn arguments(id: u32) -> String {
    let raw = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    text(&raw).replace('\0', "\n")
}

impl Trial {
    /// Process id of `drieslot up`, or of a part that was started by itself.
    pub(crate) fn id_of(&self, part: &str) -> u32 {
        if let Some(child) = self.apart.get(part) {
            return child.id();
        }
        let up = self.up.as_ref().expect("the trial does not run").id();
        if part == "up" {
            return up;
        }
        let file = if part == "processor" { "data" } else { "config.toml" };
        let path = format!("/{part}/{file}\n");
        let own = descendants(up).into_iter().find(|process| arguments(process.id).contains(&path));
        own.unwrap_or_else(|| panic!("no process of {part} under {up}")).id
    }

    /// kill -9 of one part and of what it has started; of `up`, of itself alone.
    pub(crate) fn kill_part(&self, part: &str) {
        let id = self.id_of(part);
        let children = if part == "up" { Vec::new() } else { descendants(id) };
        send(id, Signal::KILL);
        children.iter().for_each(Process::kill);
    }

    /// Waits until `drieslot up` has ended by itself and, if `whole`, every process that it started too.
    pub(crate) fn wait_ended(&mut self, whole: bool) -> (ExitStatus, String) {
        let mut up = self.up.take().expect("the trial does not run");
        let all = descendants(up.id());
        let Some(status) = processes::wait(&mut up, STOP_WITHIN) else {
            self.up = Some(up);
            panic!("`drieslot up` goes on although a part is gone");
        };
        let patience = Instant::now();
        while whole && all.iter().any(Process::is_there) {
            assert!(patience.elapsed() < Duration::from_secs(10), "`drieslot up` left processes behind: {all:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = std::fs::read(self.folder.path().join("up.log")).map(|bytes| text(&bytes)).unwrap_or_default();
        (status, said)
    }
}
