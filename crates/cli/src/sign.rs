//! `drieslot sign`: an officer's signature of a statement's exact bytes, by a key file or by a key that ssh-agent holds.
//!
//! A passphrase is asked on the terminal and nowhere else: there is no option, file or variable for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drieslot_register::signature;
use drieslot_register::statement::Statement;
use jiff::Timestamp;
use ssh_agent_client_rs::{Client, Error as AgentError, Identity};
use ssh_key::{HashAlg, PrivateKey, PublicKey, Signature, SshSig};
use zeroize::Zeroizing;

use crate::command::{SignArgs, SigningKeyArgs};
use crate::failure::failure;
use crate::files;
use crate::meaning::meaning;
use crate::register::{Register, changes};
use crate::writing::{check_size, difference};

/// Where OpenSSH says how its agent is reached.
const AGENT_SOCKET: &str = "SSH_AUTH_SOCK";

const WITH_REGISTER: &str = "what it changes is shown with --register FILE";

/// The key that signs.
pub(crate) enum SigningKey {
    /// A private key's file.
    File(PathBuf),
    /// A key that the agent holds.
    Agent(Agent),
}

/// An agent, and the one key of it that was chosen.
pub(crate) struct Agent {
    client: Client,
    key: PublicKey,
}

impl SigningKey {
    /// As the command line says; an agent is asked at once whether it holds the key.
    pub(crate) fn chosen(args: &SigningKeyArgs) -> Result<Self> {
        match (&args.key, &args.agent) {
            (Some(file), None) => Ok(Self::File(file.clone())),
            (None, Some(wanted)) => Agent::with(wanted).map(Self::Agent),
            (Some(_), Some(_)) | (None, None) => Err(failure("whose key signs?", "give --key FILE or --agent KEY")),
        }
    }

    /// Signs exactly these bytes; gives the armoured signature.
    pub(crate) fn sign(&mut self, text: &str) -> Result<String> {
        match self {
            Self::File(file) => Ok(signature::sign(text.as_bytes(), &private_key(file)?)?),
            Self::Agent(agent) => agent.sign(text),
        }
    }

    /// Where the signature of a statement lies: beside it.
    pub(crate) fn signature_path(&self, statement: &Path) -> PathBuf {
        match self {
            Self::File(file) => signature_path(statement, file),
            Self::Agent(agent) => {
                let fingerprint = agent.key.fingerprint(HashAlg::Sha256);
                let digits = fingerprint.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}"));
                beside(statement, &digits.collect::<String>())
            }
        }
    }
}

/// Where the signature of a statement by a key file lies: beside it, named by the folder of the key, and by the key too
/// where OpenSSH did not name that.
pub(crate) fn signature_path(statement: &Path, key: &Path) -> PathBuf {
    let folder = key.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let own = key.file_name().unwrap_or_default().to_string_lossy();
    let who = [folder, own].into_iter().filter(|part| !part.is_empty() && *part != "id" && !part.starts_with("id_"));
    beside(statement, &who.collect::<Vec<_>>().join("-"))
}

/// One's own may be made anew; another's is not written over.
pub(crate) fn write_signature(path: &Path, armored: &str) -> Result<()> {
    let key = |text: &str| SshSig::from_pem(text).ok().map(|signature| signature.public_key().clone());
    match std::fs::read_to_string(path) {
        Ok(there) if key(&there) != key(armored) => Err(failure(
            format!("{} is there already, and not by this key", path.display()),
            "submit it first, or give it another name that ends in .sig; nothing was signed",
        )),
        _ => files::write(path, armored),
    }
}

fn beside(statement: &Path, who: &str) -> PathBuf {
    let name = statement.file_name().unwrap_or_default().to_string_lossy();
    statement.with_file_name(format!("{name}.{who}.sig"))
}

/// Signs the exact bytes of a file with a key file; gives the armoured signature.
pub(crate) fn sign_file(file: &Path, key: &Path) -> Result<String> {
    SigningKey::File(key.to_owned()).sign(&files::read(file)?)
}

/// `drieslot sign`: shows what is signed and what it changes, and puts the signature beside the statement.
pub(crate) async fn sign(args: &SignArgs, now: Timestamp) -> Result<()> {
    let text = files::read(&args.file)?;
    let statement = Statement::parse(&text).with_context(|| format!("{} is no statement", args.file.display()))?;
    check_size(&text, now)?;
    let mut key = SigningKey::chosen(&args.key)?;
    let path = key.signature_path(&args.file);
    let state = match &args.register {
        Some(access) => Some(Register::open(access)?.state().await?),
        None => None,
    };
    println!("{text}");
    match (&statement, &state) {
        (Statement::Mandate(mandate), Some(state)) => print!("{}", changes(state, mandate, now)),
        (Statement::Charter(next), Some(state)) if next.replaces.is_some() => {
            let charter = state.charter().context("the register has no charter in force")?;
            print!("{}", difference(charter, next));
        }
        (Statement::Mandate(_), None) => println!("{WITH_REGISTER}"),
        (Statement::Charter(next), None) if next.replaces.is_some() => println!("{WITH_REGISTER}"),
        (_, _) => {}
    }
    if let Some(meaning) = meaning(&statement, now) {
        print!("{meaning}");
    }
    let armored = key.sign(&text)?;
    write_signature(&path, &armored)?;
    println!("signed: {} `{}`, these exact bytes, into {}", statement.kind(), statement.id(), path.display());
    println!("next:   drieslot submit {}", args.file.display());
    Ok(())
}

