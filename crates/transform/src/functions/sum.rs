//! `sum` that does not begin at the other end.
//!
//! The engine's own adds integers as their type has room for them (`DataFusion` 55), and so the sum of two large ones is
//! negative. Here they are added with more room, and the sum is an error when it does not fit.

use std::{hash::Hash, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array},
        compute::{CastOptions, cast, cast_with_options, sum},
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

use super::checked::largest_bits;
use crate::too_large::TooLarge;

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
        // A sum has ten digits more than its values, up to the most digits of the type.
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

/// The sum of a batch of integers of 64 bits. As long as their largest leaves room for all of them, they are added as they are.
fn folded(array: &ArrayRef) -> Option<Decimal128Array> {
    let array = array.as_primitive_opt::<Int64Type>()?;
    let rows = usize::BITS - array.len().leading_zeros();
    let sum = if largest_bits(array.values()) + rows <= 62 {
        sum(array).map(i128::from)
    } else {
        let values = array.iter().flatten().map(i128::from);
        (array.null_count() < array.len()).then(|| values.sum())
    };
    Some(Decimal128Array::from_iter([sum]))
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
            folds: !args.is_distinct,
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
        let own = args.return_type().clone();
        let Some(to) = wide(&own) else {
            return self.0.create_groups_accumulator(args);
        };
        let widely = widely(&args, to.clone());
        let inner = self.0.create_groups_accumulator(widely)?;
        let narrow = match own {
            DataType::Int64 => Some(Narrow {
                inner: self.0.create_groups_accumulator(args)?,
                largest: 0,
            }),
            _ => None,
        };
        Ok(Box::new(WideGroups {
            narrow,
            inner,
            own,
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
            folds: false,
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
    /// Whether a batch may be given to the engine as its sum: not when it asks which values there were, or how many.
    folds: bool,
}

impl Wide {
    fn values(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let values = values.iter().map(|array| {
            if self.folds
                && let Some(sum) = folded(array)
            {
                return Ok(Arc::new(sum.with_data_type(self.wide.clone())) as ArrayRef);
            }
            widened(array, &self.wide)
        });
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
    /// Adds integers of 64 bits as they are, as long as no sum of them can be too large.
    narrow: Option<Narrow>,
    inner: Box<dyn GroupsAccumulator>,
    own: DataType,
    wide: DataType,
}

struct Narrow {
    inner: Box<dyn GroupsAccumulator>,
    /// No sum is larger than this.
    largest: u128,
}

impl Narrow {
    /// Whether no sum can be too large with these values.
    fn has_room(&mut self, values: &[ArrayRef]) -> bool {
        let largest = values.iter().map(|array| {
            let array = array.as_primitive::<Int64Type>();
            (array.len() as u128) << largest_bits(array.values())
        });
        self.largest = self.largest.saturating_add(largest.sum());
        self.largest <= 1 << 62
    }
}

impl WideGroups {
    fn values(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let values = values.iter().map(|array| widened(array, &self.wide));
        values.collect()
    }

    /// Goes on in the wider type.
    fn widen(&mut self) -> Result<()> {
        let Some(mut narrow) = self.narrow.take() else {
            return Ok(());
        };
        let sums = narrow.inner.evaluate(EmitTo::All)?;
        let groups: Vec<usize> = (0..sums.len()).collect();
        let sums = self.values(&[sums])?;
        self.inner.merge_batch(&sums, &groups, groups.len())
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
        if let Some(narrow) = &mut self.narrow {
            if narrow.has_room(values) {
                return narrow.inner.update_batch(values, groups, filter, total);
            }
            self.widen()?;
        }
        let values = self.values(values)?;
        self.inner.update_batch(&values, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        match &mut self.narrow {
            Some(narrow) => narrow.inner.evaluate(emit_to),
            None => narrowed(&self.inner.evaluate(emit_to)?, &self.own),
        }
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        match &mut self.narrow {
            Some(narrow) => {
                let sums = narrow.inner.evaluate(emit_to)?;
                self.values(&[sums])
            }
            None => self.inner.state(emit_to),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.widen()?;
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
        let narrow = self.narrow.as_ref().map_or(0, |narrow| narrow.inner.size());
        narrow + self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use datafusion::{
        arrow::{
            array::{ArrayRef, AsArray, Int64Array, RecordBatch},
            datatypes::Int64Type,
        },
        datasource::MemTable,
        execution::SessionStateBuilder,
        prelude::{SessionConfig, SessionContext},
    };

    /// Values that are small at first and large later, so that sums begin in their own type.
    fn batches() -> Vec<Vec<(i64, Option<i64>)>> {
        (0..40)
            .map(|batch: i64| {
                (0..50_i64)
                    .map(|row| {
                        let large = i64::MAX >> (40 - batch);
                        let value = if (row + batch) % 2 == 0 {
                            large
                        } else {
                            -large
                        };
                        (row % 7, (row % 11 != 0).then_some(value))
                    })
                    .collect()
            })
            .collect()
    }

    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the function alone, without a query's guard"
    )]
    async fn sums_are_those_of_a_wider_type() {
        let batches = batches();
        let tables: Vec<RecordBatch> = batches
            .iter()
            .map(|rows| {
                let groups: Int64Array = rows.iter().map(|(group, _)| Some(*group)).collect();
                let values: Int64Array = rows.iter().map(|(_, value)| *value).collect();
                let columns = [("g", Arc::new(groups) as ArrayRef), ("v", Arc::new(values))];
                RecordBatch::try_from_iter(columns).unwrap()
            })
            .collect();
        let (mut groups, mut whole) = (BTreeMap::<i64, i128>::new(), 0);
        for (group, value) in batches.iter().flatten() {
            let value = i128::from(value.unwrap_or(0));
            *groups.entry(*group).or_default() += value;
            whole += value;
        }
        for partitions in [1, 3] {
            let config = SessionConfig::new().with_target_partitions(partitions);
            let builder = SessionStateBuilder::new()
                .with_default_features()
                .with_config(config);
            let session =
                SessionContext::new_with_state(crate::functions::register(builder).build());
            let parts = tables.chunks(tables.len().div_ceil(partitions));
            let parts = parts.map(<[RecordBatch]>::to_vec).collect();
            let table = MemTable::try_new(tables[0].schema(), parts).unwrap();
            session.register_table("t", Arc::new(table)).unwrap();
            let ask = async |sql: &str| {
                let rows = session.sql(sql).await.unwrap().collect().await;
                rows.map(|rows| {
                    let columns = rows.iter().map(|batch| {
                        let values = batch.column(0).as_primitive::<Int64Type>();
                        values.values().to_vec()
                    });
                    columns.flatten().map(i128::from).collect::<Vec<_>>()
                })
            };
            let found = ask("SELECT sum(v) FROM t").await.unwrap();
            assert_eq!(found, [whole]);
            let found = ask("SELECT sum(v) AS s FROM t GROUP BY g ORDER BY g").await;
            assert_eq!(found.unwrap(), groups.values().copied().collect::<Vec<_>>());
            for sql in [
                "SELECT sum(abs(v)) FROM t",
                "SELECT sum(abs(v)) AS s FROM t GROUP BY g",
            ] {
                let told = ask(sql).await.unwrap_err().to_string();
                assert!(told.contains("too large"), "{told}");
            }
        }
    }
}
