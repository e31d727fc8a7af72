//! `[hot]`: memory and freshness of hot tables.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::json_schema::Bytes;

/// What hot tables may take, and how old they may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HotSettings {
    /// Memory of all hot tables with their indexes, such as `512MiB`. One action's tables may take half of it, so that a new
    /// version has room beside the old one.
    #[schemars(with = "Bytes")]
    pub memory: ByteSize,
    /// Age at which a table's objects are asked for a new version, in the background; each question is one HEAD request.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub freshness: Duration,
    /// Age beyond which a table that could not be checked is no longer answered from.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_staleness: Duration,
    /// What happens to a request whose tables have no room; `cold` when left out.
    pub on_no_room: OnNoRoom,
}

/// See [`HotSettings::on_no_room`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNoRoom {
    /// It reads the files, as an action that is not hot, and the answer says so.
    #[default]
    Cold,
    /// It is refused.
    Refuse,
}

impl Default for HotSettings {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(512),
            freshness: Duration::from_secs(10),
            max_staleness: Duration::from_secs(300),
            on_no_room: OnNoRoom::Cold,
        }
    }
}
