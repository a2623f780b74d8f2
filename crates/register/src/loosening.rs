//! Whether a classification gives up any protection, or makes stored data unreadable.

use drieslot_schema::{Classification, Column, Table, Unlisted};

/// `None` where the new classification only tightens; else the first thing that it gives up.
pub(crate) fn loosened(old: &Classification, new: &Classification) -> Option<String> {
    if unlisted_loosened(old.unlisted_tables(), new.unlisted_tables()) {
        return Some("tables that are not listed become plain".into());
    }
    old.tables().find_map(|table| match new.table(&table.id) {
        Some(now) => table_loosened(table, now),
        None => Some(format!("table {} is no longer listed", table.id)),
    })
}

fn table_loosened(old: &Table, new: &Table) -> Option<String> {
    if unlisted_loosened(old.unlisted_columns, new.unlisted_columns) {
        return Some(format!("columns of {} that are not listed become plain", old.id));
    }
    if old.subject != new.subject {
        return Some(format!("the subject of {} changes", old.id));
    }
    old.columns.values().find_map(|column| match new.columns.get(&column.name) {
        Some(now) => column_loosened(column, now).map(|why| format!("{}.{} {why}", old.id, column.name)),
        None => Some(format!("{}.{} is no longer listed", old.id, column.name)),
    })
}

fn column_loosened(old: &Column, new: &Column) -> Option<&'static str> {
    if new.class < old.class {
        return Some("gets a lower class");
    }
    match (&old.protected, &new.protected) {
        (None, _) => None,
        (Some(_), None) => Some("loses its protection"),
        (Some(before), Some(after)) => {
            (before != after).then_some("changes its type, protection or domain, so that stored cells no longer open")
        }
    }
}

fn unlisted_loosened(old: Unlisted, new: Unlisted) -> bool {
    (old, new) == (Unlisted::Refuse, Unlisted::Plain)
}
