//! The state of one query in the making, and how columns and values are chosen for it.

use super::random::Random;
use super::scheme::{Protection, Scheme};
use super::scope::{Item, Named, Scope, Use};
use super::select::Want;
use super::value::{Value, marked};
use super::world::{Kind, World};

/// A finished query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// With marks where values go.
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
    /// ORDER BY makes the order of rows total.
    pub(crate) ordered: bool,
    /// The table that it changes.
    pub(crate) changes: Option<String>,
}

pub(crate) struct Generator<'w> {
    pub(crate) random: Random,
    pub(crate) world: &'w World,
    pub(crate) scheme: &'w Scheme,
    pub(crate) values: Vec<Value>,
    /// What WITH has named.
    pub(crate) ctes: Vec<Item>,
    aliases: usize,
    /// How often, in a hundred, a protection is not minded.
    reckless: usize,
}

impl<'w> Generator<'w> {
    pub(crate) fn new(mut random: Random, world: &'w World, scheme: &'w Scheme) -> Self {
        let reckless = if random.percent(20) { 30 } else { 1 };
        Self { random, world, scheme, values: Vec::new(), ctes: Vec::new(), aliases: 0, reckless }
    }

    /// The whole query.
    pub(crate) fn query(mut self) -> Query {
        if self.random.percent(22) {
            return self.change();
        }
        let with = self.with();
        let select = self.select(None, 2, &Want::Anything);
        Query { text: with + &select.sql, values: self.values, ordered: select.ordered, changes: None }
    }

    pub(crate) fn alias(&mut self, letter: char) -> String {
        self.aliases += 1;
        format!("{letter}{}", self.aliases)
    }

    pub(crate) fn put(&mut self, value: Value) -> String {
        self.values.push(value);
        marked(self.values.len() - 1)
    }

    /// A value that resembles a column's.
    pub(crate) fn value_like(&mut self, column: &Named) -> String {
        let (table, at) = column.like;
        let world = self.world;
        let value = Value::draw(&mut self.random, &world.tables[table].columns[at]);
        self.put(value)
    }

    pub(crate) fn number(&mut self, below: usize) -> String {
        let number = self.random.below(below);
        let value = Value::number(&mut self.random, number);
        self.put(value)
    }

    pub(crate) fn may(&mut self, column: &Named, used: Use) -> bool {
        column.protection.allows(used) || self.random.percent(self.reckless)
    }

    /// A column for a use, of a kind if one is wanted; of an outer query now and then.
    pub(crate) fn column(&mut self, scope: &Scope<'_>, used: Use, kind: Option<Kind>) -> Option<Named> {
        let outer = scope.outer();
        let from = if !outer.is_empty() && self.random.percent(15) { outer } else { scope.here() };
        let typed: Vec<&Named> = from
            .into_iter()
            .filter(|column| kind.is_none_or(|kind| column.kind == kind))
            .filter(|column| used == Use::Fetch || column.kind != Kind::Other)
            .collect();
        for _ in 0..6 {
            let found = (*self.random.maybe(&typed)?).clone();
            if self.may(&found, used) {
                return Some(found);
            }
        }
        None
    }

    /// Two columns that can be compared by equality, the first of `left`, the second of `right`.
    pub(crate) fn pair(&mut self, left: &[Named], right: &[Named]) -> Option<(Named, Named)> {
        let sloppy = self.random.percent(self.reckless / 2);
        let mut found = Vec::new();
        for a in left {
            for b in right {
                let alike = a.kind == b.kind && a.kind != Kind::Other;
                let fits = a.meets(b) && a.protection.allows(Use::Equal);
                if fits || (sloppy && alike) {
                    // Columns of one name are what people join by.
                    let times = if a.name == b.name { 12 } else { 1 };
                    found.extend(std::iter::repeat_n((a, b), times));
                }
            }
        }
        self.random.maybe(&found).map(|(a, b)| ((*a).clone(), (*b).clone()))
    }

    /// A table under an alias, or under its own name.
    pub(crate) fn table(&mut self) -> (usize, Item, String) {
        let at = self.random.below(self.world.tables.len());
        let table = &self.world.tables[at];
        let mut written = table.name.clone();
        if self.random.percent(20) {
            written = format!("{}.{written}", self.scheme.schema);
        }
        let alias = self.alias('t');
        written.push_str(if self.random.percent(50) { " AS " } else { " " });
        written.push_str(&alias);
        (at, self.item(at, &alias), written)
    }

    /// The columns of a table under an alias.
    pub(crate) fn item(&self, at: usize, alias: &str) -> Item {
        let table = &self.world.tables[at];
        let named = |(number, column): (usize, &super::world::Column)| {
            let standing = &self.scheme.columns[at][number];
            Named {
                sql: format!("{alias}.{}", column.name),
                name: column.name.clone(),
                kind: column.kind,
                protection: standing.protection,
                domain: standing.domain.clone(),
                like: (at, number),
            }
        };
        let columns: Vec<Named> = table.columns.iter().enumerate().map(named).collect();
        let key = table.key.iter().map(|number| columns[*number].clone()).collect();
        Item { alias: alias.to_owned(), columns, key: Some(key) }
    }

    /// A plain result of some kind, which resembles a column where the world has one of it.
    pub(crate) fn computed(&self, sql: String, kind: Kind) -> Named {
        let tables = self.world.tables.iter().enumerate();
        let mut all =
            tables.flat_map(|(t, table)| table.columns.iter().enumerate().map(move |(c, column)| (t, c, column)));
        let like = all.find(|(_, _, column)| column.kind == kind && !column.samples.is_empty());
        let (kind, like) = like.map_or((Kind::Other, (0, 0)), |(t, c, _)| (kind, (t, c)));
        Named { sql, name: String::new(), kind, protection: Protection::Plain, domain: String::new(), like }
    }
}
