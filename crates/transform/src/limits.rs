//! `[limits]` of an action: what one run may take.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::json_schema::Bytes;

/// What one run may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Wall-clock time, such as `8s`. A Genesys Cloud data action waits 60 s at most.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Rows of the answer; more are cut off, and the answer says so.
    pub max_rows: u64,
    /// Size of the answer's columns in memory, such as `4MiB`; more is an error.
    #[schemars(with = "Bytes")]
    pub max_output_bytes: ByteSize,
    /// Bytes read from the store, such as `2GiB`; more is an error. Left out: as many as it takes.
    #[schemars(with = "Option<Bytes>")]
    pub max_scan_bytes: Option<ByteSize>,
    /// Rows that the smaller side of a join without an equality may have, as far as that is known before it runs: of a
    /// subquery with a LIMIT, of VALUES, of an aggregate without GROUP BY. Each of them is compared with every row of the
    /// other side. A larger join is refused; 9223372036854775807 lets every join through.
    pub max_keyless_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            max_rows: 1000,
            max_output_bytes: ByteSize::mib(4),
            max_scan_bytes: None,
            max_keyless_rows: 1000,
        }
    }
}
