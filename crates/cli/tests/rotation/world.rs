//! The tables of the test, and the application that works on them.

use std::fmt::Write;

pub(crate) const CLIENTS: usize = 1_200;
pub(crate) const VISITS: usize = 2_000;
/// Domains of sealed columns, whose cells are brought over one by one.
pub(crate) const DOMAINS: [&str; 3] = ["person.name", "trial.public.client.tags", "trial.public.visit.note"];
/// And those that the processor compares or searches, whose cells are exchanged.
pub(crate) const COMPARED: [&str; 3] = ["person.code", "trial.public.client.rank", "trial.public.client.street"];

pub(crate) fn classification() -> String {
    r#"kind = "classification"
tenant = "trial-agency"
id = "columns-1"
issued = "2025-01-01T00:00:00Z"
database = "trial"

[[table]]
name = "client"
column = [
  { name = "client_id", class = 1, protection = "plain" },
  { name = "code", class = 4, protection = "exact", type = "varchar(20)", domain = "person.code" },
  { name = "name", class = 3, protection = "sealed", type = "text", domain = "person.name" },
  { name = "born", class = 3, protection = "sealed", type = "date", domain = "person.name" },
  { name = "tags", class = 3, protection = "sealed", type = "text[]" },
  { name = "visits", class = 1, protection = "plain" },
  { name = "rank", class = 3, protection = "ordered", type = "integer" },
  { name = "street", class = 3, protection = "sealed", type = "text", search = true },
]

[[table]]
name = "badge"
column = [
  { name = "badge_id", class = 1, protection = "plain" },
  { name = "code", class = 4, protection = "exact", type = "varchar(20)", domain = "person.code" },
]

[[table]]
name = "visit"
column = [
  { name = "visit_id", class = 1, protection = "plain" },
  { name = "client_id", class = 1, protection = "plain" },
  { name = "code", class = 4, protection = "exact", type = "varchar(20)", domain = "person.code" },
  { name = "note", class = 3, protection = "sealed", type = "varchar(80)" },
]
"#
    .to_owned()
}

pub(crate) fn dump() -> String {
    let mut sql = "CREATE TABLE client (client_id integer PRIMARY KEY, code varchar(20) UNIQUE, name text NOT NULL, \
                   born date, tags text[], visits integer NOT NULL DEFAULT 0, rank integer DEFAULT 5 CHECK (rank < 100000), \
                   street text);\n\
                   CREATE TABLE visit (visit_id integer PRIMARY KEY, client_id integer NOT NULL, \
                   code varchar(20) DEFAULT 'none', \
                   note varchar(40) DEFAULT 'none yet');\nCOPY client FROM stdin;\n"
        .to_owned();
    for id in 0..CLIENTS {
        let born =
            if id % 5 == 0 { "\\N".to_owned() } else { format!("19{:02}-0{}-1{}", id % 90 + 10, id % 9 + 1, id % 10) };
        writeln!(
            sql,
            "{id}\tC{id:05}\tName {id}\t{born}\t{{a,\"b {id}\",NULL}}\t0\t{}\tStreet {} of {id}",
            id % 77,
            id % 13
        )
        .unwrap();
    }
    sql.push_str("\\.\n\nCOPY visit FROM stdin;\n");
    for id in 0..VISITS {
        let client = id % CLIENTS;
        writeln!(sql, "{id}\t{client}\tC{client:05}\tnote {id} {}", "x".repeat(id % 30)).unwrap();
    }
    sql.push_str(
        "\\.\n\nCREATE INDEX visit_code ON visit (code);\nCREATE INDEX client_rank ON client (rank);\n\
                  CREATE TABLE badge (badge_id integer PRIMARY KEY, code varchar(20) REFERENCES client (code));\n\
                  INSERT INTO badge VALUES (1, 'C00007'), (2, 'C00008'), (3, NULL);\n",
    );
    sql
}
