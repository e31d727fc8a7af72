//! What can be typed behind `flowlake test`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The actions to test; all that have tests when none is named
    pub(crate) actions: Vec<String>,
    /// Write what the actions answer into the expectations that differ
    #[arg(long, conflicts_with = "replay")]
    pub(crate) update: bool,
    /// Write a report for build servers too, in the XML of `JUnit`
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub(crate) junit: Option<PathBuf>,
    /// Put the last requests of the audit log, 20 when no number is given, to the old and the new action instead: they are read from S3, and compared by rows, time, bytes and price
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "20")]
    pub(crate) replay: Option<usize>,
    /// The git revision whose action files are the old ones
    #[arg(long, value_name = "REV", requires = "replay", default_value = "HEAD")]
    pub(crate) against: String,
}
