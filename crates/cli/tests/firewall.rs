//! The firewall: learnt from a recording, it lets the application through and stops what was injected into it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::session::code;
use common::{Trial, data};
use tokio::runtime::Runtime;

/// What the application does, in both protocols.
async fn work(trial: &Trial) -> Result<(), tokio_postgres::Error> {
    let session = trial.app_session().await;
    session.batch_execute("BEGIN; SET LOCAL statement_timeout = '30s'").await?;
    let found = session.prepare("SELECT family_name FROM person WHERE national_number = $1").await?;
    for number in [8_123_456_789_012_345_671_i64, 1] {
        session.query(&found, &[&number]).await?;
    }
    session.batch_execute("COMMIT").await?;
    session.batch_execute("UPDATE person SET nickname = 'Jo' WHERE person_id IN (1, 2, 3)").await?;
    session.batch_execute("PREPARE town AS SELECT town FROM person WHERE person_id = $1; EXECUTE town (2)").await?;
    session.batch_execute("DEALLOCATE town").await
}

/// What it never does.
const INJECTED: [&str; 8] = [
    "SELECT family_name FROM person WHERE national_number = 5 OR 1 = 1",
    "SELECT family_name FROM person WHERE national_number = 5; SELECT remark FROM permit",
    "SELECT nickname FROM person WHERE national_number = 5",
    "SELECT family_name FROM person WHERE national_number = 5 UNION ALL SELECT remark FROM permit",
    "PREPARE town AS SELECT remark FROM permit",
    "COPY person TO STDOUT",
    "EXPLAIN ANALYZE SELECT family_name FROM person WHERE national_number = 5",
    "CREATE TABLE copied AS SELECT town FROM person",
];

fn firewall(text: &str, mode: &str, list: &str) -> String {
    let kept = text.split("[[firewall]]").next().unwrap().trim_end();
    format!("{kept}\n[[firewall]]\nprincipal = \"app\"\nmode = \"{mode}\"\n{list} = \"known.sql\"\n")
}

fn journalled(trial: &Trial, outcome: &str) -> usize {
    let folder = trial.journal("gateway").display().to_string();
    let said = trial.drieslot_ok(["journal", "tail", &folder, "--lines", "500", "--json"]);
    said.lines().filter(|line| line.contains("\"kind\":\"firewall\"") && line.contains(outcome)).count()
}

#[test]
fn what_was_learnt_runs_and_what_was_injected_is_stopped() {
    let mut trial = Trial::usual();
    trial.plant();
    let runtime = Runtime::new().unwrap();
    trial.take_apart(|text| format!("recording = \"known.sql\"\n{text}"));
    runtime.block_on(work(&trial)).unwrap();
    let known = trial.data().join("gateway/known.sql");
    let learnt = std::fs::read_to_string(&known).unwrap();
    assert_eq!(learnt.lines().count(), 3, "{learnt}");

    trial.restart_gateway(|text| {
        firewall(&text.replacen("recording", "recording = \"all.sql\"\n#", 1), "report", "allow")
    });
    runtime.block_on(work(&trial)).unwrap();
    for sql in INJECTED.iter().take(3).chain(INJECTED.iter().take(1)) {
        trial.app_ok(sql);
    }
    assert_eq!((journalled(&trial, "passed"), journalled(&trial, "refused")), (3, 0), "each once");
    let reported = std::fs::read_to_string(trial.data().join("gateway/all.sql")).unwrap();
    assert!(reported.contains("or $1 = $1"), "{reported}");

    trial.restart_gateway(|text| firewall(text, "enforce", "allow"));
    runtime.block_on(work(&trial)).unwrap();
    for sql in INJECTED {
        let (code, said) = trial.app_fails(sql);
        assert!(code == "42501" && said.contains("firewall"), "{sql}: {said}");
        assert!(said.contains("HINT") && !said.contains("permit"), "{sql}: {said}");
    }
    runtime.block_on(async {
        let session = trial.app_session().await;
        for sql in ["SELECT remark FROM permit WHERE permit_id = $1", "DELETE FROM permit WHERE permit_id = $1"] {
            assert_eq!(code(&session.prepare(sql).await.unwrap_err()), "42501", "{sql}");
        }
        assert_eq!(code(&session.batch_execute("DO $$ BEGIN NULL; END $$").await.unwrap_err()), "42501");
        // The session goes on.
        session.batch_execute("SHOW statement_timeout").await.unwrap();
    });
    assert!(journalled(&trial, "refused") >= INJECTED.len());

    trial.restart_gateway(|text| firewall(text, "enforce", "deny"));
    let (code, _) = trial.app_fails("select  family_name from PERSON where national_number = 77 -- as it was learnt");
    assert_eq!(code, "42501");
    trial.app_ok("SELECT nickname FROM person WHERE national_number = 5");
    trial.check(&data::canaries());
}

/// A rule that would protect nothing does not let the gateway start.
#[test]
fn rules_that_cannot_hold_are_refused_by_name() {
    let mut trial = Trial::usual();
    trial.stop();
    let config = trial.data().join("gateway/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let rule = |principal: &str, rest: &str| format!("{text}\n[[firewall]]\nprincipal = \"{principal}\"\n{rest}\n");
    for (lines, config_text, expected) in [
        ("", rule("ap", "mode = \"enforce\"\nallow = \"known.sql\""), "there is no such principal"),
        ("", rule("app", "mode = \"enforce\""), "`allow`, `deny` or both"),
        ("", rule("app", "mode = \"block\"\nallow = \"known.sql\""), "unknown variant"),
        ("", rule("app", "mode = \"enforce\"\nallow = \"nothing.sql\""), "nothing.sql"),
        ("SELEC 1;", rule("app", "mode = \"enforce\"\nallow = \"known.sql\""), "syntax error"),
        ("SELECT 1; DROP TABLE t;", rule("app", "mode = \"enforce\"\nallow = \"known.sql\""), "statement 2 is neither"),
        ("COMMIT;", rule("app", "mode = \"enforce\"\ndeny = \"known.sql\""), "statement 1 is always allowed"),
    ] {
        std::fs::write(trial.data().join("gateway/known.sql"), lines).unwrap();
        std::fs::write(&config, config_text).unwrap();
        let output = trial.drieslot(["gateway", "run", "--config", &config.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{lines} {expected}: {said}");
    }
}
