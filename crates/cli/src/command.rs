//! The command line: every subcommand and its flags, nothing of what they do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use drieslot_register::{Function, Hex32};

use crate::journal::arguments::JournalCommand;
use crate::watch::WatchCommand;
use crate::witness::WitnessCommand;
use crate::writing::arguments::{CharterCommand, MandateCommand, OfficersCommand};

/// Keeps personal data unreadable for who hosts it: three signatures, three keys, and a trace of every look.
#[derive(Debug, Parser)]
#[command(name = "drieslot", version, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything on this machine, for trying out
    Up(UpArgs),
    /// The register of signed statements
    #[command(subcommand)]
    Register(RegisterCommand),
    /// One function's custodian
    #[command(subcommand)]
    Custodian(CustodianCommand),
    /// The gateway that applications connect to
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// The server that citizens' portals ask who looked at what
    #[command(subcommand)]
    Usage(UsageCommand),
    /// An independent party that countersigns journals
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Show a statement, and sign exactly those bytes
    Sign(SignArgs),
    /// Hand a statement and its signatures to the register
    Submit(SubmitArgs),
    /// Statements that still need signatures
    Pending(RegisterClientArgs),
    /// One statement, who signed it, and whether it is in force
    Show(ShowArgs),
    /// What a principal can do now, by which mandate
    Access(AccessArgs),
    /// Write the revocation of a mandate; any one officer may sign it
    Revoke(RevokeArgs),
    /// Stop a statement that waits for signatures, for good; any one officer may
    Deny(DenyArgs),
    /// The epochs of keys: how old they are, and bringing cells over to the next one
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Mandates
    #[command(subcommand)]
    Mandate(Box<MandateCommand>),
    /// Changes of officers
    #[command(subcommand)]
    Officers(OfficersCommand),
    /// The charter of a new register
    #[command(subcommand)]
    Charter(CharterCommand),
    /// Classifications
    #[command(subcommand)]
    Classify(ClassifyCommand),
    /// Journals of any part
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Copies of journals at somebody else's
    #[command(subcommand)]
    Mirror(MirrorCommand),
    /// What journals say goes out: to a SIEM
    #[command(subcommand)]
    Watch(WatchCommand),
    /// What happens to each protected column in an SQL statement, or why it is refused; nothing is run
    Explain(ExplainArgs),
    /// Configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// How to reach a running gateway as an application does; left out, those of a trial.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A query: SELECT, INSERT, UPDATE, DELETE
    pub(crate) sql: String,
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    #[arg(long, default_value_t = 6432)]
    pub(crate) port: u16,
    /// The database role
    #[arg(long, default_value = "app")]
    pub(crate) role: String,
    #[arg(long, default_value = "newcomers")]
    pub(crate) database: String,
    /// File with the role's password
    #[arg(long, value_name = "FILE", default_value = "drieslot-trial/application/password")]
    pub(crate) password_file: PathBuf,
    /// The certificate that signed the gateway's
    #[arg(long, value_name = "FILE", default_value = "drieslot-trial/gateway/root.crt")]
    pub(crate) root: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Folder of this trial; made if it is not there, resumed if it is
    #[arg(long, default_value = "drieslot-trial")]
    pub(crate) data: PathBuf,
    /// Port of the gateway; the five ports after it are for the other parts [default: 6432]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// End after the tour
    #[arg(long)]
    pub(crate) once: bool,
    /// A plain SQL dump to bring in, instead of the made-up newcomers
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,
    /// A classification for it, instead of a suggested one
    #[arg(long, value_name = "FILE", requires = "load")]
    pub(crate) classification: Option<PathBuf>,
    /// Folder with PostgreSQL's server programs
    #[arg(long, value_name = "FOLDER")]
    pub(crate) postgres_bin: Option<PathBuf>,
}

