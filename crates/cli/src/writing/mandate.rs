//! `drieslot mandate new`

use anyhow::{Context, Result};
use drieslot_register::statement::{Charter, EndUserClaim, EndUserDemand, Grant, Hours, Kind, Mandate, Statement};
use drieslot_register::{Operation, State, Status};
use drieslot_schema::{Classification, Table};
use jiff::Timestamp;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::answers::{Answers, Question};
use super::arguments::MandateNewArgs;
use super::{check_admitted, check_free, finish};
use crate::register::{Register, changes};

/// Runs the command.
pub(crate) async fn mandate(args: &MandateNewArgs, now: Timestamp) -> Result<()> {
    args.out.as_deref().map_or(Ok(()), check_free)?;
    let state = Register::open(&args.client.register)?.state().await?;
    let charter = state.charter().context("the register has no charter in force")?;
    let mandate = ask(args, &state, charter, now)?;
    let changes = changes(&state, &mandate, now);
    let statement = Statement::Mandate(mandate);
    let text = statement.to_text()?;
    check_admitted(&state, &text, now)?;
    finish(&statement, &text, &changes, args.out.as_ref(), "officers of all three functions")
}

fn ask(args: &MandateNewArgs, state: &State, charter: &Charter, now: Timestamp) -> Result<Mandate> {
    let answers = Answers::new();
    let id = answers.required(
        &Question::new("id", "a short name of its own, never used before"),
        args.id.as_deref(),
        |id| new_id(state, id),
    )?;
    let question = Question::new("principal", "whose mandate it is: a database role");
    let principal = answers.required(&question, args.principal.as_deref(), filled)?;
    let known = databases(state);
    let question =
        Question::new("database", format!("one of the databases with a classification: {}", known.join(", ")));
    let database = answers.required(&question, args.database.as_deref(), |name| one_of(&known, name))?;
    let classification = state.classification(&database).context("the classification")?;
    let purposes: Vec<&str> = charter.purposes.iter().map(String::as_str).collect();
    let question = Question::new("purpose", format!("one of the charter's purposes: {}", purposes.join(", ")));
    let purpose = answers.required(&question, args.purpose.as_deref(), |name| one_of(&purposes, name))?;
    let question = Question::new("legal-basis", "the law or agreement that it rests on, in one line");
    let legal_basis = answers.required(&question, args.legal_basis.as_deref(), filled)?;
    let question = Question::new("valid-from", "from when, such as 2026-01-05T00:00:00Z; left out, from now");
    let valid_from = answers.optional(&question, args.valid_from.as_deref(), moment)?.unwrap_or(now);
    let question = Question::new("valid-until", "until when, such as 2027-01-05T00:00:00Z, at which it is over");
    let valid_until = answers.required(&question, args.valid_until.as_deref(), |text| {
        let until = moment(text)?;
        if until > valid_from.max(now) { Ok(until) } else { Err("it would be over before it begins".into()) }
    })?;
    let grant = grants(&answers, args, &classification)?;
    let in_force: Vec<&str> =
        state.mandates_of(&principal).filter(|one| one.database == database).map(|one| one.id.as_str()).collect();
    let list = if in_force.is_empty() { "none".to_owned() } else { in_force.join(", ") };
    let question =
        Question::new("replaces", format!("the mandate that ends when this one takes effect; in force: {list}"));
    let replaces = answers.optional(&question, args.replaces.as_deref(), |id| one_of(&in_force, id))?;
    let question = Question::new("rows-per-statement", "most rows that one statement may touch; left out, any number");
    let rows_per_statement = answers.optional(&question, args.rows_per_statement.as_deref(), |text| {
        text.parse::<u64>().ok().filter(|rows| *rows > 0).ok_or_else(|| format!("`{text}` is no number of rows"))
    })?;
    let question = Question::new("requester", "who asked for it; an officer who did may not approve it");
    let requester = answers.optional(&question, args.requester.as_deref(), filled)?;
    let question = Question::new("hours", "when it holds, as ZONE DAY,… FROM-UNTIL; left out, at every hour");
    let hours = answers.several(&question, &args.hours, hours)?;
    let (end_user, end_user_claim) = end_users(&answers, args)?;
    let (order, disclose_after) = secrecy(&answers, args)?;
    let tenant = charter.tenant.clone();
    Ok(Mandate {
        tenant,
        id,
        issued: now,
        replaces,
        principal,
        database,
        purpose,
        legal_basis,
        valid_from,
        valid_until,
        rows_per_statement,
        requester,
        hours,
        end_user,
        end_user_claim,
        order,
        disclose_after,
        grant,
    })
}

fn databases(state: &State) -> Vec<&str> {
    let mut all = Vec::new();
    for record in state.statements().iter().filter(|record| record.status == Status::InForce) {
        if let Statement::Classification(one) = record.statement.as_ref() {
            all.push(one.database.as_str());
        }
    }
    all
}

fn new_id(state: &State, id: &str) -> Result<String, String> {
    match state.find(Kind::Mandate, id) {
        Some(record) => Err(format!("a mandate `{id}` is {} already, and an id is never used again", record.status)),
        None => super::officers::id(id),
    }
}

