//! Text that becomes a date, a moment or a decimal because it stands beside one keeps all that it says, or is an error.
//!
//! The engine (`DataFusion` 55) reads such text as the type beside it, and so cuts the time of day from `'2026-01-05 10:00:00'`
//! beside a date (in a CASE, a UNION, `greatest`, the default of `lag`), and digits that the type does not have: `'0.114'` would equal
//! 0.11.
//! What the SQL casts itself is cut as it asks.

#[cfg(feature = "cluster")]
use std::sync::Arc;

use chrono::{DateTime, NaiveTime, Timelike, Utc};
#[cfg(feature = "cluster")]
use datafusion::logical_expr::ScalarUDF;
use datafusion::{
    arrow::{
        array::AsArray,
        compute::{cast, kernels::cast_utils::string_to_datetime},
        datatypes::{DataType, TimeUnit},
    },
    common::{
        DFSchema, DataFusionError, Result, ScalarValue, config::ConfigOptions, plan_datafusion_err,
        plan_err, tree_node::Transformed,
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan,
        expr::{Cast, WindowFunction},
    },
    optimizer::AnalyzerRule,
};

#[cfg(feature = "cluster")]
use crate::marked::function;
use crate::{
    marked::{Mark, marked, unmarked, within},
    named,
    schema::is_text,
    too_large::TooLarge,
};

const DAY_IS_CUT: &str = "a text with a time of day stands beside dates: write CAST(… AS TIMESTAMP) around the text to keep the time, or CAST(… AS DATE) to leave it out";
const SECOND_IS_CUT: &str = "a text has more digits of a second than the moments that it stands beside: write CAST(… AS TIMESTAMP), which keeps nine, around the text";
const PLACES_ARE_CUT: &str = "a text in quotes has more digits behind the point than the decimals that it stands beside: write the number without quotes (a parameter: declare it as decimal)";
const BEYOND_NINE: &str =
    "a moment has at most nine digits of a second, and a text beside moments has more";

/// Marks the casts that the SQL itself has, before the engine adds others.
#[derive(Debug)]
pub(crate) struct OwnCasts;

/// Checks the casts of text that the engine has added. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct KeptText;

impl AnalyzerRule for OwnCasts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        named::everywhere(plan, |mut expr, schema| {
            let is_own = match &mut expr {
                Expr::Cast(Cast { expr: text, field })
                    if Kept::by(field.data_type()).is_some() && may_be_text(text, schema) =>
                {
                    **text = marked::<Own>(std::mem::take(text));
                    true
                }
                _ => false,
            };
            Ok(Transformed::new_transformed(expr, is_own))
        })
    }

    fn name(&self) -> &'static str {
        "own_casts"
    }
}

impl AnalyzerRule for KeptText {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        named::everywhere(plan, |mut expr, schema| {
            let changed = match &mut expr {
                Expr::Cast(Cast { expr: text, field }) => match Kept::by(field.data_type()) {
                    Some(kept) => kept.checked(text, schema)?,
                    None => false,
                },
                Expr::WindowFunction(call) => {
                    default(call, schema)?;
                    false
                }
                _ => false,
            };
            Ok(Transformed::new_transformed(expr, changed))
        })
    }

    fn name(&self) -> &'static str {
        "kept_text"
    }
}

/// What is kept of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Day,
    Second(TimeUnit),
    Places(i8),
}

