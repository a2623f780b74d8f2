//! `drieslot access`: what a principal can do now, by which mandate; and what of it nobody used, by the gateways' journals.
//!
//! Journals are verified before they are believed, each by the key that the charter names for its gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use drieslot_audit::body::Intent;
use drieslot_audit::{AuditError, Trusted};
use drieslot_journal::entry::Entry;
use drieslot_journal::{Reader, entry};
use drieslot_register::statement::{Charter, GatewayPart, Kind, Mandate};
use drieslot_register::{Operation, State};
use drieslot_schema::ColumnId;
use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;

use crate::command::AccessArgs;
use crate::failure::failure;
use crate::register::Register;

/// Runs the command.
pub(crate) async fn access(args: &AccessArgs, now: Timestamp) -> Result<()> {
    let state = Register::open(&args.client.register)?.state().await?;
    let principal = args.principal.as_str();
    let mandates: Vec<&Mandate> = state.mandates_of(principal).collect();
    if mandates.is_empty() {
        println!("{principal} has no mandate in force: every protected column is closed to it");
    }
    match args.unused {
        None => mandates.into_iter().for_each(|mandate| print_mandate(&state, mandate, now)),
        Some(days) => print_unused(&state, args, &mandates, now, days)?,
    }
    Ok(())
}

fn print_mandate(state: &State, mandate: &Mandate, now: Timestamp) {
    let when = if now < mandate.valid_from {
        "not yet valid"
    } else if now >= mandate.valid_until {
        "over"
    } else {
        "valid"
    };
    println!("mandate `{}` ({when}, {} to {})", mandate.id, mandate.valid_from, mandate.valid_until);
    println!("  purpose {}, by {}", mandate.purpose, mandate.legal_basis);
    println!("  {}", mandate.limits());
    if let Some(record) = state.find(Kind::Mandate, &mandate.id) {
        let signer = |one: &drieslot_register::Signer| match one.function() {
            Some(function) => format!("{} ({function})", one.name),
            None => one.name.clone(),
        };
        println!("  signed by {}", record.signers.iter().map(signer).collect::<Vec<_>>().join(", "));
    }
    for grant in &mandate.grant {
        let operations: Vec<String> = grant.operations.iter().map(ToString::to_string).collect();
        let mask = grant.mask.as_ref().map_or(String::new(), |mask| format!(" (mask {mask})"));
        println!(
            "  {}{mask} in {}.{}: {}",
            operations.join(", "),
            mandate.database,
            grant.table,
            grant.columns.join(", ")
        );
    }
}

/// What one principal's intents rested on: mandate, column as it is written in journals, use.
type Used = BTreeSet<(String, String, String)>;

/// How far a journal reaches.
struct Reach {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

fn print_unused(state: &State, args: &AccessArgs, mandates: &[&Mandate], now: Timestamp, days: u32) -> Result<()> {
    let since = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).context("the days")?;
    let charter = state.charter().context("the register has no charter in force")?;
    let (mut used, mut seen) = (Used::new(), BTreeSet::new());
    for folder in &args.journal {
        let journal = open(folder, charter)?;
        let reach = collect(&journal.reader, &args.principal, since, &mut used)
            .with_context(|| folder.display().to_string())?;
        print_reach(folder, journal.gateway, &reach, since, now);
        seen.insert(journal.gateway.name.as_str());
    }
    for gateway in charter.gateway.iter().filter(|one| !seen.contains(one.name.as_str())) {
        println!("  ! no journal of gateway `{}` was named: what was used there is not known", gateway.name);
    }
    println!("{}: granted now, and not used in the last {days} days as far as these journals reach:", args.principal);
    let mut unused = 0_usize;
    for mandate in mandates.iter().filter(|one| one.valid_from <= now && now < one.valid_until) {
        unused += print_unused_of(mandate, &used, since);
    }
    if unused == 0 {
        println!("nothing: every right was used");
    }
    Ok(())
}

/// Gives how many rights were not used.
fn print_unused_of(mandate: &Mandate, used: &Used, since: Timestamp) -> usize {
    let key =
        |(column, operation): &(ColumnId, Operation)| (mandate.id.clone(), column.to_string(), operation.to_string());
    let all: BTreeSet<_> = mandate.rights().collect();
    let mut by_column: BTreeMap<ColumnId, Vec<String>> = BTreeMap::new();
    let unused: Vec<_> = all.iter().filter(|right| !used.contains(&key(right))).collect();
    for (column, operation) in &unused {
        by_column.entry(column.clone()).or_default().push(operation.to_string());
    }
    if !by_column.is_empty() {
        let whole = if unused.len() == all.len() { ", none of it used" } else { "" };
        println!("mandate `{}`, until {}{whole}", mandate.id, mandate.valid_until);
        if mandate.valid_from > since {
            println!("  ! valid only since {}", mandate.valid_from);
        }
    }
    for (column, operations) in by_column {
        println!("  {} in {}.{column}", operations.join(", "), mandate.database);
    }
    unused.len()
}

/// A gateway's journal, intact and signed by the gateway's own key.
fn open<'a>(folder: &Path, charter: &'a Charter) -> Result<Trusted<'a>> {
    let foreign = |origin: &str| {
        let what = format!("the journal `{origin}` in {} is of no gateway of the charter", folder.display());
        failure(what, "name the journal folder of each gateway: journal.folder of its configuration")
    };
    let journal = Trusted::open(folder, charter).map_err(|error| match error {
        AuditError::NotOfCharter { origin } => foreign(&origin),
        other @ (AuditError::Journal(_)
        | AuditError::Changed { .. }
        | AuditError::NotFollowed { .. }
        | AuditError::Entry { .. }
        | AuditError::Link { .. }
        | AuditError::Index(_)
        | AuditError::IndexFolder { .. }) => other.into(),
    })?;
    if journal.reader.origin().ends_with(drieslot_gateway::rotation::JOURNAL_SUFFIX) {
        return Err(foreign(journal.reader.origin()));
    }
    journal.verify(folder)?;
    Ok(journal)
}

/// Adds what the principal used since then.
fn collect(reader: &Reader, principal: &str, since: Timestamp, used: &mut Used) -> Result<Reach> {
    let mut reach = Reach { first: None, last: None };
    for found in reader.entries(reader.first(), reader.size())? {
        let (index, bytes) = found?;
        let entry: Entry<IgnoredAny> = entry::decode_as(&bytes).with_context(|| format!("entry {index}"))?;
        let time: Timestamp = entry.time.parse().with_context(|| format!("entry {index}"))?;
        reach.first.get_or_insert(time);
        reach.last = Some(time);
        if entry.kind != "intent" || time < since {
            continue;
        }
        let intent = entry::decode_as::<Intent>(&bytes).with_context(|| format!("entry {index}"))?.body;
        if intent.principal != principal {
            continue;
        }
        for touched in &intent.columns {
            let of = |mandate: &String| (mandate.clone(), touched.column.clone(), touched.used.clone());
            used.extend(intent.mandates.iter().map(of));
        }
    }
    Ok(reach)
}

fn print_reach(folder: &Path, gateway: &GatewayPart, reach: &Reach, since: Timestamp, now: Timestamp) {
    let (Some(first), Some(last)) = (reach.first, reach.last) else {
        return println!("journal of `{}` in {}: intact\n  ! it is empty", gateway.name, folder.display());
    };
    println!("journal of `{}` in {}: intact, from {first} to {last}", gateway.name, folder.display());
    if first > since {
        let hours = now.duration_since(first).as_hours().max(0);
        println!("  ! it reaches back {} days and {} hours only: use before that is not known", hours / 24, hours % 24);
    }
}
