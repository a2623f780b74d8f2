//! Expressions: what each gives, and what it may do with protected values.

use drieslot_schema::LogicalType;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExpr, BoolExprType, CaseExpr, ColumnRef, Node, SubLink, SubLinkType, a_const::Val,
};

use super::scope::Scope;
use super::select::location;
use super::value::{Meeting, cast_of, is_untyped, is_value, retypes};
use super::{Binder, Flow, Need, Ty, not_allowed, unsupported};
use crate::refusal::{Refusal, Result};
use crate::types::{common, is_builtin, is_text, loosened, string, strings};

/// A flow beside a literal keeps no type modifier.
pub(super) fn beside(flow: Flow) -> Flow {
    Flow { ty: loosened(flow.ty), ..flow }
}

/// A flow that operators have seen: PostgreSQL has none of varchar, and takes it for a text.
fn as_operand(flow: Flow) -> Flow {
    let ty = if is_text(flow.ty) { LogicalType::Text } else { flow.ty };
    Flow { ty, ..flow }
}

/// An operand and what it gives.
pub(super) type Side<'e> = (&'e mut Node, Ty);

fn missing() -> Refusal {
    Refusal::internal("an expression without its operand")
}

impl Binder<'_> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not listed is refused")]
    pub(super) fn expr(&mut self, node: &mut Node, scope: &Scope<'_>) -> Result<Ty> {
        respell_truth(node);
        self.respell_enum(node);
        if is_value(node) {
            return self.value_type(node);
        }
        match &mut node.node {
            Some(NodeEnum::ColumnRef(column)) => column_ref(column, scope),
            Some(
                NodeEnum::AConst(_)
                | NodeEnum::SetToDefault(_)
                | NodeEnum::SqlvalueFunction(_)
                | NodeEnum::MergeSupportFunc(_),
            ) => Ok(Ty::Plain),
            Some(NodeEnum::AExpr(expr)) => {
                let kind = AExprKind::try_from(expr.kind).unwrap_or(AExprKind::Undefined);
                if let Some(search) = self.search(kind, expr, scope)? {
                    *node = search;
                    return Ok(Ty::Plain);
                }
                self.operator(kind, expr, scope)
            }
            Some(NodeEnum::FuncCall(_)) => self.call(node, scope),
            Some(NodeEnum::SubLink(link)) => self.sublink(link, scope),
            Some(NodeEnum::CaseExpr(case)) => self.case(case, scope),
            Some(NodeEnum::CoalesceExpr(expr)) => {
                let mut nodes: Vec<&mut Node> = expr.args.iter_mut().collect();
                self.unified(&mut nodes, scope)
            }
            Some(NodeEnum::BoolExpr(expr)) => {
                for arg in &mut expr.args {
                    self.condition(arg, scope)?;
                }
                flatten(expr);
                Ok(Ty::Plain)
            }
            Some(NodeEnum::NullTest(test)) => self.null_test(test.arg.as_deref_mut(), scope),
            Some(NodeEnum::MinMaxExpr(expr)) => {
                let at = expr.location;
                let mut nodes: Vec<&mut Node> = expr.args.iter_mut().collect();
                let ty = self.unified(&mut nodes, scope)?;
                if let Ty::Protected(flow) = &ty {
                    self.sorted(flow, "GREATEST or LEAST", at)?;
                }
                Ok(ty)
            }
            _ => self.plain_operands(node, scope),
        }
    }

    /// Expressions none of whose operands may be protected.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not listed is refused")]
    fn plain_operands(&mut self, node: &mut Node, scope: &Scope<'_>) -> Result<Ty> {
        match &mut node.node {
            Some(NodeEnum::TypeCast(cast)) => {
                let (at, arg) = (cast.location, cast.arg.as_deref_mut());
                let spelled = cast.type_name.as_ref().map(crate::types::spelled).unwrap_or_default();
                self.all_plain(arg.into_iter(), scope, &format!("a cast to {spelled}"), at)
            }
            Some(NodeEnum::BooleanTest(test)) => {
                self.all_plain(test.arg.as_deref_mut().into_iter(), scope, "IS TRUE and the like", test.location)
            }
            Some(NodeEnum::CollateClause(collate)) => {
                self.all_plain(collate.arg.as_deref_mut().into_iter(), scope, "COLLATE", collate.location)
            }
            Some(NodeEnum::AArrayExpr(array)) => {
                self.all_plain(array.elements.iter_mut(), scope, "an array", array.location)
            }
            Some(NodeEnum::RowExpr(row)) => {
                self.all_plain(row.args.iter_mut(), scope, "a row constructor", row.location)
            }
            Some(NodeEnum::GroupingFunc(call)) => {
                for arg in &mut call.args {
                    self.expr(arg, scope)?;
                }
                Ok(Ty::Plain)
            }
            Some(NodeEnum::NamedArgExpr(arg)) => {
                self.all_plain(arg.arg.as_deref_mut().into_iter(), scope, "a function's argument", arg.location)
            }
            Some(NodeEnum::AIndirection(_)) => self.indirection(node, scope),
            _ => Err(unsupported(node, location(node))),
        }
    }

    /// A cast to an enum, with the full name of the type, by which it is known from here on.
    fn respell_enum(&self, node: &mut Node) {
        let Some(NodeEnum::TypeCast(cast)) = &mut node.node else { return };
        let Some(ty) = &mut cast.type_name else { return };
        if let (1, Some(LogicalType::Enum(name))) = (ty.names.len(), self.env.logical(ty)) {
            let part = |sval: &str| {
                let sval = sval.to_owned();
                Node { node: Some(NodeEnum::String(pg_query::protobuf::String { sval })) }
            };
            ty.names = vec![part(name.schema()), part(name.name())];
        }
    }

    fn null_test(&mut self, arg: Option<&mut Node>, scope: &Scope<'_>) -> Result<Ty> {
        if let Ty::Protected(flow) = self.expr(arg.ok_or_else(missing)?, scope)? {
            self.mark(&flow, crate::statement::Use::Search);
        }
        Ok(Ty::Plain)
    }

    /// A literal or parameter; a cast around it must be to a type of PostgreSQL's own.
    fn value_type(&self, node: &Node) -> Result<Ty> {
        Ok(if self.casts_to_user_type(node) { Ty::Plain } else { Ty::Value })
    }

    fn casts_to_user_type(&self, node: &Node) -> bool {
        match &node.node {
            Some(NodeEnum::TypeCast(cast)) => {
                let names = cast.type_name.as_ref().map(|ty| strings(&ty.names)).unwrap_or_default();
                let own = matches!(names.as_slice(), [name] if self.env.catalog.has_user_type(name));
                own || cast.arg.as_deref().is_some_and(|arg| self.casts_to_user_type(arg))
            }
            Some(NodeEnum::AArrayExpr(array)) => array.elements.iter().any(|node| self.casts_to_user_type(node)),
            Some(_) | None => false,
        }
    }

    fn indirection(&mut self, node: &mut Node, scope: &Scope<'_>) -> Result<Ty> {
        let Some(NodeEnum::AIndirection(indirection)) = &mut node.node else { return Err(missing()) };
        for part in &mut indirection.indirection {
            match &mut part.node {
                Some(NodeEnum::AIndices(indices)) => {
                    let bounds = [indices.lidx.as_deref_mut(), indices.uidx.as_deref_mut()];
                    self.all_plain(bounds.into_iter().flatten(), scope, "a subscript", 0)?;
                }
                Some(_) | None => return Err(unsupported(part, 0)),
            }
        }
        self.all_plain(indirection.arg.as_deref_mut().into_iter(), scope, "a subscript", 0)
    }

    /// Operands none of which may be protected.
    pub(super) fn all_plain<'n>(
        &mut self,
        nodes: impl Iterator<Item = &'n mut Node>,
        scope: &Scope<'_>,
        what: &str,
        at: i32,
    ) -> Result<Ty> {
        for node in nodes {
            let ty = self.expr(node, scope)?;
            self.plain(&ty, what, at)?;
        }
        Ok(Ty::Plain)
    }

    /// An expression that stands where a condition is wanted.
    pub(super) fn condition(&mut self, node: &mut Node, scope: &Scope<'_>) -> Result<()> {
        if let Ty::Protected(flow) = self.expr(node, scope)? {
            let refusal = not_allowed(&flow, "use as a condition", location(node));
            let boolean = flow.column.ty == LogicalType::Bool;
            return Err(if boolean { refusal.hint("Write `= true` or `= false`; it needs `exact`.") } else { refusal });
        }
        Ok(())
    }

    fn operator(&mut self, kind: AExprKind, expr: &mut AExpr, scope: &Scope<'_>) -> Result<Ty> {
        match (kind, self.need_of(expr)) {
            (AExprKind::AexprOp, Some(need)) if expr.lexpr.is_some() => self.comparison(need, expr, scope),
            (AExprKind::AexprDistinct | AExprKind::AexprNotDistinct, _) => self.comparison(Need::Equality, expr, scope),
            (AExprKind::AexprNullif, _) => self.nullif(expr, scope),
            (AExprKind::AexprIn | AExprKind::AexprOpAny | AExprKind::AexprOpAll, Some(need)) => {
                self.list_membership(need, expr, scope)
            }
            (
                AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym,
                _,
            ) => self.list_membership(Need::Order, expr, scope),
            (
                AExprKind::AexprOp
                | AExprKind::AexprOpAny
                | AExprKind::AexprOpAll
                | AExprKind::AexprIn
                | AExprKind::AexprLike
                | AExprKind::AexprIlike
                | AExprKind::AexprSimilar,
                _,
            ) => self.other_operator(kind, expr, scope),
            (AExprKind::Undefined, _) => Err(Refusal::internal("an operator of no kind")),
        }
    }

    /// What a comparison operator of PostgreSQL's own asks of cells; `None` for any other operator.
    fn need_of(&self, expr: &AExpr) -> Option<Need> {
        let own = strings(&expr.name).last().is_some_and(|name| self.env.catalog.has_user_operator(name));
        if own {
            None
        } else if ["=", "<>"].iter().any(|name| is_builtin(&expr.name, name)) {
            Some(Need::Equality)
        } else if ["<", ">", "<=", ">="].iter().any(|name| is_builtin(&expr.name, name)) {
            Some(Need::Order)
        } else {
            None
        }
    }

    fn other_operator(&mut self, kind: AExprKind, expr: &mut AExpr, scope: &Scope<'_>) -> Result<Ty> {
        let name = strings(&expr.name).last().map_or("", |name| *name).to_owned();
        let what = match kind {
            AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprSimilar => "LIKE".to_owned(),
            AExprKind::AexprOpAny | AExprKind::AexprOpAll => format!("{name} ANY or ALL"),
            AExprKind::Undefined
            | AExprKind::AexprOp
            | AExprKind::AexprDistinct
            | AExprKind::AexprNotDistinct
            | AExprKind::AexprNullif
            | AExprKind::AexprIn
            | AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => format!("operator {name}"),
        };
        let at = expr.location;
        let operands = [expr.lexpr.as_deref_mut(), expr.rexpr.as_deref_mut()];
        for operand in operands.into_iter().flatten() {
            if let Some(NodeEnum::List(list)) = &mut operand.node {
                self.all_plain(list.items.iter_mut(), scope, &what, at)?;
            } else {
                self.all_plain(std::iter::once(operand), scope, &what, at)?;
            }
        }
        Ok(Ty::Plain)
    }

    fn sides<'e>(&mut self, expr: &'e mut AExpr, scope: &Scope<'_>) -> Result<(Side<'e>, Side<'e>)> {
        let left = expr.lexpr.as_deref_mut().ok_or_else(missing)?;
        let right = expr.rexpr.as_deref_mut().ok_or_else(missing)?;
        let left_type = self.expr(left, scope)?;
        let right_type = self.expr(right, scope)?;
        Ok(((left, left_type), (right, right_type)))
    }

    fn comparison(&mut self, need: Need, expr: &mut AExpr, scope: &Scope<'_>) -> Result<Ty> {
        let at = expr.location;
        if self.rows_compared(need, expr, scope)? {
            return Ok(Ty::Plain);
        }
        let (left, right) = self.sides(expr, scope)?;
        self.met(need, left, right, at)?;
        Ok(Ty::Plain)
    }

    /// Two values meet in a comparison.
    pub(super) fn met(&mut self, need: Need, left: Side<'_>, right: Side<'_>, at: i32) -> Result<()> {
        let ((left, left_type), (right, right_type)) = (left, right);
        match (left_type, right_type) {
            (Ty::Protected(a), Ty::Protected(b)) => self.comparable(need, &a, &b, at),
            (Ty::Protected(flow), Ty::Value) => self.compare_value(need, &flow, right, at),
            (Ty::Value, Ty::Protected(flow)) => self.compare_value(need, &flow, left, at),
            (Ty::Protected(flow), Ty::Plain) | (Ty::Plain, Ty::Protected(flow)) => Err(not_allowed(
                &flow,
                "comparison with an expression that is not a literal, a parameter or a column of its domain",
                at,
            )),
            (Ty::Plain | Ty::Value, Ty::Plain | Ty::Value) => Ok(()),
        }
    }

    /// A literal or parameter that is compared with a protected value.
    pub(super) fn compare_value(&mut self, need: Need, flow: &Flow, node: &mut Node, at: i32) -> Result<()> {
        self.needs(need, flow, at)?;
        self.cell(node, &flow.column, Meeting::Compare)
    }

    fn nullif(&mut self, expr: &mut AExpr, scope: &Scope<'_>) -> Result<Ty> {
        let at = expr.location;
        let ((_, left_type), (right, right_type)) = self.sides(expr, scope)?;
        if let Ty::Protected(flow) = &left_type
            && flow.ty == LogicalType::Cidr
        {
            // Its result is an inet, which is written in another way.
            return Err(not_allowed(flow, "NULLIF of a cidr", at));
        }
        match (left_type, right_type) {
            (Ty::Protected(a), Ty::Protected(b)) => {
                self.comparable(Need::Equality, &a, &b, at)?;
                Ok(Ty::Protected(as_operand(a)))
            }
            (Ty::Protected(flow), Ty::Value) => {
                self.compare_value(Need::Equality, &flow, right, at)?;
                Ok(Ty::Protected(as_operand(flow)))
            }
            (Ty::Protected(flow), Ty::Plain) | (Ty::Plain | Ty::Value, Ty::Protected(flow)) => {
                Err(not_allowed(&flow, "NULLIF with another kind of value", at))
            }
            (Ty::Plain | Ty::Value, Ty::Plain | Ty::Value) => Ok(Ty::Plain),
        }
    }

    /// IN (…), = ANY (ARRAY[…]), < ALL (ARRAY[…]), BETWEEN.
    fn list_membership(&mut self, need: Need, expr: &mut AExpr, scope: &Scope<'_>) -> Result<Ty> {
        let at = expr.location;
        if self.rows_compared(need, expr, scope)? {
            return Ok(Ty::Plain);
        }
        let left = expr.lexpr.as_deref_mut().ok_or_else(missing)?;
        let right = expr.rexpr.as_deref_mut().ok_or_else(missing)?;
        let left_type = self.expr(left, scope)?;
        if let Ty::Protected(flow) = &left_type
            && self.array_of_cells(need, flow, right, (scope, at))?
        {
            return Ok(Ty::Plain);
        }
        let between = AExprKind::AexprBetween as i32 <= expr.kind;
        let (items, array) = match &mut right.node {
            Some(NodeEnum::List(list)) => (&mut list.items, false),
            Some(NodeEnum::AArrayExpr(array)) => (&mut array.elements, true),
            Some(_) | None => {
                self.plain(&left_type, "comparison with an array that is not written out", at)?;
                let ty = self.expr(right, scope)?;
                self.plain(&ty, "an array", at)?;
                return Ok(Ty::Plain);
            }
        };
        let types: Vec<Ty> = items.iter_mut().map(|item| self.expr(item, scope)).collect::<Result<_>>()?;
        let Ty::Protected(flow) = left_type else {
            if let Some(Ty::Protected(flow)) = types.into_iter().find(|ty| matches!(ty, Ty::Protected(_))) {
                return Err(not_allowed(&flow, "standing in a list", at));
            }
            return Ok(Ty::Plain);
        };
        let untyped = items.iter().all(is_untyped);
        let texts = array && untyped && !items.is_empty();
        if !is_text(flow.ty) && (texts || (array && retypes(items, flow.column.ty))) {
            return Err(untyped_array(&flow, at));
        }
        // One value alone, and an array of strings, are compared as texts; several take the column's type.
        let values = types.iter().filter(|ty| matches!(ty, Ty::Value)).count();
        let alone = between || if array { untyped } else { values < 2 };
        let meeting = if alone { Meeting::Compare } else { Meeting::Listed };
        for (item, ty) in items.iter_mut().zip(types) {
            match ty {
                Ty::Protected(other) => self.comparable(need, &flow, &other, at)?,
                Ty::Value => {
                    self.needs(need, &flow, at)?;
                    self.cell(item, &flow.column, meeting)?;
                    if array {
                        super::values::type_null(item);
                    }
                }
                Ty::Plain => {
                    return Err(not_allowed(
                        &flow,
                        "comparison with an expression that is not a literal, a parameter or a column of its domain",
                        at,
                    ));
                }
            }
        }
        self.needs(need, &flow, at)?;
        Ok(Ty::Plain)
    }

    fn sublink(&mut self, link: &mut SubLink, scope: &Scope<'_>) -> Result<Ty> {
        let at = link.location;
        let kind = SubLinkType::try_from(link.sub_link_type).unwrap_or(SubLinkType::Undefined);
        // IN has no operator in the tree.
        let compared = AExpr { name: link.oper_name.clone(), ..AExpr::default() };
        let need = if link.oper_name.is_empty() { Some(Need::Equality) } else { self.need_of(&compared) };
        let query = link.subselect.as_deref_mut().ok_or_else(missing)?;
        let outputs = self.query(query, Some(scope))?;
        match kind {
            SubLinkType::ExistsSublink => Ok(Ty::Plain),
            SubLinkType::ExprSublink => {
                let [output] = outputs.as_slice() else {
                    return Err(Refusal::new("42601", "subquery must return only one column").at(at));
                };
                Ok(match &output.ty {
                    Ty::Protected(flow) => Ty::Protected(flow.clone()),
                    Ty::Plain | Ty::Value => Ty::Plain,
                })
            }
            SubLinkType::ArraySublink => {
                for output in &outputs {
                    self.plain(&output.ty, "ARRAY (SELECT …)", at)?;
                }
                Ok(Ty::Plain)
            }
            SubLinkType::AnySublink | SubLinkType::AllSublink => {
                let test = link.testexpr.as_deref_mut().ok_or_else(missing)?;
                if let (Some(NodeEnum::RowExpr(row)), Some(Need::Equality)) = (&mut test.node, need) {
                    self.row_among(row, query, &outputs, scope)?;
                    return Ok(Ty::Plain);
                }
                let test_type = self.expr(test, scope)?;
                let ([output], Some(need)) = (outputs.as_slice(), need) else {
                    self.plain(&test_type, "this comparison with a subquery", at)?;
                    for output in &outputs {
                        self.plain(&output.ty, "this comparison with a subquery", at)?;
                    }
                    return Ok(Ty::Plain);
                };
                match (&test_type, &output.ty) {
                    (Ty::Protected(a), Ty::Protected(b)) => self.comparable(need, a, b, at)?,
                    (Ty::Value, Ty::Protected(flow)) => self.compare_value(need, flow, test, at)?,
                    (Ty::Protected(flow), Ty::Value) => self.values_among(need, flow, (query, 0), at)?,
                    (Ty::Protected(flow), Ty::Plain) | (Ty::Plain, Ty::Protected(flow)) => {
                        return Err(not_allowed(flow, "comparison with a subquery of plain values", at));
                    }
                    (Ty::Plain | Ty::Value, Ty::Plain | Ty::Value) => {}
                }
                Ok(Ty::Plain)
            }
            SubLinkType::Undefined
            | SubLinkType::RowcompareSublink
            | SubLinkType::MultiexprSublink
            | SubLinkType::CteSublink => {
                Err(Refusal::unsupported("this kind of subquery is not supported beside protected columns").at(at))
            }
        }
    }

    fn case(&mut self, case: &mut CaseExpr, scope: &Scope<'_>) -> Result<Ty> {
        let at = case.location;
        let subject = match case.arg.as_deref_mut() {
            Some(arg) => Some(self.expr(arg, scope)?),
            None => None,
        };
        let mut results: Vec<&mut Node> = Vec::with_capacity(case.args.len() + 1);
        for node in &mut case.args {
            let Some(NodeEnum::CaseWhen(when)) = &mut node.node else { return Err(unsupported(node, at)) };
            let expr = when.expr.as_deref_mut().ok_or_else(missing)?;
            match &subject {
                None => self.condition(expr, scope)?,
                Some(Ty::Protected(flow)) => match self.expr(expr, scope)? {
                    Ty::Value => self.compare_value(Need::Equality, flow, expr, at)?,
                    Ty::Protected(other) => self.comparable(Need::Equality, flow, &other, at)?,
                    Ty::Plain => return Err(not_allowed(flow, "CASE with a plain expression", at)),
                },
                Some(Ty::Plain | Ty::Value) => {
                    let ty = self.expr(expr, scope)?;
                    self.plain(&ty, "CASE over a plain expression", at)?;
                }
            }
            results.push(when.result.as_deref_mut().ok_or_else(missing)?);
        }
        let Some(result) = case.defresult.as_deref_mut() else {
            // Without ELSE it gives NULL too, which has no type modifier.
            return Ok(match self.unified(&mut results, scope)? {
                Ty::Protected(flow) => Ty::Protected(beside(flow)),
                other @ (Ty::Plain | Ty::Value) => other,
            });
        };
        // PostgreSQL looks at it first when it chooses the type.
        results.insert(0, result);
        self.unified(&mut results, scope)
    }

    /// Expressions of one type, as in COALESCE and the results of CASE.
    fn unified(&mut self, nodes: &mut [&mut Node], scope: &Scope<'_>) -> Result<Ty> {
        let mut types = Vec::with_capacity(nodes.len());
        for node in nodes.iter_mut() {
            types.push(self.expr(node, scope)?);
        }
        let mut merged: Option<Flow> = None;
        for ty in &types {
            if let Ty::Protected(flow) = ty {
                merged = Some(match merged {
                    None => flow.clone(),
                    Some(before) => self.merged(&before, flow, 0)?,
                });
            }
        }
        let Some(flow) = merged else { return Ok(Ty::Plain) };
        let mut ty: Option<LogicalType> = None;
        let mut untyped = false;
        for (node, found) in nodes.iter_mut().zip(types) {
            let own = match found {
                Ty::Protected(flow) => Some(flow.ty),
                Ty::Value => {
                    let cast = cast_of(node);
                    self.cell(node, &flow.column, Meeting::Beside)?;
                    cast
                }
                Ty::Plain => {
                    return Err(not_allowed(&flow, "CASE or COALESCE with a plain expression", location(node)));
                }
            };
            untyped |= own.is_none();
            ty = own.map_or(ty, |own| ty.map_or(Some(own), |before| common(before, own)));
        }
        let flow = Flow { ty: ty.unwrap_or(flow.ty), ..flow };
        Ok(Ty::Protected(if untyped { beside(flow) } else { flow }))
    }
}

