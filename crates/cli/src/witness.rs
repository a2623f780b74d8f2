//! The commands of a witness: make its key, run it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use drieslot_journal::IdentityKey;
use drieslot_witness::{Witness, WitnessConfig};
use jiff::Timestamp;

use crate::command::ServeArgs;
use crate::failure::failure;
use crate::files;
use crate::roles::CORRECT;
use crate::serve::until_stopped;

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Make a witness's key in a new folder
    Init(WitnessInitArgs),
    /// Run it until SIGTERM
    Run(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WitnessInitArgs {
    /// Its folder; must not hold a key yet
    pub(crate) folder: PathBuf,
    /// Its name, such as `witness.example.org/w1`
    #[arg(long)]
    pub(crate) name: String,
}

/// `drieslot witness init`
pub(crate) fn init(args: &WitnessInitArgs) -> Result<()> {
    let key = IdentityKey::generate()?;
    let vkey = key.cosigner(&args.name)?.vkey();
    files::make_folder(&args.folder)?;
    key.save(&args.folder.join("witness.key"))?;
    files::write(&args.folder.join("witness.vkey"), &format!("{vkey}\n"))?;
    println!("# for the charter\n[[witness]]\nname = {:?}\nkey = {vkey:?}", args.name);
    Ok(())
}

/// Its configuration, checked.
pub(crate) fn config(path: &Path) -> Result<WitnessConfig> {
    // Read here first, for the remedy of a file that cannot be read.
    files::read(path)?;
    WitnessConfig::load(path).map_err(|error| failure(error.to_string(), CORRECT))
}

/// `drieslot witness run`
pub(crate) async fn run(args: &ServeArgs) -> Result<()> {
    let config = config(&args.config)?;
    let clock = || u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    let witness = Witness::open(&config, std::sync::Arc::new(clock))?;
    tokio::select! {
        served = drieslot_witness::serve(witness, &config) => match served? {},
        stopped = until_stopped(args.until_input_closes) => stopped,
    }
}
