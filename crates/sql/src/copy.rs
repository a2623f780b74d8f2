//! COPY of tables and queries with protected columns.
//!
//! The processor gets the client's statement in the client's own format; only what concerns protected columns is taken
//! out of its options, because the gateway does that itself.

use drieslot_schema::{ColumnId, Protected};
use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, DefElem, Node, SelectStmt, String as PgString, a_const::Val};

use crate::bind;
use crate::catalog::Relation;
use crate::env::{Env, Standing};
use crate::parse;
use crate::refusal::{Refusal, Result};
use crate::statement::{CopyField, CopyFormat, CopyPlan, ResultColumn, Rewritten, Slot, Typed, Use};
use crate::subjects::{SubjectColumn, Subjects, Without};
use crate::template::{Piece, Template};
use crate::types::strings;

/// Plans COPY … FROM STDIN and COPY … TO STDOUT of a table; the caller knows that it is bound.
pub(crate) fn table(env: &Env<'_>, copy: &mut CopyStmt, relation: &Relation) -> Result<CopyPlan> {
    let names = if copy.attlist.is_empty() {
        relation.columns.iter().map(|column| column.name.clone()).collect()
    } else {
        strings(&copy.attlist).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut fields = Vec::with_capacity(names.len());
    for name in &names {
        let protected = standing(env, relation, name)?;
        fields.push(CopyField::new(name.clone(), protected.map(|column| Typed { ty: column.ty, column })));
    }
    copy.attlist = names.into_iter().map(|sval| Node { node: Some(NodeEnum::String(PgString { sval })) }).collect();
    let used = if copy.is_from { Use::Write } else { Use::Read };
    let protected = fields.iter().filter_map(|field| field.protected.as_ref().map(|typed| &typed.column));
    let mut uses: Vec<(ColumnId, Use)> = protected.map(|column| (column.id.clone(), used)).collect();
    uses.sort();
    uses.dedup();
    if let Some(range) = &mut copy.relation {
        relation.id.schema.clone_into(&mut range.schemaname);
    }
    if copy.where_clause.is_some() {
        check_where(env, copy)?;
    }
    let mut plan = CopyPlan::new(relation.id.clone(), fields, uses);
    let all: Vec<_> = relation.columns.iter().map(|column| column.name.as_str()).collect();
    options(copy, &all, &mut plan)?;
    if !copy.is_from && !plan.uses.is_empty() {
        subject(env, copy, relation, &mut plan);
    }
    plan.template = Template { pieces: vec![Piece::Text(deparse(copy)?)] };
    Ok(plan)
}

/// Notes whom the rows of a table are about; its subject is read with them where it is not among the columns.
fn subject(env: &Env<'_>, copy: &mut CopyStmt, relation: &Relation, plan: &mut CopyPlan) {
    let Some(subject) = env.table(&relation.id).and_then(|table| table.subject.as_ref()) else {
        plan.subjects = Subjects::without(Without::NoSubjectColumn);
        return;
    };
    let found = relation.columns.iter().find(|column| column.name == subject.column).and_then(|column| {
        match env.standing(relation, column) {
            Standing::Protected(protected) => Some((protected.ty, Some(Typed { ty: protected.ty, column: protected }))),
            Standing::Plain => Some((bind::plain_type(column.type_oid)?, None)),
            Standing::Barred(_) => None,
        }
    });
    let Some((ty, protected)) = found else {
        plan.subjects = Subjects::without(Without::Subquery);
        return;
    };
    let shown = plan.fields.iter().position(|field| field.name == subject.column);
    let at = shown.unwrap_or(plan.fields.len());
    if shown.is_none() {
        let name = Node { node: Some(NodeEnum::String(PgString { sval: subject.column.clone() })) };
        copy.attlist.push(name);
        let column = protected.clone().map_or(ResultColumn::Plain, ResultColumn::Protected);
        plan.subjects.hidden.push(column);
        plan.fields.push(CopyField::new(subject.column.clone(), protected));
    }
    plan.subjects.columns.push(SubjectColumn { at, realm: subject.realm.clone(), ty });
}

/// Plans COPY (query) TO STDOUT; the caller knows that it touches a bound table.
pub(crate) fn query(env: &Env<'_>, copy: &mut CopyStmt) -> Result<CopyPlan> {
    const STAND_IN: &str = "COPY (SELECT 1)";
    let node = copy.query.as_deref_mut().ok_or_else(|| Refusal::internal("a COPY without its query"))?;
    let (rewritten, names) = bind::bind_named(env, node)?;
    let Rewritten { template, slots, searches, client_parameters, columns, subjects, uses, tables, .. } = rewritten;
    if let Some(number) = (!client_parameters.is_empty()).then_some(client_parameters.len()) {
        return Err(Refusal::new("42P02", format!("there is no parameter ${number}")));
    }
    if columns.is_empty() {
        return Err(Refusal::new("0A000", "COPY query must have a RETURNING clause"));
    }
    let table = tables.first().cloned().ok_or_else(|| Refusal::internal("a COPY of no table"))?;
    let fields = names.into_iter().zip(columns).map(|(name, column)| CopyField::new(name, column.protected().cloned()));
    let mut plan = CopyPlan::new(table, fields.collect(), uses);
    plan.slots = slots;
    plan.searches = searches;
    copy.query = Some(Box::new(one()?));
    options(copy, &[], &mut plan)?;
    let hidden = subjects.hidden.iter().map(|column| CopyField::new(String::new(), column.protected().cloned()));
    plan.fields.extend(hidden);
    plan.subjects = subjects;
    let text = deparse(copy)?;
    let end = text.strip_prefix(STAND_IN).ok_or_else(|| Refusal::internal("a COPY is written in another way"))?;
    plan.template.pieces.push(Piece::Text("COPY (".to_owned()));
    plan.template.pieces.extend(template.pieces);
    plan.template.pieces.push(Piece::Text(format!("){end}")));
    Ok(plan)
}

fn one() -> Result<Node> {
    let tree = parse::parse("SELECT 1")?;
    let statement = tree.stmts.into_iter().next().and_then(|raw| raw.stmt);
    statement.map(|node| *node).ok_or_else(|| Refusal::internal("a statement without its tree"))
}

fn deparse(copy: &CopyStmt) -> Result<String> {
    parse::deparse(&Node { node: Some(NodeEnum::CopyStmt(Box::new(copy.clone()))) })
}

fn standing(env: &Env<'_>, relation: &Relation, name: &str) -> Result<Option<Protected>> {
    let column = relation.columns.iter().find(|column| column.name == name).ok_or_else(|| {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.id.table);
        Refusal::new("42703", message).stale()
    })?;
    match env.standing(relation, column) {
        Standing::Plain => Ok(None),
        Standing::Protected(protected) => Ok(Some(protected)),
        Standing::Barred(refusal) => Err(*refusal),
    }
}

