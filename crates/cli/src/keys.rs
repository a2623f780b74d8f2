//! `drieslot keys`: the age of every domain's key, the statement that opens its next epoch, and the worker that brings
//! the cells over.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use drieslot_gateway::rotation::{Limits, Step, Worker};
use drieslot_gateway::{Config, GatewayError};
use drieslot_register::State;
use drieslot_register::statement::{NewEpoch, Retirement, Rotation, Statement};
use drieslot_schema::{ColumnId, Domain};
use jiff::Timestamp;

use crate::administration::{Administration, Place};
use crate::command::{KeysProposeArgs, KeysRotateArgs, KeysVerifyArgs};
use crate::failure::failure;
use crate::files;
use crate::register::Register;
use crate::roles::{clock, gateway_config};

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// `drieslot keys status`
pub(crate) async fn status(access: &std::path::Path, now: Timestamp) -> Result<()> {
    let state = Register::open(access)?.state().await?;
    for domain in state.domains() {
        println!("{}", line(&state, domain, now));
    }
    match state.key_policy() {
        Some(policy) => println!("key-policy `{}`: an epoch may be {} days old", policy.id, policy.epoch_days),
        None => println!("no key-policy is in force: an epoch may be of any age"),
    }
    Ok(())
}

fn line(state: &State, domain: &Domain, now: Timestamp) -> String {
    let in_use = state.epochs_in_use(domain);
    let open = state.open_rotation(domain);
    let oldest = open.map_or(in_use.current, |open| open.from);
    let mut line = format!("{domain}  epoch {}", in_use.current);
    let Some(check) = state.key_check(domain, oldest) else { return line + ", not used yet" };
    let days = now.duration_since(check.issued).as_hours() / 24;
    line.push_str(&format!(", epoch {oldest} is {days} days old"));
    if let Some(limit) = state.key_policy().map(|policy| policy.epoch_days_of(&domain.0)) {
        let over = days >= i64::from(limit);
        line.push_str(&format!(" of {limit}{}", if over { ": OVERDUE" } else { "" }));
    }
    if let Some(open) = open {
        line.push_str(&format!("; rotation `{}` from {} to {} by {}", open.id, open.from, open.to, open.worker));
    }
    line
}

/// `drieslot keys propose`: writes the rotation.
pub(crate) async fn propose(args: &KeysProposeArgs, now: Timestamp) -> Result<()> {
    let state = Register::open(&args.client.register)?.state().await?;
    let tenant = state.tenant().context("the register has no charter in force")?.to_owned();
    let mut domain = Vec::new();
    for name in &args.domains {
        let wanted = Domain(name.clone());
        if !state.domains().contains(&wanted) {
            let hint = "see `drieslot keys status` for the domains";
            return Err(failure(format!("no classification in force has a domain `{name}`"), hint));
        }
        if let Some(open) = state.open_rotation(&wanted) {
            let what = format!("rotation `{}` of domain `{name}` is not ended yet", open.id);
            return Err(failure(what, "end it first: `drieslot keys rotate`, then the retirement that it writes"));
        }
        let epoch = state.current_epoch(&wanted).checked_add(1).context("there is no epoch after 65535")?;
        domain.push(NewEpoch { name: name.clone(), epoch });
    }
    let rotation = Rotation {
        tenant,
        id: format!("rotation-{}", now.as_second()),
        issued: now,
        worker: args.worker.clone(),
        why: args.why.clone(),
        domain,
    };
    written(&args.out, &Statement::Rotation(rotation), "structure and keys")
}

fn written(out: &std::path::Path, statement: &Statement, who: &str) -> Result<()> {
    files::write(out, &statement.to_text()?)?;
    println!("written: {}", out.display());
    println!("next:    {who} sign it: drieslot sign {0} --key KEY && drieslot submit {0}", out.display());
    Ok(())
}

fn domains(names: &[String]) -> Vec<Domain> {
    names.iter().cloned().map(Domain).collect()
}

fn stopped(error: GatewayError) -> anyhow::Error {
    if let GatewayError::Rotation { what, remedy } = error { failure(what, remedy) } else { error.into() }
}

