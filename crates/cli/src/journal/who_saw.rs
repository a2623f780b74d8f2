//! `drieslot journal who-saw`: who looked at somebody, by an index here or by a usage server.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, Result};
use drieslot_audit::body::Touched;
use drieslot_audit::index::{Page, Seen};
use drieslot_audit::{AuditError, Index, Pseudonym};
use drieslot_link::{Client, Fingerprint, TlsIdentity};
use drieslot_usage::{FindUsage, Usage, Usages};
use serde_json::{Value, json};

use super::arguments::JournalWhoSawArgs;
use super::index::reaches;
use super::show::{self, Screen};
use crate::failure::failure;

const TITLES: [&str; 5] = ["time (UTC)", "journal", "entry", "who", "what"];
/// Longer than any person's number.
const MAX_SUBJECT_BYTES: u64 = 4 << 10;

/// Enough for the longest answer: a thousand looks at some dozens of columns each.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// What is shown: as JSON, and as rows of a table.
struct Shown {
    json: Vec<Value>,
    rows: Vec<Vec<String>>,
    more: bool,
    rests_on: Vec<String>,
}

/// `drieslot journal who-saw`
pub(crate) async fn who_saw(args: &JournalWhoSawArgs) -> Result<()> {
    let shown = match (&args.index, &args.pseudonym, &args.server, &args.identity, args.tls) {
        (Some(index), Some(pseudonym), ..) => by_index(args, index, pseudonym)?,
        (_, _, Some(server), Some(identity), Some(tls)) => by_server(args, server, identity, tls).await?,
        _ => {
            return Err(failure(
                "nobody is there to ask",
                "name --index and --pseudonym, or --server, --identity and --tls",
            ));
        }
    };
    let mut screen = Screen::open();
    match args.json {
        true => shown.json.iter().try_for_each(|one| screen.line(&one.to_string()))?,
        false => screen.table(&TITLES, &shown.rows)?,
    }
    screen.flush()?;
    if shown.more {
        eprintln!("note: there are older looks; go on with --offset {}", args.offset.saturating_add(args.limit as u64));
    }
    shown.rests_on.iter().for_each(|one| eprintln!("of {one}"));
    Ok(())
}

fn by_index(args: &JournalWhoSawArgs, index: &Path, pseudonym: &str) -> Result<Shown> {
    let pseudonym = Pseudonym::parse(pseudonym).ok_or_else(|| {
        failure("this is no pseudonym", "give the 22 characters that stand in an outcome's `subjects`")
    })?;
    if !index.exists() {
        return Err(failure(format!("{} is not there", index.display()), "make it with `drieslot journal index`"));
    }
    let page = Page { before: None, offset: args.offset, limit: args.limit };
    let answer = Index::open(index)?.who_saw::<AuditError>(&[pseudonym], &page, |_| Ok(true))?;
    Ok(Shown {
        json: answer.looks.iter().map(seen_json).collect::<Result<_>>()?,
        rows: answer.looks.iter().map(seen_row).collect(),
        more: answer.more,
        rests_on: answer.reaches.iter().map(reaches).collect(),
    })
}

fn seen_json(seen: &Seen) -> Result<Value> {
    let mut value = serde_json::to_value(&*seen.said)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("time".into(), json!(seen.time.to_string()));
        members.insert("journal".into(), json!(&*seen.journal));
        members.insert("first".into(), json!(seen.intent));
    }
    Ok(value)
}

fn seen_row(seen: &Seen) -> Vec<String> {
    let said = &seen.said;
    let end_user = said.end_user.as_ref().map(|person| show::for_whom(&person.name, &person.known));
    vec![
        show::short_time(&seen.time.to_string()),
        seen.journal.to_string(),
        seen.intent.to_string(),
        said.principal.clone() + &end_user.unwrap_or_default(),
        what(&said.purpose, &said.command, &said.columns, &said.mandates),
    ]
}

fn what(purpose: &str, command: &str, columns: &[Touched], mandates: &[String]) -> String {
    let pairs = columns.iter().map(|touched| (touched.used.as_str(), touched.column.as_str()));
    format!("{purpose}: {command}: {} ({})", show::uses(pairs), mandates.join(", "))
}

async fn by_server(args: &JournalWhoSawArgs, server: &str, identity: &Path, tls: Fingerprint) -> Result<Shown> {
    let client = Client::new(&TlsIdentity::load(identity)?, tls, server)?.taking(MAX_ANSWER_BYTES);
    let question = FindUsage {
        subject: subject()?,
        realm: args.realm.clone(),
        offset: args.offset,
        limit: args.limit,
        cursor: None,
    };
    let (status, body) = client.post("/findUsage", serde_json::to_vec(&question)?).await?;
    if status != 200 {
        let hint = "400 is for who asks, 429 for later; for the rest look at the usage server's log";
        return Err(failure(format!("{server} answered {status}: {}", String::from_utf8_lossy(&body)), hint));
    }
    let usages: Usages = serde_json::from_slice(&body).context("the answer of the usage server")?;
    let rests_on = usages.as_of.iter().map(|one| {
        let until = one.until.map(|time| format!(" until {}", show::short_time(&time.to_string()))).unwrap_or_default();
        format!("{}: {} entries{until}", one.journal, one.entries)
    });
    Ok(Shown {
        json: usages.find_usage_responses.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
        rows: usages.find_usage_responses.iter().map(usage_row).collect(),
        more: usages.more,
        rests_on: rests_on.collect(),
    })
}

fn usage_row(usage: &Usage) -> Vec<String> {
    let end_user = usage.end_user.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
    vec![
        show::short_time(&usage.logtime.to_string()),
        usage.journal.clone(),
        usage.entry.to_string(),
        usage.receiver.clone() + &end_user,
        what(&usage.purpose, &usage.action, &usage.columns, &usage.mandates),
    ]
}

/// A line of standard input: what stands on a command line shows in lists of processes and shells' histories.
fn subject() -> Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Whom (not shown): ").context("the terminal");
    }
    let mut line = String::new();
    std::io::stdin().lock().take(MAX_SUBJECT_BYTES).read_line(&mut line).context("standard input")?;
    let subject = line.trim_end_matches(['\n', '\r']);
    match subject.is_empty() {
        true => Err(failure("nobody is named", "write the person's number to standard input")),
        false => Ok(subject.to_owned()),
    }
}
