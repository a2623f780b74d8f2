//! Which entries are looked for.

use std::borrow::Cow;

use drieslot_journal::{JournalError, entry};
use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::de::IgnoredAny;

use crate::body::{Actor, Body, EndUser};

/// What is asked of an entry. Of each list one must fit, where it is not empty; all that is asked must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Database roles.
    pub principal: Vec<String>,
    /// Names of end users.
    pub end_user: Vec<String>,
    /// Columns: `schema.table.column`, or its end.
    pub column: Vec<String>,
    /// Tables: `schema.table`, or its end.
    pub table: Vec<String>,
    /// Purposes of looks.
    pub purpose: Vec<String>,
    /// Ids of mandates that looks rest on.
    pub mandate: Vec<String>,
    /// Sessions.
    pub session: Vec<String>,
    /// Kinds of entries. Outcomes are part of their look, and entries of their own only where they are asked for here.
    pub kind: Vec<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only what was refused: statements, shares.
    pub refused: bool,
}

/// A filter, ready for many entries: strings that must occur in an entry's bytes are looked for before it is parsed.
pub(crate) struct Sieve<'a> {
    filter: &'a Filter,
    needles: Vec<Vec<Finder<'static>>>,
}

/// What an entry says of itself that a filter may ask for.
struct Facts<'a> {
    actor: Option<Whose<'a>>,
    columns: Vec<&'a str>,
    purpose: Option<&'a str>,
    mandates: Vec<&'a str>,
    refused: bool,
}

struct Whose<'a> {
    principal: &'a str,
    end_user: Option<&'a str>,
    session: &'a str,
}

impl<'a> Whose<'a> {
    fn new(principal: &'a str, end_user: Option<&'a EndUser>, session: &'a str) -> Self {
        Self { principal, end_user: end_user.map(|person| person.name.as_str()), session }
    }
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(filter: &'a Filter) -> Self {
        // As a JSON string: a column or table may be the end of what is written, with the quote or the dot after it.
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        let end = |text: &String, after: char| {
            let quoted = quoted(text);
            let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
            format!("{inner}{after}")
        };
        let finders = |texts: &[String], needle: &dyn Fn(&String) -> String| {
            let found: Vec<_> = texts.iter().map(|text| Finder::new(needle(text).as_bytes()).into_owned()).collect();
            (!found.is_empty()).then_some(found)
        };
        let whole = [&filter.principal, &filter.end_user, &filter.purpose, &filter.mandate, &filter.session];
        let mut needles: Vec<_> = whole.into_iter().filter_map(|texts| finders(texts, &quoted)).collect();
        needles.extend(finders(&filter.column, &|text| end(text, '"')));
        needles.extend(finders(&filter.table, &|text| end(text, '.')));
        Self { filter, needles }
    }

    /// Whether these bytes need parsing at all.
    pub(crate) fn may_fit(&self, kind: &str, bytes: &[u8]) -> bool {
        let kinds = &self.filter.kind;
        let wanted = if kinds.is_empty() { kind != "outcome" } else { kinds.iter().any(|one| one == kind) };
        wanted && self.needles.iter().all(|any| any.iter().any(|needle| needle.find(bytes).is_some()))
    }

    /// Whether an entry is looked for.
    pub(crate) fn fits(&self, time: Timestamp, body: &Body) -> bool {
        let filter = self.filter;
        if filter.since.is_some_and(|since| time < since) || filter.until.is_some_and(|until| time >= until) {
            return false;
        }
        let facts = Facts::of(body);
        let one_of = |wanted: &[String], found: Option<&str>| {
            wanted.is_empty() || found.is_some_and(|found| wanted.iter().any(|one| one == found))
        };
        let actor = facts.actor.as_ref();
        one_of(&filter.principal, actor.map(|actor| actor.principal))
            && one_of(&filter.end_user, actor.and_then(|actor| actor.end_user))
            && one_of(&filter.session, actor.map(|actor| actor.session))
            && one_of(&filter.purpose, facts.purpose)
            && (filter.mandate.is_empty() || facts.mandates.iter().any(|id| one_of(&filter.mandate, Some(id))))
            && self.touches(&facts.columns)
            && (!filter.refused || facts.refused)
    }

    fn touches(&self, columns: &[&str]) -> bool {
        let ends = |whole: &str, wanted: &str| {
            whole.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let (asked_columns, asked_tables) = (&self.filter.column, &self.filter.table);
        if asked_columns.is_empty() && asked_tables.is_empty() {
            return true;
        }
        columns.iter().any(|column| {
            let table = column.rsplit_once('.').map_or("", |(table, _)| table);
            (asked_columns.is_empty() || asked_columns.iter().any(|wanted| ends(column, wanted)))
                && (asked_tables.is_empty() || asked_tables.iter().any(|wanted| ends(table, wanted)))
        })
    }
}

impl<'a> Facts<'a> {
    fn of(body: &'a Body) -> Self {
        let empty = || Self { actor: None, columns: Vec::new(), purpose: None, mandates: Vec::new(), refused: false };
        let by = |actor: &'a Actor| Some(Whose::new(&actor.principal, actor.end_user.as_ref(), &actor.session));
        match body {
            Body::Intent(intent) => Self {
                actor: Some(Whose::new(&intent.principal, intent.end_user.as_ref(), &intent.session)),
                columns: intent.columns.iter().map(|touched| touched.column.as_str()).collect(),
                purpose: Some(&intent.purpose),
                mandates: intent.mandates.iter().map(String::as_str).collect(),
                refused: false,
            },
            Body::Definition(definition) => Self { actor: by(&definition.actor), ..empty() },
            Body::Refused(refused) => Self { actor: by(&refused.actor), refused: true, ..empty() },
            Body::Alarm(alarm) => Self { actor: by(&alarm.actor), columns: vec![&alarm.column], ..empty() },
            Body::Firewall(judged) => {
                Self { actor: by(&judged.actor), refused: judged.outcome == "refused", ..empty() }
            }
            Body::Asked(asked) => Self { refused: asked.outcome == "refused", ..empty() },
            Body::Outcome(_) | Body::Other => empty(),
        }
    }
}

/// An entry's kind, without parsing it where it is written as the gateway writes it.
pub(crate) fn kind(bytes: &[u8]) -> Result<Cow<'_, str>, JournalError> {
    let quick = bytes.strip_prefix(br#"{"v":1,"kind":""#).and_then(|rest| {
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        (rest.get(end) == Some(&b'"')).then(|| rest.get(..end))?
    });
    match quick.and_then(|kind| std::str::from_utf8(kind).ok()) {
        Some(kind) => Ok(Cow::Borrowed(kind)),
        None => entry::decode_as::<IgnoredAny>(bytes).map(|entry| Cow::Owned(entry.kind)),
    }
}
