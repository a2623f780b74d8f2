//! What a principal can do, by which mandate; and what of it the gateways' journals do not show used.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::Trial;
use drieslot_journal::{IdentityKey, Journal, JournalConfig, entry};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Writes the journal of a gateway with this key: entries of some days ago, each with the use of the note's body.
fn older_journal(folder: &Path, key: &Path, origin: &str, entries: &[(i64, &str)]) {
    let config = JournalConfig::new(origin, IdentityKey::load(key).unwrap());
    let (journal, _) = Journal::open(folder, config).unwrap();
    for (days, used) in entries {
        let time = Timestamp::now() - SignedDuration::from_hours(24 * days);
        let body = json!({
            "session": "00", "principal": "app", "client": "127.0.0.1:1", "database": "trial", "mandates": ["app-1"],
            "purpose": "integration-course", "command": "SELECT", "fingerprint": "00",
            "columns": [{ "column": "public.note.body", "use": used }],
        });
        journal.append(entry::encode("intent", &time.to_string(), &body).unwrap()).unwrap();
    }
    journal.close().unwrap();
}

#[test]
fn rights_that_no_journal_shows_used_are_listed_and_so_is_how_far_journals_reach() {
    let mut trial = Trial::small();
    let register = trial.register_toml();
    let said = trial.access();
    for wanted in [
        "mandate `app-1` (valid, ",
        "  any number of rows a statement, at every hour, without an end user\n",
        "  signed by An Peeters (structure), Bilal Haddad (access), Chantal Dubois (keys)\n",
        "  read, write, search in trial.public.note: body\n",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let journal = trial.journal("gateway").display().to_string();
    let unused = |days: &str, folder: &str| {
        trial.drieslot_ok(["access", "app", "--unused", days, "--journal", folder, "--register", &register])
    };
    assert_eq!(trial.app_ok("SELECT body FROM note"), "first");
    trial.app_ok("INSERT INTO note VALUES (2, 'second')");
    let said = unused("30", &journal);
    for wanted in [
        "journal of `gateway` in ",
        "  ! it reaches back 0 days and 0 hours only: use before that is not known\n",
        "app: granted now, and not used in the last 30 days as far as these journals reach:\nmandate `app-1`, until ",
        "  ! valid only since ",
        "\n  search in trial.public.note.body\n",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.contains("read") && !said.contains("write"), "{said}");
    trial.app("SELECT note_id FROM note WHERE body IS NULL");
    let said = unused("30", &journal);
    assert!(said.contains("nothing: every right was used\n"), "{said}");

    // A journal that reaches further back: what was used before the days that are asked for does not count.
    trial.stop();
    trial.resume();
    let origin = std::fs::read_to_string(trial.data().join("gateway/journal/checkpoint")).unwrap();
    let origin = origin.lines().next().unwrap();
    let key = trial.data().join("gateway/journal.key");
    // Made as root where tests run as root, and read by the trial's user.
    let older = tempfile::tempdir().unwrap();
    let folder = older.path().join("journal");
    let run = |days: &str, folder: &Path| {
        let mut command = std::process::Command::new(trial.program());
        command.args(["access", "app", "--unused", days, "--register", &register, "--journal"]).arg(folder);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let readable = older.path().join("journal.key");
    std::fs::copy(&key, &readable).unwrap();
    older_journal(&folder, &readable, origin, &[(40, "search"), (10, "read")]);
    let (ok, said) = run("30", &folder);
    assert!(ok && !said.contains("it reaches back"), "{said}");
    assert!(
        said.contains("\n  search, write in trial.public.note.body\n") || said.contains("\n  write, search in"),
        "{said}"
    );
    let (ok, said) = run("5", &folder);
    assert!(ok && said.contains(", none of it used\n"), "{said}");
    let (ok, said) = run("60", &folder);
    assert!(ok && said.contains("! it reaches back 40 days and 0 hours only"), "{said}");

    // A worker's journal, a custodian's, and one that was changed.
    let worker = older.path().join("worker");
    older_journal(&worker, &readable, &format!("{origin}-rotation"), &[(40, "read")]);
    for folder in [worker, trial.journal("custodian-keys")] {
        let (ok, said) = run("30", &folder);
        assert!(!ok && said.contains("is of no gateway of the charter\nhint: "), "{said}");
    }
    let entries = folder.join("tile/entries/000.p/2");
    let mut bytes = std::fs::read(&entries).unwrap();
    let at = bytes.windows(6).position(|six| six == b"search").unwrap();
    bytes[at] = b'S';
    std::fs::write(&entries, bytes).unwrap();
    let (ok, said) = run("30", &folder);
    assert!(!ok && said.contains("does not hold what was signed"), "{said}");
}
