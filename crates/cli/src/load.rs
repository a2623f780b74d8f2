//! Brings a plain SQL dump in through the gateway, as psql would, and says where it stopped.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::SinkExt;
use pg_query::NodeEnum;
use tokio_postgres::Client;

use crate::application::{Application, refused};
use crate::dump::{Item, Reader};
use crate::failure::failure;
use crate::suggest::Tables;

/// COPY data is sent in pieces of about this size.
const COPY_PIECE_BYTES: usize = 64 << 10;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What a first reading of a dump says, before anything is loaded.
pub(crate) struct Survey {
    /// The tables that it creates.
    pub(crate) tables: Tables,
    /// The database that they are created in, where the dump connects to one.
    pub(crate) database: Option<String>,
    /// Whether the dump makes that database itself.
    pub(crate) creates_database: bool,
    /// How many statements there are.
    pub(crate) statements: u64,
}

/// Reads the whole dump once.
pub(crate) fn survey(path: &Path) -> Result<Survey> {
    let mut reader = open(path)?;
    let mut survey = Survey { tables: Tables::default(), database: None, creates_database: false, statements: 0 };
    let mut connected = None;
    let mut home: Option<Option<String>> = None;
    while let Some(item) = reader.next_item().with_context(|| path.display().to_string())? {
        match item {
            Item::Connect { database, .. } => connected = Some(database),
            Item::Statement { sql, line } => {
                survey.statements += 1;
                survey.creates_database |=
                    sql.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("create database"));
                let created = survey.tables.read(&sql).with_context(|| at(path, line))?;
                if created && *home.get_or_insert_with(|| connected.clone()) != connected {
                    let what = format!("{}: tables in more than one database", at(path, line));
                    return Err(failure(
                        what,
                        "split the dump: one file for each database, each with its own data folder",
                    ));
                }
                if is_copy_in(&sql) {
                    while reader.copy_line(line).with_context(|| path.display().to_string())?.is_some() {}
                }
            }
        }
    }
    survey.database = home.flatten();
    Ok(survey)
}

/// Runs every statement through the gateway. Stops at the first error, naming file and line.
pub(crate) async fn load(path: &Path, application: &Application, first_database: &str, statements: u64) -> Result<()> {
    let mut reader = open(path)?;
    let mut session = application.connect(first_database).await?;
    let mut progress = Progress::new(statements);
    while let Some(item) = reader.next_item().with_context(|| path.display().to_string())? {
        match item {
            Item::Connect { database, line } => {
                session = application.connect(&database).await.with_context(|| at(path, line))?;
            }
            Item::Statement { sql, line } => {
                refuse_old_strings(&sql).with_context(|| at(path, line))?;
                if is_copy_in(&sql) {
                    copy(&session, &sql, line, &mut reader).await.with_context(|| at(path, line))?;
                } else {
                    let done = session.simple_query(&sql).await;
                    done.map_err(|error| refused(&error)).with_context(|| at(path, line))?;
                }
                progress.one_more();
            }
        }
    }
    Ok(())
}

async fn copy(session: &Client, sql: &str, line: u64, reader: &mut Reader<BufReader<File>>) -> Result<()> {
    let sink = session.copy_in::<_, Bytes>(sql).await.map_err(|error| refused(&error))?;
    let mut sink = std::pin::pin!(sink);
    let mut piece = Vec::new();
    while let Some(data) = reader.copy_line(line)? {
        piece.extend_from_slice(&data);
        if piece.len() >= COPY_PIECE_BYTES {
            sink.send(std::mem::take(&mut piece).into()).await.map_err(|error| refused(&error))?;
        }
    }
    sink.send(piece.into()).await.map_err(|error| refused(&error))?;
    sink.finish().await.map_err(|error| refused(&error))?;
    Ok(())
}

fn open(path: &Path) -> Result<Reader<BufReader<File>>> {
    let file = File::open(path);
    let file = file.map_err(|error| {
        failure(format!("{}: {error}", path.display()), "name a plain SQL dump (pg_dump without --format)")
    })?;
    Ok(Reader::new(BufReader::with_capacity(1 << 20, file)))
}

fn at(path: &Path, line: u64) -> String {
    format!("{}:{line}", path.display())
}