/// COPY … FROM … WHERE may ask what it likes of plain columns.
fn check_where(env: &Env<'_>, copy: &CopyStmt) -> Result<()> {
    let from = copy.relation.clone().map(|range| Node { node: Some(NodeEnum::RangeVar(range)) });
    let SelectStmt { target_list, op, limit_option, .. } = match one()?.node {
        Some(NodeEnum::SelectStmt(select)) => *select,
        Some(_) | None => return Err(Refusal::internal("a SELECT that is none")),
    };
    let select = SelectStmt {
        target_list,
        op,
        limit_option,
        from_clause: from.into_iter().collect(),
        where_clause: copy.where_clause.clone(),
        ..SelectStmt::default()
    };
    let mut node = Node { node: Some(NodeEnum::SelectStmt(Box::new(select))) };
    let rewritten = bind::bind(env, &mut node)?;
    let Some((column, _)) = rewritten.uses.first() else { return Ok(()) };
    Err(Refusal::unsupported(format!("COPY … WHERE is not possible on the protected column {column}"))
        .hint("Copy everything, or filter before sending.")
        .column(column))
}

/// Reads the options in the order in which PostgreSQL's defaults depend on each other, and takes out of the
/// processor's what the gateway does.
fn options(copy: &mut CopyStmt, all: &[&str], plan: &mut CopyPlan) -> Result<()> {
    let found: Vec<DefElem> = copy
        .options
        .iter()
        .map(|node| match &node.node {
            Some(NodeEnum::DefElem(option)) => Ok((**option).clone()),
            Some(_) | None => Err(Refusal::internal("a COPY option")),
        })
        .collect::<Result<_>>()?;
    let get = |name: &str| found.iter().find(|option| option.defname == name);
    if let Some(option) = get("format") {
        plan.format = match text(option).as_deref() {
            Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            _ => return Err(Refusal::new("22023", "COPY format not recognized")),
        };
    }
    if plan.format == CopyFormat::Csv {
        plan.delimiter = b',';
        plan.null.clear();
    }
    if let Some(option) = get("quote") {
        plan.quote = byte(option)?;
    }
    plan.escape = plan.quote;
    for option in &found {
        read(option, all, plan)?;
    }
    check_cells(plan)?;
    copy.options = found.into_iter().filter_map(|option| kept(option, plan)).collect();
    Ok(())
}

