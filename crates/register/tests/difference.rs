//! What a mandate changes for its principal, as officers read it before they sign.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod people;

use drieslot_register::statement::{Mandate, Statement};
use people::{Log, mandate, mandate_until, now, revocation};

fn parsed(text: &str) -> Mandate {
    let Statement::Mandate(mandate) = Statement::parse(text).unwrap() else { panic!("{text}") };
    mandate
}

/// The lines after the terms.
fn lines(log: &Log, text: &str) -> Vec<String> {
    let shown = log.state.difference(&parsed(text), now()).to_string();
    shown.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

fn granting(id: &str, extra: &str, columns: &str, operations: &str) -> String {
    let whole = mandate(id, extra);
    let whole = whole.replace("columns = [\"national_number\", \"name\"]", &format!("columns = [{columns}]"));
    whole.replace("operations = [\"read\", \"write\", \"search\"]", &format!("operations = [{operations}]"))
}

#[test]
fn the_first_mandate_is_all_new_and_its_terms_are_said() {
    let log = Log::classified();
    let text = mandate("m1", "rows_per_statement = 500\nend_user = \"asserted\"\n");
    assert_eq!(
        log.state.difference(&parsed(&text), now()).to_string(),
        "  for app_intake in database civic: onboarding, from 2026-01-01T00:00:00Z until 2027-01-01T00:00:00Z, \
         500 rows a statement, at every hour, for an end user whom the application names\n  \
         + read, write, search public.newcomers: name, national_number (new)\n"
    );
}

#[test]
fn what_a_replaced_mandate_loses_is_taken_unless_another_gives_it() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let next = granting("m2", "replaces = \"m1\"", "\"name\"", "\"read\"");
    assert_eq!(
        lines(&log, &next),
        [
            "- read, write, search public.newcomers: national_number (`m1` gave it, and nothing does any more)",
            "- write, search public.newcomers: name (`m1` gave it, and nothing does any more)",
            "= read public.newcomers: name (as by `m1`)",
        ]
    );
    log.enact(&granting("side", "", "\"national_number\"", "\"read\", \"write\", \"search\""));
    log.enact(&granting("short", "rows_per_statement = 5", "\"name\"", "\"write\""));
    assert_eq!(
        lines(&log, &next),
        [
            "- search public.newcomers: name (`m1` gave it, and nothing does any more)",
            "- write public.newcomers: name (`m1` gave it; `short` still gives it, but not: any number of rows a statement)",
            "= read public.newcomers: name (as by `m1`)",
            "= read, write, search public.newcomers: national_number (no more by `m1`, but by `side` no less widely)",
        ]
    );
}

#[test]
fn wider_and_narrower_terms_are_told_apart() {
    let mut log = Log::classified();
    let old = "rows_per_statement = 500\nend_user = \"verified\"\n[[hours]]\nzone = \"Europe/Brussels\"\n\
               days = [\"monday\"]\nfrom = \"08:00\"\nuntil = \"18:00\"\n";
    log.enact(&mandate("m1", old));
    let next = mandate_until("m2", "2026-02-01T00:00:00Z", "2028-01-01T00:00:00Z", "replaces = \"m1\"");
    assert_eq!(
        lines(&log, &next),
        [
            "+ read, write, search public.newcomers: name, national_number (beyond `m1`: until 2028-01-01T00:00:00Z, \
             any number of rows a statement, at every hour, without an end user)",
            "- read, write, search public.newcomers: name, national_number (`m1` gave: from 2026-01-01T00:00:00Z)",
        ]
    );
    // Only narrower: nothing is added.
    let next = mandate("m2", &format!("replaces = \"m1\"\n{}", old.replace("500", "50")));
    assert_eq!(
        lines(&log, &next),
        ["- read, write, search public.newcomers: name, national_number (`m1` gave: 500 rows a statement)"]
    );
    // Another purpose is both.
    let next = mandate("m2", &format!("replaces = \"m1\"\n{old}")).replace("\"onboarding\"", "\"court_order\"");
    assert_eq!(
        lines(&log, &next),
        [
            "+ read, write, search public.newcomers: name, national_number (beyond `m1`: for court_order)",
            "- read, write, search public.newcomers: name, national_number (`m1` gave: for onboarding)",
        ]
    );
}

