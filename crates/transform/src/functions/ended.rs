//! `avg` of decimals and `percentile_cont`, of which the engine (`DataFusion` 55) computes the last step with a loss: an average of
//! decimals is cut off, and a percentile between two values lies at one of a million places. All else is the engine's.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch},
        compute::{CastOptions, cast, cast_with_options},
        datatypes::{
            DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Field, FieldRef, Float64Type,
            Schema,
        },
    },
    common::{Result, ScalarValue, internal_datafusion_err},
    functions_aggregate::{average::avg_udaf, percentile_cont::percentile_cont_udaf},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator,
        ReversedUDAF, Signature,
        function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs},
    },
};

use crate::too_large::TooLarge;

pub(super) fn functions() -> [AggregateUDF; 2] {
    [avg_udaf(), percentile_cont_udaf()].map(|inner| AggregateUDF::from(Ended(inner)))
}

/// A function of the engine whose last step is another.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ended(Arc<AggregateUDF>);

/// The last step.
#[derive(Debug, Clone)]
enum End {
    /// What the engine computes is rounded to this type.
    Rounded(DataType),
    Percentile(Percentile),
}

#[derive(Debug, Clone)]
struct Percentile {
    /// From 0 to 1.
    share: f64,
    descending: bool,
    /// Whether the engine keeps its values when it is asked for them.
    keeps: bool,
    kind: DataType,
}

impl Ended {
    /// The last step, and what the engine is asked for before; none where its own last step is exact.
    fn end<'a>(&self, args: &AccumulatorArgs<'a>) -> Result<Option<(End, AccumulatorArgs<'a>)>> {
        let kind = args.return_type().clone();
        if self.name() == "avg" {
            let DataType::Decimal128(precision, scale) = kind else {
                return Ok(None);
            };
            let finer = DataType::Decimal128(
                (precision + 1).min(DECIMAL128_MAX_PRECISION),
                (scale + 1).min(DECIMAL128_MAX_SCALE),
            );
            let field: Field = args.return_field.as_ref().clone().with_data_type(finer);
            let args = AccumulatorArgs {
                return_field: Arc::new(field),
                ..args.clone()
            };
            return Ok(Some((End::Rounded(kind), args)));
        }
        let share = match args.exprs.get(1) {
            Some(share) => share.evaluate(&RecordBatch::new_empty(Schema::empty().into()))?,
            None => return Ok(None),
        };
        // The engine refuses what is no share, and knows null.
        let share = match share {
            ColumnarValue::Scalar(ScalarValue::Float64(Some(share))) if kind.is_floating() => share,
            ColumnarValue::Scalar(ScalarValue::Float32(Some(share))) if kind.is_floating() => {
                f64::from(share)
            }
            _ => return Ok(None),
        };
        let by = args.order_bys.first();
        let percentile = Percentile {
            share,
            descending: by.is_some_and(|by| by.options.descending),
            keeps: args.is_distinct,
            kind,
        };
        Ok(Some((End::Percentile(percentile), args.clone())))
    }
}

impl AggregateUDFImpl for Ended {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.0.return_type(given)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(match self.end(&args)? {
            None => self.0.accumulator(args)?,
            Some((end, args)) => Box::new(One {
                inner: self.0.accumulator(args)?,
                end,
            }),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.0.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.end(&args)? {
            None => self.0.create_groups_accumulator(args)?,
            Some((end, args)) => Box::new(Groups {
                inner: self.0.create_groups_accumulator(args)?,
                end,
            }),
        })
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.0.simplify()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.0.inner().reverse_expr()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.0.supports_within_group_clause()
    }
}