fn read(option: &DefElem, all: &[&str], plan: &mut CopyPlan) -> Result<()> {
    let name = option.defname.as_str();
    match name {
        "format" | "quote" | "freeze" => {}
        "delimiter" => plan.delimiter = byte(option)?,
        "null" => plan.null = text(option).ok_or_else(|| Refusal::internal("a COPY option"))?,
        "default" => plan.default = text(option),
        "escape" => plan.escape = byte(option)?,
        "header" => {
            plan.header = match text(option).as_deref() {
                None | Some("true" | "on" | "1" | "match") => true,
                Some("false" | "off" | "0") => false,
                Some(_) => return Err(Refusal::unsupported("this COPY HEADER is not supported")),
            };
        }
        "force_quote" => each(option, all, plan, |field| field.force_quote = true)?,
        // From version 17 on it means all columns.
        "force_null" | "force_not_null" if is_star(option) => {
            return Err(Refusal::unsupported(format!(
                "COPY option {name} * is not supported on a table with protected columns"
            ))
            .hint("Name the columns."));
        }
        "force_null" => each(option, all, plan, |field| field.force_null = true)?,
        "force_not_null" => each(option, all, plan, |field| field.force_not_null = true)?,
        "encoding" => {
            if !text(option).is_some_and(|name| matches!(name.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8")) {
                return Err(Refusal::unsupported("COPY with an ENCODING other than UTF8 is not supported")
                    .hint("Use ENCODING 'UTF8'."));
            }
        }
        "on_error" if text(option).as_deref() == Some("stop") => {}
        _ => {
            return Err(Refusal::unsupported(format!(
                "COPY option {name} is not supported on a table with protected columns"
            ))
            .hint("Leave the option out."));
        }
    }
    Ok(())
}

/// Cells are written without quotes or escapes: nothing in the options may make their digits mean something else.
fn check_cells(plan: &CopyPlan) -> Result<()> {
    let in_cell = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'\\' | b'x');
    let like_cell = |text: &str| text.contains("\\x");
    let refuse = |what: &str| {
        Refusal::unsupported(format!("this COPY {what} is not supported on a table with protected columns"))
            .hint("Use another one: cells are written as \\x and hexadecimal digits.")
    };
    if plan.format == CopyFormat::Csv && in_cell(plan.delimiter) {
        return Err(refuse("DELIMITER"));
    }
    if plan.format == CopyFormat::Csv && in_cell(plan.quote) {
        return Err(refuse("QUOTE"));
    }
    if like_cell(&plan.null) || plan.default.as_deref().is_some_and(like_cell) {
        return Err(refuse("NULL or DEFAULT"));
    }
    Ok(())
}

