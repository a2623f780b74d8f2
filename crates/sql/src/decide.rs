//! The decision over one statement: pass, rewrite or refuse.

use std::sync::Arc;

use drieslot_schema::{ColumnId, TableId, Unlisted};
use pg_query::NodeEnum;
use pg_query::protobuf::{DiscardMode, Node, TransactionStmtKind};

use crate::census::{Census, Named};
use crate::env::{Env, Place, is_system_schema, no_relation, unlisted_table};
use crate::plan::is_query;
use crate::refusal::{Refusal, Result};
use crate::statement::{Command, Effects, Kind, PassProof, Statement};
use crate::{bind, copy, ddl, explain, named, settings};

/// What is done with one statement.
pub(crate) struct Decision {
    pub(crate) kind: Kind,
    pub(crate) command: Command,
    pub(crate) effects: Effects,
    pub(crate) depends_on_session: bool,
    pub(crate) defines: Option<Arc<Statement>>,
    pub(crate) of: Option<Arc<Statement>>,
}

impl Decision {
    pub(crate) fn pass(command: Command) -> Self {
        let effects = Effects { ddl: command == Command::Ddl, ..Effects::default() };
        let kind = Kind::Pass(PassProof(()));
        Self { kind, command, effects, depends_on_session: false, defines: None, of: None }
    }

    pub(crate) fn with(self, effects: Effects) -> Self {
        Self { effects, ..self }
    }

    /// It runs what a name of the session stands for.
    pub(crate) fn runs(self, of: Option<Arc<Statement>>) -> Self {
        Self { depends_on_session: true, of, ..self }
    }

    /// It gives a name to what was decided over its query.
    pub(crate) fn defines(self, query: Self) -> Self {
        let statement = Statement {
            kind: query.kind,
            command: query.command,
            source: 0..0,
            effects: query.effects,
            fingerprint: String::new(),
            administers: None,
            defines: None,
            of: None,
            depends_on_session: false,
        };
        Self { defines: Some(Arc::new(statement)), ..self }
    }