/// `drieslot keys rotate`
pub(crate) async fn rotate(args: &KeysRotateArgs) -> Result<()> {
    let config = gateway_config(&args.config)?;
    let administration = Administration::begin(Place::of_worker(&config), "keys rotate", &[&args.config])?;
    administration.end(rotated(&config, args).await)
}

async fn rotated(config: &Config, args: &KeysRotateArgs) -> Result<()> {
    let worker = Worker::open(config, clock()).await.map_err(stopped)?;
    println!("journal: {}", worker.journal_key());
    let mut shown = Shown::default();
    let limits = Limits {
        cells_per_second: args.cells_per_second,
        terminate_after: args.terminate_after_s.map(Duration::from_secs),
    };
    let rotated = worker.rotate(&domains(&args.domains), limits, &mut |step| shown.step(step)).await.map_err(stopped);
    worker.close();
    let ended = rotated?;
    let now = worker.now();
    let tenant = worker.state().tenant().context("the register has no charter in force")?.to_owned();
    let id = format!("retirement-{}", now.as_second());
    let retirement = Retirement { tenant, id, issued: now, domain: ended };
    written(&args.out, &Statement::Retirement(retirement), "officers of keys")
}

/// `drieslot keys verify`
pub(crate) async fn verify(args: &KeysVerifyArgs) -> Result<()> {
    let config = gateway_config(&args.config)?;
    let administration = Administration::begin(Place::of_worker(&config), "keys verify", &[&args.config])?;
    administration.end(verified(&config, args).await)
}

async fn verified(config: &Config, args: &KeysVerifyArgs) -> Result<()> {
    let worker = Worker::open(config, clock()).await.map_err(stopped)?;
    let counted = worker.verify(&domains(&args.domains)).await.map_err(stopped);
    worker.close();
    for column in counted? {
        let cells: Vec<String> =
            column.cells.iter().map(|(epoch, cells)| format!("{cells} in epoch {epoch}")).collect();
        println!("{}.{}  every cell opens: {}", column.database, column.column, cells.join(", "));
    }
    Ok(())
}

/// Shows where the worker is, with an estimate of what is left.
struct Shown {
    began: Instant,
    last: Option<Instant>,
    of: u64,
}

impl Default for Shown {
    fn default() -> Self {
        Self { began: Instant::now(), last: None, of: 0 }
    }
}

impl Shown {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Begun(column, cells) => {
                *self = Self { of: cells, ..Self::default() };
                say(column, format_args!("{cells} cells to bring over"));
            }
            Step::Moved(column, moved) => {
                if self.last.is_none_or(|last| last.elapsed() >= SHOW_EVERY) {
                    self.last = Some(Instant::now());
                    self.moved(column, moved);
                }
            }
            Step::Held(column, rows) => say(column, format_args!("{rows} rows are held by others, and tried again")),
            Step::Locked(column) => say(column, format_args!("waits for a transaction that holds its table")),
            Step::Waits(session) => println!("the exchange waits for {session}"),
            Step::Exchanged(took) => {
                println!("the cells that are compared were exchanged; their tables were locked for {took:.1?}")
            }
            Step::Closed(column) => say(column, format_args!("takes cells of the new epoch only")),
            Step::Verified(column, cells) => say(column, format_args!("all {cells} cells open with the new key")),
        }
    }

    /// Applications bring new work and take some away, so that this is an estimate.
    fn moved(&self, column: &ColumnId, moved: u64) {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = moved.saturating_mul(1_000) / elapsed_ms;
        let percent = moved.saturating_mul(100).checked_div(self.of).unwrap_or(100).min(100);
        let left_s = self.of.saturating_sub(moved).checked_div(per_second).unwrap_or(0);
        say(
            column,
            format_args!("{moved} of {} cells ({percent} %), {per_second} a second, about {left_s} s left", self.of),
        );
    }
}

fn say(column: &ColumnId, what: std::fmt::Arguments<'_>) {
    println!("{column}  {what}");
    // Whoever reads a pipe wants each line when it is said.
    let _ = std::io::stdout().flush();
}
