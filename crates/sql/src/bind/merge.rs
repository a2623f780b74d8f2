//! MERGE: which value goes to which column, in every WHEN.

use pg_query::NodeEnum;
use pg_query::protobuf::{CmdType, MergeMatchKind, MergeStmt, MergeWhenClause, Node};

use super::dml::{held, insert_targets, missing};
use super::scope::{Held, Item, Scope};
use super::{Binder, Output, unsupported};
use crate::refusal::{Refusal, Result};
use crate::statement::Use;

/// What a WHEN gives to the columns of the table.
fn taken<'n>(when: &'n mut MergeWhenClause, item: &Item) -> Result<Vec<(&'n mut Node, Held)>> {
    if when.command_type != CmdType::CmdInsert as i32 {
        return super::sources::assignments(&mut when.target_list, item);
    }
    let targets = insert_targets(item, &when.target_list)?;
    when.values.iter_mut().zip(targets).map(|(node, to)| Ok((node, held(item, to)?.clone()))).collect()
}

impl Binder<'_> {
    pub(super) fn merge(&mut self, merge: &mut MergeStmt, outer: Option<&Scope<'_>>) -> Result<Vec<Output>> {
        let mut names = Scope { parent: outer, ..Scope::default() };
        let outermost = std::mem::take(&mut self.outermost);
        self.with(merge.with_clause.as_mut(), &mut names)?;
        let item = self.target_table(merge.relation.as_mut())?;
        let source = merge.source_relation.as_deref_mut().ok_or_else(missing)?;
        let from = self.items_of(std::slice::from_mut(source), &names)?;
        let mut items: Vec<Item> = std::iter::once(item.clone()).chain(from).collect();
        let mut assigned = Vec::new();
        for node in &mut merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &mut node.node else { continue };
            assigned.extend(taken(when, &item)?);
        }
        let conditions: Vec<&Node> = merge.join_condition.as_deref().into_iter().collect();
        self.lists_of_values(std::slice::from_mut(source), &mut items, &mut assigned, &conditions, &names)?;
        let from = items.split_off(1);
        let at = |items: Vec<Item>| Scope { items, ctes: Vec::new(), parent: Some(&names) };
        let both = at(std::iter::once(item.clone()).chain(from.iter().cloned()).collect());
        let (target_only, source_only) = (at(vec![item.clone()]), at(from));
        self.condition(merge.join_condition.as_deref_mut().ok_or_else(missing)?, &both)?;
        for node in &mut merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &mut node.node else { return Err(unsupported(node, 0)) };
            let scope = match MergeMatchKind::try_from(when.match_kind).unwrap_or(MergeMatchKind::Undefined) {
                MergeMatchKind::MergeWhenMatched => &both,
                MergeMatchKind::MergeWhenNotMatchedBySource => &target_only,
                MergeMatchKind::MergeWhenNotMatchedByTarget => &source_only,
                MergeMatchKind::Undefined => return Err(missing()),
            };
            self.when(when, &item, scope)?;
        }
        if merge.returning_clause.is_none() {
            if outermost {
                self.note_merged();
            }
            return Ok(Vec::new());
        }
        self.returning(&mut merge.returning_clause, &both, outermost, |_| true)
    }

    fn when(&mut self, when: &mut MergeWhenClause, item: &Item, scope: &Scope<'_>) -> Result<()> {
        if let Some(condition) = when.condition.as_deref_mut() {
            self.condition(condition, scope)?;
        }
        match CmdType::try_from(when.command_type).unwrap_or(CmdType::Undefined) {
            CmdType::CmdUpdate => self.assignments(&mut when.target_list, item, scope),
            CmdType::CmdInsert => self.insert_one(&when.target_list, &mut when.values, item, scope),
            CmdType::CmdDelete => {
                self.deleted(item);
                Ok(())
            }
            CmdType::CmdNothing => Ok(()),
            CmdType::Undefined | CmdType::CmdUnknown | CmdType::CmdSelect | CmdType::CmdMerge | CmdType::CmdUtility => {
                Err(missing())
            }
        }
    }

    fn insert_one(&mut self, cols: &[Node], values: &mut [Node], item: &Item, scope: &Scope<'_>) -> Result<()> {
        let targets = insert_targets(item, cols)?;
        if values.len() > targets.len() || (!cols.is_empty() && values.len() < targets.len()) {
            return Err(Refusal::new("42601", "INSERT has another number of expressions than of target columns"));
        }
        for (node, target) in values.iter_mut().zip(targets) {
            self.assign(node, item, target, scope)?;
        }
        Ok(())
    }

    /// Every protected value of a row goes.
    pub(super) fn deleted(&mut self, item: &Item) {
        for column in &item.columns {
            if let Held::Protected(flow) = &column.standing {
                self.mark(flow, Use::Write);
            }
        }
    }
}
