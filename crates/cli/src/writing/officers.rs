//! `drieslot officers new`

use std::path::Path;

use anyhow::{Context, Result};
use drieslot_register::Function;
use drieslot_register::statement::{Charter, NewOfficer, Officers, Statement, check_name};
use jiff::Timestamp;
use ssh_key::{HashAlg, PublicKey};

use super::answers::{Answers, Question};
use super::arguments::OfficersNewArgs;
use super::mandate::filled;
use super::{check_admitted, check_free, finish};
use crate::register::Register;

/// Runs the command.
pub(crate) async fn officers(args: &OfficersNewArgs, now: Timestamp) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_free)?;
    let state = Register::open(&args.client.register)?.state().await?;
    let charter = state.charter().context("the register has no charter in force")?;
    let answers = Answers::new();
    let question = Question::new("id", "a short name of its own, never used before");
    let id = answers.required(&question, args.id.as_deref(), id)?;
    let question = Question::new("function", "whose officers change: structure, access or keys");
    let function = answers.required(&question, args.function.as_deref(), str::parse::<Function>)?;
    let question = Question::new("why", "why, for everybody to read, in one line");
    let why = answers.required(&question, args.why.as_deref(), filled)?;
    let now_there = names(charter, function);
    let question = Question::new("remove", format!("who goes, or gets a new key; now there: {}", now_there.join(", ")));
    let remove = answers.several(&question, &args.remove, |name| match now_there.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("`{name}` is no officer of {function}: {}", now_there.join(", "))),
    })?;
    let question = Question::new("add", "who comes, as NAME=KEY; KEY is an SSH public key or the file of one");
    let add = answers.several(&question, &args.add, |text| person(text).map(|(name, key)| NewOfficer { name, key }))?;
    let tenant = charter.tenant.clone();
    let change = Officers { tenant, id, issued: now, function, why, remove, add };
    let changes = difference(charter, &change);
    let statement = Statement::Officers(change);
    let text = statement.to_text()?;
    check_admitted(&state, &text, now)?;
    let who = format!("officers of {function} and of one other function");
    finish(&statement, &text, &changes, args.out.as_ref(), &who)
}

fn names(charter: &Charter, function: Function) -> Vec<&str> {
    let theirs = charter.person.iter().filter(|one| one.function.function() == Some(function));
    theirs.map(|one| one.name.as_str()).collect()
}

/// Who comes, goes and stays, and whether the quorum can bear a loss.
fn difference(charter: &Charter, change: &Officers) -> String {
    let before = names(charter, change.function);
    let mut text = format!("what it changes for {}:\n", change.function);
    for new in &change.add {
        let shown = PublicKey::from_openssh(&new.key).map(|key| key.fingerprint(HashAlg::Sha256).to_string());
        let how = if change.remove.contains(&new.name) { "gets a new key" } else { "comes, with key" };
        text.push_str(&format!("  + {} {how} {}\n", new.name, shown.unwrap_or_default()));
    }
    let gone = change.remove.iter().filter(|name| !change.add.iter().any(|new| new.name == **name));
    gone.for_each(|name| text.push_str(&format!("  - {name} goes\n")));
    let staying = before.iter().filter(|name| !change.remove.iter().any(|gone| gone == **name));
    let staying: Vec<&str> = staying.copied().collect();
    staying.iter().for_each(|name| text.push_str(&format!("  = {name} stays\n")));
    let (count, quorum) = (staying.len() + change.add.len(), charter.quorum.of(change.function));
    text.push_str(&format!("  {count} officers, of whom {quorum} must sign\n"));
    if count == quorum {
        text.push_str("  ! if one of them loses their key, only another charter can change the function's officers\n");
    }
    text
}

/// Checked in full when the text is made; here so that who types it knows at once.
pub(super) fn id(text: &str) -> Result<String, String> {
    check_name("id", text).map(|()| text.to_owned())
}

/// `NAME=KEY`, where the key may be in a file; its comment is left out. Which kinds are taken the register decides.
pub(super) fn person(text: &str) -> Result<(String, String), String> {
    let (name, key) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=KEY"))?;
    let given = key.trim();
    let read = match given.contains(' ') {
        true => given.to_owned(),
        false => std::fs::read_to_string(Path::new(given)).map_err(|error| format!("{given}: {error}"))?,
    };
    PublicKey::from_openssh(read.trim())
        .map_err(|_| format!("the key of {name} is no SSH public key (`ssh-ed25519 AAAA…`), nor the file of one"))?;
    let words: Vec<&str> = read.split_whitespace().take(2).collect();
    Ok((filled(name)?, words.join(" ")))
}
