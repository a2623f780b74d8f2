//! What `drieslot journal verify` asks of witnesses: whose cosignatures count, and how old they may be.

use anyhow::Result;
use drieslot_journal::{Cosigned, Cosigner, Quorum, Report};
use drieslot_witness::Policy;
use jiff::Timestamp;

use crate::failure::failure;
use crate::journal::arguments::CosignedArgs;
use crate::register::Register;

/// The witnesses of the charter, or those of the command line; `None` where none are asked for.
pub(crate) async fn quorum(args: &CosignedArgs) -> Result<Option<Quorum>> {
    let (cosigners, needed) = match (&args.register, args.quorum) {
        (Some(register), _) => {
            let state = Register::open(register)?.state().await?;
            let policy = state.charter().map(|charter| charter.witnessing()).transpose().map_err(|why| {
                failure(format!("the charter's witnesses: {why}"), "see that this register is the right one")
            })?;
            let policy = policy.filter(|policy| !policy.is_none()).ok_or_else(|| {
                let hint = "leave --register out, or name the witnesses with --witness and --quorum";
                failure("the charter in force names no witnesses", hint)
            })?;
            (policy.cosigners, policy.quorum)
        }
        (None, Some(needed)) => {
            let parse =
                |text: &String| Cosigner::parse(text.trim()).map_err(|error| wrong(&format!("{text}: {error}")));
            let cosigners = args.witness.iter().map(parse).collect::<Result<Vec<_>>>()?;
            Policy::check_numbers(cosigners.len(), needed, 0).map_err(|why| wrong(&why))?;
            (cosigners, needed)
        }
        (None, None) if args.cosigned_within.is_some() => return Err(wrong("--cosigned-within asks for witnesses")),
        (None, None) => return Ok(None),
    };
    Quorum::new(cosigners, needed).map(Some).map_err(|why| wrong(&why))
}

fn wrong(why: &str) -> anyhow::Error {
    let hint = "name each witness once, by the text in its `witness.vkey`, and with --quorum more than half of them; or \
                --register";
    failure(why, hint)
}

/// How far the witnesses' word reaches, as text.
///
/// # Errors
/// Where it is older than it may be.
pub(crate) fn said(
    args: &CosignedArgs,
    quorum: &Quorum,
    cosigned: &Cosigned,
    report: &Report,
    now: Timestamp,
) -> Result<String> {
    let now_s = u64::try_from(now.as_second()).unwrap_or(0);
    let age_s = now_s.saturating_sub(cosigned.time_s());
    let (size, names) = (cosigned.checkpoint().size, cosigned.witnesses());
    let behind = report.checkpoint.size - size;
    let text = format!(
        "cosigned: {size} entries, {behind} behind what is signed, {age_s} s ago, by {} of {} witnesses: {}",
        names.len(),
        quorum.witnesses(),
        names.join(", ")
    );
    match args.cosigned_within.filter(|limit| age_s > *limit) {
        Some(limit) => Err(failure(
            format!("{text}; that is more than {limit} s"),
            "an old state is shown, or the journal's part or its witnesses stand still: ask its owner, and its mirror",
        )),
        None => Ok(text),
    }
}
