//! EXPLAIN shows plans and no values; EXPLAIN (DRIESLOT) and `drieslot explain` say what happens to each column.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{DATABASE, Trial, data};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn explain_tells_and_shows_no_value() {
    let trial = Trial::usual();
    trial.plant();
    for options in
        ["", "(VERBOSE)", "(ANALYZE, TIMING OFF)", "(ANALYZE, FORMAT json)", "(BUFFERS, ANALYZE, FORMAT xml)"]
    {
        let said = trial.app_ok(&format!(
            "EXPLAIN {options} SELECT family_name FROM person WHERE nickname = 'CANARY-nick-41d8' OR age = 35"
        ));
        assert!(said.contains("person") && said.contains("nickname"), "{said}");
        assert!(!said.contains("CANARY") && !said.contains("35)"), "{said}");
    }
    // ANALYZE runs the statement.
    trial.app_ok("EXPLAIN ANALYZE UPDATE person SET nickname = 'analysed' WHERE person_id = 1");
    assert_eq!(trial.app_ok("SELECT nickname FROM person WHERE person_id = 1"), "analysed");
    trial.app_ok("EXPLAIN UPDATE person SET nickname = 'only planned' WHERE person_id = 1");
    assert_eq!(trial.app_ok("SELECT nickname FROM person WHERE nickname = 'only planned'"), "");
    let before =
        trial.app_ok("EXPLAIN (DRIESLOT) UPDATE person SET family_name = 'CANARY-x' WHERE age = 41 RETURNING age");
    assert_eq!(
        before,
        "public.person.age (exact integer, domain trial.public.person.age): a mandate must allow read and search.
public.person.family_name (sealed with search text, domain trial.public.person.family_name): a mandate must allow write.
A literal is read as text and becomes a cell of public.person.family_name, to be stored in it.
A literal is read as integer and becomes a cell of public.person.age, to be compared with it.
Result column 1 holds cells of public.person.age, opened as integer.
Whom a row is about (trial.national_number) is read with it for the journal, and not shown.
The processor gets: UPDATE public.person SET family_name = [cell of public.person.family_name] \
WHERE age = [cell of public.person.age] RETURNING age, person.national_number AS drieslot_subject_1"
    );
    by_command(&trial);
    trial.check(&data::canaries());
}

fn by_command(trial: &Trial) {
    let port = trial.port.to_string();
    let (password, root) = (trial.data().join("application/password"), trial.data().join("gateway/root.crt"));
    let explain = |sql: &str| {
        let mut arguments = vec!["explain", sql, "--port", &port, "--database", DATABASE, "--password-file"];
        let (password, root) = (password.display().to_string(), root.display().to_string());
        arguments.extend([password.as_str(), "--root", &root]);
        trial.drieslot(arguments)
    };
    let said = explain("SELECT family_name FROM person ORDER BY family_name");
    let told = text(&said.stdout);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(
        told.starts_with(
            "Refused (0A000): ORDER BY is not possible on the protected column public.person.family_name."
        )
    );
    assert!(told.contains("What would allow it: "), "{told}");
    let said = explain("SELECT name FROM street");
    assert!(text(&said.stdout).starts_with("No protected column is touched"), "{}", text(&said.stdout));
    let said = explain("SELEKT 1");
    assert!(!said.status.success() && text(&said.stderr).contains("42601"), "{}", text(&said.stderr));
}
