//! A first classification, suggested from CREATE TABLE statements by the names of columns; where there are any, from
//! samples of their values and from the statements of the application too.
//!
//! Owns the suggestion; it decides nothing. The officers read it, change it, and sign what they want.

pub(crate) mod content;
pub(crate) mod queries;
mod rules;
mod tables;
pub(crate) mod text;

use std::collections::BTreeMap;

use drieslot_schema::{LogicalType, Protection, TableId};

use rules::{Kind, kind};
pub(crate) use tables::Tables;
use tables::{Column, Table};

/// One column of a suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SuggestedColumn {
    pub(crate) name: String,
    pub(crate) class: u8,
    /// `None`: stays plain.
    pub(crate) protected: Option<(LogicalType, Protection, String)>,
    /// Whether it can be searched by LIKE.
    pub(crate) search: bool,
    /// For the reader: why.
    pub(crate) why: String,
}

/// One table of a suggestion: all of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SuggestedTable {
    pub(crate) id: TableId,
    pub(crate) columns: Vec<SuggestedColumn>,
    /// The column that says whom a row is about.
    pub(crate) subject: Option<String>,
}

/// What is known beyond the names.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// What samples of values show.
    pub(crate) findings: BTreeMap<(TableId, String), content::Finding>,
    /// What the application's statements need.
    pub(crate) queries: queries::Queries,
}

impl Evidence {
    fn finding(&self, id: &TableId, column: &str) -> Option<&content::Finding> {
        self.findings.get(&(id.clone(), column.to_owned()))
    }

    fn kind(&self, id: &TableId, column: &str) -> Option<Kind> {
        kind(&id.table, column).or_else(|| self.finding(id, column).map(|finding| finding.kind))
    }

    fn is_national(&self, id: &TableId, column: &str) -> bool {
        rules::is_national(column) || self.finding(id, column).is_some_and(|finding| finding.national)
    }
}

/// A whole suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Suggestion {
    pub(crate) tables: Vec<SuggestedTable>,
    /// Columns that look personal but stay plain, with the reason. Somebody must look at these.
    pub(crate) left_plain: Vec<String>,
    /// Tables of which the journal cannot say whom their rows are about, with the reason.
    pub(crate) unnamed: Vec<String>,
}

impl Suggestion {
    /// Seals columns that their names do not give away. Names that are not there change nothing.
    pub(crate) fn also_seal(&mut self, tables: &Tables, columns: &[(&str, &str)]) {
        for (table, column) in columns {
            let created =
                tables.iter().find(|(id, _)| id.table == *table).and_then(|(_, created)| created.column(column));
            let suggested = self.tables.iter_mut().filter(|suggested| suggested.id.table == *table);
            for suggested in
                suggested.flat_map(|suggested| &mut suggested.columns).filter(|found| found.name == *column)
            {
                suggested.protected =
                    created.and_then(|created| created.ty).map(|ty| (ty, Protection::Sealed, String::new()));
                suggested.class = 4;
            }
        }
    }
}

/// Suggests for all tables that were created, by names alone.
pub(crate) fn suggest(tables: &Tables) -> Suggestion {
    suggest_by(tables, &Evidence::default())
}

/// Suggests by all that is known.
pub(crate) fn suggest_by(tables: &Tables, evidence: &Evidence) -> Suggestion {
    let mut suggestion = Suggestion::default();
    let domains = domains(tables, evidence);
    for (id, table) in tables.iter() {
        let columns = table.columns.iter().map(|column| {
            let (suggested, left_plain) = suggest_column(id, table, column, &domains, evidence);
            suggestion.left_plain.extend(left_plain);
            suggested
        });
        let columns: Vec<SuggestedColumn> = columns.collect();
        let subject = subject(id, &columns, &domains, evidence);
        let subject = subject.map_err(|why| suggestion.unnamed.extend(why)).ok();
        suggestion.tables.push(SuggestedTable { id: id.clone(), columns, subject });
    }
    suggestion
}

