//! Which value of a request no run can compute with: `CAST($account AS BIGINT)` with `x`. That is no fault of the SQL.

use std::collections::BTreeSet;

use datafusion::{
    common::{
        DFSchema, ParamValues, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::SessionState,
    logical_expr::{
        ColumnarValue, Expr, LogicalPlan, Operator, expr::BinaryExpr, utils::merge_schema,
    },
};

use super::constants::{computed, failure, innermost, is_constant, told, unit};
use crate::{Error, ErrorKind, functions::unchecked};

/// The error of the first parameter whose value makes a constant of the plan fail, also one that is computed for some rows only.
/// For a plan that has failed; `None` when its parameters are not why.
pub(crate) fn refused_value(
    unbound: &LogicalPlan,
    values: &ParamValues,
    state: &SessionState,
) -> Option<Error> {
    let plan = state.optimize(unbound).ok()?;
    let looked = Values { values, state };
    let mut refused = None;
    let _ = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if names(expr).is_empty() || looked.is_computed(expr) {
                    return Ok(TreeNodeRecursion::Jump);
                }
                refused = looked.refusal(expr, &schema);
                Ok(match refused {
                    Some(_) => TreeNodeRecursion::Stop,
                    None => TreeNodeRecursion::Continue,
                })
            })
        })
    });
    refused.map(|message| Error::new(ErrorKind::InvalidParam, message))
}

struct Values<'a> {
    values: &'a ParamValues,
    state: &'a SessionState,
}

impl Values<'_> {
    /// What is wrong with the parameters in an expression, as far as that is known without a row.
    fn refusal(&self, expr: &Expr, schema: &DFSchema) -> Option<String> {
        if let Expr::BinaryExpr(BinaryExpr {
            op: Operator::Divide | Operator::Modulo,
            right,
            ..
        }) = &unchecked(expr)
            && !names(right).is_empty()
            && self.is_zero(right)
        {
            return Some(format!("{} is 0, and is divided by", text(right)));
        }
        let bound = self.bind(expr);
        if let Expr::ScalarFunction(call) = expr
            && call
                .args
                .first()
                .is_some_and(|first| !names(first).is_empty())
            && let Some(takes) = unit(&bound, schema, self.state)
        {
            return Some(about(&text(&call.args[0]), &takes));
        }
        if !is_constant(&bound) {
            return None;
        }
        let error = failure(&bound, self.state)?;
        let (expr, error) = innermost(expr, error, self.state, &|expr| self.bind(expr));
        if names(expr).is_empty() {
            return None;
        }
        let text = text(expr);
        let message = told(&unchecked(&self.bind(expr)), &error, &text);
        Some(if message.starts_with(&text) {
            message
        } else {
            about(&text, &message)
        })
    }

    /// Whether an expression needs no row and can be computed, whatever a part of it would do that it does not come to: that of
    /// `CASE WHEN $account LIKE '4%' THEN CAST($account AS BIGINT) END`.
    fn is_computed(&self, expr: &Expr) -> bool {
        !expr.any_column_refs() && computed(&self.bind(expr), self.state).is_ok()
    }

    fn is_zero(&self, expr: &Expr) -> bool {
        if expr.any_column_refs() {
            return false;
        }
        match computed(&self.bind(expr), self.state) {
            Ok(ColumnarValue::Scalar(value)) => {
                ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == value)
            }
            _ => false,
        }
    }

    /// The expression with values in place of parameters.
    fn bind(&self, expr: &Expr) -> Expr {
        let bound = expr.clone().transform(|part| {
            let value = match &part {
                Expr::Placeholder(place) => {
                    self.values.get_placeholders_with_values(&place.id).ok()
                }
                _ => None,
            };
            Ok(match value {
                Some(value) => Transformed::yes(Expr::Literal(value.value, None)),
                None => Transformed::no(part),
            })
        });
        bound.map_or_else(|_| expr.clone(), |bound| bound.data)
    }
}

/// The parameters in an expression.
fn names(expr: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _ = expr.apply(|part| {
        if let Expr::Placeholder(place) = part {
            let name = place.id.trim_start_matches('$');
            // An item of a list has a number behind a point.
            let name = name.split('.').next().unwrap_or_default();
            names.insert(format!("`{name}`"));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

/// The parameters in an expression, as a message names them. Their values are not repeated.
fn text(expr: &Expr) -> String {
    let names: Vec<_> = names(expr).into_iter().collect();
    match names.as_slice() {
        [name] => format!("the parameter {name}"),
        names => format!("one of the parameters {}", names.join(", ")),
    }
}

fn about(text: &str, takes: &str) -> String {
    format!("{text} is not as the SQL needs it: {takes}")
}