/// As the parser reads `(a AND b) AND c`: one list. A search that stands first is such an AND.
fn flatten(expr: &mut BoolExpr) {
    let and = |kind: i32| kind == BoolExprType::AndExpr as i32;
    if !and(expr.boolop) {
        return;
    }
    while let Some(Node { node: Some(NodeEnum::BoolExpr(first)) }) = expr.args.first_mut()
        && and(first.boolop)
    {
        let inner = std::mem::take(&mut first.args);
        expr.args.splice(..1, inner);
    }
}

/// `'t'::boolean` would be written back as `true`, which is another expression with another name.
fn respell_truth(node: &mut Node) {
    let Some(NodeEnum::TypeCast(cast)) = &mut node.node else { return };
    if let Some(arg) = cast.arg.as_deref_mut() {
        respell_truth(arg);
    }
    let to_bool = cast.type_name.as_ref().is_some_and(|ty| ty.array_bounds.is_empty() && is_builtin(&ty.names, "bool"));
    if let (true, Some(Node { node: Some(NodeEnum::AConst(constant)) })) = (to_bool, cast.arg.as_deref_mut())
        && let Some(Val::Sval(text)) = &mut constant.val
    {
        match text.sval.as_str() {
            "t" => "true".clone_into(&mut text.sval),
            "f" => "false".clone_into(&mut text.sval),
            _ => {}
        }
    }
}

