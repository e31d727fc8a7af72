//! Limits on what actions may cost a day and a month.
//!
//! What was spent is not kept in a file of its own: the audit log has it, and is read again at each start.
//! Several servers share a limit by statements of what each has claimed of it, see [`StatementBoard`].

mod share;
mod spend;
mod spent;
mod statement;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::share::Share;
pub use self::share::{ShareStatus, SharedBudget, StatementBoard};
use self::spend::{Claim, Span, Sum, first_of_month};
use self::spent::Spent;
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
    /// How several servers share these limits; left out, each of them may spend up to them.
    pub shared: Option<SharedBudget>,
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

/// How often a request's claim may meet another server's before it is refused.
const MOST_CONFLICTS: u32 = 4;

/// A request that waits until more is claimed, until dropped.
#[derive(Debug)]
struct Waiting<'a> {
    spent: &'a Spent,
    action: &'a str,
    estimate: Decimal,
}

impl<'a> Waiting<'a> {
    fn new(spent: &'a Spent, action: &'a str, estimate: Decimal) -> Self {
        spent.lock().wait(action, estimate);
        Self {
            spent,
            action,
            estimate,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.spent.lock().wait(self.action, -self.estimate);
    }
}

/// Why nothing was set aside.
#[derive(Debug, Default)]
struct Refusal {
    /// The first limit that the request goes over, or what is claimed of it.
    message: Option<String>,
    /// Whether a limit itself would be exceeded, by what is known of other servers.
    is_over: bool,
    /// What has to be claimed first.
    claims: Vec<Claim>,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::OverBudget, refusal.message.unwrap_or_default())
    }
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
    share: Option<Arc<Share>>,
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
    /// Spent or claimed today by other servers that share the limits, in USD, as it was last read.
    pub others_day_usd: Decimal,
    /// The same of this month.
    pub others_month_usd: Decimal,
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
            spent: Arc::new(Spent::new(clock)),
            share: None,
        }
    }

    /// The same limits, shared with other servers by statements on `board`. This server's is kept under `log_id`, the id of the log
    /// that its spending is restored from, and names `node`.
    ///
    /// It is written and the others' are read every [`SharedBudget::every`] on the runtime that this is called in, and whenever a
    /// request needs more than this server has claimed.
    #[must_use]
    pub fn sharing(
        self,
        shared: &SharedBudget,
        board: Arc<dyn StatementBoard>,
        log_id: String,
        node: Option<String>,
    ) -> Self {
        let share = Share::start(shared, board, (log_id, node), &self.spent);
        Self {
            share: Some(share),
            ..self
        }
    }

    /// Budgets with what the audit log in `directory` says was spent this month.
    ///
    /// # Errors
    /// Those of [`entries`](crate::audit::entries), except that a folder which does not exist yet is an empty log.
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
    /// Those of [`entries`](crate::audit::entries).
    pub fn with_settings(&self, settings: BudgetSettings, directory: &Path) -> Result<Self, Error> {
        if settings.has_limits() {
            self.spent.restore(directory, Some(self.spent.began))?;
        }
        Ok(Self {
            settings: Arc::new(settings),
            spent: Arc::clone(&self.spent),
            share: self.share.clone(),
        })
    }

    /// Sets `estimate_usd` aside as [`Self::reserve`] does; where the limits are shared and this server has not claimed enough of
    /// them, it claims more first.
    ///
    /// # Errors
    /// Those of [`Self::reserve`], and [`ErrorKind::Unshared`] when more is needed and the statements cannot be exchanged.
    pub async fn claim(&self, action: &str, estimate_usd: Decimal) -> Result<Reservation, Error> {
        let Some(share) = &self.share else {
            return self.reserve(action, estimate_usd);
        };
        let mut waiting = None;
        let mut conflicts = 0;
        loop {
            let refusal = match self.try_reserve(action, estimate_usd) {
                Ok(reservation) => return Ok(reservation),
                Err(refusal) => refusal,
            };
            let is_known = refusal.is_over && share.is_fresh();
            if is_known || conflicts > MOST_CONFLICTS {
                return Err(refusal.into());
            }
            waiting.get_or_insert_with(|| Waiting::new(&self.spent, action, estimate_usd));
            conflicts += u32::from(share.exchange(refusal.claims).await?.is_conflict());
        }
    }

    /// Sets `estimate_usd` aside for a request that is about to run, so that requests at the same time cannot spend the same money.
    ///
    /// An estimate of zero is never over a limit, however much is spent: such a request takes nothing of it.
    ///
    /// # Errors
    /// [`ErrorKind::OverBudget`] when it would go over a limit and the settings say to refuse, or, where limits are shared, over what
    /// this server has claimed of one.
    pub fn reserve(&self, action: &str, estimate_usd: Decimal) -> Result<Reservation, Error> {
        Ok(self.try_reserve(action, estimate_usd)?)
    }

    fn try_reserve(&self, action: &str, estimate_usd: Decimal) -> Result<Reservation, Refusal> {
        let mut state = self.spent.lock();
        let mut warnings = Vec::new();
        let mut refusal = Refusal::default();
        let limits = self.settings.sums_of(action, self.spent.today());
        for (sum, limit, over) in limits.filter(|_| !estimate_usd.is_zero()) {
            let own = state.committed(&sum) + estimate_usd;
            let all = own + state.others(&sum);
            let is_over = all > limit;
            let is_claimed = self.share.is_none() || own <= state.granted(&sum);
            if over == OverBudget::Warn {
                warnings.extend(is_over.then(|| exceeded(&sum, limit, all)));
            } else if is_over || !is_claimed {
                refusal.is_over |= is_over;
                refusal
                    .message
                    .get_or_insert_with(|| exceeded(&sum, limit, all));
                refusal.claims.push(Claim {
                    sum,
                    estimate: estimate_usd,
                    limit,
                });
            }
        }
        if refusal.message.is_some() {
            return Err(refusal);
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
        let status = |action: Option<&String>, limits: &BudgetLimits| {
            let [day, month] =
                Span::BOTH.map(|span| Sum::of(action.map(String::as_str), span, today));
            BudgetStatus {
                action: action.cloned(),
                day_usd: state.spent(&day).normalize(),
                month_usd: state.spent(&month).normalize(),
                others_day_usd: state.others(&day).normalize(),
                others_month_usd: state.others(&month).normalize(),
                limits: limits.clone(),
            }
        };
        let mut all = vec![status(None, &settings.total)];
        let mut names: Vec<&String> = state
            .actions
            .keys()
            .chain(settings.actions.keys())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let limits = settings.actions.get(name).cloned().unwrap_or_default();
            all.push(status(Some(name), &limits));
        }
        all
    }

    /// How the exchange with other servers stands, where limits are shared.
    #[must_use]
    pub fn share_status(&self) -> Option<ShareStatus> {
        self.share.as_ref().map(|share| share.status())
    }

    /// Gives back what this server has claimed and not spent, before it stops.
    pub async fn close(&self) {
        if let Some(share) = &self.share {
            share.close().await;
        }
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

impl BudgetSettings {
    /// Whether there is any limit, so that what was spent is worth knowing.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        let mut all = self.actions.values().chain([&self.total]);
        all.any(BudgetLimits::is_set)
    }

    /// The limits that hold for an action: of all, and its own.
    fn limits_of(&self, action: &str) -> impl Iterator<Item = (bool, &BudgetLimits)> {
        let own = self.actions.get(action).map(|limits| (true, limits));
        [(false, &self.total)].into_iter().chain(own)
    }

    /// The sums of today that a request of an action counts to and that have a limit, with it and what happens above it.
    fn sums_of(
        &self,
        action: &str,
        today: NaiveDate,
    ) -> impl Iterator<Item = (Sum, Decimal, OverBudget)> {
        self.limits_of(action).flat_map(move |(is_own, limits)| {
            let over = self.over_of(limits);
            let spans = [
                (Span::Day, limits.daily_usd),
                (Span::Month, limits.monthly_usd),
            ];
            let sums = spans.into_iter().filter_map(move |(span, limit)| {
                Some((Sum::of(is_own.then_some(action), span, today), limit?, over))
            });
            sums.collect::<Vec<_>>()
        })
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

/// What is said of a request that would make a sum `after`.
fn exceeded(sum: &Sum, limit: Decimal, after: Decimal) -> String {
    let whose = sum.action.as_ref().map_or_else(
        || "all actions".to_owned(),
        |action| format!("action `{action}`"),
    );
    let (name, then) = match sum.span {
        Span::Day => ("daily", "tomorrow"),
        Span::Month => ("monthly", "next month"),
    };
    let after = after.normalize();
    format!(
        "the {name} budget of {whose} is {limit} USD and this would make it {after}, wait until {then} (UTC) or raise it"
    )
}