/// `COPY … FROM stdin`: its data follows in the file.
fn is_copy_in(sql: &str) -> bool {
    if !sql.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("copy")) {
        return false;
    }
    let Ok(parsed) = pg_query::parse(sql, 0) else {
        return false;
    };
    let node = parsed.protobuf.stmts.into_iter().next().and_then(|statement| statement.stmt).and_then(|node| node.node);
    if let Some(NodeEnum::CopyStmt(copy)) = node {
        copy.is_from && copy.filename.is_empty() && !copy.is_program
    } else {
        false
    }
}

/// With this setting off, `'…\'…'` would mean something else than how it was split.
fn refuse_old_strings(sql: &str) -> Result<()> {
    let words: Vec<String> =
        sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).map(str::to_ascii_lowercase).collect();
    let off = words.iter().any(|word| matches!(word.as_str(), "off" | "false" | "no" | "0"));
    if words.first().is_some_and(|word| word == "set")
        && words.iter().any(|word| word == "standard_conforming_strings")
        && off
    {
        let hint = "dump again with a pg_dump of this century, which writes standard strings";
        return Err(failure("the dump turns standard_conforming_strings off", hint));
    }
    Ok(())
}

struct Progress {
    total: u64,
    done: u64,
    last: Instant,
}

impl Progress {
    fn new(total: u64) -> Self {
        Self { total, done: 0, last: Instant::now() }
    }

    fn one_more(&mut self) {
        self.done += 1;
        if self.last.elapsed() >= PROGRESS_EVERY {
            self.last = Instant::now();
            println!("  {} of {} statements", self.done, self.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_copy_in, refuse_old_strings, survey};

    #[test]
    fn only_copy_from_stdin_is_followed_by_data() {
        for sql in ["COPY t (a, b) FROM stdin", "copy public.t from STDIN with (format csv)"] {
            assert!(is_copy_in(sql), "{sql}");
        }
        for sql in [
            "COPY t TO stdout",
            "COPY t FROM '/tmp/stdin'",
            "COPY t FROM PROGRAM 'stdin'",
            "copyright",
            "COPY (select 1) TO stdout",
        ] {
            assert!(!is_copy_in(sql), "{sql}");
        }
    }

    #[test]
    fn old_strings_are_refused() {
        assert!(refuse_old_strings("SET standard_conforming_strings = on").is_ok());
        assert!(refuse_old_strings("SET standard_conforming_strings TO 'off'").is_err());
    }

    #[test]
    fn the_survey_tells_where_the_tables_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d.sql");
        std::fs::write(
            &file,
            "CREATE DATABASE x;\n\\c x\nCREATE TABLE t (a int);\nCOPY t FROM stdin;\n1;'\n\\.\nSELECT 1;\n",
        )
        .unwrap();
        let found = survey(&file).unwrap();
        assert_eq!((found.database.as_deref(), found.statements), (Some("x"), 4));
        assert_eq!(found.tables.len(), 1);
        std::fs::write(&file, "CREATE TABLE a (a int);\n\\c x\nCREATE TABLE t (a int);\n").unwrap();
        assert!(survey(&file).err().unwrap().to_string().contains(":3: tables in more than one database"));
        assert!(survey(Path::new("/nonexistent.sql")).is_err());
    }

    /// Dumps that others made; their folder is named by DRIESLOT_TEST_DUMPS.
    #[test]
    fn real_dumps_are_split_and_classified() {
        let Some(folder) = std::env::var_os("DRIESLOT_TEST_DUMPS") else {
            eprintln!("SKIPPED: DRIESLOT_TEST_DUMPS does not name a folder with northwind.sql and chinook.sql");
            return;
        };
        let folder = Path::new(&folder);
        for (name, database, tables, protected) in
            [("northwind.sql", None, 14, 22), ("chinook.sql", Some("chinook"), 11, 17)]
        {
            let found = survey(&folder.join(name)).unwrap();
            let suggestion = crate::suggest::suggest(&found.tables);
            let columns = suggestion.tables.iter().flat_map(|table| &table.columns);
            assert_eq!(found.database.as_deref(), database);
            assert_eq!(found.tables.len(), tables);
            let names: Vec<_> =
                columns.filter(|column| column.protected.is_some()).map(|column| &column.name).collect();
            assert_eq!(names.len(), protected, "{names:?}");
        }
    }
}
