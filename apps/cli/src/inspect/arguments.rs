//! What can be typed behind `flowlake inspect`.

use std::time::Duration;

use clap::Args;
use toml::Value;

use crate::sql::{option, time};

#[derive(Debug, Args)]
#[command(after_help = "With --json, the report is one JSON object on standard output.")]
pub(crate) struct Inspect {
    /// The files: `s3://bucket/key`, a prefix, a glob, or files of this machine, as `flowlake sql` takes them
    pub(crate) uri: String,
    /// A key of docs/tables.md that is known already, such as `delimiter=;`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = option)]
    pub(crate) options: Vec<(String, Value)>,
    /// What to call the table; left out, as its files
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Look at this many of the first rows only; left out, at all
    #[arg(long, value_name = "ROWS")]
    pub(crate) sample: Option<u64>,
    /// Show this many of the first rows
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub(crate) rows: usize,
    /// Print nothing but `[tables.NAME]` for an action file
    #[arg(long)]
    pub(crate) toml: bool,
    /// Columns of the terminal that the report may take; as many as it needs where standard output is none
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) width: Option<usize>,
    /// Read also what `[confirm]` of flowlake.toml wants to be asked about
    #[arg(long)]
    pub(crate) yes: bool,
    /// The longest time that it may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) timeout: Duration,
}

impl Inspect {
    /// The files, of which so much is known.
    pub(crate) fn of(uri: &str, options: &[(String, Value)]) -> Self {
        Self {
            uri: uri.to_owned(),
            options: options.to_vec(),
            name: None,
            sample: None,
            rows: 5,
            toml: false,
            width: None,
            yes: false,
            timeout: Duration::from_secs(3600),
        }
    }
}
