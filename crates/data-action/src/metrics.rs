//! What monitoring reads beside the profile: the audit log, shipping, hot tables and the budgets.

use flowlake_cost_audit::{BudgetStatus, audit::Shipper};
use flowlake_profiler::Gauge;
use flowlake_transform::HotStatus;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::{
    PartHealth,
    ledger::Ledger,
    read::{AnswerCacheStatus, Reader},
    services::Services,
};

/// The present figures of every part.
pub(crate) fn gauges(
    services: &Services,
    ledger: &Ledger,
    reader: &Reader,
    parts: &[PartHealth],
) -> Vec<Gauge> {
    let writable = ledger.audit.is_healthy();
    let mut gauges = vec![single(
        "flowlake_audit_writable",
        "Whether the last audit record could be written: 0 refuses every request.",
        f64::from(u8::from(writable)),
    )];
    if let Some(status) = ledger.shipper.as_deref().map(Shipper::status) {
        gauges.extend([
            single(
                "flowlake_audit_segments_pending",
                "Finished audit segments that are not shipped yet.",
                number(status.pending_segments),
            ),
            single(
                "flowlake_audit_segments_shipped",
                "Audit segments shipped since the start.",
                number(status.shipped_segments),
            ),
            single(
                "flowlake_audit_ship_failures",
                "Failed tries to ship an audit segment since the start.",
                number(status.failures),
            ),
            single(
                "flowlake_audit_shipping",
                "Whether the last try to ship an audit segment succeeded.",
                f64::from(u8::from(status.last_error.is_none())),
            ),
        ]);
    }
    let parts = parts.iter().map(|part| {
        let up = f64::from(u8::from(part.up));
        (vec![("part", part.part.to_owned())], up)
    });
    gauges.push(Gauge {
        name: "flowlake_part_up",
        help: "Whether a part worked when it was last needed.",
        values: parts.collect(),
    });
    let usage = services.engine.usage();
    gauges.extend([
        single(
            "flowlake_query_memory_bytes",
            "Memory that running queries have reserved.",
            number(usage.reserved_bytes),
        ),
        single(
            "flowlake_spill_bytes",
            "What running queries have spilled to disk.",
            number(usage.spill_bytes),
        ),
    ]);
    gauges.extend(hot(&reader.hot_status()));
    gauges.push(single(
        "flowlake_hot_shared",
        "Attempts that took the answer of the same question of another since the start.",
        number(reader.shared_answers()),
    ));
    gauges.extend(kept(reader.answer_cache_status()));
    // Without a limit, what earlier runs spent is not read from the log, and half a sum is none.
    if ledger.budgets.has_limits() {
        gauges.extend(budgets(&ledger.budgets.status()));
    }
    gauges
}

/// What hot tables hold and did.
fn hot(status: &HotStatus) -> [Gauge; 8] {
    [
        ("flowlake_hot_bytes", "Memory of hot tables.", status.bytes),
        (
            "flowlake_hot_resident",
            "Sets of hot tables in memory.",
            status.resident,
        ),
        (
            "flowlake_hot_stale",
            "Sets of hot tables whose last check failed.",
            status.stale,
        ),
        (
            "flowlake_hot_hits",
            "Requests answered from memory since the start.",
            status.hits,
        ),
        (
            "flowlake_hot_loads",
            "Loads of hot tables since the start.",
            status.loads,
        ),
        (
            "flowlake_hot_failed_checks",
            "Failed checks of hot tables since the start.",
            status.failed_checks,
        ),
        (
            "flowlake_hot_evictions",
            "Sets of hot tables that made room since the start.",
            status.evictions,
        ),
        (
            "flowlake_hot_refusals",
            "Loads of hot tables that found no room since the start.",
            status.refusals,
        ),
    ]
    .map(|(name, help, value)| single(name, help, number(value)))
}

/// What answers that are kept take and did.
fn kept(status: AnswerCacheStatus) -> [Gauge; 2] {
    let served = [
        ("hit", status.hits),
        ("joined", status.joins),
        ("miss", status.misses),
    ]
    .map(|(served, count)| (vec![("served", served.to_owned())], number(count)));
    [
        single(
            "flowlake_cache_bytes",
            "Memory of kept answers.",
            number(status.bytes),
        ),
        Gauge {
            name: "flowlake_cache_answers",
            help: "Answers of actions that keep them, since the start: from what is kept, together with another, by a read.",
            values: served.into(),
        },
    ]
}

/// What is spent of each budget and what its limit is; all actions together are the action `*`.
fn budgets(status: &[BudgetStatus]) -> [Gauge; 3] {
    let labels = |status: &BudgetStatus, period: &str| {
        let action = status.action.clone().unwrap_or_else(|| "*".to_owned());
        vec![("action", action), ("period", period.to_owned())]
    };
    let mut spent = Vec::new();
    let (mut limits, mut elsewhere) = (Vec::new(), Vec::new());
    for budget in status {
        for (period, usd, others, limit) in [
            (
                "day",
                budget.day_usd,
                budget.others_day_usd,
                budget.limits.daily_usd,
            ),
            (
                "month",
                budget.month_usd,
                budget.others_month_usd,
                budget.limits.monthly_usd,
            ),
        ] {
            elsewhere.push((labels(budget, period), usd_number(others)));
            spent.push((labels(budget, period), usd_number(usd)));
            limits.extend(limit.map(|limit| (labels(budget, period), usd_number(limit))));
        }
    }
    [
        Gauge {
            name: "flowlake_spent_usd",
            help: "What reads have cost in this day and month of UTC, estimated.",
            values: spent,
        },
        Gauge {
            name: "flowlake_spent_elsewhere_usd",
            help: "What other servers that share the budget have spent or claimed, as it was last read.",
            values: elsewhere,
        },
        Gauge {
            name: "flowlake_budget_usd",
            help: "The limits on that.",
            values: limits,
        },
    ]
}

fn single(name: &'static str, help: &'static str, value: f64) -> Gauge {
    Gauge {
        name,
        help,
        values: vec![(Vec::new(), value)],
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes stay far below 2^53"
)]
fn number(count: u64) -> f64 {
    count as f64
}

/// For a graph; sums of money are in the answers and the audit log.
fn usd_number(usd: Decimal) -> f64 {
    usd.to_f64().unwrap_or(f64::NAN)
}
