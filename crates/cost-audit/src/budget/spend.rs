//! Sums of what was spent, by period.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A sum that a limit may hold for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sum {
    /// The action; none is all together.
    pub(super) action: Option<String>,
    pub(super) span: Span,
    /// The first day of the span.
    pub(super) first: NaiveDate,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Span {
    Day,
    Month,
}

/// More of a sum than this server may make its own.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) sum: Sum,
    /// What a request needs beside what is committed.
    pub(super) estimate: Decimal,
    /// What the sum of all servers may be.
    pub(super) limit: Decimal,
}

/// A share of a limit.
#[derive(Debug, Clone, Copy, Default)]
struct Granted {
    usd: Decimal,
    /// What this server's sum was at the last look for unused shares.
    seen: Decimal,
}

impl Claim {
    /// What the sum of this server would be.
    pub(super) fn need(&self, state: &State) -> Decimal {
        state.committed(&self.sum) + self.estimate
    }
}

impl Span {
    pub(super) const BOTH: [Self; 2] = [Self::Day, Self::Month];
}

impl Sum {
    /// The sum of the period that `day` is in.
    pub(super) fn of(action: Option<&str>, span: Span, day: NaiveDate) -> Self {
        Self {
            action: action.map(str::to_owned),
            span,
            first: match span {
                Span::Day => day,
                Span::Month => first_of_month(day),
            },
        }
    }

    /// Whether servers whose clocks differ by hours may still count to it.
    pub(super) fn is_current(&self, today: NaiveDate) -> bool {
        match self.span {
            Span::Day => today - Days::new(1) <= self.first && self.first <= today + Days::new(1),
            Span::Month => {
                let month = first_of_month(today);
                month - Months::new(1) <= self.first && self.first <= month + Months::new(1)
            }
        }
    }
}

/// Sums are kept by the day and the month that they are of, as the audit log has them: a clock that is set gives no money of a
/// period twice.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether what the audit log says of the time before is counted too.
    pub(super) is_restored: bool,
    pub(super) total: Spend,
    pub(super) actions: BTreeMap<String, Spend>,
    /// Bytes that all actions received, by the first day of the month.
    pub(super) month_bytes: BTreeMap<NaiveDate, u64>,
    /// How much of a sum this server may make its own, where limits are shared.
    granted: BTreeMap<Sum, Granted>,
    /// What other servers have spent or claimed, as it was last read.
    others: BTreeMap<Sum, Decimal>,
    /// When that was.
    pub(super) others_read: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Spend {
    days: BTreeMap<NaiveDate, Decimal>,
    /// By their first day.
    months: BTreeMap<NaiveDate, Decimal>,
    /// Estimates of requests that are running.
    pub(super) reserved: Decimal,
    /// Estimates of requests that wait for more to be claimed.
    pub(super) waiting: Decimal,
}

/// Periods of which a sum is kept: those around now, however far the clock was set for a time.
const MOST_PERIODS: usize = 8;

impl State {
    /// What this server spent.
    pub(super) fn spent(&self, sum: &Sum) -> Decimal {
        let spend = self.spend(sum);
        let sums = spend.map(|spend| spend.of(sum.span));
        let found = sums.and_then(|sums| sums.get(&sum.first));
        found.copied().unwrap_or_default()
    }

    /// What this server spent, and has set aside for requests that are running.
    pub(super) fn committed(&self, sum: &Sum) -> Decimal {
        self.spent(sum)
            + self
                .spend(sum)
                .map_or(Decimal::ZERO, |spend| spend.reserved)
    }

    /// Estimates of requests that wait for more to be claimed.
    pub(super) fn waiting(&self, sum: &Sum) -> Decimal {
        self.spend(sum).map_or(Decimal::ZERO, |spend| spend.waiting)
    }

    /// Changes that.
    pub(super) fn wait(&mut self, action: &str, estimate: Decimal) {
        self.total.waiting += estimate;
        self.actions.entry(action.to_owned()).or_default().waiting += estimate;
    }

    /// What this server may spend, where limits are shared.
    pub(super) fn granted(&self, sum: &Sum) -> Decimal {
        self.granted
            .get(sum)
            .map_or(Decimal::ZERO, |granted| granted.usd)
    }

    pub(super) fn grant(&mut self, sum: Sum, usd: Decimal) {
        let granted = self.granted.entry(sum).or_default();
        granted.usd = granted.usd.max(usd);
    }

    /// What other servers have spent or claimed.
    pub(super) fn others(&self, sum: &Sum) -> Decimal {
        self.others.get(sum).copied().unwrap_or_default()
    }

    pub(super) fn set_others(&mut self, others: BTreeMap<Sum, Decimal>, read: DateTime<Utc>) {
        self.others = others;
        self.others_read = Some(read);
    }

    /// Gives up shares that were not used since the last call, or all of them, and those of periods that are over.
    pub(super) fn release(&mut self, today: NaiveDate, all: bool) {
        let mut granted = std::mem::take(&mut self.granted);
        granted.retain(|sum, granted| {
            let own = self.committed(sum);
            if all || own == granted.seen {
                granted.usd = granted.usd.min(own);
            }
            granted.seen = own;
            sum.is_current(today)
        });
        self.granted = granted;
    }

    /// Every sum of this server that others have to know, with what it has spent, set aside or been granted.
    pub(super) fn stated(&self, today: NaiveDate) -> BTreeMap<Sum, Decimal> {
        let actions = self
            .actions
            .iter()
            .map(|(name, spend)| (Some(name.as_str()), spend));
        let all = actions.chain([(None, &self.total)]);
        let spent = all.flat_map(|(action, spend)| {
            let sums = Span::BOTH.into_iter().flat_map(move |span| {
                let firsts = spend.of(span).keys();
                firsts.map(move |first| Sum::of(action, span, *first))
            });
            // What is set aside counts to today, whether or not something was spent yet.
            let todays = Span::BOTH.map(|span| Sum::of(action, span, today));
            sums.chain(todays)
        });
        let sums = spent.chain(self.granted.keys().cloned());
        let sums = sums.filter(|sum| sum.is_current(today));
        let stated = sums.map(|sum| {
            let usd = self.committed(&sum).max(self.granted(&sum));
            (sum, usd.normalize())
        });
        stated.filter(|(_, usd)| !usd.is_zero()).collect()
    }

    fn spend(&self, sum: &Sum) -> Option<&Spend> {
        match &sum.action {
            None => Some(&self.total),
            Some(action) => self.actions.get(action),
        }
    }

    pub(super) fn count(&mut self, action: &str, cost: Decimal, bytes: u64, time: DateTime<Utc>) {
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
    const fn of(&self, span: Span) -> &BTreeMap<NaiveDate, Decimal> {
        match span {
            Span::Day => &self.days,
            Span::Month => &self.months,
        }
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

pub(super) fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}
