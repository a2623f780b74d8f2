//! SET and its kin: which settings the gateway rests on, and so refuses to see changed.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, VariableSetKind, VariableSetStmt, a_const::Val};

use crate::refusal::{Refusal, Result};
use crate::statement::{Effects, Own, OwnName};
use crate::types::strings;

/// What a SET does to the session, or why it is refused.
pub(crate) fn set(statement: &VariableSetStmt, protects: bool) -> Result<Effects> {
    let kind = VariableSetKind::try_from(statement.kind).unwrap_or(VariableSetKind::Undefined);
    let name = statement.name.to_ascii_lowercase();
    let value = statement.args.iter().map(argument).collect::<Option<Vec<_>>>().map(|values| values.join(", "));
    if let Some(name) = OwnName::read(&name) {
        let name = name.ok_or_else(not_own)?;
        let value = match kind {
            VariableSetKind::VarSetValue => {
                let text = statement.args.first().filter(|_| statement.args.len() == 1).and_then(argument);
                Some(text.ok_or_else(not_a_text)?)
            }
            VariableSetKind::VarSetDefault | VariableSetKind::VarReset => None,
            VariableSetKind::VarSetCurrent
            | VariableSetKind::VarSetMulti
            | VariableSetKind::VarResetAll
            | VariableSetKind::Undefined => return Err(Refusal::unsupported("SET … FROM CURRENT is not supported")),
        };
        let own = Own { name, value, local: statement.is_local };
        return Ok(Effects { own: Some(own), ..Effects::default() });
    }
    match kind {
        VariableSetKind::VarSetValue => {
            check(&name, value.as_deref(), protects)?;
            let search_path = moves_search_path(&name);
            Ok(Effects { search_path, set: Some((name, value)), ..Effects::default() })
        }
        VariableSetKind::VarSetDefault | VariableSetKind::VarReset => {
            let search_path = moves_search_path(&name);
            Ok(Effects { search_path, set: Some((name, None)), ..Effects::default() })
        }
        VariableSetKind::VarResetAll => Ok(Effects { search_path: true, resets_own: true, ..Effects::default() }),
        VariableSetKind::VarSetMulti => Ok(Effects::default()),
        VariableSetKind::VarSetCurrent | VariableSetKind::Undefined => {
            Err(Refusal::unsupported("SET … FROM CURRENT is not supported"))
        }
    }
}

fn not_own() -> Refusal {
    Refusal::new("42704", "unrecognized configuration parameter: Drieslot has no setting of this name")
        .hint("There are drieslot.end_user, drieslot.user_token and drieslot.purpose.")
}

fn not_a_text() -> Refusal {
    Refusal::denied("a setting of Drieslot is set to one literal").hint("Write SET drieslot.user_token = '…'.")
}

/// `"$user"` in the search path stands for the role that acts.
fn moves_search_path(name: &str) -> bool {
    matches!(name, "search_path" | "role" | "session_authorization")
}

fn argument(node: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return None };
    match constant.val.as_ref()? {
        Val::Sval(value) => Some(value.sval.clone()),
        Val::Ival(value) => Some(value.ival.to_string()),
        Val::Fval(value) => Some(value.fval.clone()),
        Val::Boolval(value) => Some(value.boolval.to_string()),
        Val::Bsval(_) => None,
    }
}

fn refuse(name: &str, why: &str) -> Refusal {
    Refusal::denied(format!("setting {name} to this value is not allowed")).detail(why)
}

