//! Classifications at random: how each column of each copy of a world is protected, and with whom it shares a key.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::random::Random;
use super::world::{Column, World};

const TENANT: &str = "trial-agency";

/// What SQL may do with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protection {
    Plain,
    Sealed,
    Exact,
    Ordered,
    SealedSearch,
    ExactSearch,
}

/// A protection, how a classification says it, its weight, and the types that may have it.
type Drawn = (Protection, &'static str, usize, fn(&str) -> bool);

const PROTECTIONS: [Drawn; 6] = [
    (Protection::Plain, "protection = \"plain\"", 30, |_| true),
    (Protection::Sealed, "protection = \"sealed\"", 25, protectable),
    (Protection::Exact, "protection = \"exact\"", 40, |ty| protectable(ty) && has_equality(ty)),
    (Protection::Ordered, "protection = \"ordered\"", 50, |ty| protectable(ty) && has_order(ty)),
    (Protection::SealedSearch, "protection = \"sealed\", search = true", 12, is_text),
    (Protection::ExactSearch, "protection = \"exact\", search = true", 12, is_text),
];

fn name(ty: &str) -> &str {
    ty.split('(').next().unwrap()
}

fn is_text(ty: &str) -> bool {
    matches!(name(ty), "text" | "character varying")
}

fn has_order(ty: &str) -> bool {
    matches!(name(ty), "smallint" | "integer" | "bigint" | "date")
        || ty.starts_with("timestamp")
        || ty.starts_with("numeric(")
}

/// Whether equal values have one form.
fn has_equality(ty: &str) -> bool {
    let many = ["real", "double precision", "json", "jsonb", "interval", "character", "bpchar"];
    ty != "numeric" && !many.contains(&name(ty))
}

fn protectable(ty: &str) -> bool {
    const NAMES: [&str; 21] = [
        "real",
        "double precision",
        "character",
        "bytea",
        "time without time zone",
        "json",
        "jsonb",
        "interval",
        "inet",
        "cidr",
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "text",
        "character varying",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "uuid",
    ];
    NAMES.contains(&name(ty))
}

/// How one column stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) protection: Protection,
    pub(crate) domain: String,
}

/// One classified copy of a world, in a database and a schema of its own.
#[derive(Clone, Debug)]
pub(crate) struct Scheme {
    /// Index of the world.
    pub(crate) world: usize,
    /// The schema's name, and the database's behind the gateway.
    pub(crate) schema: String,
    /// By table and column.
    pub(crate) columns: Vec<Vec<Standing>>,
}

/// Types that may share a domain.
fn group(column: &Column) -> String {
    if is_text(&column.ty) { "text".to_owned() } else { column.ty.replace([' ', '(', ')', ','], "_") }
}

fn draw(random: &mut Random, column: &Column, plain_bonus: usize) -> Protection {
    let fitting: Vec<_> = PROTECTIONS.iter().filter(|(_, _, _, fits)| fits(&column.ty)).collect();
    let weight =
        |protection, weight: usize| if protection == Protection::Plain { weight + plain_bonus } else { weight };
    let weights: Vec<usize> = fitting.iter().map(|(protection, _, base, _)| weight(*protection, *base)).collect();
    fitting[random.weighted(&weights)].0
}

impl Scheme {
    /// Columns of one name mostly stand alike, as somebody who joins by them would have it.
    pub(crate) fn draw(random: &mut Random, world: usize, of: &World, number: usize) -> Self {
        let schema = format!("{}_{number}", of.name);
        let shared_keys = random.percent(40);
        let mut by_name: BTreeMap<(String, String), Protection> = BTreeMap::new();
        let mut columns = Vec::new();
        for table in &of.tables {
            let mut standings = Vec::new();
            for (at, column) in table.columns.iter().enumerate() {
                let name = (column.name.clone(), group(column));
                let bonus = if table.key.contains(&at) { 150 } else { 0 };
                let mut protection = *by_name.entry(name).or_insert_with(|| draw(random, column, bonus));
                if random.percent(12) {
                    protection = draw(random, column, bonus);
                }
                let domain = if shared_keys {
                    format!("{schema}.{protection:?}.{}", group(column))
                } else {
                    format!("{schema}.{protection:?}.{}.{}", group(column), column.name)
                };
                standings.push(Standing { protection, domain });
            }
            columns.push(standings);
        }
        Self { world, schema, columns }
    }

