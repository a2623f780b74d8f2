//! `drieslot classify suggest` on real databases: what names, values and statements give away, and that what it writes can
//! be put in force.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use common::Trial;

/// Table, column: protection, and whether it can be searched.
type Columns = BTreeMap<String, (String, bool)>;

fn columns(text: &str) -> Columns {
    let parsed: toml::Table = text.parse().unwrap();
    let mut found = Columns::new();
    for table in parsed["table"].as_array().unwrap() {
        for column in table["column"].as_array().unwrap() {
            let name = format!("{}.{}", table["name"].as_str().unwrap(), column["name"].as_str().unwrap());
            let search = column.get("search").is_some_and(|search| search.as_bool().unwrap());
            found.insert(name, (column["protection"].as_str().unwrap().to_owned(), search));
        }
    }
    found
}

fn suggest(trial: &Trial, database: &str, more: &[&str]) -> String {
    let url = format!("host={} port={} user=postgres dbname={database}", trial.processor().display(), trial.port + 1);
    let password = trial.processor().join("superuser.password").display().to_string();
    let usual = ["classify", "suggest", "--tenant", "trial-agency", "--url", &url, "--password-file", &password];
    trial.drieslot_ok(usual.iter().chain(more))
}

fn dump(name: &str) -> Option<String> {
    let folder = std::env::var_os("DRIESLOT_TEST_DUMPS").map(PathBuf::from);
    let text = folder.and_then(|folder| std::fs::read_to_string(folder.join(name)).ok());
    if text.is_none() {
        eprintln!("SKIPPED: {name} is not there: DRIESLOT_TEST_DUMPS must name the folder that has it");
    }
    text
}

/// People in a table whose names say nothing.
fn opaque() -> String {
    let mut sql = String::from(
        "CREATE TABLE t1 (k int PRIMARY KEY, a text, b text, c varchar(60), d text, e date, f text, g text, h bigint, i text, \
         j date, l text);\n",
    );
    let names = ["Jan Peeters", "Marie Dubois", "Nour Haddad", "Thomas De Smet", "Sophie Maes", "Omar Khaled"];
    for n in 0..60_u64 {
        let body = format!("{:02}{:02}{:02}{:03}", 40 + n % 55, 1 + n % 12, 1 + n % 28, 1 + n);
        let national = format!("{body}{:02}", 97 - body.parse::<u64>().unwrap() % 97);
        // The check digits of an IBAN: 98 less the rest of account, country and 00.
        let account = format!("{:012}", 539_007_547_000 + n);
        let check = 98 - format!("{account}111400").parse::<u128>().unwrap() % 97;
        writeln!(
            sql,
            "INSERT INTO t1 VALUES ({n}, '{national}', 'BE{check:02}{account}', 'mail{n}@example.be', '+32 2 555 {n:04}', \
             '{}-03-04', 'Kerkstraat {n}', '{}', {}, 'thing {n}', '2024-01-{:02}', 'note {n}');",
            1940 + n % 60,
            names[usize::try_from(n).unwrap() % names.len()],
            national.parse::<u64>().unwrap(),
            1 + n % 28,
        )
        .unwrap();
    }
    sql
}

#[test]
fn values_and_statements_tell_what_names_do_not() {
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE opaque");
    trial.superuser("opaque", &opaque());
    let text = suggest(&trial, "opaque", &[]);
    let found = columns(&text);
    let protection = |name: &str| found[&format!("t1.{name}")].clone();
    for name in ["a", "c", "h"] {
        assert_eq!(protection(name), ("exact".into(), false), "{name}: {text}");
    }
    for name in ["b", "d", "e", "f", "g"] {
        assert_eq!(protection(name), ("sealed".into(), false), "{name}: {text}");
    }
    for name in ["k", "i", "j", "l"] {
        assert_eq!(protection(name), ("plain".into(), false), "{name}: {text}");
    }
    for secret in ["Peeters", "example.be", "Kerkstraat", "539007547"] {
        assert!(!text.contains(secret), "a value is in the suggestion: {secret}");
    }
    assert!(text.contains("60 of 60 values look like IBANs"), "{text}");
    let statements = trial.write(
        "statements.sql",
        "SELECT g FROM t1 WHERE e < $1 ORDER BY e; SELECT * FROM t1 WHERE g ILIKE $1; SELECT f FROM t1 x WHERE x.d = $1;
         SELECT g FROM t1 ORDER BY g;",
    );
    let text = suggest(&trial, "opaque", &["--statements", &statements.display().to_string()]);
    let found = columns(&text);
    let protection = |name: &str| found[&format!("t1.{name}")].clone();
    assert_eq!(protection("e"), ("ordered".into(), false), "{text}");
    assert_eq!(protection("g"), ("sealed".into(), true), "{text}");
    assert_eq!(protection("d"), ("exact".into(), false), "{text}");
    assert_eq!(protection("b"), ("sealed".into(), false), "{text}");
    assert!(text.contains("#   public.t1.g: statements order it, which is not possible for text"), "{text}");
    assert!(text.contains("The processor learns which values are equal, and their order."), "{text}");
}

