//! Each part of a trial in a folder of its own: TLS identity, signing key, secret, configuration.

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_custodian::{Credential, CredentialKind, NewSecret};
use drieslot_gateway::Verifier;
use drieslot_journal::IdentityKey;
use drieslot_link::{Fingerprint, TlsIdentity};
use drieslot_register::Hex32;
use drieslot_register::signature::identity_public_key;
use drieslot_register::statement::{Charter, CustodianPart, Function, GatewayPart, Person, Quorum, RegisterPart};
use jiff::Timestamp;

use super::folder::{Folder, Part, Trial};
use super::officers::PEOPLE;
use super::running::{config_path, part_folder};
use super::statements::{PRINCIPAL, PURPOSE, TENANT};
use crate::application::Application;
use crate::certificate::Certificates;
use crate::files;
use crate::processor::Processor;

/// The role that the gateway has at the processor.
pub(crate) const BACKEND_ROLE: &str = "drieslot_gateway";
const SEALING_KEY: &str = "sealing.key";
pub(crate) const CUSTODIANS: [(Part, Function); 3] =
    [(Part::Structure, Function::Structure), (Part::Access, Function::Access), (Part::Keys, Function::Keys)];

/// The public halves of a part's keys.
struct Identity {
    tls: Fingerprint,
    key: String,
}

/// The files that every part has.
fn create_identity(folder: &Folder, part: Part) -> Result<Identity> {
    let home = folder.at(part_folder(part));
    files::make_folder(&home)?;
    let tls = TlsIdentity::create(&home.join("tls"), part_folder(part))?.fingerprint();
    let key = IdentityKey::generate()?;
    key.save(&home.join("journal.key"))?;
    write_vkey(&home, part, &key)?;
    Ok(Identity { tls, key: identity_public_key(&key)? })
}

/// A custodian's files: the same, and its secret.
fn create_custodian(folder: &Folder, part: Part, function: Function) -> Result<Identity> {
    let home = folder.at(part_folder(part));
    files::make_folder(&home)?;
    let credential = Credential { kind: CredentialKind::Key, file: home.join(SEALING_KEY) };
    let made = drieslot_custodian::init(&home, part_folder(part), function, &NewSecret::File(&credential))?;
    write_vkey(&home, part, &IdentityKey::load(&home.join(drieslot_custodian::KEY_FILE))?)?;
    Ok(Identity { tls: made.tls, key: made.key })
}

/// What others verify the part's journal with.
fn write_vkey(home: &Path, part: Part, key: &IdentityKey) -> Result<()> {
    files::write(&home.join("journal.vkey"), &format!("{}\n", key.vkey(&origin(part))?))
}

/// The name of a part's journal.
pub(crate) fn origin(part: Part) -> String {
    format!("{TENANT}/{}", part_folder(part))
}

/// Who is who: made once, written into the charter.
pub(crate) struct Parts {
    register: Identity,
    gateway: Identity,
    custodians: Vec<(Part, Function, Identity)>,
    admin: Fingerprint,
}

impl Parts {
    /// Makes every part's keys, and the three custodians' secrets.
    pub(crate) fn create(folder: &Folder) -> Result<Self> {
        files::make_folder(&folder.at("logs"))?;
        let mut custodians = Vec::new();
        for (part, function) in CUSTODIANS {
            custodians.push((part, function, create_custodian(folder, part, function)?));
        }
        files::make_folder(&folder.at("officers"))?;
        let admin = TlsIdentity::create(&folder.at("officers").join("tls"), "officers")?.fingerprint();
        Ok(Self {
            register: create_identity(folder, Part::Register)?,
            gateway: create_identity(folder, Part::Gateway)?,
            custodians,
            admin,
        })
    }

    /// The charter: these parts, these people, one signature of each function.
    pub(crate) fn charter(&self, person: Vec<Person>, now: Timestamp) -> Charter {
        let custodian = self.custodians.iter().map(|(part, function, identity)| CustodianPart {
            name: part_folder(*part).into(),
            function: *function,
            tls: identity.tls,
            key: identity.key.clone(),
        });
        let head = PEOPLE.iter().find(|(duty, _)| duty.function().is_none()).map_or("", |(_, name)| name);
        Charter {
            tenant: TENANT.into(),
            id: "charter".into(),
            issued: now,
            replaces: None,
            head: head.into(),
            purposes: vec![PURPOSE.into()],
            user_verification: Vec::new(),
            quorum: Quorum { structure: 1, access: 1, keys: 1 },
            register: RegisterPart { tls: self.register.tls, key: self.register.key.clone() },
            person,
            custodian: custodian.collect(),
            gateway: vec![GatewayPart {
                name: part_folder(Part::Gateway).into(),
                tls: self.gateway.tls,
                key: self.gateway.key.clone(),
            }],
            usage: Vec::new(),
            witness_quorum: None,
            witness_faults: None,
            witness_grace_s: None,
            witness: Vec::new(),
        }
    }