    /// To be signed.
    pub(crate) fn classification(&self, world: &World) -> String {
        let database = &self.schema;
        let mut out = format!(
            "kind = \"classification\"\ntenant = \"{TENANT}\"\nid = \"{database}\"\nissued = \"2025-01-01T00:00:00Z\"\n\
             database = \"{database}\"\nunlisted_tables = \"refuse\"\n\n"
        );
        for (table, standings) in world.tables.iter().zip(&self.columns) {
            writeln!(out, "[[table]]\nschema = \"{}\"\nname = \"{}\"", self.schema, table.name).unwrap();
            // One of those whose values have one spelling, another in each scheme.
            let named = table.columns.iter().filter(|column| {
                let ty = column.ty.to_string();
                ["text", "varchar", "char", "integer", "bigint", "smallint", "uuid"]
                    .iter()
                    .any(|one| ty.starts_with(one))
                    && !ty.ends_with(']')
            });
            let named: Vec<_> = named.collect();
            if !named.is_empty() {
                let at = self.schema.bytes().map(usize::from).sum::<usize>() % named.len();
                writeln!(out, "subject = \"{}\"", named[at].name).unwrap();
            }
            out.push_str("column = [\n");
            for (column, standing) in table.columns.iter().zip(standings) {
                let words = standing.protection.words();
                write!(out, "  {{ name = \"{}\", class = 3, {words}", column.name).unwrap();
                if standing.protection != Protection::Plain {
                    write!(out, ", type = \"{}\", domain = \"{}\"", column.ty, standing.domain).unwrap();
                }
                out.push_str(" },\n");
            }
            out.push_str("]\n\n");
        }
        writeln!(out, "[[table]]\nschema = \"{}\"\nname = \"asked\"\nunlisted_columns = \"plain\"", self.schema)
            .unwrap();
        out
    }

    /// A mandate for everything in it, to be signed.
    pub(crate) fn mandate(&self, world: &World) -> String {
        let database = &self.schema;
        let mut out = format!(
            "kind = \"mandate\"\ntenant = \"{TENANT}\"\nid = \"{database}-app\"\nissued = \"2025-01-01T00:00:00Z\"\n\
             principal = \"app\"\ndatabase = \"{database}\"\npurpose = \"integration-course\"\n\
             legal_basis = \"a test\"\nvalid_from = \"2025-01-01T00:00:00Z\"\nvalid_until = \"2035-01-01T00:00:00Z\"\n\n"
        );
        for (table, standings) in world.tables.iter().zip(&self.columns) {
            let protected = table.columns.iter().zip(standings).filter(|(_, s)| s.protection != Protection::Plain);
            let names: Vec<String> = protected.map(|(column, _)| format!("\"{}\"", column.name)).collect();
            if !names.is_empty() {
                writeln!(
                    out,
                    "[[grant]]\ntable = \"{}.{}\"\ncolumns = [{}]\noperations = [\"read\", \"write\", \"search\"]\n",
                    self.schema,
                    table.name,
                    names.join(", ")
                )
                .unwrap();
            }
        }
        out
    }

    /// What a person needs to see to understand a difference: the columns that are not plain.
    pub(crate) fn describe(&self, world: &World, sql: &str) -> String {
        let mut out = String::new();
        for (table, standings) in world.tables.iter().zip(&self.columns) {
            if !sql.contains(&table.name) {
                continue;
            }
            let protected = table.columns.iter().zip(standings).filter(|(_, s)| s.protection != Protection::Plain);
            let shown = protected.map(|(column, standing)| {
                format!("{} {} {:?} ({})", column.name, column.ty, standing.protection, standing.domain)
            });
            writeln!(out, "    {}: {}", table.name, shown.collect::<Vec<_>>().join(", ")).unwrap();
        }
        out
    }
}

impl Protection {
    fn words(self) -> &'static str {
        PROTECTIONS.iter().find(|(protection, ..)| *protection == self).map(|(_, words, ..)| *words).unwrap()
    }
}
