//! Changes from lists of values: unnest, UPDATE … FROM (VALUES …), MERGE.

use super::generator::Generator;
use super::scope::{Named, Use};
use super::value::Value;

impl Generator<'_> {
    pub(crate) fn insert_unnested(&mut self, at: usize) -> String {
        let world = self.world;
        let table = &world.tables[at];
        let numbers: Vec<usize> = (0..table.columns.len())
            .filter(|number| {
                let column = &table.columns[*number];
                let needed = column.not_null || table.key.contains(number);
                (needed && !table.has_default(*number)) || self.random.percent(35)
            })
            .collect();
        let rows = self.random.below(4);
        let mut arrays = Vec::new();
        for number in &numbers {
            let column = &table.columns[*number];
            let fresh = table.key.first() == Some(number) && column.kind == super::world::Kind::Int;
            let values: Vec<Value> = (0..rows)
                .map(|row| match fresh {
                    true => Value::number(&mut self.random, 30_000 + row),
                    false => Value::draw(&mut self.random, column),
                })
                .collect();
            let array = Value::array(&mut self.random, column, &values);
            arrays.push(self.put(array));
        }
        let names: Vec<&str> = numbers.iter().map(|number| table.columns[*number].name.as_str()).collect();
        let query = match self.random.below(3) {
            0 => format!("SELECT * FROM unnest({})", arrays.join(", ")),
            1 => format!("SELECT unnest({})", arrays.join("), unnest(")),
            _ => {
                let columns: Vec<String> = (0..arrays.len()).map(|number| format!("c{number}")).collect();
                let (list, arrays) = (columns.join(", "), arrays.join(", "));
                let shown = if self.random.percent(50) { format!("u.{}", columns.join(", u.")) } else { list.clone() };
                format!("SELECT {shown} FROM unnest({arrays}) AS u ({list})")
            }
        };
        let conflict = self.random.pick(&["", "", " ON CONFLICT DO NOTHING"]);
        format!("INSERT INTO {} ({}) {query}{conflict}", table.name, names.join(", "))
    }

    /// `(VALUES (key, value), …) AS v (k, x)` with keys that differ, and the SET and the join that go with it.
    fn keyed_values(&mut self, at: usize, alias: &str) -> (String, String, String) {
        let world = self.world;
        let table = &world.tables[at];
        let item = self.item(at, alias);
        let key: &Named = &item.columns[table.key[0]];
        let number = self.random.below(table.columns.len());
        let (key_column, column) = (&table.columns[table.key[0]], &table.columns[number]);
        let (first, count) = (self.random.below(14), 1 + self.random.below(3));
        let inside = self.random.percent(60);
        let outside = !inside && self.random.percent(80);
        let mut rows = Vec::new();
        for row in 0..count.min(key_column.samples.len().max(1)) {
            let name = Value::sample(&mut self.random, key_column, first + row);
            let name = name.unwrap_or_else(|| Value::draw(&mut self.random, key_column));
            let value = Value::draw(&mut self.random, column);
            let (name, value) = (self.put(name), self.put(value));
            let cast = if inside { format!("::{}", column.ty) } else { String::new() };
            rows.push(format!("({name}::{}, {value}{cast})", key_column.ty));
        }
        let cast = if outside { format!("::{}", column.ty) } else { String::new() };
        let used = if self.may(key, Use::Equal) { "=" } else { "IS NOT DISTINCT FROM" };
        (
            format!("(VALUES {}) AS v (k, x)", rows.join(", ")),
            format!("{} = v.x{cast}", column.name),
            format!("{} {used} v.k", key.sql),
        )
    }

    pub(crate) fn update_from_values(&mut self, at: usize) -> String {
        let name = &self.world.tables[at].name;
        let (list, set, join) = self.keyed_values(at, "t");
        let returning = self.random.pick(&["", "", " RETURNING t.*"]);
        format!("UPDATE {name} AS t SET {set} FROM {list} WHERE {join}{returning}")
    }

    pub(crate) fn merge(&mut self, at: usize) -> String {
        let name = &self.world.tables[at].name;
        let (list, set, join) = self.keyed_values(at, "t");
        let matched = match self.random.below(4) {
            0 => "DELETE".to_owned(),
            _ => format!("UPDATE SET {set}"),
        };
        let otherwise = self.random.pick(&["", " WHEN NOT MATCHED THEN DO NOTHING"]);
        format!("MERGE INTO {name} AS t USING {list} ON {join} WHEN MATCHED THEN {matched}{otherwise}")
    }
}
