//! `drieslot`, the one binary: reads the command line, sets up tracing, and prints failures with their remedy.

mod access;
mod administration;
mod application;
mod certificate;
mod child;
mod classify;
mod command;
mod cosigned;
mod custodian;
mod deny;
mod dump;
mod explain;
mod export;
mod failure;
mod files;
mod init;
mod journal;
mod keys;
mod load;
mod meaning;
mod mirror;
mod processor;
mod register;
mod roles;
mod sample;
mod serve;
mod sign;
mod suggest;
mod up;
mod verify;
mod watch;
mod witness;
mod writing;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;

use command::{
    ClassifyCommand, Command, CommandLine, ConfigCommand, CustodianCommand, GatewayCommand, KeysCommand, MirrorCommand,
    RegisterCommand, UsageCommand,
};
use journal::arguments::JournalCommand;
use watch::WatchCommand;
use witness::WitnessCommand;
use writing::arguments::{CharterCommand, MandateCommand, OfficersCommand};

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let filter = EnvFilter::try_from_env("DRIESLOT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match in_runtime(line.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", failure::report(&error));
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no tokio runtime")?;
    let done = runtime.block_on(run(command));
    // A thread may still be reading standard input.
    runtime.shutdown_background();
    done
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => up::up(&args).await,
        Command::Register(RegisterCommand::Init(args)) => init::register(&args),
        Command::Register(RegisterCommand::Client(args)) => init::client(&args),
        Command::Register(RegisterCommand::Export(args)) => export::export(&args).await,
        Command::Register(RegisterCommand::Run(args)) => roles::register(&args).await,
        Command::Custodian(CustodianCommand::Init(args)) => custodian::init(&args),
        Command::Custodian(CustodianCommand::Run(args)) => custodian::run(&args).await,
        Command::Custodian(CustodianCommand::Escrow(args)) => custodian::escrow(&args, Timestamp::now()).await,
        Command::Custodian(CustodianCommand::Recover(args)) => custodian::recover(&args, Timestamp::now()).await,
        Command::Custodian(CustodianCommand::Sign(args)) => custodian::sign(&args),
        Command::Gateway(GatewayCommand::Init(args)) => init::gateway(&args),
        Command::Gateway(GatewayCommand::Principal(args)) => init::principal(&args),
        Command::Gateway(GatewayCommand::Run(args)) => roles::gateway(&args).await,
        Command::Usage(UsageCommand::Init(args)) => init::usage(&args),
        Command::Usage(UsageCommand::Run(args)) => roles::usage(&args).await,
        Command::Witness(WitnessCommand::Init(args)) => witness::init(&args),
        Command::Witness(WitnessCommand::Run(args)) => witness::run(&args).await,
        Command::Sign(args) => sign::sign(&args, Timestamp::now()).await,
        Command::Classify(ClassifyCommand::Suggest(args)) => classify::suggest(&args).await,
        Command::Submit(args) => register::submit(&args.file, &args.client.register).await,
        Command::Pending(args) => register::pending(&args.register).await,
        Command::Show(args) => register::show(&args.client.register, &args.statement, Timestamp::now()).await,
        Command::Access(args) => access::access(&args, Timestamp::now()).await,
        Command::Revoke(args) => {
            register::revoke(&args.client.register, &args.mandate, &args.why, &args.out, Timestamp::now()).await
        }
        Command::Mandate(command) => match *command {
            MandateCommand::New(args) => writing::mandate(&args, Timestamp::now()).await,
        },
        Command::Officers(OfficersCommand::New(args)) => writing::officers(&args, Timestamp::now()).await,
        Command::Charter(CharterCommand::New(args)) => writing::charter(&args, Timestamp::now()),
        Command::Charter(CharterCommand::Next(args)) => writing::next(&args, Timestamp::now()).await,
        Command::Keys(KeysCommand::Status(args)) => keys::status(&args.register, Timestamp::now()).await,
        Command::Keys(KeysCommand::Propose(args)) => keys::propose(&args, Timestamp::now()).await,
        Command::Keys(KeysCommand::Rotate(args)) => keys::rotate(&args).await,
        Command::Keys(KeysCommand::Verify(args)) => keys::verify(&args).await,
        Command::Deny(args) => deny::deny(&args, Timestamp::now()).await,
        Command::Journal(JournalCommand::Verify(args)) => verify::verify(&args, Timestamp::now()).await,
        Command::Journal(JournalCommand::Serve(args)) => verify::serve(&args).await,
        Command::Mirror(MirrorCommand::Init(args)) => mirror::init(&args),
        Command::Mirror(MirrorCommand::Run(args)) => mirror::run(&args).await,
        Command::Watch(WatchCommand::Init(args)) => watch::init(&args),
        Command::Watch(WatchCommand::Run(args)) => watch::run(&args).await,
        Command::Watch(WatchCommand::Print(args)) => watch::print(&args),
        Command::Journal(JournalCommand::Tail(args)) => journal::tail(&args).await,
        Command::Journal(JournalCommand::Find(args)) => journal::find(&args),
        Command::Journal(JournalCommand::Index(args)) => journal::index(&args),
        Command::Journal(JournalCommand::WhoSaw(args)) => journal::who_saw(&args).await,
        Command::Journal(JournalCommand::Export(args)) => journal::export(&args),
        Command::Journal(JournalCommand::Prune(args)) => journal::prune(&args, Timestamp::now()).await,
        Command::Journal(JournalCommand::Succeed(args)) => journal::succeed(&args, Timestamp::now()),
        Command::Explain(args) => explain::explain(&args).await,
        Command::Config(ConfigCommand::Check(args)) => roles::check_config(args.part, &args.file),
    }
}
