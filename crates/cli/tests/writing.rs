//! New statements: from flags where nobody is asked, from answers at a terminal, and on until they are in force.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::Path;

use common::Trial;

/// Answers each question, in a pseudo-terminal: arguments are the questions with their answers, then `--` and the command.
const TERMINAL: &str = r#"
import os, pty, signal, sys
# A question that nobody answers ends it.
signal.alarm(60)
at = sys.argv.index("--")
answers, command = sys.argv[1:at], sys.argv[at + 1:]
child, terminal = pty.fork()
if child == 0:
    os.execv(command[0], command)
said = b""
def until(wanted):
    global said
    begin = len(said)
    while wanted is None or wanted not in said[begin:]:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            more = b""
        if not more:
            if wanted is not None:
                sys.exit("the program ended before it asked %r: %s" % (wanted, said.decode()))
            return
        said += more
for pair in answers:
    question, answer = pair.split("|", 1)
    until(question.encode() + b": ")
    os.write(terminal, answer.encode() + b"\n")
until(None)
sys.stdout.write(said.decode().replace("\r\n", "\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

fn at_a_terminal(trial: &Trial, answers: &[&str], arguments: &[&str]) -> (bool, String) {
    let mut command = trial.as_user("/usr/bin/python3");
    command.args(["-c", TERMINAL]).args(answers).arg("--").arg(trial.program()).args(arguments);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn refused(trial: &Trial, arguments: &[&str]) -> String {
    let output = trial.drieslot(arguments);
    assert!(!output.status.success(), "{arguments:?} was taken");
    String::from_utf8(output.stderr).unwrap()
}

fn sign(trial: &Trial, path: &Path, duties: &[&str]) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    trial.sign_and_submit(path.file_name().unwrap().to_str().unwrap(), &text, duties)
}

const MANDATE: [&str; 16] = [
    "--id",
    "app-2",
    "--principal",
    "app",
    "--database",
    "trial",
    "--purpose",
    "integration-course",
    "--legal-basis",
    "Decree of 7 June 2013",
    "--valid-until",
    "2099-01-01T00:00:00Z",
    "--grant",
    "note:body:read",
    "--replaces",
    "app-1",
];

fn mandate_without<'a>(register: &'a str, flag: &str, other: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["mandate", "new", "--register", register];
    for pair in MANDATE.chunks(2).filter(|pair| pair[0] != flag) {
        arguments.extend(pair);
    }
    arguments.extend(other);
    arguments
}

#[test]
fn a_mandate_by_flags_comes_into_force_and_nobody_is_asked() {
    let trial = Trial::small();
    let register = trial.register_toml();
    for flag in ["id", "principal", "database", "purpose", "legal-basis", "valid-until", "grant"] {
        let said = refused(&trial, &mandate_without(&register, &format!("--{flag}"), &[]));
        assert!(said.contains(&format!("error: --{flag} is missing\nhint: ")), "{said}");
    }
    for (flag, value, wanted) in [
        ("--id", "app-1", "a mandate `app-1` is in force already"),
        ("--purpose", "curiosity", "`curiosity` is none of integration-course"),
        ("--database", "other", "`other` is none of trial"),
        ("--valid-until", "tomorrow", "`tomorrow` is no moment"),
        ("--valid-until", "2020-01-01T00:00:00Z", "it would be over before it begins"),
        ("--grant", "note:bod:read", "public.note has no protected column bod: body"),
        ("--grant", "note:note_id:read", "public.note.note_id is plain"),
        ("--grant", "nte:body:read", "public.nte is not in the classification"),
        ("--grant", "note:body:look", "unknown variant `look`"),
        ("--grant", "note:body:read_masked", "add mask = \"last 3\" or another"),
        ("--grant", "note:body:read:last 3", "has a mask, and not the operation read_masked"),
        ("--replaces", "app-0", "`app-0` is none of app-1"),
        ("--rows-per-statement", "0", "`0` is no number of rows"),
        ("--hours", "Mars monday 08:00-18:00", "`Mars` is no time zone"),
        ("--end-user", "maybe", "unknown variant `maybe`"),
    ] {
        let said = refused(&trial, &mandate_without(&register, flag, &[flag, value]));
        assert!(said.contains(&format!("error: {flag}: ")) && said.contains(wanted), "{flag} {value}: {said}");
        assert!(!trial.folder.path().join("app-2.toml").exists());
    }
    let more = ["--rows-per-statement", "7", "--hours", "Europe/Brussels monday,sunday 00:00-24:00"];
    let said = trial.drieslot_ok(mandate_without(&register, "", &more));
    for wanted in [
        "kind = \"mandate\"",
        "what mandate `app-2` changes:\n  for app in database trial: integration-course, from ",
        "  - write, search public.note: body (`app-1` gave it, and nothing does any more)\n",
        "written: app-2.toml\nnext:    officers of all three functions sign it: drieslot sign app-2.toml --key KEY",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let path = trial.folder.path().join("app-2.toml");
    let written = std::fs::read_to_string(&path).unwrap();
    let said = refused(&trial, &mandate_without(&register, "", &[]));
    assert!(said.contains("app-2.toml is there already"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "written over");
    let said = sign(&trial, &path, &["structure", "access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    let access = trial.access();
    assert!(access.contains("mandate `app-2`") && !access.contains("app-1"), "{access}");
}

#[test]
fn a_mandate_and_officers_by_answers_at_a_terminal() {
    let trial = Trial::small();
    let register = trial.register_toml();
    let answers = [
        "id|App 2",
        "id|app-2",
        "principal|clerk",
        "database|trial",
        "purpose|curiosity",
        "purpose|integration-course",
        "legal-basis|Decree of 7 June 2013",
        "valid-from|",
        "valid-until|2099-01-01T00:00:00Z",
        "grant|note:*:read,search",
        "grant|",
        "replaces|",
        "rows-per-statement|100",
        "requester|Els Wouters",
        "hours|",
        "end-user|asserted",
        "order|",
    ];
    let (ok, said) = at_a_terminal(&trial, &answers, &["mandate", "new", "--register", &register]);
    assert!(ok, "{said}");
    for wanted in [
        "`App 2` must be 1 to 100 of a-z",
        "one of the charter's purposes: integration-course\npurpose: ",
        "`curiosity` is none of integration-course",
        "100 rows a statement, at every hour, for an end user whom the application names\n  + read, search public.note: body (new)",
        "written: app-2.toml",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let said = sign(&trial, &trial.folder.path().join("app-2.toml"), &["structure", "access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    let said = trial.drieslot_ok(["access", "clerk", "--register", &register]);
    assert!(said.contains("read, search in trial.public.note: body"), "{said}");

    let key = trial.folder.path().join("new-key");
    let made = trial.as_user("/usr/bin/ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let add = format!("add|Dirk Maes={}.pub", key.display());
    let answers = [
        "id|access-2",
        "function|doors",
        "function|access",
        "why|Bilal Haddad retires",
        "remove|Hilde Claes",
        "remove|Bilal Haddad",
        "remove|",
        &add,
        "add|",
    ];
    let (ok, said) = at_a_terminal(&trial, &answers, &["officers", "new", "--register", &register]);
    assert!(ok, "{said}");
    for wanted in [
        "`doors` is no function",
        "`Hilde Claes` is no officer of access: Bilal Haddad",
        "what it changes for access:\n  + Dirk Maes comes, with key SHA256:",
        "  - Bilal Haddad goes\n  1 officers, of whom 1 must sign\n  ! if one of them loses their key",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let said = sign(&trial, &trial.folder.path().join("access-2.toml"), &["access", "keys"]);
    assert!(said.contains("in force"), "{said}");
    // A terminal that closes: nothing is written.
    let (ok, said) =
        at_a_terminal(&trial, &["id|app-3", "principal|\u{4}"], &["mandate", "new", "--register", &register]);
    assert!(!ok && said.contains("no answer for principal"), "{said}");
    assert!(!trial.folder.path().join("app-3.toml").exists());
}

#[test]
fn officers_by_flags_are_checked_against_the_register() {
    let trial = Trial::small();
    let register = trial.register_toml();
    let common = ["officers", "new", "--register", &register, "--id", "keys-2"];
    let with = |more: &[&str]| refused(&trial, &[&common[..], more].concat());
    assert!(with(&[]).contains("error: --function is missing\nhint: "));
    assert!(with(&["--function", "keys"]).contains("error: --why is missing\n"));
    let keys = ["--function", "keys", "--why", "a new year"];
    assert!(with(&keys).contains("it changes nobody"));
    let said = with(&[&keys[..], &["--remove", "Nobody"]].concat());
    assert!(said.contains("`Nobody` is no officer of keys: Chantal Dubois"), "{said}");
    let said = with(&[&keys[..], &["--remove", "Chantal Dubois"]].concat());
    assert!(said.contains("keys has 0 officers and a quorum of 1"), "{said}");
    let private = trial.officer_key("access").display().to_string();
    let said = with(&[&keys[..], &["--add", &format!("Eva={private}")]].concat());
    assert!(said.contains("the key of Eva is no SSH public key") && !said.contains("PRIVATE"), "{said}");
    let public = format!("Eva={private}.pub");
    let said = with(&[&keys[..], &["--add", &public]].concat());
    assert!(said.contains("the key of `Eva` is or was somebody's already"), "{said}");
}

#[test]
fn a_charter_by_flags_is_one_that_a_register_begins_with() {
    let trial = Trial::small();
    let mut arguments: Vec<String> =
        ["charter", "new", "--tenant", "agency.example", "--purpose", "intake"].map(Into::into).into();
    for (name, command) in [
        ("register", vec!["register", "init", "n/register", "--tenant", "agency.example"]),
        ("structure", vec!["custodian", "init", "n/s", "--function", "structure", "--name", "custodian-structure"]),
        ("access", vec!["custodian", "init", "n/a", "--function", "access", "--name", "custodian-access"]),
        ("keys", vec!["custodian", "init", "n/k", "--function", "keys", "--name", "custodian-keys"]),
        ("gateway", vec!["gateway", "init", "n/g", "--name", "gateway-1", "--tenant", "agency.example"]),
    ] {
        let part = trial.write(&format!("{name}.part"), &trial.drieslot_ok(command));
        arguments.extend(["--part".to_owned(), part.display().to_string()]);
    }
    let key = |duty: &str| trial.officer_key(duty).with_extension("pub").display().to_string();
    let officer = |duty: &str, name: &str| format!("{duty}:{name}={}", key(duty));
    arguments.extend(["--head".into(), format!("Hilde Claes={}", key("head"))]);
    arguments.extend(["--person".into(), officer("structure", "An Peeters"), "--person".into()]);
    arguments.push(officer("access", "Bilal Haddad"));
    let short: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = refused(&trial, &short);
    assert!(said.contains("keys has 0 officers and a quorum of 1"), "{said}");
    arguments.extend(["--person".into(), officer("keys", "Chantal Dubois")]);
    let verified: Vec<&str> = arguments.iter().map(String::as_str).chain(["--user-verification", "keys"]).collect();
    assert!(refused(&trial, &verified).contains("wants user verification of Chantal Dubois"));
    let too_many: Vec<&str> = arguments.iter().map(String::as_str).chain(["--quorum", "keys:2"]).collect();
    assert!(refused(&trial, &too_many).contains("keys has 1 officers and a quorum of 2"));
    let said = trial.drieslot_ok(&arguments);
    let text = std::fs::read_to_string(trial.folder.path().join("charter.toml")).unwrap();
    let pin = drieslot_register::Hex32::sha256(&text);
    assert!(said.contains(&format!("which every part is given: {pin}\n")), "{said}");
    let mut state = drieslot_register::State::new(pin);
    let now = jiff::Timestamp::now().to_string();
    let entry = drieslot_register::entry::Entry::Statement(text).encode(&now).unwrap();
    state.apply(0, &entry).unwrap();
    for duty in ["structure", "access", "keys", "head"] {
        let armored =
            trial.drieslot_ok(["sign", "charter.toml", "--key", &trial.officer_key(duty).display().to_string()]);
        assert!(armored.contains("signed: charter `charter`"));
        let armored = std::fs::read_to_string(trial.folder.path().join(format!("charter.toml.{duty}.sig"))).unwrap();
        let signature = drieslot_register::entry::SignatureEntry { statement: pin, armored };
        let entry = drieslot_register::entry::Entry::Signature(signature).encode(&now).unwrap();
        state.apply(state.revision(), &entry).unwrap();
    }
    assert_eq!(state.tenant(), Some("agency.example"));
}

#[test]
fn the_next_charter_is_checked_against_the_one_in_force() {
    let trial = Trial::small();
    let register = trial.register_toml();
    let next = ["charter", "next", "--register", &register];
    assert!(refused(&trial, &next).contains("error: --id is missing"));
    let next = [&next[..], &["--id", "charter-2"]].concat();
    let with = |more: &[&str]| refused(&trial, &[&next[..], more].concat());
    let key = trial.officer_key("head").with_extension("pub").display().to_string();
    for (more, wanted) in [
        (["--remove", "Nobody"], "`Nobody` is nobody and no part of the charter\nhint: it has "),
        (["--remove", "Bilal Haddad"], "access has 0 officers and a quorum of 1"),
        (["--remove", "gateway"], "there is no gateway: name at least one"),
        (["--remove-purpose", "curiosity"], "`curiosity` is none of integration-course"),
        (["--remove-purpose", "integration-course"], "the list of purposes is empty"),
        (["--purpose", "integration-course"], "is listed twice"),
        (["--quorum", "keys:2"], "keys has 1 officers and a quorum of 2"),
        (["--quorum", "doors:2"], "`doors` is no function"),
        (["--user-verification", "keys"], "wants user verification of Chantal Dubois"),
        (["--witness-quorum", "1"], "witnesses need all of witness_quorum, witness_faults and witness_grace_s"),
        (["--person", &format!("keys:Another={key}")], "also belongs to another: nobody has two functions"),
        (["--person", &format!("chef:Another={key}")], "unknown variant `chef`"),
        (["--part", &key], "says of no part what it must"),
    ] {
        let said = with(&more);
        assert!(said.contains(wanted), "{more:?}: {said}");
    }
    assert!(!trial.folder.path().join("charter-2.toml").exists());
    let (ok, said) = at_a_terminal(
        &trial,
        &[
            "id|charter-2",
            "remove|",
            "person|",
            "part|",
            "purpose|court_order",
            "purpose|",
            "remove-purpose|",
            "user-verification|",
            "quorum|",
        ],
        &["charter", "next", "--register", &register],
    );
    assert!(
        ok && said.contains("what charter `charter-2` changes:\n  + purpose court_order: listed\nwritten"),
        "{said}"
    );
    let said = sign(&trial, &trial.folder.path().join("charter-2.toml"), &["structure", "access", "keys", "head"]);
    assert!(said.contains("in force"), "{said}");
}

#[test]
fn a_statement_that_no_entry_can_hold_is_refused_before_anybody_signs_it() {
    let trial = Trial::small();
    let register = trial.register_toml();
    let text = std::fs::read_to_string(trial.data().join("statements/mandate.toml")).unwrap();
    let long = format!("# {}\n{}", "\"".repeat(33_000), text.replace("app-1", "app-9"));
    let path = trial.write("long.toml", &long).display().to_string();
    let key = trial.officer_key("keys").display().to_string();
    for arguments in [vec!["sign", &path, "--key", &key], vec!["submit", &path, "--register", &register]] {
        let said = refused(&trial, &arguments);
        let wanted = "bytes as JSON, and an entry of the register holds 65535\nhint: make it shorter";
        assert!(said.contains("error: the statement takes 66") && said.contains(wanted), "{said}");
    }
    assert!(!trial.folder.path().join("long.toml.keys.sig").exists());
}