impl Kept {
    /// What a type keeps; none of a type that keeps all of a text, or takes no text.
    fn by(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Date32 | DataType::Date64 => Some(Self::Day),
            DataType::Timestamp(unit, _) => Some(Self::Second(*unit)),
            DataType::Decimal128(_, places) | DataType::Decimal256(_, places) => {
                Some(Self::Places(*places))
            }
            _ => None,
        }
    }

    /// Sees to it that nothing is cut from a text that the engine casts; whether the text was changed for it.
    fn checked(self, text: &mut Expr, schema: &DFSchema) -> Result<bool> {
        let own = unmarked::<Own>(std::mem::take(text));
        *text = own.data;
        let constant = match &*text {
            Expr::Literal(value, _) => value.try_as_str().flatten(),
            _ => None,
        };
        if let Some(constant) = constant {
            let finest = match own.transformed {
                true => Self::Second(TimeUnit::Nanosecond),
                false => self,
            };
            if own.transformed && !matches!(self, Self::Second(_)) {
                return Ok(true);
            }
            return match finest.fault(constant) {
                Some(fault) => Err(plan_datafusion_err!("{fault}")),
                None => Ok(own.transformed),
            };
        }
        let is_checked = own.transformed
            || within::<MidnightOf>(text).is_some()
            || !text.get_type(schema).is_ok_and(|kind| is_text(&kind));
        if is_checked {
            return Ok(own.transformed);
        }
        let inner = std::mem::take(text);
        *text = match self {
            Self::Day => marked::<AllOf<DAY>>(inner),
            Self::Second(TimeUnit::Second) => marked::<AllOf<SECOND>>(inner),
            Self::Second(TimeUnit::Millisecond) => marked::<AllOf<MILLISECOND>>(inner),
            Self::Second(TimeUnit::Microsecond) => marked::<AllOf<MICROSECOND>>(inner),
            Self::Second(TimeUnit::Nanosecond) => marked::<AllOf<NANOSECOND>>(inner),
            // Beside numbers, texts of rows are refused (`guard/comparisons.rs`).
            Self::Places(_) => {
                *text = inner;
                return Ok(false);
            }
        };
        Ok(true)
    }

    /// What would be cut from a text. A text that is no moment is left to the cast.
    fn fault(self, text: &str) -> Option<&'static str> {
        if let Self::Places(places) = self {
            let places = usize::try_from(places).unwrap_or_default();
            return (digits(text) > places).then_some(PLACES_ARE_CUT);
        }
        let moment = moment(text)?;
        match self {
            Self::Day => (moment.time() != NaiveTime::MIN).then_some(DAY_IS_CUT),
            Self::Second(_) if digits(text) > 9 => Some(BEYOND_NINE),
            Self::Second(unit) => {
                let step = match unit {
                    TimeUnit::Second => 1_000_000_000,
                    TimeUnit::Millisecond => 1_000_000,
                    TimeUnit::Microsecond => 1_000,
                    TimeUnit::Nanosecond => 1,
                };
                (moment.nanosecond() % step != 0).then_some(SECOND_IS_CUT)
            }
            Self::Places(_) => None,
        }
    }
}

/// A text that is compared with days in microseconds. Only what lies less than one behind a midnight would be cut to it.
pub(crate) fn beside_days(text: Expr) -> Expr {
    marked::<MidnightOf>(text)
}

/// A text without what [`KeptText`] puts around it.
pub(crate) fn unchecked(text: Expr) -> Transformed<Expr> {
    let text = unmarked::<AllOf<DAY>>(unmarked::<MidnightOf>(text).data);
    let text = unmarked::<AllOf<SECOND>>(text.data);
    let text = unmarked::<AllOf<MILLISECOND>>(text.data);
    let text = unmarked::<AllOf<MICROSECOND>>(text.data);
    unmarked::<AllOf<NANOSECOND>>(text.data)
}

/// The functions that [`KeptText`] puts around texts.
#[cfg(feature = "cluster")]
pub(crate) fn in_plans() -> [Arc<ScalarUDF>; 6] {
    [
        function::<AllOf<DAY>>(),
        function::<AllOf<SECOND>>(),
        function::<AllOf<MILLISECOND>>(),
        function::<AllOf<MICROSECOND>>(),
        function::<AllOf<NANOSECOND>>(),
        function::<MidnightOf>(),
    ]
}

/// The default of `lag` and `lead`, which the engine casts when it reads the first row.
fn default(call: &WindowFunction, schema: &DFSchema) -> Result<()> {
    let [value, _, Expr::Literal(given, _)] = call.params.args.as_slice() else {
        return Ok(());
    };
    let (kind, own) = (value.get_type(schema)?, given.data_type());
    if let Some(text) = given.try_as_str().flatten() {
        let fault = Kept::by(&kind).and_then(|kept| kept.fault(text));
        return fault.map_or(Ok(()), |fault| Err(plan_datafusion_err!("{fault}")));
    }
    let cast = given.cast_to(&kind).and_then(|cast| cast.cast_to(&own));
    match cast {
        Ok(back) if back == *given => Ok(()),
        _ => plan_err!(
            "the default of `{}` would be changed to the type of its values: CAST one of them",
            call.fun.name()
        ),
    }
}

fn may_be_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr, Expr::Placeholder(_)) || expr.get_type(schema).is_ok_and(|kind| is_text(&kind))
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    string_to_datetime(&Utc, text.trim()).ok()
}