/// The gateway, told to record, writes each statement once and no value; what it wrote tells what the columns need.
#[test]
fn a_recording_of_the_application_tells_what_it_needs() {
    let mut trial = Trial::start(
        "CREATE TABLE people (id int PRIMARY KEY, first_name text, e_mail text, birth_date date, city text);\n\
         CREATE TABLE notes (note text);",
        "kind = \"classification\"\ntenant = \"trial-agency\"\nid = \"all-plain\"\nissued = \"2026-01-01T00:00:00Z\"\n\
         database = \"trial\"\nunlisted_tables = \"plain\"\n\n[[table]]\nname = \"notes\"\n\
         column = [{ name = \"note\", class = 3, type = \"text\", protection = \"sealed\" }]\n",
    );
    trial.stop();
    let config = trial.data().join("gateway/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("recording = \"statements.sql\"\n{text}")).unwrap();
    trial.resume();
    for n in 0..3 {
        trial.app_ok(&format!(
            "INSERT INTO people VALUES ({n}, 'Zoltan{n}', 'm{n}@example.be', '1970-01-0{}', 'Gent')",
            n + 1
        ));
        trial.app_ok(&format!("SELECT city /* Zoltan */ FROM people WHERE first_name ILIKE 'zol%{n}' -- Zoltan"));
    }
    trial.app_ok(
        "SELECT id FROM people WHERE e_mail = 'm1@example.be' AND birth_date BETWEEN '1970-01-01' AND '1980-01-01'",
    );
    trial.app_ok("SET application_name = 'Zoltan'");
    let (code, _) = trial.app_fails("SELECT nothing_such FROM people WHERE id = 7");
    assert_eq!(code, "42703");

    let recorded = std::fs::read_to_string(trial.data().join("gateway/statements.sql")).unwrap();
    for value in ["Zoltan", "zol", "example.be", "1970", "Gent"] {
        assert!(!recorded.contains(value), "a value was recorded: {recorded}");
    }
    let of = |start: &str| recorded.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((of("insert"), of("select city"), of("select id"), of("set")), (1, 1, 1, 0), "{recorded}");
    // It goes on where it was.
    trial.stop();
    trial.resume();
    trial.app_ok("SELECT city FROM people WHERE first_name ILIKE 'other'");
    trial.app_ok("SELECT city FROM people WHERE id = 4");
    let path = trial.data().join("gateway/statements.sql");
    let more = std::fs::read_to_string(&path).unwrap();
    assert!(more.starts_with(&recorded) && more.lines().count() == recorded.lines().count() + 1, "{more}");

    let text = suggest(&trial, "trial", &["--statements", &path.display().to_string()]);
    let found = columns(&text);
    assert_eq!(found["people.first_name"], ("sealed".into(), true), "{text}");
    assert_eq!(found["people.e_mail"], ("exact".into(), false), "{text}");
    assert_eq!(found["people.birth_date"], ("ordered".into(), false), "{text}");
}

#[test]
fn what_cannot_be_checked_is_not_connected_to() {
    let trial = Trial::usual();
    for (url, expected) in [
        (
            "host=127.0.0.1 user=postgres dbname=trial",
            "error: the server cannot be checked\nhint: name the certificate",
        ),
        ("postgresql://postgres:secret@127.0.0.1/trial", "error: --url holds a password, which others can see\nhint:"),
        ("nonsense", "error: --url: "),
    ] {
        let output = trial.drieslot(["classify", "suggest", "--tenant", "x", "--url", url]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{url}: {said}");
    }
    // Over TLS, checked against the processor's root.
    let password = trial.data().join("application/password").display().to_string();
    let root = trial.processor().join("root.crt").display().to_string();
    let url = format!("postgresql://gateway@127.0.0.1:{}/trial", trial.port + 1);
    let wrong_root = trial.data().join("gateway/root.crt").display().to_string();
    for (root, expected) in [(&wrong_root, "error performing TLS handshake"), (&root, "28P01")] {
        let words =
            ["classify", "suggest", "--tenant", "x", "--url", &url, "--password-file", &password, "--root", root];
        let said = String::from_utf8(trial.drieslot(words).stderr).unwrap();
        assert!(said.contains(expected) || said.contains("authentication failed") && expected == "28P01", "{said}");
    }
}

#[test]
fn northwind_and_chinook_are_classified_and_the_suggestion_can_be_put_in_force() {
    let (Some(northwind), Some(chinook)) = (dump("northwind.sql"), dump("chinook.sql")) else { return };
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE northwind");
    trial.superuser("northwind", &northwind);
    // Chinook's dump makes its database and connects to it itself.
    let said = common::psql::run(&mut trial.superuser_psql("postgres"), &chinook);
    assert!(said.ok, "{}", said.err);
    let found = columns(&suggest(&trial, "chinook", &[]));
    for (column, protection) in [
        ("customer.email", "exact"),
        ("customer.last_name", "sealed"),
        ("employee.birth_date", "sealed"),
        ("invoice.billing_address", "sealed"),
        ("artist.name", "plain"),
        ("track.name", "plain"),
        ("invoice.total", "plain"),
        ("invoice.invoice_date", "plain"),
    ] {
        assert_eq!(found[column].0, protection, "{column}");
    }
    let text = suggest(&trial, "northwind", &[]);
    let found = columns(&text);
    for (column, protection) in [
        ("customers.contact_name", "sealed"),
        ("customers.phone", "sealed"),
        ("employees.birth_date", "sealed"),
        ("employees.hire_date", "plain"),
        ("orders.order_date", "plain"),
        ("products.product_name", "plain"),
        ("customers.customer_id", "plain"),
    ] {
        assert_eq!(found[column].0, protection, "{column}");
    }
    drop(trial);
    let classified = Trial::start(&northwind, &text.replace("\"northwind\"", "\"trial\""));
    assert_eq!(classified.app_ok("SELECT contact_name FROM customers WHERE customer_id = 'ALFKI'"), "Maria Anders");
    let cell = "SELECT contact_name::text LIKE '\\\\x%' FROM customers WHERE customer_id = 'ALFKI'";
    assert_eq!(classified.superuser("trial", cell), "t");
}
