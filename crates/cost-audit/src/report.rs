//! Estimates from the audit log beside what AWS says it cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::error::Error;

/// What AWS says some time cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualCosts {
    /// The sum of all periods.
    pub total_usd: Decimal,
    /// Whether AWS may still change a figure.
    pub estimated: bool,
    /// Each period, in order of time.
    pub periods: Vec<ActualPeriod>,
    /// How many pages were asked for; AWS takes 0.01 USD for each.
    pub pages: u32,
    /// When AWS was asked.
    pub fetched_at: DateTime<Utc>,
}

/// One period of [`ActualCosts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualPeriod {
    /// Its first day.
    pub start: NaiveDate,
    /// The day after its last one.
    pub end: NaiveDate,
    /// What it cost.
    pub usd: Decimal,
    /// Whether AWS may still change the figure.
    pub estimated: bool,
    /// Its parts, when asked for.
    pub groups: Vec<ActualGroup>,
}

/// A part of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualGroup {
    /// The values grouped by.
    pub keys: Vec<String>,
    /// What it cost.
    pub usd: Decimal,
}

/// Estimates and actuals, day by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostReport {
    /// The first day.
    pub start: NaiveDate,
    /// The day after the last one.
    pub end: NaiveDate,
    /// The sum of the estimates.
    pub estimated_usd: Decimal,
    /// The sum of the actuals, when AWS was asked.
    pub actual_usd: Option<Decimal>,
    /// Whether AWS may still change the actuals.
    pub actual_may_change: bool,
    /// One row per day.
    pub days: Vec<CostDay>,
    /// The estimates of each action.
    pub actions: BTreeMap<String, ActionCost>,
}

/// One day of a [`CostReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostDay {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// Attempts in the audit log.
    pub requests: u64,
    /// Attempts that could not be priced.
    pub unpriced: u64,
    /// The sum of their estimates.
    pub estimated_usd: Decimal,
    /// What AWS says, when it was asked and answered by day.
    pub actual_usd: Option<Decimal>,
}

/// What one action cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ActionCost {
    /// Attempts.
    pub requests: u64,
    /// The sum of their estimates.
    pub estimated_usd: Decimal,
}

impl CostReport {
    /// Sums the audit log in `directory` from `start` until before `end`, beside `actuals`.
    ///
    /// # Errors
    /// Those of [`audit::entries`].
    pub fn new(
        directory: &Path,
        start: NaiveDate,
        end: NaiveDate,
        actuals: Option<&ActualCosts>,
    ) -> Result<Self, Error> {
        let mut days: Vec<CostDay> = start
            .iter_days()
            .take_while(|day| *day < end)
            .map(|day| CostDay {
                day,
                requests: 0,
                unpriced: 0,
                estimated_usd: Decimal::ZERO,
                actual_usd: actuals.and_then(|actuals| on_day(actuals, day)),
            })
            .collect();
        let mut actions: BTreeMap<String, ActionCost> = BTreeMap::new();
        for entry in audit::entries_since(directory, start)? {
            let record = entry?.record;
            let offset = (record.time.date_naive() - start).num_days();
            let Some(day) = usize::try_from(offset)
                .ok()
                .and_then(|offset| days.get_mut(offset))
            else {
                continue;
            };
            let cost = record.cost_usd.unwrap_or_default();
            day.requests += 1;
            day.unpriced += u64::from(record.cost_usd.is_none());
            day.estimated_usd = (day.estimated_usd + cost).normalize();
            let action = actions.entry(record.action).or_default();
            action.requests += 1;
            action.estimated_usd = (action.estimated_usd + cost).normalize();
        }
        Ok(Self {
            start,
            end,
            estimated_usd: days
                .iter()
                .map(|day| day.estimated_usd)
                .sum::<Decimal>()
                .normalize(),
            actual_usd: actuals.map(|actuals| actuals.total_usd),
            actual_may_change: actuals.is_some_and(|actuals| actuals.estimated),
            days,
            actions,
        })
    }

    /// The days as bars of at most `width` characters, for a terminal: `#` the estimate, `=` the actual.
    #[must_use]
    pub fn chart(&self, width: usize) -> String {
        let values = self
            .days
            .iter()
            .flat_map(|day| [Some(day.estimated_usd), day.actual_usd])
            .flatten();
        let highest = values.max().unwrap_or_default();
        let mut out = String::new();
        for day in &self.days {
            let _ = writeln!(
                out,
                "{} # {}",
                day.day,
                bar('#', day.estimated_usd, highest, width)
            );
            if let Some(actual) = day.actual_usd {
                let _ = writeln!(out, "           = {}", bar('=', actual, highest, width));
            }
        }
        out
    }

    /// The days as CSV.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut out = String::from("day,requests,unpriced,estimated_usd,actual_usd\n");
        for day in &self.days {
            let actual = day
                .actual_usd
                .map(|usd| usd.to_string())
                .unwrap_or_default();
            let _ = writeln!(
                out,
                "{},{},{},{},{actual}",
                day.day, day.requests, day.unpriced, day.estimated_usd
            );
        }
        out
    }
}

/// A day's actuals, when AWS answered by day.
fn on_day(actuals: &ActualCosts, day: NaiveDate) -> Option<Decimal> {
    actuals
        .periods
        .iter()
        .find(|period| period.start == day && period.end == day.succ_opt().unwrap_or(day))
        .map(|period| period.usd)
}

fn bar(with: char, value: Decimal, highest: Decimal, width: usize) -> String {
    let length = value
        .checked_div(highest)
        .and_then(|share| (share * Decimal::from(width)).ceil().to_usize())
        .unwrap_or(0)
        .min(width);
    let bar: String = std::iter::repeat_n(with, length).collect();
    format!("{bar:<width$} {value}")
}
