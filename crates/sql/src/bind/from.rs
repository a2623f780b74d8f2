//! FROM: relations, subqueries, functions, joins.

use drieslot_schema::TableId;
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, JoinExpr, JoinType, Node, RangeFunction, RangeSubselect, RangeVar};

use super::scope::{Column, Held, Item, PlainSubject, Scope};
use super::subjects::plain_type;
use super::{Binder, Flow, Output, Ty, unsupported};
use crate::catalog::Relation;
use crate::census::Named;
use crate::env::{Place, no_relation, unlisted_table};
use crate::refusal::{Refusal, Result};
use crate::types::{string, strings};

/// Gives the first columns the names that an alias lists.
pub(super) fn rename(columns: &mut [Column], names: &[Node]) {
    for (column, name) in columns.iter_mut().zip(strings(names)) {
        name.clone_into(&mut column.name);
    }
}

pub(super) fn columns_of(outputs: Vec<Output>) -> Vec<Column> {
    outputs.into_iter().map(|output| Column { name: output.name, standing: Held::of(output.ty) }).collect()
}

fn named(range: &RangeVar) -> Named {
    Named {
        catalog: range.catalogname.clone(),
        schema: range.schemaname.clone(),
        name: range.relname.clone(),
        location: i64::from(range.location),
    }
}

