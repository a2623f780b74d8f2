//! The database and the classification that the tests plan against, and a readable form of a plan.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::format_push_string,
    clippy::result_large_err,
    clippy::type_complexity,
    reason = "shared by the tests, each of which uses a part"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use drieslot_schema::{
    Class, Classification, Column, ColumnId, Domain, LogicalType, Protected, Protection, Table, TableId, Unlisted,
};
use drieslot_sql::{Catalog, Kind, Purpose, Refusal, Rewritten, Session, Slot, SlotSource, Statement, Typed};

pub const BYTEA: u32 = 17;

/// Name, type, protection and domain of a column; no domain means plain.
pub type ColumnSpec = (&'static str, &'static str, Option<(Protection, &'static str)>);

pub fn tables() -> Vec<(&'static str, Vec<ColumnSpec>)> {
    use Protection::{Exact, Sealed};
    vec![
        (
            "people",
            vec![
                ("id", "integer", None),
                ("ssn", "varchar(11)", Some((Exact, "ssn"))),
                ("name", "text", Some((Sealed, "people.name"))),
                ("born", "date", Some((Sealed, "people.born"))),
                ("email", "text", Some((Exact, "email"))),
                ("active", "boolean", Some((Exact, "people.active"))),
                ("income", "numeric(10,2)", Some((Exact, "income"))),
                ("children", "integer", Some((Exact, "people.children"))),
                ("city", "text", None),
            ],
        ),
        (
            "visits",
            vec![
                ("id", "integer", None),
                ("person_ssn", "varchar(11)", Some((Exact, "ssn"))),
                ("contact", "text", Some((Exact, "email"))),
                ("notes", "text", Some((Sealed, "visits.notes"))),
                ("at", "timestamptz", None),
                ("fee", "numeric", None),
            ],
        ),
        (
            "cards",
            vec![
                ("id", "integer", None),
                ("label", "text", Some((Sealed, "cards.label"))),
                ("code", "text", Some((Exact, "cards.code"))),
            ],
        ),
        ("towns", vec![("id", "integer", None), ("name", "text", None), ("city", "text", None)]),
    ]
}

fn protected(table: &TableId, (name, ty, protection): &ColumnSpec) -> Option<Protected> {
    protection.map(|(protection, domain)| Protected {
        id: ColumnId { table: table.clone(), column: (*name).to_owned() },
        ty: ty.parse().unwrap(),
        protection,
        domain: Domain(domain.to_owned()),
        search: name.starts_with("free_"),
    })
}

pub fn classification(unlisted: Unlisted) -> Classification {
    let table = |(name, columns): (&str, Vec<ColumnSpec>)| {
        let id = TableId { schema: "public".to_owned(), table: name.to_owned() };
        let columns: BTreeMap<_, _> = columns
            .iter()
            .map(|spec| {
                let class = Class::new(if spec.2.is_some() { 4 } else { 1 }).unwrap();
                let column = Column { name: spec.0.to_owned(), class, protected: protected(&id, spec) };
                (spec.0.to_owned(), column)
            })
            .collect();
        Table { id, columns, unlisted_columns: Unlisted::Refuse, subject: None }
    };
    Classification::new("town".to_owned(), tables().into_iter().map(table).collect(), unlisted).unwrap()
}

pub fn nothing_protected() -> Classification {
    Classification::new("town".to_owned(), Vec::new(), Unlisted::Plain).unwrap()
}

pub fn row(values: &[&str]) -> Vec<Option<String>> {
    let mut row: Vec<_> = values.iter().map(|value| Some((*value).to_owned())).collect();
    row.resize(10, None);
    row
}

#[allow(clippy::too_many_lines, reason = "one list of tables")]
pub fn catalog() -> Catalog {
    let mut rows = Vec::new();
    for (oid, (name, columns)) in (100..).zip(tables()) {
        for (number, (column, ty, protection)) in (1..).zip(&columns) {
            let ty: LogicalType = ty.parse().unwrap();
            let type_oid = if protection.is_some() { BYTEA } else { ty.oid() };
            let (oid, number, type_oid) = (format!("{oid}"), format!("{number}"), format!("{type_oid}"));
            rows.push(row(&["r", &oid, "public", name, "r", &number, column, &type_oid, "-1", "f"]));
        }
    }
    for (oid, schema, name, kind, column, ty) in [
        ("200", "public", "scratch", "r", "x", "25"),
        ("201", "public", "people_view", "v", "x", "25"),
        ("202", "secret", "people", "r", "id", "23"),
        ("203", "public", "extra", "r", "a", "23"),
    ] {
        rows.push(row(&["r", oid, schema, name, kind, "1", column, ty, "-1", "f"]));
    }
    rows.push(row(&["r", "204", "public", "people_id_seq", "S"]));
    rows.push(row(&["r", "100", "public", "people", "r", "10", "hobby", "25", "-1", "f"]));
    let view = |oid: &str, name: &str, columns: &[(&str, &str)], query: &str, of: &[&str]| {
        let numbered = (1..).zip(columns);
        let mut rows: Vec<_> = numbered
            .map(|(at, (column, ty))| row(&["r", oid, "public", name, "v", &format!("{at}"), column, ty, "-1", "f"]))
            .collect();
        rows.push(row(&["w", oid, "public", name, "v", query]));
        rows.extend(of.iter().map(|table| row(&["d", oid, "public", name, "v", "public", table])));
        rows
    };
    rows.extend(view(
        "400",
        "folk",
        &[("who", "17"), ("town", "25")],
        " SELECT people.ssn AS who,\n    people.city AS town\n   FROM people;",
        &["people"],
    ));
    rows.extend(view(
        "401",
        "folk_of",
        &[("who", "17"), ("notes", "17")],
        " SELECT folk.who, v.notes FROM folk JOIN public.visits v ON v.person_ssn = folk.who;",
        &["folk", "visits"],
    ));
    rows.extend(view("402", "cities", &[("name", "25")], " SELECT towns.name FROM towns;", &["towns"]));
    rows.extend(view("403", "odd", &[("name", "25")], " SELECT upper(people.ssn) AS name FROM people;", &["people"]));
    rows.extend(view("404", "lost", &[("name", "25")], " SELECT x.name FROM elsewhere x;", &[]));
    rows.extend(view("405", "deep", &[("name", "25")], " SELECT deep.name FROM deep;", &["deep"]));
    rows.extend(view(
        "406",
        "literal",
        &[("id", "23")],
        " SELECT people.id FROM people WHERE people.ssn = 'x';",
        &["people"],
    ));
    rows.extend(view("407", "lying", &[("who", "25")], " SELECT people.ssn AS who FROM people;", &["people"]));
    for (column, cell) in [("label", r"'\x1101'::bytea"), ("code", r"'\x1201'::bytea")] {
        rows.push(row(&["e", "102", "public", "cards", "r", column, cell]));
    }
    rows.push(row(&["f", "300", "public", "peek", "f"]));
    rows.push(row(&["o", "301", "public", "<=>", "b"]));
    rows.push(row(&["t", "302", "public", "mood", "e"]));
    let system = [
        row(&["r", "1259", "pg_catalog", "pg_class", "r", "1", "oid", "26", "-1", "t"]),
        row(&["r", "1259", "pg_catalog", "pg_class", "r", "2", "relname", "19", "-1", "t"]),
        row(&["r", "1260", "pg_catalog", "pg_settings", "v", "1", "name", "25", "-1", "f"]),
        row(&["r", "1259", "pg_catalog", "pg_class", "r", "3", "relchecks", "21", "-1", "t"]),
        row(&["r", "1249", "pg_catalog", "pg_attribute", "r", "1", "attrelid", "26", "-1", "t"]),
        row(&["r", "1249", "pg_catalog", "pg_attribute", "r", "2", "attname", "19", "-1", "t"]),
        row(&["r", "1249", "pg_catalog", "pg_attribute", "r", "3", "atttypid", "26", "-1", "t"]),
        row(&["r", "2615", "pg_catalog", "pg_namespace", "r", "1", "oid", "26", "-1", "t"]),
        row(&["r", "2615", "pg_catalog", "pg_namespace", "r", "2", "nspname", "19", "-1", "t"]),
        row(&["r", "1247", "pg_catalog", "pg_type", "r", "1", "oid", "26", "-1", "t"]),
        row(&["r", "2610", "pg_catalog", "pg_index", "r", "1", "indexrelid", "26", "-1", "t"]),
        row(&["r", "2606", "pg_catalog", "pg_constraint", "r", "1", "oid", "26", "-1", "t"]),
        row(&["r", "13000", "information_schema", "columns", "v", "1", "table_name", "19", "-1", "f"]),
        row(&["w", "13000", "information_schema", "columns", "v", " SELECT a.attname FROM pg_attribute a;"]),
    ];
    Catalog::from_rows(&rows).unwrap().with_system(Arc::new(Catalog::from_rows(&system).unwrap()))
}

pub fn plan(sql: &str, catalog: &Catalog, classification: &Classification) -> Result<Vec<Statement>, Refusal> {
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let nothing = |_: &str| None;
    let session = Session {
        search_path: &path,
        standard_strings: true,
        prepared: &nothing,
        cursors: &nothing,
        least_epoch: &|_| None,
    };
    let known = drieslot_sql::plan("SELECT 1", catalog, classification, &session)?.pop().map(Arc::new);
    let known = |name: &str| known.clone().filter(|_| name == "known");
    let session = Session {
        search_path: &path,
        standard_strings: true,
        prepared: &known,
        cursors: &known,
        least_epoch: &|_| None,
    };
    drieslot_sql::plan(sql, catalog, classification, &session)
}

fn short(typed: &Typed) -> String {
    format!("{}.{}:{}", typed.column.id.table.table, typed.column.id.column, typed.ty)
}

fn source(source: &SlotSource) -> String {
    match source {
        SlotSource::Literal { text, explicit_cast } => format!("{text:?}{}", if *explicit_cast { " cast" } else { "" }),
        SlotSource::Param(number) => format!("${number}"),
        SlotSource::CastParam { number } => format!("${number} cast"),
        SlotSource::Default => "default".to_owned(),
    }
}

fn show_rewritten(rewritten: &Rewritten) -> String {
    let text = rewritten.template.render_inline(&mut |slot, out: &mut String| out.push_str(&format!("<{slot}>")));
    let mut lines = vec![format!("send {text}")];
    for slot in &rewritten.slots {
        match slot {
            Slot::Cell(slot) => {
                let purpose = if slot.purpose == Purpose::Store { "store" } else { "compare" };
                lines.push(format!("slot {} {purpose} {}", source(&slot.source), short(&slot.value)));
            }
            Slot::Cells(slot) => lines.push(format!("slot {} array {}", source(&slot.source), short(&slot.value))),
            Slot::Search { search, part } => lines.push(format!("slot {part:?} of search {search}")),
        }
    }
    for search in &rewritten.searches {
        let pattern: Vec<_> =
            search.pattern.iter().map(|part| format!("{} {:?}", source(&part.source), part.case)).collect();
        let places: Vec<_> = search.places.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "search {:?} {:?} for {:?} {} in {}",
            search.test,
            search.case,
            search.pattern_case,
            pattern.join(" || "),
            places.join(", ")
        ));
    }
    if !rewritten.client_parameters.is_empty() {
        lines.push(format!("parameters {}", rewritten.template.with_parameters()));
    }
    if !rewritten.columns.is_empty() {
        let columns: Vec<_> =
            rewritten.columns.iter().map(|column| column.protected().map_or("-".to_owned(), short)).collect();
        lines.push(format!("columns {}", columns.join(", ")));
    }
    if !rewritten.uses.is_empty() {
        let uses: Vec<_> =
            rewritten.uses.iter().map(|(id, used)| format!("{}.{} {used:?}", id.table.table, id.column)).collect();
        lines.push(format!("uses {}", uses.join(", ")));
    }
    lines.join("\n")
}

