//! INSERT … SELECT v.a::type, … FROM (VALUES …) AS v(a, …) ORDER BY v.n: how ORMs insert many rows and learn the keys
//! in the order of the rows. The values stand below a FROM, and become cells there.
//!
//! Owns this one shape; any other source of an INSERT is bound as a query.

use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, Node, RangeSubselect, ResTarget, SelectStmt, SetOperation, TypeCast, TypeName};

use super::dml::{computed, held};
use super::scope::{Held, Item, Scope};
use super::select::location;
use super::value::Meeting;
use super::{Binder, Flow, Ty, unsupported};
use crate::refusal::{Refusal, Result};
use crate::types::{is_text, logical, loosened, string, strings};

/// For each target, the column of the VALUES that it takes.
pub(super) struct Feed {
    sources: Vec<usize>,
    /// The columns that ORDER BY names.
    sorted: Vec<usize>,
}

fn missing() -> Refusal {
    Refusal::internal("VALUES without a value")
}

fn below(select: &SelectStmt) -> Option<(&RangeSubselect, &SelectStmt)> {
    let [Node { node: Some(NodeEnum::RangeSubselect(sub)) }] = select.from_clause.as_slice() else { return None };
    let Some(NodeEnum::SelectStmt(values)) = sub.subquery.as_deref().and_then(|node| node.node.as_ref()) else {
        return None;
    };
    let bare = !sub.lateral
        && !values.values_lists.is_empty()
        && values.sort_clause.is_empty()
        && values.limit_count.is_none()
        && values.limit_offset.is_none()
        && values.with_clause.is_none();
    bare.then_some((sub, values))
}

/// Whether the query has nothing but a target list, a FROM and an ORDER BY.
pub(super) fn is_bare(select: &SelectStmt) -> bool {
    let SelectStmt {
        distinct_clause,
        into_clause,
        target_list: _,
        from_clause: _,
        where_clause,
        group_clause,
        group_distinct: _,
        having_clause,
        window_clause,
        values_lists,
        sort_clause: _,
        limit_offset,
        limit_count,
        limit_option: _,
        locking_clause,
        with_clause,
        op,
        all: _,
        larg,
        rarg,
    } = select;
    let lists = [distinct_clause, group_clause, window_clause, values_lists, locking_clause];
    let options = [where_clause, having_clause, limit_offset, limit_count];
    lists.iter().all(|list| list.is_empty())
        && options.iter().all(|option| option.is_none())
        && into_clause.is_none()
        && with_clause.is_none()
        && larg.is_none()
        && rarg.is_none()
        && *op == SetOperation::SetopNone as i32
}

/// The column of the VALUES that a reference means.
fn source(node: &Node, alias: &str, columns: &[&str]) -> Option<usize> {
    let Some(NodeEnum::ColumnRef(column)) = &node.node else { return None };
    let name = match column.fields.as_slice() {
        [name] => string(name)?,
        [table, name] if string(table)? == alias => string(name)?,
        _ => return None,
    };
    let mut found = columns.iter().enumerate().filter(|(_, column)| **column == name);
    let (at, _) = found.next()?;
    found.next().is_none().then_some(at)
}

fn uncast(node: &Node) -> &Node {
    match &node.node {
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().unwrap_or(node),
        Some(_) | None => node,
    }
}

/// What a query takes from where, if it is of this shape.
pub(super) fn feed(select: &SelectStmt) -> Option<Feed> {
    let (sub, values) = below(select).filter(|_| is_bare(select))?;
    let alias = sub.alias.as_ref()?;
    let columns = strings(&alias.colnames);
    let wide = |row: &Node| matches!(&row.node, Some(NodeEnum::List(row)) if row.items.len() == columns.len());
    if !values.values_lists.iter().all(wide) {
        return None;
    }
    let of = |node: &Node| source(node, &alias.aliasname, &columns);
    let target = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => of(uncast(target.val.as_deref()?)),
        Some(_) | None => None,
    };
    let sorted = |node: &Node| match &node.node {
        Some(NodeEnum::SortBy(sort)) => of(sort.node.as_deref()?),
        Some(_) | None => None,
    };
    Some(Feed {
        sources: select.target_list.iter().map(target).collect::<Option<_>>()?,
        sorted: select.sort_clause.iter().map(sorted).collect::<Option<_>>()?,
    })
}

