//! The tables of a trial: every type that can be protected, sealed and exact, two tables in one domain, plain ones;
//! ordinary rows to load, and unmistakable ones to plant through the gateway.

use super::check::Canary;

pub(crate) const CLASSIFICATION: &str = include_str!("classification.toml");
/// The dump that a trial loads, and a plain database too.
pub(crate) const DUMP: &str = include_str!("trial.sql");
/// As little as a trial can be made of.
pub(crate) const SMALL_DUMP: &str =
    "CREATE TABLE note (note_id integer PRIMARY KEY, body text);\nINSERT INTO note VALUES (1, 'first');\n";
pub(crate) const SMALL_CLASSIFICATION: &str = r#"kind = "classification"
tenant = "trial-agency"
id = "columns-1"
issued = "2025-01-01T00:00:00Z"
database = "trial"

[[table]]
name = "note"
column = [
  { name = "note_id", class = 1, protection = "plain" },
  { name = "body", class = 3, protection = "sealed", type = "text" },
]
"#;
/// All that can be done with the protected column of the small tables.
pub(crate) fn small_mandate(id: &str, database: &str) -> String {
    format!(
        r#"kind = "mandate"
tenant = "trial-agency"
id = "{id}"
issued = "2025-01-01T00:00:00Z"
principal = "app"
database = "{database}"
purpose = "integration-course"
legal_basis = "a test"
valid_from = "2025-01-01T00:00:00Z"
valid_until = "2100-01-01T00:00:00Z"

[[grant]]
table = "public.note"
columns = ["body"]
operations = ["read", "write", "search"]
"#
    )
}

/// Rows that no test data resembles; ids from 901. Through the gateway only.
const PLANT: &str = include_str!("plant.sql");

/// The statements that plant the canaries.
pub(crate) fn planting() -> impl Iterator<Item = &'static str> {
    PLANT.split_terminator(";\n")
}

/// What must not show after [`planting`].
pub(crate) fn canaries() -> Vec<Canary> {
    let texts = [
        "CANARY-7f3a-Vandenbossche",
        "CANARY-nick-41d8",
        "CANARY-Ωmega-91c2",
        "CANARY-remark-5be0",
        "CANARY-update-c0a7",
        "83746152.93",
        "71625349.87",
    ];
    let mut all: Vec<_> = texts.into_iter().map(|text| Canary::Text(text.into())).collect();
    all.extend([8_123_456_789_012_345_671, 8_123_456_789_012_345_673, 7_654_321_098_765_432_109].map(Canary::Int8));
    all.push(Canary::Uuid("d3adc0de-ca4a-4c4e-9a4e-5afe0bad1dea".into()));
    all.push(Canary::Timestamp("2019-03-07 11:42:13.618033".into(), micros("2019-03-07T11:42:13.618033Z")));
    all.push(Canary::Timestamp("2017-08-23 19:21:47.271828".into(), micros("2017-08-23T17:21:47.271828Z")));
    all
}

/// Microseconds since 2000, as PostgreSQL counts.
fn micros(text: &str) -> i64 {
    let epoch: jiff::Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond() - epoch.as_microsecond()
}

impl super::Trial {
    /// Plants the canaries through the gateway.
    pub(crate) fn plant(&self) {
        for sql in planting() {
            self.app_ok(sql);
        }
    }
}
