//! The server processes: reads each part's configuration, gives it the real clock, and runs it until it is stopped.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use drieslot_custodian::Clock;
use drieslot_register::server::{Register, RegisterConfig};
use drieslot_usage::{UsageConfig, UsageServer};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::administration::{Administration, Place};
use crate::command::{Part, ServeArgs};
use crate::custodian;
use crate::failure::failure;
use crate::files;
use crate::mirror;
use crate::serve::until_stopped;
use crate::{watch, witness};

pub(crate) fn clock() -> Clock {
    Arc::new(Timestamp::now)
}

pub(crate) const CORRECT: &str = "correct the file, then look with `drieslot config check`";

pub(crate) fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = files::read(path)?;
    toml::from_str(&text).map_err(|error| failure(format!("{}: {error}", path.display()), CORRECT))
}

pub(crate) fn gateway_config(path: &Path) -> Result<drieslot_gateway::Config> {
    // Read here first, for the remedy of a file that cannot be read.
    files::read(path)?;
    drieslot_gateway::Config::load(path).map_err(|error| failure(error.to_string(), CORRECT))
}

/// `drieslot register run`
pub(crate) async fn register(args: &ServeArgs) -> Result<()> {
    let register = Register::open(read_config::<RegisterConfig>(&args.config)?, clock())?;
    tracing::info!("register is ready");
    tokio::select! {
        served = Arc::clone(&register).run() => served?,
        stopped = until_stopped(args.until_input_closes) => stopped?,
    }
    Ok(register.close()?)
}

/// `drieslot gateway run`
pub(crate) async fn gateway(args: &ServeArgs) -> Result<()> {
    let config = gateway_config(&args.config)?;
    let administration = Administration::new(Place::of_gateway(&config), "gateway run", &[&args.config])?;
    let begin = |journal: &drieslot_journal::Journal| administration.begin_in(journal);
    let until_input_closes = args.until_input_closes;
    let stop = async move {
        if let Err(error) = until_stopped(until_input_closes).await {
            tracing::error!(%error, "stopping, for signals cannot be handled");
        }
    };
    let ended = drieslot_gateway::run(config, clock(), begin, stop).await;
    administration.end(ended.map_err(Into::into))
}

fn usage_config(path: &Path) -> Result<UsageConfig> {
    files::read(path)?;
    UsageConfig::load(path).map_err(|error| failure(error.to_string(), CORRECT))
}

/// `drieslot usage run`
pub(crate) async fn usage(args: &ServeArgs) -> Result<()> {
    let config = usage_config(&args.config)?;
    let administration = Administration::begin(Place::of_usage(&config), "usage run", &[&args.config])?;
    administration.end(serve_usage(config, args.until_input_closes).await)
}

async fn serve_usage(config: UsageConfig, until_input_closes: bool) -> Result<()> {
    let server = UsageServer::open(config, clock())?;
    tracing::info!("usage server is ready");
    tokio::select! {
        served = Arc::clone(&server).run() => served?,
        stopped = until_stopped(until_input_closes) => stopped?,
    }
    Ok(server.close()?)
}

/// `drieslot config check`
pub(crate) fn check_config(part: Part, file: &Path) -> Result<()> {
    match part {
        Part::Register => read_config::<RegisterConfig>(file).map(|_| ()),
        Part::Custodian => custodian::config(file).map(|_| ()),
        Part::Gateway => gateway_config(file).map(|_| ()),
        Part::Witness => witness::config(file).map(|_| ()),
        Part::Mirror => mirror::config(file).map(|_| ()),
        Part::Usage => usage_config(file).map(|_| ()),
        Part::Watch => watch::config(file).map(|_| ()),
    }?;
    println!("{}: well-formed", file.display());
    Ok(())
}