/// The settings that decide how statements and values are read.
fn check(name: &str, value: Option<&str>, protects: bool) -> Result<()> {
    let value = value.unwrap_or_default().to_ascii_lowercase();
    match name {
        "standard_conforming_strings" if protects && !is_on(&value) => {
            Err(refuse(name, "Backslashes would then mean something else to PostgreSQL than to Drieslot."))
        }
        "client_encoding" if !matches!(value.as_str(), "utf8" | "utf-8" | "unicode") => {
            Err(refuse(name, "Drieslot reads and writes values in UTF-8.").hint("SET client_encoding = UTF8."))
        }
        "bytea_output" if protects && value != "hex" => {
            Err(refuse(name, "Drieslot reads cells in hex form.").hint("SET bytea_output = hex."))
        }
        "array_nulls" if protects && !is_on(&value) => {
            Err(refuse(name, "Drieslot reads NULL in a protected array as NULL.").hint("SET array_nulls = on."))
        }
        "extra_float_digits" if protects && value.trim().parse::<i32>().is_ok_and(|digits| digits < 1) => {
            Err(refuse(name, "Drieslot writes protected numbers with all their digits.")
                .hint("SET extra_float_digits = 1."))
        }
        "role" | "session_authorization" if protects => {
            Err(refuse(name, "The trace would name another than the one who acts.").hint("Connect as the other role."))
        }
        _ => Ok(()),
    }
}

fn is_on(value: &str) -> bool {
    matches!(value, "on" | "true" | "tru" | "tr" | "t" | "yes" | "ye" | "y" | "1")
}

/// Settings of the planner that drivers change for a while.
const HARMLESS: [&str; 2] = ["jit", "application_name"];

/// `SELECT set_config('name', 'value', local)`, with `current_setting('name')` beside it or not: the only form of
/// `set_config` that is understood.
pub(crate) fn set_config(select: &SelectStmt, protects: bool) -> Result<Effects> {
    let unclear = || {
        Refusal::denied("set_config() is allowed only by itself, with literals")
            .hint("Write SELECT set_config('name', 'value', false), or SET.")
    };
    let bare = SelectStmt { target_list: Vec::new(), ..select.clone() };
    let op = bare.op;
    if bare != (SelectStmt { op, limit_option: bare.limit_option, ..SelectStmt::default() }) {
        return Err(unclear());
    }
    let mut found = None;
    for node in &select.target_list {
        let call = match &node.node {
            Some(NodeEnum::ResTarget(target)) => target.val.as_deref().and_then(|node| node.node.as_ref()),
            Some(_) | None => None,
        };
        let Some(NodeEnum::FuncCall(call)) = call else { return Err(unclear()) };
        let names = strings(&call.funcname);
        let name = match names.as_slice() {
            [name] | ["pg_catalog", name] => Some(name),
            _ => None,
        };
        match (name, call.args.as_slice()) {
            (Some(&"set_config"), [name, value, local]) if found.is_none() => {
                found = Some((name, value, local));
            }
            (Some(&"current_setting"), args) if args.iter().all(|arg| argument(arg).is_some()) => {}
            _ => return Err(unclear()),
        }
    }
    let Some((name, value, local)) = found else { return Err(unclear()) };
    let Some(name) = argument(name).map(|name| name.to_ascii_lowercase()) else { return Err(unclear()) };
    if let Some(own) = OwnName::read(&name) {
        let is_local = argument(local).map(|word| word.to_ascii_lowercase());
        let local = is_local.as_deref().is_some_and(is_on);
        let settled = is_local.is_some() && select.target_list.len() == 1;
        let value = argument(value).filter(|_| settled).ok_or_else(|| {
            Refusal::denied("set_config() of a setting of Drieslot is allowed only by itself, with literals")
                .hint("Write SELECT set_config('drieslot.user_token', '…', true), or SET LOCAL.")
        })?;
        let own = Own { name: own.ok_or_else(not_own)?, value: Some(value), local };
        return Ok(Effects { own: Some(own), ..Effects::default() });
    }
    let Some(value) = argument(value) else {
        let parameter = matches!(value.node, Some(NodeEnum::ParamRef(_)));
        // A driver that puts back what it had changed; nothing here rests on such a setting.
        return if parameter && HARMLESS.contains(&name.as_str()) { Ok(Effects::default()) } else { Err(unclear()) };
    };
    check(&name, Some(&value), protects)?;
    let search_path = moves_search_path(&name);
    Ok(Effects { search_path, set: Some((name, Some(value))), ..Effects::default() })
}
