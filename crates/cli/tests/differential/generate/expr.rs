//! Conditions and scalar expressions.

use super::generator::Generator;
use super::scheme::Protection;
use super::scope::{Named, Scope, Use};
use super::select::Want;
use super::world::Kind;

impl Generator<'_> {
    /// A condition; a constant where nothing else can be made.
    pub(crate) fn condition(&mut self, scope: &Scope<'_>, depth: usize) -> String {
        let nested = if depth > 0 { 1 } else { 0 };
        let weights = [26, 8, 8, 9, 8, 4, 7, 5 * nested, 6 * nested, 16 * nested, 4, 4, 2, 6, 2, 4 * nested, 1];
        let made = match self.random.weighted(&weights) {
            0 => self.equality(scope),
            1 => self.columns_equal(scope),
            2 => self.null_test(scope),
            3 => self.membership(scope),
            4 => self.range(scope),
            5 => self.between(scope),
            6 => self.like(scope),
            7 => self.exists(scope, depth - 1),
            8 => self.in_query(scope, depth - 1),
            9 => self.junction(scope, depth - 1),
            10 => self.distinct_from(scope),
            11 => self.any_all(scope),
            12 => self.truth(scope),
            13 => self.computed_comparison(scope),
            14 => self.row_comparison(scope),
            15 => self.scalar_comparison(scope, depth - 1),
            _ => Some(self.mistake(scope)),
        };
        made.unwrap_or_else(|| (*self.random.pick(&["true", "1 = 1", "NULL IS NULL"])).to_owned())
    }

    fn equality(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Equal, None)?;
        let value = self.value_like(&column);
        Some(match self.random.below(10) {
            0..7 => format!("{} = {value}", column.sql),
            7 => format!("{value} = {}", column.sql),
            8 => format!("{} <> {value}", column.sql),
            _ => format!("{} != {value}", column.sql),
        })
    }

    fn columns_equal(&mut self, scope: &Scope<'_>) -> Option<String> {
        let here: Vec<Named> = scope.here().into_iter().cloned().collect();
        let mut other: Vec<Named> = scope.outer().into_iter().cloned().collect();
        if other.is_empty() || self.random.percent(40) {
            other.clone_from(&here);
        }
        let (a, b) = self.pair(&here, &other)?;
        let operator = self.random.pick(&["=", "=", "=", "<>", "IS NOT DISTINCT FROM", "IS DISTINCT FROM"]);
        Some(format!("{} {operator} {}", a.sql, b.sql))
    }

    fn null_test(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Fetch, None)?;
        Some(format!("{} IS {}NULL", column.sql, self.random.pick(&["", "NOT "])))
    }

    fn membership(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Equal, None)?;
        let count = 1 + self.random.below(4);
        let values: Vec<String> = (0..count).map(|_| self.value_like(&column)).collect();
        Some(format!("{} {}IN ({})", column.sql, self.random.pick(&["", "", "NOT "]), values.join(", ")))
    }

    fn range(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Order, None)?;
        let value = self.value_like(&column);
        Some(format!("{} {} {value}", column.sql, self.random.pick(&["<", "<=", ">", ">="])))
    }

    fn between(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Order, None)?;
        let (low, high) = (self.value_like(&column), self.value_like(&column));
        let word = self.random.pick(&["BETWEEN", "BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC"]);
        Some(format!("{} {word} {low} AND {high}", column.sql))
    }

    fn like(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Match, Some(Kind::Text))?;
        let (table, at) = column.like;
        let sample = self.random.maybe(&self.world.tables[table].columns[at].samples)?.text.clone();
        let letters: Vec<char> = sample.chars().collect();
        let from = self.random.below(letters.len().max(1));
        let part: String = letters.iter().skip(from).take(1 + self.random.below(5)).collect();
        let part = part.replace('\\', "\\\\");
        let pattern = match self.random.below(6) {
            0 => format!("{}%", letters.iter().take(2).collect::<String>().replace('\\', "\\\\")),
            1 => format!("%{part}"),
            2 => format!("_{part}%"),
            3 => sample.replace('\\', "\\\\"),
            _ => format!("%{part}%"),
        };
        let value = super::value::Value::text(&mut self.random, &pattern);
        let pattern = self.put(value);
        let word = self.random.pick(&["LIKE", "LIKE", "ILIKE", "NOT LIKE", "~~", "~~*"]);
        Some(format!("{} {word} {pattern}", column.sql))
    }

    fn exists(&mut self, scope: &Scope<'_>, depth: usize) -> Option<String> {
        let query = self.select(Some(scope), depth, &Want::Anything);
        Some(format!("{}EXISTS ({})", self.random.pick(&["", "NOT "]), query.sql))
    }

    fn in_query(&mut self, scope: &Scope<'_>, depth: usize) -> Option<String> {
        let column = self.column(scope, Use::Equal, None)?;
        let query = self.select(Some(scope), depth, &Want::Meeting(column.clone()));
        if query.outputs.len() != 1 {
            return None;
        }
        let word = self.random.pick(&["IN", "IN", "NOT IN", "= ANY", "<> ALL"]);
        Some(format!("{} {word} ({})", column.sql, query.sql))
    }

    fn junction(&mut self, scope: &Scope<'_>, depth: usize) -> Option<String> {
        let first = self.condition(scope, depth);
        if self.random.percent(25) {
            return Some(format!("NOT ({first})"));
        }
        let second = self.condition(scope, depth);
        Some(format!("({first} {} {second})", self.random.pick(&["AND", "OR"])))
    }

    fn distinct_from(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Equal, None)?;
        let value = self.value_like(&column);
        Some(format!("{} IS {}DISTINCT FROM {value}", column.sql, self.random.pick(&["", "NOT "])))
    }

    fn any_all(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Equal, None)?;
        let values: Vec<String> = (0..2).map(|_| self.value_like(&column)).collect();
        Some(format!("{} {} (ARRAY[{}])", column.sql, self.random.pick(&["= ANY", "<> ALL"]), values.join(", ")))
    }

    fn truth(&mut self, scope: &Scope<'_>) -> Option<String> {
        let column = self.column(scope, Use::Compute, Some(Kind::Bool))?;
        Some(match self.random.below(3) {
            0 => column.sql,
            1 => format!("{} IS NOT TRUE", column.sql),
            _ => format!("NOT {}", column.sql),
        })
    }

    fn computed_comparison(&mut self, scope: &Scope<'_>) -> Option<String> {
        let kind = self.column(scope, Use::Compute, None)?.kind;
        let (a, b) = (self.scalar(scope, kind, 1)?, self.scalar(scope, kind, 1)?);
        let operator = if kind == Kind::Uuid { "=" } else { *self.random.pick(&["=", "<", ">=", "<>"]) };
        Some(format!("{} {operator} {}", a.sql, b.sql))
    }

    fn row_comparison(&mut self, scope: &Scope<'_>) -> Option<String> {
        let (a, b) = (self.column(scope, Use::Equal, None)?, self.column(scope, Use::Equal, None)?);
        let mut row = || format!("({}, {})", self.value_like(&a), self.value_like(&b));
        let (first, second) = (row(), row());
        let columns = format!("({}, {})", a.sql, b.sql);
        let one = self.random.percent(50);
        Some(if one { format!("{columns} = {first}") } else { format!("{columns} IN ({first}, {second})") })
    }

    fn scalar_comparison(&mut self, scope: &Scope<'_>, depth: usize) -> Option<String> {
        let column = self.column(scope, Use::Equal, None)?;
        let query = self.select(Some(scope), depth, &Want::OneRow(column.clone()));
        (query.outputs.len() == 1).then(|| format!("{} = ({})", column.sql, query.sql))
    }

    /// What PostgreSQL refuses, or reads in a way that is easily got wrong.
    fn mistake(&mut self, scope: &Scope<'_>) -> String {
        let column = self.column(scope, Use::Fetch, None).map_or_else(|| "x".to_owned(), |column| column.sql);
        let other = self.column(scope, Use::Fetch, None).map_or_else(|| "y".to_owned(), |column| column.sql);
        match self.random.below(6) {
            0 => format!("{column} = {other}"),
            1 => format!("{column}_nothing = 1"),
            2 => format!("{column} = true"),
            3 => format!("count({column}) > 1"),
            4 => column,
            _ => format!("{column} = 1 + 'x'"),
        }
    }

    /// An expression of a kind: a column, a value, or something computed.
    pub(crate) fn scalar(&mut self, scope: &Scope<'_>, kind: Kind, depth: usize) -> Option<Named> {
        let nested = usize::from(depth > 0);
        let sql = match self.random.weighted(&[20, 4, 30 * nested, 8 * nested, 6 * nested, 4 * nested, 6 * nested]) {
            0 => return self.column(scope, Use::Fetch, Some(kind)).or_else(|| self.column(scope, Use::Fetch, None)),
            1 => {
                let column = self.column(scope, Use::Fetch, Some(kind))?;
                let like = &self.world.tables[column.like.0].columns[column.like.1];
                format!("{}::{}", self.value_like(&column), like.ty.split('(').next().unwrap())
            }
            2 => self.function(scope, kind, depth - 1)?,
            3 => return self.case(scope, kind, depth - 1),
            4 => return self.coalesce(scope, kind),
            5 => return self.nullif(scope, kind),
            _ => {
                let column = self.column(scope, Use::Fetch, Some(kind))?;
                let query = self.select(Some(scope), depth - 1, &Want::OneRow(column));
                let [output] = query.outputs.as_slice() else { return None };
                return Some(Named { sql: format!("({})", query.sql), ..output.clone() });
            }
        };
        Some(self.computed(sql, kind))
    }

    fn function(&mut self, scope: &Scope<'_>, kind: Kind, depth: usize) -> Option<String> {
        let mut plain = |kind| self.column(scope, Use::Compute, Some(kind)).map(|column| column.sql);
        let x = plain(kind);
        let text = plain(Kind::Text);
        let date = plain(Kind::Date).or_else(|| plain(Kind::Stamp));
        let choice = self.random.below(6);
        Some(match (kind, choice) {
            (Kind::Int, 0) => format!("length({})", text?),
            (Kind::Int, 1) => format!("({} % 10)", x?),
            (Kind::Int, 2) => format!("abs({} / 7)", x?),
            (Kind::Int, 3) => format!("({} / 3 + {})", x?, self.number(9)),
            (Kind::Int, 4) => format!("position('a' in {})", text?),
            (Kind::Int, _) => format!("greatest({}, 3)", x?),
            (Kind::Num, 0) => format!("extract(year FROM {})", date?),
            (Kind::Num, 1) => format!("round({} / 3, 1)", x?),
            (Kind::Num, 2) => format!("({} * 1.5)", x?),
            (Kind::Num, _) => format!("-{}", x?),
            (Kind::Text, 0) => format!("upper({})", text?),
            (Kind::Text, 1) => format!("({} || {})", text?, self.random.pick(&["'-'", "''", "'é'"])),
            (Kind::Text, 2) => format!("substr({}, 1, 3)", text?),
            (Kind::Text, 3) => format!("replace(lower({}), 'a', 'b')", text?),
            (Kind::Text, 4) => format!("left({}, {})", text?, self.number(5)),
            (Kind::Text, _) => format!("{}::text", self.column(scope, Use::Compute, None)?.sql),
            (Kind::Stamp, _) => format!("date_trunc('month', {})", x?),
            (Kind::Date, 0) => format!("least({}, {})", x.clone()?, x?),
            (Kind::Bool, _) => format!("({})", self.condition(scope, depth)),
            (Kind::Float, _) => format!("({} * 2)", x?),
            (
                Kind::Date
                | Kind::StampTz
                | Kind::Uuid
                | Kind::Time
                | Kind::Char
                | Kind::Bytes
                | Kind::Net
                | Kind::Other,
                _,
            ) => x?,
        })
    }

    fn case(&mut self, scope: &Scope<'_>, kind: Kind, depth: usize) -> Option<Named> {
        let result = self.column(scope, Use::Fetch, Some(kind))?;
        let otherwise = match self.random.below(4) {
            0 => String::new(),
            1 => format!(" ELSE {}", result.sql),
            _ => format!(" ELSE {}", self.value_like(&result)),
        };
        if self.random.percent(35) {
            let subject = self.column(scope, Use::Equal, None)?;
            let value = self.value_like(&subject);
            let sql = format!("CASE {} WHEN {value} THEN {}{otherwise} END", subject.sql, result.sql);
            return Some(Named { sql, ..result });
        }
        let condition = self.condition(scope, depth);
        Some(Named { sql: format!("CASE WHEN {condition} THEN {}{otherwise} END", result.sql), ..result })
    }

    fn coalesce(&mut self, scope: &Scope<'_>, kind: Kind) -> Option<Named> {
        let first = self.column(scope, Use::Fetch, Some(kind))?;
        let second = self.column(scope, Use::Fetch, Some(kind)).filter(|second| second.meets(&first));
        let value = self.value_like(&first);
        let sql = match second {
            Some(second) if self.random.percent(50) => format!("coalesce({}, {}, {value})", first.sql, second.sql),
            _ => format!("coalesce({}, {value})", first.sql),
        };
        Some(Named { sql, ..first })
    }

    fn nullif(&mut self, scope: &Scope<'_>, kind: Kind) -> Option<Named> {
        let column = self.column(scope, Use::Equal, Some(kind))?;
        let value = self.value_like(&column);
        Some(Named { sql: format!("nullif({}, {value})", column.sql), ..column })
    }

    /// An aggregate over the rows of a group.
    pub(crate) fn aggregate(&mut self, scope: &Scope<'_>) -> Option<Named> {
        let key = self.order_by_key(scope);
        let (sql, kind) = match self.random.below(10) {
            0 => ("count(*)".to_owned(), Kind::Int),
            1 | 2 => (format!("count({})", self.column(scope, Use::Fetch, None)?.sql), Kind::Int),
            3 => (format!("count(DISTINCT {})", self.column(scope, Use::Equal, None)?.sql), Kind::Int),
            4 | 5 => {
                let column = self.column(scope, Use::Order, None)?;
                if matches!(column.kind, Kind::Uuid | Kind::Bool | Kind::Bytes | Kind::Net | Kind::Char | Kind::Time) {
                    return None;
                }
                let sql = format!("{}({})", self.random.pick(&["min", "max"]), column.sql);
                return Some(Named { sql, name: String::new(), ..column });
            }
            6 => (format!("sum({})", self.column(scope, Use::Compute, Some(Kind::Int))?.sql), Kind::Num),
            7 => (format!("avg({})", self.column(scope, Use::Compute, Some(Kind::Num))?.sql), Kind::Num),
            8 => {
                let column = self.column(scope, Use::Compute, Some(Kind::Text))?;
                (format!("string_agg({}, ','{})", column.sql, key?), Kind::Text)
            }
            _ => (format!("bool_or({})", self.condition(scope, 0)), Kind::Bool),
        };
        let filter = if self.random.percent(15) {
            format!(" FILTER (WHERE {})", self.condition(scope, 0))
        } else {
            String::new()
        };
        Some(self.computed(format!("{sql}{filter}"), kind))
    }

    /// ` ORDER BY` the keys, where that is a total order.
    pub(crate) fn order_by_key(&mut self, scope: &Scope<'_>) -> Option<String> {
        let key = scope.key()?;
        if key.is_empty() || !key.iter().all(|column| column.protection.allows(Use::Order)) {
            return None;
        }
        Some(format!(" ORDER BY {}", key.iter().map(|column| column.sql.clone()).collect::<Vec<_>>().join(", ")))
    }

    /// A window function.
    pub(crate) fn window(&mut self, scope: &Scope<'_>) -> Option<Named> {
        let order = self.order_by_key(scope)?;
        let partition = match self.column(scope, Use::Equal, None) {
            Some(column) if self.random.percent(70) => format!("PARTITION BY {}", column.sql),
            Some(_) | None => String::new(),
        };
        let over = format!("OVER ({partition}{order})");
        let whole = format!("OVER ({partition})");
        let (sql, kind) = match self.random.below(6) {
            0 => (format!("row_number() {over}"), Kind::Int),
            1 => (format!("rank() {over}"), Kind::Int),
            2 => (format!("count(*) {whole}"), Kind::Int),
            3 => (format!("sum({}) {over}", self.column(scope, Use::Compute, Some(Kind::Int))?.sql), Kind::Num),
            4 => {
                let column = self.column(scope, Use::Compute, None)?;
                let sql = format!("{}({}) {over}", self.random.pick(&["lag", "lead", "first_value"]), column.sql);
                return Some(Named { sql, name: String::new(), ..column });
            }
            _ => (format!("count({}) {over}", self.column(scope, Use::Fetch, None)?.sql), Kind::Int),
        };
        Some(Named { protection: Protection::Plain, ..self.computed(sql, kind) })
    }
}
