//! A trial whose charter has three witnesses: each part's journal is cosigned; one witness may be away, two only for the
//! charter's
//! grace; and a gateway whose journal was put back to an older state shows nothing any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::process::Command;

use common::witnesses::{adopt, cosigned, read, start, within};
use common::{PARTS, Trial};

const GRACE_S: i64 = 5;
const QUERY: &str = "SELECT body FROM note WHERE note_id = 1";

#[test]
fn journals_are_cosigned_and_nothing_is_shown_without_a_quorum_for_long() {
    let mut trial = Trial::small();
    let ports = adopt(&mut trial, GRACE_S, |_| {});
    assert_eq!(trial.app_ok(QUERY), "first");
    within(20, "not every journal is cosigned", || PARTS.iter().all(|part| cosigned(&trial, part).is_some()));
    trial.check_journals();
    // One away.
    trial.stop_part("w0");
    let before = cosigned(&trial, "gateway").unwrap();
    assert_eq!(trial.app_ok(QUERY), "first");
    within(5, "it does not go on with two of three", || cosigned(&trial, "gateway").unwrap() > before);
    // Two away: the grace, then nothing, and back by itself.
    trial.stop_part("w1");
    assert_eq!(trial.app_ok(QUERY), "first", "within the grace");
    within(20, "the grace does not end", || !trial.app(QUERY).ok);
    let (sqlstate, said) = trial.app_fails(QUERY);
    assert!(sqlstate == "58000" && said.contains("too few witnesses"), "{sqlstate} {said}");
    start(&mut trial, "w1", ports.base);
    within(20, "it does not come back", || trial.app(QUERY).ok);
    a_journal_that_was_put_back_shows_nothing(&mut trial);
}

fn a_journal_that_was_put_back_shows_nothing(trial: &mut Trial) {
    let (journal, old) = (trial.journal("gateway"), trial.folder.path().join("old"));
    trial.stop_part("gateway");
    assert!(Command::new("cp").arg("-a").arg(&journal).arg(&old).status().unwrap().success());
    // The last checkpoint is written at the stop, and cosigned after the next start: only what comes after it counts.
    let before: u64 = read(&old.join("checkpoint")).lines().nth(1).unwrap().parse().unwrap();
    trial.start_part("gateway");
    within(20, "it is not cosigned", || trial.app(QUERY).ok && cosigned(trial, "gateway").unwrap() > before);
    trial.stop_part("gateway");
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::rename(&old, &journal).unwrap();
    trial.start_part("gateway");
    within(20, "nobody noticed", || trial.app(QUERY).err.contains("another history"));
    let (sqlstate, said) = trial.app_fails(QUERY);
    assert!(sqlstate == "58000" && said.contains("alarm"), "{sqlstate} {said}");
}
