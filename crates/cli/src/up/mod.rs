//! `drieslot up`: all parts on this machine, for trying out.
//!
//! Owns the order in which a trial is made, loaded, shown and stopped. It says loudly what a trial is not: all three
//! keys are on one machine.

mod folder;
mod newcomers;
mod officers;
mod parts;
mod running;
pub(crate) mod screen;
mod setup;
mod statements;
mod tour;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use drieslot_register::statement::{Classification, ProtectionWord};
use jiff::Timestamp;

use crate::application::Application;
use crate::command::UpArgs;
use crate::failure::failure;
use crate::processor::{Binaries, Processor};
use crate::serve::Stop;
use crate::suggest::{Suggestion, Tables, suggest};
use crate::{files, load, sample};
use folder::{DEFAULT_PORT, Folder, Found, Part, Trial};
use running::{Running, part_folder};
use tour::Tour;

const NEWCOMERS: u32 = 10_000;
const GATEWAY_WITHIN: Duration = Duration::from_secs(20);

/// What is to be brought in.
struct Source {
    database: String,
    /// Made at the processor before anything is loaded.
    new_database: bool,
    /// Where the first session goes.
    first_database: String,
    classification: Classification,
    statements: u64,
}

/// Runs it until the tour is over (`--once`), Ctrl-C, SIGTERM, or the failure of a part.
pub(crate) async fn up(args: &UpArgs) -> Result<()> {
    running::refuse_root()?;
    let mut stop = Stop::listen()?;
    let mut running = Running::default();
    let outcome = tokio::select! {
        done = run(args, &mut running) => done,
        () = stop.asked() => Ok(()),
    };
    if !running.is_empty() {
        println!("\nstopping all parts");
    }
    let stopped = running.stop().await;
    outcome.and(stopped)
}

async fn run(args: &UpArgs, running: &mut Running) -> Result<()> {
    let path_variable = std::env::var("PATH").unwrap_or_default();
    let binaries = Binaries::find(args.postgres_bin.as_deref(), &path_variable).await?;
    let now = Timestamp::now();
    let (folder, trial, classification) = match Folder::open(&args.data)? {
        (folder, Found::Trial(trial)) => resume(args, folder, trial, binaries.clone(), running).await?,
        (folder, Found::Nothing) => create(args, folder, binaries.clone(), running, now).await?,
    };
    let processor = processor(&folder, &trial, binaries);
    let application = parts::application(&folder, &trial);
    let classification = created(&classification, &application).await?;
    show(&folder, &trial, &processor, &application, &classification, running).await?;
    if args.once {
        return Ok(());
    }
    println!("\nEverything stays up until Ctrl-C.");
    Err(running.any_ended().await)
}

const WARNING: &str = "
┌──────────────────────────────────────────────────────────────────────────────────────────────────┐
│  THIS IS A TRIAL. All three keys, all officers, the gateway and the processor are on this one    │
│  machine, under one user, who can therefore read everything. Do not put real personal data here. │
└──────────────────────────────────────────────────────────────────────────────────────────────────┘";

fn processor(folder: &Folder, trial: &Trial, binaries: Binaries) -> Processor {
    Processor { folder: folder.at(part_folder(Part::Processor)), port: trial.address(Part::Processor).port(), binaries }
}

async fn resume(
    args: &UpArgs,
    folder: Folder,
    trial: Trial,
    binaries: Binaries,
    running: &mut Running,
) -> Result<(Folder, Trial, Classification)> {
    let holds = trial.dump.as_deref().unwrap_or("the made-up newcomers");
    if args.load.is_some() {
        let what = format!("{} already holds {holds}", folder.root.display());
        return Err(failure(what, "leave --load out to resume it, or name another folder with --data"));
    }
    if args.port.is_some_and(|port| port != trial.port) {
        let what = format!(
            "{} was made with port {}, which its parts and its clients know",
            folder.root.display(),
            trial.port
        );
        return Err(failure(what, "leave --port out, or name another folder with --data"));
    }
    let processor = processor(&folder, &trial, binaries);
    processor.stop_left_over().await?;
    folder::ports_free(trial.port)?;
    println!("{WARNING}");
    step(&format!("resuming {} ({holds})", folder.root.display()));
    setup::resume(&folder, &trial, &processor, running).await?;
    wait_for_gateway(&parts::application(&folder, &trial)).await?;
    let classification = setup::classification(&folder, &trial)?;
    Ok((folder, trial, classification))
}