/// What PostgreSQL unifies without a thought: values of one column of VALUES must be of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Untyped,
    Number,
    Boolean,
    Cast(Option<Box<TypeName>>),
}

pub(super) fn kind(node: &Node) -> Option<Kind> {
    use pg_query::protobuf::a_const::Val;
    match &node.node {
        Some(NodeEnum::ParamRef(_)) => Some(Kind::Untyped),
        Some(NodeEnum::AConst(AConst { isnull: true, .. })) => Some(Kind::Null),
        Some(NodeEnum::AConst(constant)) => match constant.val.as_ref()? {
            Val::Sval(_) => Some(Kind::Untyped),
            Val::Ival(_) | Val::Fval(_) => Some(Kind::Number),
            Val::Boolval(_) => Some(Kind::Boolean),
            Val::Bsval(_) => None,
        },
        Some(NodeEnum::TypeCast(cast)) => {
            let mut ty = cast.type_name.clone()?;
            ty.location = 0;
            Some(Kind::Cast(Some(Box::new(ty))))
        }
        Some(_) | None => None,
    }
}

fn loosens(inner: &TypeName, outer: &TypeName) -> bool {
    let (inner, outer) = (logical(inner), logical(outer));
    inner.is_some() && inner == outer.map(loosened)
}

pub(super) fn mixed(to: &Flow, at: i32) -> Refusal {
    Refusal::unsupported(format!(
        "the column {} takes values of one kind from VALUES or CASE, and of its own type",
        to.column.id
    ))
    .hint("Cast each of them to the column's type.")
    .column(&to.column.id)
    .at(at)
}

impl Binder<'_> {
    /// Binds a source of this shape; the targets are columns of `item`.
    pub(super) fn fed(
        &mut self,
        select: &mut SelectStmt,
        feed: &Feed,
        item: &Item,
        targets: &[usize],
        names: &Scope<'_>,
    ) -> Result<()> {
        let mut taken = Vec::new();
        for ((from, to), target) in feed.sources.iter().zip(targets).zip(&mut select.target_list) {
            let Some(NodeEnum::ResTarget(target)) = &mut target.node else { return Err(missing()) };
            match held(item, *to)? {
                Held::Barred(refusal) => return Err((**refusal).clone()),
                Held::Plain => {}
                Held::Protected(flow) => {
                    if taken.contains(from) || feed.sorted.contains(from) {
                        return Err(Refusal::unsupported(format!(
                            "a value that goes to the column {} is used elsewhere too",
                            flow.column.id
                        ))
                        .hint("Send it twice.")
                        .column(&flow.column.id));
                    }
                    taken.push(*from);
                    let outer = outer_cast(target);
                    for node in entries(&mut select.from_clause, *from, flow)? {
                        self.entry_cell(node, flow, outer.as_ref(), names)?;
                    }
                }
            }
        }
        for (from, to) in feed.sources.iter().zip(targets) {
            if matches!(held(item, *to)?, Held::Plain) && taken.contains(from) {
                return Err(unsupported(select.target_list.first().ok_or_else(missing)?, 0));
            }
        }
        self.rest_plain(&mut select.from_clause, &taken, names)
    }

    /// One value of VALUES that goes to a protected column, by way of a cast outside.
    pub(super) fn entry_cell(
        &mut self,
        node: &mut Node,
        to: &Flow,
        outer: Option<&TypeName>,
        names: &Scope<'_>,
    ) -> Result<()> {
        let at = location(node);
        let inner = match &node.node {
            Some(NodeEnum::TypeCast(cast)) => cast.type_name.clone(),
            Some(_) | None => None,
        };
        match (inner, outer) {
            (None, Some(outer)) => {
                let cast = TypeCast { arg: Some(Box::new(node.clone())), type_name: Some(outer.clone()), location: at };
                node.node = Some(NodeEnum::TypeCast(Box::new(cast)));
            }
            (Some(inner), Some(outer)) if logical(&inner).is_some_and(|ty| logical(outer) == Some(ty)) => {}
            // What the driver casts without a length or scale, the ORM casts with one.
            (Some(inner), Some(outer)) if loosens(&inner, outer) => {
                if let Some(NodeEnum::TypeCast(cast)) = &mut node.node {
                    cast.type_name = Some(outer.clone());
                }
            }
            (Some(_), None) => {}
            // Without any cast PostgreSQL takes an untyped value of VALUES for text.
            (None, None) if is_text(to.column.ty) => {}
            (None, None) | (Some(_), Some(_)) => return Err(mixed(to, at)),
        }
        if !matches!(self.expr(node, names)?, Ty::Value) {
            return Err(computed(to, at));
        }
        self.mark(to, crate::statement::Use::Write);
        self.cell(node, &to.column, Meeting::Store)?;
        type_null(node);
        Ok(())
    }

    fn rest_plain(&mut self, from: &mut [Node], taken: &[usize], names: &Scope<'_>) -> Result<()> {
        for row in rows(from)? {
            for (at, node) in row.iter_mut().enumerate() {
                if !taken.contains(&at) {
                    let ty = self.expr(node, names)?;
                    self.plain(&ty, "VALUES", location(node))?;
                }
            }
        }
        Ok(())
    }
}