    pub(crate) fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// Decides, and rewrites the tree where it must be.
pub(crate) fn decide(env: &Env<'_>, node: &mut Node) -> Result<Decision> {
    if let Some(decision) = explain::report(env, node)? {
        return Ok(decision);
    }
    let protects = env.protects();
    let census = Census::of(node)?;
    if let Some(decision) = session_statement(env, node, &census, protects)? {
        return Ok(decision);
    }
    let command = command(node);
    if !protects {
        return Ok(named::unprotected(node, decision_of(node, command, &census)));
    }
    check_names(env, &census)?;
    if is_query(node) {
        return query(env, node, &census, command);
    }
    if let Some(NodeEnum::CopyStmt(copy)) = &mut node.node {
        return copy_statement(env, copy, &census);
    }
    if let Some(decision) = explain::bound(env, node, &census)? {
        return Ok(decision);
    }
    utility(env, node, &census, command)
}

fn decision_of(node: &Node, command: Command, census: &Census) -> Decision {
    let decision = Decision::pass(command);
    let mut effects = decision.effects.clone();
    effects.ddl |=
        census.nodes.contains("IntoClause") || matches!(node.node, Some(NodeEnum::DoStmt(_) | NodeEnum::CallStmt(_)));
    effects.search_path |= effects.ddl;
    decision.with(effects)
}

/// Statements about the session and its transaction, which name no table.
fn session_statement(env: &Env<'_>, node: &Node, census: &Census, protects: bool) -> Result<Option<Decision>> {
    let sets_config = census.functions.iter().any(|(_, name)| name == "set_config");
    Ok(Some(match &node.node {
        Some(NodeEnum::VariableSetStmt(set)) => own(Command::Set, settings::set(set, protects)?),
        Some(NodeEnum::SelectStmt(select)) if sets_config => {
            own(Command::Select, settings::set_config(select, protects)?)
        }
        _ if sets_config => {
            return Err(Refusal::denied("set_config() is allowed only by itself, with literals").hint("Write SET."));
        }
        // Its rule sets the setting.
        _ if census.nodes.contains("UpdateStmt")
            && census.relations.iter().any(|named| named.name == "pg_settings") =>
        {
            return Err(Refusal::denied("settings are not changed through pg_settings").hint("Write SET."));
        }
        Some(NodeEnum::TransactionStmt(transaction)) => {
            Decision::pass(transaction_command(transaction.kind, protects)?)
        }
        Some(NodeEnum::VariableShowStmt(_)) => Decision::pass(Command::Show),
        Some(NodeEnum::DiscardStmt(discard)) => {
            let all = discard.target == DiscardMode::DiscardAll as i32;
            let effects = Effects { ddl: true, search_path: true, resets_own: all, ..Effects::default() };
            Decision::pass(if all { Command::DiscardAll } else { Command::Other }).with(effects)
        }
        Some(NodeEnum::DeallocateStmt(deallocate)) => {
            let name = Some(deallocate.name.clone()).filter(|_| !deallocate.isall && !deallocate.name.is_empty());
            Decision::pass(Command::Deallocate { name })
        }
        Some(NodeEnum::ClosePortalStmt(close)) => {
            let name = Some(close.portalname.clone()).filter(|name| !name.is_empty());
            Decision::pass(Command::Close { name })
        }
        Some(NodeEnum::FetchStmt(fetch)) => {
            let fetch = fetch.clone();
            named::fetch(env, &fetch, node, protects)?
        }
        Some(
            NodeEnum::ListenStmt(_) | NodeEnum::UnlistenStmt(_) | NodeEnum::NotifyStmt(_) | NodeEnum::CheckPointStmt(_),
        ) => Decision::pass(Command::Other),
        Some(NodeEnum::ConstraintsSetStmt(_)) => Decision::pass(Command::Set),
        _ => return Ok(None),
    }))
}

/// What is sent in place of a setting of the gateway's own has the same command tag, and fails where the original would.
fn own(command: Command, effects: Effects) -> Decision {
    let decision = Decision::pass(command.clone());
    let Some(own) = &effects.own else { return decision.with(effects) };
    let text = match (command == Command::Select, &own.value, own.local) {
        (true, _, _) => "SELECT ''::pg_catalog.text AS set_config",
        (false, None, false) => "RESET drieslot.placeholder",
        (false, None, true) => "SET LOCAL drieslot.placeholder TO DEFAULT",
        (false, Some(_), false) => "SET drieslot.placeholder = ''",
        (false, Some(_), true) => "SET LOCAL drieslot.placeholder = ''",
    };
    // Nothing that was told of a person stays in the cache of plans.
    Decision {
        kind: Kind::Reworded(text.to_owned(), PassProof(())),
        depends_on_session: true,
        ..decision.with(effects)
    }
}

fn transaction_command(kind: i32, protects: bool) -> Result<Command> {
    Ok(match TransactionStmtKind::try_from(kind).unwrap_or(TransactionStmtKind::Undefined) {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => Command::Begin,
        TransactionStmtKind::TransStmtCommit => Command::Commit,
        TransactionStmtKind::TransStmtRollback => Command::Rollback,
        TransactionStmtKind::TransStmtSavepoint => Command::Savepoint,
        TransactionStmtKind::TransStmtRelease => Command::Release,
        TransactionStmtKind::TransStmtRollbackTo => Command::RollbackTo,
        TransactionStmtKind::TransStmtPrepare
        | TransactionStmtKind::TransStmtCommitPrepared
        | TransactionStmtKind::TransStmtRollbackPrepared
        | TransactionStmtKind::Undefined => {
            if protects {
                return Err(Refusal::unsupported("two-phase commit is not supported beside protected columns"));
            }
            Command::Other
        }
    })
}

/// What a statement is.
pub(crate) fn command(node: &Node) -> Command {
    match &node.node {
        Some(NodeEnum::SelectStmt(_)) => Command::Select,
        Some(NodeEnum::InsertStmt(_)) => Command::Insert,
        Some(NodeEnum::UpdateStmt(_)) => Command::Update,
        Some(NodeEnum::DeleteStmt(_)) => Command::Delete,
        Some(NodeEnum::MergeStmt(_)) => Command::Merge,
        Some(NodeEnum::CopyStmt(_)) => Command::Copy,
        Some(NodeEnum::PrepareStmt(prepare)) => Command::Prepare { name: prepare.name.clone() },
        Some(NodeEnum::ExecuteStmt(execute)) => Command::Execute { name: execute.name.clone() },
        Some(NodeEnum::DeclareCursorStmt(declare)) => {
            Command::Declare { name: declare.portalname.clone(), hold: named::is_hold(declare) }
        }
        Some(
            NodeEnum::ExplainStmt(_)
            | NodeEnum::LockStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::DoStmt(_)
            | NodeEnum::CallStmt(_)
            | NodeEnum::LoadStmt(_),
        ) => Command::Other,
        Some(_) | None => Command::Ddl,
    }
}

/// Functions that run a text as a query, read or write files, or keep values outside tables.
fn is_dangerous(name: &str) -> bool {
    const PREFIXES: [&str; 11] = [
        "query_to_xml",
        "table_to_xml",
        "schema_to_xml",
        "database_to_xml",
        "cursor_to_xml",
        "lo_",
        "pg_read_",
        "pg_logical_",
        "dblink",
        "pg_file_",
        "pg_ls_",
    ];
    const NAMES: [&str; 12] = [
        "ts_stat",
        "ts_rewrite",
        "loread",
        "lowrite",
        "xpath_table",
        "crosstab",
        "connectby",
        "pg_switch_wal",
        "currtid2",
        "pg_stat_file",
        "pg_export_snapshot",
        "pg_create_logical_replication_slot",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// Functions and operators that could do anything.
pub(crate) fn check_names(env: &Env<'_>, census: &Census) -> Result<()> {
    for (schema, name) in &census.functions {
        if (schema.as_str(), name.as_str()) == bind::WORDS {
            continue;
        }
        if is_dangerous(name) {
            return Err(Refusal::denied(format!("function {name}() is not allowed where columns are protected"))
                .detail("It may read or write values in a way that cannot be seen from the statement."));
        }
        let built_in_schema = schema == "pg_catalog" || schema == "information_schema";
        if env.catalog.has_user_function(name) && !built_in_schema {
            return Err(Refusal::denied(format!("function {name}() may be one of the database's own"))
                .detail("What such a function does with protected columns cannot be seen from the statement.")
                .hint(format!("Write pg_catalog.{name}() where PostgreSQL's own is meant.")));
        }
        if !schema.is_empty() && !built_in_schema {
            return Err(Refusal::denied(format!("function {schema}.{name}() is not PostgreSQL's own"))
                .detail("What such a function does with protected columns cannot be seen from the statement."));
        }
    }
    for name in &census.operators {
        if env.catalog.has_user_operator(name) {
            return Err(Refusal::denied(format!("operator {name} may be one of the database's own"))
                .detail("What such an operator does with protected columns cannot be seen from the statement."));
        }
    }
    Ok(())
}

/// The relations that a statement names: whether one of them is bound.
pub(crate) struct Touched {
    pub(crate) bound: Option<TableId>,
    pub(crate) column: Option<ColumnId>,
}

/// Resolves every relation of a census. `may_lack` lets a name pass that no relation has and that cannot be protected.
pub(crate) fn touched(env: &Env<'_>, census: &Census, may_lack: bool) -> Result<Touched> {
    let mut touched = Touched { bound: None, column: None };
    for named in &census.relations {
        let cte = named.schema.is_empty() && census.ctes.contains(&named.name);
        let Some(relation) = env.find(named)? else {
            if cte || (is_system_schema(&named.schema) && !named.schema.is_empty()) {
                continue;
            }
            if may_lack && !env.could_be_protected(named) && env.classification.unlisted_tables() == Unlisted::Plain {
                continue;
            }
            return Err(no_relation(named));
        };
        let at = i32::try_from(named.location).unwrap_or(0);
        match env.place(&relation) {
            Place::System | Place::Plain => {}
            Place::Bound => {
                let table = env.table(&relation.id);
                touched.column = table.and_then(|table| {
                    table.columns.values().find_map(|column| column.protected.as_ref().map(|p| p.id.clone()))
                });
                touched.bound = Some(relation.id.clone());
            }
            Place::View | Place::Unlisted if cte => touched.bound = touched.bound.or(Some(relation.id.clone())),
            Place::View => {
                let viewed = bind::viewed(env, &relation).map_err(|refusal| refusal.at(at))?;
                if viewed.is_bound() {
                    touched.column = viewed.protected().next().map(|(_, flow)| flow.column.id.clone());
                    touched.bound = Some(relation.id.clone());
                }
            }
            Place::Unlisted => return Err(unlisted_table(&relation.id).at(at)),
        }
    }
    Ok(touched)
}

pub(crate) fn query(env: &Env<'_>, node: &mut Node, census: &Census, command: Command) -> Result<Decision> {
    check_target(env, census, node)?;
    let touched = touched(env, census, false)?;
    if touched.bound.is_none() {
        if census.nodes.contains("IntoClause") {
            return ddl::create_table_as(env, node).map(|()| decision_of(node, command, census));
        }
        return Ok(decision_of(node, command, census));
    };
    let rewritten = bind::bind(env, node)?;
    Ok(Decision::pass(command).kind(Kind::Rewritten(Box::new(rewritten))))
}

/// PostgreSQL's own tables are not changed by hand where columns are protected.
pub(crate) fn check_target(env: &Env<'_>, census: &Census, node: &Node) -> Result<()> {
    let target = match &node.node {
        Some(NodeEnum::InsertStmt(insert)) => insert.relation.as_ref(),
        Some(NodeEnum::UpdateStmt(update)) => update.relation.as_ref(),
        Some(NodeEnum::DeleteStmt(delete)) => delete.relation.as_ref(),
        Some(NodeEnum::MergeStmt(merge)) => merge.relation.as_ref(),
        Some(_) | None => None,
    };
    let changes =
        ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"].iter().any(|name| census.nodes.contains(name));
    if !changes {
        return Ok(());
    }
    let refuse = || Refusal::denied("PostgreSQL's own tables are not changed where columns are protected");
    if target.is_some_and(|range| is_system_schema(&range.schemaname)) {
        return Err(refuse());
    }
    if let Some(range) = target {
        let named = Named {
            catalog: range.catalogname.clone(),
            schema: range.schemaname.clone(),
            name: range.relname.clone(),
            location: i64::from(range.location),
        };
        if env.find(&named)?.is_some_and(|relation| is_system_schema(&relation.id.schema)) {
            return Err(refuse());
        }
    } else if census.relations.iter().any(|named| named.name == "pg_settings") {
        return Err(refuse());
    }
    Ok(())
}

fn refused(table: &TableId, column: Option<ColumnId>, what: &str) -> Refusal {
    let mut refusal =
        Refusal::unsupported(format!("{what} is not supported over {table}, which has protected columns"));
    refusal.column = column;
    refusal
}

fn copy_statement(env: &Env<'_>, copy: &mut pg_query::protobuf::CopyStmt, census: &Census) -> Result<Decision> {
    let touched = touched(env, census, false)?;
    if copy.is_program || !copy.filename.is_empty() {
        return Err(Refusal::denied(
            "COPY with a file or a program of the processor is not allowed where columns are protected",
        )
        .hint("Use COPY … FROM STDIN or TO STDOUT."));
    }
    let decision = Decision::pass(Command::Copy);
    let Some(table) = touched.bound else { return Ok(decision) };
    if copy.query.is_some() {
        let plan = Box::new(copy::query(env, copy)?);
        return Ok(decision.kind(Kind::CopyOut(plan)));
    }
    let relation =
        env.catalog.relation(&table).cloned().ok_or_else(|| Refusal::internal("a table that was just there"))?;
    if relation.is_view() {
        return Err(refused(&table, touched.column, "COPY").hint("SELECT from the view."));
    }
    let is_from = copy.is_from;
    let plan = Box::new(copy::table(env, copy, &relation)?);
    Ok(decision.kind(if is_from { Kind::CopyIn(plan) } else { Kind::CopyOut(plan) }))
}

/// Everything that is neither a query nor COPY.
fn utility(env: &Env<'_>, node: &mut Node, census: &Census, command: Command) -> Result<Decision> {
    let name = match &node.node {
        Some(NodeEnum::ExplainStmt(_)) => "EXPLAIN",
        Some(NodeEnum::PrepareStmt(_)) => return named::prepare(env, node, command),
        Some(NodeEnum::DeclareCursorStmt(_)) => return named::declare(env, node, command),
        Some(NodeEnum::ExecuteStmt(_)) => {
            if let Some(table) = touched(env, census, false)?.bound {
                return Err(refused(&table, None, "EXECUTE"));
            }
            return named::execute(env, node, command);
        }
        Some(NodeEnum::DoStmt(_) | NodeEnum::CallStmt(_) | NodeEnum::LoadStmt(_)) => {
            return Err(Refusal::denied("DO, CALL and LOAD are not allowed where columns are protected")
                .detail("What they do with protected columns cannot be seen from the statement.")
                .hint("Send the statements that they run, each by itself and with parameters."));
        }
        Some(_) | None => return ddl::decide(env, node, census, command),
    };
    let touched = touched(env, census, false)?;
    if let Some(table) = touched.bound {
        return Err(refused(&table, touched.column, name).hint("Run the query itself."));
    }
    Ok(decision_of(node, command, census))
}
