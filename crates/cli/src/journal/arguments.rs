//! The command line of `drieslot journal`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use drieslot_link::Fingerprint;
use jiff::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Recompute every leaf and tile, and check the checkpoint
    Verify(JournalVerifyArgs),
    /// Serve the journal or mirror in a folder to tlog-tiles clients on this machine, until Ctrl-C
    Serve(JournalServeArgs),
    /// The last entries
    Tail(JournalTailArgs),
    /// Looks and other entries, of several journals, by time
    Find(JournalFindArgs),
    /// Write entries with proofs, which verify without the journal
    Export(JournalExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct JournalVerifyArgs {
    /// The journal's or mirror's folder, or where it is served: http://127.0.0.1:PORT or tls://HOST:PORT
    pub(crate) journal: String,
    /// File with the verifier key of its owner, `origin+id+key`
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// File with the checkpoint that was seen last: what it names must still be there. Written anew, or made, when all is well
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
    /// Folder with the TLS identity that may read a journal at tls://
    #[arg(long, value_name = "FOLDER", requires = "tls")]
    pub(crate) identity: Option<PathBuf>,
    /// The TLS key that is shown there, sha256:…
    #[arg(long, value_name = "FINGERPRINT", requires = "identity")]
    pub(crate) tls: Option<Fingerprint>,
}

#[derive(Debug, Args)]
pub(crate) struct JournalServeArgs {
    /// The journal's or mirror's folder
    pub(crate) folder: PathBuf,
    /// A loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7380")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct JournalTailArgs {
    /// The journal's folder
    pub(crate) folder: PathBuf,
    /// How many
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) lines: u64,
    /// Then those that come, until Ctrl-C
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// One line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JournalFindArgs {
    /// The journals' folders
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// File with a journal's verifier key: with one for each journal they are verified first
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// One line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JournalExportArgs {
    /// The journal's folder
    pub(crate) folder: PathBuf,
    /// File with its verifier key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// New folder for the files
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Of a flag that is given several times one value must fit; all flags must.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// A database role
    #[arg(long)]
    pub(crate) principal: Vec<String>,
    /// The name of an end user
    #[arg(long)]
    pub(crate) end_user: Vec<String>,
    /// A column: `schema.table.column`, or the end of it
    #[arg(long)]
    pub(crate) column: Vec<String>,
    /// A table: `schema.table`, or the end of it
    #[arg(long)]
    pub(crate) table: Vec<String>,
    /// A purpose
    #[arg(long)]
    pub(crate) purpose: Vec<String>,
    /// The id of a mandate
    #[arg(long)]
    pub(crate) mandate: Vec<String>,
    /// A kind of entry, such as intent (a look), refused, alarm, share
    #[arg(long)]
    pub(crate) kind: Vec<String>,
    /// A session
    #[arg(long)]
    pub(crate) session: Vec<String>,
    /// Not before: RFC 3339, or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Before: RFC 3339, or a date in UTC
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// What was refused
    #[arg(long)]
    pub(crate) refused: bool,
}

impl FilterArgs {
    pub(crate) fn to_filter(&self) -> drieslot_audit::Filter {
        drieslot_audit::Filter {
            principal: self.principal.clone(),
            end_user: self.end_user.clone(),
            column: self.column.clone(),
            table: self.table.clone(),
            purpose: self.purpose.clone(),
            mandate: self.mandate.clone(),
            session: self.session.clone(),
            kind: self.kind.clone(),
            since: self.since,
            until: self.until,
            refused: self.refused,
        }
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let midnight = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp());
    text.parse()
        .or_else(|_| text.parse().and_then(midnight))
        .map_err(|_| "expected a time such as 2026-01-31T23:59:59Z, or a date such as 2026-01-31".to_owned())
}
