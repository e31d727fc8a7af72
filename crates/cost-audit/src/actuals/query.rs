//! What Cost Explorer is asked.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::report::Granularity;

/// Cost Explorer's name for S3.
pub const S3_SERVICE: &str = "Amazon Simple Storage Service";

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActualsQuery {
    /// The first day.
    pub start: NaiveDate,
    /// The day after the last one.
    pub end: NaiveDate,
    /// The length of a period.
    pub granularity: Granularity,
    /// At most two.
    pub group_by: Vec<GroupBy>,
    /// Only these services; empty is every service.
    pub services: Vec<String>,
}

/// How a period is divided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GroupBy {
    /// By service.
    Service,
    /// By usage type, such as `EUC1-Requests-Tier2`.
    UsageType,
    /// By region.
    Region,
    /// By the value of a cost allocation tag.
    Tag(String),
}

impl ActualsQuery {
    /// S3 by day and usage type.
    #[must_use]
    pub fn s3(start: NaiveDate, end: NaiveDate) -> Self {
        Self {
            start,
            end,
            granularity: Granularity::Daily,
            group_by: vec![GroupBy::UsageType],
            services: vec![S3_SERVICE.to_owned()],
        }
    }
}
