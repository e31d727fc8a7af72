//! Bounds on functions whose results can be much larger than their arguments, and corrections of others of the engine's.
//!
//! The memory pool sees what operators keep, not what one expression makes of one batch: `repeat('x', 1000000000)` would
//! take a gigabyte that nobody counts. So each such call is looked at before and after it is computed.

use std::{fmt, hash::Hash, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        DataFusionError, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRewriter},
    },
    logical_expr::{
        ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, Volatility,
        expr::{BinaryExpr, ScalarFunction},
    },
    optimizer::AnalyzerRule,
    physical_expr::expressions::BinaryExpr as BinaryOperator,
};

use super::{bins, checked::evaluated, epoch, growth::estimate, rounding, to_timestamp};
use crate::{named, sizes::array_bytes};

/// Most bytes that one function may make of one batch.
const MOST_BYTES: u64 = 64 << 20;

/// Functions whose results can be larger than their arguments by more than a small factor, or can be made so by nesting.
pub(super) const GROWING: [&str; 31] = [
    "array_append",
    "array_concat",
    "array_prepend",
    "array_repeat",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_resize",
    "array_to_string",
    "array_union",
    "arrays_zip",
    "concat",
    "concat_ws",
    "encode",
    "flatten",
    "generate_series",
    "initcap",
    "lower",
    "lpad",
    "make_array",
    "map",
    "named_struct",
    "overlay",
    "range",
    "regexp_replace",
    "repeat",
    "replace",
    "rpad",
    "string_to_array",
    "translate",
    "upper",
];

/// Puts bounds on the growing functions of a plan, `||` among them.
#[derive(Debug)]
pub(crate) struct Bounded;

/// A function would make more of one batch than it may.
#[derive(Debug)]
pub(crate) struct GrowthRefused {
    function: String,
}

impl AnalyzerRule for Bounded {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            named::expressions(node, |expr| expr.rewrite(&mut Bound))
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "bounded_functions"
    }
}

/// Whether a plan has a function with bounds, or corrected, in place of the function itself.
pub(super) fn is_bounded(name: &str) -> bool {
    GROWING.contains(&name)
        || ["round", bins::NAME, epoch::NAME].contains(&name)
        || to_timestamp::NAMES.contains(&name)
}

/// Each function that plans have with bounds, over the one that is known.
#[cfg(feature = "cluster")]
pub(super) fn in_plans<S: std::hash::BuildHasher>(
    known: &std::collections::HashMap<String, Arc<ScalarUDF>, S>,
) -> Vec<Arc<ScalarUDF>> {
    let growing = known.values().filter(|func| is_bounded(func.name()));
    let concat = Arc::new(ScalarUDF::from(Concat::new()));
    let all = growing.cloned().chain([concat]);
    all.map(|inner| Arc::new(ScalarUDF::from(BoundedFunction { inner })))
        .collect()
}

struct Bound;

impl TreeNodeRewriter for Bound {
    type Node = Expr;

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::ScalarFunction(ScalarFunction { func, args })
                if is_bounded(func.name()) && !func.inner().is::<BoundedFunction>() =>
            {
                let func = Arc::new(ScalarUDF::from(BoundedFunction { inner: func }));
                Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
            }
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::StringConcat,
                right,
            }) => {
                let func = Arc::new(ScalarUDF::from(Concat::new()));
                let func = Arc::new(ScalarUDF::from(BoundedFunction { inner: func }));
                let args = vec![*left, *right];
                Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
            }
            other => Transformed::no(other),
        })
    }
}

/// Another function, with a look at its arguments before and at its result after.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedFunction {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for BoundedFunction {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(given)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if to_timestamp::NAMES.contains(&self.name()) {
            return to_timestamp::invoke(&self.inner, call);
        }
        if self.name() == "round" {
            return rounding::invoke(&self.inner, call);
        }
        if self.name() == bins::NAME {
            return bins::invoke(&self.inner, call);
        }
        if self.name() == epoch::NAME {
            return epoch::invoke(&self.inner, call);
        }
        // Arguments that are all the same for each row are computed once; the engine asks for one row then.
        let once = call
            .args
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let estimated = if once {
            let one = ScalarFunctionArgs {
                number_rows: 1,
                ..call.clone()
            };
            estimate(self.name(), &one)?
        } else {
            estimate(self.name(), &call)?
        };
        self.check(estimated)?;
        let result = self.inner.invoke_with_args(call)?;
        self.check(match &result {
            ColumnarValue::Array(array) => array_bytes(array.as_ref()),
            ColumnarValue::Scalar(value) => array_bytes(value.to_array()?.as_ref()),
        })?;
        Ok(result)
    }
}

impl BoundedFunction {
    fn check(&self, bytes: u64) -> Result<()> {
        if bytes <= MOST_BYTES {
            return Ok(());
        }
        let function = match self.name() {
            "flowlake_concat" => "||".to_owned(),
            name => name.to_owned(),
        };
        Err(DataFusionError::External(Box::new(GrowthRefused {
            function,
        })))
    }
}

/// `||` of texts, as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    signature: Signature,
}

impl Concat {
    fn new() -> Self {
        Self {
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &'static str {
        "flowlake_concat"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluated(&call, |left, right| {
            BinaryOperator::new(left, Operator::StringConcat, right)
        })
    }
}

impl fmt::Display for GrowthRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` would make more than 64 MiB of one batch of rows",
            self.function
        )
    }
}

impl std::error::Error for GrowthRefused {}
