//! Officers at work in a running trial: one denies what waits, another's lost key is replaced.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::Trial;

fn register(trial: &Trial) -> String {
    trial.data().join("officers/register.toml").display().to_string()
}

fn next_mandate(trial: &Trial, id: &str) -> String {
    let text = std::fs::read_to_string(trial.data().join("statements/mandate.toml")).unwrap();
    let mut mandate: toml::Table = toml::from_str(&text).unwrap();
    mandate.insert("id".into(), id.into());
    toml::to_string(&mandate).unwrap()
}

#[test]
fn one_officers_deny_is_the_end_of_a_mandate_that_waits() {
    let trial = Trial::small();
    let register = register(&trial);
    let text = next_mandate(&trial, "app-2");
    let said = trial.sign_and_submit("two.toml", &text, &["structure", "access"]);
    assert!(said.contains("still needs: 1 of keys"), "{said}");
    let out = trial.folder.path().join("denial.toml").display().to_string();
    let key = trial.officer_key("keys").display().to_string();
    let deny = ["deny", "app-2", "--why", "no legal basis", "--key", &key, "--out", &out, "--register", &register];
    let said = trial.drieslot_ok(deny);
    assert!(said.contains("never takes effect"), "{said}");
    let said = trial.drieslot_ok(["pending", "--register", &register]);
    assert!(!said.contains("app-2"), "{said}");
    let said = trial.drieslot_ok(["show", "app-2", "--register", &register]);
    assert!(said.contains("# denied by Chantal Dubois: no legal basis"), "{said}");
    let said = trial.sign_and_submit("two.toml", &text, &["keys"]);
    assert!(said.contains("was denied by an officer") && !said.contains("in force"), "{said}");
    assert!(!trial.access().contains("app-2"));
}
