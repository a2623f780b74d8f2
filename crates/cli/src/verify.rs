//! `drieslot journal verify` of a folder or of what is served, and `drieslot journal serve` of a folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drieslot_journal::{
    COSIGNED, Checkpoint, Cosigned, Published, Quorum, Reader, Report, Trust, Verifier, verify_folder, verify_served,
};
use drieslot_link::{LoopbackAddress, TlsIdentity};
use drieslot_mirror::{Remote, ServeConfig};
use jiff::Timestamp;

use crate::cosigned;
use crate::failure::failure;
use crate::files;
use crate::journal::arguments::{JournalServeArgs, JournalVerifyArgs};
use crate::journal::chain::{Named, joints};
use crate::journal::{key_of, note_on};
use crate::serve::until_stopped;

/// The verifier key in a file.
pub(crate) fn verifier(file: &Path) -> Result<Verifier> {
    let text = files::read(file)?;
    let hint = "name the file with the journal's verifier key, `origin+id+key`, as you got it from its owner";
    Verifier::parse(text.trim()).map_err(|error| failure(format!("{}: {error}", file.display()), hint))
}

/// What a journal is held against.
#[derive(Clone)]
struct Known {
    verifier: Verifier,
    seen: Option<Checkpoint>,
    cosigned: Option<Cosigned>,
}

impl Known {
    fn trust(&self) -> Trust<'_> {
        Trust { verifier: &self.verifier, seen: self.seen.as_ref(), cosigned: self.cosigned.as_ref() }
    }
}

/// `drieslot journal verify`
pub(crate) async fn verify(args: &JournalVerifyArgs, now: Timestamp) -> Result<()> {
    let keys = args.key.iter().map(|key| verifier(key)).collect::<Result<Vec<_>>>()?;
    let quorum = cosigned::quorum(&args.cosigned).await?;
    let ([journal], [key]) = (args.journal.as_slice(), keys.as_slice()) else {
        return verify_several(args, &keys, quorum.as_ref(), now);
    };
    let mut known = Known { verifier: key.clone(), seen: None, cosigned: None };
    if let Some(file) = &args.since {
        known.seen = seen(file, key)?;
    }
    let remote = remote(args, journal)?;
    if let Some(quorum) = &quorum {
        // Before the checkpoint, which is then of at least as many entries.
        let note = match &remote {
            Some(remote) => remote.cosigned().await?,
            None => Published::cosigned_note(Path::new(journal))?,
        };
        known.cosigned = Some(cosigned(journal, note, key, quorum)?);
    }
    let (report, joints) = match remote {
        Some(remote) => {
            let report = served(journal, remote, known.clone()).await?;
            let note = note_on(&report.checkpoint.origin, report.pruned).into_iter().collect();
            (report, note)
        }
        None => {
            let report = verify_folder(Path::new(journal), known.trust());
            let report = report.map_err(|error| not_as_signed(journal, &error.into()))?;
            (report, joints(&[Named::open(Path::new(journal))?])?)
        }
    };
    say(&report);
    joints.iter().for_each(|said| println!("{said}"));
    if let (Some(quorum), Some(cosigned)) = (&quorum, &known.cosigned) {
        println!("{}", cosigned::said(&args.cosigned, quorum, cosigned, &report, now)?);
    }
    let Some(file) = &args.since else { return Ok(()) };
    match &known.seen {
        Some(seen) => println!("they begin with the {} that were seen before", seen.size),
        None => println!("nothing was seen before; {} now says what was seen", file.display()),
    }
    files::write(file, &report.note)
}

/// What the witnesses' quorum signed of it.
fn cosigned(journal: &str, note: Option<String>, verifier: &Verifier, quorum: &Quorum) -> Result<Cosigned> {
    let hint =
        "either no quorum has cosigned it yet, or that was taken away: look at the part's log, and ask its mirror";
    let note = note.ok_or_else(|| failure(format!("{journal} has no {COSIGNED}"), hint))?;
    Cosigned::open(&note, verifier, quorum)
        .map_err(|error| not_as_signed(journal, &anyhow::anyhow!("{COSIGNED}: {error}")))
}

fn say(report: &Report) {
    println!(
        "{}: {} entries signed for and intact, {} after the checkpoint, {} tiles read",
        report.checkpoint.origin, report.checkpoint.size, report.unsigned_entries, report.tiles
    );
}

