//! What no run can compute: `1 / 0`, `handle_ms = 'abc'`.
//!
//! The engine leaves a constant that it cannot compute in the plan, and fails at the first row. That is no fault of a file.

use datafusion::{
    arrow::{
        array::{RecordBatch, RecordBatchOptions},
        datatypes::{DataType, Schema},
        error::ArrowError,
    },
    common::{
        DFSchema, DataFusionError, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::SessionState,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Volatility,
        physical_planning_context::PhysicalPlanningContext, utils::merge_schema,
    },
    physical_expr::create_physical_expr,
};

use crate::{
    Error, ErrorKind,
    error::{accepted_arguments, is_temporal_arithmetic, short_type_name},
    functions::unchecked,
    too_large::{BEYOND_CALENDAR, TooLarge},
};

/// Refuses an optimised plan with a constant that cannot be computed.
///
/// `has_params` says that constants may be values of parameters, which no message holds.
pub(crate) fn constants(
    plan: &LogicalPlan,
    state: &SessionState,
    has_params: bool,
) -> Result<(), Error> {
    let mut refused = None;
    let _ = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if is_branch(expr) {
                    return Ok(TreeNodeRecursion::Jump);
                }
                if let Some(message) = unit(expr, &schema, state) {
                    refused = Some(message);
                    return Ok(TreeNodeRecursion::Stop);
                }
                if !is_constant(expr) {
                    return Ok(TreeNodeRecursion::Continue);
                }
                match failure(expr, state) {
                    None => Ok(TreeNodeRecursion::Jump),
                    Some(error) => {
                        let (expr, error) = innermost(expr, error, state, &Expr::clone);
                        let expr = unchecked(expr);
                        refused = Some(told(&expr, &error, &constant(&expr, has_params)));
                        Ok(TreeNodeRecursion::Stop)
                    }
                }
            })
        })
    });
    match refused {
        Some(message) => Err(Error::new(ErrorKind::InvalidSql, message)),
        None => Ok(()),
    }
}

/// What is wrong with the first argument of `date_trunc`, `date_part` or `date_bin`, which is the same for all rows.
pub(super) fn unit(expr: &Expr, schema: &DFSchema, state: &SessionState) -> Option<String> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    let name = call.func.name();
    let is_constant = !call.args.first()?.any_column_refs();
    if name == "date_bin" && !is_constant {
        return Some("the first argument of `date_bin` is an interval as a constant: write date_bin(INTERVAL '15 minutes', moment)".to_owned());
    }
    let ([_, moment], "date_trunc" | "date_part") = (call.args.as_slice(), name) else {
        return None;
    };
    if !is_constant {
        return Some(format!(
            "the first argument of `{name}` is a unit as a constant: write {name}('day', moment)"
        ));
    }
    // Computed for one moment, as no row is there yet.
    let kind = moment.get_type(schema).ok()?;
    let mut one = call.clone();
    let zero = match kind {
        DataType::Date32 => ScalarValue::Date32(Some(0)),
        kind => ScalarValue::new_zero(&kind).ok()?,
    };
    one.args[1] = Expr::Literal(zero, None);
    failure(&Expr::ScalarFunction(one), state)?;
    accepted_arguments(name)
}

/// What computes some of its parts only.
fn is_branch(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) | Expr::TryCast(_) => true,
        Expr::ScalarFunction(call) => matches!(call.func.name(), "coalesce" | "nvl" | "ifnull"),
        Expr::BinaryExpr(binary) => matches!(binary.op, Operator::And | Operator::Or),
        _ => false,
    }
}

/// Whether the value is known without a row. Literals are values already.
pub(super) fn is_constant(expr: &Expr) -> bool {
    let computes = matches!(
        expr,
        Expr::BinaryExpr(_)
            | Expr::Cast(_)
            | Expr::Negative(_)
            | Expr::Like(_)
            | Expr::ScalarFunction(_)
    );
    computes
        && !expr
            .exists(|part| {
                Ok(match part {
                    Expr::Literal(..)
                    | Expr::BinaryExpr(_)
                    | Expr::Cast(_)
                    | Expr::TryCast(_)
                    | Expr::Negative(_)
                    | Expr::Like(_) => false,
                    Expr::ScalarFunction(call) => {
                        call.func.signature().volatility != Volatility::Immutable
                    }
                    _ => true,
                })
            })
            .unwrap_or(true)
}

/// Why a constant cannot be computed; none when it can be.
pub(super) fn failure(expr: &Expr, state: &SessionState) -> Option<DataFusionError> {
    // What is refused for its size or by a function of ours is reported when it runs.
    computed(expr, state)
        .err()
        .filter(|error| match error.find_root() {
            DataFusionError::External(external) => external.is::<TooLarge>(),
            DataFusionError::ResourcesExhausted(_) => false,
            _ => true,
        })
}

/// The value of a constant.
pub(super) fn computed(
    expr: &Expr,
    state: &SessionState,
) -> Result<ColumnarValue, DataFusionError> {
    let none = DFSchema::empty();
    let context = PhysicalPlanningContext::default();
    let expr = create_physical_expr(expr, &none, state.execution_props(), &context)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options)?;
    expr.evaluate(&one)
}

/// The smallest part that cannot be computed, and why. `bind` gives a part its values.
pub(super) fn innermost<'e>(
    expr: &'e Expr,
    error: DataFusionError,
    state: &SessionState,
    bind: &impl Fn(&Expr) -> Expr,
) -> (&'e Expr, DataFusionError) {
    let mut found = (expr, error);
    let _ = expr.apply_children(|child| {
        let bound = bind(child);
        if is_constant(&bound)
            && let Some(error) = failure(&bound, state)
        {
            found = innermost(child, error, state, bind);
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// A constant as a message names it.
fn constant(expr: &Expr, has_params: bool) -> String {
    if has_params {
        return "a constant of the SQL, or a parameter,".to_owned();
    }
    match expr {
        Expr::Cast(cast) => literal(&cast.expr),
        other => format!("`{}`", other.human_display()),
    }
}

/// What is wrong with a constant that messages name so.
pub(super) fn told(expr: &Expr, error: &DataFusionError, text: &str) -> String {
    let arrow = match error.find_root() {
        DataFusionError::ArrowError(arrow, _) => Some(arrow.as_ref()),
        DataFusionError::External(external) => {
            if let Some(large) = external.downcast_ref::<TooLarge>() {
                return large.to_string();
            }
            None
        }
        _ => None,
    };
    match expr {
        _ if matches!(arrow, Some(ArrowError::DivideByZero)) => format!("{text} divides by zero"),
        Expr::Cast(cast) => format!("{text} is no {}", short_type_name(cast.field.data_type())),
        Expr::ScalarFunction(call) => match accepted_arguments(call.func.name()) {
            Some(takes) => takes,
            None => format!("`{}` cannot take these arguments", call.func.name()),
        },
        other if is_temporal_arithmetic(other, &DFSchema::empty()) => BEYOND_CALENDAR.to_owned(),
        _ if matches!(arrow, Some(ArrowError::ArithmeticOverflow(_))) => {
            format!("{text} is too large for its type")
        }
        _ => format!("{text} cannot be computed"),
    }
}

/// A literal as SQL writes it.
fn literal(expr: &Expr) -> String {
    match expr {
        Expr::Literal(value, _) => match value.try_as_str().flatten() {
            Some(text) => format!("`\'{text}\'`"),
            None => format!("`{value}`"),
        },
        other => format!("`{}`", other.human_display()),
    }
}
