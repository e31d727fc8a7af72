//! Limits on what actions may cost a day and a month.
//!
//! What was spent is not kept in a file of its own: the audit log has it, and is read again at each start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// Limits in USD; days and months are those of UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetLimits {
    /// A day's limit; none is without limit.
    pub daily_usd: Option<Decimal>,
    /// A month's limit; none is without limit.
    pub monthly_usd: Option<Decimal>,
}

/// What happens to a request that would go over a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverBudget {
    /// It is refused.
    #[default]
    Refuse,
    /// It runs, with a warning.
    Warn,
}

/// The budgets with what is spent of them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: BudgetSettings,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    today: NaiveDate,
    total: Spend,
    actions: BTreeMap<String, Spend>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spend {
    day: Decimal,
    month: Decimal,
    /// Estimates of requests that are running.
    reserved: Decimal,
}

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
    budgets: Arc<Inner>,
    action: String,
    estimate: Decimal,
    warnings: Vec<String>,
}

impl Budgets {
    /// Budgets of which nothing is spent.
    #[must_use]
    pub fn new(settings: BudgetSettings, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            today: clock.now().date_naive(),
            ..State::default()
        };
        Self(Arc::new(Inner {
            settings,
            clock,
            state: Mutex::new(state),
        }))
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
        if !directory.exists() {
            return Ok(budgets);
        }
        let month = first_of_month(budgets.0.clock.now().date_naive());
        let mut state = budgets.0.lock();
        for entry in audit::entries_since(directory, month)? {
            let record = entry?.record;
            if let Some(cost) = record.cost_usd {
                state.spend(&record.action, cost, record.time);
            }
        }
        drop(state);
        Ok(budgets)
    }

    /// Sets `estimate_usd` aside for a request that is about to run, so that requests at the same time cannot spend the same money.
    ///
    /// # Errors
    /// [`ErrorKind::OverBudget`] when it would go over a limit and the settings say to refuse.
    pub fn reserve(&self, action: &str, estimate_usd: Decimal) -> Result<Reservation, Error> {
        let mut state = self.0.lock();
        let settings = &self.0.settings;
        let own = state.actions.get(action).copied().unwrap_or_default();
        let mut warnings = over("all actions", &settings.total, &state.total, estimate_usd);
        if let Some(limits) = settings.actions.get(action) {
            warnings.extend(over(
                &format!("action `{action}`"),
                limits,
                &own,
                estimate_usd,
            ));
        }
        if settings.over == OverBudget::Refuse
            && let Some(first) = warnings.first()
        {
            return Err(Error::new(ErrorKind::OverBudget, first.clone()));
        }
        state.total.reserved += estimate_usd;
        state.actions.entry(action.to_owned()).or_default().reserved += estimate_usd;
        Ok(Reservation {
            budgets: Arc::clone(&self.0),
            action: action.to_owned(),
            estimate: estimate_usd,
            warnings,
        })
    }

    /// How much of each limit is used: first all together, then each action that has a limit or has cost something.
    #[must_use]
    pub fn status(&self) -> Vec<BudgetStatus> {
        let state = self.0.lock();
        let settings = &self.0.settings;
        let status = |action: Option<&String>, spend: Spend, limits: &BudgetLimits| BudgetStatus {
            action: action.cloned(),
            day_usd: spend.day.normalize(),
            month_usd: spend.month.normalize(),
            limits: limits.clone(),
        };
        let mut all = vec![status(None, state.total, &settings.total)];
        let mut names: Vec<&String> = state
            .actions
            .keys()
            .chain(settings.actions.keys())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let spend = state.actions.get(name).copied().unwrap_or_default();
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

    /// Counts what the request really cost.
    pub fn settle(self, cost_usd: Decimal) {
        let now = self.budgets.clock.now();
        self.budgets.lock().spend(&self.action, cost_usd, now);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budgets.lock();
        state.total.reserved -= self.estimate;
        if let Some(spend) = state.actions.get_mut(&self.action) {
            spend.reserved -= self.estimate;
        }
    }
}

impl Inner {
    /// The state, moved on to today.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let today = self.clock.now().date_naive();
        if today != state.today {
            let new_month = first_of_month(today) != first_of_month(state.today);
            let State { total, actions, .. } = &mut *state;
            for spend in actions.values_mut().chain([total]) {
                spend.day = Decimal::ZERO;
                if new_month {
                    spend.month = Decimal::ZERO;
                }
            }
            state.today = today;
        }
        state
    }
}

impl State {
    fn spend(&mut self, action: &str, cost: Decimal, time: DateTime<Utc>) {
        let day = time.date_naive();
        let today = self.today;
        let own = self.actions.entry(action.to_owned()).or_default();
        for spend in [&mut self.total, own] {
            if day == today {
                spend.day += cost;
            }
            if first_of_month(day) == first_of_month(today) {
                spend.month += cost;
            }
        }
    }
}

fn over(whose: &str, limits: &BudgetLimits, spend: &Spend, estimate: Decimal) -> Vec<String> {
    let periods = [
        ("daily", limits.daily_usd, spend.day, "tomorrow"),
        ("monthly", limits.monthly_usd, spend.month, "next month"),
    ];
    periods
        .into_iter()
        .filter_map(|(name, limit, spent, then)| {
            let limit = limit?;
            let after = (spent + spend.reserved + estimate).normalize();
            (after > limit).then(|| {
                format!("the {name} budget of {whose} is {limit} USD, this would make it {after}: wait until {then} (UTC) or raise it")
            })
        })
        .collect()
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}
