//! `[confirm]`: reads that the person at a shell has to confirm.

use bytesize::ByteSize;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

/// What one read may take without being confirmed, as it is estimated before it. Only the command line asks; of what a server is
/// asked, the limits of actions and budgets decide.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfirmSettings {
    /// US dollars.
    #[serde(deserialize_with = "crate::usd::amount")]
    #[schemars(schema_with = "crate::json_schema::usd")]
    pub above_usd: Decimal,
    /// Bytes of the objects, such as `100GB`.
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub above_bytes: ByteSize,
    /// Requests to S3.
    pub above_requests: u64,
}

impl Default for ConfirmSettings {
    fn default() -> Self {
        Self {
            above_usd: Decimal::ONE,
            above_bytes: ByteSize::gb(100),
            above_requests: 100_000,
        }
    }
}
