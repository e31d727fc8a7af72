//! Limits on what actions may cost a day and a month.
//!
//! What was spent is not kept in a file of its own: the audit log has it, and is read again at each start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::usd::Usd;

/// Limits in USD; days and months are those of UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSettings {
    /// For all actions together.
    pub total: BudgetLimits,
    /// For single actions, by name.
    pub actions: BTreeMap<String, BudgetLimits>,
    /// What happens to a request that would go over a limit.
    pub over: OverBudget,
}

/// The limits of one action, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetLimits {
    /// A day's limit; none is without limit.
    #[schemars(with = "Option<Usd>")]
    pub daily_usd: Option<Decimal>,
    /// A month's limit; none is without limit.
    #[schemars(with = "Option<Usd>")]
    pub monthly_usd: Option<Decimal>,
    /// What happens above these limits, when it is not what the settings say for all.
    pub over: Option<OverBudget>,
}

/// What happens to a request that would go over a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OverBudget {
    /// It is refused.
    #[default]
    Refuse,
    /// It runs, with a warning.
    Warn,
}

/// The budgets with what is spent of them; cheap to clone, and clones count together.
///
/// Every request sets its estimate aside before it reads, and counts what it cost at its end.
/// So requests at the same time cannot spend the same money. A period's spending exceeds its limit at most by what the requests
/// running at that moment cost above their estimates, for example for retries of broken reads.
/// What was spent before an estimate could be made (a HEAD for each object of a request that is then refused) is counted, not held back.
#[derive(Debug, Clone)]
pub struct Budgets {
    settings: Arc<BudgetSettings>,
    spent: Arc<Spent>,
}

#[derive(Debug)]
struct Spent {
    clock: Arc<dyn Clock>,
    /// When counting began: what was spent before is only in the audit log.
    began: DateTime<Utc>,
    state: Mutex<State>,
}

/// Sums are kept by the day and the month that they are of, as the audit log has them: a clock that is set gives no money of a
/// period twice.
#[derive(Debug, Default)]
struct State {
    /// Whether what the audit log says of the time before is counted too.
    is_restored: bool,
    total: Spend,
    actions: BTreeMap<String, Spend>,
    /// Bytes that all actions received, by the first day of the month.
    month_bytes: BTreeMap<NaiveDate, u64>,
}

#[derive(Debug, Clone, Default)]
struct Spend {
    days: BTreeMap<NaiveDate, Decimal>,
    /// By their first day.
    months: BTreeMap<NaiveDate, Decimal>,
    /// Estimates of requests that are running.
    reserved: Decimal,
}

/// Periods of which a sum is kept: those around now, however far the clock was set for a time.
const MOST_PERIODS: usize = 8;

/// How much of one limit is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The action; none is all together.
    pub action: Option<String>,
    /// Spent today, in USD.
    pub day_usd: Decimal,
    /// Spent this month, in USD.
    pub month_usd: Decimal,
    /// The limits.
    pub limits: BudgetLimits,
}

/// A running request's share of the budget: settle it with what it cost, or drop it to give the share back.
#[derive(Debug)]
#[must_use = "a dropped reservation counts nothing"]
pub struct Reservation {
    spent: Arc<Spent>,
    action: String,
    estimate: Decimal,
    warnings: Vec<String>,
}