async fn create(
    args: &UpArgs,
    folder: Folder,
    binaries: Binaries,
    running: &mut Running,
    now: Timestamp,
) -> Result<(Folder, Trial, Classification)> {
    let port = args.port.unwrap_or(DEFAULT_PORT);
    folder::ports_free(port)?;
    let source = source(args, now)?;
    let dump = args.load.as_ref().map(|path| path.display().to_string());
    let mut trial = Trial::new(port, source.database.clone(), dump);
    let processor = processor(&folder, &trial, binaries);
    println!("{WARNING}");
    step(&format!(
        "a new trial in {}: PostgreSQL {} as the processor, a register,",
        folder.root.display(),
        processor.binaries.version()
    ));
    println!("  three custodians as three processes with three secrets, a gateway; three officers and a head sign");
    let started = Instant::now();
    let new = source.new_database;
    setup::create(&folder, &trial, &processor, &source.classification, running, new, now).await?;
    let application = parts::application(&folder, &trial);
    wait_for_gateway(&application).await?;
    step(&format!("all parts run ({:.1} s)", started.elapsed().as_secs_f32()));
    for line in screen::wrapped(&format!("process ids: {}", running.process_ids()), screen::WIDTH - 2) {
        println!("  {line}");
    }
    folder.remember(&trial)?;
    bring_in(args, &source, &application).await?;
    trial.loaded = true;
    folder.remember(&trial)?;
    Ok((folder, trial, source.classification))
}

/// Surveys what is to be brought in and classifies it. Nothing runs yet.
fn source(args: &UpArgs, now: Timestamp) -> Result<Source> {
    let Some(path) = &args.load else {
        let mut tables = Tables::default();
        for sql in sample::TABLES {
            tables.read(sql)?;
        }
        let mut suggestion = suggest(&tables);
        suggestion.also_seal(&tables, &newcomers::ALSO_SEALED);
        let classification = statements::classification(&suggestion, "newcomers", now);
        let database = "newcomers".to_owned();
        return Ok(Source {
            first_database: database.clone(),
            database,
            new_database: true,
            classification,
            statements: 0,
        });
    };
    let survey = load::survey(path)?;
    let database = survey.database.clone().unwrap_or_else(|| database_name(path));
    let suggestion = suggest(&survey.tables);
    let classification = match &args.classification {
        None => statements::classification(&suggestion, &database, now),
        Some(file) => statements::read_classification(&files::read(file)?, &database)
            .with_context(|| file.display().to_string())?,
    };
    print_classification(&classification, args.classification.is_none().then_some(&suggestion));
    Ok(Source {
        first_database: if survey.database.is_some() { "postgres".to_owned() } else { database.clone() },
        database,
        new_database: !(survey.database.is_some() && survey.creates_database),
        classification,
        statements: survey.statements,
    })
}

/// `…/Northwind-2.sql` goes to the database `northwind_2`.
fn database_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("db_{name}") }
}

