//! The state of every part: its own where it keeps one, otherwise what the last attempt that needed it found.

use flowlake_cost_audit::audit::Shipper;
use serde::Serialize;

use crate::{ErrorCode, ledger::Ledger, read::Reader, report::Failures, services::Services};

/// One part of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// Which one: `audit`, `shipping`, `budget`, `hot`, `access`, `s3` or `genesys`.
    pub part: &'static str,
    /// Whether it worked when it was last needed. Without `audit` nothing is answered, without another part some requests are.
    pub up: bool,
    /// What is wrong: a code of [`ErrorCode`], or a figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How each part is, those that are not configured left out.
pub(crate) fn parts(
    services: &Services,
    ledger: &Ledger,
    reader: &Reader,
    failures: Failures,
) -> Vec<PartHealth> {
    let part = |part, wrong: Option<String>| PartHealth {
        part,
        up: wrong.is_none(),
        detail: wrong,
    };
    let code = |code: Option<ErrorCode>| code.map(|code| code.as_str().to_owned());
    let audit = (!ledger.audit.is_healthy()).then(|| "it cannot be written".to_owned());
    let mut parts = vec![part("audit", audit)];
    if let Some(status) = ledger.shipper.as_deref().map(Shipper::status) {
        let failing = status.failing_since.is_some();
        let pending = failing.then(|| format!("{} segments pending", status.pending_segments));
        parts.push(part("shipping", pending));
    }
    if let Some(status) = ledger.budgets.share_status() {
        parts.push(part("budget", status.last_error));
    }
    if services.actions.values().any(|action| action.hot.is_some()) {
        let stale = reader.hot_status().stale;
        let stale = (stale > 0).then(|| format!("{stale} actions cannot be checked"));
        parts.push(part("hot", stale));
    }
    parts.push(part("access", code(failures.access)));
    parts.push(part("s3", code(failures.s3)));
    if services.genesys.is_some() {
        parts.push(part("genesys", code(failures.genesys)));
    }
    parts
}

/// What an operator should look at while requests are still served: audit segments that cannot be shipped, a shared budget that cannot be exchanged, and hot tables
/// whose objects cannot be checked.
pub(crate) fn warnings(ledger: &Ledger, reader: &Reader) -> Vec<String> {
    let status = ledger.shipper.as_deref().map(Shipper::status);
    let failing = status.and_then(|status| Some((status.failing_since?, status)));
    let failing = failing.map(|(since, status)| {
        format!(
            "{} audit segments have not been shipped, failing since {}",
            status.pending_segments,
            since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        )
    });
    let share = ledger.budgets.share_status();
    let unshared = share.and_then(|status| Some((status.failing_since?, status.last_error?)));
    let unshared = unshared.map(|(since, why)| {
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!("what other servers spend of the budget has not been known since {since}: {why}")
    });
    let stale = reader.hot_status().stale;
    let stale = (stale > 0).then(|| {
        format!("the objects of {stale} hot actions cannot be checked: answers may be out of date")
    });
    failing.into_iter().chain(unshared).chain(stale).collect()
}
