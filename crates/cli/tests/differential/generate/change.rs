//! INSERT, UPDATE and DELETE, always inside a transaction that is rolled back.

use super::generator::{Generator, Query};
use super::scope::{Item, Named, Scope, Use};
use super::select::Want;
use super::value::Value;

impl Generator<'_> {
    pub(crate) fn change(mut self) -> Query {
        let at = self.random.below(self.world.tables.len());
        let text = match self.random.weighted(&[30, 12, 30, 14, 8, 10, 10, 8]) {
            0 => self.insert(at),
            1 => self.insert_select(at),
            2 => self.update(at),
            3 => self.delete(at),
            4 => self.change_in_with(at),
            5 => self.insert_unnested(at),
            6 => self.update_from_values(at),
            _ => self.merge(at),
        };
        Query { text, values: self.values, ordered: false, changes: Some(self.world.tables[at].name.clone()) }
    }

    fn returning(&mut self, item: &Item) -> String {
        if !self.random.percent(55) {
            return String::new();
        }
        if self.random.percent(30) {
            return format!(" RETURNING {}.*", item.alias);
        }
        let scope = Scope { items: vec![item.clone()], outer: None };
        let mut list = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let kind = self.random.pick(&item.columns).kind;
            list.extend(self.scalar(&scope, kind, 1).map(|output| output.sql));
        }
        if list.is_empty() { String::new() } else { format!(" RETURNING {}", list.join(", ")) }
    }

    /// A value that is stored: mostly one of the column's own, a new one for a key.
    fn stored(&mut self, item: &Item, at: usize, number: usize) -> String {
        let table = &self.world.tables[at];
        let key = table.key.first() == Some(&number) || table.unique.contains(&number);
        if key && self.random.percent(75) && table.columns[number].kind == super::world::Kind::Int {
            let fresh = 20_000 + self.random.below(5_000);
            let value = Value::number(&mut self.random, fresh);
            return self.put(value);
        }
        if self.random.percent(4) {
            return "DEFAULT".to_owned();
        }
        self.value_like(&item.columns[number])
    }

    fn insert(&mut self, at: usize) -> String {
        let table = &self.world.tables[at];
        let item = self.item(at, &table.name);
        let mut columns: Vec<usize> = (0..table.columns.len()).collect();
        if self.random.percent(60) {
            let nullable = |number: &usize| !table.columns[*number].not_null || table.has_default(*number);
            let optional = |number: &usize| nullable(number) && !table.key.contains(number);
            let dropped: Vec<usize> = columns.iter().copied().filter(optional).collect();
            for number in dropped {
                if self.random.percent(50) {
                    columns.retain(|kept| *kept != number);
                }
            }
        }
        let rows: Vec<String> = (0..1 + self.random.below(3))
            .map(|_| {
                let row: Vec<String> = columns.iter().map(|number| self.stored(&item, at, *number)).collect();
                format!("({})", row.join(", "))
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|number| table.columns[*number].name.as_str()).collect();
        let conflict = self.conflict(at, &item);
        let returning = self.returning(&item);
        let list = if names.len() == table.columns.len() && self.random.percent(50) {
            String::new()
        } else {
            format!(" ({})", names.join(", "))
        };
        format!("INSERT INTO {}{list} VALUES {}{conflict}{returning}", table.name, rows.join(", "))
    }

    fn conflict(&mut self, at: usize, item: &Item) -> String {
        let table = &self.world.tables[at];
        match self.random.below(10) {
            0 => " ON CONFLICT DO NOTHING".to_owned(),
            1 => format!(" ON CONFLICT ({}) DO NOTHING", table.key_names().join(", ")),
            2 | 3 => {
                let column = self.random.pick(&item.columns).clone();
                let value = match self.random.below(3) {
                    0 => format!("EXCLUDED.{}", column.name),
                    1 => column.sql.clone(),
                    _ => self.value_like(&column),
                };
                let key = table.key_names().join(", ");
                format!(" ON CONFLICT ({key}) DO UPDATE SET {} = {value}", column.name)
            }
            _ => String::new(),
        }
    }

    fn insert_select(&mut self, at: usize) -> String {
        let table = &self.world.tables[at];
        let item = self.item(at, &table.name);
        let wanted: Vec<usize> = (0..table.columns.len())
            .filter(|number| table.columns[*number].not_null || table.key.contains(number) || self.random.percent(30))
            .collect();
        let likes: Vec<Named> = wanted.iter().map(|number| item.columns[*number].clone()).collect();
        let query = self.select(None, 0, &Want::Columns(likes));
        let names: Vec<&str> = wanted.iter().map(|number| table.columns[*number].name.as_str()).collect();
        let conflict = self.random.pick(&["", " ON CONFLICT DO NOTHING"]);
        let returning = self.returning(&item);
        format!("INSERT INTO {} ({}) {}{conflict}{returning}", table.name, names.join(", "), query.sql)
    }

    /// Which rows: by the key mostly, so that few are changed.
    fn rows_to_change(&mut self, scope: &Scope<'_>, key: &Named) -> String {
        let condition = self.condition(scope, 1);
        if self.random.percent(50) && self.may(key, Use::Equal) {
            let value = self.value_like(key);
            return format!("{} = {value} OR ({condition})", key.sql);
        }
        condition
    }

    fn assignment(&mut self, scope: &Scope<'_>, column: &Named) -> String {
        let value = match self.random.weighted(&[55, 12, 6, 10, 8, 5]) {
            0 => self.value_like(column),
            1 => {
                let here: Vec<Named> = scope.here().into_iter().cloned().collect();
                self.pair(std::slice::from_ref(column), &here)
                    .map_or_else(|| column.sql.clone(), |(_, other)| other.sql)
            }
            2 => "DEFAULT".to_owned(),
            3 => self.scalar(scope, column.kind, 1).map_or_else(|| column.sql.clone(), |made| made.sql),
            4 => {
                let query = self.select(Some(scope), 0, &Want::OneRow(column.clone()));
                format!("({})", query.sql)
            }
            _ => "NULL".to_owned(),
        };
        format!("{} = {value}", column.name)
    }

    fn update(&mut self, at: usize) -> String {
        let table = &self.world.tables[at];
        let alias = self.alias('t');
        let item = self.item(at, &alias);
        let mut scope = Scope { items: vec![item.clone()], outer: None };
        let key = item.key.clone().unwrap().remove(0);
        let mut from = String::new();
        let mut join = String::new();
        if self.random.percent(25) {
            let (other, entry, written) = self.table();
            // Joined by the other's whole key: each row is changed once at most.
            let by = self.world.tables[other].key.as_slice();
            if let [by] = by
                && let Some((a, b)) = self.pair(&item.columns, std::slice::from_ref(&entry.columns[*by]))
            {
                from = format!(" FROM {written}");
                join = format!("{} = {} AND ", a.sql, b.sql);
                scope.items.push(entry);
            }
        }
        let mut sets = Vec::new();
        let mut done: Vec<String> = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let number = self.random.below(item.columns.len());
            let column = item.columns[number].clone();
            let unique = table.key.contains(&number) || table.unique.contains(&number);
            if done.contains(&column.name) || (unique && self.random.percent(90)) {
                continue;
            }
            sets.push(self.assignment(&scope, &column));
            done.push(column.name);
        }
        if sets.is_empty() {
            sets.push(format!("{0} = {0}", key.name));
            from.clear();
            join.clear();
            scope.items.truncate(1);
        }
        let rows = self.rows_to_change(&scope, &key);
        let returning = self.returning(&item);
        format!("UPDATE {} {alias} SET {}{from} WHERE {join}({rows}){returning}", table.name, sets.join(", "))
    }

    fn delete(&mut self, at: usize) -> String {
        let table = &self.world.tables[at];
        let alias = self.alias('t');
        let item = self.item(at, &alias);
        let mut scope = Scope { items: vec![item.clone()], outer: None };
        let key = item.key.clone().unwrap().remove(0);
        let (mut using, mut join) = (String::new(), String::new());
        if self.random.percent(25) {
            let (_, entry, written) = self.table();
            if let Some((a, b)) = self.pair(&item.columns, &entry.columns) {
                using = format!(" USING {written}");
                join = format!("{} = {} AND ", a.sql, b.sql);
                scope.items.push(entry);
            }
        }
        let rows = self.rows_to_change(&scope, &key);
        let returning = self.returning(&item);
        format!("DELETE FROM {} AS {alias}{using} WHERE {join}({rows}){returning}", table.name)
    }

    /// A change in WITH, whose rows are counted.
    fn change_in_with(&mut self, at: usize) -> String {
        let inner = if self.random.percent(50) { self.delete(at) } else { self.insert(at) };
        if !inner.contains(" RETURNING ") {
            return format!("WITH changed AS ({inner}) SELECT count(*) FROM {}", self.world.tables[at].name);
        }
        format!("WITH changed AS ({inner}) SELECT {} FROM changed", self.random.pick(&["*", "count(*)"]))
    }
}