/// Of all rows, or of a window.
#[derive(Debug)]
struct One {
    inner: Box<dyn Accumulator>,
    end: End,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match &self.end {
            End::Rounded(kind) => {
                let finer = self.inner.evaluate()?.to_array()?;
                ScalarValue::try_from_array(&rounded(&finer, kind)?, 0)
            }
            End::Percentile(percentile) => {
                let state = self.inner.state()?;
                let lists = match state.first() {
                    Some(lists) => lists.to_array()?,
                    None => return Err(internal_datafusion_err!("a percentile of no values")),
                };
                // A window goes on with them.
                if !percentile.keeps {
                    self.inner.merge_batch(&[Arc::clone(&lists)])?;
                }
                ScalarValue::try_from_array(&percentile.of(&lists)?, 0)
            }
        }
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
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// Of each group.
struct Groups {
    inner: Box<dyn GroupsAccumulator>,
    end: End,
}

impl fmt::Debug for Groups {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Groups")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(values, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        match &self.end {
            End::Rounded(kind) => rounded(&self.inner.evaluate(emit_to)?, kind),
            End::Percentile(percentile) => match self.inner.state(emit_to)?.first() {
                Some(lists) => percentile.of(lists),
                None => Err(internal_datafusion_err!("a percentile of no values")),
            },
        }
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
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// Decimals with fewer places, half of the last one rounded away from 0.
fn rounded(finer: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(finer, kind, &strict).map_err(|_error| {
        TooLarge::error(
            "`avg` has more than the 38 digits of a decimal: write avg(CAST(… AS DOUBLE))",
        )
    })
}

impl Percentile {
    /// The percentile of each list of values.
    fn of(&self, lists: &ArrayRef) -> Result<ArrayRef> {
        let found: Float64Array = lists
            .as_list::<i32>()
            .iter()
            .map(|values| {
                let Some(values) = values else {
                    return Ok(None);
                };
                let values = cast(&values, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                Ok(self.between(&mut values.iter().flatten().collect::<Vec<_>>()))
            })
            .collect::<Result<_>>()?;
        Ok(cast(&found, &self.kind)?)
    }

    /// The value at the share of the way from the first to the last, between two of them in proportion.
    fn between(&self, values: &mut [f64]) -> Option<f64> {
        let last = values.len().checked_sub(1)?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "no more values are in memory than a float counts, and a share is not negative"
        )]
        let (place, fraction) = {
            let exact = self.share * last as f64;
            (exact.floor() as usize, exact.fract())
        };
        let order = |a: &f64, b: &f64| {
            if self.descending {
                b.total_cmp(a)
            } else {
                a.total_cmp(b)
            }
        };
        let (_, &mut before, behind) = values.select_nth_unstable_by(place.min(last), order);
        let next = behind.iter().copied().min_by(order);
        let Some(next) = next.filter(|next| fraction > 0.0 && *next != before) else {
            return Some(before);
        };
        let between = (next - before).mul_add(fraction, before);
        // The way between two of the largest floats is none.
        let is_beyond = !between.is_finite() && before.is_finite() && next.is_finite();
        Some(if is_beyond {
            before.mul_add(1.0 - fraction, next * fraction)
        } else {
            between
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use super::Percentile;

    #[test]
    fn percentiles_lie_between_two_values() {
        let of = |share: f64, descending: bool, values: &[f64]| {
            let percentile = Percentile {
                share,
                descending,
                keeps: false,
                kind: DataType::Float64,
            };
            percentile.between(&mut values.to_vec())
        };
        let values = [2.0, 1_000_000.0, 1.0];
        assert_eq!(of(0.5, false, &values), Some(2.0));
        assert_eq!(of(0.0, false, &values), Some(1.0));
        assert_eq!(of(0.0, true, &values), Some(1_000_000.0));
        assert_eq!(of(1.0, false, &values), Some(1_000_000.0));
        assert_eq!(of(0.25, true, &[0.0, 1.0]), Some(0.75));
        assert_eq!(of(1.0 / 3.0, false, &[0.0, 3e9]), Some(1e9));
        assert_eq!(of(0.5, false, &[f64::MIN, f64::MAX]), Some(0.0));
        assert_eq!(of(0.5, false, &[7.0]), Some(7.0));
        assert_eq!(of(0.5, false, &[]), None);
        let infinite = [f64::INFINITY, f64::INFINITY];
        assert_eq!(of(0.5, false, &infinite), Some(f64::INFINITY));
    }
}
