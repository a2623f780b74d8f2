//! The worker's own session at the processor: one statement at a time, each with its answer.

use bytes::{BufMut, Bytes, BytesMut};
use drieslot_wire as wire;

use crate::backend::Connector;
use crate::refusal::Refusal;
use crate::stream::Peer;

/// Everything is named in full; nothing stands in the way of other sessions for long.
const SETTINGS: [&str; 9] = [
    "SET search_path = pg_catalog",
    "SET standard_conforming_strings = on",
    "SET bytea_output = hex",
    // Rows of other owners must not be left out silently.
    "SET row_security = off",
    // In the order of the table's pages, and by place.
    "SET enable_seqscan = off",
    "SET synchronize_seqscans = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET max_parallel_workers_per_gather = 0",
];

/// The rows of an answer, each value as the processor sent it.
pub(super) type Rows = Vec<Vec<Option<Bytes>>>;

/// A session.
pub(super) struct Sql {
    peer: Peer,
}

/// A parameter in binary form.
pub(super) struct Parameter {
    pub(super) oid: u32,
    pub(super) value: Vec<u8>,
}

impl Sql {
    pub(super) async fn connect(connector: &Connector, database: &str) -> Result<Self, Refusal> {
        let settings = [("database", database), ("client_encoding", "UTF8"), ("application_name", "drieslot rotation")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut sql = Self { peer: connector.connect_by_default(&settings).await?.peer };
        for setting in SETTINGS {
            sql.run(setting).await?;
        }
        Ok(sql)
    }

    /// Carries a statement out; how many rows it changed.
    pub(super) async fn run(&mut self, text: &str) -> Result<u64, Refusal> {
        self.ask(text, &[], false).await.map(|(_, changed)| changed)
    }

    /// The same with parameters.
    pub(super) async fn run_with(&mut self, text: &str, parameters: &[Parameter]) -> Result<u64, Refusal> {
        self.ask(text, parameters, false).await.map(|(_, changed)| changed)
    }

    /// Rows whose values come in binary form.
    pub(super) async fn binary(&mut self, text: &str, parameters: &[Parameter]) -> Result<Rows, Refusal> {
        self.ask(text, parameters, true).await.map(|(rows, _)| rows)
    }

    /// Rows of texts.
    pub(super) async fn texts(&mut self, text: &str) -> Result<Vec<Vec<Option<String>>>, Refusal> {
        let (rows, _) = self.ask(text, &[], false).await?;
        let value = |value: Option<Bytes>| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect())
    }

    /// The one number that a query gives.
    pub(super) async fn number(&mut self, text: &str) -> Result<u64, Refusal> {
        let rows = self.texts(text).await?;
        let value = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        value.and_then(|value| value.parse().ok()).ok_or_else(|| Refusal::protocol("no number where one was asked for"))
    }

    async fn ask(&mut self, text: &str, parameters: &[Parameter], binary: bool) -> Result<(Rows, u64), Refusal> {
        let oids: Vec<u32> = parameters.iter().map(|parameter| parameter.oid).collect();
        let out = &mut self.peer.output;
        wire::put_parse(out, "", text, &oids);
        let write = |out: &mut BytesMut| {
            for parameter in parameters {
                out.put_i32(i32::try_from(parameter.value.len()).unwrap_or(i32::MAX));
                out.put_slice(&parameter.value);
            }
        };
        wire::put_bind(out, ("", ""), &[1], parameters.len(), write, &[i16::from(binary)]);
        wire::put_execute(out, "", 0);
        wire::sync(out);
        let lost = |error: std::io::Error| unreachable(&error);
        self.peer.flush().await.map_err(lost)?;
        let (mut rows, mut changed, mut failed) = (Vec::new(), 0, None);
        loop {
            let (tag, body) = self.peer.any_message().await.map_err(lost)?;
            match tag {
                b'D' => rows.push(read_row(&body).map_err(Refusal::protocol)?),
                b'C' => {
                    let tag = wire::command_tag(&body).map_err(Refusal::protocol)?;
                    changed = tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
                }
                b'E' => failed = Some(processor_error(&body)),
                b'Z' => return failed.map_or(Ok((rows, changed)), Err),
                b'1' | b'2' | b'n' | b'N' | b'S' | b'A' | b'T' | b's' => {}
                other => {
                    return Err(Refusal::protocol(format_args!("processor sent {:?}", char::from(other))));
                }
            }
        }
    }

    pub(super) async fn close(self) {
        self.peer.close().await;
    }
}

fn unreachable(error: &std::io::Error) -> Refusal {
    Refusal::new("08006", "the connection to the processor's PostgreSQL was lost").detail(error.to_string())
}

fn read_row(body: &Bytes) -> Result<Vec<Option<Bytes>>, wire::WireError> {
    let mut row = wire::DataRow::read(body)?;
    let mut values = Vec::with_capacity(row.left());
    while row.left() > 0 {
        values.push(row.field()?.map(|value| body.slice_ref(value)));
    }
    row.finish()?;
    Ok(values)
}

/// The processor's words, without its detail, which may quote a row.
fn processor_error(body: &[u8]) -> Refusal {
    let field = |code| wire::error_field(body, code).unwrap_or_default();
    let code = field(b'C');
    let known = KNOWN.iter().find(|known| **known == code).copied().unwrap_or("58000");
    Refusal::new(known, format!("the processor says: {} ({code})", field(b'M')))
}

/// Codes that the worker does something about.
const KNOWN: [&str; 4] = [LOCK_NOT_AVAILABLE, DEADLOCK, PRIVILEGE, SERIALIZATION];
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
pub(super) const DEADLOCK: &str = "40P01";
pub(super) const PRIVILEGE: &str = "42501";
pub(super) const SERIALIZATION: &str = "40001";
