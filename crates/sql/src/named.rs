//! PREPARE and EXECUTE, DECLARE and FETCH: statements that give a name to a query, and those that run it.

use pg_query::NodeEnum;
use pg_query::protobuf::{DeclareCursorStmt, FetchStmt, Node, PrepareStmt, String as PgString, TypeName};

use crate::bind;
use crate::census::Census;
use crate::decide::{self, Decision};
use crate::env::Env;
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::statement::{ClientParameter, Command, Kind, PassProof, Rewritten, SearchPart, ServerParameter, Slot, Use};
use crate::subjects::Subjects;
use crate::template::{Piece, Template};

/// As PostgreSQL's `parsenodes.h` numbers them.
const BINARY: i32 = 0x1;
const HOLD: i32 = 0x20;
/// What stands in a text for the query that is written by itself.
const STAND_IN: &str = "SELECT 1";

pub(crate) fn is_hold(declare: &DeclareCursorStmt) -> bool {
    declare.options & HOLD != 0
}

/// Where nothing is protected, a name still stands for something that passes.
pub(crate) fn unprotected(node: &Node, decision: Decision) -> Decision {
    let query = match &node.node {
        Some(NodeEnum::PrepareStmt(prepare)) => prepare.query.as_deref(),
        Some(NodeEnum::DeclareCursorStmt(declare)) => declare.query.as_deref(),
        Some(_) | None => None,
    };
    match query {
        Some(query) => decision.defines(Decision::pass(decide::command(query))),
        None => decision,
    }
}

fn inner(env: &Env<'_>, query: Option<&mut Node>) -> Result<Decision> {
    let node = query.ok_or_else(|| Refusal::internal("a name for no query"))?;
    let census = Census::of(node)?;
    let command = decide::command(node);
    decide::query(env, node, &census, command)
}

/// The statement's text around its query, which stands at its end.
fn around(node: &Node) -> Result<String> {
    let text = parse::deparse(node)?;
    let before = text.strip_suffix(STAND_IN).ok_or_else(|| Refusal::internal("a query is written in another way"))?;
    Ok(before.to_owned())
}

fn stand_in() -> Result<Option<Box<Node>>> {
    let statement = parse::parse(STAND_IN)?.stmts.into_iter().next();
    Ok(statement.and_then(|raw| raw.stmt))
}

/// PREPARE name (types) AS query. The processor's statement takes cells where the client's takes protected values.
pub(crate) fn prepare(env: &Env<'_>, node: &mut Node, command: Command) -> Result<Decision> {
    let Some(NodeEnum::PrepareStmt(prepare)) = &mut node.node else { return Err(Refusal::internal("no PREPARE")) };
    let query = inner(env, prepare.query.as_deref_mut())?;
    let Kind::Rewritten(rewritten) = &query.kind else { return Ok(Decision::pass(command).defines(query)) };
    prepare.argtypes = types(env, prepare, rewritten)?;
    prepare.query = stand_in()?;
    let text = around(node)? + &rewritten.template.with_parameters();
    Ok(Decision::pass(command).kind(Kind::Reworded(text, PassProof(()))).defines(query))
}

/// The types of the processor's parameters.
fn types(env: &Env<'_>, prepare: &PrepareStmt, rewritten: &Rewritten) -> Result<Vec<Node>> {
    if prepare.argtypes.len() > rewritten.client_parameters.len() {
        return Err(Refusal::unsupported("PREPARE declares parameters that its query does not use"));
    }
    for (declared, parameter) in prepare.argtypes.iter().zip(&rewritten.client_parameters) {
        let (ClientParameter::Protected(typed) | ClientParameter::Protecteds(typed)) = parameter else { continue };
        let Some(NodeEnum::TypeName(name)) = &declared.node else { return Err(Refusal::internal("a type")) };
        let one = match parameter {
            ClientParameter::Protecteds(_) => bind::element(name),
            ClientParameter::Protected(_) | ClientParameter::Plain(_) | ClientParameter::Unused => Some(name.clone()),
        };
        let same = one.as_ref().and_then(|ty| env.logical(ty));
        let same = same.is_some_and(|ty| ty == typed.ty || (ty.oid() != 0 && ty.oid() == typed.ty.oid()));
        let unknown = name.names.last().is_some_and(|name| crate::types::string(name) == Some("unknown"));
        if !same && !unknown {
            return Err(Refusal::unsupported("PREPARE declares another type than the protected column's")
                .hint(format!("Declare it as {}, or leave the types out.", typed.ty))
                .column(&typed.column.id));
        }
    }
    let of = |parameter: &ServerParameter| match parameter {
        ServerParameter::Slot(slot) => match rewritten.slots.get(*slot) {
            Some(Slot::Cell(_)) | None => named_type("bytea"),
            Some(Slot::Cells(_) | Slot::Search { part: SearchPart::Matching | SearchPart::Others, .. }) => {
                named_type("_bytea")
            }
            Some(Slot::Search { part: SearchPart::Tokens, .. }) => named_type("_text"),
            Some(Slot::Search { part: SearchPart::Everything, .. }) => named_type("bool"),
        },
        ServerParameter::Client(number) => {
            let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
            prepare.argtypes.get(index).cloned().unwrap_or_else(|| named_type("unknown"))
        }
    };
    Ok(rewritten.parameters.iter().map(of).collect())
}

