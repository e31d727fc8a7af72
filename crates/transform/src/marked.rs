//! Functions that rules put around expressions of plans. They have the type of their argument, and the engine does not look into them.

use std::{fmt::Debug, hash::Hash, marker::PhantomData, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{Result, tree_node::Transformed},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr::ScalarFunction,
    },
};

/// What is put around expressions.
pub(crate) trait Mark: Debug + Eq + Hash + Send + Sync + 'static {
    /// What plans show.
    const NAME: &'static str;

    /// What it gives for a value of the expression.
    fn apply(value: ColumnarValue) -> Result<ColumnarValue>;
}

/// The expression with the mark around it.
pub(crate) fn marked<M: Mark>(expr: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction {
        func: function::<M>(),
        args: vec![expr],
    })
}

/// The mark by itself.
pub(crate) fn function<M: Mark>() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Marked::<M> {
        signature: Signature::any(1, Volatility::Immutable),
        mark: PhantomData,
    }))
}

/// The expression that the mark is around; none where it is not.
pub(crate) fn within<M: Mark>(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.inner().is::<Marked<M>>() => {
            args.first()
        }
        _ => None,
    }
}

/// The expression without the mark around it.
pub(crate) fn unmarked<M: Mark>(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if func.inner().is::<Marked<M>>() && args.len() == 1 =>
        {
            Transformed::yes(args.remove(0))
        }
        other => Transformed::no(other),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marked<M> {
    signature: Signature,
    mark: PhantomData<M>,
}

impl<M: Mark> ScalarUDFImpl for Marked<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given[0].clone())
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&given.arg_fields[0]))
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        M::apply(call.args.remove(0))
    }
}