/// The rows that name every protected column are the same in all cases.
fn without_values(text: &str) -> String {
    let mut parts = text.split("(VALUES (");
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        match part.split_once(") v(") {
            Some((_, rest)) => shown.push_str(&format!("(VALUES …) v({rest}")),
            None => shown.push_str(&format!("(VALUES ({part}")),
        }
    }
    shown
}

pub fn show(statement: &Statement) -> String {
    match &statement.kind {
        Kind::Pass(_) => "pass".to_owned(),
        Kind::Reworded(text, _) => format!("send {}", without_values(text)),
        Kind::Rewritten(rewritten) => show_rewritten(rewritten),
        Kind::CopyIn(plan) | Kind::CopyOut(plan) => {
            let columns: Vec<_> =
                plan.fields.iter().map(|field| field.protected.as_ref().map_or("-".to_owned(), short)).collect();
            let text = plan.template.with_parameters();
            format!("copy {:?} {text}\ncolumns {}", plan.format, columns.join(", "))
        }
    }
}

pub fn show_refusal(refusal: &Refusal) -> String {
    let column = refusal.column.as_ref().map_or(String::new(), |id| format!(" {}.{}", id.table.table, id.column));
    let stale = if refusal.stale { " stale" } else { "" };
    format!("refused {}{column}{stale}: {}", refusal.sqlstate, refusal.message)
}
