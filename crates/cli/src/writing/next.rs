//! `drieslot charter next`: the charter that takes the place of the one in force, from what changes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use drieslot_register::statement::{Charter, Duty, Person, Statement};
use jiff::Timestamp;
use ssh_key::{HashAlg, PublicKey};

use super::answers::{Answers, Question};
use super::arguments::{CharterNextArgs, WitnessNumbers};
use super::charter::{PERSON, Parts, QUORUM, VERIFICATION, count, duty, set, with_duty};
use super::officers::id;
use super::{check_admitted, check_free, finish};
use crate::failure::failure;
use crate::register::Register;

/// Runs the command.
pub(crate) async fn next(args: &CharterNextArgs, now: Timestamp) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_free)?;
    let state = Register::open(&args.client.register)?.state().await?;
    let charter = state.charter().context("the register has no charter in force")?;
    let answers = Answers::new();
    let question = Question::new("id", "a short name of its own, never used before");
    let id = answers.required(&question, args.id.as_deref(), id)?;
    let mut next = Charter { id, issued: now, replaces: Some(charter.id.clone()), ..Charter::clone(charter) };
    change(&mut next, args, &answers)?;
    let changes = difference(charter, &next);
    let statement = Statement::Charter(next);
    let text = statement.to_text()?;
    check_admitted(&state, &text, now)?;
    let who = "all persons whom it names, and each function in office (its quorum, or its custodian by `drieslot \
               custodian sign`),";
    finish(&statement, &text, &changes, args.out.as_ref(), who)
}

fn change(next: &mut Charter, args: &CharterNextArgs, answers: &Answers) -> Result<()> {
    let known = names(next).join(", ");
    let question = Question::new("remove", format!("who or which part is no longer in it; now there: {known}"));
    for name in answers.several(&question, &args.remove, |name| Ok(name.to_owned()))? {
        remove(next, &name)?;
    }
    for person in answers.several(&Question::new("person", PERSON), &args.person, with_duty)? {
        set_person(next, person);
    }
    let question = Question::new("part", "a file with what a part's init printed; it takes the place of its namesake");
    for parts in answers.several(&question, &args.part, Parts::read)? {
        set_parts(next, parts);
    }
    let question = Question::new("purpose", "a purpose that comes");
    next.purposes.extend(answers.several(&question, &args.purpose, id)?);
    let question = Question::new("remove-purpose", format!("a purpose that goes; now: {}", next.purposes.join(", ")));
    let listed = next.purposes.clone();
    let goes = answers.several(&question, &args.remove_purpose, |name| match listed.iter().any(|one| one == name) {
        true => Ok(name.to_owned()),
        false => Err(format!("`{name}` is none of {}", listed.join(", "))),
    })?;
    next.purposes.retain(|one| !goes.contains(one));
    for one in answers.several(&Question::new("user-verification", VERIFICATION), &args.user_verification, duty)? {
        if !next.user_verification.contains(&one) {
            next.user_verification.push(one);
        }
    }
    for (function, count) in answers.several(&Question::new("quorum", QUORUM), &args.quorum, count)? {
        set(&mut next.quorum, function, count);
    }
    set_numbers(next, &args.witnesses);
    Ok(())
}

/// A charter without witnesses says nothing of their numbers.
fn set_numbers(next: &mut Charter, numbers: &WitnessNumbers) {
    let had = (next.witness_quorum, next.witness_faults, next.witness_grace_s);
    let had = if next.witness.is_empty() { (None, None, None) } else { had };
    next.witness_quorum = numbers.witness_quorum.or(had.0);
    next.witness_faults = numbers.witness_faults.or(had.1);
    next.witness_grace_s = numbers.witness_grace_s.or(had.2);
}

/// What can be removed.
fn names(charter: &Charter) -> Vec<&str> {
    let persons = charter.person.iter().map(|one| one.name.as_str());
    let custodians = charter.custodian.iter().map(|one| one.name.as_str());
    let gateways = charter.gateway.iter().map(|one| one.name.as_str());
    let usage = charter.usage.iter().map(|one| one.name.as_str());
    let witnesses = charter.witness.iter().map(|one| one.name.as_str());
    persons.chain(custodians).chain(gateways).chain(usage).chain(witnesses).collect()
}

