//! What an application's statements do with columns: compared, ordered, searched. That tells which protection each needs.
//!
//! Reads a file of statements, or a PostgreSQL log of them; a column that cannot be told apart from another counts for
//! none. The texts are forgotten; only counts stay.

use std::collections::BTreeMap;

use drieslot_schema::TableId;
use pg_query::protobuf::AExprKind;
use serde_json::Value;

use super::tables::Tables;

/// How often a column is used in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Compared for equality, joined, grouped, made distinct.
    pub(crate) equal: u32,
    /// Compared by order, sorted, min or max.
    pub(crate) ordered: u32,
    /// LIKE, ILIKE, regular expressions, equality of lower or upper case.
    pub(crate) searched: u32,
}

/// What the statements of a file say.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    needs: BTreeMap<(TableId, String), Needs>,
    pub(crate) read: usize,
    /// Texts that PostgreSQL's grammar does not accept.
    pub(crate) skipped: usize,
}

#[derive(Clone, Copy)]
enum Way {
    Equal,
    Ordered,
    Searched,
}

/// A table that a statement names, and the name that it goes by there.
struct Named {
    id: TableId,
    alias: String,
}

impl Queries {
    /// Reads a file of statements, each ended by a semicolon, or the log of a server with `log_statement = 'all'`.
    pub(crate) fn of(text: &str, tables: &Tables) -> Self {
        let mut queries = Self::default();
        for statement in statements(text) {
            queries.add(&statement, tables);
        }
        queries
    }

    /// What is known of a column.
    pub(crate) fn needs(&self, id: &TableId, column: &str) -> Needs {
        self.needs.get(&(id.clone(), column.to_owned())).copied().unwrap_or_default()
    }

    fn add(&mut self, statement: &str, tables: &Tables) {
        let parsed = pg_query::parse(statement, 0).ok().and_then(|parsed| serde_json::to_value(&parsed.protobuf).ok());
        let Some(tree) = parsed else {
            self.skipped += 1;
            return;
        };
        self.read += 1;
        let mut named = Vec::new();
        find_tables(&tree, tables, &mut named);
        let mut found = Vec::new();
        walk(&tree, &mut found);
        for (names, way) in found {
            let Some(key) = resolve(&names, &named, tables) else { continue };
            let needs = self.needs.entry(key).or_default();
            match way {
                Way::Equal => needs.equal += 1,
                Way::Ordered => needs.ordered += 1,
                Way::Searched => needs.searched += 1,
            }
        }
    }
}

/// The statements of a plain file, or of the lines `…LOG:  statement: …` and `…LOG:  execute NAME: …` of a server's log,
/// whose further lines begin with a tab.
fn statements(text: &str) -> Vec<String> {
    if !text.lines().any(|line| logged(line).is_some()) {
        let split = pg_query::split_with_scanner(text).unwrap_or_default();
        return split.into_iter().map(str::to_owned).collect();
    }
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(begin) = logged(line) {
            found.push(begin.to_owned());
            open = true;
        } else if let (true, Some(more), Some(last)) = (open, line.strip_prefix('\t'), found.last_mut()) {
            last.push('\n');
            last.push_str(more);
        } else {
            open = false;
        }
    }
    found
}

fn logged(line: &str) -> Option<&str> {
    let (_, said) = line.split_once("LOG:  ")?;
    if let Some(statement) = said.strip_prefix("statement: ") {
        return Some(statement);
    }
    let (name, statement) = said.strip_prefix("execute ")?.split_once(": ")?;
    (!name.contains(' ')).then_some(statement)
}

fn find_tables(tree: &Value, tables: &Tables, found: &mut Vec<Named>) {
    if let Some(range) = tree.get("RangeVar").or_else(|| tree.get("relation")).filter(|range| range.is_object()) {
        let text = |field: &str| range.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (schema, name) = (text("schemaname"), text("relname"));
        let alias = range.pointer("/alias/aliasname").and_then(Value::as_str).unwrap_or(&name).to_owned();
        let known = tables.iter().find(|(id, _)| id.table == name && (schema.is_empty() || id.schema == schema));
        if let Some((id, _)) = known {
            found.push(Named { id: id.clone(), alias });
        }
    }
    for child in children(tree) {
        find_tables(child, tables, found);
    }
}

