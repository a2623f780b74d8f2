//! `drieslot deny`: one officer's no to a statement that waits, written, signed and handed in.

use anyhow::{Context, Result};
use drieslot_register::Status;
use drieslot_register::statement::{Denial, Denied, Statement};
use jiff::Timestamp;

use crate::command::DenyArgs;
use crate::failure::failure;
use crate::files;
use crate::register::{Register, find, print_receipt};
use crate::sign::SigningKey;

/// Runs the command. The denial lies at `--out` with its signature beside it, also where the register is not reached.
pub(crate) async fn deny(args: &DenyArgs, now: Timestamp) -> Result<()> {
    let mut key = SigningKey::chosen(&args.key)?;
    let register = Register::open(&args.client.register)?;
    let state = register.state().await?;
    let record = find(&state, &args.statement)?;
    if record.status != Status::Pending {
        let hint = "only what waits is denied: a mandate in force is ended with `drieslot revoke`";
        return Err(failure(format!("{} `{}` is {}", record.kind(), record.id(), record.status), hint));
    }
    let (kind, id) = (record.kind(), record.id().to_owned());
    let tenant = state.tenant().context("the register has no charter in force")?.to_owned();
    // Two officers may deny at the same time, and the second's id must not be the first's.
    let denial = Statement::Denial(Denial {
        tenant,
        id: format!("deny-{}-{}", record.index, now.as_millisecond()),
        issued: now,
        denies: Denied { kind, id: id.clone() },
        why: args.why.clone(),
    });
    let text = denial.to_text()?;
    files::write(&args.out, &text)?;
    println!("{text}");
    let armored = key.sign(&text)?;
    files::write(&key.signature_path(&args.out), &armored)?;
    let receipt = register.submit(&text, &[armored]).await?;
    print_receipt(&receipt);
    println!("{kind} `{id}` never takes effect");
    Ok(())
}
