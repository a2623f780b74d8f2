//! A process that this one started: its log, its readiness, and its end, always by its own process id.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child as TokioChild, Command};

use crate::failure::failure;

const POLL: Duration = Duration::from_millis(50);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running child. Dropping it kills it; [`Child::stop`] asks first.
pub(crate) struct Child {
    name: String,
    log: PathBuf,
    stop_signal: Signal,
    process: TokioChild,
}

impl Child {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches only us and we choose the order of ends.
    /// Its standard input is a pipe that closes when we end, however we end.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path, stop_signal: Signal) -> Result<Self> {
        let output = open_log(log)?;
        let errors = output.try_clone().context("a file handle")?;
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0).kill_on_drop(true);
        let process = command.spawn().with_context(|| format!("the {name} could not be started"))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), stop_signal, process })
    }

    /// Its process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until `ready` says so; fails when the child ends before, or after `within`.
    pub(crate) async fn wait_ready<F: AsyncFnMut() -> bool>(&mut self, within: Duration, mut ready: F) -> Result<()> {
        let started = Instant::now();
        while !ready().await {
            if self.process.try_wait().context("waiting for a child")?.is_some() {
                return Err(self.failed("ended before it was ready"));
            }
            if started.elapsed() > within {
                return Err(self.failed(&format!("was not ready within {} s", within.as_secs())));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The error, where the child has ended although nobody asked for it.
    pub(crate) fn ended(&mut self) -> Option<anyhow::Error> {
        match self.process.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.failed(&format!("ended by itself ({status})"))),
            Err(error) => Some(self.failed(&format!("cannot be watched ({error})"))),
        }
    }

    /// Sends the stop signal, waits, and kills what does not stop.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if self.process.try_wait().context("waiting for a child")?.is_some() {
            return Ok(());
        }
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, self.stop_signal).with_context(|| format!("the {} could not be signalled", self.name))?;
        }
        if tokio::time::timeout(STOP_WITHIN, self.process.wait()).await.is_err() {
            self.process.kill().await.with_context(|| format!("the {} could not be killed", self.name))?;
        }
        Ok(())
    }

    fn failed(&self, how: &str) -> anyhow::Error {
        let hint = match last_lines(&self.log) {
            Some(lines) => format!("its log {} ends with:\n{lines}", self.log.display()),
            None => format!("its log is {}", self.log.display()),
        };
        failure(format!("the {} {how}", self.name), hint)
    }
}

fn open_log(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("the log {} could not be opened", path.display()))
}

fn last_lines(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let lines: Vec<&str> = text.lines().rev().take(6).collect();
    let lines: Vec<String> = lines.into_iter().rev().map(|line| format!("    {line}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