/// Digits behind the point, up to the last that is no zero.
fn digits(text: &str) -> usize {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let end = fraction.find(|character: char| !character.is_ascii_digit());
    let fraction = &fraction[..end.unwrap_or(fraction.len())];
    fraction.trim_end_matches('0').len()
}

/// A cast that the SQL itself has. No plan has it behind [`KeptText`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Own;

impl Mark for Own {
    const NAME: &'static str = "own_cast";

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        Ok(value)
    }
}

const DAY: u8 = 0;
const SECOND: u8 = 1;
const MILLISECOND: u8 = 2;
const MICROSECOND: u8 = 3;
const NANOSECOND: u8 = 4;

/// What [`KeptText`] puts around texts: none says more than what is kept of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AllOf<const KEPT: u8>;

impl<const KEPT: u8> Mark for AllOf<KEPT> {
    const NAME: &'static str = match KEPT {
        DAY => "all_of_day",
        SECOND => "all_of_seconds",
        MILLISECOND => "all_of_milliseconds",
        MICROSECOND => "all_of_microseconds",
        _ => "all_of_nanoseconds",
    };

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        let kept = match KEPT {
            DAY => Kept::Day,
            SECOND => Kept::Second(TimeUnit::Second),
            MILLISECOND => Kept::Second(TimeUnit::Millisecond),
            MICROSECOND => Kept::Second(TimeUnit::Microsecond),
            _ => Kept::Second(TimeUnit::Nanosecond),
        };
        each(value, |text| kept.fault(text))
    }
}

/// See [`beside_days`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct MidnightOf;

impl Mark for MidnightOf {
    const NAME: &'static str = "all_of_midnight";

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        each(value, |text| {
            let moment = moment(text)?;
            let is_close = moment.num_seconds_from_midnight() == 0 && moment.nanosecond() < 1_000;
            (is_close && moment.nanosecond() != 0).then_some(SECOND_IS_CUT)
        })
    }
}

/// The texts, none of which has a fault.
fn each(
    value: ColumnarValue,
    fault: impl Fn(&str) -> Option<&'static str>,
) -> Result<ColumnarValue> {
    let refused = |fault| -> Result<ColumnarValue> { Err(TooLarge::error(fault)) };
    match &value {
        ColumnarValue::Scalar(ScalarValue::Null) => {}
        ColumnarValue::Scalar(text) => {
            if let Some(fault) = text.try_as_str().flatten().and_then(&fault) {
                return refused(fault);
            }
        }
        ColumnarValue::Array(texts) => {
            let texts = cast(texts, &DataType::Utf8View).map_err(DataFusionError::from)?;
            let mut texts = texts.as_string_view().iter().flatten();
            if let Some(fault) = texts.find_map(&fault) {
                return refused(fault);
            }
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit::{Microsecond, Nanosecond, Second};

    use super::{BEYOND_NINE, DAY_IS_CUT, Kept, PLACES_ARE_CUT, SECOND_IS_CUT};

    #[test]
    fn what_a_type_does_not_hold_is_reported() {
        for (text, kept, expected) in [
            ("2026-01-05", Kept::Day, None),
            ("2026-01-05T00:00:00Z", Kept::Day, None),
            ("2026-01-05 00:00:00.0000001", Kept::Day, Some(DAY_IS_CUT)),
            ("2026-01-05T00:00:00+02:00", Kept::Day, Some(DAY_IS_CUT)),
            ("2026-01-05 10:00:00", Kept::Second(Second), None),
            (
                "2026-01-05 10:00:00.5",
                Kept::Second(Second),
                Some(SECOND_IS_CUT),
            ),
            (
                "2026-01-05 10:00:00.1234560",
                Kept::Second(Microsecond),
                None,
            ),
            (
                "2026-01-05 10:00:00.1234567+02:00",
                Kept::Second(Microsecond),
                Some(SECOND_IS_CUT),
            ),
            (
                "2026-01-05 10:00:00.12345678900",
                Kept::Second(Nanosecond),
                None,
            ),
            (
                "2026-01-05 10:00:00.1234567891",
                Kept::Second(Nanosecond),
                Some(BEYOND_NINE),
            ),
            ("soon", Kept::Second(Second), None),
            ("-0.110", Kept::Places(2), None),
            ("0.114", Kept::Places(2), Some(PLACES_ARE_CUT)),
        ] {
            assert_eq!(kept.fault(text), expected, "{text} {kept:?}");
        }
    }
}