impl Budgets {
    /// Budgets of which nothing is spent.
    #[must_use]
    pub fn new(settings: BudgetSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings: Arc::new(settings),
            spent: Arc::new(Spent {
                began: clock.now(),
                clock,
                state: Mutex::default(),
            }),
        }
    }

    /// Budgets with what the audit log in `directory` says was spent this month.
    ///
    /// # Errors
    /// Those of [`audit::entries`], except that a folder which does not exist yet is an empty log.
    pub fn restore(
        settings: BudgetSettings,
        clock: Arc<dyn Clock>,
        directory: &Path,
    ) -> Result<Self, Error> {
        let budgets = Self::new(settings, clock);
        // Nothing is counted yet, so all that is recorded is of before.
        budgets.spent.restore(directory, None)?;
        Ok(budgets)
    }

    /// The same spending with other limits. Those of clones that exist already stay as they are.
    ///
    /// When there was no limit before, what was spent this month is read from the audit log in `directory`, which may be open.
    ///
    /// # Errors
    /// Those of [`audit::entries`].
    pub fn with_settings(&self, settings: BudgetSettings, directory: &Path) -> Result<Self, Error> {
        if settings.has_limits() {
            self.spent.restore(directory, Some(self.spent.began))?;
        }
        Ok(Self {
            settings: Arc::new(settings),
            spent: Arc::clone(&self.spent),
        })
    }

    /// Sets `estimate_usd` aside for a request that is about to run, so that requests at the same time cannot spend the same money.
    ///
    /// An estimate of zero is never over a limit, however much is spent: such a request takes nothing of it.
    ///
    /// # Errors
    /// [`ErrorKind::OverBudget`] when it would go over a limit and the settings say to refuse.
    pub fn reserve(&self, action: &str, estimate_usd: Decimal) -> Result<Reservation, Error> {
        let mut state = self.spent.lock();
        let (settings, today) = (&self.settings, self.spent.today());
        let nothing = Spend::default();
        let own = state.actions.get(action).unwrap_or(&nothing);
        let mut warnings = Vec::new();
        for (whose, limits) in settings.limits_of(action) {
            let spent = if whose.is_some() { own } else { &state.total };
            let exceeded = over(whose, limits, spent, estimate_usd, today);
            if settings.over_of(limits) == OverBudget::Refuse
                && let Some(first) = exceeded.first()
            {
                return Err(Error::new(ErrorKind::OverBudget, first.clone()));
            }
            warnings.extend(exceeded);
        }
        state.total.reserved += estimate_usd;
        state.actions.entry(action.to_owned()).or_default().reserved += estimate_usd;
        Ok(Reservation {
            spent: Arc::clone(&self.spent),
            action: action.to_owned(),
            estimate: estimate_usd,
            warnings,
        })
    }

    /// Whether there is any limit.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        self.settings.has_limits()
    }

    /// What happens to a request of `action` that cannot be priced: nothing when no limit holds for it.
    #[must_use]
    pub fn over_unpriced(&self, action: &str) -> Option<OverBudget> {
        let settings = &self.settings;
        let over = settings
            .limits_of(action)
            .filter(|(_, limits)| limits.is_set())
            .map(|(_, limits)| settings.over_of(limits));
        over.reduce(|one, other| {
            if one == OverBudget::Refuse {
                one
            } else {
                other
            }
        })
    }

    /// Counts what a request without a reservation cost, such as one that was refused after its metadata was read.
    pub fn spend(&self, action: &str, cost_usd: Decimal, bytes: u64) {
        let now = self.spent.clock.now();
        self.spent.lock().count(action, cost_usd, bytes, now);
    }

    /// Bytes that all actions received this month, for the tier that the next ones are priced at.
    #[must_use]
    pub fn month_bytes(&self) -> u64 {
        let month = first_of_month(self.spent.today());
        let state = self.spent.lock();
        state.month_bytes.get(&month).copied().unwrap_or_default()
    }

    /// How much of each limit is used: first all together, then each action that has a limit or has cost something.
    #[must_use]
    pub fn status(&self) -> Vec<BudgetStatus> {
        let state = self.spent.lock();
        let (settings, today) = (&self.settings, self.spent.today());
        let status = |action: Option<&String>, spend: &Spend, limits: &BudgetLimits| BudgetStatus {
            action: action.cloned(),
            day_usd: spend.of_day(today).normalize(),
            month_usd: spend.of_month(today).normalize(),
            limits: limits.clone(),
        };
        let nothing = Spend::default();
        let mut all = vec![status(None, &state.total, &settings.total)];
        let mut names: Vec<&String> = state
            .actions
            .keys()
            .chain(settings.actions.keys())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let spend = state.actions.get(name).unwrap_or(&nothing);
            let limits = settings.actions.get(name).cloned().unwrap_or_default();
            all.push(status(Some(name), spend, &limits));
        }
        all
    }
}

impl Reservation {
    /// The limits that this request goes over, when the settings only warn.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What was set aside, in USD.
    #[must_use]
    pub fn estimate_usd(&self) -> Decimal {
        self.estimate
    }

    /// Counts what the request really cost, and the bytes it received.
    pub fn settle(self, cost_usd: Decimal, bytes: u64) {
        let now = self.spent.clock.now();
        self.spent.lock().count(&self.action, cost_usd, bytes, now);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.spent.lock();
        state.total.reserved -= self.estimate;
        if let Some(spend) = state.actions.get_mut(&self.action) {
            spend.reserved -= self.estimate;
        }
    }
}

