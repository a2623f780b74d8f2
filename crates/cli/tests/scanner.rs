//! The checker itself can fail: a value that stands in the clear is found, wherever it stands.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::Trial;
use common::check::Canary;

#[test]
fn a_value_in_the_clear_is_found_wherever_it_stands() {
    let trial = Trial::usual();
    let canaries = [
        Canary::Text("CANARY-0bad-Janssens".into()),
        Canary::Int8(6_011_223_344_556_677_889),
        Canary::Uuid("0ddba11e-0000-4bad-8bad-c0ffee0ddba1".into()),
    ];
    assert!(trial.scan(&canaries).is_empty(), "nothing is planted yet");
    trial.app_ok("INSERT INTO street VALUES (901, 'CANARY-0bad-Janssens', 1)");
    trial.superuser(
        "trial",
        "CREATE TABLE stolen (n bigint, u uuid, b bytea);
        INSERT INTO stolen VALUES (6011223344556677889, '0ddba11e-0000-4bad-8bad-c0ffee0ddba1', NULL)",
    );
    let findings = trial.scan(&canaries);
    let found = |place: &str, what: &str| findings.iter().any(|f| f.place.contains(place) && f.what.contains(what));
    for (place, what) in [
        ("processor/data/base/", "CANARY-0bad-Janssens (text, as it is)"),
        ("processor/data/base/", "6011223344556677889 (little-endian, as it is)"),
        ("processor/data/base/", "(binary, as it is)"),
        ("processor/data/pg_wal/", "CANARY-0bad-Janssens (text, as it is)"),
        ("processor/postgresql.log", "CANARY-0bad-Janssens (text, as it is)"),
        ("processor/postgresql.log", "CANARY-0bad-Janssens (text, decimal bytes)"),
        ("pg_dumpall", "CANARY-0bad-Janssens"),
        ("SELECT * in trial", "6011223344556677889 (text, as it is)"),
    ] {
        assert!(found(place, what), "{what} was not found in {place}: {findings:#?}");
    }
    for (change, what) in [
        ("convert_to('CANARY-0bad-Janssens', 'UTF8')", "hex"),
        ("convert_to('xy' || encode(convert_to('CANARY-0bad-Janssens', 'UTF8'), 'base64'), 'UTF8')", "base64 at 0"),
        ("convert_to(encode(convert_to('x' || 'CANARY-0bad-Janssens', 'UTF8'), 'base64'), 'UTF8')", "base64 at 1"),
        ("convert_to(encode(convert_to('xy' || 'CANARY-0bad-Janssens', 'UTF8'), 'base64'), 'UTF8')", "base64 at 2"),
        (
            "decode(regexp_replace(encode(convert_to('CANARY-0bad-Janssens', 'UTF8'), 'hex'), \
             '(..)', '\\1' || '00', 'g'), 'hex')",
            "UTF-16LE",
        ),
    ] {
        trial.superuser("trial", &format!("UPDATE stolen SET b = {change}"));
        let findings = trial.scan(&canaries);
        assert!(findings.iter().any(|finding| finding.what.contains(what)), "{what} was not found");
    }
}
