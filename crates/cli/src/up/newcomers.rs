//! Brings the made-up newcomers in, as their application would: tables, COPY, INSERT.

use anyhow::Result;
use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::Client;

use crate::application::refused;
use crate::sample::{Permit, Sample, TABLES};

const ROWS_PER_INSERT: usize = 100;
const COPY_PIECE_BYTES: usize = 64 << 10;

/// Columns whose names do not tell that they are sensitive.
pub(crate) const ALSO_SEALED: [(&str, &str); 4] = [
    ("course_results", "score"),
    ("course_results", "passed"),
    ("residence_permits", "kind"),
    ("residence_permits", "valid_until"),
];

/// Makes the tables and loads all rows.
pub(crate) async fn load(session: &Client, sample: &Sample) -> Result<()> {
    for table in TABLES {
        session.simple_query(table).await.map_err(|error| refused(&error))?;
    }
    copy(session, "COPY newcomers FROM STDIN", sample.newcomers.iter().map(crate::sample::Newcomer::copy_line)).await?;
    copy(session, "COPY course_results FROM STDIN", sample.results.iter().map(crate::sample::Result::copy_line))
        .await?;
    for permits in sample.permits.chunks(ROWS_PER_INSERT) {
        let rows: Vec<String> = permits.iter().map(row).collect();
        let columns = "permit_id, national_number, kind, valid_until";
        let insert = format!("INSERT INTO residence_permits ({columns}) VALUES {}", rows.join(", "));
        session.simple_query(&insert).await.map_err(|error| refused(&error))?;
    }
    Ok(())
}

fn row(permit: &Permit) -> String {
    let (id, number, kind, until) =
        (permit.id, &permit.national_number, permit.kind.replace('\'', "''"), permit.valid_until);
    format!("({id}, '{number}', '{kind}', '{until}')")
}

async fn copy(session: &Client, sql: &str, lines: impl Iterator<Item = String>) -> Result<()> {
    let sink = session.copy_in::<_, Bytes>(sql).await.map_err(|error| refused(&error))?;
    let mut sink = std::pin::pin!(sink);
    let mut piece = String::new();
    for line in lines {
        piece.push_str(&line);
        if piece.len() >= COPY_PIECE_BYTES {
            sink.send(std::mem::take(&mut piece).into()).await.map_err(|error| refused(&error))?;
        }
    }
    sink.send(piece.into()).await.map_err(|error| refused(&error))?;
    sink.finish().await.map_err(|error| refused(&error))?;
    Ok(())
}
