//! Estimates from the audit log beside the actual costs from AWS.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::error::Error;

/// The length of a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// Calendar days of UTC.
    #[default]
    Daily,
    /// Calendar months of UTC; the first and the last are cut short where the report begins and ends within them.
    Monthly,
}

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

/// Estimates and actuals, period by period.
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
    /// One row per period.
    pub periods: Vec<CostPeriod>,
    /// The estimates of each action.
    pub actions: BTreeMap<String, ActionCost>,
    /// The parts that the actuals were grouped by, summed over all periods, the most expensive first.
    pub actual_groups: Vec<ActualGroup>,
}

/// One row of a [`CostReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostPeriod {
    /// The first day, in UTC.
    pub start: NaiveDate,
    /// The day after the last one.
    pub end: NaiveDate,
    /// Attempts in the audit log.
    pub requests: u64,
    /// Attempts that could not be priced.
    pub unpriced: u64,
    /// The sum of their estimates.
    pub estimated_usd: Decimal,
    /// What AWS says, when it was asked.
    pub actual_usd: Option<Decimal>,
    /// Whether AWS may still change that.
    pub actual_may_change: bool,
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
    /// Sums the audit logs of a folder, see [`audit::logs`], from `start` until before `end`, beside `actuals` of the same periods.
    ///
    /// A folder that does not exist is a log without records: nothing was read yet.
    ///
    /// # Errors
    /// Those of [`audit::entries`] and [`audit::distinct`].
    pub fn new(
        directory: &Path,
        (start, end): (NaiveDate, NaiveDate),
        granularity: Granularity,
        actuals: Option<&ActualCosts>,
    ) -> Result<Self, Error> {
        let mut periods = periods(start, end, granularity, actuals);
        let mut actions: BTreeMap<String, ActionCost> = BTreeMap::new();
        let logs = if directory.exists() {
            audit::logs(directory)?
        } else {
            Vec::new()
        };
        audit::distinct(&logs)?;
        let of_logs = logs.iter().map(|log| audit::entries_since(log, start));
        for entry in of_logs
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
        {
            let record = entry?.record;
            let day = record.time.date_naive();
            let Some(period) = periods
                .iter_mut()
                .find(|period| period.start <= day && day < period.end)
            else {
                continue;
            };
            let cost = record.cost_usd.unwrap_or_default();
            period.requests += 1;
            period.unpriced += u64::from(record.cost_usd.is_none());
            period.estimated_usd = (period.estimated_usd + cost).normalize();
            let action = actions.entry(record.action).or_default();
            action.requests += 1;
            action.estimated_usd = (action.estimated_usd + cost).normalize();
        }
        Ok(Self {
            start,
            end,
            estimated_usd: periods
                .iter()
                .map(|period| period.estimated_usd)
                .sum::<Decimal>()
                .normalize(),
            actual_usd: actuals.map(|actuals| actuals.total_usd),
            actual_may_change: actuals.is_some_and(|actuals| actuals.estimated),
            periods,
            actions,
            actual_groups: actuals.map(groups).unwrap_or_default(),
        })
    }

    /// Attempts that could not be priced, and are therefore in no sum.
    #[must_use]
    pub fn unpriced(&self) -> u64 {
        self.periods.iter().map(|period| period.unpriced).sum()
    }

    /// The periods as bars of at most `width` characters, for a terminal: `#` for the estimate, `=` for the actual.
    #[must_use]
    pub fn chart(&self, width: usize) -> String {
        let values = self
            .periods
            .iter()
            .flat_map(|period| [Some(period.estimated_usd), period.actual_usd])
            .flatten();
        let highest = values.max().unwrap_or_default();
        let mut out = String::new();
        for period in &self.periods {
            let _ = writeln!(
                out,
                "{} estimated {}",
                period.start,
                bar('#', period.estimated_usd, highest, width)
            );
            if let Some(actual) = period.actual_usd {
                let bar = bar('=', actual, highest, width);
                let _ = writeln!(out, "           actual    {bar}");
            }
        }
        out
    }

    /// The periods as CSV; where AWS said nothing, the last two cells are empty.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut out = String::from(
            "start,end,requests,unpriced,estimated_usd,actual_usd,actual_may_change\n",
        );
        for period in &self.periods {
            let actual = period.actual_usd.map_or_else(
                || ",".to_owned(),
                |usd| format!("{usd},{}", period.actual_may_change),
            );
            let _ = writeln!(
                out,
                "{},{},{},{},{},{actual}",
                period.start, period.end, period.requests, period.unpriced, period.estimated_usd
            );
        }
        out
    }
}

/// The rows before anything is summed, with what AWS says of exactly these periods.
fn periods(
    start: NaiveDate,
    end: NaiveDate,
    granularity: Granularity,
    actuals: Option<&ActualCosts>,
) -> Vec<CostPeriod> {
    let next = |day: NaiveDate| match granularity {
        Granularity::Daily => day.checked_add_days(Days::new(1)),
        Granularity::Monthly => day.with_day(1)?.checked_add_months(Months::new(1)),
    };
    let mut all = Vec::new();
    let mut from = start;
    while from < end {
        let to = next(from).unwrap_or(end).min(end);
        let actual = actuals.and_then(|actuals| {
            let mut found = actuals.periods.iter();
            found.find(|period| period.start == from && period.end == to)
        });
        all.push(CostPeriod {
            start: from,
            end: to,
            requests: 0,
            unpriced: 0,
            estimated_usd: Decimal::ZERO,
            actual_usd: actual.map(|period| period.usd),
            actual_may_change: actual.is_some_and(|period| period.estimated),
        });
        from = to;
    }
    all
}

/// The groups of all periods, summed.
fn groups(actuals: &ActualCosts) -> Vec<ActualGroup> {
    let mut sums: BTreeMap<&[String], Decimal> = BTreeMap::new();
    for group in actuals.periods.iter().flat_map(|period| &period.groups) {
        *sums.entry(&group.keys).or_default() += group.usd;
    }
    let mut groups: Vec<ActualGroup> = sums
        .into_iter()
        .map(|(keys, usd)| ActualGroup {
            keys: keys.to_vec(),
            usd: usd.normalize(),
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.usd));
    groups
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
