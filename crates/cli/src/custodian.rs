//! The commands of a custodian: make one, run it, escrow it, make it anew.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use drieslot_custodian::server::{Custodian, CustodianConfig};
use drieslot_custodian::{Credential, CredentialKind, NewSecret, Recipient, TokenConfig};
use drieslot_journal::IdentityKey;
use drieslot_register::signature::sign_with_identity;
use drieslot_register::statement::Statement;
use jiff::Timestamp;

use crate::administration::{Administration, Place};
use crate::command::{CustodianEscrowArgs, CustodianInitArgs, CustodianRecoverArgs, CustodianSignArgs, ServeArgs};
use crate::failure::failure;
use crate::register::Register;
use crate::serve::until_stopped;
use crate::{files, roles};

/// `drieslot custodian init`
pub(crate) fn init(args: &CustodianInitArgs) -> Result<()> {
    let file = args.sealing_key.clone().unwrap_or_else(|| args.folder.join("sealing.key"));
    let credential = Credential { kind: CredentialKind::Key, file };
    let token = args.token.as_ref().map(|args| TokenConfig {
        module: args.module.clone(),
        token: args.token.clone(),
        key: args.key.clone(),
        pin_file: args.pin_file.clone(),
    });
    let secret = match &token {
        Some(_) if !args.without_escrow => return Err(failure(NO_COPY, NO_COPY_HINT)),
        Some(token) => NewSecret::Token(token),
        None => NewSecret::File(&credential),
    };
    files::make_folder(&args.folder)?;
    let made = drieslot_custodian::init(&args.folder, &args.name, args.function, &secret)?;
    println!("# for the charter");
    println!(
        "[[custodian]]\nname = \"{}\"\nfunction = \"{}\"\ntls = \"{}\"\nkey = \"{}\"",
        args.name, args.function, made.tls, made.key
    );
    Ok(())
}

const NO_COPY: &str = "a secret that a token draws can never be copied, so it cannot be escrowed later";
const NO_COPY_HINT: &str = "make the custodian with a sealed file, escrow it, and recover it into the token \
    (docs/custodians.md); or say --without-escrow";

/// `drieslot custodian escrow`
pub(crate) async fn escrow(args: &CustodianEscrowArgs, now: Timestamp) -> Result<()> {
    let config = config(&args.config)?;
    let state = Register::open(&args.client.register)?.state().await?;
    let mut given = Vec::new();
    for text in &args.recipient {
        let hint = "such as --recipient 'Sam Peeters=age1…'";
        let (name, key) = text.split_once('=').ok_or_else(|| failure(format!("{text:?} is not NAME=KEY"), hint))?;
        given.push(Recipient { name: name.trim().to_owned(), key: key.trim().to_owned() });
    }
    let made = drieslot_custodian::escrow(&config, &state, &given, args.threshold, &args.out, now)?;
    println!("set {}: any {} of {} shares make this custodian", made.set, args.threshold, made.shares.len());
    println!("the secret agrees with {} key-checks of the register", made.domains);
    for (name, file) in &made.shares {
        println!("  {}  for {name}", file.display());
    }
    println!("Give each their file, to be kept apart from the key that opens it, and remove it here.");
    Ok(())
}

/// `drieslot custodian sign`: the custodian speaks for its function where a new charter must give it new officers.
pub(crate) fn sign(args: &CustodianSignArgs) -> Result<()> {
    let config = config(&args.config)?;
    let text = files::read(&args.file)?;
    let statement = Statement::parse(&text).with_context(|| format!("{} is no statement", args.file.display()))?;
    let Statement::Charter(charter) = &statement else {
        return Err(failure(format!("a custodian does not sign a {}", statement.kind()), "its function's officers do"));
    };
    if charter.replaces.is_none() {
        return Err(failure("no custodian signs a first charter", "whoever it names does"));
    }
    let administration = Administration::begin(Place::of_custodian(&config), "custodian sign", &[&args.file])?;
    let signed = (|| {
        let armored = sign_with_identity(text.as_bytes(), &IdentityKey::load(&config.key)?)?;
        let mut path = args.file.clone().into_os_string();
        path.push(format!(".custodian-{}.sig", config.function));
        files::write(Path::new(&path), &armored).map(|()| path)
    })();
    let path = administration.end(signed)?;
    println!("{text}");
    println!("signed: charter `{}` for {}, into {}", charter.id, config.function, Path::new(&path).display());
    Ok(())
}

/// `drieslot custodian recover`
pub(crate) async fn recover(args: &CustodianRecoverArgs, now: Timestamp) -> Result<()> {
    let config = config(&args.config)?;
    let state = Register::open(&args.client.register)?.state().await?;
    let made = drieslot_custodian::recover(&config, &state, &args.share, &args.identity, now)?;
    println!(
        "the custodian of {} is here again: tls {}, key {}",
        config.function, made.introduction.tls, made.introduction.key
    );
    println!("its secret agrees with {} key-checks of the register", made.domains);
    println!("next:   drieslot custodian run --config {}", args.config.display());
    Ok(())
}

/// Its configuration, and that it says one place for the secret.
pub(crate) fn config(path: &Path) -> Result<CustodianConfig> {
    let config = roles::read_config::<CustodianConfig>(path)?;
    config.check().map_err(|error| failure(format!("{}: {error}", path.display()), roles::CORRECT))?;
    Ok(config)
}

/// `drieslot custodian run`
pub(crate) async fn run(args: &ServeArgs) -> Result<()> {
    let config = config(&args.config)?;
    let administration = Administration::begin(Place::of_custodian(&config), "custodian run", &[&args.config])?;
    administration.end(serve(config, args.until_input_closes).await)
}

async fn serve(config: CustodianConfig, until_input_closes: bool) -> Result<()> {
    let custodian = Custodian::open(config, roles::clock())?;
    tracing::info!("custodian is ready");
    let served = tokio::select! {
        served = Arc::clone(&custodian).run() => served.map_err(Into::into),
        stopped = until_stopped(until_input_closes) => stopped,
    };
    let closed = custodian.close();
    served?;
    Ok(closed?)
}