/// Sets something of the fields that a FORCE_… option names; `all` are the columns that the table has.
fn each(option: &DefElem, all: &[&str], plan: &mut CopyPlan, set: impl Fn(&mut CopyField)) -> Result<()> {
    match option.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
        Some(NodeEnum::AStar(_)) => plan.fields.iter_mut().for_each(set),
        Some(NodeEnum::List(list)) => {
            for name in strings(&list.items) {
                let field = plan.fields.iter_mut().find(|field| field.name == name);
                let missing = || match all.contains(&name) {
                    true => {
                        let option = option.defname.to_uppercase();
                        Refusal::new("42P10", format!("{option} column \"{name}\" not referenced by COPY"))
                    }
                    false => Refusal::new("42703", format!("column \"{name}\" does not exist")),
                };
                set(field.ok_or_else(missing)?);
            }
        }
        Some(_) | None => {
            return Err(Refusal::new(
                "42601",
                format!("argument to option \"{}\" must be a list of column names", option.defname),
            ));
        }
    }
    Ok(())
}

fn is_star(option: &DefElem) -> bool {
    matches!(option.arg.as_deref(), Some(Node { node: Some(NodeEnum::AStar(_)) }))
}

/// The option as the processor gets it.
fn kept(mut option: DefElem, plan: &CopyPlan) -> Option<Node> {
    let names = match option.defname.as_str() {
        // HEADER in the old syntax comes as true, and is written without a value.
        "header" if text(&option).as_deref() == Some("true") => {
            option.arg = None;
            None
        }
        "force_quote" => Some(plain_names(plan, |field| field.force_quote)),
        "force_null" => Some(plain_names(plan, |field| field.force_null)),
        "force_not_null" => Some(plain_names(plan, |field| field.force_not_null)),
        _ => None,
    };
    if let Some(items) = names {
        if items.is_empty() {
            return None;
        }
        let list = NodeEnum::List(pg_query::protobuf::List { items });
        option.arg = Some(Box::new(Node { node: Some(list) }));
    }
    Some(Node { node: Some(NodeEnum::DefElem(Box::new(option))) })
}

fn plain_names(plan: &CopyPlan, forced: impl Fn(&CopyField) -> bool) -> Vec<Node> {
    let plain = plan.fields.iter().filter(|field| field.protected.is_none() && forced(field));
    plain.map(|field| Node { node: Some(NodeEnum::String(PgString { sval: field.name.clone() })) }).collect()
}

impl CopyField {
    fn new(name: String, protected: Option<Typed>) -> Self {
        Self { name, protected, force_quote: false, force_null: false, force_not_null: false }
    }
}

impl CopyPlan {
    fn new(table: drieslot_schema::TableId, fields: Vec<CopyField>, uses: Vec<(ColumnId, Use)>) -> Self {
        Self {
            table,
            fields,
            subjects: Subjects::default(),
            format: CopyFormat::Text,
            delimiter: b'\t',
            null: "\\N".to_owned(),
            default: None,
            header: false,
            quote: b'"',
            escape: b'"',
            uses,
            template: Template { pieces: Vec::new() },
            slots: Vec::<Slot>::new(),
            searches: Vec::new(),
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is an option's text")]
fn text(option: &DefElem) -> Option<String> {
    match option.arg.as_deref()?.node.as_ref()? {
        NodeEnum::String(string) => Some(string.sval.clone()),
        NodeEnum::Boolean(boolean) => Some(boolean.boolval.to_string()),
        NodeEnum::Integer(integer) => Some(integer.ival.to_string()),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            Val::Sval(value) => Some(value.sval.clone()),
            Val::Ival(value) => Some(value.ival.to_string()),
            Val::Fval(_) | Val::Boolval(_) | Val::Bsval(_) => None,
        },
        _ => None,
    }
}

fn byte(option: &DefElem) -> Result<u8> {
    match text(option).unwrap_or_default().as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(Refusal::new("0A000", "a COPY delimiter, quote and escape must be a single one-byte character")),
    }
}
