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
    let said = trial.drieslot_ok(["show", "app-2", "--register", &register]);
    assert!(said.contains("# what mandate `app-2` changes:\n#   for app in database trial: "), "{said}");
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

#[test]
fn what_a_mandate_changes_is_shown_before_it_is_signed() {
    let trial = Trial::small();
    let text = next_mandate(&trial, "app-2").replace("\"read\", \"write\", \"search\"", "\"read\"");
    let path = trial.write("two.toml", &format!("replaces = \"app-1\"\n{text}")).display().to_string();
    let key = trial.officer_key("access").display().to_string();
    let said = trial.drieslot_ok(["sign", &path, "--key", &key, "--register", &register(&trial)]);
    let at = |wanted: &str| said.find(wanted).unwrap_or_else(|| panic!("{wanted}: {said}"));
    assert!(at("kind = \"mandate\"") < at("what mandate `app-2` changes:") && at("  - ") < at("signed: "), "{said}");
    assert!(said.contains("  - write, search public.") && said.contains("`app-1` gave it, and nothing does any more"));
    assert!(said.contains("  = read public.") && !said.contains("  + "), "{said}");
    // Without a register it says that it does not show it; with one that cannot be read nothing is signed.
    let said = trial.drieslot_ok(["sign", &path, "--key", &key]);
    assert!(said.contains("what it changes is shown with --register FILE"), "{said}");
    let key = trial.officer_key("keys").display().to_string();
    let output = trial.drieslot(["sign", &path, "--key", &key, "--register", "nothing.toml"]);
    assert!(!output.status.success() && !trial.folder.path().join("two.toml.keys.sig").exists());
}
