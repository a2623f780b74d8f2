//! CREATE INDEX.

use pg_query::NodeEnum;
use pg_query::protobuf::IndexStmt;

use super::{column, name_of, protected, unmentioned};
use crate::env::{Env, Place, no_relation, unlisted_table};
use crate::refusal::{Refusal, Result};

pub(super) fn check(env: &Env<'_>, index: &IndexStmt) -> Result<()> {
    let range = index.relation.as_ref().ok_or_else(|| Refusal::internal("an index on nothing"))?;
    let named = name_of(range);
    let relation = env.find(&named)?.ok_or_else(|| no_relation(&named))?;
    let id = &relation.id;
    match env.place(&relation) {
        Place::Unlisted => return Err(unlisted_table(id).at(range.location)),
        Place::System | Place::Plain | Place::View => return Ok(()),
        Place::Bound => {}
    }
    unmentioned(env, id, index.where_clause.as_deref(), "an index's condition")?;
    for node in &index.index_params {
        let Some(NodeEnum::IndexElem(elem)) = &node.node else { return Err(Refusal::internal("an index's column")) };
        unmentioned(env, id, elem.expr.as_deref(), "an index's expression")?;
        let Some(column) = protected(env, id, &elem.name) else { continue };
        column::key(column, "an index")?;
        let refuse = |what: &str| {
            Refusal::unsupported(format!("{what} is not possible in an index on the protected column {}", column.id))
                .hint("Leave it out: cells are indexed as bytes.")
                .column(&column.id)
        };
        if !elem.opclass.is_empty() || !elem.collation.is_empty() {
            return Err(refuse("an operator class or COLLATE"));
        }
        if !matches!(index.access_method.as_str(), "" | "btree" | "hash") {
            return Err(refuse("this access method"));
        }
    }
    Ok(())
}
