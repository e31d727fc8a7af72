//! Audit records of requests that nobody could be found for: they never become attempts.

use chrono::{DateTime, SecondsFormat, Utc};
use flowlake_cost_audit::{AuditRecord, AuditStatus};

use crate::{ActionError, ErrorCode, Pipeline};

/// The action in such records: no action can be named so.
const ACTION: &str = "(authentication)";

/// The caller in such records: no key has this name.
const CALLER: &str = "(unknown)";

/// Requests without valid credentials that came from one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnauthorizedRequests {
    /// The address, or the network that it belongs to.
    pub address: String,
    /// How many there were.
    pub count: u64,
    /// When the first of them came.
    pub since: DateTime<Utc>,
}

impl Pipeline {
    /// Writes one audit record of these requests.
    ///
    /// # Errors
    /// [`ErrorCode::AuditUnavailable`] when it cannot be written.
    pub async fn record_unauthorized(
        &self,
        requests: &UnauthorizedRequests,
    ) -> Result<(), ActionError> {
        let code = ErrorCode::Unauthorized;
        let since = requests.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let message = format!(
            "requests without valid credentials since {since}: {}",
            requests.count
        );
        let ledger = &self.parts.ledger;
        ledger
            .audit
            .append(&AuditRecord {
                action: ACTION.to_owned(),
                address: Some(requests.address.clone()),
                caller: CALLER.to_owned(),
                code: code.as_str().to_owned(),
                http_status: Some(code.http_status()),
                message: Some(message),
                node: ledger.node.clone(),
                status: AuditStatus::Failed,
                time: self.clock().now(),
                ..AuditRecord::default()
            })
            .await?;
        Ok(())
    }
}