    /// Every part's configuration file.
    pub(crate) fn configure(
        &self,
        folder: &Folder,
        trial: &Trial,
        charter: Hex32,
        processor: &Processor,
    ) -> Result<()> {
        let home = |part| folder.at(part_folder(part));
        let register = self.follow(trial, charter);
        files::write(
            &folder.at("officers").join("register.toml"),
            &format!("identity = \"tls\"\n\n[register]\n{register}"),
        )?;
        files::write(
            &config_path(folder, Part::Register),
            &self.register_config(trial, charter, &home(Part::Register)),
        )?;
        for (part, function, _) in &self.custodians {
            let text = custodian_config(trial, *part, *function, &home(*part), &register);
            files::write(&config_path(folder, *part), &text)?;
        }
        files::write(
            &config_path(folder, Part::Gateway),
            &self.gateway_config(trial, &home(Part::Gateway), processor, &register),
        )
    }

    fn follow(&self, trial: &Trial, charter: Hex32) -> String {
        let (address, tls) = (trial.address(Part::Register), self.register.tls);
        format!("register_address = \"{address}\"\nregister_tls = \"{tls}\"\ncharter_sha256 = \"{charter}\"\n")
    }

    fn register_config(&self, trial: &Trial, charter: Hex32, home: &Path) -> String {
        format!(
            "listen = \"{}\"\ntenant = \"{TENANT}\"\ncharter_sha256 = \"{charter}\"\nadmin_tls = \"{}\"\n\
             folder = {}\nkey = {}\nidentity = {}\n",
            trial.address(Part::Register),
            self.admin,
            quoted(&home.join("journal")),
            quoted(&home.join("journal.key")),
            quoted(&home.join("tls")),
        )
    }

    fn gateway_config(&self, trial: &Trial, home: &Path, processor: &Processor, register: &str) -> String {
        let certificates = Certificates::at(home);
        let mut text = format!(
            "listen = \"{}\"
tls_certificate = {}
tls_key = {}
principals = {}
identity = {}

[backend]
hosts = [\"{}\"]
user = \"{BACKEND_ROLE}\"
password_file = {}
tls = \"verify-full\"
root_certificate = {}

[journal]
folder = {}
origin = \"{}\"
key = {}

[register]
{register}
",
            trial.address(Part::Gateway),
            quoted(&certificates.certificate),
            quoted(&certificates.key),
            quoted(&home.join("principals.toml")),
            quoted(&home.join("tls")),
            trial.address(Part::Processor),
            quoted(&home.join("backend.password")),
            quoted(&processor.certificates().root),
            quoted(&home.join("journal")),
            origin(Part::Gateway),
            quoted(&home.join("journal.key")),
        );
        for (part, function, identity) in &self.custodians {
            let (address, tls) = (trial.address(*part), identity.tls);
            text.push_str(&format!(
                "[[keys.custodians]]\nfunction = \"{function}\"\naddress = \"{address}\"\ntls = \"{tls}\"\n\n"
            ));
        }
        text
    }
}

fn custodian_config(trial: &Trial, part: Part, function: Function, home: &Path, register: &str) -> String {
    format!(
        "listen = \"{}\"
function = \"{function}\"
secret = {}
key = {}
identity = {}
journal = {}
origin = \"{}\"

[credential]
kind = \"key\"
file = {}

[register]
{register}",
        trial.address(part),
        quoted(&home.join(drieslot_custodian::SECRET_FILE)),
        quoted(&home.join(drieslot_custodian::KEY_FILE)),
        quoted(&home.join(drieslot_custodian::TLS_FOLDER)),
        quoted(&home.join("journal")),
        origin(part),
        quoted(&home.join(SEALING_KEY)),
    )
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// How the trial's application reaches the gateway.
pub(crate) fn application(folder: &Folder, trial: &Trial) -> Application {
    Application {
        host: "127.0.0.1".to_owned(),
        port: trial.port,
        role: PRINCIPAL.into(),
        password_file: folder.at("application").join("password"),
        root: Certificates::at(&folder.at(part_folder(Part::Gateway))).root,
    }
}

/// The application's password, the gateway's certificate, and the gateway's own role at the processor.
pub(crate) async fn create_roles(
    folder: &Folder,
    trial: &Trial,
    processor: &Processor,
    new_database: bool,
) -> Result<()> {
    let home = folder.at(part_folder(Part::Gateway));
    files::make_folder(&home)?;
    Certificates::at(&home).create("gateway")?;
    let application = application(folder, trial);
    files::make_folder(&folder.at("application"))?;
    let password = files::random_password()?;
    let verifier = Verifier::new(&password).context("the application's password")?;
    files::write_secret(&home.join("principals.toml"), &format!("{PRINCIPAL} = \"{verifier}\"\n"))?;
    files::write_secret(&application.password_file, &password)?;
    let line = format!("127.0.0.1:{}:*:{PRINCIPAL}:{password}\n", trial.port);
    files::write_secret(&folder.at("application").join("pgpass"), &line)?;
    let backend = files::random_password()?;
    files::write_secret(&home.join("backend.password"), &backend)?;
    processor.create_role(BACKEND_ROLE, &backend, new_database.then_some(trial.database.as_str())).await
}
