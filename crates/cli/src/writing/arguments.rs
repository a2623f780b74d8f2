//! The flags of `… new`. All may be left out on a terminal.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::command::RegisterClientArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum MandateCommand {
    /// Write one from answers or flags, and show what it changes
    New(MandateNewArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfficersCommand {
    /// Write a change of one function's officers from answers or flags
    New(OfficersNewArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CharterCommand {
    /// Write the first statement of a register from answers or flags
    New(CharterNewArgs),
    /// Write the one that takes the place of the charter in force, and show what it changes
    Next(CharterNextArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MandateNewArgs {
    /// A short name of its own
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The database role
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// The database
    #[arg(long)]
    pub(crate) database: Option<String>,
    /// One of the charter's purposes
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// The law or agreement it rests on
    #[arg(long)]
    pub(crate) legal_basis: Option<String>,
    /// From when, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) valid_from: Option<String>,
    /// Until when, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) valid_until: Option<String>,
    /// What is granted; columns may be `*`, all protected ones
    #[arg(long, value_name = "TABLE:COLUMN,…:OPERATION,…[:MASK]")]
    pub(crate) grant: Vec<String>,
    /// The mandate in force that ends when this one takes effect
    #[arg(long, value_name = "ID")]
    pub(crate) replaces: Option<String>,
    /// Most rows that one statement may touch
    #[arg(long, value_name = "N")]
    pub(crate) rows_per_statement: Option<String>,
    /// Who asked for it, and so may not approve it
    #[arg(long, value_name = "NAME")]
    pub(crate) requester: Option<String>,
    /// When it holds within that time, such as "Europe/Brussels monday,friday 08:00-18:00"
    #[arg(long, value_name = "ZONE DAY,… FROM-UNTIL")]
    pub(crate) hours: Vec<String>,
    /// What must be known of the person whom the application acts for: none, asserted or verified
    #[arg(long)]
    pub(crate) end_user: Option<String>,
    /// What a verified end user's token must say
    #[arg(long, value_name = "ISSUER CLAIM VALUE,…")]
    pub(crate) end_user_claim: Vec<String>,
    /// The legal order that keeps what is looked at secret for a time
    #[arg(long, value_name = "ID", requires = "disclose_after")]
    pub(crate) order: Option<String>,
    /// When those concerned are told of it, such as 2027-01-05T00:00:00Z; no later than the order says
    #[arg(long, value_name = "TIME", requires = "order")]
    pub(crate) disclose_after: Option<String>,
    /// Where to write it; must not be there [default: ID.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OfficersNewArgs {
    /// A short name of its own
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Whose officers change: structure, access or keys
    #[arg(long)]
    pub(crate) function: Option<String>,
    /// Why, for everybody to read
    #[arg(long)]
    pub(crate) why: Option<String>,
    /// Who goes
    #[arg(long, value_name = "NAME")]
    pub(crate) remove: Vec<String>,
    /// Who comes, or gets a new key where they are removed too; KEY is an SSH public key or the file of one
    #[arg(long, value_name = "NAME=KEY")]
    pub(crate) add: Vec<String>,
    /// Where to write it; must not be there [default: ID.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CharterNewArgs {
    /// The controller's name
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// A purpose that mandates may have
    #[arg(long)]
    pub(crate) purpose: Vec<String>,
    /// The head of the agency; KEY is an SSH public key or the file of one
    #[arg(long, value_name = "NAME=KEY")]
    pub(crate) head: Option<String>,
    /// A person: structure, access, keys, security-consultant or data-protection-officer
    #[arg(long, value_name = "DUTY:NAME=KEY")]
    pub(crate) person: Vec<String>,
    /// Whose persons sign only with the PIN or fingerprint of a security key
    #[arg(long, value_name = "DUTY")]
    pub(crate) user_verification: Vec<String>,
    /// How many officers of a function must sign [default: 1]
    #[arg(long, value_name = "FUNCTION:N")]
    pub(crate) quorum: Vec<String>,
    #[command(flatten)]
    pub(crate) witnesses: WitnessNumbers,
    /// What `register init`, `custodian init`, `gateway init` and `witness init` printed
    #[arg(long, value_name = "FILE")]
    pub(crate) part: Vec<String>,
    /// Where to write it; must not be there [default: charter.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What a charter with witnesses says of them.
#[derive(Debug, Args)]
pub(crate) struct WitnessNumbers {
    /// How many witnesses must cosign, where there are any
    #[arg(long, value_name = "K")]
    pub(crate) witness_quorum: Option<usize>,
    /// How many witnesses may be faulty or lie: 2 · K > witnesses + F
    #[arg(long, value_name = "F")]
    pub(crate) witness_faults: Option<usize>,
    /// How many seconds applications go on without a quorum of witnesses
    #[arg(long, value_name = "SECONDS")]
    pub(crate) witness_grace_s: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct CharterNextArgs {
    /// A short name of its own
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Who or which part is no longer in it
    #[arg(long, value_name = "NAME")]
    pub(crate) remove: Vec<String>,
    /// Who comes, or has another key or duty from now on
    #[arg(long, value_name = "DUTY:NAME=KEY")]
    pub(crate) person: Vec<String>,
    /// What the init of a part printed that comes, or takes the place of its namesake
    #[arg(long, value_name = "FILE")]
    pub(crate) part: Vec<String>,
    /// A purpose that comes
    #[arg(long)]
    pub(crate) purpose: Vec<String>,
    /// A purpose that goes
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) remove_purpose: Vec<String>,
    /// Whose persons sign only with the PIN or fingerprint of a security key, beside those who do already
    #[arg(long, value_name = "DUTY")]
    pub(crate) user_verification: Vec<String>,
    /// How many officers of a function must sign
    #[arg(long, value_name = "FUNCTION:N")]
    pub(crate) quorum: Vec<String>,
    #[command(flatten)]
    pub(crate) witnesses: WitnessNumbers,
    /// Where to write it; must not be there [default: ID.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}
