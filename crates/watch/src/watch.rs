//! The process: an output for each receiver, each at its own pace.

use std::convert::Infallible;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use drieslot_link::MetricsAddress;
use jiff::tz::TimeZone;
use tokio::task::JoinSet;

use crate::alerts::{Alerts, open_journal};
use crate::config::WatchConfig;
use crate::engine::{Engine, Memory};
use crate::follow::{Feed, Source};
use crate::measured::Measured;
use crate::send::Output;
use crate::sink::Sink;
use crate::{Clock, WatchError};

/// A watcher, open.
pub struct Watch {
    outputs: Vec<Output>,
    alerts: Option<Alerts>,
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
    pub fn open(config: &WatchConfig, clock: &Clock) -> Result<Self, WatchError> {
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
        let started = u64::try_from(clock().as_second()).unwrap_or(0);
        let measured = Arc::new(Measured::new(started, sources.len()));
        let (alerts, own) = open_alerts(config, &sources, clock, &measured)?;
        let all: Vec<Source> = sources.iter().chain(&own).cloned().collect();
        let output = |name: &str, sink, journals: &[Source]| Output {
            name: name.to_owned(),
            sink,
            feed: Feed::new(journals.iter().cloned()),
            path: state.join(format!("{name}.json")),
            since: config.since.map(|since| since.0),
            measured: Arc::clone(&measured),
        };
        let mut outputs = Vec::new();
        for one in &config.output {
            outputs.push(output(one.name(), Sink::new(one, &config.host)?, &all));
        }
        for one in &config.webhook {
            let sink = Sink::webhook(one, sources.clone(), Arc::clone(clock))?;
            outputs.push(output(&one.name, sink, own.as_slice()));
        }
        for one in &config.mail {
            outputs.push(output(&one.name, Sink::mail(one, sources.clone())?, own.as_slice()));
        }
        Ok(Self { outputs, alerts, metrics: config.metrics, measured, _lock: lock })
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
        if let Some(alerts) = self.alerts {
            tasks.spawn(alerts.run());
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

/// What raises alerts, and where it writes them, for others to follow.
fn open_alerts(
    config: &WatchConfig,
    sources: &[Source],
    clock: &Clock,
    measured: &Arc<Measured>,
) -> Result<(Option<Alerts>, Option<Source>), WatchError> {
    let Some(alerts) = &config.alerts else { return Ok((None, None)) };
    let zone = TimeZone::get(&alerts.time_zone).map_err(|error| WatchError::Config(format!("time_zone: {error}")))?;
    let verifier = drieslot_journal::IdentityKey::load(&alerts.key)?.verifier(&alerts.origin)?;
    let own = open_journal(alerts)?;
    let engine = Engine { config: alerts.clone(), zone, memory: Memory::default() };
    let feed = Feed::new(sources.iter().cloned());
    let path = config.state.join("alerts.json");
    let raises = Alerts::new(engine, feed, own, path, Arc::clone(clock), Arc::clone(measured));
    Ok((Some(raises), Some(Source { folder: alerts.journal.clone(), verifier })))
}
