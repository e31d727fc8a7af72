//! `is_business_day`, `add_business_days`, `business_days_between`; docs/functions.md says what they give.

use std::{ops::Range, rc::Rc, sync::Arc};

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

/// Largest number of worked days to add or to go back.
const FARTHEST: u64 = 1_000_000;

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
    weekend: Weekend,
    /// Days off that are no days of the weekend; in order, each once.
    holidays: Vec<NaiveDate>,
}

/// The days of the week that are not worked; one at least is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weekend {
    /// From Monday on.
    is_free: [bool; 7],
    worked_days: u32,
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
        let (leading, args) = (self.leading(), &arguments.args);
        let argument = |index: usize| array(&args[index], rows);
        let from = days(&argument(0)?)?;
        let calendars = Calendars::new(args.get(leading), args.get(leading + 1), rows)?;
        let rows = from.into_iter().enumerate();
        let rows = rows.map(|(row, day)| Some((calendars.of(row)?, day?)));
        let result: ArrayRef = match self.question {
            Question::Is => {
                let worked = rows.map(|row| row.map(|(calendar, day)| calendar.is_worked(day)));
                Arc::new(worked.collect::<BooleanArray>())
            }
            Question::Add => {
                let by = counts(&argument(1)?)?;
                let days = rows.zip(by).map(|(row, by)| match (row, by) {
                    (Some((calendar, day)), Some(by)) => calendar.add(day, by),
                    _ => Ok(None),
                });
                days_array(days.collect::<Result<Vec<_>>>()?)
            }
            Question::Between => {
                let to = days(&argument(1)?)?;
                let counts = rows.zip(to).map(|(row, to)| {
                    let ((calendar, from), to) = row.zip(to)?;
                    Some(calendar.between(from, to))
                });
                Arc::new(counts.collect::<Int64Array>())
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// The calendar of each row, or the one of all rows; none where an argument is null.
struct Calendars(Vec<Option<Rc<Calendar>>>);

impl Calendars {
    /// Of `rows` rows.
    fn new(
        holidays: Option<&ColumnarValue>,
        weekends: Option<&ColumnarValue>,
        rows: usize,
    ) -> Result<Self> {
        let holidays = values(holidays, rows, day_lists, Vec::new())?;
        let weekends = values(weekends, rows, weekends_of, Weekend::SATURDAY_SUNDAY)?;
        let count = if holidays.len() == 1 && weekends.len() == 1 {
            1
        } else {
            rows
        };
        let mut calendars: Vec<Option<Rc<Calendar>>> = Vec::with_capacity(count);
        for row in 0..count {
            let (days, weekend) = (in_row(&holidays, row), in_row(&weekends, row));
            let is_as_before = row > 0
                && is_same(days, in_row(&holidays, row - 1))
                && is_same(weekend, in_row(&weekends, row - 1));
            calendars.push(match calendars.last() {
                Some(last) if is_as_before => last.clone(),
                _ => days
                    .as_ref()
                    .zip(weekend.as_ref())
                    .map(|(days, weekend)| Rc::new(Calendar::new(*weekend, days))),
            });
        }
        Ok(Self(calendars))
    }

    fn of(&self, row: usize) -> Option<&Calendar> {
        in_row(&self.0, row).as_deref()
    }
}

/// An argument of each row, or one for all rows.
fn values<T>(
    argument: Option<&ColumnarValue>,
    rows: usize,
    read: impl Fn(&ArrayRef) -> Result<Vec<Option<T>>>,
    default: T,
) -> Result<Vec<Option<T>>> {
    match argument {
        None => Ok(vec![Some(default)]),
        Some(all @ ColumnarValue::Scalar(_)) => read(&array(all, 1)?),
        Some(each) => read(&array(each, rows)?),
    }
}

fn in_row<T>(values: &[T], row: usize) -> &T {
    &values[if values.len() == 1 { 0 } else { row }]
}

fn is_same<T: PartialEq>(one: &T, other: &T) -> bool {
    std::ptr::eq(one, other) || one == other
}

fn weekends_of(texts_of_rows: &ArrayRef) -> Result<Vec<Option<Weekend>>> {
    let texts = texts(texts_of_rows)?.into_iter();
    texts
        .map(|text| text.as_deref().map(Weekend::try_new).transpose())
        .collect()
}

impl Weekend {
    const SATURDAY_SUNDAY: Self = Self {
        is_free: [false, false, false, false, false, true, true],
        worked_days: 5,
    };

    /// `fri,sat`, or nothing for a week without an end.
    fn try_new(text: &str) -> Result<Self> {
        let mut is_free = [false; 7];
        let days = text.split(',').map(str::trim).filter(|day| !day.is_empty());
        for day in days {
            let day: Weekday = day.parse().map_err(|_error| {
                invalid("a weekend is no list of days such as sat,sun".to_owned())
            })?;
            is_free[day.num_days_from_monday() as usize] = true;
        }
        let worked_days = is_free.iter().filter(|is_free| !**is_free).count();
        match u32::try_from(worked_days) {
            Ok(worked_days @ 1..) => Ok(Self {
                is_free,
                worked_days,
            }),
            _ => Err(invalid(
                "a weekend of seven days leaves none to work".to_owned(),
            )),
        }
    }

    fn has(&self, day: NaiveDate) -> bool {
        self.is_free[day.weekday().num_days_from_monday() as usize]
    }
}

impl Calendar {
    fn new(weekend: Weekend, days_off: &[NaiveDate]) -> Self {
        let days_off = days_off.iter().copied();
        let mut holidays: Vec<_> = days_off.filter(|day| !weekend.has(*day)).collect();
        holidays.sort_unstable();
        holidays.dedup();
        Self { weekend, holidays }
    }

    fn is_worked(&self, day: NaiveDate) -> bool {
        !self.weekend.has(day) && self.holidays.binary_search(&day).is_err()
    }

    /// The day that many worked days later, or earlier; of 0, the day itself if it is worked, else the next that is. `None`
    /// beyond the years that a date can have.
    fn add(&self, day: NaiveDate, by: i64) -> Result<Option<NaiveDate>> {
        let forward = by >= 0;
        let by = by.unsigned_abs();
        if by > FARTHEST {
            return Err(invalid(format!(
                "more than {FARTHEST} days cannot be added"
            )));
        }
        if by == 0 && self.is_worked(day) {
            return Ok(Some(day));
        }
        Ok(self.walk(day, by.max(1), forward))
    }

    /// The day that many worked days after `day`, or before it: as if there were no holidays, and then a day more for each holiday
    /// that was passed.
    fn walk(&self, mut day: NaiveDate, by: u64, forward: bool) -> Option<NaiveDate> {
        let mut left = by;
        while left > 0 {
            let start = day;
            day = self.walk_over_holidays(start, left, forward)?;
            left = if forward {
                self.holidays_in(start.succ_opt()?..day.succ_opt()?)
            } else {
                self.holidays_in(day..start)
            };
        }
        Some(day)
    }

    /// The same where each day is worked that is not of the weekend: whole weeks at once, then the rest of a week.
    fn walk_over_holidays(&self, day: NaiveDate, by: u64, forward: bool) -> Option<NaiveDate> {
        let each_week = u64::from(self.weekend.worked_days);
        let weeks = (by - 1) / each_week;
        let days = Days::new(weeks * 7);
        let mut day = if forward {
            day.checked_add_days(days)?
        } else {
            day.checked_sub_days(days)?
        };
        let mut left = by - weeks * each_week;
        while left > 0 {
            day = if forward {
                day.succ_opt()?
            } else {
                day.pred_opt()?
            };
            left -= u64::from(!self.weekend.has(day));
        }
        Some(day)
    }

    fn holidays_in(&self, days: Range<NaiveDate>) -> u64 {
        let before = |end: NaiveDate| self.holidays.partition_point(|day| *day < end);
        before(days.end).saturating_sub(before(days.start)) as u64
    }

    /// Worked days from the first day on and before the second; negative when the second is before the first.
    fn between(&self, from: NaiveDate, to: NaiveDate) -> i64 {
        if to < from {
            return -self.between(to, from);
        }
        let span = to.signed_duration_since(from).num_days().unsigned_abs();
        let weeks = span / 7;
        let rest = from.iter_days().take((span % 7) as usize);
        let rest = rest.filter(|day| !self.weekend.has(*day)).count() as u64;
        let worked = weeks * u64::from(self.weekend.worked_days) + rest;
        (worked - self.holidays_in(from..to)).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Days, NaiveDate};

    use super::{Calendar, FARTHEST, Weekend};

    const WEEKENDS: [&str; 6] = [
        "sat,sun",
        "fri,sat",
        "",
        "sun",
        "tue,thu",
        "mon,tue,wed,thu,fri,sat",
    ];

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// What [`Calendar::add`] gives, by looking at each day.
    fn added(calendar: &Calendar, mut day: NaiveDate, by: i64) -> NaiveDate {
        let mut left = by.unsigned_abs();
        if left == 0 {
            while !calendar.is_worked(day) {
                day = day.succ_opt().unwrap();
            }
        }
        while left > 0 {
            day = if by > 0 {
                day.succ_opt().unwrap()
            } else {
                day.pred_opt().unwrap()
            };
            left -= u64::from(calendar.is_worked(day));
        }
        day
    }

    /// What [`Calendar::between`] gives, by looking at each day.
    fn counted(calendar: &Calendar, from: NaiveDate, to: NaiveDate) -> i64 {
        let days = from.min(to).iter_days();
        let days = days.take_while(|day| *day < from.max(to));
        let worked = days.filter(|day| calendar.is_worked(*day)).count() as i64;
        if to < from { -worked } else { worked }
    }

    #[test]
    fn weeks_at_once_give_what_looking_at_each_day_gives() {
        let first = day("2026-12-01");
        let days_off = |of: fn(u64) -> bool| {
            let days = (0..60).filter(|ahead| of(*ahead));
            days.map(|ahead| first + Days::new(ahead)).collect()
        };
        let all_holidays: [Vec<NaiveDate>; 4] = [
            Vec::new(),
            days_off(|ahead| [24, 25, 31].contains(&ahead)),
            days_off(|ahead| ahead % 3 == 0),
            days_off(|ahead| (20..40).contains(&ahead)),
        ];
        for (weekend, holidays) in WEEKENDS
            .iter()
            .flat_map(|weekend| all_holidays.iter().map(move |days| (weekend, days)))
        {
            let calendar = Calendar::new(Weekend::try_new(weekend).unwrap(), holidays);
            for from in first.iter_days().skip(15).take(28) {
                for to in first.iter_days().take(60) {
                    let expected = counted(&calendar, from, to);
                    assert_eq!(
                        calendar.between(from, to),
                        expected,
                        "{weekend} {from} {to}"
                    );
                }
                for by in -25..=25 {
                    let expected = added(&calendar, from, by);
                    let day = calendar.add(from, by).unwrap();
                    assert_eq!(day, Some(expected), "{weekend} {holidays:?} {from} {by}");
                }
            }
        }
    }

    #[test]
    fn the_farthest_days_are_exact() {
        let (start, farthest) = (day("2026-01-05"), FARTHEST.cast_signed());
        for days in WEEKENDS {
            let off = [day("2026-12-25"), day("2027-01-01"), day("4000-01-03")];
            let calendar = Calendar::new(Weekend::try_new(days).unwrap(), &off);
            for by in [farthest, -farthest] {
                let end = calendar.add(start, by).unwrap().unwrap();
                assert!(calendar.is_worked(end));
                assert_eq!(calendar.between(start.min(end), start.max(end)), {
                    // The later of the two is not counted.
                    farthest - i64::from(by > 0) + i64::from(by > 0 && calendar.is_worked(start))
                });
            }
        }
    }

    #[test]
    fn days_that_no_date_can_have_are_null_and_too_many_an_error() {
        let calendar = Calendar::new(Weekend::SATURDAY_SUNDAY, &[]);
        assert_eq!(calendar.add(NaiveDate::MAX, 1).unwrap(), None);
        assert_eq!(calendar.add(NaiveDate::MIN, -1_000_000).unwrap(), None);
        for by in [1_000_001, -1_000_001, i64::MAX, i64::MIN] {
            assert!(calendar.add(day("2026-01-05"), by).is_err(), "{by}");
        }
    }

    #[test]
    fn a_weekend_is_a_list_of_days_and_leaves_one() {
        assert_eq!(
            Weekend::try_new(" sun , sat ").unwrap(),
            Weekend::SATURDAY_SUNDAY
        );
        assert!(Weekend::try_new("mon,tue,wed,thu,fri,sat,sun").is_err());
        assert!(Weekend::try_new("holiday").is_err());
    }
}