fn untyped_array(flow: &Flow, at: i32) -> Refusal {
    let ty = flow.column.ty;
    Refusal::unsupported(format!(
        "an array with values without a type cannot be compared with the protected column {}",
        flow.column.id
    ))
    .detail("To PostgreSQL it is an array of another type.")
    .hint(format!("Write IN (…), or cast each value: CAST(… AS {ty})."))
    .column(&flow.column.id)
    .at(at)
}

pub(super) fn column_ref(column: &ColumnRef, scope: &Scope<'_>) -> Result<Ty> {
    let at = column.location;
    let names = strings(&column.fields);
    let starred = column.fields.iter().any(|field| string(field).is_none());
    match (names.as_slice(), starred) {
        ([name], false) => scope.unqualified(name, at),
        ([table, name], false) => scope.qualified(None, table, name, at),
        ([schema, table, name], false) => scope.qualified(Some(schema), table, name, at),
        ([table], true) => whole(scope, None, table, at),
        ([schema, table], true) => whole(scope, Some(schema), table, at),
        _ => Err(Refusal::unsupported("this name is not supported beside protected columns").at(at)),
    }
}

fn whole(scope: &Scope<'_>, schema: Option<&str>, table: &str, at: i32) -> Result<Ty> {
    scope
        .whole_row(schema, table, at)?
        .ok_or_else(|| Refusal::new("42P01", format!("missing FROM-clause entry for table \"{table}\"")).at(at))
}