fn named_type(name: &str) -> Node {
    let names =
        ["pg_catalog", name].map(|part| Node { node: Some(NodeEnum::String(PgString { sval: part.to_owned() })) });
    let ty = TypeName { names: names.into(), typemod: -1, ..TypeName::default() };
    Node { node: Some(NodeEnum::TypeName(ty)) }
}

/// DECLARE … CURSOR FOR query.
pub(crate) fn declare(env: &Env<'_>, node: &mut Node, command: Command) -> Result<Decision> {
    let Some(NodeEnum::DeclareCursorStmt(declare)) = &mut node.node else {
        return Err(Refusal::internal("no DECLARE"));
    };
    let binary = declare.options & BINARY != 0;
    let query = inner(env, declare.query.as_deref_mut())?;
    let Kind::Rewritten(rewritten) = &query.kind else { return Ok(Decision::pass(command).defines(query)) };
    if binary {
        return Err(Refusal::unsupported("a BINARY cursor over protected columns is not supported")
            .hint("Leave out BINARY, and FETCH in the extended protocol with binary results."));
    }
    declare.query = stand_in()?;
    let mut pieces = vec![Piece::Text(around(node)?)];
    pieces.extend(rewritten.template.pieces.iter().cloned());
    let template = Template { pieces };
    let own = Rewritten { template, columns: Vec::new(), subjects: Subjects::default(), ..(**rewritten).clone() };
    Ok(Decision::pass(command).kind(Kind::Rewritten(Box::new(own))).defines(query))
}

/// EXECUTE name (values).
pub(crate) fn execute(env: &Env<'_>, node: &mut Node, command: Command) -> Result<Decision> {
    let Some(NodeEnum::ExecuteStmt(execute)) = &node.node else { return Err(Refusal::internal("no EXECUTE")) };
    let name = execute.name.clone();
    let Some(statement) = env.prepared.get(&name) else {
        return Err(Refusal::new("26000", format!("prepared statement \"{name}\" does not exist")));
    };
    let decision =
        Decision::pass(command).with(statement.effects.clone()).runs(Some(std::sync::Arc::clone(&statement)));
    match &statement.kind {
        Kind::Pass(_) | Kind::Reworded(..) => Ok(decision),
        // Only the protocol prepares COPY.
        Kind::CopyIn(_) | Kind::CopyOut(_) => {
            Err(Refusal::unsupported("EXECUTE of a COPY of protected columns is not supported")
                .hint("Send the COPY itself, or bind the prepared statement in the protocol."))
        }
        Kind::Rewritten(prepared) => {
            let rewritten = bind::execute(env, node, prepared)?;
            Ok(decision.kind(Kind::Rewritten(Box::new(rewritten))))
        }
    }
}

/// FETCH and MOVE. MOVE shows nothing.
pub(crate) fn fetch(env: &Env<'_>, fetch: &FetchStmt, node: &Node, protects: bool) -> Result<Decision> {
    let name = fetch.portalname.clone();
    let command = Command::Fetch { name: name.clone() };
    let found = env.cursors.get(&name);
    if found.is_none() && protects {
        return Err(Refusal::new("34000", format!("cursor \"{name}\" does not exist")));
    }
    let decision = Decision::pass(command).runs(found.clone());
    let Some(Kind::Rewritten(cursor)) = found.as_ref().map(|statement| &statement.kind) else { return Ok(decision) };
    if fetch.ismove {
        return Ok(decision);
    }
    let mut uses: Vec<_> = cursor.uses.iter().filter(|(_, used)| *used == Use::Read).cloned().collect();
    if uses.is_empty() {
        // Rows without a protected value are about persons too, and so a look.
        uses.clone_from(&cursor.uses);
    }
    let rewritten = Rewritten {
        template: Template { pieces: vec![Piece::Text(parse::deparse(node)?)] },
        slots: Vec::<Slot>::new(),
        searches: Vec::new(),
        parameters: Vec::new(),
        client_parameters: Vec::new(),
        columns: cursor.columns.clone(),
        subjects: cursor.subjects.clone(),
        uses,
        tables: cursor.tables.clone(),
    };
    Ok(decision.kind(Kind::Rewritten(Box::new(rewritten))))
}