fn private_key(file: &Path) -> Result<PrivateKey> {
    let shown = file.display();
    let key = PrivateKey::read_openssh_file(file).map_err(|error| {
        let hint = "name an OpenSSH private key, or one that ssh-agent holds: --agent KEY.pub";
        failure(format!("{shown} is no private key that can be read: {error}"), hint)
    })?;
    // `ssh_key` 0.6 cannot sign with an RSA private key: it takes one of the primes twice.
    if key.algorithm().is_rsa() || key.algorithm().as_str().starts_with("sk-") {
        let hint = format!("ssh-add {shown}, and sign with --agent {shown}.pub");
        return Err(failure(format!("{shown}: a key of kind {} signs by way of ssh-agent", key.algorithm()), hint));
    }
    if !key.is_encrypted() {
        return Ok(key);
    }
    let asked = rpassword::prompt_password(format!("Passphrase of {shown}: ")).map_err(|error| {
        let hint =
            format!("run this in a terminal, or give the key to ssh-agent: ssh-add {shown}, then --agent {shown}.pub");
        failure(format!("{shown} is protected by a passphrase, and there is no terminal to ask for it ({error})"), hint)
    })?;
    let passphrase = Zeroizing::new(asked);
    key.decrypt(passphrase.as_bytes())
        .map_err(|_| failure(format!("this is not the passphrase of {shown}"), "nothing was signed: try again"))
}

impl Agent {
    /// Finds the one key that is meant.
    fn with(wanted: &str) -> Result<Self> {
        let mut client = connect()?;
        let held = client.list_all_identities().map_err(|error| misunderstood(&error))?;
        let keys: Vec<PublicKey> = held.into_iter().filter_map(plain_key).collect();
        let named = named_by_file(wanted)?;
        let is_it = |key: &&PublicKey| match &named {
            Some(public) => key.key_data() == public.key_data(),
            None => key.fingerprint(HashAlg::Sha256).to_string() == wanted || key.comment() == wanted,
        };
        let found: Vec<&PublicKey> = keys.iter().filter(is_it).collect();
        match found.as_slice() {
            [key] => Ok(Self { key: (*key).clone(), client }),
            [] if keys.is_empty() => Err(failure(
                "ssh-agent holds no key, or is locked",
                "add one with `ssh-add KEY`; a locked agent opens with `ssh-add -X`; see them with `ssh-add -l`",
            )),
            [] => Err(failure(format!("ssh-agent does not hold the key `{wanted}`"), holds(keys.iter()))),
            [..] => Err(failure(format!("ssh-agent holds several keys `{wanted}`"), holds(found.into_iter()))),
        }
    }

    fn sign(&mut self, text: &str) -> Result<String> {
        if self.key.algorithm().as_str().starts_with("sk-") {
            eprintln!("touch the security key when it blinks");
        }
        let key = self.key.clone();
        signature::sign_elsewhere(text.as_bytes(), key.key_data(), |bytes| self.ask(bytes))
    }

    fn ask(&mut self, bytes: &[u8]) -> Result<Signature> {
        let hint = "see that it is not locked, that a security key is there and was touched, and that the agent's question \
                    was answered";
        self.client.sign(&self.key, bytes).map_err(|error| match error {
            AgentError::RemoteFailure => failure("ssh-agent did not sign", hint),
            AgentError::UnknownMessageType(_)
            | AgentError::InvalidMessage(_)
            | AgentError::AgentCommunicationError(_)
            | AgentError::SSHKey(_)
            | AgentError::SSHEncoding(_) => misunderstood(&error),
        })
    }
}

fn connect() -> Result<Client> {
    let hint = "start one and add the key: eval \"$(ssh-agent)\"; ssh-add KEY";
    let Some(socket) = std::env::var_os(AGENT_SOCKET).filter(|path| !path.is_empty()) else {
        return Err(failure(format!("no ssh-agent is known here: {AGENT_SOCKET} is not set"), hint));
    };
    let path = PathBuf::from(socket);
    Client::connect(&path)
        .map_err(|error| failure(format!("ssh-agent does not answer at {}: {}", path.display(), chain(&error)), hint))
}

fn misunderstood(error: &AgentError) -> anyhow::Error {
    failure(format!("ssh-agent was not understood: {}", chain(error)), "see what `ssh-add -l` says")
}

fn chain(error: &AgentError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Certificates say more than the key, and statements are signed by keys.
fn plain_key(identity: Identity<'_>) -> Option<PublicKey> {
    match identity {
        Identity::PublicKey(key) => Some(key.into_owned()),
        Identity::Certificate(_) => None,
    }
}

/// `None` where there is no such file: then it is a fingerprint or a comment.
fn named_by_file(wanted: &str) -> Result<Option<PublicKey>> {
    let path = Path::new(wanted);
    if !path.is_file() {
        return Ok(None);
    }
    let hint = "name the .pub file, a fingerprint as `ssh-add -l` shows it, or a comment";
    let key = PublicKey::read_openssh_file(path);
    key.map(Some).map_err(|error| failure(format!("{wanted} is no SSH public key: {error}"), hint))
}

fn holds<'a>(keys: impl Iterator<Item = &'a PublicKey>) -> String {
    let lines =
        keys.map(|key| format!("\n  {} {} ({})", key.fingerprint(HashAlg::Sha256), key.comment(), key.algorithm()));
    format!("name one by its fingerprint; it holds{}", lines.collect::<String>())
}
