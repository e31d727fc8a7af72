//! `local_time`, `local_date`, `from_local_time`: clocks on walls.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Duration, LocalResult, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::{
    arrow::{
        array::{ArrayRef, TimestampMicrosecondArray},
        datatypes::{DataType, TimeUnit},
    },
    common::{Result, plan_err},
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::arguments::{array, days_array, moment_type, moments, parse_zone, texts};

pub(super) fn functions() -> Vec<ScalarUDF> {
    [Clock::Time, Clock::Date, Clock::Back]
        .map(|clock| {
            ScalarUDF::from(LocalTime {
                clock,
                signature: Signature::user_defined(Volatility::Immutable),
            })
        })
        .into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Clock {
    Time,
    Date,
    Back,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LocalTime {
    clock: Clock,
    signature: Signature,
}

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        match self.clock {
            Clock::Time => "local_time",
            Clock::Date => "local_date",
            Clock::Back => "from_local_time",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        let [moment, _zone] = given else {
            return plan_err!("{name} takes a timestamp and a time zone");
        };
        let moment = match (self.clock, moment_type(name, moment)?) {
            (Clock::Back, DataType::Timestamp(_, Some(_))) => {
                return plan_err!("{name} takes a timestamp without a zone: what a clock shows");
            }
            (_, moment) => moment,
        };
        Ok(vec![moment, DataType::Utf8])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(match self.clock {
            Clock::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
            Clock::Date => DataType::Date32,
            Clock::Back => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let moments = moments(&array(&arguments.args[0], rows)?)?;
        let names = texts(&array(&arguments.args[1], rows)?)?;
        let mut zones: HashMap<String, Tz> = HashMap::new();
        let mut pairs = Vec::with_capacity(rows);
        for (moment, name) in moments.into_iter().zip(names) {
            pairs.push(match (moment, name) {
                (Some(moment), Some(name)) => {
                    let zone = match zones.get(&name) {
                        Some(zone) => *zone,
                        None => *zones.entry(name.clone()).or_insert(parse_zone(&name)?),
                    };
                    Some((moment, zone))
                }
                _ => None,
            });
        }
        let wall = |(moment, zone): (DateTime<Utc>, Tz)| moment.with_timezone(&zone).naive_local();
        let pairs = pairs.into_iter();
        let result: ArrayRef = match self.clock {
            Clock::Time => Arc::new(
                pairs
                    .map(|pair| pair.map(|pair| wall(pair).and_utc().timestamp_micros()))
                    .collect::<TimestampMicrosecondArray>(),
            ),
            Clock::Date => days_array(pairs.map(|pair| pair.map(|pair| wall(pair).date()))),
            Clock::Back => Arc::new(
                pairs
                    .map(|pair| pair.map(|(moment, zone)| moment_of(moment, zone)))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// The moment at which a clock shows this time: the first one when it does so twice, and as much later as the clock was put
/// forward when it never does.
fn moment_of(shown: DateTime<Utc>, zone: Tz) -> i64 {
    let shown = shown.naive_utc();
    let moment = match zone.from_local_datetime(&shown) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => moment,
        LocalResult::None => {
            // Before the gap the old offset holds, and with it the time that is not shown is after the gap.
            let before = zone.from_local_datetime(&(shown - Duration::hours(24)));
            match before.latest() {
                Some(before) => before + Duration::hours(24),
                None => zone.from_utc_datetime(&shown),
            }
        }
    };
    moment.timestamp_micros()
}
