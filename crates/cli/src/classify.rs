//! `drieslot classify suggest`: looks at a running database, and at an application's statements, and writes a
//! classification for the officers to read, change and sign. It changes nothing, and prints no value.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_schema::TableId;
use jiff::{Timestamp, Zoned};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::application::{connector, refused};
use crate::command::ClassifySuggestArgs;
use crate::failure::failure;
use crate::files;
use crate::suggest::queries::Queries;
use crate::suggest::text::{Head, text};
use crate::suggest::{Evidence, Tables, content, suggest_by};
use crate::writing::check_size;

/// Tables, their constraints and their indexes, as the statements that would make them.
const DEFINITIONS: &str = "
SELECT format('CREATE TABLE %I.%I (%s)', n.nspname, c.relname,
              string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
GROUP BY n.nspname, c.relname
UNION ALL
SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('p', 'u', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'";

/// Runs the command.
pub(crate) async fn suggest(args: &ClassifySuggestArgs) -> Result<()> {
    let config: Config = args.url.parse().map_err(|error: tokio_postgres::Error| {
        failure(format!("--url: {error}"), "write postgresql://ROLE@HOST:PORT/DATABASE, or host=… user=… dbname=…")
    })?;
    let database = config.get_dbname().unwrap_or("postgres").to_owned();
    let client = connect(config, args).await?;
    // One view of everything, which cannot change anything.
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog").await?;
    let tables = tables(&client).await?;
    let mut evidence = Evidence::default();
    let mut rests_on = format!("the names of {} tables, samples of at most {} rows of each", tables.len(), args.sample);
    for table in tables.names() {
        look(&client, &tables, table, args.sample, &mut evidence).await?;
    }
    if let Some(path) = &args.statements {
        evidence.queries = Queries::of(&files::read(path)?, &tables);
        let (read, skipped) = (evidence.queries.read, evidence.queries.skipped);
        let and = format!(" and {read} statements of the application ({skipped} could not be read)");
        rests_on.push_str(&and);
    }
    let suggestion = suggest_by(&tables, &evidence);
    let head = Head { tenant: &args.tenant, id: &args.id, database: &database, issued: Timestamp::now(), rests_on };
    let text = text(&suggestion, &head)?;
    check_size(&text, Timestamp::now())?;
    match &args.out {
        Some(path) => files::write(path, &text),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

/// Over TLS that is checked against `--root`, or over a socket on this machine; never otherwise.
async fn connect(mut config: Config, args: &ClassifySuggestArgs) -> Result<Client> {
    if config.get_password().is_some() {
        return Err(failure("--url holds a password, which others can see", "name a file with --password-file"));
    }
    if let Some(path) = &args.password_file {
        config.password(files::read(path)?.trim());
    }
    config.application_name("drieslot classify");
    let session = match (config.get_hosts(), &args.root) {
        ([Host::Unix(_)], _) => {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(|error| refused(&error))?;
            tokio::spawn(connection);
            client
        }
        ([Host::Tcp(host)], Some(root)) => over_tls(config.clone(), host, root).await?,
        _ => {
            let hint =
                "name the certificate that signs the server's with --root, or reach it over its socket: host=/folder";
            return Err(failure("the server cannot be checked", hint));
        }
    };
    Ok(session)
}

async fn over_tls(mut config: Config, host: &str, root: &Path) -> Result<Client> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    config.ssl_mode(SslMode::Require);
    let stream = tokio::net::TcpStream::connect((host, port)).await.context("the server does not answer")?;
    let connected = config.connect_raw(stream, connector(root, host)?).await;
    let (client, connection) = connected.map_err(|error| refused(&error))?;
    tokio::spawn(connection);
    Ok(client)
}

async fn tables(client: &Client) -> Result<Tables> {
    let mut tables = Tables::default();
    for row in client.query(DEFINITIONS, &[]).await.context("the catalogue cannot be read")? {
        tables.read(row.try_get(0)?)?;
    }
    if tables.len() == 0 {
        return Err(failure("the role sees no table in this database", "name another database or role in --url"));
    }
    Ok(tables)
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Samples one table, and notes what its columns show.
async fn look(client: &Client, tables: &Tables, id: &TableId, rows: u32, evidence: &mut Evidence) -> Result<()> {
    let columns = tables.legible(id);
    if columns.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = columns.iter().map(|(name, _)| format!("{}::text", identifier(name))).collect();
    let table = format!("{}.{}", identifier(&id.schema), identifier(&id.table));
    let sql = format!("SELECT {} FROM {table} LIMIT {rows}", list.join(", "));
    let allowed = "SELECT has_table_privilege($1, 'SELECT')";
    if !client.query_one(allowed, &[&table]).await?.try_get::<_, bool>(0)? {
        return Ok(());
    }
    let mut values: Vec<Vec<String>> = vec![Vec::new(); columns.len()];
    let answered = client.simple_query(&sql).await.map_err(|error| refused(&error));
    for message in answered.with_context(|| format!("{id} cannot be sampled"))? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        for (at, values) in values.iter_mut().enumerate() {
            values.extend(row.get(at).map(str::to_owned));
        }
    }
    let today = Zoned::now().date().to_string();
    for ((name, is_day), values) in columns.iter().zip(&values) {
        let found = if *is_day { content::are_birthdays(values, &today) } else { content::look(values) };
        if let Some(finding) = found {
            evidence.findings.insert((id.clone(), name.clone()), finding);
        }
    }
    Ok(())
}
