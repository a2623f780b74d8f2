//! The process: an output for each receiver, each at its own pace.

use std::convert::Infallible;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use drieslot_link::MetricsAddress;
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::WatchError;
use crate::config::WatchConfig;
use crate::follow::Feed;
use crate::measured::Measured;
use crate::send::Output;
use crate::sink::Sink;

/// A watcher, open.
pub struct Watch {
    outputs: Vec<Output>,
    metrics: Option<MetricsAddress>,
    measured: Arc<Measured>,
    /// Nobody else goes on from the same places.
    _lock: File,
}

impl Watch {
    /// Reads what it remembers. Its relative paths are taken as they are.
    ///
    /// # Errors
    /// `Config`, `Io`; `State` where another process uses the same folder.
    pub fn open(config: &WatchConfig, now: Timestamp) -> Result<Self, WatchError> {
        config.check()?;
        let state = &config.state;
        DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(WatchError::io("create", state))?;
        let path = state.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(WatchError::io("open", &path))?;
        lock.try_lock().map_err(|_| {
            let why = "another watcher uses this folder; give each a `state` of its own";
            WatchError::Config(format!("{}: {why}", state.display()))
        })?;
        let sources = config.sources()?;
        let started = u64::try_from(now.as_second()).unwrap_or(0);
        let measured = Arc::new(Measured::new(started, sources.len()));
        let output = |output: &crate::config::OutputConfig| {
            Ok(Output {
                name: output.name().to_owned(),
                sink: Sink::new(output, &config.host)?,
                feed: Feed::new(sources.iter().cloned()),
                path: state.join(format!("{}.json", output.name())),
                since: config.since.map(|since| since.0),
                measured: Arc::clone(&measured),
            })
        };
        let outputs = config.output.iter().map(output).collect::<Result<_, WatchError>>()?;
        Ok(Self { outputs, metrics: config.metrics, measured, _lock: lock })
    }

    /// Sends on until the future is dropped.
    ///
    /// # Errors
    /// `Io`, `State`, `Link`, `Bug`. It does not return otherwise.
    pub async fn run(self) -> Result<Infallible, WatchError> {
        let mut tasks: JoinSet<Result<Infallible, WatchError>> = JoinSet::new();
        for output in self.outputs {
            tasks.spawn(output.run());
        }
        // Without outputs nothing ends.
        tasks.spawn(std::future::pending());
        let measured = Arc::clone(&self.measured);
        let metrics = drieslot_link::serve_metrics(self.metrics, move || measured.read());
        tokio::select! {
            failed = metrics => Ok(failed?),
            ended = tasks.join_next() => ended.and_then(Result::ok).unwrap_or(Err(WatchError::Bug)),
        }
    }
}