fn grants(answers: &Answers, args: &MandateNewArgs, classification: &Classification) -> Result<Vec<Grant>> {
    let tables = classification.tables().filter(|table| table.columns.values().any(|one| one.protected.is_some()));
    let tables: Vec<String> = tables.map(|table| table.id.to_string()).collect();
    let explained = format!(
        "what it grants, as TABLE:COLUMN,…:OPERATION,…; columns may be *, operations are read, read_masked (with :MASK \
         after it), read_token, write, search; tables with protected columns: {}",
        tables.join(", ")
    );
    answers.some(&Question::new("grant", explained), &args.grant, |text| grant(text, classification))
}

fn grant(text: &str, classification: &Classification) -> Result<Grant, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, columns, operations, mask) = match parts.as_slice() {
        [name, columns, operations] => (name, columns, operations, None),
        [name, columns, operations, mask] => (name, columns, operations, Some((*mask).to_owned())),
        _ => return Err(format!("`{text}` is not TABLE:COLUMN,…:OPERATION,… or that and :MASK")),
    };
    let full = if name.contains('.') { (*name).to_owned() } else { format!("public.{name}") };
    let table = classification.tables().find(|table| table.id.to_string() == full);
    let table = table.ok_or_else(|| format!("{full} is not in the classification of the database"))?;
    let operations: Vec<Operation> = list(operations).map(word).collect::<Result<_, _>>()?;
    if operations.is_empty() {
        return Err("name at least one operation".into());
    }
    let grant = Grant { table: full, columns: columns_of(table, columns)?, operations, mask };
    grant.shown()?;
    Ok(grant)
}

fn columns_of(table: &Table, columns: &str) -> Result<Vec<String>, String> {
    let protected = table.columns.values().filter(|column| column.protected.is_some());
    let protected: Vec<&str> = protected.map(|column| column.name.as_str()).collect();
    if columns == "*" && !protected.is_empty() {
        return Ok(protected.into_iter().map(str::to_owned).collect());
    }
    let mut named = Vec::new();
    for name in list(columns) {
        match table.columns.get(name) {
            Some(_) if protected.contains(&name) => named.push(name.to_owned()),
            Some(_) => return Err(format!("{}.{name} is plain: no mandate is needed for it", table.id)),
            None => return Err(format!("{} has no protected column {name}: {}", table.id, protected.join(", "))),
        }
    }
    if named.is_empty() { Err(format!("name columns of {}: {}", table.id, protected.join(", "))) } else { Ok(named) }
}

fn end_users(answers: &Answers, args: &MandateNewArgs) -> Result<(EndUserDemand, Vec<EndUserClaim>)> {
    let explained = "what must be known of the person whom the application acts for: none, asserted or verified";
    let demand = answers.optional(&Question::new("end-user", explained), args.end_user.as_deref(), word)?;
    let demand: EndUserDemand = demand.unwrap_or_default();
    let question =
        Question::new("end-user-claim", "what a token must say, as ISSUER CLAIM VALUE,…; left out, nothing more");
    let claims = match demand == EndUserDemand::Verified || !args.end_user_claim.is_empty() {
        true => answers.several(&question, &args.end_user_claim, claim)?,
        false => Vec::new(),
    };
    Ok((demand, claims))
}

fn secrecy(answers: &Answers, args: &MandateNewArgs) -> Result<(Option<String>, Option<Timestamp>)> {
    let question =
        Question::new("order", "id of a legal order that keeps what is looked at secret; left out, there is none");
    let Some(order) = answers.optional(&question, args.order.as_deref(), filled)? else { return Ok((None, None)) };
    let question = Question::new("disclose-after", "when those concerned are told, such as 2027-01-05T00:00:00Z");
    Ok((Some(order), Some(answers.required(&question, args.disclose_after.as_deref(), moment)?)))
}

fn claim(text: &str) -> Result<EndUserClaim, String> {
    let parts: Vec<&str> = text.splitn(3, ' ').collect();
    let [issuer, claim, values] = parts.as_slice() else {
        return Err(format!("`{text}` is not ISSUER CLAIM VALUE,…"));
    };
    let values = list(values).map(str::to_owned).collect();
    Ok(EndUserClaim { issuer: (*issuer).into(), claim: (*claim).into(), values })
}

fn hours(text: &str) -> Result<Hours, String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [zone, days, times] = parts.as_slice() else {
        return Err(format!(
            "`{text}` is not ZONE DAY,… FROM-UNTIL, such as Europe/Brussels monday,friday 08:00-18:00"
        ));
    };
    let (from, until) = times.split_once('-').ok_or_else(|| format!("`{times}` is not FROM-UNTIL"))?;
    let days = list(days).map(word).collect::<Result<_, _>>()?;
    let hours = Hours { zone: (*zone).into(), days, from: from.parse()?, until: until.parse()? };
    hours.check()?;
    Ok(hours)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

/// A word of statements, as it is written there.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let word: StrDeserializer<'_, WordError> = text.into_deserializer();
    T::deserialize(word).map_err(|error| error.to_string())
}

fn one_of(known: &[&str], name: &str) -> Result<String, String> {
    match known.contains(&name) {
        true => Ok(name.to_owned()),
        false if known.is_empty() => Err(format!("`{name}` is not there: there are none")),
        false => Err(format!("`{name}` is none of {}", known.join(", "))),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{text}` is no moment: write it as 2026-01-05T00:00:00Z"))
}

pub(super) fn filled(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("it must not be empty".into()) } else { Ok(text.to_owned()) }
}