/// The column that says whom a row is about: a number that the whole country shares, or else what identifies a person, where
/// there is one of the kind. Why there is none is said of tables with protected columns.
fn subject(
    id: &TableId,
    columns: &[SuggestedColumn],
    domains: &BTreeMap<(TableId, String), (LogicalType, String)>,
    evidence: &Evidence,
) -> Result<String, Option<String>> {
    let names = |column: &&SuggestedColumn| {
        let identifies = domains.contains_key(&(id.clone(), column.name.clone()));
        identifies && column.protected.as_ref().is_some_and(|(ty, ..)| ty.names_a_subject())
    };
    let all: Vec<&str> = columns.iter().filter(names).map(|column| column.name.as_str()).collect();
    let national: Vec<&str> = all.iter().copied().filter(|name| evidence.is_national(id, name)).collect();
    let found = if national.is_empty() { all } else { national };
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] if columns.iter().all(|column| column.protected.is_none()) => Err(None),
        [] => Err(Some(format!("{id}: no column was found that says whom a row is about"))),
        [..] => Err(Some(format!("{id}: several columns could say whom a row is about: {}", found.join(", ")))),
    }
}

/// The exact domain of each column that a foreign key ties to an identifier: both ends must be equal byte by byte.
fn domains(tables: &Tables, evidence: &Evidence) -> BTreeMap<(TableId, String), (LogicalType, String)> {
    let mut domains = BTreeMap::new();
    for (id, table) in tables.iter() {
        for column in &table.columns {
            if let (Some(Kind::Identifier), Some(ty)) = (evidence.kind(id, &column.name), exact_type(column)) {
                let national = evidence.is_national(id, &column.name);
                domains
                    .insert((id.clone(), column.name.clone()), (ty, domain_name(id, column, ty, national, &domains)));
            }
        }
    }
    // A chain of foreign keys is at most as long as there are tables.
    for _ in 0..tables.len() {
        for (id, table) in tables.iter() {
            for (column, target) in &table.foreign_keys {
                let Some((ty, domain)) = domains.get(target).cloned() else {
                    continue;
                };
                domains.insert((id.clone(), column.clone()), (ty, domain));
            }
        }
    }
    domains
}

/// Numbers that the whole country shares can be joined between tables; anything else has its own key.
fn domain_name(
    id: &TableId,
    column: &Column,
    ty: LogicalType,
    national: bool,
    known: &BTreeMap<(TableId, String), (LogicalType, String)>,
) -> String {
    let own = format!("{}_{}", id.table, column.name);
    if !national {
        return own;
    }
    let text = |ty| matches!(ty, LogicalType::Text | LogicalType::Varchar(_));
    let shared = "national_number";
    let fits = known
        .values()
        .filter(|(_, domain)| domain == shared)
        .all(|(other, _)| *other == ty || (text(*other) && text(ty)));
    if fits { shared.to_owned() } else { own }
}

fn exact_type(column: &Column) -> Option<LogicalType> {
    column.ty.filter(|ty| ty.why_not_exact().is_none())
}

fn suggest_column(
    id: &TableId,
    table: &Table,
    column: &Column,
    domains: &BTreeMap<(TableId, String), (LogicalType, String)>,
    evidence: &Evidence,
) -> (SuggestedColumn, Option<String>) {
    let name = column.name.clone();
    let plain = |class, why: &str| SuggestedColumn {
        name: column.name.clone(),
        class,
        protected: None,
        search: false,
        why: why.into(),
    };
    let needs = evidence.queries.needs(id, &column.name);
    let found = evidence.finding(id, &column.name).map(|finding| format!("; {}", finding.why)).unwrap_or_default();
    let unmet = |what: &str| Some(format!("{id}.{}: {what}", column.name));
    if let Some((ty, domain)) = domains.get(&(id.clone(), column.name.clone())) {
        let search = needs.searched > 0 && is_text(*ty);
        let protected = Some((*ty, Protection::Exact, domain.clone()));
        let why = format!("identifies a person; must be found and joined{found}{}", used(needs));
        let unmet = (needs.ordered > 0).then(|| unmet("statements order it, which an exact column does not allow"));
        return (SuggestedColumn { name, class: 4, protected, search, why }, unmet.flatten());
    }
    let Some(kind) = evidence.kind(id, &column.name) else {
        return (plain(2, "no personal data by its name"), None);
    };
    if table.keys.contains(&column.name) {
        return (plain(kind.class(), "a key"), unmet(&format!("{}, but a key of the table", kind.what())));
    }
    let Some(ty) = column.ty else {
        let note = unmet(&format!("{}, but no protection exists for {} yet", kind.what(), column.type_name));
        return (plain(kind.class(), "personal, but its type cannot be protected yet"), note);
    };
    let indexed = table.indexed.contains(&column.name);
    let protection = match (indexed || needs.equal > 0, needs.ordered > 0) {
        (_, true) if ty.order_bits().is_some() => Protection::Ordered,
        (true, _) if ty.why_not_exact().is_none() => Protection::Exact,
        _ => Protection::Sealed,
    };
    let because = if indexed { "; an index or a uniqueness needs equality" } else { "" };
    let why = format!("{}{found}{because}{}", kind.what(), used(needs));
    let unordered = needs.ordered > 0 && protection != Protection::Ordered;
    let unmet = unordered.then(|| unmet(&format!("statements order it, which is not possible for {ty}"))).flatten();
    let search = needs.searched > 0 && is_text(ty);
    let protected = Some((ty, protection, format!("{}_{}", id.table, column.name)));
    (SuggestedColumn { name, class: kind.class(), protected, search, why }, unmet)
}