fn print_classification(classification: &Classification, suggestion: Option<&Suggestion>) {
    let how =
        if suggestion.is_some() { "suggested by column names; change it with --classification" } else { "as given" };
    screen::heading(&format!("Classification ({how})"));
    for table in &classification.table {
        let of = |wanted| {
            let columns = table.column.iter().filter(move |column| column.protection == wanted);
            columns.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        for (word, protection) in [("sealed", ProtectionWord::Sealed), ("exact", ProtectionWord::Exact)] {
            if !of(protection).is_empty() {
                println!(
                    "  {} {word}: {}",
                    screen::cell(&format!("{}.{}", table.schema, table.name), 26),
                    of(protection)
                );
            }
        }
    }
    for note in suggestion.map(|suggestion| suggestion.left_plain.as_slice()).unwrap_or_default() {
        println!("  ATTENTION, stays readable at the processor: {note}");
    }
}

async fn wait_for_gateway(application: &Application) -> Result<()> {
    let started = Instant::now();
    loop {
        match application.connect("postgres").await {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() > GATEWAY_WITHIN => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn bring_in(args: &UpArgs, source: &Source, application: &Application) -> Result<()> {
    let started = Instant::now();
    match &args.load {
        Some(path) => {
            step(&format!("loading {} through the gateway", path.display()));
            load::load(path, application, &source.first_database, source.statements).await?;
        }
        None => {
            step(&format!("loading {NEWCOMERS} made-up newcomers through the gateway (COPY and INSERT)"));
            let session = application.connect(&source.database).await?;
            newcomers::load(&session, &sample::generate(NEWCOMERS)).await?;
        }
    }
    step(&format!("loaded ({:.1} s)", started.elapsed().as_secs_f32()));
    print_rows(source, application).await
}

/// The classification of the tables that exist; others may be created later.
async fn created(classification: &Classification, application: &Application) -> Result<Classification> {
    let session = application.connect(&classification.database).await?;
    let mut created = Classification { table: Vec::new(), ..classification.clone() };
    for table in &classification.table {
        let name = tour::qualified(table).replace('\'', "''");
        if tour::count(&session, &format!("SELECT count(to_regclass('{name}'))")).await? > 0 {
            created.table.push(table.clone());
        }
    }
    Ok(created)
}

async fn print_rows(source: &Source, application: &Application) -> Result<()> {
    let session = application.connect(&source.database).await?;
    let mut rows = Vec::new();
    for table in &created(&source.classification, application).await?.table {
        let count = tour::count(&session, &format!("SELECT count(*) FROM {}", tour::qualified(table))).await?;
        let protected = table.column.iter().filter(|column| column.protection != ProtectionWord::Plain);
        let protected: Vec<&str> = protected.map(|column| column.name.as_str()).collect();
        rows.push(vec![format!("{}.{}", table.schema, table.name), count.to_string(), protected.join(", ")]);
    }
    screen::table(&["table", "rows", "protected columns"], &[30, 8], &rows);
    Ok(())
}

async fn show(
    folder: &Folder,
    trial: &Trial,
    processor: &Processor,
    application: &Application,
    classification: &Classification,
    running: &mut Running,
) -> Result<()> {
    let gateway_journal = folder.at(part_folder(Part::Gateway)).join("journal");
    let tour = Tour { application, processor, classification, gateway_journal: &gateway_journal };
    tour.same_row().await?;
    tour.refused_query().await?;
    if trial.dump.is_none() {
        tour.join(NEWCOMERS).await?;
    }
    tour::signatures(folder).await?;
    tour.trace()?;
    one_custodian_stops(folder, trial, &tour, running).await?;
    print_connection(folder, trial, application);
    Ok(())
}

/// A running gateway keeps its keys until their lease ends; one that starts now has none, and so shows it at once.
async fn one_custodian_stops(folder: &Folder, trial: &Trial, tour: &Tour<'_>, running: &mut Running) -> Result<()> {
    screen::heading("One custodian stops");
    println!("  stopped: the custodian of access; restarted: the gateway (a running one has its keys for one lease)");
    running.stop_part(Part::Access).await?;
    running.stop_part(Part::Gateway).await?;
    running.start(Part::Gateway, folder, trial).await?;
    wait_for_gateway(tour.application).await?;
    match tour.look().await {
        Ok(()) => anyhow::bail!("the gateway read a protected value although one custodian is stopped"),
        Err(error) => tour::print_indented(&crate::failure::report(&error)),
    }
    running.start(Part::Access, folder, trial).await?;
    let started = Instant::now();
    while let Err(error) = tour.look().await {
        if started.elapsed() > GATEWAY_WITHIN {
            return Err(error.context("the custodian of access runs again, but the gateway still gets no key"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("  started again: the custodian of access. The same query answers.");
    Ok(())
}

fn print_connection(folder: &Folder, trial: &Trial, application: &Application) {
    screen::heading("Yours");
    let pgpass = folder.at("application").join("pgpass");
    println!("  PGPASSFILE={} psql \"{}\"", pgpass.display(), application.connection_string(&trial.database));
    let program = std::env::current_exe().map_or("drieslot".to_owned(), |path| path.display().to_string());
    println!("  {program} access app --register {}", folder.at("officers").join("register.toml").display());
    let gateway = folder.at(part_folder(Part::Gateway));
    println!(
        "  {program} journal verify {} --key {}",
        gateway.join("journal").display(),
        gateway.join("journal.vkey").display()
    );
}

fn step(text: &str) {
    println!("» {text}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_dump_goes_to_a_database_of_its_name() {
        for (path, name) in
            [("/x/northwind.sql", "northwind"), ("Our Dump-2.sql", "our_dump_2"), ("2024.sql", "db_2024")]
        {
            assert_eq!(super::database_name(Path::new(path)), name);
        }
    }
}
