//! Everything that a statement names: relations, functions, operators, parameters, node types.

use std::collections::BTreeSet;

use pg_query::protobuf::Node;

use crate::refusal::{Refusal, Result};
use crate::walk::{Visit, walk};

/// A table reference as written; an empty schema is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) catalog: String,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) location: i64,
}

/// What a statement names, anywhere in it.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) relations: Vec<Named>,
    /// Schema (empty where not written) and name of every function called, every aggregate and window function.
    pub(crate) functions: BTreeSet<(String, String)>,
    pub(crate) operators: BTreeSet<String>,
    pub(crate) parameters: BTreeSet<i64>,
    pub(crate) nodes: BTreeSet<&'static str>,
    pub(crate) ctes: BTreeSet<String>,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    name: &'static str,
    field: &'static str,
    texts: Vec<String>,
    named: Named,
}

impl Census {
    pub(crate) fn of(node: &Node) -> Result<Self> {
        let mut census = Self::default();
        walk(node, &mut census).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(census)
    }

    /// Whether a RangeVar here names something that the statement creates, or an alias.
    fn is_new_or_alias(&self) -> bool {
        let creates = self
            .frames
            .last()
            .is_some_and(|around| matches!((around.name, around.field), ("IntoClause", "rel") | ("ViewStmt", "view")));
        let around = self.frames.len().checked_sub(2).and_then(|at| self.frames.get(at));
        creates || around.is_some_and(|around| (around.name, around.field) == ("LockingClause", "locked_rels"))
    }

    /// The frame around the `Node` that holds the innermost struct, as for the strings of a list.
    fn around(&mut self) -> Option<&mut Frame> {
        let at = self.frames.len().checked_sub(3)?;
        self.frames.get_mut(at)
    }
}

impl Visit for Census {
    fn enter(&mut self, name: &'static str) {
        self.nodes.insert(name);
        self.frames.push(Frame { name, field: "", texts: Vec::new(), named: Named::default() });
    }

    fn field(&mut self, name: &'static str) {
        if let Some(frame) = self.frames.last_mut() {
            frame.field = name;
        }
    }

    fn leave(&mut self) {
        let Some(mut frame) = self.frames.pop() else { return };
        match frame.name {
            "RangeVar" if !self.is_new_or_alias() => self.relations.push(frame.named),
            "FuncCall" => {
                let name = frame.texts.pop().unwrap_or_default();
                let schema = frame.texts.pop().unwrap_or_default();
                self.functions.insert((schema, name));
            }
            "AIndirection" => {
                let names = frame.texts.into_iter().map(|name| (String::new(), name));
                self.functions.extend(names);
            }
            "AExpr" | "SortBy" | "SubLink" => {
                if let Some(name) = frame.texts.pop() {
                    self.operators.insert(name);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let Some(frame) = self.frames.last_mut() else { return };
        match (frame.name, frame.field) {
            ("RangeVar", "catalogname") => frame.named.catalog = text.to_owned(),
            ("RangeVar", "schemaname") => frame.named.schema = text.to_owned(),
            ("RangeVar", "relname") => frame.named.name = text.to_owned(),
            ("CommonTableExpr", "ctename") => drop(self.ctes.insert(text.to_owned())),
            ("String", "sval") => {
                let text = text.to_owned();
                if let Some(around) = self.around()
                    && matches!(
                        (around.name, around.field),
                        ("FuncCall", "funcname")
                            | ("AIndirection", "indirection")
                            | ("AExpr", "name")
                            | ("SortBy", "use_op")
                            | ("SubLink", "oper_name")
                    )
                {
                    around.texts.push(text);
                }
            }
            _ => {}
        }
    }

    fn number(&mut self, number: i64) {
        let Some(frame) = self.frames.last_mut() else { return };
        match (frame.name, frame.field) {
            ("RangeVar", "location") => frame.named.location = number,
            ("ParamRef", "number") => drop(self.parameters.insert(number)),
            _ => {}
        }
    }
}

/// The structs around a place in a tree, outermost first, each with the field that is being visited.
#[derive(Default)]
struct Around(Vec<(&'static str, &'static str)>);

impl Around {
    fn enter(&mut self, name: &'static str) {
        self.0.push((name, ""));
    }

    fn field(&mut self, name: &'static str) {
        if let Some(last) = self.0.last_mut() {
            last.1 = name;
        }
    }

    fn leave(&mut self) {
        self.0.pop();
    }
}

/// A tree as bytes, without the places in the text that its nodes come from: equal trees give equal bytes.
#[derive(Default)]
pub(crate) struct Shape {
    bytes: Vec<u8>,
    /// A type in it has a modifier that is no constant, parameter or name, as in `numeric(f(x))`.
    odd_modifiers: bool,
    around: Around,
    skip: bool,
}

impl Shape {
    pub(crate) fn of(node: &Node) -> Result<Self> {
        let mut shape = Self::default();
        walk(node, &mut shape).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(shape)
    }

    pub(crate) fn has_odd_modifiers(&self) -> bool {
        self.odd_modifiers
    }

    pub(crate) fn is_that_of(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Visit for Shape {
    fn enter(&mut self, name: &'static str) {
        if let [.., ("TypeName", "typmods"), ("Node", _)] = self.around.0.as_slice() {
            self.odd_modifiers |= !matches!(name, "AConst" | "ParamRef" | "ColumnRef");
        }
        self.around.enter(name);
        self.bytes.push(b'(');
        self.text(name);
    }

    fn field(&mut self, name: &'static str) {
        self.around.field(name);
        self.skip = name.ends_with("location")
            || matches!(name, "list_start" | "list_end" | "rexpr_list_start" | "rexpr_list_end" | "stmt_len");
        self.bytes.push(b'.');
    }

    fn leave(&mut self) {
        self.around.leave();
        self.skip = false;
        self.bytes.push(b')');
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(&text.len().to_be_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        if !self.skip {
            self.bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// The last parts of all column references of a tree.
#[derive(Default)]
pub(crate) struct Mentions {
    names: BTreeSet<String>,
    around: Around,
}

impl Mentions {
    pub(crate) fn of(node: &Node) -> Result<BTreeSet<String>> {
        let mut mentions = Self::default();
        walk(node, &mut mentions).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(mentions.names)
    }
}

impl Visit for Mentions {
    fn enter(&mut self, name: &'static str) {
        self.around.enter(name);
    }

    fn field(&mut self, name: &'static str) {
        self.around.field(name);
    }

    fn leave(&mut self) {
        self.around.leave();
    }

    fn text(&mut self, text: &str) {
        if self.around.0.iter().rev().nth(2).is_some_and(|around| around.0 == "ColumnRef") {
            self.names.insert(text.to_owned());
        }
    }

    fn number(&mut self, _: i64) {}
}
