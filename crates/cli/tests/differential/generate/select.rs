//! SELECT: plain, grouped, distinct, windowed, and set operations.

use super::generator::Generator;
use super::scheme::Protection;
use super::scope::{Named, Scope, Use};
use super::world::Kind;

/// What a query is for.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// EXISTS, or the whole statement.
    Anything,
    /// Each column gets a name of its own.
    Named,
    /// One column, to be compared with this one.
    Meeting(Named),
    /// One column that resembles this one, in one row at most.
    OneRow(Named),
    /// Columns for these, in order.
    Columns(Vec<Named>),
}

/// A finished query.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) outputs: Vec<Named>,
    /// Which outputs together name a row, where that is known.
    pub(crate) key: Option<Vec<usize>>,
    /// Its order is total.
    pub(crate) ordered: bool,
}

/// The clauses after the target list.
struct Body {
    from: String,
    condition: String,
}

impl Generator<'_> {
    pub(crate) fn select(&mut self, outer: Option<&Scope<'_>>, depth: usize, want: &Want) -> Select {
        if matches!(want, Want::Anything | Want::Named) && depth > 0 && self.random.percent(9) {
            return self.set_operation(outer, depth - 1, want);
        }
        let (items, from) = self.from(outer, depth);
        let scope = Scope { items, outer };
        let condition =
            if self.random.percent(65) { format!(" WHERE {}", self.condition(&scope, depth)) } else { String::new() };
        let body = Body { from, condition };
        match want {
            Want::OneRow(like) => self.one_row(&scope, &body, like),
            Want::Meeting(like) => {
                let output = self.resembling(&scope, like);
                self.listed(&body, "", vec![output])
            }
            Want::Columns(likes) => {
                let outputs = likes.iter().map(|like| self.resembling(&scope, like)).collect();
                self.listed(&body, "", outputs)
            }
            Want::Anything | Want::Named => {
                let made = match self.random.weighted(&[60, 18, 8, 4, 10]) {
                    1 => self.grouped(&scope, &body),
                    2 => self.distinct(&scope, &body),
                    3 => self.distinct_on(&scope, &body),
                    4 => self.aggregated(&scope, &body),
                    _ => None,
                };
                made.unwrap_or_else(|| self.rows(&scope, &body, depth, matches!(want, Want::Named)))
            }
        }
    }

    /// A column that can be compared with another, or one of its kind, or any.
    fn resembling(&mut self, scope: &Scope<'_>, like: &Named) -> Named {
        let here: Vec<Named> = scope.here().into_iter().cloned().collect();
        let fitting: Vec<Named> = here.iter().filter(|column| column.meets(like)).cloned().collect();
        let same: Vec<Named> = fitting.iter().filter(|column| column.name == like.name).cloned().collect();
        if !same.is_empty() && self.random.percent(70) {
            return self.random.pick(&same).clone();
        }
        if let Some(found) = self.random.maybe(&fitting) {
            return found.clone();
        }
        if like.protection == Protection::Plain || self.random.percent(20) {
            let kind: Vec<Named> =
                here.iter().filter(|c| c.kind == like.kind && c.protection.allows(Use::Equal)).cloned().collect();
            if let Some(found) = self.random.maybe(&kind) {
                return found.clone();
            }
        }
        let sql = self.value_like(like);
        Named { sql, name: String::new(), ..like.clone() }
    }

    /// Puts the clauses together; outputs get names `c1`, `c2`, …
    fn listed(&mut self, body: &Body, distinct: &str, outputs: Vec<Named>) -> Select {
        let mut list = Vec::new();
        let mut named = Vec::new();
        for (at, output) in outputs.into_iter().enumerate() {
            let name = format!("c{}", at + 1);
            list.push(format!("{} AS {name}", output.sql));
            named.push(Named { name, ..output });
        }
        let sql = format!("SELECT {distinct}{} FROM {}{}", list.join(", "), body.from, body.condition);
        Select { sql, outputs: named, key: None, ordered: false }
    }

    fn one_row(&mut self, scope: &Scope<'_>, body: &Body, like: &Named) -> Select {
        if let Some(order) = self.order_by_key(scope).filter(|_| self.random.percent(60)) {
            let output = self.resembling(scope, like);
            let mut select = self.listed(body, "", vec![output]);
            select.sql.push_str(&format!("{order} LIMIT 1"));
            return select;
        }
        let aggregate = if like.kind == Kind::Int && self.random.percent(60) {
            self.computed("count(*)".into(), Kind::Int)
        } else {
            let kind = Some(like.kind).filter(|kind| {
                !matches!(
                    kind,
                    Kind::Uuid | Kind::Bool | Kind::Bytes | Kind::Net | Kind::Char | Kind::Time | Kind::Other
                )
            });
            match kind.and_then(|kind| self.column(scope, Use::Order, Some(kind))) {
                Some(column) => Named { sql: format!("max({})", column.sql), ..column },
                None => self.computed("count(*)".into(), Kind::Int),
            }
        };
        self.listed(body, "", vec![aggregate])
    }

    /// Rows as they stand, ordered now and then.
    fn rows(&mut self, scope: &Scope<'_>, body: &Body, depth: usize, nested: bool) -> Select {
        let star = !nested && self.random.percent(18);
        let mut outputs = Vec::new();
        let mut list = Vec::new();
        if star {
            let item = self.random.pick(&scope.items).alias.clone();
            list.push(if self.random.percent(60) { "*".to_owned() } else { format!("{item}.*") });
        }
        let count = 1 + self.random.below(4);
        for _ in 0..if star { 0 } else { count } {
            let made = match self.random.weighted(&[60, 26, if depth > 0 { 8 } else { 3 }]) {
                0 => self.column(scope, Use::Fetch, None),
                1 => {
                    let kind = self.random.pick(&scope.here()).kind;
                    self.scalar(scope, kind, depth.min(1))
                }
                _ => self.window(scope),
            };
            outputs.extend(made);
        }
        let mut key = None;
        if nested && let Some(columns) = scope.key() {
            key = Some((outputs.len()..outputs.len() + columns.len()).collect());
            outputs.extend(columns);
        }
        if outputs.is_empty() && !star {
            outputs.push(self.computed("1".into(), Kind::Int));
        }
        let mut named = Vec::new();
        for (at, output) in outputs.into_iter().enumerate() {
            let name = format!("c{}", at + 1);
            let bare = !nested && self.random.percent(50);
            list.push(if bare { output.sql.clone() } else { format!("{} AS {name}", output.sql) });
            named.push(Named { name, ..output });
        }
        let sql = format!("SELECT {} FROM {}{}", list.join(", "), body.from, body.condition);
        let mut select = Select { sql, outputs: named, key, ordered: false };
        self.order(scope, &mut select, nested);
        select
    }

    /// ORDER BY whatever, then the keys: total. LIMIT only then.
    fn order(&mut self, scope: &Scope<'_>, select: &mut Select, nested: bool) {
        if !self.random.percent(if nested { 12 } else { 60 }) {
            return;
        }
        let mut by = Vec::new();
        for _ in 0..self.random.below(3) {
            let Some(column) = self.column(scope, Use::Order, None) else { continue };
            let how = self.random.pick(&["", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"]);
            by.push(format!("{}{how}", column.sql));
        }
        let key = self.order_by_key(scope);
        if let Some(key) = &key {
            by.push(key.replacen(" ORDER BY ", "", 1));
            select.ordered = true;
        }
        if by.is_empty() {
            return;
        }
        select.sql.push_str(&format!(" ORDER BY {}", by.join(", ")));
        if key.is_some() && (nested || self.random.percent(35)) {
            let limit = match self.random.below(4) {
                0 => format!(" LIMIT {}", self.number(8)),
                1 => format!(" LIMIT {} OFFSET {}", self.number(8), self.number(5)),
                2 => format!(" OFFSET {}", self.number(5)),
                _ => " FETCH FIRST 3 ROWS ONLY".to_owned(),
            };
            select.sql.push_str(&limit);
        }
    }

    fn grouped(&mut self, scope: &Scope<'_>, body: &Body) -> Option<Select> {
        let mut keys = Vec::new();
        for _ in 0..1 + self.random.below(2) {
            keys.push(self.column(scope, Use::Equal, None)?);
        }
        let mut outputs = keys.clone();
        for _ in 0..self.random.below(3) {
            outputs.extend(self.aggregate(scope));
        }
        let orderable = keys.iter().all(|key| key.protection.allows(Use::Order));
        let mut select = self.listed(body, "", outputs);
        let written: Vec<String> = match self.random.below(3) {
            0 => (1..=keys.len()).map(|at| at.to_string()).collect(),
            _ => keys.iter().map(|key| key.sql.clone()).collect(),
        };
        let group = match self.random.below(12) {
            0 => format!("ROLLUP ({})", written.join(", ")),
            1 => format!("GROUPING SETS (({}), ())", written.join(", ")),
            _ => written.join(", "),
        };
        let sets = group.contains('(');
        // Numbers stand for columns in a bare list only.
        let group = if sets { group } else { written.join(", ") };
        select.sql.push_str(&format!(" GROUP BY {group}"));
        if self.random.percent(25) {
            let having = match self.aggregate(scope) {
                Some(aggregate) if aggregate.kind == Kind::Int => format!("{} > {}", aggregate.sql, self.number(4)),
                Some(_) | None => format!("count(*) >= {}", self.number(4)),
            };
            select.sql.push_str(&format!(" HAVING {having}"));
        }
        if !sets {
            select.key = Some((0..keys.len()).collect());
        }
        if orderable && !sets && self.random.percent(50) {
            let numbers: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
            select.sql.push_str(&format!(" ORDER BY {}", numbers.join(", ")));
            select.ordered = true;
        }
        Some(select)
    }

    fn aggregated(&mut self, scope: &Scope<'_>, body: &Body) -> Option<Select> {
        let count = 1 + self.random.below(3);
        let outputs: Vec<Named> = (0..count).filter_map(|_| self.aggregate(scope)).collect();
        (!outputs.is_empty()).then(|| {
            let mut select = self.listed(body, "", outputs);
            select.key = Some(Vec::new());
            select.ordered = true;
            select
        })
    }

    fn distinct(&mut self, scope: &Scope<'_>, body: &Body) -> Option<Select> {
        let mut outputs = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            outputs.push(self.column(scope, Use::Equal, None)?);
        }
        let orderable = outputs.iter().all(|output| output.protection.allows(Use::Order));
        let count = outputs.len();
        let mut select = self.listed(body, "DISTINCT ", outputs);
        select.key = Some((0..count).collect());
        if orderable && self.random.percent(60) {
            let numbers: Vec<String> = (1..=count).map(|at| at.to_string()).collect();
            select.sql.push_str(&format!(" ORDER BY {}", numbers.join(", ")));
            select.ordered = true;
        }
        Some(select)
    }

    fn distinct_on(&mut self, scope: &Scope<'_>, body: &Body) -> Option<Select> {
        let key = self.order_by_key(scope)?;
        let first = self.column(scope, Use::Order, None)?;
        let second = self.column(scope, Use::Fetch, None)?;
        let order = key.replacen("BY ", &format!("BY {}, ", first.sql), 1);
        let distinct = format!("DISTINCT ON ({}) ", first.sql);
        let mut select = self.listed(body, &distinct, vec![first, second]);
        select.sql.push_str(&order);
        select.key = Some(vec![0]);
        select.ordered = true;
        Some(select)
    }

    fn set_operation(&mut self, outer: Option<&Scope<'_>>, depth: usize, want: &Want) -> Select {
        let word = *self.random.pick(&["UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
        let (items, from) = self.from(outer, depth);
        let scope = Scope { items, outer };
        let used = if word == "UNION ALL" { Use::Fetch } else { Use::Equal };
        let count = 1 + self.random.below(3);
        let mut outputs: Vec<Named> = (0..count).filter_map(|_| self.column(&scope, used, None)).collect();
        if outputs.is_empty() {
            outputs.push(self.computed("1".into(), Kind::Int));
        }
        let condition = format!(" WHERE {}", self.condition(&scope, depth));
        let left = self.listed(&Body { from, condition }, "", outputs);
        let right = self.select(outer, depth, &Want::Columns(left.outputs.clone()));
        let sql = format!("{} {word} {}", left.sql, right.sql);
        let mut select = Select { sql, key: None, ordered: false, outputs: left.outputs };
        let orderable = select.outputs.iter().all(|output| output.protection.allows(Use::Order));
        if orderable && matches!(want, Want::Anything) && self.random.percent(50) {
            let numbers: Vec<String> = (1..=select.outputs.len()).map(|at| at.to_string()).collect();
            select.sql.push_str(&format!(" ORDER BY {}", numbers.join(", ")));
            select.ordered = true;
        }
        select
    }
}