impl Spent {
    /// Counts what the audit log says was spent this month, before some moment; once.
    fn restore(&self, directory: &Path, end: Option<DateTime<Utc>>) -> Result<(), Error> {
        if self.lock().is_restored || !directory.exists() {
            return Ok(());
        }
        // Of the month before too, on its day after: the clock may be set back by some seconds.
        let yesterday = self.today().pred_opt().unwrap_or_default();
        let month = first_of_month(yesterday);
        let mut before = Vec::new();
        for entry in audit::entries_since(directory, month)? {
            let record = entry?.record;
            if end.is_none_or(|end| record.time < end) {
                before.push(record);
            }
        }
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_restored, true) {
            for record in before {
                let cost = record.cost_usd.unwrap_or_default();
                let bytes = record.bytes_transferred;
                state.count(&record.action, cost, bytes, record.time);
            }
        }
        Ok(())
    }

    fn today(&self) -> NaiveDate {
        self.clock.now().date_naive()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BudgetSettings {
    /// Whether there is any limit, so that what was spent is worth knowing.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        let mut all = self.actions.values().chain([&self.total]);
        all.any(BudgetLimits::is_set)
    }

    /// The limits that hold for an action: of all, and its own with its name.
    fn limits_of<'a>(
        &'a self,
        action: &'a str,
    ) -> impl Iterator<Item = (Option<&'a str>, &'a BudgetLimits)> {
        let own = self.actions.get(action);
        [(None, &self.total)]
            .into_iter()
            .chain(own.map(|limits| (Some(action), limits)))
    }

    fn over_of(&self, limits: &BudgetLimits) -> OverBudget {
        limits.over.unwrap_or(self.over)
    }
}

impl BudgetLimits {
    fn is_set(&self) -> bool {
        self.daily_usd.is_some() || self.monthly_usd.is_some()
    }
}

impl State {
    fn count(&mut self, action: &str, cost: Decimal, bytes: u64, time: DateTime<Utc>) {
        if cost.is_zero() && bytes == 0 {
            // Names that callers made up must not fill the memory.
            return;
        }
        let day = time.date_naive();
        let bytes_of_month = period(&mut self.month_bytes, first_of_month(day));
        *bytes_of_month = bytes_of_month.saturating_add(bytes);
        let own = self.actions.entry(action.to_owned()).or_default();
        for spend in [&mut self.total, own] {
            *period(&mut spend.days, day) += cost;
            *period(&mut spend.months, first_of_month(day)) += cost;
        }
    }
}

impl Spend {
    fn of_day(&self, day: NaiveDate) -> Decimal {
        self.days.get(&day).copied().unwrap_or_default()
    }

    fn of_month(&self, day: NaiveDate) -> Decimal {
        let month = self.months.get(&first_of_month(day));
        month.copied().unwrap_or_default()
    }
}

/// The sum of a period. Where too many are kept, the one that is farthest from it goes.
fn period<T: Default>(sums: &mut BTreeMap<NaiveDate, T>, period: NaiveDate) -> &mut T {
    if sums.len() >= MOST_PERIODS && !sums.contains_key(&period) {
        let distance = |found: Option<(&NaiveDate, &T)>| {
            found.map(|(found, _)| found.signed_duration_since(period).abs())
        };
        if distance(sums.first_key_value()) >= distance(sums.last_key_value()) {
            sums.pop_first();
        } else {
            sums.pop_last();
        }
    }
    sums.entry(period).or_default()
}

fn over(
    whose: Option<&str>,
    limits: &BudgetLimits,
    spend: &Spend,
    estimate: Decimal,
    today: NaiveDate,
) -> Vec<String> {
    if estimate.is_zero() {
        return Vec::new();
    }
    let whose = whose.map_or_else(
        || "all actions".to_owned(),
        |action| format!("action `{action}`"),
    );
    let periods = [
        ("daily", limits.daily_usd, spend.of_day(today), "tomorrow"),
        (
            "monthly",
            limits.monthly_usd,
            spend.of_month(today),
            "next month",
        ),
    ];
    periods
        .into_iter()
        .filter_map(|(name, limit, spent, then)| {
            let limit = limit?;
            let after = (spent + spend.reserved + estimate).normalize();
            (after > limit).then(|| {
                format!("the {name} budget of {whose} is {limit} USD and this would make it {after}, wait until {then} (UTC) or raise it")
            })
        })
        .collect()
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}
