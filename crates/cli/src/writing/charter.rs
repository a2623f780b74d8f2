//! `drieslot charter new`: the first statement of a register, from its people and from what its parts said of themselves.

use std::path::{Path, PathBuf};

use anyhow::Result;
use drieslot_register::statement::{Duty, Statement};
use drieslot_register::{Function, Hex32};
use jiff::Timestamp;
use toml::{Table, Value};

use super::answers::{Answers, Question};
use super::arguments::CharterNewArgs;
use super::officers::{id, person};
use super::{check_free, check_size, finish};
use crate::failure::failure;

/// Runs the command.
pub(crate) fn charter(args: &CharterNewArgs, now: Timestamp) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("charter.toml"));
    check_free(&out)?;
    let answers = Answers::new();
    let question = Question::new("tenant", "the controller's name, such as agency.example; every statement repeats it");
    let tenant = answers.required(&question, args.tenant.as_deref(), id)?;
    let question =
        Question::new("purpose", "a purpose that mandates may have, such as civic_integration; the list is closed");
    let purposes = answers.some(&question, &args.purpose, id)?;
    let question =
        Question::new("head", "the head of the agency, as NAME=KEY; KEY is an SSH public key or the file of one");
    let (head, key) = answers.required(&question, args.head.as_deref(), person)?;
    let mut persons = vec![entry(&head, Duty::Head, key)];
    let question =
        Question::new("officer", "an officer, as FUNCTION:NAME=KEY; name more of each function than its quorum");
    persons.extend(answers.some(&question, &args.officer, officer)?);
    let question = Question::new("quorum", "how many officers of a function must sign, as FUNCTION:N; left out, 1");
    let mut quorum: Table =
        Function::ALL.map(|function| (function.to_string(), Value::Integer(1))).into_iter().collect();
    for (function, count) in answers.several(&question, &args.quorum, count)? {
        quorum.insert(function.to_string(), Value::Integer(count));
    }
    let question = Question::new("part", "a file with what register init, custodian init or gateway init printed");
    let parts = answers.some(&question, &args.part, part)?;
    let mut charter = Table::new();
    for (name, value) in [("kind", "charter"), ("tenant", &tenant), ("id", "charter"), ("head", &head)] {
        charter.insert(name.into(), Value::String(value.into()));
    }
    charter.insert("issued".into(), Value::String(now.to_string()));
    charter.insert("purposes".into(), Value::Array(purposes.into_iter().map(Value::String).collect()));
    charter.insert("quorum".into(), Value::Table(quorum));
    charter.insert("person".into(), Value::Array(persons));
    parts.into_iter().try_for_each(|part| add(&mut charter, part))?;
    let numbers = [
        ("witness_quorum", args.witness_quorum),
        ("witness_faults", args.witness_faults),
        ("witness_grace_s", args.witness_grace_s),
    ];
    for (name, number) in numbers {
        number.map(|number| charter.insert(name.into(), Value::Integer(number.into())));
    }
    let statement = read(&charter)?;
    let text = statement.to_text()?;
    check_size(&text, now)?;
    let pin = format!("its SHA-256, which every part is given: {}\n", Hex32::sha256(&text));
    finish(&statement, &text, &pin, Some(&out), "all persons whom it names")
}

fn read(charter: &Table) -> Result<Statement> {
    let hint = "name every part with --part, and at least one officer of each function with --officer";
    Statement::parse(&charter.to_string()).map_err(|error| failure(error.to_string(), hint))
}

fn entry(name: &str, duty: Duty, key: String) -> Value {
    let pairs = [("name", name.to_owned()), ("function", duty.to_string()), ("key", key)];
    Value::Table(pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect())
}

fn officer(text: &str) -> Result<Value, String> {
    let (function, rest) = text.split_once(':').ok_or_else(|| format!("`{text}` is not FUNCTION:NAME=KEY"))?;
    let function: Function = function.parse()?;
    let (name, key) = person(rest)?;
    Ok(entry(&name, function.into(), key))
}

fn count(text: &str) -> Result<(Function, i64), String> {
    let (function, count) = text.split_once(':').ok_or_else(|| format!("`{text}` is not FUNCTION:N"))?;
    let number = count.parse::<i64>().ok().filter(|count| *count > 0);
    Ok((function.parse()?, number.ok_or_else(|| format!("`{count}` is no number of officers"))?))
}

fn part(file: &str) -> Result<Table, String> {
    let text = std::fs::read_to_string(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
    let table: Table = toml::from_str(&text).map_err(|error| format!("{file}: {}", error.message()))?;
    match table.keys().find(|key| !["register", "custodian", "gateway", "usage", "witness"].contains(&key.as_str())) {
        Some(key) => Err(format!("{file} says `{key}`, which is of no part")),
        None => Ok(table),
    }
}

/// Lists grow; the register comes once.
fn add(charter: &mut Table, part: Table) -> Result<()> {
    for (name, value) in part {
        match (charter.get_mut(&name), value) {
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (None, value) => drop(charter.insert(name, value)),
            (Some(_), _) => return Err(failure(format!("`{name}` is given twice"), "name each part's file once")),
        }
    }
    Ok(())
}
