//! FROM and WITH: tables, subqueries, and how they are joined.

use super::generator::Generator;
use super::scope::{Item, Named, Scope};
use super::select::{Select, Want};

/// How a further entry comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    Inner,
    Left,
    Right,
    Full,
    Comma,
    Lateral,
}

impl Generator<'_> {
    /// A FROM list and its text.
    pub(crate) fn from(&mut self, outer: Option<&Scope<'_>>, depth: usize) -> (Vec<Item>, String) {
        let (first, mut text) = self.source(outer, depth);
        let mut items = vec![first];
        let more = self.random.weighted(&[55, 35, 10]);
        for _ in 0..more {
            if let Some((item, written)) = self.joined(&items, outer, depth) {
                items.push(item);
                text.push_str(&written);
            }
        }
        (items, text)
    }

    fn source(&mut self, outer: Option<&Scope<'_>>, depth: usize) -> (Item, String) {
        if !self.ctes.is_empty() && self.random.percent(60) {
            let cte = self.random.pick(&self.ctes.clone()).clone();
            let alias = self.alias('w');
            return (cte.renamed(&alias), format!("{} {alias}", cte.alias));
        }
        if depth > 0 && self.random.percent(18) {
            // Not LATERAL: it sees what the whole query sees, and not its neighbours.
            let outer = outer.and_then(|scope| scope.outer);
            let query = self.select(outer, depth - 1, &Want::Named);
            return self.derived(&query, "");
        }
        let (_, item, text) = self.table();
        (item, text)
    }

    /// A subquery as an entry.
    fn derived(&mut self, query: &Select, before: &str) -> (Item, String) {
        let alias = self.alias('q');
        let columns: Vec<Named> = query.outputs.iter().map(|output| output.renamed(&alias, &output.name)).collect();
        let key = query.key.as_ref().map(|key| key.iter().map(|at| columns[*at].clone()).collect());
        let text = format!("{before}({}) AS {alias}", query.sql);
        (Item { alias, columns, key }, text)
    }

    fn joined(&mut self, items: &[Item], outer: Option<&Scope<'_>>, depth: usize) -> Option<(Item, String)> {
        let all = [Join::Inner, Join::Left, Join::Right, Join::Full, Join::Comma, Join::Lateral];
        let lateral = if depth > 0 { 8 } else { 0 };
        let join = all[self.random.weighted(&[45, 22, 6, 6, 12, lateral])];
        if join == Join::Lateral {
            let scope = Scope { items: items.to_vec(), outer };
            let query = self.select(Some(&scope), depth - 1, &Want::Named);
            return Some(if self.random.percent(50) {
                let (item, text) = self.derived(&query, ", LATERAL ");
                (item, text)
            } else {
                let (item, text) = self.derived(&query, " LEFT JOIN LATERAL ");
                (item, text + " ON true")
            });
        }
        let (item, text) = self.source(outer, depth);
        if join == Join::Comma {
            return (items.len() < 2).then(|| (item, format!("{}{text}", self.random_comma())));
        }
        let left: Vec<Named> = items.iter().flat_map(|item| item.columns.clone()).collect();
        let (a, b) = self.pair(&left, &item.columns)?;
        let word = match join {
            Join::Inner | Join::Comma | Join::Lateral => "JOIN",
            Join::Left => "LEFT JOIN",
            Join::Right => "RIGHT JOIN",
            Join::Full => "FULL JOIN",
        };
        let once = |name: &str| left.iter().filter(|column| column.name == name).count() == 1;
        if a.name == b.name && once(&a.name) && self.random.percent(50) {
            return Some((item, format!(" {word} {text} USING ({})", a.name)));
        }
        let mut on = format!("{} = {}", a.sql, b.sql);
        if matches!(join, Join::Inner | Join::Left) && self.random.percent(20) {
            let scope = Scope { items: [items, std::slice::from_ref(&item)].concat(), outer };
            on = format!("{on} AND {}", self.condition(&scope, 0));
        }
        Some((item, format!(" {word} {text} ON {on}")))
    }

    fn random_comma(&mut self) -> &'static str {
        if self.random.percent(50) { ", " } else { " CROSS JOIN " }
    }

    /// WITH, now and then; its queries can be named from then on.
    pub(crate) fn with(&mut self) -> String {
        if !self.random.percent(14) {
            return String::new();
        }
        let count = 1 + self.random.below(2);
        let mut parts = Vec::new();
        for _ in 0..count {
            let query = self.select(None, 1, &Want::Named);
            let alias = self.alias('w');
            let columns: Vec<Named> = query.outputs.iter().map(|output| output.renamed("", &output.name)).collect();
            let key = query.key.as_ref().map(|key| key.iter().map(|at| columns[*at].clone()).collect());
            let how = self.random.pick(&["", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
            parts.push(format!("{alias} AS {how}({})", query.sql));
            self.ctes.push(Item { alias, columns, key });
        }
        format!("WITH {} ", parts.join(", "))
    }
}

impl Item {
    /// The same entry under another alias.
    fn renamed(&self, alias: &str) -> Self {
        let rename = |columns: &[Named]| columns.iter().map(|column| column.renamed(alias, &column.name)).collect();
        Self { alias: alias.to_owned(), columns: rename(&self.columns), key: self.key.as_ref().map(|key| rename(key)) }
    }
}