#[test]
fn claims_of_end_users_count() {
    let mut log = Log::classified();
    let claim = |value: &str| {
        format!(
            "[[end_user_claim]]\nissuer = \"https://login.agency.example\"\nclaim = \"groups\"\nvalues = [\"{value}\"]\n"
        )
    };
    log.enact(&mandate("m1", &format!("end_user = \"verified\"\n{}", claim("intake"))));
    let next = mandate("m2", "replaces = \"m1\"\nend_user = \"verified\"\n");
    let shown = lines(&log, &next);
    assert!(shown.len() == 1 && shown[0].ends_with("(beyond `m1`: for any verified end user)"), "{shown:?}");
    let next = mandate("m2", &format!("replaces = \"m1\"\nend_user = \"verified\"\n{}", claim("court")));
    let shown = lines(&log, &next);
    assert!(
        shown[0].starts_with("+") && shown[0].contains("groups court by https://login.agency.example"),
        "{shown:?}"
    );
    assert!(shown[1].starts_with("-") && shown[1].contains("groups intake"), "{shown:?}");
}

#[test]
fn beside_other_mandates_only_what_goes_beyond_them_is_added() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let same = granting("m2", "rows_per_statement = 10", "\"name\"", "\"read\"");
    assert_eq!(lines(&log, &same), ["= read public.newcomers: name (`m1` gives it already, no less widely)"]);
    let longer = mandate_until("m2", "2026-01-01T00:00:00Z", "2027-06-01T00:00:00Z", "");
    let shown = lines(&log, &longer);
    assert!(shown.len() == 1 && shown[0].ends_with("(beyond `m1`: until 2027-06-01T00:00:00Z)"), "{shown:?}");
    // What was revoked, or is over, gives nothing.
    log.enact(&mandate_until("old", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", ""));
    let text = revocation("r1", "m1");
    log.submit(&text).unwrap();
    log.sign("ann", &text).unwrap();
    let shown = lines(&log, &same);
    assert_eq!(shown, ["+ read public.newcomers: name (new)"]);
}

#[test]
fn what_gives_nothing_is_warned_of() {
    let mut log = Log::classified();
    log.enact(&mandate("m1", ""));
    let shown = lines(&log, &granting("m1", "replaces = \"m0\"", "\"nmae\", \"id\"", "\"read\""));
    for wanted in [
        "! it replaces `m0`, which is not in force: it can take no signatures",
        "! a mandate `m1` is in force already, and an id is never used again",
        "! public.newcomers.nmae is not listed in the classification: the grant gives nothing",
        "! public.newcomers.id is plain: no mandate is needed for it",
    ] {
        assert!(shown.iter().any(|line| line == wanted), "{wanted}: {shown:#?}");
    }
    let shown = lines(&log, &mandate_until("m3", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", ""));
    assert!(shown.iter().any(|line| line.starts_with("! it was over at 2026-01-01")), "{shown:#?}");
    let elsewhere = mandate("m4", "").replace("\"civic\"", "\"other\"");
    assert!(lines(&log, &elsewhere).contains(&"! no classification of database `other` is in force".to_owned()));
}

#[test]
fn a_mask_is_part_of_what_is_granted() {
    let mut log = Log::classified();
    let masked = |id: &str, extra: &str, mask: &str| {
        let operations = format!("operations = [\"read_masked\"]\nmask = \"{mask}\"\n");
        mandate(id, extra).replace("operations = [\"read\", \"write\", \"search\"]\n", &operations)
    };
    let first = masked("m1", "", "last 3");
    assert_eq!(lines(&log, &first), ["+ read_masked public.newcomers: name, national_number (new, mask last 3)"]);
    log.enact(&first);
    let shown = lines(&log, &masked("m2", "replaces = \"m1\"", "last 7"));
    assert!(shown[0].starts_with('+') && shown[0].ends_with("(beyond `m1`: mask last 7)"), "{shown:?}");
    assert!(shown[1].starts_with('-') && shown[1].ends_with("(`m1` gave: mask last 3)"), "{shown:?}");
}
