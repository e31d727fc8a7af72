//! `[cache]`: memory of kept answers.

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the answers of actions with `cache` may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// Memory of all kept answers, such as `64MiB`. One that is larger than an eighth of it is not kept.
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub memory: ByteSize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(64),
        }
    }
}
