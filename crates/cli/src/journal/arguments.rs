//! The command line of `drieslot journal`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use drieslot_link::Fingerprint;
use jiff::Timestamp;

use crate::command::RegisterClientArgs;

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
    /// Bring the index of some journals up to date: whom rows were about
    Index(JournalIndexArgs),
    /// Who saw somebody's data, by an index
    WhoSaw(JournalWhoSawArgs),
    /// Write entries with proofs, which verify without the journal
    Export(JournalExportArgs),
    /// Begin the new journal of a stopped part whose key was replaced, or whose journal was lost or damaged
    Succeed(JournalSucceedArgs),
    /// Let entries of a stopped part go that are older than its configuration says
    Prune(JournalPruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct JournalPruneArgs {
    /// Configuration file of a gateway
    #[arg(long, value_name = "FILE", required_unless_present = "custodian", conflicts_with = "custodian")]
    pub(crate) gateway: Option<PathBuf>,
    /// Configuration file of a custodian
    #[arg(long, value_name = "FILE")]
    pub(crate) custodian: Option<PathBuf>,
    /// Keep so many days, and not only as many as the configuration says
    #[arg(long, value_name = "DAYS", conflicts_with = "before")]
    pub(crate) keep_days: Option<u32>,
    /// Let go what is before this entry, a multiple of 256; all of it must be old enough
    #[arg(long, value_name = "INDEX")]
    pub(crate) before: Option<u64>,
    /// Whose decision it is, for the journal
    #[arg(long)]
    pub(crate) who: String,
    /// Why, for the journal
    #[arg(long)]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JournalSucceedArgs {
    /// The new journal's folder; must not be there yet
    pub(crate) folder: PathBuf,
    /// Its name, another than the old one's
    #[arg(long)]
    pub(crate) origin: String,
    /// The key that signs it: the part's new one, or the one that it has
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Why the old journal does not go on
    #[arg(long, value_enum)]
    pub(crate) why: Why,
    /// The old journal's folder, unless it is lost
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: Option<PathBuf>,
    /// File with the old journal's verifier key, `origin+id+key`
    #[arg(long, value_name = "FILE")]
    pub(crate) from_key: PathBuf,
    /// What else is known of the old journal: a mirror's folder, or a file with a signed checkpoint
    #[arg(long, value_name = "PLACE")]
    pub(crate) known: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Why {
    /// The part has a new key; the old folder is all right
    Key,
    /// The old folder is gone
    Lost,
    /// The old folder is not what was signed, or the part refuses it
    Damaged,
}

#[derive(Debug, Args)]
pub(crate) struct JournalVerifyArgs {
    /// The journal's or mirror's folder, or where it is served: http://127.0.0.1:PORT or tls://HOST:PORT. Several folders:
    /// journals that go on from one another
    #[arg(required = true)]
    pub(crate) journal: Vec<String>,
    /// File with the verifier key of its owner, `origin+id+key`; one for each journal
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) key: Vec<PathBuf>,
    /// File with the checkpoint that was seen last: what it names must still be there. Written anew, or made, when all is well
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
    /// Folder with the TLS identity that may read a journal at tls://
    #[arg(long, value_name = "FOLDER", requires = "tls")]
    pub(crate) identity: Option<PathBuf>,
    /// The TLS key that is shown there, sha256:…
    #[arg(long, value_name = "FINGERPRINT", requires = "identity")]
    pub(crate) tls: Option<Fingerprint>,
    #[command(flatten)]
    pub(crate) cosigned: CosignedArgs,
}

/// Whose cosignatures `checkpoint.cosigned` must have; left out, it is not looked at.
#[derive(Debug, Args)]
pub(crate) struct CosignedArgs {
    /// File that names a register: its charter says which witnesses, and how many of them
    #[arg(long, value_name = "FILE", conflicts_with = "witness")]
    pub(crate) register: Option<PathBuf>,
    /// A witness's verifier key, the text in its `witness.vkey`
    #[arg(long, value_name = "KEY", requires = "quorum")]
    pub(crate) witness: Vec<String>,
    /// How many of them must have cosigned
    #[arg(long, value_name = "COUNT", requires = "witness")]
    pub(crate) quorum: Option<usize>,
    /// Fail where they did so longer ago than this
    #[arg(long, value_name = "SECONDS")]
    pub(crate) cosigned_within: Option<u64>,
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
    /// The journal's folder; and those of journals that it goes on from
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
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
pub(crate) struct JournalIndexArgs {
    /// The journals' or mirrors' folders
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// File with the verifier key of each journal
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) key: Vec<PathBuf>,
    /// Folder of the index; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    pub(crate) index: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct JournalWhoSawArgs {
    /// Folder of an index, as `journal index` made it
    #[arg(long, value_name = "FOLDER", requires = "pseudonym", required_unless_present = "server")]
    pub(crate) index: Option<PathBuf>,
    /// With --index: the person's pseudonym, 22 characters, as outcomes have it
    #[arg(long, requires = "index")]
    pub(crate) pseudonym: Option<String>,
    /// HOST:PORT of a usage server; the person is read from standard input
    #[arg(long, value_name = "ADDRESS", requires_all = ["identity", "tls"], conflicts_with = "index")]
    pub(crate) server: Option<String>,
    /// With --server: folder with the TLS identity of a portal that it knows
    #[arg(long, value_name = "FOLDER", requires = "server")]
    pub(crate) identity: Option<PathBuf>,
    /// With --server: its TLS key, sha256:…
    #[arg(long, value_name = "FINGERPRINT", requires = "server")]
    pub(crate) tls: Option<Fingerprint>,
    /// With --server: the realm that the person's number belongs to, where there are several
    #[arg(long, requires = "server")]
    pub(crate) realm: Option<String>,
    /// How many of the newest looks are left out
    #[arg(long, default_value_t = 0)]
    pub(crate) offset: u64,
    /// Most looks that are shown
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// One line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JournalExportArgs {
    /// The journals' folders
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// File with a journal's verifier key; one for each
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) key: Vec<PathBuf>,
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

pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let midnight = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp());
    text.parse()
        .or_else(|_| text.parse().and_then(midnight))
        .map_err(|_| "expected a time such as 2026-01-31T23:59:59Z, or a date such as 2026-01-31".to_owned())
}