fn is_text(ty: LogicalType) -> bool {
    matches!(ty, LogicalType::Text | LogicalType::Varchar(_))
}

/// What the statements do with it, in words.
fn used(needs: queries::Needs) -> String {
    let ways = [(needs.equal, "compared"), (needs.ordered, "ordered"), (needs.searched, "searched")];
    let used: Vec<String> =
        ways.iter().filter(|(count, _)| *count > 0).map(|(count, way)| format!("{way} {count} times")).collect();
    if used.is_empty() { String::new() } else { format!("; by the statements {}", used.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{Suggestion, Tables, suggest};

    fn suggested(statements: &[&str]) -> Suggestion {
        let mut tables = Tables::default();
        for statement in statements {
            tables.read(statement).unwrap();
        }
        suggest(&tables)
    }

    fn protections(suggestion: &Suggestion) -> Vec<String> {
        let columns =
            suggestion.tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        columns
            .filter_map(|(table, column)| {
                let (ty, protection, domain) = column.protected.as_ref()?;
                Some(format!("{}.{} {ty} {protection} {domain}", table.id, column.name))
            })
            .collect()
    }

    #[test]
    fn people_are_protected_and_things_are_not() {
        let found = suggested(&[
            "CREATE TABLE artist (artist_id int PRIMARY KEY, name varchar(120))",
            "CREATE TABLE customer (id int PRIMARY KEY, name text, \"FirstName\" varchar(40), \
             email varchar(60) UNIQUE, city text, photo xml, born date)",
            "CREATE TABLE invoice (id int, billing_address varchar(70), total numeric(10,2), birth_date timestamp)",
        ]);
        assert_eq!(
            protections(&found),
            [
                "public.customer.name text sealed customer_name",
                "public.customer.FirstName character varying(40) sealed customer_FirstName",
                "public.customer.email character varying(60) exact customer_email",
                "public.customer.born date sealed customer_born",
                "public.invoice.billing_address character varying(70) sealed invoice_billing_address",
                "public.invoice.birth_date timestamp without time zone sealed invoice_birth_date",
            ]
        );
        assert_eq!(
            found.left_plain,
            ["public.customer.photo: a picture of a person, but no protection exists for xml yet"]
        );
    }

    #[test]
    fn keys_stay_plain_and_identifiers_share_a_domain_along_foreign_keys() {
        let found = suggested(&[
            "CREATE TABLE s.person (rijksregisternummer varchar(11), phone text, address text)",
            "ALTER TABLE ONLY s.person ADD CONSTRAINT p PRIMARY KEY (rijksregisternummer)",
            "CREATE TABLE s.visit (who varchar(11), niss text, phone text PRIMARY KEY)",
            "ALTER TABLE s.visit ADD FOREIGN KEY (who) REFERENCES s.person",
            "CREATE INDEX ON s.person (phone)",
            "CREATE TABLE other (national_number bigint)",
        ]);
        assert_eq!(
            protections(&found),
            [
                "public.other.national_number bigint exact national_number",
                "s.person.rijksregisternummer character varying(11) exact person_rijksregisternummer",
                "s.person.phone text exact person_phone",
                "s.person.address text sealed person_address",
                "s.visit.who character varying(11) exact person_rijksregisternummer",
                "s.visit.niss text exact visit_niss",
            ]
        );
        assert_eq!(found.left_plain, ["s.visit.phone: a telephone number, but a key of the table"]);
        let subjects: Vec<_> = found.tables.iter().map(|table| table.subject.as_deref()).collect();
        assert_eq!(subjects, [Some("national_number"), Some("rijksregisternummer"), Some("niss")]);
        assert!(found.unnamed.is_empty(), "{:?}", found.unnamed);
    }
}
