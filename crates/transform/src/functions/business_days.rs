//! `is_business_day`, `add_business_days`, `business_days_between`.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{Datelike, Days, NaiveDate, Weekday};
use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, Int64Array},
        datatypes::{DataType, Field},
    },
    common::{Result, plan_err},
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::arguments::{array, counts, day_lists, day_type, days, days_array, invalid, texts};

/// Largest number of days to go, and of days between: about 2,700 years.
const FARTHEST: i64 = 1_000_000;

pub(super) fn functions() -> Vec<ScalarUDF> {
    [Question::Is, Question::Add, Question::Between]
        .map(|question| {
            ScalarUDF::from(BusinessDays {
                question,
                signature: Signature::user_defined(Volatility::Immutable),
            })
        })
        .into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Is,
    Add,
    Between,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BusinessDays {
    question: Question,
    signature: Signature,
}

/// Which days are not worked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Calendar {
    weekend: BTreeSet<u32>,
    holidays: BTreeSet<NaiveDate>,
}

impl BusinessDays {
    /// Arguments before the holidays.
    const fn leading(&self) -> usize {
        match self.question {
            Question::Is => 1,
            Question::Add | Question::Between => 2,
        }
    }
}

impl ScalarUDFImpl for BusinessDays {
    fn name(&self) -> &str {
        match self.question {
            Question::Is => "is_business_day",
            Question::Add => "add_business_days",
            Question::Between => "business_days_between",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let (name, leading) = (self.name(), self.leading());
        if given.len() < leading || given.len() > leading + 2 {
            return plan_err!(
                "{name} takes {leading} to {} arguments and was given {}",
                leading + 2,
                given.len()
            );
        }
        given
            .iter()
            .enumerate()
            .map(|(index, given)| match index {
                1 if self.question == Question::Add => Ok(DataType::Int64),
                _ if index < leading => day_type(name, given),
                _ if index == leading && matches!(given, DataType::List(_)) => Ok(DataType::List(
                    Arc::new(Field::new_list_field(DataType::Date32, true)),
                )),
                _ => Ok(DataType::Utf8),
            })
            .collect()
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(match self.question {
            Question::Is => DataType::Boolean,
            Question::Add => DataType::Date32,
            Question::Between => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let leading = self.leading();
        let argument = |index: usize| array(&arguments.args[index], rows);
        let from = days(&argument(0)?)?;
        let calendars = Calendars::new(
            arguments
                .args
                .get(leading)
                .map(|_| argument(leading))
                .transpose()?
                .as_ref(),
            arguments
                .args
                .get(leading + 1)
                .map(|_| argument(leading + 1))
                .transpose()?
                .as_ref(),
        )?;
        let result: ArrayRef = match self.question {
            Question::Is => Arc::new(
                calendars
                    .zip(from)
                    .map(|row| row.map(|row| row.map(|(calendar, day)| calendar.is_worked(day))))
                    .collect::<Result<BooleanArray>>()?,
            ),
            Question::Add => {
                let by = counts(&argument(1)?)?;
                let days = calendars
                    .zip(from)
                    .zip(by)
                    .map(|(row, by)| match (row?, by) {
                        (Some((calendar, day)), Some(by)) => calendar.add(day, by),
                        _ => Ok(None),
                    });
                days_array(days.collect::<Result<Vec<_>>>()?)
            }
            Question::Between => {
                let to = days(&argument(1)?)?;
                let counts = calendars
                    .zip(from)
                    .zip(to)
                    .map(|(row, to)| match (row?, to) {
                        (Some((calendar, from)), Some(to)) => calendar.between(from, to).map(Some),
                        _ => Ok(None),
                    });
                Arc::new(counts.collect::<Result<Int64Array>>()?)
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// The calendar of each row. Nearly always the same one: it is read again only when its texts change.
struct Calendars {
    holidays: Option<Vec<Option<Vec<NaiveDate>>>>,
    weekends: Option<Vec<Option<String>>>,
}

impl Calendars {
    fn new(holidays: Option<&ArrayRef>, weekends: Option<&ArrayRef>) -> Result<Self> {
        Ok(Self {
            holidays: holidays.map(day_lists).transpose()?,
            weekends: weekends.map(texts).transpose()?,
        })
    }

    /// Calendar and day of each row; `None` where one of them is null.
    fn zip(
        self,
        days: Vec<Option<NaiveDate>>,
    ) -> impl Iterator<Item = Result<Option<(Calendar, NaiveDate)>>> {
        days.into_iter().enumerate().map(move |(row, day)| {
            let holidays = match &self.holidays {
                None => Some(Vec::new()),
                Some(rows) => rows[row].clone(),
            };
            let weekend = match &self.weekends {
                None => Some(BTreeSet::from([5, 6])),
                Some(rows) => rows[row].as_deref().map(weekend).transpose()?,
            };
            Ok(match (holidays, weekend, day) {
                (Some(holidays), Some(weekend), Some(day)) => Some((
                    Calendar {
                        weekend,
                        holidays: holidays.into_iter().collect(),
                    },
                    day,
                )),
                _ => None,
            })
        })
    }
}

/// `fri,sat`, or nothing for a week without an end.
fn weekend(text: &str) -> Result<BTreeSet<u32>> {
    let days = text.split(',').map(str::trim).filter(|day| !day.is_empty());
    let days = days
        .map(|day| {
            let day: Weekday = day.parse().map_err(|_error| {
                invalid("a weekend is no list of days such as sat,sun".to_owned())
            })?;
            Ok(day.num_days_from_monday())
        })
        .collect::<Result<BTreeSet<_>>>()?;
    if days.len() > 6 {
        return Err(invalid(
            "a weekend of seven days leaves none to work".to_owned(),
        ));
    }
    Ok(days)
}

impl Calendar {
    fn is_worked(&self, day: NaiveDate) -> bool {
        !self.weekend.contains(&day.weekday().num_days_from_monday())
            && !self.holidays.contains(&day)
    }

    /// The day that many worked days later, or earlier; of 0, the day itself if it is worked, else the next that is.
    fn add(&self, day: NaiveDate, by: i64) -> Result<Option<NaiveDate>> {
        if by.abs() > FARTHEST {
            return Err(invalid(format!(
                "more than {FARTHEST} days cannot be added"
            )));
        }
        let forward = by >= 0;
        let step = |day: NaiveDate| {
            if forward {
                day.checked_add_days(Days::new(1))
            } else {
                day.checked_sub_days(Days::new(1))
            }
        };
        let mut day = day;
        let mut left = by.unsigned_abs();
        if left == 0 {
            while !self.is_worked(day) {
                match step(day) {
                    Some(next) => day = next,
                    None => return Ok(None),
                }
            }
            return Ok(Some(day));
        }
        while left > 0 {
            match step(day) {
                Some(next) => day = next,
                None => return Ok(None),
            }
            if self.is_worked(day) {
                left -= 1;
            }
        }
        Ok(Some(day))
    }

    /// Worked days from the first day on and before the second; negative when the second is before the first.
    fn between(&self, from: NaiveDate, to: NaiveDate) -> Result<i64> {
        if to < from {
            return Ok(-self.between(to, from)?);
        }
        let span = to.signed_duration_since(from).num_days();
        let weeks = span / 7;
        let worked = i64::try_from(7 - self.weekend.len()).unwrap_or(0) * weeks;
        let first_weekday = i64::from(from.weekday().num_days_from_monday());
        let rest = (0..span % 7)
            .filter(|ahead| {
                u32::try_from((first_weekday + ahead) % 7)
                    .is_ok_and(|weekday| !self.weekend.contains(&weekday))
            })
            .count();
        let holidays = self
            .holidays
            .range(from..to)
            .filter(|day| !self.weekend.contains(&day.weekday().num_days_from_monday()))
            .count();
        let less = i64::try_from(holidays).unwrap_or(0);
        Ok(worked + i64::try_from(rest).unwrap_or(0) - less)
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::{Calendar, weekend};

    #[test]
    fn counting_is_the_same_as_looking_at_each_day() {
        let first = NaiveDate::from_ymd_opt(2026, 12, 20).unwrap();
        for days in ["sat,sun", "fri,sat", "", "sun", "mon,tue,wed,thu,fri,sat"] {
            let calendar = Calendar {
                weekend: weekend(days).unwrap(),
                holidays: ["2026-12-25", "2026-12-26", "2027-01-01"]
                    .iter()
                    .map(|day| day.parse().unwrap())
                    .collect(),
            };
            for from in first.iter_days().take(20) {
                for to in first.iter_days().take(30) {
                    let (low, high) = (from.min(to), from.max(to));
                    let looked = low
                        .iter_days()
                        .take_while(|day| *day < high)
                        .filter(|day| calendar.is_worked(*day))
                        .count();
                    let looked = i64::try_from(looked).unwrap() * if to < from { -1 } else { 1 };
                    assert_eq!(
                        calendar.between(from, to).unwrap(),
                        looked,
                        "{days} {from} {to}"
                    );
                }
                let start = calendar.add(from, 0).unwrap().unwrap();
                for by in 1..10 {
                    let end = calendar.add(start, by).unwrap().unwrap();
                    assert_eq!(calendar.between(start, end).unwrap(), by);
                    assert_eq!(calendar.add(end, -by).unwrap(), Some(start));
                }
            }
        }
        assert!(weekend("mon,tue,wed,thu,fri,sat,sun").is_err());
        assert!(weekend("holiday").is_err());
    }
}