impl Binder<'_> {
    /// A FROM list. `outer` is what its subqueries see.
    pub(super) fn items_of(&mut self, nodes: &mut [Node], outer: &Scope<'_>) -> Result<Vec<Item>> {
        self.items_after(nodes, outer, Vec::new())
    }

    /// A FROM list beside items that are there already.
    pub(super) fn items_after(
        &mut self,
        nodes: &mut [Node],
        outer: &Scope<'_>,
        mut items: Vec<Item>,
    ) -> Result<Vec<Item>> {
        for node in nodes {
            let more = self.item_in(node, &items, outer)?;
            items.extend(more);
        }
        Ok(items)
    }

    fn item_in(&mut self, node: &mut Node, left: &[Item], outer: &Scope<'_>) -> Result<Vec<Item>> {
        match &mut node.node {
            Some(NodeEnum::RangeVar(range)) => Ok(vec![self.range(range, outer)?]),
            Some(NodeEnum::RangeSubselect(sub)) => Ok(vec![self.subselect(sub, left, outer)?]),
            Some(NodeEnum::RangeFunction(function)) => Ok(vec![self.range_function(function, left, outer)?]),
            Some(NodeEnum::JoinExpr(join)) => self.join(join, left, outer),
            Some(NodeEnum::RangeTableSample(sample)) => {
                let scope = Scope { items: left.to_vec(), ctes: Vec::new(), parent: Some(outer) };
                self.all_plain(sample.args.iter_mut(), &scope, "TABLESAMPLE", sample.location)?;
                self.all_plain(sample.repeatable.as_deref_mut().into_iter(), &scope, "TABLESAMPLE", sample.location)?;
                let relation =
                    sample.relation.as_deref_mut().ok_or_else(|| Refusal::internal("a sample of nothing"))?;
                self.item_in(relation, left, outer)
            }
            _ => Err(unsupported(node, 0)),
        }
    }

    fn range(&mut self, range: &mut RangeVar, outer: &Scope<'_>) -> Result<Item> {
        if range.schemaname.is_empty()
            && let Some(cte) = outer.cte(&range.relname)
        {
            let mut item = Item {
                name: range.relname.clone(),
                table: None,
                columns: cte.columns.clone(),
                opaque: cte.opaque,
                system_columns: false,
                subject: None,
                carried: cte.carried.clone(),
                by_name: true,
                by_column: true,
            };
            apply_alias(&mut item, range.alias.as_ref());
            return Ok(item);
        }
        let mut item = self.table(range)?;
        apply_alias(&mut item, range.alias.as_ref());
        Ok(item)
    }

    /// A real relation, whose name in the statement becomes its full name.
    pub(super) fn table(&mut self, range: &mut RangeVar) -> Result<Item> {
        let named = named(range);
        let relation = self.env.find(&named)?.ok_or_else(|| no_relation(&named))?;
        let place = self.env.place(&relation);
        match place {
            Place::Unlisted => return Err(unlisted_table(&relation.id).at(range.location)),
            Place::View => return self.view(&relation, range),
            Place::System | Place::Plain | Place::Bound => {}
        }
        if self.env.has_protected(&relation.id) {
            self.tables.insert(relation.id.clone());
        }
        relation.id.schema.clone_into(&mut range.schemaname);
        Ok(self.item_of(&relation, place))
    }

    fn view(&mut self, relation: &Relation, range: &mut RangeVar) -> Result<Item> {
        let viewed = super::viewed(self.env, relation).map_err(|refusal| refusal.at(range.location))?;
        self.uses.extend(viewed.uses);
        self.tables.extend(viewed.tables);
        relation.id.schema.clone_into(&mut range.schemaname);
        Ok(Item {
            name: relation.id.table.clone(),
            table: Some(relation.id.clone()),
            columns: viewed.columns,
            opaque: false,
            system_columns: false,
            subject: None,
            carried: Vec::new(),
            by_name: true,
            by_column: true,
        })
    }

    fn item_of(&self, relation: &Relation, place: Place) -> Item {
        let columns: Vec<Column> = relation
            .columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                standing: Held::new(self.env.standing(relation, column)),
            })
            .collect();
        Item {
            name: relation.id.table.clone(),
            table: Some(TableId { schema: relation.id.schema.clone(), table: relation.id.table.clone() }),
            opaque: columns.is_empty() && place == Place::System,
            columns,
            system_columns: true,
            subject: self.plain_subject(relation),
            carried: Vec::new(),
            by_name: true,
            by_column: true,
        }
    }

    /// The subject of a table's rows, where it is a plain column whose values have one spelling.
    fn plain_subject(&self, relation: &Relation) -> Option<PlainSubject> {
        let table = self.env.table(&relation.id)?;
        let subject = table.subject.as_ref()?;
        let plain = table.columns.get(&subject.column).is_some_and(|column| column.protected.is_none());
        let at = relation.columns.iter().position(|column| column.name == subject.column).filter(|_| plain)?;
        let ty = plain_type(relation.columns.get(at)?.type_oid)?;
        Some(PlainSubject { table: relation.id.clone(), at, realm: subject.realm.clone(), ty })
    }

    fn subselect(&mut self, sub: &mut RangeSubselect, left: &[Item], outer: &Scope<'_>) -> Result<Item> {
        let query = sub.subquery.as_deref_mut().ok_or_else(|| Refusal::internal("a subquery without a query"))?;
        let (outputs, carried) = if sub.lateral {
            let scope = Scope { items: left.to_vec(), ctes: Vec::new(), parent: Some(outer) };
            (self.query(query, Some(&scope))?, Vec::new())
        } else {
            self.derived(query, outer)?
        };
        let mut item = Item {
            name: String::new(),
            table: None,
            columns: columns_of(outputs),
            opaque: false,
            system_columns: false,
            subject: None,
            carried,
            by_name: sub.alias.is_some(),
            by_column: true,
        };
        apply_alias(&mut item, sub.alias.as_ref());
        Ok(item)
    }

    fn range_function(&mut self, function: &mut RangeFunction, left: &[Item], outer: &Scope<'_>) -> Result<Item> {
        let scope = Scope { items: left.to_vec(), ctes: Vec::new(), parent: Some(outer) };
        let mut name = String::new();
        for node in &mut function.functions {
            let Some(NodeEnum::List(list)) = &mut node.node else { return Err(unsupported(node, 0)) };
            let Some(call) = list.items.first_mut().filter(|node| node.node.is_some()) else { continue };
            name = super::names::of(call);
            let ty = self.expr(call, &scope)?;
            self.plain(&ty, "a function in FROM", 0)?;
        }
        let alias_names = function.alias.as_ref().map_or(&[][..], |alias| alias.colnames.as_slice());
        let columns = strings(alias_names)
            .into_iter()
            .map(|name| Column { name: name.to_owned(), standing: Held::Plain })
            .collect();
        let mut item = Item {
            name,
            table: None,
            columns,
            opaque: true,
            system_columns: false,
            subject: None,
            carried: Vec::new(),
            by_name: true,
            by_column: true,
        };
        if let Some(alias) = &function.alias {
            alias.aliasname.clone_into(&mut item.name);
        }
        Ok(item)
    }

    fn join(&mut self, join: &mut JoinExpr, left: &[Item], outer: &Scope<'_>) -> Result<Vec<Item>> {
        let missing = || Refusal::internal("a join without a side");
        let mut items = self.item_in(join.larg.as_deref_mut().ok_or_else(missing)?, left, outer)?;
        let seen: Vec<Item> = left.iter().chain(&items).cloned().collect();
        let right = self.item_in(join.rarg.as_deref_mut().ok_or_else(missing)?, &seen, outer)?;
        if join.is_natural {
            become_using(join, &items, &right)?;
        }
        let columns = self.joined_columns(join, &items, &right)?;
        let using = join.join_using_alias.as_ref().map(|alias| Item {
            name: alias.aliasname.clone(),
            table: None,
            columns: columns.iter().take(join.using_clause.len()).cloned().collect(),
            opaque: false,
            system_columns: false,
            subject: None,
            carried: Vec::new(),
            by_name: true,
            by_column: false,
        });
        let opaque = items.iter().chain(&right).any(|item| item.by_column && item.opaque);
        items.extend(right);
        if let Some(quals) = join.quals.as_deref_mut() {
            let scope = Scope { items: items.clone(), ctes: Vec::new(), parent: Some(outer) };
            self.condition(quals, &scope)?;
        }
        let mut joined = Item {
            name: String::new(),
            table: None,
            columns,
            opaque,
            system_columns: false,
            subject: None,
            carried: Vec::new(),
            by_name: false,
            by_column: true,
        };
        if let Some(alias) = &join.alias {
            joined.by_name = true;
            apply_alias(&mut joined, Some(alias));
            return Ok(vec![joined]);
        }
        for item in &mut items {
            item.by_column = false;
        }
        items.push(joined);
        items.extend(using);
        Ok(items)
    }

    /// The columns that a join shows: those of USING once, then the left's, then the right's.
    fn joined_columns(&mut self, join: &JoinExpr, left: &[Item], right: &[Item]) -> Result<Vec<Column>> {
        let visible = |items: &[Item]| -> Vec<Column> {
            items.iter().filter(|item| item.by_column).flat_map(|item| item.columns.iter().cloned()).collect()
        };
        let (mut left, mut right) = (visible(left), visible(right));
        let mut merged = Vec::new();
        for name in join.using_clause.iter().filter_map(string) {
            let (Some(a), Some(b)) = (take(&mut left, name)?, take(&mut right, name)?) else {
                return Err(Refusal::new(
                    "42703",
                    format!("column \"{name}\" specified in USING clause does not exist on both sides"),
                ));
            };
            merged.push(Column { name: name.to_owned(), standing: self.using(a.standing, b.standing, join.jointype)? });
        }
        merged.extend(left);
        merged.extend(right);
        Ok(merged)
    }

    fn using(&mut self, a: Held, b: Held, jointype: i32) -> Result<Held> {
        match (a.ty(0)?, b.ty(0)?) {
            (Ty::Protected(a), Ty::Protected(b)) => {
                self.comparable(super::Need::Equality, &a, &b, 0)?;
                let merged = self.merged(&a, &b, 0)?;
                let right = jointype == JoinType::JoinRight as i32;
                let full = jointype == JoinType::JoinFull as i32;
                let side = if right { b } else { a };
                // One side's values, of the type that both sides have in common.
                Ok(Held::Protected(if full { merged } else { Flow { ty: merged.ty, ..side } }))
            }
            (Ty::Protected(flow), _) | (_, Ty::Protected(flow)) => {
                Err(super::not_allowed(&flow, "a join with a plain column", 0))
            }
            _ => Ok(Held::Plain),
        }
    }
}

