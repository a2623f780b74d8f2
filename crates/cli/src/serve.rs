//! How long a server process runs: until SIGTERM, Ctrl-C, or the end of whoever started it.

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// The signals that end us. Made before anything else is awaited, so that none is missed.
pub(crate) struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    /// From here on SIGTERM, SIGINT and SIGHUP no longer kill the process.
    pub(crate) fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
        let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
        Ok(Self { terminate, interrupt, hangup })
    }

    /// Waits for one.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Waits for a signal, or for the end of standard input where that is asked for.
pub(crate) async fn until_stopped(until_input_closes: bool) -> Result<()> {
    let mut stop = Stop::listen()?;
    if !until_input_closes {
        stop.asked().await;
        return Ok(());
    }
    tokio::select! {
        () = stop.asked() => {}
        () = input_closes() => {}
    }
    Ok(())
}

async fn input_closes() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0_u8; 64];
    while input.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}
