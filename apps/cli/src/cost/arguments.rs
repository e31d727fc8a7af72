//! What can be typed after `flowlake cost`.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand, ValueEnum};
use flowlake_cost_audit::{Granularity, GroupBy};

#[derive(Debug, Subcommand)]
pub(crate) enum CostCommand {
    /// Estimates of the audit log beside what Cost Explorer says; ends with exit code 6 when that cannot be had
    Report(Report),
    /// The prices that reads are estimated with, their dates and sources; --from takes AWS's price lists over
    Prices(Prices),
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The first day (UTC); left out, 30 days up to today
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<NaiveDate>,
    /// The day after the last one; left out, tomorrow
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<NaiveDate>,
    /// The length of a row
    #[arg(long, value_enum, default_value_t = Period::Daily)]
    pub(crate) granularity: Period,
    /// How the actual costs are divided: service, usage-type, region or tag:NAME; at most two
    #[arg(long = "group-by", value_name = "WHAT", value_parser = group)]
    pub(crate) group_by: Vec<GroupBy>,
    /// Actual costs of every service, not of S3 alone
    #[arg(long)]
    pub(crate) all_services: bool,
    /// Estimates only: Cost Explorer is not asked, which would cost 0.01 USD a page
    #[arg(long)]
    pub(crate) no_actuals: bool,
    /// Ask Cost Explorer again, also when an answer of the last six hours is kept
    #[arg(long)]
    pub(crate) refresh: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) output: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Prices {
    /// A price list of AWS, the index.json of its S3 or data transfer offer; its figures go into the file that `prices` in `[cost]` names
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Vec<PathBuf>,
    /// Only this region
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Print the whole table as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Tables and bars for people
    Text,
    /// Everything
    Json,
    /// The periods, comma-separated with a header
    Csv,
}

/// The length of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Period {
    /// Days of UTC
    Daily,
    /// Months of UTC
    Monthly,
}

impl From<Period> for Granularity {
    fn from(period: Period) -> Self {
        match period {
            Period::Daily => Self::Daily,
            Period::Monthly => Self::Monthly,
        }
    }
}

fn group(text: &str) -> Result<GroupBy, String> {
    match text {
        "service" => Ok(GroupBy::Service),
        "usage-type" => Ok(GroupBy::UsageType),
        "region" => Ok(GroupBy::Region),
        other => match other.strip_prefix("tag:") {
            Some(name) if !name.is_empty() => Ok(GroupBy::Tag(name.to_owned())),
            _ => Err("write service, usage-type, region or tag:NAME".to_owned()),
        },
    }
}