fn children(tree: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match tree {
        Value::Object(fields) => Box::new(fields.values()),
        Value::Array(items) => Box::new(items.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    }
}

/// The column that the names of a reference mean; `None` where there is none or more than one.
fn resolve(names: &[String], named: &[Named], tables: &Tables) -> Option<(TableId, String)> {
    let (column, before) = names.split_last()?;
    let has = |id: &TableId| tables.iter().any(|(known, table)| known == id && table.column(column).is_some());
    let table = before.last();
    let mut fitting: Vec<&TableId> = named
        .iter()
        .filter(|one| table.is_none_or(|table| one.alias == *table) && has(&one.id))
        .map(|one| &one.id)
        .collect();
    fitting.dedup();
    match fitting.as_slice() {
        [one] => Some(((*one).clone(), column.clone())),
        _ => None,
    }
}

type Found = Vec<(Vec<String>, Way)>;

fn walk(tree: &Value, found: &mut Found) {
    if let Some(expr) = tree.get("AExpr") {
        operator(expr, found);
    }
    if let Some(sort) = tree.pointer("/SortBy/node") {
        columns(sort, Way::Ordered, found);
    }
    let list = |field: &str| tree.get(field).and_then(Value::as_array).into_iter().flatten();
    for node in list("group_clause").chain(list("distinct_clause")) {
        columns(node, Way::Equal, found);
    }
    // DISTINCT over everything is a list of one empty node.
    if list("distinct_clause").any(|node| node.get("node").is_none_or(Value::is_null)) {
        list("target_list").for_each(|node| columns(node, Way::Equal, found));
    }
    if let Some(names) = tree.pointer("/JoinExpr/using_clause").and_then(Value::as_array) {
        found.extend(names.iter().filter_map(string).map(|name| (vec![name], Way::Equal)));
    }
    if let Some(name) = tree.pointer("/IndexElem/name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        found.push((vec![name.to_owned()], Way::Equal));
    }
    if let Some(call) = tree.get("FuncCall").filter(|call| call.get("agg_distinct") == Some(&Value::Bool(true))) {
        columns(call.get("args").unwrap_or(&Value::Null), Way::Equal, found);
    }
    if let Some(call) = tree.get("FuncCall")
        && ["min", "max"].contains(&name_of(call, "funcname").as_str())
    {
        columns(call.get("args").unwrap_or(&Value::Null), Way::Ordered, found);
    }
    for child in children(tree) {
        walk(child, found);
    }
}

fn name_of(node: &Value, field: &str) -> String {
    let names = node.get(field).and_then(Value::as_array);
    names.and_then(|names| names.last()).and_then(string).unwrap_or_default()
}

fn string(node: &Value) -> Option<String> {
    node.pointer("/node/String/sval")
        .or_else(|| node.pointer("/String/sval"))
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn operator(expr: &Value, found: &mut Found) {
    let kind = expr.get("kind").and_then(Value::as_i64).and_then(|kind| i32::try_from(kind).ok()).unwrap_or_default();
    let kind = AExprKind::try_from(kind).unwrap_or(AExprKind::Undefined);
    let way = match kind {
        AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprSimilar => Way::Searched,
        AExprKind::AexprBetween
        | AExprKind::AexprNotBetween
        | AExprKind::AexprBetweenSym
        | AExprKind::AexprNotBetweenSym => Way::Ordered,
        AExprKind::AexprIn | AExprKind::AexprDistinct | AExprKind::AexprNotDistinct | AExprKind::AexprNullif => {
            Way::Equal
        }
        AExprKind::AexprOp | AExprKind::AexprOpAny | AExprKind::AexprOpAll => match name_of(expr, "name").as_str() {
            "=" | "<>" => Way::Equal,
            "<" | ">" | "<=" | ">=" => Way::Ordered,
            "~" | "~*" | "!~" | "!~*" | "~~" | "~~*" | "!~~" | "!~~*" | "^@" => Way::Searched,
            _ => return,
        },
        AExprKind::Undefined => return,
    };
    for side in ["lexpr", "rexpr"] {
        columns(expr.get(side).unwrap_or(&Value::Null), way, found);
    }
}

/// The columns that an operand is, through casts, lists and changes of case.
fn columns(node: &Value, way: Way, found: &mut Found) {
    if let Some(fields) = node.pointer("/ColumnRef/fields").and_then(Value::as_array) {
        let names: Vec<String> = fields.iter().filter_map(string).collect();
        if names.len() == fields.len() {
            found.push((names, way));
        }
        return;
    }
    if let Some(call) = node.get("FuncCall") {
        let folds = ["lower", "upper", "unaccent", "btrim"].contains(&name_of(call, "funcname").as_str());
        let way = if folds && matches!(way, Way::Equal) { Way::Searched } else { way };
        if folds {
            columns(call.get("args").unwrap_or(&Value::Null), way, found);
        }
        return;
    }
    if node.get("SubLink").is_some() || node.get("AExpr").is_some() {
        return;
    }
    for child in children(node) {
        columns(child, way, found);
    }
}

#[cfg(test)]
mod tests {
    use drieslot_schema::TableId;

    use super::{Needs, Queries, Tables};

    fn read(text: &str) -> Queries {
        let mut tables = Tables::default();
        tables
            .read("CREATE TABLE person (id int PRIMARY KEY, name text, mail text, born date, income numeric(9,2))")
            .unwrap();
        tables.read("CREATE TABLE visit (id int PRIMARY KEY, person_mail text, day date)").unwrap();
        Queries::of(text, &tables)
    }

    fn needs(queries: &Queries, table: &str, column: &str) -> (u32, u32, u32) {
        let id = TableId { schema: "public".into(), table: table.into() };
        let Needs { equal, ordered, searched } = queries.needs(&id, column);
        (equal, ordered, searched)
    }

    #[test]
    fn each_use_counts_for_the_column_that_it_means() {
        let queries = read(
            "SELECT p.name FROM person p JOIN visit v ON v.person_mail = p.mail WHERE p.born < $1 ORDER BY p.born, v.day;
             SELECT * FROM person WHERE lower(name) = lower($1) OR mail LIKE '%@x' AND income BETWEEN 1 AND 2;
             SELECT mail, count(*), max(born) FROM person GROUP BY mail; SELECT DISTINCT name FROM person;
             INSERT INTO person VALUES (1, 'a') ON CONFLICT (mail) DO UPDATE SET name = 'x';
             UPDATE person SET name = 'y' WHERE mail IN ($1, $2) AND id = 3;
             WITH q AS (SELECT mail FROM person) SELECT * FROM q WHERE day = '2020-01-01'; SELECT FROM WHERE;",
        );
        assert_eq!((queries.read, queries.skipped), (7, 1));
        assert_eq!(needs(&queries, "person", "born"), (0, 3, 0));
        assert_eq!(needs(&queries, "person", "name"), (1, 0, 1));
        assert_eq!(needs(&queries, "person", "mail"), (4, 0, 1));
        assert_eq!(needs(&queries, "person", "income"), (0, 1, 0));
        assert_eq!(needs(&queries, "visit", "person_mail"), (1, 0, 0));
        assert_eq!(needs(&queries, "visit", "day"), (0, 1, 0));
        assert_eq!(needs(&queries, "person", "id"), (1, 0, 0));
    }

    #[test]
    fn a_servers_log_is_read_too() {
        let queries = read(
            "2026-01-01 10:00:00 UTC [7] LOG:  statement: SELECT *\n\tFROM person\n\tWHERE mail = 'x';\n\
             2026-01-01 10:00:00 UTC [7] LOG:  duration: 0.1 ms\n\
             2026-01-01 10:00:01 UTC [7] LOG:  execute <unnamed>: SELECT 1 FROM person WHERE born > $1\n\
             2026-01-01 10:00:01 UTC [7] DETAIL:  parameters: $1 = '2000-01-01'\n",
        );
        assert_eq!((queries.read, queries.skipped), (2, 0));
        assert_eq!((needs(&queries, "person", "mail"), needs(&queries, "person", "born")), ((1, 0, 0), (0, 1, 0)));
    }
}
