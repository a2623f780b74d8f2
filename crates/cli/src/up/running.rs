//! The processes of a trial: started in order, watched, and stopped in the opposite order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::folder::{Folder, Part, Trial};
use crate::child::Child;
use crate::failure::failure;

const READY_WITHIN: Duration = Duration::from_secs(30);
const WATCH_EVERY: Duration = Duration::from_millis(300);

/// What runs, in the order in which it was started.
#[derive(Default)]
pub(crate) struct Running {
    children: Vec<(Part, Child)>,
}

impl Running {
    /// Whether nothing runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Each part and its process id.
    pub(crate) fn process_ids(&self) -> String {
        let described = self.children.iter().map(|(part, child)| match child.id() {
            Some(id) => format!("{} {id}", part.name()),
            None => part.name().to_owned(),
        });
        described.collect::<Vec<_>>().join(", ")
    }

    /// Takes a child over.
    pub(crate) fn add(&mut self, part: Part, child: Child) {
        self.children.push((part, child));
    }

    /// Starts a part, a subcommand of this same program, and waits until its port answers.
    pub(crate) async fn start(&mut self, part: Part, folder: &Folder, trial: &Trial) -> Result<()> {
        let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
        let config = config_path(folder, part);
        command.args(subcommand(part)).arg("--config").arg(config).arg("--until-input-closes");
        let log = folder.at("logs").join(format!("{}.log", part_folder(part)));
        self.add(part, Child::start(part.name(), command, &log, Signal::TERM)?);
        let address = trial.address(part);
        let child = self.child(part)?;
        child.wait_ready(READY_WITHIN, async || TcpStream::connect(address).await.is_ok()).await
    }

    /// One part's process.
    pub(crate) fn child(&mut self, part: Part) -> Result<&mut Child> {
        let found = self.children.iter_mut().find(|(other, _)| *other == part);
        found.map(|(_, child)| child).with_context(|| format!("the {} does not run", part.name()))
    }

    /// Stops one part by its process id.
    pub(crate) async fn stop_part(&mut self, part: Part) -> Result<()> {
        let index = self.children.iter().position(|(other, _)| *other == part);
        let (_, child) = self.children.remove(index.with_context(|| format!("the {} does not run", part.name()))?);
        child.stop().await
    }

    /// Waits until any part ends, which none should.
    pub(crate) async fn any_ended(&mut self) -> anyhow::Error {
        loop {
            for (_, child) in &mut self.children {
                if let Some(error) = child.ended() {
                    return error;
                }
            }
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    /// Stops everything. All are tried, whatever fails; the first failure is told.
    pub(crate) async fn stop(self) -> Result<()> {
        let mut first = Ok(());
        for (_, child) in self.children.into_iter().rev() {
            let stopped = child.stop().await;
            if first.is_ok() {
                first = stopped;
            }
        }
        first
    }
}

/// The name of a part's folder and log.
pub(crate) fn part_folder(part: Part) -> &'static str {
    match part {
        Part::Gateway => "gateway",
        Part::Processor => "processor",
        Part::Register => "register",
        Part::Structure => "custodian-structure",
        Part::Access => "custodian-access",
        Part::Keys => "custodian-keys",
    }
}

/// A part's configuration file.
pub(crate) fn config_path(folder: &Folder, part: Part) -> PathBuf {
    folder.at(part_folder(part)).join(Path::new("config.toml"))
}

fn subcommand(part: Part) -> [&'static str; 2] {
    match part {
        Part::Gateway => ["gateway", "run"],
        Part::Processor | Part::Register => ["register", "run"],
        Part::Structure | Part::Access | Part::Keys => ["custodian", "run"],
    }
}

/// Root may read every file of this machine; a trial under root would show nothing.
pub(crate) fn refuse_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let hint = "run ./demo, which changes to an unprivileged user, or: runuser -u postgres -- drieslot up --data \
                /var/lib/drieslot-demo/trial";
    Err(failure("`drieslot up` does not run as root, for PostgreSQL does not either", hint))
}