fn remove(next: &mut Charter, name: &str) -> Result<()> {
    let before = names(next).len();
    next.person.retain(|one| one.name != name);
    next.custodian.retain(|one| one.name != name);
    next.gateway.retain(|one| one.name != name);
    next.usage.retain(|one| one.name != name);
    next.witness.retain(|one| one.name != name);
    match names(next).len() < before {
        true => Ok(()),
        false => Err(failure(
            format!("--remove: `{name}` is nobody and no part of the charter"),
            format!("it has {}; the register itself stays", names(next).join(", ")),
        )),
    }
}

/// Who is named again keeps their place; another head takes the head's.
fn set_person(next: &mut Charter, person: Person) {
    if person.function == Duty::Head {
        next.person.retain(|one| one.function != Duty::Head || one.name == person.name);
        next.head.clone_from(&person.name);
    }
    put(&mut next.person, person, |one| &one.name);
}

fn set_parts(next: &mut Charter, parts: Parts) {
    if let Some(register) = parts.register {
        next.register = register;
    }
    parts.custodian.into_iter().for_each(|one| put(&mut next.custodian, one, |one| &one.name));
    parts.gateway.into_iter().for_each(|one| put(&mut next.gateway, one, |one| &one.name));
    parts.usage.into_iter().for_each(|one| put(&mut next.usage, one, |one| &one.name));
    parts.witness.into_iter().for_each(|one| put(&mut next.witness, one, |one| &one.name));
}

fn put<T>(all: &mut Vec<T>, new: T, name: impl Fn(&T) -> &String) {
    match all.iter_mut().find(|one| name(one) == name(&new)) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}

/// What a charter changes, one thing a line, for who is asked to sign it.
pub(crate) fn difference(now: &Charter, next: &Charter) -> String {
    let (before, after) = (lines(now), lines(next));
    let mut text = format!("what charter `{}` changes:\n", next.id);
    let mut changed = false;
    for (what, new) in &after {
        let line = match before.get(what) {
            None => format!("  + {what}: {new}\n"),
            Some(old) if old != new => format!("  ~ {what}: {old} -> {new}\n"),
            Some(_) => continue,
        };
        changed = true;
        text.push_str(&line);
    }
    for (what, _) in before.iter().filter(|(what, _)| !after.contains_key(*what)) {
        changed = true;
        text.push_str(&format!("  - {what}\n"));
    }
    if !changed {
        text.push_str("  = nothing\n");
    }
    text
}

/// Everything that a charter says but for its own name, each thing under its name.
fn lines(charter: &Charter) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut say = |what: String, value: String| drop(all.insert(what, value));
    for one in &charter.person {
        say(format!("person {}", one.name), format!("{}, key {}", one.function, shown(&one.key)));
    }
    for one in &charter.custodian {
        say(format!("custodian {}", one.name), format!("{}, key {}, tls {}", one.function, shown(&one.key), one.tls));
    }
    for one in &charter.gateway {
        say(format!("gateway {}", one.name), format!("key {}, tls {}", shown(&one.key), one.tls));
    }
    for one in &charter.usage {
        say(format!("usage {}", one.name), format!("key {}, tls {}", shown(&one.key), one.tls));
    }
    for one in &charter.witness {
        say(format!("witness {}", one.name), one.key.clone());
    }
    for one in &charter.purposes {
        say(format!("purpose {one}"), "listed".into());
    }
    for one in &charter.user_verification {
        say(format!("user verification of {one}"), "demanded".into());
    }
    let quorum = charter.quorum;
    for (name, count) in [("structure", quorum.structure), ("access", quorum.access), ("keys", quorum.keys)] {
        say(format!("quorum of {name}"), count.to_string());
    }
    let numbers = [
        ("witness_quorum", charter.witness_quorum.map(|number| number.to_string())),
        ("witness_faults", charter.witness_faults.map(|number| number.to_string())),
        ("witness_grace_s", charter.witness_grace_s.map(|number| number.to_string())),
    ];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        say(name.to_owned(), number);
    }
    say("register".into(), format!("key {}, tls {}", shown(&charter.register.key), charter.register.tls));
    all
}

fn shown(key: &str) -> String {
    PublicKey::from_openssh(key).map_or_else(|_| key.to_owned(), |key| key.fingerprint(HashAlg::Sha256).to_string())
}
