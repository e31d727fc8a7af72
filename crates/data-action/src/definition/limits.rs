//! `[limits]` of an action: what one request may take.

use std::time::Duration;

use bytesize::ByteSize;
use flowlake_transform::Limits;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

/// What one request may take: the limits of its run, and those of its read of S3, which are known before the first byte.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ActionLimits {
    /// Wall-clock time, such as `8s`. A Genesys Cloud data action waits 60 s at most.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Rows of the answer; more are cut off, and the answer says so.
    pub max_rows: u64,
    /// Size of the answer's columns in memory, such as `4MiB`; more is an error.
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub max_output_bytes: ByteSize,
    /// Bytes read from the store, such as `2GiB`; more is an error. Left out: as many as it takes.
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub max_scan_bytes: Option<ByteSize>,
    /// Rows that the smaller side of a join without an equality may have; a larger join is refused.
    pub max_keyless_rows: u64,
    /// Requests to S3 that the read may take, as they are estimated before it and counted on the way. Left out: as many as it takes.
    pub max_requests: Option<u64>,
    /// US dollars that the read may cost, as they are estimated before it and counted on the way; without a price it is refused. Left out: what it costs.
    #[serde(deserialize_with = "crate::usd::optional")]
    #[schemars(schema_with = "crate::json_schema::usd")]
    pub max_cost_usd: Option<Decimal>,
}

impl Default for ActionLimits {
    fn default() -> Self {
        Limits::default().into()
    }
}

impl From<Limits> for ActionLimits {
    fn from(limits: Limits) -> Self {
        let Limits {
            timeout,
            max_rows,
            max_output_bytes,
            max_scan_bytes,
            max_keyless_rows,
        } = limits;
        Self {
            timeout,
            max_rows,
            max_output_bytes,
            max_scan_bytes,
            max_keyless_rows,
            max_requests: None,
            max_cost_usd: None,
        }
    }
}

impl ActionLimits {
    /// Those of the run.
    #[must_use]
    pub const fn of_run(&self) -> Limits {
        Limits {
            timeout: self.timeout,
            max_rows: self.max_rows,
            max_output_bytes: self.max_output_bytes,
            max_scan_bytes: self.max_scan_bytes,
            max_keyless_rows: self.max_keyless_rows,
        }
    }
}