/// How a server process is run.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Its configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// End when standard input closes, that is when whoever started it is gone
    #[arg(long)]
    pub(crate) until_input_closes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegisterCommand {
    /// Make a register's identity in a new folder
    Init(RegisterInitArgs),
    /// Make the identity of a command line that hands statements in
    Client(ClientInitArgs),
    /// Write statements, signatures and log as plain files, which stock ssh-keygen verifies
    Export(RegisterExportArgs),
    /// Run it until SIGTERM
    Run(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RegisterInitArgs {
    /// Its folder; must not hold an identity yet
    pub(crate) folder: PathBuf,
    /// The controller's name, as in the charter
    #[arg(long)]
    pub(crate) tenant: String,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterExportArgs {
    /// New folder for the files
    pub(crate) folder: PathBuf,
    /// Read the register's journal in this folder, instead of asking the register
    #[arg(long, value_name = "FOLDER", requires = "charter_sha256")]
    pub(crate) journal: Option<PathBuf>,
    /// SHA-256 of the charter, for --journal
    #[arg(long, value_name = "HEX", requires = "journal")]
    pub(crate) charter_sha256: Option<Hex32>,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClientInitArgs {
    /// Its folder; must not hold an identity yet
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CustodianCommand {
    /// Make a custodian's secret in a new folder
    Init(CustodianInitArgs),
    /// Run it until SIGTERM
    Run(ServeArgs),
    /// Write shares of a stopped custodian's secret and identity, each sealed to one officer of its function
    Escrow(CustodianEscrowArgs),
    /// Make a custodian anew from its officers' shares
    Recover(CustodianRecoverArgs),
    /// Sign a charter that takes another's place, where the function's officers no longer can
    Sign(CustodianSignArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CustodianSignArgs {
    /// The charter
    pub(crate) file: PathBuf,
    /// The custodian's configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CustodianEscrowArgs {
    /// The custodian's configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// How many shares it takes to recover
    #[arg(long)]
    pub(crate) threshold: u8,
    /// Whom a share is for, instead of or beside the charter's officers: NAME=KEY, where KEY is `ssh-ed25519 …` or `age1…`
    #[arg(long, value_name = "NAME=KEY")]
    pub(crate) recipient: Vec<String>,
    /// New folder for the shares
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CustodianRecoverArgs {
    /// The configuration file of the custodian that is to be; it says where everything goes
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A share: sealed, or opened by its officer with `age -d`
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) share: Vec<PathBuf>,
    /// A private key that opens sealed shares: an unencrypted OpenSSH key, or an age identity
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CustodianInitArgs {
    /// Its folder; must not hold a secret yet
    pub(crate) folder: PathBuf,
    /// `structure`, `access` or `keys`
    #[arg(long)]
    pub(crate) function: Function,
    /// Its name in the charter
    #[arg(long)]
    pub(crate) name: String,
    /// File with the key that seals the secret; made if it is not there [default: FOLDER/sealing.key]
    #[arg(long, value_name = "FILE")]
    pub(crate) sealing_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) token: Option<TokenArgs>,
    /// Yes, the secret in the token has no copy: if the token is lost, all protected data are
    #[arg(long, requires = "TokenArgs")]
    pub(crate) without_escrow: bool,
}

/// A PKCS#11 token that draws and keeps the secret, instead of a sealed file.
#[derive(Debug, Args)]
#[group(conflicts_with = "sealing_key", multiple = true)]
pub(crate) struct TokenArgs {
    /// The PKCS#11 library of a token that draws and keeps the secret
    #[arg(long = "pkcs11-module", value_name = "FILE", required = false, requires_all = ["token", "key", "pin_file"])]
    pub(crate) module: PathBuf,
    /// The token's label
    #[arg(long = "pkcs11-token", value_name = "LABEL", required = false, requires = "module")]
    pub(crate) token: String,
    /// A label for the key
    #[arg(long = "pkcs11-key", value_name = "LABEL", required = false, requires = "module")]
    pub(crate) key: String,
    /// File with the token's user PIN
    #[arg(long = "pkcs11-pin-file", value_name = "FILE", required = false, requires = "module")]
    pub(crate) pin_file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Make a gateway's identity in a new folder
    Init(GatewayInitArgs),
    /// The line of the principals' file that lets an application in by its password
    Principal(PrincipalArgs),
    /// Run it until SIGTERM
    Run(ServeArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsageCommand {
    /// Make a usage server's identity in a new folder
    Init(GatewayInitArgs),
    /// Run it until SIGTERM
    Run(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GatewayInitArgs {
    /// Its folder; must not hold an identity yet
    pub(crate) folder: PathBuf,
    /// Its name in the charter
    #[arg(long)]
    pub(crate) name: String,
    /// The controller's name, as in the charter
    #[arg(long)]
    pub(crate) tenant: String,
}

#[derive(Debug, Args)]
pub(crate) struct PrincipalArgs {
    /// The principal of the mandates
    pub(crate) role: String,
    /// File with its password, which is not kept
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The statement
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) key: SigningKeyArgs,
    /// File that names the register: with it, what a mandate changes is shown before it is signed
    #[arg(long, value_name = "FILE")]
    pub(crate) register: Option<PathBuf>,
}

/// Whose key signs.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SigningKeyArgs {
    /// The officer's SSH private key; its passphrase is asked on the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A key that ssh-agent holds, also one of a security key: its fingerprint, its comment, or the file with its public half
    #[arg(long, value_name = "KEY")]
    pub(crate) agent: Option<String>,
}

/// How a command reaches the register.
#[derive(Debug, Args)]
pub(crate) struct RegisterClientArgs {
    /// File that names the register and this client's identity
    #[arg(long, value_name = "FILE", default_value = "drieslot-trial/officers/register.toml")]
    pub(crate) register: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The statement; its signatures lie beside it, as `ssh-keygen -Y sign` or `drieslot sign` put them
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its id, the number of its entry, or the beginning of its SHA-256
    pub(crate) statement: String,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The database role
    pub(crate) principal: String,
    /// Show instead which of it was granted but not used in the last days
    #[arg(long, value_name = "DAYS", requires = "journal", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) unused: Option<u32>,
    /// A gateway's journal, to see what was used
    #[arg(long, value_name = "FOLDER", requires = "unused")]
    pub(crate) journal: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The mandate's id
    pub(crate) mandate: String,
    /// Why, for everybody to read
    #[arg(long)]
    pub(crate) why: String,
    /// Where to write the revocation
    #[arg(long, value_name = "FILE", default_value = "revocation.toml")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Each domain's epoch, its age, the limit of the key-policy, and whether a rotation is open
    Status(RegisterClientArgs),
    /// Write a rotation that opens the next epoch of domains; structure and keys sign it
    Propose(KeysProposeArgs),
    /// Bring the cells of domains over to their new epoch while applications run, and write the retirement of the old one
    Rotate(KeysRotateArgs),
    /// Open every cell of domains with the key of its epoch, and count
    Verify(KeysVerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeysProposeArgs {
    /// The domains
    #[arg(required = true)]
    pub(crate) domains: Vec<String>,
    /// Why, for everybody to read
    #[arg(long)]
    pub(crate) why: String,
    /// The gateway of the charter that is to bring the cells over
    #[arg(long, default_value = "gateway")]
    pub(crate) worker: String,
    /// Where to write the rotation
    #[arg(long, value_name = "FILE", default_value = "rotation.toml")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeysRotateArgs {
    /// The domains; all whose rotation names this worker where left out
    pub(crate) domains: Vec<String>,
    /// Configuration file of the gateway that the rotation names
    #[arg(long, value_name = "FILE", default_value = "drieslot-trial/gateway/config.toml")]
    pub(crate) config: PathBuf,
    /// Most cells to bring over in a second
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cells_per_second: Option<u64>,
    /// End sessions that hold up an exchange of compared cells for so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) terminate_after_s: Option<u64>,
    /// Where to write the retirement of the old epoch
    #[arg(long, value_name = "FILE", default_value = "retirement.toml")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct KeysVerifyArgs {
    /// The domains; all where left out
    pub(crate) domains: Vec<String>,
    /// Configuration file of a gateway
    #[arg(long, value_name = "FILE", default_value = "drieslot-trial/gateway/config.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    /// The statement: its id, the number of its entry, or the beginning of its SHA-256
    pub(crate) statement: String,
    /// Why, for everybody to read
    #[arg(long)]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) key: SigningKeyArgs,
    /// Where to write the denial
    #[arg(long, value_name = "FILE", default_value = "denial.toml")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) client: RegisterClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClassifyCommand {
    /// Propose one from a running database and from the statements of its application
    #[command(visible_alias = "new")]
    Suggest(ClassifySuggestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ClassifySuggestArgs {
    /// The database: postgresql://ROLE@HOST:PORT/DATABASE, or host=/socket/folder user=ROLE dbname=DATABASE
    #[arg(long)]
    pub(crate) url: String,
    /// File with the role's password
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The certificate that signs the server's, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Statements of the application, each ended by a semicolon, or a server's log of them
    #[arg(long, value_name = "FILE")]
    pub(crate) statements: Option<PathBuf>,
    /// How many rows of each table to look at
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) sample: u32,
    /// The controller's name, as in the charter
    #[arg(long)]
    pub(crate) tenant: String,
    /// The classification's id
    #[arg(long, default_value = "columns-1")]
    pub(crate) id: String,
    /// Where to write it, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MirrorCommand {
    /// Make a mirror's TLS identity in a new folder
    Init(MirrorInitArgs),
    /// Follow journals until SIGTERM
    Run(MirrorRunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MirrorInitArgs {
    /// Its folder; must not hold an identity yet
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MirrorRunArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Take over what is new, and end; a journal that is refused or not reached is an error
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read a configuration file and say what is wrong with it
    Check(ConfigCheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArgs {
    /// Whose configuration
    #[arg(value_enum)]
    pub(crate) part: Part,
    /// The file
    pub(crate) file: PathBuf,
}

/// The parts that have a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Register,
    Custodian,
    Gateway,
    Witness,
    Mirror,
    Usage,
    Watch,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::CommandLine::command().debug_assert();
    }

    fn leaves(command: &clap::Command, before: &str, found: &mut Vec<String>) {
        for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
            let name = format!("{before}{}", one.get_name());
            if one.has_subcommands() { leaves(one, &format!("{name} "), found) } else { found.push(name) }
        }
    }

    /// The rows of the table under `What commands leave`: command, entry, test.
    fn rows() -> Vec<[&'static str; 3]> {
        let page = include_str!("../../../docs/journal.md");
        let table = page.split_once("### What commands leave").unwrap().1;
        let rows = table.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
        rows.map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            [cells[0].trim_matches('`'), cells[1], cells[2].trim_matches('`')]
        })
        .collect()
    }

    #[test]
    fn the_documentation_says_of_every_command_what_it_leaves() {
        let mut commands = Vec::new();
        leaves(&super::CommandLine::command(), "", &mut commands);
        let mut documented: Vec<_> = rows().into_iter().map(|[command, ..]| command.to_owned()).collect();
        commands.sort();
        documented.sort();
        assert_eq!(commands, documented);
        for [command, entry, test] in rows() {
            let changes = entry.starts_with('`');
            assert!(changes || entry.starts_with("none: ") || command == "up", "{command}: {entry}");
            assert_eq!(changes, !test.is_empty(), "{command}: what leaves an entry has a test that shows it");
            if let Some((file, name)) = test.rsplit_once("::") {
                let path = concat!(env!("CARGO_MANIFEST_DIR"), "/..").to_owned() + &format!("/{file}.rs");
                let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{command}: {path}: {error}"));
                assert!(text.contains(&format!("fn {name}(")), "{command}: {path} has no {name}");
            }
        }
    }
}
