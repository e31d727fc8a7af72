//! `sum` that does not begin at the other end.
//!
//! The engine's own adds integers as their type has room for them (`DataFusion` 55), and so the sum of two large ones is
//! negative. Here they are added with more room, and the sum is an error when it does not fit.

use std::{hash::Hash, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray},
        compute::{CastOptions, cast, cast_with_options},
        datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type},
    },
    common::{Result, ScalarValue, not_impl_err},
    functions_aggregate::sum::Sum,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
        SetMonotonicity, Signature,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use super::checked::TooLarge;

pub(super) fn function() -> AggregateUDF {
    AggregateUDF::from(WideSum(Sum::new()))
}

/// The engine's `sum`, computed in a wider type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WideSum(Sum);

/// The type in which values of a type are added; none when their own has the room.
fn wide(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Int64 | DataType::UInt64 | DataType::Duration(_) => {
            Some(DataType::Decimal128(38, 0))
        }
        // A sum has ten digits more than its values, while there are so many.
        DataType::Decimal128(38, scale) => Some(DataType::Decimal256(76, *scale)),
        _ => None,
    }
}

fn widened(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Int64 => Arc::new(
            array
                .as_primitive::<Int64Type>()
                .unary::<_, Decimal128Type>(i128::from)
                .with_data_type(to.clone()),
        ),
        DataType::UInt64 => Arc::new(
            array
                .as_primitive::<UInt64Type>()
                .unary::<_, Decimal128Type>(i128::from)
                .with_data_type(to.clone()),
        ),
        DataType::Duration(_) => return widened(&cast(array, &DataType::Int64)?, to),
        _ => cast(array, to)?,
    })
}

/// A sum in its own type.
fn narrowed(sum: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let own = match to {
        DataType::Duration(_) => &DataType::Int64,
        own => own,
    };
    let sum = cast_with_options(sum, own, &strict).map_err(|_error| too_large(to))?;
    Ok(cast(&sum, to)?)
}

fn narrowed_value(sum: ScalarValue, to: &DataType) -> Result<ScalarValue> {
    // Of a window there is a sum for each row.
    match (sum, to) {
        (ScalarValue::Decimal128(Some(sum), _, _), DataType::Int64) => i64::try_from(sum)
            .map(|sum| ScalarValue::Int64(Some(sum)))
            .map_err(|_error| too_large(to)),
        (sum, to) => ScalarValue::try_from_array(&narrowed(&sum.to_array()?, to)?, 0),
    }
}

fn too_large(kind: &DataType) -> datafusion::common::DataFusionError {
    TooLarge::error(match kind {
        DataType::Duration(_) => "`sum` of spans of time is longer than one can be",
        DataType::Decimal128(..) => {
            "`sum` has more than the 38 digits of a decimal: write sum(CAST(… AS DOUBLE))"
        }
        _ => "`sum` is too large for an integer: write sum(CAST(… AS DECIMAL(38, 0)))",
    })
}

/// What the engine's `sum` is asked for.
fn widely<'a>(args: &AccumulatorArgs<'a>, to: DataType) -> AccumulatorArgs<'a> {
    let field = args.return_field.as_ref().clone().with_data_type(to);
    AccumulatorArgs {
        return_field: Arc::new(field),
        ..args.clone()
    }
}

impl AggregateUDFImpl for WideSum {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.0.return_type(given)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(to) = wide(args.return_type()) else {
            return self.0.accumulator(args);
        };
        Ok(Box::new(Wide {
            inner: self.0.accumulator(widely(&args, to.clone()))?,
            own: args.return_type().clone(),
            wide: to,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(to) = wide(args.return_type()) else {
            return self.0.state_fields(args);
        };
        let field: Field = args.return_field.as_ref().clone().with_data_type(to);
        self.0.state_fields(StateFieldsArgs {
            return_field: Arc::new(field),
            ..args
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(to) = wide(args.return_type()) else {
            return self.0.create_groups_accumulator(args);
        };
        Ok(Box::new(WideGroups {
            inner: self
                .0
                .create_groups_accumulator(widely(&args, to.clone()))?,
            own: args.return_type().clone(),
            wide: to,
        }))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        // The engine has it for 64 bits alone, which overflow.
        if args.is_distinct {
            return not_impl_err!("sum(DISTINCT …) OVER a moving frame");
        }
        let Some(to) = wide(args.return_type()) else {
            return self.0.create_sliding_accumulator(args);
        };
        Ok(Box::new(Wide {
            inner: self
                .0
                .create_sliding_accumulator(widely(&args, to.clone()))?,
            own: args.return_type().clone(),
            wide: to,
        }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.0.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.0.order_sensitivity()
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.0.set_monotonicity(kind)
    }
}

/// One sum.
#[derive(Debug)]
struct Wide {
    inner: Box<dyn Accumulator>,
    own: DataType,
    wide: DataType,
}

impl Wide {
    fn values(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let values = values.iter().map(|array| widened(array, &self.wide));
        values.collect()
    }
}

impl Accumulator for Wide {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.values(values)?;
        self.inner.update_batch(&values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        narrowed_value(self.inner.evaluate()?, &self.own)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.values(values)?;
        self.inner.retract_batch(&values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// A sum for each group.
struct WideGroups {
    inner: Box<dyn GroupsAccumulator>,
    own: DataType,
    wide: DataType,
}

impl WideGroups {
    fn values(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let values = values.iter().map(|array| widened(array, &self.wide));
        values.collect()
    }
}

impl GroupsAccumulator for WideGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let values = self.values(values)?;
        self.inner.update_batch(&values, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        narrowed(&self.inner.evaluate(emit_to)?, &self.own)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(states, groups, total)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.values(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
