//! What can be typed behind `flowlake shell`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use flowlake_transform::TableSpec;

use crate::sql::{TABLE_ROWS, table, time};

#[derive(Debug, Args)]
pub(crate) struct Shell {
    /// A table by name: its files, and how they are written, with the keys of docs/tables.md
    #[arg(short = 't', long = "table", value_name = "NAME=FILE[,KEY=VALUE]...", value_parser = table)]
    pub(crate) tables: Vec<(String, TableSpec)>,
    /// Rows of an answer that are shown
    #[arg(long, value_name = "COUNT", default_value_t = TABLE_ROWS)]
    pub(crate) rows: u64,
    /// Read also what `[confirm]` of flowlake.toml wants to be asked about
    #[arg(long)]
    pub(crate) yes: bool,
    /// The longest time that an answer may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) timeout: Duration,
    /// Where typed lines are kept; left out, `history` beside the audit log of `flowlake sql`
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
}