/// Journals that go on from one another, each in a folder.
fn verify_several(args: &JournalVerifyArgs, keys: &[Verifier], quorum: Option<&Quorum>, now: Timestamp) -> Result<()> {
    let alone = args.since.is_some() || args.cosigned.cosigned_within.is_some();
    if alone || args.journal.iter().any(|journal| journal.contains("://")) {
        let what = "several journals are verified in their folders, and without --since and --cosigned-within";
        return Err(failure(
            what,
            "verify one at a time what is served, or what is compared with what was seen before or with the clock",
        ));
    }
    let folders: Vec<PathBuf> = args.journal.iter().map(PathBuf::from).collect();
    let named = Named::all(&folders)?;
    for (one, journal) in named.iter().zip(&args.journal) {
        let verifier = key_of(keys, one.reader.origin(), &one.folder)?;
        let open = |quorum| cosigned(journal, Published::cosigned_note(&one.folder)?, verifier, quorum);
        let known = Known { verifier: verifier.clone(), seen: None, cosigned: quorum.map(open).transpose()? };
        let report = verify_folder(&one.folder, known.trust());
        let report = report.map_err(|error| not_as_signed(journal, &error.into()))?;
        say(&report);
        if let (Some(quorum), Some(cosigned)) = (quorum, &known.cosigned) {
            println!("{}", cosigned::said(&args.cosigned, quorum, cosigned, &report, now)?);
        }
    }
    joints(&named)?.iter().for_each(|said| println!("{said}"));
    Ok(())
}

fn seen(file: &Path, verifier: &Verifier) -> Result<Option<Checkpoint>> {
    if !file.try_exists().with_context(|| file.display().to_string())? {
        return Ok(None);
    }
    let hint = "name the file that an earlier `verify --since` wrote for this journal, or a new one";
    let opened = Checkpoint::open(&files::read(file)?, verifier);
    opened.map(Some).map_err(|error| failure(format!("{}: {error}", file.display()), hint))
}

async fn served(journal: &str, remote: Remote, known: Known) -> Result<Report> {
    let note = remote.note().await?;
    let check = move || verify_served(&remote, &note, known.trust());
    let checked = tokio::task::spawn_blocking(check).await.context("the check ended unexpectedly")?;
    checked.map_err(|error| not_as_signed(journal, &error.into()))
}

fn not_as_signed(journal: &str, error: &anyhow::Error) -> anyhow::Error {
    failure(
        format!("{journal} does not hold what was signed: {error}"),
        "keep a copy of it as it is, and tell who relies on it",
    )
}

/// Where a journal is served, where that is what is named and not a folder.
fn remote(args: &JournalVerifyArgs, journal: &str) -> Result<Option<Remote>> {
    if let Some(rest) = journal.strip_prefix("http://") {
        let (host, prefix) = rest.split_once('/').map_or((rest, ""), |(host, prefix)| (host, prefix));
        let address = host.replacen("localhost", "127.0.0.1", 1).parse::<SocketAddr>();
        let local = address.map_err(|error| error.to_string());
        let local = local.and_then(|address| LoopbackAddress::try_from(address).map_err(str::to_owned));
        let hint = "entries say who looked at what, so they are not fetched in the clear: ask over mutual TLS, \
                    tls://HOST:PORT with --identity and --tls";
        let address = local.map_err(|why| failure(format!("{journal}: {why}"), hint))?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        return Ok(Some(Remote::local(address, &prefix)));
    }
    let Some(address) = journal.strip_prefix("tls://") else { return Ok(None) };
    let (Some(identity), Some(peer)) = (&args.identity, args.tls) else {
        let hint = "name the TLS identity that may read this journal, and the key that its server shows";
        return Err(failure("tls:// needs --identity and --tls", hint));
    };
    Ok(Some(Remote::pinned(&TlsIdentity::load(identity)?, peer, address)?))
}

/// `drieslot journal serve`
pub(crate) async fn serve(args: &JournalServeArgs) -> Result<()> {
    let hint = "a part that runs serves its journal itself, also to other hosts: `serve_journal` in its configuration";
    let address = LoopbackAddress::try_from(args.listen).map_err(|why| failure(why, hint))?;
    let reader =
        Reader::open(&args.folder).with_context(|| format!("no journal can be read in {}", args.folder.display()))?;
    println!("serving {} at http://{}/ until Ctrl-C", reader.origin(), address.get());
    tokio::select! {
        failed = drieslot_mirror::serve(Some(ServeConfig::local(address)), &args.folder, None) => match failed? {},
        stopped = until_stopped(false) => stopped,
    }
}
