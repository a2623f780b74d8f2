//! `drieslot charter new`: the first statement of a register, from its people and from what its parts said of themselves.

use std::path::{Path, PathBuf};

use anyhow::Result;
use drieslot_register::statement::{
    Charter, CustodianPart, Duty, GatewayPart, Person, Quorum, RegisterPart, Statement, UsagePart, WitnessPart,
};
use drieslot_register::{Function, Hex32};
use jiff::Timestamp;
use serde::Deserialize;

use super::answers::{Answers, Question};
use super::arguments::CharterNewArgs;
use super::mandate::word;
use super::officers::{id, person};
use super::{check_free, check_size, finish};
use crate::failure::failure;

pub(super) const PERSON: &str = "a person, as DUTY:NAME=KEY; DUTY is structure, access, keys, security-consultant or \
                                 data-protection-officer; name more officers of each function than its quorum";
pub(super) const QUORUM: &str = "how many officers of a function must sign, as FUNCTION:N; left out, as it is, or 1";
pub(super) const VERIFICATION: &str = "a duty whose persons have a security key and sign only with its PIN or fingerprint; \
                                       left out, none";

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
    let head_entry = Person { name: head.clone(), function: Duty::Head, key };
    let mut person = vec![head_entry];
    let question = Question::new("person", PERSON);
    person.extend(answers.some(&question, &args.person, with_duty)?);
    let verified = answers.several(&Question::new("user-verification", VERIFICATION), &args.user_verification, duty)?;
    let mut quorum = Quorum { structure: 1, access: 1, keys: 1 };
    for (function, count) in answers.several(&Question::new("quorum", QUORUM), &args.quorum, count)? {
        set(&mut quorum, function, count);
    }
    let question =
        Question::new("part", "a file with what register init, custodian init, gateway init or witness init printed");
    let parts = answers.some(&question, &args.part, Parts::read)?.into_iter().try_fold(Parts::default(), Parts::and)?;
    let hint = "name every part with --part, and at least one officer of each function with --person";
    let register = parts.register.ok_or_else(|| failure("no part is the register", hint))?;
    let charter = Charter {
        tenant,
        id: "charter".into(),
        issued: now,
        replaces: None,
        head,
        purposes,
        user_verification: verified,
        witness_quorum: args.witnesses.witness_quorum,
        witness_faults: args.witnesses.witness_faults,
        witness_grace_s: args.witnesses.witness_grace_s,
        quorum,
        register,
        person,
        custodian: parts.custodian,
        gateway: parts.gateway,
        usage: parts.usage,
        witness: parts.witness,
    };
    let statement = Statement::Charter(charter);
    let text = statement.to_text()?;
    Statement::parse(&text).map_err(|error| failure(error.to_string(), hint))?;
    check_size(&text, now)?;
    let pin = format!("its SHA-256, which every part is given: {}\n", Hex32::sha256(&text));
    finish(&statement, &text, &pin, Some(&out), "all persons whom it names")
}

/// `DUTY:NAME=KEY`.
pub(super) fn with_duty(text: &str) -> Result<Person, String> {
    let (first, rest) = text.split_once(':').ok_or_else(|| format!("`{text}` is not DUTY:NAME=KEY"))?;
    let (name, key) = person(rest)?;
    Ok(Person { name, function: duty(first)?, key })
}

pub(super) fn duty(text: &str) -> Result<Duty, String> {
    word(text)
}

/// `FUNCTION:N`.
pub(super) fn count(text: &str) -> Result<(Function, usize), String> {
    let (function, count) = text.split_once(':').ok_or_else(|| format!("`{text}` is not FUNCTION:N"))?;
    let number = count.parse::<usize>().ok().filter(|count| *count > 0);
    Ok((function.parse()?, number.ok_or_else(|| format!("`{count}` is no number of officers"))?))
}

pub(super) fn set(quorum: &mut Quorum, function: Function, count: usize) {
    match function {
        Function::Structure => quorum.structure = count,
        Function::Access => quorum.access = count,
        Function::Keys => quorum.keys = count,
    }
}

/// What `… init` printed of one part or several.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Parts {
    pub(super) register: Option<RegisterPart>,
    pub(super) custodian: Vec<CustodianPart>,
    pub(super) gateway: Vec<GatewayPart>,
    pub(super) usage: Vec<UsagePart>,
    pub(super) witness: Vec<WitnessPart>,
}

impl Parts {
    pub(super) fn read(file: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
        toml::from_str(&text).map_err(|error| format!("{file} says of no part what it must: {}", error.message()))
    }

    /// Lists grow; the register comes once.
    fn and(mut self, more: Self) -> Result<Self> {
        if self.register.is_some() && more.register.is_some() {
            return Err(failure("`register` is given twice", "name each part's file once"));
        }
        self.register = self.register.or(more.register);
        self.custodian.extend(more.custodian);
        self.gateway.extend(more.gateway);
        self.usage.extend(more.usage);
        self.witness.extend(more.witness);
        Ok(self)
    }
}
