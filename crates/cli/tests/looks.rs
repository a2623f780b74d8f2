//! Reading the gateway's own journal: find, tail as it grows, and an export that a foreign verifier takes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::Trial;
use serde_json::Value;

struct Asker<'a> {
    trial: &'a Trial,
    journal: String,
    key: String,
    /// After what the trial itself looked at.
    since: String,
}

impl Asker<'_> {
    fn find(&self, flags: &[&str]) -> String {
        let command = ["journal", "find", &self.journal, "--key", &self.key, "--since", &self.since];
        self.trial.drieslot_ok(command.into_iter().chain(flags.iter().copied()))
    }

    fn json(&self, flags: &[&str]) -> Vec<Value> {
        let said = self.find(&[flags, &["--json"]].concat());
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn asker(trial: &Trial) -> Asker<'_> {
    let since = jiff::Timestamp::now().to_string();
    let key = trial.data().join("gateway/journal.vkey").display().to_string();
    Asker { trial, journal: trial.journal("gateway").display().to_string(), key, since }
}

#[test]
fn looks_are_found_followed_and_exported() {
    let trial = Trial::usual();
    let asker = asker(&trial);
    trial.app_ok("SELECT family_name FROM person WHERE person_id <= 4; SELECT remark FROM permit");
    let script = "SET drieslot.end_user = 'Els Wouters';\nSELECT family_name, town FROM person WHERE person_id = 1;\n";
    assert!(trial.app_script(script).ok);
    trial.app_fails("SELECT family_name FROM person WHERE family_name > 'x'");
    let names = asker.json(&["--column", "person.family_name", "--principal", "app", "--kind", "intent"]);
    let rows: Vec<_> =
        names.iter().map(|look| (look["rows"].as_u64().unwrap(), look["state"].as_str().unwrap())).collect();
    assert_eq!(rows, [(4, "done"), (1, "done")], "{names:?}");
    assert_eq!(names[1]["end_user"]["name"], "Els Wouters");
    assert_eq!(asker.json(&["--end-user", "Els Wouters"]).len(), 1);
    assert_eq!(asker.json(&["--table", "permit"]).len(), 1);
    assert!(asker.json(&["--until", "2020-01-01"]).is_empty() && asker.json(&["--principal", "nobody"]).is_empty());
    let table = asker.find(&["--table", "person"]);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("time (UTC)"), "{table}");
    assert!(
        table.contains("app for Els Wouters (asserted)") && table.contains("read public.person.family_name"),
        "{table}"
    );
    let custodian = trial.journal("custodian-keys").display().to_string();
    let both = trial.drieslot_ok(["journal", "find", &asker.journal, &custodian]);
    let times: Vec<&str> = both.lines().skip(1).map(|line| &line[..19]).collect();
    assert!(times.is_sorted() && both.contains("trial-agency/custodian-keys") && both.contains("  share  "), "{both}");
    let refused = trial.drieslot(["journal", "find", &asker.journal, &custodian, "--key", &asker.key]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no --key is that of the journal"), "{said}");
    let bad = trial.drieslot(["journal", "find", &asker.journal, "--since", "yesterday"]);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("such as 2026-01-31"));

    follow(&trial, &asker);
    export(&trial, &asker);
    who_saw(&trial, &asker);
}

/// By the pseudonym that one look's outcome names, from an index.
fn who_saw(trial: &Trial, asker: &Asker<'_>) {
    let looks = asker.json(&["--end-user", "Els Wouters"]);
    let pseudonym = looks[0]["subjects"][0].as_str().unwrap();
    let index = trial.folder.path().join("index").display().to_string();
    let said = trial.drieslot_ok(["journal", "index", &asker.journal, "--key", &asker.key, "--index", &index]);
    assert!(said.starts_with("trial-agency/gateway: ") && said.contains(" entries until 20"), "{said}");
    let ask = |flags: &[&str]| {
        let command = ["journal", "who-saw", "--index", &index, "--pseudonym", pseudonym];
        trial.drieslot_ok(command.into_iter().chain(flags.iter().copied()))
    };
    let found: Vec<Value> = ask(&["--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut firsts: Vec<u64> = found.iter().map(|look| look["first"].as_u64().unwrap()).collect();
    let all: Vec<Value> = trial
        .drieslot_ok(["journal", "find", &asker.journal, "--kind", "intent", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let about = |look: &&Value| look["subjects"].as_array().is_some_and(|all| all.iter().any(|one| one == pseudonym));
    let expected: Vec<u64> = all.iter().filter(about).map(|look| look["first"].as_u64().unwrap()).collect();
    firsts.reverse();
    assert!(firsts.len() > 1 && firsts == expected, "{firsts:?} {expected:?}");
    assert_eq!(found.iter().filter(|look| look["end_user"]["name"] == "Els Wouters").count(), 1);
    let table = ask(&["--limit", "1"]);
    assert!(table.lines().count() == 2 && table.contains(": SELECT: read public.p"), "{table}");
    let bad = trial.drieslot(["journal", "who-saw", "--index", &index, "--pseudonym", "85073003328"]);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("no pseudonym"));
}

fn follow(trial: &Trial, asker: &Asker<'_>) {
    let mut command = trial.as_user(trial.program());
    command.args(["journal", "tail", &asker.journal, "-n", "1", "--follow", "--json"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    trial.app_ok("SELECT remark FROM permit WHERE permit_id = 1");
    let next: Vec<Value> = (0..2).map(|_| serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()).collect();
    assert!(next[0]["kind"] == "intent" && next[1]["kind"] == "outcome", "{next:?}");
    assert_eq!(next[1]["body"]["intent"], next[0]["index"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn export(trial: &Trial, asker: &Asker<'_>) {
    // The checkpoint comes within a second.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let out = trial.folder.path().join("for-the-auditor").display().to_string();
    let flags = ["journal", "export", &asker.journal, "--key", &asker.key, "--out", &out, "--column", "family_name"];
    let flags = [&flags[..], &["--since", &asker.since]].concat();
    assert!(trial.drieslot_ok(&flags).contains(" entries with their proofs, of trial-agency/gateway"));
    let again = trial.drieslot(&flags);
    assert!(!again.status.success(), "an export is never written over another");
    let found = std::fs::read_to_string(Path::new(&out).join("found.jsonl")).unwrap();
    assert!(found.lines().count() == 2 && found.contains("Els Wouters"), "{found}");
    let Some(python) = common::python::python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_export.py");
    let vkey = std::fs::read_to_string(&asker.key).unwrap();
    let verify = || {
        let said = Command::new(&python).arg(&script).arg(&out).arg(vkey.trim()).output().unwrap();
        (said.status.success(), String::from_utf8([said.stdout, said.stderr].concat()).unwrap())
    };
    let (ok, said) = verify();
    assert!(ok && said.starts_with("verified: ") && said.contains("of trial-agency/gateway"), "{said}");
    let entry = std::fs::read_dir(Path::new(&out).join("entries")).unwrap().map(|one| one.unwrap().path());
    let entry = entry.filter(|path| path.extension().is_some_and(|end| end == "json")).min().unwrap();
    let text = std::fs::read_to_string(&entry).unwrap().replacen("\"app\"", "\"apq\"", 1);
    std::fs::write(&entry, text).unwrap();
    let (ok, said) = verify();
    assert!(!ok && said.contains("is not the one that was signed for"), "{said}");
}
