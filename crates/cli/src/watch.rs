//! `drieslot watch`: what journals say goes out, to a SIEM.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use drieslot_journal::{IdentityKey, Verifier};
use drieslot_watch::{Event, Fault, Source, Watch, WatchConfig, WatchError, ocsf, syslog};
use jiff::Timestamp;

use crate::command::ServeArgs;
use crate::failure::failure;
use crate::files;
use crate::journal::arguments::moment;
use crate::roles::{CORRECT, clock, read_config};
use crate::serve::until_stopped;

#[derive(Debug, Subcommand)]
pub(crate) enum WatchCommand {
    /// Make the key of a watcher's own journal in a new folder
    Init(WatchInitArgs),
    /// Follow journals and send on what they say, until SIGTERM
    Run(ServeArgs),
    /// Print one journal's events, verified, as a SIEM would get them
    Print(WatchPrintArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WatchInitArgs {
    /// Its folder; must not hold a key yet
    pub(crate) folder: PathBuf,
    /// Name of its journal, such as `agency.example/watch`
    #[arg(long)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct WatchPrintArgs {
    /// The journal's or mirror's folder
    pub(crate) folder: PathBuf,
    /// File with its verifier key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Not before: RFC 3339, or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Before: RFC 3339, or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// OCSF as a line of JSON each, or RFC 5424 messages
    #[arg(long = "as", value_enum, default_value_t = Form::Ocsf)]
    pub(crate) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Ocsf,
    Syslog,
}

/// `drieslot watch init`
pub(crate) fn init(args: &WatchInitArgs) -> Result<()> {
    files::make_folder(&args.folder)?;
    let key = IdentityKey::generate()?;
    let vkey = key.vkey(&args.name)?;
    key.save(&args.folder.join("journal.key"))?;
    files::write(&args.folder.join("journal.vkey"), &format!("{vkey}\n"))?;
    let at = |name: &str| args.folder.join(name).display().to_string();
    println!("# for the watcher's configuration; {} verifies its journal", at("journal.vkey"));
    println!("[alerts]\njournal = {:?}\nkey = {:?}\norigin = {:?}", at("journal"), at("journal.key"), args.name);
    Ok(())
}

/// The file, its paths taken from where it lies.
pub(crate) fn config(path: &Path) -> Result<WatchConfig> {
    let config: WatchConfig = read_config(path)?;
    let config = config.under(path.parent().unwrap_or(Path::new(".")));
    config.check().map_err(say)?;
    Ok(config)
}

/// `drieslot watch run`
pub(crate) async fn run(args: &ServeArgs) -> Result<()> {
    let watch = Watch::open(&config(&args.config)?, &clock()).map_err(say)?;
    tracing::info!("watcher is ready");
    tokio::select! {
        failed = watch.run() => match failed.map_err(say)? {},
        stopped = until_stopped(args.until_input_closes) => stopped,
    }
}

/// `drieslot watch print`
pub(crate) fn print(args: &WatchPrintArgs) -> Result<()> {
    let key = files::read(&args.key)?;
    let verifier = Verifier::parse(key.trim()).with_context(|| args.key.display().to_string())?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let source = Source { folder: args.folder.clone(), verifier };
    let mut closed = false;
    let each = |event: &Event| {
        let begun = args.since.is_none_or(|since| event.time >= since);
        let wanted = begun && args.until.is_none_or(|until| event.time < until);
        let line = wanted.then(|| line(event, args.form)).flatten();
        // Whoever reads may have read enough.
        closed = closed || line.is_some_and(|line| writeln!(out, "{line}").is_err());
        !closed
    };
    let read = drieslot_watch::read(source, each);
    if closed {
        return Ok(());
    }
    out.flush().context("standard output")?;
    read.map_err(|fault| {
        let hint = match &fault {
            Fault::Unreadable(_) => "name the folder of a journal or mirror, and the file with its verifier key",
            Fault::Refused(_) | Fault::Entry(_) => {
                "what was printed was signed; keep a copy of the folder as it is, and tell who relies on it"
            }
        };
        failure(format!("{}: {fault}", args.folder.display()), hint)
    })
}

fn line(event: &Event, form: Form) -> Option<String> {
    let value = ocsf::event(event)?;
    Some(match form {
        Form::Ocsf => value.to_string(),
        Form::Syslog => {
            syslog::message(event, "", value.get("message").and_then(|text| text.as_str()).unwrap_or_default())
        }
    })
}

fn say(error: WatchError) -> anyhow::Error {
    match &error {
        WatchError::Config(_) => failure(error.to_string(), CORRECT),
        WatchError::Io { .. }
        | WatchError::State { .. }
        | WatchError::Journal(_)
        | WatchError::Link(_)
        | WatchError::Bug => error.into(),
    }
}
