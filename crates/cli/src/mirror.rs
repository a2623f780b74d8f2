//! `drieslot mirror`: copies of journals at somebody else's, which outlive the journals.

use std::path::Path;

use anyhow::Result;
use drieslot_link::TlsIdentity;
use drieslot_mirror::{Mirrors, MirrorsConfig, MirrorsError};

use crate::command::{MirrorInitArgs, MirrorRunArgs};
use crate::failure::failure;
use crate::files;
use crate::roles::{CORRECT, read_config};
use crate::serve::until_stopped;

/// `drieslot mirror init`
pub(crate) fn init(args: &MirrorInitArgs) -> Result<()> {
    files::make_folder(&args.folder)?;
    let tls = TlsIdentity::create(&args.folder.join("tls"), "mirror")?.fingerprint();
    println!("# for the configuration of each part whose journal it may read");
    println!("[serve_journal]\nlisten = \"0.0.0.0:7300\"\nreaders = [\"{tls}\"]");
    Ok(())
}

/// The file, its paths taken from where it lies.
pub(crate) fn config(path: &Path) -> Result<MirrorsConfig> {
    let mut config: MirrorsConfig = read_config(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    config.folder = base.join(&config.folder);
    config.identity = config.identity.map(|identity| base.join(identity));
    Ok(config)
}

/// `drieslot mirror run`
pub(crate) async fn run(args: &MirrorRunArgs) -> Result<()> {
    let mirrors = Mirrors::open(config(&args.serve.config)?).map_err(say)?;
    if args.once {
        for (name, mirrored) in mirrors.once().await.map_err(say)? {
            println!("{name}: {} new entries, {} in the mirror", mirrored.new, mirrored.size);
        }
        return Ok(());
    }
    tracing::info!("mirror is ready");
    tokio::select! {
        failed = mirrors.run() => match failed.map_err(say)? {},
        stopped = until_stopped(args.serve.until_input_closes) => stopped,
    }
}

fn say(error: MirrorsError) -> anyhow::Error {
    match &error {
        MirrorsError::Config(_) => failure(error.to_string(), CORRECT),
        MirrorsError::Refused { source, .. } if source.is_evidence() => failure(
            error.to_string(),
            "the note that shows it is kept as `refused` in the mirror's folder; tell who relies on this journal",
        ),
        MirrorsError::Refused { .. } | MirrorsError::Folder { .. } | MirrorsError::Link(_) | MirrorsError::Bug => {
            error.into()
        }
    }
}
