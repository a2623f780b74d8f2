//! WITH, and WITH RECURSIVE: a query that names itself is bound with what its first part gives.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, Node, SetOperation, WithClause};

use super::from::{columns_of, rename};
use super::scope::{Carried, Column, Cte, Held, Scope};
use super::{Binder, unsupported};
use crate::census::Census;
use crate::refusal::{Refusal, Result};
use crate::types::strings;

fn missing() -> Refusal {
    Refusal::internal("WITH without a query")
}

fn cte_name(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::CommonTableExpr(cte)) => Some(cte.ctename.clone()),
        Some(_) | None => None,
    }
}

fn holds_protected(columns: &[Column]) -> bool {
    columns.iter().any(|column| !matches!(column.standing, Held::Plain))
}

fn refused(cte: &CommonTableExpr) -> Refusal {
    Refusal::unsupported(format!(
        "WITH RECURSIVE {} holds protected columns in a way that is not followed",
        cte.ctename
    ))
    .hint(
        "Let both parts of its UNION give the same protected columns, and write each query before those that name it.",
    )
    .at(cte.location)
}

/// The queries of one WITH that a query names.
fn named(cte: &CommonTableExpr, all: &[String]) -> Result<BTreeSet<String>> {
    let census = Census::of(cte.ctequery.as_deref().ok_or_else(missing)?)?;
    let bare = census.relations.into_iter().filter(|named| named.schema.is_empty());
    Ok(bare.map(|named| named.name).filter(|name| all.contains(name)).collect())
}

impl Binder<'_> {
    /// WITH: binds its queries in order, and adds them to the scope's names.
    pub(super) fn with(&mut self, clause: Option<&mut WithClause>, scope: &mut Scope<'_>) -> Result<()> {
        let Some(clause) = clause else { return Ok(()) };
        let all: Vec<String> = clause.ctes.iter().filter_map(cte_name).collect();
        let mut named_before = BTreeSet::new();
        for (at, node) in clause.ctes.iter_mut().enumerate() {
            let Some(NodeEnum::CommonTableExpr(cte)) = &mut node.node else { return Err(unsupported(node, 0)) };
            let (columns, carried) = if clause.recursive {
                let unseen = all.get(at..).unwrap_or_default();
                let names = named(cte, unseen)?;
                let columns = self.recursive(cte, unseen, names.contains(&cte.ctename), scope)?;
                if named_before.contains(&cte.ctename) && holds_protected(&columns) {
                    return Err(refused(cte));
                }
                named_before.extend(names);
                (columns, Vec::new())
            } else {
                self.common(cte, scope)?
            };
            scope.ctes.push(Cte { name: cte.ctename.clone(), columns, opaque: false, carried });
        }
        Ok(())
    }

    fn common(&mut self, cte: &mut CommonTableExpr, scope: &Scope<'_>) -> Result<(Vec<Column>, Vec<Carried>)> {
        let (outputs, carried) = self.derived(cte.ctequery.as_deref_mut().ok_or_else(missing)?, scope)?;
        let mut columns = columns_of(outputs);
        rename(&mut columns, &cte.aliascolnames);
        added(cte, &mut columns)?;
        Ok((columns, carried))
    }

    /// A query that may name itself and those after it; what those give is only guessed, as plain.
    fn recursive(
        &mut self,
        cte: &mut CommonTableExpr,
        unseen: &[String],
        names_itself: bool,
        scope: &Scope<'_>,
    ) -> Result<Vec<Column>> {
        let mut inner = scope.clone();
        let guess = |name: &String| Cte { name: name.clone(), columns: Vec::new(), opaque: true, carried: Vec::new() };
        inner.ctes.extend(unseen.iter().map(guess));
        let first = if names_itself { self.first_part(cte, &inner)? } else { None };
        if let Some(columns) = &first {
            let (name, columns) = (cte.ctename.clone(), columns.clone());
            inner.ctes.push(Cte { name, columns, opaque: false, carried: Vec::new() });
        }
        let (columns, _) = self.common(cte, &inner)?;
        match first {
            Some(first) if !agree(&first, &columns) => Err(refused(cte)),
            None if names_itself && holds_protected(&columns) => Err(refused(cte)),
            Some(_) | None => Ok(columns),
        }
    }

    /// What the part before UNION gives.
    fn first_part(&mut self, cte: &CommonTableExpr, scope: &Scope<'_>) -> Result<Option<Vec<Column>>> {
        let Some(NodeEnum::SelectStmt(select)) = cte.ctequery.as_deref().and_then(|node| node.node.as_ref()) else {
            return Ok(None);
        };
        let Some(left) = select
            .larg
            .clone()
            .filter(|_| select.op == SetOperation::SetopUnion as i32 && select.with_clause.is_none())
        else {
            return Ok(None);
        };
        // Bound aside: the whole query is bound after it, with its own slots.
        let mut aside = Binder::new(self.env);
        let outputs = aside.query(&mut Node { node: Some(NodeEnum::SelectStmt(left)) }, Some(scope))?;
        let mut columns = columns_of(outputs);
        rename(&mut columns, &cte.aliascolnames);
        added(cte, &mut columns)?;
        Ok(Some(columns))
    }
}

/// What was taken for the first part holds for the whole.
fn agree(first: &[Column], whole: &[Column]) -> bool {
    first.len() == whole.len()
        && first.iter().zip(whole).all(|(first, whole)| match (&first.standing, &whole.standing) {
            (Held::Plain, Held::Plain) => true,
            (Held::Protected(a), Held::Protected(b)) => {
                a.column.id == b.column.id && a.ty == b.ty && a.origins == b.origins
            }
            (Held::Plain | Held::Protected(_) | Held::Barred(_), _) => false,
        })
}

/// The columns that SEARCH and CYCLE add; they are made of other columns, which must be plain.
fn added(cte: &CommonTableExpr, columns: &mut Vec<Column>) -> Result<()> {
    let search = cte.search_clause.as_ref();
    let cycle = cte.cycle_clause.as_deref();
    let used = search.map_or(&[][..], |clause| &clause.search_col_list);
    let used = used.iter().chain(cycle.map_or(&[][..], |clause| &clause.cycle_col_list));
    for name in strings(&used.cloned().collect::<Vec<_>>()) {
        let plain = |column: &&Column| column.name == name && !matches!(column.standing, Held::Plain);
        if columns.iter().any(|column| plain(&column)) {
            return Err(Refusal::unsupported(format!(
                "SEARCH and CYCLE are not possible by the protected column {name}"
            ))
            .hint("Search by a plain column.")
            .at(cte.location));
        }
    }
    let names = search.map(|clause| &clause.search_seq_column).into_iter();
    let names =
        names.chain(cycle.into_iter().flat_map(|clause| [&clause.cycle_mark_column, &clause.cycle_path_column]));
    columns.extend(names.map(|name| Column { name: name.clone(), standing: Held::Plain }));
    Ok(())
}
