//! What can be typed behind `flowlake profile`.

use std::time::Duration;

use clap::Args;

use crate::sql::pause;

#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// The server's address for operators, such as `http://127.0.0.1:9090`; left out, `admin` in `[server]` of flowlake.toml
    pub(crate) server: Option<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = pause)]
    pub(crate) every: Duration,
    /// Print the figures once, as where standard output is no terminal
    #[arg(long)]
    pub(crate) once: bool,
}
