//! New identities of the register, of a gateway, and of a command line: keys into a folder, public halves to standard output.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_gateway::Verifier;
use drieslot_journal::IdentityKey;
use drieslot_link::{Fingerprint, TlsIdentity};
use drieslot_register::signature::identity_public_key;

use crate::command::{ClientInitArgs, GatewayInitArgs, PrincipalArgs, RegisterInitArgs};
use crate::files;

/// What the charter says of a part.
struct Introduction {
    tls: Fingerprint,
    key: String,
}

/// Makes `tls/`, `journal.key`, and `journal.vkey`, which others verify its journal with.
fn create(folder: &Path, name: &str, origin: &str) -> Result<Introduction> {
    files::make_folder(folder)?;
    let tls = TlsIdentity::create(&folder.join("tls"), name)?.fingerprint();
    let key = IdentityKey::generate()?;
    key.save(&folder.join("journal.key"))?;
    files::write(&folder.join("journal.vkey"), &format!("{}\n", key.vkey(origin)?))?;
    Ok(Introduction { tls, key: identity_public_key(&key)? })
}

/// `drieslot register init`
pub(crate) fn register(args: &RegisterInitArgs) -> Result<()> {
    let made = create(&args.folder, "register", &format!("{}/register", args.tenant))?;
    println!("# for the charter, above the first [[…]]");
    println!("register = {{ tls = \"{}\", key = \"{}\" }}", made.tls, made.key);
    Ok(())
}

/// `drieslot gateway init`
pub(crate) fn gateway(args: &GatewayInitArgs) -> Result<()> {
    let made = create(&args.folder, &args.name, &format!("{}/{}", args.tenant, args.name))?;
    println!("# for the charter");
    println!("[[gateway]]\nname = \"{}\"\ntls = \"{}\"\nkey = \"{}\"", args.name, made.tls, made.key);
    Ok(())
}

/// `drieslot usage init`
pub(crate) fn usage(args: &GatewayInitArgs) -> Result<()> {
    let made = create(&args.folder, &args.name, &format!("{}/{}", args.tenant, args.name))?;
    println!("# for the charter");
    println!("[[usage]]\nname = \"{}\"\ntls = \"{}\"\nkey = \"{}\"", args.name, made.tls, made.key);
    Ok(())
}

/// `drieslot register client`
pub(crate) fn client(args: &ClientInitArgs) -> Result<()> {
    files::make_folder(&args.folder)?;
    let tls = TlsIdentity::create(&args.folder.join("tls"), "officers")?.fingerprint();
    println!("# for the register's configuration\nadmin_tls = \"{tls}\"");
    Ok(())
}

/// `drieslot gateway principal`
pub(crate) fn principal(args: &PrincipalArgs) -> Result<()> {
    let password = files::read(&args.password_file)?;
    let verifier = Verifier::new(password.trim()).with_context(|| args.password_file.display().to_string())?;
    println!("{} = \"{verifier}\"", toml::Value::String(args.role.clone()));
    Ok(())
}