/// A natural join is one by the names that both sides have.
fn become_using(join: &mut JoinExpr, left: &[Item], right: &[Item]) -> Result<()> {
    let visible = |items: &[Item]| -> Vec<String> {
        let shown = items.iter().filter(|item| item.by_column);
        shown.flat_map(|item| item.columns.iter().map(|column| column.name.clone())).collect()
    };
    let theirs = visible(right);
    let common: Vec<String> = visible(left).into_iter().filter(|name| theirs.contains(name)).collect();
    let opaque = left.iter().chain(right).any(|item| item.by_column && item.opaque);
    if common.is_empty() || opaque {
        return Err(Refusal::unsupported("NATURAL JOIN is not supported here beside protected columns")
            .hint("Write JOIN … USING (…), or CROSS JOIN."));
    }
    join.is_natural = false;
    let name = |sval| Node { node: Some(NodeEnum::String(pg_query::protobuf::String { sval })) };
    join.using_clause = common.into_iter().map(name).collect();
    Ok(())
}

fn take(columns: &mut Vec<Column>, name: &str) -> Result<Option<Column>> {
    if columns.iter().filter(|column| column.name == name).count() > 1 {
        return Err(Refusal::new("42702", format!("common column name \"{name}\" appears more than once")));
    }
    Ok(columns.iter().position(|column| column.name == name).map(|at| columns.remove(at)))
}

pub(super) fn apply_alias(item: &mut Item, alias: Option<&Alias>) {
    if let Some(alias) = alias {
        alias.aliasname.clone_into(&mut item.name);
        item.table = None;
        rename(&mut item.columns, &alias.colnames);
    }
}