/// The rows of the VALUES below.
fn rows(from: &mut [Node]) -> Result<Vec<&mut Vec<Node>>> {
    let [Node { node: Some(NodeEnum::RangeSubselect(sub)) }] = from else { return Err(missing()) };
    let Some(Node { node: Some(NodeEnum::SelectStmt(values)) }) = sub.subquery.as_deref_mut() else {
        return Err(missing());
    };
    let lists = values.values_lists.iter_mut().map(|row| match &mut row.node {
        Some(NodeEnum::List(row)) => Ok(&mut row.items),
        Some(_) | None => Err(missing()),
    });
    lists.collect()
}

/// One column of the VALUES below; its values must be of one kind, as PostgreSQL would else convert some.
fn entries<'f>(from: &'f mut [Node], at: usize, to: &Flow) -> Result<Vec<&'f mut Node>> {
    let mut nodes = Vec::new();
    let mut first = Kind::Null;
    for row in rows(from)? {
        let node = row.get_mut(at).ok_or_else(missing)?;
        let kind = kind(node).ok_or_else(|| computed(to, location(node)))?;
        if first == Kind::Null {
            first = kind;
        } else if kind != Kind::Null && kind != first {
            return Err(mixed(to, location(node)));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

/// Takes the cast off a target, which is for the values below.
fn outer_cast(target: &mut ResTarget) -> Option<TypeName> {
    let value = target.val.as_deref_mut()?;
    let Some(NodeEnum::TypeCast(cast)) = &mut value.node else { return None };
    let (ty, inner) = (cast.type_name.take(), cast.arg.take());
    if let Some(inner) = inner {
        *value = *inner;
    }
    ty
}

/// Gives a bare NULL among cells their type: PostgreSQL would take it for a text.
pub(super) fn type_null(node: &mut Node) {
    if matches!(node.node, Some(NodeEnum::AConst(_))) {
        let cast = TypeCast { arg: Some(Box::new(node.clone())), type_name: Some(bytea()), location: location(node) };
        node.node = Some(NodeEnum::TypeCast(Box::new(cast)));
    }
}

pub(super) fn bytea() -> TypeName {
    let name = |sval: &str| Node { node: Some(NodeEnum::String(pg_query::protobuf::String { sval: sval.to_owned() })) };
    TypeName { names: vec![name("pg_catalog"), name("bytea")], typemod: -1, ..TypeName::default() }
}
