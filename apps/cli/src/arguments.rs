//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{audit::AuditCommand, cost::CostCommand};

/// SQL over files on S3, for Genesys Cloud data actions.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 2 input or configuration, 3 access, 4 data, 5 a limit, 6 a service did not answer, 70 a fault of flowlake."
)]
pub(crate) struct Arguments {
    /// flowlake.toml, or the folder that holds it
    #[arg(long, global = true, env = "FLOWLAKE_CONFIG", default_value = ".")]
    pub(crate) config: PathBuf,
    /// Log filter for standard error, such as `info` or `flowlake_transform=debug`
    #[arg(
        long,
        global = true,
        env = "FLOWLAKE_LOG",
        default_value = "error,s3s=off,s3s_fs=off"
    )]
    pub(crate) log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an action and print its rows
    Run(Run),
    /// Check configuration, access and readability without running anything
    Check(Check),
    /// Look at everything that actions need: credentials, clock, buckets, permissions, keys, logins
    Doctor(Doctor),
    /// Verify, read and export the audit log
    #[command(subcommand)]
    Audit(Box<AuditCommand>),
    /// What reads have cost, and the prices behind the estimates
    #[command(subcommand)]
    Cost(CostCommand),
    /// Write a commented flowlake.toml and a first action
    Init(Init),
    /// Run the example actions on an embedded stack: no AWS, no Genesys Cloud, no network
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The action's name
    pub(crate) action: String,
    /// A parameter; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// How to print the rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Print everything: metadata, cost, audit record and profile too
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// The answer as the server gives it
    Json,
    /// One JSON object a row
    Ndjson,
    /// Comma-separated values with a header
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The actions to check; all when none is named
    pub(crate) actions: Vec<String>,
    /// A parameter, for actions whose locations need one
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A parameter, for actions whose locations need one
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Fail when Cost Explorer may not be asked; otherwise that is only told
    #[arg(long)]
    pub(crate) cost_explorer: bool,
    /// How to print the lines
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub(crate) format: DoctorFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    /// A tick or a cross a line, with the fix below a cross
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder to write into; made when it does not exist
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Conversations in the sample data
    #[arg(long, default_value_t = 500_000)]
    pub(crate) rows: u64,
    /// Keep stack and server running, and print a curl line
    #[arg(long)]
    pub(crate) serve: bool,
    /// Where to lay the sample data; a folder that is deleted at the end when left out
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
